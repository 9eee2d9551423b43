-- c_array.lua -- prints an array of C, for the programs that write tables: returns function(head, items).
return function(head, items)
  print(head .. "[] = {")
  local line = "   "
  for _, item in ipairs(items) do
    if #line + #item > 112 then
      print(line)
      line = "   "
    end
    line = line .. " " .. item .. ","
  end
  print(line .. "\n};\n")
end

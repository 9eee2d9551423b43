-- man.lua -- writes the man pages: `make man`, `make install`.
--
--   luajit core/cli/man.lua PROGRAM FOLDER      writes FOLDER/perilune.1 and FOLDER/perilune.lua.5
--
-- Nothing is written twice.  perilune(1) is what PROGRAM --help and COMMAND --help say;
-- perilune.lua(5) is the manual's section on the configuration, whose table of keys is held
-- against the schema that checks configurations (lua/perilune/config.lua): a key that only
-- one of them knows is an error.

local PROGRAM, FOLDER = arg[1], arg[2]

local function read(path)
  local f = assert(io.open(path))
  local text = f:read("*a")
  f:close()
  return text
end

local function write(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end

local function say(...)
  local pipe = assert(io.popen(("%s %s 2>&1 </dev/null"):format(PROGRAM, table.concat({ ... }, " "))))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local version = read("core/include/perilune.h"):match('PERILUNE_VERSION_STRING "([^"]+)"')

-- -- roff ------------------------------------------------------------------------------

-- A line that means itself.
local function literal(line)
  line = line:gsub("\\", "\\e"):gsub("%-", "\\-")
  return (line:gsub("^([.'])", "\\&%1"))
end

local function example(text)
  local out = { ".PP", ".nf" }
  for line in (text:gsub("\n+$", "") .. "\n"):gmatch("(.-)\n") do out[#out + 1] = literal(line) end
  out[#out + 1] = ".fi"
  return table.concat(out, "\n")
end

-- Markdown within a line: code is bold, links are their text.
local function inline(text)
  local codes = {}
  text = text:gsub("`([^`]+)`", function(code)
    codes[#codes + 1] = code
    return ("\1%d\2"):format(#codes)
  end)
  text = literal(text:gsub("%[([^%]]+)%]%([^%)]*%)", "%1"):gsub("%*%*(.-)%*%*", "%1"):gsub("\\e|", "|"))
  -- Again in there: a link's text may be code.
  text = text:gsub("\1(%d+)\2", function(i) return "\\fB" .. literal(codes[tonumber(i)]:gsub("\\|", "|")) .. "\\fR" end)
  return (text:gsub("^([.'])", "\\&%1"))
end

-- -- perilune(1) ------------------------------------------------------------------------

local function program_page()
  local help = say("--help")
  local out = { '.\\" made by core/cli/man.lua', ('.TH PERILUNE 1 "" "perilune %s" "Perilune"'):format(version), ".SH NAME",
    "perilune \\- a runtime for applications of large language models", ".SH SYNOPSIS", ".B perilune", "COMMAND ...",
    ".SH DESCRIPTION", example(help:gsub("^.-\n\n", "", 1)), ".SH COMMANDS" }
  local seen = {}
  for name in help:gmatch("\n  (%l[%l%-]*) ") do
    local text = not seen[name] and say(name, "--help")
    if text and not text:find("usage", 1, true) then error(("perilune %s --help says no usage: %s"):format(name, text)) end
    if text then
      out[#out + 1] = ".SS " .. literal(name)
      out[#out + 1] = example(text)
    end
    seen[name] = true
  end
  out[#out + 1] = ".SH SEE ALSO"
  out[#out + 1] = ".BR perilune.lua (5)"
  return table.concat(out, "\n") .. "\n"
end

-- -- perilune.lua(5) ----------------------------------------------------------------------

local function cells(row)
  local out = {}
  for cell in (row:gsub("\\|", "\3"):match("^|(.*)|%s*$") .. "|"):gmatch("%s*(.-)%s*|") do
    out[#out + 1] = (cell:gsub("\3", "|"))
  end
  return out
end

local function put_row(out, head, row)
  out[#out + 1] = ".TP"
  out[#out + 1] = inline(row[1])
  local rest = {}
  for i = 2, #row do
    if row[i] ~= "" then rest[#rest + 1] = (head[i] ~= "" and head[i] .. ": " or "") .. row[i] .. (head[i] ~= "" and "." or "") end
  end
  out[#out + 1] = rest[1] and inline(table.concat(rest, " ")) or "\\&"
end

-- Markdown, as far as the manual uses it.
local function convert(markdown)
  local out, head, code, paragraph = {}, nil, nil, {}
  local function flush()
    if paragraph[1] then out[#out + 1] = inline(table.concat(paragraph, " ")) end
    paragraph = {}
  end
  for line in (markdown .. "\n"):gmatch("(.-)\n") do
    if code then
      if line:find("^```") then
        out[#out + 1], code = example(table.concat(code, "\n")), nil
      else
        code[#code + 1] = line
      end
    elseif line:find("^```") then
      flush()
      code = {}
    elseif line:find("^|[%s|%-:]+$") then -- the ruler below a table's head
    elseif line:find("^|") then
      flush()
      if head then put_row(out, head, cells(line)) else head = cells(line) end
    else
      head = nil
      local title = line:match("^###+ (.*)")
      local item = line:match("^%- (.*)")
      if title or item or line == "" then flush() end
      if title then out[#out + 1] = ".SS " .. inline(title)
      elseif item then
        out[#out + 1] = ".IP \\(bu 2"
        paragraph = { item }
      elseif line ~= "" then
        if not paragraph[1] then out[#out + 1] = ".PP" end
        paragraph[#paragraph + 1] = line:match("^%s*(.-)%s*$")
      end
    end
  end
  flush()
  return table.concat(out, "\n")
end

-- The first table's keys against the schema's.
local function compare(section)
  package.path = "lua/?.lua;" .. package.path
  package.loaded["perilune.core"] = setmetatable({}, { __index = function() return function() end end })
  local known, told, wrong = {}, {}, {}
  for _, key in ipairs(require("perilune.config").keys()) do known[key] = true end
  for key in section:match("\n| key.-\n\n"):gmatch("\n| `([%w_]+)") do told[key] = true end
  for key in pairs(known) do
    if not told[key] then wrong[#wrong + 1] = key .. " is not in the manual" end
  end
  for key in pairs(told) do
    if not known[key] then wrong[#wrong + 1] = key .. " is no key of the schema" end
  end
  if wrong[1] then error("the configuration's keys: " .. table.concat(wrong, ", ")) end
end

local function configuration_page()
  local section = assert(read("README.md"):match("\n## Configuration\n(.-)\n## "), "README.md has no section 'Configuration'")
  compare(section)
  return table.concat({ '.\\" made by core/cli/man.lua', ('.TH PERILUNE.LUA 5 "" "perilune %s" "Perilune"'):format(version),
    ".SH NAME", "perilune.lua \\- configuration of perilune", ".SH DESCRIPTION", convert(section), ".SH SEE ALSO",
    ".BR perilune (1)" }, "\n") .. "\n"
end

write(FOLDER .. "/perilune.1", program_page())
write(FOLDER .. "/perilune.lua.5", configuration_page())

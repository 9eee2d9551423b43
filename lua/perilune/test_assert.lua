--- test_assert: assertions, which throw at the line of who calls them.

local M = {}

local function show(value, depth)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  if (depth or 0) > 4 then return "{...}" end
  local keys, out = {}, {}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    if type(a) == "number" and type(b) == "number" then return a < b end
    return tostring(a) < tostring(b)
  end)
  for i, k in ipairs(keys) do
    local name = type(k) == "string" and k or "[" .. tostring(k) .. "]"
    out[i] = (k == i and "" or name .. " = ") .. show(value[k], (depth or 0) + 1)
  end
  return "{ " .. table.concat(out, ", ") .. " }"
end

local function same(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function fail(message, what)
  error((what and what .. ": " or "") .. message, 3)
end

--- Fails unless the two are the same value, or tables with the same contents.
function M.equal(actual, expected, what)
  if not same(actual, expected) then
    fail(("expected %s, got %s"):format(show(expected), show(actual)), what)
  end
end

--- Fails unless the value is true in Lua's sense; returns it.
function M.ok(value, what)
  if not value then fail("expected something, got " .. show(value), what) end
  return value
end

--- Fails unless the number is within `within` (default 1e-6) of expected.
function M.near(actual, expected, within, what)
  if type(actual) ~= "number" or math.abs(actual - expected) > (within or 1e-6) then
    fail(("expected about %s, got %s"):format(show(expected), show(actual)), what)
  end
end

--- Fails unless the string has the pattern in it; returns the captures.
function M.match(text, pattern, what)
  if type(text) ~= "string" or not text:find(pattern) then
    fail(("expected something like %s, got %s"):format(show(pattern), show(text)), what)
  end
  return text:match(pattern)
end

--- Fails unless fn throws, with the pattern in its message; returns the message.
function M.error(fn, pattern, what)
  local ok, message = pcall(fn)
  if ok then fail("expected an error, there was none", what) end
  message = type(message) == "table" and message.message or message
  if pattern and not tostring(message):find(pattern) then
    fail(("expected an error like %s, got %s"):format(show(pattern), show(message)), what)
  end
  return message
end

M.show = show

return M

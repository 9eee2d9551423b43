-- json.lua -- JSON for tests: strict enough to notice a wrong answer.
--
-- null is json.null, so that {"param":null} differs from {}.  Arrays carry a
-- metatable, so that [] differs from {}.

local M = {}

M.null = setmetatable({}, { __tostring = function() return "null" end })
local ARRAY = {}

function M.array(t) return setmetatable(t or {}, ARRAY) end
function M.is_array(t) return getmetatable(t) == ARRAY end

local function fail(s, at, what)
  error(("JSON: %s at byte %d: %s"):format(what, at - 1, s:sub(at, at + 20)), 0)
end

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then
    return string.char(0xc0 + math.floor(code / 64), 0x80 + code % 64)
  end
  if code < 0x10000 then
    return string.char(0xe0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64,
                       0x80 + code % 64)
  end
  return string.char(0xf0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
                     0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

local PLAIN = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
                ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }

local function unicode_escape(s, at)
  local hex = s:match("^%x%x%x%x", at)
  if not hex then fail(s, at, "bad \\u escape") end
  local code = tonumber(hex, 16)
  if code >= 0xd800 and code < 0xdc00 then
    local low = s:match("^\\u(%x%x%x%x)", at + 4)
    local n = low and tonumber(low, 16)
    if n and n >= 0xdc00 and n < 0xe000 then
      return utf8(0x10000 + (code - 0xd800) * 0x400 + n - 0xdc00), at + 10
    end
    return utf8(0xfffd), at + 4
  end
  return utf8(code), at + 4
end

local function read_string(s, at)
  local out, from = {}, at + 1
  while true do
    local i = s:find('["\\%c]', from)
    if not i then fail(s, at, "unfinished string") end
    out[#out + 1] = s:sub(from, i - 1)
    local c = s:sub(i, i)
    if c == '"' then return table.concat(out), i + 1 end
    if c ~= "\\" then
      if c ~= "\127" then fail(s, i, "control byte in string") end
      out[#out + 1], from = c, i + 1
    else
      local e = s:sub(i + 1, i + 1)
      if e == "u" then
        out[#out + 1], from = unicode_escape(s, i + 2)
      elseif PLAIN[e] then
        out[#out + 1], from = PLAIN[e], i + 2
      else
        fail(s, i, "bad escape")
      end
    end
  end
end

local read_value

local function skip(s, at) return s:match("^[ \t\r\n]*()", at) end

local function read_array(s, at)
  local out = M.array()
  at = skip(s, at + 1)
  if s:sub(at, at) == "]" then return out, at + 1 end
  while true do
    out[#out + 1], at = read_value(s, at)
    at = skip(s, at)
    local c = s:sub(at, at)
    if c == "]" then return out, at + 1 end
    if c ~= "," then fail(s, at, "expected , or ]") end
    at = at + 1
  end
end

local function read_object(s, at)
  local out = {}
  at = skip(s, at + 1)
  if s:sub(at, at) == "}" then return out, at + 1 end
  while true do
    at = skip(s, at)
    if s:sub(at, at) ~= '"' then fail(s, at, "expected a key") end
    local key
    key, at = read_string(s, at)
    at = skip(s, at)
    if s:sub(at, at) ~= ":" then fail(s, at, "expected :") end
    out[key], at = read_value(s, at + 1)
    at = skip(s, at)
    local c = s:sub(at, at)
    if c == "}" then return out, at + 1 end
    if c ~= "," then fail(s, at, "expected , or }") end
    at = at + 1
  end
end

function read_value(s, at)
  at = skip(s, at)
  local c = s:sub(at, at)
  if c == "{" then return read_object(s, at) end
  if c == "[" then return read_array(s, at) end
  if c == '"' then return read_string(s, at) end
  if s:sub(at, at + 3) == "true" then return true, at + 4 end
  if s:sub(at, at + 4) == "false" then return false, at + 5 end
  if s:sub(at, at + 3) == "null" then return M.null, at + 4 end
  local number = s:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  if not number or not tonumber(number) then fail(s, at, "unexpected character") end
  return tonumber(number), at + #number
end

--- The value of the text, or nil and a message.
function M.decode(text)
  local ok, value, at = pcall(read_value, text, 1)
  if not ok then return nil, value end
  if skip(text, at) <= #text then return nil, "JSON: bytes after the value" end
  return value
end

local ESCAPE = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(s)
  return '"' .. s:gsub('[%c"\\]', function(c)
    return ESCAPE[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

--- One line of text.  Keys come sorted, so that output can be compared.
function M.encode(v)
  if v == M.null or v == nil then return "null" end
  if type(v) == "string" then return quote(v) end
  if type(v) == "number" then
    return v % 1 == 0 and ("%.0f"):format(v) or ("%.17g"):format(v)
  end
  if type(v) ~= "table" then return tostring(v) end
  local parts = {}
  if M.is_array(v) or #v > 0 then
    for i, x in ipairs(v) do parts[i] = M.encode(x) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local keys = {}
  for k in pairs(v) do keys[#keys + 1] = k end
  table.sort(keys)
  for i, k in ipairs(keys) do parts[i] = quote(k) .. ":" .. M.encode(v[k]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

return M

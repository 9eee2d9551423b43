-- template.lua -- expected text with holes.
--
--   ...              any bytes, also none (write {{dots}} for three real dots)
--   {{any}}          at least one byte, not a line end
--   {{re:PATTERN}}   what a Lua pattern matches, with backtracking over its ends
--   {{N*TEXT}}       TEXT n times
--
-- match() says whether the whole text fits; json() compares values, where a
-- member that is not named is not looked at, and strings are templates.

local json = require "support.json"

local M = {}

-- A template is a list of {kind, value}.
local function compile(template)
  local parts, at = {}, 1
  local function literal(s)
    if s ~= "" then parts[#parts + 1] = { "text", s } end
  end
  while true do
    local dots = template:find("...", at, true)
    local hole, stop, inner = template:find("{{(.-)}}", at)
    if not dots and not hole then break end
    if dots and (not hole or dots < hole) then
      literal(template:sub(at, dots - 1))
      -- Two of them would try all ends of the first for each end of the second.
      if not parts[#parts] or parts[#parts][1] ~= "dots" then parts[#parts + 1] = { "dots" } end
      at = dots + 3
    else
      literal(template:sub(at, hole - 1))
      local count, text = inner:match("^(%d+)%*(.*)$")
      if inner == "any" then
        parts[#parts + 1] = { "re", "[^\r\n]+" }
      elseif inner == "dots" then
        literal("...")
      elseif inner:sub(1, 3) == "re:" then
        parts[#parts + 1] = { "re", inner:sub(4) }
      elseif count then
        literal(text:rep(tonumber(count)))
      else
        literal("{{" .. inner .. "}}") -- braces of JSON, most likely
      end
      at = stop + 1
    end
  end
  literal(template:sub(at))
  return parts
end

local match_from

-- A pattern's match may be longer than what the rest leaves room for: try the
-- ends from the longest to the shortest.
local function match_re(parts, i, text, at)
  local _, stop = text:find("^" .. parts[i][2], at)
  if not stop then return false end
  for last = stop, at - 1, -1 do
    local piece = text:sub(at, last)
    if piece:find("^" .. parts[i][2] .. "$") and match_from(parts, i + 1, text, last + 1) then
      return true
    end
  end
  return false
end

local function match_dots(parts, i, text, at)
  local following = parts[i + 1]
  if not following then return true end
  if following[1] ~= "text" then
    for from = at, #text + 1 do
      if match_from(parts, i + 1, text, from) then return true end
    end
    return false
  end
  while true do
    local from = text:find(following[2], at, true)
    if not from then return false end
    if match_from(parts, i + 1, text, from) then return true end
    at = from + 1
  end
end

function match_from(parts, i, text, at)
  local part = parts[i]
  if not part then return at == #text + 1 end
  if part[1] == "text" then
    if text:sub(at, at + #part[2] - 1) ~= part[2] then return false end
    return match_from(parts, i + 1, text, at + #part[2])
  end
  if part[1] == "dots" then return match_dots(parts, i, text, at) end
  return match_re(parts, i, text, at)
end

--- Does the whole text fit the template?
function M.match(template, text) return match_from(compile(template), 1, text, 1) end

--- Does any part of the text fit?
function M.find(template, text) return M.match("..." .. template .. "...", text) end

--- Replaces {{N*TEXT}} in text that is to be sent.
function M.repeats(text)
  return (text:gsub("{{(%d+)%*(.-)}}", function(n, s) return s:rep(tonumber(n)) end))
end

-- -- JSON -------------------------------------------------------------------------

local function compare(want, got, path)
  if want == "..." and got ~= nil then return nil end
  if type(want) == "string" then
    if type(got) ~= "string" then return path .. ": expected a string, got " .. json.encode(got) end
    if M.match(want, got) then return nil end
    return ("%s: expected %s, got %s"):format(path, json.encode(want), json.encode(got))
  end
  if type(want) ~= "table" or want == json.null then
    if want == got then return nil end
    return ("%s: expected %s, got %s"):format(path, json.encode(want), json.encode(got))
  end
  if type(got) ~= "table" or got == json.null or json.is_array(want) ~= json.is_array(got) then
    return ("%s: expected %s, got %s"):format(path, json.encode(want), json.encode(got))
  end
  if json.is_array(want) and #want ~= #got then
    return ("%s: expected %d elements, got %d: %s"):format(path, #want, #got, json.encode(got))
  end
  for k, v in pairs(want) do
    local why = compare(v, got[k], path .. "." .. tostring(k))
    if why then return why end
  end
end

--- nil when the text is JSON that has what `want` (text, too) names; else why not.
function M.json(want, text)
  local expected, bad = json.decode(want)
  if bad then return "the expectation is not " .. bad end
  local value
  value, bad = json.decode(text)
  if bad then return bad .. " in: " .. text end
  return compare(expected, value, "body")
end

return M

--- locate: on which line of a configuration file does a key stand?
--
-- A checked table knows keys, not lines; people look for lines.  This reads the
-- text of the file again, as far as needed to follow the outermost table:
-- strings, comments, brackets, `name =`, `["name"] =`, commas.
--
-- It is an aid for messages.  A table that is built by code is not found, and the
-- answer is then the line of the nearest enclosing key that is.

local M = {}

local BACKSLASH = ("\\"):byte()

-- The tokens that matter, as { kind, text, line, column }: "name", "string", or the
-- character itself.  Everything else is a single "?" token.
local function tokens(source)
  local list, at, line, begins = {}, 1, 1, 1
  -- (No string.sub: in LuaJIT 2.1 it can crash when there is no memory for its result, and this runs while a
  -- configuration that is right is loaded.)
  local function skip(upto)
    local found = source:find("\n", at, true)
    while found and found < upto do
      line, begins, found = line + 1, found + 1, source:find("\n", found + 1, true)
    end
    at = upto
  end
  local function add(kind, text, upto)
    list[#list + 1] = { kind, text, line, at - begins + 1 }
    skip(upto)
  end
  while at <= #source do
    local c = source:match("^.", at)
    local level = source:match("^%-%-%[(=*)%[", at) or source:match("^%[(=*)%[", at)
    if level then
      local _, stop = source:find("]" .. level .. "]", at, true)
      if c == "[" then add("string", nil, (stop or #source) + 1) else skip((stop or #source) + 1) end
    elseif source:find("^%-%-", at) then
      skip(source:find("\n", at, true) or #source + 1)
    elseif c == '"' or c == "'" then
      local stop = at + 1
      while stop <= #source and source:byte(stop) ~= c:byte() do
        stop = stop + (source:byte(stop) == BACKSLASH and 2 or 1)
      end
      add("string", source:match("^([^\\" .. c .. "]*)", at + 1), stop + 1) -- no key that we look for has escapes
    elseif source:find("^[%a_]", at) then
      local word = source:match("^[%w_]+", at)
      add("name", word, at + #word)
    elseif c:find("%s") then
      skip(source:find("%S", at) or #source + 1)
    else
      add(c, nil, at + 1)
    end
  end
  return list
end

-- The index of the `{` of the table that the file returns: the last `return {`
-- outside of brackets, or the first `{` when there is none.
local function outermost(list)
  local depth, found, first = 0, nil, nil
  for i, t in ipairs(list) do
    if t[1] == "{" or t[1] == "(" then
      if t[1] == "{" then
        first = first or i
        local before = list[i - 1]
        if depth == 0 and before and before[2] == "return" then found = i end
      end
      depth = depth + 1
    elseif t[1] == "}" or t[1] == ")" then
      depth = depth - 1
    end
  end
  return found or first
end

-- Is the token at i a key?  Returns its name and the index behind the `=`.
local function key_at(list, i)
  local a, b, c, d = list[i], list[i + 1], list[i + 2], list[i + 3]
  if a[1] == "name" and b and b[1] == "=" and not (c and c[1] == "=") then return a[2], i + 2 end
  if a[1] == "[" and b and b[1] == "string" and c and c[1] == "]" and d and d[1] == "=" then
    return b[2], i + 4
  end
  return nil, i
end

local function join(path, key)
  if type(key) == "number" then return ("%s[%d]"):format(path, key) end
  return path == "" and key or path .. "." .. key
end

local opens = { ["{"] = true, ["("] = true }
local closes = { ["}"] = true, [")"] = true }
-- Inside `function ... end` commas and assignments are no fields.
local blocks = { ["function"] = 1, ["if"] = 1, ["do"] = 1, ["repeat"] = 1, ["end"] = -1, ["until"] = -1 }

-- Deeper tables are skipped like any other value: no key of a configuration is there.
local MAX_DEPTH = 16

-- Reads the fields of the table whose `{` is at i - 1.
local function fields(list, i, path, lines, depth_left)
  local index = 0
  while list[i] and list[i][1] ~= "}" do
    local place = list[i]
    local key
    key, i = key_at(list, i)
    if not key then
      index = index + 1
      key = index
    end
    local here = join(path, key)
    lines[here] = lines[here] or place
    if depth_left > 0 and list[i] and list[i][1] == "{" then
      i = fields(list, i + 1, here, lines, depth_left - 1)
    end

    local depth, block = 0, 0
    while list[i] do
      local kind, word = list[i][1], list[i][2]
      if depth == 0 and block == 0 and (kind == "," or kind == ";" or kind == "}") then break end
      if opens[kind] then depth = depth + 1 elseif closes[kind] then depth = depth - 1 end
      if kind == "name" then block = block + (blocks[word] or 0) end
      i = i + 1
    end
    if list[i] and list[i][1] ~= "}" then i = i + 1 end
  end
  return i + 1
end

--- A function from the path of a key to its line and column, or nil when the file does not
--- look like a configuration.
---@param source string
---@return fun(key: string): integer?, integer?
function M.lines(source)
  local list, lines = tokens(source), {}
  local start = outermost(list)
  if start then
    lines[""] = list[start]
    fields(list, start + 1, "", lines, MAX_DEPTH)
  end
  return function(key)
    while not lines[key] do
      local shorter = key:match("^(.*)%.[^%.%[]*$") or key:match("^(.*)%[%d+%]$")
      if not shorter then break end
      key = shorter
    end
    local place = lines[key] or lines[""]
    if not place then return nil end
    return place[3], place[4]
  end
end

return M

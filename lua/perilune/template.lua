--- template: text with holes.
--
--     local greet = perilune.template("Dear {{user.name}}, you asked: {{question|json}}")
--     greet:render{ user = { name = "Ada" }, question = 'why "?"' }
--
-- {{name}} and {{a.b}} insert strings, numbers and booleans as they are;
-- {{name|json}} inserts any value as JSON, which is what belongs between the
-- braces of a request body.  A hole without a value is an error that names it: a
-- prompt with a gap is worse than none.  To write two braces, insert them: {{"{{"}}.
-- A text is compiled once, however often a template is made of it.

local M = {}

local Template = {}
Template.__index = Template

---@class perilune.Template
---@field render fun(self: perilune.Template, vars: table): string
---@operator call(table): string

-- What texts were compiled to, for policies that make a template with each request: the last few hundred.
local MOST, MOST_BYTES = 256, 64 * 1024
local compiled, count = {}, 0

local function remember(text, parts)
  if #text > MOST_BYTES then return end
  if count >= MOST then compiled, count = {}, 0 end
  compiled[text], count = parts, count + 1
end

-- The line of byte `at`, for messages.
local function line_of(text, at)
  local _, breaks = text:sub(1, at - 1):gsub("\n", "")
  return breaks + 1
end

local function json(value)
  return require("perilune.core").json_encode(value)
end

local function parse_hole(text, at, inside)
  local function complain(what)
    error(("template, line %d: {{%s}}: %s"):format(line_of(text, at), inside, what), 4)
  end
  local literal = inside:match('^%s*"([^"]*)"%s*$')
  if literal then return literal end

  local name, filter = inside:match("^%s*([%w_%.]-)%s*|%s*([%w_]*)%s*$")
  if not name then name = inside:match("^%s*([%w_%.]-)%s*$") end
  if not name then complain("write {{name}}, {{a.b}} or {{name|json}}") end
  if filter and filter ~= "json" then complain(("unknown filter '%s'; there is only 'json'"):format(filter)) end

  local path = {}
  for key in (name .. "."):gmatch("([^%.]*)%.") do
    if key == "" then complain("a name is missing") end
    path[#path + 1] = tonumber(key) or key
  end
  return { name = name, path = path, json = filter ~= nil }
end

--- Compiles a template.  Throws with the line when it is malformed.
---@param text string
---@return perilune.Template
function M.new(text)
  if type(text) ~= "string" then error("perilune.template takes a string, got " .. type(text), 2) end
  if compiled[text] then return setmetatable({ parts = compiled[text] }, Template) end
  local parts, at = {}, 1
  while true do
    local open = text:find("{{", at, true)
    if not open then break end
    if open > at then parts[#parts + 1] = text:sub(at, open - 1) end
    -- A literal in quotes may hold braces itself.
    local inside, after = text:match('^(%s*"[^"]*"%s*)}}()', open + 2)
    if not inside then inside, after = text:match("^(.-)}}()", open + 2) end
    if not inside then
      error(("template, line %d: {{ without }}"):format(line_of(text, open)), 2)
    end
    parts[#parts + 1] = parse_hole(text, open, inside)
    at = after
  end
  if at <= #text then parts[#parts + 1] = text:sub(at) end
  remember(text, parts)
  return setmetatable({ parts = parts }, Template)
end

-- A JSON null is no value either: an upstream that answers null left a gap.
local function look_up(vars, path, null)
  local value = vars
  for _, key in ipairs(path) do
    local kind = type(value)
    if kind ~= "table" and kind ~= "userdata" or value == null then return nil end
    value = value[key]
  end
  return value
end

--- Fills the holes.  Throws at the caller when a value is missing.
---@param vars table
---@return string
function Template:render(vars)
  if type(vars) ~= "table" and type(vars) ~= "userdata" then
    error("template:render takes a table of values, got " .. type(vars), 2)
  end
  local null = require("perilune.core").null
  local out = {}
  for i, part in ipairs(self.parts) do
    if type(part) == "string" then
      out[i] = part
    else
      local value = look_up(vars, part.path, null)
      if value == nil or (value == null and not part.json) then
        error(("template: no value for '%s'"):format(part.name), 2)
      elseif part.json then
        out[i] = json(value)
      elseif type(value) == "string" or type(value) == "number" or type(value) == "boolean" then
        out[i] = tostring(value)
      else
        error(("template: '%s' is a %s; write {{%s|json}}"):format(part.name, type(value), part.name), 2)
      end
    end
  end
  return table.concat(out)
end

Template.__call = Template.render

--- Is it a template?
---@param value any
---@return boolean
function M.is(value) return type(value) == "table" and getmetatable(value) == Template end

return setmetatable(M, { __call = function(_, text) return M.new(text) end })

--- fields: `name: value` lines of a model, as JSON, field by field.
--
--     title: Moon                  {"title":"Moon"
--     summary: It is far away;     (may go on in the next line)
--     and it is cold.
--     score: 7                     ,"summary":"It is far away;\nand it is cold.","score":7
--     (end)                        }
--
-- A line costs a model less than JSON does, small models break it less often, and it is
-- complete when the line ends, or, for a text of several lines, when the next field
-- begins.  What is written behind each other is always the beginning of valid JSON, cut
-- between values.
--
-- A model does not always obey.  Words before the first field are dropped, and so is what it
-- thought (<think>...</think>, where the server leaves that in the answer); an answer that
-- is JSON already passes as it is; one without any of the fields does, too, at its end:
-- what it says is not lost.  Fields that did not come are null; a value that is not of its
-- type is null.

local core = require "perilune.core"

local M = {}

local types = { string = true, text = true, number = true, integer = true, boolean = true }

---@class perilune.Field
---@field name string
---@field type string     "string" one line, "text" several, "number", "integer", "boolean"
---@field about? string   what to write, for the model
---@field one_of? string[]

-- Names as models write them: bold, in quotes, as a list, numbered.
local function plain(name)
  return (name:gsub("[%*`\"]", ""):gsub("^[%s%-]+", ""):gsub("^%d+[.)]%s*", ""):gsub("%s+$", ""):lower())
end

local function is_choice(list)
  if type(list) ~= "table" or #list == 0 then return false end
  for key, v in pairs(list) do
    if type(key) ~= "number" or type(v) ~= "string" or not v:find("%S") or v:find("[\r\n]") then return false end
  end
  return true
end

-- What is wrong with a field whose name and type are right, or nil.
local function complaint(field)
  if field.about ~= nil and type(field.about) ~= "string" then return "has an about that is no text" end
  if field.one_of == nil then return nil end
  if field.type ~= "string" and field.type ~= "text" then return "has a one_of, which goes with the types string and text" end
  return not is_choice(field.one_of) and "has a one_of that is no list of texts of one line" or nil
end

--- The name of the first field that the parser could not tell from one in front of it.
---@param fields perilune.Field[]
---@return string?
function M.repeated(fields)
  local taken = {}
  for _, f in ipairs(fields) do
    local name = plain(f.name)
    if taken[name] then return f.name end
    taken[name] = true
  end
  return nil
end

--- A field from "name", "name:type" or a table.
---@param value any
---@return perilune.Field?
---@return string? message
function M.field(value)
  local field = { type = "string" }
  if type(value) == "string" then
    field.name, field.type = value:match("^([^:]+):(.+)$")
    field.name, field.type = field.name or value, field.type or "string"
  elseif type(value) == "table" then
    for k, v in pairs(value) do
      if k ~= "name" and k ~= "type" and k ~= "about" and k ~= "one_of" then
        return nil, ("has an unknown key '%s'; there are name, type, about, one_of"):format(tostring(k))
      end
      field[k] = v
    end
  end
  if type(field.name) ~= "string" or not field.name:find("^[%w_\128-\255][%w_%- \128-\255]*$") then
    return nil, "needs a name of letters, digits, _, - and spaces"
  end
  if not types[field.type] then
    return nil, ("'%s' has no type '%s'; there are string, text, number, integer, boolean"):format(field.name, tostring(field.type))
  end
  local wrong = complaint(field)
  if wrong then return nil, ("'%s' %s"):format(field.name, wrong) end
  return field
end

-- A string of a schema, or nil.
local function text_of(value)
  return type(value) == "string" and value or nil
end

local function set(words)
  local out = {}
  for word in words:gmatch("%S+") do out[word] = true end
  return out
end

-- What lines can say of a schema, or nobody needs.  Any other word is a condition that the
-- client relies on and lines would lose.
local property_words = set "type description enum title default examples deprecated $comment"
local object_words = set "type properties required additionalProperties title description $schema $id $comment $defs definitions"

-- Not a list: these are tables.
local function is_object(v) return type(v) == "userdata" and v ~= core.null end

local function has_only(object, words)
  for name in pairs(core.fields(object)) do
    if not words[name] then return false end
  end
  return true
end

-- One property of a JSON schema; nil when it is no scalar.
local function from_property(name, property)
  local kind = property.type
  if not has_only(property, property_words) then return nil end
  if kind == "string" then kind = "text" end
  if type(kind) ~= "string" or not types[kind] or property.enum ~= nil and type(property.enum) ~= "table" then return nil end
  return (M.field{ name = name, type = property.enum and "string" or kind, about = text_of(property.description), one_of = property.enum })
end

--- The fields of a request's response_format; nil when it is no flat object of scalars, or
--- asks more of them than lines can say.
---@param format any
---@return perilune.Field[]?
function M.from_format(format)
  local outer = is_object(format) and format.type == "json_schema" and format.json_schema
  local schema = is_object(outer) and outer.schema
  local properties = is_object(schema) and schema.type == "object" and schema.properties
  if not is_object(properties) or not has_only(schema, object_words) then return nil end
  local names = {}
  for name in pairs(core.fields(properties)) do names[#names + 1] = name end
  table.sort(names)
  local place = {}
  for i, name in ipairs(type(schema.required) == "table" and schema.required or {}) do place[name] = i end
  table.sort(names, function(a, b)
    local x, y = place[a] or math.huge, place[b] or math.huge
    if x ~= y then return x < y end
    return a < b
  end)
  local fields = {}
  for i, name in ipairs(names) do
    local property = properties[name]
    fields[i] = is_object(property) and from_property(name, property) or nil
    if not fields[i] then return nil end
  end
  return fields[1] and not M.repeated(fields) and fields or nil
end

local hints = { string = "one line", text = "text", number = "a number", integer = "a whole number", boolean = "true or false" }

--- What to tell the model.
---@param fields perilune.Field[]
---@return string
function M.instruction(fields)
  local out = { "Answer with one line for each of the following fields, in this order, written as `name: value`. "
                .. "Write no JSON, no code fence around the answer, and nothing before or after it." }
  for _, f in ipairs(fields) do
    local what = f.one_of and "one of: " .. table.concat(f.one_of, ", ") or hints[f.type]
    out[#out + 1] = ("%s: (%s%s)"):format(f.name, what, f.about and "; " .. f.about or "")
  end
  return table.concat(out, "\n")
end

-- -- values --------------------------------------------------------------------

local yes = { ["true"] = "true", yes = "true", ["是"] = "true", ["false"] = "false", no = "false", ["否"] = "false" }

local function unquoted(value)
  if not value:find('^".*"$') then return value end
  local inside = core.json_decode(value)
  return type(inside) == "string" and inside or value
end

-- The value as JSON; "null" when it is not of the field's type.
local function encode(field, value)
  if field.type == "boolean" then return yes[value:lower()] or "null" end
  if field.type == "number" or field.type == "integer" then
    local number = core.json_decode(value)
    if type(number) ~= "number" or (field.type == "integer" and number % 1 ~= 0) then return "null" end
    return value
  end
  value = unquoted(value)
  for _, known in ipairs(field.one_of or {}) do
    if value:lower() == known:lower() then return core.json_encode(known) end
  end
  return field.one_of and "null" or core.json_encode(value)
end

-- -- the parser ----------------------------------------------------------------

---@class perilune.FieldParser
local Parser = {}
Parser.__index = Parser
Parser.__metatable = false

--- A parser for one answer.
---@param fields perilune.Field[]
---@param on_field? fun(name: string, value: any)  each field, when it is complete
---@return perilune.FieldParser
function M.parser(fields, on_field)
  local by_name = {}
  for _, f in ipairs(fields) do by_name[plain(f.name)] = f end
  return setmetatable({ fields = fields, by_name = by_name, on_field = on_field, done = {}, dropped = {} }, Parser)
end

function Parser:commit(field, value)
  if self.done[field.name] then return "" end
  local json = encode(field, value:gsub("^%s+", ""):gsub("%s+$", ""))
  local lead = next(self.done) and "," or "{"
  self.done[field.name] = true
  if self.on_field then self.on_field(field.name, core.json_decode(json)) end
  return lead .. core.json_encode(field.name) .. ":" .. json
end

-- The text of several lines that is open, if any, is complete.
function Parser:close()
  local open = self.open
  self.open = nil
  return open and self:commit(open, table.concat(self.lines, "\n")) or ""
end

function Parser:begins(line)
  if self.fence then return nil end
  local name, value = line:match("^([^:]-)%s*:%**%s*(.-)%s*$")
  local wide_name, wide_value = line:match("^(.-)%s*：%**%s*(.-)%s*$")
  if wide_name and (not name or #wide_name < #name) then name, value = wide_name, wide_value end
  return name and self.by_name[plain(name)], value
end

-- What is left of a line behind what the model thought; nil: nothing yet.
function Parser:beyond_thoughts(line)
  if self.thinking == nil and line:find("%S") then self.thinking = line:find("^%s*<think>") ~= nil end
  if not self.thinking then return line end
  self.dropped[#self.dropped + 1] = line
  local rest = line:match("</think>(.*)$")
  self.thinking = rest == nil
  return rest
end

--- One line, without its end; returns what is now known, as JSON.
---@param line string
---@return string? json
function Parser:line(line)
  line = self:beyond_thoughts((line:gsub("\r$", "")))
  if not line then return nil end
  if self.as_it_is == nil and line:find("%S") then
    self.as_it_is = line:find("^%s*[{%[]") ~= nil or line:find("^%s*```%s*json") ~= nil
  end
  if self.as_it_is then return line end
  local field, value = self:begins(line)
  if self.open and not field then
    if line:find("^%s*```") then self.fence = not self.fence end
    self.lines[#self.lines + 1] = line
    return nil
  elseif not field then
    if self.wrapped == nil and line:find("%S") then self.wrapped = line:find("^%s*```") ~= nil end
    self.dropped[#self.dropped + 1] = line
    return nil
  end
  local out = self:close()
  if field.type ~= "text" then return out .. self:commit(field, value) end
  self.open, self.lines = field, { value }
  if value:find("^```") then self.fence = true end
  return out ~= "" and out or nil
end

-- A fence in front of the first field ends behind the last one.
function Parser:unwrap()
  for i = #self.lines, 2, -1 do
    if self.lines[i]:find("%S") then
      if self.lines[i]:find("^%s*```%s*$") then self.lines[i] = "" end
      return
    end
  end
end

--- The answer is over; returns what is missing of the JSON.  Nothing when it was none.
---@return string? json
function Parser:finish()
  if self.as_it_is then return nil end
  if self.open and self.wrapped and self.fence then self:unwrap() end
  local out = { self:close() }
  if not next(self.done) then
    local text = table.concat(self.dropped, "\n")
    return text:find("%S") and text or nil
  end
  for _, f in ipairs(self.fields) do
    if not self.done[f.name] then out[#out + 1] = "," .. core.json_encode(f.name) .. ":null" end
  end
  out[#out + 1] = "}"
  return table.concat(out)
end

--- Did none of the fields come?
---@return boolean
function Parser:is_empty()
  return not self.as_it_is and not next(self.done)
end

return M

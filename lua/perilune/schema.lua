--- schema: does a value fit a JSON schema, as far as answers of models are asked for by one?
--
-- Known are type, enum, const, properties, required, additionalProperties, items, prefixItems, anyOf, oneOf, allOf, not,
-- $ref into $defs or definitions, and the bounds of numbers, strings (in characters) and lists.  pattern and format
-- are not looked at: a value that fits all else fits.  At most STEPS values are looked at, a larger one does not fit.

local core = require "perilune.core"

local M = {}

local STEPS = 20000
local DEPTH = 64

local null = core.null

local function is_list(v) return type(v) == "table" and (v[1] ~= nil or next(v) == nil) end
local function is_object(v) return type(v) == "table" and v[1] == nil end
local function is_whole(v) return type(v) == "number" and v % 1 == 0 end

local types = {
  object = is_object, array = is_list, integer = is_whole,
  string = function(v) return type(v) == "string" end, number = function(v) return type(v) == "number" end,
  boolean = function(v) return type(v) == "boolean" end, null = function(v) return v == null end,
}

local function has_type(wanted, v)
  if type(wanted) == "string" then return types[wanted] == nil or types[wanted](v) end
  for _, name in ipairs(wanted) do
    if types[name] and types[name](v) then return true end
  end
  return false
end

local function same(a, b)
  if a == b then return true end
  return type(a) == "table" and type(b) == "table" and core.json_encode(a) == core.json_encode(b)
end

local function is_among(list, v)
  for _, one in ipairs(list) do
    if same(one, v) then return true end
  end
  return false
end

-- Characters, not bytes.
local function length(text)
  local _, n = text:gsub("[^\128-\191]", "")
  return n
end

local function below(v, bound) return type(bound) == "number" and v < bound end
local function above(v, bound) return type(bound) == "number" and v > bound end

local function fits_bounds(s, v)
  if type(v) == "number" then
    if below(v, s.minimum) or above(v, s.maximum) then return false end
    if type(s.exclusiveMinimum) == "number" and v <= s.exclusiveMinimum then return false end
    if type(s.exclusiveMaximum) == "number" and v >= s.exclusiveMaximum then return false end
    return type(s.multipleOf) ~= "number" or s.multipleOf <= 0 or (v / s.multipleOf) % 1 == 0
  end
  if type(v) == "string" and (s.minLength or s.maxLength) then
    local n = length(v)
    return not (below(n, s.minLength) or above(n, s.maxLength))
  end
  if is_list(v) and (below(#v, s.minItems) or above(#v, s.maxItems)) then return false end
  return true
end

local fits

local function fits_object(run, s, v, depth)
  for _, name in ipairs(type(s.required) == "table" and s.required or {}) do
    if v[name] == nil then return false end
  end
  local known = type(s.properties) == "table" and s.properties or {}
  for name, value in pairs(v) do
    local own = known[name]
    if own == nil then own = s.additionalProperties end
    if own ~= nil and not fits(run, own, value, depth + 1) then return false end
  end
  return true
end

local function fits_list(run, s, v, depth)
  local first = type(s.prefixItems) == "table" and s.prefixItems or {}
  for i, value in ipairs(v) do
    local own = first[i]
    if own == nil then own = s.items end
    if own ~= nil and not fits(run, own, value, depth + 1) then return false end
  end
  return true
end

local function how_many(run, list, v, depth)
  local n = 0
  for _, one in ipairs(list) do
    if fits(run, one, v, depth + 1) then n = n + 1 end
  end
  return n
end

local function fits_combined(run, s, v, depth)
  if type(s.anyOf) == "table" and how_many(run, s.anyOf, v, depth) == 0 then return false end
  if type(s.oneOf) == "table" and how_many(run, s.oneOf, v, depth) ~= 1 then return false end
  if type(s.allOf) == "table" and how_many(run, s.allOf, v, depth) < #s.allOf then return false end
  return s["not"] == nil or not fits(run, s["not"], v, depth + 1)
end

-- "#/$defs/name" and the like.
local function resolve(run, ref)
  if type(ref) ~= "string" then return nil end
  if ref == "#" then return run.root end
  local at = run.root
  for part in ref:gsub("^#/", ""):gmatch("[^/]+") do
    at = type(at) == "table" and at[(part:gsub("~1", "/"):gsub("~0", "~"))] or nil
  end
  return at
end

function fits(run, s, v, depth)
  run.steps = run.steps + 1
  if run.steps > STEPS or depth > DEPTH then return false end
  if type(s) == "boolean" then return s end
  if type(s) ~= "table" then return true end
  if s["$ref"] then
    local other = resolve(run, s["$ref"])
    if other == nil or not fits(run, other, v, depth + 1) then return false end
  end
  if s.type and not has_type(s.type, v) then return false end
  if s.const ~= nil and not same(s.const, v) then return false end
  if type(s.enum) == "table" and not is_among(s.enum, v) then return false end
  if not fits_bounds(s, v) or not fits_combined(run, s, v, depth) then return false end
  if is_object(v) and s.type ~= "array" and not fits_object(run, s, v, depth) then return false end
  return not is_list(v) or s.type == "object" or fits_list(run, s, v, depth)
end

--- Does the value, as core.json_decode gives it, fit the schema, given in the same way?
---@param schema table|boolean
---@param value any
---@return boolean
function M.fits(schema, value) return fits({ steps = 0, root = schema }, schema, value, 0) end

--- Is the text the answer that a request's response_format asks for?  true where it asks for none.
---@param req perilune.Request
---@param text string
---@return boolean
function M.answers(req, text)
  local format = req.response_format
  if type(format) ~= "userdata" and type(format) ~= "table" then return true end
  format = core.json_decode(core.json_encode(format))
  if type(format) ~= "table" or (format.type ~= "json_object" and format.type ~= "json_schema") then return true end
  local value, why = core.json_decode(text)
  if why or value == nil then return false end
  local outer = format.type == "json_schema" and format.json_schema
  if type(outer) ~= "table" or type(outer.schema) ~= "table" then return type(value) == "table" end
  return M.fits(outer.schema, value)
end

return M

--- config_walk: how a table of the configuration is walked, and what its values look like in general.
--
-- A schema is a table { key = spec }, a spec as check.lua has it, or with a field `walk`: a function that walks what
-- stands there.  What is wrong is complained of with the path of its key, and the walk goes on, so that all of it is
-- said at once.  What comes out has everything in one form: sizes in bytes, durations in milliseconds under KEY_ms.

local check = require "perilune.check"

local M = {}

-- While a configuration is checked: where to complain, and what the checks of
-- nested tables must know.
---@class perilune.ConfigContext
---@field errors perilune.ConfigError[]
---@field folder string  of the configuration file: relative paths start there

function M.complain(ctx, path, message)
  ctx.errors[#ctx.errors + 1] = { key = path, message = message }
end

function M.join(path, key)
  if type(key) == "number" then return ("%s[%d]"):format(path, key) end
  return path == "" and tostring(key) or path .. "." .. tostring(key)
end

-- Milliseconds; a time that is not zero does not become zero.
local function milliseconds(seconds)
  if seconds == 0 then return 0 end
  return math.max(1, math.floor(seconds * 1000 + 0.5))
end

local function store(out, key, spec, value)
  if spec.type == "duration" then
    out[key .. "_ms"] = value and milliseconds(value)
  elseif type(value) == "table" and next(value) == nil then
    out[key] = {} -- of its own: a default is shared by all who leave it
  else
    out[key] = value
  end
end

--- Checks raw against a schema { key = spec }.  A spec with a field `walk` is
--- walked by that function(ctx, path, value) -> normalized.
function M.walk(ctx, path, raw, schema)
  local out = {}
  if type(raw) ~= "table" then
    M.complain(ctx, path, "must be a table, got " .. check.show(raw))
    raw = {}
  end
  for _, key in ipairs(check.keys(raw)) do
    if not schema[key] then
      M.complain(ctx, M.join(path, key), check.unknown("key", key, check.keys(schema)))
    end
  end
  for _, key in ipairs(check.keys(schema)) do
    local spec, value, message = schema[key], raw[key], nil
    if value == nil then
      value = spec.default
      if spec.walk and spec.always then value = spec.walk(ctx, M.join(path, key), {}) end
      if spec.required then M.complain(ctx, M.join(path, key), spec.required) end
    elseif spec.walk then
      value = spec.walk(ctx, M.join(path, key), value)
    else
      value, message = check.value(spec, value)
      if message then M.complain(ctx, M.join(path, key), message) end
    end
    if message == nil then store(out, key, spec, value) end
  end
  return out
end

--- A nested table whose keys all have defaults.
function M.section(schema)
  return { always = true, walk = function(ctx, path, raw) return M.walk(ctx, path, raw, schema) end }
end

-- -- values -------------------------------------------------------------------

--- A path, relative to the configuration's folder.
---@param ctx perilune.ConfigContext
---@param path string
---@return string
function M.absolute(ctx, path)
  return path:sub(1, 1) == "/" and path or ctx.folder .. path
end

--- A file, relative to the configuration's folder.
M.file = {
  walk = function(ctx, path, value)
    if type(value) ~= "string" or value == "" then
      M.complain(ctx, path, "must be the path of a file, got " .. check.show(value))
      return nil
    end
    return M.absolute(ctx, value)
  end,
}

function M.required(spec, message)
  local out = { required = message }
  for k, v in pairs(spec) do out[k] = v end
  return out
end

--- One value or a list of them; always a list afterwards.
function M.one_or_more(spec, most)
  local list = { type = "list", of = spec, min = 1, max = most }
  return {
    check = function(v)
      return check.value(list, type(v) == "table" and v or { v })
    end,
  }
end

--- As a key, but for clients, and with any bytes that a password may have.
function M.walk_secret(ctx, path, value)
  if type(value) == "string" and value ~= "" and not value:find("%z") then return { kind = "literal", value = value } end
  local out = type(value) == "table" and M.walk(ctx, path, value, { env = { type = "string", min = 1 }, file = M.file })
  if out and out.env and not out.file then return { kind = "env", value = out.env } end
  if out and out.file and not out.env then return { kind = "file", value = out.file } end
  M.complain(ctx, path, "must be a string, { env = \"NAME\" } or { file = \"PATH\" }")
  return nil
end

function M.seconds(default, least)
  return { type = "duration", default = default, min = least or 0.001, max = 30 * 86400 }
end

function M.size(default, least)
  return { type = "size", default = default, min = least or 1 }
end

function M.count(default, least, most)
  return { type = "integer", default = default, min = least, max = most }
end

return M

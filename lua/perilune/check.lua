--- check: is a value what a setting wants?
--
-- Shared by the configuration (config.check) and the options of policies
-- (config.options).  A spec says what is wanted:
--
--     { type = "duration", default = 5, min = 0, max = 60 }
--     { type = { "integer", "string" } }        one of several types
--     { type = "list", of = { type = "upstream" }, min = 1 }
--     { type = "string", one_of = { "tenant", "ip" } }
--     { check = function(value) return normalized | nil, message end }
--
-- check.value() answers with the value in its normal form (a size in bytes, a
-- duration in seconds, a set as a table of element -> true) or nil and a sentence
-- fragment: "must be ...".

local M = {}

---@class perilune.Spec
---@field type? string|string[]  string number integer boolean duration size list set map table function upstream any
---@field required? boolean
---@field default? any           already in normal form
---@field min? number            of a number; of the length of a string, list or set
---@field max? number
---@field one_of? string[]
---@field of? perilune.Spec      of the elements of a list or set, the values of a map
---@field check? fun(value: any): any, string?  after, or instead of, the type

-- -- arguments -----------------------------------------------------------------

--- The text that a function of the library got; throws at who called that function when it is none.  C says it, too,
--- but in a tail call neither the function's name nor its caller is known there.
---@param fn string  its name, as it is called
---@param i integer  which argument
---@param value any
---@return string
function M.text(fn, i, value)
  if type(value) == "string" then return value end
  if type(value) == "number" then return tostring(value) end
  error(("bad argument #%d to '%s' (string expected, got %s)"):format(i, fn, value == nil and "nil" or type(value)), 3)
end

-- -- names ---------------------------------------------------------------------

-- Edits that turn a into b: insert, delete, replace, swap neighbours.
local function distance(a, b)
  local before, previous, current = nil, {}, nil
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    current = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local d = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        d = math.min(d, before[j - 2] + 1)
      end
      current[j] = d
    end
    before, previous = previous, current
  end
  return previous[#b]
end

--- The known name that was probably meant, or nil when none is near.
---@param name string
---@param known string[]
---@return string?
function M.nearest(name, known)
  if #name > 64 then return nil end
  local best, best_distance
  for _, candidate in ipairs(known) do
    local d = distance(name:lower(), candidate:lower())
    if not best or d < best_distance or (d == best_distance and candidate < best) then
      best, best_distance = candidate, d
    end
  end
  -- Two slips in a short word make another word; long words forgive more.
  if best and best_distance <= math.max(1, math.floor(math.max(#name, #best) / 3)) then return best end
  -- "timeout" for "first_token_timeout", "url" for "base_url".
  for _, candidate in ipairs(known) do
    if #name >= 3 and #candidate >= 3 and (candidate:find(name, 1, true) or name:find(candidate, 1, true)) then
      return candidate
    end
  end
  return nil
end

-- Strings sort before everything else.
local function kind(key)
  return type(key) == "string" and "" or type(key)
end

local function comes_first(a, b)
  if kind(a) ~= kind(b) then return kind(a) < kind(b) end
  if type(a) == "number" or type(a) == "string" then return a < b end
  return tostring(a) < tostring(b)
end

--- The keys of t in a fixed order: names first.
---@param t table
---@return any[]
function M.keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys, comes_first)
  return keys
end

--- The sentence for a key that nobody knows.
---@param what string   "key", "option", ...
---@param key any
---@param known string[]
---@return string
function M.unknown(what, key, known)
  local name = tostring(key)
  local near = type(key) == "string" and M.nearest(name, known)
  if near then return ("unknown %s '%s'; did you mean '%s'?"):format(what, name, near) end
  if #known == 0 then return ("unknown %s '%s'; there are none"):format(what, name) end
  local list = {}
  for i, k in ipairs(known) do list[i] = k end
  table.sort(list)
  return ("unknown %s '%s'; known: %s"):format(what, name, table.concat(list, ", "))
end

--- The sentence for a name that is not among those known; nil: it is.
---@param what string
---@param name string
---@param known string[]
---@return string?
function M.missing(what, name, known)
  for _, one in ipairs(known) do
    if one == name then return nil end
  end
  return M.unknown(what, name, known)
end

--- Throws, at the line of whoever called the caller, for an option that is not
--- among those known.
---@param what string   the function, for the message
---@param given table?  nil: no options
---@param known table<string, any>
---@param level? integer  default 3: the caller's caller
function M.known(what, given, known, level)
  if given == nil then return end
  if type(given) ~= "table" then
    error(("%s takes a table of options, got %s"):format(what, M.show(given)), level or 3)
  end
  for key in next, given do
    if known[key] == nil then
      error(("%s: %s"):format(what, M.unknown("option", key, M.keys(known))), level or 3)
    end
  end
end

-- -- values --------------------------------------------------------------------

local units = {
  b = 1, kb = 1e3, mb = 1e6, gb = 1e9, tb = 1e12,
  kib = 2 ^ 10, mib = 2 ^ 20, gib = 2 ^ 30, tib = 2 ^ 40,
}

local function is_finite(v)
  return v == v and v > -math.huge and v < math.huge
end

--- Bytes: 65536, "64KiB", "1.5 MB", "10GB".
---@param value number|string
---@return integer?
---@return string? message
function M.size(value)
  local number, unit = value, 1
  if type(value) == "string" then
    local digits, name = value:match("^%s*(%d+%.?%d*)%s*(%a*)%s*$")
    number, unit = tonumber(digits), units[(name or ""):lower()] or (name == "" and 1)
  end
  if type(number) ~= "number" or not unit or not is_finite(number) or number < 0 then
    return nil, "must be a size: bytes, or a string such as \"64MiB\" or \"10KB\""
  end
  local bytes = math.floor(number * unit)
  if bytes > 2 ^ 50 then return nil, "is too large a size" end
  return bytes
end

-- How a value is shown in a message.
local function show(value)
  if type(value) == "string" then
    local text = #value > 40 and value:sub(1, 37) .. "..." or value
    return ("%q"):format(text)
  end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  return "a " .. type(value)
end
M.show = show

local function is_list(t)
  local n = 0
  for k in pairs(t) do
    if type(k) ~= "number" then return false end
    n = n + 1
  end
  return n == #t
end
M.is_list = is_list

local function check_range(spec, n, what)
  if spec.min and n < spec.min then return nil, ("must %s at least %s, got %s"):format(what, spec.min, n) end
  if spec.max and n > spec.max then return nil, ("must %s at most %s, got %s"):format(what, spec.max, n) end
  return true
end

local function must_be(what)
  return function(predicate)
    return function(_, value)
      if predicate(value) then return value end
      return nil, ("must be %s, got %s"):format(what, show(value))
    end
  end
end

local function number_type(what, predicate)
  return function(spec, value)
    if type(value) ~= "number" or not is_finite(value) or (predicate and not predicate(value)) then
      return nil, ("must be %s, got %s"):format(what, show(value))
    end
    local ok, message = check_range(spec, value, "be")
    if not ok then return nil, message end
    return value
  end
end

local types = {}

types.any = function(_, value) return value end
types.boolean = must_be "true or false" (function(v) return type(v) == "boolean" end)
types["function"] = must_be "a function" (function(v) return type(v) == "function" end)
types.table = must_be "a table" (function(v) return type(v) == "table" end)
types.number = number_type("a number")
types.integer = number_type("a whole number", function(v) return v % 1 == 0 end)
types.duration = number_type("a number of seconds, 0 or more", function(v) return v >= 0 end)

types.size = function(spec, value)
  local bytes, message = M.size(value)
  if not bytes then return nil, message .. ", got " .. show(value) end
  local ok, range = check_range(spec, bytes, "be")
  if not ok then return nil, range .. " bytes" end
  return bytes
end

types.string = function(spec, value)
  if type(value) ~= "string" then return nil, "must be a string, got " .. show(value) end
  if #value < (spec.min or 0) then
    return nil, value == "" and "must not be empty" or ("must have at least %d bytes, got %s"):format(spec.min, show(value))
  end
  if spec.max and #value > spec.max then return nil, ("must not be longer than %d bytes"):format(spec.max) end
  if spec.one_of then
    for _, known in ipairs(spec.one_of) do
      if value == known then return value end
    end
    return nil, M.unknown("value", value, spec.one_of)
  end
  return value
end

--- The sentence for an upstream that there is not: of `req.upstream = name` (core/bridge/request.c).
---@param name string
---@return string
function M.no_upstream(name)
  return M.unknown("upstream", name, require("perilune.host").upstreams()) -- (host requires much that requires this)
end

-- Whether the upstream exists can be told once there are upstreams: not in a
-- policy file that is only compiled, not in a spec that scripts none.
types.upstream = function(_, value)
  if type(value) ~= "string" or value == "" then
    return nil, "must be the name of an upstream, got " .. show(value)
  end
  local found, host = pcall(require, "perilune.host")
  local names = found and type(host) == "table" and host.upstreams and host.upstreams() or {}
  if #names == 0 then return value end
  local message = M.missing("upstream", value, names)
  if message then return nil, message end
  return value
end

local MOST_WRONG = 5 -- elements of one list that are told

types.list = function(spec, value)
  if type(value) ~= "table" or not is_list(value) then return nil, "must be a list, got " .. show(value) end
  local ok, message = check_range(spec, #value, "have a length of")
  if not ok then return nil, message end
  local out, wrong = {}, {}
  for i, element in ipairs(value) do
    local normal, why = element, nil
    if spec.of then normal, why = M.value(spec.of, element) end
    if why and #wrong < MOST_WRONG then wrong[#wrong + 1] = ("element %d %s"):format(i, why) end
    out[i] = normal
  end
  if wrong[1] then return nil, table.concat(wrong, "; ") end
  return out
end

types.set = function(spec, value)
  local list, message = types.list(spec, value)
  if not list then return nil, message end
  local out = {}
  for _, element in ipairs(list) do out[element] = true end
  return out
end

types.map = function(spec, value)
  if type(value) ~= "table" then return nil, "must be a table of names, got " .. show(value) end
  local out, wrong = {}, {}
  for _, key in ipairs(M.keys(value)) do
    if type(key) ~= "string" then
      return nil, ("must have names as keys, got [%s]"):format(tostring(key))
    end
    local normal, why = value[key], nil
    if spec.of then normal, why = M.value(spec.of, value[key]) end
    if why and #wrong < MOST_WRONG then wrong[#wrong + 1] = ("['%s'] %s"):format(key, why) end
    out[key] = normal
  end
  if wrong[1] then return nil, table.concat(wrong, "; ") end
  return out
end

local function check_type(spec, value)
  local wanted = spec.type or "any"
  if type(wanted) == "string" then
    local f = types[wanted] or error("unknown type '" .. wanted .. "' in a spec", 0)
    return f(spec, value)
  end
  local messages = {}
  for i, name in ipairs(wanted) do
    local normal, message = types[name](spec, value)
    if message == nil then return normal end
    messages[i] = message
  end
  return nil, table.concat(messages, "; or ")
end

--- The value in its normal form; or nil and what is wrong with it.
---@param spec perilune.Spec
---@param value any  not nil
---@return any
---@return string? message
function M.value(spec, value)
  local normal, message = check_type(spec, value)
  if message == nil and spec.check then normal, message = spec.check(normal) end
  if message ~= nil then return nil, message end
  return normal
end

return M

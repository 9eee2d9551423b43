--- limit: perilune.limit(name, opts), and what the policies `limit` and `budget` have in common.
--
-- C counts and decides (core.limit_*); here stands what may be limited, and what options mean.

local check = require "perilune.check"
local config = require "perilune.config"
local core = require "perilune.core"
local host = require "perilune.host"

local M = {}

local result = core.result
local methods = core.limit_methods

-- ORDER: enum limit_kind, enum limit_window.
local kinds = { "requests", "tokens", "usd" }
local windows = { "second", "minute", "hour", "day", "month" }

local meters = {} -- names of options, by meter
for _, kind in ipairs(kinds) do
  for _, window in ipairs(windows) do meters[#meters + 1] = kind .. "_per_" .. window end
end

-- ORDER: enum part in bridge/l_limit.c.  "": what a function said.
local key_parts = { tenant = true, model = true, upstream = true, peer = true }

local function check_part(part)
  if type(part) ~= "string" then return nil, "must name what is told apart, got " .. check.show(part) end
  if key_parts[part] then return part end
  if part == "" or part:find("[^%w!#$%%&'*+.^_`|~-]") then
    return nil, ("must be \"tenant\", \"model\", \"upstream\", \"peer\", the name of a header, or a function, got %s")
      :format(check.show(part))
  end
  return part:lower()
end

local function check_key(key)
  if type(key) == "function" then return key end
  if type(key) ~= "table" then key = { key } end
  if not check.is_list(key) or #key == 0 or #key > 4 then return nil, "must be a name, a list of 1 to 4 names, or a function" end
  local out = {}
  for i, part in ipairs(key) do
    local good, why = check_part(part)
    if not good then return nil, why end
    out[i] = good
  end
  return out
end

--- The options that all limits have: to be mixed with a policy's own.
---@param only? string  meters of this kind
---@return table<string, perilune.Spec>
function M.options(only)
  local out = {
    dry_run = { type = "boolean", default = false },
    shared = { type = "boolean", default = false },
  }
  for i, name in ipairs(meters) do
    local kind = kinds[math.ceil(i / #windows)]
    if not only or only == kind then
      out[name] = { type = kind == "usd" and "number" or "integer", min = 0, max = kind == "usd" and 1e6 or 1e12 }
    end
  end
  return out
end

local spec = M.options()
spec.concurrency = { type = "integer", min = 0, max = 1e6 }

--- The options of a policy: the same with a key and a name.
---@param only? string
function M.policy_options(only)
  local out = M.options(only)
  if not only then out.concurrency = spec.concurrency end
  out.key = { type = "any", check = check_key }
  out.name = { type = "string", min = 1, max = 96 }
  out.max_wait = { type = "duration", default = 0, min = 0, max = 3600 }
  return out
end

local function needs_price(options)
  for _, window in ipairs(windows) do
    if options["usd_per_" .. window] then return true end
  end
  return false
end

-- What upstreams take, as far as the configuration says.
local function add_prices(limit)
  for _, name in ipairs(host.upstreams()) do
    local price = (host.describe(name) or {}).price or {}
    core.limit_price(limit, name, price.input or 0, price.output or 0, price.cached or price.input or 0)
  end
end

local function check_prices(where)
  local names = host.upstreams()
  for _, name in ipairs(names) do
    local price = (host.describe(name) or {}).price or {}
    if (price.input or 0) > 0 or (price.output or 0) > 0 then return end
  end
  if #names == 0 then return end -- a spec that scripts them later
  error(("%s: USD are limited, and no upstream has a price, so nothing would be counted; give upstreams "
    .. "price = { input = 2.5, output = 10 } (USD for a million tokens)"):format(where), 0)
end

-- The same options have the same name after a reload, whatever their numbers are.
local function default_name(where, options, key)
  local parts = { where }
  for _, meter in ipairs(meters) do
    if options[meter] then parts[#parts + 1] = meter end
  end
  if options.concurrency then parts[#parts + 1] = "concurrency" end
  parts[#parts + 1] = key == nil and "all" or type(key) == "function" and "function" or table.concat(key, "+")
  local name = table.concat(parts, " ")
  return #name <= 96 and name or name:sub(1, 80) .. "#" .. core.sha256(name):sub(1, 12)
end

local function numbers(options)
  local out, any = {}, options.concurrency ~= nil
  for i, meter in ipairs(meters) do
    out[i] = options[meter] or -1
    any = any or options[meter] ~= nil
  end
  return out, any
end

---@param options table  checked
---@param key function|string[]|nil
---@param where string   for messages
local function make(name, options, key, where, named)
  local list, any = numbers(options)
  if not any then
    error(("%s: nothing is limited; say for example requests_per_minute = 60"):format(where), 0)
  end
  if options.shared and not host.has_redis() then
    error(("%s: shared = true needs a Redis that all machines ask; say which one: cache = { redis = { url = "
      .. "\"redis://host:6379/0\" } }"):format(where), 0)
  end
  if needs_price(options) and where:find("^policy") then check_prices(where) end
  return core.limit_new(name, {
    meters = list, concurrency = options.concurrency, key = type(key) == "function" and { "" } or key or {},
    dry_run = options.dry_run, shared = options.shared, named = named,
    max_wait = (options.max_wait or 0) > 0 and options.max_wait or nil,
  })
end

--- perilune.limit(name, opts)
---@param name string
---@param options table
function M.new(name, options)
  if type(name) ~= "string" or #name < 1 or #name > 96 or name:find("%z") then
    error(("perilune.limit: a name is a string of 1 to 96 bytes, got %s"):format(check.show(name)), 2)
  end
  local ok, limit = pcall(function()
    return make(name, config.options(spec, options, "perilune.limit"), { "" }, "perilune.limit", true)
  end)
  if not ok then error((tostring(limit):gsub("^policy '(perilune%.limit)'", "%1")), 2) end
  return limit
end

local take_options = { key = true, requests = true, tokens = true, usd = true }

local function amount(ask, field, default)
  local v = ask[field]
  if v == nil then return default end
  if type(v) ~= "number" or not (v >= 0 and v < 1e15) then
    error(("limit:take: '%s' must be a number, 0 or more, got %s"):format(field, check.show(v)), 3)
  end
  return v
end

local function text_of(key, level)
  if key == nil then return "" end
  if type(key) == "string" then return key end
  if type(key) == "number" or type(key) == "boolean" then return tostring(key) end
  error("limit: a key must be a string, got " .. check.show(key), level)
end

function methods.take(limit, ask)
  check.known("limit:take", ask, take_options)
  ask = ask or {}
  return result(core.limit_take(limit, text_of(ask.key, 3), amount(ask, "requests", 1), amount(ask, "tokens", 0),
    amount(ask, "usd", 0)))
end

-- Redis tells nobody that something came free: it is asked again, four times a second at most, and in no order.
local function enter_shared(limit, req, key, max_wait)
  local now = require("perilune").now
  local ends = now() + math.min(max_wait, req:time_left() or math.huge)
  while true do
    local err = result(core.limit_enter(limit, req, key))
    local left, pause = ends - now(), err and err.retry_after
    if not pause or left <= 0 then return err end
    if err.window and pause > left then return err end -- it cannot be in time
    if not result(core.limit_pause(limit, req, math.min(math.max(0.25, err.window and pause or 0), left))) then
      return err
    end
  end
end

--- For the policies: enter(req) -> goes on?, err; leave(req, res, ...) -> res, ...; share(req) -> used / most.
---@param where string    the policy's name
---@param options table   of policy_options(), checked
function M.policy(where, options)
  local key = options.key
  local limit = make(options.name or default_name(where, options, key), options, key, ("policy '%s'"):format(where),
    options.name ~= nil)
  local priced = not needs_price(options)
  local enter, shared, by = core.limit_enter, options.shared, type(key) == "function" and key or nil
  local waits = options.max_wait > 0 and not options.dry_run
  local out = {}

  -- Upstreams are known when the first request comes.
  local function know_prices()
    if priced then return end
    priced = true
    add_prices(limit)
  end

  --- What tells this request apart; false: it is not limited.
  function out.key(req)
    if not by then return nil end
    local k = by(req)
    return k ~= nil and k ~= false and text_of(k, 3)
  end

  function out.enter(req, k)
    know_prices()
    if shared and waits then return enter_shared(limit, req, k, options.max_wait) end
    if not (shared or waits) then return enter(limit, req, k) end
    local err = result(enter(limit, req, k)) -- no tail call: this frame keeps the limit while it waits
    return err
  end

  --- Counts it, also beyond the limit.
  function out.force(req, k)
    know_prices()
    enter(limit, req, k, true)
  end

  function out.share(req, k) return core.limit_share(limit, req, k) end

  local leave = core.limit_leave
  function out.leave(req, ...) return leave(limit, req, ...) end

  -- Nothing in between, where nothing is to be done there.
  if not by and not shared and not waits and priced then
    out.straight = function(req, next)
      local err = enter(limit, req)
      if err then return nil, err end
      return leave(limit, req, next(req))
    end
  end
  return out
end

return M

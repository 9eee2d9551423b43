--- budget: money for a key and a window; cheaper when it runs low, refused when it is gone.
--
--     { "budget", usd_per_day = 20, key = "tenant", at = { [0.8] = "small" } }
--     { "budget", usd_per_month = 500, at = { [0.7] = { upstream = "big", model = "gpt-4o-mini" }, [1] = "local" } }
--
-- `at` says what happens when a share of the budget is used: requests go to another upstream, or ask for another
-- model.  The highest level that is reached counts.  A level at 1 is for when nothing is left: requests go there, and are not
-- refused, but counted: what they cost is beyond the budget.  Without one they get 429.  Replies that a level has changed say `x-perilune-degraded: budget`, so that
-- no cache keeps them in place of better ones.
--
-- What a request costs is reserved before it and settled behind it, as `limit` does; what has no price (the prices of
-- upstreams) costs nothing.  A policy behind this one that chooses an upstream itself has the last word.
--
---@class BudgetOptions
---@field usd_per_day? number   and _second, _minute, _hour, _month; days and months are those of the calendar (UTC)
---@field key? string|string[]|function  whose budget it is, as for `limit`; absent: one for all
---@field at? table<number, string|table>  share of the budget (above 0, at most 1) -> upstream, or { upstream =, model = }
---@field name? string          budgets with the same name count together; default: each route by itself
---@field dry_run? boolean      refuse nothing and change nothing; count, and log what would be refused
---@field shared? boolean       with all machines that have the same cache.redis
---@field max_wait? number      seconds that a request waits for money instead of being refused, default 0

local check = require "perilune.check"
local config = require "perilune.config"
local limit = require "perilune.limit"

local upstream = { type = "upstream" }

local function check_level(share, level)
  if type(share) ~= "number" or not (share > 0 and share <= 1) then
    return nil, ("has the key %s; keys are shares of the budget, above 0 and at most 1, such as [0.8]"):format(check.show(share))
  end
  if type(level) == "string" then level = { upstream = level } end
  if type(level) ~= "table" or not (level.upstream or level.model) then
    return nil, ("[%s] must be an upstream or { upstream =, model = }, got %s"):format(share, check.show(level))
  end
  for key in pairs(level) do
    if key ~= "upstream" and key ~= "model" then return nil, ("[%s]: %s"):format(share, check.unknown("key", key, { "upstream", "model" })) end
  end
  if level.model ~= nil and (type(level.model) ~= "string" or level.model == "") then
    return nil, ("[%s].model must be a name, got %s"):format(share, check.show(level.model))
  end
  if level.upstream ~= nil then
    local _, why = check.value(upstream, level.upstream)
    if why then return nil, ("[%s] %s"):format(share, why) end
  end
  return { share = share, upstream = level.upstream, model = level.model }
end

-- Levels, the highest first.
local function check_levels(at)
  if type(at) ~= "table" then return nil, "must be a table such as { [0.8] = \"small\" }, got " .. check.show(at) end
  local out = {}
  for share, level in pairs(at) do
    local good, why = check_level(share, level)
    if not good then return nil, why end
    out[#out + 1] = good
  end
  table.sort(out, function(a, b) return a.share > b.share end)
  return out
end

local spec = limit.policy_options("usd")
spec.at = { type = "any", check = check_levels, default = {} }

local function turn(req, level)
  if level.upstream then req.upstream = level.upstream end
  if level.model then req.model = level.model end
end

local function marked(res, ...)
  if res then res.headers["x-perilune-degraded"] = "budget" end
  return res, ...
end

return function(given)
  local options = config.options(spec, given, "budget")
  local own, levels = limit.policy("budget", options), options.at
  local last = levels[1] and levels[1].share == 1 and levels[1] or nil

  local function level_of(req, key)
    if not levels[1] or options.dry_run then return nil end
    local share = own.share(req, key)
    for _, level in ipairs(levels) do
      if share >= level.share then return level end
    end
  end

  return function(req, next)
    local key = own.key(req)
    if key == false then return next(req) end
    local level = level_of(req, key)
    if level then turn(req, level) end
    local err = not (level and level == last) and own.enter(req, key)
    if err and not last then return nil, err end
    if err then
      turn(req, last)
      level = last
    end
    if level and level == last then own.force(req, key) end
    if level then return marked(own.leave(req, next(req))) end
    return own.leave(req, next(req))
  end
end

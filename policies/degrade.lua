--- degrade: a worse answer instead of none, for as long as it takes.
--
--     { "degrade", ladder = {
--         { upstream = "big" },
--         { upstream = "small" },
--         { stale = "exact" },
--         { text = "We are very busy. Please try again in a few minutes." },
--       }, saturation = { gate = "default", high = 2, low = 0.8 }, errors = { share = 0.5, least = 10 }, hold = 30 },
--     { "priority", concurrency = 64, upstreams = { "big" } }   -- not for the others, or they would wait in its queue
--
-- A request begins at the step where the ladder stands, and goes on to the next one when that fails in a way that
-- another may not.  Behind the last step the error is 503 with Retry-After.  The ladder stands at the first
-- step; it goes down one when a gate is `high` times full (policy priority), or when so large a share of the requests
-- that began at a step failed there.  It goes up to the next upstream above when it has stood for `hold` seconds, the
-- gate is less than `low` full, and three of the requests that it sends ahead (a twentieth, at least one in two
-- seconds) have got their answer there, one after the other.  All workers stand at one step.
--
-- Only upstreams prove anything: that a cache has nothing of a question, or that a gate refuses one more, moves nothing.
--
-- Answers of any step but the first say which in x-perilune-degraded: the upstream's name, "stale" or "canned".
--
---@class DegradeOptions
---@field ladder DegradeStep[]    from the best to the worst
---@field saturation? table       { gate = NAME, high =, low = }: when the gate of that name is so full; low: default half of high
---@field errors? table           { share =, least =, window = }: when this share of the requests of a step failed, of at
--- least so many (default 10) within so many seconds (default 30); default share 0.5
---@field hold? number            seconds that it stands at a step before it goes up, default 30
---@field name? string            policies with the same name stand at one step, default "default"
--
---@class DegradeStep  one of these
---@field upstream? string  asks it
---@field model? string     with upstream: for this model
---@field stale? string     gives what the cache of this name still has, however old; cache_exact keeps it for `stale_if_error`
---@field text? string      says this

local check = require "perilune.check"
local config = require "perilune.config"
local elsewhere = require "perilune.elsewhere"
local gates = require "perilune.gate"
local perilune = require "perilune"

local AHEAD, AHEAD_SECONDS, PROOFS, FOR_EVER = 0.05, 2, 3, 30 * 86400

local function number(value, least, most) return type(value) == "number" and value >= least and value <= most end

-- A table of numbers with defaults.
local function numbers(defaults, bounds)
  return function(value)
    if type(value) ~= "table" then return nil, "must be a table, got " .. check.show(value) end
    local out = {}
    for _, key in ipairs(check.keys(value)) do
      if bounds[key] == nil then return nil, "has an " .. check.unknown("option", key, check.keys(bounds)) end
    end
    for key, bound in pairs(bounds) do
      local v = value[key]
      if v == nil then v = defaults[key] end
      if bound == "string" and (type(v) ~= "string" or v == "") then return nil, ("needs %s, a name"):format(key) end
      if bound ~= "string" and v ~= nil and not number(v, bound[1], bound[2]) then
        return nil, ("needs %s, a number from %g to %g, got %s"):format(key, bound[1], bound[2], check.show(v))
      end
      out[key] = v
    end
    return out
  end
end

local spec = {
  ladder = { type = "list", of = { type = "table" }, min = 2, max = 8, required = true },
  saturation = { check = numbers({ gate = "default", high = 2 }, { gate = "string", high = { 0.1, 1000 }, low = { 0.01, 1000 } }) },
  errors = { check = numbers({ share = 0.5, least = 10, window = 30 },
    { share = { 0.01, 1 }, least = { 1, 1e6 }, window = { 1, 3600 } }), default = { share = 0.5, least = 10, window = 30 } },
  hold = { type = "duration", default = 30, min = 1 },
  name = { type = "string", default = "default", min = 1, max = 64 },
}

local step_spec = {
  upstream = { type = "upstream" },
  model = { type = "string", min = 1 },
  stale = { type = "string", min = 1, max = 64 },
  text = { type = "string", min = 1 },
}

-- -- steps ---------------------------------------------------------------------

local function read_step(given, i)
  local step = config.options(step_spec, given, ("degrade, step %d"):format(i))
  local kinds = (step.upstream and 1 or 0) + (step.stale and 1 or 0) + (step.text and 1 or 0)
  if kinds ~= 1 then
    error(("policy 'degrade': step %d needs one of upstream = NAME, stale = NAME of a cache, text = TEXT"):format(i), 0)
  end
  if step.model and not step.upstream then
    error(("policy 'degrade': step %d has a model and no upstream that it is asked from"):format(i), 0)
  end
  step.memory = step.stale and perilune.cache(step.stale, { ttl = 1, stale_if_error = FOR_EVER })
  step.label = step.upstream or step.stale and "stale" or "canned"
  return step
end

-- What a step answers; asked: the upstream and model that the request came with, which is what a cache knows it by.
local function take(step, req, next, asked)
  if step.text then return perilune.respond{ text = step.text } end
  if step.memory then
    req.upstream, req.model = asked.upstream, asked.model
    local res = step.memory:stale(req)
    if res then return res end
    return nil, perilune.error{ code = "overloaded", status = 503, retryable = true, message = "nothing was kept for this" }
  end
  req.upstream = step.first and asked.upstream or step.upstream
  if step.model or asked.model then req.model = step.model or asked.model end
  return next(req)
end

-- -- where the ladder stands ----------------------------------------------------

-- All of it is in perilune.shared: for all workers, and through reloads.
local function ladder_of(options)
  local memory = perilune.shared("degrade " .. options.name)
  local gate = options.saturation and options.saturation.gate
  local self = {}

  local function full() return gate and gates.saturation(gate) or 0 end

  function self.level() return math.min(memory:get("level") or 1, #options.ladder) end

  local function stand(req, level, why)
    memory:set("level", level)
    memory:set("since", perilune.now())
    memory:set("proofs", 0)
    req:log("warn", "degrade: the ladder moves", { ladder = options.name, step = options.ladder[level].label, why = why })
  end

  --- Before a request: a full gate moves the ladder at once, but a step at a time.
  function self.look(req)
    local level = self.level()
    local high = options.saturation and options.saturation.high
    local rest = perilune.now() - (memory:get("since") or -math.huge)
    if high and level < #options.ladder and full() >= high and rest >= 1 then
      stand(req, level + 1, "saturation")
      level = level + 1
    end
    return level
  end

  -- The nearest upstream above.
  local function above(level)
    for i = level - 1, 1, -1 do
      if options.ladder[i].upstream then return i end
    end
  end

  --- Where this request begins to find out whether the ladder may go up; nil: it is none of those.
  function self.ahead_of(level)
    local now = perilune.now()
    if level == 1 or now - (memory:get("since") or 0) < options.hold then return nil end
    local low = options.saturation and (options.saturation.low or options.saturation.high / 2)
    if low and full() >= low then return nil end
    if perilune.random() >= AHEAD and now - (memory:get("ahead") or 0) < AHEAD_SECONDS then return nil end
    memory:set("ahead", now)
    return above(level)
  end

  --- A request that was sent ahead of `level`, to `step`, has its answer, or not.
  function self.proof(req, level, step, ok)
    if self.level() ~= level then return end
    if not ok then return memory:set("proofs", 0) end
    if memory:incr("proofs", 1) >= PROOFS then stand(req, step, "recovered") end
  end

  --- A request began at `level` and got its answer there, or not.
  function self.count(req, level, ok)
    local limits = options.errors
    local slot = ("%d %d"):format(level, math.floor(perilune.now() / limits.window))
    local all = memory:incr("all " .. slot, 1, 0, 2 * limits.window)
    if ok then return end
    local bad = memory:incr("bad " .. slot, 1, 0, 2 * limits.window)
    if all < limits.least or bad < limits.share * all then return end
    if level < #options.ladder and self.level() == level then stand(req, level + 1, "errors") end
  end

  return self
end

-- Does what became of a step say anything of it?  A prompt that is too long for it does not.
local function proves(step, err)
  if not step.upstream or err and elsewhere.is_too_long(err) then return false end
  return err == nil or err.code ~= "overloaded" or err.upstream ~= nil
end

-- -- the policy -----------------------------------------------------------------

local function named(res, step, i)
  if i > 1 then res.headers["x-perilune-degraded"] = step.label end
  return res
end

local function all_failed(err, hold)
  err = err or {}
  if err.code and elsewhere.is_too_long(err) then return err end -- it will be, whenever it comes again
  return perilune.error{ code = err.code or "overloaded", status = 503, retryable = true, retry_after = math.ceil(hold),
    message = err.message or "nothing can answer now; try again later", upstream = err.upstream }
end

-- May this step do what the last one could not?  No text of ours answers a prompt that is too long.
local function suits(step, last) return step.upstream ~= nil or not (last and elsewhere.is_too_long(last)) end

return function(given)
  local options = config.options(spec, given, "degrade")
  for i, step in ipairs(options.ladder) do options.ladder[i] = read_step(step, i) end
  options.ladder[1].first = true -- where a policy in front may have chosen another upstream
  local ladder = ladder_of(options)
  return function(req, next)
    local level, asked, last = ladder.look(req), { upstream = req.upstream, model = req.model }, nil
    local ahead = ladder.ahead_of(level)
    for i = ahead or level, #options.ladder do
      local step = options.ladder[i]
      if suits(step, last) then
        local res, err = take(step, req, next, asked)
        local goes_on = err and elsewhere.goes_on(err)
        if proves(step, err) and i == ahead then ladder.proof(req, level, i, not goes_on)
        elseif proves(step, err) and i == level then ladder.count(req, level, not goes_on) end
        if res then return named(res, step, i) end
        if not goes_on then return nil, err end
        req:log("warn", "degrade: a step failed", { step = step.label, code = err.code })
        last = err
        if (req:time_left() or math.huge) <= 0 then break end
      end
    end
    return nil, all_failed(last, options.hold)
  end
end, { needs = "chat" }

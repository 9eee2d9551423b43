--- hedge: when an upstream takes too long to begin, ask a second one, too.
--
--     { "hedge", upstreams = { "big", "spare" }, after = "p95" }
--
-- The request goes to the first.  When nothing of its answer has come after a while, it goes to the second as well; the
-- one that begins first answers, and the other call is ended at once.  That takes the few calls that are very late for no
-- reason out of what users see, and costs as many calls again as are late: `max_share` of all requests at
-- most, by an account that all workers share. Once an answer has begun nothing is asked twice.
--
-- after = "p95" waits as long as 95 % of the answers took lately to begin (of streams the first token, of others the
-- whole answer), or 97 % when max_share is 3 %: so that the share goes where it helps most.  Until that is known, nothing
-- is hedged.  With one upstream, which may be a pool, the second call goes there, too.  Upstreams that rest (`breaker`)
-- are passed over.  When the first fails before it is late, in a way that another may not (as `fallback` has it), the second
-- is asked at once: that is no hedge, and needs no share.  Both fail: the client hears of the first.
--
-- A prompt that the first has read lately, and the second has not, is not hedged: the second would begin with what the
-- first has in its cache, and be paid in full.  What is compared is the beginning of the prompt, in blocks of 1 KiB;
-- from half of it on it counts.
--
-- perilune_hedges_total counts, by the policy's name and upstream: `asked` (all requests), `hedged` (a second call was
-- made; of all asked this is the extra share), `won` (it answered), `late` (there was no share left), `warm` (the first alone knows the
-- prompt), `failed_over`.
--
-- It calls the upstreams itself, so policies behind it in the list are not run.
--
---@class HedgeOptions
---@field upstreams string[]       whom to ask first, and whom then; pools, too
---@field after? number|"p95"      seconds, default "p95"
---@field max_share? number        of the requests that may be asked twice, default 0.03
---@field timeout? number          seconds that each call has to begin its answer
---@field name? string             policies with the same name share an account, default "default"

local breaker = require "perilune.breaker"
local config = require "perilune.config"
local elsewhere = require "perilune.elsewhere"
local perilune = require "perilune"
local retry = require "perilune.retry"

local SAVED = 10 -- hedges that a quiet time may leave for a busy one
local WARM = 0.5 -- of a prompt, from which on it is better to wait for who has read it
local LONG = 1e6 -- seconds: until the other branch has decided

local function check_after(value)
  if value == "p95" then return value end
  if type(value) == "number" and value >= 0 and value <= 3600 then return value end
  return nil, "must be a number of seconds, or \"p95\""
end

local spec = {
  upstreams = { type = "list", of = { type = "upstream" }, min = 1, required = true },
  after = { type = { "number", "string" }, check = check_after, default = "p95" },
  max_share = { type = "number", default = 0.03, min = 0, max = 1 },
  timeout = { type = "duration", min = 0.001 },
  name = { type = "string", default = "default", min = 1 },
}

-- The first two of those that do not rest; without any, as they stand.
local function two_of(names)
  local up = {}
  for _, name in ipairs(names) do
    if not breaker.rests(name) then up[#up + 1] = name end
  end
  local list = up[1] and up or names
  return list[1], list[2] or list[1]
end

-- Seconds, or nil: it is not known.
local function delay_of(options, req, name)
  if options.after ~= "p95" then return options.after end
  local health = perilune.upstream(name):health(math.max(0.95, 1 - options.max_share))
  local times = health and (req.stream and health.first_token or not req.stream and health.whole_answer)
  return times and times.at
end

-- Notes that `first` reads the prompt.  Has it read much of it before, which `second` has not?
local function is_warm(req, first, second)
  local known = elsewhere.reads(req, first)
  return second ~= first and known >= WARM and known - elsewhere.has_read(req, second) >= WARM
end

local function call(options, name, req)
  return perilune.upstream(name):chat(req, { timeout = options.timeout })
end

-- The first has failed and nobody else was asked; its failure stands when the second one fails, too.
local function fail_over(req, options, first, second, err)
  local in_time = (req:time_left() or math.huge) > 0
  if second == first or not in_time or not elsewhere.goes_on(err, perilune.upstream(first)) then return nil, err end
  req:log("info", "the first call failed, the second upstream is asked", { upstream = second, code = err.code })
  elsewhere.count_hedge(options.name, second, "failed_over")
  elsewhere.reads(req, second)
  local res, why = call(options, second, req)
  if res then return res end
  req:log("info", "the second call failed", { upstream = second, code = why.code })
  return nil, err
end

local function alone(req, options, first, second)
  local res, err = call(options, first, req)
  if res then return res end
  return fail_over(req, options, first, second, err)
end

-- Two calls: said is what they know of each other.
local function race(req, options, first, second, delay, warm, spend)
  local said = {}
  local function ask(name)
    local res, err = call(options, name, req)
    if res and said.won then res:discard() end -- the other one began in the same moment
    said.won = said.won or res
    return res, err
  end
  local function hedge()
    perilune.sleep(delay)
    if said.failed then perilune.sleep(LONG) end -- the second one is asked already
    if warm then
      elsewhere.count_hedge(options.name, second, "warm")
      perilune.sleep(LONG)
    end
    if not spend() then
      elsewhere.count_hedge(options.name, second, "late")
      perilune.sleep(LONG)
    end
    said.hedged = true
    elsewhere.reads(req, second)
    elsewhere.count_hedge(options.name, second, "hedged")
    req:log("info", "asked a second time, because the first answer is late", { upstream = second, after = delay })
    local res, err = ask(second)
    said.hedged = false
    if res then
      elsewhere.count_hedge(options.name, second, "won")
      return res
    end
    if said.failed then return nil, said.failed end
    said.tried = true
    req:log("info", "the second call failed", { upstream = second, code = err.code })
    perilune.sleep(LONG)
  end
  local function original()
    local res, err = ask(first)
    if res then return res end
    said.failed = err
    if said.hedged then perilune.sleep(LONG) end
    if said.tried then return nil, err end
    return fail_over(req, options, first, second, err)
  end
  return perilune.race{ original, hedge }
end

return function(given)
  local options = config.options(spec, given, "hedge")
  local budget = retry.budget("hedge:" .. options.name, options.max_share, 0, SAVED)
  return function(req)
    local first, second = two_of(breaker.asked_first(req, options.upstreams))
    retry.earn(budget)
    elsewhere.count_hedge(options.name, first, "asked")
    local warm = is_warm(req, first, second)
    local delay = options.max_share > 0 and delay_of(options, req, first)
    if not delay then return alone(req, options, first, second) end
    return race(req, options, first, second, delay, warm, function() return retry.spend(budget) end)
  end
end, { last = true }

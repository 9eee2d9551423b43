--- limit: so many requests, tokens or dollars in a window, and so many requests at once.
--
--     { "limit", requests_per_minute = 60, tokens_per_minute = 100000, key = "tenant" }
--     { "limit", usd_per_day = 5, usd_per_month = 100, key = "x-user" }
--     { "limit", concurrency = 4, key = { "tenant", "model" } }
--
-- Who is over a limit gets 429 in OpenAI's shape, `Retry-After` and `retry-after-ms`; answers and refusals say
-- `x-ratelimit-limit-requests`, `-remaining-requests`, `-reset-requests` and the same for tokens.  All windows
-- of one limit are decided together: a request that one of them refuses takes nothing of the others.
--
-- Tokens and dollars are reserved before the call: those of the prompt, and what answers of this model to this key had
-- before, at most max_tokens and at most the whole limit.  When the request is over, what it really used takes their
-- place, in all answers that upstreams were paid for: of one that was cut, what was delivered; of one out of a cache,
-- nothing; of one whose usage is not said, or cannot be, what was counted here.
--
-- Seconds, minutes and hours are buckets that fill up steadily; days and months are those of the calendar, in UTC.  What was
-- used is common to all workers and survives reloads, not restarts.  With shared = true it is common to all
-- machines that ask the same Redis (cache.redis); while that is away, each process limits by itself.
--
---@class LimitOptions
---@field requests_per_second? integer  and _minute, _hour, _day, _month; 0: none at all
---@field tokens_per_minute? integer    of prompt and answer; the same windows
---@field usd_per_day? number           by the prices of the upstreams; the same windows
---@field concurrency? integer          requests at once, from here to the end of their answers
---@field key? string|string[]|function  whose limit it is: "tenant", "model", "upstream", "peer", a header, several of
---  them, or function(req) that returns a string (nil: this request is not limited); absent: all requests together
---@field name? string                  limits with the same name count together; default: each route by itself
---@field dry_run? boolean              refuse nothing; count, and log what would be refused
---@field shared? boolean               with all machines that have the same cache.redis
---@field max_wait? number              seconds that a request waits for room instead of being refused, default 0

local config = require "perilune.config"
local limit = require "perilune.limit"

local spec = limit.policy_options()

return function(given)
  local own = limit.policy("limit", config.options(spec, given, "limit"))
  if own.straight then return own.straight end
  return function(req, next)
    local key = own.key(req)
    if key == false then return next(req) end
    local err = own.enter(req, key)
    if err then return nil, err end
    return own.leave(req, next(req))
  end
end

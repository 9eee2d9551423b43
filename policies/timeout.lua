--- timeout: an answer in time, or an error.
--
--     { "timeout", total = 60, first_token = 15 }
--
-- Whatever runs behind it in the list is canceled when the time is up, retries
-- and fallbacks included, and the client (or the policy in front) gets `timeout`.
-- Two numbers, because they answer two questions: a model that thinks for a
-- minute is fine where nobody waits for the first word.  What a policy behind it
-- writes (compose, decompose, skeleton) is bounded like what an upstream says.
--
-- A stream that has begun is no longer cut here: from then on the upstream's own
-- `timeouts` hold (idle, total), and the deadline of the request.
--
---@class TimeoutOptions
---@field total? number        seconds for the whole answer; for a stream, until it begins
---@field first_token? number  seconds until a stream begins

local config = require "perilune.config"
local perilune = require "perilune"

local spec = {
  total = { type = "duration", min = 0.001 },
  first_token = { type = "duration", min = 0.001 },
}

local function seconds_for(options, req)
  if not req.wants_stream then return options.total, "the answer" end
  if options.first_token and options.first_token <= (options.total or math.huge) then
    return options.first_token, "the first token"
  end
  return options.total, "the answer"
end

return function(given)
  local options = config.options(spec, given, "timeout")
  if not options.total and not options.first_token then
    error("policy 'timeout': give it total = SECONDS, first_token = SECONDS, or both", 0)
  end
  return function(req, next)
    local seconds, what = seconds_for(options, req)
    if not seconds then return next(req) end
    return perilune.race{
      function() return next(req) end,
      function()
        perilune.sleep(seconds)
        return nil, perilune.error{
          code = "timeout", status = 504, retryable = true,
          message = ("%s did not come within %g seconds"):format(what, seconds),
          headers = { ["x-should-retry"] = "false" }, -- what was given up may have been paid
        }
      end,
    }
  end
end

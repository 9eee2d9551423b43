--- retry: try again what failed for a moment.
--
--     { "retry", tries = 3, budget = 0.1 }
--
-- Everything behind it in the list runs again: the first attempt and each of
-- its retries see the same request.  Pauses are random up to base, 2 base,
-- 4 base ...; a Retry-After is waited for when it is not longer than max.  The
-- budget is shared by all requests: when everything fails, only that fraction of
-- them is tried again (and `floor` a second, so that a quiet server may retry).
--
---@class RetryOptions
---@field tries? integer  attempts in all, default 3
---@field base? number    seconds: bound of the first pause, default 0.1
---@field max? number     seconds: bound of every pause, default 10
---@field on? string[]    codes of the errors to retry; default: all that are retryable
---@field budget? number  fraction of requests that may be retries, default 0.1; 1: no budget
---@field floor? number   retries a second that are always allowed, default 3
---@field name? string    policies with the same name share a budget, default "default"

local config = require "perilune.config"
local retry = require "perilune.retry"

local spec = {
  tries = { type = "integer", default = 3, min = 1, max = 20 },
  base = { type = "duration", default = 0.1 },
  max = { type = "duration", default = 10 },
  on = { type = "set", of = { type = "string", min = 1 }, min = 1 },
  budget = { type = "number", default = 0.1, min = 0, max = 1 },
  floor = { type = "number", default = 3, min = 0 },
  name = { type = "string", default = "default", min = 1 },
}

return function(given)
  local options = config.options(spec, given, "retry")
  local how = {
    tries = options.tries, base = options.base, max = options.max, codes = options.on,
    budget = options.budget < 1 and retry.budget(options.name, options.budget, options.floor) or nil,
  }
  return function(req, next)
    return retry.run(req, how, function() return next(req) end)
  end
end

--- fallback: try upstreams in order; give up only on errors that would repeat.
--
--     { "fallback", upstreams = { "big", "spare", "local" }, timeout = 20 }
--
-- The next upstream gets the request when one fails in a way that another may
-- not: down, overloaded, out of quota, too slow.  An error that every upstream
-- would give (the request is not valid) goes to the client at once, and so does
-- a failure after the answer has begun: nothing can be taken back then.
--
-- It calls the upstreams itself, so policies behind it in the list are not run.
--
---@class FallbackOptions
---@field upstreams string[]  in the order in which they are tried
---@field timeout? number     seconds that each of them has to begin its answer

local config = require "perilune.config"
local perilune = require "perilune"

local spec = {
  upstreams = { type = "list", of = { type = "upstream" }, min = 1, required = true },
  timeout = { type = "duration", min = 0.001 },
}

-- Not retryable at the upstream that said it, but another one has its own
-- account, models and context size.
local elsewhere = {
  invalid_api_key = true, permission_denied = true, insufficient_quota = true,
  model_not_found = true, context_length_exceeded = true,
}

local function gives_up(err)
  return not err.retryable and not (err.upstream and elsewhere[err.code])
end

return function(given)
  local options = config.options(spec, given, "fallback")
  return function(req)
    local last
    for i, name in ipairs(options.upstreams) do
      local res, err = perilune.upstream(name):chat(req, { timeout = options.timeout })
      if res then return res end
      last = err
      if gives_up(err) then break end
      req:log("warn", "upstream failed", { upstream = name, code = err.code })
      -- Out of time, the next one could not answer either.
      if i < #options.upstreams and (req:time_left() or math.huge) <= 0 then break end
    end
    return nil, last
  end
end

--- breaker: answer at once instead of asking an upstream that fails.
--
--     { "breaker" }
--
-- Whether an upstream fails is watched always, by all workers together (GET /admin/upstreams).  This policy makes use
-- of it: a call to an upstream that rests is not made, whoever behind it in the list would make it. It fails at once
-- with upstream_unavailable (503, and Retry-After), which `fallback`, `retry` and `hedge` understand.  After a while a few
-- calls go through as probes; when they are good, all do.  A pool is refused when all of its members rest.
--
-- What opens it: so many failures in a row, or that share of at least `calls` in 30 seconds; at once a 429 (as long as it
-- says), an account without money (an hour), and a refused key.  What the client did wrong is no failure.  The
-- options replace those of upstreams.NAME.breaker for the requests that come by here; what is not given here is as it
-- stands there.
--
---@class BreakerOptions: perilune.BreakerSettings

local breaker = require "perilune.breaker"
local config = require "perilune.config"

return function(given)
  local options = config.options(breaker.replacing, given, "breaker")
  if (options.open or 0) > (options.max_open or math.huge) then error("policy 'breaker': option 'open' must not be above 'max_open'", 0) end
  return function(req, next)
    breaker.guard(req, options)
    return next(req)
  end
end

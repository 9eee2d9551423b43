--- coalesce: requests that ask the same at the same time share one answer of the upstream.
--
--     { "coalesce" }
--
-- The first of them asks; the others, of all workers, get what came so far and then follow.  Each keeps its
-- own speed and its own policies: shared is what the upstream says, before any policy has seen it.  The
-- upstream is left when the last of them has gone.  When it fails before it has said anything, the next
-- one asks.  "The same" is what cache_exact calls so; a stream and a whole answer are not.
-- The reply of those who did not ask says `x-cache: coalesced`.  One pays: who asked, or when that one left before the
-- end, one who stayed; `outcome.cache` of the others is "coalesced".

local config = require "perilune.config"
local perilune = require "perilune"

return function(given)
  config.options({}, given, "coalesce")
  return function(req, next)
    perilune.coalesce(req)
    return next(req)
  end
end

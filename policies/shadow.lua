--- shadow: another upstream is asked as well, behind the answer, and what it says is thrown away.
--
--     { "shadow", upstream = "next", share = 0.05 }
--
-- The client has its answer before the other upstream is asked, so it can neither wait for it nor fail with it.
-- Compared are time, failures, tokens, and whether both say the same (as far as that can be told of two texts):
-- perilune_trials_total with result "agreed", "differed" or "unclear", and its kin.
--
-- At most 32 are under way in a worker; what would be more is left out and counted ("skipped").  An answer out of a cache,
-- or one that several requests shared, is not asked for again, nor is one whose client left.  No policy runs for
-- it: the other upstream gets the request as policies left it.  It is in the log with "-trial" behind the request's
-- id, and in the counters of tokens, because it costs the same.
--
---@class ShadowOptions
---@field upstream string       on trial
---@field model? string         of its: what is asked for there, in the place of the request's
---@field share? number         of requests, 0 to 1, default 1
---@field key? string|fun(req: perilune.Request): string?  which requests, by what stays the same; default: drawn at random

local config = require "perilune.config"
local perilune = require "perilune"
local trials = require "perilune.trials"

return function(given)
  local options = config.options(trials.options(1), given, "shadow")
  local key, salt = options.key and trials.key(options.key), "shadow " .. options.upstream
  return function(req, next)
    local is_in
    if key then is_in = trials.is_in(key(req), options.share, salt) else is_in = perilune.random() < options.share end
    if not is_in then return next(req) end
    return trials.shadow(req, next, "shadow", options)
  end
end

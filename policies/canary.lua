--- canary: a share of the requests goes to another upstream, or to another version of a model.
--
--     { "canary", upstream = "next", share = 0.05, key = "tenant" }
--     { "canary", upstream = "big", model = "big-2026-11", share = 0.1 }
--     { "canary", upstream = "next", share = 0.02, shadow = true }
--
-- Which requests is decided by a hash of the key, so the same tenant (or value of a header, or conversation) always
-- meets the same model, on every machine, and who is in at 5 % is in at 10 %.  A request without the key (no tenant)
-- takes no part.  How both do is in the metrics: perilune_trials_total, perilune_trial_seconds_total,
-- perilune_trial_tokens_total, by upstream.
--
-- With shadow = true the client gets the usual answer, and the other upstream is asked behind it: see `shadow`, which
-- is the same for a share of requests drawn at random.
--
-- It sets where next() goes; policies behind it that call upstreams by name (fallback) decide for themselves.
--
---@class CanaryOptions
---@field upstream string       on trial
---@field model? string         of its: what is asked for there, in the place of the request's
---@field share number          of requests, 0 to 1
---@field key? string|fun(req: perilune.Request): string?  "tenant", the name of a header, or a function; default: the conversation
---@field shadow? boolean       its answer is compared and thrown away, default false

local config = require "perilune.config"
local elsewhere = require "perilune.elsewhere"
local trials = require "perilune.trials"

return function(given)
  local spec = trials.options()
  spec.shadow = { type = "boolean", default = false }
  local options = config.options(spec, given, "canary")
  local key, salt = trials.key(options.key), "canary " .. options.upstream .. " " .. (options.model or "")
  return function(req, next)
    local is_in = trials.is_in(key(req), options.share, salt)
    if is_in and options.shadow then return trials.shadow(req, next, "canary", options) end
    if is_in then
      req.upstream = options.upstream
      if options.model then req.model = options.model end
    end
    local res, err = next(req)
    trials.watch("canary", res, err)
    if res and is_in then elsewhere.tell_route(res, options.upstream, "canary") end
    return res, err
  end
end

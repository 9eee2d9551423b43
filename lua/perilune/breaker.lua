--- breaker: when an upstream is left alone for a while.
--
-- The states are C's (core/sched/breaker.c); here are the settings, which an upstream has (upstreams.NAME.breaker) and
-- the policy of that name may replace for the requests that pass it.

local M = {}

---@class perilune.BreakerSettings
---@field failures? integer  in a row that open it, default 5
---@field share? number      of the calls of the last 30 s that may fail, default 0.5; at this share it opens
---@field calls? integer     below so many calls in these 30 s the share says nothing, default 10
---@field open? number       seconds that it is open for the first time, default 5; doubles each time that a probe fails
---@field max_open? number   seconds: the longest, default 120; a longer Retry-After of a 429 is not waited for
---@field probes? integer    calls that must be good before it closes, default 2; as many may go at once

--- As for config.options(); durations become KEY_ms where the configuration is walked.
M.settings = {
  failures = { type = "integer", default = 5, min = 1, max = 1e6 },
  share = { type = "number", default = 0.5, min = 0.01, max = 1 },
  calls = { type = "integer", default = 10, min = 1, max = 1e6 },
  open = { type = "duration", default = 5, min = 0.01, max = 3600 },
  max_open = { type = "duration", default = 120, min = 0.01, max = 86400 },
  probes = { type = "integer", default = 2, min = 1, max = 100 },
}

--- The same for who replaces them: what is not given is as the upstream has it.
M.replacing = {}
for key, setting in pairs(M.settings) do
  M.replacing[key] = { type = setting.type, min = setting.min, max = setting.max }
end

--- From here on calls of this request fail with upstream_unavailable where a breaker is open.
---@param req perilune.Request
---@param settings perilune.BreakerSettings  what is not there is as the upstream has it
function M.guard(req, settings) require("perilune.host").guard(req, settings) end

--- Does the upstream (or all of a pool) rest?  Then the seconds until it may be asked.  It is looked for meanwhile.
---@param name string
---@return number?
function M.rests(name) return require("perilune.host").rests(name) end

--- The names, in the order in which a request asks them: what a policy in front chose goes first.
---@param req perilune.Request
---@param names string[]
---@return string[]
function M.asked_first(req, names)
  local chosen = req.upstream
  if not chosen or chosen == names[1] then return names end
  local out = { chosen }
  for _, name in ipairs(names) do
    if name ~= chosen then out[#out + 1] = name end
  end
  return out
end

return M

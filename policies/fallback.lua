--- fallback: try upstreams in order; give up only on errors that would repeat.
--
--     { "fallback", upstreams = { "big", "spare", "local" }, timeout = 20 }
--
-- The next upstream gets the request when one fails in a way that another may
-- not: down, overloaded, too slow, an account without money or permission, a
-- model that is gone or too small.  An error that every upstream would give (the
-- request is not valid) goes to the client at once, and so does a failure after
-- the answer has begun: nothing can be taken back then.
--
-- An upstream that rests because it failed (its breaker is open) stands behind those that do not.  Who answers when
-- it was not the first is named in x-perilune-degraded.  An upstream may be a pool.
--
-- What a policy in front has chosen (route, canary, degrade, budget) goes first, whether it is in the list or not.
--
-- It calls the upstreams itself, so policies behind it in the list are not run.
--
---@class FallbackOptions
---@field upstreams string[]  in the order in which they are tried
---@field timeout? number     seconds that each of them has to begin its answer

local breaker = require "perilune.breaker"
local config = require "perilune.config"
local elsewhere = require "perilune.elsewhere"
local perilune = require "perilune"

local spec = {
  upstreams = { type = "list", of = { type = "upstream" }, min = 1, required = true },
  timeout = { type = "duration", min = 0.001 },
}

-- Those that rest, the one with the least to wait first, behind all others.
local function in_order(names)
  local up, resting, wait = {}, {}, {}
  for _, name in ipairs(names) do
    wait[name] = breaker.rests(name)
    local list = wait[name] and resting or up
    list[#list + 1] = name
  end
  if not resting[1] then return names end
  table.sort(resting, function(a, b) return wait[a] < wait[b] end)
  for _, name in ipairs(resting) do up[#up + 1] = name end
  return up
end

return function(given)
  local options = config.options(spec, given, "fallback")
  return function(req)
    local last
    local names = breaker.asked_first(req, options.upstreams)
    for i, name in ipairs(in_order(names)) do
      local upstream = perilune.upstream(name)
      local res, err = upstream:chat(req, { timeout = options.timeout })
      if res and name ~= names[1] then res.headers["x-perilune-degraded"] = name end
      if res then return res end
      last = err
      if not elsewhere.goes_on(err, upstream) then break end
      req:log("warn", "upstream failed", { upstream = name, code = err.code })
      -- Out of time, the next one could not answer either.
      if i < #names and (req:time_left() or math.huge) <= 0 then break end
    end
    return nil, last
  end
end, { last = true }

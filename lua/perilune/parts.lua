--- parts: what policies that make an answer out of several calls have in common.

local core = require "perilune.core"
local perilune = require "perilune"

local M = {}

function M.ask(req, upstream, body, options)
  return perilune.upstream(upstream):ask(body, { timeout = math.min(options.timeout or 1e6, math.max(0.001, req:time_left())) })
end

function M.chosen(req, chosen, list, headers)
  require("perilune.several").drop_others(list, chosen)
  for name, value in pairs(headers) do chosen.res.headers[name] = value end
  return chosen.res
end

function M.tally(policy, why) core.tally("chosen", 1, policy, why) end

return M

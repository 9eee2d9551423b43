--- priority: so many requests at once, the important ones first, and none waits in vain.
--
--     { "priority", concurrency = 64, classes = { "paid", "free" }, tiers = { acme = "paid" } }
--     { "priority", concurrency = { min = 1, max = 200 }, classes = { "chat", "batch" }, class = "x-class" }
--
-- Put it behind caches and limits, in front of what calls the upstream: a request has its slot until its
-- answer has ended.  When all slots are taken, requests wait in queues, one for each class.  The first class that
-- waits gets the next slot; within a class tenants take turns, so one that sends a thousand requests waits for
-- itself.  Who cannot be in time is refused at once, who waited `max_wait` then; a queue that stands for long is made
-- shorter (CoDel).  The error is `overloaded`, 503 with Retry-After; of a gate that is closed (concurrency = 0) without.
--
-- With { min =, max = } it finds out how many requests the upstream can work on: the limit grows while streams
-- begin as quickly as usual, and shrinks when they take longer for each token of the prompt, or when the upstream says
-- 429, 503 or 529.
--
---@class PriorityOptions
---@field concurrency integer|table  requests at once, or { min =, max =, start = } to find it out; 0: none
---@field classes? string[]          at most 8, the first goes first; default one
---@field class? string|function     a header of the client, or function(req), that says the class; what is no class is the default
---@field tiers? table<string,string>  tenant -> class, for those whose class nothing else says
---@field default? string            class of all others, default the last one
---@field tenant? string|function    whose turn it is: a header, or function(req); default the tenant of the request
---@field weights? table<string,number>  tenant -> turns it gets for one of another, default 1
---@field max_wait? number           seconds that a request waits at most, default 10
---@field max_queue? integer         requests that wait at most, default 1000
---@field target_wait? number        seconds of waiting that are fine for a queue that stands, default a tenth of max_wait; 0: any
---@field upstreams? string[]        only requests that a policy in front has sent to one of these; default all
---@field name? string               policies with the same name share slots, default "default"

local check = require "perilune.check"
local config = require "perilune.config"
local gate = require "perilune.gate"
local told = require "perilune.told"

local spec = {
  class = { type = "any", check = told.check },
  tiers = { type = "map", of = { type = "string" }, default = {} },
  default = { type = "string" },
  tenant = { type = "any", check = told.check },
  weights = { type = "map", of = { type = "number", min = 0.001, max = 1000 }, default = {} },
  upstreams = { type = "set", of = { type = "upstream" }, min = 1 },
  name = { type = "string", default = "default", min = 1, max = 63 },
}
for key, value in pairs(gate.spec) do spec[key] = value end

local function numbers_of(options)
  local numbers = {}
  for i, name in ipairs(options.classes) do numbers[name] = i end
  local function known(name, key)
    if numbers[name] then return end
    error(("policy 'priority': %s names the class %s; classes are %s"):format(key, check.show(name),
      table.concat(options.classes, ", ")), 0)
  end
  if options.default then known(options.default, "default") end
  for tenant, name in pairs(options.tiers) do known(name, ("tiers[%q]"):format(tenant)) end
  return numbers
end

return function(given)
  local options = config.options(spec, given, "priority")
  local numbers = numbers_of(options)
  local slots = gate.make(options.name, options)
  local default = options.default or options.classes[#options.classes]
  local class_of, tenant_of = options.class and told.by(options.class), told.by(options.tenant or "tenant")
  return function(req, next)
    if options.upstreams and not options.upstreams[req.upstream or ""] then return next(req) end
    local tenant = tostring(tenant_of(req) or req.tenant or "")
    local class = class_of and class_of(req) or options.tiers[tenant] or default
    local open, err, why = gate.enter(slots, req, numbers[class] or numbers[default], tenant,
                                      options.weights[tenant] or 1, 1)
    if open then return next(req) end
    req:log("warn", "refused: overloaded", { gate = options.name, class = class, why = why })
    return nil, err
  end
end

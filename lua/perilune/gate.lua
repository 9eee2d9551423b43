--- gate: perilune.gate(name, opts), how many requests may work at once, who waits, and in which order.
--
-- C has the slots and the queues (core/sched/gate.c); here stand the options, and what a refusal says.

local check = require "perilune.check"
local config = require "perilune.config"
local core = require "perilune.core"
local errors = require "perilune.errors"

local M = {}

local methods = core.gate_methods
local result = core.result

local function whole(value, least) return type(value) == "number" and value % 1 == 0 and value >= least and value <= 1e6 end

-- 64, or { min = 1, max = 200, start = 20 } to find it out.
local function check_concurrency(value)
  if whole(value, 0) then return { min = value, max = value, start = value } end
  if type(value) ~= "table" then
    return nil, "must be how many requests may work at once, or { min =, max =, start = } to find it out, got " .. check.show(value)
  end
  local known = { min = true, max = true, start = true }
  for _, key in ipairs(check.keys(value)) do
    if not known[key] then return nil, "has an " .. check.unknown("option", key, check.keys(known)) end
  end
  local least, most = value.min or 1, value.max
  local start = value.start or math.min(math.max(20, least), most or 20)
  if not whole(least, 1) then return nil, "needs min, a whole number from 1 on, got " .. check.show(value.min) end
  if not whole(most, least) then return nil, "needs max, a whole number that is not below min, got " .. check.show(most) end
  if not whole(start, least) or start > most then
    return nil, "needs start, a whole number between min and max, got " .. check.show(start)
  end
  return { min = least, max = most, start = start }
end

local function check_classes(names)
  local seen = {}
  for _, name in ipairs(names) do
    if #name > 63 then return nil, ("has a name over 63 bytes: %s"):format(check.show(name)) end
    if seen[name] then return nil, ("has %s twice"):format(check.show(name)) end
    seen[name] = true
  end
  return names
end

M.spec = {
  concurrency = { check = check_concurrency, required = true },
  classes = { type = "list", of = { type = "string", min = 1 }, default = { "default" }, min = 1, max = 8, check = check_classes },
  max_wait = { type = "duration", default = 10 },
  max_queue = { type = "integer", default = 1000, min = 0, max = 1000000 },
  target_wait = { type = "duration" }, -- default: a tenth of max_wait
}

-- Of each gate: the number of each of its classes, and how long its requests wait.
local settings = setmetatable({}, { __mode = "k" })

--- A gate with options that were checked.
---@param name string
---@param options table
---@return userdata
function M.make(name, options)
  local target = options.target_wait or options.max_wait / 10
  local gate = core.gate_new(name, {
    least = options.concurrency.min, most = options.concurrency.max, start = options.concurrency.start,
    classes = options.classes, most_waiting = options.max_queue,
    target = math.ceil(target * 1000), interval = math.ceil(math.max(target * 10, 0.1) * 1000),
  })
  local numbers = {}
  for i, class in ipairs(options.classes) do numbers[class] = i end
  settings[gate] = { numbers = numbers, last = #options.classes, max_wait = options.max_wait, name = name }
  return gate
end

--- perilune.gate(name, opts)
function M.new(name, opts)
  if type(name) ~= "string" then error("perilune.gate(name, opts): the name must be a string", 3) end
  return M.make(name, config.options(M.spec, opts, "perilune.gate"))
end

local sentences = {
  full = "too many requests wait for an upstream; try again later",
  hopeless = "so many requests wait for an upstream that this one could not be answered in time; try again later",
  shed = "requests wait too long for an upstream, and some are turned away; try again later",
  late = "this request waited for an upstream as long as it may; try again later",
  closed = "nobody is let through here: the concurrency of this gate is 0",
  memory = "out of memory",
}

--- The error of a request that did not get in.
---@param why string      full, hopeless, shed, late, closed, memory
---@param seconds number  after which it may try again
function M.refusal(why, seconds)
  if why == "closed" then -- another upstream may take it; the same client need not come again
    return errors.new{ code = "overloaded", status = 503, retryable = true, message = sentences.closed,
                       headers = { ["x-should-retry"] = "false" } }
  end
  return errors.new{ code = "overloaded", status = 503, retryable = true, message = sentences[why],
                     retry_after = math.max(1, math.ceil(seconds or 1)) }
end

--- A slot for a request; it goes back when the request is over.
---@async
---@param gate userdata
---@param req perilune.Request
---@param class integer  its number
---@param flow string    whose turn it uses
---@param weight number
---@param cost number
---@return true?
---@return perilune.Error?
---@return string? why
function M.enter(gate, req, class, flow, weight, cost)
  local open, why, seconds = result(core.gate_enter(gate, req, class, flow, weight, cost, settings[gate].max_wait))
  if open then return true end
  return nil, M.refusal(why, seconds), why
end

--- How full the gate of this name is; 0 when nothing has made it.
---@param name string
---@return number
function M.saturation(name) return core.gate_saturation(name) or 0 end

local how_options = { class = true, tenant = true, weight = true, cost = true }

function methods.enter(gate, req, how)
  check.known("gate:enter", how, how_options)
  local own = settings[gate]
  local class = how and how.class
  if class ~= nil and not own.numbers[class] then
    error(("gate:enter: gate '%s' has no class %s; its classes are those of its option 'classes'"):format(own.name, check.show(class)), 2)
  end
  return M.enter(gate, req, own.numbers[class] or own.last, how and how.tenant or req.tenant or "", how and how.weight or 1,
                 how and how.cost or 1)
end

function methods.saturation(gate) return core.gate_saturation(gate) end
function methods.stats(gate) return core.gate_stats(gate) end

return M

--- plan: a graph of steps; each starts when those before it are done.
--
--     local plan = perilune.plan({
--       profile  = { run = load_profile, timeout = 1, default = {} },
--       search   = { run = search },
--       rank     = { run = rank, after = { "search", "profile" } },
--     }, { timeout = 3 })                        -- once, when the policy is loaded
--
--     local done, err = plan:run(req)             -- done.rank, done.profile ...
--
-- What is wrong with a graph is found when it is made.  It runs in C (core/bridge/group.c): branches of one group, which
-- start as others end; here are their results, and what a failure means.

local caught = require "perilune.caught"
local check = require "perilune.check"
local copied = require "perilune.copied"
local core = require "perilune.core"
local errors = require "perilune.errors"
local retry = require "perilune.retry"

local M = {}

local STEPS_MOST = 256

local step_fields = { run = true, after = true, timeout = true, default = true, retry = true, optional = true }
local plan_options = { name = true, timeout = true, reserve = true, limit = true }

local Plan = {}
Plan.__index = Plan
Plan.__metatable = false

local function misuse(text, ...) error("perilune.plan: " .. text:format(...), 0) end

local function check_seconds(what, value)
  if value ~= nil and (type(value) ~= "number" or not (value > 0 and value < 1e9)) then
    misuse("%s must be a number of seconds above 0, got %s", what, check.show(value))
  end
end

local function check_count(what, value, least)
  if value ~= nil and (type(value) ~= "number" or value < least or value % 1 ~= 0) then
    misuse("%s must be a whole number, at least %d, got %s", what, least, check.show(value))
  end
end

local function check_step(name, step)
  if type(name) ~= "string" or name == "" then misuse("steps have names, got %s", check.show(name)) end
  if type(step) == "function" then step = { run = step } end
  if type(step) ~= "table" then misuse("step '%s' is a table such as { run = function }, got %s", name, check.show(step)) end
  for key in pairs(step) do
    if not step_fields[key] then misuse("step '%s': %s", name, check.unknown("option", key, check.keys(step_fields))) end
  end
  if type(step.run) ~= "function" then misuse("step '%s': 'run' is a function, got %s", name, check.show(step.run)) end
  check_seconds(("step '%s': 'timeout'"):format(name), step.timeout)
  check_count(("step '%s': 'retry'"):format(name), step.retry, 0)
  if step.optional ~= nil and type(step.optional) ~= "boolean" then misuse("step '%s': 'optional' is true or false", name) end
  local default, most = copied(step.default)
  if most then misuse("step '%s': 'default' has more than %d values; let the step make it", name, most) end
  local after = step.after
  if type(after) == "string" then after = { after } end
  if after ~= nil and type(after) ~= "table" then misuse("step '%s': 'after' is a list of names", name) end
  return { name = name, run = step.run, after = after or {}, timeout = step.timeout, default = default,
           retry = step.retry or 0, optional = step.optional or default ~= nil }
end

-- The steps in a fixed order, and their numbers by name.
local function read_steps(given)
  if type(given) ~= "table" then misuse("takes a table of steps, got %s", check.show(given)) end
  local steps, number = {}, {}
  for _, name in ipairs(check.keys(given)) do
    if #steps == STEPS_MOST then misuse("more than %d steps", STEPS_MOST) end
    steps[#steps + 1] = check_step(name, given[name])
    number[name] = #steps
  end
  if #steps == 0 then misuse("there are no steps") end
  return steps, number
end

local function names_of(steps)
  local out = {}
  for i, step in ipairs(steps) do out[i] = step.name end
  return out
end

local function read_edges(steps, number)
  local graph = { edges = 0, seconds = {}, optional = {} }
  for i, step in ipairs(steps) do
    local before, seen = {}, {}
    for _, name in ipairs(step.after) do
      if not number[name] then misuse("step '%s': %s", step.name, check.unknown("step", name, names_of(steps))) end
      if not seen[name] then before[#before + 1] = number[name] end
      seen[name] = true
    end
    graph[i] = before[1] and before or nil
    graph.edges = graph.edges + #before
    graph.seconds[i], graph.optional[i] = step.timeout, step.optional
  end
  return graph
end

-- "a after c after b after a", from the first of it that is met again.
local function describe_cycle(steps, path, again)
  local from = 1
  while path[from] ~= again do from = from + 1 end
  local out = {}
  for i = from, #path do out[#out + 1] = "'" .. steps[path[i]].name .. "'" end
  out[#out + 1] = "'" .. steps[again].name .. "'"
  return table.concat(out, " after ")
end

-- The steps in an order in which each stands behind those before it; how deep each is.
local function sort(steps, graph)
  local order, deep, path, state = {}, {}, {}, {}
  local function visit(i)
    if state[i] == "done" then return end
    if state[i] == "open" then misuse("steps wait for each other: %s", describe_cycle(steps, path, i)) end
    state[i] = "open"
    path[#path + 1] = i
    local most = 0
    for _, before in ipairs(graph[i] or {}) do
      visit(before)
      most = math.max(most, deep[before])
    end
    path[#path] = nil
    state[i], deep[i], order[#order + 1] = "done", most + 1, i
  end
  for i = 1, #steps do visit(i) end
  return order, deep
end

--- Makes a plan.  Throws what is wrong with it: a step that is not there, a circle (which one), an unknown option.
---@param given table<string, perilune.Step|function>
---@param opts? perilune.PlanOptions
---@return perilune.Plan
function M.plan(given, opts)
  check.known("perilune.plan", opts, plan_options)
  opts = opts or {}
  check_seconds("'timeout'", opts.timeout)
  check_seconds("'reserve'", opts.reserve)
  check_count("'limit'", opts.limit, 1)
  if opts.name ~= nil and type(opts.name) ~= "string" then misuse("'name' is a text, got %s", check.show(opts.name)) end
  local steps, number = read_steps(given)
  local graph = read_edges(steps, number)
  local order, deep = sort(steps, graph)
  return setmetatable({ steps = steps, graph = graph, order = order, deep = deep, options = opts }, Plan)
end

-- -- Running ------------------------------------------------------------------------

local function try(step, req, done, ...)
  local ok, value, err = caught(("step '%s'"):format(step.name), step.run, req, done, ...)
  if not ok then return nil, value end
  return value, err
end

local function run_step(step, req, done, ...)
  if step.retry == 0 then return try(step, req, done, ...) end
  local arguments, n = { ... }, select("#", ...)
  return retry.run(req, { tries = step.retry + 1 }, function() return try(step, req, done, unpack(arguments, 1, n)) end)
end

-- took: seconds, of one that was stopped; it is told when all is over.
local function note(run, step, state, took)
  local began = run.began[step.name] or core.clock()
  run.state[step.name] = state
  core.span(step.name, state, began - run.start, took or math.max(0, core.clock() - began))
end

local function warn(req, step, err)
  if type(req) ~= "userdata" or not err then return end
  req:log("warn", "step failed", { step = step.name, code = err.code, message = err.message, detail = err.detail })
end

-- What a step has that has nothing: its default, in a copy of this run's, which it may write into.
local function give_default(run, step)
  if run.done[step.name] == nil then run.done[step.name] = copied(step.default) end
end

-- A step that may fail has its default then, or nothing.
local function finish_step(run, step, value, err)
  if value == nil and err ~= nil then
    run.failed[step.name] = err
    note(run, step, step.optional and step.default ~= nil and "default" or "failed")
    if not step.optional then return nil, err end
    warn(run.req, step, err)
  else
    note(run, step, "ok")
  end
  if value == nil then give_default(run, step) else run.done[step.name] = value end
  return true
end

local function branch(run, step, ...)
  if select("#", ...) == 0 then
    return function()
      run.began[step.name] = core.clock()
      return finish_step(run, step, run_step(step, run.req, run.done))
    end
  end
  local arguments, n = { ... }, select("#", ...)
  return function()
    run.began[step.name] = core.clock()
    return finish_step(run, step, run_step(step, run.req, run.done, unpack(arguments, 1, n)))
  end
end

-- Seconds that all of it may take; nil: as long as the request.
local function time_of(options, req)
  local left = options.reserve and type(req) == "userdata" and req:time_left()
  if left then left = math.max(0.001, left - options.reserve) end
  if left and options.timeout then return math.min(left, options.timeout) end
  return left or options.timeout
end

-- What is not done when all is over.  stopped[i]: step i took too long by itself, and not with all the others.  Returns what
-- is missing, as an error, and that of a step that was late and must not.
local function settle(self, run, stopped)
  local missing, failure = {}, nil
  for _, i in ipairs(self.order) do
    local step = self.steps[i]
    if not run.state[step.name] then
      local late = stopped[i] == true
      note(run, step, late and "late" or run.began[step.name] and "canceled" or "skipped", late and step.timeout or nil)
      give_default(run, step)
      if late then
        local err = errors.new{ code = "timeout", message = ("a step took longer than %g seconds"):format(step.timeout),
                               detail = "step " .. step.name }
        run.failed[step.name] = err
        if step.optional then warn(run.req, step, err) else failure = failure or err end
      end
      if not (late and step.optional) then missing[#missing + 1] = step.name end
    end
  end
  if not missing[1] then return nil, failure end
  return errors.new{ code = "timeout", message = "the plan took longer than it may", missing = missing,
                     detail = "not done: " .. table.concat(missing, ", ") }, failure
end

--- Runs it: `done` when every step is; `done, err` when time was over before (err.missing says what is not);
--- `nil, err, done` when a step failed that must not.
function Plan:run(req, ...)
  local run = { req = req, done = {}, failed = {}, state = {}, began = {}, start = core.clock() }
  local fns = {}
  for i, step in ipairs(self.steps) do
    fns[i] = branch(run, step, ...)
    -- One that is stopped for being late has its default at once, for those that come behind it.
    if step.timeout then give_default(run, step) end
  end
  local all, err, stopped = core.result(core.spawn("all", fns, self.options.limit, "request", self.graph,
                                          time_of(self.options, req)))
  local partial, late = settle(self, run, stopped)
  if not all then return nil, late or err, run.done end
  return run.done, partial
end

-- -- Explaining ------------------------------------------------------------------------

local function explain_step(step)
  local out = { step.name }
  if step.after[1] then out[#out + 1] = "after " .. table.concat(step.after, ", ") end
  if step.timeout then out[#out + 1] = ("at most %g s"):format(step.timeout) end
  if step.retry > 0 then out[#out + 1] = ("tried %d times"):format(step.retry + 1) end
  if step.default ~= nil then out[#out + 1] = "has a default"
  elseif step.optional then out[#out + 1] = "may fail" end
  return table.concat(out, ", ")
end

--- What starts when, for people: a line for each step, under the number of its wave.
function Plan:explain()
  local out, wave = { ("plan%s: %d steps"):format(self.options.name and " '" .. self.options.name .. "'" or "", #self.steps) }, 1
  local left = #self.steps
  while left > 0 do
    out[#out + 1] = ("%d. %s"):format(wave, wave == 1 and "at once" or "when those before them are done")
    for i, step in ipairs(self.steps) do
      if self.deep[i] == wave then
        out[#out + 1] = "   " .. explain_step(step)
        left = left - 1
      end
    end
    wave = wave + 1
  end
  return table.concat(out, "\n")
end

return M

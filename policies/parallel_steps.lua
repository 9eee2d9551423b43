--- parallel_steps: what must be known before the call, found out at once.
--
--     { "parallel_steps",
--       steps = {
--         { name = "moderation", run = moderate, timeout = 0.5, required = true },
--         { name = "documents", run = retrieve, timeout = 1, default = {} },
--         { name = "ranked", run = rank, after = { "documents" } },
--       },
--       apply = function(req, results) ... end }
--
-- All steps run at the same time, each with its own timeout, unless one says what it
-- comes after; together they take as long as the slowest row of them.  A step that fails, throws or is late is replaced by its
-- default; one that is required ends the request with its error, and cancels
-- the others.  Then apply puts the results to use, and the call goes on.  When
-- apply returns a response, or nil and an error, that is the answer.
--
---@class ParallelStepsOptions
---@field steps ParallelStep[]
---@field apply async fun(req: perilune.Request, results: table<string, any>): perilune.Response?, perilune.Error?

---@class ParallelStep
---@field name string
---@field run async fun(req: perilune.Request, done: table<string, any>): any, perilune.Error?  must not change the
---                           request; done: results of the steps before it
---@field after? string[]     steps that come before it; default: none
---@field timeout? number     seconds, default 5
---@field default? any        the result when the step has none
---@field required? boolean   default false

local config = require "perilune.config"
local perilune = require "perilune"

local spec = {
  steps = { type = "list", of = { type = "table" }, required = true, min = 1 },
  apply = { type = "function", required = true },
}

local step_spec = {
  name = { type = "string", required = true, min = 1 },
  run = { type = "function", required = true },
  timeout = { type = "duration", default = 5, min = 0.001 },
  default = { type = "any" },
  required = { type = "boolean", default = false },
  after = { type = "list", of = { type = "string" } },
}

local function checked_steps(given)
  local steps, taken = {}, {}
  for i, step in ipairs(given) do
    steps[i] = config.options(step_spec, step, ("parallel_steps, step %d"):format(i))
    local name = steps[i].name
    if taken[name] then error(("policy 'parallel_steps': two steps are named '%s'"):format(name), 0) end
    taken[name] = true
  end
  return steps
end

-- The step's value; one that is required and has none fails.
local function runner(step)
  return function(req, done)
    local value, err = step.run(req, done)
    if value == nil and step.required then
      err = err or perilune.error{ code = "policy_error", message = "a step has no result", detail = "step " .. step.name }
    end
    return value, err
  end
end

local function plan_of(steps)
  local graph = {}
  for _, step in ipairs(steps) do
    local default = nil
    if not step.required then default = step.default end
    graph[step.name] = { run = runner(step), after = step.after, timeout = step.timeout, default = default,
                         optional = not step.required }
  end
  local ok, plan = pcall(perilune.plan, graph, { name = "parallel_steps" })
  if not ok then error(("policy 'parallel_steps': %s"):format(tostring(plan):gsub("^.-perilune%.plan: ", "")), 0) end
  return plan
end

return function(given)
  local options = config.options(spec, given, "parallel_steps")
  local plan = plan_of(checked_steps(options.steps))
  return function(req, next)
    local results, err = plan:run(req)
    if not results or err then return nil, err end

    local res, refused = options.apply(req, results)
    if res or refused then return res, refused end
    return next(req)
  end
end

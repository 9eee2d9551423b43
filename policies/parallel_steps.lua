--- parallel_steps: what must be known before the call, found out at once.
--
--     { "parallel_steps",
--       steps = {
--         { name = "moderation", run = moderate, timeout = 0.5, required = true },
--         { name = "documents", run = retrieve, timeout = 1, default = {} },
--       },
--       apply = function(req, results) ... end }
--
-- All steps run at the same time, each with its own timeout; together they take
-- as long as the slowest.  A step that fails, throws or is late is replaced by its
-- default; one that is required ends the request with its error, and cancels
-- the others.  Then apply puts the results to use, and the call goes on.  When
-- apply returns a response, or nil and an error, that is the answer.
--
---@class ParallelStepsOptions
---@field steps ParallelStep[]
---@field apply async fun(req: perilune.Request, results: table<string, any>): perilune.Response?, perilune.Error?

---@class ParallelStep
---@field name string
---@field run async fun(req: perilune.Request): any, perilune.Error?  must not change the request
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

-- The step's value, or nil and why there is none.
local function attempt(step, req)
  return perilune.race{
    function()
      local ok, value, err = pcall(step.run, req)
      if ok then return value, err end
      if type(value) == "table" and value.code then return nil, perilune.error(value) end -- thrown on purpose
      return nil, perilune.error{ code = "policy_error", message = "a step failed", detail = step.name .. ": " .. tostring(value) }
    end,
    function()
      perilune.sleep(step.timeout)
      return nil, perilune.error{
        code = "timeout", message = ("a step took longer than %g seconds"):format(step.timeout),
        detail = "step " .. step.name,
      }
    end,
  }
end

local function branch(step, req, results)
  return function()
    local value, err = attempt(step, req)
    if value == nil and step.required then
      return nil, err or perilune.error{ code = "policy_error", message = "a step has no result", detail = "step " .. step.name }
    end
    if value == nil then
      if err then req:log("warn", "step failed", { step = step.name, code = err.code, message = err.message, detail = err.detail }) end
      value = step.default
    end
    results[step.name] = value
    return true
  end
end

return function(given)
  local options = config.options(spec, given, "parallel_steps")
  local steps = checked_steps(options.steps)
  return function(req, next)
    local results, branches = {}, {}
    for i, step in ipairs(steps) do branches[i] = branch(step, req, results) end
    local ok, err = perilune.all(branches)
    if not ok then return nil, err end

    local res, refused = options.apply(req, results)
    if res or refused then return res, refused end
    return next(req)
  end
end

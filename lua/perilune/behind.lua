--- behind: tasks that run when the client has its reply.  For the policy after_reply.
--
--     req:finally --> core.after(req, fn) --> [ queue of the process, bounded ] --> fn(): tasks, all at once
--
-- What a task gets is a request of its own (core/bridge/l_after.c): the same messages, tenant and headers, with the
-- work's own deadline, so what it asks, fetches or logs is done in the name of that one.  A task that fails, throws
-- or is late is logged and counted, and the others go on.

local config = require "perilune.config"
local core = require "perilune.core"
local errors = require "perilune.errors"
local perilune = require "perilune"
local retry = require "perilune.retry"

local M = {}

M.outcomes = { "ok", "error", "left" }

local task_spec = {
  name = { type = "string", min = 1, max = 60 },
  run = { type = "function", required = true },
  timeout = { type = "duration", min = 0.001, max = 3600 },
  tries = { type = "integer", default = 1, min = 1, max = 10 },
  on = { type = "set", of = { type = "string", one_of = M.outcomes }, min = 1 },
}

--- The tasks of a policy's options in one form; throws what is wrong with them.
function M.tasks(options)
  local out, taken = {}, {}
  for i, given in ipairs(options.tasks) do
    local task = type(given) == "function" and { run = given } or given
    task = config.options(task_spec, task, ("after_reply, task %d"):format(i))
    task.name, task.timeout, task.on = task.name or tostring(i), task.timeout or options.timeout, task.on or options.on
    if taken[task.name] then error(("policy 'after_reply': two tasks are named '%s'"):format(task.name), 0) end
    taken[task.name], out[i] = true, task
  end
  return out
end

-- true, or nil and why not.
local function once(task, req, answer)
  return perilune.race{
    function()
      local ok, value, err = pcall(task.run, req, answer)
      if ok then
        if value == nil and err ~= nil then return nil, type(err) == "table" and err or errors.new{ message = tostring(err) } end
        return true
      end
      if type(value) == "table" and value.code then return nil, value end
      return nil, errors.new{ code = "policy_error", message = tostring(value), retryable = false }
    end,
    function()
      perilune.sleep(task.timeout)
      return nil, errors.new{ code = "timeout", retryable = true, message = ("it took longer than %g seconds"):format(task.timeout) }
    end,
  }
end

local function run(task, req, answer)
  local ok, err = retry.run(req, { tries = task.tries }, function() return once(task, req, answer) end)
  core.tally("parts", 1, "after_reply", task.name, ok and "ok" or "failed")
  if ok then return true end
  perilune.log("warn", "a task behind the reply failed", { task = task.name, code = err.code, message = err.message, detail = err.detail })
  return false
end

--- Has the tasks run behind the reply to req.  From req:finally().
---@param req perilune.Request
---@param tasks table[]
---@param answer table
---@param options { timeout: number, max_queue: integer, max_bytes: integer }
function M.later(req, tasks, answer, options)
  local result, tell = core.after(req, function()
    local own, good, branches = core.request(), true, {}
    for i, task in ipairs(tasks) do
      branches[i] = function()
        good = run(task, own, answer) and good
        return true
      end
    end
    perilune.all(branches)
    return good
  end, { timeout_ms = options.timeout * 1000, bytes = 1024 + #(answer.text or ""), max_queue = options.max_queue,
         max_bytes = options.max_bytes })
  if result == "full" and tell then
    perilune.log("warn", "after_reply: too much waits behind replies, so tasks are left out (max_queue, max_bytes)",
      { max_queue = options.max_queue, max_bytes = options.max_bytes })
  end
end

return M

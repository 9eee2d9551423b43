--- behind: tasks that run when the client has its reply.  For the policy after_reply.
--
--     req:finally --> core.after(req, fn) --> [ queue of the process, bounded ] --> fn(): tasks, all at once
--
--     req:finally --> core.after_keep(req, ...) --> [ queue of jobs ] --> perilune.job's runner --> one task   (durable)
--
-- What a task gets is a request of its own (core/bridge/l_after.c): the same messages, tenant and headers, with the
-- work's own deadline, so what it asks, fetches or logs is done in the name of that one.  A task that fails, throws
-- or is late is logged and counted, and the others go on.

local caught = require "perilune.caught"
local check = require "perilune.check"
local config = require "perilune.config"
local core = require "perilune.core"
local errors = require "perilune.errors"
local host = require "perilune.host"
local jobs = require "perilune.jobs"
local perilune = require "perilune"
local retry = require "perilune.retry"

local M = {}

M.outcomes = { "ok", "error", "left" }

local task_spec = {
  name = { type = "string", min = 1, max = 60 },
  run = { type = "function", required = true },
  timeout = { type = "duration", min = 0.001, max = 3600 },
  tries = { type = "integer", min = 1, max = 10 },
  durable = { type = "boolean" },
  on = { type = "set", of = { type = "string", one_of = M.outcomes }, min = 1 },
}

local function fail(text, ...) error("policy 'after_reply': " .. text:format(...), 0) end

--- The tasks of a policy's options in one form; throws what is wrong with them.
function M.tasks(options)
  local out, taken = {}, {}
  for i, given in ipairs(options.tasks) do
    local task = type(given) == "function" and { run = given } or given
    task = config.options(task_spec, task, ("after_reply, task %d"):format(i))
    if task.durable == nil then task.durable = options.durable end
    if task.durable then
      local name = task.name
      if not name then fail("task %d is durable, so it needs a name: that is what a restart finds it by", i) end
      if #name > 50 or name:find("[^%w_.-]") then
        fail("the name of a durable task has 1 to 50 letters, digits, '.', '_' and '-', not '%s'", name)
      end
    end
    task.name, task.timeout, task.on = task.name or tostring(i), task.timeout or options.timeout, task.on or options.on
    task.tries = task.tries or not task.durable and 1 or nil
    if taken[task.name] then fail("two tasks are named '%s'", task.name) end
    taken[task.name], out[i] = true, task
  end
  return out
end

-- true, or nil and why not.
local function once(task, req, answer)
  return perilune.race{
    function()
      local ok, value, err = caught(("after_reply: task '%s'"):format(task.name), task.run, req, answer)
      if not ok then return nil, value end
      if value == nil and err ~= nil then return nil, type(err) == "table" and err or errors.new{ message = tostring(err) } end
      return true
    end,
    function()
      perilune.sleep(task.timeout)
      return nil, errors.new{ code = "timeout", retryable = true, message = ("it took longer than %g seconds"):format(task.timeout) }
    end,
  }
end

local function tell_failed(task, err)
  perilune.log("warn", "a task behind the reply failed", { task = task.name, code = err.code, message = err.message, detail = err.detail })
end

local function run(task, req, answer)
  local ok, err = retry.run(req, { tries = task.tries }, function() return once(task, req, answer) end)
  core.tally("parts", 1, "after_reply", task.name, ok and "ok" or "failed")
  if ok then return true end
  tell_failed(task, err)
  return false
end

-- One try of a task that was kept: the queue decides about others.
local function run_kept(task, job)
  local answer, timeout = job.args.answer, job.args.timeout
  local ok, err = once({ name = task.name, run = task.run, timeout = timeout }, core.request(), answer)
  if ok then
    core.tally("parts", 1, "after_reply", task.name, "ok")
    return true
  end
  if jobs.is_over(job, err) then
    core.tally("parts", 1, "after_reply", task.name, "failed")
    tell_failed(task, err)
  end
  return nil, err
end

--- Makes the names of durable tasks stand for them, in this configuration; throws why that cannot be.
function M.define(tasks, options)
  local any = false
  for _, task in ipairs(tasks) do any = any or task.durable end
  if not any then
    if options.queue then fail("queue = '%s' is of tasks with durable = true, and none is", options.queue) end
    return
  end
  local queue = options.queue or "default"
  local known = host.queues()
  if not known then
    fail("durable = true keeps tasks as jobs, and the configuration keeps none; say where: jobs = { file = \"jobs.db\" }")
  end
  local message = check.missing("queue", queue, known)
  if message then fail("%s (jobs.queues of the configuration names them; in a spec, t.queues)", message) end
  for _, task in ipairs(tasks) do
    local place = task.durable and jobs.define_task(task.name, task.run, function(job) return run_kept(task, job) end)
    if place then fail("another durable task is named '%s' already, at %s", task.name, place) end
  end
end

local function tell_full(options)
  perilune.log("warn", "after_reply: too much waits behind replies, so tasks are left out (max_queue, max_bytes)",
    { max_queue = options.max_queue, max_bytes = options.max_bytes })
end

--- Has the tasks kept as jobs.  From req:finally().
function M.keep(req, tasks, answer, options)
  local list, said = {}, core.json_encode(answer)
  for i, task in ipairs(tasks) do
    list[i] = { task = task.name, max_tries = task.tries, told = ('{"timeout":%.3f,"answer":'):format(task.timeout) .. said .. "}" }
  end
  local result, tell = core.after_keep(req, list, { queue = options.queue or "default", max_queue = options.max_queue,
                                                    max_bytes = options.max_bytes })
  if result == "full" and tell then tell_full(options) end
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
  if result == "full" and tell then tell_full(options) end
end

return M

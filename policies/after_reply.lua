--- after_reply: what nobody should wait for is done when the client has its answer.
--
--     { "after_reply", tasks = {
--         function(req, answer) return perilune.fetch("http://127.0.0.1:9000/memory", { method = "POST", body = ... }) end,
--         { name = "summary", run = summarize, timeout = 60, tries = 3 },
--         { name = "alarm", run = alarm, on = { "error", "left" } },
--       } }
--
-- Memory, analytics, logs of one's own: each task gets a request like the client's (messages, tenant, headers, an id
-- that begins with the client's) and what became of it, { ok =, code =, text =, status =, usage =, upstream =, cache
-- =, ttft_ms =, total_ms = }.  It may wait, fetch, ask models; all of it is in the name of that request and within
-- its deadline, and delays neither the reply nor the next request of the connection.  The tasks of a request run at
-- the same time and share one account of CPU time and memory (limits); one that fails is logged, counted
-- (perilune_parts_total) and, with `tries`, tried again.
--
-- What waits is bounded in the process, by number and by bytes; when there is no room the tasks of a request are left
-- out, which the log says once a second, and perilune_after_reply_total counts.  When the program ends, tasks have
-- the time of `drain_timeout` like requests in flight; what is not done by then is given up.  A crash forgets them.
--
-- With `durable = true` (of the policy, or of a task) a task is kept as a job (`jobs` in the configuration): it is
-- written in the moment in which the reply ends, runs when the queue has a place for it, outlives kill -9, reloads and
-- restarts, and is tried again with growing pauses when its error may pass.  It is found by its name; one whose name the
-- configuration no longer has fails after its tries and is among the dead letters (/admin/jobs?status=failed).  It may
-- run twice (a process that dies between the work and saying so), so it should not mind that.
--
-- It belongs outermost: then `answer.text` is what the client got.
--
---@class AfterReplyOptions
---@field tasks (AfterReplyTask|async fun(req: perilune.Request, answer: table): any, perilune.Error?)[]
---@field on? string[]        after which outcomes: "ok" (default), "error", "left" (the client left before the end)
---@field timeout? number     seconds from the reply on, queued and running, default 30
---@field max_queue? integer  requests whose tasks wait or run, in the process, default 1000
---@field max_bytes? integer|string  of their bodies and answers, default 16 MiB
---@field durable? boolean    tasks are kept as jobs; default false
---@field queue? string       of jobs, for durable tasks, default "default"
--
---@class AfterReplyTask
---@field run async fun(req: perilune.Request, answer: table): any, perilune.Error?
---@field name? string        for the log and the counter; default: its number.  A durable one needs it
---@field timeout? number     seconds that each try may take
---@field tries? integer      default 1, of a durable one jobs.max_tries; again only after errors that may pass
---@field durable? boolean    default: that of the policy
---@field on? string[]        default: those of the policy

local behind = require "perilune.behind"
local config = require "perilune.config"

local spec = {
  tasks = { type = "list", of = { type = { "function", "table" } }, required = true, min = 1, max = 32 },
  on = { type = "set", of = { type = "string", one_of = behind.outcomes }, min = 1, default = { ok = true } },
  timeout = { type = "duration", default = 30, min = 0.001, max = 3600 },
  max_queue = { type = "integer", default = 1000, min = 1, max = 1000000 },
  max_bytes = { type = "size", default = 16 * 2 ^ 20, min = 1024, max = 2 ^ 30 },
  durable = { type = "boolean", default = false },
  queue = { type = "string", min = 1, max = 63 },
}

local function kind_of(outcome)
  if outcome.ok then return "ok" end
  return outcome.code == "canceled" and "left" or "error"
end

-- Those in memory, and those that are kept.
local function due(tasks, kind)
  local here, kept = {}, {}
  for _, task in ipairs(tasks) do
    if task.on[kind] then table.insert(task.durable and kept or here, task) end
  end
  return here, kept
end

return function(given)
  local options = config.options(spec, given, "after_reply")
  local tasks = behind.tasks(options)
  behind.define(tasks, options)
  return function(req, next)
    local answer = {}
    req:finally(function(outcome)
      local here, kept = due(tasks, kind_of(outcome))
      if not here[1] and not kept[1] then return end
      for _, name in ipairs{ "ok", "code", "usage", "cache", "ttft_ms", "total_ms" } do answer[name] = outcome[name] end
      if kept[1] then behind.keep(req, kept, answer, options) end
      if here[1] then behind.later(req, here, answer, options) end
    end)
    local res, err = next(req)
    if not res then return nil, err end
    res:record():finally(function(outcome)
      answer.text, answer.status, answer.upstream = outcome.text, res.status, res.upstream
    end)
    return res
  end
end

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
-- It belongs outermost: then `answer.text` is what the client got.
--
---@class AfterReplyOptions
---@field tasks (AfterReplyTask|async fun(req: perilune.Request, answer: table): any, perilune.Error?)[]
---@field on? string[]        after which outcomes: "ok" (default), "error", "left" (the client left before the end)
---@field timeout? number     seconds from the reply on, queued and running, default 30
---@field max_queue? integer  requests whose tasks wait or run, in the process, default 1000
---@field max_bytes? integer|string  of their bodies and answers, default 16 MiB
---@field durable? boolean    refused: what must survive a crash is a job
--
---@class AfterReplyTask
---@field run async fun(req: perilune.Request, answer: table): any, perilune.Error?
---@field name? string        for the log and the counter; default: its number
---@field timeout? number     seconds that each try may take
---@field tries? integer      default 1; again only after errors that may pass
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
}

local function kind_of(outcome)
  if outcome.ok then return "ok" end
  return outcome.code == "canceled" and "left" or "error"
end

local function due(tasks, kind)
  local out = {}
  for _, task in ipairs(tasks) do
    if task.on[kind] then out[#out + 1] = task end
  end
  return out
end

return function(given)
  local options = config.options(spec, given, "after_reply")
  if options.durable then
    error("policy 'after_reply': tasks are kept in memory, so durable = true cannot be promised; submit a job "
      .. "(perilune.jobs) from the policy for what must survive a crash", 0)
  end
  local tasks = behind.tasks(options)
  return function(req, next)
    local answer = {}
    req:finally(function(outcome)
      local list = due(tasks, kind_of(outcome))
      if not list[1] then return end
      for _, name in ipairs{ "ok", "code", "usage", "cache", "ttft_ms", "total_ms" } do answer[name] = outcome[name] end
      behind.later(req, list, answer, options)
    end)
    local res, err = next(req)
    if not res then return nil, err end
    res:record():finally(function(outcome)
      answer.text, answer.status, answer.upstream = outcome.text, res.status, res.upstream
    end)
    return res
  end
end

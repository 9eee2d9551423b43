--- jobs: perilune.jobs(name) and perilune.job(name, fn), questions that nobody waits for.
--
-- C keeps jobs and runs them (core.jobs_submit, jobs/runner.c, bridge/job_task.c); here options are checked, functions
-- have names, and what C says as JSON becomes a table.
--
--     submit(req, opts) ----------------> core.jobs_submit --> queue --> job_exchange.c: the route again
--     submit({ job =, args = }, opts) --> core.jobs_submit --> queue --> job_task.c --> run() --> fn(job)
--     after_reply, durable = true ------> core.after_keep  --> queue --> job_task.c --> run() --> fn(job)  (behind.lua)

local check = require "perilune.check"
local config = require "perilune.config"
local core = require "perilune.core"
local errors = require "perilune.errors"
local frame = require "perilune.frame"
local host = require "perilune.host"

local M = {}

local NAMES_MOST = 256

-- -- functions -------------------------------------------------------------------

local defined, count = {}, 0 -- name -> { fn, place }

-- Where a function is written: a policy that two routes have defines it twice, and means the same.
local function place_of(fn)
  local info = require("jit.util").funcinfo(fn)
  return ("%s:%s"):format(info.source or "?", info.linedefined or "?")
end

---@class perilune.Job
local job = {}
job.__index = job
job.__metatable = false

local handles = setmetatable({}, { __mode = "k" })
local patience = setmetatable({}, { __mode = "k" }) -- of each job: a refusal that says when to come back is no try of it

function job:progress(value)
  local handle = handles[self]
  if not handle then error("job:progress(x): call it with a colon", 2) end
  if value == nil then error("job:progress(x): x is nil", 2) end
  core.job_progress(handle, core.json_encode(value))
end

local function answered(value, err)
  if value == nil and err ~= nil then return nil, err end
  if value == nil then value = core.null end
  return core.json_encode(value)
end

--- Does a try that fails so end the job, or is there another?
function M.is_over(of, err)
  if not err.retryable then return true end
  return of.tries >= of.max_tries and not (patience[of] and core.says_later(err))
end

-- What C starts for a job.  name "": it is a request, in a spec.  patient: a refusal that says when to come back is no try.
local function run(handle, name, path, headers, body, id, tries, max_tries, tenant, queue, patient)
  if name == "" then return answered(host.job_request(path, headers, body, tenant, id)) end
  local fn = defined[name] and defined[name].fn
  if not fn then
    local task = name:match("^after_reply:(.*)")
    return nil, errors.new{ code = "job_unknown", status = 500, retryable = true,
      message = task and ("the configuration has no durable task '%s' (policy 'after_reply') any more"):format(task)
        or ("the configuration has no function '%s' (perilune.job)"):format(name) }
  end
  local args = core.json_decode(body)
  local self = setmetatable({ id = id, name = name, args = args, tries = tries, max_tries = max_tries, queue = queue,
                              tenant = tenant ~= "" and tenant or nil }, job)
  handles[self] = handle
  patience[self] = patient
  return answered(frame(fn, self))
end

local function check_name(what, name, level)
  if type(name) ~= "string" or #name < 1 or #name > 63 or name:find("[^%w_.-]") then
    error(("%s: a name is a string of 1 to 63 letters, digits, '.', '_' and '-', got %s"):format(what, check.show(name)),
      level + 1)
  end
end

-- nil, or where another function has this name.
local function define(what, name, fn, place, level)
  local before = defined[name]
  if before and before.place ~= place then return before.place end
  if not before and count >= NAMES_MOST then error(("%s: there are %d names already"):format(what, NAMES_MOST), level + 1) end
  core.job_entry(run)
  if not before then
    defined[name], count = { fn = fn, place = place }, count + 1
  end
end

function M.define(name, fn)
  check_name("perilune.job", name, 2)
  if type(fn) ~= "function" then error("perilune.job(name, fn): fn is a function, got " .. check.show(fn), 2) end
  local place = define("perilune.job", name, fn, place_of(fn), 2)
  if place then error(("perilune.job: '%s' is defined already, at %s"):format(name, place), 2) end
end

--- A task of the policy after_reply that is kept as a job: what(job) runs fn, and fn is what the name stands for.
---@return string? place  where another function has this name
function M.define_task(name, fn, what)
  return define("policy 'after_reply'", "after_reply:" .. name, what, place_of(fn), 2)
end

--- No function is defined any more: between two tests.
function M.forget() defined, count = {}, 0 end

--- Runs what comes, also where no function is defined: names of yesterday, requests of a spec.
function M.serve() core.job_entry(run) end

-- -- queues -------------------------------------------------------------------------

---@class perilune.Jobs
local jobs = {}
jobs.__index = jobs
jobs.__metatable = false

local queues = setmetatable({}, { __mode = "k" }) -- of each, its name

local submit_spec = {
  priority = { type = "integer", default = 0, min = -100, max = 100 },
  delay = { type = "duration", max = 3.2e9 },
  not_before = { type = "number", min = 0, max = 253402300799 },
  expires = { type = "number", min = 0, max = 253402300799 },
  keep = { type = "duration", min = 1, max = 3.2e9 },
  max_tries = { type = "integer", min = 1, max = 100 },
  key = { type = "string", min = 1, max = 255 },
  webhook = { type = "string", min = 1, max = 2047 },
  tenant = { type = "string", min = 1, max = 127 },
}

local request_fields = { path = true, body = true, headers = true }
local function_fields = { job = true, args = true }

local function checked(given, level)
  local ok, out = pcall(config.options, submit_spec, given, "jobs:submit")
  if not ok then error(tostring(out):gsub("^policy '([^']*)'", "%1"), level + 1) end
  if out.delay and out.not_before then error("jobs:submit: both delay and not_before; keep one of them", level + 1) end
  if out.webhook and not out.webhook:find("^https?://[%w%[]") then
    error("jobs:submit: option 'webhook' is a URL that begins with https:// or http://", level + 1)
  end
  if out.delay then out.not_before = core.now() + out.delay end
  return out
end

local function lines_of(headers, level)
  local out = {}
  for _, name in ipairs(check.keys(headers or {})) do
    local value = headers[name]
    local problem = type(value) ~= "string" and "is not a string" or core.header_problem(tostring(name), value)
    if problem then error(("jobs:submit: headers['%s'] %s"):format(tostring(name), problem), level + 1) end
    out[#out + 1] = ("%s: %s\r\n"):format(name, value)
  end
  return table.concat(out)
end

local function describe_request(what, out, level)
  check.known("jobs:submit", what, request_fields, level + 1)
  if type(what.path) ~= "string" or not what.path:find("^/[^%c%s]*$") or #what.path > 8192 then
    error("jobs:submit{ path = ... }: the path begins with / and has no spaces, got " .. check.show(what.path), level + 1)
  end
  out.path = what.path
  out.body = type(what.body) == "table" and core.json_encode(what.body) or what.body or ""
  if type(out.body) ~= "string" then error("jobs:submit{ body = ... }: a string or a table", level + 1) end
  out.headers = lines_of(what.headers, level + 1)
  if type(what.body) == "table" and not out.headers:lower():find("content-type:", 1, true) then
    out.headers = out.headers .. "content-type: application/json\r\n"
  end
end

local function describe_function(what, out, level)
  check.known("jobs:submit", what, function_fields, level + 1)
  check_name("jobs:submit{ job = ... }", what.job, level + 1)
  out.job = what.job
  out.body = what.args == nil and "null" or core.json_encode(what.args)
end

local function decoded(json, more)
  if json == nil then return nil, more end
  local out = core.json_decode(json)
  for _, key in ipairs{ "progress", "result", "error" } do
    if out[key] == core.null then out[key] = nil end
  end
  return out, more
end

local function name_of(self, what)
  return queues[self] or error(("jobs:%s: call it with a colon"):format(what), 3)
end

function jobs:submit(what, opts)
  local name = name_of(self, "submit(req, options)")
  local out, req = checked(opts, 2), nil
  if type(what) == "userdata" then req = what
  elseif type(what) ~= "table" then
    error("jobs:submit(req, options): a request, { path =, body =, headers = }, or { job =, args = }, got "
          .. check.show(what), 2)
  elseif what.job ~= nil then describe_function(what, out, 2)
  else describe_request(what, out, 2) end
  out.queue, out.delay = name, nil
  return decoded(core.result(core.jobs_submit(req, out)))
end

function jobs:get(id)
  name_of(self, "get(id)")
  if type(id) ~= "string" then error("jobs:get(id): the id is a string, got " .. check.show(id), 2) end
  return decoded(core.result(core.jobs_get(id)))
end

function jobs:cancel(id)
  name_of(self, "cancel(id)")
  if type(id) ~= "string" then error("jobs:cancel(id): the id is a string, got " .. check.show(id), 2) end
  return decoded(core.result(core.jobs_cancel(id)))
end

--- What POST /v1/async/PATH answers: a policy that made a job of a request returns it.
function jobs:accepted(made)
  name_of(self, "accepted(job)")
  if type(made) ~= "table" or type(made.id) ~= "string" then
    error("jobs:accepted(job): the job is what jobs:submit() returned, got " .. check.show(made), 2)
  end
  local body = core.json_encode{ id = made.id, status = made.status }
  local res = core.respond{ body = body, status = 202, stream = false }
  res.headers.location = "/v1/async/" .. made.id
  res.headers["cache-control"] = "no-store"
  return res
end

function M.open(name)
  if name == nil then name = "default" end
  check_name("perilune.jobs", name, 2)
  local known = host.queues()
  if not known then
    error("perilune.jobs: no jobs are kept; jobs = { file = \"jobs.db\" } in the configuration turns them on", 2)
  end
  local message = check.missing("queue", name, known)
  if message then
    error(("perilune.jobs: %s (jobs.queues of the configuration names them; in a spec, t.queues)"):format(message), 2)
  end
  local self = setmetatable({}, jobs)
  queues[self] = name
  return self
end

return M

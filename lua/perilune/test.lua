--- test: the kit for testing policies without a server.
--
--     local t = require "perilune.test"
--
--     t.test("falls back when the first upstream is down", function()
--       t.upstream("first", { status = 503 })
--       t.upstream("second", { text = "hello", delay = 2 })
--       local res = t.run("fallback", { upstreams = { "first", "second" } }, t.request("hi"))
--       t.equal(res:text(), "hello")
--       t.equal(t.clock(), 2)
--     end)
--
-- Upstreams are scripted, time is virtual: a test that sleeps for an hour is over
-- at once.  `perilune test FILE...` runs each file in a fresh state.
--
-- Requests and responses are the real ones; only the calls to the outside
-- (the functions of perilune.host) are replaced while a test runs.  What a scripted upstream
-- sends is bytes, which the reader of real upstreams' answers reads.
--
-- A policy has the CPU time and memory that it has in a gateway (t.limits); the spec around it and the
-- kit's own work on upstreams have no limits.

local boot = require "perilune.boot"
local check = require "perilune.check"
local config = require "perilune.config"
local core = require "perilune.core"
local perilune = require "perilune"
local host = require "perilune.host"
local errors = require "perilune.errors"
local answer = require "perilune.test_answer"
local assertions = require "perilune.test_assert"
local stage = require "perilune.test_scene"
local upstreams = require "perilune.test_upstreams"

local M = {}
local scene, in_account, finish = stage.scene, stage.in_account, stage.finish

-- A compiled loop counts no instructions, so nothing would end it: functions of a spec are interpreted, as
-- policies are.
local jit = rawget(_G, "jit")
if jit then jit.off() end

local results = { passed = 0, failed = 0, failures = {} }

local lines = {} -- of the log, that logs() has read

local function forget_lines()
  core.log_lines()
  lines = {}
end

-- -- from the other files ------------------------------------------------------

M.clock = stage.clock
M.upstream = upstreams.upstream
M.upstream_of = upstreams.upstream_of
M.fetch = upstreams.fetch
M.calls = upstreams.calls
M.next = upstreams.next
M.equal = assertions.equal
M.ok = assertions.ok
M.near = assertions.near
M.match = assertions.match
M.error = assertions.error

-- -- requests and policies -----------------------------------------------------

local limit_options = { cpu_ms = true, block_ms = true, memory = true }
local not_body = { body = true, headers = true, tenant = true, method = true, path = true }

--- A request as a client would send it.
--
--     t.request("hi")                                      one user message
--     t.request{ model = "m", messages = {...} }           fields of the body
--     t.request{ body = '{"model":"m"}', headers = { ["x-tier"] = "free" }, tenant = "acme" }
---@param what string|table
---@return perilune.Request
function M.request(what)
  if type(what) == "string" then what = { messages = { { role = "user", content = what } } } end
  local body = what.body
  if body == nil then
    body = { model = "test" }
    for k, v in pairs(what) do
      if not not_body[k] then body[k] = v end
    end
    body.messages = body.messages or { { role = "user", content = "hello" } }
  end
  if type(body) ~= "string" then body = perilune.json.encode(body) end
  local req, err = core.new_request(what.method or "POST", what.path or "/v1/chat/completions", what.headers or {}, body)
  if not req then error("t.request: " .. err.message, 2) end
  if what.tenant then req.tenant = what.tenant end
  return req
end

--- A policy, ready to be called with a request and `next`.
---@param policy string|function  the name of a policy file, or what such a file returns
---@param options? table          nil for a function: it is the policy itself, function(req, next)
---@return fun(req: perilune.Request, next: function): perilune.Response?, perilune.Error?
function M.policy(policy, options)
  if type(policy) ~= "string" and type(policy) ~= "function" then
    error("a policy is the name of its file or a function(req, next), got " .. check.show(policy), 3)
  end
  if type(policy) == "function" then
    return options == nil and policy or policy(options)
  end
  local factory, why = host.policy(policy)
  if not factory then error(tostring(why), 2) end
  return factory(options or {})
end

-- A request stands third, and is easily forgotten, or put where the options are.
local function check_run(what, options, req)
  if type(req) == "userdata" then return end
  error(("%s(policy, options, req): req is a request, such as t.request(\"hi\"), got %s%s"):format(what, check.show(req),
    type(options) == "userdata" and "; it stands in the place of the options: put nil in front of it" or ""), 3)
end

--- Runs a policy on a request.
---@async
---@param policy string|function
---@param options? table
---@param req perilune.Request
---@param next? function  default: the scripted upstream that a gateway would choose
---@return perilune.Response?
---@return perilune.Error?
function M.run(policy, options, req, next)
  check_run("t.run", options, req)
  forget_lines()
  return finish(in_account("limited", M.policy(policy, options), req, next or boot.terminal()))
end

--- What policies may use in this test: cpu_ms, block_ms, memory, as under `limits` of a configuration.  What is
--- not given has the default of a gateway.
---@param limits { cpu_ms?: integer, block_ms?: integer, memory?: integer|string }
function M.limits(limits)
  check.known("t.limits", limits, limit_options)
  core.set_limits(config.limits(limits))
end

-- -- a whole request --------------------------------------------------------------

local send_options = { next = true, leave = true }

---@class perilune.Reply  what the client got
---@field status integer      499: it left before
---@field headers table<string, string>  those that policies set, of an error also retry-after
---@field text string         of choice 0, as far as it came
---@field body? any           an answer that does not stream, or the error in place of one: decoded
---@field events string[]     of a stream: the data of each event; an error inside of it is the last
---@field done boolean        all of it came
---@field error? perilune.Error  why not, or what was answered instead
---@field upstream? string
---@field saved { tokens: number, cost: number }
---@field usage? table        prompt_tokens, completion_tokens, total_tokens, as the upstream said or it was counted
---@field cache? string       as x-cache says: "hit", "stale" and "coalesced" were not paid for
---@field ttft? number        seconds to the first event
---@field total number        seconds to the end

-- A body that is no JSON stays a string.
local function decoded(body)
  if body == nil then return nil end
  local ok, value = pcall(core.json_decode, body)
  if ok and value ~= nil then return value end
  return body
end

--- The policies of a route, as a configuration lists them ({ "name", option = ... }, "name" or function(req, next)),
--- each ready to be called.
---@param list table
---@return function[]
function M.policies(list)
  local out = {}
  for i, one in ipairs(list) do
    local own = {}
    for k, v in pairs(type(one) == "table" and one or {}) do if k ~= 1 then own[k] = v end end
    out[i] = type(one) == "table" and M.policy(one[1], own) or M.policy(one)
  end
  return out
end

--- Serves a request as a gateway does, to its end: policies, the answer, the functions of finally.  The reply
--- is what the client got.  A policy that throws answers 500 here, where run() throws; why is in logs().
---@async
---@param policy string|function|table  or the list of policies of a route
---@param options? table
---@param req perilune.Request   is finished afterwards
---@param opts? { next?: function, leave?: number }  leave: the client leaves after so many seconds
---@return perilune.Reply
function M.send(policy, options, req, opts)
  check_run("t.send", options, req)
  check.known("t.send", opts, send_options)
  forget_lines()
  local chain = boot.compose(type(policy) == "table" and M.policies(policy) or { M.policy(policy, options) }, opts and opts.next or boot.terminal())
  local reply = core.result(core.serve(req, function() return chain(req) end, opts and opts.leave))
  reply.body = decoded(reply.body)
  reply.headers = {}
  for name, value in reply.lines:gmatch("([^:\r\n]+): ([^\r\n]*)\r\n") do reply.headers[name:lower()] = value end
  reply.lines = nil
  return reply
end

-- What a simulation has the real ones of: its upstreams are a gateway's, but for who is behind them.
local doors = { "call", "health", "guard", "rests", "upstreams" }

-- Runs fn with the upstreams and pools of a configuration (as config.check() gives it), which ask() plays (core.play).
local function with_played(conf, seed, ask, fn)
  local fake = { describe = host.describe, trial = host.trial }
  local names, by_name = boot.upstreams(conf)
  core.play(core.json_encode{ upstreams = core.json_array(conf.upstreams), pools = core.json_array(conf.pools) }, seed, ask)
  for _, door in ipairs(doors) do fake[door], host[door] = host[door], scene().real[door] end
  host.describe = function(name) return by_name[name] end
  host.trial = function(_, name) return by_name[name] ~= nil end -- nobody waits for it
  core.known_upstreams(names)
  local ok, why = xpcall(fn, function(e) return e end)
  for door, function_ in pairs(fake) do host[door] = function_ end
  core.known_upstreams(upstreams.fakes.upstreams())
  core.play()
  if not ok then error(why, 0) end
end

--- Traffic through policies, hours in seconds; see lua/perilune/simulate.lua.
---@async
---@param options table
---@return perilune.SimulationReport
function M.simulate(options)
  return require("perilune.simulate").run(M, options, { with_played = with_played, timetable = answer.timetable })
end

-- -- the log -------------------------------------------------------------------

-- Of every line, and not of the policy that logs.
local of_lines = { time = true, level = true, msg = true, request_id = true }

---@class perilune.LogLine
---@field level string  "error", "warn", "info", "debug"
---@field text string
---@field fields table
---@field request_id? string  of req:log()

--- What was logged since the last run() or send() began, whatever the level, in order.
---@return perilune.LogLine[]
function M.logs()
  for text in core.log_lines():gmatch("[^\n]+") do
    local line, fields = core.json_decode(text), {}
    for k, v in pairs(line) do
      if not of_lines[k] then fields[k] = v end
    end
    lines[#lines + 1] = { level = line.level, text = line.msg, fields = fields, request_id = line.request_id }
  end
  return lines
end

-- -- the clock -----------------------------------------------------------------

--- Lets time pass.
---@async
---@param seconds number
function M.advance(seconds)
  perilune.sleep(seconds)
end

-- -- routes, files, jobs, the program --------------------------------------------

--- A route whose policies perilune.ask{ route = name } goes through; its calls go to the scripted upstream that a
--- gateway would choose.
---@param name string
---@param policies table  as a configuration lists them
function M.route(name, policies)
  local routes = scene().routes
  routes[#routes + 1] = { index = #routes + 1, label = name, run = boot.begins(boot.compose(M.policies(policies), boot.terminal())) }
end

local function fake_route(name)
  local known = {}
  for i, route in ipairs(scene().routes) do
    if route.label == name then return route end
    known[i] = route.label
  end
  return nil, known
end

-- Files stay in memory: whole lines, up to their size.
local function fake_capture(path, max_bytes, _, line)
  local file = scene().captured[path] or { bytes = 0 }
  scene().captured[path] = file
  if file.bytes + #line + 1 > max_bytes then return "full", "" end
  file.bytes = file.bytes + #line + 1
  file[#file + 1] = perilune.json.decode(line)
  return "taken", ""
end

--- The records that the policy capture has written to a file so far.
---@param path string
---@return table[]
function M.captured(path) return scene().captured[path] or {} end

-- As job_exchange.c has it: the policies of its route, which t.jobs() says, and the whole answer.
local function fake_job_request(path, headers, body, tenant, id)
  local lines = {}
  for name, value in headers:gmatch("([^:\r\n]+): ([^\r\n]*)\r\n") do lines[name] = value end
  local fields = decoded(body)
  if type(fields) == "table" and fields.stream then -- the result is a whole answer
    fields.stream, fields.stream_options = nil, nil
    body = core.json_encode(fields)
  end
  local req, err = core.new_request("POST", path:match("^[^?]*"), lines, body)
  if not req then return nil, err end
  if tenant ~= "" then req.tenant = tenant end
  core.of_job(req, id)
  local chain = boot.compose(M.policies(scene().job_policies or {}), boot.terminal())
  local reply = core.result(core.serve(req, function() return chain(req) end))
  if reply.error then return nil, reply.error end
  return decoded(reply.body)
end

--- The policies that jobs which are requests go through in this test, as a route of a configuration lists them.
---@param policies table
function M.jobs(policies) scene().job_policies = policies end

--- Queues of jobs that this test has besides "default": those that the configuration names (jobs.queues).
---@param names string[]
function M.queues(names)
  local queues = { "default" }
  local ok, message = check.value({ type = "list", of = { type = "string", min = 1, max = 63 } }, names)
  if not ok then error("t.queues(names) " .. message, 2) end
  for _, name in ipairs(names) do queues[#queues + 1] = name end
  scene().queues = queues
end

local function fake_queues() return scene().queues end

-- What goes to a program and comes back has been JSON on the way, for a table.
local function as_sent(value)
  if type(value) ~= "table" and type(value) ~= "userdata" or value == core.null then return value end
  return core.json_decode(core.json_encode(value))
end

local function play_host(fn, ...)
  local args, n = { ... }, select("#", ...)
  for i = 1, n do
    if type(args[i]) == "function" then error(("host: argument %d is a function"):format(i), 0) end
    args[i] = as_sent(args[i])
  end
  local value, err = fn(unpack(args, 1, n))
  if value == nil and err ~= nil then return nil, type(err) == "table" and errors.new(err) or errors.new{ code = "host_error", message = tostring(err) } end
  return as_sent(value)
end

local function fake_program(name)
  local fn = scene().host[name]
  if fn then return function(...) return finish(in_account("free", play_host, fn, ...)) end end
  return nil, check.keys(scene().host)
end

--- Stands in for functions of the program that policies call: host.NAME(...).
---@param functions table<string, function>
function M.host(functions)
  if type(functions) ~= "table" then error("t.host{ NAME = function(...) ... end }", 2) end
  for name, fn in pairs(functions) do
    if type(name) ~= "string" or type(fn) ~= "function" then
      error(("t.host: '%s' must be a function, got %s"):format(tostring(name), check.show(fn)), 2)
    end
    scene().host[name] = fn
  end
end

--- Sets what perilune.values.NAME is, as the program does while policies run; perilune.json.null is JSON's null.
---@param values table<string, any>
function M.values(values)
  if type(values) ~= "table" then error("t.values{ NAME = value }", 2) end
  for name, value in pairs(values) do
    core.value_set(name, core.json_encode(value))
  end
end

-- -- running -------------------------------------------------------------------

local fakes = {
  program = fake_program, route = fake_route, capture = fake_capture, job_request = fake_job_request, queues = fake_queues,
}
for door, fake in pairs(upstreams.fakes) do fakes[door] = fake end

--- Runs body in a world of its own: no upstreams yet, empty stores, time at zero.
---@async
---@param body async fun()
---@param handler? function  of what it throws, default: none
---@return boolean ok
---@return any why
function M.world(body, handler)
  local kept = {}
  for k, fake in pairs(fakes) do
    kept[k] = host[k] or false
    host[k] = fake
  end
  stage.enter{ real = kept, upstreams = {}, routes = {}, fetches = {}, captured = {}, guarded = {}, host = {},
               queues = { "default" }, start = perilune.now() }
  core.known_upstreams({})
  core.after_drop()
  core.fresh_stores()
  require("perilune.batch").forget()
  require("perilune.jobs").forget()
  require("perilune.model_fields").forget()
  require("perilune.jobs").serve()
  require("perilune.warm").forget()
  M.limits{}
  forget_lines()

  local ok, why = xpcall(body, handler or function(e) return e end)
  stage.enter(nil)
  for k, v in pairs(kept) do host[k] = v or nil end
  return ok, why
end

local function write(line)
  local io = rawget(_G, "io")
  if io then io.write(line, "\n") else print(line) end
end

-- A traceback says more than the message only where no assertion failed.
local function traced(e)
  local debug = rawget(_G, "debug")
  e = type(e) == "table" and (e.message or assertions.show(e)) or tostring(e)
  return debug and not e:find("expected", 1, true) and debug.traceback(e, 2) or e
end

--- One test.  Runs at once; a failing one does not keep the others from running.
---@async
---@param name string
---@param body async fun()
function M.test(name, body)
  local ok, message = M.world(body, traced)
  if ok then
    results.passed = results.passed + 1
    write("ok      " .. name)
  else
    results.failed = results.failed + 1
    table.insert(results.failures, name .. ": " .. tostring(message))
    write("FAILED  " .. name)
    write("        " .. tostring(message):gsub("\n", "\n        "))
  end
end

--- What has run so far in this state.
---@return integer passed
---@return integer failed
---@return string[] failures
function M.summary()
  return results.passed, results.failed, results.failures
end

return M

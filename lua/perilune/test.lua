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
local frame = require "perilune.frame"

local M = {}

---@class perilune.Script  what a scripted upstream does with one call
---@field text? string         the answer
---@field chunks? string[]     the answer in pieces, as a stream delivers them
---@field ttft? number         seconds before the first piece of a stream
---@field itl? number          seconds between two pieces
---@field delay? number        seconds before there is any answer
---@field status? integer      200; 400 and more is a failure
---@field code? string         of the failure
---@field retry_after? number  of the failure, in seconds
---@field error? table         a failure as perilune.error{...} takes it
---@field usage? table
---@field model? string
---@field reasoning? string    before the text
---@field refusal? string
---@field tool_calls? { id?: string, name: string, arguments?: string|table }[]
---@field finish_reason? string  default "stop", or "tool_calls"
---@field logprobs? number[]   of its tokens, when the request asks for them: the n-th of `chunks` is the n-th token, and
---                            more of them than pieces come with the last one
---@field choices? table[]     for n > 1: each with text, chunks, reasoning, refusal, tool_calls, finish_reason, logprobs
---@field events? (string|table)[]  instead: the data of each event of the stream, as it is sent
---@field body? string|table   instead: the body of an answer that does not stream
---@field breaks? true|table   the answer breaks off behind its pieces: true, the upstream ends it; a table, as
---                            perilune.error{...} takes it: the connection fails so
---@field health? table       what perilune.upstream(name):health() says on top of `healthy`: { state = "open", wait = 5 };
---                            `breaker` refuses the calls of one whose state is open
---@field upstream? table     settings as in the configuration: price, model, models, urls, key = "client"

---@class perilune.Call  what a scripted upstream remembers of one call
---@field upstream string
---@field at number       seconds since the test began
---@field opts table      of chat(req, opts)
---@field model string?
---@field text string     the body as it went out
---@field body table      the same, decoded
---@field outcome? string "ok" or an error code; nil: it was canceled while it waited

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

-- fn in an account of its own: "limited", as a policy is, or "free".  Results of pcall; or nil and the
-- failure of one that used up its time or memory.
local function in_account(account, fn, ...)
  local arguments, n = { ... }, select("#", ...)
  return core.result(core.spawn("race", {
    function() return xpcall(frame, core.place, fn, unpack(arguments, 1, n)) end,
  }, 1, account))
end

local function finish(ok, ...)
  if ok == false then error((...), 0) end
  if ok == nil then return nil, (...) end
  return ...
end

-- Of the test that runs: upstreams = name -> { script, calls }, fetches, start.
local current

local function scene()
  return current or error("call this inside of t.test(name, function() ... end)", 3)
end

-- -- scripted upstreams --------------------------------------------------------

-- script is a description, a list of them (the last one repeats), or a function.
local function description(script, req, n)
  if type(script) == "function" then return script(req, n) end
  if type(script[1]) == "table" then return script[math.min(n, #script)] end
  return script
end

local script_fields = {
  text = true, chunks = true, ttft = true, itl = true, delay = true, status = true, code = true,
  retry_after = true, error = true, usage = true, model = true, upstream = true,
  reasoning = true, refusal = true, tool_calls = true, finish_reason = true, choices = true, events = true, body = true,
  breaks = true, health = true, logprobs = true,
}
local choice_fields = {
  text = true, chunks = true, reasoning = true, refusal = true, tool_calls = true, finish_reason = true, logprobs = true,
}
local fetch_fields = { status = true, body = true, text = true, headers = true, delay = true, error = true }

local function known_script(d, level)
  check.known("t.upstream", d, script_fields, level)
  for _, choice in ipairs(d.choices or {}) do check.known("t.upstream: choices", choice, choice_fields, level) end
end

-- As call.c has it: a client gets 4xx, 503 and 504 as they are, 529 as 503, any other as 502.
local function failure(name, d)
  local err = {}
  for k, v in pairs(d.error or {}) do err[k] = v end
  if not err.code and not d.code and d.status then
    err.code = d.status == 429 and "rate_limit_exceeded" or "upstream_status"
    if err.retryable == nil then
      err.retryable = errors.is_retryable(d.status)
    end
  end
  err.status = err.status or (d.status and core.client_status(d.status))
  err.code = err.code or d.code
  err.message = err.message or d.text
  err.retry_after = err.retry_after or d.retry_after
  err.upstream = err.upstream or name
  return errors.new(err)
end

-- -- what an upstream sends, in OpenAI's form --------------------------------------

local null = core.null

local function tool_calls(list, with_index)
  local out = {}
  for i, c in ipairs(list) do
    local arguments = type(c.arguments) == "string" and c.arguments or core.json_encode(c.arguments or {})
    out[i] = { id = c.id or "call_" .. i, type = "function", ["function"] = { name = c.name, arguments = arguments } }
    if with_index then out[i].index = i - 1 end
  end
  return out
end

-- Of the n-th piece of `count`, as choices[].logprobs; nil: nothing is said of it.
local function logprobs_of(choice, pieces, n)
  local list, said = choice.logprobs, {}
  if not list then return nil end
  for i = n, n < #pieces and n or math.max(n, #list) do
    if list[i] then said[#said + 1] = { token = i == n and pieces[n] or "", logprob = list[i], top_logprobs = core.json_array{} } end
  end
  return said[1] and { content = said } or nil
end

-- The deltas of one choice, in the order in which models send them, and what is said of the tokens in each.
local function deltas(choice)
  local out, logs = {}, {}
  if choice.reasoning then out[#out + 1] = { reasoning_content = choice.reasoning } end
  local pieces = choice.chunks or { choice.text }
  for n, piece in ipairs(pieces) do
    out[#out + 1] = { content = piece }
    logs[#out] = logprobs_of(choice, pieces, n)
  end
  if choice.refusal then out[#out + 1] = { refusal = choice.refusal } end
  for _, c in ipairs(choice.tool_calls and tool_calls(choice.tool_calls, true) or {}) do
    out[#out + 1] = { tool_calls = { c } }
  end
  if not out[1] then out[1] = { content = "" } end
  out[1].role = "assistant"
  return out, logs
end

-- Of a whole answer.
local function logprobs(choice)
  local all, pieces = {}, choice.chunks or { choice.text }
  for n in ipairs(pieces) do
    for _, one in ipairs((logprobs_of(choice, pieces, n) or {}).content or {}) do all[#all + 1] = one end
  end
  return all[1] and { content = all } or nil
end

local function message(choice)
  local text = choice.text or choice.chunks and table.concat(choice.chunks)
  return {
    role = "assistant", content = text or (choice.tool_calls or choice.refusal) and null or "",
    reasoning_content = choice.reasoning, refusal = choice.refusal,
    tool_calls = choice.tool_calls and tool_calls(choice.tool_calls),
  }
end

local function reason(choice)
  return choice.finish_reason or (choice.tool_calls and "tool_calls" or "stop")
end

local function usage_of(d)
  local u = d.usage
  if not u then return nil end
  local prompt, completion = u.prompt_tokens or 0, u.completion_tokens or 0
  return { prompt_tokens = prompt, completion_tokens = completion, total_tokens = prompt + completion,
           prompt_tokens_details = u.cached_tokens and { cached_tokens = u.cached_tokens } or nil,
           completion_tokens_details = u.reasoning_tokens and { reasoning_tokens = u.reasoning_tokens } or nil }
end

local function data(value)
  return "data: " .. (type(value) == "string" and value or core.json_encode(value)) .. "\n\n"
end

-- Choices alternate, as the models' own do.
local function stream_pieces(d, model, asked)
  local pieces, lists, logs, more = {}, {}, {}, true
  local choices = d.choices or { d }
  local function chunk(list, usage)
    return data{ id = "chatcmpl-test", object = "chat.completion.chunk", created = 0, model = model,
                 choices = core.json_array(list), usage = usage }
  end
  for _, event in ipairs(d.events or {}) do pieces[#pieces + 1] = data(event) end
  if not d.events then
    for i, choice in ipairs(choices) do lists[i], logs[i] = deltas(choice) end
  end
  for n = 1, math.huge do
    more = false
    for i, list in ipairs(lists) do
      if list[n] then
        more = true
        pieces[#pieces + 1] = chunk{ { index = i - 1, delta = list[n], finish_reason = null,
                                       logprobs = asked and logs[i][n] or nil } }
      end
    end
    if not more then break end
  end
  if d.breaks then return pieces end
  local last = ""
  if not d.events then
    for i, choice in ipairs(choices) do
      last = last .. chunk{ { index = i - 1, delta = {}, finish_reason = reason(choice) } }
    end
  end
  if d.usage then last = last .. chunk({}, usage_of(d)) end
  return pieces, last .. data "[DONE]"
end

local function whole(d, model, asked)
  if d.body then return type(d.body) == "string" and d.body or core.json_encode(d.body) end
  local list = {}
  for i, choice in ipairs(d.choices or { d }) do
    list[i] = { index = i - 1, message = message(choice), finish_reason = reason(choice),
                logprobs = asked and logprobs(choice) or nil }
  end
  return core.json_encode{ id = "chatcmpl-test", object = "chat.completion", created = 0, model = model,
                           choices = list, usage = usage_of(d) }
end

-- What comes and when: { bytes, seconds } ..., the seconds until the end, and the content type.
local function timetable(d, req)
  local model, itl = d.model or req.model or "test", d.itl or 0
  local at = (d.delay or 0) + (d.ttft or 0)
  if req.stream ~= true then
    local count = d.chunks and #d.chunks or 1
    at = at + itl * math.max(0, count - 1)
    local bytes = whole(d, model, req.logprobs == true)
    if d.breaks then bytes = bytes:sub(1, math.floor(#bytes / 2)) end
    return { { bytes, at } }, at, "application/json"
  end
  local pieces, last = stream_pieces(d, model, req.logprobs == true)
  local list = {}
  for i, bytes in ipairs(pieces) do list[i] = { bytes, at + itl * (i - 1) } end
  local done = at + itl * #pieces
  if last then list[#list + 1] = { last, done } end
  return list, done, "text/event-stream"
end

local function play_it(entry, name, req, opts)
  local timeout = opts and opts.timeout
  local shared, failed = core.result(core.scripted_join(req, name, timeout)) -- before it is a call
  if shared or failed then return shared, failed end
  local call = { upstream = name, at = M.clock(), opts = opts or {}, model = req.model }
  if not entry.forgets then
    call.text = req:body()
    call.body = call.text ~= "" and perilune.json.decode(call.text) or nil
    entry.calls[#entry.calls + 1] = call
  end

  local d, err = description(entry.script, req, #entry.calls)
  if d == nil then
    call.outcome = err and err.code or "nothing"
    return nil, err or errors.new{ code = "upstream_error", message = "the script has no answer", upstream = name }
  end
  known_script(d)
  local fails = d.error or (d.status or 200) >= 400
  local list, done, content_type = {}, d.delay or 0, ""
  if not fails then list, done, content_type = timetable(d, req) end

  -- opts.timeout is until the first event of a stream, or for all of another answer.
  local first = req.wants_stream and list[1] and list[1][2] or done
  if timeout and first > timeout then
    perilune.sleep(timeout)
    call.outcome = "timeout"
    return nil, errors.new{ code = "timeout", status = 504, retryable = true, upstream = name }
  end
  if fails then
    if done > 0 then perilune.sleep(done) end
    local failed = failure(name, d)
    call.outcome = failed.code
    return nil, failed
  end

  local broken = type(d.breaks) == "table" and failure(name, { error = d.breaks }) or nil
  local res
  res, err = core.result(core.scripted(req, name, list, done, content_type, broken, timeout))
  call.outcome = res and "ok" or err.code
  if res and d.status then res.status = d.status end
  return res, err
end

local function play(...) return finish(in_account("free", play_it, ...)) end

local function fake_upstreams()
  local names = {}
  for name in pairs(scene().upstreams) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function settings_of(entry)
  return entry.settings or type(entry.script) == "table" and entry.script.upstream or {}
end

local function answers_to(entry, model)
  local settings = settings_of(entry)
  if settings.model == model then return true end
  for _, other in ipairs(settings.models or {}) do
    if other == model then return true end
  end
  return false
end

-- As outgoing.c has it: what a policy chose, whose model is asked for, who is called so, the only one.
local function choose(req)
  local upstreams, names = scene().upstreams, fake_upstreams()
  if req.upstream then return req.upstream end
  for _, name in ipairs(names) do
    if answers_to(upstreams[name], req.model) then return name end
  end
  if upstreams[req.model] then return req.model end
  if #names == 1 then return names[1] end
  for i, name in ipairs(names) do names[i] = ("'%s'"):format(settings_of(upstreams[name]).model or name) end
  return nil, errors.new{ code = "model_not_found", param = "model", retryable = false,
    message = ("the model '%s' does not exist; available: %s"):format(tostring(req.model), table.concat(names, ", ")) }
end

local function health_of(entry) return type(entry.script) == "table" and entry.script.health or {} end

-- As attempt.c has it.
local function refused(entry, name, req)
  local health = health_of(entry)
  if not scene().guarded[req] or health.state ~= "open" then return nil end
  return errors.new{ code = "upstream_unavailable", upstream = name, retry_after = math.max(1, health.wait or 1),
                     message = "the upstream rests, because it failed; try again later" }
end

local function fake_call(name, req, opts)
  local err
  if name == nil then
    name, err = choose(req)
    if not name then return nil, err end
  end
  local entry = scene().upstreams[name]
  if not entry then
    return nil, errors.new{ code = "internal_error", message = "the upstream that was chosen does not exist",
                            upstream = tostring(name), detail = ("no upstream '%s'"):format(tostring(name)) }
  end
  err = refused(entry, name, req)
  if err then return nil, err end
  return play(entry, name, req, opts)
end

local function fetch_it(url, opts)
  for _, f in ipairs(scene().fetches) do
    if url == f.url then
      f.n = f.n + 1
      local d, err = description(f.script, { url = url, opts = opts or {} }, f.n)
      if d == nil then return nil, err end
      check.known("t.fetch", d, fetch_fields)
      local timeout = opts and opts.timeout
      if timeout and (d.delay or 0) > timeout then
        perilune.sleep(timeout)
        return nil, errors.new{ code = "timeout" }
      end
      if d.delay then perilune.sleep(d.delay) end
      if d.error then return nil, errors.new(d.error) end
      local headers = {}
      for name, value in pairs(d.headers or {}) do headers[name:lower()] = value end
      return { status = d.status or 200, headers = headers, body = d.body or d.text or "" }
    end
  end
  return nil, errors.new{ code = "upstream_error", message = ("the test scripts no fetch of '%s'"):format(tostring(url)) }
end

local function fake_fetch(...) return finish(in_account("free", fetch_it, ...)) end

local function fake_health(name)
  local entry = scene().upstreams[name]
  local out = { healthy = entry ~= nil, state = "closed", in_flight = 0, calls = entry and #entry.calls or 0, failures = 0 }
  for key, value in pairs(entry and health_of(entry) or {}) do out[key] = value end
  return out
end

local function fake_rests(name)
  local health = fake_health(name)
  return health.state == "open" and (health.wait or 1) or nil
end

local function fake_guard(req, settings) scene().guarded[req] = settings end

--- Scripts an upstream: every call of it is answered by the script.
---@param name string
---@param script perilune.Script | perilune.Script[] | fun(req: perilune.Request, n: integer): perilune.Script
function M.upstream(name, script)
  if type(script) ~= "table" and type(script) ~= "function" then
    error("t.upstream(name, script): the script is a table such as { text = \"hello\" } or a function", 2)
  end
  if type(script) == "table" then
    for _, d in ipairs(type(script[1]) == "table" and script or { script }) do known_script(d, 4) end
  end
  scene().upstreams[name] = { script = script, calls = {} }
  core.known_upstreams(fake_upstreams())
end

--- The same for a script that is a function, with the upstream's settings (price, model, models); its calls are not
--- remembered, because there are many.
function M.upstream_of(name, script, settings)
  M.upstream(name, script)
  scene().upstreams[name].settings, scene().upstreams[name].forgets = settings, true
end

--- Scripts the answer to perilune.fetch(url): { status =, body =, headers =, delay = }.
---@param url string
---@param script table|function
function M.fetch(url, script)
  table.insert(scene().fetches, { url = url, script = script, n = 0 })
end

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

--- The calls that an upstream got, in order.
---@param name string
---@return perilune.Call[]
function M.calls(name)
  local entry = scene().upstreams[name]
  return entry and entry.calls or error(("the test scripts no upstream '%s'"):format(tostring(name)), 2)
end

--- A scripted `next`, and the calls that it gets.
---@param script perilune.Script | perilune.Script[] | function
---@return fun(req: perilune.Request, opts: table?): perilune.Response?, perilune.Error?
---@return perilune.Call[]
function M.next(script)
  local entry = { script = script, calls = {} }
  return function(req, opts) return play(entry, "next", req, opts) end, entry.calls
end

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
  core.known_upstreams(fake_upstreams())
  core.play()
  if not ok then error(why, 0) end
end

--- Traffic through policies, hours in seconds; see lua/perilune/simulate.lua.
---@async
---@param options table
---@return perilune.SimulationReport
function M.simulate(options)
  return require("perilune.simulate").run(M, options, { with_played = with_played, timetable = timetable })
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

--- Seconds since the test began, in virtual time, to the microsecond.
---@return number
function M.clock()
  return math.floor((perilune.now() - scene().start) * 1e6 + 0.5) / 1e6
end

--- Lets time pass.
---@async
---@param seconds number
function M.advance(seconds)
  perilune.sleep(seconds)
end

-- -- assertions ----------------------------------------------------------------

local function show(value, depth)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  if (depth or 0) > 4 then return "{...}" end
  local keys, out = {}, {}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    if type(a) == "number" and type(b) == "number" then return a < b end
    return tostring(a) < tostring(b)
  end)
  for i, k in ipairs(keys) do
    local name = type(k) == "string" and k or "[" .. tostring(k) .. "]"
    out[i] = (k == i and "" or name .. " = ") .. show(value[k], (depth or 0) + 1)
  end
  return "{ " .. table.concat(out, ", ") .. " }"
end

local function same(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function fail(message, what)
  error((what and what .. ": " or "") .. message, 3)
end

--- Fails unless the two are the same value, or tables with the same contents.
function M.equal(actual, expected, what)
  if not same(actual, expected) then
    fail(("expected %s, got %s"):format(show(expected), show(actual)), what)
  end
end

--- Fails unless the value is true in Lua's sense; returns it.
function M.ok(value, what)
  if not value then fail("expected something, got " .. show(value), what) end
  return value
end

--- Fails unless the number is within `within` (default 1e-6) of expected.
function M.near(actual, expected, within, what)
  if type(actual) ~= "number" or math.abs(actual - expected) > (within or 1e-6) then
    fail(("expected about %s, got %s"):format(show(expected), show(actual)), what)
  end
end

--- Fails unless the string has the pattern in it; returns the captures.
function M.match(text, pattern, what)
  if type(text) ~= "string" or not text:find(pattern) then
    fail(("expected something like %s, got %s"):format(show(pattern), show(text)), what)
  end
  return text:match(pattern)
end

--- Fails unless fn throws, with the pattern in its message; returns the message.
function M.error(fn, pattern, what)
  local ok, message = pcall(fn)
  if ok then fail("expected an error, there was none", what) end
  message = type(message) == "table" and message.message or message
  if pattern and not tostring(message):find(pattern) then
    fail(("expected an error like %s, got %s"):format(show(pattern), show(message)), what)
  end
  return message
end

-- -- running -------------------------------------------------------------------

local function write(line)
  local io = rawget(_G, "io")
  if io then io.write(line, "\n") else print(line) end
end

-- Settings of a scripted upstream, as the configuration would give them.
local function fake_describe(name)
  local entry = scene().upstreams[name]
  if not entry then return nil end
  local settings = settings_of(entry)
  return { name = name, model = settings.model, models = settings.models or {}, urls = settings.urls or {},
           reasoning = settings.reasoning,
           price = settings.price or {}, key = settings.key == "client" and { kind = "client" } or nil }
end

-- Nobody waits for a trial, so nothing of its answer is seen: only that it was asked for.
local function fake_trial(req, name)
  local entry = scene().upstreams[name]
  if not entry then return false end
  local text = req:body()
  entry.calls[#entry.calls + 1] = { upstream = name, at = M.clock(), opts = {}, model = req.model, text = text,
    body = perilune.json.decode(text), outcome = "trial" }
  return true
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

local fakes = { program = fake_program, describe = fake_describe, call = fake_call, fetch = fake_fetch, upstreams = fake_upstreams, health = fake_health,
                guard = fake_guard, route = fake_route, rests = fake_rests, trial = fake_trial, capture = fake_capture,
                job_request = fake_job_request, queues = fake_queues }

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
  current = { real = kept, upstreams = {}, routes = {}, fetches = {}, captured = {}, guarded = {}, host = {}, queues = { "default" },
              start = perilune.now() }
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
  current = nil
  for k, v in pairs(kept) do host[k] = v or nil end
  return ok, why
end

-- A traceback says more than the message only where no assertion failed.
local function traced(e)
  local debug = rawget(_G, "debug")
  e = type(e) == "table" and (e.message or show(e)) or tostring(e)
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

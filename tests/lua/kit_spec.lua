-- The test kit agrees with production: what scripted upstreams send is read by the same reader, and a
-- request that is sent ends as it does in a gateway.  tests/wire/upstream-errors.case has the failures with real sockets.
local perilune = require "perilune"
local t = require "perilune.test"

local function pass(req, next) return next(req) end
local function ask(fields)
  fields = fields or {}
  fields.messages = { { role = "user", content = "hi" } }
  return t.request(fields)
end

-- script, request fields, what must come of it
local scenes = {
  { "whole", { text = "hello" }, {}, { status = 200, text = "hello", done = true } },
  { "stream", { chunks = { "hel", "lo" } }, { stream = true }, { status = 200, text = "hello", done = true } },
  { "an upstream's 500", { status = 500 }, {}, { status = 502, text = "", done = false, code = "upstream_status", retryable = true } },
  { "an upstream's 429", { status = 429 }, {}, { status = 429, text = "", done = false, code = "rate_limit_exceeded", retryable = true } },
  { "an upstream's 400", { status = 400 }, {}, { status = 400, text = "", done = false, code = "upstream_status", retryable = false } },
  { "an upstream's 529", { status = 529 }, {}, { status = 503, text = "", done = false, code = "upstream_status", retryable = true } },
  { "a stream that ends in the middle", { chunks = { "hel" }, breaks = true }, { stream = true },
    { status = 200, text = "hel", done = false, code = "upstream_truncated", retryable = true } },
  { "a connection that breaks in the middle", { chunks = { "hel" }, breaks = { code = "upstream_reset" } }, { stream = true },
    { status = 200, text = "hel", done = false, code = "upstream_reset", retryable = true } },
  { "a connection that breaks in a whole answer", { text = "hello", breaks = { code = "upstream_reset" } }, {},
    { status = 502, text = "", done = false, code = "upstream_reset", retryable = true } },
}

for _, scene in ipairs(scenes) do
  t.test("what the client gets: " .. scene[1], function()
    t.upstream("up", scene[2])
    local want, reply = scene[4], t.send(pass, nil, ask(scene[3]))
    t.equal({ reply.status, reply.text, reply.done }, { want.status, want.text, want.done })
    if want.code then t.equal({ reply.error.code, reply.error.retryable }, { want.code, want.retryable }) end
  end)
end

t.test("a fetched stream can be scripted", function()
  t.fetch("http://a/", { body = "event: x\ndata: 1\n\ndata: 2\n\ndata: 3", headers = { ["X-One"] = "1" } })
  local function stream() return perilune.fetch("http://a/", { stream = true }) end
  local seen, res = {}, stream()
  for event in res:events() do seen[#seen + 1] = event.type .. "=" .. event.data end
  t.equal(table.concat(seen, " "), "x=1 message=2 message=3")
  t.equal(res.headers["x-one"], "1")
  t.equal(res.body, nil)
  local lines = {}
  for line in stream():lines() do lines[#lines + 1] = line end
  t.equal(table.concat(lines, "|"), "event: x|data: 1||data: 2||data: 3")
  t.equal(#stream():text(), 34)
  res = stream()
  res:discard()
  t.equal(res:read(), nil)
end)

t.test("headers of a fetch are asked in any case", function()
  t.fetch("http://a/", { status = 500, headers = { ["X-One"] = "1" } })
  local got = perilune.fetch("http://a/")
  t.equal({ got.status, got.headers["x-one"], got.headers["X-ONE"], got.headers.other == nil, (next(got.headers)) },
          { 500, "1", "1", true, "x-one" })
end)

t.test("what the last request logged, of every level", function()
  local function talk(req)
    req:log("debug", "seen", { n = 2, list = { "a", "b" } })
    perilune.log("warn", "by the way")
    req:finally(function() error("no cleanup") end)
    return perilune.respond{ text = "x" }
  end
  perilune.log("info", "in front of it")
  local req = ask()
  local id = req.id
  t.send(talk, nil, req)
  t.equal(t.logs()[1], { level = "debug", text = "seen", fields = { n = 2, list = { "a", "b" } }, request_id = id })
  t.equal({ t.logs()[2].level, t.logs()[2].text, next(t.logs()[2].fields) }, { "warn", "by the way" })
  t.equal({ t.logs()[3].level, #t.logs() }, { "error", 3 })
  t.match(t.logs()[3].text, "req:finally failed: .*no cleanup")
  t.run(function() perilune.log("info", "again") return perilune.respond{ text = "x" } end, nil, ask())
  t.equal({ #t.logs(), t.logs()[1].text }, { 1, "again" })
  t.run(function() return perilune.respond{ text = "x" } end, nil, ask())
  t.equal(t.logs(), {})
end)

t.test("a policy has the time and memory of a gateway, the spec has not", function()
  local function burn() while true do end end
  local function hoard()
    local all = {}
    for i = 1, math.huge do all[i] = ("x"):rep(1000) .. i end
  end
  for _, policy in ipairs{ burn, hoard, function() while true do pcall(burn) end end } do
    t.limits{ cpu_ms = policy == hoard and 60000 or 5, memory = "8MiB" }
    local res, err = t.run(policy, nil, ask())
    t.equal({ res, err.code, err.status }, { nil, "policy_budget_exceeded", 500 })
    local reply = t.send(policy, nil, ask())
    t.equal({ reply.status, reply.error.code }, { 500, "policy_budget_exceeded" })
  end
  t.limits{ cpu_ms = 5 }
  t.equal(t.send(function() return perilune.respond{ text = "x" }:map("word", burn) end, nil, ask()).done, false)
  t.error(function() t.limits{ cpu = 5 } end, "unknown option 'cpu'")
  t.error(function() t.upstream("a", { txet = "x" }) end, "t.upstream: unknown option 'txet'; did you mean 'text'")
  t.error(function() t.upstream("a", { { text = "x" }, { stauts = 503 } }) end, "unknown option 'stauts'")
  t.error(function() t.upstream("a", { choices = { { text = "x", logprob = 1 } } }) end, "choices: unknown option 'logprob'")
  t.error(function() t.limits{ cpu_ms = 0 } end, "limits.cpu_ms")
end)

t.test("what scripted upstreams cost is not the policy's", function()
  local chunks = {}
  for i = 1, 20000 do chunks[i] = "word " end
  t.upstream("up", { chunks = chunks })
  t.limits{ cpu_ms = 5 }
  t.equal(#t.send(pass, nil, ask{ stream = true }).text, 100000)
end)

t.test("an error is the body that the client sees", function()
  local reply = t.send(function() return perilune.reject(403, "rejected", { message = "no" }) end, nil, ask())
  t.equal({ reply.status, reply.body.error.code, reply.body.error.message }, { 403, "rejected", "no" })
end)

t.test("a policy that throws, or returns nonsense, is a 500", function()
  for _, policy in ipairs{ function() error("boom") end, function() return 7 end, function() return nil end } do
    local reply = t.send(policy, nil, ask())
    t.equal({ reply.status, reply.error.code }, { 500, "policy_error" })
  end
end)

t.test("an error of perilune.error may be thrown", function()
  local function policy() error(perilune.error{ code = "odd", status = 409 }) end
  local reply = t.send(policy, nil, ask())
  t.equal({ reply.status, reply.error.code, reply.body.error.code }, { 409, "odd", "odd" })
end)

t.test("tool calls, reasoning, several choices, in a stream and whole", function()
  t.upstream("up", { choices = { { reasoning = "hm", text = "one" }, { tool_calls = { { name = "f", arguments = { x = 1 } } } } } })
  local reply = t.send(pass, nil, ask{ n = 2 })
  local choices = reply.body.choices
  t.equal({ choices[1].message.reasoning_content, choices[1].message.content, choices[1].finish_reason }, { "hm", "one", "stop" })
  t.equal({ choices[2].message.tool_calls[1]["function"].arguments, choices[2].finish_reason }, { '{"x":1}', "tool_calls" })
  reply = t.send(pass, nil, ask{ n = 2, stream = true })
  t.match(table.concat(reply.events), '"reasoning_content":"hm"')
  t.match(table.concat(reply.events), '"name":"f"')
  t.equal(reply.events[#reply.events], "[DONE]")
end)

t.test("next() returns with the first event, and a timeout is until then", function()
  t.upstream("up", { chunks = { "a", "b" }, ttft = 5, itl = 2 })
  local at
  t.send(function(req, next)
    local res, err = next(req)
    at = t.clock()
    return res, err
  end, nil, ask{ stream = true })
  t.equal({ at, t.clock() }, { 5, 9 })
  local reply = t.send("timeout", { first_token = 3 }, ask{ stream = true })
  t.equal({ reply.status, reply.error.code, reply.total }, { 504, "timeout", 3 })
end)

t.test("finally runs: answered, broken off, thrown, left before and in the middle", function()
  local function outcome(script, leave, throw)
    local seen = {}
    t.upstream("up", script)
    local reply = t.send(function(req, next)
      req:finally(function(o) seen.request = o.ok or o.code end)
      local res, err = next(req)
      if throw then error("boom") end
      if res then res:finally(function(o) seen.response = o.ok or o.code end) end
      return res, err
    end, nil, ask{ stream = true }, { leave = leave })
    return { seen.request, seen.response or false, reply.status }
  end
  t.equal(outcome{ text = "x" }, { true, true, 200 })
  t.equal(outcome{ chunks = { "x" }, breaks = true }, { "upstream_truncated", "upstream_truncated", 200 })
  t.equal(outcome({ text = "x" }, nil, true), { "policy_error", false, 500 })
  t.equal(outcome({ text = "x", delay = 60 }, 10), { "canceled", false, 499 })
  t.equal(outcome({ chunks = { "x", "y" }, itl = 60 }, 10), { "canceled", "canceled", 499 })
end)

t.test("headers, status, savings; the request is finished afterwards", function()
  t.upstream("up", { text = "x" })
  local req = ask()
  local reply = t.send(function(r, next)
    r:saved{ policy = "mine", before = 10, after = 4 }
    local res, err = next(r)
    res.headers["X-Mine"] = "yes"
    res.status = 203
    return res, err
  end, nil, req)
  t.equal({ reply.status, reply.headers["x-mine"], reply.saved.tokens, reply.upstream }, { 203, "yes", 6, "up" })
  t.error(function() return req.model end, "request is finished")
end)

t.test("two requests at once", function()
  t.upstream("up", { text = "x", delay = 4 })
  local replies = perilune.all{
    function() return t.send(pass, nil, ask()) end,
    function() return t.send(pass, nil, ask()) end,
  }
  t.equal({ replies[1].text, replies[2].text, t.clock(), #t.calls("up") }, { "x", "x", 4, 2 })
end)

-- -- calls of tools ---------------------------------------------------------------------

local function gate(req, next)
  local res, err = next(req)
  return res and res:tap(function(ev)
    for _, call in ipairs(ev.tools or {}) do
      if call.name == "rm" then error(perilune.error{ code = "tool_denied", status = 403 }) end
    end
  end), err
end

t.test("a gate on tools sees the calls of every event, whatever else that says", function()
  t.upstream("up", { text = "I call", tool_calls = { { name = "ls" }, { name = "rm", arguments = { path = "/" } } } })
  for _, stream in ipairs{ false, true } do
    local got = t.send(gate, nil, ask{ stream = stream })
    t.equal({ got.error.code, got.done }, { "tool_denied", false })
  end
end)

t.test("what an event says of calls", function()
  local seen = {}
  local function look(req, next)
    return next(req):tap(function(ev) if ev.tools then seen[#seen + 1] = ev.tools end end)
  end
  t.upstream("up", { body = [[{"choices":[{"index":0,"message":{"content":"x","tool_calls":[
    {"id":"a","type":"function","function":{"name":"f","arguments":"{\"n\":1}"}},
    {"id":"b","type":"custom","custom":{"name":"sh","input":"ls"}},
    {"id":"c","function":{"name":"g","arguments":{"n": 1}}}]},"finish_reason":"tool_calls"},
    {"index":1,"message":{"function_call":{"name":"h","arguments":"{}"}},"finish_reason":"stop"}]}]] })
  t.send(look, nil, ask())
  t.equal(seen, { {
    { choice = 0, index = 0, id = "a", name = "f", arguments = '{"n":1}' },
    { choice = 0, index = 1, id = "b", name = "sh", arguments = "ls" },
    { choice = 0, index = 2, id = "c", name = "g", arguments = '{"n": 1}' },
    { choice = 1, index = 0, name = "h", arguments = "{}" },
  } })
  seen = {}
  local function call(fields) return { choices = { { index = 0, delta = { content = "x", tool_calls = { fields } } } } } end
  t.upstream("up", { events = { call{ index = 1, id = "a", ["function"] = { name = "f" } },
    call{ index = 1, ["function"] = { arguments = "{" } }, "[DONE]" } })
  t.send(look, nil, ask{ stream = true })
  t.equal(seen, { { { choice = 0, index = 1, id = "a", name = "f" } }, { { choice = 0, index = 1, arguments = "{" } } })
end)

t.test("what a stream cost that the client left is estimated", function()
  local outcomes = {}
  local function watch(req, next)
    local res, err = next(req)
    req:finally(function(o) outcomes[#outcomes + 1] = o.usage or "none" end)
    return res, err
  end
  t.upstream("up", { chunks = { "a", "b", "c", "d" }, itl = 1, usage = { prompt_tokens = 5, completion_tokens = 4 } })
  t.send(watch, nil, ask{ stream = true }, { leave = 2.5 })
  t.equal(outcomes[1], { prompt_tokens = 0, completion_tokens = 3, total_tokens = 3, cached_tokens = 0, estimated = true })
  t.send(watch, nil, ask{ stream = true })
  t.equal(outcomes[2], { prompt_tokens = 5, completion_tokens = 4, total_tokens = 9, cached_tokens = 0 })
  t.upstream("up", { text = "a" })
  t.send(watch, nil, ask())
  t.equal(outcomes[3], "none")
end)

-- -- What a process shares -------------------------------------------------------------------

local kept = perilune.cache("kept")
for _, when in ipairs{ "one test", "the next" } do
  t.test("caches and shared values are those of one test: " .. when, function()
    t.upstream("up", { text = when })
    t.equal({ perilune.shared("mine"):get("k"), kept:get("k") }, {})
    perilune.shared("mine"):set("k", when)
    kept:set("k", when)
    local policy = t.policy("cache_exact", { ttl = 60 })
    t.equal(t.send(policy, nil, t.request("hi")).headers["x-cache"], "miss")
    t.equal(t.send(policy, nil, t.request("hi")).headers["x-cache"], "hit")
    t.equal(t.send(policy, nil, t.request("hi")).text, when)
    t.equal({ perilune.shared("mine"):get("k"), (kept:get("k")) }, { when, when })
  end)
end

-- What several clients get that ask at the same time.
local function at_once(policy, ...)
  local fns = {}
  for i, what in ipairs{ ... } do
    fns[i] = function() return t.send(policy, nil, t.request(what)) end
  end
  return perilune.all(fns)
end

local function ask(fields)
  local out = { messages = { { role = "user", content = "hi" } } }
  for k, v in pairs(fields or {}) do out[k] = v end
  return out
end

for _, name in ipairs{ "coalesce", "cache_exact" } do
  for _, stream in ipairs{ false, true } do
    t.test(name .. (stream and ", stream" or ", whole") .. ": who asks the same at the same time shares a call", function()
      t.upstream("up", { chunks = { "a ", "b" }, delay = 1, itl = 1, usage = { prompt_tokens = 3, completion_tokens = 2 } })
      local same = ask{ stream = stream, n = 1 }
      local got = at_once(t.policy(name, {}), same, same, ask{ stream = stream, n = 1, top_p = 0.5 }, same)
      t.equal(#t.calls("up"), 2)
      for i, reply in ipairs(got) do
        t.equal({ reply.text, reply.done, reply.upstream }, { "a b", true, "up" })
        t.equal(reply.headers["x-cache"] == "coalesced", i == 2 or i == 4)
      end
      t.clock()
    end)
  end
end

t.test("a shared call: other tenants, later ones and those with a timeout make their own", function()
  t.upstream("up", { text = "x", delay = 1 })
  local policy = t.policy("coalesce", {})
  at_once(policy, { tenant = "a" }, { tenant = "b" })
  t.equal(#t.calls("up"), 2)
  at_once(policy, { tenant = "a" })
  t.equal(#t.calls("up"), 3)
  local function in_time(req, next) return policy(req, function(r) return next(r, { timeout = 9 }) end) end
  at_once(in_time, {}, {})
  t.equal(#t.calls("up"), 5)
end)

t.test("a shared call: it goes on when the first client leaves, and breaks off for all", function()
  local policy = t.policy("coalesce", {})
  t.upstream("up", { chunks = { "a", "b", "c" }, itl = 1 })
  local got = perilune.all{
    function() return t.send(policy, nil, t.request(ask{ stream = true }), { leave = 0.5 }) end,
    function() return t.send(policy, nil, t.request(ask{ stream = true })) end,
  }
  t.equal({ got[1].status, got[2].text, #t.calls("up") }, { 499, "abc", 1 })
  t.upstream("up", { chunks = { "a", "b" }, itl = 1, breaks = true })
  for _, reply in ipairs(at_once(policy, ask{ stream = true }, ask{ stream = true })) do
    t.equal({ reply.text, reply.done, reply.error.code }, { "ab", false, "upstream_truncated" })
  end
  t.equal(#t.calls("up"), 1)
  t.upstream("up", { { status = 503, delay = 1 }, { text = "well" } })
  local two = at_once(policy, ask{}, ask{})
  t.equal({ two[1].status, two[2].status, #t.calls("up") }, { 503, 200, 2 })
end)

t.test("a shared call: one pays, and when it leaves before the end another who stays", function()
  local shared = t.policy("coalesce", {})
  local function told(fns)
    local seen = {}
    for i, options in ipairs(fns) do
      fns[i] = function()
        local policy = function(req, next)
          req:finally(function(o) seen[i] = o.cache or "pays" end)
          return shared(req, next)
        end
        return t.send(policy, nil, t.request(ask{ stream = true }), options)
      end
    end
    perilune.all(fns)
    return seen
  end
  t.upstream("up", { chunks = { "a", "b", "c" }, itl = 1, usage = { prompt_tokens = 3, completion_tokens = 2 } })
  t.equal(told{ {}, {}, {} }, { "pays", "coalesced", "coalesced" })
  t.equal(told{ {}, { leave = 0.5 }, {} }, { "pays", "coalesced", "coalesced" })
  t.equal(told{ { leave = 0.5 }, {}, {} }, { "coalesced", "pays", "coalesced" })
  t.equal(told{ { leave = 0.5 }, { leave = 1.5 }, {} }, { "coalesced", "coalesced", "pays" })
  t.equal(told{ { leave = 1.7 }, { leave = 0.5 }, { leave = 1.5 } }, { "pays", "coalesced", "coalesced" })
end)

-- -- Which form ---------------------------------------------------------------------------------

for _, asked in ipairs{ false, true } do
  t.test("the client gets the form that it asked for, whatever the upstream is asked for: " .. tostring(asked), function()
    t.upstream("up", { chunks = { "a ", "b" }, ttft = 1, itl = 1, usage = { prompt_tokens = 3, completion_tokens = 2 } })
    local got = t.send(function(req, next)
      req.stream = not req.stream
      t.equal({ req.stream, req.wants_stream, req.stream_options }, { not asked, asked })
      t.error(function() req.wants_stream = true end, "cannot be assigned")
      local res = next(req)
      return res:map("word", string.upper)
    end, nil, t.request(ask{ stream = asked, stream_options = asked and { include_usage = true } or nil }))
    t.equal({ got.text, got.done, #got.events > 0 }, { "A B", true, asked })
    t.equal(t.calls("up")[1].body.stream, not asked)
    t.equal(t.calls("up")[1].body.stream_options, nil)
    local usage = asked and perilune.json.decode(got.events[#got.events - 1]).usage or got.body.usage
    t.equal({ usage.prompt_tokens, usage.completion_tokens }, { 3, 2 })
  end)
end

t.test("a timeout is for what the client waits for", function()
  t.upstream("up", { chunks = { "a", "b", "c" }, itl = 2 })
  local function streams(policy)
    return function(req, next) req.stream = true return policy(req, next) end
  end
  local policy = streams(t.policy("timeout", { total = 3, first_token = 1 }))
  t.equal(t.send(policy, nil, t.request(ask{})).error.code, "timeout")
  t.equal(t.send(policy, nil, t.request(ask{ stream = true })).text, "abc")
  local function short(req, next) return next(req, { timeout = 3 }) end
  t.equal(t.send(streams(short), nil, t.request(ask{})).error.code, "timeout")
  t.equal(t.send(streams(short), nil, t.request(ask{ stream = true })).text, "abc")
end)

t.test("a request that is forgotten, or in the place of the options, is asked for", function()
  local function policy(req, next) return next(req) end
  t.match(t.error(function() t.send(policy) end), "t%.send%(policy, options, req%): req is a request, such as t%.request.*got a nil$")
  t.match(t.error(function() t.run("fallback", {}) end), "t%.run%(policy, options, req%): req is a request")
  t.match(t.error(function() t.send(policy, t.request("hi")) end), "it stands in the place of the options: put nil in front of it")
  t.match(t.error(function() t.send(nil, nil, t.request("hi")) end), "a policy is the name of its file or a function")
  t.match(t.error(function() t.send({ 5 }, nil, t.request("hi")) end), "a policy is the name of its file or a function")
end)

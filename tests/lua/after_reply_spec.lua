local t = require "perilune.test"
local perilune = require "perilune"

local function send(options, more, opts)
  local body = { messages = { { role = "user", content = "hi" } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return t.send("after_reply", options, t.request(body), opts)
end

-- A task that notes what it got.
local function noter()
  local got = {}
  return got, function(req, answer)
    perilune.sleep(1)
    got[#got + 1] = { said = req.messages[1].content, id = req.id, tenant = req.tenant, answer = answer, at = t.clock() }
  end
end

t.test("it runs behind the reply, which does not wait for it", function()
  for _, stream in ipairs{ false, true } do
    t.upstream("up", { chunks = { "he", "llo" }, usage = { prompt_tokens = 3, completion_tokens = 2 }, delay = 1 })
    local got, task = noter()
    local before = t.clock()
    local reply = send({ tasks = { task } }, { stream = stream, tenant = "acme" })
    t.equal({ reply.text, reply.total, #got }, { "hello", 1, 0 })
    t.advance(2)
    t.equal(#got, 1)
    local one = got[1]
    t.equal({ one.said, one.tenant, one.answer.ok, one.answer.text, one.answer.status, one.answer.upstream },
      { "hi", "acme", true, "hello", 200, "up" })
    t.equal({ one.answer.usage.completion_tokens, one.at - before }, { 2, 2 })
    t.match(one.id, "%-after$")
  end
end)

t.test("all tasks at once; one that fails, throws or is late harms no other", function()
  t.upstream("up", { text = "x" })
  local got, task = noter()
  send{ tasks = {
    function() error("oh no") end,
    { name = "sorry", run = function() return nil, perilune.error{ code = "timeout" } end },
    { name = "slow", run = function() perilune.sleep(9) end, timeout = 2 },
    task,
  } }
  t.advance(5)
  t.equal(#got, 1)
  local said = {}
  for _, line in ipairs(t.logs()) do
    if line.text == "a task behind the reply failed" then said[line.fields.task] = line.fields.code end
  end
  t.equal(said, { ["1"] = "policy_error", sorry = "timeout", slow = "timeout" })
end)

t.test("a task may ask models and be tried again", function()
  t.upstream("up", { text = "x" })
  t.upstream("small", { { status = 503 }, { text = "summary" } })
  local got
  send({ tasks = { { name = "ask", tries = 3, run = function(req)
    local text, err = perilune.upstream("small"):ask{ messages = req.messages }
    got = text
    return text, err
  end } } }, { model = "up" })
  t.advance(5)
  t.equal({ got, #t.calls("small") }, { "summary", 2 })
end)

t.test("after which outcomes", function()
  local function runs(on, script, opts)
    t.upstream("up", script)
    local got, task = noter()
    send({ tasks = { task }, on = on }, {}, opts)
    t.advance(100)
    return got[1] and (got[1].answer.code or "ok") or nil
  end
  t.equal(runs(nil, { text = "x" }), "ok")
  t.equal(runs(nil, { status = 500 }), nil)
  t.equal(runs({ "error" }, { status = 500 }), "upstream_status")
  t.equal(runs({ "error" }, { breaks = true, chunks = { "a", "b" } }) ~= nil, true)
  t.equal(runs(nil, { text = "x", delay = 9 }, { leave = 1 }), nil)
  t.equal(runs({ "left" }, { text = "x", delay = 9 }, { leave = 1 }), "canceled")
end)

t.test("a policy behind it that throws does not keep it from running", function()
  local got, task = noter()
  local reply = send({ tasks = { task }, on = { "error" } }, {}, { next = function() error("oh") end })
  t.equal(reply.status, 500)
  t.advance(5)
  t.equal(got[1].answer.code, "policy_error")
end)

t.test("calls of tools, reasoning, n > 1, and bodies that are no chat", function()
  local got, task = noter()
  t.upstream("up", { tool_calls = { { name = "f", arguments = "{}" } }, reasoning = "hm" })
  send({ tasks = { task } }, { stream = true })
  t.upstream("up", { choices = { { text = "a" }, { text = "b" } } })
  send({ tasks = { task } }, { n = 2 })
  t.advance(5)
  t.equal({ #got, got[2].answer.text }, { 2, "a" })
end)

t.test("what waits is bounded, and that is said once a second", function()
  t.upstream("up", { text = "x" })
  local got, task = noter()
  for _ = 1, 5 do send{ tasks = { task }, max_queue = 3 } end
  local _, warned = #t.logs(), 0
  for _, line in ipairs(t.logs()) do
    if line.text:find("too much waits") then warned = warned + 1 end
  end
  t.ok(warned <= 1)
  t.advance(5)
  t.equal(#got, 3)
  send{ tasks = { task }, max_queue = 3 } -- there is room again
  t.advance(5)
  t.equal(#got, 4)
  send({ tasks = { task }, max_bytes = 1100 }, { messages = { { role = "user", content = ("x"):rep(2000) } } })
  t.advance(5)
  t.equal(#got, 4)
end)

t.test("many at once take turns, and one that waits too long is given up", function()
  t.upstream("up", { text = "x" })
  local done = 0
  for _ = 1, 40 do send{ tasks = { function() perilune.sleep(1) done = done + 1 end }, timeout = 2.5 } end
  t.advance(10)
  t.equal(done, 32) -- 16 at once
end)

t.test("its deadline is its own", function()
  t.upstream("up", { text = "x" })
  local left
  send{ timeout = 7, tasks = { function(req) left = req:time_left() perilune.sleep(60) left = "never" end } }
  t.advance(100)
  t.near(left, 7, 0.01)
end)

t.test("it ends with its own CPU time, and harms nobody", function()
  t.limits{ cpu_ms = 20 }
  t.upstream("up", { text = "x" })
  local after = false
  send{ tasks = { function() while true do end end } }
  t.advance(1)
  local reply = send{ tasks = { function() after = true end } }
  t.advance(1)
  t.equal({ reply.status, after }, { 200, true })
end)

t.test("of an answer made of parts it gets the text, too", function()
  t.upstream("planner", { text = "1. A :: a\n2. B :: b\n" })
  t.upstream("worker", { text = "part" })
  local got, task = noter()
  t.send({ { "after_reply", tasks = { task } }, { "decompose", planner = "planner", worker = "worker", when = true } }, nil,
    t.request{ model = "worker", stream = true })
  t.advance(5)
  t.equal(got[1].answer.text, "## A\n\npart\n\n## B\n\npart")
end)

-- -- kept as jobs ---------------------------------------------------------------

-- What one durable task was called with, until `seconds` later.
local names = 0
local function kept(run, more, body, opts, seconds)
  names = names + 1
  local options = { tasks = { { name = "note" .. names, run = run, tries = more and more.tries, timeout = more and more.timeout } },
                    durable = true, on = { "ok", "error", "left" } }
  for k, v in pairs(more or {}) do if k ~= "tries" and k ~= "timeout" then options[k] = v end end
  local reply = send(options, body, opts)
  t.advance(seconds or 1)
  return reply
end

t.test("durable: a task gets the request as policies left it, and what became of it", function()
  for _, stream in ipairs{ false, true } do
    t.upstream("up", { chunks = { "he", "llo" }, usage = { prompt_tokens = 3, completion_tokens = 2 }, delay = 1 })
    local seen
    local reply = kept(function(req, answer)
      seen = { said = req.messages[1].content, id = req.id, tenant = req.tenant, stream = req.stream, x = req.headers["user-agent"],
               key = req.headers.authorization or false, path = req.path, job = req.job, answer = answer }
    end, nil, { stream = stream, tenant = "acme", headers = { ["user-agent"] = "thing", authorization = "Bearer secret" } })
    t.equal({ reply.text, reply.total }, { "hello", 1 })
    t.equal({ seen.said, seen.tenant, seen.stream, seen.x, seen.key, seen.path },
      { "hi", "acme", stream, "thing", false, "/v1/chat/completions" })
    t.equal({ seen.answer.ok, seen.answer.text, seen.answer.status, seen.answer.upstream, seen.answer.usage.completion_tokens },
      { true, "hello", 200, "up", 2 })
    t.match(seen.id, "%-after$")
    t.match(seen.job, "^job_")
  end
end)

t.test("durable: messages that a policy changed, Chinese, and a request that failed or was left", function()
  local seen
  local function task(req, answer) seen = { req.messages[1].content, answer.code or "ok" } end
  t.upstream("up", { text = "好" })
  kept(task, nil, { messages = { { role = "user", content = "你好\0\n" } } })
  t.equal(seen, { "你好\0\n", "ok" })
  t.upstream("up", { status = 500 })
  kept(task)
  t.equal(seen[2], "upstream_status")
  t.upstream("up", { text = "x", delay = 9 })
  kept(task, nil, nil, { leave = 1 }, 20)
  t.equal(seen[2], "canceled")
end)

t.test("durable: what fails is tried again with pauses, and is a dead letter in the end", function()
  t.upstream("up", { text = "x" })
  local at, tries, said = {}, 0, {}
  local function note_logs()
    for _, line in ipairs(t.logs()) do
      if line.text == "a task behind the reply failed" then said[#said + 1] = line.fields.code end
    end
  end
  kept(function() at[#at + 1] = t.clock() return nil, perilune.error{ code = "timeout" } end, { tries = 3 }, nil, nil, 30)
  t.equal(#at, 3)
  t.ok(at[2] - at[1] >= 0.5 and at[3] - at[2] >= 1)
  note_logs()
  kept(function() tries = tries + 1 error("on purpose") end, { tries = 3 }, nil, nil, 30)
  t.equal(tries, 1) -- it would throw again
  note_logs()
  kept(function() tries = tries + 1 perilune.sleep(60) end, { tries = 2, timeout = 1 }, nil, nil, 60)
  t.equal(tries, 3)
  note_logs()
  t.equal(said, { "timeout", "policy_error", "timeout" })
end)

t.test("durable: it may ask models in the name of the request's tenant", function()
  t.upstream("up", { text = "x" })
  t.upstream("small", { text = "summary" })
  local got
  kept(function(req)
    local res, err = perilune.ask{ upstream = "small", messages = req.messages, stream = false }
    got = res and res:text()
    return res and true, err
  end, nil, { model = "up", tenant = "acme" })
  t.equal(got, "summary")
end)

t.test("durable beside one in memory; a hundred of both; no room", function()
  t.upstream("up", { text = "x" })
  local here, there = 0, 0
  local options = { tasks = { function() here = here + 1 end,
                              { name = "there", durable = true, run = function() there = there + 1 end } } }
  send(options)
  t.advance(1)
  t.equal({ here, there }, { 1, 1 })
  for _ = 1, 100 do send(options) end
  t.advance(60)
  t.equal({ here, there }, { 101, 101 })
  kept(function() there = there + 1 end, { max_bytes = 1500 }, { messages = { { role = "user", content = ("x"):rep(2000) } } })
  t.equal(there, 101)
end)

t.test("wrong options are refused", function()
  local function says(options, pattern) t.error(function() t.policy("after_reply", options) end, pattern) end
  says({}, "'tasks' is missing")
  says({ tasks = {} }, "at least 1")
  says({ tasks = { print }, durable = true }, "task 1 is durable, so it needs a name")
  says({ tasks = { { name = "a b", run = print } }, durable = true }, "not 'a b'")
  says({ tasks = { print }, queue = "nightly" }, "durable = true")
  t.policy("after_reply", { tasks = { { name = "same", run = print } }, durable = true })
  t.policy("after_reply", { tasks = { { name = "same", run = print } }, durable = true }) -- on another route
  says({ tasks = { { name = "same", run = function() end, durable = true } } }, "another durable task is named 'same'")
  says({ tasks = { { name = "a", run = print }, { name = "a", run = print } } }, "two tasks are named 'a'")
  says({ tasks = { { run = print, timout = 1 } } }, "did you mean 'timeout'")
  says({ tasks = { print }, on = { "okay" } }, "known: error, left, ok")
  says({ tasks = { print }, max_queue = 0 }, "at least 1")
end)

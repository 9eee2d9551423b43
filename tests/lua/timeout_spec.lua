local t = require "perilune.test"

t.test("an answer in time is passed on", function()
  t.upstream("a", { text = "in time", delay = 4 })
  t.equal(t.run("timeout", { total = 5 }, t.request("hi")):text(), "in time")
  t.equal(t.clock(), 4)
end)

t.test("one that is late is canceled", function()
  t.upstream("a", { text = "late", delay = 60 })
  local res, err = t.run("timeout", { total = 5 }, t.request("hi"))
  t.equal(res, nil)
  t.equal({ err.code, err.status, err.retryable }, { "timeout", 504, true })
  t.equal(err.message, "the answer did not come within 5 seconds")
  t.equal(t.clock(), 5)
  t.advance(100)
  t.equal(t.calls("a")[1].outcome, nil, "the call never finished")
end)

t.test("a stream has its own number", function()
  t.upstream("a", { text = "x", delay = 3 })
  local both = { total = 30, first_token = 2 }
  local _, err = t.run("timeout", both, t.request{ stream = true })
  t.equal({ err.code, t.clock() }, { "timeout", 2 })
  t.ok(t.run("timeout", both, t.request{ stream = false }))
  t.ok(t.run("timeout", { first_token = 2 }, t.request("hi")), "no stream, no bound")
  _, err = t.run("timeout", { total = 1, first_token = 2 }, t.request{ stream = true })
  t.equal(err.code, "timeout")
end)

t.test("an error is passed on at once", function()
  t.upstream("a", { status = 400, delay = 1 })
  local _, err = t.run("timeout", { total = 5 }, t.request("hi"))
  t.equal({ err.status, t.clock() }, { 400, 1 })
end)

t.test("retries behind it share the time", function()
  t.upstream("a", { status = 503, delay = 2 })
  local retry, timeout = t.policy("retry", { tries = 9, budget = 1, base = 0 }), t.policy("timeout", { total = 5 })
  local _, err = timeout(t.request("hi"), function(req)
    return retry(req, function(r) return require("perilune").upstream("a"):chat(r) end)
  end)
  t.equal({ err.code, t.clock(), #t.calls("a") }, { "timeout", 5, 3 })
end)

-- A policy that writes its answer, the first piece after so many seconds, the rest later.
local function writer(first, rest)
  return function()
    local perilune = require "perilune"
    return perilune.compose(function(out)
      perilune.sleep(first)
      out:write("one ")
      perilune.sleep(rest)
      out:write("two")
    end)
  end
end

local function wait(options, behind, stream)
  local from = t.clock()
  local reply = t.send({ { "timeout", total = options.total, first_token = options.first_token }, behind }, nil,
    t.request{ stream = stream })
  return { reply.status, t.clock() - from, reply.text }
end

t.test("an answer that a policy writes is bounded as one of an upstream is", function()
  t.equal(wait({ total = 5 }, writer(3, 4)), { 504, 5, "" })          -- the whole
  t.equal(wait({ total = 5 }, writer(3, 1)), { 200, 4, "one two" })
  t.equal(wait({ total = 5 }, writer(3, 4), true), { 200, 7, "one two" }) -- a stream: until it begins
  t.equal(wait({ total = 5 }, writer(6, 0), true), { 504, 5, "" })
  t.equal(wait({ first_token = 2, total = 60 }, writer(3, 0), true), { 504, 2, "" })
end)

t.test("and so is one of a route that is asked", function()
  t.route("slow", { writer(3, 4) })
  local function ask(timeout)
    local perilune = require "perilune"
    return function() return perilune.ask{ route = "slow", messages = "q", timeout = timeout } end
  end
  t.equal(t.send(ask(5), nil, t.request("hi")).status, 504)
  t.equal(t.send(ask(8), nil, t.request("hi")).text, "one two")
end)

t.test("what fails before it has begun can be tried again", function()
  local tries = 0
  local function failing()
    local perilune = require "perilune"
    return perilune.compose(function(out)
      tries = tries + 1
      perilune.sleep(1)
      if tries < 3 then return nil, perilune.error{ code = "upstream_error", status = 503, retryable = true } end
      out:write("at last")
    end)
  end
  for _, stream in ipairs{ false, true } do
    tries = 0
    local reply = t.send({ { "retry", tries = 5, budget = 1, base = 0 }, failing }, nil, t.request{ stream = stream })
    t.equal({ reply.status, reply.text, tries }, { 200, "at last", 3 })
  end
end)

t.test("wrong options are refused", function()
  t.error(function() t.policy("timeout", {}) end, "give it total = SECONDS")
  t.error(function() t.policy("timeout", { total = "5s" }) end, "number of seconds")
  t.error(function() t.policy("timeout", { firsttoken = 5 }) end, "did you mean 'first_token'?")
end)

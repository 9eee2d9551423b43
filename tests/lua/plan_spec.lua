local t = require "perilune.test"
local perilune = require "perilune"

local function slow(seconds, value)
  return function()
    perilune.sleep(seconds)
    return value
  end
end

local function fails(code, seconds)
  return function()
    if seconds then perilune.sleep(seconds) end
    return nil, perilune.error{ code = code or "overloaded" }
  end
end

-- Runs a plan inside of a request; returns what it returned, and the reply.
local function run(steps, opts, what, ...)
  local plan = perilune.plan(steps, opts)
  local out, more, n = nil, { ... }, select("#", ...)
  local reply = t.send(function(req)
    out = { plan:run(req, unpack(more, 1, n)) }
    return perilune.respond{ text = "ok" }
  end, nil, t.request(what or "hi"))
  t.equal(reply.status, 200)
  return out, reply
end

t.test("each step starts when those before it are done", function()
  local at = {}
  local function step(name, seconds)
    return function(req, done, more)
      at[name] = t.clock()
      t.equal(more, "more")
      t.ok(req.id)
      if name == "d" then t.equal({ done.b, done.c }, { "b", "c" }) end
      perilune.sleep(seconds)
      return name
    end
  end
  local out = run({
    a = { run = step("a", 1) },
    b = { run = step("b", 2), after = { "a" } },
    c = { run = step("c", 1), after = "a" },
    d = { run = step("d", 1), after = { "b", "c", "b" } },
    e = step("e", 1),
  }, nil, nil, "more")
  t.equal(out[1], { a = "a", b = "b", c = "c", d = "d", e = "e" })
  t.equal(out[2], nil)
  t.equal(at, { a = 0, b = 1, c = 1, d = 3, e = 0 })
  t.equal(t.clock(), 4)
end)

t.test("the pre-steps of a request, all at once and then the call", function()
  run{
    moderation = { run = slow(0.2, true) }, profile = { run = slow(0.1, true) }, documents = { run = slow(0.3, true) },
    answer = { run = slow(2, "A"), after = { "moderation", "profile", "documents" } },
  }
  t.equal(t.clock(), 2.3)
end)

t.test("circles and names that are not there are found when it is made, and told", function()
  local function bad(steps, pattern, opts) t.error(function() perilune.plan(steps, opts) end, pattern) end
  local f = function() end
  bad({ a = { run = f, after = { "c" } }, b = { run = f, after = { "a" } }, c = { run = f, after = { "b" } } },
    "wait for each other: 'a' after 'c' after 'b' after 'a'")
  bad({ x = f, a = { run = f, after = { "a" } } }, "'a' after 'a'")
  bad({ docs = f, a = { run = f, after = { "doc" } } }, "step 'a': unknown step 'doc'; did you mean 'docs'")
  bad({ a = { run = f, afetr = { "b" } } }, "step 'a': unknown option 'afetr'; did you mean 'after'")
  bad({}, "there are no steps")
  bad({ f }, "steps have names")
  bad({ a = 5 }, "is a table such as")
  bad({ a = {} }, "'run' is a function")
  bad({ a = { run = f, timeout = 0 } }, "'timeout' must be a number")
  bad({ a = { run = f, retry = 1.5 } }, "'retry' must be a whole number")
  bad({ a = f }, "did you mean 'timeout'", { tiemout = 1 })
  bad({ a = f }, "'limit' must be", { limit = 0 })
  local many = {}
  for i = 1, 300 do many["s" .. i] = f end
  bad(many, "more than 256 steps")
end)

t.test("one that fails cancels what is left", function()
  local reached = false
  local out = run{
    other = { run = function() perilune.sleep(5) reached = true end },
    first = { run = slow(0.5, "F") },
    must = { run = fails("overloaded", 1) },
    behind = { run = function() reached = true end, after = { "must" } },
  }
  t.equal({ out[1], out[2].code, out[3] }, { nil, "overloaded", { first = "F" } })
  t.equal(t.clock(), 1)
  t.advance(10)
  t.equal(reached, false)
end)

t.test("unless it may; those behind it run, with its default or without", function()
  local seen
  local out = run{
    soft = { run = fails(), optional = true },
    given = { run = function() error "oops" end, default = { 7 } },
    late = { run = slow(9, "L"), timeout = 1, default = "dl" },
    gone = { run = slow(9, "G"), timeout = 2, optional = true },
    last = { run = function(_, done) seen = { done.soft, done.given[1], done.late, done.gone } return true end,
             after = { "soft", "given", "late", "gone" } },
  }
  t.equal(out[1].last, true)
  t.equal(out[2], nil)
  t.equal({ seen[1], seen[2], seen[3], seen[4] }, { nil, 7, "dl", nil })
  t.equal(t.clock(), 2)
end)

t.test("what one request writes into a default is in no other's", function()
  local default = { list = {}, count = 0 }
  default.itself = default
  local plan = perilune.plan{
    failed = { run = fails(), default = default }, late = { run = slow(9), timeout = 1, default = default },
    none = { run = function() end, default = default },
    behind = { run = function(_, done) return done.late end, after = "late" },
  }
  default.count = 5 -- nor does who wrote the plan change it any more
  local function ask(tenant)
    local reply = t.send(function(req)
      local seen = plan:run(req)
      for _, name in ipairs{ "failed", "late", "none" } do
        t.equal({ seen[name].list, seen[name].count, seen[name].itself == seen[name] }, { {}, 0, true })
        seen[name].list[1], seen[name].count = tenant, 1
      end
      t.ok(seen.behind == seen.late)
      return perilune.respond{ text = "ok" }
    end, nil, t.request("hi"))
    t.equal({ reply.status, reply.text }, { 200, "ok" })
  end
  ask("first")
  ask("second")
end)

t.test("a default that is too large to be copied for each request is refused when the plan is made", function()
  local large = {}
  for i = 1, 10001 do large[i] = i end
  t.error(function() perilune.plan{ a = { run = fails(), default = large } } end,
    "step 'a': 'default' has more than 10000 values; let the step make it")
end)

t.test("one that is late and must not be is the error", function()
  local out = run{ slow = { run = slow(9), timeout = 1 }, ok = slow(0.5, 1) }
  t.equal(out[2].code, "timeout")
  t.equal(out[2].detail, "step slow")
  t.equal(out[3], { ok = 1 })
end)

t.test("which timer it was that ended a step is known, however near they are", function()
  -- The plan's own, a moment before the step's.
  local out = run({ slow = { run = slow(9), timeout = 1, optional = true } }, { timeout = 0.98 })
  t.equal({ out[1], out[2].code, out[2].missing }, { {}, "timeout", { "slow" } })
  -- The step's, a moment before the plan's.
  out = run({ slow = { run = slow(9), timeout = 0.98, optional = true } }, { timeout = 1 })
  t.equal({ out[1], out[2] }, { {} })
  out = run({ slow = { run = slow(9), timeout = 0.98 } }, { timeout = 1 })
  t.equal({ out[2].code, out[2].detail }, { "timeout", "step slow" })
  -- One that another's failure ends is canceled, and not late.
  out = run{ slow = { run = slow(9), timeout = 1.02, optional = true }, bad = { run = fails("overloaded", 1) } }
  t.equal({ out[1], out[2].code }, { nil, "overloaded" })
end)

t.test("one that throws is an error of its own", function()
  local out = run{ a = function() error "oops" end }
  t.equal(out[2].code, "policy_error")
  t.match(out[2].detail, "^step 'a': tests/lua/plan_spec%.lua:%d+: oops$")
  out = run{ a = function() error(perilune.error{ code = "not_found" }) end }
  t.equal(out[2].code, "not_found")
end)

t.test("the log has the place of a step's own code, and how it was come to", function()
  local function deeper(list) return list.x.y end
  local function logged(steps)
    run(steps)
    local texts = {}
    for _, line in ipairs(t.logs()) do
      if line.level == "error" then texts[#texts + 1] = line.text end
    end
    t.equal(#texts, 1)
    return texts[1]
  end
  local here = "tests/lua/plan_spec%.lua:%d[%d-]*"
  local text = logged{ a = function() local v = deeper{} return v end }
  t.match(text, "^step 'a': " .. here .. ": attempt to index field 'x'")
  t.match(text, "stack traceback:.*" .. here .. ": in function 'deeper'.*" .. here)
  -- One whose last call it is has no frame any more, and a place nevertheless.
  t.match(logged{ a = function() return perilune.respond{ txt = "x" } end }, "^step 'a': " .. here .. ": perilune.respond: unknown option")
  -- One that may fail has its default, and its mistake is in the log all the same.
  t.match(logged{ a = { run = function() error "oops" end, default = 1 } }, "^step 'a': " .. here .. ": oops\nstack traceback")
  t.match(logged{ a = function() error { strange = true } end }, "^step 'a': ")
  -- What is thrown on purpose is no mistake.
  run{ a = { optional = true, run = function() error(perilune.error{ code = "not_found" }) end } }
  for _, line in ipairs(t.logs()) do t.equal(line.level ~= "error", true) end
end)

t.test("what may pass is tried again, what may not is not", function()
  local n, m = 0, 0
  local out = run{
    a = { retry = 2, run = function()
      n = n + 1
      if n < 3 then return nil, perilune.error{ code = "timeout" } end
      return "third"
    end },
    b = { retry = 2, optional = true, run = function()
      m = m + 1
      return nil, perilune.error{ code = "not_found" }
    end },
  }
  t.equal(out[1], { a = "third" })
  t.equal({ n, m }, { 3, 1 })
end)

t.test("when time is over, what is done is the result", function()
  local out = run({
    a = slow(1, "A"), b = { run = slow(9, "B"), default = "db" }, c = { run = slow(1, "C"), after = { "b" } },
  }, { timeout = 2 })
  t.equal(out[1], { a = "A", b = "db" })
  t.equal(out[2].code, "timeout")
  t.equal(out[2].missing, { "b", "c" })
  t.equal(t.clock(), 2)
end)

t.test("nil is a result, too, and at most so many at a time", function()
  local running, most = 0, 0
  local function step()
    running = running + 1
    most = math.max(most, running)
    perilune.sleep(1)
    running = running - 1
  end
  local out = run({ a = step, b = step, c = step, d = { run = step, after = { "a" } }, e = step }, { limit = 2 })
  t.equal(out[1], {})
  t.equal(out[2], nil)
  t.equal(most, 2)
  t.equal(t.clock(), 3)
end)

t.test("a header for who asks: what took how long", function()
  local steps = { a = slow(1, 1), ["b b"] = { run = slow(0.5, 1), after = { "a" } }, c = { run = fails(), optional = true } }
  local _, reply = run(steps)
  t.equal(reply.headers["x-perilune-trace"], nil)
  _, reply = run(steps, nil, { headers = { ["x-perilune-trace"] = "1" } })
  t.equal(reply.headers["x-perilune-trace"],
    "c;state=failed;at=0.000;ms=0.000, a;state=ok;at=0.000;ms=1000.000, b_b;state=ok;at=1000.000;ms=500.000")
  _, reply = run(steps, nil, { headers = { ["x-perilune-trace"] = "0" } })
  t.equal(reply.headers["x-perilune-trace"], nil)
end)

t.test("the span of a late step ends when it was stopped", function()
  local _, reply = run({ late = { run = slow(9), timeout = 1, optional = true }, long = slow(4) }, nil,
    { headers = { ["x-perilune-trace"] = "1" } })
  t.match(reply.headers["x-perilune-trace"], "late;state=late;at=0.000;ms=1000.000")
end)

t.test("the client leaves: all steps end", function()
  local ended = 0
  t.upstream("slow", { text = "x", delay = 5 })
  t.route("r", { function(req, next) req:finally(function() ended = ended + 1 end) return next(req) end })
  local plan = perilune.plan{
    a = function() return perilune.ask{ route = "r", model = "slow", messages = "q" } end,
    b = function() return perilune.ask{ route = "r", model = "slow", messages = "q" } end,
  }
  local reply = t.send(function(req) return plan:run(req) end, nil, t.request("hi"), { leave = 1 })
  t.equal(reply.status, 499)
  t.equal(ended, 2)
end)

t.test("one plan for many requests at once", function()
  local plan = perilune.plan{
    a = function(_, _, i) perilune.sleep(i) return i end,
    b = { run = function(_, done) return done.a * 10 end, after = { "a" } },
  }
  local fns = {}
  for i = 1, 5 do fns[i] = function() return plan:run(nil, i).b end end
  t.equal(perilune.all(fns), { 10, 20, 30, 40, 50 })
end)

t.test("it can be explained", function()
  local f = function() end
  local plan = perilune.plan({
    a = { run = f, timeout = 1.5, default = 1 }, b = { run = f, retry = 2, optional = true },
    c = { run = f, after = { "a", "b" } }, d = f,
  }, { name = "answers" })
  t.equal(plan:explain(), [[
plan 'answers': 4 steps
1. at once
   a, at most 1.5 s, has a default
   b, tried 3 times, may fail
   d
2. when those before them are done
   c, after a, b]])
end)

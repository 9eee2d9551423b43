local t = require "perilune.test"
local perilune = require "perilune"

local function slow(seconds, value)
  return function()
    perilune.sleep(seconds)
    return value
  end
end

-- Runs steps; returns what apply got, the response and the error.
local function run(steps, apply)
  local got
  local next, calls = t.next{ text = "answer" }
  local res, err = t.run("parallel_steps", {
    steps = steps,
    apply = function(req, results)
      got = results
      if apply then return apply(req, results) end
    end,
  }, t.request("hi"), next)
  return got, res, err, #calls
end

t.test("together they take as long as the slowest", function()
  local got, res = run{
    { name = "a", run = slow(1, "A") }, { name = "b", run = slow(3, "B") }, { name = "c", run = slow(2, "C") },
  }
  t.equal(got, { a = "A", b = "B", c = "C" })
  t.equal(res:text(), "answer")
  t.equal(t.clock(), 3)
end)

t.test("one that is late, fails, throws or has nothing gets its default", function()
  local got, res = run{
    { name = "late", run = slow(9, "L"), timeout = 2, default = "dl" },
    { name = "fails", run = function() return nil, perilune.error{ code = "timeout" } end, default = false },
    { name = "throws", run = function() error("oh no") end, default = { "dt" } },
    { name = "nothing", run = function() end },
    { name = "no", run = function() return false end, default = true },
  }
  t.equal(got, { late = "dl", fails = false, throws = { "dt" }, no = false })
  t.ok(res)
  t.equal(t.clock(), 2)
end)

t.test("a required one ends the request and cancels the others", function()
  local finished = false
  local got, res, err, calls = run{
    { name = "other", run = function() perilune.sleep(3) finished = true end },
    { name = "must", run = function() perilune.sleep(1) return nil, perilune.error{ code = "overloaded" } end, required = true },
  }
  t.equal({ got, res, err.code, calls, t.clock() }, { nil, nil, "overloaded", 0, 1 })
  t.advance(10)
  t.equal(finished, false)
end)

t.test("a required one that is late or has nothing is an error", function()
  local _, _, err = run{ { name = "must", run = slow(9), timeout = 1, required = true } }
  t.equal(err.code, "timeout")
  t.match(err.message, "a step took longer than 1 seconds")
  _, _, err = run{ { name = "must", run = function() end, required = true } }
  t.match(err.message, "a step has no result")
end)

t.test("apply may change the request, answer, or refuse", function()
  local steps = { { name = "a", run = slow(0, "A") } }
  local _, res, err, calls = run(steps, function(req) req.model = "other" end)
  t.equal({ res:text(), calls }, { "answer", 1 })
  _, res, err, calls = run(steps, function() return perilune.respond{ text = "no" } end)
  t.equal({ res:text(), calls }, { "no", 0 })
  _, res, err, calls = run(steps, function() return nil, perilune.error{ code = "content_filter" } end)
  t.equal({ res, err.code, calls }, { nil, "content_filter", 0 })
end)

t.test("wrong options are refused", function()
  local function says(options, pattern)
    t.error(function() t.policy("parallel_steps", options) end, pattern)
  end
  local function apply() end
  says({ apply = apply }, "option 'steps' is missing")
  says({ steps = { { name = "a", run = apply } } }, "option 'apply' is missing")
  says({ apply = apply, steps = { { name = "a" } } }, "step 1': option 'run' is missing")
  says({ apply = apply, steps = { { name = "a", run = apply }, { name = "a", run = apply } } }, "two steps are named 'a'")
  says({ apply = apply, steps = { { name = "a", run = apply, timout = 1 } } }, "did you mean 'timeout'?")
end)

t.test("steps that come after others get their results", function()
  local got = run{
    { name = "a", run = slow(1, "A") }, { name = "b", run = slow(2, "B") },
    { name = "c", run = function(_, done) perilune.sleep(1) return done.a .. done.b end, after = { "a", "b" } },
  }
  t.equal(got, { a = "A", b = "B", c = "AB" })
  t.equal(t.clock(), 3)
end)

t.test("one whose step before failed runs with the default, or without", function()
  local got = run{
    { name = "a", run = function() error "oops" end, default = "d" },
    { name = "c", run = function(_, done) return done.a .. "!" end, after = { "a" } },
  }
  t.equal(got, { a = "d", c = "d!" })
end)

t.test("circles are found when the configuration is read", function()
  local function bad(steps, pattern)
    t.error(function() t.policy("parallel_steps", { steps = steps, apply = function() end }) end, pattern)
  end
  local f = function() end
  bad({ { name = "a", run = f, after = { "b" } }, { name = "b", run = f, after = { "a" } } },
    "policy 'parallel_steps': steps wait for each other: 'a' after 'b' after 'a'")
  bad({ { name = "a", run = f, after = { "x" } } }, "policy 'parallel_steps': step 'a': unknown step 'x'")
end)

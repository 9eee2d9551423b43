local t = require "perilune.test"
local core = require "perilune.core"
local errors = require "perilune.errors"
local retry = require "perilune.retry"

local function failing(times, err)
  local n = 0
  return function()
    n = n + 1
    if n <= times then return nil, errors.new(err) end
    return "value " .. n
  end, function() return n end
end

t.test("tries again after a failure that may pass", function()
  local fn, count = failing(2, { code = "overloaded" })
  t.equal(retry.run(t.request("hi"), { tries = 3 }, fn), "value 3")
  t.equal(count(), 3)
  t.ok(t.clock() <= 0.1 + 0.2, "pauses are bounded by the backoff")
end)

t.test("does not repeat what would fail again", function()
  local fn, count = failing(2, { code = "invalid_request_error" })
  local value, err = retry.run(t.request("hi"), {}, fn)
  t.equal(value, nil)
  t.equal(err.code, "invalid_request_error")
  t.equal(count(), 1)
end)

t.test("gives the last error after the last try, without a pause behind it", function()
  local fn, count = failing(9, { code = "timeout" })
  local _, err = retry.run(t.request("hi"), { tries = 1, base = 5 }, fn)
  t.equal(err.code, "timeout")
  t.equal(count(), 1)
  t.equal(t.clock(), 0)
end)

t.test("the codes decide when they are given", function()
  local fn, count = failing(1, { code = "model_not_found" })
  t.equal(retry.run(t.request("hi"), { codes = { model_not_found = true } }, fn), "value 2")
  fn, count = failing(1, { code = "overloaded" })
  retry.run(t.request("hi"), { codes = { model_not_found = true } }, fn)
  t.equal(count(), 1)
end)

t.test("Retry-After is a floor under the pause", function()
  local fn = failing(1, { code = "rate_limit_exceeded", retry_after = 4 })
  t.equal(retry.run(t.request("hi"), {}, fn), "value 2")
  t.ok(t.clock() >= 4 and t.clock() <= 4.1)
end)

t.test("a Retry-After beyond what is allowed ends it", function()
  local fn, count = failing(1, { code = "rate_limit_exceeded", retry_after = 60 })
  local _, err = retry.run(t.request("hi"), { max = 10 }, fn)
  t.equal(err.code, "rate_limit_exceeded")
  t.equal(count(), 1)
  t.equal(t.clock(), 0)
end)

t.test("a pause that the deadline has no room for is not begun", function()
  local req = { time_left = function() return 3 end, log = function() end }
  local fn, count = failing(1, { code = "overloaded", retry_after = 4 })
  local _, err = retry.run(req, {}, fn)
  t.equal(err.code, "overloaded")
  t.equal(count(), 1)
end)

t.test("the pause doubles, up to a bound, and is random below it", function()
  local err = errors.new{ code = "overloaded" }
  local options = { base = 0.1, max = 1 }
  for tries, bound in ipairs{ 0.1, 0.2, 0.4, 0.8, 1, 1 } do
    t.near(retry.pause(tries, options, err, 1), bound)
    t.near(retry.pause(tries, options, err, 0.25), bound / 4)
    t.equal(retry.pause(tries, options, err, 0), 0)
  end
end)

t.test("the budget: a tenth of the requests when all fail", function()
  local budget = retry.budget("all-fail", 0.1, 0)
  local calls = 0
  for _ = 1, 200 do
    retry.run(t.request("hi"), { tries = 5, base = 0.0001, budget = budget }, function()
      calls = calls + 1
      return nil, errors.new{ code = "overloaded" }
    end)
  end
  t.ok(calls >= 215 and calls <= 221, ("200 requests made %d calls"):format(calls))
end)

t.test("the budget: the floor lets rare failures be retried", function()
  local budget = retry.budget("floor", 0, 1)
  for _ = 1, 10 do
    local fn = failing(1, { code = "overloaded" })
    t.equal(retry.run(t.request("hi"), { base = 0.0001, budget = budget }, fn), "value 2")
  end
  local fn, count = failing(1, { code = "overloaded" })
  retry.run(t.request("hi"), { base = 0.0001, budget = budget }, fn)
  t.equal(count(), 1, "ten were saved up, the eleventh has to wait")
  t.advance(5)
  fn, count = failing(1, { code = "overloaded" })
  retry.run(t.request("hi"), { base = 0.0001, budget = budget }, fn)
  t.equal(count(), 2)
end)

t.test("errors: what is left out follows from the code or the status", function()
  local err = errors.new{ code = "timeout" }
  t.equal({ err.status, err.retryable, err.type }, { 504, true, "server_error" })
  err = errors.new{ status = 503 }
  t.equal({ err.code, err.retryable }, { "overloaded", true })
  err = errors.new{ status = 418, message = "teapot" }
  t.equal({ err.code, err.retryable, err.message }, { "invalid_request_error", false, "teapot" })
  err = errors.new "broken"
  t.equal({ err.code, err.status, err.message }, { "internal_error", 500, "broken" })
  err = errors.new{ code = "mine", status = 529 }
  t.equal({ err.code, err.retryable }, { "mine", true })
  err = errors.new{ status = 500 }
  t.equal({ err.code, err.retryable }, { "internal_error", true })
  t.equal(errors.new{}.retryable, false)
  t.equal(errors.new{ code = "mine" }.retryable, false)
  t.error(function() errors.new{ status = 200 } end, "from 400 to 599")
  t.error(function() errors.new(7) end, "takes a table")
end)

t.test("errors: a refusal is not retried", function()
  local res, refused = errors.reject(429, "rate_limit_exceeded", { retry_after = 2 })
  t.equal(res, nil)
  t.equal({ refused.status, refused.retryable, refused.retry_after }, { 429, false, 2 })
  t.error(function() errors.reject(200, "fine") end, "from 400 to 599")
  t.ok(core.now() > 0)
end)

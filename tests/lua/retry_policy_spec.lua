local t = require "perilune.test"

t.test("what failed for a moment is tried again", function()
  t.upstream("a", { { status = 503 }, { status = 503 }, { text = "third time" } })
  t.equal(t.run("retry", {}, t.request("hi")):text(), "third time")
  t.equal(#t.calls("a"), 3)
end)

t.test("every attempt sends the same bytes", function()
  t.upstream("a", { { status = 503 }, { text = "ok" } })
  t.run("retry", {}, t.request("hi"))
  t.equal(t.calls("a")[1].text, t.calls("a")[2].text)
end)

t.test("an error for good is not repeated", function()
  t.upstream("a", { status = 400 })
  local _, err = t.run("retry", {}, t.request("hi"))
  t.equal(err.status, 400)
  t.equal(#t.calls("a"), 1)
end)

t.test("only the codes that are asked for", function()
  t.upstream("a", { { status = 503 }, { text = "ok" } })
  local _, err = t.run("retry", { on = { "rate_limit_exceeded" } }, t.request("hi"))
  t.equal(err.code, "upstream_status")
  t.upstream("a", { { status = 429, retry_after = 3 }, { text = "ok" } })
  t.equal(t.run("retry", { on = { "rate_limit_exceeded" } }, t.request("hi")):text(), "ok")
  t.ok(t.clock() >= 3)
end)

t.test("policies behind it run again", function()
  t.upstream("a", { { status = 503 }, { text = "ok" } })
  local runs = 0
  local policy, behind = t.policy("retry", {}), t.policy("route", { big = "a" })
  local call = function(req) return require("perilune").upstream(req.upstream):chat(req) end
  local res = policy(t.request("hi"), function(req)
    runs = runs + 1
    return behind(req, call)
  end)
  t.equal({ res:text(), runs }, { "ok", 2 })
end)

t.test("the budget holds when everything fails", function()
  t.upstream("a", { status = 503 })
  local policy = t.policy("retry", { budget = 0.1, floor = 0, base = 0, name = "spec" })
  local next = function(req) return require("perilune").upstream("a"):chat(req) end
  for _ = 1, 100 do policy(t.request("hi"), next) end
  t.ok(#t.calls("a") <= 111, #t.calls("a"))
end)

t.test("wrong options are refused", function()
  t.error(function() t.policy("retry", { tries = 0 }) end, "at least 1")
  t.error(function() t.policy("retry", { budget = 2 }) end, "at most 1")
  t.error(function() t.policy("retry", { retries = 2 }) end, "did you mean 'tries'?")
end)

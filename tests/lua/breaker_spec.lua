local t = require "perilune.test"

t.test("an upstream that rests is not asked", function()
  t.upstream("a", { text = "A", health = { state = "open", wait = 4.5 } })
  local res, err = t.run("breaker", {}, t.request("hi"))
  t.equal(res, nil)
  t.equal({ err.code, err.status, err.retryable, err.retry_after, err.upstream },
          { "upstream_unavailable", 503, true, 4.5, "a" })
  t.equal(#t.calls("a"), 0)
end)

t.test("one that does not is", function()
  t.upstream("a", { text = "A", health = { state = "half_open" } })
  t.equal(t.run("breaker", {}, t.request("hi")):text(), "A")
end)

t.test("without the policy it is asked all the same", function()
  t.upstream("a", { text = "A", health = { state = "open", wait = 4.5 } })
  t.equal(t.run(function(req, next) return next(req) end, nil, t.request("hi")):text(), "A")
end)

t.test("fallback behind it goes on at once", function()
  t.upstream("a", { text = "A", health = { state = "open", wait = 4.5 } })
  t.upstream("b", { text = "B" })
  local fallback = t.policy("fallback", { upstreams = { "a", "b" } })
  local res = t.run("breaker", {}, t.request("hi"), fallback)
  t.equal(res:text(), "B")
  t.equal(res.headers["x-perilune-degraded"], "b")
end)

t.test("options are checked", function()
  local function wrong(options, pattern)
    local ok, why = pcall(t.policy, "breaker", options)
    t.equal(ok, false)
    t.ok(why:find(pattern, 1, true), why)
  end
  wrong({ failures = 0 }, "failures")
  wrong({ share = 0 }, "share")
  wrong({ probes = 1.5 }, "probes")
  wrong({ open = 10, max_open = 5 }, "'open' must not be above 'max_open'")
  wrong({ opens = 10 }, "unknown option 'opens'; did you mean 'open'?")
end)

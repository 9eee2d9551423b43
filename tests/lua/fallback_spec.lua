local t = require "perilune.test"

local two = { upstreams = { "a", "b" } }

t.test("the first that works answers", function()
  t.upstream("a", { text = "A" })
  t.upstream("b", { text = "B" })
  t.equal(t.run("fallback", two, t.request("hi")):text(), "A")
  t.equal(#t.calls("b"), 0)
end)

t.test("the second gets the request when the first is down", function()
  for _, status in ipairs{ 429, 500, 502, 503, 504, 529 } do
    t.upstream("a", { status = status })
    t.upstream("b", { text = "B" })
    t.equal(t.run("fallback", two, t.request("hi")):text(), "B", status)
    t.equal(t.calls("a")[1].text, t.calls("b")[1].text)
  end
end)

t.test("an error that would repeat ends it", function()
  t.upstream("a", { status = 400, code = "invalid_request_error", text = "messages is missing" })
  t.upstream("b", { text = "B" })
  local res, err = t.run("fallback", two, t.request("hi"))
  t.equal(res, nil)
  t.equal({ err.status, err.message }, { 400, "messages is missing" })
  t.equal(#t.calls("b"), 0)
end)

t.test("an upstream's own account or limits are not another's", function()
  for _, code in ipairs{ "invalid_api_key", "insufficient_quota", "model_not_found", "context_length_exceeded" } do
    t.upstream("a", { error = { code = code } })
    t.upstream("b", { text = "B" })
    t.equal(t.run("fallback", two, t.request("hi")):text(), "B", code)
  end
end)

t.test("when all fail, the last error is the answer", function()
  t.upstream("a", { status = 503 })
  t.upstream("b", { error = { code = "rate_limit_exceeded", retry_after = 7 } })
  local res, err = t.run("fallback", two, t.request("hi"))
  t.equal(res, nil)
  t.equal({ err.code, err.retry_after, err.upstream }, { "rate_limit_exceeded", 7, "b" })
end)

t.test("one that is slow is left after its timeout", function()
  t.upstream("a", { text = "A", delay = 60 })
  t.upstream("b", { text = "B", delay = 1 })
  t.equal(t.run("fallback", { upstreams = { "a", "b" }, timeout = 2 }, t.request("hi")):text(), "B")
  t.equal(t.clock(), 3)
  t.equal(t.calls("a")[1].outcome, "timeout")
end)

t.test("wrong options are refused", function()
  local function says(options, pattern)
    t.error(function() t.policy("fallback", options) end, pattern)
  end
  says({}, "option 'upstreams' is missing")
  says({ upstreams = {} }, "at least 1")
  says({ upstreams = { "a", 1 } }, "element 2 must be the name of an upstream")
  says({ upstream = { "a" } }, "did you mean 'upstreams'?")
  says({ upstreams = { "a" }, timeout = 0 }, "at least 0.001")
end)

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

t.test("servers without codes for them say it by status or in words", function()
  local said = {
    { 401, "Unauthorized" }, { 402, "Insufficient Balance" }, { 403, "region not supported" },
    { 404, "model \"m1\" not found" }, { 410, "model retired" }, { 413, "too large for the model" },
    { 400, "This model's maximum context length is 4096 tokens" }, { 400, "prompt is too long: 9 tokens > 8 maximum" },
    { 422, "exceeds the context window" }, { 400, "Your credit balance is too low" },
  }
  for _, e in ipairs(said) do
    t.upstream("a", { status = e[1], text = e[2] })
    t.upstream("b", { text = "B" })
    t.equal(t.run("fallback", two, t.request("hi")):text(), "B", e[2])
  end
end)

t.test("what is wrong with the client's own account is for the client", function()
  for _, e in ipairs{ { status = 401 }, { status = 402 }, { status = 403 }, { error = { code = "invalid_api_key" } },
                      { error = { code = "insufficient_quota" } } } do
    e.upstream = { key = "client" }
    t.upstream("a", e)
    t.upstream("b", { text = "B" })
    local res, err = t.run("fallback", two, t.request("hi"))
    t.equal(res, nil)
    t.equal(err.upstream, "a")
    t.equal(#t.calls("b"), 0)
  end
  t.upstream("a", { status = 404, upstream = { key = "client" } })
  t.upstream("b", { text = "B" })
  t.equal(t.run("fallback", two, t.request("hi")):text(), "B")
end)

t.test("the words count where a status leaves it open, and are not looked for elsewhere", function()
  t.upstream("a", { status = 418, text = "no context length" })
  t.upstream("b", { text = "B" })
  t.equal(t.run("fallback", two, t.request("hi")), nil)
  t.equal(#t.calls("b"), 0)
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

t.test("who rests stands behind those that do not, the one with the least to wait first", function()
  t.upstream("a", { text = "A", health = { state = "open", wait = 9 } })
  t.upstream("b", { text = "B", health = { state = "open", wait = 3 } })
  t.upstream("c", { status = 500 })
  local res = t.run("fallback", { upstreams = { "a", "b", "c" } }, t.request("hi"))
  t.equal(res:text(), "B")
  t.equal({ #t.calls("a"), #t.calls("c") }, { 0, 1 })
end)

t.test("who answers in the first one's stead is named", function()
  t.upstream("a", { status = 500 })
  t.upstream("b", { text = "B" })
  t.equal(t.run("fallback", two, t.request("hi")).headers["x-perilune-degraded"], "b")
  t.upstream("a", { text = "A" })
  t.equal(t.run("fallback", two, t.request("hi")).headers["x-perilune-degraded"], nil)
  t.upstream("a", { text = "A", health = { state = "open", wait = 1 } })
  t.equal(t.run("fallback", two, t.request("hi")).headers["x-perilune-degraded"], "b")
end)

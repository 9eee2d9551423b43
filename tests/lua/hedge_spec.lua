local t = require "perilune.test"
local perilune = require "perilune"

local two = { upstreams = { "a", "b" }, after = 0.5 }

-- Enough requests that hedges may be made.
local function save_up(policy, n)
  t.upstream("a", { text = "A" })
  for _ = 1, n do policy(t.request("hi")):text() end
end

t.test("a quick answer is not asked twice", function()
  t.upstream("a", { text = "A", delay = 0.4 })
  t.upstream("b", { text = "B" })
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1 })
  t.equal(policy(t.request("hi")):text(), "A")
  t.equal(t.clock(), 0.4)
  t.equal(#t.calls("b"), 0)
end)

t.test("a late one is, and whoever begins first answers", function()
  t.upstream("a", { text = "A", delay = 20 })
  t.upstream("b", { text = "B", delay = 0.2 })
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1 })
  for _, stream in ipairs{ false, true } do
    local before = t.clock()
    local res = policy(t.request{ stream = stream, messages = { { role = "user", content = "hi" } } })
    t.equal(res:text(), "B")
    t.equal(res.upstream, "b")
    t.equal(math.floor((t.clock() - before) * 1000 + 0.5), 700)
  end
  t.upstream("b", { text = "B", delay = 60 })
  t.equal(policy(t.request("hi")):text(), "A")
end)

t.test("all choices come from the one that answers", function()
  t.upstream("a", { choices = { { text = "A1" }, { text = "A2" } }, delay = 20 })
  t.upstream("b", { choices = { { text = "B1" }, { text = "B2" } }, delay = 0.1 })
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1 })
  local res = policy(t.request{ n = 2, stream = true, messages = { { role = "user", content = "hi" } } })
  t.equal({ res:text(0), res:text(1) }, { "B1", "B2" })
end)

t.test("a failure before the second call: the second upstream is asked at once", function()
  for _, options in ipairs{
    { upstreams = { "a", "b" }, after = 0.5, max_share = 1 },
    { upstreams = { "a", "b" }, after = 0.5, max_share = 0 },
    { upstreams = { "a", "b" } }, -- nothing is known of a
  } do
    for _, stream in ipairs{ true, false } do
      local policy = t.policy("hedge", options)
      t.upstream("a", { status = 500, delay = 0.1 })
      t.upstream("b", { text = "B", delay = 3 })
      local before, calls = t.clock(), #t.calls("b")
      local res = policy(t.request{ stream = stream, messages = { { role = "user", content = "hi" } } })
      t.equal({ res:text(), res.upstream }, { "B", "b" })
      t.ok(math.abs(t.clock() - before - 3.1) < 0.01)
      t.equal(#t.calls("b") - calls, 1, "once, also when the time of a hedge comes")
    end
  end
end)

t.test("a failure that the second one would repeat is told", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1 })
  t.upstream("a", { status = 400, code = "invalid_request_error", delay = 0.1 })
  t.upstream("b", { text = "B" })
  local _, err = policy(t.request("hi"))
  t.equal({ err.upstream, #t.calls("b") }, { "a", 0 })
  policy = t.policy("hedge", { upstreams = { "a" }, after = 0.5, max_share = 1 })
  t.upstream("a", { status = 500 })
  _, err = policy(t.request("hi"))
  t.equal({ err.upstream, #t.calls("a") }, { "a", 1 }, "one upstream: that is what retry is for")
end)

t.test("both fail, one after the other: the first is told", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1 })
  t.upstream("a", { status = 502, delay = 0.1 })
  t.upstream("b", { status = 503, delay = 0.1 })
  local _, err = policy(t.request("hi"))
  t.equal({ err.upstream, math.floor(t.clock() * 10 + 0.5) }, { "a", 2 })
  t.upstream("a", { status = 502, delay = 0.9 }) -- the second call has failed by then
  _, err = policy(t.request("hi"))
  t.equal({ err.upstream, #t.calls("b") }, { "a", 2 })
end)

t.test("a failure while the second call is under way waits for that", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1 })
  t.upstream("a", { status = 500, delay = 0.6 })
  t.upstream("b", { text = "B", delay = 0.3 })
  t.equal(policy(t.request("hi")):text(), "B")
  t.equal(#t.calls("b"), 1)
end)

t.test("a second call that fails leaves the first alone", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1 })
  t.upstream("a", { text = "A", delay = 3 })
  t.upstream("b", { status = 503 })
  t.equal(policy(t.request("hi")):text(), "A")
  t.upstream("a", { status = 502, delay = 3 })
  local _, err = policy(t.request("hi"))
  t.equal(err.upstream, "a")
end)

t.test("both fail: the one that was asked first is told", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1 })
  t.upstream("a", { status = 502, delay = 1 })
  t.upstream("b", { status = 503, delay = 1 })
  local _, err = policy(t.request("hi"))
  t.equal(err.upstream, "a")
end)

t.test("no more than its share, whoever spends it", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 0.1 })
  t.upstream("a", { text = "A", delay = 2 })
  t.upstream("b", { text = "B" })
  local same = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 0.1 }) -- as after a reload
  for i = 1, 100 do (i % 2 == 0 and policy or same)(t.request("hi")):text() end
  t.equal(#t.calls("b"), 10)
end)

t.test("a share of nothing asks nothing twice", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0, max_share = 0 })
  t.upstream("a", { text = "A", delay = 2 })
  t.upstream("b", { text = "B" })
  for _ = 1, 20 do policy(t.request("hi")):text() end
  t.equal(#t.calls("b"), 0)
end)

t.test("a quiet time saves up ten", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 0.5, name = "saved" })
  t.upstream("b", { text = "B" })
  save_up(policy, 100)
  t.upstream("a", { text = "A", delay = 2 })
  t.upstream("b", { text = "B" })
  for _ = 1, 30 do policy(t.request("hi")):text() end
  t.equal(#t.calls("b"), 10 + 14) -- the first ones found it full
end)

t.test("p95: as long as most answers take, of the form that is asked for", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, max_share = 1 })
  local health = { first_token = { p95 = 0.2, at = 0.2 }, whole_answer = { p95 = 5, at = 5 } }
  t.upstream("a", { text = "A", delay = 3, health = health })
  t.upstream("b", { text = "B" })
  t.equal(policy(t.request{ stream = true, messages = { { role = "user", content = "hi" } } }):text(), "B")
  t.equal(policy(t.request("hi")):text(), "A")
  t.upstream("a", { text = "A", delay = 3 }) -- nothing is known
  t.upstream("b", { text = "B" })
  t.equal(policy(t.request("hi")):text(), "A")
  t.equal(#t.calls("b"), 0)
end)

t.test("who rests is passed over", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b", "c" }, after = 0.5, max_share = 1 })
  t.upstream("a", { text = "A", health = { state = "open", wait = 4 } })
  t.upstream("b", { text = "B", delay = 2 })
  t.upstream("c", { text = "C" })
  t.equal(policy(t.request("hi")):text(), "C")
  t.equal(#t.calls("a"), 0)
end)

t.test("one upstream: the second call goes there, too", function()
  local policy = t.policy("hedge", { upstreams = { "a" }, after = 0.5, max_share = 1 })
  t.upstream("a", { { text = "late", delay = 20 }, { text = "quick" } })
  t.equal(policy(t.request("hi")):text(), "quick")
  t.equal(#t.calls("a"), 2)
end)

t.test("a prompt that only the first has read is not asked elsewhere", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1, name = "warm" })
  local function turn(...)
    local messages = {}
    for i, text in ipairs{ ... } do messages[i] = { role = i % 2 == 1 and "user" or "assistant", content = text } end
    return policy(t.request{ messages = messages }):text()
  end
  t.upstream("b", { text = "B" })
  t.upstream("a", { { text = "A" }, { text = "A", delay = 2 } })
  local document, other = ("a long document. "):rep(300), ("another one. "):rep(300)
  t.equal(turn(document), "A")
  t.equal(turn(document, "A", "and then?"), "A", "b would have to read all of it")
  t.equal(#t.calls("b"), 0)
  t.equal(turn(other), "B", "nobody has read this one")
  t.equal(turn(other, "B", "and then?"), "B", "both have")
  t.equal(turn("short"), "B")
  t.equal(turn("short"), "B", "too short to matter")
  t.equal(turn(document, "A", ("and then? "):rep(2000)), "B", "most of it is new")
end)

t.test("one upstream is asked again, though it has read the prompt", function()
  local policy = t.policy("hedge", { upstreams = { "a" }, after = 0.5, max_share = 1, name = "again" })
  t.upstream("a", { { text = "first" }, { text = "late", delay = 20 }, { text = "quick" } })
  local function ask() return policy(t.request(("a long document. "):rep(300))):text() end
  t.equal(ask(), "first")
  t.equal(ask(), "quick")
end)

t.test("the deadline holds for both", function()
  local policy = t.policy("hedge", { upstreams = { "a", "b" }, after = 0.5, max_share = 1, timeout = 2 })
  t.upstream("a", { text = "A", delay = 20 })
  t.upstream("b", { text = "B", delay = 20 })
  local _, err = policy(t.request("hi"))
  t.equal(err.code, "timeout")
  t.equal(math.floor(t.clock() * 10 + 0.5), 25)
end)

t.test("options are checked", function()
  local function wrong(options, pattern)
    local ok, why = pcall(t.policy, "hedge", options)
    t.equal(ok, false)
    t.ok(why:find(pattern, 1, true), why)
  end
  t.upstream("a", {})
  wrong({}, "'upstreams' is missing")
  wrong({ upstreams = { "a" }, after = "p50" }, "p95")
  wrong({ upstreams = { "a" }, after = -1 }, "seconds")
  wrong({ upstreams = { "a" }, max_share = 2 }, "max_share")
  wrong({ upstreams = { "a" }, delay = 2 }, "unknown option 'delay'")
  wrong({ upstreams = { "x" } }, "unknown upstream")
end)

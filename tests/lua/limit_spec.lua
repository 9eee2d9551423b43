local t = require "perilune.test"
local perilune = require "perilune"

local usage = { prompt_tokens = 10, completion_tokens = 90 }

local function ask(fields)
  local what = { messages = { { role = "user", content = "hi" } } }
  for k, v in pairs(fields or {}) do what[k] = v end
  return t.request(what)
end

local function send(options, fields, next, leave)
  return t.send("limit", options, ask(fields), { next = next or t.next{ text = "ok", usage = usage }, leave = leave })
end

-- How many of n requests pass.
local function passed(n, options, fields, next)
  local good = 0
  for _ = 1, n do
    if send(options, fields, next).done then good = good + 1 end
  end
  return good
end

t.test("requests per minute: what passes says what is left, what does not says when", function()
  local options = { requests_per_minute = 3 }
  local reply = send(options)
  t.equal({ reply.status, reply.headers["x-ratelimit-limit-requests"], reply.headers["x-ratelimit-remaining-requests"],
            reply.headers["x-ratelimit-reset-requests"] }, { 200, "3", "2", "20s" })
  t.equal(passed(5, options), 2)
  reply = send(options)
  t.equal({ reply.status, reply.body.error.code, reply.body.error.type }, { 429, "rate_limit_exceeded", "requests" })
  t.match(reply.body.error.message, "^Rate limit reached for test on requests per minute: Limit 3, Used 3, Requested 1. "
    .. "Please try again in 20s.$")
  t.equal({ reply.headers["retry-after"], reply.headers["retry-after-ms"], reply.headers["x-ratelimit-remaining-requests"],
            reply.headers["x-ratelimit-reset-requests"], reply.error.retryable }, { "20", "20000", "0", "1m0s", true })
  t.advance(19.9)
  t.equal(send(options).status, 429)
  t.advance(0.1)
  t.equal(passed(2, options), 1)
end)

t.test("each key has its own", function()
  for _, case in ipairs{
    { "tenant", { tenant = "a" }, { tenant = "b" } },
    { "x-user", { headers = { ["X-User"] = "a" } }, { headers = { ["x-user"] = "b" } } },
    { "authorization", { headers = { authorization = "Bearer a" } }, { headers = { authorization = "Bearer b" } } },
    { "model", { model = "a" }, { model = "b" } },
    { { "tenant", "model" }, { tenant = "a", model = "m" }, { tenant = "a", model = "n" } },
    { function(req) return req.user end, { user = "a" }, { user = "b" } },
    { "x-long", { headers = { ["x-long"] = ("a"):rep(999) .. "1" } }, { headers = { ["x-long"] = ("a"):rep(999) .. "2" } } },
  } do
    local options = { requests_per_hour = 2, key = case[1] }
    t.equal({ passed(4, options, case[2]), passed(4, options, case[3]) }, { 2, 2 }, tostring(case[1]))
    perilune.sleep(7200)
  end
end)

t.test("a function that says nothing limits nothing", function()
  t.equal(passed(5, { requests_per_minute = 1, key = function() return nil end }), 5)
end)

t.test("several windows at once: a refusal by one takes nothing of the others", function()
  local options = { requests_per_second = 1, requests_per_hour = 4, tokens_per_minute = 100000, concurrency = 1 }
  t.equal(passed(20, options), 1)
  for _ = 1, 3 do
    t.advance(1)
    t.equal(passed(2, options), 1)
  end
  t.advance(1)
  local reply = send(options)
  t.match(reply.body.error.message, "requests per hour: Limit 4")
end)

t.test("tokens: what was used takes the place of what was reserved", function()
  local options = { tokens_per_minute = 1000 }
  local reply = send(options, { max_tokens = 900 })
  t.equal(reply.headers["x-ratelimit-limit-tokens"], "1000")
  t.ok(tonumber(reply.headers["x-ratelimit-remaining-tokens"]) < 100, "the longest answer is reserved")
  -- 100 were used; the next answer is foretold: 90.
  reply = send(options, { max_tokens = 900 })
  t.ok(tonumber(reply.headers["x-ratelimit-remaining-tokens"]) >= 800)
  t.equal(passed(20, options), 8)
  reply = send(options)
  t.equal({ reply.status, reply.body.error.type }, { 429, "tokens" })
  t.match(reply.body.error.message, "tokens per minute")
end)

t.test("no first request is refused, however long it may get", function()
  local long = ("many words "):rep(2000)
  local reply = send({ tokens_per_minute = 50 }, { messages = { { role = "user", content = long } }, max_tokens = 100000 })
  t.equal(reply.status, 200)
  reply = send({ tokens_per_minute = 50 })
  t.equal(reply.status, 429)
end)

t.test("a small limit begins with little: several at once, while nothing is known", function()
  local options, good = { tokens_per_minute = 1000 }, 0
  local list = {}
  for i = 1, 12 do
    list[i] = function()
      local reply = send(options, nil, (t.next{ text = "ok", delay = 1, usage = { prompt_tokens = 10, completion_tokens = 20 } }))
      if reply.status == 200 then good = good + 1 end
      return true
    end
  end
  perilune.all(list)
  t.ok(good >= 8 and good < 12, "at once: " .. good)
end)

t.test("a debt is waited for", function()
  local next = t.next{ text = "ok", usage = { prompt_tokens = 1000, completion_tokens = 1000 } }
  t.equal(send({ tokens_per_minute = 1000 }, nil, next).status, 200)
  t.advance(30)
  t.equal(send({ tokens_per_minute = 1000 }, nil, next).status, 429)
  t.advance(80)
  t.equal(send({ tokens_per_minute = 1000 }, { max_tokens = 1 }, next).status, 200)
end)

t.test("streamed or whole, n choices: the same", function()
  for _, stream in ipairs{ true, false } do
    local options = { tokens_per_minute = 1000, name = "s" .. tostring(stream) }
    local next = t.next{ choices = { { text = "a b c" }, { text = "d e f" } }, usage = usage }
    t.equal(passed(3, options, { stream = stream, n = 2 }, next), 3)
    local reply = send(options, { stream = stream, n = 2 }, next)
    t.ok(tonumber(reply.headers["x-ratelimit-remaining-tokens"]) >= 550, "300 are used, and one is reserved")
  end
end)

t.test("a client that leaves pays for what was delivered", function()
  local options = { tokens_per_minute = 1000, concurrency = 1 }
  local chunks = {}
  for i = 1, 100 do chunks[i] = "w " end
  local next = t.next{ chunks = chunks, itl = 0.1, usage = { prompt_tokens = 10, completion_tokens = 100 } }
  local reply = send(options, { stream = true, max_tokens = 500 }, next, 2)
  t.equal(reply.status, 499)
  reply = send(options, { max_tokens = 1 })
  t.equal(reply.status, 200, "the slot is free again")
  local left = tonumber(reply.headers["x-ratelimit-remaining-tokens"])
  t.ok(left > 930 and left < 985, "20 and the prompt were used: " .. left)
end)

t.test("an upstream that fails costs a request and no tokens", function()
  local options = { tokens_per_minute = 1000, requests_per_minute = 10, concurrency = 1 }
  for _ = 1, 3 do t.equal(send(options, nil, (t.next{ status = 500 })).done, false) end
  local reply = send(options, { max_tokens = 10 })
  t.equal(reply.headers["x-ratelimit-remaining-requests"], "6")
  t.ok(tonumber(reply.headers["x-ratelimit-remaining-tokens"]) > 970)
end)

t.test("a retry in front of it finds the place free again", function()
  local calls = 0
  local function chain(req, next)
    local inner = t.policy("limit", { concurrency = 1, tokens_per_minute = 100 })
    local res, err
    for _ = 1, 3 do
      res, err = inner(req, next)
      if res then return res end
    end
    return nil, err
  end
  local next = t.next(function()
    calls = calls + 1
    return calls < 3 and { status = 500 } or { text = "ok", usage = usage }
  end)
  t.equal({ t.send(chain, nil, ask{ max_tokens = 100 }, { next = next }).status, calls }, { 200, 3 })
end)

t.test("a policy that throws gives its slot back", function()
  local options = { concurrency = 1 }
  for _ = 1, 3 do t.equal(send(options, nil, function() error "oops" end).status, 500) end
  t.equal(send(options).status, 200)
end)

t.test("requests at once: free again when the answer has ended", function()
  local options = { concurrency = 2, key = "tenant" }
  local next = t.next{ text = "ok", delay = 1 }
  local got = {}
  perilune.all{
    function() got[1] = send(options, nil, next).status end,
    function() got[2] = send(options, nil, next).status end,
    function() perilune.sleep(0.5); got[3] = send(options, nil, next).status end,
    function() perilune.sleep(0.5); got[4] = send(options, { tenant = "other" }, next).status end,
    function() perilune.sleep(1.5); got[5] = send(options, nil, next).status end,
  }
  t.equal(got, { 200, 200, 429, 200, 200 })
end)

t.test("an answer out of the cache costs no tokens", function()
  local cache = perilune.cache("c")
  t.upstream("big", { text = "ok", usage = usage })
  local inner = function(req, next) return cache:wrap(req, next) end
  local function chain(req, next) return inner(req, next) end
  local boot_next = t.next{ text = "ok", usage = usage }
  local left = {}
  for i = 1, 3 do
    local reply = t.send("limit", { tokens_per_minute = 1000, requests_per_minute = 10 }, ask{ max_tokens = 90 },
      { next = function(req) return chain(req, boot_next) end })
    left[i] = { reply.headers["x-cache"], reply.headers["x-ratelimit-remaining-requests"],
                tonumber(reply.headers["x-ratelimit-remaining-tokens"]) }
  end
  t.equal({ left[1][1], left[2][1], left[3][1], left[3][2] }, { "miss", "hit", "hit", "7" })
  t.equal(left[2][3], left[3][3], "the second one cost nothing")
end)

t.test("a limit of zero refuses all, for good", function()
  for _, options in ipairs{ { requests_per_minute = 0 }, { tokens_per_day = 0 }, { concurrency = 0 }, { usd_per_month = 0 } } do
    local reply = send(options)
    t.equal({ reply.status, reply.error.retryable, reply.headers["retry-after"], reply.headers["x-should-retry"] },
            { 429, false, nil, "false" })
    t.match(reply.body.error.message, "Nothing is allowed by this limit%.$")
  end
end)

t.test("a day is one of the calendar", function()
  t.advance(86400 - perilune.now() % 86400 + 86400 - 10)
  local options = { requests_per_day = 2 }
  t.equal(passed(3, options), 2)
  local reply = send(options)
  t.equal({ reply.headers["retry-after"], reply.headers["x-ratelimit-reset-requests"] }, { "10", "10s" })
  t.advance(10)
  t.equal(passed(3, options), 2)
end)

t.test("dollars, by the prices of the upstream that answered", function()
  t.upstream("big", { text = "ok", usage = { prompt_tokens = 1000, completion_tokens = 1000 },
                      upstream = { price = { input = 1, output = 9 } } })
  local function one() return t.send("limit", { usd_per_day = 0.05 }, ask{ model = "big", max_tokens = 1000 }) end
  local good = 0
  for _ = 1, 9 do good = good + (one().done and 1 or 0) end
  t.equal(good, 5) -- a cent each
  t.match(one().body.error.message, "on USD per day: Limit $0.05, Used $0.05, Requested $0.0")
end)

t.test("a dry run refuses nothing, and says what it would", function()
  t.equal(passed(5, { requests_per_minute = 2, dry_run = true }), 5)
  local reply = t.send("limit", { requests_per_minute = 2, dry_run = true }, ask(), { next = t.next{ text = "ok" } })
  t.equal(reply.headers["x-ratelimit-limit-requests"], nil)
  t.match(t.logs()[1].text, "dry run%) would refuse: Rate limit reached on requests per minute: Limit 2")
end)

t.test("two limits: both hold, and the headers are those of the tighter one", function()
  local function both(req, next)
    return t.policy("limit", { requests_per_minute = 5, name = "outer" })(req, function(r)
      return t.policy("limit", { requests_per_minute = 2, name = "inner" })(r, next)
    end)
  end
  local function one() return t.send(both, nil, ask(), { next = t.next{ text = "ok" } }) end
  t.equal(one().headers["x-ratelimit-remaining-requests"], "1")
  one()
  local reply = one()
  t.equal({ reply.status, reply.headers["x-ratelimit-limit-requests"] }, { 429, "2" })
  -- What the inner one refused was given back to the outer one.
  reply = t.send("limit", { requests_per_minute = 5, name = "outer" }, ask(), { next = t.next{ text = "ok" } })
  t.equal(reply.headers["x-ratelimit-remaining-requests"], "2")
end)

t.test("options that are wrong are said", function()
  for _, case in ipairs{
    { {}, "policy 'limit': nothing is limited; say for example requests_per_minute = 60" },
    { { request_per_minute = 1 }, "did you mean 'requests_per_minute'" },
    { { requests_per_minute = -1 }, "option 'requests_per_minute' must be at least 0" },
    { { requests_per_minute = 1.5 }, "must be a whole number" },
    { { concurrency = "4" }, "option 'concurrency' must be a whole number" },
    { { requests_per_minute = 1, key = "x user" }, "the name of a header, or a function" },
    { { requests_per_minute = 1, key = {} }, "a list of 1 to 4 names" },
    { { requests_per_minute = 1, key = 5 }, "must name what is told apart" },
    { { requests_per_minute = 1, shared = true }, "shared = true needs a Redis" },
  } do
    t.error(function() t.policy("limit", case[1]) end, case[2])
  end
  t.upstream("free", { text = "ok" })
  t.error(function() t.policy("limit", { usd_per_day = 1 }) end, "no upstream has a price")
end)

-- -- perilune.limit ------------------------------------------------------------------------------------------

t.test("perilune.limit: take, settle, release", function()
  local limit = perilune.limit("jobs", { tokens_per_minute = 100, usd_per_day = 1, concurrency = 2 })
  local a = t.ok(limit:take{ key = "k", tokens = 80, usd = 0.5 })
  local b, err = limit:take{ key = "k", tokens = 30 }
  t.equal({ b, err.code, err.status, err.window, err.limit, err.type }, { nil, "rate_limit_exceeded", 429, "minute", "jobs", "tokens" })
  t.ok(err.retry_after > 0)
  a:settle{ tokens = 10 }
  a:settle{ tokens = 1000 }
  a:release()
  b = t.ok(limit:take{ key = "k", tokens = 90 })
  b:release()
  b = t.ok(limit:take{ key = "k", tokens = 90, usd = 0.5 }, "what is not said is as reserved: half a dollar is used")
  b:release()
  t.ok(limit:take{ key = 7 })
  local c
  c, err = limit:take{ key = "k", usd = 0.6 }
  t.equal({ c, err.window, err.type }, { nil, "day", "insufficient_quota" })
  t.error(function() limit:take{ tokens = -1 } end, "'tokens' must be a number, 0 or more")
  t.error(function() limit:take{ token = 1 } end, "unknown option 'token'")
  t.error(function() b:settle{ token = 1 } end, "unknown option 'token'")
  t.error(function() perilune.limit("x", { burst = 1 }) end, "unknown option 'burst'")
  t.error(function() perilune.limit("", { concurrency = 1 }) end, "a string of 1 to 96 bytes")
end)

t.test("a policy that forgets to settle is settled when its request is over", function()
  local function policy(req, next)
    local got, err = perilune.limit("mine", { tokens_per_minute = 1000, concurrency = 1 }):take{ key = "k", tokens = 500 }
    if not got then return nil, err end
    return next(req)
  end
  for _ = 1, 5 do t.equal(t.send(policy, nil, ask(), { next = t.next{ text = "ok", usage = usage } }).status, 200) end
  t.equal(t.send(policy, nil, ask(), { next = t.next{ text = "ok", usage = usage } }).status, 200)
  local reply = t.send(policy, nil, ask(), { next = t.next{ text = "ok", usage = usage } })
  t.equal(reply.status, 429)
  t.advance(30)
  local left
  t.send(function(req, next)
    left = perilune.limit("mine", { tokens_per_minute = 1000, concurrency = 1 }):take{ key = "k", tokens = 500 }
    req:finally(function() left:settle{ tokens = 499 } end)
    return next(req)
  end, nil, ask(), { next = t.next{ text = "ok", usage = usage } })
  local limit = perilune.limit("mine", { tokens_per_minute = 1000 })
  t.equal(limit:take{ key = "k", tokens = 402 }, nil, "599 are used: what a policy settles, holds")
  t.ok(limit:take{ key = "k", tokens = 400 })
end)

-- -- budget ---------------------------------------------------------------------------------------------------

local function priced()
  local use = { prompt_tokens = 0, completion_tokens = 1000 }
  t.upstream("big", { text = "big", usage = use, upstream = { price = { output = 10 } } })
  t.upstream("small", { text = "small", usage = use, upstream = { price = { output = 1 } } })
  t.upstream("free", { text = "free", usage = use })
end

local function spend(n, options)
  local out = {}
  for i = 1, n do
    local reply = t.send("budget", options, ask{ model = "big", max_tokens = 1000 })
    out[i] = reply.done and reply.text or reply.status
    if reply.text == "small" then t.equal(reply.headers["x-perilune-degraded"], "budget") end
  end
  return table.concat(out, " ")
end

t.test("budget: the small one from a share on, and 429 when nothing is left", function()
  priced()
  t.equal(spend(8, { usd_per_day = 0.043, at = { [0.9] = "small" } }), "big big big big small small small 429")
end)

t.test("budget: a level at 1 is for when nothing is left", function()
  priced()
  t.equal(spend(5, { usd_per_month = 0.03, at = { [1] = "free" } }), "big big big free free")
end)

t.test("budget: what a level at 1 costs is counted", function()
  priced()
  local options = { usd_per_minute = 0.02, at = { [1] = "small" } }
  t.equal(spend(7, options), "big big small small small small small")
  t.advance(31)
  t.equal(spend(1, options), "small", "half of the budget is back, and a quarter of it was spent beyond it")
  t.advance(25)
  t.equal(spend(1, options), "big")
end)

t.test("budget: one for each key, again on the next day, and not in a dry run", function()
  priced()
  local function one(tenant, options)
    options.usd_per_day, options.key = 0.01, "tenant"
    return t.send("budget", options, ask{ model = "big", max_tokens = 1000, tenant = tenant }).status
  end
  t.equal({ one("a", {}), one("a", {}), one("b", {}), one("a", { dry_run = true }) }, { 200, 429, 200, 200 })
  t.advance(86400)
  t.equal({ one("a", {}), one("a", {}) }, { 200, 429 })
end)

t.test("budget: levels that are wrong are said", function()
  for _, case in ipairs{
    { { at = { [0.5] = "small" } }, "nothing is limited" },
    { { usd_per_day = 1, at = { [80] = "small" } }, "has the key 80; keys are shares" },
    { { usd_per_day = 1, at = { [0.8] = "smal" } }, "did you mean 'small'" },
    { { usd_per_day = 1, at = { [0.8] = { upstrem = "small", model = "m" } } }, "did you mean 'upstream'" },
    { { usd_per_day = 1, at = "small" }, "must be a table" },
    { { usd_per_day = 1, requests_per_day = 1 }, "unknown option" },
  } do
    priced()
    t.error(function() t.policy("budget", case[1]) end, case[2])
  end
end)

t.test("who left before anything was asked has used nothing; however a model is spelled, it is one", function()
  t.upstream("up", { text = "x", delay = 5, usage = { prompt_tokens = 10, completion_tokens = 1 } })
  local list = { { "limit", tokens_per_minute = 3000, name = "left" }, { "priority", concurrency = 1 } }
  local chain = t.policies(list)
  local fns = { function() return t.send(chain, nil, t.request{ messages = { { role = "user", content = "a" } }, max_tokens = 5 }).status end }
  for i = 2, 6 do
    fns[i] = function()
      return t.send(chain, nil, t.request{ messages = { { role = "user", content = ("word "):rep(400) } }, max_tokens = 5 }, { leave = 1 }).status
    end
  end
  t.equal(require("perilune").all(fns), { 200, 499, 499, 499, 499, 499 })
  local reply = t.send(chain, nil, t.request{ messages = { { role = "user", content = "a" } }, max_tokens = 5 })
  t.equal(tonumber(reply.headers["x-ratelimit-remaining-tokens"]) > 2900, true)

  local policy = t.policy("limit", { requests_per_minute = 1, key = "model", name = "spelled" })
  t.equal(t.send(policy, nil, t.request{ body = '{"model":"test","messages":[{"role":"user","content":"x"}]}' }).status, 200)
  t.equal(t.send(policy, nil, t.request{ body = '{"model":"t\\u0065st","messages":[{"role":"user","content":"x"}]}' }).status, 429)
end)

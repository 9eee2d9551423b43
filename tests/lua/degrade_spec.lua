local t = require "perilune.test"
local perilune = require "perilune"

local ladder = { { upstream = "big" }, { upstream = "small" }, { text = "busy" } }

local function policy_of(more)
  local options = { ladder = {} }
  for i, step in ipairs(ladder) do options.ladder[i] = step end
  for k, v in pairs(more or {}) do options[k] = v end
  return t.policy("degrade", options)
end

local function send(policy, fields) return t.send(policy, nil, t.request(fields or "hi")) end

local function how(reply) return { reply.text, reply.headers["x-perilune-degraded"] } end

t.test("the first step answers, and nothing is said of it", function()
  t.upstream("big", { text = "good" })
  t.upstream("small", { text = "less" })
  t.equal(how(send(policy_of())), { "good" })
  t.equal(#t.calls("small"), 0)
end)

t.test("a step that fails leads to the next, streamed or whole, one choice or two", function()
  t.upstream("big", { status = 503 })
  t.upstream("small", { chunks = { "le", "ss" } })
  for _, fields in ipairs{ {}, { stream = true }, { n = 2 }, { stream = true, n = 2 } } do
    t.equal(how(send(policy_of(), fields)), { "less", "small" })
  end
  t.upstream("small", { status = 500 })
  t.equal(how(send(policy_of(), { stream = true })), { "busy", "canned" })
end)

t.test("what the client did wrong goes to the client", function()
  t.upstream("big", { status = 400 })
  t.upstream("small", { text = "less" })
  local reply = send(policy_of())
  t.equal({ reply.status, #t.calls("small") }, { 400, 0 })
end)

t.test("an account without money is another step's chance", function()
  t.upstream("big", { status = 402 })
  t.upstream("small", { text = "less" })
  t.equal(how(send(policy_of())), { "less", "small" })
end)

t.test("nothing answers: 503 with Retry-After", function()
  t.upstream("big", { status = 500 })
  t.upstream("small", { status = 429 })
  local policy = t.policy("degrade", { ladder = { { upstream = "big" }, { upstream = "small" } }, hold = 7 })
  local reply = send(policy)
  t.equal({ reply.status, reply.headers["retry-after"], reply.error.retryable }, { 503, "7", true })
end)

t.test("many errors move the ladder; it goes up when those sent ahead get their answer", function()
  t.upstream("big", { status = 500 })
  t.upstream("small", { text = "less" })
  local policy = policy_of{ errors = { share = 0.5, least = 10 }, hold = 20 }
  for _ = 1, 10 do send(policy) end
  t.equal(#t.calls("big"), 10)
  for _ = 1, 50 do send(policy) end
  t.equal(#t.calls("big"), 10, "nobody asks it any more")

  t.advance(21)
  for _ = 1, 400 do t.equal(how(send(policy)), { "less", "small" }) end
  local tried = #t.calls("big")
  t.ok(tried > 12 and tried < 60, "some are sent ahead: " .. tried)

  t.upstream("big", { text = "good" })
  for _ = 1, 400 do send(policy) end
  t.equal(how(send(policy)), { "good" })
end)

t.test("it goes down one step at a time, to the last and no further", function()
  t.upstream("big", { status = 500 })
  t.upstream("small", { status = 500 })
  local policy = policy_of{ errors = { share = 0.5, least = 5 } }
  for _ = 1, 40 do t.equal(how(send(policy)), { "busy", "canned" }) end
  t.equal({ #t.calls("big"), #t.calls("small") }, { 5, 10 })
end)

t.test("few errors move nothing", function()
  local n = 0
  t.upstream("big", function()
    n = n + 1
    return n % 4 == 0 and { status = 500 } or { text = "good" }
  end)
  t.upstream("small", { text = "less" })
  local policy = policy_of()
  for _ = 1, 80 do send(policy) end
  t.equal({ #t.calls("big"), #t.calls("small") }, { 80, 20 })
end)

t.test("a full gate moves it, an empty one lets it go up", function()
  t.upstream("big", { text = "good", delay = 1 })
  t.upstream("small", { text = "less" })
  local gate = perilune.gate("full", { concurrency = 1, max_wait = 60, target_wait = 0 })
  local degrade = policy_of{ saturation = { gate = "full", high = 3, low = 0.5 }, hold = 5 }
  local function chain(req, next)
    return degrade(req, function(r)
      if r.upstream == "big" then gate:enter(r) end
      return next(r)
    end)
  end
  local waiting = {}
  for i = 1, 6 do waiting[i] = function() return how(send(chain)) end end
  waiting[7] = function()
    t.advance(0.5)
    return how(send(chain))
  end
  local got = perilune.all(waiting)
  t.equal(got[7], { "less", "small" })
  t.advance(30)
  for _ = 1, 400 do send(chain) end
  t.equal(how(send(chain)), { "good" })
end)

t.test("what a cache still has, however old", function()
  local n = 0
  t.upstream("big", function()
    n = n + 1
    return n == 1 and { text = "fresh" } or { status = 500 }
  end)
  local cache = t.policy("cache_exact", { ttl = 10, stale_if_error = 100000 })
  local degrade = t.policy("degrade", { ladder = { { upstream = "big" }, { stale = "exact" }, { text = "busy" } } })
  local function chain(req, next) return cache(req, function(r) return degrade(r, next) end) end
  t.equal(send(chain).text, "fresh")
  t.advance(5000)
  local reply = send(chain)
  t.equal(how(reply), { "fresh", "stale" })
  t.equal(send(chain, { messages = { { role = "user", content = "another" } } }).text, "busy")
end)

t.test("a cache that has nothing of a question is no reason to stay down, nor is little traffic", function()
  local dark = true
  t.upstream("big", function() return dark and { status = 500 } or { text = "good" } end)
  t.upstream("small", function() return dark and { status = 500 } or { text = "less" } end)
  local policy = t.policy("degrade", { hold = 10, errors = { least = 5 },
    ladder = { { upstream = "big" }, { upstream = "small" }, { stale = "exact" }, { text = "busy" } } })
  for i = 1, 40 do t.equal(send(policy, { seed = i }).text, "busy") end
  dark = false
  for i = 1, 60 do
    t.advance(1)
    send(policy, { seed = 1000 + i })
  end
  t.equal(how(send(policy)), { "good" }, "within a minute, at one request a second")
end)

t.test("what a gate refuses says nothing of an upstream", function()
  t.upstream("big", { text = "good", delay = 1 })
  local policy = { { "degrade", ladder = { { upstream = "big" }, { text = "busy" } }, errors = { least = 5 } },
                   { "priority", concurrency = 1, max_queue = 0, upstreams = { "big" } } }
  local fns = {}
  for i = 1, 30 do fns[i] = function() return t.send(policy, nil, t.request("hi")).text end end
  local got = perilune.all(fns)
  t.equal({ got[1], got[30] }, { "good", "busy" })
  t.equal(t.send(policy, nil, t.request("hi")).text, "good", "the ladder did not move")
end)

t.test("what a policy in front has chosen is the first step's", function()
  t.upstream("big", { text = "good" })
  t.upstream("next", { text = "newer" })
  local function chooses(req, next)
    req.upstream = "next"
    return next(req)
  end
  t.equal(t.send({ chooses, { "degrade", ladder = { { upstream = "big" }, { text = "busy" } } } }, nil, t.request("hi")).text, "newer")
  for _, last in ipairs{ { "fallback", upstreams = { "big" } }, { "hedge", upstreams = { "big" }, after = 1 } } do
    t.equal(t.send({ chooses, last }, nil, t.request("hi")).text, "newer")
  end
end)

t.test("a prompt that is too long goes on to other models only, and moves nothing", function()
  local long = { status = 400, code = "context_length_exceeded" }
  local steps = { { upstream = "big" }, { upstream = "wide" }, { text = "busy" } }
  local policy = t.policy("degrade", { ladder = steps, errors = { least = 2 }, name = "long" })
  t.upstream("big", long)
  t.upstream("wide", { text = "read" })
  for _ = 1, 5 do t.equal(send(policy).text, "read") end
  t.equal(#t.calls("big"), 5, "the ladder stands where it stood")
  t.upstream("wide", long)
  local reply = send(policy)
  t.equal({ reply.status, reply.error.code }, { 400, "context_length_exceeded" })
end)

t.test("who comes with a key that is refused hears of it, as in fallback", function()
  local steps = { { upstream = "big" }, { upstream = "spare" } }
  local policy = t.policy("degrade", { ladder = steps, name = "keys" })
  t.upstream("big", { status = 401, code = "invalid_api_key", upstream = { key = "client" } })
  t.upstream("spare", { text = "not for you" })
  t.equal(send(policy).status, 401)
  t.upstream("big", { status = 403, text = "insufficient credit" })
  t.equal(send(policy).text, "not for you", "our own account is another one there")
end)

t.test("a step for another model, and the next for the request's own", function()
  local seen = {}
  local function note(status)
    return function(req)
      seen[#seen + 1] = req.model
      return status and { status = status } or { text = "x" }
    end
  end
  t.upstream("big", note(500))
  t.upstream("small", note())
  local policy = t.policy("degrade", { ladder = { { upstream = "big", model = "huge" }, { upstream = "small" } } })
  t.equal(send(policy, { model = "own" }).text, "x")
  t.equal(seen, { "huge", "own" })
end)

t.test("wrong options are refused", function()
  local function wrong(options, pattern) t.error(function() t.policy("degrade", options) end, pattern) end
  t.upstream("big", { text = "x" })
  wrong({}, "option 'ladder' is missing")
  wrong({ ladder = { { upstream = "big" } } }, "ladder")
  wrong({ ladder = { { upstream = "big" }, {} } }, "step 2 needs one of")
  wrong({ ladder = { { upstream = "big" }, { text = "a", stale = "b" } } }, "step 2 needs one of")
  wrong({ ladder = { { upstream = "big" }, { text = "a", model = "b" } } }, "step 2 has a model")
  wrong({ ladder = { { upstream = "big" }, { txet = "a" } } }, "did you mean 'text'")
  wrong({ ladder = ladder, saturation = { high = 2 } , errors = { shar = 1 } }, "did you mean 'share'")
  wrong({ ladder = ladder, saturation = { high = -2 } }, "needs high, a number from")
end)

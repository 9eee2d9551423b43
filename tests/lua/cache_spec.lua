local perilune = require "perilune"
local t = require "perilune.test"

local chat = function(text, more)
  local req = { model = "m", messages = { { role = "user", content = text } } }
  for k, v in pairs(more or {}) do req[k] = v end
  return t.request(req)
end

t.test("the second question is answered from memory", function()
  t.upstream("a", { text = "fine" })
  local policy = t.policy("cache_exact", { ttl = 60, name = "second" })
  local res = t.run(policy, nil, chat("hi"))
  t.equal({ res:text(), res.headers["x-cache"] }, { "fine", "miss" })
  t.upstream("a", { text = "other" })
  res = t.run(policy, nil, chat("hi"))
  t.equal({ res:text(), res.headers["x-cache"], res.headers["age"] }, { "fine", "hit", "0" })
  t.advance(61)
  res = t.run(policy, nil, chat("hi"))
  t.equal({ res:text(), res.headers["x-cache"] }, { "other", "miss" })
end)

t.test("values are kept as they are", function()
  local c = perilune.cache("values", { ttl = 10 })
  t.equal(c:get("k"), nil)
  t.equal(c:set("k", "text"), true)
  t.equal({ c:get("k") }, { "text", 0 })
  c:set("k", { a = { 1, 2 }, b = true })
  t.equal((c:get("k")), { a = { 1, 2 }, b = true })
  c:set("n", 1.5)
  t.equal((c:get("n")), 1.5)
  c:set("f", false)
  t.equal((c:get("f")), false)
  t.equal({ c:delete("k"), c:delete("k") }, { true, false })
  t.equal(c:get("k"), nil)
end)

t.test("a time to live of its own, and tags", function()
  local c, other = perilune.cache("tags", { ttl = 100 }), perilune.cache("more tags")
  c:set("short", "x", 5)
  c:set("tagged", "x", { ttl = 50, tags = { "one", "two" } })
  other:set("tagged", "y", { tags = { "one" } })
  t.advance(6)
  t.equal(c:get("short"), nil)
  t.equal({ c:get("tagged") }, { "x", 6 })
  c:invalidate("one")
  t.equal(c:get("tagged"), nil)
  t.equal((other:get("tagged")), "y")
  c:set("all", "x")
  t.advance(1)
  c:invalidate()
  t.equal(c:get("all"), nil)
  t.equal((other:get("tagged")), "y")
end)

t.test("what is too large is not kept, and says so", function()
  local c = perilune.cache("small", { max_entry = 100 })
  t.equal(c:set("k", ("x"):rep(200)), false)
  t.equal(c:set("k", ("x"):rep(50)), true)
  t.equal(c:stats().entries >= 1, true)
end)

t.test("wrong use is refused", function()
  t.error(function() perilune.cache("") end, "a name is a string of 1 to 64 bytes")
  t.error(function() perilune.cache("x", { tll = 1 }) end, "did you mean 'ttl'")
  t.error(function() perilune.cache("x", { honor = { "no-cash" } }) end, "did you mean 'no%-cache'")
  t.error(function() perilune.cache("x"):set(("k"):rep(5000), 1) end, "at most 4096 bytes")
  t.error(function() perilune.cache("x"):set("k", 1, { tags = { 1 } }) end, "a tag must be a string")
  t.error(function() perilune.cache("x"):set("k", 1, -1) end, "time to live")
  t.error(function() perilune.cache("x"):wrap(chat("hi"), function() end, { slat = "x" }) end, "did you mean 'salt'")
  t.error(function() t.policy("cache_exact", { ttl = "soon" }) end, "ttl")
  t.error(function() t.policy("coalesce", { x = 1 }) end, "x")
end)

t.test("images, audio, seed and settings are part of the question", function()
  t.upstream("a", { text = "x" })
  local policy = t.policy("cache_exact", { ttl = 60, name = "parts" })
  local function part(kind, value) return { { role = "user", content = { { type = kind, [kind] = value } } } } end
  local questions = {
    { messages = part("image_url", { url = "data:image/png;base64,aaaa" }) },
    { messages = part("image_url", { url = "data:image/png;base64,aaab" }) },
    { messages = part("image_url", { url = "data:image/png;base64,aaaa", detail = "low" }) },
    { messages = part("input_audio", { data = "aaaa", format = "wav" }) },
    { messages = part("input_audio", { data = "aaaa", format = "mp3" }) },
    { modalities = { "text", "audio" } }, { seed = 1 }, { seed = 2 }, { temperature = 0 }, { temperature = 1.5 }, { n = 1 },
    { top_p = 0.5 }, { max_tokens = 7 },
  }
  for _, want in ipairs{ "miss", "hit" } do
    for i, more in ipairs(questions) do
      local res = t.run(policy, nil, chat("hi", more))
      t.equal(res.headers["x-cache"], want, ("question %d"):format(i))
      res:text()
    end
  end
  local cold = t.policy("cache_exact", { ttl = 60, name = "cold", max_temperature = 0 })
  for _, case in ipairs{ { 0, "miss" }, { 0, "hit" }, { 0.1, "bypass" }, { 0.1, "bypass" } } do
    local res = t.run(cold, nil, chat("hi", { temperature = case[1] }))
    t.equal(res.headers["x-cache"], case[2])
    res:text()
  end
end)

t.test("wrap: kept is what the policy says", function()
  local c = perilune.cache("kept")
  local policy = function(req, next)
    return c:wrap(req, next, { keep = function(res) return not res:text():find("sorry", 1, true) end })
  end
  for _, stream in ipairs{ false, true } do
    local question = chat("hi", { stream = stream, seed = stream and 1 or 2 })
    for i, case in ipairs{ { "sorry, not now", "miss" }, { "fine", "miss" }, { "fine", "hit" } } do
      t.upstream("a", { text = case[1] })
      local res = t.run(policy, nil, question)
      t.equal({ res:text(), res.headers["x-cache"] }, case, ("question %d"):format(i))
    end
  end
  t.error(function() t.run(function(req, next) return c:wrap(req, next, { keep = true }) end, nil, chat("hi")) end,
    "'keep' is a function")
end)

t.test("a stale answer for a failure that is no table", function()
  t.upstream("a", { text = "old" })
  local c, broken = perilune.cache("no table", { ttl = 1, stale_if_error = 100 }), false
  local policy = function(req, next)
    return c:wrap(req, function(r) if broken then return nil, "it is broken" end return next(r) end)
  end
  t.equal(t.run(policy, nil, chat("hi")):text(), "old")
  broken = true
  t.advance(2)
  local res = t.run(policy, nil, chat("hi"))
  t.equal({ res:text(), res.headers["x-cache"] }, { "old", "stale" })
  local log = t.logs()[#t.logs()]
  t.equal({ log.text, log.fields.reason }, { "answered with what the cache had, because the upstream failed", "it is broken" })
end)

t.test("wrap: a salt is part of the question", function()
  t.upstream("a", { text = "one" })
  local c, salt = perilune.cache("salted"), "s1"
  local policy = function(req, next) return c:wrap(req, next, { salt = salt }) end
  t.equal(t.run(policy, nil, chat("hi")).headers["x-cache"], "miss")
  t.equal(t.run(policy, nil, chat("hi")).headers["x-cache"], "hit")
  salt = "s2"
  t.equal(t.run(policy, nil, chat("hi")).headers["x-cache"], "miss")
end)

t.test("what policies answer themselves is kept, too", function()
  local c, made = perilune.cache("own"), 0
  local policy = function(req)
    return c:wrap(req, function()
      made = made + 1
      return perilune.respond{ text = "made " .. made }
    end)
  end
  t.equal(t.run(policy, nil, chat("hi")):text(), "made 1")
  t.equal(t.run(policy, nil, chat("hi")):text(), "made 1")
  t.equal(t.run(policy, nil, chat("hi", { stream = true })):text(), "made 1")
  t.equal(t.run(policy, nil, chat("ho")):text(), "made 2")
end)

t.test("an answer that was read before it was kept is kept whole", function()
  t.upstream("a", { text = "a b c" })
  local c = perilune.cache("read")
  local policy = function(req, next)
    return c:wrap(req, function(r)
      local res, err = next(r)
      if res then res:text() end
      return res, err
    end)
  end
  t.equal(t.run(policy, nil, chat("hi", { stream = true })):text(), "a b c")
  local res = t.run(policy, nil, chat("hi", { stream = true }))
  t.equal({ res:text(), res.headers["x-cache"] }, { "a b c", "hit" })
end)

t.test("what failed is not kept; a stale answer stands in for it", function()
  t.upstream("a", { text = "old" })
  local policy = t.policy("cache_exact", { ttl = 10, stale_if_error = 100, name = "failing" })
  t.equal(t.run(policy, nil, chat("hi")):text(), "old")
  t.advance(20)
  t.upstream("a", { status = 503 })
  local res = t.run(policy, nil, chat("hi"))
  t.equal({ res:text(), res.headers["x-cache"], res.headers["age"] }, { "old", "stale", "20" })
  t.advance(100)
  local none, err = t.run(policy, nil, chat("hi"))
  t.equal({ none, err.status }, { nil, 503 })
end)

t.test("retrieval: a fetch is answered from memory", function()
  t.policy("cache_retrieval", { urls = { "http://search.test/q*" }, ttl = 10 })
  local answer = { status = 200, body = "found \0 \255", headers = { ["Content-Type"] = "x/y" } }
  t.fetch("http://search.test/q?a=1", function() return answer end)
  local first = perilune.fetch("http://search.test/q?a=1")
  t.equal({ first.body, first.headers["x-cache"] }, { "found \0 \255" })
  answer = { status = 500, body = "down" }
  local again = perilune.fetch("http://search.test/q?a=1", {})
  t.equal({ again.status, again.body, again.headers["x-cache"], again.headers["age"] }, { 200, "found \0 \255", "hit", "0" })
  t.equal(again.headers["Content-Type"], first.headers["content-type"])
  t.equal(perilune.fetch("http://search.test/q?a=1", { body = "x" }).status, 500) -- another question
  t.equal(perilune.fetch("http://search.test/q?a=1", { headers = { a = "b" } }).status, 500)
  t.advance(11)
  t.equal(perilune.fetch("http://search.test/q?a=1").status, 500)
  answer = { status = 200, body = "back" }
  t.equal(perilune.fetch("http://search.test/q?a=1").body, "back") -- a failure is not kept
end)

t.test("retrieval: wrong options are refused", function()
  t.error(function() t.policy("cache_retrieval", {}) end, "option 'urls' is missing")
  t.error(function() t.policy("cache_retrieval", { urls = { "search.test" } }) end, "http://")
end)

t.test("the outcome tells an answer that was paid for from one that was not", function()
  t.upstream("a", { text = "fine", usage = { prompt_tokens = 3, completion_tokens = 2 } })
  local policy = t.policy("cache_exact", { ttl = 60, name = "outcome" })
  local seen = {}
  local outer = function(req, next)
    req:finally(function(outcome) seen[#seen + 1] = outcome.cache or "none" end)
    return policy(req, next)
  end
  for _ = 1, 2 do t.send(outer, nil, chat("hi")) end
  t.send(function(req, next)
    req:finally(function(outcome) seen[#seen + 1] = outcome.cache or "none" end)
    return next(req)
  end, nil, chat("hi"))
  t.equal(seen, { "miss", "hit", "none" })
end)

t.test("a policy that forgot its second parameter is told so", function()
  t.upstream("a", { text = "fine" })
  t.error(function() t.run(function(req) return next(req) end, nil, chat("hi")) end, "second parameter")
end)

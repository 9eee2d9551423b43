local perilune = require "perilune"
local t = require "perilune.test"

-- Thresholds are given as numbers: what is tested is what surrounds them.
local function chat(text, more)
  local req = { model = "m", messages = { { role = "user", content = text } } }
  for k, v in pairs(more or {}) do req[k] = v end
  return t.request(req)
end

local count = 0
local function fresh(options)
  count = count + 1
  local own = { ttl = 60, threshold = 0.6, name = "semantic" .. count }
  for k, v in pairs(options or {}) do own[k] = v end
  return t.policy("cache_semantic", own)
end

local function state(res) return { res:text(), res.headers["x-cache"] } end

t.test("a question that means the same gets the same answer", function()
  t.upstream("a", { text = "like this" })
  local policy = fresh()
  t.equal(state(t.run(policy, nil, chat("How do I reset my password?"))), { "like this", "miss" })
  t.upstream("a", { text = "other" })
  local res = t.run(policy, nil, chat("How can I reset my password?"))
  t.equal(state(res), { "like this", "hit" })
  t.equal(tonumber(res.headers["x-cache-similarity"]) > 0.6, true)
  t.equal(res.headers["x-cache-entry"]:find("^%x+@[%d.]+$") ~= nil, true)
  t.equal(res.headers["age"], "0")
end)

t.test("a stream, and one that is asked for as a whole", function()
  t.upstream("a", { chunks = { "one ", "two" } })
  local policy = fresh()
  t.equal(state(t.run(policy, nil, chat("How do I reset my password?", { stream = true }))), { "one two", "miss" })
  t.equal(state(t.run(policy, nil, chat("How can I reset my password?"))), { "one two", "hit" })
  t.equal(state(t.run(policy, nil, chat("How could I reset my password?", { stream = true }))), { "one two", "hit" })
end)

-- What differs, and so must be asked anew though the words are nearly the same.
local different = {
  { "How do I enable logging in the console?", "How do I disable logging in the console?" },
  { "What is the capital of France today?", "What is the capital of Spain today?" },
  { "Convert 30 dollars to euros please", "Convert 50 dollars to euros please" },
  { "Is it safe to eat raw eggs at home?", "Is it not safe to eat raw eggs at home?" },
  { "Train times from Paris to London tomorrow", "Train times from London to Paris tomorrow" },
  { "怎么打开蓝牙功能？", "怎么关闭蓝牙功能？" },
  { "从北京到上海的火车有哪些", "从上海到北京的火车有哪些" },
  { "一个鸡蛋有多少热量？", "三个鸡蛋有多少热量？" },
}

t.test("what must not differ", function()
  for i, pair in ipairs(different) do
    t.upstream("a", { text = "first" })
    local policy = fresh{ threshold = 0.1 }
    t.equal(state(t.run(policy, nil, chat(pair[1]))), { "first", "miss" })
    t.upstream("a", { text = "second" })
    t.equal({ i, state(t.run(policy, nil, chat(pair[2]))) }, { i, { "second", "miss" } })
  end
end)

t.test("all but the last turn must be equal", function()
  t.upstream("a", { text = "first" })
  local policy = fresh()
  local function ask(question, system, more)
    local req = { model = "m", messages = { { role = "system", content = system }, { role = "user", content = question } } }
    for k, v in pairs(more or {}) do req[k] = v end
    return state(t.run(policy, nil, t.request(req)))[2]
  end
  t.equal(ask("How do I reset my password?", "Be brief."), "miss")
  t.equal(ask("How can I reset my password?", "Be brief."), "hit")
  t.equal(ask("How can I reset my password?", "Be long."), "miss")
  t.equal(ask("How could I reset my password?", "Be brief.", { temperature = 0.5 }), "miss")
  t.equal(ask("How could I reset my password?", "Be brief.", { model = "n" }), "miss")
  t.equal(ask("How could I reset my password?", "Be brief.", { user = "u", metadata = { a = 1 } }), "hit")
end)

t.test("tenants have questions of their own, unless they share", function()
  for _, case in ipairs{ { false, "miss" }, { true, "hit" } } do
    t.upstream("a", { text = "first" })
    local policy = fresh{ shared = case[1] }
    local function ask(question, tenant)
      local inner = function(req, next)
        req.tenant = tenant
        return policy(req, next)
      end
      return state(t.run(inner, nil, chat(question)))[2]
    end
    t.equal(ask("How do I reset my password?", "one"), "miss")
    t.equal(ask("How can I reset my password?", "two"), case[2])
    t.equal(ask("How could I reset my password?", "one"), "hit")
  end
end)

t.test("questions that are more than text, or answer a tool, are not compared", function()
  t.upstream("a", { text = "first" })
  local policy = fresh{ threshold = 0.1 }
  local function ask(messages, more)
    local req = { model = "m", messages = messages }
    for k, v in pairs(more or {}) do req[k] = v end
    return state(t.run(policy, nil, t.request(req)))[2]
  end
  local image = { type = "image_url", image_url = { url = "data:image/png;base64,aaaa" } }
  t.equal(ask{ { role = "user", content = { { type = "text", text = "What is in this picture?" }, image } } }, "miss")
  t.equal(ask{ { role = "user", content = { { type = "text", text = "What is on this picture?" }, image } } }, "miss")
  t.equal(ask{ { role = "user", content = { { type = "text", text = "How do I reset my password?" } } } }, "miss")
  t.equal(ask{ { role = "user", content = "How can I reset my password?" } }, "hit")
  local tools = { { type = "function", ["function"] = { name = "f" } } }
  t.equal(ask({ { role = "user", content = "How do I pay my bill?" } }, { tools = tools }), "miss")
  t.equal(ask({ { role = "user", content = "How can I pay my bill?" } }, { tools = tools }), "miss")
  t.equal(ask{ { role = "user", content = "x" }, { role = "tool", tool_call_id = "1", content = "How do I?" } }, "miss")
  t.equal(ask{ { role = "user", content = ("long question "):rep(400) } }, "miss")
  t.equal(ask{ { role = "user", content = "   " } }, "miss")
end)

-- Each is near enough, and the model that decides when there is no threshold thinks otherwise of their order.
local near_ones = {
  "How do I reset my password?", "reset my password", "how to reset a password", "What is the way to reset my password?",
  "please reset my password", "Could you tell me how I reset my password today?", "password reset how",
}

t.test("of several that are near enough, the nearest by what decides", function()
  local asked = "How can I reset my password?"
  local function keep(policy, i)
    t.upstream("a", { text = "answer " .. i })
    t.equal(state(t.run(policy, nil, chat(near_ones[i]))), { "answer " .. i, "miss" })
  end
  local nearest, most = nil, -1
  for i in ipairs(near_ones) do
    local policy = fresh{ threshold = 0.2 }
    keep(policy, i)
    local similarity = tonumber(t.run(policy, nil, chat(asked)).headers["x-cache-similarity"])
    if similarity > most then nearest, most = i, similarity end
  end
  for _, order in ipairs{ { 1, #near_ones, 1 }, { #near_ones, 1, -1 } } do
    local all = "all of them " .. order[1]
    for i = order[1], order[2], order[3] do keep(fresh{ threshold = 1, name = all }, i) end
    t.equal(t.run(fresh{ threshold = 0.2, name = all }, nil, chat(asked)):text(), "answer " .. nearest)
  end
end)

t.test("what the cache forgot is not given", function()
  t.upstream("a", { text = "first" })
  local policy = fresh{ tags = { "faq" }, name = "forgets" }
  local function ask(question) return state(t.run(policy, nil, chat(question)))[2] end
  t.equal(ask("How do I reset my password?"), "miss")
  t.advance(61)
  t.equal(ask("How can I reset my password?"), "miss")
  t.equal(ask("How could I reset my password?"), "hit")
  perilune.cache("forgets", {}):invalidate("faq")
  t.advance(1)
  t.equal(ask("How might I reset my password?"), "miss")
end)

t.test("failed and cut answers are not found", function()
  t.upstream("a", { { chunks = { "half" }, breaks = true }, { status = 500 }, { text = "good" } })
  local policy = fresh()
  local res = t.run(policy, nil, chat("How do I reset my password?", { stream = true }))
  if res then res:text() end
  t.run(policy, nil, chat("How can I reset my password?"))
  t.equal(state(t.run(policy, nil, chat("How could I reset my password?"))), { "good", "miss" })
end)

t.test("what users tell moves the threshold of an answer", function()
  t.upstream("a", { text = "first" })
  local policy = fresh{ name = "told" }
  t.run(policy, nil, chat("How do I reset my password?")):text()
  local res = t.run(policy, nil, chat("How can I reset my password?"))
  t.equal(res.headers["x-cache"], "hit")
  local c = perilune.cache("told", {})
  t.equal(c:feedback(res.headers["x-cache-entry"], false), true)
  t.equal(state(t.run(policy, nil, chat("How could I reset my password?")))[2], "miss")
  local ok, err = c:feedback("nonsense", true)
  t.equal({ ok, err:find("x-cache-entry", 1, true) ~= nil }, { nil, true })
  t.equal((pcall(c.feedback, c, 5, true)), false)
  local gone = select(2, c:feedback(("0"):rep(32) .. "@0.9000", false))
  t.equal(gone:find("no entry", 1, true) ~= nil, true)
  local elsewhere = perilune.cache("told elsewhere", {})
  t.equal((elsewhere:feedback(res.headers["x-cache-entry"], false)), nil)
end)

t.test("an exact hit names its entry, but teaches no score", function()
  t.upstream("a", { text = "Press the button." })
  local policy = fresh()
  t.equal(t.run(policy, nil, chat("How do I reset my password?")).headers["x-cache-entry"], nil)
  local res = t.run(policy, nil, chat("How do I reset my password?"))
  t.match(res.headers["x-cache-entry"], "^%x+$")
  local ok, err = perilune.cache("told", {}):feedback(res.headers["x-cache-entry"], false)
  t.equal(ok, nil)
  t.match(err, "the very question")
end)

t.test("clients may ask for a new answer", function()
  t.upstream("a", { text = "first" })
  local policy = fresh()
  local function ask(question, control)
    local req = t.request{ model = "m", messages = { { role = "user", content = question } },
                           headers = { ["cache-control"] = control } }
    return state(t.run(policy, nil, req))[2]
  end
  t.equal(ask("How do I reset my password?"), "miss")
  t.equal(ask("How can I reset my password?", "no-cache"), "bypass")
  t.equal(ask("How could I reset my password?", "no-store"), "bypass")
  t.advance(10)
  t.equal(ask("How would I reset my password?", "max-age=5"), "miss")
end)

t.test("an upstream of embeddings", function()
  local vectors = { ["query: red"] = { 1, 0, 0 }, ["query: crimson"] = { 0.99, 0.1, 0 }, ["query: blue"] = { 0, 1, 0 } }
  local asked = 0
  t.upstream("e", function(req)
    asked = asked + 1
    local v = vectors[req.input[1]]
    return v and { body = { object = "list", data = { { object = "embedding", index = 0, embedding = v } } } } or { status = 500 }
  end)
  t.upstream("a", { text = "first" })
  local policy = fresh{ embedder = "e", threshold = 0.9, prefix = "query: " }
  local function ask(question) return state(t.run(policy, nil, chat(question)))[2] end
  local inner = policy
  policy = function(req, _) return inner(req, function(r) return perilune.upstream("a"):chat(r) end) end
  t.equal({ ask("red"), ask("crimson"), ask("blue") }, { "miss", "hit", "miss" })
  t.equal({ ask("green"), ask("green") }, { "miss", "hit" }) -- its upstream fails: the exact cache goes on
  t.equal(asked, 4)
end)

t.test("several answers, given in turn", function()
  t.upstream("a", { { text = "one" }, { text = "two" }, { text = "three" } })
  local policy = fresh{ answers = 3 }
  local seen, kinds = {}, 0
  for _ = 1, 40 do
    local text = t.run(policy, nil, chat("How do I reset my password?")):text()
    if not seen[text] then kinds = kinds + 1 end
    seen[text] = true
  end
  t.equal({ kinds, #t.calls("a") }, { 3, 3 })
end)

t.test("a hit of some probability", function()
  t.upstream("a", { text = "x" })
  local never, always = fresh{ probability = 0 }, fresh{ probability = 1 }
  for _, case in ipairs{ { never, "miss" }, { always, "hit" } } do
    t.run(case[1], nil, chat("How do I reset my password?")):text()
    t.equal(state(t.run(case[1], nil, chat("How do I reset my password?")))[2], case[2])
  end
end)

t.test("options that are wrong", function()
  for _, case in ipairs{
    { { threshold = 1.5 }, "from 0 to 1" }, { { threshold = "often" }, "auto" }, { { max_false = 2 }, "max_false" },
    { { prefix = "query: " }, "the embedder 'builtin' is none" }, { { prefix = "q", embedder = "./small.rows", threshold = 0.9 }, "leave it out" },
    { { embedder = "./nowhere.rows" }, "embedder" }, { { calibration = "nowhere" }, "calibration" },
    { { embedder = "./small.rows", calibration = "../../core/semantic/table/pair.model" }, "made with another table than this file" },
    { { embedder = "./small.rows", threshold = "auto" }, "needs a calibration" },
    { { calibration = "any.pair", threshold = 0.0974 }, "policy 'cache_semantic': option 'threshold' is a number, which is compared with the similarity" },
    { { vary = { "x team" } }, "which is no name of a header" },
    { { answers = 0 }, "answers" }, { { probability = 2 }, "probability" }, { { thresholt = 1 }, "threshold" },
  } do
    local ok, err = pcall(t.policy, "cache_semantic", case[1])
    t.equal({ ok, tostring(err):find(case[2], 1, true) ~= nil }, { false, true })
  end
end)

t.test("a table of one's own", function()
  t.upstream("a", { text = "x" })
  local policy = fresh{ embedder = "./small.rows", threshold = 0.7 }
  t.run(policy, nil, chat("How do I reset my password?")):text()
  t.equal(state(t.run(policy, nil, chat("How do I recover my password?")))[2], "hit")
  t.equal(state(t.run(policy, nil, chat("How do I bake a cake?")))[2], "miss")
end)

t.test("an embedding, for policies", function()
  local a, b, c = perilune.embed("reset my password"), perilune.embed("reset my password"), perilune.embed("apple pie")
  local function dot(x, y)
    local sum = 0
    for i = 1, #x do sum = sum + x[i] * y[i] end
    return sum
  end
  t.equal({ #a, dot(a, b) > 0.99, dot(a, c) < 0.9 }, { #b, true, true })
  t.equal((pcall(perilune.embed, ("x"):rep(5000))), false)
end)

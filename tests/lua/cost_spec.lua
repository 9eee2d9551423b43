local t = require "perilune.test"
local perilune = require "perilune"
local cost = require "perilune.cost"

local function profile(model, upstream)
  t.upstream("m", { text = "ok", upstream = upstream or {} })
  return cost.profile(t.request{ model = model, messages = { { role = "user", content = "hi" } } })
end

t.test("what providers take", function()
  local function is(model, provider, read, write, upstream)
    local p = profile(model, upstream)
    t.equal({ p.provider, p.read, p.write }, { provider, read, write }, model)
  end
  is("claude-sonnet-5", "anthropic", 0.1, 1.25)
  is("anthropic/Claude-Opus-4.6", "anthropic", 0.1, 1.25)
  is("gpt-4o-mini", "openai", 0.5, 1)
  is("gpt-4.1", "openai", 0.25, 1)
  is("o3-mini", "openai", 0.5, 1)
  is("gpt-5.5", "openai", 0.1, 1)
  is("gpt-5.6-sol", "openai", 0.1, 1.25)
  is("openai/gpt-6", "openai", 0.1, 1.25)
  is("deepseek-chat", "deepseek", 0.02, 1)
  is("gpt-oss-120b", "unknown", 0.1, 1)
  is("qwen2.5-7b", "unknown", 0.1, 1)
  is("x", "groq", 0.5, 1, { urls = { "https://api.groq.com/openai/v1" } })
  is("x", "anthropic", 0.1, 1.25, { model = "claude-x" })
end)

t.test("models that cache at breakpoints", function()
  for _, model in ipairs{ "gpt-5.6", "gpt-5.6-sol", "gpt-5.10", "gpt-6", "gpt-7-mini", "openai/gpt-5.7" } do
    t.equal(cost.has_breakpoints(model), true, model)
  end
  for _, model in ipairs{ "gpt-5", "gpt-5.5", "gpt-4o", "gpt-5-2025-08-07", "gpt-4.1", "gpt-oss-20b", "claude-5.6", "" } do
    t.equal(cost.has_breakpoints(model), false, model)
  end
end)

t.test("prices of the configuration come first", function()
  local p = profile("claude-x", { price = { input = 4, output = 20, cached = 1, write = 4 } })
  t.equal({ p.read, p.write, p.input, p.output }, { 0.25, 1, 4, 20 })
  p = profile("claude-x", { price = { input = 4 } })
  t.equal({ p.read, p.write, p.input, p.output }, { 0.1, 1.25, 4, 0 })
end)

t.test("which upstream: chosen, by model, the only one", function()
  t.upstream("a", { text = "", upstream = { model = "claude-x" } })
  t.upstream("b", { text = "", upstream = { models = { "other" }, model = "deepseek-v4" } })
  local req = t.request{ model = "other" }
  t.equal(cost.profile(req).upstream, "b")
  req.upstream = "a"
  t.equal(cost.profile(req).provider, "anthropic")
  t.equal(cost.profile(req, "b").provider, "deepseek")
  t.equal(cost.profile(t.request{ model = "a" }).upstream, "a")
  t.equal(cost.profile(t.request{ model = "nobody's" }).upstream, "")
end)

t.test("break-even, as derived", function()
  local function percent(read, write, n) return math.floor(100 * cost.break_even({ read = read, write = write }, n) + 0.5) end
  local rows = {
    { 0.1, 1.25, 92, 79, 53, 28, 10 }, { 0.1, 1, 90, 75, 47, 23, 8 }, { 0.5, 1, 50, 25, 9, 3, 1 }, { 0.02, 1, 98, 94, 83, 62, 33 },
  }
  for _, row in ipairs(rows) do
    for i, n in ipairs{ 1, 3, 10, 30, 100 } do t.equal(percent(row[1], row[2], n), row[i + 2], ("r %g w %g n %d"):format(row[1], row[2], n)) end
  end
  t.equal(percent(1, 1, 10), 0)
end)

local function conversation(n, more)
  local messages = {}
  for i = 1, n do messages[i] = { role = i % 2 == 1 and "user" or "assistant", content = ("word "):rep(1200) .. i } end
  local body = { messages = messages }
  for k, v in pairs(more or {}) do body[k] = v end
  return t.request(body)
end

t.test("the ledger knows what was sent", function()
  t.upstream("m", { text = "ok" })
  local ledger = cost.open(conversation(3), "p")
  t.equal({ ledger.known, ledger.state, ledger.cached }, { 0, nil, false })
  ledger:remember("two gone")
  ledger = cost.open(conversation(5), "p")
  t.equal({ ledger.known, ledger.state, ledger.cached }, { 3, "two gone", true })
  t.equal(cost.open(conversation(2), "p").known, 0, "shorter than what was sent")
  t.equal(cost.open(conversation(5), "q").known, 0, "another policy")
  t.equal(cost.open(conversation(5, { tenant = "acme" }), "p").known, 0, "another tenant")
  t.equal(cost.open(conversation(5, { model = "other" }), "p").known, 0, "another model")
  t.equal(cost.open(conversation(5, { tools = { { type = "function" } } }), "p").known, 0, "other tools")
  ledger:remember()
  t.equal({ cost.open(conversation(9), "p").known, cost.open(conversation(9), "p").state }, { 5, nil })
  t.advance(299)
  t.equal(cost.open(conversation(5), "p").known, 5)
  t.advance(2)
  t.equal(cost.open(conversation(5), "p").known, 0, "the provider has forgotten")
end)

t.test("when it pays", function()
  t.upstream("m", { text = "ok", upstream = { model = "claude-x" } })
  cost.open(conversation(3), "p"):remember()
  local ledger = cost.open(conversation(5), "p")
  t.equal({ ledger:pays(53, 100), ledger:pays(54, 100) }, { false, true })
  t.equal({ ledger:pays(1, 0), ledger:pays(0, 0) }, { true, false }, "what was not sent is free")
  t.equal(cost.open(conversation(5), "p", { reuse = 100 }):pays(11, 100), true)
  t.equal(cost.open(conversation(5), "p", { guard = false }):pays(1, 100), true)
  t.equal(cost.open(conversation(5), "new"):pays(1, 100), true, "a conversation that nobody has cached")
end)

t.test("a prompt that is too short for a cache costs nothing to rewrite", function()
  t.upstream("m", { text = "ok", upstream = { model = "claude-x" } })
  local req = t.request("short")
  cost.open(req, "p"):remember("state")
  local ledger = cost.open(req, "p")
  t.equal({ ledger.known, ledger.state, ledger:pays(1, 100) }, { 0, "state", true })
end)

t.test("money of one call", function()
  t.upstream("m", { text = "ok", upstream = { model = "claude-x", price = { input = 10 } } })
  local ledger = cost.open(conversation(3), "p")
  local usd, tokens = ledger:net{ sent = 0, new = 1000, kept_sent = 0, kept_new = 400 }
  t.near(tokens, 750)
  t.near(usd, 0.0075)
  usd = ledger:net{ sent = 10000, new = 0, kept_sent = 5000, kept_new = 0, broke = true }
  t.near(usd, (1000 - 6250) * 1e-5)
  usd = ledger:net{ sent = 10000, new = 0, kept_sent = 5000, kept_new = 0 }
  t.near(usd, 500 * 1e-5)
end)

t.test("a report has the same money", function()
  t.upstream("m", { text = "ok", upstream = { model = "claude-x", price = { input = 10 } } })
  local function report(what)
    local req = conversation(3)
    local ledger = cost.open(req, "p")
    what.after = ledger.tokens - what.removed
    what.removed = nil
    ledger:report(what)
    return req:saved()
  end
  local got = report{ removed = 1000 }
  t.equal(got.tokens, 1000)
  t.near(got.cost, 0.0125)
  t.near(report{ removed = 1000, sent_removed = 1000 }.cost, 0.001)
  t.near(report{ removed = 1000, sent_removed = 1000, behind = 3000 }.cost, (300 - 2500) * 1e-5)
  t.near(report{ removed = 1000, sent_removed = 1000, earlier = 900, behind = 3000 }.cost, (100 - 2900 * 1.15) * 1e-5)
  t.near(report{ removed = 3000, sent_removed = 3000, earlier = 2500, behind = 2000 }.cost, (300 - 1500 * 1.15) * 1e-5)
  t.near(report{ removed = 1000, behind = 3000 }.cost, (1250 + 300 - 3750) * 1e-5)
  t.near(report{ removed = -100 }.cost, -0.00125)
end)

-- -- what it is built on ---------------------------------------------------------

t.test("prefixes name what a request begins with", function()
  local function names(body) return t.request{ body = body }:prefixes() end
  local a = names('{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}]}')
  t.equal(#a, 2)
  t.match(a[0], "^" .. ("%x"):rep(32) .. "$")
  local b = names('{ "messages" : [ {"role":"system", "content":"s"}, {"role":"user","content":"other"} ], "model":"m", "seed":1 }')
  t.equal({ a[0] == b[0], a[1] == b[1], a[2] == b[2] }, { true, true, false })
  local marked = names('{"model":"m","messages":[{"role":"system","content":"s","cache_control":{"type":"ephemeral"}},'
    .. '{"prompt_cache_breakpoint":{"mode":"explicit"},"role":"user","content":"u"}]}')
  t.equal(marked, a)
  local part = names('{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"\\u0073","cache_control":{}}]},'
    .. '{"role":"user","content":[{"text":"u","type":"text"}]}]}')
  t.equal(part, a)
  local two = names('{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"s"},{"type":"text","text":""}]}]}')
  t.ok(two[1] ~= a[1])
  local image = names('{"model":"m","messages":[{"role":"system","content":[{"type":"image","text":"s"}]}]}')
  t.ok(image[1] ~= a[1])
  local other = names('{"model":"m","tools":[],"messages":[{"role":"system","content":"s"}]}')
  t.equal({ a[0] == other[0], a[1] == other[1] }, { false, false })
  t.equal(#t.request{ path = "/v1/embeddings", body = '{"model":"m","input":"x"}' }:prefixes(), 0)
  local req = t.request("u")
  local before = req:prefixes()[1]
  req.messages[1].content = "v"
  t.ok(before ~= req:prefixes()[1])
end)

t.test("json.view keeps what it read", function()
  local text = '{"z":1.50, "a":[1,{"y":"\\u0041","x":null}],"m":{}}'
  local v = perilune.json.view(text)
  t.equal(perilune.json.encode(v), text)
  t.equal({ v.z, v.a[2].y, v.a[2].x == perilune.json.null }, { 1.5, "A", true })
  v.m = "new"
  t.equal(perilune.json.encode(v), '{"z":1.50, "a":[1,{"y":"\\u0041","x":null}],"m":"new"}')
  t.equal(perilune.json.encode(perilune.json.view('[ {"b":1,"a":2} , 3]')), '[{"b":1,"a":2},3]')
  t.equal({ perilune.json.view("7"), perilune.json.view('"s"'), perilune.json.view("[]")[1] }, { 7, "s" })
  local none, why = perilune.json.view('{"a":')
  t.equal(none, nil)
  t.match(why, "^not valid JSON")
  local req = t.request("u")
  req.tools = perilune.json.view('[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":2,"k":3}}}]')
  t.match(req:body(), '"parameters":{"z":1,"a":2,"k":3}')
end)

t.test("ask: a question of one's own", function()
  t.upstream("small", { { text = "the facts", usage = { prompt_tokens = 7, completion_tokens = 2 } }, { status = 503 }, { text = "late", delay = 9 } })
  local small = perilune.upstream("small")
  local text, usage = small:ask({ messages = { { role = "user", content = "q" } }, max_tokens = 5, stream = true })
  t.equal({ text, usage.prompt_tokens }, { "the facts", 7 })
  local call = t.calls("small")[1]
  t.equal({ call.body.model, call.body.max_tokens, call.body.stream, call.body.messages[1].content }, { "small", 5, nil, "q" })
  t.upstream("named", { text = "x", upstream = { models = { "qwen" } } })
  perilune.upstream("named"):ask{ messages = { { role = "user", content = "q" } } }
  t.equal(t.calls("named")[1].body.model, "qwen")
  local none, err = small:ask{ messages = { { role = "user", content = "q" } } }
  t.equal({ none, err.code }, { nil, "upstream_status" })
  none, err = small:ask({ messages = { { role = "user", content = "q" } } }, { timeout = 2 })
  t.equal({ none, err.code }, { nil, "timeout" })
  none, err = small:ask{ messages = "no list" }
  t.equal({ none, err.status }, { nil, 400 })
  t.error(function() small:ask("q") end, "the body is a table")
  t.error(function() small:chat{ messages = {} } end, "upstream:ask%(body, opts%) takes a table")
end)

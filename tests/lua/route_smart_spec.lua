local perilune = require "perilune"
local schema = require "perilune.schema"
local t = require "perilune.test"

local price = { input = 1, output = 4 }

local function both(small, big)
  small, big = small or { text = "from small" }, big or { text = "from big" }
  if type(small) == "table" and not small[1] then small.upstream = small.upstream or { model = "s" } end
  if type(big) == "table" and not big[1] then big.upstream = big.upstream or { model = "b" } end
  t.upstream("small", small)
  t.upstream("big", big)
end

local function options(more)
  local out = { small = "small", big = "big" }
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

local function route(more, what)
  local reply = t.send("route_smart", options(more), t.request(what))
  return reply.upstream, reply.headers["x-perilune-route"], reply
end

local function why_of(...) return (select(2, route(...))) end

local EASY, HARD = "Name a rivers or a trees.", "Prove that prime numbers holds for all groups."

t.test("the classifier sends hard prompts to the big model, and says why", function()
  both()
  local model = { model = "./small.route" }
  t.equal(why_of(model, EASY), "small; classifier")
  local to, why = route(model, HARD)
  t.equal({ to, why }, { "big", "big; classifier" })
  local line = t.logs()[1]
  t.equal({ line.text, line.fields.to, line.fields.why }, { "routed", "big", "classifier" })
  t.ok(line.fields.loss > 0.5, "a loss is expected")
  t.equal(route({ model = "./small.route", max_loss = 1 }, HARD), "small")
  t.equal(route({ model = "./small.route", big_share = 0 }, HARD), "small")
  t.equal(route({ model = "./small.route", big_share = 1 }, EASY), "big")
end)

t.test("without a classifier the small model answers", function()
  both()
  local to, why = route({}, HARD)
  t.equal({ to, why }, { "small", "small; default" })
end)

t.test("tools and images go where they can be served", function()
  both()
  local tools = { tools = { { type = "function", ["function"] = { name = "f", parameters = { type = "object" } } } },
    messages = { { role = "user", content = EASY } } }
  local image = { messages = { { role = "user", content = { { type = "text", text = "what is it?" },
    { type = "image_url", image_url = { url = "https://example.com/a.png" } } } } } }
  t.equal(why_of({}, tools), "big; tools")
  t.equal(why_of({}, image), "big; images")
  t.equal(route({ small_can = { "tools", "images" } }, tools), "small")
  t.equal(route({ small_can = { "tools", "images" } }, image), "small")
  t.equal(route({}, { tools = {}, messages = { { role = "user", content = EASY } } }), "small")
end)

t.test("a prompt that is too long for one goes to the other", function()
  both()
  local long = ("word "):rep(400)
  t.equal(why_of({ small_context = 100 }, long), "big; context")
  t.equal(why_of({ big_context = 100, big_above_tokens = 1 }, long), "small; context")
  t.equal(route({ small_context = 1000 }, long), "small")
end)

t.test("what is plain to see", function()
  both()
  t.equal(why_of({ big_above_tokens = 50 }, ("word "):rep(100)), "big; length")
  t.equal(why_of({ small_below_tokens = 100, model = "./small.route" }, HARD), "small; length")
  t.equal(why_of({ big_code = true }, "```\nlocal x = 1\n```"), "big; code")
  t.equal(why_of({ big_above_questions = 1 }, "Why? And how?"), "big; questions")
  t.equal(why_of({ big_above_questions = 1 }, "为什么？怎么办？"), "big; questions")
  local turns = { messages = { { role = "user", content = "a" }, { role = "assistant", content = "b" },
    { role = "user", content = "c" } } }
  t.equal(why_of({ big_above_turns = 1 }, turns), "big; turns")
  t.equal(route({ big_above_questions = 0, big_above_turns = 1 }, "no question"), "small")
end)

local function conversation(second)
  return { messages = { { role = "user", content = ("Prove that sets holds for all rings. "):rep(400) },
    { role = "assistant", content = "It does." }, { role = "user", content = second } } }
end

t.test("a conversation stays with the big model while its cache is worth more than moving saves", function()
  local first = { messages = { conversation("").messages[1] } }
  both({ text = "s", upstream = { model = "s", price = { input = 0.9, output = 3.9 } } },
    { text = "b", upstream = { model = "b", price = price } })
  t.equal(route({ model = "./small.route" }, first), "big")
  t.equal(why_of({ model = "./small.route" }, conversation(EASY)), "big; conversation")
  t.equal(route({ model = "./small.route", sticky = false }, conversation(EASY)), "small")
  t.advance(100000) -- nobody keeps a prompt that long
  t.equal(route({ model = "./small.route" }, conversation(EASY)), "small")
end)

t.test("it moves when that saves more, and stays when nobody says what things cost", function()
  local first = { messages = { conversation("").messages[1] } }
  both({ text = "s", upstream = { model = "s", price = { input = 0.01, output = 0.01 } } },
    { text = "b", upstream = { model = "b", price = price } })
  t.equal(route({ model = "./small.route" }, first), "big")
  t.equal(why_of({ model = "./small.route" }, conversation(EASY)), "small; classifier")
  both()
  t.equal(route({ model = "./small.route", name = "no price" }, first), "big")
  t.equal(why_of({ model = "./small.route", name = "no price" }, conversation(EASY)), "big; conversation")
end)

t.test("a short conversation moves freely: it is in nobody's cache", function()
  both()
  route({ model = "./small.route" }, { messages = { { role = "user", content = HARD } } })
  local what = { messages = { { role = "user", content = HARD }, { role = "assistant", content = "no" }, { role = "user", content = EASY } } }
  t.equal(route({ model = "./small.route" }, what), "small")
end)

t.test("the budget of a day", function()
  both(nil, { text = "b", usage = { prompt_tokens = 1000000, completion_tokens = 0 }, upstream = { model = "b", price = price } })
  local limit = { model = "./small.route", usd_per_day = 1.5, small_can = {}, sticky = false }
  t.equal(route(limit, HARD), "big")
  t.equal(route(limit, HARD), "big")
  t.equal(why_of(limit, HARD), "small; budget")
  local _, _, reply = route(limit, { tools = { { type = "function", ["function"] = { name = "f" } } } })
  t.equal({ reply.status, reply.error.code }, { 429, "insufficient_quota" })
  t.ok(reply.error.retry_after > 0 and reply.error.retry_after <= 86400, "until midnight")
  t.advance(86400)
  t.equal(route(limit, HARD), "big")
  t.equal(why_of({ model = "./small.route", usd_per_day = 0, name = "zero" }, HARD), "small; budget")
end)

local function with_logprobs(list, more)
  local content = {}
  for i, p in ipairs(list) do content[i] = { token = "x", logprob = p } end
  local out = { body = { id = "c", object = "chat.completion", model = "s", choices = { { index = 0, finish_reason = "stop",
    message = { role = "assistant", content = "maybe" }, logprobs = { content = content } } } } }
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

t.test("a cascade takes what the small model is sure of", function()
  both(with_logprobs{ -0.1, -0.2 })
  local _, why, reply = route({ cascade = { logprob = -0.5 } }, EASY)
  t.equal({ why, reply.text }, { "small; default", "maybe" })
  t.equal(t.calls("small")[1].body.logprobs, true)
  t.equal(reply.body.choices[1].logprobs, perilune.json.null, "the client did not ask for them")
  t.equal(#t.calls("big"), 0)
end)

t.test("a client that asked for logprobs gets them", function()
  both(with_logprobs{ -0.1 })
  local _, _, reply = route({ cascade = { logprob = -0.5 } }, { logprobs = true })
  t.equal(reply.body.choices[1].logprobs.content[1].logprob, -0.1)
end)

t.test("and the big model answers what it is not sure of", function()
  both(with_logprobs{ -2, -1 })
  local to, why, reply = route({ cascade = { logprob = -0.5 } }, EASY)
  t.equal({ to, why, reply.text }, { "big", "big; escalated_unsure", "from big" })
  t.equal(t.calls("big")[1].body.logprobs, nil)
  t.equal(#t.calls("big")[1].body.messages, 1)
end)

t.test("with its draft, if that is wanted", function()
  both(with_logprobs{ -2 })
  local _, _, reply = route({ cascade = { logprob = -0.5, draft = true } }, EASY)
  local sent = t.calls("big")[1].body.messages
  t.equal({ #sent, sent[2].role, sent[2].content, sent[3].role, reply.text }, { 3, "assistant", "maybe", "user", "from big" })
end)

t.test("a stream is held back until it is judged", function()
  local events = {}
  for i, p in ipairs{ -0.1, -3, -3 } do
    events[i] = { id = "c", object = "chat.completion.chunk", choices = { { index = 0, delta = { content = "w" .. i },
      logprobs = { content = { { token = "w", logprob = p } } } } } }
  end
  events[4] = { id = "c", choices = { { index = 0, delta = {}, finish_reason = "stop" } } }
  events[5] = "[DONE]"
  both({ events = events, itl = 1 }, { chunks = { "big ", "answer" } })
  local to, why, reply = route({ cascade = { logprob = -0.5 } }, { stream = true })
  t.equal({ to, why, reply.text, reply.done }, { "big", "big; escalated_unsure", "big answer", true })
  local _, _, kept = route({ cascade = { logprob = -5 }, name = "sure" }, { stream = true })
  t.equal({ kept.text, kept.done, kept.upstream }, { "w1w2w3", true, "small" })
  t.ok(kept.ttft >= 3, "nothing came before the end")
end)

t.test("an answer that cannot be judged is not taken, and the log says so", function()
  both()
  local _, why = route({ cascade = { logprob = -0.5 } }, EASY)
  t.equal(why, "big; escalated_no_logprobs")
  t.match(t.logs()[1].text, "says no logprobs")
end)

t.test("an answer must fit the response format", function()
  local what = { response_format = { type = "json_schema", json_schema = { name = "x", schema = { type = "object",
    required = { "a" }, properties = { a = { type = "integer" } } } } } }
  both({ { text = '{"a": "one"}' }, { text = "{}" }, { text = '{"a": 1' }, { text = '{"a": 1}' } })
  for i = 1, 3 do t.equal(why_of({ cascade = {} }, what), "big; escalated_schema", tostring(i)) end
  t.equal(why_of({ cascade = {} }, what), "small; default")
  both{ text = "no json" }
  t.equal(why_of({ cascade = {} }, { response_format = { type = "json_object" } }), "big; escalated_schema")
  t.equal(why_of({ cascade = { schema = false } }, { response_format = { type = "json_object" } }), "small; default")
  t.equal(why_of({ cascade = {} }, EASY), "small; default")
end)

t.test("a function of one's own, which may wait", function()
  both()
  local function check(said, req)
    perilune.sleep(1)
    return said == "from small" and req.messages[1].content == "take it"
  end
  t.equal(why_of({ cascade = { check = check } }, "take it"), "small; default")
  t.equal(why_of({ cascade = { check = check } }, "leave it"), "big; escalated_check")
  local _, _, reply = route({ cascade = { check = function() error("oops") end } }, "throws")
  t.equal(reply.status, 500)
end)

t.test("a small model that fails, breaks off or says nothing", function()
  both({ status = 503 })
  t.equal(why_of({ cascade = {} }, EASY), "big; escalated_failed")
  both({ status = 400, code = "context_length_exceeded" })
  t.equal(why_of({ cascade = {} }, EASY), "big; escalated_failed")
  both({ chunks = { "a", "b" }, breaks = true })
  t.equal(why_of({ cascade = {} }, { stream = true }), "big; escalated_broken")
  both({ text = "  " })
  t.equal(why_of({ cascade = {} }, EASY), "big; escalated_empty")
  both({ status = 400 })
  local _, _, reply = route({ cascade = {} }, EASY)
  t.equal(reply.status, 400, "an error that would repeat")
  both({ status = 503 }, { status = 503 })
  _, _, reply = route({ cascade = {} }, EASY)
  t.equal(reply.status, 503)
end)

t.test("no cascade for several answers or tools", function()
  both({ text = "  " })
  t.equal(why_of({ cascade = {} }, { n = 2 }), "small; default")
  t.equal(why_of({ cascade = {}, small_can = { "tools" } }, { tools = { { type = "function", ["function"] = { name = "f" } } } }),
    "small; default")
end)

t.test("a client that leaves while the small model is judged", function()
  both({ text = "slow", delay = 10 })
  local reply = t.send("route_smart", options{ cascade = {} }, t.request(EASY), { leave = 2 })
  t.equal({ reply.status, #t.calls("big") }, { 499, 0 })
end)

t.test("odd messages harm nobody", function()
  both()
  for _, messages in ipairs{ { { role = "user", content = {  { type = "text", text = "" } } } }, { { role = "assistant", content = "a" } }, { { role = "system", content = "x" } } } do
    t.equal(t.send("route_smart", options{ model = "./small.route", big_code = true, big_above_turns = 1 }, t.request{ messages = messages }).upstream,
      "small")
  end
end)

t.test("options that are wrong", function()
  both()
  for _, case in ipairs{
    { { small = "small" }, "big" }, { { small = "small", big = "small" }, "the same upstream" },
    { { small = "small", big = "big", modl = "x" }, "model" }, { { small = "small", big = "big", big_share = 0.5 }, "classifier" },
    { { small = "small", big = "big", model = "./nowhere.model" }, "nowhere" },
    { { small = "small", big = "big", model = "./small.rows" }, "no model of `perilune train`" },
    { { small = "small", big = "big", model = "./small.intent" }, "trained on labels" },
    { { small = "small", big = "big", model = "./small.route", max_loss = 0.1, big_share = 0.5 }, "not both" },
    { { small = "small", big = "big", cascade = { logprob = 1 } }, "logprob" },
    { { small = "small", big = "big", cascade = { shema = true } }, "schema" },
    { { small = "small", big = "big", small_can = { "audio" } }, "small_can" },
  } do
    t.error(function() t.policy("route_smart", case[1]) end, case[2])
  end
end)

t.test("schemas", function()
  local null = perilune.json.null
  for i, case in ipairs{
    { true, { type = "string" }, "x" }, { false, { type = "string" }, 1 }, { true, { type = { "string", "null" } }, null },
    { true, { type = "integer" }, 3 }, { false, { type = "integer" }, 3.5 }, { true, { enum = { "a", "b" } }, "b" },
    { false, { enum = { "a", "b" } }, "c" }, { true, { const = { 1, 2 } }, { 1, 2 } }, { false, { const = { 1, 2 } }, { 2, 1 } },
    { false, { type = "object", additionalProperties = false, properties = { a = {} } }, { b = 1 } },
    { true, { type = "object", additionalProperties = { type = "number" } }, { b = 1 } },
    { false, { type = "array", items = { type = "number" } }, { 1, "x" } }, { false, { type = "array", minItems = 1 }, {} },
    { true, { anyOf = { { type = "string" }, { type = "number" } } }, 1 }, { false, { oneOf = { {}, {} } }, 1 },
    { false, { allOf = { { minimum = 1 }, { maximum = 2 } } }, 3 }, { false, { ["not"] = { type = "string" } }, "x" },
    { true, { ["$ref"] = "#/$defs/a", ["$defs"] = { a = { type = "string" } } }, "x" },
    { false, { ["$ref"] = "#/$defs/none" }, "x" }, { false, { ["$ref"] = "#" }, "x" },
    { true, { type = "string", maxLength = 2 }, "日本" }, { false, { type = "string", maxLength = 1 }, "日本" },
    { true, true, 1 }, { false, false, 1 }, { true, { required = "odd", properties = 5, anyOf = 1 }, { a = 1 } },
  } do
    t.equal(schema.fits(case[2], case[3]), case[1], "case " .. i)
  end
end)

local t = require "perilune.test"

local intents = {
  greeting = { examples = { "hi", "hello there", "good morning", "hey", "你好", "早上好", "您好，在吗" }, text = "Hello!" },
  hours = { examples = { "when are you open?", "what are your opening hours?", "are you open on Sunday?", "你们几点开门？", "营业时间是什么时候" },
    upstream = "small" },
}
local negatives = { "hi, my order has not arrived yet", "hello, I want my money back", "你好，我的订单还没有到" }

local function options(more)
  local out = { intents = intents, negatives = negatives, fallback = "big" }
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

local function ask(what, more)
  t.upstream("small", { text = "from small" })
  t.upstream("big", { text = "from big" })
  local reply = t.send("route_intent", options(more), t.request(what))
  return reply.headers["x-perilune-route"], reply.text
end

t.test("greetings get a fixed answer, in both languages", function()
  for _, said in ipairs{ "hi", "Hello there!", "good morning", "你好", "早上好！" } do
    t.equal({ ask(said) }, { "text; greeting", "Hello!" }, said)
  end
end)

t.test("common questions go to the small model", function()
  for _, said in ipairs{ "When are you open?", "what are the opening hours", "are you open on sundays?", "你们几点开门" } do
    t.equal({ ask(said) }, { "small; hours", "from small" }, said)
  end
end)

t.test("all else goes to the fallback, and so does what a negative is nearer to", function()
  for _, said in ipairs{ "Hi, my order has not arrived", "hello, I want the money back", "你好，我的订单没有到",
    "Write a poem about the sea in the style of Li Bai.", "如何用 C 语言写一个哈希表？", "   " } do
    t.equal({ ask(said) }, { "big; fallback", "from big" }, said)
  end
end)

t.test("as a stream, too", function()
  t.upstream("big", { text = "b" })
  local reply = t.send("route_intent", options{ intents = { greeting = intents.greeting } }, t.request{ stream = true,
    messages = { { role = "user", content = "hello there" } } })
  t.equal({ reply.text, reply.done, #reply.events > 1 }, { "Hello!", true, true })
end)

t.test("a fixed answer is for first messages, and for text alone", function()
  t.equal(ask{ messages = { { role = "user", content = "a" }, { role = "assistant", content = "b" }, { role = "user", content = "hi" } } },
    "big; fallback")
  t.equal(ask{ messages = { { role = "system", content = "Be kind." }, { role = "user", content = "hi" } } }, "text; greeting")
  t.equal(ask{ messages = { { role = "user", content = { { type = "text", text = "hi" } } } } }, "text; greeting")
  t.equal(ask{ messages = { { role = "user", content = { { type = "text", text = "hi" }, { type = "image_url", image_url = { url = "x" } } } } } },
    "big; fallback")
  t.equal(ask{ tools = { { type = "function", ["function"] = { name = "f" } } }, messages = { { role = "user", content = "hi" } } },
    "big; fallback")
end)

t.test("thresholds, of all and of one", function()
  t.equal(ask("are you open on sundays?", { threshold = 1 }), "big; fallback")
  t.equal(ask("hello", { threshold = 0 }), "text; greeting")
  local strict = { greeting = { examples = { "hello there" }, text = "Hello!", threshold = 1 } }
  t.equal(ask("hello you there", { intents = strict, threshold = 0.1 }), "big; fallback")
  t.equal(ask("hello there", { intents = strict, threshold = 0.1 }), "text; greeting")
end)

t.test("a trained model decides first when it is sure", function()
  local more = { model = "./small.intent", intents = { order = { upstream = "small" }, greeting = intents.greeting } }
  t.equal(ask("Where is my order of trees and birds?", more), "small; order")
  t.equal(ask("hi", more), "text; greeting")
  more.sure = 1.0
  t.equal(ask("Cancel my subscription of sets rings", more), "big; fallback")
end)

t.test("without a fallback a request goes where it would have gone", function()
  t.upstream("only", { text = "x" })
  local reply = t.send("route_intent", { intents = { greeting = intents.greeting } }, t.request("Explain hash tables"))
  t.equal({ reply.upstream, reply.headers["x-perilune-route"] }, { "only", nil })
end)

t.test("long and odd texts", function()
  t.equal(ask(("Where is it? "):rep(5000)), "big; fallback")
  t.equal(ask("???!!!"), "big; fallback")
  t.equal(ask("\239\191\189\239\191\189"), "big; fallback")
end)

t.test("options that are wrong", function()
  t.upstream("small", { text = "x" })
  for _, case in ipairs{
    { {}, "intents" }, { { intents = { a = { examples = { "x" } } } }, "needs 'upstream' or 'text'" },
    { { intents = { a = { examples = { "x" }, text = "y", upstream = "small" } } }, "not both" },
    { { intents = { a = { text = "y" } } }, "no examples" }, { { intents = { a = { exmples = { "x" }, text = "y" } } }, "examples" },
    { { intents = { a = { text = "y" } }, model = "./small.intent" }, "the model does not know it" },
    { { intents = { a = { examples = { "x" }, text = "y" } }, model = "./small.route" }, "outcomes of models" },
    { { intents = { a = { examples = { "x" }, upstream = "nobody" } } }, "nobody" },
  } do
    t.error(function() t.policy("route_intent", case[1]) end, case[2])
  end
end)

local data = require "perilune.distill_data"
local likeness = require "perilune.likeness"
local perilune = require "perilune"
local t = require "perilune.test"

local RULES = { min_chars = 1, max_chars = 1000 }

local function with(more)
  local out = {}
  for k, v in pairs(RULES) do out[k] = v end
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

local function record(question, answer, finish)
  return { messages = { { role = "system", content = "Be brief." }, { role = "user", content = question } },
           choices = { { message = { role = "assistant", content = answer }, finish_reason = finish or "stop" } } }
end

local function example(question, answer, rules, finish)
  local r = record(question, answer, finish)
  return data.example(r, r.choices[1], rules or RULES)
end

local function why(question, answer, rules, finish)
  local e, reason = example(question, answer, rules, finish)
  return reason or data.reason(e, rules or RULES)
end

t.test("an example is what was asked and what was answered", function()
  local e = example("What is 2 + 2?", "4")
  t.equal(#e.messages, 3)
  t.equal({ e.messages[1].role, e.messages[2].content, e.messages[3].role, e.messages[3].content },
          { "system", "What is 2 + 2?", "assistant", "4" })
  e = example("What is 2 + 2?", "4", with{ system = false })
  t.equal(#e.messages, 2)
end)

t.test("parts of text are a text; pictures are none", function()
  local r = record({ { type = "text", text = "a" }, { type = "text", text = "b" } }, "c")
  local e = data.example(r, r.choices[1], RULES)
  t.equal(type(e.messages[2].content), "string")
  r = record({ { type = "text", text = "a" }, { type = "image_url", image_url = { url = "x" } } }, "c")
  t.equal({ data.example(r, r.choices[1], RULES) }, { nil, "not_text" })
  t.equal({ data.example({ messages = {} }, {}, RULES) }, { nil, "not_text" })
  t.equal({ data.example({ messages = { 1, "x" } }, {}, RULES) }, { nil, "not_text" })
end)

t.test("what is no answer", function()
  t.equal(why("q", "  \n"), "no_answer")
  t.equal(why("q", perilune.json.null), "no_answer")
  local r = record("q", "a")
  t.equal({ data.example(r, "x", RULES) }, { nil, "no_answer" })
  t.equal({ data.example(r, {}, RULES) }, { nil, "no_answer" })
  t.equal({ data.example(r, { message = { content = { { type = "audio" } } } }, RULES) }, { nil, "no_answer" })
end)

t.test("answers that were cut off", function()
  t.equal(why("q", "a", nil, "length"), "truncated")
  t.equal(why("q", "a", nil, "content_filter"), "truncated")
  t.equal(why("q", "a", with{ truncated = true }, "length"), nil)
  local r = record("q", "a")
  r.choices[1].finish_reason = perilune.json.null
  t.equal(data.reason(data.example(r, r.choices[1], RULES), RULES), nil)
end)

t.test("refusals, in English and Chinese; not what only speaks of them", function()
  for _, answer in ipairs{ "I'm sorry, but I can't help with that.", "I’m sorry, but no.", "I cannot assist with this.",
                           "As an AI language model, I do not", "抱歉，我无法回答这个问题。", "作为一个人工智能，我不能",
                           "  Sorry, but I won't." } do
    t.equal(why("q", answer), "refusal", answer)
    t.equal(why("q", answer, with{ refusals = true }), nil)
  end
  for _, answer in ipairs{ "Sorry is a hard word to say.", "You cannot divide by zero.", "It says: I'm sorry, but no.",
                           "道歉的时候可以说“抱歉”。" } do
    t.equal(why("q", answer), nil, answer)
  end
  local r = record("q", "No.")
  r.choices[1].message.refusal = "No."
  t.equal(data.reason(data.example(r, r.choices[1], RULES), RULES), "refusal")
end)

t.test("lengths count characters", function()
  t.equal(why("q", "四个字啊", with{ min_chars = 4 }), nil)
  t.equal(why("q", "四个字啊", with{ min_chars = 5 }), "short")
  t.equal(why("q", "四个字啊", with{ max_chars = 3 }), "long")
  t.equal(why("q", "", with{ min_chars = 0 }), "no_answer")
end)

t.test("languages", function()
  local chinese, english = "今天天气很好，我们去公园散步吧。", "The weather is nice and we go to the park."
  t.equal(why(english, chinese, with{ languages = { en = true } }), "language")
  t.equal(why(english, chinese, with{ languages = { zh = true } }), nil)
  t.equal(why(english, chinese, with{ same_language = true }), "other_language")
  t.equal(why(chinese, chinese, with{ same_language = true }), nil)
  t.equal(why(chinese, "42", with{ same_language = true, languages = { zh = true } }), nil, "no letters, no language")
end)

t.test("calls of tools need the tools", function()
  local r = record("weather?", perilune.json.null, "tool_calls")
  r.choices[1].message.tool_calls = { { id = "1", type = "function", ["function"] = { name = "w", arguments = "{}" } } }
  local e = data.example(r, r.choices[1], RULES)
  t.equal(data.reason(e, RULES), "tools_unknown")
  r.tools = { { type = "function", ["function"] = { name = "w" } } }
  e = data.example(r, r.choices[1], RULES)
  t.equal(data.reason(e, RULES), nil)
  t.equal(e.messages[#e.messages].tool_calls[1].id, "1")
  t.equal(#e.tools, 1)
end)

t.test("reasoning is left out, or kept", function()
  local r = record("q", "a")
  r.choices[1].message.reasoning_content = "hm"
  local e = data.example(r, r.choices[1], RULES)
  t.equal(e.messages[#e.messages].reasoning_content, nil)
  e = data.example(r, r.choices[1], with{ reasoning = true })
  t.equal(e.messages[#e.messages].reasoning_content, "hm")
end)

t.test("a question is there once", function()
  local known = data.known(1)
  t.equal(known(example("What is  this?", "a")), nil)
  t.equal(known(example(" What is this? ", "b")), "duplicate")
  t.equal(known(example("What is that?", "a")), nil)
end)

local function words(from, to)
  local out = {}
  for i = from, to do out[#out + 1] = "word" .. i end
  return table.concat(out, " ")
end

t.test("texts that are nearly alike are found, others are not", function()
  local set = likeness.new(0.85)
  t.equal(set.add(words(1, 100)), true)
  t.equal(set.add(words(1, 100)), false)
  t.equal(set.add(words(1, 100) .. " and"), false)
  t.equal(set.add(words(3, 101)), false)
  t.equal(set.add(words(40, 140)), true)
  t.equal(set.add(words(200, 300)), true)
  t.equal(set.add(""), true)
  t.equal(set.add(""), false)
  t.equal(set.add("a"), true)
end)

t.test("likeness in Chinese is of characters", function()
  local set = likeness.new(0.7)
  local long = "请问北京到上海的高铁需要多长时间，票价是多少，每天有多少班次可以选择？"
  t.equal(set.add(long), true)
  t.equal(set.add((long:gsub("？", "呢？"))), false)
  t.equal(set.add("请问广州有什么好吃的小吃推荐给第一次去旅游的外地朋友们？"), true)
end)

-- What a band finds is counted: the likeness that is asked for is the one that counts.
t.test("the threshold is kept", function()
  local strict, loose = likeness.new(0.95), likeness.new(0.4)
  t.equal({ strict.add(words(1, 60)), loose.add(words(1, 60)) }, { true, true })
  local other = words(1, 55) .. " " .. words(500, 505)
  t.equal({ strict.add(other), loose.add(other) }, { true, false })
end)

t.test("a set is a hash of what a conversation begins with", function()
  local counts = { train = 0, valid = 0, test = 0 }
  for i = 1, 4000 do
    local set = data.set_of("question " .. i, 0.1, 0.2)
    counts[set] = counts[set] + 1
    t.equal(data.set_of(" question   " .. i, 0.1, 0.2), set)
  end
  t.ok(counts.valid > 320 and counts.valid < 480)
  t.ok(counts.test > 720 and counts.test < 880)
  t.equal(data.set_of("x", 0, 0), "train")
end)

t.test("what a judge says", function()
  local function score(text) return data.score(perilune.json.encode{ choices = { { message = { content = text } } } }) end
  t.equal({ score("7"), score(" 10\n"), score("8/10"), score("6.5"), score("0") }, { 7, 10, 8, 6.5, 0 })
  for _, text in ipairs{ "11", "good", "", "-1", "7 because", "1e1" } do t.equal(score(text), nil, text) end
  t.equal({ data.score(""), data.score("{}"), data.score('{"choices":[]}') }, {})
end)

t.test("a judge is asked with all of the conversation", function()
  local body = perilune.json.decode(data.question(example("What is 2 + 2?", "4"), "j"))
  t.equal({ body.model, body.temperature }, { "j", 0 })
  local text = body.messages[2].content
  t.ok(text:find("[system] Be brief.\n[user] What is 2 + 2?\n</conversation>\n<answer>\n4\n</answer>", 1, true))
end)

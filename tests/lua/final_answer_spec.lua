local t = require "perilune.test"
local final = require "perilune.final_answer"

local function says(expected, text, kind, field)
  t.equal(final.extract(text, { kind = kind, field = field }), expected, text)
end

t.test("numbers are the same however they are written", function()
  for _, text in ipairs{ "The answer is 1,024.", "So the final answer is **1024**.", "#### 1024", "\\boxed{1{,}024}",
                         "Answer: 1024.0", "答案是 １０２４。", "因此，答案为：1024", "First 3, then 7.\nThe answer is $1024$ km." } do
    says("1024", text)
  end
  says("-5", "The answer is -5")
  says("0.5", "Answer: 0.50")
  says("1/2", "The answer is \\frac{1}{2}.")
  says("50%", "答案：50％")
  says("30000", "答案是3万元")
  says("48", "The answer is 4 * 12 = 48.")
  says("9007199254740993", "Answer: 9007199254740993")
end)

t.test("the last mark counts, also where an earlier one was taken back", function()
  says("7", "The answer is 5. No, wait: that is wrong. The answer is 7.")
  says("7", "答案是 5。不对，重新算：答案是 7。")
  says("4", "The answer is \\boxed{4}")
end)

t.test("letters of a choice", function()
  for _, text in ipairs{ "The answer is (B).", "Answer: B", "**Answer:** B) Paris", "故选 B。", "所以选B", "答案是（B）。", "B", "b)",
                         "(b)", "\\boxed{B}", "The answer is option B", "答案：Ｂ" } do
    says("B", text)
  end
  says("A,C", "Answer: C, A")
  says("good idea", "Answer: A good idea")
end)

t.test("yes and no, in English and Chinese", function()
  for _, text in ipairs{ "Yes.", "Answer: yes, because it is", "True", "答案是：是", "正确", "是的。" } do says("yes", text) end
  for _, text in ipairs{ "No", "The answer is no.", "false", "答案是：不是", "错误", "否。" } do says("no", text) end
  says("yes", "Yes, for the following reasons. It has been shown many times, and by many people.", "yes_no")
  says("北京", "答案是北京。")
end)

t.test("JSON, whatever the order of its members", function()
  says('{"a":2,"b":1}', '{"b": 1.0, "a": 2}', "json")
  says('{"a":[1,{"x":null}]}', '```json\n{ "a" : [1, {"x":null}] }\n```')
  says("spam", '{"reason": "it sells", "label": "Spam"}')
  says("spam", '{"out": {"label": "spam"}, "p": 0.9}', nil, "/out/label")
  says("2", '{"list": [1, 2]}', nil, "/list/1")
  says(nil, '{"a": 1', "json")
  says(nil, "no JSON at all", "json")
  says(nil, '{"a": 1}', nil, "/b/c")
end)

t.test("what is not marked", function()
  says("paris", "Paris.")
  says("paris", "The Paris")
  says("12", "First there are 3 of 4.\nTogether that makes 12 apples")
  says("12", "There are 12.\nI hope that this helps!", "number")
  says(nil, "A long text that says this and that about the world.\nAnd it goes on, and on, without any result at all.")
  says(nil, "")
  says(nil, "   \n")
end)

t.test("what tries to be slow or odd is survived", function()
  local long = ("answer is "):rep(20000)
  t.equal(type(final.extract(long)) == "string" or final.extract(long) == nil, true)
  says(nil, ("["):rep(60000), "json")
  local large = '{"a":"' .. ("x"):rep(70000) .. '"}'
  says(large, large, "json") -- too long to be read: it is itself
  says(nil, ("x"):rep(70000), "json")
  local started = os.clock()
  final.extract((" "):rep(8190) .. "x", { kind = "auto" })
  final.extract(("\n"):rep(65000) .. "x", { kind = "json" })
  final.extract("```\n" .. ("\n"):rep(65000) .. "x", { kind = "json" })
  t.ok(os.clock() - started < 1, "white space is looked through once")
  says(nil, ("\\boxed{"):rep(20000), "letter")
  final.extract("\255\254 answer is \255", { kind = "text" })
  t.equal(final.extract(("x"):rep(1e6) .. " The answer is 3."), "3")
end)

t.test("the majority, and what it is worth", function()
  local function wins(keys, ...) t.equal({ final.majority(keys) }, { ... }) end
  wins({ "a", "b", "b" }, 2, 2, 1)
  wins({ "b", "a", "b", "a" }, 1, 2, 2)
  wins({ false, false }, nil, 0, 0)
  wins({}, nil, 0, 0)
  wins({ false, "x" }, 2, 1, 0)
end)

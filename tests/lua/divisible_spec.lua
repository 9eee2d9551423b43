local t = require "perilune.test"
local divisible = require "perilune.divisible"

local function request(said, more)
  local body = { messages = { { role = "user", content = said } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return t.request(body)
end

t.test("several tasks", function()
  for _, said in ipairs{
    "Write a report on electric cars with sections on history, batteries, charging and the market.",
    "Compare Berlin, Hamburg, and Munich as places to live.",
    "Please do the following:\n1. Describe the product.\n2. Name three competitors.\n3. Propose a price.",
    "What is a heat pump? What does it cost? How long does it last?",
    "写一份关于新能源汽车的报告，包括历史、电池、充电和市场四个部分。",
    "请分别介绍北京、上海和广州的气候，并做对比。",
    "请完成：\n1、介绍产品\n2、分析竞品\n3、提出定价",
  } do t.equal(divisible.is_several(request(said)), true, said) end
end)

t.test("one task", function()
  for _, said in ipairs{
    "What is the capital of France?", "hi", "", "Write a report about cats.", "Tell me about heat pumps.", "法国的首都是哪里？",
    "介绍一下北京。", "Compare these.", "Is it safe, cheap and easy?",
  } do t.equal(divisible.is_several(request(said)), false, said) end
end)

local never = {
  code = { "Write Python functions to parse, validate and store the report, with sections for each.", "请写代码实现以下部分：\n1、解析\n2、校验\n3、存储",
           "Compare, report and list:\n```\nlet a = 1;\n```" },
  math = { "Solve the equations in all three sections, respectively, and report.", "请分别证明下列定理、推论和引理，并写成报告。",
           "Tips for 12 * 7, 3 + 4 and 9 / 3?" },
  data = { "Give me a report as JSON with sections on history, batteries and charging." },
  one_text = { "Translate this report, its sections and each heading.", "请总结这份报告的各个部分。", "请翻译以下文章，包括标题、正文和注释。" },
  told = { "Write a story with chapters on a dragon, a knight and a king.", "写一个包括龙、骑士和国王的故事。" },
  short = { "Briefly compare Berlin, Hamburg and Munich.", "用一句话比较北京、上海和广州。" },
}

t.test("what is never divided", function()
  for why, list in pairs(never) do
    for _, said in ipairs(list) do
      local ok, because = divisible.is_several(request(said))
      t.equal({ ok, because }, { false, why }, said)
      t.equal(divisible.has_points(request(said)), false, said)
    end
  end
end)

t.test("points", function()
  for _, said in ipairs{ "Give me tips for a good night's sleep.", "What are the advantages of remote work?", "提高睡眠质量有哪些方法？",
                         "远程办公的优缺点", "An overview of Roman history" } do
    t.equal(divisible.has_points(request(said)), true, said)
  end
  for _, said in ipairs{ "What is the capital of France?", "hi", "", "你好", "Who was Caesar?" } do
    t.equal(divisible.has_points(request(said)), false, said)
  end
end)

t.test("requests that nobody may divide, whatever they say", function()
  local said = "Write a report with sections on history, batteries, charging and the market."
  for why, more in pairs{
    tools = { tools = { { type = "function", ["function"] = { name = "f" } } } }, format = { response_format = { type = "json_object" } },
    choices = { n = 2 }, short = { max_tokens = 100 }, path = { path = "/v1/completions" },
    turn = { messages = { { role = "user", content = said }, { role = "assistant", content = "Sure:" } } },
  } do
    local ok, because = divisible.is_several(request(said, more))
    t.equal({ ok, because }, { false, why })
  end
  t.equal(divisible.is_several(request(said, { response_format = { type = "text" }, n = 1, max_tokens = 4000 })), true)
end)

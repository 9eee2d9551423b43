local rephrase = require "perilune.rephrase"
local rules = require "perilune.rephrase_rules"
local t = require "perilune.test"

local function say(text, seed) return (text:gsub("[^\n]+", rephrase.lines(seed))) end

-- What comes out with many seeds: texts, and how many.
local function forms_of(text, seeds)
  local forms, count = {}, 0
  for seed = 1, seeds do
    local out = say(text, seed * 7919)
    if not forms[out] then count = count + 1 end
    forms[out] = true
  end
  return forms, count
end

-- Prose: all of it may change somewhere, none of its facts.
local prose = {
  "However, the 3 servers in Berlin use Linux 6.1. For example, `nginx -t` checks the file.",
  "You can create a new account in 5 minutes. It is important to keep the key safe.",
  "In order to install Docker, run the script. If you want to remove it later, run it again.",
  "This happens because it uses a cache of 64 MB. You can change the size in the settings.",
  "Make sure to save the file. For example, press Ctrl-S in Emacs.",
  "In addition, Python 3.12 is faster. The majority of the users upgraded in 2024.",
  "Therefore, the sum is 42. In other words, both sides are equal.",
  "Make sure that the lamp is off. Someone may be asleep.",
  "It's important to drink water. You're ready to go after 10 minutes.",
  "Prior to the meeting, read the report by Anna Schmidt. Everyone gets a copy.",
  "The engine consists of 4 cylinders, and the valves open quickly.",
  "This plays a crucial role in photosynthesis, which often takes place in leaves.",
  "A wide variety of plants grow in Kenya. They usually bloom in May.",
  "Regardless of the weather, the train to Lyon leaves at 9:15.",
  "The tool allows you to view 20 files at once. Perhaps it will support more.",
  "In spite of the rain, Maria finished 2nd. Almost all runners were from Italy.",
  "Note that the limit is 100 requests. Begin by reading the manual.",
  "Finally, mix the eggs and the flour. Bake it for 25 minutes, mainly from above.",
  "The entire team works in Oslo. All of your data stays in Europe.",
  "Similarly, the moon orbits the earth. Typically, one orbit takes 27.3 days.",
  "The study demonstrates that sleep helps. Approximately 80 people took part.",
  "Let me know if something is unclear. I hope this helps!",
  "To begin with, open the box. Meanwhile, heat the oven to 180 degrees.",
  "Overall, the plan is sound. As a result, costs fall by 12%.",
  "Take into account that prices rise. The city looks toward the river.",
  "Even though it was late, Ahmed called. Nevertheless, the shop was open.",
  "Due to the fact that demand grew, Sony built a plant. Numerous jobs came with it.",
  "We're planning a trip to Peru in order to see the ruins. You'll need a passport.",
  "Particularly useful are the maps, which means that you save time. It is easy to fold them.",
  "These days many people work from home, often together with their children.",
  "- **Speed:** You can reduce the time, for example, with an index.\n- **Size:** It is easy to compress the 12 files.",
  "1. In order to start, press the button.\n2. Make sure to wait 10 seconds.\n3. Finally, open the lid.",
  "但是，这台电脑有 16 GB 内存。你可以通过设置来查看。",
  "如果下雨，我们就在家。例如，可以看 2 部电影。",
  "因为天气很好，所以我们去了北京。非常感谢你的帮助。",
  "这个方法非常简单。此外，它能够节省 30% 的时间。",
  "总之，这是一个好办法。许多用户已经升级到 3.0 版本。",
  "一般来说，水在 100 摄氏度沸腾。具体来说，这取决于气压。",
  "虽然价格高，但质量好。特别是小明推荐的那一款。",
  "以下是三个建议。您可以根据需要选择。",
  "事实上，地球逐渐变暖。或许我们应该立即行动。",
  "换句话说，速度越快，时间越短。大约 5 分钟就够了。",
  "需要注意的是，温度要保持在 20 度。通常情况下，这很容易。",
  "他经常去上海，并且喜欢坐高铁。这十分方便。",
  "例如苹果和香蕉。因此，我们每天吃水果。",
  "简单来说，先打开文件，然后保存。希望这些建议对你有帮助。",
}

t.test("prose is worded otherwise, with the same facts, and the same for the same seed", function()
  local changed, variants = 0, 0
  for _, text in ipairs(prose) do
    local forms, count = forms_of(text, 20)
    for out in pairs(forms) do t.equal({ out, rephrase.keeps_facts(text, out) }, { out, true }) end
    t.equal(say(text, 5), say(text, 5))
    if count > 1 then changed = changed + 1 end
    variants = variants + count
  end
  t.equal({ changed >= 36, variants >= 2 * #prose }, { true, true }, changed .. " changed, " .. variants .. " variants")
end)

t.test("what a rule says keeps the facts", function()
  for _, language in ipairs{ "en", "zh" } do
    for _, rule in ipairs(rules[language]) do
      for i = 2, #rule do
        local a, b = "We saw it, " .. rule[1] .. " 3.", "We saw it, " .. rule[i] .. " 3."
        t.equal({ rule[i], rephrase.keeps_facts(a, b) }, { rule[i], true })
      end
    end
  end
end)

-- Byte for byte, whatever is drawn.
local kept = {
  "", " ", "42", "yes", "\n\n\n", "however", "However,", "softened", "OFTEN", "oftenness", "an often-used tool",
  -- code, data, markup
  "```\nHowever, it is a fact.\n```", "Text:\n```\nHowever, it is a fact.\n", "~~~lua\nHowever, it is a fact.\n```\nHowever, it is.\n",
  "- a\n  ```js\n  However, it is a fact.\n  ```", "    However, it is a fact.", "\tHowever, it is a fact.", "`However, it is a fact.`",
  "A tick `that opens.\nHowever, it is a fact.", '{"text": "However, it is a fact."}\nHowever, it is a fact.', "[1] However, it is a fact.",
  "<p>However, it is a fact.</p>\nHowever, it is a fact.", "<div>\nHowever, it is a fact.", "---\nHowever, it is a fact.\n---",
  "# However, it is a fact.", "| However, it is a fact. |", "a | b\n--|--\nHowever, x. | Often, y.", "> However, it is a fact.",
  "everyone_can, in_order_to, and/often someone.else@example.com here.", "See https://example.com/in-order-to/everyone for more.",
  "2024-01-05 10:00 WARN However, it is a fact.", "\27[1mHowever, it is a fact.", "\255\254However, it is a fact.", "However, \1 it is a fact.",
  ("a"):rep(70000) .. " However, it is a fact.", ("However, it is a fact. "):rep(400),
  -- formulas
  "$$\nHowever, it is a fact.\n$$", "\\[\nHowever, it is a fact.\n\\]", "\\begin{proof}\nHowever, it is a fact.\n\\end{proof}\nHowever, it is.",
  "$$\n因此，x 为 1。\n$$", "$often + usually$", "It says $$ often.\nHowever, it is a fact.",
  -- quotations, speech, emphasis
  'She wrote: "However, it is a fact." Good.', "She wrote “However, it is a fact.” Good.", "He said: 'However, it is a fact.' Good.",
  'One 5" nail.\n\nHowever, it is a fact.', '"However, it\noften rains." It often rains.', "“如果下雨，\n因此不去。” 因此，他走了。",
  "“如果下雨，我们就在家。”", "他说：“如果下雨，我就回家。”", "「因此，我走」是歌。", "《因为爱情》", "A **however, it is** and *often* b.",
  "Anna: I often go to Rome.\nBen: However, it is a long way.", "**Anna:** However, it is a long way.", "小明：如果下雨，我就回家。",
  -- negations, duties, words
  "It is important, but it does not often work.", "You can't often do that.", "Never make sure to do it. Nobody often wins.",
  "You must not often use it.", "You should make sure that it works.", "你不可以经常创建。因为没有时间，所以不能去。", "禁止立即删除。", "它不是非常重要。",
  "The word often is an adverb. The term everyone is a pronoun.", "“例如” 是一个词，因此要写。",
  "You must not use the tool on a system that is\nDocker based, which often means that you lose.",
  -- options
  "A. Usually, it rains.\nB) Often it snows.\n(c) It is a trap.", "- A) Often it snows.", "A. 如果下雨，去。\n（C）因此，去。", "选项：A、经常 B、非常重要。",
  "It happens often, sometimes, or seldom.", "He comes often or daily.", "分为立即、逐渐两种。", "分为逐渐和立即。",
  -- names and titles
  "The band Everyone Perhaps plays in Paris.", "However, Inc. makes toys.", "However, It Is A Title.", "Everyone Active builds pools.",
  "She plays Toward Zero.", "许多多来了。",
  -- words that are halves of others, or mean something else here
  "The papers must be in order to pass.", "The papers are in order to pass.", "He is as often as I there. An often updated page.",
  "It's made progress.", "It's often been said, as it is the best.", "He came, finally, in 2019. Finally, it rained.", "It is. So it is the end",
  "Roses are red and violets are blue\nAnd often it is a line to rhyme",
  "案例如下。示例如下：", "他已经常去上海。", "没有例如的例子。", "新鲜的例如果汁。", "如果汁太甜，加水。", "重要是安全。这是非常规方法。八十分钟。", "十分钟之后到达。二十分。",
  "之所以如此。再好不过的选择。", "功能够用。", "独立即可。", "版权或许可。", "例えば、非常重要です。因此、これは。",
}

t.test("what is no prose, or may not be worded otherwise, stays byte for byte", function()
  for i, text in ipairs(kept) do
    for out in pairs(forms_of(text, 15)) do t.equal({ i, out }, { i, text }) end
  end
end)

t.test("what stands beside it changes", function()
  local text = "However, run this:\n\n```sh\nfor example, it is a fact.\n```\n\n| in order to | often |\n|---|---|\n\n"
    .. "Make sure to read \"In order to win\" and `it is a fact`. See [often used](http://a.b/often).\n\n## Often, it is a fact.\n"
    .. "\nFor example, $a_i$ is easy. It is easy to see.\n$$\nx = 1\n$$\nOften it rains."
  local stays = {
    "```sh\nfor example, it is a fact.\n```", "| in order to | often |", '"In order to win"', "`it is a fact`",
    "[often used](http://a.b/often)", "\n## Often, it is a fact.\n", "$a_i$", "$$\nx = 1\n$$\n",
  }
  local seen = {}
  for out in pairs(forms_of(text, 60)) do
    for _, part in ipairs(stays) do t.equal({ part, out:find(part, 1, true) ~= nil }, { part, true }) end
    for _, part in ipairs{ "That said, run", "Be sure to read", "For instance, $a_i$", "It's easy", "Frequently it rains" } do
      seen[part] = seen[part] or out:find(part, 1, true) ~= nil
    end
  end
  for part, found in pairs(seen) do t.equal({ part, found }, { part, true }) end
end)

t.test("what comes out is one of the sentences that are meant", function()
  local cases = {
    { "However, it rains.", { "However, it rains.", "That said, it rains." } },
    { "In order to win, run.", { "In order to win, run.", "To win, run." } },
    { "It works, for example, here.", { "It works, for example, here.", "It works, for instance, here." } },
    { "例如苹果。", { "例如苹果。", "比如苹果。" } },
    { "我很好，但是他累了。", { "我很好，但是他累了。", "我很好，然而他累了。" } },
    { "Everyone came.", { "Everyone came.", "Everybody came." } },
    { "- It often rains.\r\n", { "- It often rains.\r\n", "- It frequently rains.\r\n" } },
    { "However, 如果 5 人来了，go.", { "However, 如果 5 人来了，go.", "That said, 如果 5 人来了，go." } },
  }
  for _, case in ipairs(cases) do
    local forms, count = forms_of(case[1], 40)
    t.equal({ case[1], count }, { case[1], #case[2] })
    for _, wanted in ipairs(case[2]) do t.equal({ wanted, forms[wanted] }, { wanted, true }) end
  end
end)

t.test("facts that changed are seen", function()
  local pairs_of = {
    { "It has 3 doors.", "It has 4 doors." }, { "It costs $3.50.", "It costs $3.60." }, { "It is 5 km away.", "It is 5 miles away." },
    { "It has two doors.", "It has three doors." }, { "It has one door.", "It has two doors." }, { "The first is on the second floor.",
    "The second is on the first floor." }, { "他有三只猫。", "他有四只猫。" }, { "两个人来了。", "三个人来了。" }, { "十二个人。", "十三个人。" },
    { "有 5 个。", "有 6 个。" }, { "It is 3.", "It is 3, or 3." }, { "Anna has 3, Ben has 4.", "Anna has 4, Ben has 3." },
    { "Anna called Ben.", "Anna called Tom." }, { "Anna called Ben.", "Tom called Ben." }, { "Anna called Ben.", "Ben called Anna." },
    { "Will called Ben.", "He called Ben." }, { "In Paris it rains.", "It rains in Rome." }, { "Émile left.", "Élodie left." },
    { "The file is on macOS.", "The file is on iOS." }, { "It is safe.", "It is not safe." }, { "You can't go.", "You can go." },
    { "Anna is safe, Ben is not.", "Anna is not safe, Ben is." }, { "Never mix them.", "Always mix them." }, { "可以吃。", "不可以吃。" },
    { "Use it without salt.", "Use it with salt." }, { "At most 5.", "At least 5." }, { "All came.", "Some came." }, { "Run `ls`.", "Run `rm`." },
    { "See http://a.b/c.", "See http://a.b/d." }, { 'He said "yes" twice.', 'He said "no" twice.' }, { "Use GPT-4.", "Use GPT-3." },
    { "```\na = 1\n```\nGood.", "```\na = 2\n```\nGood." }, { "# Good\nIt is.", "# Bad\nIt is." }, { "| 1 | b |", "| 1 | c |" },
    { "- a\n- b", "- a, b" }, { "Es ist gut.", "Es ist nicht gut." }, { "Это хорошо.", "Это плохо." }, { "\255 it is.", "\255 is it." }, { "Take 50 mg.", "Take 50 g." }, { "See section 4(b).", "See section 4(c)." }, { "He went east.", "He went west." },
    { "Prices rise.", "Prices fall." }, { "The red door.", "The blue door." }, { "价格上涨。", "价格下跌。" }, { "他从未来过。", "他来过。" },
    { "《红楼梦》很长。", "《西游记》很长。" }, { "- one\n- two", "- two\n- one" }, { "5 月 3 日。", "3 月 5 日。" },
  }
  for i, pair in ipairs(pairs_of) do
    t.equal({ i, rephrase.keeps_facts(pair[1], pair[2]), rephrase.keeps_facts(pair[2], pair[1]) }, { i, false, false })
  end
  local same = {
    { "Paris has 3 airports, which is a lot.", "There are 3 airports in Paris, quite many." },
    { "You can't go there.", "It is not possible to go there." }, { "他有 3 只猫，非常可爱。", "他养了 3 只很可爱的猫。" },
    { "Run `ls` in Linux.\n\n- It lists 5 files.", "In Linux, run `ls`.\n\n- 5 files are listed." },
  }
  for i, pair in ipairs(same) do t.equal({ i, rephrase.keeps_facts(pair[1], pair[2]) }, { i, true }) end
end)

t.test("hostile texts take little time, and stay whole", function()
  local hostile = {
    ("However, it is a fact.\n"):rep(3000), ("`"):rep(8000), ("` `` "):rep(1600), ('"'):rep(8001), ("[a]("):rep(2000), ("*a"):rep(4000),
    ("["):rep(8000), ("(["):rep(4000), ("$a "):rep(2600), (" "):rep(8000) .. "x", ("{ "):rep(4000), ("a\n"):rep(30000), ("<"):rep(8000),
    ("例如"):rep(1300), ("不"):rep(2600), ("“"):rep(2600), ("often "):rep(1300) .. ".", ("a. "):rep(2600), ("```\n"):rep(15000), ("'a "):rep(2600),
    ("However, "):rep(900) .. "it is.", ("-"):rep(8000) .. "x", ("_ "):rep(4000), ("__a"):rep(2600), ("."):rep(8000), ("*"):rep(8000), ("- "):rep(4000),
    ("因此，"):rep(800) .. "。", ("("):rep(8000), ("【"):rep(2600), ("**a "):rep(2000), ("A "):rep(4000) .. ":", ("1"):rep(8000) .. ". a.", (" "):rep(4000) .. ":",
  }
  for i, text in ipairs(hostile) do
    local before = os.clock()
    say(text, i)
    t.equal({ i, os.clock() - before < 0.5 }, { i, true })
    before = os.clock()
    rephrase.keeps_facts(text:sub(1, 8192), text:sub(1, 8191) .. "x")
    t.equal({ i, os.clock() - before < 0.5 }, { i, true })
  end
  local long = hostile[1]
  t.equal(say(long, 1) ~= long, true)
  local rest = say(long, 1):sub(9000)
  t.equal(rest == long:sub(-#rest), true)
end)

-- -- in caches -------------------------------------------------------------------

local count = 0
local function chat(text, more)
  local req = { model = "m", messages = { { role = "user", content = text } } }
  for k, v in pairs(more or {}) do req[k] = v end
  return t.request(req)
end

local function fresh(options, policy)
  count = count + 1
  local own = { ttl = 60, name = "rephrased" .. count, rephrase = true }
  for k, v in pairs(options or {}) do own[k] = v end
  return t.policy(policy or "cache_exact", own)
end

local answer = "However, it rains in Oslo. For example, it rained on 12 days.\n\nIt is easy to see a list of them."

local function hits(policy, question, more, n)
  local seen = {}
  for _ = 1, n or 12 do
    local res = t.run(policy, nil, chat(question, more))
    local text = res:text()
    t.equal(res.headers["x-cache"], "hit")
    seen[text] = (seen[text] or 0) + 1
  end
  return seen
end

-- The first that is another text, or true.
local function only(seen, text)
  for said in pairs(seen) do
    if said ~= text then return said end
  end
  return true
end

t.test("hits are worded otherwise, whole and as streams", function()
  for _, stored in ipairs{ false, true } do
    for _, asked in ipairs{ false, true } do
      t.upstream("a", stored and { chunks = { answer:sub(1, 20), answer:sub(21, 62), answer:sub(63) } } or { text = answer })
      local policy = fresh()
      t.equal(t.run(policy, nil, chat("weather", { stream = stored })):text(), answer)
      local seen, n = hits(policy, "weather", { stream = asked }), 0
      for text in pairs(seen) do
        n = n + 1
        t.equal({ text, rephrase.keeps_facts(answer, text) }, { text, true })
      end
      t.equal({ stored, asked, n >= 2 }, { stored, asked, true })
    end
  end
end)

t.test("what else an answer says stays", function()
  local message = {
    role = "assistant", content = answer, reasoning_content = "However, it is a thought.", annotations = {},
    tool_calls = { { id = "c", type = "function", ["function"] = { name = "f", arguments = '{"a":"However, it is a fact."}' } } },
  }
  local body = require("perilune").json.encode{
    id = "x", object = "chat.completion", created = 1, model = "m", own = "However, it is a fact.",
    choices = { { index = 0, finish_reason = "tool_calls", message = message } }, usage = { prompt_tokens = 7, completion_tokens = 9 },
  }
  t.upstream("a", { body = body })
  local policy, changed = fresh{ tool_calls = true }, false
  t.send(policy, nil, chat("weather"))
  for _ = 1, 8 do
    local reply = t.send(policy, nil, chat("weather"))
    local said = reply.body.choices[1].message
    changed = changed or said.content ~= answer
    t.equal({ reply.headers["x-cache"], reply.body.id, reply.body.created, reply.body.own }, { "hit", "x", 1, "However, it is a fact." })
    t.equal({ said.reasoning_content, said.tool_calls[1]["function"].arguments }, { message.reasoning_content, '{"a":"However, it is a fact."}' })
    t.equal({ reply.body.usage.prompt_tokens, reply.body.choices[1].finish_reason }, { 7, "tool_calls" })
  end
  t.equal(changed, true)
end)

t.test("an answer whose citations count its characters stays", function()
  local function stays(annotations)
    local body = require("perilune").json.encode{
      id = "x", object = "chat.completion", created = 1, model = "m",
      choices = { { index = 0, finish_reason = "stop", message = { role = "assistant", content = answer, annotations = annotations } } },
    }
    t.upstream("a", { body = body })
    local policy = fresh()
    t.run(policy, nil, chat("weather")):text()
    return only(hits(policy, "weather"), answer)
  end
  t.equal(stays{ { type = "url_citation", url_citation = { start_index = 3, end_index = 9, url = "http://a.b" } } }, true)
  t.equal(stays{ { type = "x", text = 'it says "start_index" itself' } } ~= true, true)
end)

t.test("each choice for itself", function()
  local choices = {}
  for i = 0, 2 do choices[i + 1] = { index = i, finish_reason = "stop", message = { role = "assistant", content = i == 1 and "```\n" .. answer or answer } } end
  t.upstream("a", { body = require("perilune").json.encode{ id = "x", object = "chat.completion", created = 1, model = "m", choices = choices } })
  local policy, changed = fresh(), {}
  t.send(policy, nil, chat("weather", { n = 3 }))
  for _ = 1, 12 do
    local reply = t.send(policy, nil, chat("weather", { n = 3 }))
    for i = 1, 3 do changed[i] = changed[i] or reply.body.choices[i].message.content ~= choices[i].message.content end
  end
  t.equal(changed, { true, false, true })
end)

t.test("near hits, and their headers", function()
  t.upstream("a", { text = answer })
  local policy = fresh({ threshold = 0.6 }, "cache_semantic")
  t.run(policy, nil, chat("How do I reset my password?")):text()
  local changed = false
  for _ = 1, 8 do
    local res = t.run(policy, nil, chat("How can I reset my password?"))
    changed = changed or res:text() ~= answer
    t.equal({ res.headers["x-cache"], res.headers["x-cache-entry"] ~= nil }, { "hit", true })
  end
  t.equal(changed, true)
end)

t.test("what asks for a form, or for words, gets the answer as it is", function()
  local function stays(question, more)
    t.upstream("a", { text = answer })
    local policy = fresh()
    t.run(policy, nil, chat(question, more)):text()
    t.equal({ question, only(hits(policy, question, more, 8), answer) }, { question, true })
  end
  stays("weather", { response_format = { type = "json_object" } })
  stays("weather", { response_format = { type = "json_schema", json_schema = {} } })
  stays("weather", { logprobs = true })
  stays("weather", { stop = { "END" } })
  stays("weather", { messages = { { role = "user", content = "weather" }, { role = "assistant", content = "It is" } } })
  stays("Translate this text")
  stays("Repeat after me")
  stays("写一首诗")
  t.upstream("a", { text = answer })
  local policy, text_form = fresh(), { response_format = { type = "text" } }
  t.run(policy, nil, chat("weather", text_form)):text()
  t.equal(only(hits(policy, "weather", text_form), answer) ~= true, true)
end)

t.test("by a model, whose answer must keep the facts", function()
  local good = "That said, Oslo sees rain. On 12 days it rained, for instance.\n\nA list of them is easy to see."
  local cases = {
    { { text = good }, good }, { { text = good:gsub("12", "13") }, answer }, { { text = "Oslo, 12." }, answer }, { { status = 500 }, answer },
    { { text = good:rep(3) }, answer }, { { chunks = { good:sub(1, 9), good:sub(10) } }, good },
  }
  for i, case in ipairs(cases) do
    for _, stream in ipairs{ false, true } do
      t.upstream("a", { text = answer })
      t.upstream("small", case[1])
      local inner = fresh{ rephrase = "small" }
      local policy = function(req)
        local res = inner(req, function(r) return require("perilune").upstream("a"):chat(r) end)
        return res:map("word", function(word) return word end) -- by a unit of its own
      end
      t.run(policy, nil, chat("weather", { stream = stream })):text()
      local reply = t.send(policy, nil, chat("weather", { stream = stream }))
      t.equal({ i, reply.text, reply.headers["x-cache"] }, { i, case[2], "hit" })
    end
  end
end)

t.test("a policy in front may map by another unit", function()
  local text = "However, it usually works.\nOften, that is."
  t.upstream("a", { text = text })
  local inner = fresh()
  local outer = function(req, next)
    local res, err = inner(req, next)
    if not res then return nil, err end
    return res:map("word", function(word) return (word:gsub("works", "runs")) end)
  end
  for _, stream in ipairs{ false, true, true, false } do
    local r = t.send(outer, nil, chat("hi", { stream = stream }))
    t.equal({ r.status, r.text:find(" runs%.\n") ~= nil }, { 200, true })
  end
end)

t.test("options are checked when a policy is loaded", function()
  t.error(function() fresh{ rephrase = 5 } end, "rephrase")
  t.error(function() fresh{ rephrase = "" } end, "rephrase")
end)

t.test("a long answer costs no request its time", function()
  t.limits{ cpu_ms = 50, block_ms = 10 }
  local long = ("However, it rains in Oslo. It is a list of 12 days, for example, to see them.\n"):rep(700)
  for _, text in ipairs{ long, (long:gsub("\n", " ")) } do
    t.upstream("a", { text = text })
    t.upstream("small", { text = text .. "Then it rains." })
    for _, how in ipairs{ true, "small" } do
      local inner = fresh{ rephrase = how }
      local policy = function(req)
        return inner(req, function(r) return require("perilune").upstream("a"):chat(r) end)
      end
      t.run(policy, nil, chat("weather")):text()
      for _ = 1, 3 do
        local reply = t.send(policy, nil, chat("weather"))
        t.equal({ reply.status, reply.headers["x-cache"], #reply.text > #text * 0.9 }, { 200, "hit", true })
      end
    end
  end
end)

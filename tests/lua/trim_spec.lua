local t = require "perilune.test"
local perilune = require "perilune"
local trim = require "perilune.trim"
local rewriting = require "rewriting"

-- What a policy leaves of a user's text.
local function left(text, options)
  t.upstream("m", { text = "ok" })
  t.run("trim", options or {}, t.request(text))
  return t.calls("m")[1].body.messages[1].content
end

t.test("courtesy and filler go, English and Chinese", function()
  t.equal(left("Hello! Could you please summarize the report? Thank you so much!"), "summarize the report?")
  t.equal(left("I was wondering if you could kindly check it, please."), "check it.")
  t.equal(left("Please list 3 causes. It is worth noting that costs did not change."), "list 3 causes. costs did not change.")
  t.equal(left("你好！请您帮我写一首诗，非常感谢！"), "写一首诗！")
  t.equal(left("其实，我想请你帮我看看这份合同，拜托了！辛苦您了！"), "看看这份合同！")
  t.equal(left("麻烦您把表格按日期排序，谢谢。"), "把表格按日期排序。")
end)

t.test("what looks like it and is not stays", function()
  for _, text in ipairs{
    "Can you swim?", "请假制度是什么？", "请求超时怎么办？", "其实际值是多少？", "谢谢用英语怎么说？", "麻烦的是没有备份。",
    "Pleased to meet you.", "How does a thank you note begin?", "Well water is cold.",
    "帮我妈写一封信。", "请你们公司开发票。", "我想你了。", "加油，洗车，买菜。", "Include sources if possible.", "I think that it is wrong.",
    "Feel free to use a library.", "What does \"could you please\" mean?", "“请你帮我”是什么语气？", "`please` is a keyword.",
  } do
    t.equal(left(text), text)
  end
end)

t.test("what says how, when, whether and about which words stays", function()
  for _, text in ipairs{
    -- questions and conditions
    "I'm wondering if you can get cancer from asbestos.", "I was wondering if you could see stars in space.",
    "Could you possibly be biased?", "Can you perhaps know my name?", "Here is a proof. Does that make sense?",
    "If you will be late, call.", "If you have the time, also check B.", "Do this if you could", "Do this if that's okay",
    "If I may be wrong, say so.", "我明天去，可以吗？", "味道，如何？", "如果方便，请来一趟", "如果可以，那么返回1", "如果有时间的话，看看第二章",
    "请你能不能帮我写", "请你可以不可以不写",
    -- how and when
    "Honestly assess my essay.", "Simply put, what is a black hole?", "简单来说，什么是黑洞？", "Today I need you to list the open items.",
    "Back up, then please delete.", "At the end of the day, count the cash.", "When driving, take care.", "Do it anyway.",
    "Call me, in any case, before noon.", "Take a deep breath and work step by step.", "先备份，然后请你删除", "同时请你停止",
    "It is important that children sleep.", "The server is down. This is extremely urgent.", "Do as you please", "It is hard to please",
    "Tell him to be honest", "The people you know", "Treat them kindly.", "Let us give thanks", "Cook for me", "Understand that chapter.",
    "Note that down.", "Help me not to fail", "I want you to know that I quit.", "I wanted you to be happy.", "You are a talented writer.",
    -- words that are spoken about
    "The password is please.", "The password is: please", "Reply with thank you.", "Choose one: please, kindly.", "Define please",
    "Sort by length: hi, thanks, cheers, good morning", "My cat is called Cheers.", "Use the button text Thanks!", "set title = Thank you",
    "Is the right word thanks, thank you or cheers?", "Answer with yes, no, or thanks.", "They are happy, sorry, sad.",
    "A customer says thank you for your patience.", "Hi Tom, thank you for your help. What should I reply to him?", "Hello, world!",
    "Someone wrote to me: hi, thanks for your help.", "What's the etymology of goodbye, hello, thanks?", "Hello, Dolly", "Give thanks",
    "Skip pleasantries such as hello, thanks, please.", "请不要写你好，谢谢，再见。", "不要客套话，比如你好，谢谢",
    "密码是谢谢", "口令：谢谢", "写一句谢谢", "别说谢谢", "不用谢谢", "选一个：谢谢，感谢，多谢", "列出三个问候语：你好，您好，早上好",
    "谢谢，感谢，多谢有什么区别？", "你好，您好，大家好，哪个更正式？", "客户回复：好的，谢谢。他是什么意思？", "好的，坏的，一般的",
    -- not what it looks like
    "坦白说明情况", "老实说明原因", "众所周知的事实是什么", "说真的话", "我想请你吃饭，怎么写邀请？", "希望你能来参加婚礼", "帮我们班写", "替我道歉",
    "请给我打电话", "请好好休息", "Compute 5, thanks!", "Go to https://a.example/x, would you please?", "辛苦您了的英语",
  } do
    t.equal(left(text), text)
  end
end)

t.test("who does it, whom it is for, and what was agreed to stay", function()
  for _, text in ipairs{
    "Help me stop smoking.", "Help me sleep better at night.", "Could you help me get over my breakup?", "Help me, I am locked out.",
    "Could you help me out with 50 dollars until Friday?", "Can you please everyone with one design?", "Please me, please yourself.",
    "帮我丈夫写一封道歉信。", "帮我闺蜜选一条裙子", "请你妹妹来北京玩三天", "请您本人携带身份证", "请你俩安静", "希望你爸妈身体健康",
    "帮我戒烟。", "帮我走出失恋", "我想辞职，好吗？", "不告诉父母，好吗？",
    -- works, and sentences about sentences
    "Sorry! is a board game.", "你好，李焕英是哪一年上映的？", "晚安，玛丽是首什么歌？", "早安，越南 这部电影讲什么",
    "I believe in you. I trust you. Which of these two sentences is warmer?", "What part of speech is please? And thanks?",
    "Hi, please stop calling me. Thanks. Is this too polite?", "Roast this tweet\n\nhello everyone, i am so grateful",
    "你真棒！这句话是讽刺吗？", "Turn this into a sign: please wait. Thanks!",
  } do
    t.equal(left(text), text)
  end
  for text, want in pairs{
    ["OK, please. And rename the other two."] = "OK. And rename the other two.", ["Ok, thanks! Also drop users_old."] = "Ok! Also drop users_old.",
    ["好的，谢谢！另外把第2个也删了。"] = "好的！另外把第2个也删了。", ["嗯，谢谢。先别提交。"] = "嗯。先别提交。",
    ["OK, could you please sort it?"] = "sort it?", ["I hope you can help me with this and that. First, taxes."] = "I hope you can help me with this and that. First, taxes.",
  } do
    t.equal(left(text), want)
  end
end)

t.test("titles and names stay", function()
  for _, text in ipairs{
    "Please Mr. Postman was written by whom?", "Please Kill Me is an oral history of punk.", "When was Thank You, Next released?",
    "Hello, It's Me has which key?", "Hey, Soul Sister: the chords", "So, Anyway... is whose autobiography?", "Sorry, Wrong Number, the radio play",
    "Excuse Me, Your Life Is Waiting. Who wrote it?", "Thank You, the one by Dido, or the older one?", "Let's Go, by the Cars: year?",
    "OK, Cancel and Apply are buttons. Which is the default?", "Thanks, Barbara", "I saw the play, Please Look After Mom, in May.",
  } do
    t.equal(left(text), text)
  end
  t.equal(left("Could you please explain Rust? Thank You!"), "explain Rust?")
  t.equal(left("Hello Claude, I need a list of 3."), "I need a list of 3.")
end)

t.test("a negation is never turned round", function()
  for text, want in pairs{
    ["Thanks, but no thanks."] = "but no thanks.", ["Could you please not mention it?"] = "not mention it?",
    ["Please do not answer in French, thank you."] = "do not answer in French.", ["麻烦您别发邮件，谢谢"] = "别发邮件",
    ["请您务必不要删除第3个文件，拜托了！"] = "务必不要删除第3个文件！", ["希望你能写一首诗，谢谢"] = "写一首诗", ["No tables, please."] = "No tables.",
    ["谢绝参观，谢谢"] = "谢绝参观", ["Note that it's not free."] = "it's not free.", ["if you please, no"] = "no",
  } do
    t.equal(left(text), want)
  end
end)

t.test("a repeated line that is about something else stays", function()
  for _, text in ipairs{
    "Staging:\n- port 8080 is always open\nProduction:\n- port 8080 is always open",
    "Input: I love it.\nLabel: it is not about sports.\nInput: I hate it.\nLabel: it is not about sports.\nInput: so so",
    "How many errors are there?\nERROR: the database is not there\nERROR: the database is not there",
    "问：它大吗？\n文中没有提到这一点，无法回答。\n问：它旧吗？\n文中没有提到这一点，无法回答。",
  } do
    t.equal(left(text), text)
  end
end)

t.test("what is to be worked on stays", function()
  for _, text in ipairs{
    "Translate the following text into French:\n\nCould you please open the window? Thank you!",
    "Proofread this email: hello there, could you please answer, thanks",
    "翻译下面的句子：\n请您帮我开一下门，谢谢！", "润色：你好，麻烦您把窗户关上，谢谢。",
  } do
    t.equal(left(text), text)
  end
  t.equal(left("Please read the text:\n\nThank you!\n\n# Style\nPlease keep it short."),
    "read the text:\n\nThank you!\n\n# Style\nkeep it short.")
  t.equal(left("Could you please translate this to French?\nThank you very much"), "translate this to French?\nThank you very much")
  t.equal(left("非常感谢！\n\n请你帮我翻译上面的句子，谢谢！"), "非常感谢！\n\n翻译上面的句子，谢谢！")
  local poem = "Explain the lyrics.\nAnd the river runs on and on forever\nAnd the river runs on and on forever"
  t.equal(left(poem), poem)
end)

t.test("what stands below a question about it stays, and what has labels", function()
  local letter = "Hello, I hope you are doing well. Please send 3 samples. Thank you so much!\n\nBest regards,\nSam"
  for _, text in ipairs{
    "Is this email too long?\n\n" .. letter, "I got this today.\n\n" .. letter, "My landlord wrote yesterday.\n\n" .. letter,
    "The log says:\nPlease wait.\nThank you.\nDone.", "Continue the scene.\n\nANNA\nHello.\n\nTOM\nSorry, I can't stay.",
    "Critique my speech.\n\nGood evening, everyone. I am so grateful.\n\nThank you.", "Dear Santa,\n\nPlease bring me 2 trains. Thanks!",
    "Here's a limerick. Is it good?\n\nExcuse me, he cried,\nso sorry, he died.", "Voicemail: Hello. Please leave a message. Thanks.\nToo long?",
    "### In\nHello! Please ship 3. Thanks!\n### Out\nship\n### In\nGood morning! Please cancel.", "text: hello\nlabel: hi\ntext: Please wait. Thanks!\nlabel:",
    "<context>\nHi. Please ring the bell. Thanks.\n</context>\nMay I?", "<p>Hello! Please <b>wait</b>. Thank you!</p>\nValid?",
    "greet:\n- hello\n- good morning\nthank:\n- thank you so much\nWhat is missing?", "[a]\nkey = 1\n; thanks\nValid?", "1,你好！\n2,谢谢！\n几行？",
    "x = 5, please\ny = 7, thanks\nx + y?", "Compute 7! please!",
    "房东发来消息\n\n你好，麻烦你月底前搬走。谢谢理解。", "这封信写得怎么样\n\n尊敬的王老师：\n您好！\n十分抱歉。\n此致\n敬礼",
    "自动回复设为：您好，我6月3日回来。谢谢！", "暗号：麻烦了。谢谢！", "如果有任何问题，请随时问我。不要猜。", "If that is okay, delete; otherwise ask.",
  } do
    t.equal(left(text), text)
  end
  t.equal(left("Hello there!\n\nCould you please count 3 boats? Please be brief.\n\nThank you!"), "count 3 boats? be brief.")
end)

t.test("repeated lines that say nothing about the task are counted, and stay", function()
  for _, text in ipairs{
    "Pick these:\n- Widget assembly, large, blue\n- Widget assembly, large, blue", "Oh darling, stay a little longer.\nThe night is young.\nOh darling, stay a little longer.",
    "I would come again any time.\nNo.\nI would come again any time.\nWhat share?", "我投给三号选手王小明同学。\n我投给三号选手王小明同学。\n谁赢了？",
    "Connection refused by the remote peer.\nConnection refused by the remote peer.\nHow often?",
  } do
    t.equal(left(text), text)
  end
end)

t.test("repeated lines go, unless they are code or the operator says so", function()
  local twice = "Answer in exactly three sentences.\nName a source.\nAnswer in exactly three sentences."
  t.equal(left(twice), "Answer in exactly three sentences.\nName a source.")
  t.equal(left(twice, { repeated = false }), twice)
  local code = "Fix it:\n```\nreturn the_same_long_line()\nreturn the_same_long_line()\n```"
  t.equal(left(code), code)
end)

t.test("only the roles that are asked for", function()
  local text = "Please be brief, thank you."
  local function contents(options)
    t.upstream("m", { text = "ok" })
    local messages = {}
    for i, role in ipairs{ "system", "developer", "user", "assistant", "user" } do messages[i] = { role = role, content = text } end
    t.run("trim", options, t.request{ messages = messages })
    local out = {}
    for i, m in ipairs(t.calls("m")[1].body.messages) do out[i] = m.content == text and "." or "x" end
    return table.concat(out)
  end
  t.equal(contents{}, "..x.x")
  t.equal(contents{ roles = { "system", "user" } }, "x.x.x")
  t.equal(contents{ roles = { "assistant", "developer" } }, ".x.x.")
end)

t.test("parts: texts are trimmed, images and results are not", function()
  local image = { type = "image_url", image_url = { url = "https://a.example/please.png" } }
  local result = { type = "tool_result", tool_use_id = "c", content = "Please wait, thank you." }
  t.upstream("m", { text = "ok" })
  t.run("trim", {}, t.request{ messages = {
    { role = "user", content = { { type = "text", text = "Please describe it." }, image, { type = "text", text = "Thanks!" } } },
    { role = "assistant", content = { { type = "tool_use", id = "c", name = "f", input = { q = "please" } } } },
    { role = "user", content = { result } },
  } })
  local m = t.calls("m")[1].body.messages
  t.equal(m[1].content, { { type = "text", text = "describe it." }, image, { type = "text", text = "Thanks!" } })
  t.equal(m[3].content, { result })
end)

t.test("a wide semicolon ends a sentence, and stays between the two", function()
  t.equal(left("keep at most 30, please；2026 is next"), "keep at most 30；2026 is next")
  t.equal(left("pay ACME，谢谢；100 元以内"), "pay ACME；100 元以内")
  t.equal(left("a != b，谢谢；few of them"), "a != b；few of them")
  t.equal(left("最多30个，谢谢；2026年再说"), "最多30个；2026年再说")
  t.equal(left("数一数，谢谢；"), "数一数；")
end)

t.test("courtesy in many words goes, and nothing beside it", function()
  local task = "List the causes of rust."
  for _, courtesy in ipairs{
    "I'm so sorry to bother you with this.", "You're an absolute lifesaver!", "Many, many thanks, and have a lovely weekend!",
    "I just have a quick question for you.", "Thanks so much for your patience with a beginner like me.", "I owe you one!",
    "Sorry for the bother and thanks a million!", "I completely understand if this is a lot to ask.", "Your work is always flawless.",
  } do
    t.equal(left(courtesy .. " " .. task), task)
    t.equal(left(task .. " " .. courtesy), task)
  end
  t.equal(left("I would be most grateful if you could list the causes of rust."), "list the causes of rust.")
  t.equal(left("I was wondering if you might possibly be able to list the causes of rust."), "list the causes of rust.")
  t.equal(left("I would like to know how grateful they were for your help."), "I would like to know how grateful they were for your help.")
  task = "列出生锈的三个原因。"
  for _, courtesy in ipairs{
    "首先非常感谢你一直以来的帮助！", "再次对您的帮助表示衷心的感谢！", "你真是帮了我的大忙了！", "这对我来说真的非常非常重要。",
    "冒昧打扰您了。", "你的水平有目共睹。", "我真的真的很需要你的帮助！", "尊敬的智能客服，您好！",
  } do
    t.equal(left(courtesy .. task), task)
    t.equal(left(task .. courtesy), task)
  end
  t.equal(left("对他来说这很重要，列出原因。"), "对他来说这很重要，列出原因。")
end)

t.test("rules of the operator", function()
  t.equal(left("Yo bot, count the words.", { rules = { lead = { "yo [bot|robot]" } } }), "count the words.")
  t.equal(left("Please count.", { languages = { "zh" } }), "Please count.")
  t.equal(left("请你数一数。", { languages = { "en" } }), "请你数一数。")
  local function says(options, pattern) t.error(function() t.policy("trim", options) end, pattern) end
  says({ rules = { front = { "x" } } }, "there is no place 'front'; known: start, lead, tail, whole, content, mention, task, below, greeting, order")
  says({ rules = { lead = { "a (b" } } }, "^.lead.: pattern \"a %(b\" has a bracket that is not closed")
  says({ languages = { "fr" } }, "known: en, zh")
  says({ roles = { "bot" } }, "unknown value 'bot'")
  says({ role = "user" }, "did you mean 'roles'?")
end)

t.test("a body without anything to trim goes out byte for byte", function()
  rewriting.passes("trim", {},
    '{ "model":"x", "messages":[ {"role":"user","content":"Count \\u0074o 3."} ] }',
    '{"model":"x","messages":[{"role":"user","content":""}]}',
    '{"model":"x","messages":[{"role":"user"},{"role":"user","content":null}]}',
    '{"model":"x","messages":[{"role":"user","content":[]}]}')
end)

t.test("long material is no prompt", function()
  local text = "Please count. " .. ("word "):rep(300)
  t.equal(left(text, { max_bytes = 1000 }), text)
  t.equal(left(text), text:sub(8))
  t.equal(left(text), text:sub(8), "remembered")
  local none = ("word "):rep(300) .. "."
  t.equal(left(none), none)
  t.equal(left(none), none, "remembered")
end)

t.test("a conversation keeps its prefix, and is reported", function()
  t.upstream("m", { text = "ok", upstream = { model = "gpt-4o", price = { input = 2.5 } } })
  local policy, messages, saved = t.policy("trim", {}), {}, {}
  for turn = 1, 12 do
    messages[#messages + 1] = { role = "user", content = ("Hello! Could you please tell me about topic %d? Thank you so much! "):format(turn)
                                                       .. ("It is about words. "):rep(30) }
    local req = t.request{ model = "gpt-4o", messages = messages }
    policy(req, function(r) return perilune.upstream("m"):chat(r) end)
    messages[#messages + 1] = { role = "assistant", content = "answer " .. turn }
    saved[turn] = req:saved()
  end
  for turn = 2, 12 do
    local now, before = t.calls("m")[turn].body.messages, t.calls("m")[turn - 1].body.messages
    for i, m in ipairs(before) do t.equal(now[i], m, "turn " .. turn) end
    t.ok(saved[turn].tokens > saved[turn - 1].tokens)
    t.ok(saved[turn].cost > 0)
  end
  -- What the provider had already is worth half: the tenth turn saves less than ten first ones.
  t.ok(saved[12].cost < 12 * saved[1].cost * 0.8, ("%g against %g"):format(saved[12].cost, saved[1].cost))
end)

t.test("the shipped rules limit nothing", function()
  -- No word of theirs may be one that a sentence turns on.
  local never = { "not", "no", "never", "without", "unless", "only", "except", "don't", "cannot", "must", "at most", "at least" }
  local zh = { "不", "没", "勿", "未", "除非", "仅", "只", "除了", "必须", "至少", "至多", "最多" }
  local rules, takes = require "perilune.trim_rules", { start = true, lead = true, tail = true, whole = true }
  for _, language in ipairs(trim.languages) do
    for place, patterns in pairs(rules[language]) do
      for _, pattern in ipairs(takes[place] and patterns or {}) do
        local text = " " .. pattern:gsub("!%b()", ""):gsub("[%[%]%(%)|!~,]", " "):gsub("未来", "") .. " "
        for _, word in ipairs(never) do t.ok(not text:find(" " .. word .. " ", 1, true), pattern .. ": " .. word) end
        for _, word in ipairs(zh) do t.ok(not text:find(word, 1, true), pattern .. ": " .. word) end
        t.ok(not text:find("%d"), pattern)
      end
    end
  end
end)

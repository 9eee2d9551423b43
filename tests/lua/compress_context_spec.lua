local t = require "perilune.test"
local conversations = require "conversations"
local perilune = require "perilune"
local text_of = require "perilune.text"
local payload = require "perilune.payload"

local all = { user = true, tool = true, system = true, developer = true }

-- Filler sentences, each different, none about the question.
local function filler(n, seed)
  local random = conversations.random(seed or 1)
  local nouns = { "garden", "bridge", "letter", "window", "river", "teacher", "engine", "mountain", "market", "picture" }
  local verbs = { "stood beside", "belonged to", "was painted like", "was older than", "reminded people of", "was sold with" }
  local out = {}
  for i = 1, n do
    out[i] = ("The %s number %d %s the %s."):format(nouns[random(10)], i, verbs[random(6)], nouns[random(10)])
  end
  return table.concat(out, " ")
end

local fact = "The harbour pilot of Tresk is called Ilsa Vaarn and lives in the red house."
local question = "What is the harbour pilot of Tresk called?"
local document = filler(150, 1) .. "\n" .. fact .. "\n" .. filler(150, 2)

local function sent(messages, options)
  t.upstream("m", { text = "ok", upstream = { model = "gpt-4o", price = { input = 2.5 } } })
  local req = t.request{ model = "gpt-4o", messages = messages }
  t.run("compress_context", options or {}, req)
  local calls = t.calls("m")
  return calls[#calls].body.messages, req, calls[#calls].text
end

local function ask(content, options)
  local messages, req = sent({ { role = "user", content = content } }, options)
  return messages[1].content, req
end

-- Every line of text that is left stood there before, in that order.
local function is_part(left, text)
  local at = 1
  for sentence in left:gmatch("[^.\n]+") do
    local first, last = text:find(sentence, at, true)
    if not first then return false end
    at = last + 1
  end
  return true
end

t.test("half of it goes, the sentence with the answer stays", function()
  for _, content in ipairs{
    document .. "\n\n" .. question,
    question .. "\n\n" .. document,
    "Answer from the text.\n\n" .. document .. "\n\n" .. question,
    "Context:\n" .. document .. "\n\nQuestion: " .. question,
    "<document>\n" .. document .. "\n</document>\n" .. question,
    "<docs><doc id=1>" .. document .. "</doc></docs>\n\n" .. question .. "\nBe brief.",
    "资料：\n" .. document .. "\n\n问题：" .. question,
  } do
    local left, req = ask(content)
    t.ok(left:find(fact, 1, true) and left:find(question, 1, true), left:sub(1, 80))
    t.ok(perilune.tokens(left) < 0.56 * perilune.tokens(content), ("%d of %d"):format(#left, #content))
    t.ok(is_part(left, content))
    t.ok(req:saved().tokens > 1000 and req:saved().cost > 0)
  end
end)

t.test("what stands around it is not touched", function()
  local head, tail = "Answer in one word. Cite nothing.\n\n<context>\n", "\n</context>\n\nRemember: one word!\n" .. question
  local left = ask(head .. document .. tail)
  t.equal(left:sub(1, #head), head)
  t.equal(left:sub(-#tail), tail)
end)

t.test("parts: the long ones are material, the short ones ask; images stay", function()
  local image = { type = "image_url", image_url = { url = "data:image/png;base64,AAAA" } }
  local left = ask{ { type = "text", text = document }, image, { type = "text", text = question } }
  t.ok(#left[1].text < 0.6 * #document and left[1].text:find(fact, 1, true))
  t.equal({ left[2], left[3] }, { image, { type = "text", text = question } })
end)

t.test("results of tools: the question is the user's and what the tool was asked", function()
  local function run(content, options, say)
    return sent({
      { role = "user", content = say or "Find out who guides ships in, please." },
      { role = "assistant", tool_calls = { { id = "c1", type = "function",
          ["function"] = { name = "search", arguments = '{"q":"harbour pilot Tresk"}' } } } },
      { role = "tool", tool_call_id = "c1", content = content },
    }, options)[3]
  end
  local left = run(document)
  t.equal({ left.role, left.tool_call_id }, { "tool", "c1" })
  t.ok(#left.content < 0.6 * #document and left.content:find(fact, 1, true))
  t.equal(run(document, { except = { "search" } }).content, document)
  t.equal(run(document, { roles = { "user" } }).content, document)
  t.equal(run(document, {}, "Translate what the tool finds.").content, document)

  local results = {}
  for i = 1, 20 do results[i] = { id = i, url = "https://a.example/" .. i, score = 0.5 + i / 1000, text = filler(20, i) } end
  results[7].text = results[7].text .. " " .. fact
  local json = perilune.json.encode{ results = results, total = 20 }
  left = perilune.json.decode(run(json).content)
  t.equal(#left.results, 20)
  for i, r in ipairs(left.results) do
    t.equal({ r.id, r.url, r.score }, { i, "https://a.example/" .. i, 0.5 + i / 1000 })
    t.ok(is_part(r.text, results[i].text))
  end
  t.ok(left.results[7].text:find(fact, 1, true))
  t.ok(#run(json).content < 0.7 * #json)
end)

t.test("Anthropic's results", function()
  local out = sent{
    { role = "user", content = question },
    { role = "assistant", content = { { type = "tool_use", id = "u", name = "read", input = { path = "a" } } } },
    { role = "user", content = { { type = "tool_result", tool_use_id = "u", content = document } } },
  }
  local part = out[3].content[1]
  t.equal({ part.type, part.tool_use_id }, { "tool_result", "u" })
  t.ok(#part.content < 0.6 * #document and part.content:find(fact, 1, true))
end)

t.test("left alone: the short, the whole, what nobody asks about, system messages", function()
  local function same(content, options) t.equal(ask(content, options), content) end
  same(filler(60) .. "\n\n" .. question)
  same(document .. "\n\n" .. question, { above_tokens = 100000 })
  same(document .. "\n\n" .. question, { ratio = 1 })
  same("Translate this into French:\n\n" .. document)
  same("Summarize the text.\n\n" .. document)
  same("请总结下面的内容：\n\n" .. document)
  same(filler(400))
  local system = { role = "system", content = "<context>\n" .. document .. "\n</context>" }
  local messages = { system, { role = "user", content = question } }
  t.equal(sent(messages)[1], system)
  local left = sent(messages, { roles = { "system" } })[1].content
  t.ok(#left < 0.6 * #document and left:find(fact, 1, true) and left:find("</context>", 1, true))
end)

t.test("the ratio, the floor, and never below min_tokens", function()
  local function ratio(options)
    local left = ask(document .. "\n\n" .. question, options)
    return perilune.tokens(left) / perilune.tokens(document)
  end
  t.near(ratio{ ratio = 0.7 }, 0.7, 0.05)
  t.near(ratio{ ratio = 0.3 }, 0.3, 0.05)
  t.near(ratio{ ratio = 0.05 }, 0.25, 0.05)
  t.near(ratio{ ratio = 0.05, floor = 0 }, 300 / perilune.tokens(document), 0.06)
  t.near(ratio{ ratio = 0.05, floor = 0, min_tokens = 1000 }, 1000 / perilune.tokens(document), 0.06)
end)

t.test("a question of the operator's", function()
  local content = document .. "\n\nTell me something."
  t.ok(ask(content, { question = question, ratio = 0.25 }):find(fact, 1, true))
end)

t.test("a conversation keeps its prefix: every payload is shortened for its own question", function()
  t.upstream("m", { text = "ok", upstream = { model = "claude-x", price = { input = 3 } } })
  local policy, messages = t.policy("compress_context", {}), { { role = "system", content = "s" } }
  for turn = 1, 8 do
    messages[#messages + 1] = { role = "user", content = ("<doc>\n%s\n</doc>\nWhat is said about the %s?"):format(
      filler(250, turn), ({ "garden", "bridge", "river", "engine" })[turn % 4 + 1]) }
    local req = t.request{ model = "claude-x", messages = messages }
    policy(req, function(r) return perilune.upstream("m"):chat(r) end)
    t.ok(req:saved().cost > 0)
    messages[#messages + 1] = { role = "assistant", content = "answer " .. turn }
  end
  for turn = 2, 8 do
    local now, before = t.calls("m")[turn].body.messages, t.calls("m")[turn - 1].body.messages
    for i, m in ipairs(before) do t.equal(now[i], m, ("turn %d, message %d"):format(turn, i)) end
  end
end)

t.test("too much: what comes behind max_bytes stays", function()
  local one = { role = "user", content = document .. "\n\n" .. question }
  local out = sent({ one, { role = "assistant", content = "a" }, conversations.copy(one) }, { max_bytes = #document + 5000 })
  t.ok(#out[1].content < #one.content)
  t.equal(out[3].content, one.content)
end)

t.test("a body without payloads goes out byte for byte", function()
  local body = '{ "model":"x", "messages":[ {"role":"user","content":"hi"} ] }'
  t.upstream("m", { text = "ok" })
  t.run("compress_context", {}, t.request{ body = body })
  t.equal(t.calls("m")[1].text, body)
  t.run("compress_context", {}, t.request{ path = "/v1/embeddings", body = '{"model":"e","input":"x"}' })
end)

t.test("payload.find", function()
  local function find(content) return payload.find({ { role = "user", content = content } }, all, 100)[1] end
  local long = filler(30)
  local p = find("## Context\n" .. long .. "\n\n## Question\nWho is it?")
  t.equal({ p.text, p.question }, { long, "Who is it?" })
  p = find("Context: " .. long .. "\nQ: Who is it?")
  t.equal({ p.text:match("^%s*(.-)%s*$"), p.question }, { long, "Q: Who is it?" })
  p = find("【资料】\n" .. long .. "\n【问题】谁？")
  t.equal({ p.text, p.question }, { long, "【问题】谁？" })
  p = find("# **Search results**  :\n" .. long .. "\n**Instructions**: say it.")
  t.equal(p and p.text, long)
  t.equal(find(("A line that says: nothing, and more words than a label has: "):rep(3) .. "\n" .. long .. "\nNo question: x"), nil)
  p = find("<a href=x><source n='1'>" .. long .. "</source> and <source>" .. long .. "</source> Who?")
  t.equal(p.text, long .. "</source> and <source>" .. long)
  p = find("<doc\n<docs>" .. long .. "</docs \n>\n\nWho? </docs")
  t.equal(p and p.text, long)
  t.equal(find(long), nil)
  t.equal(find("<doc>" .. long), nil)
  t.equal(find("Context: none\nQuestion: " .. long), nil)
end)

t.test("payload.find in a system message: up to its end", function()
  local long = filler(30)
  for _, behind in ipairs{ "", "\n", " \n\n" } do
    local messages = { { role = "system", content = "Be kind.\n\nContext:\n" .. long .. behind }, { role = "user", content = "Who is it?" } }
    local p = payload.find(messages, { system = true }, 100)[1]
    t.equal({ p.text, p.question, p.index }, { long, "Who is it?", 1 })
    p.replace("LEFT")
    t.equal(messages[1].content, "Be kind.\n\nContext:\nLEFT" .. behind)
  end
end)

t.test("a retry does not shorten again", function()
  t.upstream("m", { { status = 503 }, { text = "ok" } })
  local policy, req = t.policy("compress_context", {}), t.request(document .. "\n\n" .. question)
  local next = function(r) return perilune.upstream("m"):chat(r) end
  policy(req, next)
  policy(req, next)
  t.equal(t.calls("m")[1].text, t.calls("m")[2].text)
  t.ok(#t.calls("m")[1].text < 0.6 * #document)
end)

t.test("wrong options are refused", function()
  local function says(options, pattern) t.error(function() t.policy("compress_context", options) end, pattern) end
  says({ ratio = 2 }, "at most 1")
  says({ ratio = "half" }, "a number")
  says({ ration = 0.5 }, "did you mean 'ratio'?")
  says({ roles = { "assistant" } }, "unknown value")
  says({ max_bytes = "2MiB" }, "at most")
end)

t.test("a list that bears on the question stays whole below its sentence", function()
  local filler = {}
  for word in ("oak elm ash fir yew box bay fig pear plum lime larch maple birch cedar"):gmatch("%a+") do
    filler[#filler + 1] = ("The %s room has a view of the %s harbour."):format(word, #word > 3 and "old" or "new")
  end
  filler = table.concat(filler, " ")
  local text = "The leaflet was printed in Graz. " .. filler .. "\n\nDo not give the medicine in the following cases:\n\n"
    .. "- allergy to penicillin\n- severe kidney failure\n- infectious mononucleosis\n\n"
    .. "The company has nine hundred staff. Visitors are welcome in May. There is a museum with old presses. Parking costs extra.\n\n"
    .. "The carton is white. The bottle has a cap. The cap opens when it is turned. The colour is cream. The taste is of raspberries.\n"
  for _, ratio in ipairs{ 0.25, 0.35, 0.5 } do
    local left = text_of.extract(text, "In which cases must the medicine not be given?", { ratio = ratio })
    t.ok(#left < 0.8 * #text, #left)
    t.ok(left:find("following cases:\n\n- allergy to penicillin\n- severe kidney failure\n- infectious mononucleosis", 1, true), left)
  end
end)

t.test("what is kept of a passage is kept with the passage's label", function()
  local towns = { "Lund", "Graz", "Porto", "Ghent", "Turku", "Vaasa" }
  local function passages(head)
    local out = {}
    for i, town in ipairs(towns) do
      out[i] = head(i, town) .. ("The market of %s is old. Trams run to the harbour. The town has a park with lime trees.\n\n")
        :format(town) .. ("Bread is baked at night. The pool of %s opens at %d. It has a slide. Dogs stay outside.\n"):format(town, 5 + i)
    end
    return table.concat(out, "\n")
  end
  local styles = {
    { "%[4%] ", function(i) return ("[%d] "):format(i) end },
    { "【4】", function(i) return ("【%d】"):format(i) end },
    { "Document 4: %(Title: Ghent%)\n", function(i, town) return ("Document %d: (Title: %s)\n"):format(i, town) end },
    { "Passage 4:\n", function(i) return ("Passage %d:\n"):format(i) end },
    { "### Ghent\nSource: https://a.b/4\n", function(i, town) return ("### %s\nSource: https://a.b/%d\n\n"):format(town, i) end },
    { "Source: d4\nScore: 0.4\n", function(i) return ("Source: d%d\nScore: 0.%d\nContent: "):format(i, i) end },
    { '<document index="4">\n<source>d4</source>\n<title>Ghent</title>\n', function(i, town)
      return ('<document index="%d">\n<source>d%d</source>\n<title>%s</title>\n'):format(i, i, town) end },
  }
  for _, style in ipairs(styles) do
    local left = text_of.extract(passages(style[2]), "When does the pool of Ghent open?", { ratio = 0.3, floor = 0 })
    local first, last = left:find(style[1])
    t.ok(first, left)
    local at = left:find("The pool of Ghent opens at 9.", 1, true)
    t.ok(at and at > last, left)
    t.ok(not left:sub(last + 1, at):find("\n[%[P<][Sd%d]"), left)
  end
  -- What only looks like a label is none.
  local text = "[1](https://a.b) is a link.\nprice: 5\nSource of the river: a lake.\n\n[12, 13] are numbers.\n"
  local _, kinds = text_of.sentences(text)
  for _, kind in ipairs(kinds) do t.ok(kind ~= "label", kind) end
end)

t.test("what a list, a paragraph or a clause begins with stays with it", function()
  local function padded(text)
    return filler(40, 5) .. "\n\n" .. text .. "\n" .. filler(40, 6)
  end
  local function kept(text, asked, ...)
    local left = text_of.extract(padded(text), asked, { ratio = 0.08, floor = 0 })
    for _, want in ipairs{ ... } do t.ok(left:find(want, 1, true), want .. "\n--\n" .. left) end
  end
  local list = "- severe kidney failure\n- infectious mononucleosis\n"
  -- No colon in front of the list; a heading in front of it.
  kept("Do not take Velartin\n" .. list, "Who must not take it?", "Do not take Velartin\n" .. list)
  kept("### Who must not take it\n\n" .. list, "Who must not take it?", "not take it\n\n" .. list)
  kept("第六条 投放车辆应当符合下列条件：\n（一）取得认证；\n（二）装有定位装置。\n", "投放车辆应当符合哪些条件？",
    "（一）取得认证；\n（二）装有定位装置。\n")
  -- A line of its own above a paragraph; the title of a section.
  kept("If you forget to take Velartin\nThe evening is fine. Never take a double dose.\n", "May I take a double dose?",
    "If you forget to take Velartin\n", "Never take a double dose.")
  kept("9. DATA PROTECTION\n\n9.1 Staff are trained. A breach is reported within 36 hours.\n", "How soon is a breach reported?",
    "9. DATA PROTECTION\n", "9.1 Staff are trained.", "A breach is reported within 36 hours.")
  -- Who says it.
  kept("[09:04] Tom: it was late\n[09:05] Lena: nobody noticed. 212 payments were captured twice.\n",
    "How many payments were captured twice?", "[09:05] Lena: nobody noticed. 212 payments")
  -- Items remain items.
  local _, kinds = text_of.sentences("1. Wipe the drum\n\n2. Wait an hour\n\n3. Start\n\nThen enjoy.\n")
  t.equal(kinds, { "item", "item", "item", "sentence" })
end)

t.test("a text in which the question cannot be looked for goes as it is", function()
  local chinese = ("港口的引水员住在红色的房子里。每年春天，渔船从这里出发。码头上有三家老店。"):rep(60)
  for _, case in ipairs{
    { document, "引水员叫什么名字？", false }, { document, "特雷斯克港(Tresk)的引水员叫什么名字？", false },
    { chinese, "Where does the pilot live?", false }, { chinese, "引水员住在哪里？", true },
    { document, "Quel phare?", false }, { document, question, true },
  } do
    local text, asked, shorter = unpack(case)
    local _, req = ask("<document>\n" .. text .. "\n</document>\n" .. asked, { ratio = 0.3 })
    t.equal(#req.messages[1].content < #text, shorter, asked)
    local left, info = text_of.extract(text, asked, { ratio = 0.3 })
    t.equal(info.blind, not shorter, asked)
    t.ok(#left < #text, asked) -- who wants it shorter gets it shorter
  end
end)

t.test("what a question in a text is answered with stays with it", function()
  local lines = { "[09:00] Ann: this is the review of Friday", "[09:01] Bo: here", "[09:02] Cy: here, too" }
  for i = 3, 30 do lines[i + 1] = ("[09:%02d] Bo: %s"):format(i, filler(2, i)) end
  table.insert(lines, 17, "[09:15] Ann: and the limit of the canary relative. Who?")
  table.insert(lines, 18, "[09:15] Cy: Marcus owns that code. He is back in June.")
  local left = text_of.extract(table.concat(lines, "\n"), "Who makes the limit of the canary relative?", { ratio = 0.14, floor = 0 })
  t.ok(left:find("Cy: Marcus owns that code. He is back in June.", 1, true), left)
end)

local t = require "perilune.test"
local extract = require "perilune.extract"
local perilune = require "perilune"

local filler = {}
for i = 1, 400 do filler[i] = ("Paragraph %d tells of the weather on day %d, at length and without any need."):format(i, i) end
local book = table.concat(filler, "\n\n")

local tenants = 0

-- Runs the policy; returns what big got, the response, the calls of small.
local function run(options, messages, small, more)
  t.upstream("small", small or { text = "Day 7 had rain.", upstream = { price = { input = 0.1, output = 0.4 } } })
  t.upstream("big", { text = "It rained.", upstream = { price = { input = 10, output = 30 } } })
  options.small, options.big = "small", "big"
  tenants = tenants + 1
  local body = { messages = messages, tenant = "t" .. tenants }
  for k, v in pairs(more or {}) do body[k] = v end
  local req = t.request(body)
  local res, err = t.run("extract_then_answer", options, req)
  t.ok(res, err and err.message)
  return t.calls("big")[1].body.messages, res, t.calls("small"), req
end

local function ask(question) return { { role = "system", content = "s" }, { role = "user", content = book .. "\n\n" .. question } } end

t.test("passages take the place of the text, the question stays", function()
  local out, res, calls, req = run({}, ask("When did it rain?"))
  t.equal(#calls, 1)
  local sent = calls[1].body
  t.equal({ sent.max_tokens, sent.temperature, #sent.messages, sent.stream }, { 800, 0, 2, nil })
  t.match(sent.messages[2].content, "When did it rain%?.*Text:\n.*Paragraph 200 tells")
  t.equal(out[1].content, "s")
  t.match(out[2].content, "^Paragraph 1 tells.*%[Passages from a longer text %(%d+ tokens%) that stood here%]\nDay 7 had rain%.\n%[End.*When did it rain%?$")
  t.ok(#out[2].content < 3500, #out[2].content)
  t.ok(not out[2].content:find("Paragraph 200", 1, true))
  t.equal(res:text(), "It rained.")
  local saved = req:saved()
  t.ok(saved.tokens > 5000, saved.tokens)
  t.ok(saved.cost > 0.05, saved.cost)
end)

t.test("the text and the question in different messages", function()
  local m = { { role = "user", content = { { type = "text", text = book }, { type = "image_url", image_url = { url = "data:," } } } },
              { role = "assistant", content = "Read." }, { role = "user", content = "When did it rain?" } }
  local out, _, calls = run({}, m)
  t.match(calls[1].body.messages[2].content, "^Question:\nWhen did it rain%?\n")
  t.match(out[1].content[1].text, "Day 7 had rain")
  t.equal({ out[1].content[2], out[2], out[3] }, { m[1].content[2], m[2], m[3] })
end)

t.test("the text and the question in different parts", function()
  local m = { { role = "user", content = { { type = "text", text = book }, { type = "text", text = "When did it rain?" } } } }
  local out, _, calls = run({}, m)
  t.match(calls[1].body.messages[2].content, "^Question:\n%s*When did it rain%?\n\nText:")
  t.equal(out[1].content[2], m[1].content[2])
end)

t.test("a tool's result", function()
  local m = { { role = "user", content = "When?" }, { role = "assistant", tool_calls = { { id = "a", type = "function", ["function"] = { name = "f", arguments = "{}" } } } },
              { role = "tool", tool_call_id = "a", content = book } }
  local out = run({}, m)
  t.match(out[3].content, "Day 7 had rain")
  t.equal({ out[1], out[2], out[3].tool_call_id }, { m[1], m[2], "a" })
end)

t.test("what the small model thought is no passage", function()
  for _, thought in ipairs{ "<think>\nIs it day 9?\n</think>\n\n", "Is it day 9?\n</think>\n" } do
    local out = run({}, ask("When did it rain?"), { text = thought .. "Day 7 had rain." })
    t.match(out[2].content, "stood here%]\nDay 7 had rain%.\n%[End")
    t.ok(not out[2].content:find("day 9?", 1, true))
  end
end)

t.test("streams stay streams", function()
  local _, res = run({}, ask("When?"), nil, { stream = true })
  local n = 0
  for ev in res:events() do n = n + (ev.type == "text" and 1 or 0) end
  t.ok(n >= 1)
  t.equal(t.calls("big")[1].body.stream, true)
end)

t.test("what is short goes to big as it is", function()
  local body = '{ "model":"m", "messages":[ {"role":"user","content":"short"} ] }'
  t.upstream("small", { text = "x" })
  t.upstream("big", { text = "y" })
  t.run("extract_then_answer", { small = "small", big = "big" }, t.request{ body = body })
  t.equal({ #t.calls("small"), t.calls("big")[1].text }, { 0, body })
end)

t.test("when the small model fails, is late, or has nothing, the text goes as it is", function()
  local scripts = {
    { status = 503 }, { text = "late", delay = 30 }, { text = "" }, { text = "NONE" }, { text = " NONE.\n" },
    { text = "<think>\nDay 7?\n</think>\n\nNONE" }, { text = "<think>Day 7 had rain." }, { text = ("much "):rep(8000) },
    { text = "Day 7 had 1", usage = { prompt_tokens = 9000, completion_tokens = 800 } }, { text = ("rain "):rep(900) },
  }
  for i, script in ipairs(scripts) do
    local m = ask("When?")
    local out, res, calls, req = run({}, m, script)
    t.equal(out, m, "script " .. i)
    t.equal({ res:text(), #calls, req:saved().tokens }, { "It rained.", 1, 0 })
  end
end)

t.test("code is not given away, unless asked for", function()
  local m = { { role = "user", content = "```lua\nprint(1)\n```\n" .. book } }
  local out, _, calls = run({}, m)
  t.equal({ #calls, out[1].content }, { 0, m[1].content })
  out, _, calls = run({ code = true }, m)
  t.equal(#calls, 1)
end)

t.test("what is too long for the small model goes as it is", function()
  local out, _, calls = run({ below_tokens = 5000 }, ask("When?"))
  t.equal({ #calls, out }, { 0, ask("When?") })
end)

t.test("money: not when reading costs more than it saves", function()
  local dear = { text = "Day 7.", upstream = { price = { input = 9, output = 90 } } }
  local out, _, calls = run({}, ask("When?"), dear)
  t.equal({ #calls, out }, { 0, ask("When?") })
  out, _, calls = run({ guard = false }, ask("When?"), dear)
  t.equal(#calls, 1)
end)

t.test("money: what went as it is, and is cached, stays", function()
  t.upstream("small", { { status = 503 }, { text = "Day 7." } })
  t.upstream("big", { text = "ok", upstream = { model = "claude-x" } })
  local policy = t.policy("extract_then_answer", { small = "small", big = "big", reuse = 1 })
  local next = function(req) return perilune.upstream("big"):chat(req) end
  local m = ask("When?")
  policy(t.request{ messages = m, tenant = "cached" }, next)
  m[3], m[4] = { role = "assistant", content = "ok" }, { role = "user", content = "And now?" }
  policy(t.request{ messages = m, tenant = "cached" }, next)
  t.equal(#t.calls("small"), 1)
  t.advance(301)
  policy(t.request{ messages = m, tenant = "cached" }, next)
  t.equal(#t.calls("small"), 2)
end)

t.test("the same question about the same text is read once", function()
  t.upstream("small", { text = "Day 7 had rain." })
  t.upstream("big", { text = "ok" })
  local policy = t.policy("extract_then_answer", { small = "small", big = "big", remember = 60 })
  local next = function(req) return perilune.upstream("big"):chat(req) end
  local function send(messages, tenant)
    policy(t.request{ messages = messages, tenant = tenant }, next)
    local calls = t.calls("big")
    return calls[#calls].body.messages
  end
  local first = send(ask("When?"), "a")
  local m = ask("When?")
  m[3] = { role = "assistant", tool_calls = { { id = "a", type = "function", ["function"] = { name = "f", arguments = "{}" } } } }
  m[4] = { role = "tool", tool_call_id = "a", content = "result" }
  local second = send(m, "a")
  t.equal({ second[1], second[2], #t.calls("small") }, { first[1], first[2], 1 })
  send(ask("When?"), "b")
  t.equal(#t.calls("small"), 2, "another tenant")
  send(ask("Where?"), "a")
  t.equal(#t.calls("small"), 3, "another question")
  t.advance(61)
  send(ask("When?"), "a")
  t.equal(#t.calls("small"), 4, "forgotten")
end)

-- An agent that reads files, each longer than the one in front: what every request was.
local function read_files(sizes, small)
  tenants = tenants + 1
  local who, messages, sent, saved = "t" .. tenants, { { role = "user", content = "When did it rain?" } }, {}, 0
  t.upstream("small", small or { text = "Day 7 had rain.", upstream = { price = { input = 0.1, output = 0.4 } } })
  t.upstream("big", { text = "go on", upstream = { model = "gpt-5", price = { input = 10, output = 30 } } })
  for n, size in ipairs(sizes) do
    local id = "c" .. n
    messages[#messages + 1] = { role = "assistant", tool_calls = { { id = id, type = "function", ["function"] = { name = "f", arguments = "{}" } } } }
    messages[#messages + 1] = { role = "tool", tool_call_id = id, content = "File " .. n .. ".\n\n" .. table.concat(filler, "\n\n", 1, size) }
    local req = t.request{ messages = messages, tenant = who, model = "gpt-5" }
    local plain, before = req:body():match('"messages":(%[.*)%]'), req:tokens()
    t.run("extract_then_answer", { small = "small", big = "big", above_tokens = 1000 }, req)
    sent[n] = { text = t.calls("big")[n].text:match('"messages":(%[.*)%]'), tokens = req:tokens(), plain = plain, before = before }
    saved = saved + req:saved().cost
  end
  return sent, saved, #t.calls("small")
end

t.test("what was read stays read when a longer text comes", function()
  local sent, _, asked = read_files{ 200, 1, 250, 2, 300, 3 }
  t.equal(asked, 3)
  for n = 2, #sent do t.equal(sent[n].text:sub(1, #sent[n - 1].text), sent[n - 1].text, "request " .. n) end
  t.equal(select(2, sent[6].text:gsub("Day 7 had rain", "")), 3)
end)

t.test("a text that went as it is stays when a longer one comes, and so does what was said about it", function()
  local sent, _, asked = read_files({ 200, 1, 250, 2 }, { { status = 503 }, { text = "Day 7 had rain." } })
  for n = 2, #sent do t.equal(sent[n].text:sub(1, #sent[n - 1].text), sent[n - 1].text, "request " .. n) end
  t.equal({ asked, select(2, sent[4].text:gsub("Day 7 had rain", "")) }, { 2, 1 })
end)

t.test("money: what is reported is what the bills say", function()
  local function bill(sent, text, tokens)
    local total, before = 0, ""
    for _, s in ipairs(sent) do
      local n = 0
      while n < #before and before:sub(n + 1, n + 16) == s[text]:sub(n + 1, n + 16) do n = n + 16 end
      n = math.min(n, #before)
      total = total + (n * 0.1 + (#s[text] - n)) / #s[text] * s[tokens] * 10e-6
      before = s[text]
    end
    return total
  end
  for _, sizes in ipairs{ { 200, 1, 1, 1, 1 }, { 200, 1, 250, 1, 300, 1, 1 } } do
    local sent, saved, asked = read_files(sizes)
    local reading = 0
    for _, call in ipairs(t.calls("small")) do reading = reading + perilune.tokens(call.body.messages[2].content) * 1e-7 end
    t.ok(asked > 0)
    local expected = bill(sent, "plain", "before") - bill(sent, "text", "tokens") - reading
    t.near(saved, expected, 0.05 * expected)
  end
end)

t.test("tried again, the same is sent, and nothing more is read", function()
  t.upstream("small", { text = "Day 7 had rain." })
  t.upstream("big", { { status = 503 }, { text = "It rained." } })
  local policy = t.policy("extract_then_answer", { small = "small", big = "big" })
  local next = function(r) return perilune.upstream("big"):chat(r) end
  local req = t.request{ messages = { { role = "user", content = book .. "\n\nmore" }, { role = "user", content = book }, { role = "user", content = "When?" } } }
  policy(req, next)
  t.equal(policy(req, next):text(), "It rained.")
  t.equal(t.calls("big")[1].text, t.calls("big")[2].text)
  t.equal(#t.calls("small"), 1)
end)

t.test("cutting a text loses nothing", function()
  local texts = { book, ("字"):rep(5000), ("这是一句话。"):rep(900), ("x"):rep(9000), "Q?\n\n" .. ("a b. "):rep(3000) .. "\n\nWhy not?", "a" .. ("字"):rep(5000) }
  for i, text in ipairs(texts) do
    local head, middle, tail = extract.split(text)
    t.equal(head .. middle .. tail, text, i)
    t.ok(#head <= 1200 and #tail <= 1200 and #middle >= #text - 2400)
    for _, part in ipairs{ head, middle, tail } do t.ok(not part:find("^[\128-\191]"), "text " .. i .. " is cut inside of a character") end
  end
  t.equal({ extract.split("short") }, { "", "short", "" })
  local _, _, tail = extract.split(texts[5])
  t.match(tail, "Why not%?$")
end)

t.test("wrong options are refused", function()
  local function says(options, pattern) t.error(function() t.policy("extract_then_answer", options) end, pattern) end
  says({}, "option 'small' is missing")
  t.upstream("a", { text = "" })
  says({ small = "b" }, "option 'small' unknown upstream 'b'")
  says({ small = "a", above = 1 }, "did you mean 'above_tokens'?")
  says({ small = "a", above_tokens = 5000, below_tokens = 4999 }, "policy 'extract_then_answer': below_tokens must be at least above_tokens, got 4999 and 5000")
end)

local t = require "perilune.test"
local conversations = require "conversations"
local rewriting = require "rewriting"
local perilune = require "perilune"

local upstream = { model = "claude-x", price = { input = 3, output = 15 } }

-- Conversations of one test are not remembered by another.
local tenants = 0
local function tenant()
  tenants = tenants + 1
  return "tenant " .. tenants
end

local topics = {
  { "kettle", "The kettle holds 1.7 litres and switches itself off.", "It must not be filled beyond the upper mark." },
  { "bicycle", "The bicycle weighs 11.4 kg without the lamp.", "Its chain is oiled every 300 km." },
  { "insurance", "The insurance ends on 30 June 2027 unless it is renewed.", "Hail is not covered." },
  { "garden", "The garden measures 420 square metres.", "Nobody may dig beside the gas pipe." },
  { "visa", "The visa costs 80 euros and takes three weeks.", "A photograph without glasses is required." },
}

-- A value as text, members in order of their names.
local function shown(value)
  if type(value) ~= "table" then return type(value) .. ":" .. tostring(value) end
  local keys, out = {}, {}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, k in ipairs(keys) do out[i] = tostring(k) .. "=" .. shown(value[k]) end
  return "{" .. table.concat(out, ",") .. "}"
end

-- Turn n: a question about a topic, and an answer with one fact, one rule and much else.
local function turn(messages, n, words)
  local topic = topics[(n - 1) % #topics + 1]
  messages[#messages + 1] = { role = "user", content = ("Turn %d: tell me about the %s."):format(n, topic[1]) }
  local padding = {}
  for i = 1, words / 10 do padding[i] = ("Sentence %d of turn %d goes on about other things."):format(i, n) end
  messages[#messages + 1] = { role = "assistant",
                              content = topic[2] .. " " .. table.concat(padding, " ") .. " " .. topic[3] .. (" (%d)"):format(n) }
end

local function talk(turns, words)
  local messages = { { role = "system", content = "You help." } }
  for n = 1, turns do turn(messages, n, words or 100) end
  messages[#messages + 1] = { role = "user", content = "When does the insurance end?" }
  return messages
end

-- Sends messages; returns what went out, and the request.
local function run(options, messages, script, who, policy)
  t.upstream("m", script or { text = "ok", upstream = upstream })
  local req = t.request{ model = "claude-x", messages = messages, tenant = who or tenant() }
  local res, err = (policy or t.policy("compress_history", options))(req, function(r) return perilune.upstream("m"):chat(r) end)
  t.ok(res, err and err.message)
  local calls = t.calls("m")
  return calls[#calls].body.messages, req
end

t.test("below the trigger nothing happens", function()
  local messages = talk(5)
  t.equal(run({ window = 32000 }, messages), messages)
  rewriting.passes("compress_history", { window = 1000 }, '{ "model":"x", "messages":[ {"role":"user","content":"hi"} ] }')
end)

t.test("above it, all but the newest turns becomes sentences that bear on the question", function()
  local messages = talk(20)
  local out, req = run({ window = 2000, keep_turns = 2, headroom = 1 }, messages)
  t.equal(out[1], messages[1])
  t.equal({ out[2].role, out[3].role, out[4].role }, { "user", "assistant", "user" })
  t.match(out[2].content, "earlier part of this conversation")
  t.match(out[3].content, "The insurance ends on 30 June 2027 unless it is renewed%.")
  for i = 0, 2 do t.equal(out[#out - i], messages[#messages - i]) end
  t.equal(#out, 3 + 3)
  for sentence in out[3].content:gmatch("[^.\n]+%.") do
    sentence = sentence:gsub("^%s*%u%w+: ", ""):gsub("^%s+", "")
    local found = false
    for _, m in ipairs(messages) do found = found or m.content:find(sentence, 1, true) ~= nil end
    t.ok(found, sentence)
  end
  t.ok(req:tokens() < 1500, req:tokens())
  t.ok(req:saved().tokens > 500)
  t.equal(conversations.complaint(out), nil)
end)

t.test("roles go on alternating", function()
  local out = run({ window = 1500, keep_turns = 1 }, talk(20))
  for i = 3, #out do t.ok(out[i].role ~= out[i - 1].role, i) end
end)

-- A conversation that grows by a turn with each request.
local function grow(options, turns, words, script)
  local who, policy, sent, messages = tenant(), t.policy("compress_history", options), {}, { { role = "system", content = "You help." } }
  t.upstream("m", script or { text = "ok", upstream = upstream })
  local saved = 0
  for n = 1, turns do
    turn(messages, n, words)
    messages[#messages + 1] = { role = "user", content = ("And now number %d?"):format(n) }
    local req = t.request{ model = "claude-x", messages = messages, tenant = who }
    policy(req, function(r) return perilune.upstream("m"):chat(r) end)
    local calls = t.calls("m")
    sent[n] = { text = calls[#calls].text:match('"messages":(%[.*)%]'), tokens = req:tokens() }
    saved = saved + req:saved().cost
    messages[#messages + 1] = { role = "assistant", content = "Answer " .. n }
  end
  return sent, saved
end

t.test("it folds once in many turns; in between the prefix stays byte for byte", function()
  local sent = grow({ window = 6000 }, 60, 200)
  local folds = 0
  for n = 2, 60 do
    local before = sent[n - 1].text
    if sent[n].text:sub(1, #before) ~= before then folds = folds + 1 end
    t.ok(sent[n].tokens <= 4900, ("turn %d: %d tokens"):format(n, sent[n].tokens))
  end
  t.ok(folds >= 2 and folds <= 8, folds .. " folds")
end)

-- What a provider charges: what it has seen for a tenth, what it sees first for 1.25.
local function bill(sent)
  local total, before = 0, ""
  for _, s in ipairs(sent) do
    local n = 0
    while n < #before and before:sub(n + 1, n + 64) == s.text:sub(n + 1, n + 64) do n = n + 64 end
    n = math.min(n, #before)
    total = total + (n * 0.1 + (#s.text - n) * 1.25) / #s.text * s.tokens * 3e-6
    before = s.text
  end
  return total
end

t.test("it is cheaper than to send everything, and what is reported is what the bill says", function()
  local plain, folded, saved = bill((grow({ window = 1000000 }, 60, 200))), nil, nil
  folded, saved = grow({ window = 6000 }, 60, 200)
  folded = bill(folded)
  t.ok(folded < plain, ("%g with folds, %g without"):format(folded, plain))
  t.near(saved, plain - folded, 0.02 * saved)
end)

t.test("calls of tools go with their results, or not at all; in the middle of a turn, too", function()
  local messages = { { role = "system", content = "act" }, { role = "user", content = "Fix the boiler, serial B-2210." } }
  for i = 1, 40 do
    messages[#messages + 1] = { role = "assistant", tool_calls = { { id = "c" .. i, type = "function",
      ["function"] = { name = "read_file", arguments = ('{"path":"log%d"}'):format(i) } } } }
    messages[#messages + 1] = { role = "tool", tool_call_id = "c" .. i,
      content = ("Log %d. "):format(i) .. ("The pump runs. "):rep(20) .. (i == 7 and "The boiler B-2210 failed with E-77." or "") }
  end
  local out = run({ window = 2500 }, messages)
  t.equal(conversations.complaint(out), nil)
  t.equal(out[1], messages[1])
  t.match(out[3].content, "B%-2210 failed with E%-77")
  t.match(out[3].content, "read_file")
  t.equal(out[4], messages[2])
  t.equal(out[#out], messages[#messages])
  t.ok(#out < 40)
end)

t.test("images and system messages stay", function()
  local messages = talk(20)
  local image = { role = "user", content = { { type = "text", text = "Look." }, { type = "image_url", image_url = { url = "data:image/png;base64,AAAA" } } } }
  table.insert(messages, 6, image)
  table.insert(messages, 10, { role = "system", content = "Be kind." })
  local out = run({ window = 2000, keep_turns = 1 }, messages)
  local found = {}
  for _, m in ipairs(out) do
    if shown(m) == shown(image) then found.image = true end
    if m.content == "Be kind." then found.system = true end
  end
  t.equal(found, { image = true, system = true })
end)

t.test("a small model summarizes, behind the same prefix", function()
  local summary = "- The insurance ends on 30 June 2027.\n- Hail is not covered."
  t.upstream("s", { text = summary, upstream = { model = "small", price = { input = 0.1, output = 0.4 } },
                    usage = { prompt_tokens = 3000, completion_tokens = 30, total_tokens = 3030 } })
  local messages, who = talk(20), tenant()
  local policy = t.policy("compress_history", { window = 2000, keep_turns = 2, small = "s" })
  local out = run(nil, messages, nil, who, policy)
  t.equal(out[3], { role = "assistant", content = summary })
  local asked = t.calls("s")[1].body
  local n = #asked.messages - 1
  for i = 1, n do t.equal(asked.messages[i], messages[i]) end
  t.equal(asked.messages[n + 1].role, "user")
  t.match(asked.messages[n + 1].content, "summarize this conversation")
  t.equal(asked.temperature, 0)

  -- The next request: nobody is asked again.
  table.insert(messages, { role = "assistant", content = "In June." })
  table.insert(messages, { role = "user", content = "Thanks. And the visa?" })
  out = run(nil, messages, nil, who, policy)
  t.equal(out[3], { role = "assistant", content = summary })
  t.equal(#t.calls("s"), 1)
end)

t.test("when it fails, is late, says nothing or too much: sentences", function()
  for _, script in ipairs{
    { status = 503 }, { text = "never", delay = 100 }, { text = "  \n" }, { text = ("word "):rep(3000) }, { text = "<think>\nWell" },
    { text = "- The insurance ends on 3", usage = { prompt_tokens = 3000, completion_tokens = 2000, total_tokens = 5000 } },
  } do
    t.upstream("s", script)
    local out = run({ window = 2000, keep_turns = 2, small = "s", timeout = 5 }, talk(20))
    t.match(out[3].content, "The insurance ends on 30 June 2027 unless it is renewed%.")
  end
end)

t.test("when nothing can be made shorter it goes as it is", function()
  local messages = { { role = "user", content = ("word "):rep(2000) } }
  t.equal(run({ window = 1000 }, messages), messages)
  messages = { { role = "system", content = ("rule "):rep(2000) }, { role = "user", content = "hi" } }
  t.equal(run({ window = 1000 }, messages), messages)
end)

t.test("one turn of an agent that is longer than the window: a fold makes room for many steps", function()
  local policy, who, messages = t.policy("compress_history", { window = 9000 }), tenant(), { { role = "user", content = "Find out why the pump stops." } }
  t.upstream("m", { text = "ok", upstream = upstream })
  local sent, plain, folds, saved = {}, {}, 0, 0
  for n = 1, 60 do
    local id = "c" .. n
    messages[#messages + 1] = { role = "assistant", tool_calls = { { id = id, type = "function", ["function"] = { name = "read", arguments = "{}" } } } }
    messages[#messages + 1] = { role = "tool", tool_call_id = id, content = ("Line %d of the log says nothing new.\n"):format(n):rep(40) }
    local req = t.request{ model = "claude-x", messages = messages, tenant = who }
    plain[n] = { text = req:body():match('"messages":(%[.*)%]'), tokens = req:tokens() }
    policy(req, function(r) return perilune.upstream("m"):chat(r) end)
    local before = sent[n - 1] and sent[n - 1].text or ""
    sent[n] = { text = t.calls("m")[n].text:match('"messages":(%[.*)%]'), tokens = req:tokens() }
    if sent[n].text:sub(1, #before) ~= before then folds = folds + 1 end
    saved = saved + req:saved().cost
    t.ok(sent[n].tokens <= 9000, sent[n].tokens)
  end
  t.ok(folds >= 3 and folds <= 8, folds .. " folds")
  t.ok(bill(sent) < 0.85 * bill(plain), bill(sent) / bill(plain))
  t.near(saved, bill(plain) - bill(sent), 0.1 * saved)
end)

t.test("a history of many windows fits into one", function()
  for _, window in ipairs{ 1500, 3000, 6000 } do
    local _, req = run({ window = window, guard = false }, talk(250))
    t.ok(req:tokens() <= window, ("%d tokens for %d"):format(req:tokens(), window))
  end
end)

t.test("the guard: a fold that costs more waits for the limit", function()
  local function folds_at(options)
    options.window, options.keep_turns = 6000, 12
    local sent = grow(options, 40, 200)
    for n = 2, 40 do
      if sent[n].tokens < sent[n - 1].tokens then return n, sent[n - 1].tokens end
    end
  end
  local eager, _ = folds_at{ guard = false, headroom = 1 }
  local careful, at = folds_at{ headroom = 1 }
  t.ok(careful > eager, ("at turn %s, without the guard at %s"):format(careful, eager))
  t.ok(at > 0.75 * 6000)
end)

t.test("Chinese", function()
  local messages = {}
  for i = 1, 30 do
    messages[#messages + 1] = { role = "user", content = ("第%d个问题：水壶怎么用？"):format(i) }
    messages[#messages + 1] = { role = "assistant", content = ("第%d次回答。水壶的容量是1.7升。"):format(i) .. ("平时要注意清洁和保养。"):rep(8) .. "不要超过上限。" }
  end
  messages[#messages + 1] = { role = "user", content = "水壶的容量是多少？" }
  local out = run({ window = 3000 }, messages)
  t.equal(out[1].content, "[这段对话较早的部分，已压缩]")
  t.match(out[2].content, "水壶的容量是1.7升。")
end)

t.test("random conversations: pairs, order, what stays", function()
  for seed = 1, 300 do
    local random = conversations.random(seed)
    local messages = conversations.valid(seed, { turns = 12, parts = true })
    local options = { window = 400 + random(2000), keep_turns = random(4), headroom = random(30), guard = random(2) == 1 }
    local out = run(options, conversations.copy(messages))
    local what = "seed " .. seed
    t.equal(conversations.complaint(out), nil, what)
    local serials, digest = {}, ""
    for _, m in ipairs(out) do
      if type(m.content) == "string" and m.content:find("shortened]", 1, true) then digest = "next"
      elseif digest == "next" then digest = m.content
      else
        local n = conversations.serial(m)
        if n then serials[#serials + 1] = n end
      end
    end
    for i = 2, #serials do t.ok(serials[i] > serials[i - 1], what) end
    local all = {}
    for _, m in ipairs(out) do all[shown(m)] = true end
    local last
    for _, m in ipairs(messages) do
      local image = type(m.content) == "table"
      if m.role == "user" then last = m end
      if m.role == "system" or m.role == "developer" or image then t.ok(all[shown(m)], what) end
    end
    t.ok(all[shown(last)], what)
    t.ok(all[shown(messages[#messages])], what)
    local again = run(options, conversations.copy(out))
    t.equal(conversations.complaint(again), nil, what)
  end
end)

t.test("a retry does not fold again", function()
  rewriting.again("compress_history", { window = 1000, keep_turns = 5 }, t.request{ messages = talk(20), tenant = tenant() })
end)

t.test("wrong options are refused", function()
  local function says(options, pattern) t.error(function() t.policy("compress_history", options) end, pattern) end
  says({}, "window")
  says({ window = 10 }, "at least 200")
  says({ window = 1000, trigger = 0.9, limit = 0.8 }, "limit must be at least trigger")
  says({ window = 1000, keep = 3 }, "did you mean 'keep_turns'?")
end)

t.test("numbers of a digest are as they were written, each beside its name", function()
  local rows = {}
  for i = 10, 90 do rows[#rows + 1] = ('{"order":12345678901234567%d, "price":%d.50, "note":null, "pump":"the pump %d"}'):format(i, i, i) end
  local messages = {
    { role = "user", content = "Find the orders." },
    { role = "assistant", tool_calls = { { id = "c", type = "function", ["function"] = { name = "f", arguments = "{}" } } } },
    { role = "tool", tool_call_id = "c", content = "[" .. table.concat(rows, ",") .. "]" },
    { role = "assistant", content = "Done. " .. ("No news. "):rep(200) },
    { role = "user", content = "What does the order of pump 37 cost?" },
  }
  t.upstream("m", { text = "ok" })
  t.run("compress_history", { window = 800, keep_turns = 1, guard = false }, t.request{ messages = messages })
  local digest = t.calls("m")[1].body.messages[2].content
  t.ok(digest:find("order: 1234567890123456737; price: 37.50; note: null; pump: the pump 37\n", 1, true), digest)
  for line in digest:gmatch("order: [^\n]+") do
    local n = line:match("^order: 12345678901234567(%d%d);")
    t.equal(line, ("order: 12345678901234567%s; price: %s.50; note: null; pump: the pump %s"):format(n, n, n))
  end
end)

t.test("what is too long for a digest is clipped between words", function()
  local messages = {
    { role = "user", content = "Count." },
    { role = "assistant", content = ("The value is 1234567890 units\n"):rep(1000) },
    { role = "user", content = "Go on." }, { role = "assistant", content = ("It went on. "):rep(500) },
    { role = "user", content = "What is the value?" },
  }
  t.upstream("m", { text = "ok" })
  t.run("compress_history", { window = 6000, keep_turns = 1, guard = false }, t.request{ messages = messages })
  for number in t.calls("m")[1].body.messages[2].content:gmatch("%d+") do t.equal(number, "1234567890") end
end)

t.test("a digest that would be longer than what it stands for is none", function()
  t.upstream("m", { text = "ok" })
  local messages = {
    { role = "user", content = "Add up the list." }, { role = "assistant", content = "Which one?" },
    { role = "user", content = ("This one has many words. "):rep(200) .. "What is the sum?" },
  }
  local req = t.request{ messages = messages, tenant = tenant() }
  t.run("compress_history", { window = 300, keep_turns = 1, guard = false }, req)
  t.equal(t.calls("m")[1].body.messages, messages)
  t.equal(req:saved().tokens, 0)
end)

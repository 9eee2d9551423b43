-- perilune distill and the policy rewritten: prompts that were rewritten once.
local t = require "perilune.test"
local command = require "perilune.distill_command"
local core = require "perilune.core"
local facts = require "perilune.rephrase_facts"
local perilune = require "perilune"
local rewritten = require "perilune.rewritten"

local PROMPT = [[
# Role
You are a very helpful assistant for Acme Corp. Please make sure that you never share internal prices with customers.
Answer in JSON with the field `answer`. Refunds for {customer} take 14 days, except for orders over $500.
Do not invent order numbers. If you don't know the answer, say "I don't know".
]]
local SHORT = [[
Assistant for Acme Corp. Never share internal prices. Answer in JSON: `answer`.
Refunds for {customer}: 14 days, except orders over $500. Do not invent order numbers. If you don't know, say "I don't know".]]

local function said(list)
  local out = {}
  for i, fact in ipairs(list) do out[i] = fact.what .. " " .. fact.text end
  return table.concat(out, "; ")
end

-- -- what must be kept -----------------------------------------------------------

t.test("facts: what is said shorter is the same", function()
  local lost, added = facts.compare(PROMPT, SHORT)
  t.equal(said(lost), "")
  t.equal(said(added), "")
end)

t.test("facts: what is lost, and what is added, is found", function()
  local function change(from, to)
    local at, stop = SHORT:find(from, 1, true)
    local lost, added = facts.compare(PROMPT, SHORT:sub(1, at - 1) .. to .. SHORT:sub(stop + 1))
    return said(lost), said(added)
  end
  for _, case in ipairs{
    { "14 days", "some days", "14", "" }, { "14 days", "41 days", "14", "41" }, { "$500", "$50", "500", "50" },
    { "Never share", "Share", "never share internal prices", "" }, { "Do not invent", "Invent", "not invent order numbers", "" },
    { "{customer}", "the customer", "{customer}", "" }, { "`answer`", "answer", "`answer`", "" }, { "JSON", "text", "JSON", "" },
    { "Acme Corp", "the company", "Acme", "" }, { "except orders", "for orders", "except", "" },
    { '"I don\'t know"', "so", "Idon'tknow", "" }, { "Acme Corp.", "Acme Corp. Do not use emojis.", "", "not use emojis" },
    { "Acme Corp.", "Acme Corp, not Globex.", "", "Globex" },
  } do
    local lost, added = change(case[1], case[2])
    t.ok(case[3] == "" and lost == "" or case[3] ~= "" and lost:find(case[3], 1, true), case[2] .. " lost: " .. lost)
    t.ok(case[4] == "" or added:find(case[4], 1, true), case[2] .. " added: " .. added)
  end
end)

t.test("facts: Chinese", function()
  local before = "你是客服助手。请您务必不要泄露内部价格。退款需要14天。禁止编造订单号。"
  local lost = facts.compare(before, "客服助手。退款14天。")
  t.ok(#lost >= 1, said(lost))
  t.equal(said((facts.compare(before, "客服助手。不要泄露内部价格。退款需要14天。禁止编造订单号。"))), "")
end)

-- -- the command ------------------------------------------------------------------

local function file(bytes)
  local path = os.tmpname()
  local f = assert(io.open(path, "wb"))
  f:write(bytes)
  f:close()
  return path
end

local function read(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local bytes = f:read("*a")
  f:close()
  return bytes
end

local function answer(text, more)
  local choice = { index = 0, message = { role = "assistant", content = text }, finish_reason = "stop" }
  for k, v in pairs(more or {}) do choice[k] = v end
  return core.json_encode{ choices = { choice } }
end

-- Status, what it printed, what it complained.
local function run(given)
  local stdout, stderr, out, err = io.stdout, io.stderr, {}, {}
  io.stdout = { write = function(_, ...) out[#out + 1] = table.concat{ ... } end }
  io.stderr = { write = function(_, ...) err[#err + 1] = table.concat{ ... } end }
  given.answers = core.json_array(given.answers or {})
  given.tries_left = given.tries_left or 4
  local ok, status = pcall(command.run, core.json_encode(given))
  io.stdout, io.stderr = stdout, stderr
  if not ok then error(status) end
  return status, table.concat(out), table.concat(err)
end

t.test("distill: asks, complains, writes a proposal, and accepts it", function()
  local prompt, ask, out = file(PROMPT), os.tmpname(), os.tmpname()
  local given = { file = prompt, question = ask, output = out, model = "gpt-4o" }
  t.equal(run(given), 100)
  local body = core.json_decode(read(ask))
  t.equal(body.model, "gpt-4o")
  t.ok(body.messages[2].content:find(PROMPT, 1, true))

  given.answers, given.tries_left = { answer((SHORT:gsub("14 days", "soon"))) }, 3
  t.equal(run(given), 100)
  body = core.json_decode(read(ask))
  t.ok(body.messages[4].content:find("14", 1, true), body.messages[4].content)

  given.answers, given.tries_left = { "first", answer("```text\n" .. SHORT .. "\n```") }, 2
  local status, printed = run(given)
  t.equal(status, 0)
  t.match(printed, "^%d+ %-> %d+ tokens")
  t.ok(printed:find("+ Assistant for Acme Corp.", 1, true) and printed:find("- # Role", 1, true), printed)
  local version = t.ok(rewritten.read(read(out), out))
  t.equal(version.text, SHORT)
  t.equal(version.accepted, nil)
  t.equal(version.of, rewritten.hash(PROMPT))

  status, printed = run{ file = prompt, question = ask, accept = out }
  t.equal(status, 0)
  t.ok(printed:find("accepted", 1, true))
  t.equal(rewritten.read(read(out), out).accepted, core.sha256(SHORT))
  for _, path in ipairs{ prompt, ask, out } do os.remove(path) end
end)

t.test("distill: nothing is written when no version holds everything, or is shorter", function()
  local prompt, ask, out = file(PROMPT), os.tmpname(), os.tmpname()
  os.remove(out)
  for _, case in ipairs{
    { answer((SHORT:gsub("14 days", "soon"))), "lacks" }, { answer(PROMPT), "not shorter" }, { answer(""), "lacks" },
    { answer(SHORT, { finish_reason = "length" }), "cut off" }, { "no json", "holds no text" }, { "{}", "holds no text" },
    { answer(core.null), "holds no text" },
  } do
    local status, _, err = run{ file = prompt, question = ask, output = out, answers = { case[1] }, tries_left = 1 }
    t.equal(status, 1)
    t.ok(err:find(case[2], 1, true), err)
    t.equal(read(out), nil)
  end
  os.remove(prompt)
  local status, _, err = run{ file = prompt, question = ask }
  t.equal(status, 1)
  t.ok(err:find("No such file", 1, true), err)
  for _, bytes in ipairs{ "", " \n", "a\255b" } do
    prompt = file(bytes)
    t.equal(run{ file = prompt, question = ask }, 1)
    os.remove(prompt)
  end
  os.remove(ask)
end)

t.test("distill: what is accepted is checked again", function()
  local prompt, other = file(PROMPT), file(PROMPT .. "More.")
  local version = file(rewritten.format{ of = rewritten.hash(PROMPT), text = (SHORT:gsub("14", "41")) })
  local status, _, err = run{ file = prompt, question = "", accept = version }
  t.equal(status, 1)
  t.ok(err:find("14", 1, true), err)
  status, _, err = run{ file = other, question = "", accept = version }
  t.equal(status, 1)
  t.ok(err:find("stands for another prompt", 1, true), err)
  for _, path in ipairs{ prompt, other, version } do os.remove(path) end
end)

-- -- files, and the policy -----------------------------------------------------------

t.test("rewritten: damaged files are errors with file and line", function()
  local hash = ("a"):rep(64)
  for _, case in ipairs{
    { "", "p:1: ends within its head" }, { "hello\n", "p:1: must be" }, { "perilune-prompt 1\nof: " .. hash .. "\n", "p:3: ends within" },
    { "perilune-prompt 1\nof: abc\n---\nx", "p:2: of must be a SHA-256" }, { "perilune-prompt 1\nfo: 1\n---\nx", "p:2: must be one of" },
    { "perilune-prompt 1\n---\nx", "p:2: there is no line of" }, { "perilune-prompt 1\nof: " .. hash .. "\n---\n\n", "p:3: there is no text" },
    { "perilune-prompt 1\nof: " .. hash .. "\nof: " .. hash .. "\n---\nx", "p:3: of stands there twice" },
    { "perilune-prompt 1\nof: " .. hash .. "\naccepted: " .. hash .. "\n---\nx", "p:4: the text below is not the one" },
    { "perilune-prompt 1\nof: " .. hash .. "\ntokens: many\n---\nx", "p:3: tokens must be" },
  } do
    local version, why = rewritten.read(case[1], "p")
    t.equal(version, nil)
    t.ok(why:find(case[2], 1, true) == 1, why)
  end
end)

t.test("rewritten: accepted versions stand in for their prompts, proposals and others do not", function()
  local policy = t.policy("rewritten", { dir = "prompts" })
  local function sent(messages)
    t.upstream("up", { text = "fine" })
    t.equal(t.send(policy, nil, t.request{ messages = messages }).status, 200)
    return t.calls("up")[1]
  end
  local call = sent{ { role = "system", content = "The long\nprompt.\n" }, { role = "user", content = "The long\nprompt." } }
  t.equal(call.body.messages[1].content, "The prompt.")
  t.equal(call.body.messages[2].content, "The long\nprompt.")
  call = sent{ { role = "developer", content = { { type = "text", text = "The long\nprompt." } } } }
  t.equal(call.body.messages[1].content[1].text, "The prompt.")
  for _, text in ipairs{ "The long prompt.", "Not accepted.", "", "The long\nprompt. " .. "x" } do
    t.equal(sent{ { role = "system", content = text } }.body.messages[1].content, text)
  end
end)

t.test("rewritten: options", function()
  t.error(function() t.policy("rewritten", {}) end, "'dir' is missing")
  t.error(function() t.policy("rewritten", { dir = "nowhere" }) end, "nowhere: No such file")
  t.error(function() t.policy("rewritten", { dir = "prompts", role = {} }) end, "did you mean 'roles'")
end)

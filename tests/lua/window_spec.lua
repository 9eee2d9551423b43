local t = require "perilune.test"
local conversations = require "conversations"
local perilune = require "perilune"
local rewriting = require "rewriting"

local function user(text) return { role = "user", content = text } end
local function assistant(text) return { role = "assistant", content = text } end

local function calls(...)
  local list = {}
  for i, id in ipairs{ ... } do
    list[i] = { id = id, type = "function", ["function"] = { name = "look", arguments = "{}" } }
  end
  return { role = "assistant", tool_calls = list }
end

local function result(id, text) return { role = "tool", tool_call_id = id, content = text } end

-- Runs window; returns the messages that went out, and what the test can look at.
local function run(options, messages, more)
  t.upstream("m", { text = "ok", upstream = { price = { input = 10 } } })
  local body = { messages = messages }
  for k, v in pairs(more or {}) do body[k] = v end
  local req = t.request(body)
  local res, err = t.run("window", options, req)
  local call = t.calls("m")[1]
  return call and call.body.messages, { res = res, err = err, req = req, text = call and call.text, body = call and call.body }
end

local function said(messages)
  local out = {}
  for i, m in ipairs(messages) do out[i] = type(m.content) == "string" and m.content or m.role end
  return table.concat(out, " ")
end

t.test("what fits goes out byte for byte", function()
  local body = '{ "model" : "x",  "messages":[ {"role":"user","content":"a\\u0062c"} ], "other": 1.50 }'
  t.upstream("m", { text = "ok" })
  local req = t.request{ body = body }
  t.run("window", { max_tokens = 1000, max_turns = 3 }, req)
  t.equal(t.calls("m")[1].text, body)
  t.equal(req:saved().tokens, 0)
end)

t.test("by turns: the first and the newest", function()
  local m = { { role = "system", content = "s" } }
  for i = 1, 9 do
    m[#m + 1] = user("u" .. i)
    m[#m + 1] = assistant("a" .. i)
  end
  m[#m + 1] = user("u10")
  t.equal(said(run({ max_turns = 4 }, m)), "s u1 a1 u8 a8 u9 a9 u10")
  t.equal(said(run({ max_turns = 4, keep_first = false }, m)), "s u7 a7 u8 a8 u9 a9 u10")
  t.equal(said(run({ max_turns = 2 }, m)), "s u1 a1 u10")
  t.equal(said(run({ max_turns = 1 }, m)), "s u10")
  t.equal(said(run({ max_turns = 10 }, m)):match("u2"), "u2")
end)

t.test("it is cut in steps, and stands still in between", function()
  local m, before, moved = { { role = "system", content = "s" } }, nil, 0
  for i = 1, 100 do
    m[#m + 1] = user("u" .. i)
    local out = run({ max_turns = 20, slack = 0.25 }, m)
    local turns = 0
    for _, one in ipairs(out) do turns = turns + (one.role == "user" and 1 or 0) end
    t.ok(turns <= 20 and (i <= 20 or turns >= 16), turns)
    if before and out[3] and out[3].content ~= before then moved = moved + 1 end
    before = out[3] and out[3].content
    m[#m + 1] = assistant("a" .. i)
  end
  t.ok(moved <= 17, moved)
end)

t.test("tools of one long turn: the oldest groups go, whole", function()
  local m = { user("do it") }
  for i = 1, 30 do
    m[#m + 1] = calls("a" .. i, "b" .. i)
    m[#m + 1] = result("b" .. i, ("b"):rep(200))
    m[#m + 1] = result("a" .. i, ("a"):rep(200))
  end
  local out, got = run({ max_tokens = 800 }, m)
  t.equal(conversations.complaint(out), nil)
  t.equal(out[1].content, "do it")
  t.equal(out[#out].tool_call_id, "a30")
  t.ok(got.req:tokens() <= 800, got.req:tokens())
  t.ok(got.req:tokens() >= 200, got.req:tokens())
  t.ok(got.req:saved().tokens > 1000)
end)

t.test("an orphan becomes text, and its images stay", function()
  local image = { type = "image_url", image_url = { url = "data:," } }
  local m = { result("gone", "42 km"), user("u"), calls("x"), result("y", "stray"), result("x", "fine"),
              { role = "tool", tool_call_id = "z", content = { { type = "text", text = "seen" }, image } }, user("v") }
  local out, got = run({ max_tokens = 1000 }, m)
  t.equal(conversations.complaint(out), nil)
  t.equal(out[1].role, "user")
  t.match(out[1].content, "^%[Result of a tool call that is no longer part of this conversation, gone%]\n42 km$")
  t.equal(out[4].content, "fine")
  t.match(out[5].content, "y%]\nstray$")
  t.equal({ out[6].role, out[6].content[2].text, out[6].content[3] }, { "user", "seen", image })
  t.equal(out[7].content, "v")
  t.equal(#out, 7)
  t.ok(got.res)
end)

t.test("Anthropic's parts and the older functions are pairs, too", function()
  local m = {
    user("one"), { role = "assistant", content = { { type = "tool_use", id = "t1", name = "f", input = {} } } },
    { role = "user", content = { { type = "tool_result", tool_use_id = "t1", content = ("word "):rep(400) } } },
    { role = "assistant", function_call = { name = "g", arguments = "{}" } }, { role = "function", name = "g", content = ("word "):rep(400) },
    assistant("done"), user("two"),
    { role = "user", content = { { type = "tool_result", tool_use_id = "t9", content = "lost" }, { type = "text", text = "three" } } },
  }
  local out = run({ max_tokens = 10000 }, m)
  t.equal(#out, 8)
  t.match(out[8].content[1].text, "t9%]\nlost$")
  t.equal(out[8].content[2].text, "three")
  out = run({ max_tokens = 100, slack = 0 }, m)
  t.equal(said(out):match("^one done two"), "one done two")
end)

t.test("too much even so: sent with a warning, or refused", function()
  local m = { { role = "system", content = ("s "):rep(500) }, user("old"), assistant("old"), user(("x "):rep(1000)) }
  local out, got = run({ max_tokens = 100 }, m)
  t.equal(#out, 4)
  t.ok(got.res)
  out, got = run({ max_tokens = 100, over = "reject" }, m)
  t.equal(out, nil)
  t.equal({ got.err.code, got.err.status, got.err.retryable }, { "context_length_exceeded", 400, false })
  t.match(got.err.message, "has %d+ tokens.*the window is 100")
  out, got = run({ max_tokens = 10, over = "reject" }, { user(("x "):rep(400)) })
  t.equal(got.err.code, "context_length_exceeded")
end)

t.test("tools and unknown fields stay as they are", function()
  local tools = { { type = "function", ["function"] = { name = "f", parameters = { type = "object" } } } }
  local m = {}
  for i = 1, 40 do m[i] = i % 2 == 1 and user("question " .. i) or assistant("answer " .. i) end
  m[#m + 1] = { role = "user", content = "last", name = "ann", x_unknown = { 1, 2 } }
  local out, got = run({ max_tokens = 150 }, m, { tools = tools, seed = 7, x = { y = false } })
  t.equal({ got.body.tools, got.body.seed, got.body.x }, { tools, 7, { y = false } })
  t.equal(out[#out], m[#m])
  t.ok(#out < 20)
end)

t.test("money: nothing is lost where nothing was cached, moving the window costs", function()
  t.upstream("m", { text = "ok", upstream = { price = { input = 10, cached = 1, write = 12.5 } } })
  local policy = t.policy("window", { max_turns = 3, slack = 0.5 })
  local next = function(req) return perilune.upstream("m"):chat(req) end
  local m, costs = {}, {}
  for i = 1, 8 do
    m[#m + 1] = user(("word "):rep(2000) .. i)
    local req = t.request{ messages = conversations.copy(m) }
    policy(req, next)
    costs[i] = req:saved().cost
    m[#m + 1] = assistant("ok")
  end
  t.equal({ costs[1], costs[2], costs[3] }, { 0, 0, 0 })
  t.ok(costs[4] < 0, costs[4])
end)

t.test("requests that are no chats pass", function()
  rewriting.passes("window", { max_tokens = 1 })
end)

local function same_message(a, b)
  return a.role == b.role and conversations.serial(a) == conversations.serial(b) and a.tool_call_id == b.tool_call_id
    and (a.tool_calls and a.tool_calls[1].id) == (b.tool_calls and b.tool_calls[1].id)
end

t.test("random conversations keep what must be kept", function()
  for seed = 1, 400 do
    local random = conversations.random(seed)
    local messages = conversations.valid(seed, { turns = 15, parts = true })
    t.equal(conversations.complaint(messages), nil, "the generator, seed " .. seed)
    local options = { slack = (random(4) - 1) / 4 }
    if random(3) > 1 then options.max_tokens = 50 + random(2500) end
    if random(3) > 1 or not options.max_tokens then options.max_turns = random(12) end
    local out, got = run(options, messages)
    local what = "seed " .. seed

    t.equal(conversations.complaint(out), nil, what)
    local kept, at = {}, 0
    for _, m in ipairs(out) do
      local found
      for i = at + 1, #messages do
        if same_message(messages[i], m) then found = i break end
      end
      t.ok(found, what .. ": order is kept, nothing is made up")
      t.equal(m.content, messages[found].content, what)
      at, kept[found] = found, true
    end

    local last_user, first_user, turns, gone = nil, nil, 0, 0
    for i, m in ipairs(messages) do
      if m.role == "system" or m.role == "developer" then t.ok(kept[i], what .. ": system " .. i) end
      if m.role == "user" then
        first_user, last_user = first_user or i, i
      end
      if not kept[i] then gone = gone + 1 end
    end
    t.ok(kept[last_user], what .. ": last user message")
    if options.max_turns ~= 1 then t.ok(kept[first_user], what .. ": first user message") end
    t.ok(kept[#messages], what .. ": newest")

    local before
    for _, m in ipairs(out) do
      if m.role == "user" and before ~= "user" then turns = turns + 1 end
      if m.role ~= "system" and m.role ~= "developer" then before = m.role end
    end
    if options.max_turns then t.ok(turns <= math.max(options.max_turns, 1), what .. ": turns " .. turns) end
    if options.max_tokens and got.req:tokens() > options.max_tokens then
      -- Then nothing is left that may go: at most a first turn, a last turn, one group.
      local tools = 0
      for _, m in ipairs(out) do tools = tools + (m.tool_calls and 1 or 0) end
      t.ok(tools <= 1 and turns <= 2, ("%s: %d tokens, %d turns, %d calls"):format(what, got.req:tokens(), turns, tools))
    end
    t.equal(gone > 0, #out < #messages, what)
  end
end)

t.test("the same conversation, longer, has the same beginning until the next step", function()
  for seed = 1, 40 do
    local messages = conversations.valid(seed, { turns = 30, words = 20 })
    local options = { max_tokens = 1500, slack = 0.3 }
    local before, breaks, sent, total = nil, 0, {}, t.request{ messages = messages }:tokens()
    for n = 1, #messages do
      sent[n] = messages[n]
      if messages[n].role == "user" then
        local _, got = run(options, conversations.copy(sent))
        local list = got.text:match('"messages":(%[.*%])')
        if before and list:sub(1, #before - 1) ~= before:sub(1, -2) then breaks = breaks + 1 end
        before = list
      end
    end
    -- A step frees 450 tokens; what a turn weighs may move the cut once more.
    t.ok(breaks <= math.max(0, total - 1500) / 450 * 2 + 1, ("seed %d: %d breaks, %d tokens"):format(seed, breaks, total))
  end
end)

t.test("wrong options are refused", function()
  local function says(options, pattern) t.error(function() t.policy("window", options) end, pattern) end
  says({}, "max_tokens = N, max_turns = N, or both")
  says({ max_tokens = 0 }, "at least 1")
  says({ max_token = 10 }, "did you mean 'max_tokens'?")
  says({ max_turns = 2, slack = 1 }, "at most 0.9")
  says({ max_turns = 2, over = "rejct" }, "did you mean 'reject'?")
end)

local t = require "perilune.test"
local chat = require "perilune.chat"
local turns_of = require "perilune.turns"
local conversations = require "conversations"
local perilune = require "perilune"

-- Messages as views, the way a policy gets them.
local function views(messages) return t.request{ body = perilune.json.encode{ model = "m", messages = perilune.json.array(messages) } }.messages end

local function kinds(messages)
  local out = {}
  for i, g in ipairs((chat.groups(messages))) do out[i] = ("%s %d-%d"):format(g.kind, g.first, g.last) end
  return table.concat(out, ", ")
end

local function calls(...)
  local list = {}
  for i, id in ipairs{ ... } do list[i] = { id = id, type = "function", ["function"] = { name = "f" .. i, arguments = "{}" } } end
  return { role = "assistant", tool_calls = list }
end
local function result(id) return { role = "tool", tool_call_id = id, content = "r " .. tostring(id) } end
local function user(text) return { role = "user", content = text } end

t.test("groups", function()
  local m = { { role = "developer", content = "s" }, user("u"), calls("a", "b"), result("b"), result("a"), { role = "assistant", content = "x" }, user("v"), calls("c"), result("c"), calls("d") }
  t.equal(kinds(views(m)), "system 1-1, user 2-2, tools 3-5, assistant 6-6, user 7-7, tools 8-9, tools 10-10")
  local made = chat.groups(views(m))[3].calls
  t.equal({ chat.tool_name(made.a), chat.tool_name(made.b), made.c }, { "f1", "f2" })
  t.equal(chat.calls(views(m)[3]), { a = "f1", b = "f2" })
  t.equal(kinds(m), kinds(views(m)), "plain tables are messages, too")
  t.equal(kinds({}), "")
end)

t.test("results that belong to nothing", function()
  t.equal(kinds{ result("a"), user("u") }, "orphan 1-1, user 2-2")
  t.equal(kinds{ calls("a"), user("u"), result("a") }, "tools 1-1, user 2-2, orphan 3-3")
  t.equal(kinds{ calls("a"), result("a"), result("a") }, "tools 1-2, orphan 3-3", "answered twice")
  t.equal(kinds{ calls("a", "b"), result("a"), result("x"), result("b") }, "tools 1-2, orphan 3-3, orphan 4-4")
  t.equal(kinds{ calls("a"), { role = "tool", content = "r" } }, "tools 1-2", "without an id: the benefit of the doubt")
  t.equal(select(2, chat.groups{ calls("a"), result("b"), result("a") }), 2)
end)

t.test("tools of other kinds", function()
  local m = views{ { role = "assistant", tool_calls = { { id = "a", type = "custom", custom = { name = "shell", input = "ls" } } } }, result("a") }
  t.equal(chat.calls(m[1]), { a = "shell" })
  t.equal(kinds(m), "tools 1-2")
end)

t.test("repair: nobody would refuse it, nothing is lost", function()
  local m = views{ calls("a", "b"), result("a"), result("x"), result("b"), result("y"), user("u") }
  local out, orphans = chat.repair(m)
  t.equal({ kinds(out), orphans }, { "tools 1-3, user 4-4, user 5-5, user 6-6", 2 })
  t.match(out[4].content, "x%]\nr x$")
  t.match(out[5].content, "y%]\nr y$")
  t.equal(out[1] == m[1] and out[2] == m[2] and out[3] == m[4], true, "what is right stays the same object")
  t.equal(perilune.json.encode(out[4]), '{"role":"user","content":"[Result of a tool call that is no longer part of this conversation, x]\\nr x"}')
end)

t.test("anything at all: no error, no gap, no orphan left, no text lost", function()
  local null = perilune.json.null
  for seed = 1, 1500 do
    local random = conversations.random(seed)
    local roles = { "user", "assistant", "tool", "function", "system", "developer", "tool", "assistant", "x", null, 7 }
    local function pick(list) return list[random(#list)] end
    local serial = 0
    local function text()
      serial = serial + 1
      return "#" .. serial .. "."
    end
    local function content()
      local k = random(9)
      if k <= 4 then return text() elseif k == 5 then return null elseif k == 6 then return 12 end
      local parts = perilune.json.array{}
      for i = 1, random(3) - (k == 7 and 1 or 0) do
        parts[i] = pick{ { type = "text", text = text() }, { type = "tool_result", tool_use_id = pick{ "a", "b", null }, content = text() },
                         { type = "tool_result", tool_use_id = "c", content = { { type = "text", text = text() } } },
                         { type = "tool_use", id = pick{ "a", "c", 7 }, name = "f", input = {} }, "string", 5, { type = "image_url" }, { text = 5 } }
      end
      return parts
    end
    local function some_calls()
      local k = random(6)
      if k == 1 then return null elseif k == 2 then return "x" elseif k == 3 then return perilune.json.array{} end
      local list = {}
      for i = 1, random(3) do
        list[i] = pick{ { id = "a", ["function"] = { name = "f" } }, { id = "b", ["function"] = null }, { id = "c" }, { id = 5 }, 7, { ["function"] = {} } }
      end
      return list
    end
    local m = {}
    for i = 1, random(10) do
      local role = pick(roles)
      m[i] = { role = role, content = content(), tool_calls = role == "assistant" and random(2) == 1 and some_calls() or nil,
               function_call = random(12) == 1 and pick{ { name = "g", arguments = "" }, null, "x" } or nil,
               tool_call_id = role == "tool" and pick{ "a", "b", "c", "z", null, 3 } or nil, name = role == "function" and pick{ "g", "h" } or nil }
    end
    local text_before = perilune.json.encode(m)
    local list = perilune.json.view(text_before)
    local what = "seed " .. seed .. ": " .. text_before

    local at = 0
    for _, g in ipairs((chat.groups(list))) do
      t.equal(g.first, at + 1, what)
      at = g.last
    end
    t.equal(at, #m, what)

    local out = chat.repair(list)
    t.equal(select(2, chat.groups(out)), 0, what)
    local after = perilune.json.encode(out)
    for n in text_before:gmatch("#%d+%.") do t.ok(after:find(n, 1, true), what .. " lost " .. n) end
    local _, again = chat.repair(out)
    t.equal(again, 0, what)

    local turns = turns_of.of((chat.groups(out)))
    local units = turns_of.units(turns, out, random(2) == 1, "m")
    local rest, gone = turns_of.without(out, units, #units)
    t.equal(#rest + gone, #out, what)
    t.equal(select(2, chat.groups(rest)), 0, what)
    for _, message in ipairs(out) do t.ok(chat.tokens(message, "m") >= 0) end
  end
end)

t.test("the shipped policies survive anything, too", function()
  for seed = 1, 300 do
    local random = conversations.random(seed + 5000)
    local m = {}
    for i = 1, random(12) do
      m[i] = ({
        function() return user(("word "):rep(random(60))) end, function() return calls("a", "b") end, function() return result(({ "a", "b", "z" })[random(3)]) end,
        function() return { role = "assistant", content = perilune.json.null } end, function() return { role = "system", content = "keep me" } end,
        function() return { role = "user", content = { { type = "tool_result", tool_use_id = "a", content = ("long "):rep(90) }, { type = "image_url", image_url = { url = "data:," } } } } end,
      })[random(6)]()
    end
    local systems, images = 0, 0
    for _, one in ipairs(m) do
      systems, images = systems + (one.role == "system" and 1 or 0), images + (type(one.content) == "table" and 1 or 0)
    end
    t.upstream("m", { text = "ok", upstream = { model = "claude-sonnet-5" } })
    for _, policy in ipairs{ { "window", { max_tokens = 40, max_turns = 3 } }, { "mask_tools", { keep = 0, batch = 1 } }, { "prompt_cache", {} },
                             { "stream_fields", { fields = { "a" } } }, { "extract_then_answer", { small = "m", above_tokens = 100 } } } do
      local res, err = t.run(policy[1], policy[2], t.request{ messages = m, tenant = "seed " .. seed })
      t.ok(res, policy[1] .. (err and ": " .. err.message or ""))
      local sent = t.calls("m")
      local text, n = sent[#sent].text, 0
      for _ in text:gmatch("keep me") do n = n + 1 end
      t.equal(n, systems, policy[1] .. ", seed " .. seed)
      if policy[1] ~= "window" then
        n = 0
        for _ in text:gmatch('"image_url":{"url":"data:,"}') do n = n + 1 end
        t.equal(n, images, policy[1] .. ", seed " .. seed)
      end
    end
  end
end)

t.test("tokens of several messages", function()
  local list = { chat.message("user", "one two"), chat.message("assistant", "three"), chat.message("user", "four") }
  local function of(i) return chat.tokens(list[i], "gpt-4o") end
  t.equal(chat.tokens_between(list, 2, 3, "gpt-4o"), of(2) + of(3))
  t.equal({ chat.tokens_between(list, 3, 2), chat.tokens_between(list, 1, 0) }, { 0, 0 })
end)

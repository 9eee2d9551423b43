local t = require "perilune.test"
local cache = require "perilune.prompt_cache"
local perilune = require "perilune"
local rewriting = require "rewriting"

local openai = { urls = { "https://api.openai.com/v1" } }
local long = ("word "):rep(5000)

local function user(text) return { role = "user", content = text } end
local function assistant(text) return { role = "assistant", content = text } end
local function system(text) return { role = "system", content = text } end

-- Runs it; returns the body that went out, and the call.
local function run(options, body, upstream)
  t.upstream("m", { text = "ok", upstream = upstream or {}, usage = { prompt_tokens = 10, completion_tokens = 1 } })
  local req = t.request(body)
  t.ok(t.run("prompt_cache", options, req))
  local call = t.calls("m")[1]
  return call.body, call, req
end

-- Where marks are: "1 4" for messages 1 and 4.
local function marks(body, name)
  local out = {}
  for i, m in ipairs(body.messages) do
    for _, part in ipairs(type(m.content) == "table" and m.content or {}) do
      if part[name] then out[#out + 1] = i end
    end
  end
  return table.concat(out, " ")
end

local function conversation(n)
  local m = { system(long) }
  for i = 1, n do
    m[#m + 1] = user("question " .. i)
    if i < n then m[#m + 1] = assistant("answer " .. i) end
  end
  return m
end

-- -- marks -----------------------------------------------------------------------

t.test("Anthropic: the system, the last message, and some on the way", function()
  local body = run({}, { model = "claude-sonnet-5", messages = conversation(30) })
  t.equal(marks(body, "cache_control"), "1 30 45 60")
  t.equal(body.messages[60].content, { { type = "text", text = "question 30", cache_control = { type = "ephemeral" } } })
  t.equal(body.messages[2].content, "question 1")
  body = run({ every = 5, ttl = "1h" }, { model = "claude-sonnet-5", messages = conversation(30) })
  t.equal(marks(body, "cache_control"), "1 50 55 60")
  t.equal(body.messages[1].content[1].cache_control, { type = "ephemeral", ttl = "1h" })
  t.equal(body.messages[60].content[1].cache_control, { type = "ephemeral" })
end)

t.test("Anthropic: without a system message the tools are marked", function()
  local tools = { { type = "function", ["function"] = { name = "a" } }, { type = "function", ["function"] = { name = "b" } } }
  local body = run({}, { model = "claude-sonnet-5", messages = { user(long) }, tools = tools })
  t.equal({ body.tools[1].cache_control, body.tools[2].cache_control }, { nil, { type = "ephemeral" } })
  t.equal(marks(body, "cache_control"), "1")
end)

t.test("Anthropic: what carries no text carries no mark", function()
  local image = { type = "image_url", image_url = { url = "data:," } }
  local m = { system(long), user("u"), { role = "assistant", tool_calls = { { id = "a", type = "function", ["function"] = { name = "f", arguments = "{}" } } } },
              { role = "tool", tool_call_id = "a", content = "" }, { role = "user", content = { image } } }
  local body = run({}, { model = "claude-sonnet-5", messages = m })
  t.equal(marks(body, "cache_control"), "1 2")
  t.equal({ body.messages[3], body.messages[4], body.messages[5] }, { m[3], m[4], m[5] })
  m = { system(long), { role = "user", content = { { type = "text", text = "look" }, image } } }
  body = run({}, { model = "claude-sonnet-5", messages = m })
  t.equal(body.messages[2].content, { { type = "text", text = "look", cache_control = { type = "ephemeral" } }, image })
end)

t.test("the client's own marks stay, and no others come", function()
  local body = '{"model":"claude-x","messages":[{"role":"user","content":[{"type":"text","text":"' .. long .. '","cache_control":{"type":"ephemeral"}}]}]}'
  local _, call = run({}, { body = body })
  t.equal(call.text, body)
end)

t.test("a prompt that is too short for a cache gets none", function()
  local _, call = run({}, { body = '{"model":"claude-x","messages":[{"role":"user","content":"short"}]}' })
  t.equal(call.text, '{"model":"claude-x","messages":[{"role":"user","content":"short"}]}')
  local middle = { user(("word "):rep(1900)) }
  t.equal(marks(run({}, { model = "claude-haiku-4-5", messages = middle }), "cache_control"), "")
  t.equal(marks(run({}, { model = "claude-sonnet-5", messages = middle }), "cache_control"), "1")
  t.equal(marks(run({}, { model = "claude-opus-5", messages = { user(("word "):rep(700)) } }), "cache_control"), "1")
end)

t.test("gpt-5.6: the system, and where the last request ended", function()
  local body = run({}, { model = "gpt-5.6-sol", messages = conversation(4) }, openai)
  t.equal(marks(body, "prompt_cache_breakpoint"), "1 6")
  t.equal(body.messages[6].content, { { type = "text", text = "question 3", prompt_cache_breakpoint = { mode = "explicit" } } })
  t.equal({ marks(body, "cache_control"), body.prompt_cache_options }, { "", nil })
  t.equal(marks(run({}, { model = "gpt-5.6", messages = conversation(1) }, openai), "prompt_cache_breakpoint"), "1")
  local m = conversation(1)
  for i = 1, 2 do
    m[#m + 1] = { role = "assistant", tool_calls = { { id = "a" .. i, type = "function", ["function"] = { name = "f", arguments = "{}" } } } }
    m[#m + 1] = { role = "tool", tool_call_id = "a" .. i, content = "result" }
  end
  t.equal(marks(run({}, { model = "gpt-5.6", messages = m }, openai), "prompt_cache_breakpoint"), "1 4")
end)

t.test("others get none: they may refuse what they do not know", function()
  for _, case in ipairs{ { "gpt-5.5", openai }, { "gpt-5.6", { urls = { "http://127.0.0.1:8000/v1" } } }, { "gpt-5.6" }, { "deepseek-chat" }, { "qwen3" } } do
    local body = run({}, { model = case[1], messages = conversation(3) }, case[2])
    t.equal({ marks(body, "prompt_cache_breakpoint"), marks(body, "cache_control") }, { "", "" }, case[1])
    t.equal(body.messages, conversation(3))
  end
  local body = run({ marks = "openai" }, { model = "mine", messages = conversation(3) })
  t.equal(marks(body, "prompt_cache_breakpoint"), "1 4")
  body = run({ marks = "none" }, { model = "claude-x", messages = conversation(3) })
  t.equal(body.messages, conversation(3))
end)

-- -- prompt_cache_key ---------------------------------------------------------------

t.test("a key for what requests share", function()
  local function key(options, body, upstream) return (run(options, body, upstream or openai)).prompt_cache_key end
  local a = key({}, { model = "gpt-5", messages = conversation(2) })
  t.match(a, "^" .. ("%x"):rep(32) .. "$")
  t.equal(key({}, { model = "gpt-5", messages = { system(long), user("other") } }), a)
  t.ok(key({}, { model = "gpt-5", messages = { system("other"), user("u") } }) ~= a)
  t.ok(key({}, { model = "gpt-5", messages = conversation(2), tenant = "acme" }) ~= a)
  local b = key({ key = "conversation" }, { model = "gpt-5", messages = conversation(2) })
  t.ok(b ~= a and b == key({ key = "conversation" }, { model = "gpt-5", messages = conversation(9) }))
  t.ok(key({ key = "conversation" }, { model = "gpt-5", messages = { system(long), user("other") } }) ~= b)
  t.equal(key({ key = "none" }, { model = "gpt-5", messages = conversation(2) }), nil)
  t.equal(key({}, { model = "gpt-5", messages = conversation(2), prompt_cache_key = "mine" }), "mine")
  t.equal(key({}, { model = "gpt-oss", messages = conversation(2) }, { urls = { "http://127.0.0.1/v1" } }), nil)
end)

-- -- tools ------------------------------------------------------------------------------

local function tool_text(name, keys) return ('{"type":"function","function":{"name":"%s","parameters":%s}}'):format(name, keys) end

t.test("tools in another order, and keys, go out as they were first", function()
  local x, y = '{"type":"object","properties":{"z":{"type":"string"},"a":{"enum":["q","p"]}}}', '{"properties":{"a":{"enum":["q","p"]},"z":{"type":"string"}},"type":"object"}'
  local function send(tools, tenant)
    local _, call = run({}, { body = '{"model":"m","messages":[{"role":"user","content":"u"}],"tools":[' .. tools .. ']}', tenant = tenant or "t" })
    return call.text:match('"tools":(%[.*%])}$')
  end
  local first = tool_text("b", x) .. "," .. tool_text("a", x)
  t.equal(send(first), "[" .. first .. "]")
  t.equal(send(tool_text("a", x) .. "," .. tool_text("b", x)), "[" .. first .. "]")
  t.equal(send(tool_text("a", y) .. ", " .. tool_text("b", x)), "[" .. first .. "]")
  t.equal(send(tool_text("a", y) .. ", " .. tool_text("b", x)), "[" .. first .. "]", "and again")
  t.equal(send(first), "[" .. first .. "]")
  -- What means something else is something else: another description, the order of a list.
  local other = tool_text("b", x) .. "," .. tool_text("a", (x:gsub('%["q","p"%]', '["p","q"]')))
  t.equal(send(other), "[" .. other .. "]")
  local empty, list = tool_text("c", '{"properties":{}}'), tool_text("c", '{"properties":[]}')
  t.equal({ send(empty), send(list) }, { "[" .. empty .. "]", "[" .. list .. "]" })
  local fewer = tool_text("a", x)
  t.equal(send(fewer), "[" .. fewer .. "]")
  t.equal(send(tool_text("a", y) .. "," .. tool_text("b", y), "another"), "[" .. tool_text("a", y) .. "," .. tool_text("b", y) .. "]")
  local _, call = run({ tools = false }, { body = '{"model":"m","messages":[{"role":"user","content":"u"}],"tools":[' .. fewer .. ',' .. tool_text("b", x) .. ']}', tenant = "t" })
  t.match(call.text, '"name":"a".*"name":"b"')
end)

-- -- what broke a prefix ------------------------------------------------------------------

local tenants = 0

-- What watch() says of the second of two requests.
local function watch(first, second, more)
  tenants = tenants + 1
  local a, b = { messages = first, tenant = "w" .. tenants }, { messages = second, tenant = "w" .. tenants }
  for k, v in pairs(more or {}) do b[k] = v end
  local broken, known = cache.watch(t.request(a), 300)
  t.equal({ broken, known }, { nil, false })
  broken, known = cache.watch(t.request(b), 300)
  return broken and ("%d %s"):format(broken.message, broken.what) or (known and "holds" or "unknown")
end

t.test("the message that broke a prefix", function()
  local base = { system("s"), user("u1"), assistant("a1"), user("u2") }
  local function grown(change)
    local m = { system("s"), user("u1"), assistant("a1"), user("u2"), assistant("a2"), user("u3") }
    if change then change(m) end
    return m
  end
  t.equal(watch(base, grown()), "holds")
  t.equal(watch(base, base), "holds")
  t.equal(watch(base, grown(function(m) m[1].content = "it is 12:01" end)), "1 changed")
  t.equal(watch(base, grown(function(m) m[3].content = "edited" end)), "3 changed")
  t.equal(watch(base, grown(function(m) table.remove(m, 3) end)), "3 removed")
  t.equal(watch(base, grown(function(m) table.remove(m, 1) end)), "1 removed")
  t.equal(watch(grown(), grown(function(m) table.remove(m, 3) table.remove(m, 3) end)), "3 removed")
  t.equal(watch(base, grown(function(m) table.insert(m, 3, system("by the way")) end)), "3 inserted")
  t.equal(watch(base, grown(), { tools = { { type = "function" } } }), "0 changed")
  t.equal(watch(base, grown(), { model = "other" }), "0 changed")
  -- Not broken: the newest message edited, an answer made again, another conversation.
  t.equal(watch(base, { system("s"), user("u1"), assistant("a1"), user("u2, better") }), "holds")
  t.equal(watch(grown(), base), "unknown")
  t.equal(watch({ user("hi"), assistant("hello"), user("x") }, { user("hi"), assistant("good day"), user("y"), assistant("z"), user("w") }), "unknown")
  t.equal(watch({ user("hi") }, { user("ho") }), "unknown")
  t.equal(watch({ system("s") }, { system("s") }), "unknown")
end)

t.test("it is forgotten when the provider has", function()
  local base = { system("s"), user("u1"), assistant("a1"), user("u2") }
  local req = function(text) base[1].content = text return t.request{ messages = base, tenant = "f" } end
  cache.watch(req("a"), 300)
  t.advance(301)
  t.equal(cache.watch(req("b"), 300), nil)
end)

t.test("what is no chat passes", function()
  rewriting.passes("prompt_cache", {})
end)

t.test("tried again, it is the same", function()
  t.upstream("m", { { status = 503, upstream = {} }, { text = "ok" } })
  local policy, req = t.policy("prompt_cache", {}), t.request{ model = "claude-x", messages = conversation(9) }
  local next = function(r) return perilune.upstream("m"):chat(r) end
  policy(req, next)
  policy(req, next)
  t.equal(t.calls("m")[1].text, t.calls("m")[2].text)
  local broken, known = cache.watch(req, 300)
  t.equal({ broken, known }, { nil, true })
end)

t.test("wrong options are refused", function()
  local function says(options, pattern) t.error(function() t.policy("prompt_cache", options) end, pattern) end
  says({ marks = "antropic" }, "did you mean 'anthropic'?")
  says({ ttl = "2h" }, "unknown value '2h'")
  says({ every = 30 }, "at most 20")
end)

local t = require "perilune.test"
local perilune = require "perilune"
local chat = require "perilune.chat"

local LONG = "antidisestablishmentarianism"

t.test("texts by the vocabulary of their model", function()
  t.equal({ perilune.tokens(LONG, "gpt-4") }, { 6, true })
  t.equal({ perilune.tokens(LONG, "gpt-4o") }, { 6, true })
  t.equal({ perilune.tokens("お誕生日おめでとう", "gpt-3.5-turbo") }, { 9, true })
  t.equal({ perilune.tokens("お誕生日おめでとう", "gpt-4o") }, { 8, true })
  t.equal({ perilune.tokens("hello", "claude-opus-5") }, { 1, false })
  t.equal({ perilune.tokens("hello") }, { 1, false })
  t.equal({ perilune.tokens("", "gpt-4o") }, { 0, true })
  t.equal({ perilune.tokens("a\0b", "gpt-4o") }, { 3, true })
end)

t.test("no more are counted than somebody wants to know of", function()
  t.equal({ perilune.tokens(LONG, "gpt-4o", 6) }, { 6, true })
  t.equal({ perilune.tokens(LONG, "gpt-4o", 5) }, { 6, true })
  t.equal({ perilune.tokens(LONG:rep(100, " "), "gpt-4o", 5) }, { 6, true })
  t.equal({ perilune.tokens("hello", "gpt-4o", 0) }, { 1, true })
  t.equal({ perilune.tokens("", "gpt-4o", 0) }, { 0, true })
  t.error(function() perilune.tokens("x", "gpt-4o", -1) end, "0 or more")
end)

t.test("text that is not UTF-8 is an error that says where", function()
  for bytes, at in pairs{ ["abc\255"] = 3, ["\237\160\128"] = 0, ["\192\175"] = 0, ["ok\244\144\128\128"] = 2, ["\228\189"] = 0 } do
    local n, err = perilune.tokens(bytes, "gpt-4o")
    t.equal(n, nil)
    t.equal({ err.code, err.message }, { "invalid_text", "the text is not UTF-8: byte " .. at })
    t.equal(perilune.truncate(bytes, 3), nil)
  end
end)

t.test("wrong arguments", function()
  t.error(function() perilune.tokens(nil, "gpt-4o") end, "string expected")
  t.error(function() perilune.tokens("x", {}) end, "string expected")
  t.error(function() perilune.truncate("x", -1) end, "0 or more")
  t.error(function() perilune.truncate("x", 0 / 0) end, "0 or more")
  t.error(function() t.request("x"):tokens(-1) end, "0 or more")
  t.error(function() t.request("x"):tokens("many") end, "number expected")
end)

t.test("truncate cuts between tokens, never in a character", function()
  t.equal({ perilune.truncate("one two three four", 2, "gpt-4o") }, { "one two", true })
  t.equal((perilune.truncate("one two", 9, "gpt-4o")), "one two")
  t.equal((perilune.truncate("one two", 0, "gpt-4o")), "")
  local text = ("汉字🙂 and words. "):rep(20)
  for n = 0, perilune.tokens(text, "gpt-4") do
    local cut = perilune.truncate(text, n, "gpt-4")
    t.equal(cut, text:sub(1, #cut))
    t.ok(perilune.tokens(cut, "gpt-4") <= n, n)
  end
end)

t.test("a request: messages and what is around them", function()
  local req = t.request{ model = "gpt-4o", messages = { { role = "user", content = "hello" } } }
  t.equal({ req:tokens() }, { 8, true })
  req.messages[1].content = "hello, world"
  t.equal(req:tokens(), 10)
  table.insert(req.messages, 1, { role = "system", content = "Be brief." })
  t.equal(req:tokens(), 17)
  local sum = 3
  for _, m in ipairs(req.messages) do sum = sum + chat.tokens(m, "gpt-4o") end
  t.equal(sum, 17, "the sum of the messages and the reply's beginning")
  req.model = "gpt-4"
  t.equal(req:tokens(), 17)
end)

t.test("a limit is where counting stops", function()
  local req = t.request{ model = "gpt-4o", messages = { { role = "user", content = ("word "):rep(1000) } } }
  local all = req:tokens()
  t.equal(all, 1008)
  t.equal({ req:tokens(0), req:tokens(100), req:tokens(all - 1), req:tokens(all), (req:tokens(1e9)) }, { 1, 101, all, all, all })
end)

t.test("tools, images and what is not known make it inexact", function()
  local function exact(body)
    body.model = "gpt-4o"
    return select(2, t.request(body):tokens())
  end
  local message = { role = "user", content = "x" }
  t.equal(exact{ messages = { message } }, true)
  t.equal(exact{ messages = { message }, tools = { { type = "function", ["function"] = { name = "f" } } } }, false)
  local function image(url)
    return { messages = { { role = "user", content = { { type = "image_url", image_url = { url = url } } } } } }
  end
  t.equal(exact(image("data:image/gif;base64,R0lGODlhQAHwAIAAAA==")), true)
  t.equal(exact(image("https://example.com/a.png")), false)
end)

t.test("embeddings, and requests that are no chat", function()
  local function tokens(path, body) return t.request{ path = path, body = body }:tokens() end
  t.equal(tokens("/v1/embeddings", { model = "text-embedding-3-small", input = "hello world" }), 2)
  t.equal(tokens("/v1/embeddings", { model = "text-embedding-3-small", input = { "hello world", "hello" } }), 3)
  t.equal(tokens("/v1/completions", { model = "gpt-4o", prompt = "hello world" }), 2)
end)

t.test("what the library counts need not be UTF-8", function()
  -- It goes out as U+FFFD.
  t.equal(chat.tokens({ role = "user", content = "a\255b" }, "gpt-4o"), chat.tokens({ role = "user", content = "a\239\191\189b" }, "gpt-4o"))
end)

t.test("a request that is counted and changed keeps its bytes", function()
  t.upstream("m", { text = "ok" })
  local req = t.request{ body = '{"model":"m",  "messages":[{"role":"user","content":"\\u0068i"}]}' }
  t.equal(req:tokens(), 8)
  t.run(function(r, next) return next(r) end, nil, req)
  t.equal(t.calls("m")[1].text, '{"model":"m",  "messages":[{"role":"user","content":"\\u0068i"}]}')
end)

-- res:map() and upstreams that mean harm.
local t = require "perilune.test"

local function mapped()
  return function(req, next)
    local res, err = next(req)
    return res and res:map("event", function(text) return (text:gsub("a", "b")) end), err
  end
end

local function event_of(n)
  return '{"choices":[' .. ('{"index":0,"delta":{"content":"a"}},'):rep(n - 1) .. '{"index":0,"delta":{"content":"a"}}]}'
end

-- Every piece is compared with those behind it, and a worker does nothing else meanwhile.
t.test("an event says so many things at most", function()
  t.upstream("model", { events = { event_of(4096), "[DONE]" } })
  local got = t.send(mapped, {}, t.request{ stream = true, messages = { { role = "user", content = "hi" } } })
  t.equal(got.done, true)
  t.equal({ got.error, got.text }, { nil, ("b"):rep(4096) })
  t.upstream("model", { events = { event_of(4097), "[DONE]" } })
  got = t.send(mapped, {}, t.request{ stream = true, messages = { { role = "user", content = "hi" } } })
  t.equal(got.error.code, "upstream_malformed")
  t.match(got.error.message, "more than 4096 choices, texts and calls")
end)

-- -- functions of several units ----------------------------------------------------

local function by(unit, fn, options)
  return function(req, next)
    local res, err = next(req)
    return res and res:map(unit, fn, options), err
  end
end

-- Policies from the outside in; the innermost maps first.
local function both(outer, inner)
  return function(req, next)
    return outer(req, function(again) return inner(again, next) end)
  end
end

local function ask(stream) return t.request{ stream = stream, messages = { { role = "user", content = "hi" } } } end

t.test("functions of several units run one after the other", function()
  local seen
  local words = by("word", function(word) return word == "bob" and "[name]" or word end, function() return " Bye bob." end)
  local sentences = by("sentence", function(sentence)
    seen[#seen + 1] = sentence
    return sentence:upper()
  end)
  for _, stream in ipairs{ true, false } do
    t.upstream("model", { chunks = { "I am b", "ob the", " first. So", " is bob" } })
    seen = {}
    t.equal(t.send(both(sentences, words), nil, ask(stream)).text, "I AM [NAME] THE FIRST. SO IS [NAME] BYE BOB.")
    t.equal(table.concat(seen), "I am [name] the first.So is [name] Bye bob.") -- without what stands between
    t.equal(seen[1]:match("^%S.*%.%s*$") ~= nil, true, "whole sentences: " .. seen[1])

    t.upstream("model", { chunks = { "I am b", "ob the", " first. So", " is bob" } })
    seen = {}
    t.equal(t.send(both(words, sentences), nil, ask(stream)).text, "I AM BOB THE FIRST. SO IS BOB Bye bob.")
  end
end)

t.test("a unit may come again behind another one", function()
  local function add(letter) return function(piece) return piece .. letter end end
  local function policy(req, next)
    local res, err = next(req)
    if not res then return nil, err end
    return res:map("word", add("a")):map("line", add("|")):map("line", add("!")):map("word", add("b"))
  end
  for _, stream in ipairs{ true, false } do
    t.upstream("model", { chunks = { "x y", "y\nz" } })
    t.equal(t.send(policy, nil, ask(stream)).text:gsub("\n", "/"), "xab yya|!b/za|!b")
  end
end)

t.test("one of several that throws ends the answer", function()
  local good = by("word", function(word) return word end)
  local bad = by("line", function() error("no") end)
  for _, stack in ipairs{ both(good, bad), both(bad, good) } do
    t.upstream("model", { chunks = { "a b", " c" } })
    t.equal(t.send(stack, nil, ask(true)).error.code, "policy_error")
  end
end)

t.test("arguments may be mapped as text and as JSON", function()
  local as_json = by("word", function(word) return word == "bob" and "x\"y" or word end, { of = { "arguments" }, json = true })
  local as_text = by("event", function(text) return (text:gsub("who", "WHO")) end, { of = { "arguments" } })
  for _, stack in ipairs{ both(as_json, as_text), both(as_text, as_json) } do
    t.upstream("model", { tool_calls = { { name = "f", arguments = { who = "bob" } } } })
    local body = t.send(stack, nil, ask(false)).body
    t.equal(body.choices[1].message.tool_calls[1]["function"].arguments, [[{"WHO":"x\"y"}]])
  end
  local words = by("word", function(word) return word:upper() end, { of = { "arguments" } })
  t.upstream("model", { tool_calls = { { name = "f", arguments = { who = "bob" } } } })
  local body = t.send(both(as_json, words), nil, ask(false)).body
  t.equal(body.choices[1].message.tool_calls[1]["function"].arguments, [[{"WHO":"BOB"}]])
end)

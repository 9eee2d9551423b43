-- Options that nobody knows are errors: they name the option and the one that was
-- probably meant, at the line of the caller.
local perilune = require "perilune"
local t = require "perilune.test"

local function refused(message, fn, ...)
  local args, n = { ... }, select("#", ...)
  local text = t.error(function() fn(unpack(args, 1, n)) end)
  t.ok(tostring(text):find(message, 1, true), ("%s: %s"):format(message, text))
end

local function here(fn)
  t.match(t.error(fn), "^[^\n]*options_spec%.lua:%d+: ")
end

t.test("respond", function()
  refused("perilune.respond: unknown option 'txt'; did you mean 'text'?", perilune.respond, { txt = "hi" })
  refused("perilune.respond: unknown option 'headers'; known: chunks, itl, model, status, stream, text, ttft, upstream, usage",
          perilune.respond, { text = "hi", headers = {} })
  refused("perilune.respond: unknown option '1'", perilune.respond, { "hi" })
  refused("perilune.respond takes a table of options, got \"hi\"", perilune.respond, "hi")
  refused("perilune.respond: usage: unknown option 'prompt'", perilune.respond, { text = "hi", usage = { prompt = 1 } })
  here(function() perilune.respond{ txt = "hi" } end)
end)

t.test("respond: values", function()
  refused("'status' must be a number", perilune.respond, { text = "hi", status = "teapot" })
  refused("'status' must be a whole number from 200 to 599", perilune.respond, { text = "hi", status = 200.5 })
  refused("'status' must be a whole number from 200 to 599", perilune.respond, { text = "hi", status = 600 })
  refused("'ttft' must be a number of seconds", perilune.respond, { text = "hi", ttft = -1 })
  refused("'itl' must be a number of seconds", perilune.respond, { text = "hi", itl = 0 / 0 })
  refused("perilune.respond: usage takes a table of options, got 5", perilune.respond, { text = "hi", usage = 5 })
  refused("'prompt_tokens' must be", perilune.respond, { text = "hi", usage = { prompt_tokens = "many" } })
  here(function() perilune.respond{ status = 600 } end)
end)

t.test("respond: the usage of another response is welcome", function()
  t.upstream("a", { text = "hi", usage = { prompt_tokens = 3, completion_tokens = 2 } })
  local res = perilune.upstream("a"):chat(t.request("hi"))
  res:text()
  t.equal(perilune.respond{ text = "x", usage = res.usage }.usage.total_tokens, 5)
end)

t.test("reject", function()
  refused("perilune.reject: unknown option 'retryafter'; did you mean 'retry_after'?", perilune.reject, 429, "slow",
          { retryafter = 2 })
  refused("perilune.reject takes a table of options, got \"later\"", perilune.reject, 429, "slow", "later")
  local _, err = perilune.reject(429, "slow", { message = "later", retry_after = 2, param = "n", type = "x", retryable = true })
  t.equal({ err.message, err.retry_after, err.param, err.type, err.retryable }, { "later", 2, "n", "x", true })
  here(function() perilune.reject(429, "slow", { retryafter = 2 }) end)
end)

t.test("map, all, any, race", function()
  local function one() return 1 end
  refused("perilune.map: unknown option 'limits'; did you mean 'limit'?", perilune.map, { 1 }, one, { limits = 2 })
  refused("perilune.map: 'limit' must be a whole number, at least 1", perilune.map, { 1 }, one, { limit = 0 })
  refused("perilune.map: 'limit' must be a whole number, at least 1", perilune.map, { 1 }, one, { limit = "2" })
  for _, name in ipairs{ "all", "any", "race" } do
    refused(("perilune.%s: unknown option 'timeout'; there are none"):format(name), perilune[name], { one, timeout = 3 })
    refused(("perilune.%s: element 2 must be a function, got a nil"):format(name), perilune[name], { one, nil, one })
    refused(("perilune.%s: element 1 must be a function, got 5"):format(name), perilune[name], { 5 })
  end
  t.equal(perilune.map({ 1, 2, 3 }, function(v) return v * 2 end, { limit = 2 }), { 2, 4, 6 })
  here(function() perilune.all{ one, limit = 2 } end)
  here(function() perilune.map({ 1 }, one, { limits = 2 }) end)
end)

t.test("chat, ask, embed, fetch", function()
  t.upstream("a", { text = "hi" })
  t.fetch("http://a/", { body = "x" })
  local a, req = perilune.upstream("a"), t.request("hi")
  refused("chat: unknown option 'time_out'; did you mean 'timeout'?", a.chat, a, req, { time_out = 2 })
  refused("chat takes a table of options, got 2", a.chat, a, req, 2)
  refused("ask: unknown option 'time_out'; did you mean 'timeout'?", a.ask, a, { messages = {} }, { time_out = 2 })
  refused("embed: unknown option 'mode'; did you mean 'model'?", a.embed, a, { "x" }, { mode = "m" })
  refused("fetch: unknown option 'header'; did you mean 'headers'?", perilune.fetch, "http://a/", { header = {} })
  t.equal(#t.calls("a"), 0)
  here(function() a:chat(req, { time_out = 2 }) end)
  here(function() perilune.fetch("http://a/", { header = {} }) end)
end)

t.test("embed takes a model and a timeout", function()
  t.upstream("a", function(req)
    t.equal({ req.model, req.input }, { "m", { "x" } })
    return nil, perilune.error{ code = "overloaded" }
  end)
  local _, err = perilune.upstream("a"):embed("x", { model = "m", timeout = 3 })
  t.equal(err.code, "overloaded")
  t.equal(t.calls("a")[1].opts, { timeout = 3 })
end)

t.test("retry", function()
  local retry = require "perilune.retry"
  local fn = function() return 1 end
  refused("retry.run: unknown option 'attempts'", retry.run, t.request("hi"), { attempts = 2 }, fn)
  t.equal(retry.run(t.request("hi"), { tries = 2, base = 0, max = 1, codes = {}, budget = nil }, fn), 1)
end)

t.test("the scripts of a test", function()
  local wrong = "t.upstream: unknown option 'txt'; did you mean 'text'?"
  refused(wrong, t.upstream, "a", { txt = "hi" })
  t.upstream("a", function() return { txt = "hi" } end)
  refused(wrong, function() perilune.upstream("a"):chat(t.request("hi")) end)
  t.fetch("http://a/", { stats = 200 })
  refused("t.fetch: unknown option 'stats'; did you mean 'status'?", perilune.fetch, "http://a/")
end)

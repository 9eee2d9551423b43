-- The tests of shout.lua:  perilune test examples/policies/shout_spec.lua
--
-- No server, no network, no waiting: upstreams are scripted, time is virtual.

local t = require "perilune.test"

t.test("the first words are shouted", function()
  -- An upstream that answers every call with this text.
  t.upstream("model", { text = "one two three four" })

  -- Runs the policy on a request of one user message.
  local res = t.run("shout", { most = 2 }, t.request("count"))
  t.equal(res:text(), "ONE TWO three four")
end)

t.test("also when they arrive in pieces", function()
  t.upstream("model", { chunks = { "on", "e two th", "ree" }, ttft = 1, itl = 0.5 })
  local res = t.run("shout", { most = 2 }, t.request("count"))
  t.equal(res:text(), "ONE TWO three")
end)

t.test("the model is told to be brief", function()
  t.upstream("model", { text = "ok" })
  t.run("shout", {}, t.request("hi"))

  -- What the upstream got.
  local messages = t.calls("model")[1].body.messages
  t.equal(messages[1], { role = "system", content = "Be brief." })
  t.equal(messages[2].content, "hi")
end)

t.test("a failure is passed on", function()
  t.upstream("model", { status = 503 })
  local res, err = t.run("shout", {}, t.request("hi"))
  t.equal(res, nil)
  t.equal(err.status, 503)
end)

t.test("options are checked when the policy is loaded", function()
  t.error(function() t.policy("shout", { mots = 2 }) end, "did you mean 'most'?")
end)

-- x-perilune-route: who answered, and why it was asked.
local t = require "perilune.test"

local function ask() return t.request{ messages = { { role = "user", content = "hi" } }, stream = true } end

t.test("where another one answered, the header says so", function()
  local canary = { "canary", upstream = "new", share = 1 }
  t.upstream("new", { text = "new" })
  t.upstream("old", { text = "old" })
  local reply = t.send({ canary, { "fallback", upstreams = { "new", "old" } } }, nil, ask())
  t.equal(reply.headers["x-perilune-route"], "new; canary")
  t.upstream("new", { status = 500 })
  reply = t.send({ canary, { "fallback", upstreams = { "new", "old" } } }, nil, ask())
  t.equal({ reply.text, reply.headers["x-perilune-route"] }, { "old", "old; canary; instead of new" })
end)

t.test("an answer that no upstream gave is what was wanted, as ever", function()
  t.upstream("new", { status = 500 })
  local reply = t.send({ { "canary", upstream = "new", share = 1 }, { "canned", text = "sorry" } }, nil, ask())
  t.equal({ reply.text, reply.headers["x-perilune-route"] }, { "sorry", "new; canary" })
end)

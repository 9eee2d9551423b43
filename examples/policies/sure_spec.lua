-- The tests of sure.lua:  perilune test examples/policies/sure_spec.lua

local t = require "perilune.test"

local OPTIONS = { small = "small", big = "big" }

local function ask(small, stream)
  t.upstream("small", small)
  t.upstream("big", { text = "from the big one" })
  local res = t.run("sure", OPTIONS, t.request{ stream = stream, messages = { { role = "user", content = "hi" } } })
  return res:text()
end

for _, stream in ipairs{ false, true } do
  local how = stream and ", streamed" or ""

  t.test("a sure answer is taken" .. how, function()
    t.equal(ask({ chunks = { "from ", "the small one" }, logprobs = { -0.1, -0.2 } }, stream), "from the small one")
    t.equal(#t.calls("big"), 0)
    t.equal(t.calls("small")[1].body.logprobs, true)
  end)

  t.test("one of little sureness is not" .. how, function()
    t.equal(ask({ chunks = { "from ", "the small one" }, logprobs = { -0.1, -2, -3 } }, stream), "from the big one")
    t.equal(t.calls("big")[1].body.logprobs, nil)
  end)

  t.test("nor one that says nothing of it" .. how, function()
    t.equal(ask({ text = "from the small one" }, stream), "from the big one")
  end)

  t.test("nor one that breaks off" .. how, function()
    t.equal(ask({ chunks = { "from ", "the small one" }, logprobs = { -0.1, -0.1 }, breaks = true }, stream), "from the big one")
  end)
end

t.test("a small one that is down", function()
  t.equal(ask{ status = 503, code = "upstream_unreachable" }, "from the big one")
end)

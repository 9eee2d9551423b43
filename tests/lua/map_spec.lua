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

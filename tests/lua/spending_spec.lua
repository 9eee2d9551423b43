-- What limits settle: what upstreams were paid, and what makes sense of what they say.
local t = require "perilune.test"
local perilune = require "perilune"

local words = ("many "):rep(50)

local function ask(fields)
  local what = { messages = { { role = "user", content = words } }, max_tokens = 2000 }
  for k, v in pairs(fields or {}) do what[k] = v end
  return t.request(what)
end

-- Tokens that are used of a limit: a request that reserves eight looks.
local function used(options)
  local reply = t.send("limit", options, t.request{ messages = { { role = "user", content = "" } }, max_tokens = 1 },
    { next = function() return perilune.respond{ text = "" } end })
  return 100000 - 8 - tonumber(reply.headers["x-ratelimit-remaining-tokens"])
end

local function about(options, low, high, what)
  local n = used(options)
  t.ok(n >= low and n <= high, ("%s: %d tokens were settled, and %d to %d were used"):format(what, n, low, high))
end

local function limited(options)
  local out = { "limit" }
  for k, v in pairs(options) do out[k] = v end
  return out
end

local function whole(usage)
  return ([[{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},]]
    .. [["finish_reason":"stop"}],"usage":%s}]]):format(("word "):rep(80), usage)
end

local function stream(...)
  local events = {}
  for i = 1, 80 do
    events[i] = [[{"id":"x","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}]]
  end
  events[81] = [[{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}]]
  for _, usage in ipairs{ ... } do events[#events + 1] = [[{"id":"x","choices":[],"usage":]] .. usage .. "}" end
  events[#events + 1] = "[DONE]"
  return events
end

local senseless = {
  [[{"prompt_tokens":"52","completion_tokens":"80"}]], [[{"prompt_tokens":-52,"completion_tokens":-80}]],
  [[{"prompt_tokens":0.5,"completion_tokens":0.5}]], [[{"prompt_tokens":1e300,"completion_tokens":1e300}]],
  [[{"prompt_tokens":null,"completion_tokens":null}]], [[{"prompt_tokens":0,"completion_tokens":0}]], [[{}]], [["none"]],
  [[{"prompt_tokens":1e12,"completion_tokens":1}]], [[null]],
}

t.test("usage that makes no sense is none: what was counted of the answer is settled", function()
  for i, usage in ipairs(senseless) do
    for _, form in ipairs{ "streamed", "whole" } do
      local options = { tokens_per_day = 100000, name = form .. i }
      local next = form == "whole" and t.next{ body = whole(usage) } or t.next{ events = stream(usage) }
      t.equal(t.send("limit", options, ask{ stream = form == "streamed" }, { next = next }).status, 200)
      about(options, 135, 200, form .. " " .. usage)
    end
  end
end)

t.test("several events of usage: the last word counts, also when it makes no sense", function()
  local sense = [[{"prompt_tokens":1000,"completion_tokens":500}]]
  for i, usage in ipairs(senseless) do
    local options = { tokens_per_day = 100000, name = "last" .. i }
    t.send("limit", options, ask{ stream = true }, { next = t.next{ events = stream(usage, sense) } })
    about(options, 1500, 1502, "sense behind " .. usage)
    if usage ~= "null" then
      options.name = "first" .. i
      t.send("limit", options, ask{ stream = true }, { next = t.next{ events = stream(sense, usage) } })
      about(options, 135, 200, "sense before " .. usage)
    end
  end
end)

t.test("half of the numbers: what is missing is counted here", function()
  local options = { tokens_per_day = 100000, name = "prompt" }
  t.send("limit", options, ask(), { next = t.next{ body = whole [[{"prompt_tokens":1000,"completion_tokens":0}]] } })
  about(options, 1090, 1110, "no completion")
  options.name = "completion"
  t.send("limit", options, ask(), { next = t.next{ body = whole [[{"prompt_tokens":0,"completion_tokens":1000}]] } })
  about(options, 1050, 1070, "no prompt")
end)

t.test("an event of many words is more than a token; Chinese, reasoning and calls of tools count", function()
  local options = { tokens_per_day = 100000, name = "lump" }
  local lump = ("word "):rep(400)
  t.send("limit", options, ask{ stream = true }, { next = t.next{ text = lump, usage = { prompt_tokens = 0 } } })
  about(options, 450, 600, "400 words at once")
  options.name = "chinese"
  t.send("limit", options, ask(), { next = t.next{ text = ("月亮"):rep(200), usage = { prompt_tokens = 0 } } })
  about(options, 300, 500, "400 characters")
  options.name = "tools"
  t.send("limit", options, ask(), { next = t.next{ tool_calls = { { name = "f", arguments = { text = lump } } } } })
  about(options, 500, 700, "a call of a tool")
  options.name = "reasoning"
  t.send("limit", options, ask(), { next = t.next{ text = "so", reasoning = lump } })
  about(options, 500, 700, "thoughts")
end)

t.test("money: an answer without sense has a price", function()
  t.upstream("big", { body = whole [[{"prompt_tokens":-5,"completion_tokens":-5}]],
                      upstream = { price = { input = 100000, output = 100000 } } })
  local options = { usd_per_day = 10 }
  t.equal(t.send("limit", options, ask{ model = "big", max_tokens = 10 }).status, 200)
  local reply = t.send("limit", options, ask{ model = "big", max_tokens = 10 })
  t.equal(reply.status, 429, "152 tokens cost $15.2")
end)

-- -- answers that nobody got -------------------------------------------------------------

local usage = { prompt_tokens = 1000, completion_tokens = 500 }

t.test("a hedge that lost is paid: what its upstream said or the prompt", function()
  t.upstream("slow", { text = "slow", delay = 5, usage = usage })
  t.upstream("quick", { text = "quick", usage = usage })
  local options = { tokens_per_day = 100000, name = "hedged" }
  for _, stream_it in ipairs{ true, false } do
    local before = used(options)
    local reply = t.send({ limited(options), { "hedge", upstreams = { "slow", "quick" }, after = 0.1, max_share = 1 } },
      nil, ask{ stream = stream_it })
    t.equal(reply.text, "quick")
    local n = used(options) - before
    t.ok(n >= 1550 and n <= 1570, "the winner's 1500, and the loser's prompt: " .. n)
  end
end)

t.test("answers that a policy read and did not pass on are paid", function()
  local options = { tokens_per_day = 100000, name = "twice" }
  local next = t.next{ text = "words", usage = usage }
  local function twice(req, call)
    call(req):text()
    return call(req)
  end
  t.equal(t.send({ limited(options), twice }, nil, ask(), { next = next }).status, 200)
  about(options, 3000, 3002, "two answers")
end)

t.test("a limit that is asked twice counts each answer once", function()
  local options = { tokens_per_day = 100000, requests_per_day = 100, name = "behind" }
  local next = t.next{ text = "words", usage = usage }
  local function twice(req, call)
    call(req):text()
    return call(req)
  end
  t.equal(t.send({ twice, limited(options) }, nil, ask(), { next = next }).status, 200)
  about(options, 3000, 3002, "two answers, one each")
end)

t.test("a policy that reads an answer and then fails, or throws: it is paid", function()
  for name, ending in pairs{
    fails = function() return nil, perilune.error{ code = "no", status = 500 } end,
    throws = function() error("oh") end,
    canned = function() return perilune.respond{ text = "sorry" } end,
  } do
    local options = { tokens_per_day = 100000, name = name }
    t.send({ limited(options), function(req, call)
      call(req):text()
      return ending()
    end }, nil, ask(), { next = t.next{ text = "words", usage = usage } })
    about(options, 1500, 1502, name)
  end
end)

t.test("a policy's own questions are paid by the request that it asks for; failures and caches are not", function()
  t.upstream("helper", { text = "shorter", usage = usage })
  t.upstream("broken", { status = 500 })
  local options = { tokens_per_day = 100000, name = "own" }
  local function asks(req, next)
    perilune.upstream("helper"):ask{ messages = { { role = "user", content = "shorten" } } }
    perilune.upstream("broken"):ask{ messages = { { role = "user", content = "shorten" } } }
    return next(req)
  end
  t.send({ limited(options), asks }, nil, ask(), { next = t.next{ text = "ok", usage = usage } })
  about(options, 3000, 3002, "its own and the helper's")
end)

t.test("many calls: all are counted, in bounded memory", function()
  local options = { tokens_per_day = 100000, name = "many" }
  local next = t.next{ text = "words", usage = { prompt_tokens = 100, completion_tokens = 100 } }
  t.send({ limited(options), function(req, call)
    for _ = 1, 99 do call(req):text() end
    return call(req)
  end }, nil, ask(), { next = next })
  about(options, 20000, 20002, "a hundred")
end)

t.test("who leaves while a hedge is open pays for the prompts of both", function()
  t.upstream("slow", { text = "slow", delay = 5, usage = usage })
  t.upstream("slower", { text = "slow", delay = 6, usage = usage })
  local options = { tokens_per_day = 100000, name = "left" }
  local reply = t.send({ limited(options), { "hedge", upstreams = { "slow", "slower" }, after = 0.1, max_share = 1 } }, nil,
    ask{ stream = true }, { leave = 1 })
  t.equal(reply.status, 499)
  about(options, 100, 140, "two prompts")
end)

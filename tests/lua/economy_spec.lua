--- economy: what conversations cost at a provider with a prompt cache, with the shipped
--- policies and without.  The provider is played here: it keeps every prefix that it has
--- seen, and charges by the rules of perilune.cost.

local t = require "perilune.test"
local conversations = require "conversations"
local perilune = require "perilune"

-- A prompt as a list of pieces, the unit in which the played provider compares.
local function pieces(body)
  local out = {}
  for i, m in ipairs(body.messages) do
    local bare = {}
    for k, v in pairs(m) do bare[k] = v end
    bare.content = type(m.content) == "table" and m.content[1].text or m.content
    local calls = m.tool_calls and m.tool_calls[1].id or ""
    out[i] = ("%s|%s|%s|%s"):format(m.role, calls, m.tool_call_id or "", bare.content or "")
  end
  return out
end

-- What the requests cost, in tokens of full price, and how much of them was read from the cache.
local function bill(requests, read, write)
  local total, cached, all, seen = 0, 0, 0, {}
  for _, request in ipairs(requests) do
    local path, hit = "", true
    for _, piece in ipairs(request) do
      path = perilune.sha256(path .. piece)
      local tokens = #piece / 4
      hit = hit and seen[path] ~= nil
      seen[path] = true
      total, all = total + tokens * (hit and read or write), all + tokens
      cached = cached + (hit and tokens or 0)
    end
  end
  return total, cached / all
end

-- An agent at work: each request is the conversation so far.
local function agent(seed, steps, most)
  local random, m, requests = conversations.random(seed), {}, {}
  m[1] = { role = "system", content = ("You are careful. "):rep(200) }
  m[2] = { role = "user", content = "Repair the tests." }
  for i = 1, steps do
    requests[i] = #m
    m[#m + 1] = { role = "assistant", tool_calls = { { id = "c" .. i, type = "function", ["function"] = { name = "run", arguments = "{}" } } } }
    m[#m + 1] = { role = "tool", tool_call_id = "c" .. i, content = (i .. " " .. ("line of a log\n"):rep(random(most))) }
    if random(12) == 1 then
      m[#m + 1] = { role = "assistant", content = "Done with part " .. i }
      m[#m + 1] = { role = "user", content = "Go on with " .. i }
    end
  end
  return m, requests
end

local tenants = 0

local function send(policies, messages, requests, model)
  t.upstream("m", { text = "ok", upstream = { model = model } })
  tenants = tenants + 1
  local chain, sent = {}, {}
  for i, p in ipairs(policies) do chain[i] = t.policy(p[1], p[2]) end
  for i, n in ipairs(requests) do
    local part = {}
    for k = 1, n do part[k] = messages[k] end
    local req = t.request{ messages = part, tenant = "e" .. tenants }
    local function run(at, r)
      if not chain[at] then
        sent[i] = pieces(perilune.json.decode(r:body()))
        return nil, perilune.error{ code = "overloaded" }
      end
      return chain[at](r, function(next_req) return run(at + 1, next_req) end)
    end
    run(1, req)
  end
  return sent
end

local providers = { { "claude-sonnet-5", 0.1, 1.25 }, { "gpt-4o", 0.5, 1 }, { "gpt-5", 0.1, 1 }, { "deepseek-chat", 0.02, 1 } }

t.test("mask_tools saves at every provider, over conversations of many lengths", function()
  for _, p in ipairs(providers) do
    local plain, masked, worst = 0, 0, 0
    for seed = 1, 12 do
      local messages, requests = agent(seed, 5 * seed, 150)
      local a = bill(send({}, messages, requests, p[1]), p[2], p[3])
      local b = bill(send({ { "mask_tools", {} } }, messages, requests, p[1]), p[2], p[3])
      plain, masked, worst = plain + a, masked + b, math.max(worst, b / a)
    end
    t.ok(masked <= plain, ("%s: %d tokens, %d without"):format(p[1], masked, plain))
    -- A conversation may end right after a batch: then reading it anew was for nothing.
    t.ok(worst < 1.1, ("%s: at worst %.2f times as much"):format(p[1], worst))
  end
end)

t.test("without the guard it would cost more where caching is cheap", function()
  local p, guarded, eager, plain = providers[4], 0, 0, 0
  for seed = 1, 6 do
    local messages, requests = agent(seed, 30, 150)
    plain = plain + bill(send({}, messages, requests, p[1]), p[2], p[3])
    guarded = guarded + bill(send({ { "mask_tools", {} } }, messages, requests, p[1]), p[2], p[3])
    eager = eager + bill(send({ { "mask_tools", { batch = 1, guard = false } } }, messages, requests, p[1]), p[2], p[3])
  end
  t.ok(eager > plain, ("%d at once, %d without masking"):format(eager, plain))
  t.ok(guarded <= plain, ("%d with the guard, %d without masking"):format(guarded, plain))
end)

t.test("a window that moves in steps costs less than one that slides", function()
  for _, p in ipairs(providers) do
    local messages, requests = agent(7, 60, 100)
    local steps, hit = bill(send({ { "window", { max_tokens = 12000 } } }, messages, requests, p[1]), p[2], p[3])
    local slides = bill(send({ { "window", { max_tokens = 12000, slack = 0 } } }, messages, requests, p[1]), p[2], p[3])
    t.ok(steps < slides, ("%s: %d in steps, %d sliding"):format(p[1], steps, slides))
    t.ok(hit > 0.6, ("%s: %.2f from the cache"):format(p[1], hit))
  end
end)

t.test("policies that change nothing old leave the cache whole", function()
  local messages, requests = agent(3, 40, 60)
  local _, plain = bill(send({}, messages, requests, "claude-sonnet-5"), 0.1, 1.25)
  local _, hit = bill(send({ { "stream_fields", { fields = { "a" } } }, { "window", { max_tokens = 1000000 } }, { "prompt_cache", {} } },
    messages, requests, "claude-sonnet-5"), 0.1, 1.25)
  t.near(hit, plain, 0.002)
  t.ok(hit > 0.93, hit)
end)

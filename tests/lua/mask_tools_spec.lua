local t = require "perilune.test"
local conversations = require "conversations"
local perilune = require "perilune"
local rewriting = require "rewriting"

-- A conversation with n results of so many bytes each.
local function agent(n, bytes, name)
  local m = { { role = "system", content = "act" }, { role = "user", content = "do it" } }
  for i = 1, n do
    m[#m + 1] = { role = "assistant",
                  tool_calls = { { id = "c" .. i, type = "function", ["function"] = { name = name or "read", arguments = "{}" } } } }
    m[#m + 1] = { role = "tool", tool_call_id = "c" .. i, content = (i .. " " .. ("word "):rep(bytes)):sub(1, bytes) }
  end
  return m
end

local upstream = { model = "claude-x", price = { input = 10 } }

-- Conversations of one test are not remembered by another.
local tenants = 0
local function tenant()
  tenants = tenants + 1
  return "tenant " .. tenants
end

local function run(options, messages)
  t.upstream("m", { text = "ok", upstream = upstream })
  local body = { messages = messages, tenant = tenant() }
  local req = t.request(body)
  t.run("mask_tools", options, req)
  return t.calls("m")[1].body.messages, req, t.calls("m")[1].text
end

-- Which results are masked: "1101..."
local function pattern(messages)
  local out = {}
  for _, m in ipairs(messages) do
    if m.role == "tool" then
      local text = type(m.content) == "table" and m.content[1].text or m.content
      out[#out + 1] = text:find("left out") and "x" or "."
    end
  end
  return table.concat(out)
end

t.test("old ones are masked, in batches, the newest stay", function()
  local function is(n, options, expected) t.equal(pattern(run(options, agent(n, 1000))), expected) end
  is(3, { keep = 3, batch = 1 }, "...")
  is(4, { keep = 3, batch = 1 }, "x...")
  is(9, { keep = 3, batch = 5 }, "xxxxx....")
  is(7, { keep = 3, batch = 5 }, ".......")
  is(13, { keep = 3, batch = 5 }, "xxxxxxxxxx...")
  is(5, { keep = 0, batch = 1 }, "xxxx.")
end)

t.test("the note says which tool and how large; everything else stays", function()
  local m = agent(5, 1234, "read_file")
  m[4].x_extra = { 1 }
  local out, req = run({ keep = 1, batch = 1 }, m)
  t.equal(out[4], { role = "tool", tool_call_id = "c1", content = "[result of read_file left out: 1234 bytes]", x_extra = { 1 } })
  t.equal({ out[1], out[2], out[3], out[12] }, { m[1], m[2], m[3], m[12] })
  t.equal(conversations.complaint(out), nil)
  t.ok(req:saved().tokens > 700)
  t.near(req:saved().cost, req:saved().tokens * 1.25 * 1e-5, 1e-4)
end)

t.test("small ones, errors among them, and tools that are excepted stay", function()
  local m = agent(6, 1000)
  m[4].content = "error: no such file"
  m[5].tool_calls[1]["function"].name = "plan"
  t.equal(pattern(run({ keep = 1, batch = 1, except = { "plan" } }, m)), "..xxx.")
end)

t.test("results that the model has not seen stay, however many", function()
  local m = agent(4, 1000)
  local calls = {}
  for i = 1, 6 do calls[i] = { id = "p" .. i, type = "function", ["function"] = { name = "f", arguments = "{}" } } end
  m[#m + 1] = { role = "assistant", tool_calls = calls }
  for i = 1, 6 do m[#m + 1] = { role = "tool", tool_call_id = "p" .. i, content = ("x"):rep(500) } end
  t.equal(pattern(run({ keep = 1, batch = 1 }, m)), "xxxx......")
end)

t.test("images in a result stay", function()
  local image = { type = "image_url", image_url = { url = "data:image/png;base64,AAAA" } }
  local m = agent(3, 1000)
  m[4].content = { { type = "text", text = ("a"):rep(300) }, image, { type = "text", text = ("b"):rep(300) } }
  local out = run({ keep = 1, batch = 1 }, m)
  t.equal(out[4].content, { { type = "text", text = "[result of read left out: 600 bytes]" }, image })
end)

t.test("Anthropic's parts and the older functions", function()
  local m = { { role = "user", content = "go" } }
  for i = 1, 3 do
    m[#m + 1] = { role = "assistant", content = { { type = "tool_use", id = "t" .. i, name = "look", input = { q = i } } } }
    m[#m + 1] = { role = "user", content = { { type = "tool_result", tool_use_id = "t" .. i, content = ("r"):rep(500) } } }
  end
  m[#m + 1] = { role = "assistant", function_call = { name = "g", arguments = "{}" } }
  m[#m + 1] = { role = "function", name = "g", content = ("s"):rep(500) }
  m[#m + 1] = { role = "assistant", function_call = { name = "h", arguments = "{}" } }
  m[#m + 1] = { role = "function", name = "h", content = ("t"):rep(500) }
  local out = run({ keep = 0, batch = 4 }, m)
  t.equal(out[3].content[1], { type = "tool_result", tool_use_id = "t1", content = "[result of look left out: 500 bytes]" })
  t.equal(out[9].content, "[result of g left out: 500 bytes]")
  t.equal(out[11].content, ("t"):rep(500))
end)

-- Sends a growing conversation; returns the pattern of each request, and what it cost.
local function grow(options, turns, bytes, pause)
  t.upstream("m", { text = "ok", upstream = upstream })
  local policy, who = t.policy("mask_tools", options), tenant()
  local patterns, costs, texts = {}, {}, {}
  for n = 1, turns do
    local req = t.request{ messages = agent(n, bytes), tenant = who }
    policy(req, function(r) return perilune.upstream("m"):chat(r) end)
    local call = t.calls("m")[n]
    patterns[n], costs[n], texts[n] = pattern(call.body.messages), req:saved().cost, call.text:match('"messages":(%[.*)%]')
    if pause then t.advance(pause) end
  end
  return patterns, costs, texts
end

-- What a provider charges for these requests, one after the other: what it has seen
-- for a tenth, what it sees first for 1.25.
local function bill(texts)
  local total, before, per_byte = 0, "", perilune.tokens(("word "):rep(400)) / 2000
  for _, text in ipairs(texts) do
    local n = 0
    while n < #before and before:sub(n + 1, n + 64) == text:sub(n + 1, n + 64) do n = n + 64 end
    n = math.min(n, #before)
    total = total + (n * 0.1 + (#text - n) * 1.25) * per_byte * 1e-5
    before = text
  end
  return total
end

t.test("what was sent is masked only when it pays", function()
  local patterns, costs, texts = grow({ keep = 1, batch = 4 }, 40, 2000)
  t.equal(patterns[1], ".")
  local breaks, masked = 0, 0
  for n = 2, 40 do
    local prefix = texts[n]:sub(1, #texts[n - 1]) == texts[n - 1]
    if not prefix then breaks = breaks + 1 end
    local now = select(2, patterns[n]:gsub("x", ""))
    t.ok(now >= masked, "what was masked stays masked")
    t.equal(prefix, now == masked, "request " .. n)
    masked = now
  end
  t.ok(masked >= 20 and breaks >= 2 and breaks <= 9, ("%d masked, %d breaks"):format(masked, breaks))

  local reported = 0
  for _, c in ipairs(costs) do reported = reported + c end
  local _, _, plain = grow({ keep = 40 }, 40, 2000)
  t.near(reported, bill(plain) - bill(texts), 0.03 * reported, "what was reported is what the bill says")
end)

t.test("it is cheaper than nothing, and than masking at once", function()
  local function costs(options)
    local _, _, texts = grow(options, 40, 2000)
    return bill(texts)
  end
  local plain, guarded = costs{ keep = 40 }, costs{ keep = 3 }
  local eager = costs{ keep = 3, batch = 1, guard = false }
  t.ok(guarded < plain, ("%g without masking, %g with"):format(plain, guarded))
  t.ok(guarded < eager, ("%g with the guard, %g at once"):format(guarded, eager))
end)

t.test("when the provider has forgotten, everything pays", function()
  local patterns = grow({ keep = 3, batch = 2, reuse = 1 }, 8, 2000)
  t.equal(patterns[8], "........")
  patterns = grow({ keep = 3, batch = 2, reuse = 1 }, 8, 2000, 400)
  t.equal(patterns[8], "xxxx....")
end)

t.test("without tools nothing happens", function()
  rewriting.passes("mask_tools", {}, '{ "model":"x", "messages":[ {"role":"user","content":"hi"} ] }')
end)

t.test("a second time changes nothing", function()
  rewriting.again("mask_tools", { keep = 1, batch = 1 }, t.request{ messages = agent(9, 1000) })
end)

t.test("random conversations: pairs, order and everything else stay", function()
  for seed = 1, 300 do
    local random = conversations.random(seed)
    local messages = conversations.valid(seed, { turns = 10, parts = true })
    local options = { keep = random(5) - 1, batch = random(4), min_bytes = 120 + random(100) }
    local out = run(options, conversations.copy(messages))
    local what = "seed " .. seed
    t.equal(#out, #messages, what)
    t.equal(conversations.complaint(out), nil, what)
    local results, unmasked = 0, 0
    for i, m in ipairs(messages) do
      if m.role ~= "tool" then
        t.equal(out[i], m, what)
      else
        results = results + 1
        local same = perilune.json.encode(out[i].content) == perilune.json.encode(m.content)
        unmasked = same and unmasked + 1 or 0
        if type(m.content) == "table" then t.equal(out[i].content[2], m.content[2], what) end
        t.equal(out[i].tool_call_id, m.tool_call_id)
      end
    end
    t.ok(unmasked >= math.min(options.keep, results), what)
  end
end)

t.test("wrong options are refused", function()
  local function says(options, pattern_) t.error(function() t.policy("mask_tools", options) end, pattern_) end
  says({ keep = -1 }, "at least 0")
  says({ keeps = 1 }, "did you mean 'keep'?")
  says({ batch = 0 }, "at least 1")
  says({ except = "f" }, "must be a list")
end)

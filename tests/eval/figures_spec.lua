--- What the policies that shorten prompts reach on the texts beside this file; each test has
--- the bar that it must not fall below.  With PERILUNE_FIGURES in the environment it prints
--- the figures, and times; tests/bench/compress.lua does that.
local t = require "perilune.test"
local cases = require "cases"
local contexts = require "contexts"
local perilune = require "perilune"
local prompts = require "prompts"
local text_of = require "perilune.text"
local traces = require "traces"
local trim = require "perilune.trim"

local MODEL = "gpt-4o"
local printing = os.getenv("PERILUNE_FIGURES")

-- name, value, unit, bar: for the benchmark's table; at_least: more is better.
local function figure(name, value, unit, bar, at_least)
  if printing then print(("figure\t%s\t%.10g\t%s\t%s\t%s"):format(name, value, unit, bar or "", at_least and "least" or "most")) end
end

local function tokens(text) return (perilune.tokens(text, MODEL)) end

-- Seconds for fn(), the best of a few.
local function best(fn, times)
  local least = math.huge
  for _ = 1, times do
    local start = os.clock()
    fn()
    least = math.min(least, os.clock() - start)
  end
  return least
end

t.test("there are enough of them", function()
  local languages = {}
  local function count(list) for _, e in ipairs(list) do languages[e.lang] = (languages[e.lang] or 0) + 1 end end
  count(prompts)
  count(contexts.contexts())
  count(traces.traces())
  t.ok(languages.en >= 60 and languages.zh >= 60)
  for _, c in ipairs(contexts.contexts()) do t.ok(#c.text >= 2000 and c.text:find(c.answer, 1, true), c.id) end
end)

t.test("trim: at least 25 % off verbose prompts, everything that matters kept", function()
  local trimmer = trim.new{}
  for _, lang in ipairs{ "en", "zh" } do
    local before, after, list = 0, 0, {}
    for _, p in ipairs(prompts) do
      if p.lang == lang then
        local left = trimmer:text(p.text)
        before, after = before + tokens(p.text), after + tokens(left)
        for _, s in ipairs(p.keep) do t.ok(left:find(s, 1, true), p.domain .. ": " .. s) end
        t.equal(trimmer:text(left), left)
        list[#list + 1] = p.text
      end
    end
    local share = 100 * (1 - after / before)
    figure(("trim, %d verbose prompts, %s: tokens less"):format(#list, lang), share, "%", 25, true)
    t.ok(share >= 25, share)
    if printing then
      local bytes = #table.concat(list)
      local seconds = best(function() for _, s in ipairs(list) do trimmer:text(s) end end, 50)
      figure(("  the same, CPU (%s)"):format(lang), bytes / seconds / 1e6, "MB/s", 20, true)
    end
  end
end)

t.test("trim: takes next to nothing from material", function()
  local trimmer, before, after = trim.new{}, 0, 0
  for _, p in ipairs(contexts.passages) do
    before, after = before + #p[3], after + #trimmer:text(p[3])
    for q = 4, #p do t.ok(trimmer:text(p[3]):find(p[q][2], 1, true), p[q][2]) end
  end
  t.ok(after > 0.999 * before, after / before)
end)

t.test("compress_context: half the size with 99 % of the answers", function()
  for _, ratio in ipairs{ 0.45, 0.25 } do
    for _, lang in ipairs{ "en", "zh" } do
      local before, after, kept, n = 0, 0, 0, 0
      for _, c in ipairs(contexts.contexts()) do
        if c.lang == lang then
          t.upstream("m", { text = "ok" })
          t.run("compress_context", { ratio = ratio, above_tokens = 300 },
            t.request{ model = MODEL, messages = { { role = "user", content = "<documents>\n" .. c.text .. "\n</documents>\n\n" .. c.question } } })
          local left = t.calls("m")[1].body.messages[1].content:match("^<documents>\n(.*)\n</documents>")
          before, after, n = before + tokens(c.text), after + tokens(left), n + 1
          kept = kept + (left:find(c.answer, 1, true) and 1 or 0)
        end
      end
      figure(("compress_context %g, %d questions, %s: times shorter"):format(ratio, n, lang), before / after, "x",
        ratio == 0.45 and 2 or nil, true)
      figure(("  answers kept (%s)"):format(lang), 100 * kept / n, "%", ratio == 0.45 and 99 or nil, true)
      if ratio == 0.45 then
        t.ok(before / after >= 2, before / after)
        t.ok(kept / n >= 0.99, kept / n)
      end
    end
  end
end)

-- Seconds for the policy alone on each of the list: another request every time, since what was
-- shortened before is remembered, and so are the tokens of messages.
local function policy_seconds(list, round)
  local policy = t.policy("compress_context", { ratio = 0.5, above_tokens = 300 })
  local sum, last = 0, nil
  for _, c in ipairs(list) do
    local content = ("<documents>\n%s\n\n%d\n</documents>\n\n%s"):format(c.text, round, c.question)
    local req = t.request{ model = MODEL, messages = { { role = "user", content = content } } }
    local start = os.clock()
    policy(req, function() last = os.clock() end)
    sum = sum + last - start
  end
  return sum
end

-- Of 10,000 tokens at least, with the question of the last.
local function joined(list)
  local out, parts, sum = {}, {}, 0
  for _, c in ipairs(list) do
    parts[#parts + 1] = c.text
    sum = sum + tokens(c.text)
    if sum >= 10000 then
      out[#out + 1] = { text = table.concat(parts, "\n\n"), question = c.question }
      parts, sum = {}, 0
    end
  end
  return out
end

t.test("compress_context: time", function()
  if not printing then return end
  for _, lang in ipairs{ "en", "zh" } do
    local function per_10k(name, list, bar, times, seconds)
      local sum, least = 0, math.huge
      for _, c in ipairs(list) do sum = sum + tokens(c.text) end
      for round = 1, times do least = math.min(least, seconds(list, round)) end
      figure(name .. " (" .. lang .. ")", least / sum * 1e4 * 1e3, "ms", bar)
    end
    local list = {}
    for _, c in ipairs(contexts.contexts()) do list[#list + 1] = c.lang == lang and c or nil end
    per_10k("compress_context, CPU for 10,000 tokens: extraction", list, 1, 10, function()
      local start = os.clock()
      for _, c in ipairs(list) do text_of.extract(c.text, c.question, { ratio = 0.5 }) end
      return os.clock() - start
    end)
    per_10k("  the policy, tokens counted before and after", joined(list), 1, 20, policy_seconds)
    per_10k("  the same on five requests of 2,000 tokens", list, nil, 20, policy_seconds)
  end
end)

t.test("compress_history: a third of the size, the answer still there", function()
  local sums = {}
  for i, trace in ipairs(traces.traces()) do
    t.upstream("m", { text = "ok" })
    local req = t.request{ model = MODEL, messages = trace.messages, tenant = "trace " .. i }
    local before = req:tokens()
    t.run("compress_history", { window = math.floor(before * 0.9), keep_turns = 2, guard = false }, req)
    local found = false
    for _, m in ipairs(t.calls("m")[1].body.messages) do
      found = found or (type(m.content) == "string" and m.content:find(trace.answer, 1, true) ~= nil)
    end
    local s = sums[trace.kind] or { before = 0, after = 0, kept = 0, n = 0 }
    sums[trace.kind] = s
    s.before, s.after, s.kept, s.n = s.before + before, s.after + req:tokens(), s.kept + (found and 1 or 0), s.n + 1
  end
  for _, kind in ipairs{ "chat", "agent" } do
    local s = sums[kind]
    figure(("compress_history, %d %ss: times shorter"):format(s.n, kind), s.before / s.after, "x", 2, true)
    figure(("  answers kept (%ss)"):format(kind), 100 * s.kept / s.n, "%", 90, true)
    t.ok(s.before / s.after >= 2 and s.kept / s.n >= 0.9, kind)
  end
end)

-- -- the three cases ----------------------------------------------------------------------

local function row(case, before, after, how)
  if printing then print(("case\t%s\t%d\t%d\t%s"):format(case, before, after, how)) end
end

t.test("case 1: a prompt trimmed", function()
  t.upstream("m", { text = "ok" })
  local req = t.request{ model = MODEL, messages = { { role = "user", content = cases.prompt } } }
  local before = req:tokens()
  t.run("trim", {}, req)
  row("a prompt with courtesy and appeals", before, req:tokens(), "trim")
  local left = t.calls("m")[1].body.messages[1].content
  for _, s in ipairs{ "“周末去山里”", "溪谷徒步、星空露营、果园采摘", "180字以内", "活动的时间" } do t.ok(left:find(s, 1, true), s) end
  t.ok(req:tokens() < before * 0.7, ("%d of %d"):format(req:tokens(), before))
end)

t.test("case 2: a history compressed", function()
  t.upstream("m", { text = "ok" })
  local req = t.request{ model = MODEL, messages = cases.history(), tenant = "case 2" }
  local before = req:tokens()
  t.run("compress_history", { window = math.floor(before), keep_turns = 1, guard = false }, req)
  row("nine topics, then a question about the fourth", before, req:tokens(), "compress_history")
  t.match(perilune.json.encode(t.calls("m")[1].body.messages), cases.last_answer)
  t.ok(req:tokens() < before * 0.4, ("%d of %d"):format(req:tokens(), before))
end)

t.test("case 3: eleven rounds of context", function()
  local function after(rounds, policy, options)
    t.upstream("m", { text = "ok" })
    local req = t.request{ model = MODEL, messages = cases.rounds(rounds), tenant = "case 3 " .. rounds .. tostring(policy) }
    if policy then t.run(policy, options, req) end
    return req:tokens()
  end
  local first, last = after(0), after(11)
  row("\"Hello world !\", without and with eleven rounds", first, last, "none")
  local window = after(11, "window", { max_tokens = 1500 })
  local history = after(11, "compress_history", { window = 3000, keep_turns = 1, guard = false })
  row("the eleven rounds", last, window, "window, max_tokens = 1500")
  row("the eleven rounds", last, history, "compress_history, window = 3000")
  t.ok(first < 40 and last > 4000 and window <= 1500 and history < last / 2)
end)

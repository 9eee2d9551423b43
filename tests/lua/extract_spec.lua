--- How much of what answers a question survives an extraction, on the passages of contexts.lua.
local t = require "perilune.test"
local text = require "perilune.text"
local contexts = require "contexts"

--- Every question against a text that build(context, i, k) makes: how many answers are in
--- what is left, how much is left, and the questions that lost theirs.
local function measure(ratio, build)
  local asked, kept, before, after, lost = 0, 0, 0, 0, {}
  for i, context in ipairs(contexts) do
    for k, ask in ipairs(context.ask) do
      local short, info = text.extract(build(context, i, k), ask[1], { ratio = ratio, floor = ratio })
      asked, before, after = asked + 1, before + info.before, after + info.after
      if short:find(ask[2], 1, true) then kept = kept + 1 else lost[#lost + 1] = ask[1] end
    end
  end
  return kept / asked, after / before, table.concat(lost, " | ")
end

local function join(list, between)
  local texts = {}
  for i, context in ipairs(list) do texts[i] = context.text end
  return table.concat(texts, between)
end

-- The passage and three others, at a place that depends on the question.
local function four(context, i, k)
  local list = {}
  for j = 1, 3 do list[j] = contexts[(i + j * 2) % #contexts + 1] end
  table.insert(list, k % 4 + 1, context)
  return join(list, "\n\n")
end

local function all() return join(contexts, "\n\n") end

-- One paragraph of all passages in its language: nothing tells where one ends.
local function blurred(context)
  local list = {}
  for _, other in ipairs(contexts) do
    if other.lang == context.lang then list[#list + 1] = other end
  end
  return join(list, context.lang == "zh" and "" or " ")
end

local function holds(name, ratio, build, least)
  t.test(name, function()
    local kept, left, lost = measure(ratio, build)
    t.ok(left <= ratio * 1.05, ("%.3f of the tokens are left"):format(left))
    t.ok(kept >= least, ("%.1f %% of the answers are kept; lost: %s"):format(kept * 100, lost))
  end)
end

holds("four passages, half of them: every answer", 0.5, four, 1)
holds("four passages, a quarter of them: every answer", 0.25, four, 1)
holds("ten passages, a tenth of them: 98 %", 0.1, all, 0.98)
holds("five passages in one paragraph, half of it: 98 %", 0.5, blurred, 0.98)
holds("five passages in one paragraph, 30 % of it: 98 %", 0.3, blurred, 0.98)

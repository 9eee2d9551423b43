-- outcomes.lua -- made-up outcomes of a small and a big model, for judging classifiers of prompts.
--
--   local outcomes = require "eval.outcomes"      (package.path: tests/?.lua)
--   outcomes.write(path, { seed = 1, subjects = 24, each = 100 })
--
-- A subject has words of its own and a hidden difficulty, so that what is learned of its words is of no use for
-- another one.  What all subjects share: some kinds of tasks are harder than others (to prove, to compare, to look up),
-- each said in several ways; longer prompts with more conditions are harder.  A model answers well with a chance that
-- falls with the difficulty, the small one's faster.  So a prompt is not decided by what can be seen of it, and nobody
-- reaches the oracle.
--
-- The same seed gives the same lines.

local M = {}

-- A generator of its own: math.random differs between versions.
local function generator(seed)
  local state = (seed * 2654435761 + 12345) % 2 ^ 31
  return function(n)
    state = (state * 1103515245 + 12345) % 2 ^ 31
    local x = math.floor(state / 2 ^ 8) / 2 ^ 23
    if n then return math.floor(x * n) + 1 end
    return x
  end
end

local kinds = { -- how hard, and how it is asked
  { -1.4, { "What is the meaning of %s?", "Define %s.", "What does %s mean?", "Name the capital term for %s." } },
  { -0.9, { "List three examples of %s.", "Give me some examples of %s.", "Which %s are there?" } },
  { -0.3, { "Summarize what is known of %s.", "Describe %s in a few sentences.", "Tell me about %s." } },
  { 0.4, { "Compare %s with %s.", "How does %s differ from %s?", "Which is better, %s or %s, and when?" } },
  { 0.9, { "Why does %s lead to %s? Explain step by step.", "Derive how %s follows from %s.", "Explain the mechanism behind %s." } },
  { 1.5, { "Prove that %s holds whenever %s does.", "Find the flaw in this argument about %s and %s.",
    "Calculate the effect of %s on %s under the conditions below." } },
}

local conditions = {
  "Assume that %s stays constant.", "Take %s into account as well.", "Do not use %s.", "There are %d cases of %s to consider.",
  "The result must hold for all %s.", "Ignore %s at first, then add it.", "State each assumption about %s.",
}

local syllables = { "ba", "co", "di", "fu", "ga", "lo", "mi", "ne", "pra", "qui", "ro", "sta", "ter", "vo", "xe", "zan", "lin", "mor" }

local function word(random)
  local out = {}
  for i = 1, 2 + random(2) do out[i] = syllables[random(#syllables)] end
  return table.concat(out)
end

local function subject(random, number)
  local s = { name = ("subject %d"):format(number), words = {}, hard = (random() + random() + random() - 1.5) * 1.6 }
  for i = 1, 30 do s.words[i] = word(random) end
  return s
end

local function fill(template, s, random)
  return (template:gsub("%%([sd])", function(what)
    if what == "d" then return tostring(random(9) + 1) end
    return s.words[random(#s.words)] .. (random(3) == 1 and " " .. s.words[random(#s.words)] or "")
  end))
end

local function chance(ability, difficulty) return 1 / (1 + math.exp(difficulty - ability)) end

--- One prompt: its text, and the quality of both models.
local function prompt(s, random)
  local kind, parts = kinds[random(#kinds)], {}
  parts[1] = fill(kind[2][random(#kind[2])], s, random)
  local n = math.max(0, random(5) - 2)
  for i = 1, n do parts[i + 1] = fill(conditions[random(#conditions)], s, random) end
  local difficulty = s.hard + kind[1] * 1.3 + n * 0.3
  local small = random() < chance(0.6, 1.4 * difficulty) and 1 or 0
  local big = random() < chance(2.2, 0.8 * difficulty) and 1 or 0
  return table.concat(parts, " "), small, big
end

--- Lines of JSON, one for each prompt.
---@param options { seed: integer, subjects: integer, each: integer }
---@return string[]
function M.lines(options)
  local random, lines = generator(options.seed), {}
  for i = 1, options.subjects do
    local s = subject(random, i)
    for _ = 1, options.each do
      local text, small, big = prompt(s, random)
      lines[#lines + 1] = ('{"prompt": "%s", "models": {"small": {"quality": %d, "cost": %.7f}, "big": {"quality": %d, "cost": %.7f}}, "group": "%s"}')
        :format(text, small, #text / 4 * 0.15e-6 + 3e-5, big, #text / 4 * 2.5e-6 + 1e-3, s.name)
    end
  end
  return lines
end

function M.write(path, options)
  local f = assert(io.open(path, "w"))
  f:write(table.concat(M.lines(options), "\n"), "\n")
  f:close()
end

return M

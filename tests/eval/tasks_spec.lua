--- How often the default `when` of decompose is right about the questions of tasks.lua, on the half that its rules were not
--- made with.  A wrong yes costs a planner and a stranger answer; a wrong no costs the gain of one request.  With
--- PERILUNE_FIGURES in the environment it prints the figures.
local t = require "perilune.test"
local divisible = require "perilune.divisible"
local tasks = require "tasks"
local tasks_in = require "perilune.tasks_in"

local printing = os.getenv("PERILUNE_FIGURES")

local function figure(name, value, unit, bar, at_least)
  if printing then print(("figure\t%s\t%.10g\t%s\t%s\t%s"):format(name, value, unit, bar or "", at_least and "least" or "most")) end
end

local function measure(lang, half)
  local right, wrong, missed = 0, 0, {}
  for i = half, #tasks.several[lang], 2 do
    local said = tasks.several[lang][i]
    if divisible.is_several(t.request(said)) then right = right + 1 else missed[#missed + 1] = said end
  end
  for i = half, #tasks.one[lang], 2 do
    if divisible.is_several(t.request(tasks.one[lang][i])) then wrong = wrong + 1 end
  end
  return right / (right + wrong), right / (right + #missed)
end

for _, lang in ipairs{ "en", "zh" } do
  t.test("decompose knows several tasks from one: " .. lang, function()
    local precision, recall = measure(lang, 2)
    figure("tasks, precision, " .. lang, precision, "", 0.9, true)
    figure("tasks, recall, " .. lang, recall, "", 0.85, true)
    t.equal({ precision >= 0.9, recall >= 0.85 }, { true, true }, ("%.3f, %.3f"):format(precision, recall))
  end)
end

t.test("what it costs, of whatever is said: steps are bounded by the 4 KiB that are looked at", function()
  for what, piece in pairs{ quotes = "“", commas = "a,", points = "a.", items = "- a\n", asks = "please ", zh = "请帮我", marks = "、",
                            sections = "in two sections " } do
    local said = piece:rep(math.floor(4096 / #piece))
    local begun = os.clock()
    tasks_in.several(said)
    figure("tasks, worst case, " .. what, (os.clock() - begun) * 1e6, "us")
  end
  tasks_in.several(("a"):rep(4096))
  t.equal(tasks_in.several(""), false)
end)

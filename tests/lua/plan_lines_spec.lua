local t = require "perilune.test"
local plan_lines = require "perilune.plan_lines"

local function read(text, max, by)
  local reader = plan_lines.reader(max or 8)
  for i = 1, #text, by or #text do reader:feed(text:sub(i, i + (by or #text) - 1)) end
  return reader:finish(), reader
end

local function shown(tasks)
  local out = {}
  for i, task in ipairs(tasks) do
    out[i] = task.title .. "=" .. task.text .. (task.after[1] and "<" .. table.concat(task.after, ",") .. ">" or "")
  end
  return table.concat(out, " / ")
end

t.test("lines are tasks, in whatever pieces they come", function()
  local text = "1. A :: do a\n2. B :: do b\n3. C :: join $1 and $2"
  for _, by in ipairs{ 1, 2, 7, 1000 } do
    t.equal(shown((read(text, 8, by))), "A=do a / B=do b / C=join $1 and $2<1,2>")
  end
end)

t.test("a task is there as soon as its line is", function()
  local reader = plan_lines.reader(8)
  reader:feed("1. A :: do a")
  t.equal(#reader.tasks, 0)
  reader:feed("\n2. B")
  t.equal({ #reader.tasks, reader:is_known(reader.tasks[1]) }, { 1, true })
end)

t.test("what models make of it", function()
  t.equal(shown((read("Here is the plan:\n\n- **1.** **A** :: do a\n### 2) B | do b\nThat is all.\n"))), "A=do a / B=do b")
  t.equal(shown((read("1、历史 :: 写历史\n2、电池：：写电池\n３、x\n"))), "历史=写历史 / 电池=写电池")
  t.equal(shown((read("<think>\n1. no :: no\n</think>\n1. A :: a\n"))), "A=a")
  t.equal(shown((read("1. Describe the history. At length.\r\n2. Describe today\r\n"))),
    "Describe the history=Describe the history. At length. / Describe today=Describe today")
  t.equal(shown((read("1. A :: a\n1. B :: b\n2. C :: $1\n"))), "A=a / B=b / C=$1<1>")
end)

t.test("nonsense is no plan", function()
  for _, text in ipairs{ "", "\n\n\n", "I cannot do that.", ("x"):rep(100000), "1.\n2.\n3. --\n", "{\"plan\": []}", ("1"):rep(3000) } do
    local tasks = read(text)
    t.equal(#tasks, 0, text:sub(1, 20))
  end
  local _, reader = read("ONE\n1. A :: a\n")
  t.equal({ reader.one, #reader.tasks }, { true, 0 })
end)

t.test("a hundred parts: what is too much goes into the last one", function()
  local lines = {}
  for i = 1, 100 do lines[i] = ("%d. T%d :: do %d"):format(i, i, i) end
  local tasks, reader = read(table.concat(lines, "\n"), 4)
  t.equal({ #tasks, reader.extra }, { 4, 96 })
  t.match(tasks[4].text, "^do 4\nAlso: T5: do 5\n")
  t.ok(#tasks[4].text < 7000)
  local open = plan_lines.reader(2)
  open:feed("1. A :: a\n2. B :: b\n")
  t.equal({ open:is_known(open.tasks[1]), open:is_known(open.tasks[2]) }, { true, false })
end)

t.test("more than a plan is: the planner may be stopped", function()
  local reader = plan_lines.reader(4)
  for i = 1, 500 do reader:feed(i .. ". T :: do\n") end
  t.equal(reader.over, true)
  reader = plan_lines.reader(4)
  for _ = 1, 100 do reader:feed(("x"):rep(1000)) end
  t.equal({ reader.over, #reader.rest <= 2000 }, { true, true })
end)

t.test("circles, forward references, numbers that never come, and a task's own", function()
  local tasks, reader = read("1. A :: $2\n2. B :: $1\n")
  t.equal({ shown(tasks), reader.cut }, { "A=$2<2> / B=$1", 1 })
  t.equal(shown((read("1. A :: with $3\n2. B :: b\n3. C :: c\n"))), "A=with $3<3> / B=b / C=c")
  t.equal(shown((read("1. A :: $1 and $9\n2. B :: ${1}\n"))), "A=$1 and $9 / B=${1}<1>")
  t.equal(shown((read("1. A :: $2\n2. B :: $3\n3. C :: $1\n"))), "A=$2<2> / B=$3<3> / C=$1")
  local open = plan_lines.reader(8)
  open:feed("1. A :: $2\n")
  t.equal(open:is_known(open.tasks[1]), false)
  open:feed("2. B :: b\n")
  t.equal({ open:is_known(open.tasks[2]), open:is_known(open.tasks[1]) }, { true, true })
end)

--- plan_lines: a plan that a model writes as lines, read while it is being written.
--
--     1. History :: Describe the history of electric cars.
--     2. Batteries :: Explain today's batteries.
--     3. Outlook :: Conclude from $1 and $2 what comes next.
--
-- A line is a task as soon as its end is there.  "$2" says that the task needs what came of task 2, also of one that
-- comes later.  ONE on a line of its own says that there is nothing to divide.
--
-- What models make of that: Markdown around it, Chinese marks, numbers twice, talk before and behind, thoughts in
-- <think>.  What is no task is passed over.  When there are more than max_parts, what is too much goes into the last
-- part, which is therefore not complete until the plan is.  Numbers that never come, a task's own, and one reference of
-- each circle are taken out: what stands behind it is then not known to the task.

local M = {}

local LINE = 2000    -- bytes of a line that are looked at; what is behind them is passed over
local TEXT = 6000    -- bytes of a task
local LINES = 200    -- lines of a plan, and
local BYTES = 32768  -- bytes: more is no plan
local TITLE = 120    -- bytes of a title

---@class perilune.PlanTask
---@field index integer    from 1, in the order of the plan
---@field title string
---@field text string
---@field after integer[]  indices, once complete
---@field complete boolean it will not change any more

---@class perilune.PlanReader
local Reader = {}
Reader.__index = Reader

--- max_parts: at least 1.  alone: no task needs another, and "$5" is a price.
---@param max_parts integer
---@param alone? boolean
---@return perilune.PlanReader
function M.reader(max_parts, alone)
  return setmetatable({ max_parts = max_parts, alone = alone, tasks = {}, by_number = {}, rest = "", lines = 0, bytes = 0, over = false,
                        one = false, thinking = false, extra = 0 }, Reader)
end

-- -- one line ------------------------------------------------------------------------------

local wide = { ["．"] = ".", ["、"] = ".", ["）"] = ")" }

local function clip(text, most)
  if #text <= most then return text end
  return (text:sub(1, most):gsub("[\192-\255][\128-\191]*$", ""))
end

-- Number, title, text; or nothing: it is no task.
local function parse(line)
  line = line:gsub("\r$", "")
  local head = line:sub(1, 24):gsub("[\226-\239][\128-\191][\128-\191]", wide)
  line = (head .. line:sub(25)):gsub("：：", "::"):gsub("｜", "|"):gsub("＄", "$")
  line = line:gsub("%*%*", "")
  local number, rest = line:match("^[%s%-%*#>]*%$?(%d%d?%d?)%s*[%.%):]+%s*(.+)$")
  if not number then return nil end
  local title, text = rest:match("^(.-)%s*::%s*(.+)$")
  if not title then title, text = rest:match("^(.-)%s*|%s*(.+)$") end
  if not title or not title:find("%S") then title, text = "", rest end
  if not text:find("[%w\128-\255]") then return nil end
  if title == "" then title = text:match("^([^%.:;]+)") or text end
  return tonumber(number), clip(title, TITLE), clip(text, TEXT)
end

-- -- tasks ------------------------------------------------------------------------------------

-- What is too much is told to the last part.
local function add_to_last(self, number, title, text)
  local last = self.tasks[self.max_parts]
  self.extra = self.extra + 1
  self.by_number[number] = self.by_number[number] or last.index
  if #last.text + #text < TEXT then last.text = last.text .. "\nAlso: " .. title .. ": " .. text end
end

local function add(self, number, title, text)
  if #self.tasks == self.max_parts then return add_to_last(self, number, title, text) end
  local task = { index = #self.tasks + 1, title = title, text = text, after = {}, complete = false }
  self.tasks[task.index] = task
  self.by_number[number] = self.by_number[number] or task.index
  -- The last one may get more.
  task.complete = task.index < self.max_parts
  return task
end

local function take_line(self, line)
  self.lines, self.bytes = self.lines + 1, self.bytes + #line + 1
  if self.lines > LINES or self.bytes > BYTES then
    self.over = true
    return
  end
  line = line:sub(1, LINE)
  if self.thinking then
    if line:find("</think>", 1, true) then self.thinking = false end
    return
  end
  if line:find("^%s*<think>") then
    self.thinking = not line:find("</think>", 1, true)
    return
  end
  if #self.tasks == 0 and line:find("^[%s%*\"'`%.]*ONE[%s%*\"'`%.]*$") then self.one, self.over = true, true end
  local number, title, text = parse(line)
  if number and not self.over then add(self, number, title, text) end
end

--- More of the plan.  self.over: nothing behind this matters, and the planner may be stopped.
---@param text string
function Reader:feed(text)
  if self.over then return end
  local at = 1
  while not self.over do
    local stop = text:find("\n", at, true)
    if not stop then break end
    local line = self.rest .. text:sub(at, stop - 1)
    self.rest, at = "", stop + 1
    take_line(self, line)
  end
  local rest = text:sub(at)
  -- What goes on without an end is passed over, but counted.
  self.bytes = self.bytes + math.max(0, #self.rest + #rest - LINE)
  self.rest = (self.rest .. rest):sub(1, LINE)
  if self.bytes > BYTES then self.over = true end
end

local function nothing() end

-- The numbers that a task's text refers to, one after the other.
local function numbers_in(self, task)
  return self.alone and nothing or task.text:gmatch("%${?(%d%d?%d?)}?")
end

-- Which tasks a text refers to.  A number that is not known yet keeps its name: "#7".
local function references(self, task)
  local out, seen = {}, {}
  for number in numbers_in(self, task) do
    local index = self.by_number[tonumber(number)]
    if index and index ~= task.index and not seen[index] then
      seen[index] = true
      out[#out + 1] = index
    end
  end
  return out
end

-- Does `from` need `what`, directly or over others?
local function needs(tasks, from, what, seen)
  if from == what then return true end
  if seen[from] then return false end
  seen[from] = true
  for _, index in ipairs(tasks[from].after) do
    if needs(tasks, index, what, seen) then return true end
  end
  return false
end

local function resolve(self, task)
  task.after = {}
  for _, index in ipairs(references(self, task)) do
    if needs(self.tasks, index, task.index, {}) then self.cut = (self.cut or 0) + 1
    else task.after[#task.after + 1] = index end
  end
end

--- The plan is over: all tasks are complete.  Returns them.
---@return perilune.PlanTask[]
function Reader:finish()
  if not self.over and self.rest ~= "" then take_line(self, self.rest) end
  self.rest, self.over = "", true
  for _, task in ipairs(self.tasks) do
    if not task.resolved then resolve(self, task) end
    task.complete, task.resolved = true, true
  end
  return self.tasks
end

--- Can it begin when those that it needs are done?  Not before all that it refers to is known.
---@param task perilune.PlanTask
---@return boolean
function Reader:is_known(task)
  if task.resolved then return true end
  if not task.complete then return false end
  for number in numbers_in(self, task) do
    local index = self.by_number[tonumber(number)]
    if not index or not self.tasks[index] or index ~= task.index and not self.tasks[index].resolved then return false end
  end
  resolve(self, task)
  task.resolved = true
  return true
end

return M

--- crew: a plan that is carried out while it is written, and an answer made of what comes of it.  For the policies
--- decompose and skeleton.
--
--     planner --lines--> [ board: tasks ] --workers (bounded)--> results --writer--> the client
--                             ^    |                                |
--                             +----+--- core.signal: look again ----+
--
-- Three kinds of branches share the board and wait for each other by its signal: the one that reads the plan, the
-- workers, each of which takes the next task whose predecessors are done, and the writer, which hands parts on in the
-- order of the plan.  The first part flows to the client while the others are written; those are held (bounded) until
-- it is their turn.  With a merger nothing flows before all parts are there; then the merger's answer does.
--
-- A part that begins while an earlier one waits cannot wait for its turn, and is read to its end at once: the earlier one
-- may need it ("$3" in task 1), directly or over others, or the hands that hold it.  So whatever flows stands behind
-- parts that have begun, and the writer comes to it.
--
-- Nothing is said to the client before there are two tasks: until then the plain call can take the place of all.

local chat = require "perilune.chat"
local core = require "perilune.core"
local errors = require "perilune.errors"
local parts = require "perilune.parts"
local perilune = require "perilune"
local plan_lines = require "perilune.plan_lines"

local M = {}

local RESULT = 24000 -- bytes of an earlier part that a later one is shown
-- Of the request's time: what is not there by then is late.  The rest is for the merger, or for saying what is missing.
local SHARE, SHARE_ALONE = 0.7, 0.95
local PLAN_SHARE = 0.25 -- of the same, for the plan at most: behind one that hangs there must be time for the plain call

-- -- the board -----------------------------------------------------------------------------

local function new_board(job)
  local left = job.req:time_left()
  local share = job.merger and SHARE or SHARE_ALONE
  return { reader = plan_lines.reader(job.max_parts, job.alone), signal = core.signal(), results = {}, planned = false, job = job,
           until_s = left < 1e8 and job.on_error ~= "fail" and perilune.now() + left * share or nil }
end

-- Seconds that what begins now may take; nil: as long as it likes.
local function time_for_parts(board)
  return board.until_s and math.max(0.001, board.until_s - perilune.now())
end

local function wait(board) core.result(core.signal_wait(board.signal)) end
local function tell(board) core.signal_tell(board.signal) end

local function tasks_of(board) return board.reader.tasks end

-- -- the plan -------------------------------------------------------------------------------

local LATE = errors.new{ code = "timeout", status = 504, retryable = true, message = "the plan did not come in time" }

-- True; or false, and why it breaks off.
local function read_events(board, res)
  local reader, err = board.reader, nil
  for ev in res:events() do
    if ev.type == "error" then err = ev.error end
    if ev.type == "text" then
      local before = #reader.tasks
      if board.job.show_plan then board.out:reasoning(ev.text) end
      reader:feed(ev.text)
      if #reader.tasks > before then tell(board) end
    end
    if reader.over then break end
  end
  return err == nil, err
end

-- Reads the plan to its end, or as far as it matters, or as there is time.
local function read_plan(board, res, until_s)
  local _, err = perilune.race{ function() return read_events(board, res) end, function()
    perilune.sleep(math.max(0, until_s - perilune.now()))
    return nil, LATE
  end }
  board.out:count(res)
  res:discard()
  return err
end

local function plan(board)
  local job, question = board.job, board.job.plan()
  question.timeout = math.max(0.001, math.min(job.plan_timeout, job.req:time_left() * PLAN_SHARE))
  local until_s = perilune.now() + question.timeout
  local res, err = perilune.ask(question)
  if res then err = read_plan(board, res, until_s) end
  board.reader:finish()
  if err and #tasks_of(board) >= 2 then board.out:partial() end -- there may be more to it
  parts.count(job.policy, "planner", err == nil)
  board.plan_error, board.planned = err, true
  tell(board)
  return true
end

-- -- the parts -------------------------------------------------------------------------------

local function clip(text)
  if #text <= RESULT then return text end
  return (text:sub(1, RESULT):gsub("[\192-\255][\128-\191]*$", "")) .. "\n[...]"
end

-- What the tasks said that this one needs.
local function needed(board, task)
  local out = {}
  for _, index in ipairs(task.after) do
    local result = board.results[index]
    local said = result.text and result.text:find("%S") and clip(result.text) or "(not available)"
    out[#out + 1] = ("$%d (%s):\n%s"):format(index, board.reader.tasks[index].title, said)
  end
  return table.concat(out, "\n\n")
end

-- Does an earlier task wait still, maybe for this one, or for the hands that have it?
local function waits_before(board, index)
  for i = 1, index - 1 do
    if not board.results[i] then return true end
  end
  return false
end

-- Asks for a part; once more when that may help.
local function ask(board, task, whole)
  local job, res, err, text = board.job, nil, nil, nil
  for _ = 1, 2 do
    local question = job.part(task, needed(board, task))
    question.stream, question[job.part_field or "max_tokens"] = not whole, job.part_tokens
    question.timeout = time_for_parts(board)
    res, err = perilune.ask(question)
    if res and whole then
      text, err = res:text()
      board.out:count(res)
    end
    if res and not err or not err.retryable or err.code == "timeout" then break end
  end
  return res, err, text
end

-- A result has a response that flows (res), or a text, or an error.
local function work(board, task)
  local result = board.results[task.index]
  local whole = board.job.merger ~= nil or waits_before(board, task.index)
  local res, err, text = ask(board, task, whole)
  if err then result.err = err
  elseif whole then result.text = text
  else
    result.pieces = {}
    result.res = res:tap(function(ev)
      if ev.type == "text" then result.pieces[#result.pieces + 1] = ev.text end
    end)
  end
  result.ready, result.done = true, result.res == nil
  tell(board)
  if result.done then parts.count(board.job.policy, "worker", err == nil) end
  -- The writer says when a part that flows is over.
  while not result.done do wait(board) end
end

local function can_begin(board, task)
  if board.results[task.index] or not board.reader:is_known(task) then return false end
  for _, index in ipairs(task.after) do
    if not (board.results[index] and board.results[index].done) then return false end
  end
  return true
end

-- One pair of hands: takes tasks until there will be none.
local function hand(board)
  while true do
    local open, found = not board.planned, nil
    for _, task in ipairs(tasks_of(board)) do
      if not board.results[task.index] then
        open = true
        if can_begin(board, task) then
          found = task
          break
        end
      end
    end
    if board.over or not open then return true end
    if found then
      board.results[found.index] = {}
      work(board, found)
    else
      wait(board)
    end
  end
end

-- -- the answer ---------------------------------------------------------------------------------

local notes = {
  en = { failed = "[This part could not be written.]", broke = "\n\n[This part breaks off here.]" },
  zh = { failed = "[这一部分未能完成。]", broke = "\n\n[这一部分在此中断。]" },
}

-- A part that failed: nil, err when that is the end of all.
local function failed(board, result, broke)
  local job = board.job
  job.req:log("warn", job.policy .. ": a part failed", { code = result.err.code, message = result.err.message, rule = job.on_error })
  if job.on_error == "fail" then return nil, result.err end
  board.out:partial()
  if job.on_error == "skip" and not broke then return true end
  board.out:write((notes[job.language] or notes.en)[broke and "broke" or "failed"])
  return true
end

-- A part flows to its end, or until the time is over: then the client gets what there is.
local function flow(board, res)
  local seconds = time_for_parts(board)
  if not seconds then return board.out:pipe(res) end
  return perilune.race{
    function() return board.out:pipe(res) end,
    function()
      perilune.sleep(seconds)
      return nil, errors.new{ code = "timeout", status = 504, message = "a part took longer than the request may" }
    end,
  }
end

-- What stands in front of a part.  Once: under the rule "note" it goes out before the part is there.
local function write_head(board, index)
  if board.headed == index then return end
  if board.headed then board.out:write(board.job.gap) end
  board.headed = index
  local head = board.job.head(tasks_of(board)[index], index)
  if head ~= "" then board.out:write(head) end
end

local function write_part(board, index)
  local result, job = board.results[index], board.job
  if result.err and job.on_error ~= "note" then return failed(board, result) end
  write_head(board, index)
  if result.err then return failed(board, result) end
  if result.text then
    board.some = true
    board.out:write(result.text)
    return true
  end
  local info, err = flow(board, result.res)
  result.text = table.concat(result.pieces)
  result.done, result.err = true, err
  parts.count(job.policy, "worker", err == nil)
  tell(board)
  board.some = board.some or result.text ~= ""
  if info then return true end
  return failed(board, result, result.text ~= "")
end

-- Parts in their order, as they come.
local function write_parts(board)
  local index = 1
  while true do
    local result, task = board.results[index], tasks_of(board)[index]
    if task and task.complete and board.job.on_error == "note" then write_head(board, index) end
    if result and result.ready then
      local ok, err = write_part(board, index)
      if not ok then return nil, err end
      index = index + 1
    elseif board.planned and index > #tasks_of(board) then
      if not board.some then return nil, board.results[1].err end -- not one of them: that is no answer
      return true
    else
      wait(board)
    end
  end
end

-- All parts, then the merger's answer.
local function merge(board)
  local job, list = board.job, {}
  while not board.planned do wait(board) end
  for i, task in ipairs(tasks_of(board)) do
    while not (board.results[i] and board.results[i].done) do wait(board) end
    local result = board.results[i]
    if result.err and job.on_error == "fail" then return nil, result.err end
    if result.err then
      job.req:log("warn", job.policy .. ": a part failed", { code = result.err.code, message = result.err.message, rule = job.on_error })
    end
    if result.err then board.out:partial() end
    local said = result.text and clip(result.text) or job.on_error == "note" and "(this part could not be worked out)" or nil
    if said then list[#list + 1] = ("Part %d, %s:\n%s"):format(i, task.title, said) end
    board.some = board.some or result.text ~= nil
  end
  if not board.some then return nil, board.results[1].err end
  local res, err = perilune.ask(job.merge(table.concat(list, "\n\n---\n\n")))
  if not res then
    parts.count(job.policy, "merger", false)
    return nil, err
  end
  local info
  info, err = board.out:pipe(res)
  parts.count(job.policy, "merger", info ~= nil)
  if not info then return nil, err end
  return true
end

-- Why there is nothing to carry out; nil: there is.
local function refused(board)
  if board.plan_error and #tasks_of(board) < 2 then return "planner failed" end
  if board.reader.one then return "one" end
  if #tasks_of(board) == 0 then return "no plan" end
  return #tasks_of(board) == 1 and "one" or nil
end

local function plain(board, why)
  local job = board.job
  board.over = true
  for _, result in pairs(board.results) do
    if result.res then result.res:discard() end
    result.done = true
  end
  tell(board)
  job.req:log(board.plan_error and "warn" or "info", job.policy .. ": asked as one", { reason = why, code = board.plan_error and board.plan_error.code })
  parts.tally(job.policy, "plain")
  local res, err = job.plain()
  if not res then return nil, err end
  local info
  info, err = board.out:pipe(res)
  if not info then return nil, err end
  return true
end

local ENOUGH = errors.new{ code = "enough" } -- the answer is complete: what still runs ends

local function write(board)
  while #tasks_of(board) < 2 and not board.planned do wait(board) end
  local why = #tasks_of(board) < 2 and board.planned and refused(board)
  local ok, err
  if why then ok, err = plain(board, why)
  else
    parts.tally(board.job.policy, "parts")
    ok, err = (board.job.merger and merge or write_parts)(board)
  end
  return nil, ok and ENOUGH or err
end

---@class perilune.Job
---@field policy string      its name
---@field req perilune.Request
---@field language? string   of the question
---@field max_parts integer
---@field plan_timeout number seconds until the plan is there, and no more than a quarter of what the request has
---@field alone? boolean      no part needs what came of another
---@field concurrency integer
---@field on_error "note"|"skip"|"fail"
---@field gap string         between parts
---@field show_plan? boolean  the plan goes to the client as reasoning
---@field merger? string     an upstream that makes one answer of the parts; nil: the parts are the answer
---@field part_tokens? integer that each part may have, because the client bounds the whole
---@field part_field? string   as which the client did, default "max_tokens"
---@field plan fun(): table  what the planner is asked (perilune.ask)
---@field part fun(task: perilune.PlanTask, needed: string): table
---@field merge fun(list: string): table
---@field head fun(task: perilune.PlanTask, index: integer): string
---@field plain async fun(): perilune.Response?, perilune.Error?  the call that is made when there is nothing to divide

--- The client's messages, and one more of the user's.
---@param req perilune.Request
---@param text string
---@return perilune.Message[]
function M.with(req, text)
  local messages = {}
  for i, message in ipairs(req.messages) do messages[i] = message end
  messages[#messages + 1] = chat.message("user", text)
  return messages
end

--- The answer to a job.
---@param job perilune.Job
---@return perilune.Response
function M.answer(job)
  return perilune.compose(function(out)
    local board = new_board(job)
    board.out = out
    local fns = { function() return write(board) end, function() return plan(board) end }
    for _ = 1, job.concurrency do fns[#fns + 1] = function() return hand(board) end end
    local _, err = perilune.all(fns)
    if err ~= nil and err.code ~= ENOUGH.code then return nil, err end
    return true
  end)
end

return M

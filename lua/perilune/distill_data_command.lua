--- distill_data_command: perilune distill-data, the half of it that is in Lua.
--
--     files of capture --"select"--> examples, a line each ---------------------------+
--                            |                                                         |
--                            +--> questions, a line each --C asks the judge--> replies -+--"write"--> train, valid, test,
--                                                                                                    report.json
--
-- Without a judge both run at once.  Everything that is left out is counted by its reason; the report says so, that of
-- the terminal and that of the file.

local core = require "perilune.core"
local data = require "perilune.distill_data"

local M = {}

local LINE_MAX = 4 * 1024 * 1024 -- bytes; capture writes 256 KiB at most
local EXAMPLES_MAX = 500000
local CHUNK = 65536
local SETS = { "train", "valid", "test" }

local function fail(status, format, ...) error({ status = status, message = format:format(...) }, 0) end

-- -- files ---------------------------------------------------------------------

--- Lines of a file; one that is longer than LINE_MAX comes as false.
local function lines_of(path)
  local f, err = _G.io.open(path, "rb")
  if not f then fail(1, "%s", err) end
  local rest, too_long, done = "", false, false
  local function next_line()
    local at = rest:find("\n", 1, true)
    if not at then return nil end
    local line = not too_long and rest:sub(1, at - 1)
    rest, too_long = rest:sub(at + 1), false
    return line
  end
  local function read_more()
    local chunk, why = f:read(CHUNK)
    if not chunk and why then fail(1, "%s: %s", path, why) end
    done = not chunk
    if #rest > LINE_MAX then rest, too_long = "", true end
    rest = rest .. (chunk or "")
  end
  return function()
    while true do
      local line = next_line()
      if line ~= nil then return line end
      if done then
        line = not too_long and rest
        if rest == "" then return nil end
        rest, too_long = "", false
        return line
      end
      read_more()
      if done then f:close() end
    end
  end
end

-- All or nothing: what exists is whole.
local function write(path, pieces)
  local part = path .. ".part"
  local f, err = _G.io.open(part, "wb")
  local ok = f ~= nil
  for _, piece in ipairs(f and pieces or {}) do
    if ok then ok, err = f:write(piece, "\n") end
  end
  if f and not f:close() then ok = nil end
  if ok then ok, err = _G.os.rename(part, path) end
  if not ok then
    _G.os.remove(part)
    fail(1, "%s: %s", path, tostring(err))
  end
end

-- -- select --------------------------------------------------------------------

local function rules_of(given)
  local languages
  for _, name in ipairs(given.language or {}) do
    languages = languages or {}
    languages[name] = true
  end
  return {
    languages = languages, same_language = given.same_language, min_chars = given.min_chars, max_chars = given.max_chars,
    refusals = given.keep_refusals, truncated = given.keep_truncated, reasoning = given.keep_reasoning,
    system = not given.drop_system,
  }
end

local function line_of(e) return core.json_encode{ messages = e.messages, tools = e.tools } end

local function new_report(given)
  local out = { records = 0, left_out = {}, kept = 0, sets = {}, files = core.json_array{}, first = {} }
  for _, file in ipairs(given.files) do table.insert(out.files, file) end
  for _, reason in ipairs(data.REASONS) do out.left_out[reason] = 0 end
  for _, set in ipairs(SETS) do out.sets[set] = 0 end
  return out
end

local function leave_out(report, reason, where)
  report.left_out[reason] = report.left_out[reason] + 1
  report.first[reason] = report.first[reason] or where
end

local function record_of(line)
  local record = line and core.json_decode(line)
  if type(record) ~= "table" or type(record.messages) ~= "table" or type(record.choices) ~= "table" then return nil end
  return record
end

-- The first choice that passes; else why the first one did not.
local function choose(record, rules, known)
  local why
  for _, choice in ipairs(record.choices) do
    local e, reason = data.example(record, choice, rules)
    reason = reason or data.reason(e, rules)
    if not reason then
      reason = known(e)
      if not reason then return e end
    end
    why = why or reason
  end
  return nil, why or "no_answer"
end

local function select(given, report)
  local rules, known, out = rules_of(given), data.known(given.near), {}
  for _, file in ipairs(given.files) do
    local number = 0
    for line in lines_of(file) do
      number = number + 1
      report.records = report.records + 1
      local record = record_of(line)
      local e, reason = nil, "unreadable"
      if record then e, reason = choose(record, rules, known) end
      if e then out[#out + 1] = e else leave_out(report, reason, ("%s:%d"):format(file, number)) end
      if #out > EXAMPLES_MAX then fail(1, "more than %d examples: give it fewer files at a time", EXAMPLES_MAX) end
    end
  end
  return out
end

-- -- write ---------------------------------------------------------------------

local function safe(text) return (text:gsub("[%z\1-\31\127]", "?")) end

local function tell(given, report)
  if given.json then
    _G.io.stdout:write(core.json_encode(report), "\n")
    return
  end
  local out = { ("%d records, %d examples: %d train, %d valid, %d test"):format(report.records, report.kept,
    report.sets.train, report.sets.valid, report.sets.test) }
  for _, reason in ipairs(data.REASONS) do
    local n = report.left_out[reason]
    if n > 0 then
      out[#out + 1] = ("  left out: %6d %-15s first %s"):format(n, (reason:gsub("_", " ")), safe(report.first[reason]))
    end
  end
  _G.io.stdout:write(table.concat(out, "\n"), "\n")
end

local function store(given, report, examples)
  local sets = { train = {}, valid = {}, test = {} }
  for _, e in ipairs(examples) do table.insert(sets[e.set], e.line) end
  for _, set in ipairs(SETS) do report.sets[set] = #sets[set] end
  report.kept = #examples
  if report.kept == 0 then
    tell(given, report)
    fail(1, "no example is left: nothing was written")
  end
  for _, set in ipairs(SETS) do write(("%s/%s.jsonl"):format(given.output, set), sets[set]) end
  write(given.output .. "/report.json", { core.json_encode(report) })
  tell(given, report)
  return 0
end

local function finished(given, e)
  return { line = line_of(e), set = data.set_of(e.first, given.valid, given.test) }
end

-- Examples and the report wait in a file for what the judge says.
local function prepare(given, report, examples)
  local waiting, questions = { core.json_encode(report) }, {}
  for i, e in ipairs(examples) do
    waiting[i + 1] = core.json_encode(finished(given, e))
    questions[i] = data.question(e, given.model)
  end
  write(given.waiting, waiting)
  write(given.questions, questions)
  return 0
end

local function judged(given)
  local waiting, replies = lines_of(given.waiting), lines_of(given.replies)
  local report, examples = core.json_decode(waiting()), {}
  for line in waiting do
    local score = data.score(replies() or "")
    if score and score >= given.min_score then examples[#examples + 1] = core.json_decode(line)
    else leave_out(report, "judged", "the judge") end
  end
  return store(given, report, examples)
end

local function run(given)
  if given.step == "write" then return judged(given) end
  local report = new_report(given)
  local examples = select(given, report)
  if given.step == "select" and #examples > 0 then return prepare(given, report, examples) end
  local out = {}
  for i, e in ipairs(examples) do out[i] = finished(given, e) end
  return store(given, report, out)
end

--- Runs the command, or a step of it; returns its exit status.
---@param argument string  JSON: step ("all", "select", "write"), files, output, and the options of core/cli/distill_data.c
---@return integer status
function M.run(argument)
  local ok, status = pcall(run, core.json_decode(argument))
  if ok then return status end
  local err = type(status) == "table" and status.status and status or { status = 1, message = tostring(status) }
  _G.io.stderr:write("perilune distill-data: ", err.message, "\n")
  return err.status
end

return M

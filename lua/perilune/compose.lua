--- compose: an answer that a coroutine writes, out of texts and of other answers.
--
--     return perilune.compose(function(out)
--       out:write("Two opinions.\n\n")
--       return out:ordered{ function() return perilune.ask{ upstream = "a", messages = q } end,
--                           function() return perilune.ask{ upstream = "b", messages = q } end }
--     end)
--
-- C keeps the stream in one piece (core/request/composed.c, pipe.c); here are the names, and how several answers
-- become one.

local check = require "perilune.check"
local core = require "perilune.core"
local errors = require "perilune.errors"
local frame = require "perilune.frame"

local M = {}

local result, spawn = core.result, core.spawn
local Out = core.out_methods

local compose_options = { model = true }

-- What out:pipe() and those of several answers return says what became of them, and `return out:pipe(res)` is how most
-- functions end.
local function is_report(value)
  return type(value) == "table" and (type(value.said) == "boolean" or type(value.failed) == "table")
end

local instead = {
  string = "out:write(text)", number = "out:write(tostring(number))", userdata = "out:pipe(res)", table = "out:write(text) or out:pipe(res)",
}

-- The answer is what was written.  One that returns its text instead has misunderstood that, and would give an empty answer.
local function judged(fn, value, ...)
  if value == nil or type(value) == "boolean" or is_report(value) then return value, ... end
  local info = require("jit.util").funcinfo(fn)
  error(("%s:%s: perilune.compose: the function returned %s, which is not the answer: %s"):format(
    (info.source or "?"):gsub("^[@=]", ""), info.linedefined or "?", check.show(value),
    instead[type(value)] and "give it to " .. instead[type(value)] or "return nothing, or nil and an error"), 0)
end

--- The answer, at once; fn begins to write it at the end of the turn.
---@param fn async fun(out: perilune.Out): any?, perilune.Error?
---@param opts? { model?: string }
---@return perilune.Response
function M.compose(fn, opts)
  if type(fn) ~= "function" then error("perilune.compose takes a function(out), got " .. check.show(fn), 2) end
  check.known("perilune.compose", opts, compose_options)
  return core.compose(function(out) return judged(fn, frame(fn, out)) end, opts and opts.model)
end

-- -- Pieces --------------------------------------------------------------------

local write_options = { choice = true }

local function write(out, what, text, kind, opts)
  check.known("out:" .. what, opts, write_options, 4)
  return result(core.compose_text(out, text, kind, opts and opts.choice))
end

function Out:write(text, opts) return write(self, "write", text, "text", opts) end
function Out:reasoning(text, opts) return write(self, "reasoning", text, "reasoning", opts) end
function Out:refusal(text, opts) return write(self, "refusal", text, "refusal", opts) end

local call_fields = { id = true, name = true, arguments = true }

function Out:tool(call, opts)
  check.known("out:tool", call, call_fields)
  check.known("out:tool", opts, write_options)
  if type(call) ~= "table" or type(call.name) ~= "string" then
    error("out:tool takes { name = \"...\", arguments = {...} }", 2)
  end
  local arguments = call.arguments
  if type(arguments) ~= "string" then arguments = arguments and core.json_encode(arguments) or "{}" end
  local id = call.id or "call_" .. core.sha256(tostring(core.random())):sub(1, 24)
  return result(core.compose_call(self, id, call.name, arguments, opts and opts.choice))
end

function Out:finish(reason, opts)
  check.known("out:finish", opts, write_options)
  if type(reason) ~= "string" or reason == "" then error("out:finish takes the reason, such as \"length\", got " .. check.show(reason), 2) end
  core.compose_reason(self, reason, opts and opts.choice)
end

--- What a part used that does not come by pipe: a response that is over, or what res.usage says.
function Out:count(what)
  if type(what) ~= "table" then return core.compose_count(self, what) end
  return core.compose_count(self, what.prompt_tokens or 0, what.completion_tokens or 0, what.cached_tokens or 0, what)
end

--- Something that belongs to it is missing: no cache keeps it.
function Out:partial() core.compose_partial(self) end

-- -- Other answers ---------------------------------------------------------------

local pipe_options = { by = true, label = true, choice = true, as = true }
local ways = { event = "whole", line = "line" }

local function pipe(out, res, opts)
  local by = opts and opts.by or "event"
  if not ways[by] then error("out:pipe: 'by' is \"event\" or \"line\", got " .. check.show(by), 3) end
  return result(core.compose_pipe(out, res, ways[by], opts and opts.label, opts and opts.choice, opts and opts.as))
end

--- A part goes on as it comes.  `out:pipe(nil, err)` is the failure itself, so that a call may stand in the brackets.
function Out:pipe(res, opts)
  if res == nil then return nil, opts or errors.new{ code = "policy_error", message = "there is no answer to pipe" } end
  if type(res) == "string" then
    result(core.compose_text(self, res))
    return { said = res ~= "", refused = false, called = false, finish_reason = "stop" }
  end
  check.known("out:pipe", opts, pipe_options)
  return pipe(self, res, opts)
end

-- -- Several ------------------------------------------------------------------------

local BRANCHES_MOST = 256

local branch_fields = { run = true, label = true }
local merge_options = { on_fail = true, note = true, limit = true, between = true, by = true }
local rules = { all = true, note = true, skip = true }

local function check_branches(what, branches)
  if type(branches) ~= "table" then error(("%s takes a list of branches, got %s"):format(what, check.show(branches)), 3) end
  if #branches > BRANCHES_MOST then error(("%s: more than %d branches"):format(what, BRANCHES_MOST), 3) end
  local out = {}
  for i, one in ipairs(branches) do
    if type(one) == "function" then one = { run = one } end
    check.known(what .. ": a branch", one, branch_fields, 4)
    if type(one.run) ~= "function" then
      error(("%s: branch %d is a function, or { run = function, label = text }"):format(what, i), 3)
    end
    if one.label ~= nil and type(one.label) ~= "string" then error(("%s: the label of branch %d is a text"):format(what, i), 3) end
    out[i] = one
  end
  return out
end

local function check_merge(what, opts)
  check.known(what, opts, merge_options, 4)
  local rule = opts and opts.on_fail
  if rule ~= nil and not rules[rule] and type(rule) ~= "function" then
    error(("%s: 'on_fail' is \"all\", \"note\", \"skip\" or a function(err, i), got %s"):format(what, check.show(rule)), 3)
  end
  local limit = opts and opts.limit
  if limit ~= nil and (type(limit) ~= "number" or limit < 1 or limit % 1 ~= 0) then
    error(("%s: 'limit' must be a whole number, at least 1, got %s"):format(what, check.show(limit)), 3)
  end
  return opts or {}
end

-- What stands for a branch that failed: a text, nothing (""), or nil and the error of all.
local function in_its_place(opts, err, i)
  local rule = opts.on_fail or "all"
  if rule == "all" then return nil, err end
  if rule == "skip" then return "" end
  if rule == "note" then return (opts.note or "\n[part %d is missing: %s]\n"):format(i, err.code) end
  local text, other = rule(err, i)
  if text == nil and other ~= nil then return nil, other end
  return text or ""
end

-- One branch's answer into the stream.  report: { [i] = what came of it }
local function deliver(out, branch, i, res, err, opts, report)
  if res ~= nil and err == nil then
    local info
    if branch.label and opts.by == nil then result(core.compose_text(out, branch.label)) end
    info, err = out:pipe(res, { by = opts.by, label = opts.by and branch.label, choice = opts.by and 0 or nil })
    if info then
      report[i] = info
      return true
    end
  end
  err = err or errors.new{ code = "policy_error", message = "a branch has no answer" }
  report.failed[i] = err
  local text, why = in_its_place(opts, err, i)
  if text == nil then return nil, why end
  core.compose_partial(out)
  if text ~= "" then result(core.compose_text(out, text)) end
  return true
end

local function new_report() return { failed = {} } end

local function merged(report, ok, err)
  if not ok then return nil, err, report end
  return report
end

--- In the order of the list: all run at once, and what comes too early is held (and its upstream paused, when it is much).
function Out:ordered(branches, opts)
  branches, opts = check_branches("out:ordered", branches), check_merge("out:ordered", opts)
  if opts.by ~= nil then error("out:ordered: 'by' is an option of out:interleave", 2) end
  local report, fns, turns = new_report(), {}, { [0] = core.latch() }
  core.latch_set(turns[0])
  for i, branch in ipairs(branches) do
    turns[i] = core.latch()
    fns[i] = function()
      local res, err = frame(branch.run, i)
      result(core.latch_wait(turns[i - 1]))
      if i > 1 and opts.between then result(core.compose_text(self, opts.between)) end
      local ok, why = deliver(self, branch, i, res, err, opts, report)
      if not ok then return nil, why end
      core.latch_set(turns[i])
      return true
    end
  end
  return merged(report, result(spawn("all", fns, opts.limit)))
end

--- As it comes, in whole lines or events, each under the label of its branch.
function Out:interleave(branches, opts)
  branches, opts = check_branches("out:interleave", branches), check_merge("out:interleave", opts)
  if opts.between ~= nil then error("out:interleave: 'between' is an option of out:ordered", 2) end
  local by = opts.by or "line"
  if not ways[by] then error("out:interleave: 'by' is \"line\" or \"event\", got " .. check.show(by), 2) end
  local how, report, fns = { by = by, on_fail = opts.on_fail, note = opts.note }, new_report(), {}
  for i, branch in ipairs(branches) do
    fns[i] = function()
      local res, err = frame(branch.run, i)
      return deliver(self, branch, i, res, err, how, report)
    end
  end
  return merged(report, result(spawn("all", fns, opts.limit)))
end

local first_options = { good = true }

--- The first that begins to answer, and is good, is the one; the others end.
function Out:first(branches, opts)
  branches = check_branches("out:first", branches)
  check.known("out:first", opts, first_options)
  local good, fns = opts and opts.good, {}
  if good ~= nil and type(good) ~= "function" then error("out:first: 'good' is a function(res)", 2) end
  if not branches[1] then error("out:first: the list is empty", 2) end
  for i, branch in ipairs(branches) do
    fns[i] = function()
      local res, err = frame(branch.run, i)
      if res == nil then return nil, err or errors.new{ code = "policy_error", message = "a branch has no answer" } end
      if good and not good(res) then return nil, errors.new{ code = "policy_error", message = "no answer is good" } end
      return { i, res }
    end
  end
  local winner, err = result(spawn("any", fns))
  if not winner then return nil, err end
  local label = branches[winner[1]].label
  if label then result(core.compose_text(self, label)) end
  local info
  info, err = self:pipe(winner[2])
  if info then info.winner = winner[1] end
  return info, err
end

return M

--- trials: another upstream for a share of the requests, of which canary and shadow are made.
--
-- Which requests: by a hash of something that stays the same (the tenant, a header, the conversation), so that who was
-- in stays in, and who is in at 5 % is in at 10 %.  What is counted: perilune_trials_total and its kin, for the
-- upstream on trial and for the one that answers the others.
--
-- A shadow is asked when the client has its answer: nothing of it can delay or fail a request.  It is not asked for an
-- answer that came from a cache or was shared (the one call behind it was shadowed already), nor when the client left.

local check = require "perilune.check"
local caught = require "perilune.caught"
local core = require "perilune.core"
local host = require "perilune.host"
local told = require "perilune.told"

local M = {}

-- -- which requests ----------------------------------------------------------------

-- Up to the first message of a user: what all turns of a conversation begin with.
local function conversation(req)
  local hashes, messages = req:prefixes(), req.messages
  for i, message in ipairs(type(messages) == "table" and messages or {}) do
    if type(message) ~= "string" and message.role == "user" then return hashes[i] end
  end
  return hashes[#hashes] or req.id
end

--- The function that says what a request is told apart by; a request for which it says nil takes no part.
---@param key nil|string|function  "tenant", the name of a header, a function; nil: the conversation
---@return fun(req: perilune.Request): string?
function M.key(key) return key == nil and conversation or told.by(key) end

--- Is a request with this key among the share?  salt: shares of other policies are other ones.
---@param key any     what M.key()'s function said
---@param share number  0 to 1
---@param salt string
---@return boolean
function M.is_in(key, share, salt)
  if key == nil or share <= 0 then return false end
  if share >= 1 then return true end
  local digits = core.sha256(("%s\0%s"):format(salt, tostring(key))):sub(1, 13)
  return tonumber(digits, 16) / 16 ^ 13 < share
end

--- Options that both policies have.
---@param share? number  the default
---@return table<string, perilune.Spec>
function M.options(share)
  return {
    upstream = { type = "upstream", required = true },
    model = { type = "string", min = 1, max = 200 },
    share = { type = "number", default = share, required = share == nil, min = 0, max = 1 },
    key = { type = "any", check = told.check },
  }
end

-- -- counting -----------------------------------------------------------------------

local spared = { hit = true, stale = true, coalesced = true }

-- Was the call behind this answer made for this very request?
local function is_own(outcome) return not spared[outcome.cache or ""] end

local function result_of(outcome)
  if outcome.ok then return "ok" end
  return outcome.code == "canceled" and "canceled" or "failed"
end

local function count(policy, upstream, outcome)
  core.tally("trials", 1, policy, upstream, result_of(outcome))
  if outcome.ok then core.tally("trial_seconds", outcome.total_ms / 1000, policy, upstream) end
  local usage = not (outcome.usage and outcome.usage.estimated) and outcome.usage
  if not usage then return end
  core.tally("trial_tokens", usage.prompt_tokens, policy, upstream, "input")
  core.tally("trial_tokens", usage.completion_tokens, policy, upstream, "output")
end

--- Counts how the answer of next() ends, by whoever gives it.
---@param policy string
---@param res? perilune.Response
---@param err? perilune.Error
function M.watch(policy, res, err)
  if not res then
    if err and err.upstream then core.tally("trials", 1, policy, err.upstream, "failed") end
    return
  end
  res:finally(function(outcome)
    if res.upstream and is_own(outcome) then count(policy, res.upstream, outcome) end
  end)
end

-- -- shadows ---------------------------------------------------------------------------

local function try(req, policy, options, text)
  local asked = req.model
  if options.model then req.model = options.model end
  local begun = host.trial(req, options.upstream, policy, text)
  if options.model then req.model = asked end
  if not begun then core.tally("trials", 1, policy, options.upstream, "skipped") end
end

--- Answers by next(), and asks the upstream of the options behind the reply.
---@async
---@param req perilune.Request
---@param next perilune.Next
---@param policy string
---@param options { upstream: string, model?: string }
---@return perilune.Response?
---@return perilune.Error?
function M.shadow(req, next, policy, options)
  local res, err = next(req)
  M.watch(policy, res, err)
  if not res then
    -- What no upstream has said, the one on trial cannot be compared with.
    if err and err.upstream then req:finally(function() try(req, policy, options) end) end
    return nil, err
  end
  pcall(res.record, res) -- a policy behind this one may have read it: then there is no text to compare
  res:finally(function(outcome)
    if is_own(outcome) and outcome.code ~= "canceled" then try(req, policy, options, outcome.text) end
  end)
  return res
end

-- -- captures ---------------------------------------------------------------------------

local function record_of(req, res, outcome, asked)
  local answer = outcome.answer and core.json_decode(outcome.answer)
  if type(answer) ~= "table" or type(answer.choices) ~= "table" then return nil end
  local record = {
    time = core.date(core.now(), "iso"), id = req.id, tenant = req.tenant, upstream = res.upstream, model = answer.model,
    route = res.headers["x-perilune-route"], messages = asked.messages, choices = answer.choices,
    usage = outcome.usage and not outcome.usage.estimated and outcome.usage or nil,
  }
  for name, value in pairs(asked.fields) do record[name] = value end
  return record
end

-- The record as it may be kept, or nil and what became of it.
local function redacted(req, record, redact)
  if not redact then return record end
  local ok, kept = caught("capture: option 'redact'", redact, record)
  if ok and type(kept) == "table" then return kept end
  if ok and kept == nil then return nil, "redacted" end
  req:log("warn", "capture: redact failed, the record is lost", { reason = ok and "it returned no table" or kept.detail or kept.message })
  return nil, "lost"
end

local function keep(req, res, outcome, asked, options)
  local record, why = record_of(req, res, outcome, asked), "unread"
  if record then record, why = redacted(req, record, options.redact) end
  if record then
    local reason
    local written, line = pcall(core.json_encode, record)
    if written then why, reason = host.capture(options.file, options.max_bytes, options.rotate, line) else why = "lost" end
    if why == "failed" or why == "lost" then
      req:log("warn", "capture: a record could not be kept", { file = options.file, reason = reason or line })
    end
  end
  core.tally("captured", 1, why)
end

local function wants(req, options)
  if options.share < 1 and core.random() >= options.share then return false end
  return core.is_chat(req) and (not options.when or options.when(req))
end

--- Answers by next(), and keeps the question with the answer, when that has ended well.
---@async
function M.capture(req, next, options)
  if not wants(req, options) then return next(req) end
  local body = core.json_view(req:body()) -- what policies behind this one do to the request is not what was asked
  local asked = { messages = body.messages, fields = {} }
  for _, name in ipairs(options.fields) do asked.fields[name] = body[name] end
  local res, err = next(req)
  if not res then return nil, err end
  if not pcall(core.record_whole, res) then
    core.tally("captured", 1, "unread") -- it was read, and can be no more
    return res
  end
  res:finally(function(outcome)
    if outcome.ok and is_own(outcome) and (res.status or 200) < 300 then keep(req, res, outcome, asked, options) end
  end)
  return res
end

return M

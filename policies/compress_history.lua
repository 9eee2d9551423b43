--- compress_history: the older turns of a long conversation become a digest, once.
--
--     { "compress_history", window = 32000 }
--     { "compress_history", window = 32000, small = "small" }
--
-- When a prompt exceeds `trigger` of the window, everything in front of the newest turns
-- is folded into one message: the sentences that bear on what the user says now, word for
-- word; or, with `small`, what that model makes of them, and the sentences when it fails or
-- is late.  The digest is remembered and sent unchanged from then on, until the prompt is
-- too long again; then it is folded anew, digest included.  So the provider's cache breaks
-- once in many turns: the conversation gets room to grow by `headroom` turns.
--
-- Never folded: system messages, images, what the user said last; calls of tools go with
-- their results.  Up to `limit` of the window a fold must pay for what it makes new to the
-- provider's cache (see perilune.cost); beyond, it happens in any case.
--
---@class CompressHistoryOptions
---@field window integer       tokens that the model takes
---@field trigger? number      part of the window, default 0.75
---@field limit? number        part of the window at which it folds whatever it costs, default 0.95
---@field keep_turns? integer  newest turns that stay as they are, default 3; of what alone
---                            exceeds the trigger half stays
---@field headroom? integer    turns for which there should be room again, default 30
---@field small? string        upstream that summarizes
---@field timeout? number      seconds for it, default 20
---@field remember? number     seconds that a digest is remembered, default 21600
---@field guard? boolean       false: fold at the trigger even when it costs more; default true

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"
local history = require "perilune.history"
local perilune = require "perilune"

local spec = {
  window = { type = "integer", required = true, min = 200 },
  trigger = { type = "number", default = 0.75, min = 0.1, max = 1 },
  limit = { type = "number", default = 0.95, min = 0.1, max = 1 },
  keep_turns = { type = "integer", default = 3, min = 1 },
  headroom = { type = "integer", default = 30, min = 1 },
  small = { type = "upstream" },
  timeout = { type = "duration", default = 20, min = 0.001 },
  remember = { type = "duration", default = 21600, min = 1 },
  guard = { type = "boolean", default = true },
}

-- A digest says at least this much, or 15 % of what it stands for, if that fits; at most half of it.
local LEAST = 200

-- Tokens of the label in front of a digest, and of two messages.
local FRAME = 24

local function turns_in(messages)
  local n, before = 0, nil
  for _, m in ipairs(messages) do
    if m.role == "user" and before ~= "user" then n = n + 1 end
    before = m.role
  end
  return math.max(1, n)
end

-- Tokens for the digest: so that the next `headroom` turns fit under the trigger.
local function budget_of(options, messages, tokens, plan)
  local growth = tokens / turns_in(messages)
  local fits = options.window * options.trigger - plan.rest
  local room = fits - options.headroom * growth
  local least = math.max(LEAST, math.floor(math.min(fits, plan.tokens * 0.15)))
  least = math.min(least, math.floor(plan.tokens * 0.5))
  return math.max(least, math.floor(math.min(room, plan.tokens * 0.5)))
end

local function is_shorter(text, plan, model)
  local tokens = text and perilune.tokens(text, model)
  return tokens and tokens < plan.tokens * 0.9 and tokens + FRAME < plan.tokens and tokens
end

-- The digest, and what making it cost in USD.
local function digest(req, options, messages, plan, budget)
  local why
  if options.small then
    local front = {}
    for i = 1, plan.to do front[i] = messages[i] end
    local timeout = math.min(options.timeout, math.max(0.001, req:time_left()))
    local text, usage = history.summarize(options.small, req, front, budget, timeout)
    local tokens = is_shorter(text, plan, req.model)
    if tokens and tokens <= budget * 1.5 then
      local small = cost.profile(req, options.small)
      usage = usage or {}
      return text, ((usage.prompt_tokens or 0) * small.input + (usage.completion_tokens or 0) * small.output) / 1e6
    end
    why = text and "the summary is too long" or usage
    why = type(why) == "table" and (why.message or why.code) or why
    req:log("warn", "compress_history: sentences instead of a summary", { upstream = options.small, reason = why })
  end
  local text
  text, why = history.extract(messages, plan, budget, req.model)
  if is_shorter(text, plan, req.model) then return text, 0 end
  req:log("warn", "compress_history: the conversation goes as it is", { reason = why or "a digest is hardly shorter" })
  return nil, 0
end

-- Folds the conversation once more; returns the fold in terms of what came, or nil.
local function fold_again(req, options, ledger, messages, fold, tokens)
  local now = req.messages
  local plan = history.plan(now, req.model, options.keep_turns, math.floor(options.window * options.trigger))
  local to = plan and history.original(fold, plan.to)
  if not plan or not to then return nil end
  local budget = budget_of(options, now, tokens, plan)
  local first, known = plan.fold[1], ledger.known - (#messages - #now)
  local reach = chat.tokens_between(now, first, known, req.model) -- what was sent behind the first that goes
  local must = tokens > options.window * options.limit
  if not must and not ledger:pays(plan.tokens - budget, reach) then return nil end
  local text, spent = digest(req, options, now, plan, budget)
  if not text then return nil end

  local keep = {}
  for _, i in ipairs(plan.keep) do keep[#keep + 1] = history.original(fold, i) end
  return { at = history.original(fold, plan.at) or fold.at, to = to, keep = keep, text = text }, spent, reach
end

return function(given)
  local options = config.options(spec, given, "compress_history")
  if options.limit < options.trigger then error("policy 'compress_history': limit must be at least trigger", 0) end
  local done = {} -- the name, in req.ctx, of "was here": a retry runs policies again
  local scope = ("history:%d:%g:%d:%s:"):format(options.window, options.trigger, options.keep_turns, options.small or "")

  local function fold_old(req, attempt)
    local messages = chat.messages(req)
    if not messages or req.ctx[done] then return end
    req.ctx[done] = true
    local ledger = cost.open(req, "compress_history", { reuse = options.headroom, guard = options.guard })
    if ledger.tokens <= options.window * options.trigger then
      ledger:remember()
      return
    end
    attempt.undo(function() req.messages = messages end)

    local fold = history.recall(scope, messages, ledger.hashes)
    if fold then req.messages = history.apply(messages, fold) end
    local tokens = fold and req:tokens() or ledger.tokens
    local spent, reach = 0, 0
    if tokens > options.window * options.trigger then
      local fresh, cost_of_it, broken = fold_again(req, options, ledger, messages, fold, tokens)
      if fresh then
        fold, spent, reach = fresh, cost_of_it, broken
        req.messages = history.apply(messages, fold)
        history.remember(scope, messages, ledger.hashes, fold, options.remember, req.tenant)
      end
    end
    ledger:remember()
    if fold then
      local after = req:tokens()
      local was_sent = ledger.known > 0
      ledger:report{
        after = after, sent_removed = was_sent and ledger.tokens - after or 0, earlier = was_sent and ledger.tokens - tokens or 0,
        behind = reach, spent = spent,
      }
      if after > options.window then
        req:log("warn", "compress_history: the prompt is longer than the window", { tokens = after, window = options.window })
      end
    end
  end

  return function(req, next) return cost.shorten(req, next, "compress_history", fold_old) end
end, { needs = "chat", others = "pass" }

--- window: the newest part of a conversation, within a budget.
--
--     { "window", max_tokens = 24000, max_turns = 40 }
--
-- Always kept: system messages, tools, the last user turn with its newest step, and
-- (keep_first) what the user said first and the answer to it.  What goes goes from the
-- oldest on: of each turn first the calls of tools, each with all its results, then what
-- was said.  A result whose call is not there, because the client cut it off, becomes
-- text.
--
-- It goes in steps: once the budget is exceeded, `slack` of it is freed at once.  A window
-- that slides with every message would change the beginning of every prompt, and no
-- provider would find it in its cache again; this one stands still for many turns.  Where
-- it is cut follows from the conversation alone, so every worker cuts at the same place.
--
-- When what must be kept is too large by itself it is sent as it is, with a warning in the
-- log; over = "reject" answers 400 context_length_exceeded instead.
--
---@class WindowOptions
---@field max_tokens? integer  of the prompt, tools included
---@field max_turns? integer   turns of the user, the first one included
---@field keep_first? boolean  default true; with max_turns = 1 only the last turn is kept
---@field slack? number        0 to 0.9: how much is freed at once, default 0.25
---@field over? string         "pass" (default) or "reject"

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"
local perilune = require "perilune"
local turns_of = require "perilune.turns"

local spec = {
  max_tokens = { type = "integer", min = 1 },
  max_turns = { type = "integer", min = 1 },
  keep_first = { type = "boolean", default = true },
  slack = { type = "number", default = 0.25, min = 0, max = 0.9 },
  over = { type = "string", one_of = { "pass", "reject" }, default = "pass" },
}

-- Cuts until the budget holds, as req:tokens() sees it; returns messages gone, the first
-- of them, and whether it holds.
local function shorten(req, options, messages, groups, tokens)
  local turns = turns_of.of(groups)
  local most, budget = options.max_turns or math.huge, options.max_tokens or math.huge
  if #turns <= most and tokens <= budget then return 0, nil, true end
  local keep_first = options.keep_first and options.max_turns ~= 1
  local units = turns_of.units(turns, messages, keep_first, req.model)
  local old = turns_of.in_steps(#turns - most, math.max(1, math.floor(most * options.slack)))
  local excess, freed, n, gone, first = tokens - budget, 0, nil, 0, nil
  repeat
    -- The units' own counts are not exact: until it fits, more goes.
    local wanted = turns_of.in_steps(excess, budget * options.slack)
    n, freed = turns_of.cut(units, n and math.max(wanted, freed + 1) or wanted, old)
    if n > 0 then req.messages, gone, first = turns_of.without(messages, units, n) end
    tokens = n > 0 and req:tokens() or tokens
    excess = excess + tokens - budget
  until tokens <= budget or n == #units
  return gone, first, tokens <= budget
end

-- Far from the budget nothing needs to be known about what was sent.
local function is_near(options, messages, tokens)
  return #messages > (options.max_turns or math.huge) or tokens > (options.max_tokens or math.huge) / 2
end

local function too_long(req, options)
  local message = ("the prompt has %d tokens without the turns that may be left out; the window is %d"):format(
    req:tokens(), options.max_tokens)
  if options.over == "reject" then
    return perilune.error{ code = "context_length_exceeded", status = 400, retryable = false, param = "messages", message = message }
  end
  req:log("warn", "window: " .. message)
end

local function report(ledger, req, messages, gone, first)
  local before, model = tonumber(ledger.state) or 0, req.model
  local behind, sent_removed = 0, 0
  local sent = {}
  for _, m in ipairs(req.messages) do sent[m] = true end
  for i = first, ledger.known do
    local tokens = chat.tokens(messages[i], model)
    if not sent[messages[i]] then sent_removed = sent_removed + tokens end
    behind = behind + tokens
  end
  ledger:report{ sent_removed = sent_removed, behind = gone ~= before and behind or 0 }
end

return function(given)
  local options = config.options(spec, given, "window")
  if not options.max_tokens and not options.max_turns then
    error("policy 'window': give it max_tokens = N, max_turns = N, or both", 0)
  end
  local function cut(req, attempt)
    local messages = chat.messages(req)
    if not messages then return end
    local original = messages
    local groups, orphans = chat.groups(messages)
    local ledger = (orphans > 0 or is_near(options, messages, req:tokens())) and cost.open(req, "window")
    if not ledger then return end

    attempt.undo(function() req.messages = original end)
    if orphans > 0 then
      messages = chat.repair(messages)
      req.messages, groups = messages, chat.groups(messages)
    end
    local tokens = orphans > 0 and req:tokens() or ledger.tokens
    local gone, first, holds = shorten(req, options, messages, groups, tokens)
    if not holds then
      local err = too_long(req, options)
      if err then return err end
    end
    if gone > 0 then report(ledger, req, messages, gone, first) end
    ledger:remember(gone)
  end

  return function(req, next) return cost.shorten(req, next, "window", cut) end
end, { needs = "chat", others = "pass" }

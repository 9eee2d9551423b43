--- mask_tools: old results of tools are replaced by a note of what stood there.
--
--     { "mask_tools", keep = 3 }
--
-- An agent's conversation is mostly results that it has used long ago.  The newest `keep`
-- stay, and always those of the newest calls, which the model has not answered yet; older
-- ones become "[result of read_file left out: 5678 bytes]".  Calls, and the messages that
-- carry the results, stay where they are, so no pair is torn; images in a result stay, too.
-- What the result said is gone for the model: it can call the tool again.
--
-- Results are masked in batches, and a batch that was sent before only when that pays: the
-- provider must read everything behind it anew (see perilune.cost).  What was decided for a
-- conversation is remembered as long as the provider's cache holds it.
--
---@class MaskToolsOptions
---@field keep? integer      newest results that stay, default 3
---@field batch? integer     this many are masked at once, default 5
---@field min_bytes? integer smaller results stay, default 200
---@field except? string[]   names of tools whose results stay
---@field reuse? integer     calls that will still use the conversation, default 10
---@field guard? boolean     false: mask even when it costs more than it saves; default true

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"

local spec = {
  keep = { type = "integer", default = 3, min = 0 },
  batch = { type = "integer", default = 5, min = 1 },
  min_bytes = { type = "integer", default = 200, min = 120 },
  except = { type = "set", of = { type = "string", min = 1 }, default = {} },
  reuse = { type = "integer", default = 10, min = 1 },
  guard = { type = "boolean", default = true },
}

-- Which results stay whatever comes, and what is written in place of the others.
local function annotate(results, except)
  for _, r in ipairs(results) do
    r.stays = except[r.name]
    r.note = ("[result of %s left out: %d bytes]"):format(r.name, r.bytes)
  end
end

-- How many of the oldest results are masked: as many batches as `keep` leaves.
local function wanted(options, messages, results, newest)
  local unanswered = 0
  for i = newest + 1, newest > 0 and #messages or 0 do
    unanswered = unanswered + (chat.is_result(messages[i]) and 1 or 0)
  end
  local old = #results - math.max(0, options.keep - unanswered)
  return math.max(0, math.floor(old / options.batch) * options.batch)
end

local function masks(options, r)
  return not r.stays and r.bytes >= options.min_bytes
end

-- In bytes, of what was sent before: what masking results from+1 to `to` removes, and what
-- stands behind the first of them, with results up to `from` masked already.
local function weigh(options, messages, known, results, from, to)
  local removed, behind, first = 0, 0, nil
  for n = from + 1, to do
    local r = results[n]
    if masks(options, r) and r.index <= known then
      removed, first = removed + r.bytes - #r.note, first or r.index
    end
  end
  if not first then return 0, 0 end
  for i = first, known do behind = behind + chat.bytes(messages[i]) end
  for n = 1, from do
    local r = results[n]
    if r.index >= first and masks(options, r) then behind = behind - (r.bytes - #r.note) end
  end
  return removed, behind
end

-- Masks the first `count` results.  Returns the bytes that are gone.
local function mask(options, results, count, attempt)
  local gone = 0
  for n = 1, count do
    local r = results[n]
    if masks(options, r) then
      attempt.undo(r.restore)
      r.replace(r.note)
      gone = gone + r.bytes - #r.note
    end
  end
  return gone
end

return function(given)
  local options = config.options(spec, given, "mask_tools")
  local function mask_old(req, attempt)
    local messages = chat.messages(req)
    if not messages then return end
    local results, newest = chat.old_results(messages)
    if newest == 0 then return end
    annotate(results, options.except)

    local most = wanted(options, messages, results, newest)
    local ledger = cost.open(req, "mask_tools", options)
    local decided = math.min(tonumber(ledger.state) or 0, #results)
    local count, broken, now = decided, 0, 0
    if most > decided then
      local removed, behind = weigh(options, messages, ledger.known, results, decided, most)
      if behind == 0 or ledger:pays(removed, behind) then count, broken, now = most, behind, removed end
    end
    local sent = weigh(options, messages, ledger.known, results, 0, count)
    local gone = mask(options, results, count, attempt)
    ledger:remember(count)
    if gone > 0 then
      local after = req:tokens()
      local tokens = (ledger.tokens - after) / gone -- of a byte
      ledger:report{ after = after, sent_removed = sent * tokens, earlier = (sent - now) * tokens, behind = broken * tokens }
    end
  end

  return function(req, next) return cost.shorten(req, next, "mask_tools", mask_old) end
end, { needs = "chat", others = "pass" }

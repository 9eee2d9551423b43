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
local perilune = require "perilune"

local spec = {
  keep = { type = "integer", default = 3, min = 0 },
  batch = { type = "integer", default = 5, min = 1 },
  min_bytes = { type = "integer", default = 200, min = 120 },
  except = { type = "list", of = { type = "string", min = 1 }, default = {} },
  reuse = { type = "integer", default = 10, min = 1 },
  guard = { type = "boolean", default = true },
}

-- The results that may be masked, oldest first, those of the newest calls left out, each
-- with the index of its message and its note; and where the newest calls stand.
local function results_of(messages, except)
  local groups, results, newest = chat.groups(messages), {}, 0
  for _, g in ipairs(groups) do
    if g.kind == "tools" then newest = g.first end
  end
  for _, g in ipairs(groups) do
    for i = g.first + 1, g.kind == "tools" and g.first ~= newest and g.last or 0 do
      for _, r in ipairs(chat.results(messages[i], g.calls)) do
        r.index, r.stays = i, except[r.name]
        r.note = ("[result of %s left out: %d bytes]"):format(r.name, r.bytes)
        results[#results + 1] = r
      end
    end
  end
  return results, newest
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

-- Of what was sent before: the tokens that masking results from+1 to `to` removes, and
-- those behind the first of them, with results up to `from` masked already.
local function weigh(options, ledger, messages, results, from, to, model)
  local removed, behind, first = 0, 0, nil
  for n = from + 1, to do
    local r = results[n]
    if masks(options, r) and r.index <= ledger.known then
      removed, first = removed + r.tokens(model) - perilune.tokens(r.note, model), first or r.index
    end
  end
  local small = {}
  for n = 1, from do small[results[n].index] = masks(options, results[n]) and perilune.tokens(results[n].note, model) + 4 end
  for i = first or 1, first and ledger.known or 0 do
    behind = behind + (small[i] or chat.tokens(messages[i], model))
  end
  return removed, behind
end

return function(given)
  local options = config.options(spec, given, "mask_tools")
  local except = {}
  for _, name in ipairs(options.except) do except[name] = true end
  return function(req, next)
    local messages, model = req.messages, req.model
    if type(messages) ~= "table" then return next(req) end
    local results, newest = results_of(messages, except)
    if newest == 0 then return next(req) end

    local most = wanted(options, messages, results, newest)
    local ledger = cost.open(req, "mask_tools", options)
    local decided = math.min(tonumber(ledger.state) or 0, #results)
    local count, broken = decided, 0
    if most > decided then
      local removed, behind = weigh(options, ledger, messages, results, decided, most, model)
      if behind == 0 or ledger:pays(removed, behind) then count, broken = most, behind end
    end
    local before = weigh(options, ledger, messages, results, 0, count, model)
    local masked = 0
    for n = 1, count do
      if masks(options, results[n]) then
        results[n].replace(results[n].note)
        masked = masked + 1
      end
    end
    ledger:remember(count)
    if masked > 0 then ledger:report{ sent_removed = before, behind = broken } end
    return next(req)
  end
end

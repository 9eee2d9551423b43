--- extract_then_answer: a small model reads the long text, the large one answers.
--
--     { "extract_then_answer", small = "small", big = "big", above_tokens = 4000 }
--
-- When the longest text that the user or a tool put into the conversation has more than
-- above_tokens, `small` is asked for the passages that the question needs, word for word.
-- They take the place of the text's middle; its head and tail, where questions stand, stay.
-- The answer comes from `big` and streams as ever.
--
-- The text goes as it is when `small` fails, is late, finds nothing, or finds so much that
-- little would be saved; when there is code in it, or it is too long for `small`; and when,
-- by the prices of both upstreams and by what the provider has cached already, it would cost
-- more (see perilune.cost).
-- Passages are remembered by text and question: an agent that calls tools in between pays
-- `small` once, and its prompt stays the same; also when a longer text comes.
--
---@class ExtractThenAnswerOptions
---@field small string           upstream that reads
---@field big? string            upstream that answers; default: where the request would go
---@field above_tokens? integer  of the text, default 4000
---@field below_tokens? integer  longer texts are too long for the small model, default 100000
---@field max_tokens? integer    of the passages, default 800
---@field timeout? number        seconds for the small model, default 20
---@field remember? number       seconds that passages are remembered, default 600; 0: not
---@field code? boolean          also texts with code in them; default false
---@field reuse? integer         calls that will still use the conversation, default 10
---@field guard? boolean         false: also when it costs more; default true

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"
local extract = require "perilune.extract"
local perilune = require "perilune"
local text_of = require "perilune.text"

local spec = {
  small = { type = "upstream", required = true },
  big = { type = "upstream" },
  above_tokens = { type = "integer", default = 4000, min = 100 },
  below_tokens = { type = "integer", default = 100000, min = 100 },
  max_tokens = { type = "integer", default = 800, min = 50 },
  timeout = { type = "duration", default = 20, min = 0.001 },
  remember = { type = "duration", default = 600 },
  code = { type = "boolean", default = false },
  reuse = { type = "integer", default = 10, min = 1 },
  guard = { type = "boolean", default = true },
}

-- What the small model takes for reading that much, in USD.
local function price_of_reading(req, options, tokens, written)
  local small = cost.profile(req, options.small)
  return (tokens * small.input + written * small.output) / 1e6
end

-- Is it cheaper?  Counts the passages as long as they may get.
local function pays(req, options, ledger, long, middle)
  local removed = middle - options.max_tokens
  if removed <= 0 then return false end
  local sent = long.was_sent and not long.was_read
  if sent and not ledger:pays(removed, ledger.tokens) then return false end
  if not options.guard or ledger.profile.input == 0 then return true end
  local usd = ledger:net{
    sent = sent and middle or 0, new = sent and 0 or middle, kept_sent = 0, kept_new = options.max_tokens,
  }
  return usd > price_of_reading(req, options, middle, options.max_tokens)
end

local function question_of(req, long, head, tail)
  local last = text_of.last_user(req)
  local first, stop = last:find(long.text, 1, true)
  if first then last = last:sub(1, first - 1) .. last:sub(stop + 1) end
  if not last:find("%S") then last = head .. "\n...\n" .. tail end
  return #last <= 8000 and last or last:sub(1, 4000) .. "\n...\n" .. last:sub(-4000)
end

-- Replaces the text's middle.  Returns how many tokens went, nil when it goes as it is, and
-- what reading cost in USD, nil when the passages were remembered.
local function shorten(req, options, ledger, long)
  local head, middle, tail = extract.split(long.text)
  local tokens = perilune.tokens(middle, req.model)
  if not pays(req, options, ledger, long, tokens) then return nil end

  local facts, why = extract.facts(options.small, long.question, middle, {
    max_tokens = options.max_tokens, timeout = math.min(options.timeout, math.max(0.001, req:time_left())),
    remember = options.remember, tenant = req.tenant,
  })
  local left = facts and perilune.tokens(facts, req.model)
  local too_many = left and left > tokens * 0.7
  if not facts or too_many then
    local said = too_many and "the passages are hardly shorter" or type(why) == "table" and (why.message or why.code) or why
    req:log("warn", "extract_then_answer: the text goes as it is", { upstream = options.small, reason = said })
    return nil
  end
  long.replace(("%s[Passages from a longer text (%d tokens) that stood here]\n%s\n[End of the passages]%s%s"):format(
    head, tokens, facts, tail ~= "" and "\n\n" or "", tail))
  return tokens - left, why and price_of_reading(req, options, why.prompt_tokens or 0, why.completion_tokens or 0) or nil
end

local function name_of(long) return (" %d.%d"):format(long.index, long.part) end

-- Which texts are read: the longest, and those that were read before, in order.  Asks for
-- nothing yet: what is asked about one must not depend on what becomes of another.
local function choose(req, ledger, longest, all)
  local list, read = {}, (ledger.state or "") .. " "
  for _, long in ipairs(all) do
    long.was_sent = long.index <= ledger.known
    long.was_read = read:find(name_of(long) .. " ", 1, true) ~= nil
    if long == longest or long.was_read then
      local head, _, tail = extract.split(long.text)
      long.question = question_of(req, long, head, tail)
      list[#list + 1] = long
    end
  end
  return list
end

-- Shortens them all and reports; returns the names of those that were.
local function read_all(req, options, ledger, list, messages)
  local names, gone, earlier, spent, broken = {}, 0, 0, 0, nil
  for _, long in ipairs(list) do
    local removed, usd = shorten(req, options, ledger, long)
    if removed then names[#names + 1] = name_of(long) end
    -- The same passages as before leave the prefix as it was.
    local same = long.was_read and removed and not usd or not long.was_read and not removed
    if long.was_sent and not same then broken = broken or long.index end
    if long.was_sent then
      gone = gone + (removed or 0)
      if long.was_read then earlier = earlier + (removed or 0) end
    end
    spent = spent + (usd or 0)
  end
  if #names > 0 then
    local behind = broken and chat.tokens_between(messages, broken, ledger.known, req.model) + gone - earlier or 0
    ledger:report{ sent_removed = gone, earlier = earlier, behind = behind, spent = spent }
  end
  return table.concat(names)
end

return function(given)
  local options = config.options(spec, given, "extract_then_answer")
  if options.below_tokens < options.above_tokens then
    error(("policy 'extract_then_answer': below_tokens must be at least above_tokens, got %d and %d"):format(
      options.below_tokens, options.above_tokens), 0)
  end
  local done = {} -- the name, in req.ctx, of "was here": a retry runs policies again

  return function(req, next)
    if options.big then req.upstream = options.big end
    local messages = not req.ctx[done] and chat.messages(req)
    req.ctx[done] = true
    local longest, all
    if messages then longest, all = extract.longest(messages, options.above_tokens, req.model) end
    if not longest then return next(req) end
    local ledger = cost.open(req, "extract_then_answer", options)
    if longest.tokens > options.below_tokens or (not options.code and text_of.has_code(longest.text)) then longest = nil end
    ledger:remember(read_all(req, options, ledger, choose(req, ledger, longest, all), messages))
    return next(req)
  end
end, { needs = "chat", others = "pass" }

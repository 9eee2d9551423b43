--- smart: a small model or a big one?  What policies/route_smart.lua is made of.
--
--     must it be one of them?     tools, images, context, money                    must()
--     would moving cost more      what the big one's cache of the conversation
--     than it saves?              is worth                                         stays()
--     is it plain to see?         length, code, questions, turns                   signals()
--     what did others like it     a classifier (core.learn_route), or small        classified()
--     need?
--     was the small one's         mean logprob, schema, a function of one's own    cascade()
--     answer good enough?
--
-- The first that has an answer decides.  Each decision has a word that says why, for the log, the header
-- x-perilune-route and the counter perilune_routed_total.

local chat = require "perilune.chat"
local core = require "perilune.core"
local elsewhere = require "perilune.elsewhere"
local cost = require "perilune.cost"
local errors = require "perilune.errors"
local perilune = require "perilune"
local schema = require "perilune.schema"
local text = require "perilune.text"

local M = {}

local GUESS = 300     -- tokens of an answer that nobody knows yet
local LOOK_BACK = 256 -- messages, for the last place where a conversation went

-- -- what a request is like -------------------------------------------------------------

local function has_images(req)
  for _, message in ipairs(type(req.messages) == "table" and req.messages or {}) do
    local content = chat.is_object(message) and message.content
    for _, part in ipairs(type(content) == "table" and content or {}) do
      if chat.is_object(part) and (part.type == "image_url" or part.type == "input_image") then return true end
    end
  end
  return false
end

local function has_tools(req)
  for _, name in ipairs{ "tools", "functions" } do
    local list = req[name]
    if type(list) == "table" and list[1] ~= nil then return true end
  end
  return false
end

local function turns_of(req)
  local n = 0
  for _, message in ipairs(type(req.messages) == "table" and req.messages or {}) do
    if chat.is_object(message) and message.role == "user" then n = n + 1 end
  end
  return n
end

local function questions_of(said)
  local _, n = said:gsub("%?", "")
  local _, wide = said:gsub("\239\188\159", "")
  return n + wide
end

-- -- money -------------------------------------------------------------------------------

local DAY = 86400

-- Of the day that is in UTC, for the policies that share a name.
local function purse(options)
  return perilune.shared("route_smart"), options.name .. ":" .. perilune.date(nil, "iso"):sub(1, 10)
end

local function is_spent(options)
  local shared, key = purse(options)
  return (shared:get(key) or 0) >= options.usd_per_day
end

local function cached_of(usage, price)
  local cached = math.min(usage.cached_tokens or 0, usage.prompt_tokens)
  return ((usage.prompt_tokens - cached) + cached * price.read) * price.input / 1e6
end

-- Paid for when it has ended; what runs at the same time is not known yet.
local function pay(options, req, res)
  local price = cost.profile(req, options.big)
  res:finally(function(outcome)
    local usage, cache = outcome.usage, outcome.cache
    if not usage or cache == "hit" or cache == "stale" or cache == "coalesced" then return end
    local shared, key = purse(options)
    shared:incr(key, cached_of(usage, price) + usage.completion_tokens * price.output / 1e6, 0, 2 * DAY)
  end)
end

-- -- what must be -----------------------------------------------------------------------------

local function must(options, req)
  if has_tools(req) and not options.small_can.tools then return "big", "tools" end
  if has_images(req) and not options.small_can.images then return "big", "images" end
  local most = math.max(options.small_context or 0, options.big_context or 0)
  if most == 0 then return nil end
  local tokens = req:tokens(most)
  if options.small_context and tokens > options.small_context then return "big", "context" end
  if options.big_context and tokens > options.big_context then return "small", "context" end
end

-- -- conversations ---------------------------------------------------------------------------

local function scope(options) return "smart:" .. options.name .. ":" end

--- Where the conversation went last, with how many tokens of prompt.
local function last_place(options, hashes)
  for i = #hashes, math.max(1, #hashes - LOOK_BACK), -1 do
    local state = core.memo_get(scope(options) .. hashes[i])
    if state then return state:match("^(%a+) (%d+)$") end
  end
end

-- What the next `reuse` calls cost in USD when `sent` tokens of `tokens` are in the provider's cache.
local function price_of(profile, tokens, sent, reuse)
  local read, write = profile.read, profile.write
  if tokens < profile.least then read, write = 1, 1 end
  local first = sent * read + (tokens - sent) * write
  return (first + (reuse - 1) * tokens * read) * profile.input / 1e6 + reuse * GUESS * profile.output / 1e6
end

-- Is it cheaper to stay with the big model, which has the conversation in its cache?
local function stays(options, req, sent)
  local big, small = cost.profile(req, options.big), cost.profile(req, options.small)
  if sent < big.least then return false end -- there is nothing that could be lost
  if big.input == 0 and big.output == 0 then return true end -- nobody said what it costs
  local tokens = req:tokens()
  sent = math.min(sent, tokens)
  return price_of(small, tokens, 0, options.reuse) >= price_of(big, tokens, sent, options.reuse)
end

local function remember(options, req, hashes, to)
  local hash = hashes and hashes[#hashes]
  if not hash then return end
  local profile = cost.profile(req, options[to])
  core.memo_set(scope(options) .. hash, ("%s %d"):format(to, req:tokens()), profile.ttl, req.tenant)
end

-- -- what is likely ------------------------------------------------------------------------------

local function signals(options, req, said)
  if options.big_above_tokens and req:tokens(options.big_above_tokens) > options.big_above_tokens then
    return "big", "length"
  end
  if options.small_below_tokens and req:tokens(options.small_below_tokens) < options.small_below_tokens then
    return "small", "length"
  end
  if options.big_code and text.has_code(said) then return "big", "code" end
  if options.big_above_questions and questions_of(said) > options.big_above_questions then return "big", "questions" end
  if options.big_above_turns and turns_of(req) > options.big_above_turns then return "big", "turns" end
end

local function classified(options, req, said)
  if not options.classifier then return "small", "default" end
  local loss, rank = core.learn_route(options.classifier, said, turns_of(req))
  local big
  if options.big_share then big = rank > 1 - options.big_share else big = loss > options.max_loss end
  return big and "big" or "small", "classifier", loss, rank
end

--- "small" or "big", and why; or nil and an error.
---@return string? to
---@return string|perilune.Error why
---@return number? loss
---@return number? rank
local function decide(options, req, hashes)
  local to, why, loss, rank = must(options, req)
  local bound = to
  local before, sent = nil, nil
  if not to and hashes then
    before, sent = last_place(options, hashes)
    if before == "big" and stays(options, req, tonumber(sent)) then to, why = "big", "conversation" end
  end
  if not to then
    local said = text.last_user(req)
    to, why = signals(options, req, said)
    if not to then to, why, loss, rank = classified(options, req, said) end
  end
  if to ~= "big" or not options.usd_per_day or not is_spent(options) then return to, why, loss, rank end
  if not bound then return "small", "budget", loss, rank end
  local _, err = errors.reject(429, "insufficient_quota", { retry_after = DAY - perilune.now() % DAY,
    message = "the budget of today is used up, and only the larger model can do this; it is renewed at midnight UTC" })
  return nil, err
end

-- -- the cascade -----------------------------------------------------------------------------------

-- Is the answer of the small model good enough?  Else why not.
local function judge(cascade, req, said, meter)
  if said:find("^%s*$") then return false, "empty" end
  if meter then
    local mean = core.logprob_mean(meter)
    if not mean then return false, "no_logprobs" end
    if mean < cascade.logprob then return false, "unsure" end
  end
  if cascade.schema and not schema.answers(req, said) then return false, "schema" end
  if cascade.check and not cascade.check(said, req) then return false, "check" end
  return true
end

local function same(piece) return piece end

-- What was asked for our sake alone, the client does not get.
local function ask_with_logprobs(req, next, cascade)
  if not cascade.logprob then return next(req) end
  local asked = req.logprobs
  if asked ~= true then req.logprobs = true end
  local res, err = next(req)
  if asked ~= true then req.logprobs = asked end
  if not res then return nil, err end
  local ok, meter = pcall(core.logprob_meter, res)
  if not ok then return res end -- a policy behind this one has read it
  if asked ~= true then res:map("event", same) end
  return res, nil, meter
end

local DRAFT = "A smaller model has answered so; it may be wrong or incomplete. Answer my message before that yourself, and "
  .. "in full; keep what is right, and do not speak of the draft."

local function ask_big(options, req, next, draft)
  req.upstream = options.big
  if not draft then return next(req) end
  local messages = req.messages
  local n = #messages
  messages[n + 1] = { role = "assistant", content = draft }
  messages[n + 2] = { role = "user", content = DRAFT }
  local res, err = next(req)
  messages[n + 2], messages[n + 1] = nil, nil
  return res, err
end

local function fits_cascade(req) return (req.n or 1) == 1 and not has_tools(req) end

--- The small model's answer, held back until it is judged; or the big one's.  Last: why the big one.
local function cascade(options, req, next)
  local res, err, meter = ask_with_logprobs(req, next, options.cascade)
  if not res then
    if not err.retryable and err.code ~= "context_length_exceeded" then return nil, err end
    local other, failed = ask_big(options, req, next)
    return other, failed, "failed"
  end
  local said = res:text()
  local good, why = false, "broken"
  if said then good, why = judge(options.cascade, req, said, meter) end
  if good then return res end
  if why == "no_logprobs" then
    req:log("warn", "route_smart: the small model says no logprobs, so its answers cannot be judged", { upstream = options.small })
  end
  local other, failed = ask_big(options, req, next, options.cascade.draft and said or nil)
  return other, failed, why
end

-- -- all together --------------------------------------------------------------------------------------

local function tell(options, req, res, to, why, loss, rank)
  core.tally("routed", 1, options.name, to, why)
  req:log("debug", "routed", { policy = options.name, to = to, why = why, loss = loss, rank = rank })
  if res then elsewhere.tell_route(res, options[to], why) end
end

--- Answers by the upstream that fits.
---@async
---@param options table  checked
---@param req perilune.Request
---@param next perilune.Next
---@return perilune.Response?
---@return perilune.Error?
function M.route(options, req, next)
  local hashes = options.sticky and req:prefixes() or nil
  local to, why, loss, rank = decide(options, req, hashes)
  if not to then
    core.tally("routed", 1, options.name, "none", "budget")
    return nil, why
  end
  req.upstream = options[to]
  local res, err, escalated
  if to == "small" and options.cascade and why ~= "budget" and why ~= "context" and fits_cascade(req) then
    res, err, escalated = cascade(options, req, next)
    if escalated then to, why = "big", "escalated_" .. escalated end
  else
    res, err = next(req)
  end
  if res and options.usd_per_day and to == "big" then pay(options, req, res) end
  if res and hashes then remember(options, req, hashes, to) end
  tell(options, req, res, to, why, loss, rank)
  return res, err
end

--- The classifier of a file, for the policy `where`; throws what is wrong with it.
---@param path string
---@param kind "route"|"intent"
---@param where string
function M.open(path, kind, where)
  local bytes, err = core.bundle_file(path, true)
  if not bytes then error(("policy '%s': option 'model': %s"):format(where, err), 0) end
  local classifier, why = core.learn_open(bytes)
  if not classifier then error(("policy '%s': option 'model': %s %s"):format(where, path, why), 0) end
  local is, names = core.learn_about(classifier)
  if is ~= kind then
    error(("policy '%s': option 'model': %s was trained on %s, this policy wants one trained on %s"):format(where, path,
      is == "route" and "outcomes of models" or "labels", kind == "route" and "outcomes of models" or "labels"), 0)
  end
  return classifier, names
end

--- What core.intents_new makes of { name = { examples = {...} } }, and the names by number.
function M.intents(intents, negatives)
  local names, texts, classes = {}, {}, {}
  for name in pairs(intents) do names[#names + 1] = name end
  table.sort(names)
  local function add(list, class)
    for _, one in ipairs(list or {}) do texts[#texts + 1], classes[#classes + 1] = one, class end
  end
  add(negatives, 0)
  for i, name in ipairs(names) do add(intents[name].examples, i) end
  return core.intents_new(texts, classes, #names), names
end

M.match = core.intents_match
M.label = core.learn_label
M.tally = core.tally

return M

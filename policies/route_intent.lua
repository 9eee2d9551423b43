--- route_intent: what somebody wants decides who answers: greetings and common questions need no big model.
--
--     { "route_intent", fallback = "big", intents = {
--         greeting = { examples = { "hi there", "good morning", "你好" }, text = "Hello!  How can I help?" },
--         opening  = { examples = { "when are you open?", "你们几点开门？" }, upstream = "small" },
--     }, negatives = { "hi, my order has not arrived" } }
--
-- The last message of the user is compared with the examples by the embedder that is built in, which knows no more than
-- what words are near each other: of the nearest example and of what all of an intent have in common a score is
-- made, 0 to 1.  The best intent wins when it reaches the threshold, and when no negative is nearer: write as negatives
-- what looks like an intent and is none.  A dozen examples for each intent is a good beginning, in each language that
-- users write.  With `model`, a file of `perilune train` on lines with labels, that decides first when it is sure.
--
-- A fixed `text` answers first messages only: a greeting in a conversation may mean more.  Requests with tools or
-- images go past.  What nothing decides goes to the fallback, or where it would have gone.
--
-- Why is in the header x-perilune-route ("small; opening"), the log (`routed`), and perilune_routed_total.
--
---@class RouteIntentOptions
---@field intents table<string, RouteIntent>
---@field negatives? string[]   texts that are none of them
---@field threshold? number     of the score, default 0.6
---@field fallback? string      upstream for all else
---@field model? string         a file of `perilune train`, whose labels are names of intents
---@field sure? number          how sure the model must be, 0 to 1, default 0.8

---@class RouteIntent
---@field examples? string[]    what users say; may be absent where the model knows the intent
---@field upstream? string      who answers; or:
---@field text? string          the answer
---@field threshold? number     of its own

local chat = require "perilune.chat"
local config = require "perilune.config"
local elsewhere = require "perilune.elsewhere"
local perilune = require "perilune"
local smart = require "perilune.smart"
local text = require "perilune.text"

local phrases = { type = "list", of = { type = "string", min = 1, max = 4096 }, default = {} }

local spec = {
  intents = { type = "map", of = { type = "table" }, required = true, min = 1, max = 64 },
  negatives = phrases,
  threshold = { type = "number", default = 0.6, min = 0, max = 1 },
  fallback = { type = "upstream" },
  model = { type = "string", min = 1, max = 1000 },
  sure = { type = "number", default = 0.8, min = 0, max = 1 },
}

local intent_spec = {
  examples = phrases,
  upstream = { type = "upstream" },
  text = { type = "string", min = 1 },
  threshold = { type = "number", min = 0, max = 1 },
}

local function fail(what, ...) error("policy 'route_intent': " .. what:format(...), 0) end

local function check_intents(options, known)
  local count = #options.negatives
  for name, intent in pairs(options.intents) do
    intent = config.options(intent_spec, intent, ("route_intent, intent '%s'"):format(name))
    options.intents[name] = intent
    if (intent.upstream == nil) == (intent.text == nil) then
      fail("intent '%s' needs 'upstream' or 'text', and not both", name)
    end
    if #intent.examples == 0 and not known[name] then
      fail("intent '%s' has no examples%s", name, options.model and ", and the model does not know it" or "")
    end
    count = count + #intent.examples
  end
  if count > 2000 then fail("there are %d examples, 2000 is the most; train a model on them (perilune train)", count) end
end

local function has_more_than_text(req)
  local tools, messages = req.tools, req.messages
  if type(tools) == "table" and tools[1] ~= nil then return true end
  local last = type(messages) == "table" and messages[#messages]
  if not chat.is_object(last) or last.role ~= "user" then return true end
  for _, part in ipairs(type(last.content) == "table" and last.content or {}) do
    if not chat.is_object(part) or part.type ~= "text" then return true end
  end
  return false
end

local function is_first(req)
  local n = 0
  for _, message in ipairs(req.messages) do
    if message.role ~= "system" and message.role ~= "developer" then n = n + 1 end
  end
  return n == 1
end

return function(given)
  local options = config.options(spec, given, "route_intent")
  local classifier, labels, known = nil, {}, {}
  if options.model then classifier, labels = smart.open(options.model, "intent", "route_intent") end
  for _, label in ipairs(labels) do known[label] = true end
  check_intents(options, known)
  local examples, names = smart.intents(options.intents, options.negatives)

  -- The name of the intent, or nil; and the score.
  local function find(said)
    if classifier then
      local label, sure = smart.label(classifier, said)
      if sure >= options.sure and options.intents[label] then return label, sure end
    end
    local class, score = smart.match(examples, said)
    local name = names[class]
    if name and score >= (options.intents[name].threshold or options.threshold) then return name, score end
    return nil, score
  end

  return function(req, next)
    local said = not has_more_than_text(req) and text.last_user(req) or ""
    local name, score = nil, 0
    if said:find("%S") then name, score = find(said) end
    local intent = name and options.intents[name]
    if intent and intent.text and not is_first(req) then intent, name = nil, nil end
    local to = intent and (intent.upstream or "text") or options.fallback
    local why = name or "fallback"
    smart.tally("routed", 1, "route_intent", to or "default", why)
    req:log("debug", "routed", { policy = "route_intent", to = to, why = why, score = score })
    local res, err
    if intent and intent.text then
      res = perilune.respond{ text = intent.text }
    else
      req.upstream = to or req.upstream
      res, err = next(req)
    end
    if res and to then elsewhere.tell_route(res, to, why) end
    return res, err
  end
end, { needs = "chat", others = "pass" }

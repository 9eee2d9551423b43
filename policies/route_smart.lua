--- route_smart: the small model where it is good enough, the big one where it is needed.
--
--     { "route_smart", small = "small", big = "big", model = "router.model", max_loss = 0.05 }
--     { "route_smart", small = "small", big = "big", model = "router.model", big_share = 0.3,
--       cascade = { logprob = -0.4, schema = true } }
--
-- In this order, the first that has an answer decides:
--   1. what must be: tools, images and prompts that are too long go where they can be served; when usd_per_day is
--      spent on the big model, to the small one (what only the big one can do is refused then, 429);
--   2. a conversation that the big model has in its cache stays there, unless moving it saves more than that cache is
--      worth, by the prices of the upstreams (without prices it stays);
--   3. what is plain to see: length, code, questions, turns, as far as options say so;
--   4. the classifier of `model`, trained by `perilune train` on outcomes of your own; without one, small.
--
-- max_loss is the quality, of 1, that the small model may be expected to lose on a prompt; big_share instead is
-- the share of prompts like those that it was trained on that goes to the big one.  `perilune eval` says what either costs.
--
-- With a cascade the small model answers first and its answer is judged: is it sure (the mean of its logprobs), does
-- it fit the response_format, does a function of yours take it?  Else the big one answers.  A client that streams
-- waits for that: the small model's answer is held back until it is whole.  Requests with tools or n > 1 have no cascade.
-- The judged model is asked for logprobs; a client that did not ask for them does not get them.
--
-- Policies behind it run for each call, so twice for an answer that was not good enough.  Why a request went
-- where it went is in the header x-perilune-route ("big; classifier"), in the log (`routed`), and counted by
-- perilune_routed_total: tools, images, context, budget, conversation, length, code, questions, turns, classifier, default,
-- escalated_ and unsure, no_logprobs, schema, check, empty, broken or failed.
--
---@class RouteSmartOptions
---@field small string                upstream
---@field big string                  upstream
---@field model? string               a file of `perilune train`, seen from the configuration's folder
---@field max_loss? number            quality of 1 that may be lost for a prompt, default 0.05
---@field big_share? number           instead: share of prompts that go to the big model, 0 to 1
---@field small_can? string[]         of "tools" and "images", what the small model can do; default: neither
---@field small_context? integer      tokens of prompt that it takes
---@field big_context? integer        tokens of prompt that the big one takes
---@field usd_per_day? number         that the big model may cost in a day (UTC), by the upstream's price
---@field sticky? boolean             conversations stay, default true
---@field reuse? integer              calls that a conversation will still make, this one included, default 3
---@field small_below_tokens? integer shorter prompts go to the small model
---@field big_above_tokens? integer   longer ones to the big one
---@field big_code? boolean           and those with code, default false
---@field big_above_questions? integer and those with more question marks
---@field big_above_turns? integer    and those with more messages of the user
---@field cascade? RouteSmartCascade
---@field name? string                policies with the same name share conversations and money, default "route_smart"

---@class RouteSmartCascade
---@field logprob? number    mean logprob of its tokens from which on an answer is taken, below 0
---@field schema? boolean    it must fit the request's response_format, default true
---@field check? async fun(text: string, req: perilune.Request): boolean  it must take it
---@field draft? boolean     the big model gets the answer that was not taken, as a draft, default false

local config = require "perilune.config"
local smart = require "perilune.smart"

local spec = {
  small = { type = "upstream", required = true },
  big = { type = "upstream", required = true },
  model = { type = "string", min = 1, max = 1000 },
  max_loss = { type = "number", default = 0.05, min = -1, max = 1 },
  big_share = { type = "number", min = 0, max = 1 },
  small_can = { type = "set", of = { type = "string", one_of = { "tools", "images" } }, default = {} },
  small_context = { type = "integer", min = 1 },
  big_context = { type = "integer", min = 1 },
  usd_per_day = { type = "number", min = 0 },
  sticky = { type = "boolean", default = true },
  reuse = { type = "integer", default = 3, min = 1, max = 1000 },
  small_below_tokens = { type = "integer", min = 0 },
  big_above_tokens = { type = "integer", min = 0 },
  big_code = { type = "boolean", default = false },
  big_above_questions = { type = "integer", min = 0 },
  big_above_turns = { type = "integer", min = 0 },
  cascade = { type = "table" },
  name = { type = "string", default = "route_smart", min = 1, max = 60 },
}

local cascade_spec = {
  logprob = { type = "number", max = 0, min = -100 },
  schema = { type = "boolean", default = true },
  check = { type = "function" },
  draft = { type = "boolean", default = false },
}

local function fail(what, ...) error("policy 'route_smart': " .. what:format(...), 0) end

return function(given)
  local options = config.options(spec, given, "route_smart")
  if options.small == options.big then fail("options 'small' and 'big' are the same upstream, '%s'", options.big) end
  if options.big_share and not options.model then
    fail("option 'big_share' is a share by what the classifier says; name its file under 'model'")
  end
  if options.big_share and given.max_loss then fail("give 'max_loss' or 'big_share', not both") end
  if options.cascade then options.cascade = config.options(cascade_spec, options.cascade, "route_smart, cascade") end
  if options.model then options.classifier = smart.open(options.model, "route", "route_smart") end
  return function(req, next) return smart.route(options, req, next) end
end, { needs = "chat", others = "pass" }

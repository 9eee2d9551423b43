--- prompt_cache: helps providers to find prompts in their caches, and says why they did not.
--
--     { "prompt_cache" }               last in the list: what it marks must not change any more
--
-- * Tools that come in another order than before, or with other orders of keys, go out as
--   this tenant sent them first: the same tools, the same bytes.
-- * Marks, unless the client has put its own.  Anthropic's models: cache_control on the end
--   of the system messages (or the tools), on the last message, and every `every` blocks
--   before it, four in all.  gpt-5.6 and later, at OpenAI itself: prompt_cache_breakpoint
--   on the end of the system messages and where the last request ended; the newest message
--   OpenAI marks by itself.  Others get none.
-- * prompt_cache_key for OpenAI and Mistral: requests with one key are sent to the same
--   machines.
-- * A warning with the message that broke a conversation's prefix: a time in the system
--   message, a policy that rewrites, a client that drops turns.
-- * In the log (debug) how much of each prompt was cached; in the metrics
--   perilune_cached_tokens_total beside gen_ai_client_token_usage_total.
--
-- When clients shuffle their tools and policies in front look at prices, put
-- { "prompt_cache", marks = "none", key = "none", warn = false } in front of these, too.
--
---@class PromptCacheOptions
---@field marks? string  "auto" (default: by model and host), "anthropic", "openai", "none"
---@field key? string    "prefix" (default): one for all conversations with the same tools and
---                      system messages; "conversation": one for each; "none"
---@field ttl? string    of Anthropic's mark at the system messages: "5m" (default) or "1h"
---@field every? integer blocks between Anthropic's marks, default 15, at most 20
---@field tools? boolean keep tools in their first order; default true
---@field warn? boolean  default true

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"
local cache = require "perilune.prompt_cache"

local spec = {
  marks = { type = "string", one_of = { "auto", "anthropic", "openai", "none" }, default = "auto" },
  key = { type = "string", one_of = { "prefix", "conversation", "none" }, default = "prefix" },
  ttl = { type = "string", one_of = { "5m", "1h" }, default = "5m" },
  every = { type = "integer", default = 15, min = 1, max = 20 },
  tools = { type = "boolean", default = true },
  warn = { type = "boolean", default = true },
}

-- A name for what the requests share: tenant, model, tools, and messages up to here.
local function put_key(req, kind)
  local messages = req.messages
  local at = cache.last_system(messages)
  if kind == "conversation" then at = math.min(at + 1, #messages) end
  req.prompt_cache_key = req:prefixes()[at]
end

local function warn(req, broken, profile)
  local where = broken.message == 0 and "model, tools or response_format" or ("message %d"):format(broken.message)
  req:log("warn", ("prompt cache: %s %s, so what stands behind is read anew"):format(where, broken.what), {
    message = broken.message, role = broken.role, what = broken.what, messages = #req.messages,
    upstream = profile.upstream,
  })
end

local function watch_usage(req, res, expected)
  res:finally(function(outcome)
    local usage = outcome.usage
    if not usage or usage.estimated or usage.prompt_tokens == 0 then return end
    req:log("debug", "prompt cache", {
      prompt_tokens = usage.prompt_tokens, cached_tokens = usage.cached_tokens, expected = expected,
      ratio = math.floor(usage.cached_tokens / usage.prompt_tokens * 1000 + 0.5) / 1000,
    })
  end)
end

return function(given)
  local options = config.options(spec, given, "prompt_cache")
  return function(req, next)
    local messages = chat.messages(req)
    if not messages then return next(req) end
    if options.tools then cache.freeze_tools(req) end

    local profile = cost.profile(req)
    local broken, known
    if options.warn then
      broken, known = cache.watch(req, math.max(profile.ttl, options.ttl == "1h" and 3600 or 0))
      if broken and req:tokens() >= profile.least then warn(req, broken, profile) end
    end
    if options.key ~= "none" and req.prompt_cache_key == nil and cache.takes_key(profile) then put_key(req, options.key) end
    cache.mark(req, options.marks == "auto" and cache.marks_for(profile) or options.marks, options)

    local res, err = next(req)
    if not res then return nil, err end
    watch_usage(req, res, known)
    return res
  end
end, { needs = "chat", others = "pass" }

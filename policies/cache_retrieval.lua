--- cache_retrieval: what a retrieval service said is not asked for twice.
--
--     { "cache_retrieval", urls = { "http://search.internal/query*" }, ttl = 600 }
--
-- Keeps the answers (status 200) of perilune.fetch to these URLs, for all policies of the configuration: a
-- search for material, a lookup in a knowledge base.  Calls are told apart by method, URL, headers and
-- body, so what a service needs to know who asks must be in one of them, and calls that change something
-- must not be among the URLs.  An answer that was kept has the headers `x-cache: hit` and `age`.
--
---@class CacheRetrievalOptions
---@field urls string[]            URLs, or beginnings of URLs with a * behind them
---@field ttl? number              seconds, default 300
---@field max_entry? integer|string  a longer answer is not kept, default "1MiB"
---@field name? string             default "retrieval"

local config = require "perilune.config"
local fetch = require "perilune.fetch"
local perilune = require "perilune"

local spec = {
  urls = { type = "list", of = { type = "string", min = 1 }, min = 1, required = true },
  ttl = { type = "duration", default = 300 },
  max_entry = { type = "size", default = 2 ^ 20, min = 1 },
  name = { type = "string", default = "retrieval", min = 1, max = 64 },
}

return function(given)
  local options = config.options(spec, given, "cache_retrieval")
  for _, url in ipairs(options.urls) do
    if not url:find("^https?://") then
      error(("policy 'cache_retrieval': option 'urls' has %q, which does not begin with http:// or https://"):format(url), 0)
    end
  end
  local memory = perilune.cache(options.name, { ttl = options.ttl, max_entry = options.max_entry })
  for _, url in ipairs(options.urls) do fetch.keep(url, memory) end
  return function(req, next) return next(req) end
end

--- cache_retrieval: what a retrieval service said is not asked for twice.
--
--     { "cache_retrieval", urls = { "http://search.internal/query*" }, ttl = 600 }
--     { "cache_retrieval", urls = { "http://search.internal/query*" }, ttl = 600, query = "q" }
--
-- Keeps the answers (status 200) of perilune.fetch to these URLs, for all policies of the configuration: a
-- search for material, a lookup in a knowledge base.  Calls are told apart by method, URL, headers and
-- body, so what a service needs to know who asks must be in one of them, and calls that change something
-- must not be among the URLs.  An answer that was kept has the headers `x-cache: hit` and `age`.
--
-- With `query`, a call also gets what was found for a question that means the same, by the rules of cache_semantic: of
-- the same tenant, and equal in all else than what is asked: method, URL, headers, the rest of the body.  Such an answer says
-- `x-cache-similarity` and `x-cache-entry`, too.  What is kept so belongs to its tenant, unless shared = true.
--
---@class CacheRetrievalOptions
---@field urls string[]            URLs, or beginnings of URLs with a * behind them
---@field ttl? number              seconds, default 300
---@field max_entry? integer|string  a longer answer is not kept, default "1MiB"
---@field name? string             default "retrieval"
---@field honor? string[]         default { "upstream" }: what a service says is not to be stored (Cache-Control: no-store) is not
---@field query? string            what is asked: a parameter of the URL ("q"), or a member of a JSON body ("query", "search.text")
---@field shared? boolean          with query: for all tenants, default false
---@field threshold? number|"auto"   this and all below, with query: as in cache_semantic
---@field max_false? number
---@field embedder? string
---@field prefix? string
---@field timeout? number
---@field calibration? string

local cache = require "perilune.cache"
local config = require "perilune.config"
local fetch = require "perilune.fetch"
local near = require "perilune.near"

local spec = {
  urls = { type = "list", of = { type = "string", min = 1 }, min = 1, required = true },
  ttl = { type = "duration", default = 300 },
  max_entry = { type = "size", default = 2 ^ 20, min = 1 },
  name = { type = "string", default = "retrieval", min = 1, max = 64 },
  query = { type = "string", min = 1, max = 100 },
  shared = { type = "boolean", default = false },
  honor = { type = "list", of = { type = "string", one_of = { "upstream" } }, default = { "upstream" } },
}
local semantic = near.options()
semantic.shadow = nil -- of answers of models
for key, value in pairs(semantic) do spec[key] = value end

return function(given)
  local options = config.options(spec, given, "cache_retrieval")
  for _, url in ipairs(options.urls) do
    if not url:find("^https?://") then
      error(("policy 'cache_retrieval': option 'urls' has %q, which does not begin with http:// or https://"):format(url), 0)
    end
  end
  local how
  if options.query then
    how = {}
    for key in pairs(semantic) do how[key] = options[key] end
  end
  for key in pairs(semantic) do
    if given[key] ~= nil and not how then
      error(("policy 'cache_retrieval': option '%s' needs 'query', which says where the question stands"):format(key), 0)
    end
  end
  local memory = cache.new(options.name, { ttl = options.ttl, max_entry = options.max_entry,
    shared = options.shared, query = options.query, semantic = how, honor = options.honor }, "cache_retrieval")
  for _, url in ipairs(options.urls) do fetch.keep(url, memory) end
  return function(req, next) return next(req) end
end

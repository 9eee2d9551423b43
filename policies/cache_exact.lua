--- cache_exact: answer again what was answered before, without asking a model.
--
--     { "cache_exact", ttl = 3600 }
--     { "cache_exact", ttl = 600, stale = 3600, stale_if_error = 86400, vary = { "x-team" } }
--
-- Everything behind it in the list is what is kept: put what must run for each client (auth, a mask
-- that depends on who asks) in front of it.  Two requests get the same answer when all that it depends on
-- is the same: tenant, route, policies, path, upstream, the client's headers that the upstream gets, those of `vary`, and
-- the whole body but for members that do not change an answer (stream, stream_options, user, metadata,
-- store, service_tier, prompt_cache_*, safety_identifier).  White space and the order of members do not count.
--
-- Kept are whole answers and streams that ended properly, each given again as the client asks for it: as a
-- stream or as a whole, with usage or without.  Not kept: what failed or was cut, what a content filter
-- cut, what calls tools (unless tool_calls = true).  A temperature does not matter, unless max_temperature
-- says so.  The reply says `x-cache: hit`, `miss`, `stale`, `bypass` or `coalesced`, and `age` in seconds.
--
---@class CacheExactOptions
---@field ttl? number              seconds for which an answer is fresh, default 300
---@field stale? number            seconds behind that in which it is given at once while a newer one is fetched, default 0
---@field stale_if_error? number   seconds behind ttl in which it is given when the upstream fails, default 0
---@field negative? number         seconds for which an error about the question (400, 404, 413, 422) is kept, default 0
---@field shared? boolean          one memory for all tenants, default false
---@field version? string          of the policies behind it; default: all files of the configuration are a version
---@field vary? string[]           headers of the client that the answer depends on, too
---@field tool_calls? boolean      keep answers that call tools, default false
---@field max_entry? integer|string  a longer answer is not kept, default "1MiB"
---@field max_temperature? number  requests that ask for a higher one go past the cache
---@field honor? string[]          what clients may ask for by Cache-Control; default all: "no-cache", "no-store", "max-age"
---@field pace? number             seconds between two events of a stream that is given again, default 0
---@field answers? integer        up to so many answers to a question, given to each user in turn, default 1
---@field probability? number     of a hit; else the model is asked anew, default 1
---@field rephrase? boolean|string  hits are worded otherwise: true by rules, or the name of an upstream with a small model
---@field coalesce? boolean        requests that ask the same at the same time share one answer, default true
---@field tags? string[]           for cache:invalidate()
---@field name? string             policies with the same name share a memory, default "exact"

local cache = require "perilune.cache"
local config = require "perilune.config"
local perilune = require "perilune"

local spec = cache.options()
spec.name = { type = "string", default = "exact", min = 1, max = 64 }
spec.coalesce = { type = "boolean", default = true }
spec.tags = { type = "list", of = { type = "string", min = 1 }, max = 14 }

return function(given)
  local options = config.options(spec, given, "cache_exact")
  local own = {}
  for key in pairs(cache.options()) do own[key] = options[key] end
  local memory = perilune.cache(options.name, own)
  local how = options.tags and { tags = options.tags } or nil
  return function(req, next)
    if options.coalesce then perilune.coalesce(req) end
    return memory:wrap(req, next, how)
  end
end

--- cache_semantic: give an answer again to a question that means the same.
--
--     { "cache_semantic", ttl = 3600 }
--     { "cache_semantic", ttl = 3600, threshold = "auto", max_false = 0.01 }
--     { "cache_semantic", ttl = 3600, embedder = "e5", prefix = "query: ", calibration = "e5.calibration" }
--
-- First it does what cache_exact does.  When that knows no answer, the last turn of the user is compared with
-- those of requests that are equal in all else: tenant, upstream, model, settings, system prompt, turns before it.  The
-- nearest are judged in three ways: by a similarity, by a small model that was trained on pairs of questions, and by
-- a guard, which refuses whatever differs in numbers, units, dates, negation, opposites, from-to, names, code, language, or
-- the form of the answer that is asked for.  The reply says `x-cache: hit` with `x-cache-similarity`, and
-- `x-cache-entry`, which cache:feedback(entry, ok) takes.
--
-- Not compared: questions that are more than text or over 4 KiB, that answer a tool, and requests that offer tools
-- (unless tool_calls = true).  Why a near question was refused stands in the log (debug) and in
-- GET /admin/cache/explain.
--
-- threshold = "auto" gives answers only where the calibration of the embedder says that at most `max_false` of
-- different questions would get one.  A number is compared with the similarity instead; the guard still holds.  What is near
-- enough differs by embedder and by what people ask: `perilune cache calibrate` finds it out for yours.
--
---@class CacheSemanticOptions
---@field threshold? number|"auto"   0 to 1, default "auto"
---@field max_false? number        share of different questions that may get an answer, default 0.01
---@field embedder? string         "builtin" (default), the name of an upstream that gives embeddings, or a file with a table
---@field prefix? string           what the upstream wants in front of a question ("query: ")
---@field timeout? number          seconds that the upstream of embeddings may take, default 2; then the question is a miss
---@field calibration? string      a file of `perilune cache calibrate`, seen from the configuration's folder
---@field answers? integer         up to so many answers to a question, given to each user in turn, default 1
---@field probability? number      of a hit; else the model is asked anew, default 1
---@field rephrase? boolean|string  hits are worded otherwise: true by rules, or the name of an upstream with a small model
---@field ttl? number              this and all below: as in cache_exact
---@field stale? number
---@field stale_if_error? number
---@field negative? number
---@field shared? boolean
---@field version? string
---@field vary? string[]
---@field tool_calls? boolean
---@field max_entry? integer|string
---@field max_temperature? number
---@field honor? string[]
---@field pace? number
---@field coalesce? boolean
---@field tags? string[]
---@field name? string             default "semantic"

local cache = require "perilune.cache"
local config = require "perilune.config"
local near = require "perilune.near"
local perilune = require "perilune"

local spec = cache.options()
for key, value in pairs(near.options()) do spec[key] = value end
spec.name = { type = "string", default = "semantic", min = 1, max = 64 }
spec.coalesce = { type = "boolean", default = true }
spec.tags = { type = "list", of = { type = "string", min = 1 }, max = 14 }

return function(given)
  local options = config.options(spec, given, "cache_semantic")
  local own = { semantic = {} }
  for key in pairs(cache.options()) do own[key] = options[key] end
  for key in pairs(near.options()) do own.semantic[key] = options[key] end
  local memory = perilune.cache(options.name, own)
  local how = options.tags and { tags = options.tags } or nil
  return function(req, next)
    if options.coalesce then perilune.coalesce(req) end
    return memory:wrap(req, next, how)
  end
end

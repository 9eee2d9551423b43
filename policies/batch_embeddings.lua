--- batch_embeddings: questions for vectors of several clients become one call.
--
--     { "batch_embeddings", max_size = 64, max_wait = 0.005 }
--
-- A question goes at once while none is out; those that come meanwhile go together in the next call (perilune.batch).
-- Together go those that are equal in all but their inputs: model, dimensions, encoding_format, user and whatever else
-- the body says, the tenant, and the headers that upstreams get.  An input that several ask for is asked for once.
-- Each client gets its own vectors, in its own order, as the upstream wrote them, and its share of the usage.
--
-- When the upstream refuses what is asked (400, 413, 422) each of them asks by itself, once: then the error is that of
-- who caused it.  Any other error is everybody's.  What is behind this policy is called once for all of them.
--
---@class BatchEmbeddingsOptions
---@field max_size? integer         inputs of a call, default 64, at most 2048
---@field max_tokens? integer       tokens of a call, default 16384, at most 300000
---@field max_wait? number          seconds that a question waits for the call under way, default 0.005
---@field max_queue? integer        questions that wait, default 1024
---@field max_calls? integer        calls at once, default 16
---@field timeout? number           seconds that a call may take, default 60
---@field across_tenants? boolean   may questions of several tenants share a call? default false

local config = require "perilune.config"
local embeddings = require "perilune.embeddings"

return function(given)
  return embeddings.together(config.options(embeddings.options(), given, "batch_embeddings"))
end

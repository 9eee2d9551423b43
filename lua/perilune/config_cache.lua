--- config_cache: the section `cache` of a configuration: how large it is, its second tier, indexes that machines share.

local servers = require "perilune.config_servers"
local values = require "perilune.config_values"
local walking = require "perilune.config_walk"

local complain, join, walk, size = walking.complain, walking.join, walking.walk, walking.size

-- A name of Milvus': what it allows, and no more.
local function check_name(v)
  if v:find("^[%a_][%w_]*$") then return v end
  return nil, ("must have letters, digits and _, and begin with no digit, got %q"):format(v)
end

local milvus_schema = {
  url = { type = "string", required = "is missing: \"http://milvus:19530\"", check = values.base_url.check },
  token = { walk = walking.walk_secret },
  database = { type = "string", min = 1, max = 200, default = "default", check = check_name },
  collection = { type = "string", min = 1, max = 200, default = "perilune", check = check_name },
  timeout = { type = "duration", default = 0.1, min = 0.001, max = 10 },
}

local cache_schema = {
  max_bytes = size(64 * 2 ^ 20, 0), max_vectors = size(32 * 2 ^ 20, 0), snapshot = walking.file,
  redis = { walk = function(ctx, path, raw) return servers.walk_redis(ctx, path, raw, servers.redis_schema) end },
  milvus = { walk = function(ctx, path, raw) return walk(ctx, path, raw, milvus_schema) end },
  index = { type = "string", one_of = { "builtin", "redis", "redisearch", "milvus" }, default = "builtin" },
}

-- An index that machines share names entries of `redis`, which are then found by the vectors of this process.
return function(ctx, path, raw)
  local out = walk(ctx, path, raw, cache_schema)
  if type(raw) == "table" and raw.milvus ~= nil and out.index ~= "milvus" then
    complain(ctx, join(path, "milvus"), "is not asked unless index = \"milvus\"")
  end
  if out.index == nil or out.index == "builtin" then return out end
  if type(raw) == "table" and raw.redis == nil then
    complain(ctx, join(path, "index"), ("'%s' needs cache.redis, where the answers are that it finds"):format(out.index))
  end
  if out.index == "milvus" and type(raw) == "table" and raw.milvus == nil then
    complain(ctx, join(path, "index"), "'milvus' needs cache.milvus: { url = \"http://milvus:19530\" }")
  end
  if out.max_vectors == 0 then
    complain(ctx, join(path, "index"), ("'%s' needs max_vectors above 0: what it finds is judged by the vectors here")
      :format(out.index))
  end
  return out
end

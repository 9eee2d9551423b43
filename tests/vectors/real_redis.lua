-- real_redis.lua -- a real server of its own, in place of fake_redis.lua: Redis 8, RediSearch, or an old Redis.

local redis = require "support.redis"

local M = {}
local methods = {}

function methods:forget_entries()
  self:ask("EVAL", "for _, k in ipairs(redis.call('KEYS', '*:e:*')) do redis.call('DEL', k) end return 1", "0")
end

function methods:vectors()
  return tonumber(self:ask("EVAL", [[local n = 0
    for _, k in ipairs(redis.call('KEYS', '*:v:*')) do n = n + redis.call('VCARD', k) end
    return tostring(n + #redis.call('KEYS', '*:h:*'))]], "0"))
end

--- server: a path; module: of a library to load, or nil.
function M.new(server, module)
  local self = redis.new(server, module and { "--loadmodule", module })
  for name, method in pairs(methods) do self[name] = method end
  return self
end

return M

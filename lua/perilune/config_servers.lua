--- config_servers: servers that others keep for us, by their addresses: Redis, RabbitMQ, Kafka.

local check = require "perilune.check"
local values = require "perilune.config_values"
local walking = require "perilune.config_walk"

local complain, join, percent_decoded = walking.complain, walking.join, values.percent_decoded

local M = {}

local function literal(password)
  return { kind = "literal", value = percent_decoded(password) }
end

-- What stands behind SCHEME:// or SCHEMEs://, in parts: login is what stands before the last @.  Nil: it has no form
-- that a server's address has.
local function parts_of(url, scheme)
  local tls, rest = url:match("^" .. scheme .. "(s?)://(.*)$")
  if not rest then return nil end
  local login, address = rest:match("^(.*)@([^@]*)$")
  address = address or rest
  local host, port, path = address:match("^%[([%x:%.]+)%]:?(%d*)(.*)$")
  if not host then host, port, path = address:match("^([%w%.%-_]+):?(%d*)(.*)$") end
  return { tls = tls == "s" or nil, login = login, host = host, port = tonumber(port), path = path }
end

local function has_port(number) return number >= 1 and number <= 65535 end

-- redis://[[user]:password@]host[:port][/db], rediss:// with TLS, unix:/path.  nil, and what is wrong.
local function parse_redis(url)
  local path = url:match("^unix:(/[^%z]+)$")
  if path then
    if #path > 107 then return nil, "has a path over 107 bytes, which no socket can have" end
    return { path = path, port = 0, db = 0 }
  end
  if url:match("^redis%-sentinel://") or url:match("^redis%+sentinel://") then
    return nil, "names a sentinel; name the server itself"
  end
  local parts = parts_of(url, "redis")
  if not parts then return nil, ("must be \"redis://host:6379/0\" or \"unix:/path\", got %q"):format(url) end
  local db = parts.host and parts.path:match("^/?(%d*)$")
  if not db then return nil, "has no valid host, port or database: \"redis://host:6379/0\"" end
  local number, base = parts.port or 6379, tonumber(db) or 0
  if not has_port(number) then return nil, "has a port that does not exist" end
  if base > 65535 then return nil, "has a database that does not exist" end
  local out = { host = parts.host, port = number, db = base, tls = parts.tls }
  if parts.login then
    local user, password = parts.login:match("^([^:]*):(.+)$")
    if not user then return nil, "has a user without a password: \"redis://user:password@host\"" end
    out.user = user ~= "" and percent_decoded(user) or nil
    out.password = literal(password)
  end
  return out
end

--- What a Redis is told by; a section of its own may have more, or other defaults.
---@type table<string, perilune.Spec>
M.redis_schema = {
  url = { type = "string", required = "is missing: \"redis://host:6379/0\" or \"unix:/path\"" },
  user = { type = "string", min = 1, max = 256 },
  password = { walk = walking.walk_secret },
  timeout = { type = "duration", default = 0.05, min = 0.001, max = 10 },
  prefix = { type = "string", min = 1, max = 128, default = "perilune:", check = function(v)
    if v:find("[^%w%p]") then return nil, ("must be printable and without spaces, got %q"):format(v) end
    return v
  end },
  secret = { walk = walking.walk_secret },
  ca = walking.file,
}

function M.walk_redis(ctx, path, raw, schema)
  if type(raw) == "string" then
    complain(ctx, path, ("must be a table; did you mean redis = { url = %s }?"):format(check.show(raw)))
    return {}
  end
  local out = walking.walk(ctx, path, raw, schema)
  if type(out.url) ~= "string" then return out end
  local parts, message = parse_redis(out.url)
  if not parts then
    complain(ctx, join(path, "url"), message)
    return out
  end
  out.url = nil
  for _, key in ipairs{ "user", "password" } do
    if parts[key] and out[key] then complain(ctx, join(path, key), "stands in the url, too; keep one of them") end
  end
  for key, value in pairs(parts) do out[key] = value end
  if out.user and not out.password then complain(ctx, join(path, "user"), "needs a password") end
  return out
end

--- amqp://[user[:password]@]host[:port][/vhost], amqps:// with TLS.  nil, and what is wrong.
---@param url string
---@return table?
---@return string?
function M.parse_amqp(url)
  local parts = parts_of(url, "amqp")
  if not parts then return nil, ("must be \"amqp://user:password@host:5672/vhost\", got %q"):format(url) end
  if not parts.host or not parts.path:find("^/?[^/?#]*$") then
    return nil, "has no valid host, port or vhost: \"amqp://user:password@host:5672/vhost\"; a / in a vhost is %2F"
  end
  local number = parts.port or (parts.tls and 5671 or 5672)
  if not has_port(number) then return nil, "has a port that does not exist" end
  local vhost = percent_decoded(parts.path:sub(2))
  local out = { host = parts.host, port = number, tls = parts.tls, vhost = vhost ~= "" and vhost or "/" }
  if parts.login then
    local user, password = parts.login:match("^([^:]+):?(.*)$")
    if not user then return nil, "has a password without a user: \"amqp://user:password@host\"" end
    out.user = percent_decoded(user)
    out.password = password ~= "" and literal(password) or nil
  end
  return out
end

--- host:port,host:port.  nil, and what is wrong.
---@param servers string
---@return table?
---@return string?
function M.parse_kafka(servers)
  for server in (servers .. ","):gmatch("([^,]*),") do
    local host, port = server:match("^%s*([%w%.%-_]+):(%d+)%s*$")
    if not host then host, port = server:match("^%s*%[([%x:%.]+)%]:(%d+)%s*$") end
    if not host or not has_port(tonumber(port)) then
      return nil, ("must be \"host:9092\", or several of them with commas, got %q"):format(servers)
    end
  end
  return { servers = (servers:gsub("%s", "")) }
end

return M

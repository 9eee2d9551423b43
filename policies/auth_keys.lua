--- auth_keys: who is calling?  Keys are kept as hashes, each names a tenant.
--
--     { "auth_keys", keys = {
--         ["2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"] = "acme",
--     } }
--
-- The hash of a key:  printf %s "$KEY" | sha256sum
-- A request without a known key gets 401 in OpenAI's shape.  With one, req.tenant
-- is set for the policies behind, the limits and the log.  The key is taken out of the
-- request: no upstream gets it, also not one with key = "client", and it is not logged.
--
---@class AuthKeysOptions
---@field keys table<string, string>  SHA-256 of the key in hex -> tenant
---@field header? string              default "authorization"; "Bearer " in front is optional

local config = require "perilune.config"
local perilune = require "perilune"

local spec = {
  keys = { type = "map", of = { type = "string", min = 1, max = 127 }, required = true },
  header = { type = "string", default = "authorization", min = 1 },
}

local function checked_keys(keys)
  local out = {}
  for hash, tenant in pairs(keys) do
    if #hash ~= 64 or hash:find("%X") then
      error("policy 'auth_keys': option 'keys' has a key that is no SHA-256 in hex (64 digits); "
            .. "make one with: printf %s \"$KEY\" | sha256sum", 0)
    end
    out[hash:lower()] = tenant
  end
  return out
end

local function token_of(value)
  if type(value) ~= "string" then return nil end
  local token = value:match("^[Bb][Ee][Aa][Rr][Ee][Rr]%s+(.-)%s*$") or value
  return token ~= "" and token or nil
end

local function refuse(message)
  return nil, perilune.error{
    code = "invalid_api_key", status = 401, type = "invalid_request_error", retryable = false, message = message,
  }
end

return function(given)
  local options = config.options(spec, given, "auth_keys")
  local tenants, header = checked_keys(options.keys), options.header
  return function(req, next)
    local token = token_of(req.headers[header])
    if not token then return refuse(("no API key provided; send it in the header '%s'"):format(header)) end

    -- Looking up a hash tells nothing about the keys by how long it takes.
    local tenant = tenants[perilune.sha256(token)]
    if not tenant then return refuse("incorrect API key provided") end
    req.tenant = tenant
    req.headers[header] = nil -- an upstream with key = "client" would get it
    return next(req)
  end
end, { admits = true } -- a job is taken on only for who may ask

--- warm: of requests that begin the same, one goes first, so that the others find the provider's cache.
--
--     ask ------> upstream ... first token
--     ask, ask, ask  wait ............... -> upstream: the beginning is read from the cache
--
-- Providers keep the beginning of a prompt once its answer has begun, in beginnings of 1,024 tokens and more, for some
-- minutes.  Requests that leave together find nothing of each other and are all paid in full.  So whoever asks with a
-- beginning that nobody has asked with lately leads, and who comes meanwhile waits until the first token is there, but
-- not long: waiting must cost less than it saves.  When the one that leads fails, the next one does.
--
-- What is remembered is of this worker and of this load: who does not know of another leads once more than needed.

local core = require "perilune.core"

local M = {}

local LEAST = 4096 -- bytes of JSON, about 1,024 tokens
local WAIT = 2     -- seconds
local KEEP = 240   -- seconds that a beginning counts as kept: providers say five to ten minutes
local MOST = 512   -- beginnings that are remembered

local entries, count = {}, 0

local function sweep(now)
  for key, entry in pairs(entries) do
    if entry.until_at <= now then entries[key], count = nil, count - 1 end
  end
end

-- A new entry; when there are too many, all that is remembered goes.
local function put(key, entry)
  if not entries[key] then
    if count >= MOST then sweep(core.clock()) end
    if count >= MOST then entries, count = {}, 0 end
    count = count + 1
  end
  entries[key] = entry
end

--- What requests must have in common, or nil: this one waits for nobody.
---@param warm boolean|string|nil  of perilune.ask
---@param where string             upstream or route
---@param tenant string
---@param settings table?          of the upstream
---@param fields table             model, messages, tools
---@return string?
function M.key(warm, where, tenant, settings, fields)
  if warm == false then return nil end
  if type(warm) == "string" then return where .. "\0" .. tenant .. "\0" .. warm end
  local price = settings and settings.price
  local caches = price and price.cached and price.input and price.cached < price.input
  if not warm and not caches then return nil end
  local text = core.json_encode(fields.messages)
  if #text < LEAST then
    if not warm then return nil end
    text = core.json_encode(fields.messages[1])
  end
  local tools = fields.tools and core.json_encode(fields.tools) or ""
  return where .. "\0" .. tenant .. "\0" .. core.sha256(tostring(fields.model) .. "\0" .. tools .. "\0" .. text:sub(1, LEAST))
end

--- Waits, when another one leads.  Returns the latch of one that leads, to be set by its first token.
---@async
---@param key string
---@param wait? number  seconds at most
---@return userdata? latch
function M.enter(key, wait)
  local begun = core.clock()
  local last = begun + (wait or WAIT)
  while true do
    local now = core.clock()
    local entry = entries[key]
    if entry and entry.until_at <= now then entry = nil end
    if not entry then
      local latch = core.latch()
      put(key, { latch = latch, until_at = now + KEEP })
      return latch
    end
    if entry.warm or now >= last then return nil end
    local came = core.result(core.latch_wait(entry.latch, last - now))
    -- It failed, or ended before it began: somebody else leads.
    if came and entries[key] == entry and not entry.warm then entries[key], count = nil, count - 1 end
  end
end

--- The answer of the one that leads has begun.
function M.begun(key)
  put(key, { warm = true, until_at = core.clock() + KEEP })
end

--- For specs: as in a worker that begins.
function M.forget() entries, count = {}, 0 end

return M

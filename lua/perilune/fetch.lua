--- fetch: perilune.fetch, and which of its answers are kept (cache_retrieval).

local check = require "perilune.check"
local fetched = require "perilune.fetched"
local host = require "perilune.host"

local M = {}

local options = { method = true, headers = true, body = true, timeout = true, public_only = true, stream = true }

-- Names of headers are in lower case; who asks in another one finds them, too.
local any_case = {
  __index = function(headers, name)
    return type(name) == "string" and rawget(headers, name:lower()) or nil
  end,
  __metatable = "perilune.headers",
}

--- An answer, as policies get it.
function M.answer(res)
  setmetatable(res.headers, any_case)
  return res
end

--- The call itself.
---@async
function M.anew(url, opts)
  local res, err = host.fetch(url, opts)
  if not res then return nil, err end
  res = M.answer(res)
  return opts and opts.stream and fetched.new(res) or res
end

-- { pattern =, cache = }: of the policies of this configuration, in the order in which they were loaded.
local kept = {}

--- Answers of URLs that match are kept from now on.  A pattern is a URL, or the beginning of one with a * behind it.
---@param pattern string
---@param cache perilune.Cache
function M.keep(pattern, cache) kept[#kept + 1] = { pattern = pattern, cache = cache } end

local function matches(pattern, url)
  if pattern:sub(-1) ~= "*" then return url == pattern end
  return url:sub(1, #pattern - 1) == pattern:sub(1, -2)
end

--- perilune.fetch
---@async
function M.fetch(url, opts)
  check.known("perilune.fetch", opts, options)
  -- What is kept may have come from an address that is not public, and is a whole.
  local keeps = type(url) == "string" and not (opts and (opts.public_only or opts.stream))
  for _, k in ipairs(keeps and kept or {}) do
    if matches(k.pattern, url) then return k.cache:fetch(url, opts) end
  end
  return M.anew(url, opts)
end

return M

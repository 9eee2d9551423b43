--- retrieval: what perilune.fetch got is given again (cache:fetch, and the policy cache_retrieval).
--
-- Two calls are the same when method, URL, headers and body are.  With `query` a call is a question and all else: the
-- question is compared by its meaning with those of calls of the same tenant that are equal in all else (near.lua).
--
--     GET http://search/q?lang=en&q=reset+password
--         rest "GET http://search/q?lang=en ..."     question "reset password"

local core = require "perilune.core"
local fetch = require "perilune.fetch"
local near = require "perilune.near"

local M = {}

-- All that an answer depends on; each part behind its length.
local function describe(url, opts, body)
  local headers = {}
  for name, value in pairs(opts and opts.headers or {}) do
    headers[#headers + 1] = ("%d:%s%s"):format(#name, name:lower(), tostring(value))
  end
  table.sort(headers)
  local head = table.concat(headers, "\n")
  local method = opts and opts.method or (opts and opts.body and "POST" or "GET")
  return ("%d:%s%d:%s%d:%s%s"):format(#method, method, #url, url, #head, head, body)
end

-- The value of the parameter, and the URL without it; nil when it is not there, or twice.
local function in_url(url, name)
  local path, query, fragment = url:match("^([^?#]*)%??([^#]*)(.*)$")
  local rest, text = {}, nil
  for pair in query:gmatch("[^&]+") do
    local key, value = pair:match("^([^=]*)=(.*)$")
    if key ~= name then rest[#rest + 1] = pair
    elseif text then return nil
    else text = value end
  end
  text = text and core.url_decode(text, "form")
  return text, path .. "?" .. table.concat(rest, "&") .. fragment
end

-- The question of a call and all else of it, or nil: in its URL, else in the JSON of its body.
local function split(url, opts, query)
  local body = opts and opts.body or ""
  local text, rest = in_url(url, query)
  if text then return text, describe(rest, opts, body) end
  text, rest = core.json_cut(body, query)
  if text then return text, describe(url, opts, rest) end
  return nil
end

local function kept(text, age, similarity, entry)
  local length, rest = text:match("^f(%d+)\n()")
  local res = core.json_decode(text:sub(rest, rest + length - 1))
  res.body = text:sub(rest + length)
  res.headers["x-cache"], res.headers["age"] = "hit", ("%d"):format(age)
  if similarity then
    res.headers["x-cache-similarity"], res.headers["x-cache-entry"] = ("%.3f"):format(similarity), entry
  end
  return fetch.answer(res)
end

-- Does the service say that its answer is not to be stored?
local function forbids(res)
  return ("," .. (res.headers["cache-control"] or ""):lower():gsub("%s", "") .. ","):find(",no-store,", 1, true) ~= nil
end

--- perilune.fetch(url, opts), whose answers with status 200 are kept.
---@async
---@param cache perilune.Cache
---@param how { near: table?, query: string?, heeds: boolean } of the cache
function M.fetch(cache, url, opts, how)
  if opts and opts.stream then error("cache:fetch keeps whole answers; a stream is perilune.fetch's", 3) end
  local key = "fetch " .. core.sha256(describe(url, opts, opts and opts.body or ""))
  local question, rest, asked
  if how.near then
    key = ("%s %s"):format(key, core.sha256(core.cache_tenant(cache))) -- of one tenant, as near ones are
    question, rest = split(url, opts, how.query)
  end
  local text, age = core.result(core.cache_get(cache, key))
  local found
  if not text and question then found, asked = near.find_value(how.near, cache, rest, question) end
  core.cache_note(cache, nil, text and "hit" or found and "semantic" or "miss")
  if text then return kept(text, age) end
  if found then return kept(found.value, found.age, found.similarity, found.entry) end
  local res, err = fetch.anew(url, opts)
  if not res then return nil, err end
  if res.status == 200 and not (how.heeds and forbids(res)) then
    local head = core.json_encode{ status = res.status, headers = res.headers }
    core.cache_set(cache, key, ("f%d\n%s%s"):format(#head, head, res.body), nil, nil, asked)
  end
  return res
end

return M

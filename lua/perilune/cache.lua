--- cache: perilune.cache(name, opts), answers and values that can be given again.
--
-- C knows what a request's key is, and keeps answers (core.cache_*); here stands in which order things are
-- tried.  The options are checked once, when a policy is loaded.

local check = require "perilune.check"
local config = require "perilune.config"
local core = require "perilune.core"
local errors = require "perilune.errors"
local near = require "perilune.near"
local rephrase = require "perilune.rephrase"
local retrieval = require "perilune.retrieval"

local M = {}

local methods = core.cache_methods
local result = core.result

-- ORDER: the bits of request/cache_control.h.
local directives = { ["no-cache"] = 1, ["no-store"] = 2, ["max-age"] = 4, upstream = 8 }

local spec = {
  ttl = { type = "duration", default = 300 },
  stale = { type = "duration", default = 0 },
  stale_if_error = { type = "duration", default = 0 },
  negative = { type = "duration", default = 0 },
  shared = { type = "boolean", default = false },
  version = { type = "string", min = 1, max = 256 },
  vary = { type = "list", of = { type = "string", min = 1 }, default = {}, max = 16 },
  tool_calls = { type = "boolean", default = false },
  max_entry = { type = "size", default = 2 ^ 20, min = 1 },
  max_temperature = { type = "number", min = 0 },
  honor = { type = "list", of = { type = "string", one_of = { "no-cache", "no-store", "max-age", "upstream" } } },
  pace = { type = "duration", default = 0 },
  probability = { type = "number", default = 1, min = 0, max = 1 },
  answers = { type = "integer", default = 1, min = 1, max = 16 },
  rephrase = { type = "any", check = rephrase.check, default = false },
}

-- Of each cache, what C does not need to know.
local nears = setmetatable({}, { __mode = "k" })
local choices = setmetatable({}, { __mode = "k" })

--- What the options are, for a policy that has a cache: to be mixed with its own.
---@return table<string, perilune.Spec>
function M.options()
  local out = {}
  for key, value in pairs(spec) do out[key] = value end
  return out
end

-- A header that no request can have would make no difference.
local function check_vary(names)
  for _, name in ipairs(names) do
    if name:find("[^%w!#$%%&'*+.^_`|~-]") then return nil, ("has %s, which is no name of a header"):format(check.show(name)) end
  end
  return names
end
spec.vary.check = check_vary

local new_spec = M.options()
new_spec.semantic = { type = "table" }
new_spec.query = { type = "string", min = 1, max = 100 }

---@param name string
---@param options? table
---@param where? string for messages
function M.new(name, options, where)
  if type(name) ~= "string" or #name < 1 or #name > 64 then
    error(("perilune.cache: a name is a string of 1 to 64 bytes, got %s"):format(check.show(name)), 2)
  end
  local given = config.options(new_spec, options, where or "perilune.cache")
  local bits = given.honor and 0 or 15
  for _, word in ipairs(given.honor or {}) do
    local bit = directives[word]
    if bits % (2 * bit) < bit then bits = bits + bit end
  end
  given.honor_bits = bits
  local cache = core.cache_new(name, given)
  if given.query and not given.semantic then given.semantic = {} end
  if given.semantic then
    local checked = config.options(near.options(), given.semantic, where or "perilune.cache: semantic")
    nears[cache] = near.new(checked, where or "perilune.cache: semantic")
  end
  choices[cache] = { answers = given.answers, probability = given.probability, rephrase = given.rephrase, query = given.query,
    heeds = bits >= 8 }
  return cache
end

local wrap_options = { salt = true, tags = true, keep = true }

-- Errors about the question itself: the same question gets the same one again.
local negative = { [400] = true, [404] = true, [413] = true, [422] = true }

local function keep_failure(cache, req, key, err)
  if not negative[err.status] or err.retryable then return end
  core.cache_keep_failure(cache, req, key, core.json_encode{
    code = err.code, message = err.message, status = err.status, type = err.type, param = err.param,
    upstream = err.upstream, body = err.body,
  })
end

-- What the log says of a failure that the client does not see.
local function told(err)
  if type(err) ~= "table" then return { reason = tostring(err) } end
  return { code = err.code, upstream = err.upstream, upstream_status = err.status, reason = err.message }
end

-- Is it one that says nothing of the question?
local function is_outage(err)
  local status = type(err) == "table" and err.status or 500
  return status >= 500 or status == 429
end

local function ask(cache, req, next, key, how)
  local res, err = next(req)
  if res then
    if key and how.keep and not how.keep(res) then key = nil end
    return core.cache_record(cache, req, res, key, how.tags, how.bypassed, how.asked)
  end
  if how.old and is_outage(err) then
    local stale = core.cache_stale(cache, req, key)
    if stale then
      core.cache_note(cache, req, "stale")
      req:log("warn", "answered with what the cache had, because the upstream failed", told(err))
      return stale
    end
  end
  if key and type(err) == "table" then keep_failure(cache, req, key, err) end
  core.cache_note(cache, req, how.bypassed and "bypass" or "miss")
  return res, err
end

-- core.cache_lookup(), in this process and then in the second tier.
local function look_up(cache, req, salt, tags)
  local how, a, b, refresh = core.cache_lookup(cache, req, salt, nil, tags)
  if how == "miss" and result(core.cache_far(req, a)) then
    return core.cache_lookup(cache, req, salt, a, tags)
  end
  return how, a, b, refresh
end

-- How often this user has asked this, plus where they began: others begin elsewhere.
local function turn_of(req)
  local key = core.sha256(("%s\0%s\0%s"):format(req.tenant, tostring(req.user or req.peer), req:fingerprint()))
  local count = tonumber(core.memo_get("turn " .. key)) or 0
  core.memo_set("turn " .. key, ("%d"):format(count + 1), 86400, req.tenant)
  return count + tonumber(key:sub(1, 8), 16)
end

-- Of several answers to one question each has a salt of its own, and each user gets them in turn.  As long as there
-- are fewer than there may be, the model is asked for one more now and then, the more seldom the more there are.
-- Returns the salt, and whether the model is to be asked.
local function salt_of_one(cache, req, salt, most)
  local found, free = {}, nil
  for i = 0, most - 1 do
    local own = ("%s\0answer %d"):format(salt or "", i)
    local key, is_there = core.cache_key(cache, req, own)
    if not key then return salt, false end
    if is_there then found[#found + 1] = own else free = free or own end
  end
  if #found == 0 then return free, false end
  if free and core.random() < 1 / (1 + #found) then return free, true end
  return found[turn_of(req) % #found + 1], false
end

-- A hit that is not taken: the model is asked, and its answer takes the place of the one that is there.
local function passes_by(cache, how)
  local p = choices[cache].probability
  return p < 1 and (how == "hit" or how == "stale") and core.random() >= p
end

-- A hit as it is given.
local function worded(cache, req, res)
  local how = choices[cache].rephrase
  return how and rephrase.response(req, res, how) or res
end

--- The answer from the cache, or the one of next(req), which is kept.
function methods.wrap(cache, req, next, opts)
  local salt, tags, keep
  if opts then
    check.known("cache:wrap", opts, wrap_options)
    salt, tags, keep = opts.salt, opts.tags, opts.keep
    if keep ~= nil and type(keep) ~= "function" then
      error("cache:wrap: 'keep' is a function(res) that says whether the answer is kept, got " .. check.show(keep), 2)
    end
  end
  local most, own, anew = choices[cache].answers, salt, false
  if most > 1 then own, anew = salt_of_one(cache, req, salt, most) end
  local how, a, b, refresh = look_up(cache, req, own, tags)
  if passes_by(cache, how) then how, a, b, anew = "miss", (core.cache_key(cache, req, own)), false, true end
  if how == "hit" or how == "stale" then core.cache_note(cache, req, how) end
  if how == "hit" then return worded(cache, req, a) end
  if how == "stale" then
    if refresh then core.cache_refresh(req) end
    return a
  end
  if how == "failure" then
    core.cache_note(cache, req, "hit")
    return nil, errors.new(core.json_decode(a))
  end
  local bypassed, key = how == "bypass", a
  if bypassed then key = b end
  local res, asked
  if nears[cache] and key then res, asked = near.find(nears[cache], cache, req, salt, bypassed or anew) end
  if res then
    core.cache_note(cache, req, "semantic")
    near.given(nears[cache], req, key, res)
    return worded(cache, req, res)
  end
  return ask(cache, req, next, key, { tags = tags, keep = keep, bypassed = bypassed, asked = asked,
    old = not bypassed and b })
end

--- The answer that was kept, however old within stale_if_error; nil when there is none.
function methods.stale(cache, req)
  local key = core.cache_key(cache, req)
  local res = key and core.cache_stale(cache, req, key)
  if res then core.cache_note(cache, req, "stale") end
  return res or nil
end

--- Was the answer right, of which the reply said x-cache-entry?
function methods.feedback(cache, entry, ok) return near.feedback(cache, entry, ok) end

--- What cache_exact and cache_semantic have in common: a policy whose cache has all options of a cache.
---@param name string     of the policy
---@param default string  name of its cache, unless the options say another
---@param semantic? table<string, perilune.Spec>  options that go to the cache as `semantic`
function M.policy(name, default, semantic)
  local own_spec = M.options()
  for key, value in pairs(semantic or {}) do own_spec[key] = value end
  own_spec.name = { type = "string", default = default, min = 1, max = 64 }
  own_spec.coalesce = { type = "boolean", default = true }
  own_spec.tags = { type = "list", of = { type = "string", min = 1 }, max = 14 }
  return function(given)
    local options, own = config.options(own_spec, given, name), {}
    for key in pairs(spec) do own[key] = options[key] end
    if semantic then
      own.semantic = {}
      for key in pairs(semantic) do own.semantic[key] = options[key] end
    end
    local memory = M.new(options.name, own, name)
    local how = options.tags and { tags = options.tags } or nil
    return function(req, next)
      if options.coalesce then core.coalesce(req) end
      return memory:wrap(req, next, how)
    end
  end
end

local function get(cache, key)
  local text, age = result(core.cache_get(cache, key))
  core.cache_note(cache, nil, text and "hit" or "miss")
  return text, age
end

-- A value's first byte says how it is written.
function methods.get(cache, key)
  local text, age = get(cache, key)
  if text == nil then return nil end
  if text:byte() == 115 then return text:sub(2), age end
  return core.json_decode(text:sub(2)), age
end

local set_options = { ttl = true, tags = true }

function methods.set(cache, key, value, ttl, opts)
  if value == nil then return core.cache_delete(cache, key) end
  if type(ttl) == "table" then ttl, opts = nil, ttl end
  if opts then
    check.known("cache:set", opts, set_options)
    ttl = ttl or opts.ttl
  end
  local text = type(value) == "string" and "s" .. value or "j" .. core.json_encode(value)
  return core.cache_set(cache, key, text, ttl, opts and opts.tags)
end

--- perilune.fetch(url, opts), whose answers with status 200 are kept.
function methods.fetch(cache, url, opts)
  if type(url) ~= "string" then error("cache:fetch takes a URL, got " .. check.show(url), 2) end
  return retrieval.fetch(cache, url, opts, { near = choices[cache].query and nears[cache],
    query = choices[cache].query, heeds = choices[cache].heeds })
end

function methods.delete(cache, key) return core.cache_delete(cache, key) end
function methods.invalidate(cache, tag) return core.cache_invalidate(cache, tag) end
function methods.stats() return core.cache_stats() end

return M

--- near: answers to questions that mean the same, perilune.cache(name, { semantic = {...} }).
--
-- A question is compared with those before it in its part of the cache: same tenant, upstream, settings, system
-- prompt and turns before it; only the last turn may differ.  C embeds, searches and judges (core.near_*); here
-- stands where vectors come from, and what the options mean.  What other processes answered is brought here
-- (core.near_widen) when nothing is found, and judged here.

local check = require "perilune.check"
local core = require "perilune.core"
local embeddings = require "perilune.embeddings"
local host = require "perilune.host"

local M = {}

local result = core.result

local function check_threshold(t)
  if t == "auto" or (type(t) == "number" and t >= 0 and t <= 1) then return t end
  return nil, ("must be \"auto\" or a number from 0 to 1, got %s"):format(check.show(t))
end

local spec = {
  threshold = { type = "any", check = check_threshold, default = "auto" },
  max_false = { type = "number", default = 0.01, min = 0.0001, max = 0.5 },
  embedder = { type = "string", default = "builtin", min = 1, max = 100 },
  calibration = { type = "string", min = 1, max = 1000 },
  prefix = { type = "string", default = "", max = 200 },
  timeout = { type = "duration", default = 2 },
  shadow = { type = "number", default = 0, min = 0, max = 1 },
}

--- The options, for a policy that has them among its own.
---@return table<string, perilune.Spec>
function M.options()
  local out = {}
  for key, value in pairs(spec) do out[key] = value end
  return out
end

-- The bytes of a file; or nothing but that it is there: a table may be large, and C looks at it where it lies.
local function read(path, what, where, is_table)
  local bytes, err = core.bundle_file(path, not is_table)
  if not bytes then error(("policy '%s': option '%s': %s"):format(where, what, err), 0) end
  return is_table and path or bytes
end

-- Whose vectors an upstream gives, as far as its settings say it, behind its prefix.  A reload may put another model
-- behind the name, with whose vectors those of the former one cannot be compared.
local function maker_of(name, prefix)
  local up, parts = host.describe(name) or {}, { name, prefix }
  for _, one in ipairs(up.members or { { name = name } }) do
    one = host.describe(one.name) or {}
    parts[#parts + 1] = one.model or ""
    parts[#parts + 1] = type(one.engine) == "table" and one.engine.model or ""
    parts[#parts + 1] = table.concat(one.urls or {}, " ")
    for _, header in ipairs(check.keys(one.headers or {})) do parts[#parts + 1] = header .. ":" .. one.headers[header] end
  end
  for i, part in ipairs(parts) do parts[i] = ("%d:%s"):format(#part, part) end
  return core.sha256(table.concat(parts))
end

-- The vector of a text by an upstream, remembered as long as the memo has room.
local function ask_upstream(near, req, text)
  local key = "vector " .. core.sha256(near.maker .. text)
  local known = core.memo_get(key)
  if known then return core.json_decode(known) end
  local vector, err = embeddings.vector(near.name, near.prefix .. text, near.timeout)
  if not vector then
    req:log("warn", "no vector for a question; it is answered without a look at near ones",
      { embedder = near.name, code = err and err.code or "upstream_error" })
    return nil
  end
  core.memo_set(key, core.json_encode(vector), 3600, req.tenant)
  return vector
end

local function is_upstream(name)
  for _, known in ipairs(host.upstreams()) do
    if known == name then return true end
  end
  return false
end

local function check_upstream(name, where)
  local _, message = check.value({ type = "upstream" }, name)
  if message then
    error(("policy '%s': option 'embedder' must be \"builtin\", a file of a table, or an upstream: %s"):format(where, message), 0)
  end
end

--- The object that core.near_find takes, and what Lua has to know besides.
---@param options table checked by M.options()
---@param where string
function M.new(options, where)
  local threshold = options.threshold ~= "auto" and options.threshold or nil
  local name = options.embedder == "lexical" and "builtin" or options.embedder
  local is_file = not is_upstream(name) and name:find("[/%.]") ~= nil
  local own = name == "builtin" or is_file
  if not own then check_upstream(name, where) end
  if own and options.prefix ~= "" then
    error(("policy '%s': option 'prefix' is what an upstream wants in front of a question, and the embedder '%s' is none; leave it "
      .. "out, or name the upstream under 'embedder'"):format(where, name), 0)
  end
  if threshold and options.calibration then
    error(("policy '%s': option 'threshold' is a number, which is compared with the similarity, and option 'calibration' is for the "
      .. "pair model's score; write threshold = \"auto\" (and max_false) with a calibration, or leave the calibration out"):format(where), 0)
  end
  local near = { name = name, own = own, prefix = options.prefix, timeout = options.timeout,
    shadow = options.shadow }
  near.maker = own and name or maker_of(name, options.prefix)
  near.c = core.near_new{
    threshold = threshold, max_false = options.max_false, own = own, name = near.maker,
    table = is_file and read(name, "embedder", where, true) or nil,
    model = options.calibration and read(options.calibration, "calibration", where) or nil,
  }
  if name ~= "builtin" and threshold == nil and not options.calibration then
    error(("policy '%s': threshold = \"auto\" needs a calibration for the embedder '%s': write one with "
      .. "`perilune cache calibrate` and name it under 'calibration', or give a number"):format(where, name), 0)
  end
  if core.near_threshold(near.c) == nil then
    error(("policy '%s': there is no threshold with at most %g of wrong answers; raise max_false, calibrate with "
      .. "more pairs, or give a number"):format(where, options.max_false), 0)
  end
  return near
end

--- Looks for an answer to a question that means the same.
---@async
---@return perilune.Response? res
---@return table? asked  what core.cache_record keeps the coming answer with
function M.find(near, cache, req, salt, only)
  local question, text = core.near_question(cache, req, salt)
  if not question then
    req:log("debug", "not compared with other questions", { why = text })
    return nil
  end
  local vector
  if not near.own then
    vector = ask_upstream(near, req, text)
    if not vector then return nil end
  end
  local asked, res, miss = core.near_find(cache, near.c, req, question, vector, only)
  if not res and not only and result(core.near_widen(req, asked)) then
    asked, res, miss = core.near_find(cache, near.c, req, question, vector, only)
  end
  if miss then req:log("debug", "a near question was refused", miss) end
  return res, asked
end

--- The answer res was given to the request, whose own would have this key.  For a share of them the upstream is asked as
--- well, in the background, and what it says is told of the answer as a user would.
function M.given(near, req, key, res)
  if near.shadow > 0 and core.random() < near.shadow then core.near_shadow(req, key, res.headers["x-cache-entry"]) end
end

-- Who asks, for a value: what ask_upstream() wants of a request.
local function nobody(cache)
  return { tenant = core.cache_tenant(cache), log = function(_, ...) core.log(...) end }
end

--- Looks for a value that was kept for a question that means the same, among those with the same `rest`.
---@async
---@return { value: string, age: number, similarity: number, entry: string }? found
---@return table? asked  what core.cache_set keeps the coming value with
function M.find_value(near, cache, rest, text)
  local question = core.near_value_question(cache, rest, text)
  if not question then return nil end
  local vector
  if not near.own then
    vector = ask_upstream(near, nobody(cache), text)
    if not vector then return nil end
  end
  local asked, found, miss = core.near_find(cache, near.c, nil, question, vector)
  if miss then core.log("debug", "a near question was refused", miss) end
  return found, asked
end

--- Was the answer of this entry (the reply's x-cache-entry) right for who asked?
function M.feedback(cache, entry, ok)
  if type(entry) ~= "string" or type(ok) ~= "boolean" then
    error("cache:feedback(entry, ok): entry is the text of x-cache-entry, ok is true or false", 3)
  end
  local told = core.near_feedback(cache, entry, ok)
  if told == true then return true end
  if #entry == 32 and entry:find("^%x+$") then
    return nil, "cache:feedback: this was the answer to the very question that was asked, and no score can be learned from it; "
      .. "to be rid of it, DELETE /admin/cache?key=" .. entry
  end
  local why = told == "gone" and "this cache has no entry %q (any more)" or "%q is not what x-cache-entry says"
  return nil, ("cache:feedback: " .. why):format(entry:sub(1, 80))
end

return M

--- perilune: the module that policies require.
--
-- meta.lua describes every name.  A primitive that waits has two halves: the
-- first starts the work and parks the coroutine, core.result() brings what came.

local core = require "perilune.core"
local errors = require "perilune.errors"
local host = require "perilune.host"

local M = {}

local result, spawn = core.result, core.spawn

M.version = "0.1.0"
M.error = errors.new
M.reject = errors.reject
M.json = require("perilune.sandbox").readonly({
  encode = core.json_encode, decode = core.json_decode, null = core.null, array = core.json_array,
}, "perilune.json")
M.now = core.now
M.random = core.random
M.sha256 = core.sha256
M.env = core.env
M.log = core.log
M.respond = core.respond
M.shared = core.shared
M.template = require "perilune.template".new

function M.sleep(seconds) return result(core.sleep(seconds)) end

function M.fetch(url, opts) return host.fetch(url, opts) end

--- Tokens of a text; an estimate until the build has tokenizers.
function M.tokens(text) return core.tokens(text) end

local function missing(name)
  return function()
    error(("perilune.%s is not available in this build"):format(name), 2)
  end
end
M.cache = missing "cache"
M.limit = missing "limit"

-- -- several at once -----------------------------------------------------------

local function check_list(what, fns)
  if type(fns) ~= "table" then error(("perilune.%s takes a list of functions"):format(what), 3) end
end

function M.all(fns)
  check_list("all", fns)
  return result(spawn("all", fns))
end

function M.any(fns)
  check_list("any", fns)
  return result(spawn("any", fns))
end

function M.race(fns)
  check_list("race", fns)
  return result(spawn("race", fns))
end

function M.map(list, fn, opts)
  if type(list) ~= "table" or type(fn) ~= "function" then error("perilune.map(list, function, { limit = n })", 2) end
  local fns = {}
  for i, v in ipairs(list) do fns[i] = function() return fn(v, i) end end
  return result(spawn("all", fns, opts and opts.limit))
end

-- -- upstreams -----------------------------------------------------------------

local upstream = {}
upstream.__index = upstream
upstream.__metatable = false

function upstream:chat(req, opts) return host.call(self.name, req, opts) end

function upstream:health() return host.health(self.name) end

--- Vectors for a list of texts, in order.
function upstream:embed(list, opts)
  if type(list) == "string" then list = { list } end
  local body = core.json_encode{ model = opts and opts.model or "embedding", input = core.json_array(list) }
  local req, err = core.new_request("POST", "/v1/embeddings", {}, body)
  if not req then return nil, err end
  local res
  res, err = host.call(self.name, req, opts)
  if not res then return nil, err end
  result(core.wait_end(res))
  local answer = core.json_decode(core.read_raw(res))
  if type(answer) ~= "table" or type(answer.data) ~= "table" then
    return nil, errors.new{ code = "upstream_error", message = "the answer holds no embeddings", upstream = self.name }
  end
  local out = {}
  for i, item in ipairs(answer.data) do out[(item.index or i - 1) + 1] = item.embedding end
  return out
end

function M.upstream(name)
  if type(name) ~= "string" then error("perilune.upstream(name): the name must be a string", 2) end
  return setmetatable({ name = name }, upstream)
end

-- -- responses -----------------------------------------------------------------

local response = core.response_methods

function response.text(res)
  result(core.wait_end(res))
  return core.read_text(res)
end

function response.events(res)
  local over = false
  return function()
    while not over do
      local ev, err = core.next_event(res)
      if ev then return ev end
      if ev == nil then
        over = true
        return err and { type = "error", error = err } or nil
      end
      result(core.wait_event(res))
    end
  end
end

return M

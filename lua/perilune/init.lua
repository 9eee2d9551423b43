--- perilune: the module that policies require.
--
-- meta.lua describes every name.  A primitive that waits has two halves: the
-- first starts the work and parks the coroutine, core.result() brings what came.

local check = require "perilune.check"
local core = require "perilune.core"
local errors = require "perilune.errors"
local frame = require "perilune.frame"
local host = require "perilune.host"
local model_fields = require "perilune.model_fields"
local readonly = require("perilune.readonly").new

local M = {}

local result, spawn = core.result, core.spawn

M.version = "0.1.0"
M.error = errors.new
M.reject = errors.reject
M.json = readonly({
  encode = core.json_encode, decode = core.json_decode, view = core.json_view, null = core.null, array = core.json_array,
}, "perilune.json")
M.json_stream = core.json_stream
M.sse = core.sse
M.now = core.now
function M.cpu_left() return host.cpu_left() end

local NO_TIME = "there is not enough CPU time left (limits.cpu_ms, limits.block_ms)"

local function attempted(ok, ...)
  local over = host.attempt_end()
  if ok then return true, ... end
  if over then return false, NO_TIME end
  error((...), 0)
end

function M.attempt(fn, ...)
  if not host.attempt() then return false, NO_TIME end
  return attempted(pcall(fn, ...))
end
M.random = core.random
M.sha256 = core.sha256
M.hmac_sha256 = core.hmac_sha256
M.base64 = readonly({
  encode = core.base64_encode, decode = core.base64_decode,
}, "perilune.base64")
M.url_encode = core.url_encode
M.url_decode = core.url_decode
M.env = core.env
M.log = core.log
M.shared = core.shared
M.host = require("perilune.program").functions
M.values = setmetatable({}, {
  __index = core.value_index, __metatable = false,
  __newindex = function(_, name) error(("perilune.values.%s cannot be assigned: the program sets values"):format(tostring(name)), 2) end,
})
M.coalesce = core.coalesce
M.template = require "perilune.template".new

function M.date(seconds, form) return core.date(seconds or core.now(), form) end

function M.sleep(seconds) return result(core.sleep(seconds)) end

M.fetch = require("perilune.fetch").fetch
M.ask = require("perilune.ask").ask
M.plan = require("perilune.plan").plan
M.compose = require("perilune.compose").compose

local answer_options = {
  text = true, chunks = true, status = true, model = true, usage = true, upstream = true, stream = true,
  ttft = true, itl = true,
}
local usage_fields = {
  prompt_tokens = true, completion_tokens = true, total_tokens = true, cached_tokens = true, prompt_audio_tokens = true,
  reasoning_tokens = true, audio_tokens = true, accepted_prediction_tokens = true, rejected_prediction_tokens = true,
}

function M.respond(answer)
  check.known("perilune.respond", answer, answer_options)
  if answer and answer.usage ~= nil then check.known("perilune.respond: usage", answer.usage, usage_fields) end
  return core.respond(answer, true)
end

local function or_error(value, more)
  if value == nil then return nil, errors.new{ code = "invalid_text", status = 500, retryable = false, message = more } end
  return value, more
end

function M.tokens(text, model, limit)
  return or_error(core.tokens(check.text("perilune.tokens", 1, text), model, false, limit))
end
function M.truncate(text, max_tokens, model)
  return or_error(core.truncate(check.text("perilune.truncate", 1, text), max_tokens, model))
end

M.embed = core.embed
function M.cache(name, opts) return require("perilune.cache").new(name, opts) end
function M.gate(name, opts) return require("perilune.gate").new(name, opts) end
function M.batch(name, opts) return require("perilune.batch").open(name, opts) end
function M.jobs(name) return require("perilune.jobs").open(name) end
function M.job(name, fn) return require("perilune.jobs").define(name, fn) end
function M.limit(name, opts) return require("perilune.limit").new(name, opts) end

-- -- several at once -----------------------------------------------------------

-- A list of functions and nothing else: no name, no hole.
local function check_list(what, fns)
  if type(fns) ~= "table" then error(("%s takes a list of functions, got %s"):format(what, check.show(fns)), 3) end
  local last = 0
  for k in next, fns do
    if type(k) ~= "number" then error(("%s: %s"):format(what, check.unknown("option", k, {})), 3) end
    if k > last then last = k end
  end
  for i = 1, last do
    if type(fns[i]) ~= "function" then
      error(("%s: element %d must be a function, got %s"):format(what, i, check.show(fns[i])), 3)
    end
  end
end

function M.all(fns)
  check_list("perilune.all", fns)
  return result(spawn("all", fns))
end

local function nobody(what)
  return nil, errors.new{ code = "internal_error", message = what .. ": the list is empty" }
end

function M.any(fns)
  check_list("perilune.any", fns)
  if fns[1] == nil then return nobody "perilune.any" end
  return result(spawn("any", fns))
end

function M.race(fns)
  check_list("perilune.race", fns)
  if fns[1] == nil then return nobody "perilune.race" end
  return result(spawn("race", fns))
end

local map_options = { limit = true }

function M.map(list, fn, opts)
  if type(list) ~= "table" or type(fn) ~= "function" then error("perilune.map(list, function, { limit = n })", 2) end
  check.known("perilune.map", opts, map_options)
  local limit = opts and opts.limit
  if limit ~= nil and (type(limit) ~= "number" or limit < 1 or limit % 1 ~= 0) then
    error("perilune.map: 'limit' must be a whole number, at least 1, got " .. check.show(limit), 2)
  end
  local fns = {}
  for i, v in ipairs(list) do fns[i] = function() return frame(fn, v, i) end end
  return result(spawn("all", fns, limit and math.min(limit, 1024)))
end

-- -- upstreams -----------------------------------------------------------------

local upstream = {}
upstream.__index = upstream
upstream.__metatable = false

local call_options = { timeout = true }
local embed_options = { timeout = true, model = true }

-- When it is asked, and not when the object is made: its health may be asked for to find out whether there is one.
local function check_upstream(name)
  if not host.describe(name) then error("perilune.upstream: " .. check.unknown("upstream", name, host.upstreams()), 3) end
end

function upstream:chat(req, opts)
  if type(req) == "table" then error("upstream:chat(req, opts): req is the request; upstream:ask(body, opts) takes a table", 2) end
  check.known("upstream:chat", opts, call_options)
  check_upstream(self.name)
  return host.call(self.name, req, opts)
end

--- A question of the policy's own: the whole text of the answer, its usage, and for ours how many tokens it was given.
function upstream:ask(body, opts)
  if type(body) ~= "table" then error("upstream:ask(body, opts): the body is a table such as { messages = {...} }", 2) end
  check.known("upstream:ask", opts, call_options)
  check_upstream(self.name)
  local fields = {}
  for k, v in pairs(body) do fields[k] = v end
  local up = host.describe(self.name)
  fields.model = fields.model or (up and (up.model or up.models and up.models[1])) or self.name
  fields.stream = nil
  local told
  local res, err = model_fields.ask(self.name, up, fields, opts and opts.timeout, function(fitting, left)
    told = fitting.max_tokens or fitting.max_completion_tokens
    local req, wrong = core.new_request("POST", "/v1/chat/completions", {}, core.json_encode(fitting), true)
    if not req then return nil, wrong end
    return host.call(self.name, req, left and { timeout = left })
  end)
  if not res then return nil, err end
  local text
  text, err = res:text()
  if not text then return nil, err end
  return text, res.usage, tonumber(told)
end

function upstream:health(q) return host.health(self.name, q) end

--- Does it get the client's own key (key = "client")?
function upstream:passes_client_key()
  local settings = host.describe(self.name)
  return settings ~= nil and settings.key ~= nil and settings.key.kind == "client"
end

--- Vectors for a list of texts, in order.
function upstream:embed(list, opts)
  check.known("upstream:embed", opts, embed_options)
  check_upstream(self.name)
  if type(list) == "string" then list = { list } end
  local body = core.json_encode{ model = opts and opts.model or "embedding", input = core.json_array(list) }
  local req, err = core.new_request("POST", "/v1/embeddings", {}, body, true)
  if not req then return nil, err end
  local res
  res, err = host.call(self.name, req, opts and { timeout = opts.timeout })
  if not res then return nil, err end
  result(core.wait_end(res))
  local bytes
  bytes, err = core.read_raw(res)
  if not bytes then return nil, err end
  local answer = core.json_decode(bytes)
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

return M

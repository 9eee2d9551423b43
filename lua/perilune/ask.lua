--- ask: a request that a policy makes on behalf of the one that it serves.
--
--     local res, err = perilune.ask{ upstream = "small", stream = true, timeout = 5,
--       messages = { { role = "system", content = perilune.template("Plan: {{task}}") } }, vars = { task = text } }
--
-- Everything that is not an option of its own is a field of the body, and goes out as it is, but for what a model does
-- not take (model_fields.lua).  The rest (deadline,
-- tenant, account, log, end) is of the request that the running policy serves; see core/bridge/l_ask.c.

local check = require "perilune.check"
local core = require "perilune.core"
local errors = require "perilune.errors"
local host = require "perilune.host"
local model_fields = require "perilune.model_fields"
local template = require "perilune.template"
local warm = require "perilune.warm"

local M = {}

local own = { upstream = true, route = true, timeout = true, vars = true, warm = true, warm_wait = true }
local own_names = { "upstream", "route", "timeout", "vars", "warm", "warm_wait", "messages", "stream" }

-- Fields that look like an option of ours written wrong, and are none.
local body_fields = {
  model = true, messages = true, stream = true, stream_options = true, temperature = true, top_p = true, top_k = true,
  min_p = true, n = true, stop = true, max_tokens = true, max_completion_tokens = true, tools = true,
  tool_choice = true, response_format = true, seed = true, user = true, store = true, metadata = true, logprobs = true,
  top_logprobs = true, logit_bias = true, presence_penalty = true, frequency_penalty = true, modalities = true,
  prediction = true, reasoning_effort = true, reasoning = true, verbosity = true, service_tier = true,
}

local function misuse(text, ...) error("perilune.ask: " .. text:format(...), 4) end

local function check_fields(ask)
  for key in pairs(ask) do
    if type(key) ~= "string" then misuse("takes names, such as { upstream =, messages = }, got [%s]", tostring(key)) end
    if not own[key] and not body_fields[key] then
      local near = check.nearest(key, own_names)
      if near then misuse("unknown option '%s'; did you mean '%s'?", key, near) end
    end
  end
end

-- A text, and every template in it with its holes filled.
local function filled(value, vars, deep)
  if template.is(value) then return value:render(vars or {}) end
  if type(value) ~= "table" or getmetatable(value) ~= nil or deep > 4 then return value end
  local out
  for k, v in pairs(value) do
    local new = filled(v, vars, deep + 1)
    if new ~= v and not out then
      out = {}
      for key, same in pairs(value) do out[key] = same end
    end
    if new ~= v then out[k] = new end
  end
  return out or value
end

local function messages_of(ask)
  local messages = ask.messages
  if type(messages) == "string" or template.is(messages) then messages = { { role = "user", content = messages } } end
  if type(messages) ~= "table" and type(messages) ~= "userdata" then
    misuse("'messages' is a text or a list such as { { role = \"user\", content = \"...\" } }, got %s", check.show(messages))
  end
  if type(messages) == "table" and #messages == 0 then misuse("'messages' is empty") end
  return filled(messages, ask.vars, 0)
end

-- The model that the body must name: an upstream with one of its own replaces it.
local function model_of(upstream)
  local settings = upstream and host.describe(upstream)
  return settings and (settings.model or settings.models and settings.models[1]) or upstream
end

-- Where it goes: (number of a route or nil, its label, function(child)).
local function way_of(ask)
  local upstream, route = ask.upstream, ask.route
  if upstream ~= nil and type(upstream) ~= "string" then misuse("'upstream' is a name, got %s", check.show(upstream)) end
  if upstream and not host.describe(upstream) then
    misuse("%s", check.unknown("upstream", upstream, host.upstreams()))
  end
  if route == nil then return nil, nil, function(child) return host.call(upstream, child) end end
  if type(route) ~= "string" then misuse("'route' is the name or path of a route, got %s", check.show(route)) end
  if upstream then misuse("give 'upstream' or 'route', not both: the policies of a route choose the upstream") end
  local found, known = host.route(route)
  if not found then misuse("%s", check.unknown("route", route, known)) end
  return found.index, found.label, found.run
end

-- The body, and the tenant that it is asked for.
local function body_of(ask)
  local body = {}
  for k, v in pairs(ask) do
    if not own[k] then body[k] = v end
  end
  body.messages = messages_of(ask)
  local stream, tenant, model = core.served()
  body.model = ask.model or model_of(ask.upstream) or model or "default"
  if ask.stream == nil then body.stream = stream or nil end
  return body, tenant
end

local function check_seconds(name, value, least)
  if value == nil then return end
  if type(value) ~= "number" or not (value >= least and value < 1e9) or (least == 0 and value ~= value) then
    misuse("'%s' must be a number of seconds%s, got %s", name, least > 0 and " above 0" or "", check.show(value))
  end
end

local function check_options(ask)
  if type(ask) ~= "table" then misuse("takes a table such as { upstream =, messages = }, got %s", check.show(ask)) end
  check_fields(ask)
  check_seconds("timeout", ask.timeout, 1e-6)
  check_seconds("warm_wait", ask.warm_wait, 0)
  local kind = type(ask.warm)
  if kind ~= "nil" and kind ~= "boolean" and kind ~= "string" then
    misuse("'warm' is true, false or a name, got %s", check.show(ask.warm))
  end
end

-- Waits for one that goes first.  Returns its key and latch when this one does, and what is left of the timeout.
local function wait_turn(ask, body, tenant, label)
  local where = label or ask.upstream or ""
  local key = warm.key(ask.warm, where, tenant, ask.upstream and host.describe(ask.upstream), body)
  if not key then return nil, nil, ask.timeout end
  local begun = core.clock()
  local wait = ask.timeout and math.min(ask.timeout / 2, ask.warm_wait or 2) or ask.warm_wait
  local latch = warm.enter(key, wait)
  return key, latch, ask.timeout and math.max(0.001, ask.timeout - (core.clock() - begun))
end

local function request(body)
  return core.new_request("POST", "/v1/chat/completions", { ["content-type"] = "application/json" }, core.json_encode(body))
end

--- Asks, and waits for the first event of the answer.
---@async
---@param ask table
---@return perilune.Response?
---@return perilune.Error?
function M.ask(ask)
  check_options(ask)
  local index, label, run = way_of(ask)
  local body, tenant = body_of(ask)
  local key, latch, timeout = wait_turn(ask, body, tenant, label)
  local settings = ask.upstream and host.describe(ask.upstream)
  local res, err = model_fields.ask(label or ask.upstream or "", settings, body, timeout, function(fitting, left)
    local child, wrong = request(fitting)
    if not child then return nil, wrong end
    return core.result(core.ask(child, function() return run(child) end, left, index, label, latch))
  end)
  if latch and res then warm.begun(key)
  elseif latch then core.latch_set(latch) end -- also when nothing was asked
  return res, err
end

return M

--- ask: a request that a policy makes on behalf of the one that it serves.
--
--     local res, err = perilune.ask{ upstream = "small", stream = true, timeout = 5,
--       messages = { { role = "system", content = perilune.template("Plan: {{task}}") } }, vars = { task = text } }
--
-- Everything that is not an option of its own is a field of the body, and goes out as it is.  The rest (deadline,
-- tenant, account, log, end) is of the request that the running policy serves; see core/bridge/l_ask.c.

local check = require "perilune.check"
local core = require "perilune.core"
local errors = require "perilune.errors"
local host = require "perilune.host"
local template = require "perilune.template"

local M = {}

local own = { upstream = true, route = true, timeout = true, vars = true }
local own_names = { "upstream", "route", "timeout", "vars", "messages", "stream" }

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
  if route == nil then return nil, nil, function(child) return host.call(upstream, child) end end
  if type(route) ~= "string" then misuse("'route' is the name or path of a route, got %s", check.show(route)) end
  if upstream then misuse("give 'upstream' or 'route', not both: the policies of a route choose the upstream") end
  local found, known = host.route(route)
  if not found then misuse("%s", check.unknown("route", route, known)) end
  return found.index, found.label, found.run
end

local function body_of(ask)
  local body = {}
  for k, v in pairs(ask) do
    if not own[k] then body[k] = v end
  end
  body.messages = messages_of(ask)
  local stream, model = core.served()
  body.model = ask.model or model_of(ask.upstream) or model or "default"
  if ask.stream == nil then body.stream = stream or nil end
  return core.json_encode(body)
end

local function check_timeout(timeout)
  if timeout == nil then return end
  if type(timeout) ~= "number" or not (timeout > 0 and timeout < 1e9) then
    misuse("'timeout' must be a number of seconds above 0, got %s", check.show(timeout))
  end
end

local function begin(ask)
  if type(ask) ~= "table" then misuse("takes a table such as { upstream =, messages = }, got %s", check.show(ask)) end
  check_fields(ask)
  check_timeout(ask.timeout)
  local index, label, run = way_of(ask)
  return index, label, run, body_of(ask)
end

--- Asks, and waits for the first event of the answer.
---@async
---@param ask table
---@return perilune.Response?
---@return perilune.Error?
function M.ask(ask)
  local index, label, run, body = begin(ask)
  local child, err = core.new_request("POST", "/v1/chat/completions", { ["content-type"] = "application/json" }, body)
  if not child then return nil, err end
  return core.result(core.ask(child, function() return run(child) end, ask.timeout, index, label))
end

return M

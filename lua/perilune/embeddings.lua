--- embeddings: questions for vectors, several in one call.
--
-- Two kinds of who asks, one way to ask (perilune.batch):
--
--     vector(name, text, seconds)   a text of ours, of which we want the numbers (cache_semantic)
--     join(...)                     requests of clients, of which each gets its answer (batch_embeddings)
--
-- The bytes are put together and taken apart in C (request/embeddings.c).

local batch = require "perilune.batch"
local core = require "perilune.core"
local errors = require "perilune.errors"
local host = require "perilune.host"

local M = {}

local result = core.result

-- -- vectors -------------------------------------------------------------------

local no_vector = { code = "upstream_error", message = "the answer holds no vector for a text" }

-- The bytes of the answer to one question; nil and why there are none.
local function bytes_of(res)
  result(core.wait_end(res))
  return core.read_raw(res)
end

-- Each text once: the list of them, and where each of the given ones is.
local function each_once(list)
  local texts, at, known = {}, {}, {}
  for i, text in ipairs(list) do
    if not known[text] then
      texts[#texts + 1] = text
      known[text] = #texts
    end
    at[i] = known[text]
  end
  return texts, at
end

local function ask_for_vectors(name, seconds, list)
  local texts, at = each_once(list)
  local body = core.json_encode{ model = "embedding", input = core.json_array(texts) }
  local req, err = core.new_request("POST", "/v1/embeddings", {}, body)
  if not req then return nil, err end
  local res, bytes
  res, err = host.call(name, req, { timeout = seconds })
  if not res then return nil, err end
  bytes, err = bytes_of(res)
  if not bytes then return nil, err end
  local vectors, out, missing = core.embeddings_vectors(bytes, #texts), {}, {}
  for i, k in ipairs(at) do
    out[i] = vectors[k] or nil
    if not out[i] then missing[i] = errors.new(no_vector) end
  end
  return out, missing
end

-- Of each upstream, and time that a call may take.
local batches = {}

--- The vector of a text by an upstream; requests that ask at the same time share calls, whoever their tenants are: the
--- question is ours, and a vector says nothing of its neighbours.
---@async
---@param name string
---@param text string
---@param seconds number  that it may take
---@return number[]?
---@return perilune.Error?
function M.vector(name, text, seconds)
  local key = ("%g %s"):format(seconds, name)
  batches[key] = batches[key] or batch.private("embeddings of " .. name, {
    max_size = 32, max_wait = seconds, max_running = 1, timeout = seconds + 1, across_tenants = true,
    run = function(list) return ask_for_vectors(name, seconds, list) end,
  })
  return batches[key]:submit(text, { timeout = seconds, share = true })
end

-- -- answers -------------------------------------------------------------------

local spec = {
  max_size = { type = "integer", default = 64, min = 1, max = 2048 },
  max_tokens = { type = "integer", default = 16384, min = 1, max = 300000 },
  max_wait = { type = "duration", default = 0.005, max = 60 },
  max_queue = { type = "integer", default = 1024, min = 1, max = 65536 },
  max_calls = { type = "integer", default = 16, min = 1, max = 1024 },
  timeout = { type = "duration", default = 60, min = 0.001, max = 3600 },
  across_tenants = { type = "boolean", default = false },
}

--- The options of together(), for a policy.
---@return table<string, perilune.Spec>
function M.options() return spec end

-- What a run says to who waits: ask yourself.
local ALONE = {}

-- Errors that are about what is asked: one bad input fails the call for all.
local about_inputs = { [400] = true, [413] = true, [422] = true }

-- Headers of clients that some upstream gets: they are part of what is asked.
local function headers_that_matter()
  local out, known = {}, {}
  local function add(name)
    name = name:lower()
    if not known[name] then out[#out + 1] = name end
    known[name] = true
  end
  for _, name in ipairs(host.upstreams()) do
    local up = host.describe(name) or {}
    for _, header in ipairs(up.forward_headers or {}) do add(header) end
    if up.key and up.key.kind == "client" then
      add("authorization")
      add("x-api-key")
    end
  end
  table.sort(out)
  return out
end

-- What must be the same, besides the tenant.
local function key_of(req, form, headers)
  local parts = { req.path, req.upstream or "", form }
  for i, name in ipairs(headers) do parts[3 + i] = req.headers[name] or "" end
  for i, part in ipairs(parts) do parts[i] = #part .. ":" .. part end
  return table.concat(parts)
end

local function all_alone(n)
  local out = {}
  for i = 1, n do out[i] = ALONE end
  return out
end

-- One request that asks what all of them do, and how its answer is taken apart.
local function joined(list, headers, tenant)
  local first, reqs, tokens = list[1].req, {}, {}
  for i, item in ipairs(list) do reqs[i], tokens[i] = item.req, item.tokens end
  local body, plan = core.embeddings_join(reqs, tokens)
  local lines = { ["content-type"] = "application/json" }
  for _, name in ipairs(headers) do lines[name] = first.headers[name] end
  local req, err = core.new_request("POST", first.path, lines, body)
  if not req then return nil, err end
  req.upstream, req.tenant = first.upstream, tenant
  core.batch_asks(req)
  return req, plan, reqs
end

-- Who left between the making of the list and now is not in it any more; nobody waits for its place in the results.
local function those_who_wait(list)
  local waiting, at = {}, {}
  for i, item in ipairs(list) do
    if core.is_live(item.req) then
      waiting[#waiting + 1] = item
      at[#waiting] = i
    end
  end
  return waiting, at
end

local function at_their_places(answers, at, n)
  local out = all_alone(n)
  for k, answer in ipairs(answers) do out[at[k]] = answer end
  return out
end

-- Several questions in one call: of each its response, or ALONE.
local function ask_together(list, headers, tenant)
  local req, plan, reqs = joined(list, headers, tenant)
  if not req then return nil, plan end
  local res, err = list[1].next(req)
  local bytes
  if res then bytes, err = bytes_of(res) end
  if not bytes then
    if type(err) == "table" and about_inputs[err.status] then return all_alone(#list) end
    return nil, err
  end
  local answers = core.embeddings_answers(plan, bytes, reqs, res.upstream or "")
  if not answers then return all_alone(#list) end
  for i = 1, #list do answers[i] = answers[i] or ALONE end
  return answers
end

--- A policy that asks questions for vectors of several clients in one call of what is behind it.
---@param options table  checked by options()
---@return async fun(req: perilune.Request, next: function): perilune.Response?, perilune.Error?
function M.together(options)
  local headers

  local function run(list)
    local waiting, at = those_who_wait(list)
    local answers, err
    if waiting[2] then
      answers, err = ask_together(waiting, headers, options.across_tenants and "" or waiting[1].tenant)
    elseif waiting[1] then -- byte for byte, as if nothing stood in between
      local res
      res, err = waiting[1].next(waiting[1].req)
      answers = res and { res }
    end
    if not answers then return nil, err end
    return at_their_places(answers, at, #list)
  end

  local shared = batch.private("batch_embeddings", {
    max_size = options.max_size, max_tokens = options.max_tokens, max_wait = options.max_wait,
    max_queue = options.max_queue, max_running = options.max_calls, timeout = options.timeout,
    across_tenants = options.across_tenants, run = run,
  })

  return function(req, next)
    local form, inputs = core.embeddings_form(req)
    if not form or inputs >= options.max_size then return next(req) end
    local tokens = req:tokens()
    if tokens >= options.max_tokens then return next(req) end
    headers = headers or headers_that_matter()
    local item = { req = req, tokens = tokens, next = next, tenant = req.tenant }
    local res, err = shared:submit(item, { key = key_of(req, form, headers), size = inputs, tokens = tokens })
    if res == ALONE then return next(req) end
    return res, err
  end
end

return M

--- host: the doors to the outside, in one table, so that tests can replace them.

local core = require "perilune.core"
local errors = require "perilune.errors"
local frame = require "perilune.frame"

local M = {}

local result = core.result

--- Calls an upstream; nil for the one that the request or its model chose.
---@async
---@param name string?
---@param req perilune.Request
---@param opts? table
---@return perilune.Response?
---@return perilune.Error?
function M.call(name, req, opts)
  return result(core.call(name, req, opts))
end

---@async
function M.fetch(url, opts)
  return result(core.fetch(url, opts))
end

--- A route whose policies may be asked: its number, label and chain; nil and the labels of all.
--- boot.lua replaces it.
---@param name string
---@return { index: integer, label: string, run: function }?
---@return string[]? known
function M.route(name) return nil, {} end

--- Seconds of CPU time.
function M.cpu_left() return core.cpu_left() end

--- Begins and ends an attempt (perilune.attempt).
function M.attempt() return core.attempt() end
function M.attempt_end() return core.attempt_end() end

function M.upstreams() return core.upstreams() end

--- A function of the program that policies run in; nil and the names of all.
---@param name string
---@return function?
---@return string[]? known
---@return boolean? keep  it stays the same
function M.program(name)
  local call = core.host_function(name)
  if not call then return nil, core.host_names() end
  return function(...) return result(call(...)) end, nil, true
end

--- Asks another upstream the same in the background; what it says is compared with `text`, counted and thrown away.
---@return boolean begun  false: too many are under way
function M.trial(req, upstream, policy, text) return core.trial(req, upstream, policy, text) end

--- Hands a line over for a file.
---@return "taken"|"full"|"late"|"long"|"failed" result
---@return string why  of "failed"
function M.capture(path, max_bytes, keep, line) return core.capture(path, max_bytes, keep, line) end

--- Does a job that is a request, where no gateway does: in a spec.  test.lua replaces it.
---@async
function M.job_request(path, headers, body, tenant, id) return nil, errors.new{ code = "internal_error" } end

--- An upstream's settings: name, model, models, urls, price, key; nil when there is none.
--- boot.lua replaces it.
---@param name any
---@return table?
function M.describe(name) return nil end

--- Is there a Redis that machines share (cache.redis)?  boot.lua replaces it.
---@return boolean
function M.has_redis() return false end

--- The names of the queues of jobs; nil: no jobs are kept.  boot.lua and test.lua replace it.
---@return string[]?
function M.queues() return { "default" } end

--- q: the percentile of first_token.at and whole_answer.at, default 0.95.
function M.health(name, q) return core.health(name, q) end

--- Seconds until it may be asked; nil: now.
function M.rests(name) return (core.rests(name)) end

--- Calls of the request are refused where a breaker is open.
function M.guard(req, settings) core.guard_calls(req, settings) end

local needs_fields = { needs = "chat", others = "pass", last = true, admits = true }

local function check_needs(needs)
  if type(needs) ~= "table" or not (needs.needs or needs.last or needs.admits) then return false end
  for k, v in pairs(needs) do
    if needs_fields[k] ~= v then return false end
  end
  return true
end

-- A policy that needs a chat gets nothing else: it would find out behind the call, when that is paid.
local function guarded(factory, needs, name)
  if not needs or not needs.needs then return factory end
  local passes = needs.others == "pass"
  return function(...)
    local policy = factory(...)
    if type(policy) ~= "function" then return policy end
    return function(req, next)
      if core.is_chat(req) then return frame(policy, req, next) end
      if passes then return next(req) end
      return nil, errors.new{ code = "invalid_request_error", message = ("policy '%s' works on chat requests, and this "
        .. "is none; give /v1/chat/completions a route of its own"):format(name) }
    end
  end
end

--- The factory of a policy file, or nil and why there is none.
---@param name string
---@param trusted? boolean
---@return function?
---@return string?
---@return perilune.PolicyNeeds?
function M.policy(name, trusted)
  local sandbox = require "perilune.sandbox"
  local text, path = core.policy_source(name)
  if not text then return nil, path end
  local chunk, err = sandbox.load(text, path, trusted or false)
  if not chunk then return nil, err end
  local factory, needs = sandbox.run(chunk, name)
  if type(factory) ~= "function" then
    return nil, ("%s: a policy file returns function(options), this one a %s"):format(path, type(factory))
  end
  if needs ~= nil and not check_needs(needs) then
    return nil, ("%s: what a policy file returns behind its function is { needs = \"chat\" }, "
      .. "with others = \"pass\" or without, { last = true }, { admits = true }, or nothing"):format(path)
  end
  return guarded(factory, needs, name), nil, needs
end

return M

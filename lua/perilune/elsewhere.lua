--- elsewhere: is a failure one that another upstream may not give?  What `fallback`, `hedge` and `degrade` go by.

local core = require "perilune.core"
local host = require "perilune.host"
local phrases = require "perilune.phrases"

local M = {}

-- Not retryable at the upstream that said it, but another one has its own
-- account ...
local account = { invalid_api_key = true, permission_denied = true, insufficient_quota = true }
local account_status = { [401] = true, [402] = true, [403] = true }
-- ... and its own models and context size.
local model = { model_not_found = true }
local model_status = { [404] = true, [410] = true }

-- Servers that have no code for it say it in words.
local account_words = { "credit balance", "insufficient balance", "insufficient credit" }
local long_words = {
  "context length", "context_length", "context window", "context size", "maximum number of tokens",
  "prompt is too long", "input is too long", "too many tokens", "longer than the model",
}

local function says(err, words)
  if err.status ~= 400 and err.status ~= 422 then return false end
  return phrases.any(err.message:lower(), words)
end

--- Is the prompt too long for the model?  That says nothing of how its upstream fares.
---@param err perilune.Error
---@return boolean
function M.is_too_long(err)
  return err.code == "context_length_exceeded" or err.status == 413 or says(err, long_words)
end

--- May another upstream answer where this one failed?
---@param err perilune.Error
---@param upstream? perilune.Upstream  that was asked; default: whoever err names
---@return boolean
function M.goes_on(err, upstream)
  if not err.upstream then return err.retryable end
  upstream = upstream or require("perilune").upstream(err.upstream)
  if account[err.code] or account_status[err.status] or says(err, account_words) then
    -- Else the account is the client's own, who is to hear of it: the next upstream may have a key of
    -- the gateway's, which is not for those whose own was refused.
    return not upstream:passes_client_key()
  end
  return err.retryable or model[err.code] or model_status[err.status] or M.is_too_long(err)
end

--- Counts what became of a request that could be hedged (perilune_hedges_total).
---@param policy string
---@param upstream string  that was asked first, or second
---@param result "asked"|"hedged"|"won"|"late"|"warm"|"failed_over"
function M.count_hedge(policy, upstream, result) core.tally("hedges", 1, policy, upstream, result) end

--- The share of the prompt, 0 to 1, that the upstream has read lately, as far as policies have said so.
---@param req perilune.Request
---@param upstream string
---@return number
function M.has_read(req, upstream) return core.prompt_seen(req, upstream, false) end

--- The same; from here on, it has read all of it.
---@param req perilune.Request
---@param upstream string
---@return number
function M.reads(req, upstream) return core.prompt_seen(req, upstream, true) end

-- A member of a pool is the pool.
local function is_of(name, wanted)
  for _, member in ipairs((host.describe(wanted) or {}).members or {}) do
    if member.name == name then return true end
  end
  return name == wanted
end

--- x-perilune-route: who answered and why it was asked; behind it whom a policy wanted, when that was somebody else
--- (`fallback`, `hedge`, `degrade` and the like stood in between).
---@param res perilune.Response
---@param wanted string
---@param why string
function M.tell_route(res, wanted, why)
  local name = res.upstream
  local said = (not name or is_of(name, wanted)) and ("%s; %s"):format(wanted, why)
    or ("%s; %s; instead of %s"):format(name, why, wanted)
  res.headers["x-perilune-route"] = said
end

return M

--- errors: what a failure looks like.
--
-- A failure is a value: `nil, err`.  err.code says what happened, err.status what
-- the client gets, err.retryable whether trying again (later, or elsewhere) can
-- help.  This module fills in what the caller of `perilune.error{...}` left out.

local check = require "perilune.check"
local core = require "perilune.core"

local M = {}

---@class perilune.Error
---@field code string            what happened, for programs: "timeout", "rate_limit_exceeded", ...
---@field message string         what happened, for people
---@field status integer         HTTP status for the client, 400 to 599
---@field type string            OpenAI's error type, derived from the status when absent
---@field retryable boolean      can the same request succeed later, or at another upstream?
---@field param? string          the field of the request that is at fault
---@field retry_after? number    seconds to wait before trying again
---@field upstream? string       who failed; the client does not read it
---@field detail? string         what only operators should read; in the access log
---@field headers? table<string, string>  lines for the client; of an upstream, those that pass (pass_headers)
---@field body? string           what the upstream sent with its status, as it came (64 KiB at most)

-- code = { status, message, retryable }; those of core/base/err.h mean the same here.  A
-- refusal by the gateway itself is not retryable: the next policy outwards must not argue
-- with it.
local known = {
  invalid_request_error = { 400, "the request is not valid", false },
  invalid_request       = { 400, "the request is not valid", false },
  invalid_json          = { 400, "the body is not valid JSON", false },
  context_length_exceeded = { 400, "the prompt is longer than the model's context", false },
  content_filter        = { 400, "the request was refused by a content filter", false },
  invalid_api_key       = { 401, "incorrect API key provided", false },
  insufficient_quota    = { 429, "the quota is used up", false },
  rejected              = { 403, "refused", false },
  permission_denied     = { 403, "not allowed", false },
  not_found             = { 404, "not found", false },
  model_not_found       = { 404, "the model does not exist", false },
  method_not_allowed    = { 405, "the method is not allowed here", false },
  request_timeout       = { 408, "the request did not arrive in time", false },
  request_too_large     = { 413, "the request is too large", false },
  rate_limit_exceeded   = { 429, "too many requests", true },
  client_closed         = { 499, "the client went away", false },
  canceled              = { 499, "canceled", false },
  internal_error        = { 500, "internal error", false },
  policy_error          = { 500, "a policy failed", false },
  policy_budget_exceeded = { 500, "a policy used up its time or memory", false },
  host_error            = { 500, "a function of the program failed", false },
  not_available         = { 501, "not available in this build", false },
  upstream_error        = { 502, "the upstream failed", true },
  upstream_unreachable  = { 502, "the upstream cannot be reached", true },
  upstream_dns          = { 502, "the upstream's name cannot be resolved", true },
  upstream_tls          = { 502, "there is no secure connection to the upstream", true },
  upstream_reset        = { 502, "the upstream broke the connection", true },
  upstream_malformed    = { 502, "the upstream's answer cannot be understood", true },
  upstream_stream_error = { 502, "the upstream sent an error in its answer", true },
  upstream_truncated    = { 502, "the upstream's answer broke off", true },
  upstream_too_large    = { 502, "the upstream's answer is too large", false },
  upstream_unavailable  = { 503, "the upstream rests, because it failed", true },
  upstream_status       = { 502, "the upstream answered with an error", false },
  out_of_memory         = { 503, "out of memory", true },
  draining              = { 503, "the gateway is ending", true },
  overloaded            = { 503, "overloaded, try again later", true },
  timeout               = { 504, "timed out", true },
  deadline_exceeded     = { 504, "the request's deadline has passed", false },
}

local names = {
  [400] = "invalid_request_error", [401] = "invalid_api_key", [403] = "permission_denied",
  [404] = "not_found", [405] = "method_not_allowed", [408] = "request_timeout",
  [413] = "request_too_large", [429] = "rate_limit_exceeded", [499] = "client_closed",
  [501] = "not_available", [502] = "upstream_error", [503] = "overloaded", [504] = "timeout",
}

--- OpenAI's `type` for a status.
---@param status integer
---@return string
function M.type_of(status)
  if status == 429 then return "rate_limit_error" end
  if status >= 500 then return "server_error" end
  return "invalid_request_error"
end

--- Can a request that failed with this status succeed when tried again?
---@param status integer
---@return boolean
function M.is_retryable(status)
  return core.status_is_retryable(status)
end

local function check_status(status)
  if type(status) ~= "number" or status % 1 ~= 0 or status < 400 or status > 599 then
    error("an error's status must be an integer from 400 to 599, got " .. tostring(status), 3)
  end
end

--- Makes an error value; what is missing follows from code, or from status.
---@param fields table|string  the fields of perilune.Error, others are kept; or only a message
---@return perilune.Error
function M.new(fields)
  if type(fields) == "string" then fields = { message = fields } end
  if type(fields) ~= "table" then
    error("perilune.error takes a table such as { code = \"overloaded\", message = \"...\" }", 2)
  end
  local err = {}
  for k, v in pairs(fields) do err[k] = v end

  if err.status ~= nil then check_status(err.status) end
  if err.retryable == nil and err.status and not known[err.code] then
    err.retryable = M.is_retryable(err.status)
  end
  err.code = err.code or names[err.status]
    or (err.status and err.status < 500 and "invalid_request_error") or "internal_error"
  local default = known[err.code]
  err.status = err.status or (default and default[1]) or 500
  err.message = err.message or (default and default[2]) or err.code
  if err.retryable == nil then err.retryable = default ~= nil and default[3] end
  err.type = err.type or M.type_of(err.status)
  return core.as_error(err)
end

local reject_options = {
  message = true, type = true, param = true, retryable = true, retry_after = true, upstream = true, detail = true, body = true,
}

--- A refusal: `return perilune.reject(429, "rate_limit_exceeded", { retry_after = 2 })`.
---@param status integer
---@param code string
---@param fields? table  message, retry_after, param, ...
---@return nil
---@return perilune.Error err  never retryable unless fields say so
function M.reject(status, code, fields)
  check_status(status)
  if type(code) ~= "string" then error("perilune.reject(status, code, fields): code must be a string", 2) end
  check.known("perilune.reject", fields, reject_options)
  local err = {}
  for k, v in pairs(fields or {}) do err[k] = v end
  err.status, err.code = status, code
  if err.retryable == nil then err.retryable = false end
  return nil, M.new(err)
end

return M

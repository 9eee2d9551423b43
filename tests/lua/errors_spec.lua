-- The codes of core/base/err.h mean the same when a policy makes them.  ORDER failure.
local perilune = require "perilune"
local t = require "perilune.test"

local codes = {
  invalid_request = { 400, false },
  invalid_json = { 400, false },
  not_found = { 404, false },
  method_not_allowed = { 405, false },
  model_not_found = { 404, false },
  request_too_large = { 413, false },
  canceled = { 499, false },
  policy_error = { 500, false },
  policy_budget_exceeded = { 500, false },
  internal_error = { 500, false },
  out_of_memory = { 503, true },
  draining = { 503, true },
  upstream_unreachable = { 502, true },
  upstream_dns = { 502, true },
  upstream_tls = { 502, false },
  upstream_reset = { 502, true },
  upstream_malformed = { 502, true },
  upstream_error = { 502, true },
  upstream_stream_error = { 502, true },
  upstream_truncated = { 502, true },
  upstream_too_large = { 502, false },
  timeout = { 504, true },
  deadline_exceeded = { 504, false },
  upstream_status = { 502, false },
  rejected = { 403, false },
}

t.test("status and retryable follow from the code", function()
  for code, want in pairs(codes) do
    local err = perilune.error{ code = code }
    t.equal({ err.status, err.retryable }, want, code)
  end
end)

t.test("what is given wins", function()
  local err = perilune.error{ code = "upstream_reset", status = 503, retryable = false, message = "m", extra = 1 }
  t.equal({ err.status, err.retryable, err.message, err.extra }, { 503, false, "m", 1 })
end)

t.test("an unknown code follows its status", function()
  local err = perilune.error{ code = "mine", status = 503 }
  t.equal({ err.retryable, err.type }, { true, "server_error" })
  err = perilune.error{ code = "mine" }
  t.equal({ err.status, err.retryable }, { 500, false })
  err = perilune.error("only words")
  t.equal({ err.code, err.message }, { "internal_error", "only words" })
end)

t.test("a status that is none", function()
  for _, status in ipairs{ 200, 399, 600, 404.5, "404", 0 / 0 } do
    t.error(function() perilune.error{ status = status } end, "integer from 400 to 599")
  end
end)

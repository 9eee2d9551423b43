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
  upstream_tls = { 502, true },
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

t.test("which statuses are retryable: as core/base/err.c says of upstreams", function()
  local want = { [400] = false, [408] = true, [409] = true, [425] = true, [429] = true, [500] = true, [501] = false,
                 [502] = true, [505] = false, [507] = true, [520] = true, [529] = true, [599] = true }
  for status, retryable in pairs(want) do
    t.equal(perilune.error{ code = "mine", status = status }.retryable, retryable, tostring(status))
    t.upstream("up", { status = status })
    local _, err = t.run(function(req, next) return next(req) end, nil, t.request("hi"))
    t.equal(err.retryable, retryable, "an upstream's " .. status)
  end
end)

t.test("tostring says code and message", function()
  t.equal(tostring(perilune.error{ code = "mine", message = "it broke" }), "mine: it broke")
  t.equal(tostring(select(2, perilune.reject(403, "rejected"))), "rejected: refused")
  t.equal(getmetatable(perilune.error("x")), false)
  local bare = perilune.error("x")
  bare.message = {}
  t.equal(tostring(bare), "internal_error: ?")
  t.upstream("up", { text = "no use", breaks = { code = "upstream_reset", message = "gone" } })
  local _, err = t.run(function(req, next) return next(req) end, nil, t.request("hi")) -- made by C
  t.match(tostring(err), "^upstream_reset: gone")
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

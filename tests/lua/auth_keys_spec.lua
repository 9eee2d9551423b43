local t = require "perilune.test"
local sha256 = require("perilune").sha256

local options = { keys = { [sha256("sk-one")] = "acme", [sha256("sk-two"):upper()] = "umbrella" } }

local function run(headers, given)
  local next, calls = t.next{ text = "ok" }
  local req = t.request{ headers = headers }
  local res, err = t.run("auth_keys", given or options, req, next)
  return res and req.tenant, err, #calls
end

t.test("a known key names the tenant", function()
  t.equal(run{ authorization = "Bearer sk-one" }, "acme")
  t.equal(run{ Authorization = "bearer  sk-two " }, "umbrella")
  t.equal(run{ authorization = "sk-one" }, "acme")
end)

t.test("the key is gone behind it, the other headers are not", function()
  local req = t.request{ headers = { Authorization = "Bearer sk-one", ["X-A"] = "b" } }
  local seen
  t.run("auth_keys", options, req, function(r)
    seen = { r.headers.authorization or "none", r.headers["x-a"] }
    return t.next{ text = "ok" }(r)
  end)
  t.equal(seen, { "none", "b" })
end)

t.test("anything else is refused, and nothing is called", function()
  for _, value in ipairs{ "Bearer sk-three", "Bearer ", "Bearer", "Basic sk-one", "", "Bearer sk-one x", "SK-ONE",
                          sha256("sk-one") } do
    local tenant, err, calls = run{ authorization = value }
    t.equal({ tenant, err.status, err.code, err.type, err.retryable, calls },
            { nil, 401, "invalid_api_key", "invalid_request_error", false, 0 }, value)
    t.ok(not err.message:find("sk-", 1, true), "the key is not repeated")
  end
  local _, err = run{}
  t.match(err.message, "no API key provided; send it in the header 'authorization'")
end)

t.test("another header", function()
  local given = { keys = options.keys, header = "x-api-key" }
  t.equal(run({ ["X-Api-Key"] = "sk-one" }, given), "acme")
  local _, err = run({ authorization = "Bearer sk-one" }, given)
  t.equal(err.code, "invalid_api_key")
end)

t.test("wrong options are refused", function()
  t.error(function() t.policy("auth_keys", {}) end, "option 'keys' is missing")
  t.error(function() t.policy("auth_keys", { keys = { ["sk-plain"] = "acme" } }) end, "no SHA%-256 in hex")
  t.error(function() t.policy("auth_keys", { keys = { [("g"):rep(64)] = "acme" } }) end, "no SHA%-256 in hex")
  t.error(function() t.policy("auth_keys", { keys = { [("a"):rep(64)] = 7 } }) end, "must be a string")
end)

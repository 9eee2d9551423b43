local t = require "perilune.test"

local options = { text = "Please try again." }

t.test("what works is left alone", function()
  t.upstream("a", { text = "fine" })
  local res = t.run("canned", options, t.request("hi"))
  t.equal({ res:text(), res.headers["x-perilune-degraded"] }, { "fine" })
end)

t.test("a failure of the serving side gets the text", function()
  for _, status in ipairs{ 429, 500, 502, 503, 504 } do
    t.upstream("a", { status = status })
    local res = t.run("canned", options, t.request("hi"))
    t.equal({ res.status, res:text(), res.headers["x-perilune-degraded"] }, { 200, "Please try again.", "canned" }, status)
  end
end)

t.test("a fault of the client is told", function()
  for _, status in ipairs{ 400, 401, 404, 413 } do
    t.upstream("a", { status = status })
    local res, err = t.run("canned", options, t.request("hi"))
    t.equal({ res, err.status }, { nil, status })
  end
end)

t.test("only the codes that are asked for, with the status that is asked for", function()
  local given = { text = "x", on = { "timeout" }, status = 503 }
  t.upstream("a", { error = { code = "timeout" } })
  t.equal(t.run("canned", given, t.request("hi")).status, 503)
  t.upstream("a", { error = { code = "overloaded" } })
  local res, err = t.run("canned", given, t.request("hi"))
  t.equal({ res, err.code }, { nil, "overloaded" })
end)

t.test("wrong options are refused", function()
  t.error(function() t.policy("canned", {}) end, "option 'text' is missing")
  t.error(function() t.policy("canned", { text = "x", txt = "y" }) end, "did you mean 'text'?")
end)

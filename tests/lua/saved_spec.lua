local t = require "perilune.test"

t.test("reports add up", function()
  local req = t.request("hi")
  t.equal(req:saved(), { tokens = 0, cost = 0 })
  t.equal(req:saved{ policy = "window", before = 100, after = 40, cost = 0.25, seconds = 0.001 }, { tokens = 60, cost = 0.25 })
  t.equal(req:saved{ policy = "window", before = 40, after = 50, cost = -0.5 }, { tokens = 50, cost = -0.25 })
  t.equal(req:saved{ policy = "mask_tools" }, { tokens = 50, cost = -0.25 })
end)

t.test("a report that makes no sense throws", function()
  local req = t.request("hi")
  local function says(what, pattern) t.error(function() req:saved(what) end, pattern) end
  says({}, "policy must be a name")
  says({ policy = "a b" }, "policy must be a name")
  says({ policy = ("x"):rep(32) }, "at most 31")
  says({ policy = "p", befor = 1 }, "unknown field 'befor'")
  says({ policy = "p", before = "1" }, "before must be a number")
  says({ policy = "p", before = -1 }, "0 or more")
  says({ policy = "p", after = 0 / 0 }, "0 or more")
  says({ policy = "p", cost = 1e10 }, "USD")
  says("p", "table expected")
end)

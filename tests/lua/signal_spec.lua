local t = require "perilune.test"
local core = require "perilune.core"
local perilune = require "perilune"

local function wait(s) return core.result(core.signal_wait(s)) end

t.test("who waits goes on when it is told, and not from below who tells", function()
  local s, log = core.signal(), {}
  perilune.all{
    function() wait(s) log[#log + 1] = "a" return true end,
    function() wait(s) log[#log + 1] = "b" wait(s) log[#log + 1] = "b2" return true end,
    function() perilune.sleep(1) core.signal_tell(s) log[#log + 1] = "told" perilune.sleep(1) core.signal_tell(s) return true end,
  }
  t.equal(log, { "told", "a", "b", "b2" })
  t.equal(t.clock(), 2)
end)

t.test("telling nobody is nothing, and keeps nothing", function()
  local s, late = core.signal(), false
  core.signal_tell(s)
  perilune.race{ function() wait(s) late = true return true end, function() perilune.sleep(3) return true end }
  t.equal({ late, t.clock() }, { false, 3 })
end)

t.test("a branch that is canceled while it waits is forgotten", function()
  local s = core.signal()
  for _ = 1, 3 do
    perilune.race{ function() wait(s) return true end, function() perilune.sleep(1) core.signal_tell(s) return true end }
  end
  local n = 0
  perilune.all{ function() wait(s) n = n + 1 return true end, function() perilune.sleep(1) core.signal_tell(s) return true end }
  t.equal(n, 1)
end)

t.test("a signal may go while others wait for it, and a branch may wait for two, one after the other", function()
  local a, b = core.signal(), core.signal()
  perilune.all{
    function() wait(a) wait(b) return true end,
    function() perilune.sleep(1) core.signal_tell(a) core.signal_tell(a) perilune.sleep(1) core.signal_tell(b) return true end,
  }
  local gone = core.signal()
  perilune.race{ function() local s = gone gone = nil wait(s) return true end, function() perilune.sleep(1) return true end }
  for _ = 1, 1000 do core.signal() end
  t.error(function() core.signal_tell({}) end, "perilune.signal")
end)

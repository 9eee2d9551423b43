--- test_scene: the spec that runs: what it has set up, its clock, and on whose account a piece of it is.

local core = require "perilune.core"
local frame = require "perilune.frame"
local perilune = require "perilune"

local S = {}

-- upstreams = name -> { script, calls }, fetches, routes, host, queues, captured, start, ...; see test.lua, M.world.
local current

--- What the spec that runs has set up.
function S.scene() return current or error("call this inside of t.test(name, function() ... end)", 3) end

--- nil: no spec runs.
function S.enter(scene) current = scene end

--- Seconds since it began, in virtual time, to the microsecond.
function S.clock() return math.floor((perilune.now() - S.scene().start) * 1e6 + 0.5) / 1e6 end

--- fn in an account of its own: "limited", as a policy is, or "free".  Results of pcall; or nil and the
--- failure of one that used up its time or memory.
function S.in_account(account, fn, ...)
  local arguments, n = { ... }, select("#", ...)
  return core.result(core.spawn("race", {
    function() return xpcall(frame, core.place, fn, unpack(arguments, 1, n)) end,
  }, 1, account))
end

--- Of what in_account() gives: its results, or its error thrown on.
function S.finish(ok, ...)
  if ok == false then error((...), 0) end
  if ok == nil then return nil, (...) end
  return ...
end

return S

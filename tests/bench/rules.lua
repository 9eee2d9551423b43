-- rules.lua -- what it costs to go between a program and its rules and policies.
--
--   luajit tests/bench/rules.lua [SECONDS]
--
-- rules.c measures CPU time, beside the same functions in plain LuaJIT: called by lua_pcall() with a table that C makes,
-- and as a lua_CFunction, interpreted as policies are.  The reloads: evaluations that are due every 10 microseconds by the
-- clock, from when each was due to its answer.  Beside OPA, QuickJS or CEL where `opa` or `qjs` is installed: not here.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"

lib.run(function()
  lib.build("build/release/bench_rules")
  local v = {}
  for line in files.lines("build/release/bench_rules " .. (tonumber(arg[1]) or 10)) do
    local name, us = line:match("^(%S+) (%S+)$")
    v[name] = tonumber(us)
  end
  lib.figure("perilune_eval, module, ten lines (lua_pcall)", v["eval-module"], "us", v.pcall, 3)
  lib.figure("perilune_eval, chunk, ten lines (lua_pcall)", v["eval-chunk"], "us", v.pcall, 3)
  lib.note("lua_pcall of the same with the JIT: %.2f us", v["pcall-jit"])
  lib.figure("host.f('text') -> text (lua_CFunction)", v["call-string"], "us", v["call-anchor"], 0.6)
  lib.figure("host.f({...}) -> table as JSON", v["call-table"], "us", v["call-anchor"])
  lib.figure("host.f('text') -> JSON of two fields", v["call-json"], "us", v["call-anchor"])
  lib.figure("host.f answered later, own thread, 100 wait", v["later-many"], "us", v["call-string"], 2)
  lib.figure("the same, one after the other", v["later-one"], "us", v["call-string"])
  lib.figure("answered by another thread, 100 wait", v["thread-many"], "us", v["call-string"], 2)
  lib.figure("the same, one after the other (two threads, bare)", v["thread-one"], "us", v.pair)
  lib.figure("perilune.values.plan", v.value, "us", nil, 0.2)
  if v["steady-p99"] then
    lib.figure("100,000 evals/s, reloaded each second: p99", v["reloaded-p99"], "us", v["steady-p99"], 2, true)
    lib.figure("the same, p50", v["reloaded-p50"], "us", v["steady-p50"])
    lib.figure("the same, failed", v["reloaded-failed"], "", nil, 0)
    lib.note("a reload uses %.1f ms of CPU; the longest kept evaluations waiting for %.1f ms (p99 holds up to about 9)",
      v["reload-cpu"] / 1000, v["reloaded-pause"] / 1000)
  end
  if not files.lines("command -v opa || command -v qjs")() then lib.note("neither opa nor qjs is installed here") end
end)

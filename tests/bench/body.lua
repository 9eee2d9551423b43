-- body.lua -- where the time of a body of tens of megabytes goes: how long each stage holds the loop.
--
--   luajit tests/bench/body.lua [MEGABYTES]
--
-- CPU time of the stages of body.c.  What a neighbour notices of it is large.lua's; here stands why.  Two shapes hold
-- the loop for other reasons: of one long text it is whatever touches every byte (a copy, the hash of a cache's key),
-- for which its pages have to be there; of many small values it is the parser, a turn of a million nodes.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"

local BAR_MS = 20 -- of one turn

bench.run(function()
  bench.build("build/release/bench_body")
  local p = io.popen("build/release/bench_body " .. (tonumber(arg[1]) or 50))
  for line in p:lines() do
    local name, ms = line:match("^(.-)|([%d.]+)|")
    -- Filling takes as many turns as there are reads; the copy is what one more would cost.
    bench.figure("body, " .. name, tonumber(ms), "ms", nil, not name:find("fill") and not name:find("copy") and BAR_MS or nil)
  end
  p:close()
end)

-- eviction.lua -- what a cache that is too small loses: SIEVE (core/store/cache.c) beside LRU and S3-FIFO.
--
--   luajit tests/bench/eviction.lua
--
-- Prints the table of eviction.c: misses in percent of requests and of bytes, with room for so much of what is
-- popular.  The figures are means over its traces: where popularity stays, and where it drifts (each thing
-- becomes more popular, then is forgotten at once), which is where SIEVE is slow to let go.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"

bench.run(function()
  local sums = { stays = { 0, 0, 0, n = 0 }, drifts = { 0, 0, 0, n = 0 } }
  bench.build("build/release/bench_eviction")
  bench.note("%-28s %5s | %-20s | %-20s", "trace", "room", "misses, % (LRU SIEVE S3-FIFO)", "missed bytes, %")
  for line in files.lines("build/release/bench_eviction") do
    local name, room, misses, bytes = line:match("^([^|]+)|([^|]+)|([^|]+)|([^|]+)$")
    local sum = (name:find("drift") or name == "all of it") and sums.drifts or sums.stays
    local i = 0
    for v in misses:gmatch("%S+") do
      i = i + 1
      sum[i] = sum[i] + tonumber(v)
    end
    sum.n = sum.n + 1
    bench.note("%-28s %5s | %-20s          | %-20s", name, room, misses, bytes)
  end
  for _, kind in ipairs{ "stays", "drifts" } do
    local s = sums[kind]
    bench.figure(("misses, popularity %s (anchor LRU)"):format(kind), s[2] / s.n, "%", s[1] / s.n,
      kind == "stays" and 1 or nil, true)
    bench.figure(("misses, popularity %s (anchor S3-FIFO)"):format(kind), s[2] / s.n, "%", s[3] / s.n)
  end
end)

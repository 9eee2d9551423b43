-- jobs.lua -- how many jobs the embedded queue accepts, on one core and on this disk, and how soon.
--
--   luajit tests/bench/jobs.lua
--
-- Each job is on the disk (fdatasync) before it is accepted.  Anchors of the same run: rows with the same bytes that
-- SQLite alone keeps in transactions of as many as wait at once, and a bare fdatasync of 4 KiB.  The bar for accepting is the time of
-- one job, 50 us for 20,000 in a second.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"

local PROGRAM = "build/release/bench_jobs"

bench.run(function()
  bench.build(PROGRAM)
  local got = {}
  for line in files.lines(("%s %s %d"):format(PROGRAM, bench.folder(), 3)) do
    local name, a, b = line:match("^(%S+) (%S+) ?(%S*)$")
    got[name] = { tonumber(a), tonumber(b) }
  end
  if not got.sync then error("bench_jobs did not come to its end", 0) end
  bench.note("accepted %.0f/s, worked off %.0f/s, SQLite alone %.0f/s", got.accepted[1], got.worked[1], got.sqlite[1])
  bench.figure("a job accepted (anchor SQLite alone)", 1e6 / got.accepted[1], "us", 1e6 / got.sqlite[1], 50)
  bench.figure("a job taken and finished", 1e6 / got.worked[1], "us", nil)
  bench.figure("idle, to the answer, p50 (anchor fdatasync)", got.wait[1], "ms", got.sync[1], 1)
  bench.figure("idle, to the answer, p99 (anchor fdatasync)", got.wait[2], "ms", got.sync[2])
end)

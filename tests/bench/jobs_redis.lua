-- jobs_redis.lua -- how many jobs a queue in Redis accepts, and how soon.
--
--   luajit tests/bench/jobs_redis.lua
--
-- One client with 1000 questions at once; bodies of 512 bytes; Redis writes each answer to its file first
-- (appendfsync always).  The anchor is redis-benchmark: SET of as many bytes on the same server, 1000 of them at once,
-- which is one command where a job is a script of some twenty.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"
local proc = require "support.proc"
local redis_server = require "support.redis"

local PROGRAM = "build/release/bench_jobs"

bench.run(function()
  local server = proc.which("redis-server") or proc.which("valkey-server") or proc.which("redis-check-rdb")
  if not server or not proc.which("redis-benchmark") then
    bench.note("SKIPPED: there is no redis-server, or no redis-benchmark (apt: redis-tools)")
    return
  end
  bench.build(PROGRAM)
  local redis = redis_server.new(server, { "--appendonly", "yes", "--appendfsync", "always", "--unixsocket", "@DIR@/sock" })
  local got = {}
  for line in files.lines(("%s %s 3 %s/sock"):format(PROGRAM, bench.folder(), redis.dir)) do
    local name, a, b = line:match("^(%S+) (%S+) ?(%S*)$")
    got[name] = { tonumber(a), tonumber(b) }
  end
  local set
  for line in files.lines(("redis-benchmark -s %s/sock -c 1 -P 1000 -d 512 -n 200000 -t set --csv"):format(redis.dir)) do
    set = tonumber(line:match('^"SET[^"]*","([%d.]+)"')) or set
  end
  redis:stop()
  redis:clean()
  if not (got.wait and set) then error("bench_jobs, or redis-benchmark, did not come to its end", 0) end
  bench.note("accepted %.0f/s, worked off %.0f/s, SET alone %.0f/s", got.accepted[1], got.worked[1], set)
  bench.figure("a job accepted (anchor SET)", 1e6 / got.accepted[1], "us", 1e6 / set)
  bench.figure("a job taken and finished", 1e6 / got.worked[1], "us", nil)
  bench.figure("idle, to the answer, p50", got.wait[1], "ms", nil)
  bench.figure("idle, to the answer, p99", got.wait[2], "ms", nil)
end)

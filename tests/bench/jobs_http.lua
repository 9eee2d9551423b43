-- jobs_http.lua -- what it costs to take a job on, and how long its client waits.
--
--   luajit tests/bench/jobs_http.lua [seconds]     5
--
-- One worker; jobs are kept in a file on this machine's disk, whose writer has a thread of its own.  Of the jobs none
-- is done meanwhile (they may begin in an hour).  The anchor of the rate is the same question answered at once by a
-- policy, so by a gateway that neither asks an upstream nor writes a file.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local json = require "support.json"

local SECONDS, LEAST, RATE = tonumber(arg[1]) or 5, 20000, 2000

local CONFIG = [[
  workers = 1,
  upstreams = { up = { sim = {} } },
  jobs = { @WHERE@, max_queued = 0 },
  routes = { { path = "/canned", policies = { function() return require("perilune").respond{ text = "hello" } end } } },]]

local PATH = "/v1/async/chat/completions?x-perilune-not-before=%2B3600"

bench.run(function()
  local dir = bench.folder()
  local body = bench.file(dir, "body.json", json.encode{ model = "up", messages = json.array{
    { role = "user", content = "question number {{n}} of somebody" } } })
  local in_file = bench.perilune(CONFIG, { WHERE = 'file = "jobs.db"' })
  local in_memory = bench.perilune(CONFIG, { WHERE = "memory = true" })

  local function load(target, options)
    options.body, options.dir = body, dir
    local r = bench.load(target.port, options)
    if r.failed > 0 then bench.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
    return r
  end

  -- Each in a second is a microsecond more per job; so that less is better, as everywhere here.
  local canned = load(in_file, { path = "/canned", conns = 256, seconds = SECONDS })
  local file = load(in_file, { path = PATH, conns = 256, seconds = SECONDS })
  local memory = load(in_memory, { path = PATH, conns = 256, seconds = SECONDS })
  bench.note("accepted in a second: %.0f in a file, %.0f in memory; answered by a policy: %.0f", file.rps, memory.rps,
    canned.rps)
  bench.figure("a job accepted, kept in a file", 1e6 / file.rps, "us", 1e6 / canned.rps, 1e6 / LEAST)
  bench.figure("a job accepted, kept in memory", 1e6 / memory.rps, "us", 1e6 / canned.rps)

  local idle = load(in_file, { path = PATH, rate = RATE, seconds = SECONDS })
  bench.figure(("%d jobs/s: p50 until 202"):format(RATE), idle.p50 / 1000, "ms", nil, 1)
  bench.figure(("%d jobs/s: p99 until 202"):format(RATE), idle.p99 / 1000, "ms")
end)

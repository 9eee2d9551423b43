-- reload.lua -- reloads under load.
--
--   luajit tests/bench/reload.lua       failed requests and p99, with and without reloads
--
-- First 2,000 requests per second beside 500 streams that last as long as the benchmark, so
-- that no burst of beginnings is measured.  Then 6,000 requests per second and a reload every
-- 100 ms for a minute (SECONDS=n in the environment: this alone, for so long), on cores that the load, the
-- upstream, the workers and the loading thread share: what a reload takes from them is what the
-- p99 shows.  Windows with and without reloads take turns, and the median window of each kind
-- counts: both meet the same noise.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local loop = require "support.loop"

local RATE, STREAMS, SECONDS, ROUNDS, RELOADS = 2000, 500, 3, 9, 108
local GAP_MS, SETTLE = 20, 2
local OFTEN = { rate = 6000, gap = 0.1, rounds = 6, seconds = tonumber(os.getenv("SECONDS")) or 60 }
local TOKENS = math.floor((2 * ROUNDS * (SECONDS + 0.3) + SETTLE + 2) * 1000 / GAP_MS)

local CONFIG = [[
workers = 2,
upstreams = { plain = { url = "@UPSTREAM@" }, slow = { url = "@SLOW@", model = "slow" } },
routes = { { path = "/v1/chat/completions", policies = {
  { "route", rules = { { header = { ["x-slow"] = true }, upstream = "slow" },
                       { model = "slow", upstream = "slow" } },
    small = "plain", big = "plain" } } } },]]

-- Every `gap` seconds until `over` says so; returns how many did not answer 200, and how many did.
local function keep_reloading(ours, gap, over)
  local bad, good, started = 0, 0, loop.now()
  while not over() do
    local r = ours.server:reload(10)
    if r and r.status == 200 then
      good = good + 1
    else
      bad = bad + 1
      bench.note("reload: %s", r and r.line .. " " .. r.body or "no answer")
    end
    local pause = started + gap * (good + bad) - loop.now()
    if pause > 0 then loop.pause(pause) end
  end
  return bad, good
end

-- One load, with a reload every `gap` seconds while it lasts, if there is a gap.
local function window(ours, options, gap)
  local requests
  local bad, good = 0, 0
  local a = loop.go(function() requests = bench.load(ours.port, options) end)
  local b = loop.go(function()
    if gap then bad, good = keep_reloading(ours, gap, function() return requests end) end
  end)
  loop.join(options.seconds * 6 + 60, a, b)
  if not requests then error("the load did not end", 0) end
  if requests.failed > 0 then bench.note("requests failed: %s", requests.errors) end
  return requests.p99 / 1000, requests.failed + bad, good
end

-- Windows without and with reloads, in turn: the median p99 of each kind, failures, reloads.
local function compare(ours, options, rounds, gap)
  local without, with, failed, reloads = {}, {}, 0, 0
  for i = 1, rounds do
    local bad, good
    without[i], bad = window(ours, options)
    failed = failed + bad
    with[i], bad, good = window(ours, options, gap)
    failed, reloads = failed + bad, reloads + good
  end
  return bench.median(without), bench.median(with), failed, reloads
end

local function beside_streams(dir, ours)
  local options = { body = bench.file(dir, "body", bench.chat(300)), rate = RATE, seconds = SECONDS, dir = dir }
  local stream = bench.chat(300, true):gsub('"model":"auto"', '"model":"slow"')
  local stream_options = { body = bench.file(dir, "stream", stream), conns = STREAMS, stream = true,
                           requests = STREAMS, timeout = 300, dir = dir }
  local streams
  local background = loop.go(function() streams = bench.load(ours.port, stream_options) end)
  loop.pause(SETTLE)
  local without, with, failed, reloads = compare(ours, options, ROUNDS, SECONDS * ROUNDS / RELOADS)
  loop.join(120, background)
  if not streams then error("the streams did not end", 0) end
  if streams.failed > 0 then bench.note("streams failed: %s", streams.errors) end
  bench.figure(("failed while %d reloads under load"):format(reloads), failed + streams.failed, "", nil, 0)
  bench.figure("p99 with reloads (anchor: without)", with, "ms", without, 1.5, true)
end

local function often(dir, ours)
  local options = { body = bench.file(dir, "body", bench.chat(300)), rate = OFTEN.rate,
                    seconds = OFTEN.seconds / OFTEN.rounds, dir = dir }
  local without, with, failed, reloads = compare(ours, options, OFTEN.rounds, OFTEN.gap)
  bench.figure(("failed while %d reloads, one each %d ms"):format(reloads, OFTEN.gap * 1000), failed, "", nil, 0)
  bench.figure("p99 with them (anchor: without)", with, "ms", without, 1.0)
end

bench.run(function()
  local dir = bench.folder()
  local quick = bench.upstream(bench.folder(), { tokens = 8 })
  local slow = bench.upstream(bench.folder(), { tokens = TOKENS, ttft_ms = GAP_MS, itl_ms = GAP_MS })
  local ours = bench.perilune(CONFIG, { UPSTREAM = quick.url, SLOW = slow.url })
  if not os.getenv("SECONDS") then beside_streams(dir, ours) end
  often(dir, ours)
end)

-- reload.lua -- reloads under load.
--
--   luajit tests/bench/reload.lua       failed requests and p99, with and without reloads
--
-- 2,000 requests per second beside 500 streams that last as long as the benchmark, so
-- that no burst of beginnings is measured.  Windows with and without reloads take turns,
-- and the median window of each kind counts: both meet the same noise.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local loop = require "support.loop"

local RATE, STREAMS, SECONDS, ROUNDS, RELOADS = 2000, 500, 3, 9, 108
local GAP_MS, SETTLE = 20, 2
local TOKENS = math.floor((2 * ROUNDS * (SECONDS + 0.3) + SETTLE + 2) * 1000 / GAP_MS)

local CONFIG = [[
workers = 2,
upstreams = { plain = { url = "@UPSTREAM@" }, slow = { url = "@SLOW@", model = "slow" } },
routes = { { path = "/v1/chat/completions", policies = {
  { "route", rules = { { header = { ["x-slow"] = true }, upstream = "slow" },
                       { model = "slow", upstream = "slow" } },
    small = "plain", big = "plain" } } } },]]

-- Reloads `count` times over `seconds`; returns how many did not answer 200.
local function keep_reloading(ours, seconds, count)
  local bad, started = 0, loop.now()
  for i = 1, count do
    local r = ours.server:reload(10)
    if not r or r.status ~= 200 then
      bad = bad + 1
      bench.note("reload: %s", r and r.line .. " " .. r.body or "no answer")
    end
    local pause = started + seconds * i / count - loop.now()
    if pause > 0 then loop.pause(pause) end
  end
  return bad
end

local function window(ours, options, reloads)
  local requests
  local bad = 0
  local a = loop.go(function() requests = bench.load(ours.port, options) end)
  local b = loop.go(function()
    if reloads > 0 then bad = keep_reloading(ours, SECONDS, reloads) end
  end)
  loop.join(SECONDS * 6 + 60, a, b)
  if not requests then error("the load did not end", 0) end
  if requests.failed > 0 then bench.note("requests failed: %s", requests.errors) end
  return requests.p99 / 1000, requests.failed + bad
end

bench.run(function()
  local dir = bench.folder()
  local quick = bench.upstream(bench.folder(), { tokens = 8 })
  local slow = bench.upstream(bench.folder(), { tokens = TOKENS, ttft_ms = GAP_MS, itl_ms = GAP_MS })
  local ours = bench.perilune(CONFIG, { UPSTREAM = quick.url, SLOW = slow.url })

  local body = bench.chat(300)
  local stream = bench.chat(300, true):gsub('"model":"auto"', '"model":"slow"')
  local options = { body = bench.file(dir, "body", body), rate = RATE, seconds = SECONDS, dir = dir }
  local stream_options = { body = bench.file(dir, "stream", stream), conns = STREAMS, stream = true,
                           requests = STREAMS, timeout = 300, dir = dir }
  local streams
  local background = loop.go(function() streams = bench.load(ours.port, stream_options) end)
  loop.pause(SETTLE)
  local without, with, failed = {}, {}, 0
  for i = 1, ROUNDS do
    local bad
    without[i], bad = window(ours, options, 0)
    failed = failed + bad
    with[i], bad = window(ours, options, RELOADS / ROUNDS)
    failed = failed + bad
  end
  loop.join(120, background)
  if not streams then error("the streams did not end", 0) end
  if streams.failed > 0 then bench.note("streams failed: %s", streams.errors) end
  failed = failed + streams.failed
  bench.figure(("failed while %d reloads under load"):format(RELOADS), failed, "", nil, 0)
  bench.figure("p99 with reloads (anchor: without)", bench.median(with), "ms", bench.median(without), 1.5, true)
end)

-- reload.lua -- reloads under load.
--
--   luajit tests/bench/reload.lua       failed requests and p99, with and without reloads
--
-- 2,000 requests per second and 500 streams; in half of the rounds the
-- configuration is reloaded all the time, 100 times in all.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local loop = require "support.loop"

local RATE, STREAMS, SECONDS, ROUNDS, RELOADS = 2000, 500, 8, 2, 100
local TOKENS, GAP_MS = 100, 20

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

local function round(ours, options, stream_options, reloads)
  local streams, requests
  local bad = 0
  local a = loop.go(function() streams = bench.load(ours.port, stream_options) end)
  local b = loop.go(function() requests = bench.load(ours.port, options) end)
  local c = loop.go(function()
    if reloads > 0 then bad = keep_reloading(ours, SECONDS, reloads) end
  end)
  loop.join(SECONDS * 6 + 60, a, b, c)
  if not (streams and requests) then error("the load did not end", 0) end
  if requests.failed > 0 then bench.note("requests failed: %s", requests.errors) end
  if streams.failed > 0 then bench.note("streams failed: %s", streams.errors) end
  return requests.p99 / 1000, requests.failed + streams.failed + bad
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
                           requests = STREAMS * math.floor(SECONDS * 1000 / (TOKENS * GAP_MS)), dir = dir }
  local without, with, failed = {}, {}, 0
  for i = 1, ROUNDS do
    without[i] = round(ours, options, stream_options, 0)
    local bad
    with[i], bad = round(ours, options, stream_options, RELOADS / ROUNDS)
    failed = failed + bad
  end
  bench.figure(("failed while %d reloads under load"):format(RELOADS), failed, "", nil, 0)
  bench.figure("p99 with reloads (anchor: without)", bench.median(with), "ms", bench.median(without), 1.5, true)
end)

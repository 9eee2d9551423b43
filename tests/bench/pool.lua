-- pool.lua -- pools, breakers, hedges: what is lost when an upstream goes, and what they cost.
--
--   luajit tests/bench/pool.lua [dark|hedge|prefix|cost] [seconds]     all; seconds: of the darkness, 30
--
-- dark: three upstreams; one is stopped (SIGSTOP: connections are made, nothing answers) and goes on later.  A steady
-- load of streams asks on.  What fails, how much more is asked than came, how long until all get the same again.
-- hedge: two upstreams of which each is twenty times as late as usual for 1 of 80 requests (so that the 99th percentile
-- lies in the tail).  prefix: the simulation of prefix.c.  cost: CPU of `breaker`, per request.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"
local json = require "support.json"
local loop = require "support.loop"
local proc = require "support.proc"
local server = require "support.server"
local http = require "support.http"

local only, seconds = arg[1], tonumber(arg[2]) or 30

-- Calls of each upstream so far.
local function calls(target)
  local r, out = http.get(target.server.admin, "/metrics", 2), {}
  for name, n in (r and r.body or ""):gmatch('perilune_upstream_calls_total{upstream="(%w+)"} (%d+)') do out[name] = tonumber(n) end
  return out
end

-- An open loop of streams in the background; returns what waits for its report.
local function start_load(dir, target, o)
  local out = ("%s/load.%s"):format(dir, o.name)
  local args = { server.binary(), "bench", ("http://127.0.0.1:%d/v1"):format(target.port), "--json", "--stream",
                 "--rate", tostring(o.rate), "--duration", tostring(o.seconds), "--timeout", "20", "--no-validate" }
  local p = proc.spawn(args, { stdout = out, output = out .. ".err" })
  bench.defer(function() p:stop() end)
  return function()
    if not p:wait(o.seconds + 60) then error("the load did not end", 0) end
    return json.decode((files.read(out) or ""):match("{.*}"))
  end
end

local function stop(up, name) os.execute(("kill -%s %d"):format(name, up.pid)) end

-- Seconds until each gets at least 0.8 of its third in a second.
local function until_even(ours, most)
  local before, began = calls(ours), loop.now()
  while loop.now() - began < most do
    loop.pause(1)
    local now, all, least = calls(ours), 0, math.huge
    for name, n in pairs(now) do
      local d = n - before[name]
      if name ~= "chat" then all, least = all + d, math.min(least, d) end
    end
    if all > 0 and least >= 0.8 * all / 3 then return loop.now() - began end
    before = now
  end
  return math.huge
end

local function dark(dir)
  local ups = {}
  for i = 1, 3 do ups[i] = bench.upstream(dir, { tokens = 8, ttft_ms = 20, itl_ms = 1 }) end
  local ours = bench.perilune([[
    workers = 2,
    upstreams = { a = { url = "@A@", timeouts = { first_token = 1 } }, b = { url = "@B@", timeouts = { first_token = 1 } },
                  c = { url = "@C@", timeouts = { first_token = 1 } } },
    pools = { chat = { upstreams = { "a", "b", "c" } } },
    routes = { { path = "/v1/chat/completions", upstream = "chat" } },]],
    { A = ups[1].url, B = ups[2].url, C = ups[3].url })
  local report = start_load(dir, ours, { name = "dark", rate = 200, seconds = seconds + 30 })
  loop.pause(10)
  stop(ups[1], "STOP")
  loop.pause(seconds)
  stop(ups[1], "CONT")
  local even = until_even(ours, 15)
  local r, asked = report(), 0
  for _, n in pairs(calls(ours)) do asked = asked + n end
  bench.note("%d requests, %d failed: %s", r.requests, r.failed, json.encode(r.errors))
  bench.figure(("dark for %g s, failed"):format(seconds), 100 * r.failed / r.requests, "%", nil, 1)
  bench.figure("until all get the same again", even, "s", nil, 10)
  bench.figure("requests upstream (anchor: requests)", asked, "", r.requests, 1.1, true)
end

local function late_upstream(dir, seed)
  local net = require "support.net"
  local port = net.free_port()
  local p = proc.spawn({ server.binary(), "sim", "--listen", "127.0.0.1:" .. port, "--tokens", "4", "--ttft-ms", "20",
                         "--jitter", "0.2", "--fault", "0.0125:ttft_ms=400", "--seed", tostring(seed) }, { output = dir .. "/late.log" })
  bench.defer(function() p:stop() end)
  loop.until_true(5, function()
    local conn = net.connect(port, 1)
    if conn then conn:close() end
    return conn
  end)
  return ("http://127.0.0.1:%d/v1"):format(port)
end

local function hedge(dir)
  local vars = { A = late_upstream(dir, 1), B = late_upstream(dir, 2) }
  local config = [[ workers = 2, upstreams = { a = { url = "@A@" }, b = { url = "@B@" } },
    routes = { { path = "/v1/chat/completions", policies = { %s } } },]]
  local plain = bench.perilune(config:format([[{ "fallback", upstreams = { "a" } }]]), vars)
  local hedged = bench.perilune(config:format([[{ "hedge", upstreams = { "a", "b" }, after = "p95" }]]), vars)
  local without = start_load(dir, plain, { name = "plain", rate = 200, seconds = 30 })()
  local with = start_load(dir, hedged, { name = "hedged", rate = 200, seconds = 30 })()
  local asked = 0
  for _, n in pairs(calls(hedged)) do asked = asked + n end
  bench.note("first token, ms: %.0f p50, %.0f p99, %.0f p99.9 without; %.0f, %.0f, %.0f with hedges", without.ttft_us.p50 / 1e3,
    without.ttft_us.p99 / 1e3, without.ttft_us.p999 / 1e3, with.ttft_us.p50 / 1e3, with.ttft_us.p99 / 1e3, with.ttft_us.p999 / 1e3)
  bench.figure("p99 of the first token (anchor: no hedge)", with.ttft_us.p99 / 1e3, "ms", without.ttft_us.p99 / 1e3, 0.4, true)
  bench.figure("requests asked twice", 100 * (asked / with.requests - 1), "%", nil, 3)
end

local function prefix()
  bench.build("build/release/bench_prefix")
  local found = {}
  bench.note("%-28s %8s %12s %12s %12s %12s", "shape, way", "found, %", "busiest", "mean, ms", "p99, ms", "at most, %")
  for line in files.lines("build/release/bench_prefix") do
    local name, hits, load, mean, p99, most = line:match("^([^|]+)|([^|]+)|([^|]+)|([^|]+)|([^|]+)|([^|]+)$")
    bench.note("%-28s %8s %12s %12s %12s %12s", name, hits, load, mean, p99, most)
    found[name] = { tonumber(hits), tonumber(load), tonumber(most) }
  end
  for _, shape in ipairs{ "chats", "documents" } do
    local rr, ours = found[shape .. ", round robin"], found[shape .. ", prefix"]
    bench.figure(("blocks found by round robin, %s (anchor: prefix)"):format(shape), rr[1], "%", ours[1], shape == "documents" and 0.5 or nil, true)
    bench.figure(("blocks found by prefix, %s (anchor: all that could be)"):format(shape), ours[1], "%", ours[3])
    bench.figure(("busiest engine over even, %s"):format(shape), ours[2], "x", nil, 1.25)
  end
end

local function cost(dir)
  local up = bench.upstream(dir, { tokens = 16 })
  local config = [[ upstreams = { up = { url = "@UPSTREAM@" } },
    routes = { { path = "/v1/chat/completions", policies = { %s } } },]]
  local pass = "function(req, next) return next(req) end"
  local plain = bench.perilune(config:format(pass), { UPSTREAM = up.url })
  local ours = bench.perilune(config:format([[{ "breaker" }, ]] .. pass), { UPSTREAM = up.url })
  local options = { body = bench.file(dir, "body.json", bench.chat(300)), conns = 32, dir = dir, requests = 20000 }
  local cpu = bench.compare({ ours, plain }, options, 5)
  bench.note("%.2f us a request with breaker, %.2f without", cpu[1], cpu[2])
  bench.figure("CPU of breaker", cpu[1] - cpu[2], "us/req", nil, 1)
end

bench.run(function()
  local dir, parts = bench.folder(), { dark = dark, hedge = hedge, prefix = prefix, cost = cost }
  for _, name in ipairs{ "dark", "hedge", "prefix", "cost" } do
    if only == nil or only == name then parts[name](dir) end
  end
end)

-- overload.lua -- three times what an upstream can do, in three classes.
--
--   luajit tests/bench/overload.lua
--
-- The upstream answers in 100 ms; `priority` lets 64 requests work at once, which is 640 a second.  The class `paid`
-- asks for 0.6 of that, `free` and `batch` for 1.2 each.  First `paid` is alone: how many answers, how long, is
-- what it is compared with.  Then all come.  Latencies count from when a request should have left.
--
-- The other figure: CPU time of `priority` for each request, with slots free.  Both servers run at once and are loaded
-- in turn.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"

local SLOTS, MS, SECONDS, MAX_WAIT = 64, 100, 12, 2
local CAPACITY = SLOTS * 1000 / MS
local ROUNDS, REQUESTS = 7, 20000

local function classes(dir)
  local up = bench.upstream(dir, { tokens = 4, ttft_ms = MS })
  local gateway = bench.perilune(([[
    upstreams = { up = { url = "@UPSTREAM@" } },
    routes = { { path = "/v1/chat/completions", policies = {
      { "priority", concurrency = %d, classes = { "paid", "free", "batch" }, class = "x-class", max_wait = %g } } } },]])
    :format(SLOTS, MAX_WAIT), { UPSTREAM = up.url }, { workers = 2 })
  local body = bench.file(dir, "body", bench.chat(300))
  local function load(class, share)
    return { body = body, rate = share * CAPACITY, seconds = SECONDS, header = "x-class: " .. class, timeout = 30 }
  end
  local alone = bench.loads(gateway.port, { load("paid", 0.6) }, dir)[1]
  local all = bench.loads(gateway.port, { load("paid", 0.6), load("free", 1.2), load("batch", 1.2) }, dir)
  local function good(r) return r.done - r.failed end
  bench.note("answered of asked: paid %d of %d, free %d of %d, batch %d of %d", good(all[1]), all[1].done, good(all[2]),
    all[2].done, good(all[3]), all[3].done)
  bench.note("all answers a second: %.0f of %d", (good(all[1]) + good(all[2]) + good(all[3])) / SECONDS, CAPACITY)
  -- More is better: the bar is on what is lost.
  bench.figure("paid: answers lost against alone", 100 - 100 * good(all[1]) / good(alone), "%", nil, 5)
  bench.figure("paid: p99 against alone", all[1].p99 / 1000, "ms", alone.p99 / 1000, 2, true)
  for i, class in ipairs{ "paid", "free", "batch" } do
    bench.figure(class .. ": the longest of all, answered or refused", all[i].max / 1000, "ms", nil,
      MAX_WAIT * 1000 + 3 * MS)
  end
end

local function cost(dir)
  local up = bench.upstream(dir, { tokens = 16 })
  local function gateway(policies)
    return bench.perilune("upstreams = { up = { url = \"@UPSTREAM@\" } },\n"
      .. "routes = { { path = \"/v1/chat/completions\", policies = { " .. policies .. " } } },", { UPSTREAM = up.url })
  end
  local without = gateway("function(req, next) return next(req) end")
  local with = gateway("function(req, next) return next(req) end, { \"priority\", concurrency = 64 }")
  local options = { body = bench.file(dir, "small", bench.chat(300)), conns = 32, dir = dir, requests = REQUESTS }
  local differences = {}
  bench.compare({ without, with }, options, 1)
  for i = 1, ROUNDS do
    differences[i] = bench.cpu_per_request(with, options) - bench.cpu_per_request(without, options)
  end
  bench.figure("priority, a request, slots free", bench.median(differences), "us", nil, 1.5)
end

bench.run(function()
  local dir = bench.folder()
  classes(dir)
  cost(dir)
end)

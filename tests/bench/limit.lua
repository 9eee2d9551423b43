-- limit.lua -- how exactly limits hold under load, and what they cost.
--
--   luajit tests/bench/limit.lua [exact|shared|cost]
--
-- exact   1000 clients who ask again at once, two workers, a limit on tokens: what upstreams said was used, against
--         what the limit allows in that time (a full bucket, and what flows into it)
-- shared  the same over two processes with a redis-server
-- cost    CPU microseconds per request of a route with the policy, less those of the same route without it; and with
--         breaker and priority behind it

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local proc = require "support.proc"
local redis_server = require "support.redis"

local PER_MINUTE, CLIENTS, SECONDS = 600000, 1000, 8
local IN = 'gen_ai_client_token_usage_total{gen_ai_token_type="input"}'
local OUT = 'gen_ai_client_token_usage_total{gen_ai_token_type="output"}'

local function metric(target, name)
  local page = assert(http.get(target.server.admin, "/metrics", 10)).body
  return tonumber(("\n" .. page):match("\n" .. name:gsub("%p", "%%%0") .. " (%S+)")) or 0
end

local function sum(targets, name)
  local n = 0
  for _, t in ipairs(targets) do n = n + metric(t, name) end
  return n
end

local function limited(up, more, cache)
  return bench.perilune(([[
    workers = 2, %s
    upstreams = { up = { url = "@UPSTREAM@" } },
    routes = { { path = "/v1/chat/completions", policies = { { "limit", %s } } } },]]):format(cache or "", more),
    { UPSTREAM = up.url })
end

local function load_on(target, dir, name, clients)
  local args = { "build/perilune", "bench", ("http://127.0.0.1:%d/v1"):format(target.port), "--json", "--no-validate",
                 "-c", tostring(clients), "-d", tostring(SECONDS), "-b", bench.file(dir, name .. ".json", json.encode{
                   model = "m", messages = json.array{ { role = "user", content = "hello there" } } }) }
  return proc.spawn(args, { stdout = dir .. "/" .. name, output = dir .. "/" .. name .. ".err" })
end

-- All of what flows in while they run may be used, and a bucket.
local function measure(dir, targets, name)
  local began, loads = loop.now(), {}
  for i, t in ipairs(targets) do loads[i] = load_on(t, dir, name .. i, CLIENTS / #targets) end
  for _, p in ipairs(loads) do p:wait(120) end
  loop.until_true(20, function() return sum(targets, "perilune_in_flight") == 0 end)
  local took = loop.now() - began
  local used, allowed = sum(targets, IN) + sum(targets, OUT), PER_MINUTE * (1 + took / 60)
  local rows = 'limit="limit tokens_per_minute all"'
  bench.note("%s: %d of %d tokens in %.1f s; %d requests passed, %d refused", name, used, allowed, took,
    sum(targets, "perilune_limit_taken_total{" .. rows .. "}"), sum(targets, "perilune_limit_refused_total{" .. rows .. "}"))
  bench.figure(name .. ": overshoot", math.max(0, used / allowed - 1) * 100, "%", nil, 1)
  bench.figure(name .. ": left unused", math.max(0, 1 - used / allowed) * 100, "%", nil, 5)
  bench.figure(name .. ": still reserved", sum(targets, "perilune_limit_reserved_tokens{" .. rows .. "}"), "tokens", nil, 0)
end

-- Each of 1000 keys asks for the first time, for more than its limit holds.
local function first_requests(up, dir)
  local t = limited(up, [[tokens_per_minute = 20, key = function(req) return req.user end]])
  local p = proc.spawn({ "build/perilune", "bench", ("http://127.0.0.1:%d/v1"):format(t.port), "--json", "--no-validate",
    "-c", "1000", "-n", "1000", "-b", bench.file(dir, "first.json", '{"model":"m","user":"u{{n}}","max_tokens":4000,'
      .. '"messages":[{"role":"user","content":"hello there"}]}') }, { stdout = dir .. "/first", output = dir .. "/first.err" })
  p:wait(60)
  local rows = '{limit="limit tokens_per_minute function"}'
  bench.note("first requests: %d passed", metric(t, "perilune_limit_taken_total" .. rows))
  bench.figure("first requests that were refused", metric(t, "perilune_limit_refused_total" .. rows), "of 1000", nil, 0)
  t.stop()
end

local function exact(dir)
  local up = bench.upstream(dir, { tokens = 64, ttft_ms = 30, itl_ms = 2 })
  first_requests(up, dir)
  local t = limited(up, "tokens_per_minute = " .. PER_MINUTE)
  measure(dir, { t }, "two workers")
  t.stop()
end

local function shared(dir)
  local program = proc.which("redis-server") or proc.which("valkey-server") or proc.which("redis-check-rdb")
  if not program then return bench.note("no redis-server: shared limits are not measured") end
  local up = bench.upstream(dir, { tokens = 64, ttft_ms = 30, itl_ms = 2 })
  local redis = redis_server.new(program)
  bench.defer(function() redis:stop() redis:clean() end)
  local cache = ('cache = { redis = { url = "redis://127.0.0.1:%d/0", timeout = 2 } },'):format(redis.port)
  local more = ("tokens_per_minute = %d, shared = true"):format(PER_MINUTE)
  local a, b = limited(up, more, cache), limited(up, more, cache)
  for _, t in ipairs{ a, b } do loop.until_true(10, function() return metric(t, "perilune_redis_up") == 1 end) end
  measure(dir, { a, b }, "two processes, Redis")
  bench.figure("two processes, Redis: decisions without it",
    sum({ a, b }, 'perilune_limit_fallback_total{limit="limit tokens_per_minute all"}'), "", nil, 0)
  a.stop() b.stop()
end

local function cost(dir)
  local up = bench.upstream(dir, { tokens = 16 })
  local function route(policies)
    return bench.perilune(([[
      upstreams = { up = { url = "@UPSTREAM@" } },
      routes = { { path = "/v1/chat/completions", policies = { %s } } },]]):format(policies), { UPSTREAM = up.url })
  end
  local noop = "function(req, next) return next(req) end"
  local names = { "none", "noop", "requests", "all", "three" }
  local targets = { route "", route(noop),
    route('{ "limit", requests_per_minute = 1e9, requests_per_day = 1e9, concurrency = 1000, key = "tenant" }'),
    route('{ "limit", requests_per_minute = 1e9, tokens_per_minute = 1e12, concurrency = 1000, key = "tenant" }'),
    route('{ "limit", requests_per_minute = 1e9, tokens_per_minute = 1e12, concurrency = 1000, key = "tenant" }, '
      .. '{ "breaker" }, { "priority", concurrency = 1000 }') }
  local cpu = bench.compare(targets, { body = bench.file(dir, "300.json", bench.chat(300)), conns = 32, dir = dir,
                                       requests = 30000 }, 5)
  for i, name in ipairs(names) do bench.note("%s: %.2f us", name, cpu[i]) end
  bench.figure("limit on requests, over a policy that does nothing", cpu[3] - cpu[2], "us/req", nil, 1.2)
  bench.figure("limit on requests, over a route without policies", cpu[3] - cpu[1], "us/req")
  bench.figure("limit on tokens, too, over one that does nothing", cpu[4] - cpu[2], "us/req")
  bench.figure("the same, breaker and priority, over one that does nothing", cpu[5] - cpu[2], "us/req", nil, 3)
end

bench.run(function()
  local dir, only = bench.folder(), arg[1]
  if not only or only == "exact" then exact(dir) end
  if not only or only == "shared" then shared(dir) end
  if not only or only == "cost" then cost(dir) end
end)

-- redis.lua -- what an answer costs that only the second tier has (cache.redis).
--
--   luajit tests/bench/redis.lua     CPU microseconds per request of the gateway, 64 connections, chats of 0.3 KB
--
-- The gateway keeps nothing itself (max_bytes = 0), so that each request is asked of Redis; what Redis says is
-- counted.  The anchor is redis-benchmark: the CPU time of a client that
-- does nothing but GET the same key of the same server, with 64 connections, too, in the same run.  It has no HTTP and
-- reads no question; what these cost is in the line of a hit in memory, and the tier is the difference.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local loop = require "support.loop"
local net = require "support.net"
local proc = require "support.proc"

local CONNS, ROUNDS, BAR = 64, 3, 25

local CONFIG = [[
  upstreams = { up = { url = "@UPSTREAM@" } },
  cache = { @CACHE@ },
  routes = { { path = "/v1/chat/completions", policies = { { "cache_exact", ttl = 3600 } } } },]]

-- A program finds out by its name what it is: Debian's redis-tools have the server as redis-check-rdb.
local function start_redis(dir)
  local program = proc.which("redis-server") or proc.which("valkey-server") or proc.which("redis-check-rdb")
  if not program or not proc.which("redis-benchmark") then return nil end
  os.execute(("ln -s '%s' '%s/redis-server'"):format(program, dir))
  local port = net.free_port()
  local p = proc.spawn({ dir .. "/redis-server", "--port", tostring(port), "--bind", "127.0.0.1", "--dir", dir,
                         "--save", "", "--appendonly", "no" }, { output = dir .. "/redis.log" })
  bench.defer(function() p:stop() end)
  local up = loop.until_true(10, function()
    local conn = net.connect(port, 1)
    if conn then conn:close() end
    return conn
  end)
  if not up then error("redis-server did not start: " .. p:text(), 0) end
  return { port = port, pid = p.pid }
end

-- A command that answers with one string.
local function ask(redis, command)
  local conn = assert(net.connect(redis.port, 5))
  assert(conn:send(command .. "\r\n"))
  local line = assert(conn:take_until("\r\n", 5))
  local text = assert(conn:take(tonumber(line:match("^%$(%d+)")), 5))
  conn:close()
  return text
end

local function commands(redis) return tonumber(ask(redis, "INFO stats"):match("total_commands_processed:(%d+)")) end

-- CPU microseconds of redis-benchmark for a GET of this key.
local function get(redis, key, dir)
  local p = proc.spawn({ "redis-benchmark", "-p", tostring(redis.port), "-c", tostring(CONNS), "-l", "-q", "GET", key },
                       { output = dir .. "/redis-benchmark.log" })
  loop.pause(0.5) -- it connects
  local n, client = commands(redis), proc.cpu_us(p.pid)
  loop.pause(2)
  client, n = proc.cpu_us(p.pid) - client, commands(redis) - n
  p:stop()
  return client / n
end

bench.run(function()
  local dir = bench.folder()
  local redis = start_redis(dir)
  if not redis then
    bench.note("redis: there is no redis-server, or no redis-benchmark (apt: redis-tools)")
    return
  end
  local up = bench.upstream(dir, { tokens = 16 })
  local far = bench.perilune(CONFIG, { UPSTREAM = up.url,
    CACHE = ('max_bytes = 0, redis = { url = "redis://127.0.0.1:%d", timeout = 1 }'):format(redis.port) })
  local near = bench.perilune(CONFIG, { UPSTREAM = up.url, CACHE = "" })
  local options = { body = bench.file(dir, "chat.json", bench.chat(300)), conns = CONNS, dir = dir, requests = 40000 }
  bench.load(near.port, { body = options.body, conns = 1, dir = dir, requests = 1 })
  bench.load(far.port, { body = options.body, conns = 1, dir = dir, requests = 1 })
  local cpu = bench.compare({ far, near }, options, ROUNDS)
  local misses = bench.metric(far, 'perilune_redis_requests_total{result="miss"}')
  if misses > 2 or bench.metric(far, "perilune_cache_lookups_hit_total") > 0 then
    bench.note("%d questions found nothing in Redis: these are no figures of hits", misses)
  end
  local key = ask(redis, [[EVAL "return redis.call('KEYS', 'perilune:e:*')[1]" 0]])
  local anchors = {}
  for i = 1, ROUNDS do anchors[i] = get(redis, key, dir) end
  bench.figure("0.3 KB chat, hit in Redis only (redis-benchmark)", cpu[1], "us/req", bench.median(anchors), BAR)
  bench.figure("the same, hit in memory", cpu[2], "us/req")
  bench.figure("what Redis adds to a hit (redis-benchmark)", cpu[1] - cpu[2], "us/req", bench.median(anchors))
end)

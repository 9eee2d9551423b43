-- run.lua -- two gateways and a Redis of their own, which is killed, stopped and restarted.
--
--   luajit tests/redis/run.lua SERVER [WORD...]     from the root of the project; see run.sh
--
-- SERVER is a redis-server, a valkey-server, or the same program under the name redis-check-rdb.  Each test gets a
-- fresh one, on a free port or a socket, in a folder that is removed; no service of the system is touched.

package.path = "tests/?.lua;" .. package.path

local caches = require "support.caches"
local files = require "support.files"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local redis_server = require "support.redis"
local server = require "support.server"

local await, metric, same = caches.await, caches.metric, caches.same

local SERVER = assert(arg[1], "which redis-server?")
local SIGSTOP, SIGCONT = 19, 18

-- -- Redis ----------------------------------------------------------------------------------------

local function redis_new(extra)
  local more = { "--unixsocket", "@DIR@/sock" }
  for _, word in ipairs(extra or {}) do more[#more + 1] = word end
  return redis_server.new(SERVER, more)
end

local function redis_end(r)
  if r.proc then r.proc:kill(SIGCONT) end
  r:stop()
  r:clean()
end

-- -- A pair of gateways, with an upstream that counts -------------------------------------------------

local is_held = false -- while it is, who asks it for something slow waits
local model = caches.upstream(function(request)
  if request.body:find("slow", 1, true) then loop.until_true(120, function() return not is_held end) end
  return request.body:find("long", 1, true) and " " .. ("All work and no play. "):rep(4000) or " "
end)

local POLICY = [[
local perilune = require "perilune"
local memory = perilune.cache("memory", { ttl = 600 })
local answers = perilune.cache("answers", { ttl = 600, version = "1" }) -- their files differ: ports
local found = perilune.cache("found", { ttl = 600 })
return function() return function(req, next)
  local what = req.headers["x-do"]
  if what == "set" then memory:set("k", { n = tonumber(req.headers["x-n"]) or 42 }, { tags = { "t" } }) end
  if what == "delete" then memory:delete("k") end
  if what == "forget" then memory:invalidate("t") end
  if what == "forget answers" then answers:invalidate("news") end
  if what == "fetch" then
    local res = assert(found:fetch("@UPSTREAM_URL@", { method = "POST", body = "found" }))
    return perilune.respond{ text = res.body:match("answer %d+") }
  end
  if what then
    local v = memory:get("k")
    return perilune.respond{ text = v and tostring(v.n) or "nothing" }
  end
  return answers:wrap(req, next, { tags = { "news" } })
end end
]]

-- as: its configuration is that of this one, which has ended by then.
local function gateway(upstream, redis, extra, policy, as)
  if as then as.proc:kill(posix.SIGTERM) end
  assert(not as or as.proc:wait(), "it does not end")
  return assert(server.start{
    files = { ["policies/p.lua"] = (policy or POLICY):gsub("@UPSTREAM_URL@", ("http://127.0.0.1:%d/x"):format(upstream)) }, dir = (function()
      local dir = posix.temp_dir("perilune-far")
      os.execute("mkdir -p '" .. dir .. "/policies'")
      return dir
    end)(),
    vars = as and { PORT = as.port, ADMIN = as.admin } or nil,
    config = ([[
      workers = 2,
      upstreams = { m = { url = "http://127.0.0.1:%d/v1" } },
      cache = { %s redis = { %s } },
      routes = { { path = "/v1/chat/completions", policies = { "p" } } },]]):format(upstream, extra or "", redis) })
end

-- What came: x-cache, and the text.
local function ask(g, text, headers, stream)
  local r = assert(http.chat(g.port, { model = "m", stream = stream, messages = json.array{
    { role = "user", content = text } } }, headers, 120))
  assert(r.status == 200, ("status %d: %s"):format(r.status, r.body))
  local content = r.body:match('"content":"([^"]*)"')
  return r.headers["x-cache"], content
end

local function ready(g) await("a connection to Redis", function() return metric(g, "perilune_redis_up") == 1 end) end
local function down(g) await("the loss", function() return metric(g, "perilune_redis_up") == 0 end) end
local function done(g, n)
  await(n .. " answers", function() return metric(g, 'perilune_redis_requests_total{result="done"}') >= n end)
end

-- Lines of the log about Redis.
local function said(g, text) return caches.said(g, "cache.redis", text) end

-- The log is written by a thread of its own.
local function says(g, text, n)
  loop.until_true(120, function() return said(g, text) >= n end)
  same(said(g, text), n, "lines that say " .. text)
end

-- Forgets what this process has, and nothing else.
local function forget_near(g) assert(http.request(g.admin, "DELETE", "/admin/cache?all=1", nil, nil, 60)) end

-- -- Tests -------------------------------------------------------------------------------------------------

local tests = {}
local function test(name, fn) tests[#tests + 1] = { name = name, fn = fn } end

test("an answer of one process is the other's hit", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  same(ask(a, "q1"), "miss", "the first")
  done(a, 1)
  local how, text = ask(b, "q1")
  same(how, "hit", "the other process")
  assert(text:find("^answer 1"), text)
  same(ask(b, "q1"), "hit", "the other process, out of its own")
  same(metric(b, 'perilune_redis_requests_total{result="hit"}'), 1, "hits in Redis")
  same(model.asked, 1, "calls upstream")
  how, text = ask(b, "q1", nil, true)
  same(how, "hit", "as a stream")
  assert(text:find("^answer 1"), text)
end)

test("a long answer", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  local _, first = ask(a, "long one")
  done(a, 1)
  local how, text = ask(b, "long one")
  same(how, "hit", "the other process")
  same(text, first, "the text")
  for key in s.redis:ask("EVAL", "return table.concat(redis.call('KEYS', '*'), ' ')", "0"):gmatch("perilune:e:%x+") do
    assert(tonumber(s.redis:ask("STRLEN", key):sub(2)) < 5000, "it is not packed")
  end
end)

test("other secrets, other answers", function(s)
  local a, b = s.gateway(), s.gateway(s.url .. ', secret = "another"')
  ready(a) ready(b)
  ask(a, "q1")
  done(a, 1)
  same(ask(b, "q1"), "miss", "who has another secret")
end)

test("no cache in the process at all", function(s)
  local a = s.gateway(nil, "max_bytes = 0,")
  ready(a)
  same(ask(a, "q1"), "miss", "the first")
  done(a, 1)
  same(ask(a, "q1"), "hit", "the second")
  same(ask(a, "q1"), "hit", "the third")
end)

test("a socket, a database, a login", function(s)
  s.redis:ask("ACL", "SETUSER", "me", "on", ">p w", "~far:*", "&far:*", "+@all")
  local a = s.gateway(([[url = "unix:%s/sock", user = "me", password = "p w", prefix = "far:"]]):format(s.redis.dir))
  local b = s.gateway(([[url = "redis://me:p%%20w@localhost:%d/0", prefix = "far:"]]):format(s.redis.port))
  ready(a) ready(b)
  ask(a, "q1")
  done(a, 1)
  same(ask(b, "q1"), "hit", "the other process")
  same(said(a, "refuses"), 0, "refused questions")
end)

test("values of policies", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  same(select(2, ask(a, "x", { "x-do: get" })), "nothing", "before")
  same(select(2, ask(a, "x", { "x-do: set" })), "42", "set")
  done(a, 1)
  same(select(2, ask(b, "x", { "x-do: get" })), "42", "the other process")
  same(select(2, ask(a, "x", { "x-do: delete" })), "nothing", "deleted")
  await("that it hears of it", function() return select(2, ask(b, "x", { "x-do: get" })) == "nothing" end)
  ask(a, "x", { "x-do: set" })
  done(a, 3)
  same(select(2, ask(b, "x", { "x-do: get" })), "42", "again")
  ask(a, "x", { "x-do: forget" })
  await("that it hears of it", function() return select(2, ask(b, "x", { "x-do: get" })) == "nothing" end)
end)

test("what was fetched", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  same(select(2, ask(a, "x", { "x-do: fetch" })), "answer 1", "fetched")
  done(a, 1)
  same(select(2, ask(b, "x", { "x-do: fetch" })), "answer 1", "the other process")
  same(model.asked, 1, "calls")
end)

test("files that are the same need no version", function(s)
  local policy = POLICY:gsub(', version = "1"', "")
  local a = s.gateway(nil, nil, policy)
  ready(a)
  ask(a, "q1")
  done(a, 1)
  forget_near(a)
  same(ask(a, "q1"), "hit", "the same process")
  local b = s.gateway(nil, nil, policy) -- another port in its file
  ready(b)
  same(ask(b, "q1"), "miss", "another file")
  local c = s.gateway(nil, nil, policy, a) -- the same file, in another folder
  ready(c)
  same(ask(c, "q1"), "hit", "the same file")
end)

test("invalidation reaches other processes and Redis", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  ask(a, "q1")
  done(a, 1)
  same(ask(b, "q1"), "hit", "the other process")
  ask(b, "x", { "x-do: forget answers" })
  done(b, 1)
  await("that it hears of it", function() return ask(a, "q1") == "miss" end)
  local c = s.gateway()
  ready(c)
  s.redis:ask("FLUSHALL")
  same(ask(c, "q1"), "miss", "a third process")
end)

test("what was let go while Redis was away does not come back", function(s)
  local a, b = s.gateway(s.soon), s.gateway(s.soon)
  ready(a) ready(b)
  ask(a, "q1")
  done(a, 1)
  same(ask(b, "q1"), "hit", "the other process")
  ask(a, "x", { "x-do: set", "x-n: 1" })
  done(a, 2)
  same(select(2, ask(b, "x", { "x-do: get" })), "1", "the other process")
  s.redis.proc:kill(SIGSTOP)
  local i = 0
  await("the loss", function() -- both workers of both
    i = i + 1
    ask(a, "h" .. i)
    ask(b, "h" .. i)
    local late = 'perilune_redis_requests_total{result="late"}' -- three of each worker, and it asks no more
    return metric(a, late) >= 6 and metric(b, late) >= 6
  end)
  ask(a, "x", { "x-do: forget answers" })
  same(ask(a, "q1", { "cache-control: max-age=100" }), "miss", "here")
  same(select(2, ask(a, "x", { "x-do: set", "x-n: 2" })), "2", "here")
  s.redis.proc:kill(SIGCONT)
  ready(a) ready(b)
  await("that the other hears of it", function() return ask(b, "q1") == "miss" end)
  await("that the other hears of it", function() return select(2, ask(b, "x", { "x-do: get" })) == "nothing" end)
end)

test("what was told while nobody listened", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  ask(a, "q1")
  done(a, 1)
  same(ask(b, "q1"), "hit", "the other process")
  s.redis:ask("CLIENT", "KILL", "TYPE", "pubsub")
  ask(a, "x", { "x-do: forget answers" })
  await("that the other hears of it", function() return ask(b, "q1") == "miss" end)
end)

test("purging by id goes to Redis, and to who has it from there", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  ask(a, "q1")
  ask(a, "q2")
  done(a, 2)
  same(ask(b, "q1"), "hit", "the other process")
  local function id_of(g)
    for id, text in assert(http.get(g.admin, "/admin/cache", 60)).body:gmatch('"id":"(%x+)"') do return id, text end
  end
  forget_near(a)
  same(ask(a, "q1"), "hit", "out of Redis") -- its entry is the only one here now
  local function purged(id) return assert(http.request(a.admin, "DELETE", "/admin/cache?key=" .. id, nil, nil, 60)).status end
  local function entries() return s.redis:ask("EVAL", "return #redis.call('KEYS', '*:e:*')", "0") end
  same(entries(), ":2", "entries")
  same(purged(id_of(a)), 200, "purging")
  await("that it goes from Redis", function() return entries() == ":1" end)
  await("that the other hears of it", function() return ask(b, "q1") == "miss" end)
  same(ask(a, "q2"), "hit", "what was not purged")
  same(purged(("0"):rep(32)), 404, "what nobody has")
end)

test("purging by tenant goes to Redis, too", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  ask(a, "q1")
  done(a, 1)
  same(assert(http.request(a.admin, "DELETE", "/admin/cache?name=answers", nil, nil, 60)).status, 200, "purging")
  done(a, 2)
  same(ask(b, "q1"), "miss", "the other process")
end)

-- An answer that is under way while fn lets it go; who asks next must not get it.
local function under_way(s, fn, headers)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  local n = model.asked
  is_held = true
  local first = loop.go(function() ask(a, "slow one", headers) end)
  await("the call", function() return model.asked > n end)
  fn(a, b)
  is_held = false
  loop.join(120, first)
  same(ask(b, "slow one", headers), "miss", "the other process")
  s.redis:ask("FLUSHALL")
end

local function purge(g, what)
  return assert(http.request(g.admin, "DELETE", "/admin/cache?" .. what, nil, nil, 60)).body
end

test("what is purged while it is under way comes to nobody through Redis", function(s)
  under_way(s, function(a) purge(a, "name=answers") end)
end)

test("and not when another process purges it", function(s)
  under_way(s, function(_, b)
    purge(b, "name=answers&tag=news")
    loop.pause(0.1)
  end)
end)

test("and not when a policy invalidates it", function(s)
  under_way(s, function(a) ask(a, "x", { "x-do: forget answers" }) end)
end)

test("a purge that Redis refuses for now is given again", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  ask(a, "q1")
  done(a, 1)
  same(ask(b, "q1"), "hit", "the other process")
  s.redis:ask("CONFIG", "SET", "min-replicas-to-write", "1")
  same(purge(a, "name=answers"):find('"purged":true', 1, true), 2, "purging")
  await("that it is known to wait", function() return metric(a, "perilune_redis_orders") >= 1 and -- each purge is one more
    purge(a, "name=other"):find('"pending":true', 1, true) end)
  same(ask(a, "q1"), "miss", "this process does not read back what it let go")
  s.redis:ask("CONFIG", "SET", "min-replicas-to-write", "0")
  await("that Redis has it", function() return metric(a, "perilune_redis_orders") == 0 end)
  await("that the other hears of it", function() return ask(b, "q1") == "miss" end)
end)

-- Its snapshot is read before it hears what was purged meanwhile, however long that takes.
test("what was purged while a process was down is not in its snapshot", function(s)
  local dir = posix.temp_dir("perilune-snap")
  local extra = ('snapshot = "%s/snap",'):format(dir)
  local a, b = s.gateway(), s.gateway(nil, extra)
  ready(a) ready(b)
  ask(b, "q1")
  for i = 1, 40 do ask(b, "long " .. i, { "x-team: other" }) end
  b.proc:kill(posix.SIGTERM)
  assert(b.proc:wait(), "it does not end")
  purge(a, "name=answers")
  local c = s.gateway(nil, extra, nil, b)
  ready(c)
  await("that the log tells of the snapshot", function() return said(c, "connected") == 1 and c:log():find("41 entries", 1, true) end)
  await("that it hears", function() return metric(c, "perilune_cache_entries") == 0 or ask(c, "q1") == "miss" end)
  os.execute("rm -rf '" .. dir .. "'")
end)

-- A crash does not bring back what a policy let go a while ago.
test("a snapshot that is damaged, and one that is somebody else's file", function(s)
  for _, case in ipairs{
    { "PERICACH of another version", "is damaged, or of another version", "PERICACH" },
    { "Milk, bread, eggs.", "is no snapshot of a cache: it is neither read nor written", "Milk, bread, eggs." },
  } do
    local path = s.redis.dir .. "/snapshot"
    files.write(path, case[1])
    local a = s.gateway(nil, ('snapshot = "%s",'):format(path))
    await("the line", function() return caches.said(a, "cache.snapshot", case[2]) == 1 end)
    ready(a)
    ask(a, "q1")
    a.proc:kill(posix.SIGTERM)
    assert(a.proc:wait(), "it does not end")
    local left = files.read(path)
    same(left:sub(1, #case[3]), case[3], "what stands there afterwards")
    same(left == case[1], case[1] == case[3], "that it is as it was")
  end
end)

test("what a policy lets go leaves the snapshot soon", function(s)
  local dir = posix.temp_dir("perilune-snap")
  local extra = ('snapshot = "%s/snap",'):format(dir)
  local a = s.gateway(s.url, extra)
  ready(a)
  ask(a, "x", { "x-do: set" })
  a.proc:kill(posix.SIGTERM)
  assert(a.proc:wait(), "it does not end")
  s.redis:ask("FLUSHALL")
  local b = s.gateway(nil, extra, nil, a)
  ready(b)
  same(select(2, ask(b, "x", { "x-do: get" })), "42", "what the snapshot has")
  local function size() return #assert(files.read(dir .. "/snap")) end
  local before = size()
  ask(b, "x", { "x-do: delete" })
  await("that it is written", function() return size() < before end)
  os.execute("rm -rf '" .. dir .. "'")
end)

test("a server that was made a replica", function(s)
  local a = s.gateway()
  ready(a)
  ask(a, "q1")
  done(a, 1)
  s.redis:ask("REPLICAOF", "127.0.0.1", "1")
  ask(a, "q2")
  await("that it counts as down", function() return metric(a, "perilune_redis_up") == 0 end)
  purge(a, "name=answers")
  same(metric(a, "perilune_redis_orders"), 1, "orders that wait")
  says(a, "it takes no writes", 1)
  s.redis:ask("REPLICAOF", "NO", "ONE")
  ready(a)
  await("that Redis has it", function() return metric(a, "perilune_redis_orders") == 0 end)
end)

test("what stands there is not trusted", function(s)
  local a = s.gateway()
  ready(a)
  ask(a, "q1")
  done(a, 1)
  s.redis:ask("EVAL", [[for _, k in ipairs(redis.call('KEYS', 'perilune:e:*')) do
    local v = redis.call('GET', k)
    redis.call('SET', k, v:sub(1, 60) .. 'X' .. v:sub(62), 'PX', 1000000) end return 1]], "0")
  forget_near(a)
  same(ask(a, "q1"), "miss", "a damaged value")
  s.redis:ask("EVAL", [[for _, k in ipairs(redis.call('KEYS', 'perilune:e:*')) do redis.call('DEL', k)
    redis.call('LPUSH', k, 'x') end return 1]], "0")
  forget_near(a)
  same(ask(a, "q1"), "miss", "a list in place of a value")
  same(ask(a, "q1"), "hit", "what the process has")
end)

test("killed and restarted", function(s)
  local a = s.gateway()
  ready(a)
  ask(a, "q1")
  done(a, 1)
  s.redis.proc:stop()
  down(a)
  same(ask(a, "q1"), "hit", "what the process has")
  for i = 1, 5 do same(ask(a, "k" .. i), "miss", "without Redis") end
  s.redis:start()
  ready(a)
  ask(a, "q2")
  done(a, 2)
  forget_near(a)
  same(ask(a, "q2"), "hit", "out of the new one")
  says(a, "requests go on without it", 1)
  same(a:trouble(), nil, "trouble")
end)

test("hung and continued", function(s)
  local a = s.gateway(s.soon)
  ready(a)
  s.redis.proc:kill(SIGSTOP)
  for i = 1, 30 do same(ask(a, "h" .. i), "miss", "with a Redis that hangs") end
  down(a)
  -- Three in a row per worker, and nobody waits any more.
  assert(metric(a, 'perilune_redis_requests_total{result="late"}') <= 2 * 4, "too many have waited")
  s.redis.proc:kill(SIGCONT)
  ready(a)
  says(a, "does not answer in time", 1)
  ask(a, "q1")
  forget_near(a)
end)

test("it is not there at the start, and comes", function(s)
  s.redis.proc:stop()
  local a = s.gateway()
  says(a, "requests go on without it", 1)
  same(ask(a, "q1"), "miss", "without Redis")
  s.redis:start()
  ready(a)
  says(a, "connected to", 1)
end)

-- A server that says this to whoever connects, and hangs up.
local function parrot(listener, text)
  while true do
    local conn = listener:accept(3600)
    if not conn then return end
    conn:send(text)
    conn:close()
  end
end

test("what answers is no Redis", function(s)
  for _, text in ipairs{ "HTTP/1.1 400 Bad Request\r\n\r\n", "$-77\r\n", "*1000000000\r\n" } do
    local listener = net.listen()
    local server_of_text = loop.go(parrot, listener, text)
    local a = s.gateway(('url = "redis://127.0.0.1:%d"'):format(listener.port))
    says(a, "requests go on without it", 1) -- of both workers
    same(ask(a, "q1"), "miss", "without Redis")
    same(ask(a, "q1"), "hit", "out of the process")
    same(metric(a, "perilune_redis_up"), 0, "the connection")
    loop.cancel(server_of_text)
    listener:close()
  end
end)

test("a wrong password", function(s)
  s.redis:ask("CONFIG", "SET", "requirepass", "right")
  local a = s.gateway(s.url .. ', password = "wrong"')
  says(a, "check user, password", 1)
  same(ask(a, "q1"), "miss", "without Redis")
  a:replace("perilune.lua", files.read(a.dir .. "/perilune.lua"):gsub('"wrong"', '"right"'))
  same(a:reload(120).status, 200, "a reload")
  ready(a)
  ask(a, "q2")
  done(a, 1)
end)

test("out of memory", function(s)
  local a = s.gateway()
  ready(a)
  s.redis:ask("CONFIG", "SET", "maxmemory", "1")
  local function refused() return metric(a, 'perilune_redis_requests_total{result="refused"}') end
  for i = 1, 20 do same(ask(a, "o" .. i), "miss", "with a full Redis") end -- of both workers
  await("the metric", function() return refused() >= 20 end)
  await("the line about it", function() return said(a, "OOM") >= 1 end)
  same(said(a, "OOM"), 1, "lines, of all workers")
  same(metric(a, "perilune_redis_up"), 1, "the connection")
end)

test("a shared index that this server has not", function(s)
  if s.redis:ask("VCARD", "x"):sub(1, 1) == ":" then return end -- it has
  local policy = [[return function()
    local answers = require("perilune").cache("near", { version = "1", semantic = { threshold = 0.6 } })
    return function(req, next) return answers:wrap(req, next) end
  end]]
  local a = s.gateway(nil, 'index = "redis",', policy)
  ready(a)
  same(ask(a, "How do I reset my password?"), "miss", "the first")
  same(ask(a, "How can I reset my password?"), "hit", "in other words, out of its own")
  for i = 1, 5 do ask(a, "Is this another question, number " .. i .. "?") end
  await("the line", function()
    local n = 0
    for line in a:log():gmatch("[^\n]+") do if line:find("it needs Redis 8 or newer", 1, true) then n = n + 1 end end
    assert(n < 2, "it is said again and again")
    return n == 1
  end)
  same(metric(a, "perilune_redis_up"), 1, "the connection")
end)

test("reloads: another server, and none", function(s)
  local a = s.gateway()
  ready(a)
  local text = files.read(a.dir .. "/perilune.lua")
  a:replace("perilune.lua", (text:gsub('/0"', '/5"')))
  same(a:reload(120).status, 200, "a reload")
  ready(a)
  ask(a, "q1")
  done(a, 1)
  a:replace("perilune.lua", (text:gsub("redis = %b{}", "")))
  same(a:reload(120).status, 200, "a reload")
  same(metric(a, "perilune_redis_up"), nil, "the metric without a second tier")
  same(ask(a, "q1"), "hit", "what the process has")
  same(ask(a, "q9"), "miss", "without a second tier")
end)

-- -- Main --------------------------------------------------------------------------------------------------------

-- A Redis that speaks TLS on another port; nil when it cannot.
local function tls_redis()
  local port, here = net.free_port(), files.lines("pwd")() .. "/tests/support/tls/"
  local ok, redis = pcall(redis_new, { "--tls-port", tostring(port), "--tls-cert-file", here .. "cert.pem", "--tls-key-file",
    here .. "key.pem", "--tls-ca-cert-file", here .. "cert.pem", "--tls-auth-clients", "no", "--bind", "127.0.0.1", "127.0.0.2" })
  if not ok then return nil end
  return redis, port, here .. "cert.pem"
end

test("TLS: who is trusted, and the name", function(s)
  local redis, port, ca = tls_redis()
  if not redis then return print("redis: no test of TLS, this server does not speak it") end
  local ok, err = pcall(function()
    local started, a = pcall(s.gateway, ('url = "rediss://localhost:%d", ca = "%s"'):format(port, ca))
    if not started then -- this build has no TLS to Redis, and says so
      assert(tostring(a):find("which this build cannot speak to Redis", 1, true), a)
      return print("redis: no test of TLS, this build does not speak it to Redis")
    end
    local b = s.gateway(('url = "rediss://127.0.0.1:%d", ca = "%s"'):format(port, ca))
    ready(a) ready(b)
    same(ask(a, "secret"), "miss", "the first")
    same(ask(a, "a long secret"), "miss", "a long one")
    done(a, 2)
    same(ask(b, "secret"), "hit", "the other process")
    same(ask(b, "a long secret"), "hit", "the other process, a long one")
    b:replace("perilune.lua", (files.read(b.dir .. "/perilune.lua"):gsub("127%.0%.0%.1:" .. port, "127.0.0.2:" .. port)))
    same(b:reload(120).status, 200, "a reload")
    says(b, "its certificate is refused", 1)
    same(ask(b, "another"), "miss", "without it")
    local c = s.gateway(('url = "rediss://localhost:%d"'):format(port)) -- no authority of the system has signed it
    says(c, "its certificate is refused", 1)
    local d = s.gateway(('url = "rediss://localhost:%d", ca = "%s"'):format(redis.port, ca)) -- in the clear there
    says(d, "requests go on without it", 1)
    same(metric(d, "perilune_redis_up"), 0, "a connection")
    assert(tostring(select(2, pcall(s.gateway, ('url = "rediss://h", ca = "%s"'):format(redis.dir .. "/none"))))
      :find("cache.redis.ca", 1, true), "a file that is not there")
  end)
  redis_end(redis)
  if not ok then error(err, 0) end
end)

-- -- Limits ---------------------------------------------------------------------------------------------------

local LIMITED = [[
local config, limit = require "perilune.config", require "perilune.limit"
local own = limit.policy("limit", config.options(limit.policy_options(), { name = "ours", shared = true,
  requests_per_hour = 10, requests_per_day = 1000, tokens_per_day = 100000, tokens_per_month = 1000000, concurrency = 4 }, "limit"))
return function() return function(req, next)
  local err = own.enter(req)
  if err then return nil, err end
  return own.leave(req, next(req))
end end
]]

local function limited(s, settings) return s.gateway(settings, nil, LIMITED) end

-- How many of n pass, in turns by these gateways; the last reply.
local function pass(n, ...)
  local gateways, good, last = { ... }, 0, nil
  for i = 1, n do
    last = assert(http.chat(gateways[i % #gateways + 1].port, { model = "m", max_tokens = 100, messages = json.array{
      { role = "user", content = "hi" } } }, nil, 120))
    if last.status == 200 then good = good + 1 end
  end
  return good, last
end

local KEY, LEASES = "perilune:l:4:ours ", "perilune:L:4:ours "
local function held(s, what) return s.redis:ask("HGET", KEY, what) end
local function settled(s)
  await("the settling", function() return held(s, "h1") == "0" and held(s, "s") == "0" end)
  same(s.redis:ask("ZCARD", LEASES), ":0", "leases")
end

test("limit: two processes take exactly what there is", function(s)
  local a, b = limited(s), limited(s)
  ready(a) ready(b)
  local good, reply = pass(20, a, b)
  same(good, 10, "requests that pass")
  same(reply.status, 429, "the last")
  assert(reply.body:find("on requests per hour: Limit 10, Used 10, Requested 1", 1, true), reply.body)
  same(reply.headers["x-ratelimit-remaining-requests"], "0", "what is left")
  settled(s)
  same(held(s, "u8"), "50", "tokens that were used") -- ORDER: tokens in a day
  same(metric(a, 'perilune_limit_reserved_requests{limit="ours"}'), 0, "reserved")
end)

test("limit: what a machine that died had reserved goes back by itself", function(s)
  local a = limited(s)
  ready(a)
  same(pass(1, a), 1, "the first")
  settled(s)
  for i = 1, 4 do s.redis:ask("ZADD", LEASES, tostring(1000 + i), i .. "f:25000:0:1") end
  s.redis:ask("HINCRBY", KEY, "h1", "100000")
  s.redis:ask("HINCRBY", KEY, "s", "4")
  same(pass(1, a), 1, "the second")
  settled(s)
end)

test("limit: scripts that Redis has forgotten are sent again", function(s)
  local a, b = limited(s), limited(s)
  ready(a) ready(b)
  for _ = 1, 3 do
    s.redis:ask("SCRIPT", "FLUSH")
    same(pass(2, a, b), 2, "requests that pass")
    settled(s)
  end
  same(metric(a, 'perilune_limit_fallback_total{limit="ours"}'), 0, "decisions without Redis")
end)

test("limit: Redis goes in between: each process by itself, and a line of the log", function(s)
  local a = limited(s)
  ready(a)
  same(pass(4, a), 4, "the first")
  settled(s)
  s.redis:stop()
  same(pass(20, a), 6, "what is left of what Redis said last")
  caches.same(metric(a, 'perilune_limit_fallback_total{limit="ours"}'), 20, "decisions without Redis")
  same(metric(a, 'perilune_limit_reserved_requests{limit="ours"}'), 0, "reserved")
  s.redis:start()
  ready(a)
  same(pass(1, a), 1, "as Redis says, which has forgotten")
  await("the line of its end", function() -- it is said with the first decision that is two seconds behind the last one without
    pass(1, a)
    loop.pause(0.1)
    return caches.said(a, "limit 'ours'", "Redis decides again") == 1
  end)
  same(caches.said(a, "limit 'ours'", "each process limits by itself"), 1, "lines of the outage")
end)

test("limit: a client that leaves while Redis decides takes nothing along", function(s)
  local a = limited(s)
  ready(a)
  same(pass(1, a), 1, "the first")
  settled(s)
  s.redis.proc:kill(SIGSTOP)
  local body = '{"model":"m","messages":[{"role":"user","content":"hi"}]}'
  local conn = assert(net.connect(a.port))
  assert(conn:send(("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s"):format(#body, body)))
  await("the request", function() return metric(a, "perilune_in_flight") == 1 end)
  conn:close()
  await("its end", function() return metric(a, "perilune_in_flight") == 0 end)
  s.redis.proc:kill(SIGCONT)
  settled(s)
  local good, reply = pass(1, a)
  same(good, 1, "the second")
  same(reply.headers["x-ratelimit-remaining-requests"], "8", "what is left") -- not 7
end)

test("limit: a clock of Redis that was years ahead locks nobody out for years", function(s)
  local a = limited(s)
  ready(a)
  same(pass(1, a), 1, "the first")
  settled(s)
  local day, hour_ms = math.floor(os.time() / 86400), 3600000
  s.redis:ask("HSET", KEY, "a2", ("%d"):format((os.time() + 1e9) * 1000)) -- ORDER: requests in an hour, in a day
  s.redis:ask("HSET", KEY, "a3", tostring(day + 10000))
  local good, reply = pass(1, a)
  same(good, 1, "the second")
  same(reply.headers["x-ratelimit-remaining-requests"], "8", "nothing is given anew")
  assert(tonumber(held(s, "a2")) <= os.time() * 1000 + hour_ms, held(s, "a2"))
  assert(tonumber(held(s, "a3")) <= day + 1, held(s, "a3"))
  same(held(s, "u3"), "2", "of the day")
end)

-- Requests that are under way when fn runs; they are four.
local function four_under_way(g, fn)
  local n, all = model.asked, {}
  is_held = true
  for i = 1, 4 do all[i] = loop.go(function() ask(g, "slow") end) end
  await("the calls", function() return model.asked == n + 4 end)
  fn()
  is_held = false
  loop.join(120, unpack(all))
end

test("limit: what is under way by leave of Redis counts when it is gone", function(s)
  local a = limited(s)
  ready(a)
  four_under_way(a, function()
    s.redis:stop()
    local good, reply = pass(1, a)
    same(good, 0, "a fifth at once")
    assert(reply.body:find("on requests at once: Limit 4, Used 4", 1, true), reply.body)
  end)
  await("the settling", function() return metric(a, 'perilune_limit_reserved_requests{limit="ours"}') == 0 end)
  same(pass(10, a), 6, "what is left of ten")
  s.redis:start()
end)

test("limit: what ends while Redis stands still is told when it goes on", function(s)
  local a = limited(s, s.soon .. ", timeout = 2")
  ready(a)
  four_under_way(a, function() s.redis.proc:kill(SIGSTOP) end)
  same(pass(1, a), 1, "one that Redis did not decide in time")
  loop.pause(3) -- longer than anybody waits for an answer
  s.redis.proc:kill(SIGCONT)
  settled(s)
  same(held(s, "u8"), "20", "tokens of four")
  same(held(s, "u2"):match("^[34]") ~= nil, true, "requests of four, but for what has flowed away")
end)

test("limit: a Redis that is stopped costs a bounded time", function(s)
  local a = limited(s, s.soon)
  ready(a)
  same(pass(1, a), 1, "the first")
  s.redis.proc:kill(SIGSTOP)
  local began = loop.now()
  same(pass(5, a), 5, "requests that pass")
  local took = loop.now() - began
  assert(took < 20, ("took %.2f s"):format(took))
  s.redis.proc:kill(SIGCONT)
end)

local function run(t, upstream)
  local redis = redis_new()
  local gateways = {}
  -- What it is too slow for is another question: "soon" is for the tests of that.
  local soon = ([[url = "redis://127.0.0.1:%d/0"]]):format(redis.port)
  local s = { redis = redis, soon = soon, url = soon .. ", timeout = 5" }
  function s.gateway(settings, extra, policy, as)
    local g = gateway(upstream, settings or s.url, extra, policy, as)
    gateways[#gateways + 1] = g
    return g
  end
  model.asked, is_held = 0, false
  local ok, err = xpcall(t.fn, debug.traceback, s)
  ok, err = caches.finish(gateways, ok, err)
  redis_end(redis)
  return ok, err
end

local function wanted(name)
  for i = 2, #arg do if name:find(arg[i], 1, true) then return true end end
  return #arg < 2
end

local passed, failed = 0, 0
loop.run(function()
  local listener = net.listen()
  local upstream = loop.go(model.play, listener)
  for _, t in ipairs(tests) do
    if wanted(t.name) then
      local ok, err = run(t, listener.port)
      if not ok then print(("FAIL  redis: %s\n    %s"):format(t.name, err)) end
      passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
    end
  end
  loop.cancel(upstream)
  listener:close()
end)
print(("redis: %d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1)

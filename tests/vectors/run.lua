-- run.lua -- processes that share answers by what questions mean, over an index that they share.
--
--   luajit tests/vectors/run.lua [WORD...]     from the root of the project
--
-- Against fakes that answer as real servers did (fake_*.lua), and against real ones where a variable names them:
--
--   PERILUNE_REDIS8=PATH         a redis-server with vector sets
--   PERILUNE_REDISEARCH=PATH     a redis-server; PERILUNE_REDISEARCH_MODULE=PATH, redisearch.so, where it has none

package.path = "tests/?.lua;tests/vectors/?.lua;" .. package.path

local caches = require "support.caches"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"
local server = require "support.server"
local fake_milvus = require "fake_milvus"
local fake_redis = require "fake_redis"
local real_redis = require "real_redis"

local await, metric, said, same = caches.await, caches.metric, caches.said, caches.same

-- -- What takes part --------------------------------------------------------------------------

local model = caches.upstream()

local function gateway(upstream, cache)
  return assert(server.start{ config = ([[
    workers = 2,
    tenants = { header = "x-tenant" },
    upstreams = { m = { url = "http://127.0.0.1:%d/v1" } },
    cache = { %s },
    routes = { { path = "/v1/chat/completions",
                 policies = { { "cache_semantic", ttl = 600, threshold = 0.6, version = "1" } } } },]])
    :format(upstream, cache) })
end

--- x-cache, the text, the similarity.
local function ask(g, text, tenant, system)
  local messages = json.array{ { role = "user", content = text } }
  if system then table.insert(messages, 1, { role = "system", content = system }) end
  local r = assert(http.chat(g.port, { model = "m", messages = messages }, tenant and { "x-tenant: " .. tenant }, 120))
  assert(r.status == 200, ("status %d: %s"):format(r.status, r.body))
  return r.headers["x-cache"], r.body:match('"content":"([^"]*)"'), tonumber(r.headers["x-cache-similarity"])
end

local function lookups(g)
  local n = 0
  for _, how in ipairs{ "found", "nothing", "failed" } do
    n = n + metric(g, ('perilune_index_lookups_total{result="%s"}'):format(how))
  end
  return n
end

local function ready(g)
  await("a connection to Redis", function()
    return metric(g, "perilune_redis_up") == 1 and metric(g, "perilune_index_up") == 1
  end)
end
local function added(g, n)
  await(n .. " vectors", function() return metric(g, "perilune_index_added_total") >= n end)
end

-- -- Tests -----------------------------------------------------------------------------------------

local tests = {}
-- where: "fake": it needs one that does what it is told
local function test(name, fn, where) tests[#tests + 1] = { name = name, fn = fn, where = where } end

test("two processes share answers", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  same(ask(a, "How do I reset my password?"), "miss", "the first")
  added(a, 1)
  local how, text, similarity = ask(b, "How can I reset my password?")
  same(how, "hit", "the other process, asked with other words")
  same(text, "answer 1", "its text")
  assert(similarity > 0.6 and similarity < 1, "a similarity of " .. similarity)
  same(metric(b, "perilune_index_brought_total"), 1, "entries that were brought")
  local before = lookups(b)
  same(ask(b, "How could I reset my password?"), "hit", "out of its own, with other words again")
  same(lookups(b), before, "searches for that")
  same(ask(b, "How do I reset my password?"), "hit", "the first words")
  same(model.asked, 1, "calls upstream")
end)

test("what is its own is not brought", function(s)
  local a = s.gateway()
  ready(a)
  for i, text in ipairs{ "How do I enable logging in the console?", "How do I disable logging in the console?",
                         "Convert 30 dollars to euros please", "Convert 50 dollars to euros please" } do
    same(ask(a, text), "miss", text)
    added(a, i)
  end
  same(metric(a, "perilune_index_brought_total"), 0, "entries that were brought")
  same(s.redis:vectors(), 4, "vectors")
end)

test("what the judges refuse is refused, whatever the index says", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  ask(a, "How do I enable logging in the console?")
  added(a, 1)
  same(ask(b, "How do I disable logging in the console?"), "miss", "the opposite")
  same(metric(b, "perilune_index_brought_total"), 1, "entries that were brought")
  same(ask(b, "How can I enable logging in the console?"), "hit", "the same")
  same(model.asked, 2, "calls upstream")
end)

test("tenants, system prompts and secrets stay apart", function(s)
  local a, b, c = s.gateway(), s.gateway(), s.gateway(', timeout = 1, secret = "another"')
  ready(a) ready(b) ready(c)
  ask(a, "How do I reset my password?", "one")
  added(a, 1)
  ask(a, "How do I reset my password?", "one", "Be brief.")
  added(a, 2)
  same(ask(b, "How can I reset my password?", "two"), "miss", "another tenant")
  same(ask(b, "How can I reset my password?"), "miss", "no tenant")
  same(ask(b, "How can I reset my password?", "one", "Be long."), "miss", "another system prompt")
  same(ask(c, "How can I reset my password?", "one"), "miss", "another secret")
  same(metric(b, "perilune_index_brought_total"), 0, "entries that were brought")
  same(metric(c, "perilune_index_brought_total"), 0, "entries that were brought, with another secret")
  local how, text = ask(b, "How can I reset my password?", "one", "Be brief.")
  same(how .. " " .. text, "hit answer 2", "the same tenant and system prompt")
end)

test("a vector that leads to nothing goes", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  ask(a, "How do I reset my password?")
  added(a, 1)
  s.redis:forget_entries()
  same(ask(b, "How can I reset my password?"), "miss", "whose answer is gone")
  await("its removal", function() return metric(b, "perilune_index_removed_total") == 1 end)
  added(b, 1)
  same(s.redis:vectors(), 1, "vectors: that of the new answer")
end)

test("vectors that lead to nothing do not pile up", function(s)
  if s.kind ~= "redis" then return end
  local a = s.gateway()
  ready(a)
  local function fill(from)
    for i = from, from + 39 do ask(a, ("%s is the question of somebody number %d"):format(("x"):rep(i % 20 + 1), i)) end
    added(a, from + 39)
  end
  fill(1)
  s.redis:forget_entries()
  fill(41)
  assert(s.redis:vectors() < 60, s.redis:vectors() .. " vectors")
end)

test("killed and restarted", function(s)
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  ask(a, "How do I reset my password?")
  added(a, 1)
  s.redis:stop()
  await("the loss", function() return metric(b, "perilune_redis_up") == 0 end)
  for i = 1, 5 do same(ask(b, "How can I reset my password number " .. i .. "?"), "miss", "without a server") end
  s.redis:start()
  ready(a) ready(b)
  ask(a, "How do I enable logging in the console?")
  added(a, 2)
  same(ask(b, "How can I enable logging in the console?"), "hit", "with the new server")
end)

test("a server without such an index", function(s)
  if s.kind == "milvus" then return end
  s.redis.kind = "old"
  local a, b = s.gateway(), s.gateway()
  ready(a) ready(b)
  for i = 1, 5 do
    ask(a, "How do I reset my password number " .. i .. "?")
    same(ask(b, "How can I reset my password number " .. i .. "?"), "miss", "the other process")
  end
  same(ask(a, "How can I reset my password number 3?"), "hit", "out of its own")
  await("the line", function() return said(a, "unknown command") + said(a, "Unknown Redis command") == 1 end)
  same(said(b, "cache.index"), 1, "lines of the other")
  assert(lookups(a) <= 2, "it is asked again and again")
  s.redis.kind = s.kind
  s.redis:stop()
  await("the loss", function() return metric(a, "perilune_redis_up") == 0 end)
  await("the loss", function() return metric(b, "perilune_redis_up") == 0 end)
  s.redis:start()
  ready(a) ready(b)
  ask(a, "How do I enable logging in the console?")
  added(a, 1)
  same(ask(b, "How can I enable logging in the console?"), "hit", "with a server that can")
end, "fake")

test("a server that hangs", function(s)
  local a, b = s.gateway(", timeout = 0.05"), s.gateway()
  ready(a) ready(b)
  ask(b, "How do I enable logging in the console?")
  added(b, 1)
  s.redis.hangs[s.search] = true
  local began = loop.now()
  for i = 1, 40 do same(ask(a, "How do I reset my password number " .. i .. "?"), "miss", "while it hangs") end
  assert(loop.now() - began < 20, "too long")
  assert(metric(a, 'perilune_index_lookups_total{result="failed"}') >= 3, "failures are counted")
  same(metric(a, 'perilune_redis_requests_total{result="late"}'), 0, "look-ups of entries that were held up")
  await("the line", function() return said(a, "does not answer in time") == 1 end)
  s.redis.hangs[s.search] = nil
  local n = 0
  await("its return", function()
    n = n + 1
    ask(a, ("Is there a bus to the station of %s?"):format(("x"):rep(n)))
    return metric(a, 'perilune_index_lookups_total{result="found"}') > 0
  end)
  await("a hit with other words", function() -- each worker finds out by itself that it is back
    n = n + 1
    return ask(a, "How can I enable logging in the console" .. (" now"):rep(n % 8) .. "?") == "hit"
  end)
end, "fake")

local function garbage(name, answer)
  test("garbage: " .. name, function(s)
    local a = s.gateway()
    ready(a)
    s.redis.says[s.search] = answer
    for i = 1, 4 do same(ask(a, "How do I reset my password number " .. i .. "?"), "miss", "with garbage") end
    s.redis.says[s.search] = nil
    s.redis.says.GET = answer
    for i = 5, 8 do same(ask(a, "How do I reset my password number " .. i .. "?"), "miss", "garbage for entries") end
    s.redis.says.GET = nil
    await("the connection", function() return metric(a, "perilune_redis_up") == 1 end)
    same(ask(a, "How can I reset my password number 3?"), "hit", "afterwards")
  end, "fake")
end

local KEY = ("0123456789abcdef"):rep(4)
local GARBAGE = {
  ["a number"] = ":7\r\n", ["a line"] = "+OK\r\n", ["nothing"] = "$-1\r\n",
  ["an error"] = "-ERR Vector dimension mismatch - got 5 but set has 4\r\n",
  ["a key that leads nowhere"] = ("*2\r\n$64\r\n%s\r\n$1\r\n1\r\n"):format(KEY),
  ["a hash that leads nowhere"] = ("*3\r\n:1\r\n$70\r\np:h:4:%s\r\n*2\r\n$1\r\ns\r\n$1\r\n0\r\n"):format(KEY),
  ["half a pair"] = ("*1\r\n$64\r\n%s\r\n"):format(KEY),
  ["numbers that are none"] = ("*4\r\n$64\r\n%s\r\n$3\r\nnan\r\n$64\r\n%s\r\n$4\r\n1e99\r\n"):format(KEY, KEY),
  ["no keys"] = "*4\r\n$2\r\nab\r\n$1\r\n1\r\n$-1\r\n$0\r\n\r\n",
  ["lists in lists"] = "*2\r\n*2\r\n*2\r\n:1\r\n:2\r\n*1\r\n:3\r\n*0\r\n",
  ["a list without an end"] = "*1000000000\r\n:1\r\n",
  ["what is no protocol"] = "HTTP/1.1 400 Bad Request\r\n\r\n",
  ["an end"] = "",
}
for name, answer in pairs(GARBAGE) do garbage(name, answer) end

-- -- Main ----------------------------------------------------------------------------------------------

-- Each kind of index with its fake, and with a real one.
local kinds = {
  { kind = "redis", search = "VSIM", make = function() return fake_redis.new("redis") end,
    real = "PERILUNE_REDIS8", real_make = function(path) return real_redis.new(path) end },
  { kind = "redisearch", search = "FT.SEARCH", make = function() return fake_redis.new("redisearch") end,
    real = "PERILUNE_REDISEARCH", real_make = function(path)
      return real_redis.new(path, os.getenv("PERILUNE_REDISEARCH_MODULE"))
    end },
  { kind = "milvus", search = "search", make = fake_milvus.new },
}

local function settings(k, redis, more)
  local milvus = redis.http_port and ([[, milvus = { url = "http://127.0.0.1:%d", token = "root:Milvus", timeout = %s }]])
    :format(redis.http_port, more and more:match("timeout = ([%d.]+)") or 5) or ""
  return ([[redis = { url = "redis://127.0.0.1:%d/0"%s }, index = "%s"%s]])
    :format(redis.port, more or ", timeout = 5", k.kind, milvus)
end

local function run(t, k, upstream, redis)
  local gateways = {}
  local s = { kind = k.kind, search = k.search, redis = redis }
  function s.gateway(more)
    local g = gateway(upstream, settings(k, redis, more))
    gateways[#gateways + 1] = g
    return g
  end
  model.asked = 0
  local ok, err = xpcall(t.fn, debug.traceback, s)
  ok, err = caches.finish(gateways, ok, err)
  redis:stop()
  if redis.clean then redis:clean() end
  return ok, err
end

local function wanted(name)
  for i = 1, #arg do if name:find(arg[i], 1, true) then return true end end
  return #arg == 0
end

local passed, failed = 0, 0

local function each(k, how, make, upstream)
  for _, t in ipairs(tests) do
    local name = ("%s, %s: %s"):format(k.kind, how, t.name)
    if wanted(name) and (how == "fake" or t.where ~= "fake") then
      local ok, err = run(t, k, upstream, make())
      if not ok then print(("FAIL  vectors: %s\n    %s"):format(name, err)) end
      passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
    end
  end
end

loop.run(function()
  local listener = net.listen()
  local upstream = loop.go(model.play, listener)
  for _, k in ipairs(kinds) do
    each(k, "fake", k.make, listener.port)
    local path = k.real and os.getenv(k.real)
    if path then each(k, "real", function() return k.real_make(path) end, listener.port)
    elseif k.real then print(("vectors: SKIPPED a real server for '%s': %s names none"):format(k.kind, k.real)) end
  end
  loop.cancel(upstream)
  listener:close()
end)
print(("vectors: %d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1)

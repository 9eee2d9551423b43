-- redis.lua -- two gateways that share jobs in Redis; they and the Redis are killed at random.
--
--   luajit tests/jobs/redis.lua SERVER [ROUNDS]     from the root of the project; ROUNDS: how often something is killed
--
-- What was answered with 202 must be completed in the end, and its webhook must have come; a job is done twice only
-- when its lease ran out.  The upstream is simulated, inside of the gateways; Redis writes each answer to disk first
-- (appendfsync always).

package.path = "tests/?.lua;" .. package.path

local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local redis_server = require "support.redis"
local server = require "support.server"

local SERVER, ROUNDS = assert(arg[1], "which redis-server?"), tonumber(arg[2] or "8")
local SIGKILL, SIGSTOP, SIGCONT = 9, 19, 18
-- A gateway that is killed while it sends a webhook keeps it from the others for its lease: twice its timeout of 1 s, and
-- 30 s (core/gateway/webhooks.c).
local ALL_TOLD = 120
local LONG = 120 -- seconds, for what never comes: nothing here depends on how fast this machine is
local failures = 0

local function check(ok, text, ...)
  if ok then return end
  failures = failures + 1
  print("FAIL  " .. text:format(...))
end

local CONFIG = [[
jobs = { redis = { url = "redis://127.0.0.1:%d/0" }, lease = 1, backoff = 0.05, max_tries = 100, concurrency = 32,
         webhooks = { secrets = { { env = "WEBHOOK_SECRET" } }, http = true, allow = { "127.0.0.0/8" }, timeout = 1,
                      retries = { 0.1, 0.2, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1 } } },
drain_timeout = 3,
upstreams = { up = { sim = { ttft_ms = %d, itl_ms = 10, tokens = 8 } } },
]]
local ENV = { WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=" }

local redis, dirs = nil, {}

local function start(which, ttft)
  dirs[which] = dirs[which] or posix.temp_dir("perilune-jobs")
  local s, why = server.start{ dir = dirs[which], env = ENV, config = CONFIG:format(redis.port, ttft or 30) }
  if not s then error(why) end
  return s
end

local told, receiver = {}, nil -- job id -> how often its end was told

local function receive(conn)
  while conn.fd do
    local r = http.read_request(conn, 60)
    if not r then break end
    local data = json.decode(r.body).data
    told[data.id] = (told[data.id] or 0) + 1
    if not conn:send("HTTP/1.1 204 No Content\r\n\r\n", 5) then break end
  end
  conn:close()
end

local function submit(s, n, more, seconds)
  local lines = { ("x-perilune-webhook: http://127.0.0.1:%d/end"):format(receiver.port), more }
  local r = http.request(s.port, "POST", "/v1/async/chat/completions", lines,
                         ('{"model":"up","stream":true,"messages":[{"role":"user","content":"%d"}]}'):format(n), seconds or 2)
  if not r or r.status ~= 202 or not r.complete then return nil, r end
  return json.decode(r.body).id
end

local function get(s, id)
  local r = http.request(s.port, "GET", "/v1/async/" .. id, {}, nil, LONG)
  return r and r.status == 200 and json.decode(r.body) or nil
end

local function is_over(job) return job and job.status ~= "queued" and job.status ~= "running" end

local function await_end(s, ids, seconds)
  local left, out = ids, {}
  loop.until_true(seconds, function()
    local still = {}
    for _, id in ipairs(left) do
      local job = get(s, id)
      if is_over(job) then out[id] = job else still[#still + 1] = id end
    end
    left = still
    return #left == 0
  end)
  for _, id in ipairs(left) do check(false, "%s is %s", id, json.encode(get(s, id) or "gone")) end
  return out
end

local function kill(p)
  p:kill(SIGKILL)
  p:wait(5)
end

-- -- killed -------------------------------------------------------------------------

local function killed()
  local pair, ids, n, going, stop, ready = { start(1), start(2) }, {}, 0, 0, false, 0
  math.randomseed(11)
  for _ = 1, 3 do
    going = going + 1
    loop.go(function()
      while not stop do
        n = n + 1
        local id, r = submit(pair[n % 2 + 1], n)
        if id then ids[#ids + 1] = id end
        if r and r.status ~= 202 then ready = ready + 1 end
        loop.pause(0.01)
      end
      going = going - 1
    end)
  end
  for round = 1, ROUNDS do
    loop.pause(0.1 + math.random() * 0.4)
    if round % 3 == 0 then
      kill(redis.proc)
      loop.pause(math.random() * 0.3)
      redis:start()
      loop.pause(0.7) -- the pauses between tries to connect
    else
      local which = math.random(2)
      kill(pair[which].proc)
      pair[which] = start(which)
    end
  end
  stop = true
  loop.until_true(LONG, function() return going == 0 end)
  local jobs, again, twice = await_end(pair[1], ids, LONG), 0, 0
  for id, job in pairs(jobs) do
    check(job.status == "completed", "%s ended as %s: %s", id, job.status, json.encode(job))
    check(job.status ~= "completed" or #job.result.choices[1].message.content > 10, "%s has no answer", id)
    if job.tries > 1 then again = again + 1 end
  end
  loop.until_true(ALL_TOLD, function()
    for _, id in ipairs(ids) do if not told[id] then return false end end
    return true
  end)
  for _, id in ipairs(ids) do
    check(told[id], "nobody was told of the end of %s", id)
    if (told[id] or 0) > 1 then twice = twice + 1 end
  end
  print(("killed %d times: %d jobs accepted, %d asked again, %d told twice, %d refused meanwhile")
    :format(ROUNDS, #ids, again, twice, ready))
  check(#ids > ROUNDS, "only %d jobs were accepted", #ids)
  return pair
end

-- -- away -------------------------------------------------------------------------

-- What runs while Redis is away is finished when it is there again; what comes meanwhile is refused.
local function away(pair)
  for i = 1, 2 do
    pair[i].proc:kill(posix.SIGTERM)
    check(pair[i].proc:wait(LONG), "gateway %d does not end", i)
  end
  local s = start(1, 600)
  local id
  loop.until_true(LONG, function() id = submit(s, 1) return id end)
  loop.until_true(LONG, function() local j = get(s, id) return j and j.status == "running" end)
  kill(redis.proc)
  local _, r = submit(s, 2, nil, LONG)
  check(r and r.status == 503 and r.body:find("jobs_unavailable", 1, true), "without Redis a submit is %s", r and r.body or "cut")
  redis:start()
  local job = await_end(s, { id }, LONG)[id]
  check(job and job.status == "completed", "what ran meanwhile is %s", json.encode(job or "gone"))
  redis.proc:kill(SIGSTOP) -- it hangs
  _, r = submit(s, 3, nil, LONG)
  check(r and r.status == 503, "with a Redis that hangs a submit is %s", r and r.body or "held")
  redis.proc:kill(SIGCONT)
  id = nil
  loop.until_true(LONG, function() id = submit(s, 4, "idempotency-key: four") return id end)
  local same
  loop.until_true(LONG, function() same = submit(s, 4, "idempotency-key: four") return same end)
  check(id and id == same, "one key made two jobs")
  -- The script is forgotten: the next question brings it again.
  redis:ask("SCRIPT", "FLUSH")
  id = submit(s, 5)
  check(id, "after SCRIPT FLUSH a job is refused")
  await_end(s, { id }, LONG)
  print "away: what ran was finished, what came was refused"
  return s
end

-- -- shared -------------------------------------------------------------------------

local function shared(s)
  local t, ids = start(2, 600), {}
  for i = 1, 20 do ids[i] = submit(i % 2 == 0 and s or t, i) end
  await_end(t, ids, LONG)
  local id
  loop.until_true(LONG, function() id = submit(s, 9) return id end)
  loop.until_true(LONG, function() local j = get(t, id) return j and j.status == "running" end)
  local r = http.request(t.port, "DELETE", "/v1/async/" .. id, {}, nil, LONG)
  check(r and r.status < 300, "canceled from the other machine: %s", r and r.body or "cut")
  local job = await_end(s, { id }, LONG)[id]
  check(job and job.status == "canceled", "canceled there it is %s", json.encode(job or "gone"))
  for _, g in ipairs{ s, t } do
    g.proc:kill(posix.SIGTERM)
    check(g.proc:wait(LONG), "a gateway does not end")
  end
  print "shared: two machines do them, and each cancels the other's"
end

-- -- loading -------------------------------------------------------------------------

-- A Redis that reads its file says LOADING to all: it is asked again soon, and not as one that refuses for good.
local function loading()
  local place = net.listen()
  local asked = 0
  local listening = true
  loop.go(function()
    while listening do
      local conn = place:accept(60)
      if not conn then return end
      asked = asked + 1
      conn:take_until("\r\n", 1)
      conn:send("-LOADING Redis is loading the dataset in memory\r\n", 1)
      loop.pause(0.05)
      conn:close()
    end
  end)
  local s = assert(server.start{ env = ENV, config = CONFIG:format(place.port, 30) })
  check(loop.until_true(60, function() return asked >= 6 end), "a Redis that loads is asked %d times", asked)
  listening = false
  s:stop()
  place:close()
  print "loading: it is asked again soon"
end

loop.run(function()
  redis = redis_server.new(SERVER, { "--appendonly", "yes", "--appendfsync", "always" })
  receiver = assert(net.listen())
  loop.go(function()
    while true do
      local conn = receiver:accept(3600)
      if not conn then return end
      loop.go(receive, conn)
    end
  end)
  local ok, why = pcall(function() shared(away(killed())) loading() end)
  check(ok, "%s", tostring(why))
  redis:stop()
  redis:clean()
  for _, dir in pairs(dirs) do os.execute("rm -rf '" .. dir .. "'") end
  print(failures == 0 and "jobs in Redis: all passed" or ("jobs in Redis: %d failed"):format(failures))
  os.exit(failures == 0 and 0 or 1)
end)

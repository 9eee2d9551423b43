-- rabbitmq.lua -- two gateways with files of their own and a RabbitMQ between them; all of them are killed at random.
--
--   luajit tests/brokers/rabbitmq.lua SERVER [ROUNDS]    from the root of the project; ROUNDS: how often a node is killed
--
-- What was answered with 202 must be completed at its home in the end.  A job may be done twice, but only when a node or
-- the broker was killed while it was under way.  The upstream is simulated, inside of the gateways.

package.path = "tests/?.lua;" .. package.path

local amqp = require "support.amqp"
local files = require "support.files"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local posix = require "support.posix"
local proc = require "support.proc"
local rabbitmq = require "support.rabbitmq"
local server = require "support.server"

local SERVER, ROUNDS = assert(arg[1], "which rabbitmq-server?"), tonumber(arg[2] or "8")
local SIGKILL = 9
local failures = 0

local function check(ok, text, ...)
  if ok then return end
  failures = failures + 1
  print("FAIL  " .. text:format(...))
end

local CONFIG = [[
jobs = { file = "jobs.db", lease = 1.5, backoff = 0.05, max_tries = 5, concurrency = 16, max_result = 8192,
         broker = { amqp = "amqp://guest:guest@127.0.0.1:%d/", results = "results.%s", queue = "%s", timeout = 3 } },
drain_timeout = 4,
upstreams = { up = { sim = { ttft_ms = %d, itl_ms = 5, tokens = 8 } } },
]]

local rabbit, dirs = nil, {}

local function config(which, ttft, queue) return CONFIG:format(rabbit.port, which, queue or "work", ttft or 30) end

local function start(which, ttft)
  dirs[which] = dirs[which] or posix.temp_dir("perilune-broker")
  local s, why = server.start{ dir = dirs[which], config = config(which, ttft) }
  if not s then error(why) end
  return s
end

local BODY = '{"model":"up","stream":true,"messages":[{"role":"user","content":"%s"}]}'

local LONG = 120 -- seconds, for what never comes: nothing here depends on how fast this machine is

local function submit(s, n)
  local r = http.request(s.port, "POST", "/v1/async/chat/completions", {}, BODY:format(n), LONG)
  if not r or r.status ~= 202 or not r.complete then return nil end
  return json.decode(r.body).id
end

local function get(s, id)
  local r = http.request(s.port, "GET", "/v1/async/" .. id, {}, nil, LONG)
  return r and r.status == 200 and json.decode(r.body) or nil
end

local function is_over(job) return job and job.status ~= "queued" and job.status ~= "running" end

local function await(s, id, seconds)
  local job
  loop.until_true(seconds or LONG, function() job = get(s, id) return is_over(job) end)
  return job or { status = "gone" }
end

local function await_running(s, id)
  check(loop.until_true(LONG, function() local j = get(s, id) return j and j.status == "running" end), "%s does not run", id)
end

local function kill(s)
  s.proc:kill(SIGKILL)
  s.proc:wait(LONG)
end

local function terminate(s)
  s.proc:kill(posix.SIGTERM)
  check(s.proc:wait(LONG), "a gateway does not end")
end

-- How often each job was asked, by the logs of both.
local function asked()
  local out = {}
  for _, dir in pairs(dirs) do
    for line in (files.read(dir .. "/log") or ""):gmatch("[^\n]+") do
      local id = line:find('"status":200', 1, true) and not line:find('"method":"GET"', 1, true)
        and line:match('"request_id":"(job_%x+)%-%d+"')
      if id then out[id] = (out[id] or 0) + 1 end
    end
  end
  return out
end

-- -- killed -------------------------------------------------------------------------

local function killed()
  local pair, ids, going, stop, n = { a = start "a", b = start "b" }, {}, 0, false, 0
  math.randomseed(5)
  for _, which in ipairs{ "a", "b" } do
    going = going + 1
    loop.go(function()
      while not stop do
        n = n + 1
        local id = submit(pair[which], n)
        if id then ids[#ids + 1] = { which, id } end
        loop.pause(0.02)
      end
      going = going - 1
    end)
  end
  for round = 1, ROUNDS do
    loop.pause(0.3 + math.random() * 0.5)
    if round == ROUNDS then -- RabbitMQ 3.10 finds no leader for a queue that was made a second before
      rabbit:kill()
      rabbit:start()
    else
      local which = math.random(2) == 1 and "a" or "b"
      kill(pair[which])
      pair[which] = start(which)
    end
  end
  stop = true
  loop.until_true(LONG, function() return going == 0 end)
  local began, lost = loop.now(), 0
  for _, one in ipairs(ids) do
    local job = await(pair[one[1]], one[2], math.max(1, 180 - (loop.now() - began)))
    check(job.status == "completed", "%s of %s ended as %s", one[2], one[1], json.encode(job))
    if job.status ~= "completed" then lost = lost + 1 end
    check(job.status ~= "completed" or #job.result.choices[1].message.content > 10, "%s has no answer", one[2])
  end
  local times, twice, most = asked(), 0, 0
  for _, one in ipairs(ids) do
    local k = times[one[2]] or 0
    if k > 1 then twice = twice + 1 end
    most = math.max(most, k)
  end
  print(("killed %d times, the broker once: %d jobs accepted, %d lost, %d asked again (%d times at most), over in %.1f s")
    :format(ROUNDS, #ids, lost, twice, most, loop.now() - began))
  check(#ids > ROUNDS, "only %d jobs were accepted", #ids)
  check(most <= ROUNDS, "a job was asked %d times", most)
  return pair
end

-- -- away -------------------------------------------------------------------------

-- Jobs are taken on while the broker is away, and done when it is there.
local function away(pair)
  rabbit:kill()
  local ids = {}
  for i = 1, 5 do ids[i] = submit(pair.a, "away " .. i) end
  check(#ids == 5, "without the broker %d of 5 jobs were accepted", #ids)
  local r = http.request(pair.a.admin, "GET", "/metrics", {}, nil, LONG)
  check(r and r.body:find("perilune_broker_connected 0", 1, true), "the metrics say that the broker is there")
  rabbit:start()
  for _, id in ipairs(ids) do
    local job = await(pair.a, id)
    check(job.status == "completed", "a job that waited for the broker is %s", json.encode(job))
  end
  local _, times = pair.a:log():gsub("jobs are taken on and wait", "")
  check(times <= 4, "it was said %d times that the broker is away", times)
  r = http.request(pair.a.admin, "GET", "/metrics", {}, nil, LONG)
  check(r and r.body:find("perilune_broker_connected 1", 1, true), "the metrics say that the broker is away")
  print "away: what was taken on meanwhile was done"
end

-- -- strangers -------------------------------------------------------------------------

local function strangers(pair)
  local c = assert(amqp.connect(rabbit.port))
  c:declare("theirs")
  c:publish("work", '{"id":"order 7","path":"/v1/chat/completions","body":{"model":"up","messages":[{"role":"user",'
    .. '"content":"hi"}]},"reply_to":"theirs"}')
  local types, result = {}, nil
  loop.until_true(LONG, function()
    local m = c:get("theirs")
    if m then
      local said = json.decode(m)
      check(said.id == "order 7", "their message is of %s", tostring(said.id))
      types[#types + 1] = said.type
      if said.type == "result" then result = said end
    end
    return result
  end)
  check(result and result.status == "completed" and #result.result.choices[1].message.content > 10,
    "a stranger's job ended as %s", json.encode(result or types))
  for _, bad in ipairs{ "", "{", "[]", '{"path":"x"}', ("x"):rep(200000), '{"path":"/v1/x","max_tries":-1}' } do
    c:publish("work", bad)
  end
  c:publish("results.a", '{"type":"result","id":"nobody"}')
  local reasons = {}
  loop.until_true(LONG, function()
    local _, reason = c:get("work.dead")
    if reason then reasons[#reasons + 1] = reason end
    return #reasons == 7
  end)
  check(#reasons == 7, "of 7 bad messages %d are dead letters: %s", #reasons, json.encode(reasons))
  -- One that fails for good is a dead letter with its error; its end is told, too.
  c:publish("work", '{"id":"8","path":"/v1/chat/completions","body":{"model":"nobody","messages":[]},"reply_to":"theirs"}')
  local failed, letter
  loop.until_true(LONG, function()
    local m, r = c:get("theirs"), nil
    if m and m:find('"type":"result"', 1, true) then failed = json.decode(m) end
    m, r = c:get("work.dead")
    if m then letter = r end
    return failed and letter
  end)
  check(failed and failed.status == "failed" and failed.error, "a bad question ended as %s", json.encode(failed or "gone"))
  check(letter and letter:find("code", 1, true), "its dead letter says %s", tostring(letter))
  c:close()
  check(pair.a.proc:alive() and pair.b.proc:alive(), "a gateway is gone")
  print "strangers: a job of theirs was done, what was none is a dead letter with a reason"
end

-- -- canceled, too large, drained, reloaded ----------------------------------------------

local function reload(s, text)
  s:replace("perilune.lua", server.complete(text))
  local r = s:reload(LONG)
  check(r and r.status == 200, "the reload says %s", r and r.body or "nothing")
end

local function canceled(pair)
  reload(pair.a, config("a", 600000))
  reload(pair.b, config("b", 600000))
  local ids = {}
  for i = 1, 4 do ids[i] = submit(pair.a, "cancel " .. i) end -- of these some run here and some there
  for _, id in ipairs(ids) do await_running(pair.a, id) end
  for _, id in ipairs(ids) do http.request(pair.a.port, "DELETE", "/v1/async/" .. id, {}, nil, LONG) end
  for _, id in ipairs(ids) do
    local job = await(pair.a, id)
    check(job.status == "canceled", "a canceled job is %s", json.encode(job))
  end
  print "canceled: wherever they ran"
end

-- One that the broker does not take fails, and those beside it do not.
local function large(pair)
  reload(pair.a, config("a", 10))
  reload(pair.b, config("b", 10))
  local ids = {}
  for i = 1, 5 do ids[i] = submit(pair.a, i == 3 and ("large "):rep(60000) or "small") end
  for i, id in ipairs(ids) do
    local job = await(pair.a, id)
    local ok = i ~= 3 and job.status == "completed" or job.status == "failed" and job.error.code == "job_refused_by_broker"
    check(ok, "job %d of 5, of which the third is too large, is %s", i, json.encode(job):sub(1, 300))
  end
  print "large: what the broker does not take fails, and nothing else"
end

-- Who ends gives back what it has, and the other one does it.
local function drained(pair)
  reload(pair.a, config("a", 4000))
  reload(pair.b, config("b", 4000))
  local ids = {}
  for i = 1, 4 do ids[i] = submit(pair.b, "drain " .. i) end
  for _, id in ipairs(ids) do await_running(pair.b, id) end
  reload(pair.b, config("b", 10))
  local began = loop.now()
  terminate(pair.a)
  check(loop.now() - began < 60, "a gateway ended after %.1f s", loop.now() - began)
  for _, id in ipairs(ids) do
    local job = await(pair.b, id)
    check(job.status == "completed", "a job of a node that ended is %s", json.encode(job))
  end
  pair.a = start("a", 10)
  print "drained: what it could not end was given back"
end

local function reloaded(pair)
  reload(pair.a, config("a", 10, "other"))
  reload(pair.b, config("b", 10, "other"))
  for _, which in ipairs{ "a", "b" } do
    local id = submit(pair[which], "reloaded")
    local job = await(pair[which], id)
    check(job.status == "completed", "a job behind the reload is %s", json.encode(job))
  end
  local r = http.request(pair.a.admin, "GET", "/admin/jobs", {}, nil, LONG)
  local broker = r and json.decode(r.body).broker
  check(broker and broker.connected == true and broker.kind == "amqp", "/admin/jobs says %s", r and r.body or "nothing")
  print "reloaded: with another queue"
end

-- -- wrong -------------------------------------------------------------------------

local function checked(text)
  local dir = posix.temp_dir("perilune-broker")
  files.write(dir .. "/p.lua", (server.complete(text):gsub("@PORT@", "1"):gsub("@ADMIN@", "2")))
  local p = proc.spawn({ server.binary(), "check", dir .. "/p.lua" })
  p:wait(LONG)
  os.execute("rm -rf '" .. dir .. "'")
  return p.status, p:text()
end

local function wrong()
  local text = config "a"
  local status, said = checked(text)
  check(status == 0, "check says %s", said)
  local cases = {
    { "guest:guest", "guest:wrong", "refuses the user 'guest' or its password" },
    { ":" .. rabbit.port, ":1", "no RabbitMQ can be reached at 127.0.0.1:1" },
    { "/\"", "/nowhere\"", "the vhost 'nowhere'" },
    { "timeout = 3", "library = \"/nowhere/lib.so\"", "cannot be loaded" },
    { "timeout = 3", "library = \"/lib/x86_64-linux-gnu/libm.so.6\"", nil },
  }
  local tls = text:gsub("amqp://", "amqps://"):gsub("127.0.0.1:" .. rabbit.port, "localhost:" .. rabbit.tls_port)
  status, said = checked((tls:gsub("timeout = 3", 'timeout = 3, ca = "' .. files.lines("pwd")() .. '/tests/support/tls/cert.pem"')))
  check(status == 0, "check over TLS says %s", said)
  status, said = checked(tls)
  check(status == 1 and said:find("jobs.broker: ", 1, true), "a certificate that nobody vouches for: %s", said)
  for _, case in ipairs(cases) do
    status, said = checked((text:gsub(case[1]:gsub("%p", "%%%0"), (case[2]:gsub("%%", "%%%%")), 1)))
    check(status == 1 and (not case[3] or said:find(case[3], 1, true)), "check of %s says %s: %s", case[2], tostring(status), said)
  end
  print "wrong: check says what, and what to do"
end

io.stdout:setvbuf "line"
loop.run(function()
  rabbit = rabbitmq.new(SERVER)
  local began = loop.now()
  local ok, why = pcall(function()
    wrong()
    local pair = killed()
    away(pair)
    strangers(pair)
    canceled(pair)
    large(pair)
    drained(pair)
    reloaded(pair)
    for _, s in pairs(pair) do terminate(s) end
  end)
  check(ok, "%s", tostring(why))
  rabbit:stop()
  rabbit:clean()
  if failures == 0 or not os.getenv("KEEP") then
    for _, dir in pairs(dirs) do os.execute("rm -rf '" .. dir .. "'") end
  end
  print((failures == 0 and "jobs on RabbitMQ: all passed" or ("jobs on RabbitMQ: %d failed"):format(failures))
    .. (" (%.0f s)"):format(loop.now() - began))
  os.exit(failures == 0 and 0 or 1)
end)

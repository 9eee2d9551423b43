-- run.lua -- a gateway that keeps jobs in a file, and is killed, drained, reloaded.
--
--   luajit tests/jobs/run.lua [ROUNDS]     from the root of the project; ROUNDS: how often it is killed, 10
--
-- What was answered with 202 must be completed in the end, whatever happened to the process meanwhile; a job that was
-- given back must not have lost a try.  The upstream is simulated, inside of the gateway.

package.path = "tests/?.lua;" .. package.path

local http = require "support.http"
local json = require "support.json"
local net = require "support.net"
local loop = require "support.loop"
local posix = require "support.posix"
local server = require "support.server"

local ROUNDS = tonumber(arg[1] or "10")
local SIGKILL = 9
local LONG = 120 -- seconds, for what never comes: nothing here depends on how fast this machine is, unless it says so
local failures = 0

local function check(ok, text, ...)
  if ok then return end
  failures = failures + 1
  print("FAIL  " .. text:format(...))
end

local CONFIG = [[
jobs = { file = "jobs.db", lease = 1, backoff = 0.05, max_tries = 100, concurrency = 32%s },
drain_timeout = 8,
upstreams = { up = { sim = { ttft_ms = %d, itl_ms = 10, tokens = 8 } } },
]]

local dir = posix.temp_dir("perilune-jobs")

local function start(ttft, more)
  local s, why = server.start{ dir = dir, config = CONFIG:format(more or "", ttft) }
  if not s then error(why) end
  return s
end

local BODY = '{"model":"up","stream":true,"messages":[{"role":"user","content":"%d"}]}'

local function submit(s, n)
  local r = http.request(s.port, "POST", "/v1/async/chat/completions", {}, BODY:format(n), LONG)
  if not r or r.status ~= 202 or not r.complete then return nil end
  return json.decode(r.body).id
end

local function get(s, id)
  local r = http.request(s.port, "GET", "/v1/async/" .. id, {}, nil, LONG)
  return r and r.status == 200 and json.decode(r.body) or nil
end

local function await_end(s, ids, seconds)
  local left, out = ids, {}
  loop.until_true(seconds, function()
    local still = {}
    for _, id in ipairs(left) do
      local job = get(s, id)
      if job and (job.status == "queued" or job.status == "running") or not job then still[#still + 1] = id
      else out[id] = job end
    end
    left = still
    return #left == 0
  end)
  for _, id in ipairs(left) do
    local job = get(s, id)
    check(false, "%s is %s", id, job and job.status or "gone")
  end
  return out
end

local function kill(s)
  s.proc:kill(SIGKILL)
  s.proc:wait(LONG)
end

-- -- killed -------------------------------------------------------------------------

local function killed()
  local ids, n = {}, 0
  math.randomseed(7)
  for _ = 1, ROUNDS do
    local s, stop, going, before = start(30), false, 0, #ids
    for _ = 1, 4 do
      going = going + 1
      loop.go(function()
        while not stop do
          n = n + 1
          local id = submit(s, n)
          if id then ids[#ids + 1] = id end
          loop.pause(0.002)
        end
        going = going - 1
      end)
    end
    loop.pause(0.04 + math.random() * 0.3)
    loop.until_true(LONG, function() return #ids > before + 1 end)
    kill(s)
    stop = true
    loop.until_true(LONG, function() return going == 0 end)
  end
  local s = start(30)
  local jobs = await_end(s, ids, LONG)
  local again = 0
  for id, job in pairs(jobs) do
    check(job.status == "completed", "%s ended as %s: %s", id, job.status, json.encode(job))
    check(job.status ~= "completed" or #job.result.choices[1].message.content > 10, "%s has no answer", id)
    if job.tries > 1 then again = again + 1 end
  end
  s.proc:kill(posix.SIGTERM)
  check(s.proc:wait(LONG), "the gateway does not end")
  print(("killed %d times: %d jobs accepted, %d of them asked again"):format(ROUNDS, #ids, again))
  check(#ids > ROUNDS, "only %d jobs were accepted", #ids)
  check(ROUNDS < 5 or again > 0, "no job was under way at any kill: the test proves nothing")
end

-- -- drained -------------------------------------------------------------------------

-- Those that can finish do; the others are given back in time, whole.
local function drained()
  local s = start(500)
  local quick, slow = submit(s, 1), nil
  loop.until_true(LONG, function() return get(s, quick).status ~= "queued" end)
  s.proc:kill(posix.SIGTERM)
  check(s.proc:wait(LONG), "the gateway does not end")
  check(not s:log():find("connections are cut", 1, true), "something was cut")
  s = start(60000, ", lease = 600") -- who is not given back comes too late
  local job = get(s, quick)
  check(job.status == "completed" and job.tries == 1, "a job that could finish is %s", json.encode(job))
  slow = submit(s, 2)
  loop.until_true(LONG, function() return get(s, slow).status == "running" end)
  s.proc:kill(posix.SIGTERM)
  check(s.proc:wait(LONG), "the gateway does not end")
  s = start(10, ", lease = 600")
  await_end(s, { slow }, LONG)
  job = get(s, slow)
  check(job.status == "completed" and job.tries == 1, "a job that was given back is %s", json.encode(job))
  print "drained: what could finish did, the other was given back"
  return s
end

-- -- reloaded -------------------------------------------------------------------------

local function reloaded(s)
  local id = submit(s, 3)
  s:write("perilune.lua", server.complete(CONFIG:format(", worker_concurrency = 1", 300)))
  check(s:reload(LONG).status == 200, "the reload failed")
  local began = loop.now()
  local ids = { id, submit(s, 4), submit(s, 5) }
  await_end(s, ids, LONG)
  check(loop.now() - began > 0.5, "worker_concurrency was not applied")
  s:write("perilune.lua", server.complete(CONFIG:format("", 10):gsub("^jobs = .-\n", "")))
  id = submit(s, 6)
  check(s:reload(LONG).status == 200, "the reload without jobs failed")
  check(http.request(s.port, "GET", "/v1/async/" .. id, {}, nil, LONG).status == 404, "jobs are answered for")
  s:write("perilune.lua", server.complete(CONFIG:format("", 10)))
  check(s:reload(LONG).status == 200, "the reload with jobs failed")
  await_end(s, { id }, LONG)
  s:write("perilune.lua", server.complete((CONFIG:format("", 10):gsub("jobs%.db", "other.db"))))
  local r = s:reload(LONG)
  check(r.status == 200 and r.body:find("jobs.file", 1, true), "another file is said to need a restart: %s", r.body)
  s:write("perilune.lua", server.complete((CONFIG:format("", 10):gsub("up = {", "other = {"))))
  check(s:reload(LONG).status == 200, "the reload with another upstream failed")
  s.proc:kill(posix.SIGTERM)
  check(s.proc:wait(LONG), "the gateway does not end")
  print "reloaded: limits apply, jobs go and come back"
end

-- -- behind replies ------------------------------------------------------------------------

local BEHIND = [[
jobs = { file = "behind.db", lease = 1, backoff = 0.05, max_tries = 100, concurrency = 64 },
upstreams = { up = { sim = { ttft_ms = 1, itl_ms = 0, tokens = 4 } } },
routes = { { path = "/v1/chat/completions", policies = { { "after_reply", tasks = {
  { name = "note", durable = true, run = function(req, answer)
      local perilune = require "perilune"
      if not answer.text or not req.messages[1] then error("the snapshot has holes") end
      perilune.sleep(1)
      return perilune.fetch("http://127.0.0.1:%d/" .. req.messages[1].content .. "/" .. req.tenant, { method = "POST", body = answer.text })
    end } } } } } },
tenants = { header = "x-tenant" },
]]

-- Tasks of after_reply that were kept run once or more, whenever the process is killed.
local function behind()
  local place, seen, sent, waited = assert(net.listen()), {}, 0, false
  loop.go(function()
    while true do
      local conn = place:accept(3600)
      if not conn then return end
      loop.go(function()
        while true do
          local head = conn:take_until("\r\n\r\n", 60)
          if not head then break end
          local n = tonumber(head:match("^POST /(%d+)/acme "))
          conn:take(tonumber(head:lower():match("content%-length: (%d+)")) or 0, LONG)
          if n then seen[n] = (seen[n] or 0) + 1 end
          if not conn:send("HTTP/1.1 204 OK\r\n\r\n", LONG) then break end
        end
        conn:close()
      end)
    end
  end)
  local function kept(s)
    local r = http.request(s.admin, "GET", "/metrics", {}, nil, LONG)
    return r and tonumber(r.body:match('perilune_after_reply_total{result="kept"} (%d+)'))
  end
  local s
  for _ = 1, ROUNDS do
    s = server.start{ dir = dir, config = BEHIND:format(place.port) }
    if not s then error("no start") end
    local going = 4
    for _ = 1, 4 do
      loop.go(function()
        for i = 1, 5 do
          sent = sent + 1
          local body = ('{"model":"up","stream":%s,"messages":[{"role":"user","content":"%d"}]}'):format(tostring(i % 2 == 0), sent)
          local r = http.request(s.port, "POST", "/v1/chat/completions", { "x-tenant: acme" }, body, LONG)
          check(r and r.status == 200 and r.complete, "a request was not answered")
        end
        going = going - 1
      end)
    end
    loop.until_true(LONG, function() return going == 0 end)
    check(loop.until_true(LONG, function() return kept(s) == 20 end), "only %s tasks of 20 were kept", tostring(kept(s)))
    kill(s)
    for n = sent - 19, sent do waited = waited or not seen[n] end
  end
  check(waited, "no task waited at any kill: the test proves nothing")
  s = assert(server.start{ dir = dir, config = BEHIND:format(place.port) })
  loop.until_true(LONG, function()
    for n = 1, sent do
      if not seen[n] then return false end
    end
    return true
  end)
  local again = 0
  for n = 1, sent do
    check(seen[n], "the task behind request %d never ran", n)
    if (seen[n] or 0) > 1 then again = again + 1 end
  end
  check(loop.until_true(LONG, function()
    local r = http.request(s.admin, "GET", "/metrics", {}, nil, LONG)
    return r and tonumber(r.body:match("perilune_jobs_kept (%d+)")) == 0
  end), "tasks that are done are still kept")
  s.proc:kill(posix.SIGTERM)
  check(s.proc:wait(LONG), "the gateway does not end")
  place:close()
  print(("behind replies, killed %d times: %d tasks, all done, %d of them twice"):format(ROUNDS, sent, again))
end

-- -- wrong files ---------------------------------------------------------------------------

local function wrong()
  local proc = require "support.proc"
  local files = require "support.files"
  local function says(file, command, want)
    files.write(dir .. "/wrong.lua", ('return { jobs = { file = "%s" }, upstreams = { up = { sim = {} } } }\n'):format(file))
    local p = proc.spawn({ server.binary(), command, dir .. "/wrong.lua" }, { output = dir .. "/said" })
    check(p:wait(LONG), "%s does not end", command)
    check(p.status ~= 0 and p:text():find(want, 1, true), "%s with %s says: %s", command, file, p:text())
  end
  says("nowhere/jobs.db", "check", "jobs.file")
  files.write(dir .. "/text.db", ("no database\n"):rep(1000))
  says("text.db", "serve", "jobs.file")
  says("text.db", "check", "jobs.file")
  print "wrong files are told"
end

loop.run(function()
  killed()
  local s = drained()
  reloaded(s)
  behind()
  wrong()
end)
os.execute("rm -rf '" .. dir .. "'")
print(failures == 0 and "jobs: all passed" or ("jobs: %d failed"):format(failures))
os.exit(failures == 0 and 0 or 1)

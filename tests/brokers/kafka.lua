-- kafka.lua -- two nodes that share their jobs by Kafka, and are killed, joined, cut off from it.
--
--   luajit tests/brokers/kafka.lua [ROUNDS]     from the root of the project; ROUNDS: how often a node is killed, 3
--
-- PERILUNE_KAFKA=host:port: a server that is there; else build/kfake, where there is one (make build/kfake).  What was
-- answered with 202 must be completed in the end.  The model is a process of its own, which counts what it is asked.

package.path = "tests/?.lua;" .. package.path

local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local proc = require "support.proc"
local server = require "support.server"

local ROUNDS = tonumber(arg[1] or "3")
local KFAKE = os.getenv("PERILUNE_KFAKE") or "build/kfake"
local THERE = os.getenv("PERILUNE_KAFKA")
local failures = 0

local function check(ok, text, ...)
  if ok then return end
  failures = failures + 1
  print("FAIL  " .. text:format(...))
end

-- -- A server, a model, nodes -----------------------------------------------------------

local kafka = { port = not THERE and net.free_port() or nil, dir = posix.temp_dir("perilune-kafka") }
kafka.at = THERE or ("127.0.0.1:" .. kafka.port)
local topic = ("perilune-test-%d"):format(os.time())

function kafka.start()
  if THERE then return end
  kafka.proc = proc.spawn({ KFAKE, "-port", tostring(kafka.port), "-data", kafka.dir .. "/data" },
                          { output = kafka.dir .. "/log" })
  local ok = loop.until_true(10, function()
    local conn = net.connect(kafka.port)
    if conn then conn:close() end
    return conn ~= nil
  end)
  if not ok then error("kfake does not begin: " .. kafka.dir .. "/log") end
end

function kafka.stop()
  kafka.proc:kill(posix.SIGKILL)
  kafka.proc:wait(5)
end

local MODEL = [[
upstreams = { up = { sim = { ttft_ms = %d, itl_ms = 5, tokens = 8 } } },
]]
local NODE = [[
jobs = { file = "jobs.db", lease = 1, backoff = 0.05, max_tries = 100, concurrency = 32,
         broker = { kafka = "%s", topic = "%s", group = "%s", results = "%s-%s", timeout = 3 } },
drain_timeout = 5,
upstreams = { up = { url = "http://127.0.0.1:%d/v1" } },
]]

local model
local nodes = {}

local function start(name)
  local node = nodes[name] or { dir = posix.temp_dir("perilune-node"), name = name }
  nodes[name] = node
  local s, why = server.start{ dir = node.dir,
    config = NODE:format(kafka.at, topic, topic, topic, name, model.port) }
  if not s then error(why) end
  node.s = s
  return node
end

local function kill(node, signal)
  node.s.proc:kill(signal or posix.SIGKILL)
  check(node.s.proc:wait(15), "%s does not end", node.name)
end

local function asked()
  local r = http.request(model.admin, "GET", "/metrics", {}, nil, 5)
  local sum = 0
  for count in r.body:gmatch("\nperilune_requests_total{[^}]*} (%d+)") do sum = sum + tonumber(count) end
  return sum
end

-- -- Jobs --------------------------------------------------------------------------------

local BODY = '{"model":"up","stream":true,"messages":[{"role":"user","content":"%d"}]}'
local jobs, count = {}, 0

local function submit(node)
  count = count + 1
  local r = http.request(node.s.port, "POST", "/v1/async/chat/completions", {}, BODY:format(count), 2)
  if not r or r.status ~= 202 or not r.complete then return nil end
  local job = { id = json.decode(r.body).id, node = node.name }
  jobs[#jobs + 1] = job
  return job
end

local function get(job)
  local r = http.request(nodes[job.node].s.port, "GET", "/v1/async/" .. job.id, {}, nil, 5)
  return r and r.status == 200 and json.decode(r.body) or nil
end

local function await_end(seconds)
  local left = jobs
  loop.until_true(seconds, function()
    local still = {}
    for _, job in ipairs(left) do
      local is = get(job)
      if is and is.status ~= "queued" and is.status ~= "running" then job.is = is else still[#still + 1] = job end
    end
    left = still
    if #left > 0 then loop.pause(0.2) end
    return #left == 0
  end)
  for _, job in ipairs(left) do
    local is = get(job)
    check(false, "%s of %s is %s", job.id, job.node, is and is.status or "gone")
  end
  for _, job in ipairs(jobs) do
    local is = job.is
    check(not is or is.status == "completed", "%s ended as %s", job.id, is and json.encode(is) or "")
    check(not is or is.status ~= "completed" or #is.result.choices[1].message.content > 10, "%s has no answer", job.id)
  end
end

local function load_for(seconds, names)
  local until_, going = loop.now() + seconds, 0
  for _, name in ipairs(names) do
    for _ = 1, 2 do
      going = going + 1
      loop.go(function()
        while loop.now() < until_ do
          submit(nodes[name])
          loop.pause(0.005)
        end
        going = going - 1
      end)
    end
  end
  return function() loop.until_true(10, function() return going == 0 end) end
end

local function begin(what, ttft)
  jobs, count = {}, 0
  topic = topic .. "x"
  model = assert(server.start{ config = MODEL:format(ttft) })
  kafka.start()
  start("a")
  start("b")
  return what
end

local function finish(what, seconds)
  await_end(seconds)
  local calls = asked()
  for _, node in pairs(nodes) do kill(node, posix.SIGTERM) end
  nodes = {}
  if not THERE then kafka.stop() end
  model.proc:kill(posix.SIGTERM)
  model.proc:wait(10)
  print(("%s: %d jobs accepted, all completed; %d calls, %d of them again"):format(what, #jobs, calls, calls - #jobs))
  check(calls >= #jobs, "less was asked than there were jobs")
  return calls - #jobs
end

-- -- Cases ---------------------------------------------------------------------------------

local function killed()
  local what = begin(("killed %d times"):format(ROUNDS), 30)
  math.randomseed(11)
  for round = 1, ROUNDS do
    local wait = load_for(0.1 + math.random() * 0.4, { "a", "b" })
    loop.pause(0.05 + math.random() * 0.3)
    local name = math.random() < 0.5 and "a" or "b"
    kill(nodes[name])
    wait()
    start(name)
    if round % 2 == 0 then loop.pause(math.random() * 2) end
  end
  finish(what, 240)
  check(#jobs > ROUNDS * 5, "only %d jobs were accepted", #jobs)
end

-- A third node comes and goes, politely, while jobs run: no job is done twice.
local function joined()
  local what = begin("joined and left", 300)
  loop.until_true(20, function()
    local job = submit(nodes.a)
    loop.pause(0.5)
    return job and get(job).status == "completed"
  end)
  local wait = load_for(8, { "a", "b" })
  loop.pause(1)
  start("c")
  loop.pause(5)
  wait()
  kill(nodes.c, posix.SIGTERM)
  nodes.c = nil
  local again = finish(what, 240)
  check(again == 0, "%d jobs were done twice", again)
end

-- Without Kafka jobs are accepted and wait; nothing is lost when it comes back.
local function cut_off()
  if THERE then return end
  local what = begin("cut off from Kafka", 30)
  loop.pause(1)
  for round = 1, 2 do
    local wait = load_for(1, { "a", "b" })
    loop.pause(0.3)
    kafka.stop()
    wait()
    loop.pause(round * 2)
    kafka.start()
  end
  finish(what, 240)
end

loop.run(function()
  if not THERE then
    local f = io.open(KFAKE)
    if not f then
      print("no Kafka server to test against: make build/kfake, which needs Go, or PERILUNE_KAFKA=host:port")
      return
    end
    f:close()
  end
  for _, case in ipairs{ { "killed", killed }, { "joined", joined }, { "cut_off", cut_off } } do
    if not arg[2] or arg[2] == case[1] then case[2]() end
  end
end)
print(failures == 0 and "kafka: all passed" or ("kafka: %d failed"):format(failures))
os.exit(failures == 0 and 0 or 1)

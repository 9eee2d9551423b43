-- large.lua -- what others on the same worker notice of bodies of tens of megabytes.
--
--   luajit tests/bench/large.lua [MEGABYTES] [ATTACK...]
--
-- One worker.  A neighbour asks at a steady rate, alone and then beside a client that sends (or fetches) one large thing
-- after the other: jobs, whose body is one long text or many small values; files; results.  A chat of the same size is the
-- anchor for what a job costs: both are read by the same parser.  The longest wait is about the longest turn of the loop.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local http = require "support.http"
local loop = require "support.loop"
local proc = require "support.proc"
local server = require "support.server"

local RATE, SECONDS, BAR_US = 200, 4, 20000
local MEGABYTES = tonumber(arg[1]) or 50

local function text_of(bytes) return ("The quick brown fox jumps. "):rep(math.ceil(bytes / 27)):sub(1, bytes) end

local function long_body(bytes)
  return '{"model":"up","messages":[{"role":"user","content":"' .. text_of(bytes) .. '"}]}'
end

local function dense_body(bytes)
  return '{"model":"up","messages":[{"role":"user","content":"hi"}],"metadata":{"list":['
    .. ("[1,2],"):rep(math.floor(bytes / 6)) .. "0]}}"
end

local function form(bytes)
  return '--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    .. '--B\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n' .. text_of(bytes) .. "\r\n--B--\r\n"
end

local attacks = {
  { "chat", "POST", "/v1/chat/completions", long_body },
  { "chat_dense", "POST", "/v1/chat/completions", dense_body },
  { "job", "POST", "/v1/async/v1/chat/completions", long_body },
  { "job_dense", "POST", "/v1/async/v1/chat/completions", dense_body },
  { "file", "POST", "/v1/files", form },
  { "result", "GET" },
  { "content", "GET" },
}

local function attack(target, dir, method, path, body)
  local args = { server.binary(), "bench", ("http://127.0.0.1:%d/v1"):format(target.port), "--no-validate", "-X", method,
    "--path", path, "-c", "1", "--duration", tostring(SECONDS + 5), "--timeout", "30", "--json" }
  if body then
    args[#args + 1], args[#args + 2] = "--body", bench.file(dir, "large", body)
  end
  if path == "/v1/files" then
    args[#args + 1], args[#args + 2] = "-H", "content-type: multipart/form-data; boundary=B"
  end
  return proc.spawn(args, { stdout = dir .. "/attack", output = dir .. "/attack.err" })
end

-- Paths of a job with a large result, and of a large file.
local function prepare(target, bytes)
  local made = http.request(target.port, "POST", "/v1/async/v1/chat/completions", { ["content-type"] = "application/json" },
    '{"model":"large","messages":[{"role":"user","content":"hi"}]}', 30)
  local id = made.body:match('"id":"(job_%x+)"')
  loop.until_true(60, function()
    return http.get(target.port, "/v1/async/" .. id, 30).body:find('"status":"completed"', 1, true)
  end)
  local file = http.request(target.port, "POST", "/v1/files", { ["content-type"] = "multipart/form-data; boundary=B" },
    form(bytes), 60)
  if file.status ~= 200 then error("the file: " .. file.body:sub(1, 300), 0) end
  return { result = "/v1/async/" .. id, content = "/v1/files/" .. file.body:match('"id":"(file%-%x+)"') .. "/content" }
end

bench.run(function()
  local dir, only, bytes = bench.folder(), {}, MEGABYTES * 1000000
  for i = 2, #arg do only[arg[i]] = true end
  local up = bench.upstream(dir, { tokens = 16 })
  local target = bench.perilune([[
    workers = 1, upstreams = { up = { url = "@UPSTREAM@" } },
    limits = { body = "128MiB", cpu_ms = 60000, block_ms = 60000, memory = "1GiB" },
    jobs = { file = "]] .. dir .. [[/jobs.db", files = "]] .. dir .. [[/files", max_result = "128MiB", max_queued = 0,
             worker_concurrency = 1, concurrency = 1 },
    routes = { { path = "/v1/chat/completions", policies = { function(req, next)
      local perilune = require "perilune"
      if req.model ~= "large" then return next(req) end
      return perilune.respond{ text = ("The quick brown fox jumps. "):rep(]] .. math.floor(bytes / 27) .. [[) }
    end } } }, log = { access = false, level = "fatal" },]], { UPSTREAM = up.url })
  local load = { body = bench.file(dir, "hello", '{"model":"up","messages":[{"role":"user","content":"hello"}]}'),
                 rate = RATE, seconds = SECONDS, dir = dir }
  bench.load(target.port, load)
  local r = bench.load(target.port, load)
  local alone = r.p99
  bench.figure("neighbour alone, p99", alone, "us")
  local paths = (next(only) == nil or only.result or only.content) and prepare(target, bytes) or {}
  for _, a in ipairs(attacks) do
    if next(only) == nil or only[a[1]] then
      local p = attack(target, dir, a[2], a[3] or paths[a[1]], a[4] and a[4](bytes))
      r = bench.load(target.port, load)
      p:stop()
      bench.figure(("neighbour of %s of %d MB, p99"):format(a[1], MEGABYTES), r.failed > 0 and math.huge or r.p99, "us", alone, BAR_US)
      if r.max then bench.figure(("longest wait beside %s"):format(a[1]), r.max, "us") end
    end
  end
end)

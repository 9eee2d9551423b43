-- lib.lua -- what the benchmarks share: upstream, load, figures.
--
-- A benchmark prints one line per figure:
--
--   figure | value | anchor | ratio | bar | ok or MISS
--
-- The upstream is `perilune sim` and the load `perilune bench`.  With MOCKLLM and
-- LLMLOAD in the environment (paths of other programs with the same job) those are
-- used instead: a second opinion.  CPU time is read here, from the scheduler's
-- counters of the process measured, whoever makes the load.

local files = require "support.files"
local net = require "support.net"
local loop = require "support.loop"
local proc = require "support.proc"
local posix = require "support.posix"
local json = require "support.json"
local server = require "support.server"
local http = require "support.http"

local M = {}

M.results = {}
local cleanup = {}

--- Something to stop or remove at the end.
function M.defer(fn) cleanup[#cleanup + 1] = fn end

-- -- Figures ------------------------------------------------------------------------

local function show(v)
  if type(v) ~= "number" then return tostring(v or "-") end
  if v >= 1000 then return ("%.0f"):format(v) end
  return ("%.2f"):format(v)
end

--- One line.  bar: the most that ratio (with an anchor) or value may be.
function M.figure(name, value, unit, anchor, bar, bar_is_ratio)
  local ratio = anchor and anchor > 0 and value / anchor or nil
  local judged = bar_is_ratio and ratio or value
  local verdict = bar == nil and "-" or judged == nil and "no anchor" or judged <= bar and "ok" or "MISS"
  M.results[#M.results + 1] = verdict
  print(("%-44s | %10s %-6s | %10s | %6s | %8s | %s"):format(name, show(value), unit,
    anchor and show(anchor) or "-", ratio and ("%.2fx"):format(ratio) or "-",
    bar and (bar_is_ratio and ("%.2fx"):format(bar) or show(bar)) or "-", verdict))
end

function M.note(...) print("# " .. string.format(...)) end

function M.median(list)
  local t = { unpack(list) }
  table.sort(t)
  return t[math.floor((#t + 1) / 2)]
end

-- -- Folders, bodies -------------------------------------------------------------------

function M.folder()
  local dir = posix.temp_dir("perilune-bench")
  M.defer(function() os.execute("rm -rf '" .. dir .. "'") end)
  return dir
end

--- A chat of about `bytes` bytes: many messages, as a long conversation has.
function M.chat(bytes, stream)
  local function message(role, text) return { role = role, content = text } end
  local words = "The quick brown fox jumps over the lazy dog and thinks about it for a while. "
  local list = json.array { message("system", "You are a helpful assistant.") }
  local t = { model = "auto", messages = list, temperature = 0.7 }
  if stream then t.stream = true end
  while true do
    local left = bytes - #json.encode(t)
    if left < 60 then return json.encode(t) end
    local size = math.min(700, left - 40)
    list[#list + 1] = message(#list % 2 == 1 and "user" or "assistant",
      words:rep(math.ceil(size / #words)):sub(1, size))
  end
end

function M.file(dir, name, text)
  local path = dir .. "/" .. name
  files.write(path, text)
  return path
end

-- -- Upstream -----------------------------------------------------------------------------

--- Starts the upstream.  options: tokens, ttft_ms, itl_ms, delay_ms.  Returns { port, pid, proc, url }.
function M.upstream(dir, options)
  local mock = os.getenv("MOCKLLM")
  local port = net.free_port()
  local args = mock and { mock, tostring(port) }
               or { server.binary(), "sim", "--listen", "127.0.0.1:" .. port }
  for _, key in ipairs({ "tokens", "ttft_ms", "itl_ms", "delay_ms" }) do
    if options and options[key] then
      args[#args + 1] = "--" .. key:gsub("_", "-")
      args[#args + 1] = tostring(options[key])
    end
  end
  local p = proc.spawn(args, { output = dir .. "/upstream.log" })
  M.defer(function() p:stop() end)
  local up = loop.until_true(5, function()
    local conn = p:alive() and net.connect(port, 1)
    if conn then conn:close() end
    return conn
  end)
  if not up then error("the upstream did not start: " .. p:text(), 0) end
  return { port = port, pid = p.pid, proc = p, url = ("http://127.0.0.1:%d/v1"):format(port) }
end

local CERT = "tests/support/tls/cert.pem"

--- The same behind TLS: another `perilune serve` in front of it.  Its ca is a file, its url has
--- the certificate's name.
function M.tls_upstream(dir, options)
  local behind = M.upstream(dir, options)
  local front = M.perilune([[
    tls = { cert = "@CERT@", key = "@KEY@" },
    limits = { request_timeout = 7200, keepalive_comment = 3600 },
    upstreams = { up = { url = "@UPSTREAM@", timeouts = { headers = 3600, first_token = 3600, idle = 3600, total = 3600 } } },]],
    { UPSTREAM = behind.url, CERT = M.here(CERT), KEY = M.here("tests/support/tls/key.pem") })
  return { port = front.port, pid = front.pid, ca = CERT, url = ("https://localhost:%d/v1"):format(front.port) }
end

--- Of a file of the project, the whole path.
--- Builds what a benchmark needs, as `make` names it; throws when it cannot be had.
---@param targets string
function M.build(targets)
  local made = os.execute("make -s BUILDING=1 " .. targets)
  if made ~= 0 and made ~= true then error("cannot build " .. targets, 0) end
end

function M.here(path) return files.lines("pwd")() .. "/" .. path end

--- Starts `perilune serve` with these fields of a configuration; one worker.
function M.perilune(config, vars, options)
  local o = { config = config .. "\nlog = { access = false },", vars = vars }
  for k, v in pairs(options or {}) do o[k] = v end
  local s, why = server.start(o)
  if not s then error(why, 0) end
  M.defer(function() s:stop() end)
  return { port = s.port, pid = s.proc.pid, server = s, stop = function() s:stop() end }
end

--- A counter of a perilune.
function M.metric(target, name)
  local r = http.get(target.server.admin, "/metrics", 2)
  return tonumber(r and ("\n" .. r.body):match("\n" .. name .. " (%S+)"))
end

-- -- Load -----------------------------------------------------------------------------------

local loads = 0

-- Starts a load; what to call for its report.
local function start_load(args, dir)
  loads = loads + 1
  local out = dir .. "/load." .. loads
  local p = proc.spawn(args, { stdout = out, output = out .. ".err" })
  return function()
    if not p:wait(300) then
      p:stop()
      error("the load did not end", 0)
    end
    local text = files.read(out) or ""
    local t = json.decode(text:match("{.*}") or "")
    if not t then error("the load said: " .. text .. p:text(), 0) end
    return t
  end
end

local function run_load(args, dir) return start_load(args, dir)() end

local function own_args(port, o)
  local args = { server.binary(), "bench", ("http://127.0.0.1:%d/v1"):format(port), "--json",
                 "--no-validate" }
  local function add(k, v) if v then args[#args + 1], args[#args + 2] = k, tostring(v) end end
  add("--requests", o.requests)
  add("--duration", o.seconds)
  add("--rate", o.rate)
  add("--timeout", o.timeout)
  add("--header", o.header)
  if not o.rate then add("--concurrency", o.conns) end
  add("--body", o.body)
  add("--path", o.path)
  if o.stream then args[#args + 1] = "--stream" end
  return args
end

-- The two programs' reports as one: done, failed, p50, p99 (us), rps, tokens.
local function own_report(t)
  return { done = t.requests, failed = t.failed, rps = t.rps, p50 = t.total_us.p50, p95 = t.total_us.p95,
           p99 = t.total_us.p99, max = t.total_us.max, tokens = t.tokens, errors = json.encode(t.errors) }
end

local function own_load(port, o, dir) return own_report(run_load(own_args(port, o), dir)) end

--- Several at once, by `perilune bench`; header is one more option. The reports, in order.
function M.loads(port, list, dir)
  local waits, out = {}, {}
  for i, o in ipairs(list) do waits[i] = start_load(own_args(port, o), dir) end
  for i, wait in ipairs(waits) do out[i] = own_report(wait()) end
  return out
end

local function second_load(port, o, dir)
  local n = o.requests or math.floor((o.rate or 1000) * o.seconds)
  local args = { os.getenv("LLMLOAD"), "-p", tostring(port), "-c", tostring(o.conns or 256),
                 "-n", tostring(n), "-b", o.body }
  if o.rate then args[#args + 1], args[#args + 2] = "-r", tostring(o.rate) end
  local t = run_load(args, dir)
  return { done = t.done, failed = t.errs, rps = t.rps, p50 = t.total_us.p50, p99 = t.total_us.p99,
           tokens = 0, errors = tostring(t.errs) .. " errors" }
end

--- options: body (a file), requests or seconds, conns or rate, stream, dir.
function M.load(port, options)
  local f = os.getenv("LLMLOAD") and second_load or own_load
  return f(port, options, options.dir)
end

--- CPU microseconds per request that `target` spent during a load.
function M.cpu_per_request(target, options)
  local before = proc.cpu_us(target.pid)
  local r = M.load(target.port, options)
  if r.failed > 0 then M.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
  return (proc.cpu_us(target.pid) - before) / r.done, r
end

--- The same, several times in turn for several targets (a quiet moment for one is
--- one for all); the medians, in the order of the targets.
function M.compare(targets, options, rounds)
  local all, out = {}, {}
  local warm = {}
  for k, v in pairs(options) do warm[k] = v end
  warm.requests = math.max(200, math.floor((options.requests or 2000) / 10))
  for i, t in ipairs(targets) do
    M.load(t.port, warm)
    all[i] = {}
  end
  for _ = 1, rounds or 3 do
    for i, t in ipairs(targets) do all[i][#all[i] + 1] = (M.cpu_per_request(t, options)) end
  end
  for i in ipairs(targets) do out[i] = M.median(all[i]) end
  return out
end

-- -- Running -----------------------------------------------------------------------------------

--- Runs a benchmark, cleans up, exits 0 when no figure missed its bar.
function M.run(fn)
  io.stdout:setvbuf("line")
  M.files = posix.raise_files(32000)
  local ok, err = pcall(loop.run, fn)
  for i = #cleanup, 1, -1 do pcall(cleanup[i]) end
  if not ok then
    print("# failed: " .. tostring(err))
    os.exit(2)
  end
  local missed = 0
  for _, verdict in ipairs(M.results) do
    if verdict == "MISS" then missed = missed + 1 end
  end
  os.exit(missed == 0 and 0 or 1)
end

return M

-- soak.lua -- a minute of what the world does to a gateway.
--
--   luajit tests/soak/soak.lua [SECONDS] [SEED]        default 60 seconds
--
-- Two servers, plain and TLS, with random clients (good, bad, slow, leaving at any byte); an
-- upstream that is killed and comes back, and two, plain and TLS, whose answers end anywhere
-- (torn.lua); policies that map, tap, read and clean up; reloads by signal and by request, good and
-- broken.  Asked afterwards:
--
--   are the servers alive?        did every answer have status 200 or a typed error?
--   did streams end in [DONE] or an error event?     is memory flat?
--   are there as many descriptors as before?         do the metrics say nothing runs?
--   did the servers end well when they were told to? (with a sanitizer: without a leak)
--
-- Memory and descriptors are compared between two quiet moments: after a warm-up
-- of a quarter of the time, and at the end.  A sanitizer keeps memory that was freed, so with one
-- memory is not compared.

package.path = "tests/?.lua;" .. package.path

local loop = require "support.loop"
local net = require "support.net"
local http = require "support.http"
local proc = require "support.proc"
local posix = require "support.posix"
local json = require "support.json"
local server = require "support.server"
local tls = require "support.tls"
local files = require "support.files"
local torn = require "soak.torn"

local SECONDS = tonumber(arg[1]) or 60
local SEED = tonumber(arg[2]) or os.time()
local CLIENTS = 40
local MAY_GROW, MAY_GROW_KB, MAY_GROW_FDS = 1.15, 4096, 24
-- What policies ate is collected later, and malloc keeps it for the next: up to limits.memory of
-- each worker may be there at one look and not at the other.
local MAY_HAVE_KB = (16 + 2 * 32) * 1024

local random = math.random
math.randomseed(SEED)

-- -- The server under test ------------------------------------------------------------

local CONFIG = [[
workers = 2,
upstreams = {
  sim  = { url = "@UPSTREAM@", forward_headers = { "x-sim" },
           timeouts = { connect = 1, headers = 2, first_token = 2, idle = 1, total = 10 } },
  dead = { url = "@DEAD@" },
  torn = { url = "http://127.0.0.1:@TORN@/v1",
           timeouts = { connect = 1, headers = 2, first_token = 2, idle = 1, total = 10 } },
  torn_tls = { url = "https://127.0.0.1:@TORN_TLS@/v1", ca = "@TLS@/cert.pem",
               timeouts = { connect = 1, headers = 2, first_token = 2, idle = 1, total = 10 } },
},
@LISTENER@
routes = { { path = "/v1/chat/completions", policies = { "behave" } } },
limits = { header_timeout = 3, body_timeout = 1, idle_timeout = @IDLE@, body = "1MiB", cpu_ms = 20,
           memory = "32MiB", keepalive_comment = 0.5 },
drain_timeout = 2,]]

local POLICY = [[
local perilune = require "perilune"
local KINDS = { of = { "text", "reasoning", "refusal", "arguments" } }
local function after(fn)
  return function(req, next)
    local res, err = next(req)
    if not res then return nil, err end
    return fn(res, req)
  end
end
local function map_by(unit)
  return after(function(res)
    return res:map(unit, function(s) return s end, KINDS)
              :map(unit, function(s) return s .. "x" end, function() return "." end)
  end)
end
local trouble = {
  map_event = map_by("event"),
  map_word = map_by("word"),
  map_line = map_by("line"),
  break_map = after(function(res)
    local n = 0
    return res:map("word", function(s)
      n = n + 1
      if n > 3 then error(perilune.error{ code = "enough", status = 451, message = "enough" }) end
      return s
    end)
  end),
  break_tap = after(function(res)
    return res:tap(function(ev) if ev.type == "done" then error("on purpose") end end)
  end),
  record = after(function(res) return res:record():finally(function(o) return #(o.text or "") end) end),
  text = after(function(res) res:text() return res end),
  text_mapped = after(function(res) res:map("word", string.upper):text(1) return res end),
  events = after(function(res)
    for ev in res:events() do if ev.type == "done" then break end end
    return res
  end),
  some_events = after(function(res)
    local n = 0
    for _ in res:events() do
      n = n + 1
      if n == 3 then break end
    end
    return n % 2 == 0 and res or perilune.respond{ text = "instead" }
  end),
  cleanup = function(req, next)
    req:finally(function(o) req.ctx.ok = o.ok end)
    local res, err = next(req)
    if not res then return nil, err end
    return res:finally(function(o) req.ctx.text = o.code end)
  end,
  loop = function() while true do end end,
  eat = function() local t = {} for i = 1, 1e9 do t[i] = { i } end end,
  throw = function() error("on purpose") end,
  sleep = function(req, next) perilune.sleep(0.05) return next(req) end,
  fallback = function(req, next)
    local res, err = perilune.upstream("dead"):chat(req)
    if res then return res end
    return next(req)
  end,
  change = function(req, next)
    table.insert(req.messages, 1, { role = "system", content = "Be brief." })
    return next(req)
  end,
  tap = function(req, next)
    local res, err = next(req)
    if not res then return nil, err end
    local n = 0
    res:tap(function() n = n + 1 end)
    res:finally(function() n = nil end)
    return res
  end,
  race = function(req, next)
    perilune.race {
      function() return perilune.upstream("sim"):chat(req) end,
      function() perilune.sleep(0.002) end,
    }
    return next(req)
  end,
}
return function()
  local generation = "@GENERATION@"
  return function(req, next)
    local f = trouble[req.headers["x-trouble"] or "-"]
    if f then return f(req, next) end
    return next(req)
  end
end
]]

-- -- Counting ---------------------------------------------------------------------------

local seen = {}          -- what happened -> how often
local problems = {}

local function count(what) seen[what] = (seen[what] or 0) + 1 end

local function problem(...)
  local text = string.format(...)
  problems[#problems + 1] = text
  if #problems <= 20 then print("PROBLEM  " .. text) end
end

-- An answer is 200, or an error that says what it is.
local function judge(what, r)
  count("status " .. r.status)
  if r.status == 200 then return end
  local body = json.decode(r.body)
  local e = type(body) == "table" and body.error
  if not (type(e) == "table" and type(e.message) == "string" and type(e.type) == "string") then
    problem("%s: status %d without a typed error: %s", what, r.status, r.body:sub(1, 200))
  end
end

local function judge_stream(what, r)
  if r.status ~= 200 then return judge(what, r) end
  count("status 200")
  if r.body:find("data: [DONE]", 1, true) then
    if not r.complete then problem("%s: [DONE], and then the body broke off", what) end
    return count("stream done")
  end
  if r.body:find('data: {"error"', 1, true) or r.body:find('data: {"error"', 1, true) then
    return count("stream error event")
  end
  problem("%s: a stream ended with neither [DONE] nor an error: ...%s (%s)", what,
    r.body:sub(-120), tostring(r.broke))
end

-- -- Clients -------------------------------------------------------------------------------

local servers, stopping = {}, false

local FAULTS = { "status=500", "status=429,retry_after=1", "status=503", "cut=3", "cut_head", "malformed=2",
                 "bad_json", "error_event=2", "slow=40", "split=3", "crlf,comments", "stall=2",
                 "no_done", "not_chunked", "delay_ms=30", "tokens=200", "reset,cut=1", "status=404" }
local TROUBLE = { "loop", "eat", "throw", "sleep", "fallback", "change", "tap", "race" }
local HOOKS = { "map_event", "map_word", "map_line", "break_map", "break_tap", "record", "text", "text_mapped",
                "events", "some_events", "cleanup", "tap" }

local function pick(list) return list[random(#list)] end

-- A connection to one of the servers.
local function dial(options)
  local srv = pick(servers)
  local conn, why = net.connect(srv.port, 5, options)
  if not conn or not srv.is_tls then return conn, why, srv end
  local secret
  secret, why = tls.wrap_client(conn, 10)
  if not secret then conn:close() end
  return secret, why, srv
end

local function headers()
  local out = {}
  if random() < 0.4 then out[1] = "x-sim: " .. pick(FAULTS) end
  if random() < 0.3 then out[#out + 1] = "x-trouble: " .. pick(TROUBLE) end
  return out
end

local function body(fields)
  local t = { model = "sim" }
  for k, v in pairs(fields or {}) do t[k] = v end
  t.messages = json.array { { role = "user", content = ("word "):rep(random(1, 400)) } }
  return http.chat_body(t)
end

local function request(fields, more) return http.format("POST", "/v1/chat/completions", more or headers(), body(fields)) end

-- The connection may be closed at any time by a server that is entitled to: a
-- missing answer is a problem only where the client did nothing wrong.
local function ask(what, bytes, is_stream)
  local conn, why, srv = dial()
  what = what .. " (" .. srv.name .. ")"
  if not conn then return problem("%s: connect: %s", what, why) end
  conn:send(bytes)
  local r
  r, why = http.read_response(conn, 20)
  conn:close()
  if not r then return problem("%s: no answer: %s", what, tostring(why)) end
  if is_stream then judge_stream(what, r) else judge(what, r) end
end

local ACTS = {}

function ACTS.chat() ask("chat", request()) end
function ACTS.stream() ask("stream", request({ stream = true }), true) end
function ACTS.stream_long()
  ask("long stream", request({ stream = true }, { "x-sim: tokens=100,itl_ms=5" }), true)
end
local function hooked() return { "x-trouble: " .. pick(HOOKS), random() < 0.5 and "x-sim: " .. pick(FAULTS) or nil } end
function ACTS.hooks() ask("hooks", request({ stream = true }, hooked()), true) end
function ACTS.hooks_whole() ask("hooks", request(nil, hooked())) end
function ACTS.torn()
  local model = pick { "torn", "torn_tls" }
  ask("torn stream", request({ stream = true, model = model, n = random(3) }, { "x-trouble: " .. pick(HOOKS) }), true)
end
function ACTS.torn_whole()
  ask("torn", request({ model = pick { "torn", "torn_tls" } }, { "x-trouble: " .. pick(HOOKS) }))
end
function ACTS.torn_untouched()
  ask("torn stream", request({ stream = true, model = pick { "torn", "torn_tls" } }, {}), true)
end
function ACTS.embed()
  ask("embeddings", http.format("POST", "/v1/embeddings", {}, '{"model":"sim","input":["a","b"]}'))
end
function ACTS.models() ask("models", http.format("GET", "/v1/models")) end
function ACTS.unknown() ask("unknown path", http.format("GET", "/v1/unknown")) end
function ACTS.bad_json() ask("bad JSON", http.format("POST", "/v1/chat/completions", {}, '{"model":')) end
function ACTS.no_model() ask("unknown model", request({ model = "nope" }, {})) end
function ACTS.dead() ask("dead upstream", request({ model = "dead" }, {})) end
function ACTS.too_long()
  local conn = dial()
  if not conn then return end
  conn:send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
  local r = http.read_response(conn, 5)
  if r then judge("too long", r) else problem("too long: no answer") end
  conn:close()
end

function ACTS.keep_alive()
  local conn = dial()
  if not conn then return end
  for _ = 1, random(2, 6) do
    if not conn:send(request(nil, {})) then break end
    local r = http.read_response(conn, 20)
    if not r then
      count("keep-alive closed")
      break
    end
    judge("keep-alive", r)
    if (r.headers.connection or "") == "close" then break end
  end
  conn:close()
end

function ACTS.pipelined()
  local conn = dial()
  if not conn then return end
  local n = random(2, 5)
  conn:send(request(nil, {}):rep(n))
  for i = 1, n do
    local r = http.read_response(conn, 20)
    if not r then
      if i == 1 then problem("pipelined: no answer") end
      break
    end
    judge("pipelined", r)
  end
  conn:close()
end

function ACTS.leave_before()
  local conn = dial()
  if not conn then return end
  local bytes = request({ stream = random() < 0.5 }, { "x-sim: ttft_ms=500,delay_ms=100" })
  conn:send(bytes:sub(1, random(#bytes)))
  loop.pause(random() * 0.05)
  count("left before an answer")
  if random() < 0.5 then conn:reset() else conn:close() end
end

function ACTS.leave_within()
  local conn = dial()
  if not conn then return end
  conn:send(request({ stream = true }, { "x-sim: endless,itl_ms=2" }))
  for _ = 1, random(1, 10) do
    if not conn:recv(3) then break end
  end
  count("left within a stream")
  if random() < 0.5 then conn:reset() else conn:close() end
end

function ACTS.leave_hooks()
  local conn = dial()
  if not conn then return end
  local model = pick { "sim", "torn", "torn_tls" }
  conn:send(request({ stream = true, model = model }, { "x-trouble: " .. pick(HOOKS), "x-sim: tokens=50,itl_ms=2" }))
  for _ = 1, random(0, 4) do
    if not conn:recv(random() * 0.2) then break end
  end
  count("left behind hooks")
  if random() < 0.5 then conn:reset() else conn:close() end
end

function ACTS.leave_handshake()
  local srv = pick(servers)
  local conn = net.connect(srv.port, 5)
  if not conn then return end
  if srv.is_tls and random() < 0.7 then
    local there = tls.wrap_client(conn, random() * 0.003)
    count(there and "left behind a handshake" or "left within a handshake")
  end
  if random() < 0.5 then conn:reset() else conn:close() end
end

function ACTS.deaf()
  local conn = dial{ buffers = 4096 }
  if not conn then return end
  conn:send(request({ stream = true }, { "x-sim: endless" }))
  loop.pause(0.2 + random() * 0.3)
  count("read nothing")
  conn:close()
end

function ACTS.slow()
  local conn = dial()
  if not conn then return end
  local bytes, late = request(nil, {}), false
  for at = 1, #bytes, 40 do
    if not conn:send(bytes:sub(at, at + 39)) then break end
    loop.pause(random() * 0.05)
  end
  local r = http.read_response(conn, 20)
  if r then judge("slow", r) else count("slow: closed") end
  conn:close()
  return late
end

function ACTS.garbage()
  local conn = dial()
  if not conn then return end
  local bytes = {}
  for i = 1, random(1, 300) do bytes[i] = string.char(random(0, 255)) end
  conn:send(table.concat(bytes) .. "\r\n\r\n")
  conn:finish()
  local r = http.read_response(conn, 5)
  if r then
    count("garbage: " .. r.status)
    if r.status < 400 then problem("garbage got status %d", r.status) end
  else
    count("garbage: closed")
  end
  conn:close()
end

function ACTS.mutated()
  local bytes = request(nil, {})
  local at = random(#bytes)
  bytes = bytes:sub(1, at - 1) .. string.char(random(0, 255)) .. bytes:sub(at + 1)
  local conn = dial()
  if not conn then return end
  conn:send(bytes)
  conn:finish()
  local r = http.read_response(conn, 8)
  if r then judge("mutated", r) else count("mutated: closed") end
  conn:close()
end

local names = {}
for name in pairs(ACTS) do names[#names + 1] = name end
table.sort(names)
for _ = 1, 8 do names[#names + 1] = "chat" names[#names + 1] = "stream" end -- mostly good ones

local function client()
  while not stopping do
    local name = pick(names)
    count("act " .. name)
    count("requests")
    ACTS[name]()
  end
end

-- -- The world ----------------------------------------------------------------------------

local sim

local function start_sim(port, dir)
  local p = proc.spawn({ server.binary(), "sim", "--listen", "127.0.0.1:" .. port }, { output = dir .. "/sim.log" })
  loop.until_true(5, function()
    local conn = net.connect(port, 1)
    if conn then conn:close() end
    return conn
  end)
  return p
end

local function kill_upstreams(port, dir)
  while not stopping do
    loop.wait(nil, nil, loop.now() + 3 + random() * 4)
    if stopping then return end
    sim:kill(posix.SIGKILL)
    sim:wait(5)
    loop.pause(random() * 0.3)
    sim = start_sim(port, dir)
    count("upstream kills")
  end
end

local function broken_reload(srv)
  srv:replace("policies/behave.lua", "return function(\n")
  local r = srv:reload(5)
  srv:replace("policies/behave.lua", POLICY)
  if not r or r.status ~= 422 then problem("a broken reload got %s", r and r.line or "no answer") end
  count("reloads refused")
end

local function keep_reloading(srv)
  local n = 0
  while not stopping do
    loop.pause(0.1 + random() * 0.2)
    if stopping then return end
    n = n + 1
    if n % 5 == 0 then
      broken_reload(srv)
    elseif n % 2 == 0 then
      srv.proc:kill(posix.SIGHUP)
      count("reloads by signal")
    else
      srv.vars.GENERATION = n
      srv:replace("policies/behave.lua", POLICY)
      local r = srv:reload(5)
      if not r or r.status ~= 200 then problem("a reload got %s", r and r.line .. " " .. r.body or "no answer") end
      count("reloads")
    end
  end
end

local function all_alive()
  for _, srv in ipairs(servers) do
    if not srv.proc:alive() then return false end
  end
  return true
end

local function phase(seconds, port, dir)
  stopping = false
  local tasks = { loop.go(kill_upstreams, port, dir) }
  for _, srv in ipairs(servers) do tasks[#tasks + 1] = loop.go(keep_reloading, srv) end
  for _ = 1, CLIENTS do tasks[#tasks + 1] = loop.go(client) end
  local deadline = loop.now() + seconds
  while loop.now() < deadline and all_alive() do loop.pause(0.2) end
  stopping = true
  if not loop.join(40, unpack(tasks)) then problem("clients did not come to an end") end
end

-- Waits until nothing runs any more; returns resident KiB and descriptors.
local function quiet(srv)
  local last
  loop.until_true(15, function()
    local r = http.get(srv.admin, "/metrics", 2)
    last = r and r.body or ""
    local busy
    for value in last:gmatch("\n[%w_:]*in_flight[^\n]-%s(%d+)\n") do busy = (busy or 0) + tonumber(value) end
    return busy == 0
  end)
  loop.pause(srv.vars.IDLE + 0.5) -- idle clients are gone
  -- Garbage of condemned requests is collected step by step: the least of some
  -- looks is what really stays.
  local least = math.huge
  for _ = 1, 15 do
    least = math.min(least, proc.rss_kb(srv.proc.pid) or least)
    loop.pause(0.1)
  end
  return { rss = least, fds = proc.fd_count(srv.proc.pid) or 0 }
end

local function all_quiet()
  local out = {}
  for i, srv in ipairs(servers) do out[i] = quiet(srv) end
  return out
end

-- -- Main ---------------------------------------------------------------------------------

local passed, failed = 0, 0
local function check(what, ok, ...)
  if ok then passed = passed + 1 else failed = failed + 1 end
  print(("%s  %s: %s"):format(ok and "ok  " or "FAIL", what, string.format(...)))
end

local has_sanitizer = server.binary():find("/address/") or server.binary():find("/thread/") or
                      server.binary():find("/undefined/")

local function figures(srv, before, after)
  local most = math.max(before.rss * MAY_GROW, before.rss + MAY_GROW_KB, MAY_HAVE_KB)
  check(srv.name .. ": memory", has_sanitizer or after.rss <= most, "%.1f MB after the warm-up, %.1f MB at the end",
    before.rss / 1024, after.rss / 1024)
  check(srv.name .. ": descriptors", after.fds <= before.fds + MAY_GROW_FDS, "%d after the warm-up, %d at the end",
    before.fds, after.fds)
end

local function print_seen()
  local keys = {}
  for k in pairs(seen) do keys[#keys + 1] = k end
  table.sort(keys)
  for _, k in ipairs(keys) do print(("      %-28s %d"):format(k, seen[k])) end
  check("answers", #problems == 0, "%d problems in %d requests", #problems, seen.requests or 0)
end

-- It is told to end, and what a sanitizer finds at the end is in its log.
local function end_well(srv)
  local trouble = srv:trouble()
  if not trouble then
    srv.proc:kill(posix.SIGTERM)
    if not srv.proc:wait(60) then trouble = "did not end"
    elseif srv.proc.status ~= 0 then trouble = srv.proc:fate() end
    local report = srv:log():match("%w+Sanitizer[^\n]*") or srv:log():match("runtime error[^\n]*")
    trouble = report or trouble
  end
  check(srv.name .. ": server", not trouble, "%s", trouble or "ended well")
  if trouble then print(srv:log():sub(-6000)) end
end

local function start_server(name, dir, vars)
  local here = files.lines("pwd")() .. "/tests/support/tls"
  vars.TLS = here
  local is_tls = name == "tls"
  -- Between a handshake and its request a client waits for its turn among all the others.
  vars.IDLE = is_tls and 8 or 2
  vars.LISTENER = is_tls and ('tls = { cert = "%s/cert.pem", key = "%s/key.pem" },'):format(here, here) or ""
  local srv, why = server.start({ config = CONFIG, dir = dir .. "/" .. name, vars = vars,
                                  files = { ["policies/behave.lua"] = POLICY } })
  if not srv then return check("start", false, "%s", why) end
  srv.name, srv.is_tls = name, is_tls
  servers[#servers + 1] = srv
  return true
end

local function start_servers(dir, port, dead)
  local plain, secret = torn.start(false), torn.start(true)
  for _, name in ipairs { "plain", "tls" } do
    os.execute("mkdir -p '" .. dir .. "/" .. name .. "'")
    local vars = { UPSTREAM = ("http://127.0.0.1:%d/v1"):format(port), GENERATION = 0, TORN = plain, TORN_TLS = secret,
                   DEAD = ("http://127.0.0.1:%d/v1"):format(dead.port) }
    if not start_server(name, dir, vars) then return false end
  end
  return true
end

io.stdout:setvbuf("line")
posix.raise_files(8192)
print(("soak: %d seconds, seed %d"):format(SECONDS, SEED))
loop.run(function()
  local dead, port = net.dead_port(), net.free_port()
  local dir = posix.temp_dir("perilune-soak")
  sim = start_sim(port, dir)
  if start_servers(dir, port, dead) then
    phase(SECONDS / 4, port, dir)
    local before = all_quiet()
    phase(SECONDS * 3 / 4, port, dir)
    local after = all_quiet()
    print_seen()
    for i, srv in ipairs(servers) do
      if srv.proc:alive() then figures(srv, before[i], after[i]) end
      end_well(srv)
    end
  end
  sim:stop()
  for _, srv in ipairs(servers) do srv:stop(true) end
  if failed > 0 then print("kept: " .. dir) else os.execute("rm -rf '" .. dir .. "'") end
end)
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)

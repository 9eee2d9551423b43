-- idle.lua -- what it costs to do nothing.
--
--   luajit tests/bench/idle.lua [plain|tls]     resident memory idle, and per idle open stream,
--                                               upstreams in the clear and over TLS
--
-- A stream here has had its first token and waits for the next: a client socket,
-- an upstream socket, a request with its parser.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local loop = require "support.loop"
local net = require "support.net"
local proc = require "support.proc"
local http = require "support.http"

local STREAMS = 10000

local CONFIG = [[
upstreams = { up = { url = "@UPSTREAM@", @CA@ timeouts = {
  headers = 3600, first_token = 3600, idle = 3600, total = 3600 } } },
limits = { request_timeout = 3600, keepalive_comment = 3600 },
workers = 2,]]

-- Opens a stream and waits for its first bytes.
local function open(port, bytes)
  local conn, why = net.connect(port, 10)
  if not conn then error("connect: " .. why, 0) end
  assert(conn:send(bytes, 10))
  local got
  got, why = conn:recv(20)
  if not got then error("no answer to a stream: " .. why, 0) end
  if not got:find("^HTTP/1.1 200") then error("a stream was refused: " .. got, 0) end
  return conn
end

-- name: what a figure says of the upstream.  Streams that go through another gateway on their way
-- (TLS) cost descriptors and memory there, too: fewer will do.
local function measure(dir, start, most, name, bar)
  -- A token now, the next one in an hour.
  local up = start(dir, { tokens = 2, ttft_ms = 1, itl_ms = 3600000 })
  local ca = up.ca and ('ca = "%s",'):format(bench.here(up.ca)) or ""
  local ours = bench.perilune(CONFIG, { UPSTREAM = up.url, CA = ca })
  http.get(ours.port, "/v1/models")
  if name == "" then bench.figure("RSS idle, 2 workers", proc.rss_kb(ours.pid) / 1024, "MB", nil, 25) end

  local count = math.min(most, math.floor((bench.files - 200) / 2))
  if count < most then
    bench.note("%d descriptors allow %d streams, not %d", bench.files, count, most)
  end
  local request = http.format("POST", "/v1/chat/completions", {}, bench.chat(300, true))
  local before, conns = proc.rss_kb(ours.pid), {}
  for i = 1, count do conns[i] = open(ours.port, request) end
  loop.pause(0.2) -- let the last writes settle: part of what is measured
  local after = proc.rss_kb(ours.pid)
  bench.note("%d streams%s: %.1f MB before, %.1f MB with them", count, name, before / 1024, after / 1024)
  bench.figure(("RSS per idle open stream%s, %d of them"):format(name, count), (after - before) / count, "KB", nil, bar)
  for _, conn in ipairs(conns) do conn:close() end
end

bench.run(function()
  local dir, only = bench.folder(), arg[1]
  if only ~= "tls" then measure(dir, bench.upstream, STREAMS, "", 12) end
  if only ~= "plain" then measure(dir, bench.tls_upstream, STREAMS / 4, " over TLS", 24) end
end)

-- idle.lua -- what it costs to do nothing.
--
--   luajit tests/bench/idle.lua         resident memory idle, and per idle open stream
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
upstreams = { up = { url = "@UPSTREAM@", timeouts = {
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

bench.run(function()
  local dir = bench.folder()
  -- A token now, the next one in an hour.
  local up = bench.upstream(dir, { tokens = 2, ttft_ms = 1, itl_ms = 3600000 })
  local ours = bench.perilune(CONFIG, { UPSTREAM = up.url })
  http.get(ours.port, "/v1/models")
  bench.figure("RSS idle, 2 workers", proc.rss_kb(ours.pid) / 1024, "MB", nil, 25)

  local count = math.min(STREAMS, math.floor((bench.files - 200) / 2))
  if count < STREAMS then
    bench.note("%d descriptors allow %d streams, not %d", bench.files, count, STREAMS)
  end
  local request = http.format("POST", "/v1/chat/completions", {}, bench.chat(300, true))
  local before, conns = proc.rss_kb(ours.pid), {}
  for i = 1, count do conns[i] = open(ours.port, request) end
  loop.pause(0.2) -- let the last writes settle: part of what is measured
  local after = proc.rss_kb(ours.pid)
  bench.note("%d streams: %.1f MB before, %.1f MB with them", count, before / 1024, after / 1024)
  bench.figure(("RSS per idle open stream, %d of them"):format(count), (after - before) / count, "KB", nil, 12)
  for _, conn in ipairs(conns) do conn:close() end
end)

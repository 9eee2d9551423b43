-- websocket.lua -- what a socket costs that nothing is asked on, and a token that comes on one.
--
--   luajit tests/bench/websocket.lua [idle|token]     resident memory per idle WebSocket; CPU per token against the same
--                                                     streams as server-sent events, which are the anchor
--
-- Both kinds of streams are read by the same client, which only looks for their ends; upstreams are the same.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local loop = require "support.loop"
local net = require "support.net"
local proc = require "support.proc"
local http = require "support.http"
local websocket = require "support.websocket"

local SOCKETS = 10000
local ROUNDS = 5

-- -- Nothing to do -------------------------------------------------------------------

local function open_socket(port)
  local conn, why = net.connect(port, 10)
  if not conn then error("connect: " .. why, 0) end
  assert(conn:send(websocket.handshake("/v1/ws"), 10))
  local head
  head, why = conn:take_until("\r\n\r\n", 20)
  if not head or not head:find("^HTTP/1.1 101") then error("no WebSocket: " .. tostring(head or why), 0) end
  return conn
end

-- Waits until the text has come; drops all before it.
local function read_until(conn, mark, seconds)
  local deadline, tail = loop.now() + seconds, ""
  while true do
    local bytes, why = conn:recv(deadline - loop.now())
    if not bytes then error("no " .. mark .. ": " .. why, 0) end
    tail = tail .. bytes
    if tail:find(mark, 1, true) then return end
    tail = tail:sub(-#mark)
  end
end

local function idle(dir)
  local up = bench.upstream(dir, { tokens = 4, ttft_ms = 1 })
  local ours = bench.perilune([[
    upstreams = { up = { url = "@UPSTREAM@" } }, workers = 2, limits = { idle_timeout = 3600 },
    websocket = { ping = 0 },]], { UPSTREAM = up.url })
  http.get(ours.port, "/v1/models")
  local chat = ('{"id":1,"path":"/v1/chat/completions","body":%s}'):format(bench.chat(300, true))
  local function use(conn)
    assert(conn:send(websocket.frame(0x81, chat), 10))
    read_until(conn, '"event":"done"', 20)
  end
  -- The gateway keeps a descriptor for the upstream of each connection, too.
  local count = math.min(SOCKETS, math.floor((bench.files - 300) / 2))
  if count < SOCKETS then bench.note("%d descriptors allow %d sockets, not %d", bench.files, count, SOCKETS) end
  local warm = open_socket(ours.port)
  use(warm)
  local before, conns = proc.rss_kb(ours.pid), {}
  for i = 1, count do conns[i] = open_socket(ours.port) end
  local fresh = proc.rss_kb(ours.pid)
  for i = 1, count do use(conns[i]) end
  loop.pause(0.5)
  local used = proc.rss_kb(ours.pid)
  local open = bench.metric(ours, "perilune_websocket_connections")
  bench.note("%d sockets: %.1f MB before, %.1f MB with them, %.1f MB after a chat on each", open, before / 1024,
    fresh / 1024, used / 1024)
  bench.figure(("RSS per idle WebSocket, %d of them"):format(open), (fresh - before) / open, "KB", nil, 8)
  bench.figure("the same after a chat on each", (used - before) / open, "KB", nil, 8)
  for _, conn in ipairs(conns) do conn:close() end
end

-- -- A token ------------------------------------------------------------------------------

-- Runs fn for all at once, and waits for them.
local function together(count, fn)
  local tasks = {}
  for i = 1, count do tasks[i] = loop.go(fn, i) end
  local ok = loop.until_true(120, function()
    for _, t in ipairs(tasks) do
      if not t.done then return false end
    end
    return true
  end)
  if not ok then error("streams did not end", 0) end
end

local function sse(port, body, streams)
  local conns = {}
  for i = 1, streams do conns[i] = assert(net.connect(port, 10)) end
  local request = http.format("POST", "/v1/chat/completions", {}, body)
  return conns, function()
    together(streams, function(i)
      assert(conns[i]:send(request, 10))
      read_until(conns[i], "data: [DONE]\n\n\r\n0\r\n\r\n", 100)
    end)
  end
end

local function sockets(port, body, streams, each)
  local conns = {}
  for i = 1, streams / each do conns[i] = open_socket(port) end
  return conns, function()
    together(#conns, function(i)
      local conn, ends, tail = conns[i], 0, ""
      for id = 1, each do
        assert(conn:send(websocket.frame(0x81, ('{"id":%d,"path":"/v1/chat/completions","body":%s}'):format(id, body)), 10))
      end
      while ends < each do
        local bytes, why = conn:recv(100)
        if not bytes then error("a socket ended: " .. why, 0) end
        tail = tail .. bytes
        local n, last = 0, 0
        for at in tail:gmatch('"event":"done"()') do n, last = n + 1, at end
        ends = ends + n
        tail = n > 0 and tail:sub(last) or tail:sub(-20)
      end
    end)
  end
end

local function token(dir)
  local STREAMS, TOKENS, GAP = 200, 100, 20
  local up = bench.upstream(dir, { tokens = TOKENS, ttft_ms = GAP, itl_ms = GAP })
  local ours = bench.perilune("upstreams = { up = { url = \"@UPSTREAM@\" } },", { UPSTREAM = up.url })
  local body = bench.chat(300, true)
  local kinds = { { sse(ours.port, body, STREAMS) }, { sockets(ours.port, body, STREAMS, 1) },
                  { sockets(ours.port, body, STREAMS, 10) } }
  local took = { {}, {}, {} }
  for round = 0, ROUNDS do -- the first one warms up
    for i, kind in ipairs(kinds) do
      local before = proc.cpu_us(ours.pid)
      kind[2]()
      if round > 0 then took[i][round] = (proc.cpu_us(ours.pid) - before) / STREAMS / TOKENS end
    end
  end
  local anchor = bench.median(took[1])
  bench.figure(("per token, %d sockets of one stream (anchor SSE)"):format(STREAMS), bench.median(took[2]), "us", anchor, 1.0, true)
  bench.figure(("per token, %d sockets of ten streams (anchor SSE)"):format(STREAMS / 10), bench.median(took[3]), "us", anchor, 1.0, true)
end

bench.run(function()
  local dir, only = bench.folder(), arg[1]
  if only ~= "token" then idle(dir) end
  if only ~= "idle" then token(dir) end
end)

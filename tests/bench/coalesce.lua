-- coalesce.lua -- does everybody who asks the same at the same time get the whole of one answer?
--
--   luajit tests/bench/coalesce.lua [rounds]     1000 rounds of 64 clients, another question each round; 2 workers
--
-- The upstream is played here, so that every byte it says is known.  56 clients ask before its first token, 8 when
-- half of the answer is there.  Nothing depends on time: it says nothing before the gateway has counted
-- those who share the answer (or a second has passed).  No figure of speed.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"

local ROUNDS, CLIENTS, LATE = tonumber(arg[1]) or 1000, 64, 8
local asked = {} -- by question: how often the upstream was asked
local ours

local function joined() return bench.metric(ours, "perilune_coalesced_total") end

-- Waits until so many more than at `from` share an answer.
local function wait_joined(from, n) loop.until_true(1, function() return joined() - from >= n end) end

local function question(round)
  return json.encode{ model = "m", stream = true, messages = json.array{ { role = "user", content = "round " .. round } } }
end

-- The answer of a round: events of very different sizes, from some KB to some 100 KB.
local function events_of(round)
  local out = {}
  for i = 1, 8 + round * 37 % 120 do
    local text = ("%d.%d "):format(round, i):rep(1 + (round + i) * (i % 16 == 0 and 97 or 1) % 800)
    out[i] = "data: " .. json.encode{ id = "r" .. round, object = "chat.completion.chunk", created = 1, model = "m",
      choices = json.array{ { index = 0, delta = { content = text } } } } .. "\n\n"
  end
  out[#out + 1] = 'data: {"id":"r","object":"chat.completion.chunk","created":1,"model":"m",'
    .. '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
  out[#out + 1] = "data: [DONE]\n\n"
  return out
end

-- -- The upstream ------------------------------------------------------------------

local from = 0 -- what joined() was when the round began
local ready    -- how many clients of the round have asked

local function answer(conn, request)
  local round = tonumber(request.body:match("round (%d+)"))
  asked[round] = (asked[round] or 0) + 1
  local events = events_of(round)
  local half = math.floor(#events / 2)
  wait_joined(from, CLIENTS - LATE - 1)
  conn:send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
  for i, event in ipairs(events) do
    if i == half then
      ready = true
      wait_joined(from, CLIENTS - 1)
    end
    if not conn:send(("%x\r\n%s\r\n"):format(#event, event)) then return false end
  end
  return conn:send("0\r\n\r\n")
end

local function serve(conn)
  for request in function() return http.read_request(conn, 3600) end do
    if not answer(conn, request) then return end
  end
end

local function accept(listener)
  while true do
    local conn = listener:accept(3600)
    if not conn then return end
    loop.try(serve, conn)
  end
end

-- -- A round -----------------------------------------------------------------------------

local function ask(conns, first, last, bytes)
  for i = first, last do assert(conns[i]:send(bytes)) end
end

-- Bytes that are not what the upstream said.
local function read(conns, said)
  local wrong = 0
  for _, conn in ipairs(conns) do
    local r, why = http.read_response(conn, 30)
    local got = r and r.complete and r.body or ""
    if got ~= said then
      bench.note("%d bytes instead of %d: %s", #got, #said, r and (r.broke or r.line) or tostring(why))
      wrong = wrong + math.max(1, #said - #got)
    end
  end
  return wrong
end

local function play(conns, round)
  from, ready = joined(), false
  local bytes = http.format("POST", "/v1/chat/completions", nil, question(round))
  ask(conns, 1, CLIENTS - LATE, bytes)
  loop.until_true(5, function() return ready end)
  ask(conns, CLIENTS - LATE + 1, CLIENTS, bytes)
  return read(conns, table.concat(events_of(round)))
end

bench.run(function()
  local listener = net.listen()
  loop.go(accept, listener)
  ours = bench.perilune([[
    workers = 2,
    upstreams = { up = { url = "@UPSTREAM@" } },
    routes = { { path = "/v1/chat/completions", policies = { { "coalesce" } } } },]],
    { UPSTREAM = ("http://127.0.0.1:%d/v1"):format(listener.port) })
  local conns, wrong, off = {}, 0, 0
  for i = 1, CLIENTS do conns[i] = assert(net.connect(ours.port)) end
  for round = 1, ROUNDS do
    wrong = wrong + play(conns, round)
    if asked[round] ~= 1 then off = off + 1 end
  end
  local name = ("%d clients, %d rounds"):format(CLIENTS, ROUNDS)
  bench.figure(name .. ": not exactly 1 upstream request", off, "rounds", nil, 0)
  bench.figure(name .. ": missing or wrong", wrong, "bytes", nil, 0)
end)

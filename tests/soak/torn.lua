-- torn.lua -- an upstream whose answers end anywhere: plain and TLS.
--
-- An answer is made at random (whole or streamed; choices, kinds and frames of all sorts),
-- sent in pieces, and at a random byte of every other one the connection is reset, closed,
-- or falls silent.  Of TLS connections some end within the handshake.

local net = require "support.net"
local loop = require "support.loop"
local http = require "support.http"
local tls = require "support.tls"

local M = {}
local random = math.random

local function pick(list) return list[random(#list)] end

local WORDS = { "one ", "two", "\\n", " three", "\\ud83d", "\\ude00", "\xe4\xb8\x96\xe7\x95\x8c", "",
                "{\\\"a\\\":", "1}" }

local function member()
  local text = pick(WORDS)
  return pick {
    '"content":"%s"', '"reasoning_content":"%s"', '"reasoning":"%s"', '"refusal":"%s"',
    '"content":[{"type":"text","text":"%s"}]', '"tool_calls":[{"index":1,"function":{"arguments":"%s"}}]',
    '"function_call":{"arguments":"%s"}',
  }:format(text)
end

local REASONS = { "null", '""', '"null"', '"stop"', '"tool_calls"' }

local function choice(i, said)
  return ('{"index":%d,"%s":{%s},"finish_reason":%s,"logprobs":null}'):format(i, said, member(), pick(REASONS))
end

local function event()
  local list = {}
  for i = 1, random(0, 3) do list[i] = choice(random(0, 2), "delta") end
  return ('{"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m","choices":[%s]%s}'):format(
    table.concat(list, ","), random() < 0.1 and ',"usage":{"prompt_tokens":3,"completion_tokens":2}' or "")
end

local function frame()
  local dice = random()
  if dice < 0.02 then return "data: no JSON\n\n" end
  if dice < 0.04 then return 'data: {"error":{"message":"lost","code":500}}\n\n' end
  if dice < 0.1 then return ": still here\n\n" end
  if dice < 0.2 then return "data: " .. event():gsub(',"', ',\ndata: "', 1) .. "\r\n\r\n" end
  return "data: " .. event() .. "\n\n"
end

local function chunked(body)
  local out = {}
  while #body > 0 do
    local n = random(math.min(#body, 400))
    out[#out + 1] = ("%x\r\n%s\r\n"):format(n, body:sub(1, n))
    body = body:sub(n + 1)
  end
  return table.concat(out) .. "0\r\n\r\n"
end

local function stream()
  local out = {}
  for i = 1, random(1, 40) do out[i] = frame() end
  local stop = 'data: {"choices":[{"index":%d,"delta":{},"finish_reason":"stop"}]}\n\n'
  for i = 0, 2 do out[#out + 1] = stop:format(i) end
  if random() < 0.8 then out[#out + 1] = "data: [DONE]\n\n" end
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" ..
    chunked(table.concat(out))
end

local function whole()
  local body = ('{"id":"chatcmpl-1","object":"chat.completion","model":"m","choices":[%s,%s],'
    .. '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}')
    :format(choice(0, "message"), choice(1, "message"))
  local status = pick { "200 OK", "200 OK", "200 OK", "429 Too Many Requests", "500 Whatever" }
  return ("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"):format(status, #body, body)
end

-- Up to `stop`, in pieces.  True: all of them left.
local function send(conn, bytes, stop)
  local at = 1
  while at <= stop do
    local n = math.min(random(2000), stop - at + 1)
    if not conn:send(bytes:sub(at, at + n - 1), 5) then return false end
    at = at + n
    if random() < 0.2 then loop.pause(random() * 0.005) end
  end
  return true
end

local function part(conn)
  local dice = random()
  if dice < 0.5 then conn:reset()
  elseif dice < 0.9 then conn:close()
  else conn:wait_closed(3) end
end

local function serve(conn, is_tls)
  if is_tls and random() < 0.05 then return conn:reset() end
  if is_tls and not tls.wrap_server(conn, random() < 0.05 and 0.001 or 5) then return conn:reset() end
  while conn.fd do
    local request = http.read_request(conn, 30)
    if not request then break end
    local bytes = request.body:find('"stream":true', 1, true) and stream() or whole()
    local torn = random() < 0.5
    if not send(conn, bytes, torn and random(0, #bytes) or #bytes) then break end
    if torn then
      part(conn)
      break
    end
  end
  conn:close()
end

--- Listens, and serves as long as the loop runs.  Returns the port.
function M.start(is_tls)
  local listener = net.listen()
  loop.go(function()
    while true do
      local conn = listener:accept(3600)
      if conn then loop.go(serve, conn, is_tls) end
    end
  end)
  return listener.port
end

return M

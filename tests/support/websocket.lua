-- websocket.lua -- a client's side of RFC 6455, on connections of net.lua.
--
-- Frames go out masked and come in as lines of text: "text {...}", "close 1000 why", "ping", "pong x".

local bit = require "bit"
local ffi = require "ffi"

local M = {}

local KEY = "dGhlIHNhbXBsZSBub25jZQ=="
M.ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
local NAMES = { [0] = "continuation", [1] = "text", [2] = "binary", [8] = "close", [9] = "ping", [10] = "pong" }
local MASK = { 0x37, 0xfa, 0x21, 0x3d }

--- The head of a handshake.  headers: list of "Name: value" in place of the usual.
function M.handshake(path, headers)
  local lines = { ("GET %s HTTP/1.1"):format(path), "Host: test", "Upgrade: websocket", "Connection: Upgrade",
                  "Sec-WebSocket-Key: " .. KEY, "Sec-WebSocket-Version: 13" }
  for _, h in ipairs(headers or {}) do lines[#lines + 1] = h end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function big_endian(n, bytes)
  local out = {}
  for i = bytes, 1, -1 do
    out[i] = string.char(n % 256)
    n = math.floor(n / 256)
  end
  return table.concat(out)
end

--- One masked frame; first: its first byte, 0x81 for a whole text.
function M.frame(first, payload)
  local n = #payload
  local len = n < 126 and string.char(0x80 + n) or n < 65536 and "\254" .. big_endian(n, 2)
              or "\255" .. big_endian(n, 8)
  local out = ffi.new("uint8_t[?]", n)
  ffi.copy(out, payload, n)
  for i = 0, n - 1 do out[i] = bit.bxor(out[i], MASK[i % 4 + 1]) end
  return string.char(first) .. len .. string.char(unpack(MASK)) .. ffi.string(out, n)
end

local function number(s)
  local n = 0
  for i = 1, #s do n = n * 256 + s:byte(i) end
  return n
end

--- The next frame of a server: opcode, payload, whether it is its message's last; or nil, why.
function M.read(conn, seconds)
  local head, why = conn:take(2, seconds)
  if not head then return nil, why end
  local first, second = head:byte(1, 2)
  if second >= 128 then return nil, "a server's frame is masked" end
  local more, len = second == 126 and 2 or second == 127 and 8 or 0, second
  if more > 0 then
    local bytes
    bytes, why = conn:take(more, seconds)
    if not bytes then return nil, why end
    len = number(bytes)
  end
  local payload
  payload, why = conn:take(len, seconds)
  if not payload then return nil, why end
  return first % 16, payload, first >= 128
end

--- The same as a line.
function M.line(opcode, payload, last)
  local name = NAMES[opcode] or ("opcode %d"):format(opcode)
  if opcode == 8 and #payload >= 2 then payload = ("%d %s"):format(number(payload:sub(1, 2)), payload:sub(3)) end
  return (name .. (last and "" or ", not the last") .. " " .. payload):gsub(" $", "")
end

return M

-- pack.lua -- from OpenAI's list of tokens to the compact form that is kept here.
--
--   luajit core/tokens/vocab/pack.lua NAME.tiktoken core/tokens/vocab/NAME.pairs
--
-- A .tiktoken file has a line per token: its bytes in base64, its rank.  Every token of
-- more than one byte is two tokens of lower rank side by side, so two numbers say
-- what it is:
--
--   "BPEPAIRS"  u32 version 1, u32 n, the 256 bytes that the first 256 tokens are,
--   then for each token i from 256 to n - 1: left, right, each of as many bits as
--   i - 1 needs, lowest bit first; zero bits to the end of the byte
--
-- 3.6 MB become 0.9 MB, and what does not decode to the same tokens cannot be read.

local bit = require("bit")
local from, to = arg[1], arg[2]
if not to then
  io.stderr:write("usage: luajit core/tokens/vocab/pack.lua NAME.tiktoken NAME.pairs\n")
  os.exit(2)
end

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local digit = {}
for i = 1, 64 do digit[BASE64:byte(i)] = i - 1 end

local function decode(text)
  local out, acc, bits = {}, 0, 0
  for i = 1, #text do
    local d = digit[text:byte(i)]
    if d then
      acc, bits = acc * 64 + d, bits + 6
      if bits >= 8 then
        bits = bits - 8
        out[#out + 1] = string.char(math.floor(acc / 2 ^ bits))
        acc = acc % 2 ^ bits
      end
    end
  end
  return table.concat(out)
end

local rank, token, n = {}, {}, 0
for line in io.lines(from) do
  local text, r = line:match("^(%S+) (%d+)$")
  local bytes = decode(assert(text, "not a line of tokens: " .. line))
  r = tonumber(r)
  assert(not rank[bytes] and not token[r], "twice: " .. line)
  rank[bytes], token[r], n = r, bytes, n + 1
end

local out, acc, bits = {}, 0, 0
local function put(value, width)
  acc, bits = acc + value * 2 ^ bits, bits + width
  while bits >= 8 do
    out[#out + 1] = string.char(acc % 256)
    acc, bits = math.floor(acc / 256), bits - 8
  end
end
local function u32(v)
  return string.char(bit.band(v, 255), bit.band(bit.rshift(v, 8), 255), bit.band(bit.rshift(v, 16), 255),
                     bit.rshift(v, 24))
end

local head = { "BPEPAIRS", u32(1), u32(n) }
for r = 0, 255 do
  assert(#token[r] == 1, "the first 256 tokens are single bytes")
  head[#head + 1] = token[r]
end
local width = 8
for r = 256, n - 1 do
  local bytes = assert(token[r], "no token " .. r)
  local left, right
  for k = 1, #bytes - 1 do
    left, right = rank[bytes:sub(1, k)], rank[bytes:sub(k + 1)]
    if left and right and left < r and right < r then break end
    left = nil
  end
  assert(left, "token " .. r .. " is not two earlier ones")
  while 2 ^ width < r do width = width + 1 end
  put(left, width)
  put(right, width)
end
if bits > 0 then put(0, 8 - bits) end

local file = assert(io.open(to, "wb"))
file:write(table.concat(head), table.concat(out))
file:close()

-- fake_redis.lua -- as much of a Redis as the shared index needs, with answers as real ones gave them.
--
-- Values, their times, vector sets of Redis 8.0.2 and an index of RediSearch 2.10, recorded once (see ANSWERS) and
-- said again with other names and numbers.  Scripts are known by what stands in them.  A test may say what a command
-- answers instead (says[WORD] = bytes), let it hang (hangs[WORD] = true), and stop and start the whole.

local ffi = require "ffi"
local loop = require "support.loop"
local net = require "support.net"

local M = {}
local Fake = {}
Fake.__index = Fake

-- What real servers say; %s is what a command is about.
local ANSWERS = {
  no_command = "-ERR unknown command '%s', with args beginning with: \r\n",
  no_script_command = "-ERR Unknown Redis command called from script script: 057637241aedcec723dd7c70d6a4cd00fd22d8fa, "
    .. "on @user_script:1.\r\n",
  no_index = "-%s: no such index\r\n",
  has_index = "-Index already exists\r\n",
  subscribed = "*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n",
}

local function bulk(text) return ("$%d\r\n%s\r\n"):format(#text, text) end

local function floats(bytes)
  local n, out = #bytes / 4, {}
  local list = ffi.new("float[?]", n)
  ffi.copy(list, bytes, #bytes)
  for i = 0, n - 1 do out[i + 1] = list[i] end
  return out
end

local function cosine(a, b)
  local ab, aa, bb = 0, 0, 0
  for i = 1, #a do ab, aa, bb = ab + a[i] * b[i], aa + a[i] * a[i], bb + b[i] * b[i] end
  return ab / math.sqrt(aa * bb)
end

function Fake:live(key)
  local e = self.keys[key]
  if e and e.ends and e.ends <= loop.now() then
    self.keys[key] = nil
    return nil
  end
  return e
end

function Fake:set(key, value, ms) self.keys[key] = { value = value, ends = ms and loop.now() + ms / 1000 } end

-- Nearest first: { element, cosine }.
local function nearest(all, vector)
  local out = {}
  for name, v in pairs(all) do out[#out + 1] = { name, cosine(v, vector) } end
  table.sort(out, function(a, b) return a[2] > b[2] end)
  for i = #out, 9, -1 do out[i] = nil end
  return out
end

-- -- Commands ---------------------------------------------------------------------------------

local commands = {}

function commands.AUTH() return "+OK\r\n" end
commands.SELECT = commands.AUTH

function commands:GET(key)
  local e = self:live(key)
  return e and bulk(e.value) or "$-1\r\n"
end

function commands:PTTL(key)
  local e = self:live(key)
  return not e and ":-2\r\n" or e.ends and (":%d\r\n"):format((e.ends - loop.now()) * 1000) or ":-1\r\n"
end

function commands.SUBSCRIBE(_, channel) return ANSWERS.subscribed:format(#channel, channel) end

function commands:SET(key, value, _, ms)
  self:set(key, value, tonumber(ms))
  return "+OK\r\n"
end

local function set_of(self, key)
  self.sets[key] = self.sets[key] or {}
  return self.sets[key]
end

function commands:VSIM(key, _, vector)
  local out = {}
  for _, hit in ipairs(nearest(self.sets[key] or {}, floats(vector))) do
    out[#out + 1] = bulk(hit[1]) .. bulk(("%.16g"):format((1 + hit[2]) / 2))
  end
  return ("*%d\r\n"):format(2 * #out) .. table.concat(out)
end

function commands:VREM(key, element)
  local had = set_of(self, key)[element]
  set_of(self, key)[element] = nil
  return had and ":1\r\n" or ":0\r\n"
end

function commands:UNLINK(key)
  local had = self:live(key) or self.hashes[key]
  self.keys[key], self.hashes[key] = nil, nil
  return had and ":1\r\n" or ":0\r\n"
end

commands["FT.CREATE"] = function(self, index, ...)
  if self.indexes[index] then return ANSWERS.has_index end
  local words = { ... }
  self.indexes[index] = { prefix = words[5] }
  return "+OK\r\n"
end

commands["FT.SEARCH"] = function(self, index, query, _, _, _, vector)
  local made, part = self.indexes[index], query:match("^%(@p:{(%x+)}%)=>%[KNN 8 @v %$q AS s%]$")
  if not made then return ANSWERS.no_index:format(index) end
  if not part then return "-Syntax error at offset 5 near p\r\n" end
  local all = {}
  for key, hash in pairs(self.hashes) do
    if key:sub(1, #made.prefix) == made.prefix and hash.part == part and hash.ends > loop.now() then
      all[key] = hash.vector
    end
  end
  local hits = nearest(all, floats(vector))
  local out = {}
  for i, hit in ipairs(hits) do
    out[i] = bulk(hit[1]) .. "*2\r\n$1\r\ns\r\n" .. bulk(("%.12g"):format(1 - hit[2]))
  end
  return ("*%d\r\n:%d\r\n"):format(1 + 2 * #hits, #hits) .. table.concat(out)
end

-- Scripts, by a command that stands in each.
local scripts = {
  { "'VADD'", function(self, key, vector, element, _, entries)
    if self.kind ~= "redis" then return ANSWERS.no_script_command end
    set_of(self, key)[element] = floats(vector)
    local names = {}
    for name in pairs(set_of(self, key)) do names[#names + 1] = name end
    for _ = 1, math.min(3, #names) do
      local name = table.remove(names, math.random(#names))
      if name ~= element and not self:live(entries .. name) then set_of(self, key)[name] = nil end
    end
    return ":1\r\n"
  end },
  { "'HSET'", function(self, key, part, vector, ms)
    self.hashes[key] = { part = part, vector = floats(vector), ends = loop.now() + ms / 1000 }
    return ":1\r\n"
  end },
  { "'SET'", function(self, key, ...) -- and tags
    local rest = { ... }
    self:set(key, rest[#rest - 1], tonumber(rest[#rest]))
    return ":1\r\n"
  end },
  { "'ZRANGEBYSCORE'", function() return "$0\r\n\r\n" end }, -- notes: there are none
}

function commands:EVAL(script, _, ...)
  for _, known in ipairs(scripts) do
    if script:find(known[1], 1, true) then return known[2](self, ...) end
  end
  return ":1\r\n"
end

local only = { VSIM = "redis", VREM = "redis", ["FT.CREATE"] = "redisearch", ["FT.SEARCH"] = "redisearch" }

function Fake:answer(words)
  local name = words[1]:upper()
  self.asked[name] = (self.asked[name] or 0) + 1
  while self.hangs[name] and self.listener do loop.pause(0.01) end
  local instead = self.says[name]
  if instead and (name ~= "GET" or not words[2]:find("hello", 1, true)) then return instead end
  local fn = commands[name]
  if not fn or (only[name] and only[name] ~= self.kind) then return ANSWERS.no_command:format(words[1]) end
  return fn(self, unpack(words, 2))
end

-- -- Connections ------------------------------------------------------------------------------------

local function read_command(conn)
  local line = conn:take_until("\r\n", 3600)
  local count = line and tonumber(line:match("^%*(%d+)"))
  if not count then return nil end
  local words = {}
  for i = 1, count do
    line = conn:take_until("\r\n", 10)
    local size = line and tonumber(line:match("^%$(%d+)"))
    local text = size and conn:take(size + 2, 10)
    if not text then return nil end
    words[i] = text:sub(1, -3)
  end
  return words
end

local function serve(self, conn)
  self.conns[conn] = true
  while conn.fd do
    local words = read_command(conn)
    local answer = words and self:answer(words)
    if not words or answer == "" then break end -- "": it hangs up
    if answer and not conn:send(answer, 10) then break end
  end
  self.conns[conn] = nil
  conn:close()
end

function Fake:start()
  self.listener = net.listen(self.port)
  self.port = self.listener.port
  self.task = loop.go(function()
    while true do
      local conn = self.listener:accept(3600)
      if not conn then return end
      loop.go(serve, self, conn)
    end
  end)
end

--- Nobody is there any more; what it had stays.
function Fake:stop()
  if self.task then loop.cancel(self.task) end
  if self.listener then self.listener:close() end
  self.task, self.listener = nil, nil
  for conn in pairs(self.conns) do conn:finish() end
end

--- kind: "redis" (8), "redisearch", or "old", which is neither.
function M.new(kind)
  local self = setmetatable(M.bare(kind), Fake)
  self:start()
  return self
end

--- The same without its methods, and not started: for who adds to them.
function M.bare(kind)
  return { kind = kind, keys = {}, sets = {}, hashes = {}, indexes = {}, says = {}, hangs = {}, asked = {}, conns = {} }
end
M.class = Fake

--- For tests, as real_redis.lua has it.
function Fake:forget_entries()
  for key in pairs(self.keys) do if key:find(":e:", 1, true) then self.keys[key] = nil end end
end

function Fake:vectors()
  local n = 0
  for _, set in pairs(self.sets) do for _ in pairs(set) do n = n + 1 end end
  for _ in pairs(self.hashes) do n = n + 1 end
  return n
end

return M

-- real_redis.lua -- a real server of its own, in place of fake_redis.lua: Redis 8, RediSearch, or an old Redis.

local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local proc = require "support.proc"

local M = {}
local Real = {}
Real.__index = Real

function Real:start()
  local args = { self.server, "--port", tostring(self.port), "--bind", "127.0.0.1", "--dir", self.dir, "--save", "",
                 "--appendonly", "no" }
  if self.module then
    args[#args + 1], args[#args + 2] = "--loadmodule", self.module
  end
  self.proc = proc.spawn(args, { output = self.dir .. "/log" })
  local up = loop.until_true(20, function()
    local conn = net.connect(self.port)
    if conn then conn:close() end
    return conn ~= nil
  end)
  assert(up, self.server .. " did not start: " .. self.proc:text())
end

function Real:stop()
  if self.proc then self.proc:stop() end
  self.proc = nil
end

function Real:ask(...)
  local conn = assert(net.connect(self.port))
  local words, text = { ... }, {}
  for i, w in ipairs(words) do text[i] = ("$%d\r\n%s\r\n"):format(#w, w) end
  assert(conn:send(("*%d\r\n"):format(#words) .. table.concat(text)))
  local line = assert(conn:take_until("\r\n", 10))
  local n = line:match("^%$(%d+)")
  if n then line = assert(conn:take(tonumber(n) + 2, 10)) end
  conn:close()
  return line:sub(1, -3)
end

function Real:forget_entries()
  self:ask("EVAL", "for _, k in ipairs(redis.call('KEYS', '*:e:*')) do redis.call('DEL', k) end return 1", "0")
end

function Real:vectors()
  return tonumber(self:ask("EVAL", [[local n = 0
    for _, k in ipairs(redis.call('KEYS', '*:v:*')) do n = n + redis.call('VCARD', k) end
    return tostring(n + #redis.call('KEYS', '*:h:*'))]], "0"))
end

--- server: a path; module: of a library to load, or nil.
function M.new(server, module)
  local self = setmetatable({ server = server, module = module, port = net.free_port(),
                              dir = posix.temp_dir("perilune-vectors") }, Real)
  self:start()
  return self
end

function Real:clean() os.execute("rm -rf '" .. self.dir .. "'") end

return M

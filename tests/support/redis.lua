--- redis.lua: a Redis server of a test's own, and questions to it.
--
--   local r = redis.new(program, { "--unixsocket", path })    on a free port, in a folder of its own: r.port, r.dir
--   r:ask("STRLEN", key)                                      the answer as Redis writes it
--   r:stop() r:start() r:clean()

local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local proc = require "support.proc"

local M = {}
local Server = {}
Server.__index = Server

function Server:start()
  self.proc = proc.spawn(self.args, { output = self.dir .. "/log" })
  local up = loop.until_true(20, function()
    local conn = net.connect(self.port)
    if conn then conn:close() end
    return conn ~= nil
  end)
  assert(up, self.args[1] .. " did not start: " .. self.proc:text())
end

function Server:ask(...)
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

function Server:stop()
  if self.proc then self.proc:stop() end
  self.proc = nil
end

function Server:clean() os.execute("rm -rf '" .. self.dir .. "'") end

--- more: further words of its command line; @DIR@ is its folder.
function M.new(program, more)
  local self = setmetatable({ dir = posix.temp_dir("perilune-redis"), port = net.free_port() }, Server)
  -- It finds out by its name what it is.
  os.execute(("ln -s \"$(command -v '%s')\" '%s/redis-server'"):format(program, self.dir))
  self.args = { self.dir .. "/redis-server", "--port", tostring(self.port), "--bind", "127.0.0.1", "--dir", self.dir,
                "--save", "", "--appendonly", "no" }
  for _, word in ipairs(more or {}) do self.args[#self.args + 1] = (word:gsub("@DIR@", self.dir)) end
  self:start()
  return self
end

return M

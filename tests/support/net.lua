-- net.lua -- TCP on loopback, blocking style inside a task of loop.lua.
--
-- Every call takes a deadline in seconds from now and returns nil, "timeout" when
-- it passed.  The default is long: it is for what never comes, not for what is slow.
-- Results are values, not errors: a test says itself what it expected.

local ffi = require "ffi"
local posix = require "support.posix"
local loop = require "support.loop"

local C = posix.C
local M = {}
local DEFAULT = 30

-- -- Connections ----------------------------------------------------------------

local Conn = {}
Conn.__index = Conn

local function wrap(fd) return setmetatable({ fd = fd, got = "" }, Conn) end

local function reason(code)
  if code == posix.ECONNRESET or code == posix.EPIPE then return "reset" end
  if code == posix.ECONNREFUSED then return "refused" end
  return posix.strerror(code)
end

--- Connects to 127.0.0.1:port.  options.buffers: size of the receive buffer.
function M.connect(port, seconds, options)
  local fd = posix.tcp_socket()
  if options and options.buffers then posix.set_buffers(fd, options.buffers) end
  if not posix.connect(fd, port) then
    local why = reason(posix.errno())
    posix.C.close(fd)
    return nil, why
  end
  -- On loopback the kernel has answered by now.  Who goes on at once sends his first bytes
  -- before the server's idle deadline can matter, however busy the other tasks are.
  if not posix.is_writable(fd) and not loop.wait(fd, "w", loop.now() + (seconds or DEFAULT)) then
    posix.C.close(fd)
    return nil, "timeout"
  end
  local code = posix.socket_error(fd)
  if code ~= 0 then
    posix.C.close(fd)
    return nil, reason(code)
  end
  return wrap(fd)
end

--- Sends everything.  True, or nil and why not.
function Conn:send(bytes, seconds)
  local at, deadline = 0, loop.now() + (seconds or DEFAULT)
  while at < #bytes do
    if not self.fd then return nil, "closed" end
    local n, code = posix.send(self.fd, bytes, at)
    if n then
      at = at + n
    elseif code == posix.EAGAIN then
      if not loop.wait(self.fd, "w", deadline) then return nil, "timeout" end
    elseif code ~= posix.EINTR then
      return nil, reason(code)
    end
  end
  return true
end

--- The next bytes, whatever there is (at most max).  nil and "eof", "reset",
--- "timeout" or "closed".
function Conn:recv(seconds, max)
  local deadline = loop.now() + (seconds or DEFAULT)
  while self.fd do
    local bytes, code = posix.recv(self.fd, max)
    if bytes == "" then return nil, "eof" end
    if bytes then return bytes end
    if code == posix.EAGAIN then
      if not loop.wait(self.fd, "r", deadline) then return nil, "timeout" end
    elseif code ~= posix.EINTR then
      return nil, reason(code)
    end
  end
  return nil, "closed"
end

--- Appends what comes next to self.got.  True, or nil and why not.
function Conn:more(seconds)
  local bytes, why = self:recv(seconds)
  if not bytes then return nil, why end
  self.got = self.got .. bytes
  return true
end

--- Takes n bytes from the front of self.got, reading until they are there.
function Conn:take(n, seconds)
  local deadline, pieces, len, why = loop.now() + (seconds or DEFAULT), { self.got }, #self.got, nil
  while len < n do -- joined once: megabytes come in pieces of 64 KiB
    local bytes
    bytes, why = self:recv(deadline - loop.now())
    if not bytes then break end
    pieces[#pieces + 1], len = bytes, len + #bytes
  end
  local all = table.concat(pieces)
  if len < n then
    self.got = all
    return nil, why
  end
  self.got = all:sub(n + 1)
  return all:sub(1, n)
end

--- Takes everything up to and including the plain text `mark`.
function Conn:take_until(mark, seconds)
  local deadline, from = loop.now() + (seconds or DEFAULT), 1
  while true do
    local _, stop = self.got:find(mark, from, true)
    if stop then return self:take(stop) end
    from = math.max(1, #self.got - #mark + 1)
    local ok, why = self:more(deadline - loop.now())
    if not ok then return nil, why end
  end
end

--- True when the other side closes within the time; bytes that come are dropped.
function Conn:wait_closed(seconds)
  local deadline = loop.now() + (seconds or DEFAULT)
  while true do
    local bytes, why = self:recv(deadline - loop.now())
    if not bytes then return why ~= "timeout", why end
  end
end

--- No more bytes from here; reading goes on.
function Conn:finish() if self.fd then posix.C.shutdown(self.fd, 1) end end

function Conn:close()
  if self.fd then posix.C.close(self.fd) end
  self.fd = nil
end

--- Closes with RST.
function Conn:reset()
  if self.fd then posix.set_reset(self.fd) end
  self:close()
end

-- -- Listeners ------------------------------------------------------------------

local Listener = {}
Listener.__index = Listener

function M.listen(port, backlog)
  local fd = posix.tcp_socket()
  local bound = posix.bind(fd, port or 0)
  if posix.C.listen(fd, backlog or 128) ~= 0 then error("listen: " .. posix.strerror()) end
  return setmetatable({ fd = fd, port = bound }, Listener)
end

--- The next connection, or nil and why.
function Listener:accept(seconds)
  local deadline = loop.now() + (seconds or DEFAULT)
  while self.fd do
    local fd, code = posix.accept(self.fd)
    if fd then return wrap(fd) end
    if code ~= posix.EAGAIN and code ~= posix.EINTR then return nil, reason(code) end
    if not loop.wait(self.fd, "r", deadline) then return nil, "timeout" end
  end
  return nil, "closed"
end

function Listener:close()
  if self.fd then posix.C.close(self.fd) end
  self.fd = nil
end

-- -- Ports ----------------------------------------------------------------------

--- A port that is bound and not listened on: whoever connects is refused.  Keep
--- the returned object alive, or the kernel gives the port to somebody else.
function M.dead_port()
  local fd = posix.tcp_socket()
  return setmetatable({ fd = fd, port = posix.bind(fd, 0) }, Listener)
end

-- Below the range from which the kernel takes ports for outgoing connections, and
-- never the same one twice: our servers share ports (SO_REUSEPORT), so a
-- collision would not be refused, it would answer.
local next_port = 10000 + (posix.C.getpid() * 131) % 20000

--- A port that was free a moment ago, for a process that wants a number.
function M.free_port()
  for _ = 1, 1000 do
    next_port = next_port >= 32000 and 10000 or next_port + 1
    local fd = posix.tcp_socket()
    local ok = pcall(posix.bind, fd, next_port)
    posix.C.close(fd)
    if ok then return next_port end
  end
  error("no free port between 10000 and 32000")
end

--- Listens for datagrams at a path; returns a function that gives all that came so far.
function M.datagrams(path)
  local fd = C.socket(1, 2, 0)
  local name = ffi.new("struct p_sockaddr_un", 1, path)
  assert(fd >= 0 and C.bind(fd, ffi.cast("const struct p_sockaddr_in *", name), ffi.sizeof(name)) == 0, "bind " .. path)
  local room, text = ffi.new("char[?]", 1024), ""
  return function()
    while true do
      local n = tonumber(C.recv(fd, room, 1024, 0x40)) -- MSG_DONTWAIT
      if n <= 0 then return text end
      text = text .. ffi.string(room, n)
    end
  end
end

return M

--- rabbitmq.lua: a RabbitMQ of a test's own, on a free port, with all that it keeps in a folder of its own.
--
--   local r = rabbitmq.new(program)     program: rabbitmq-server; r.port, r.dir
--   r:kill()                            as if its machine had lost power
--   r:start() r:stop() r:clean()

local files = require "support.files"
local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local proc = require "support.proc"

local M = {}
local Server = {}
Server.__index = Server

-- The script's child; the script itself only waits for it.
function Server:pid() return tonumber((files.read(self.dir .. "/pid") or ""):match("%d+")) end

function Server:is_up()
  local conn = net.connect(self.port)
  local hello = conn and conn:send("AMQP\0\0\9\1") and conn:take(1, 2)
  if conn then conn:close() end
  return hello ~= nil and hello ~= false
end

function Server:start()
  self.proc = proc.spawn({ self.program }, { output = self.dir .. "/log.txt", env = self.env })
  assert(loop.until_true(90, function() return self:is_up() end), "RabbitMQ did not start: " .. self.proc:text():sub(-2000))
end

function Server:kill()
  local pid = self:pid()
  if pid then posix.C.kill(pid, posix.SIGKILL) end
  if self.proc then self.proc:wait(10) end
  os.remove(self.dir .. "/pid")
end

function Server:stop()
  self:kill()
  if self.proc then self.proc:stop() end
  os.execute(("epmd -port %d -kill >/dev/null 2>&1"):format(self.epmd))
end

function Server:clean() os.execute("rm -rf '" .. self.dir .. "'") end

function M.new(program)
  local dir = posix.temp_dir("perilune-rabbitmq")
  local self = setmetatable({ program = program, dir = dir, port = net.free_port(), epmd = net.free_port() }, Server)
  os.execute(("mkdir -p '%s/home'"):format(dir))
  files.write(dir .. "/rabbitmq.conf", "loopback_users = none\nvm_memory_high_watermark.absolute = 512MB\n"
    .. "disk_free_limit.absolute = 50MB\nmax_message_size = 262144\n")
  files.write(dir .. "/plugins", "[].\n")
  self.tls_port = net.free_port()
  local tls = files.lines("pwd")() .. "/tests/support/tls/"
  files.write(dir .. "/rabbitmq.conf", (files.read(dir .. "/rabbitmq.conf")) .. ("listeners.ssl.1 = 127.0.0.1:%d\n"
    .. "ssl_options.cacertfile = %scert.pem\nssl_options.certfile = %scert.pem\nssl_options.keyfile = %skey.pem\n"
    .. "ssl_options.verify = verify_none\n"):format(self.tls_port, tls, tls, tls))
  self.env = {
    HOME = dir .. "/home", RABBITMQ_NODENAME = ("t%d@localhost"):format(self.port), RABBITMQ_NODE_IP_ADDRESS = "127.0.0.1",
    RABBITMQ_NODE_PORT = tostring(self.port), RABBITMQ_DIST_PORT = tostring(net.free_port()),
    ERL_EPMD_PORT = tostring(self.epmd), ERL_EPMD_ADDRESS = "127.0.0.1", RABBITMQ_MNESIA_BASE = dir .. "/db",
    RABBITMQ_LOG_BASE = dir .. "/logs", RABBITMQ_ENABLED_PLUGINS_FILE = dir .. "/plugins",
    RABBITMQ_PID_FILE = dir .. "/pid", RABBITMQ_CONF_ENV_FILE = dir .. "/none", RABBITMQ_CONFIG_FILE = dir .. "/rabbitmq",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS = "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
  }
  self:start()
  return self
end

return M

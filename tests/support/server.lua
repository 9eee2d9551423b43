-- server.lua -- a perilune process for a test: its folder, configuration, ports.

local files = require "support.files"
local net = require "support.net"
local loop = require "support.loop"
local proc = require "support.proc"
local posix = require "support.posix"
local http = require "support.http"

local M = {}

--- The program under test.
function M.binary() return os.getenv("PERILUNE") or "build/perilune" end

--- Replaces @NAME@ by vars.NAME; unknown names stay.
function M.fill(text, vars)
  return (text:gsub("@([%w_:]+)@", function(name) return vars[name] and tostring(vars[name]) end))
end

local HEAD = 'return { listen = "127.0.0.1:@PORT@", admin = "127.0.0.1:@ADMIN@", workers = 1,'
local UPSTREAMS = 'upstreams = { up = { url = "@UPSTREAM@" } },'

--- A configuration may be written as fields only: then the listeners, and the
--- upstream where none is named, are added around them.
function M.complete(text)
  if text:find("^%s*return") or text:find("\nreturn") then return text end
  local named = ("\n" .. text):find("\n%s*upstreams%s*=")
  return HEAD .. (named and "" or " " .. UPSTREAMS) .. "\n" .. text .. "\n}\n"
end

local Server = {}
Server.__index = Server

local function is_open(port)
  local conn = net.connect(port)
  if conn then conn:close() end
  return conn ~= nil
end

--- Starts `perilune serve` and waits until it accepts connections on both listeners.  options:
---   config  text of the configuration (see complete)
---   vars    what @NAME@ stands for; PORT and ADMIN are added
---   files   name -> text, written beside the configuration
---   limit   most open files of the process
---   args    further arguments of serve
---   env     further variables
---   deaf    nobody reads what it says, until read_log()
---   notify  a service manager listens: notified() is what it heard
--- Returns the server, or nil and what it said.
function M.start(options)
  local vars = setmetatable({}, { __index = options.vars })
  vars.PORT = vars.PORT or net.free_port()
  vars.ADMIN = vars.ADMIN or net.free_port()
  local dir = options.dir or posix.temp_dir("perilune-test")
  vars.DIR = dir
  local self = setmetatable({ dir = dir, port = vars.PORT, admin = vars.ADMIN, vars = vars }, Server)
  for name, text in pairs(options.files or {}) do self:write(name, text) end
  local text = M.complete(options.config or "")
  self:write("perilune.lua", text)

  local args = { M.binary(), "serve", dir .. "/perilune.lua" }
  for _, a in ipairs(options.args or {}) do args[#args + 1] = a end
  local env = {}
  for k, v in pairs(options.env or {}) do env[k] = v end
  if options.notify then
    self.notify = net.datagrams(dir .. "/notify")
    env.NOTIFY_SOCKET = dir .. "/notify"
  end
  self.proc = proc.spawn(args, { output = dir .. "/log", env = env, files = options.limit,
                                  pipe = options.deaf })
  local up = loop.until_true(options.wait or 30, function()
    if not self.proc:alive() then return "dead" end
    return is_open(self.port) and (not text:find("@ADMIN@", 1, true) or is_open(self.admin)) and "up"
  end)
  if up == "up" then return self end
  local said = ("server did not start (%s): %s"):format(self.proc:fate(), self.proc:text())
  self:stop()
  return nil, said
end

--- Writes a file beside the configuration, placeholders filled.
function Server:write(name, text) files.write(self.dir .. "/" .. name, M.fill(text, self.vars)) end

--- Fills placeholders.
function Server:fill(text) return M.fill(text, self.vars) end

--- Replaces a file in one step, as an editor that saves to a new file does.
function Server:replace(name, text)
  local path = self.dir .. "/" .. name
  files.write(path .. ".new", M.fill(text, self.vars))
  assert(os.rename(path .. ".new", path))
end

function Server:log() return self.proc:text() end
function Server:read_log() self.proc:read_pipe() end

--- What the service manager has heard so far.
function Server:notified() return self.notify() end

--- POST /admin/reload; returns the response.
function Server:reload(seconds)
  return http.request(self.admin, "POST", "/admin/reload", nil, "", seconds)
end

--- nil while all is well, else what happened to the process.
function Server:trouble()
  if not self.proc:alive() then return "the server is gone: " .. self.proc:fate() end
  local text = self:log()
  local report = text:match("ERROR: %w+Sanitizer[^\n]*") or text:match("runtime error:[^\n]*")
                 or text:match("WARNING: ThreadSanitizer[^\n]*")
  return report and "sanitizer: " .. report
end

--- Ends the process and removes its folder.
function Server:stop(keep)
  if self.proc then
    self.proc:kill(posix.SIGTERM)
    if not self.proc:wait_blocking(0) then self.proc:stop() end
  end
  if not keep then os.execute("rm -rf '" .. self.dir .. "'") end
end

return M

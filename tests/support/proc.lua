-- proc.lua -- child processes: start, signal, wait, read what they said.
--
-- A child dies with the test (PR_SET_PDEATHSIG), so that an aborted run leaves
-- nothing behind.  Output goes to a file: a test can look at it at any time and
-- a chatty child never blocks on a pipe.

local ffi = require "ffi"
local files = require "support.files"
local posix = require "support.posix"
local loop = require "support.loop"

local C = posix.C
local M = {}

local Proc = {}
Proc.__index = Proc

local O_WRONLY, O_CREAT, O_APPEND = 1, 0x40, 0x400

local function argv_of(args)
  local argv = ffi.new("char *[?]", #args + 1)
  local keep = {}
  for i, a in ipairs(args) do
    keep[i] = ffi.new("char[?]", #a + 1, a)
    argv[i - 1] = keep[i]
  end
  argv[#args] = nil
  return argv, keep
end

--- Starts args[1] with the rest as arguments.  options:
---   output  file that gets stdout and stderr (default: a fresh one)
---   stdout  another file for stdout; "closed": none
---   pipe    instead of a file: a pipe that nobody reads until Proc:read_pipe()
---   dir     where it runs
---   env     table of variables to add
---   files   limit of open files
function M.spawn(args, options)
  options = options or {}
  local output = options.output or os.tmpname()
  local argv, keep = argv_of(args)
  io.stdout:flush()
  local ends = options.pipe and ffi.new("int[2]")
  if ends then assert(C.pipe2(ends, 0) == 0, "pipe") end
  local pid = C.fork()
  if pid < 0 then error("fork: " .. posix.strerror()) end
  if pid == 0 then
    C.prctl(1, posix.SIGKILL, 0, 0, 0)
    posix.default_sigpipe()
    local null = C.open("/dev/null", 0)
    local mode = ffi.new("int", 420) -- 0644
    local flags = O_WRONLY + O_CREAT + O_APPEND
    local err = ends and ends[1] or C.open(output, flags, mode)
    local out = options.stdout and options.stdout ~= "closed" and C.open(options.stdout, flags, mode) or err
    C.dup2(null, 0)
    C.dup2(out, 1)
    C.dup2(err, 2)
    if options.stdout == "closed" then C.close(1) end
    for fd = 3, 255 do C.close(fd) end
    for k, v in pairs(options.env or {}) do C.setenv(k, v, 1) end
    if options.files then
      C.setrlimit(7, ffi.new("struct p_rlimit", options.files, options.files))
    end
    if options.dir then C.chdir(options.dir) end
    C.execvp(argv[0], argv)
    C._exit(127)
  end
  keep[1] = nil -- argv had to live until here
  if ends then C.close(ends[1]) end
  return setmetatable({ pid = pid, output = output, args = args, pipe = ends and ends[0] }, Proc)
end

--- True while it runs.  Afterwards self.status (exit code) or self.signal is set.
function Proc:alive()
  if self.status or self.signal then return false end
  local st = ffi.new("int[1]")
  local got = C.waitpid(self.pid, st, 1)
  if got == 0 then return true end
  local sig = st[0] % 128
  if sig == 0 then self.status = math.floor(st[0] / 256) % 256 else self.signal = sig end
  return false
end

--- Sends a signal to this one process; does nothing when it has gone.
function Proc:kill(signal)
  if self:alive() then C.kill(self.pid, signal or posix.SIGTERM) end
end

--- Inside a task: true when it ended within the time.  The default is long, for what never
--- comes, but shorter than a server waits for its last connections (drain_timeout).
function Proc:wait(seconds)
  return loop.until_true(seconds or 20, function() return not self:alive() end)
end

--- Outside of the loop: the same, by naps.
function Proc:wait_blocking(seconds)
  local deadline = loop.now() + (seconds or 30)
  while self:alive() and loop.now() < deadline do posix.nap(0.002) end
  return not self:alive()
end

--- Ends it for certain.  Works in and out of the loop.
function Proc:stop()
  if self:alive() then
    C.kill(self.pid, posix.SIGKILL)
    self:wait_blocking(5)
  end
end

--- From now on text() reads the pipe.
function Proc:read_pipe() self.said = self.said or "" end

-- What is in the pipe, without waiting for more.
local function drain(self)
  local room, fd = ffi.new("char[?]", 65536), ffi.new("struct p_pollfd[1]", { { self.pipe, posix.POLLIN, 0 } })
  while C.poll(fd, 1, 0) == 1 do
    local n = tonumber(C.read(self.pipe, room, 65536))
    if n <= 0 then break end
    self.said = self.said .. ffi.string(room, n)
  end
end

--- Everything it has printed so far.
function Proc:text()
  if not self.pipe then return files.read(self.output) or "" end
  if self.said then drain(self) end
  return self.said or ""
end

--- Says how it ended, for messages.
function Proc:fate()
  if self:alive() then return "running" end
  return self.signal and ("killed by signal " .. self.signal) or ("exit status " .. self.status)
end

-- -- What the kernel knows about a process ----------------------------------------

--- Resident memory in KiB, or nil.
function M.rss_kb(pid)
  local s = files.read("/proc/" .. pid .. "/status")
  return s and tonumber(s:match("VmRSS:%s*(%d+)"))
end

--- CPU time of all its threads in microseconds, from the scheduler's nanosecond
--- counters (clock ticks would be too coarse).
function M.cpu_us(pid)
  local total = 0
  for tid in files.lines("ls /proc/" .. pid .. "/task 2>/dev/null") do
    local s = files.read("/proc/" .. pid .. "/task/" .. tid .. "/schedstat")
    if s then total = total + tonumber(s:match("^(%d+)")) / 1000 end
  end
  return total
end

--- Number of open descriptors.
function M.fd_count(pid)
  local n = 0
  for _ in files.lines("ls /proc/" .. pid .. "/fd 2>/dev/null") do n = n + 1 end
  return n
end

--- Is there a program of this name?
function M.which(name)
  return files.lines("command -v " .. name .. " 2>/dev/null")()
end

return M

-- posix.lua -- the few system calls that the tests need, by LuaJIT's ffi.
--
-- Linux only (poll, accept4, prctl), x86-64 and arm64: the constants below are
-- the same on both.  Everything above this file speaks in Lua values; nothing
-- above it sees a struct.

local ffi = require "ffi"
local bit = require "bit"

ffi.cdef [[
typedef long p_ssize;
struct p_sockaddr_in { uint16_t family; uint16_t port; uint32_t addr; uint8_t zero[8]; };
struct p_sockaddr_un { uint16_t family; char path[108]; };
struct p_pollfd { int fd; short events; short revents; };
struct p_timespec { long sec; long nsec; };
struct p_linger { int on; int seconds; };
struct p_rlimit { unsigned long cur, max; };

int socket(int, int, int);
int bind(int, const struct p_sockaddr_in *, unsigned);
int listen(int, int);
int accept4(int, void *, void *, int);
int connect(int, const struct p_sockaddr_in *, unsigned);
int getsockname(int, struct p_sockaddr_in *, unsigned *);
int getsockopt(int, int, int, void *, unsigned *);
int setsockopt(int, int, int, const void *, unsigned);
int shutdown(int, int);
p_ssize recv(int, void *, size_t, int);
p_ssize send(int, const void *, size_t, int);
int poll(struct p_pollfd *, unsigned long, int);
int close(int);
int pipe2(int *, int);
int open(const char *, int, ...);
p_ssize read(int, void *, size_t);
int dup2(int, int);
int chdir(const char *);
int fork(void);
int execvp(const char *, char *const *);
int setenv(const char *, const char *, int);
int kill(int, int);
int waitpid(int, int *, int);
int getpid(void);
int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long);
void _exit(int);
int clock_gettime(int, struct p_timespec *);
void (*signal(int, void (*)(int)))(int);
int nanosleep(const struct p_timespec *, struct p_timespec *);
int getrlimit(int, struct p_rlimit *);
int setrlimit(int, const struct p_rlimit *);
long sysconf(int);
char *mkdtemp(char *);
char *strerror(int);
]]

local C = ffi.C
local M = { C = C }

M.EINTR, M.EAGAIN, M.EINPROGRESS = 4, 11, 115
M.ECONNRESET, M.ECONNREFUSED, M.EPIPE = 104, 111, 32
M.POLLIN, M.POLLOUT, M.POLLERR, M.POLLHUP = 1, 4, 8, 16
M.SIGHUP, M.SIGINT, M.SIGKILL, M.SIGUSR1, M.SIGTERM = 1, 2, 9, 10, 15
M.SIGSTOP, M.SIGCONT = 19, 18

local SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC = 1, 0x800, 0x80000
local SOL_SOCKET, SO_REUSEADDR, SO_ERROR, SO_LINGER = 1, 2, 4, 13
local SO_SNDBUF, SO_RCVBUF = 7, 8
local IPPROTO_TCP, TCP_NODELAY = 6, 1
local MSG_NOSIGNAL = 0x4000
local LOOPBACK = ffi.abi("le") and 0x0100007f or 0x7f000001

-- A peer that has gone is an error of send(), not the end of the test.  Children
-- get the default back (proc.lua): the server must cope by itself.
C.signal(13, ffi.cast("void (*)(int)", 1))
function M.default_sigpipe() C.signal(13, ffi.cast("void (*)(int)", 0)) end

function M.errno() return ffi.errno() end
function M.strerror(code) return ffi.string(C.strerror(code or ffi.errno())) end

-- -- Time ---------------------------------------------------------------------

local ts = ffi.new("struct p_timespec")

--- Seconds on the monotonic clock.
function M.now()
  C.clock_gettime(1, ts)
  return tonumber(ts.sec) + tonumber(ts.nsec) / 1e9
end

--- Blocks the whole process.  Only for waiting on a condition with a deadline:
--- see loop.lua, which sleeps in poll() instead.
function M.nap(seconds)
  local t = ffi.new("struct p_timespec", math.floor(seconds), (seconds % 1) * 1e9)
  C.nanosleep(t, nil)
end

-- -- Sockets ------------------------------------------------------------------

local one = ffi.new("int[1]", 1)

local function address(port)
  local a = ffi.new("struct p_sockaddr_in")
  a.family, a.addr = 2, LOOPBACK
  a.port = bit.bor(bit.lshift(bit.band(port, 0xff), 8), bit.rshift(port, 8))
  return a
end

function M.tcp_socket()
  local fd = C.socket(2, bit.bor(SOCK_STREAM, SOCK_NONBLOCK, SOCK_CLOEXEC), 0)
  if fd < 0 then error("socket: " .. M.strerror()) end
  C.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one, 4)
  return fd
end

--- Binds to 127.0.0.1:port (0: any).  Returns the port.
function M.bind(fd, port)
  C.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, 4)
  if C.bind(fd, address(port), 16) ~= 0 then
    error("bind to port " .. port .. ": " .. M.strerror())
  end
  local a, len = ffi.new("struct p_sockaddr_in"), ffi.new("unsigned[1]", 16)
  C.getsockname(fd, a, len)
  local n = tonumber(a.port)
  return bit.bor(bit.lshift(bit.band(n, 0xff), 8), bit.rshift(n, 8))
end

--- Starts connecting; true when it is under way or done.
function M.connect(fd, port)
  if C.connect(fd, address(port), 16) == 0 then return true end
  return ffi.errno() == M.EINPROGRESS
end

--- Is it connected, or refused, or has room, already?
function M.is_writable(fd)
  local p = ffi.new("struct p_pollfd[1]")
  p[0].fd, p[0].events = fd, M.POLLOUT
  return C.poll(p, 1, 0) > 0
end

--- The pending error of a socket as errno, 0 for none.
function M.socket_error(fd)
  local v, len = ffi.new("int[1]"), ffi.new("unsigned[1]", 4)
  C.getsockopt(fd, SOL_SOCKET, SO_ERROR, v, len)
  return v[0]
end

--- Returns a descriptor, or nil and errno.
function M.accept(fd)
  local got = C.accept4(fd, nil, nil, bit.bor(SOCK_NONBLOCK, SOCK_CLOEXEC))
  if got < 0 then return nil, ffi.errno() end
  C.setsockopt(got, IPPROTO_TCP, TCP_NODELAY, one, 4)
  return got
end

--- Kernel buffers, so that tests of back-pressure fill them soon.
function M.set_buffers(fd, receive, send)
  if receive then C.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, ffi.new("int[1]", receive), 4) end
  if send then C.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, ffi.new("int[1]", send), 4) end
end

--- The next close() sends RST instead of FIN.
function M.set_reset(fd)
  C.setsockopt(fd, SOL_SOCKET, SO_LINGER, ffi.new("struct p_linger", 1, 0), 8)
end

local space_size = 65536
local space = ffi.new("char[?]", space_size)

--- Returns bytes ("" at the end of the stream), or nil and errno.
function M.recv(fd, max)
  local n = tonumber(C.recv(fd, space, math.min(max or space_size, space_size), 0))
  if n < 0 then return nil, ffi.errno() end
  return ffi.string(space, n)
end

--- Sends from byte `from` on.  Returns how many went, or nil and errno.
function M.send(fd, bytes, from)
  local p = ffi.cast("const char *", bytes)
  local n = tonumber(C.send(fd, p + from, #bytes - from, MSG_NOSIGNAL))
  if n < 0 then return nil, ffi.errno() end
  return n
end

-- -- Files and limits -----------------------------------------------------------

--- Makes a fresh folder under $TMPDIR or /tmp and returns its path.
function M.temp_dir(name)
  local base = os.getenv("TMPDIR") or "/tmp"
  local path = ffi.new("char[?]", 4096, base .. "/" .. name .. ".XXXXXX")
  if C.mkdtemp(path) == nil then error("mkdtemp: " .. M.strerror()) end
  return ffi.string(path)
end

--- Raises the limit of open files to `want` if it can; returns what it is then.
function M.raise_files(want)
  local r = ffi.new("struct p_rlimit")
  C.getrlimit(7, r)
  if r.cur >= want then return tonumber(r.cur) end
  local most = math.max(want, tonumber(r.max)) -- over the hard limit: root only
  if C.setrlimit(7, ffi.new("struct p_rlimit", want, most)) ~= 0 then
    C.setrlimit(7, ffi.new("struct p_rlimit", r.max, r.max))
  end
  C.getrlimit(7, r)
  return tonumber(r.cur)
end

return M

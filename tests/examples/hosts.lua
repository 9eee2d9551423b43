-- hosts.lua -- programs in other languages that have Perilune inside (examples/hosts).
--
--   luajit tests/examples/hosts.lua LIBRARY ROCK [PROGRAM...]     from the root of the project: libperilune.so, perilune.so
--
-- Each is built and run as its first comment says, and what it prints is shown and looked at.  Where a compiler is
-- missing, a line says so.

package.path = "tests/?.lua;" .. package.path

local anchor = require "bench.anchor"
local files = require "support.files"
local http = require "support.http"
local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local proc = require "support.proc"

local LIBRARY, ROCK = arg[1], arg[2]
if not ROCK then
  io.stderr:write("usage: luajit tests/examples/hosts.lua LIBRARY ROCK [PROGRAM...]\n")
  os.exit(2)
end

local LINES = 120 -- that a program may have
local root = files.lines("pwd")()
local passed, failed, skipped = 0, 0, 0
local dir

local function check(ok, what, ...)
  if ok then passed = passed + 1 return ok end
  failed = failed + 1
  print("FAIL  " .. what:format(...))
end

local function skip(name, why)
  skipped = skipped + 1
  print(("%s: SKIPPED, %s"):format(name, why))
end

--- Output of a command that must end well within the time, or nil.
local function output(name, args, env, seconds)
  local p = proc.spawn(args, { env = env })
  local ended = p:wait(seconds or 60)
  local text = p:text()
  check(ended and p.status == 0, "%s: %s: %s\n%s", name, table.concat(args, " "), p:fate(), text)
  local ok = ended and p.status == 0
  p:stop()
  os.remove(p.output)
  return ok and text or nil
end

-- -- The programs ------------------------------------------------------------------------

--- What all of them print, in any order.
local function has_asked(name, language, text)
  if not text then return end
  for line in text:gmatch("[^\n]+") do print(("%-6s %s"):format(name, line)) end
  for _, expected in ipairs{ "answer: Ada says: Hello from " .. language .. "!", "stranger: ", "nobody has this id" } do
    check(text:find(expected, 1, true), "%s does not print '%s':\n%s", name, expected, text)
  end
end

local function run(name, language, args, env)
  env = env or {}
  env.LD_LIBRARY_PATH = dir
  args[#args + 1] = "examples/hosts/hosts.lua"
  has_asked(name, language, output(name, args, env))
end

local PROGRAMS = {}

function PROGRAMS.cpp()
  if not proc.which("c++") then return skip("C++", "there is no c++ (Debian: apt install g++)") end
  if output("cpp", { "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Icore/include", "-o", dir .. "/cpp",
    "examples/hosts/ask.cpp", "-L" .. dir, "-lperilune" }) then run("cpp", "C++", { dir .. "/cpp" }) end
end

function PROGRAMS.python()
  if not proc.which("python3") then return skip("Python", "there is no python3") end
  run("python", "Python", { "python3", "examples/hosts/ask.py" }, { PERILUNE_LIBRARY = dir .. "/libperilune.so.0" })
end

function PROGRAMS.go()
  if not proc.which("go") then return skip("Go", "there is no go (Debian: apt install golang)") end
  local env = { CGO_ENABLED = "1", CGO_CFLAGS = "-I" .. root .. "/core/include",
    CGO_LDFLAGS = "-L" .. dir .. " -lperilune", GOFLAGS = "-mod=mod", GOTOOLCHAIN = "local" }
  if output("go", { "go", "build", "-o", dir .. "/go", "examples/hosts/ask.go" }, env, 300) then
    run("go", "Go", { dir .. "/go" })
  end
end

function PROGRAMS.rust()
  if not proc.which("rustc") then return skip("Rust", "there is no rustc (Debian: apt install rustc)") end
  if output("rust", { "rustc", "--edition", "2021", "-o", dir .. "/rust", "examples/hosts/ask.rs", "-L", dir,
    "-l", "perilune" }, nil, 300) then run("rust", "Rust", { dir .. "/rust" }) end
end

-- The first block of this kind below a heading of README.md.
local function from_readme(heading, kind)
  local text = files.read("README.md")
  local at = assert(select(2, text:find("\n## " .. heading .. "\n", 1, true)), heading)
  return assert(text:match("\n```" .. kind .. "\n(.-)\n```", at), heading)
end

--- What the manual begins with.
function PROGRAMS.readme()
  files.write(dir .. "/readme.c", from_readme("Begin with the library", "c"))
  if output("readme", { "cc", "-Wall", "-Wextra", "-Werror", "-Icore/include", "-o", dir .. "/readme", dir .. "/readme.c",
    "-L" .. dir, "-lperilune" }) then
    os.execute(("cp -r examples/hosts/policies %s/ && cp examples/hosts/hosts.lua %s/perilune.lua"):format(dir, dir))
    local text = output("readme", { "sh", "-c", "cd " .. dir .. " && ./readme" }, { LD_LIBRARY_PATH = dir })
    check(text == "Ada says: Hello!\n", "README.md, library: it prints '%s'", tostring(text))
  end
  local program, n = from_readme("Begin with the rock", "lua"):gsub('url = "https.-OPENAI_API_KEY" }', "sim = {}")
  check(n == 1, "README.md, rock: its upstream is another one")
  files.write(dir .. "/readme.lua", program)
  local text = output("readme", { "luajit", dir .. "/readme.lua" },
    { LUA_CPATH = root .. "/" .. ROCK:match("^(.*)/[^/]+$") .. "/?.so" })
  check(text and text:find("^%d+\n.+\n.+"), "README.md, rock: it prints '%s'", tostring(text))
end

--- Asks a simulated upstream.
function PROGRAMS.luajit()
  local sim = proc.spawn{ "build/perilune", "sim", "--listen", "127.0.0.1:0", "--echo" }
  local url = loop.until_true(20, function() return sim:text():match("http://[%d.:]+/v1") or not sim:alive() and "dead" end)
  local text = output("luajit", { "luajit", "examples/hosts/stream.lua", url .. "/chat/completions" },
    { LUA_CPATH = root .. "/" .. ROCK:match("^(.*)/[^/]+$") .. "/?.so" })
  if text then print("luajit " .. text) end
  check(text == "Hello from LuaJIT!", "luajit: it heard '%s'", tostring(text))
  sim:stop()
end

-- -- nginx ----------------------------------------------------------------------------------

--- The configuration, with ports and folders of the test's.
local function configured(port, model)
  local text, n = files.read("examples/hosts/nginx.conf"), nil
  text, n = text:gsub("127%.0%.0%.1:808([01])", function(d) return "127.0.0.1:" .. (d == "0" and port or model) end)
  check(n == 5, "nginx.conf: its addresses are others")
  local temporary = {}
  for _, what in ipairs{ "client_body", "proxy", "fastcgi", "uwsgi", "scgi" } do
    temporary[#temporary + 1] = ("%s_temp_path %s/%s;"):format(what, dir, what)
  end
  return (text:gsub("\nhttp {", "%0 " .. table.concat(temporary, " ")))
end

local function post(port, body)
  local conn = assert(net.connect(port))
  conn:send(("POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s")
    :format(#body, body))
  local r, why = http.read_response(conn, 30)
  conn:close()
  return r or { status = why, body = "" }
end

local function folder_of(path, levels)
  for _ = 1, levels do path = path:match("^(.*)/[^/]+$") end
  return path
end

--- OpenResty, or nginx with the distribution's module for Lua: its command and environment, or nil and why not.
local function nginx_with_lua()
  if proc.which("openresty") then return { "openresty" }, {} end
  local parts, why = anchor.has_lua()
  if not parts then return nil, why end
  return { proc.which("nginx"), "-g", ("load_module %s; load_module %s;"):format(parts.ndk, parts.lua) },
    { LUA_PATH = folder_of(parts.core, 2) .. "/?.lua;;",
      LD_LIBRARY_PATH = folder_of(parts.jit, 1) .. ":" .. folder_of(parts.pcre, 1) }
end

function PROGRAMS.nginx()
  local command, env = nginx_with_lua()
  if not command then return skip("nginx", env) end
  local port, model = net.free_port(), net.free_port()
  files.write(dir .. "/nginx.conf", configured(port, model))
  os.execute("mkdir -p " .. dir .. "/logs")
  env.LUA_CPATH = root .. "/" .. folder_of(ROCK, 1) .. "/?.so;;"
  local directives = "daemon off; master_process off;" .. (command[3] or "")
  local p = proc.spawn({ command[1], "-p", dir, "-c", dir .. "/nginx.conf", "-e", dir .. "/logs/error.log", "-g", directives },
    { env = env })
  local up = loop.until_true(20, function()
    local conn = p:alive() and net.connect(port, 1)
    if conn then conn:close() end
    return conn and "up" or not p:alive() and "dead"
  end)
  if check(up == "up", "nginx: it does not start: %s", p:text()) then
    local r = post(port, '{"price":1.50,"messages":[{"role":"user","content":"Could you please say hi?"}]}')
    print("nginx  " .. r.body:gsub("\n$", ""))
    check(r.body == 'small, 3 tokens: {"price":1.50,"messages":[{"role":"user","content":"say hi?"}]}\n',
      "nginx: %s %s\n%s", r.status, r.body, p:text())
    r = post(port, ('{"messages":[{"role":"user","content":"%s"}]}'):format(("moon and stars "):rep(600)))
    check(r.body:find("^big, %d%d%d%d tokens: "), "nginx, a long one: %s %s", r.status, r.body:sub(1, 200))
    r = post(port, '{"messages":')
    check(r.status == 400 and r.body:find("at byte 12", 1, true), "nginx, broken: %s %s", r.status, r.body)
    for _ = 1, 70 do
      if r.status ~= 429 then r = post(port, '{"messages":[{"role":"user","content":"hi"}]}') end
    end
    check(r.status == 429 and r.headers["retry-after"], "nginx: its limit does not hold: %s %s", r.status, r.body)
    check(p:alive(), "nginx is gone: %s\n%s", p:fate(), p:text())
  end
  p:kill(posix.SIGTERM)
  check(p:wait(20), "nginx does not end")
  p:stop()
end

-- -- Main -----------------------------------------------------------------------------------

local function short(path)
  local n = 0
  for _ in files.lines("cat " .. path) do n = n + 1 end
  check(n <= LINES, "%s has %d lines, more than %d", path, n, LINES)
end

io.stdout:setvbuf("line")
dir = posix.temp_dir("perilune-hosts")
for _, name in ipairs{ "libperilune.so", "libperilune.so.0" } do
  os.execute(("ln -s '%s/%s' '%s/%s'"):format(root, LIBRARY, dir, name))
end
loop.run(function()
  for path in files.lines("ls examples/hosts/*.* examples/embed.c examples/rules.c") do short(path) end
  local names = arg[3] and { unpack(arg, 3) } or { "readme", "cpp", "python", "go", "rust", "luajit", "nginx" }
  for _, name in ipairs(names) do
    local ok, why = pcall(PROGRAMS[name])
    check(ok, "%s: %s", name, tostring(why))
  end
end)
os.execute("rm -rf '" .. dir .. "'")
print(("hosts: %d passed, %d failed, %d skipped"):format(passed, failed, skipped))
os.exit(failed == 0 and passed > 0 and 0 or 1)

-- host.lua -- hosts that are not as one would like them: strict, forked, closing, without memory, with threads.
--
-- CC compiles host.c; without pkg-config's luajit, that part is skipped.

package.path = "tests/?.lua;" .. package.path
local kit = require "rock.kit"
local test, equal, match = kit.test, kit.equal, kit.match

local RUN = 'local p = require "perilune" local conf = { upstreams = { up = { sim = { tokens = 4 } } } }\n'
  .. 'local function ask() return (assert(p.ask{ upstream = "up", messages = "hi" }):text()) end\n'

--- The program prints "fine" and nothing else, and ends well.
local function fine(text, options)
  local output, status = kit.luajit(RUN .. text .. '\nprint "fine"', options)
  equal(output, "fine\n")
  equal(status, 0)
end

test("a strict host: no global is made or read that is not there", function()
  local output, status = kit.luajit([[
    local known = {}
    for k in pairs(_G) do known[k] = true end
    setmetatable(_G, { __index = function(_, k) error("global '" .. tostring(k) .. "' is not there", 2) end,
                       __newindex = function(_, k) error("global '" .. tostring(k) .. "' is made", 2) end })
  ]] .. RUN .. [[
    p.run({ upstreams = conf.upstreams, routes = { { path = "/v1/*", policies = { "retry" } } } }, function() end)
    assert(#p.run(conf, ask) > 0)
    assert(p.text.language("hello my friend, how are you") == "en")
    assert(p.trim("Could you please count?"))
    for k in pairs(_G) do assert(known[k], k) end
    for k in pairs(package.loaded) do assert(k == "perilune" or not k:find("^perilune"), k) end
    print "fine"
  ]])
  equal(output, "fine\n")
  equal(status, 0)
end)

test("what strings share stays as it was", function()
  local output = kit.luajit([[
    local gsub, dump, meta = string.gsub, string.dump, getmetatable("")
  ]] .. RUN .. [[
    p.run({ upstreams = conf.upstreams, routes = { { path = "/v1/*", policies = { "retry" } } } }, ask)
    print(string.gsub == gsub and string.dump == dump and getmetatable("") == meta and type(meta) == "table")
  ]])
  equal(output, "true\n")
end)

test("a host that replaces global functions behind us does not meet ours", function()
  fine [[
    pcall, pairs, type, error, setmetatable = nil, nil, nil, nil, nil
    local text = p.run(conf, ask)
    p.run(conf, function() return p.map({ 1, 2 }, function() return ask() end) end)
  ]]
end)

test("package.loaded is cleared, and the module required again: it is the same one", function()
  fine [[
    p.shared("x"):set("k", 1)
    package.loaded.perilune = nil
    collectgarbage() collectgarbage()
    local q = require "perilune"
    assert(q == p and q.shared("x"):get("k") == 1)
  ]]
end)

test("with the JIT off, with it on in loops that are hot, and with a debug hook of the host's", function()
  fine("for i = 1, 2000 do assert(p.tokens('hello world', 'gpt-4o') == 2) end assert(#p.run(conf, ask) > 0)", "-joff")
  fine "for i = 1, 20000 do assert(p.tokens('hello world', 'gpt-4o') == 2) end assert(#p.run(conf, ask) > 0)"
  fine [[
    local n = 0
    debug.sethook(function() n = n + 1 end, "", 100)
    assert(#p.run(conf, ask) > 0)
    assert(debug.gethook() ~= nil)
    debug.sethook()
  ]]
end)

-- Of work in C that is longer than a policy's slice of time, in a task and outside of one.
local WORK = [[
  local words = {}
  for i = 1, 200000 do words[i] = "word" .. i end
  local text = table.concat(words, " ")
  local function work() assert(p.tokens(text, "gpt-4o") > 200000 and #p.json.decode(p.json.encode(words)) == 200000) end
]]

test("the debug hook is the host's, however long the library works", function()
  fine(WORK .. "work() assert(debug.gethook() == nil) p.run(conf, work) assert(debug.gethook() == nil)")
  fine(WORK .. [[
    local function mine() end
    debug.sethook(mine, "", 1000000)
    work()
    p.run(conf, function() work() p.sleep(0.001) work() end)
    local hook, _, count = debug.gethook()
    assert(hook == mine and count == 1000000)
  ]])
end)

test("a task of a run goes on until it waits", function()
  fine(WORK .. [[
    local order = {}
    p.run(conf, function()
      p.all{
        function() work() for i = 1, 1e6 do end work() order[1] = "first" end,
        function() order[#order + 1] = "second" end,
      }
    end)
    assert(order[1] == "first" and order[2] == "second")
  ]])
end)

test("os.exit inside of a run ends the program, whether or not it closes Lua", function()
  for _, close in ipairs{ "false", "true" } do
    local output, status = kit.luajit(RUN .. ("p.run(conf, function() ask() os.exit(7, %s) end)"):format(close))
    equal(output, "")
    equal(status, 7)
  end
end)

test("an error that nobody catches has the line of the program", function()
  local output, status = kit.luajit(RUN .. 'p.run(conf, function()\n  error("boom")\nend)')
  equal(status, 1)
  match(output, ":4: boom")
end)

test("a child of fork() has primitives, and says why it cannot run what its parent ran", function()
  local output = kit.luajit('local ffi = require "ffi" ffi.cdef "int fork(void); int wait(int *); void _exit(int);"\n' .. RUN .. [[
    p.run(conf, ask)
    if ffi.C.fork() == 0 then
      io.write(p.tokens("hello world", "gpt-4o"), " ", tostring(select(2, pcall(p.run, conf, ask))), "\n")
      io.flush()
      os.exit(0, true)
    end
    ffi.C.wait(nil)
    assert(#p.run(conf, ask) > 0)
    print "parent"
  ]])
  match(output, "^2 perilune.run: this process was forked.*\nparent\n$")
  output = kit.luajit('local ffi = require "ffi" ffi.cdef "int fork(void); int wait(int *);"\n' .. RUN .. [[
    p.tokens "x"
    local child = ffi.C.fork() == 0
    assert(#p.run(conf, ask) > 0)
    if child then os.exit(0, true) end
    ffi.C.wait(nil)
    print "both"
  ]])
  equal(output, "both\n")
end)

test("specs of policies have their own perilune, wherever the rock lies", function()
  local binary = os.getenv("PERILUNE") or "build/perilune"
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write('local perilune = require "perilune" local test = require "perilune.test"\n'
    .. 'test.test("ours", function() test.equal(perilune.run, nil) test.equal(type(perilune.ask), "function") end)\n')
  f:close()
  local output, status = kit.command(("LUA_PATH='%s/?.lua;lua/?.lua;;' %s test %s"):format("lua/perilune", binary, path))
  os.remove(path)
  match(output, "1 passed, 0 failed")
  equal(status, 0)
end)

-- -- a host in C -----------------------------------------------------------------------------

local host = os.tmpname()
local cc = os.getenv("CC") or "cc"
local said, status = kit.command(("%s -g -std=c11 -D_GNU_SOURCE $(pkg-config --cflags luajit) tests/rock/host.c -o %s "
  .. "$(pkg-config --libs luajit) -lpthread"):format(cc, host))
if status ~= 0 then
  print("SKIPPED, a host in C: it does not compile: " .. said)
else
  local function ends_well(mode)
    local output, rc = kit.command("timeout 100 " .. host .. " " .. mode)
    match(output, "ok\n$")
    equal(rc, 0)
  end
  test("two lua_States, closed in either order", function() ends_well "two" end)
  test("threads with a lua_State each", function() ends_well "threads 8" end)
  test("closed with all kinds of objects alive", function() ends_well "close 5" end)
  test("Lua's memory ends, anywhere", function() ends_well "memory 1 331" end)
end
os.remove(host)

kit.finish "host"

-- script.lua -- perilune script: programs in Lua from the command line.

package.path = "tests/?.lua;" .. package.path
local kit = require "rock.kit"
local test, equal, match = kit.test, kit.equal, kit.match

local binary = os.getenv("PERILUNE") or "build/perilune"
local dir = os.tmpname()
os.remove(dir)
os.execute("mkdir -p " .. dir .. "/sub")

local function write(name, text)
  local f = assert(io.open(dir .. "/" .. name, "w"))
  f:write(text)
  f:close()
  return dir .. "/" .. name
end

--- Output and exit status of a script; words: before and behind its name.
local function script(text, behind, before)
  local path = write("s.lua", text)
  return kit.command(("timeout 60 %s script %s %s %s"):format(binary, before or "", path, behind or ""))
end

local RUN = 'local p = require "perilune" local conf = { upstreams = { up = { sim = { tokens = 4 } } } }\n'

test("arguments are in arg and in ..., also those that look like options", function()
  local output, status = script('print(#arg, arg[0]:match("[^/]+$"), arg[1], select("#", ...), select(2, ...))', "a --config -x")
  equal(output, "3\ts.lua\ta\t3\t--config\t-x\n")
  equal(status, 0)
end)

test("a script asks models in a run of its own", function()
  local output, status = script("#!/usr/bin/env -S perilune script\n" .. RUN
    .. 'p.run(conf, function() print(#p.ask{ upstream = "up", messages = "hi" }:text() > 0, (p.tokens("hello world", "gpt-4o"))) end)')
  equal(output, "true\t2\n")
  equal(status, 0)
end)

test("with --config all of it runs inside", function()
  local conf = write("c.lua", 'return { log = { access = false }, upstreams = { up = { sim = { tokens = 4 } } } }')
  local text = 'local p = require "perilune" print(#p.ask{ upstream = "up", messages = "hi" }:text() > 0) return 3'
  for _, before in ipairs{ "--config " .. conf, "--config=" .. conf } do
    local output, status = script(text, "", before)
    equal(output, "true\n")
    equal(status, 3)
  end
  local output, status = script(text, "", "--config " .. dir .. "/none.lua")
  match(output, "none%.lua: No such file")
  equal(status, 1)
end)

test("the exit status is what it returns, or what os.exit() is given", function()
  for text, expected in pairs{ [""] = 0, ["return true"] = 0, ["return false"] = 1, ["return 42"] = 42, ["os.exit(9)"] = 9,
                               ["os.exit(9, true)"] = 9, ["return 'x'"] = 1, ["return 300"] = 1 } do
    local _, status = script(text)
    equal(status, expected, text)
  end
  match(script("return 300"), "a number from 0 to 255")
end)

test("errors have the lines of the script, and none of the library", function()
  local inner = RUN .. "local function deep()\n  error('boom')\nend\np.run(conf, function()\n  deep()\n  return 1\nend)"
  local output, status = script(inner)
  equal(status, 1)
  match(output, "^perilune script: .-s%.lua:3: boom\nstack traceback:")
  match(output, "s%.lua:3: in function 'deep'")
  match(output, "s%.lua:6: in function <")
  equal(output:find("lua/perilune/", 1, true), nil, output)
  output, status = script("local function f()\n  local x = nil + 1\nend\nf()\n")
  equal(status, 1)
  match(output, "s%.lua:2: attempt to perform arithmetic.*\n.*s%.lua:4: in ")
  output, status = script("error(require('perilune').error{ code = 'upstream_error', message = 'no' })")
  match(output, "upstream_error: no")
  equal(status, 1)
  output, status = script("error({})")
  match(output, "error object is a table")
  equal(status, 1)
  output, status = script("local = 1")
  match(output, "s%.lua:1: ")
  equal(status, 1)
end)

test("standard input is the script's, or the script", function()
  local path = write("s.lua", 'for line in io.lines() do io.write("<", line, ">") end')
  equal((kit.command(("printf 'a\\nb\\n' | %s script %s"):format(binary, path))), "<a><b>")
  equal((kit.command(("echo 'print(1 + 1, ...)' | %s script - x"):format(binary))), "2\tx\n")
end)

test("modules beside the script are found, and it has all of LuaJIT", function()
  write("beside.lua", "return { n = 5 }")
  equal((script('print(require("beside").n, type(require "ffi".cdef), jit.version_num > 20000, io ~= nil)')),
    "5\tfunction\ttrue\ttrue\n")
end)

test("wrong usage", function()
  for _, words in ipairs{ "", "--confg x y", "--config" } do
    local output, status = kit.command(binary .. " script " .. words)
    equal(status, 2)
    match(output, "usage: perilune script")
  end
  local output, status = kit.command(binary .. " script --help")
  match(output, "^usage: perilune script")
  equal(status, 0)
  output, status = kit.command(binary .. " script " .. dir .. "/nowhere.lua")
  match(output, "nowhere%.lua")
  equal(status, 1)
end)

os.execute("rm -r " .. dir)
kit.finish "script"

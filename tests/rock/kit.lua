-- kit.lua -- what the tests of the rock have in common.  They run in a plain LuaJIT, in which the rock is a guest.
--
--   LUA_CPATH=build/rock/?.so luajit tests/rock/NAME.lua     from the root of the project

local M = {}

local passed, failed = 0, 0

local function show(v) return type(v) == "string" and ("%q"):format(v) or tostring(v) end

--- Runs one test: the name says what holds.
function M.test(name, fn)
  local ok, err = xpcall(fn, function(e) return debug.traceback(tostring(e), 2) end)
  if ok then passed = passed + 1 return end
  failed = failed + 1
  print(("FAIL  %s\n      %s"):format(name, err))
end

function M.equal(got, expected, what)
  if got == expected then return end
  error(("%s%s, not %s"):format(what and what .. ": " or "", show(got), show(expected)), 2)
end

function M.match(text, pattern, what)
  if type(text) == "string" and text:find(pattern) then return end
  error(("%s%s does not match %s"):format(what and what .. ": " or "", show(text), show(pattern)), 2)
end

--- fn throws what matches.
function M.throws(fn, pattern)
  local ok, err = pcall(fn)
  if ok then error("it threw nothing", 2) end
  M.match(tostring(err), pattern)
  return err
end

--- A command's output and exit status.
function M.command(line)
  local p = assert(io.popen(line .. " 2>&1; echo \" $?\""))
  local text = p:read("*a")
  p:close()
  local output, status = text:match("^(.*) (%d+)\n$")
  return output, tonumber(status)
end

--- A program of its own, in a fresh LuaJIT: its output and exit status.
function M.luajit(text, options)
  local path = os.tmpname()
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  local output, status = M.command(("timeout 60 luajit %s %s"):format(options or "", path))
  os.remove(path)
  return output, status
end

function M.finish(name)
  print(("rock, %s: %d passed, %d failed"):format(name, passed, failed))
  os.exit(failed == 0 and 0 or 1)
end

return M

--- script: `perilune script FILE.lua`, a program in Lua from beginning to end.
--
-- It runs as it would in `luajit FILE.lua` with the rock installed; the program is only the host.  What it returns is
-- the exit status, and what it throws goes to stderr with the lines that led there.

local check = require "perilune.check"
local rock = require "perilune.rock"
local traces = require "perilune.traces"

local globals = _G

-- What was thrown, for a person.
local function trace(err)
  if type(err) == "table" and (err.message or err.code) then
    err = err.code and err.message and err.code .. ": " .. err.message or tostring(err.message or err.code)
  elseif type(err) ~= "string" then
    err = getmetatable(err) and getmetatable(err).__tostring and tostring(err) or ("(error object is a %s)"):format(type(err))
  end
  return traces.of(err) or traces.cut(debug.traceback(err, 2))
end

local function say(text) io.stderr:write("perilune script: ", text, "\n") end

-- nothing and true: well; false: not; a number: that.
local function status_of(value)
  if value == nil or value == true then return 0 end
  if value == false then return 1 end
  if type(value) == "number" and value % 1 == 0 and value >= 0 and value <= 255 then return value end
  say(("the script returned %s; it returns nothing, true, false, or a number from 0 to 255"):format(check.show(value)))
  return 1
end

--- Returns the exit status.
---@param file string  "-": standard input
---@param config string|false  a configuration, inside of which all of it runs
return function(file, config, ...)
  local args = { [0] = file, ... }
  globals.arg = args
  local folder = file:match("^(.*/)[^/]*$")
  if folder then package.path = folder .. "?.lua;" .. package.path end
  local chunk, err = globals.loadfile(file ~= "-" and file or nil)
  if not chunk then
    say(err)
    return 1
  end
  local function main() return chunk(unpack(args, 1, #args)) end
  local ok, value = xpcall(function()
    if config then return (rock.run(config, main)) end
    return (main())
  end, trace)
  if ok then return status_of(value) end
  say(value)
  return 1
end

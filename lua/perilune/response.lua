--- response: the methods of a response that wait, text() and events().
--
-- C offers the methods that answer at once (core.response_methods); the two here need the two halves of
-- a primitive that waits, so they are written in Lua.  sandbox.lua loads this file, and nobody runs a policy
-- without sandbox.lua: a response has all of its methods whether or not a policy requires "perilune".

local core = require "perilune.core"

local methods = core.response_methods
local result = core.result

function methods.text(res, choice)
  result(core.wait_end(res))
  return core.read_text(res, choice)
end

function methods.events(res)
  local over = false
  return function()
    while not over do
      local ev, err = core.next_event(res)
      if ev then return ev end
      if ev == nil then
        over = true
        return err and { type = "error", error = err } or nil
      end
      result(core.wait_event(res))
    end
  end
end

return methods

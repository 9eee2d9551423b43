--- caught: an operator's function whose mistake ends a part of the work, and not the request.
--
--     local ok, value, err = caught("step 'rank'", step.run, req, done)
--
-- What it throws becomes a value, and nobody sees its stack any more.  So the log gets, here, what it gets of a policy
-- that throws: the file and line of the function's own code, and the traceback.  An error of perilune.error{...} is
-- thrown on purpose: it is passed on, and nobody looks for its place.

local core = require "perilune.core"
local errors = require "perilune.errors"
local frame = require "perilune.frame"

local function failure(who, thrown)
  if type(thrown) == "table" and thrown.code then return errors.new(thrown) end
  local text = ("%s: %s"):format(who, tostring(thrown))
  core.log("error", text)
  local message = text:match("^(.-)\nstack traceback:") or text
  return errors.new{ code = "policy_error", message = "a policy failed", detail = message, retryable = false }
end

local function outcome(who, ok, value, ...)
  if ok then return true, value, ... end
  return false, failure(who, value)
end

--- Calls fn.
---@async
---@param who string  what it is, in the log
---@param fn function
---@return boolean ok
---@return any value  what it returned, or the error
return function(who, fn, ...)
  -- A request that was condemned meanwhile (CPU time, memory) ends here.  (core.traced is bounded: see sandbox.lua.)
  return outcome(who, core.check(xpcall(frame, core.traced, fn, ...)))
end

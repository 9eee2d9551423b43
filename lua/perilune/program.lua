--- program: functions of the program that policies run in, `host.NAME(...)`.
--
--     host.lookup_user  -->  kept[NAME], or host.program(NAME): C looks among what perilune_function_add() added
--
-- The table cannot be written, and a name that nobody has added is an error that says which ones there are.  A
-- configuration may say which it counts on (host_functions = { ... }): those can be taken up before the program has
-- added them, and where there is no program, as in `perilune check`, calling one is an error that policies can handle.

local check = require "perilune.check"
local errors = require "perilune.errors"
local host = require "perilune.host"
local readonly = require "perilune.readonly"

local M = {}

local kept, declared = {}, {}

local function sentence(name, known)
  table.sort(known)
  local near = check.nearest(name, known)
  if near then near = ("; did you mean '%s'?"):format(near) end
  if not known[1] then
    return ("no host function '%s': the program that runs this has none (perilune_function_add); "
      .. "host_functions = { \"%s\" } in the configuration says that it will"):format(name, name)
  end
  return ("no host function '%s'%s%s"):format(name, near or "", (near and " There are " or "; there are ")
    .. table.concat(known, ", "))
end

-- Of a name that the configuration counts on, and that nobody has added yet.
local function late(name)
  return function(...)
    local fn = host.program(name)
    if fn then return fn(...) end
    return nil, errors.new{ code = "host_error", message = ("the program has no function '%s'"):format(name) }
  end
end

local function index(_, name)
  if type(name) ~= "string" then error("host: functions have names, not " .. check.show(name), 3) end
  local fn, known, keep = host.program(name)
  if not fn then
    if declared[name] then return late(name) end
    error(sentence(name, known), 3)
  end
  if keep then kept[name] = fn end
  return fn
end

--- The names that the configuration counts on.
---@param names string[]
function M.declare(names)
  for _, name in ipairs(names) do declared[name] = true end
end

--- What policies get as `host`, and as perilune.host.
M.functions = readonly.new(setmetatable(kept, { __index = index }), "host")

return M

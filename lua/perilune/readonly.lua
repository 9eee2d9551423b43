--- readonly: tables that cannot be written through the handles that others have of them.

local M = {}

-- Handle -> what it is called.  rawset() of policies asks here (perilune.sandbox).
M.sealed = setmetatable({}, { __mode = "k" })

--- A table that cannot be written through the handle returned.
---@generic T
---@param t T
---@param what string
---@return T
function M.new(t, what)
  local handle = setmetatable({}, {
    __index = t,
    __newindex = function(_, k) error(("%s.%s cannot be assigned"):format(what, tostring(k)), 2) end,
    __metatable = false,
  })
  M.sealed[handle] = what
  return handle
end

return M

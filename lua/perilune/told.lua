--- told: what requests are told apart by, where an option says so: a header, the tenant, a function.

local check = require "perilune.check"

local M = {}

--- For `check` of an option.
---@param how any
---@return string|function?
---@return string? problem
function M.check(how)
  if type(how) == "function" then return how end
  if type(how) == "string" and how ~= "" then return how end
  return nil, ("must be \"tenant\", the name of a header, or a function, got %s"):format(check.show(how))
end

--- The function that says it of a request; nil: this one is not told apart.
---@param how string|function  as M.check() lets it pass
---@return fun(req: perilune.Request): any
function M.by(how)
  if type(how) == "function" then return how end
  if how == "tenant" then return function(req) return req.tenant end end
  return function(req) return req.headers[how] end
end

return M

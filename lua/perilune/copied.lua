--- copied: a value that somebody may write into, without anybody else seeing it.
--
-- What is written once, in a configuration or by one request, and given to many requests is given as a copy: a policy
-- that writes into its own would tell one tenant what belongs to another.  Tables are copied with all tables in them,
-- keys too, and keep their form: two ways to one table lead to one copy.  What cannot be written into is shared, and
-- so is what hides what it is (`__metatable`): an object of the library, a handle that cannot be written through.

local MOST = 10000 -- values in a table: copying one costs each request

local function copy(value, seen)
  if type(value) ~= "table" then return value end
  if seen.copies[value] then return seen.copies[value] end
  local meta = getmetatable(value)
  if meta ~= nil and (type(meta) ~= "table" or rawget(meta, "__metatable") ~= nil) then return value end
  local out = {}
  seen.copies[value] = out
  for k, v in next, value do
    seen.count = seen.count + 1
    if seen.count > MOST then return out end
    out[copy(k, seen)] = copy(v, seen)
  end
  return setmetatable(out, meta)
end

--- A copy; or nil and how many values are the most, of a table that has more, or that is too deep to be copied.
---@generic T
---@param value T
---@return T? copy
---@return integer? most
return function(value)
  if type(value) ~= "table" then return value end
  local seen = { count = 0, copies = {} }
  local ok, out = pcall(copy, value, seen)
  if not ok or seen.count > MOST then return nil, MOST end
  return out
end

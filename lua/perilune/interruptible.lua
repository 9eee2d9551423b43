--- interruptible: what C does in one go, or with callbacks, and nobody can interrupt there.
--
-- A coroutine cannot yield below a C function, so a policy that sorts a million numbers, or
-- replaces with a function that takes long, would have its worker for itself.  These do the
-- same in Lua; the hook that slices a request's time works inside of them.

local M = {}

-- -- table.sort ------------------------------------------------------------------

local c_sort = table.sort
local rawget, rawset = rawget, rawset

local SHORT = 500 -- elements that C sorts in some tenths of a millisecond
local RUN = 8     -- elements that are sorted by insertion before runs are merged

local function less(a, b) return a < b end

local function sort_runs(a, n, before)
  for first = 1, n, RUN do
    for i = first + 1, math.min(first + RUN - 1, n) do
      local v, k = a[i], i - 1
      while k >= first and before(v, a[k]) do
        a[k + 1] = a[k]
        k = k - 1
      end
      a[k + 1] = v
    end
  end
end

-- out[first..last] = a[first..middle] and a[middle + 1..last], in order.
local function merge(a, out, first, middle, last, before)
  local i, k = first, middle + 1
  for at = first, last do
    if k > last or (i <= middle and not before(a[k], a[i])) then
      out[at], i = a[i], i + 1
    else
      out[at], k = a[k], k + 1
    end
  end
end

--- table.sort. Equal elements keep their order; an order that contradicts itself gives
--- some order instead of an error.
---@param t table
---@param before? fun(a: any, b: any): boolean
function M.sort(t, before)
  if type(t) ~= "table" or (before ~= nil and type(before) ~= "function") then return c_sort(t, before) end
  local n = #t
  if before == nil and n <= SHORT then return c_sort(t) end
  before = before or less
  local a, other = {}, {}
  for i = 1, n do a[i] = rawget(t, i) end
  sort_runs(a, n, before)
  local width = RUN
  while width < n do
    for first = 1, n, 2 * width do
      merge(a, other, first, math.min(first + width - 1, n), math.min(first + 2 * width - 1, n), before)
    end
    a, other, width = other, a, 2 * width
  end
  for i = 1, n do rawset(t, i, a[i]) end
end

-- -- string.gsub -----------------------------------------------------------------

local c_gsub, find, sub, concat = string.gsub, string.find, string.sub, table.concat

local PIECES = 4096 -- are joined when there are so many: their table stays small

-- What stands for a match: of a table its field, of a function what it returns.
local function value_of(with, whole, first, ...)
  if first == nil then first = whole end -- no captures
  local value
  if type(with) == "table" then value = with[first] else value = with(first, ...) end
  if not value then return whole end
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" then error(("invalid replacement value (a %s)"):format(kind), 0) end
  return value
end

-- What find() returned: the match's bounds, and its replacement.
local function replaced(s, with, from, to, ...)
  if from then return from, to, value_of(with, sub(s, from, to), ...) end
end

--- string.gsub. What replaces by a function or a table is done here.
---@param s string
---@param pattern string
---@param with string|number|table|function
---@param most? integer
---@return string
---@return integer
function M.gsub(s, pattern, with, most)
  local kind = type(with)
  if kind ~= "function" and kind ~= "table" then return c_gsub(s, pattern, with, most) end
  if type(s) ~= "string" or type(pattern) ~= "string" or (most ~= nil and type(most) ~= "number") then
    c_gsub(s, pattern, "", most) -- says what is wrong, or has taken numbers for strings
    s, pattern, most = tostring(s), tostring(pattern), tonumber(most)
  end
  local anchored = sub(pattern, 1, 1) == "^"
  local whole, out, n, count, at, copied = {}, {}, 0, 0, 1, 1
  most = most or math.huge
  while count < most and at <= #s + 1 do
    local from, to, value = replaced(s, with, find(s, pattern, at))
    if not from then break end
    count = count + 1
    out[n + 1], out[n + 2], n = sub(s, copied, from - 1), value, n + 2
    copied = to + 1
    at = to < from and to + 2 or to + 1 -- the character behind an empty match is left as it is
    if n >= PIECES then whole[#whole + 1], n = concat(out, "", 1, n), 0 end
    if anchored then break end
  end
  out[n + 1] = sub(s, copied)
  whole[#whole + 1] = concat(out, "", 1, n + 1)
  return concat(whole), count
end

return M

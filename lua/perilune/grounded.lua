--- grounded: are the numbers and quotations of a text in its source?
--
--     source  "Revenue rose to 3.2 million (12,500 customers). \"We are proud of that\", she said."
--     text    "3,200,000 of revenue, 12500 customers, 40 shops"        --> missing: 40
--
-- Numbers are compared by value: 3.2 million, 3,200,000 and 320万 are the same, 50 % and 0.5 are not.  Not looked at
-- are numbers that no text needs a source for: whole ones below 10, and those that count the items of a list.
-- Quotations are compared without regard to white space, case and the kind of quotation marks; shorter ones than
-- QUOTE_LEAST are names of things.
--
-- What is missing may be right (a sum, a rounded number): it is marked, never taken out.
--
-- A text that is nothing but numbers costs ten times the CPU time of prose: who has little of it says how much with
-- has_time, and gets no source when it does not suffice.

local text_of = require "perilune.text"

local M = {}

local QUOTE_LEAST = 12  -- bytes
local WINDOW = 524288   -- bytes of a source that are normalized at once
local MOST = 20         -- missing ones that are told
local PLAIN = 40e-9     -- seconds of CPU time for a byte that is normalized, or cut into spans
local FIND = 1e-9       -- seconds for a byte that a quotation is looked for in
local NUMBER = 2e-6     -- seconds for a number
local NUMBERS = 256     -- that are read between two looks at the time

local scales = {
  thousand = 1e3, million = 1e6, billion = 1e9, trillion = 1e12, mio = 1e6, bn = 1e9, m = 1e6, k = 1e3,
  ["万"] = 1e4, ["亿"] = 1e8, ["千"] = 1e3, ["百万"] = 1e6, ["千万"] = 1e7, ["万亿"] = 1e12,
}

local function scale_behind(text, at)
  local word = text:match("^%s?(%a+)%f[%A]", at)
  if word then return scales[word:lower()] end
  return scales[text:sub(at, at + 5)] or scales[text:sub(at, at + 2)]
end

local function form(value) return ("%.10g"):format(value) end

-- Calls fn(form, scaled form or nil, as written, first) for each number, until it returns true.
local function each_number(text, fn)
  for first, digits, behind in text:gmatch("()(%d[%d,]*%.?%d*)()") do
    digits = digits:gsub("[,%.]+$", "")
    local value = tonumber((digits:gsub(",", "")))
    if value then
      local scale = scale_behind(text, behind)
      if fn(form(value), scale and form(value * scale) or nil, digits, first) then return end
    end
  end
end

local marks = { ["“"] = '"', ["”"] = '"', ["「"] = '"', ["」"] = '"', ["『"] = '"', ["』"] = '"', ["‘"] = "'", ["’"] = "'" }

local function plain(text)
  return (text:gsub("\226\128[\152\153\156\157]", marks):gsub("\227\128[\140-\143]", marks):gsub("%s+", " "):lower())
end

---@class perilune.Source
local Source = {}
Source.__index = Source

local function always() return true end

-- Calls fn as each_number() does; true when there is no time for all of them.
local function numbers_in_time(text, has_time, fn)
  local count, late = 0, false
  each_number(text, function(...)
    if count % NUMBERS == 0 then late = not has_time(NUMBER * NUMBERS) end
    count = count + 1
    if not late then fn(...) end
    return late
  end)
  return late
end

-- False when there is no time for it.
local function take_in(self, text, has_time)
  for at = 1, #text, WINDOW do
    if not has_time(PLAIN * math.min(#text, WINDOW)) then return false end
    self.parts[#self.parts + 1] = plain(text:sub(at, at + WINDOW + 1024))
    self.bytes = self.bytes + #self.parts[#self.parts]
  end
  local late = numbers_in_time(text, has_time, function(value, scaled)
    self.numbers[value] = true
    if scaled then self.numbers[scaled] = true end
  end)
  return not late
end

--- Of several texts together; nil when there is no time for them.
---@param texts string[]
---@param has_time? fun(seconds: number): boolean  is there so much CPU time?  Default: there is.
---@return perilune.Source?
function M.source(texts, has_time)
  local self = setmetatable({ numbers = {}, parts = {}, bytes = 0 }, Source)
  for _, text in ipairs(texts) do
    if not take_in(self, text, has_time or always) then return nil end
  end
  return self
end

local function needs_source(value, text, first)
  local number = tonumber(value)
  if number < 10 and number % 1 == 0 then return false end
  -- "12. Next item": it counts.
  local line = text:sub(math.max(1, first - 40), first - 1):match("([^\n]*)$")
  return not (line:find("^[%s%-%*#>]*$") and text:find("^%d+[%.%)、]%s", first))
end

function Source:has_quote(quote)
  quote = plain(quote)
  for _, part in ipairs(self.parts) do
    if part:find(quote, 1, true) then return true end
  end
  return false
end

--- The numbers and quotations of a text that are not in the source, as they are written there, each once; nil when there
--- is no time to find out.
---@param text string
---@param has_time? fun(seconds: number): boolean
---@return string[]?
function Source:missing(text, has_time)
  has_time = has_time or always
  local out, seen = {}, {}
  local function add(what)
    if seen[what] or #out == MOST then return end
    seen[what] = true
    out[#out + 1] = what
  end
  local late = numbers_in_time(text, has_time, function(value, scaled, written, first)
    if self.numbers[value] or scaled and self.numbers[scaled] or not needs_source(value, text, first) then return end
    add(written)
  end)
  if late or not has_time(PLAIN * math.min(#text, WINDOW)) then return nil end
  for _, span in ipairs(text_of.spans(text:sub(1, WINDOW), { types = { "quote" } }) or {}) do
    local inner = text:sub(span.first, span.last):gsub("^[\"']", ""):gsub("[\"']$", "")
    inner = inner:gsub("^[\226\227].[\128-\191]", ""):gsub("[\226\227].[\128-\191]$", "")
    if #inner >= QUOTE_LEAST and not inner:find("^《") then
      if not has_time(FIND * self.bytes) then return nil end
      if not self:has_quote((inner:gsub("[%.,;:!%?]+$", ""))) then add('"' .. inner .. '"') end
    end
  end
  return out
end

return M

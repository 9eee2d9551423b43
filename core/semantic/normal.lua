-- normal.lua -- writes core/semantic/normal_data.h: lower case, and compatibility forms made plain.
--
--   luajit core/semantic/normal.lua /usr/share/unicode > core/semantic/normal_data.h
--
-- from UnicodeData.txt 15.0.0 (Debian's package unicode-data 15.0.0-1), sha256:
--   806e9aed65037197f1ec85e12be6e8cd870fc5608b4de0fffd990f689f376a73  UnicodeData.txt
--
-- Left out are forms that questions do not hold or that are read well enough as they are:
-- presentation forms of Arabic, single letters of Hangul, accents that stand alone.

local root = assert(arg[1], "usage: luajit core/semantic/normal.lua DIRECTORY")
local array = dofile("core/tokens/vocab/c_array.lua")

local LEFT_OUT = { -- first, last
  { 0x1100, 0x11FF }, { 0x3131, 0x318E }, { 0x3200, 0x321E }, { 0x3260, 0x327E }, { 0xFB50, 0xFDFF },
  { 0xFE70, 0xFEFC }, { 0xFFA0, 0xFFDC }, { 0x10780, 0x107BA }, { 0x1EE00, 0x1EEFF }, { 0x20000, 0x10FFFF },
}

-- What people type for one another, though Unicode keeps it apart; and what is not seen.
local ALSO = {
  [0x2018] = "'", [0x2019] = "'", [0x201B] = "'", [0x201C] = '"', [0x201D] = '"', [0x201F] = '"',
  [0x2010] = "-", [0x2011] = "-", [0x2012] = "-", [0x2013] = "-", [0x2212] = "-",
  [0x2044] = "/", [0x2215] = "/",
  [0x00AD] = "", [0x200B] = "", [0x2060] = "", [0xFE0E] = "", [0xFE0F] = "", [0xFEFF] = "",
}

local forms, lower, canonical, points = {}, {}, {}, {}
for line in assert(io.open(root .. "/UnicodeData.txt")):lines() do
  local f = {}
  for field in (line .. ";"):gmatch("([^;]*);") do f[#f + 1] = field end
  local c, list = tonumber(f[1], 16), {}
  for x in f[6]:gsub("<.->", ""):gmatch("%x+") do list[#list + 1] = tonumber(x, 16) end
  if f[6]:match("^<") then forms[c] = list elseif f[6] ~= "" then canonical[c] = list end
  if f[14] ~= "" then lower[c] = tonumber(f[14], 16) end
  points[#points + 1] = c
end

local function left_out(c)
  for _, r in ipairs(LEFT_OUT) do
    if c >= r[1] and c <= r[2] then return true end
  end
  return forms[c] ~= nil and #forms[c] > 1 and forms[c][1] == 0x20
end

-- Appends what c becomes.  What is composed stays so: form C puts it together again.
local function plain(c, out)
  if not forms[c] then
    out[#out + 1] = ALSO[c] and ALSO[c]:byte() or lower[c] or c
    return
  end
  for _, x in ipairs(forms[c]) do plain(x, out) end
end

local function utf8(c)
  if c < 0x80 then return string.char(c) end
  if c < 0x800 then return string.char(0xC0 + math.floor(c / 64), 0x80 + c % 64) end
  local tail = string.char(0x80 + math.floor(c / 64) % 64, 0x80 + c % 64)
  if c < 0x10000 then return string.char(0xE0 + math.floor(c / 4096)) .. tail end
  return string.char(0xF0 + math.floor(c / 262144), 0x80 + math.floor(c / 4096) % 64) .. tail
end

local single, strings = {}, {}
for c in pairs(ALSO) do
  if not forms[c] then points[#points + 1] = c end
end
local seen = {}
for _, c in ipairs(points) do
  if c >= 0x80 and not seen[c] and (ALSO[c] or not left_out(c)) then
    seen[c] = true
    local out, text = {}, ALSO[c]
    plain(c, out)
    if text == "" then strings[#strings + 1] = { c, "" }
    elseif text then single[#single + 1] = { c, text:byte() }
    elseif #out == 1 and out[1] ~= c then single[#single + 1] = { c, out[1] }
    elseif #out > 1 then
      for i = 1, #out do out[i] = utf8(out[i]) end
      strings[#strings + 1] = { c, table.concat(out) }
    end
  end
end
local function by_first(a, b) return a[1] < b[1] end
table.sort(single, by_first)
table.sort(strings, by_first)

-- Runs in which every character, or every second, is as far from what it becomes.
local runs = {}
local i = 1
while i <= #single do
  local c, by = single[i][1], single[i][2] - single[i][1]
  local function reach(step)
    local k = i
    while single[k + 1] and single[k + 1][1] == single[k][1] + step
      and single[k + 1][2] - single[k + 1][1] == by do k = k + 1 end
    return k
  end
  local step, last = 1, reach(1)
  if last == i then step, last = 2, reach(2) end
  if last == i then step = 1 end
  runs[#runs + 1] = { c, single[last][1], by, step }
  i = last + 1
end

print([[
/* normal_data.h -- lower case, and compatibility forms made plain.  Written by core/semantic/normal.lua;
 * see there from what.  Included by normal.c alone. */
#ifndef PERILUNE_SEMANTIC_NORMAL_DATA_H
#define PERILUNE_SEMANTIC_NORMAL_DATA_H

/* First, last, how far from each what it becomes is, 2: every second one only; by first. */]])
local items = {}
for _, r in ipairs(runs) do items[#items + 1] = ("{0x%X,0x%X,%d,%d}"):format(r[1], r[2], r[3], r[4]) end
array("static const struct run runs", items)
print("/* What becomes several characters, or none: character, where its text begins; by character. */")
local offset, texts
items, offset, texts = {}, 0, {}
for _, s in ipairs(strings) do
  items[#items + 1] = ("{0x%X,%d}"):format(s[1], offset)
  offset = offset + #s[2]
  texts[#texts + 1] = s[2]
end
items[#items + 1] = ("{0x110000,%d}"):format(offset)
array("static const struct several several", items)
print("static const char several_text[] =")
local line = ""
local function flush()
  print('    "' .. line .. '"')
  line = ""
end
for _, t in ipairs(texts) do
  local quoted = t:gsub('[?\\"]', "\\%0")
  if #line + #quoted > 110 then flush() end
  line = line .. quoted
end
flush()
print("    ;\n\n#endif")

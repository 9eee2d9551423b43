--- likeness: texts that say nearly the same, found among many.
--
--     text --> words, three by three (of Chinese: characters) --> hashes --> the SKETCH smallest ones
--                                                         +--> 32 minima (MinHash) --> 8 bands of 4 --> who shares a band?
--                                                                                                        |
--     like: |A and B| / |A or B| of the sketches, of those only <---------------------------------------+
--
-- Two texts of likeness 0.85 share a band with a probability of 0.999, those of 0.5 with one of 0.4: what a band finds
-- is counted, so nothing that is less like is taken for like; what is like is missed seldom.  Deterministic.

local bit = require "bit"

local M = {}

local BANDS, ROWS = 8, 4
local SKETCH = 128 -- hashes that are kept of a text; below so many they are all there are
local TEXT_MAX = 65536 -- bytes that are looked at
local CROWD = 64 -- texts of a band that are compared; more of them are like each other, or say little

local bxor, band, lshift, tobit = bit.bxor, bit.band, bit.lshift, bit.tobit

-- FNV-1a of 32 bits; the product by shifts, since it has no place in a double.
local function hash(text)
  local h = tobit(0x811c9dc5)
  for i = 1, #text do
    h = bxor(h, text:byte(i))
    h = tobit(h + lshift(h, 1) + lshift(h, 4) + lshift(h, 7) + lshift(h, 8) + lshift(h, 24))
  end
  return h
end

-- The 32-bit finalizer of MurmurHash3: what differs in one bit differs in half of them.
local function mix(h)
  h = bxor(h, bit.rshift(h, 16))
  h = bit.tobit(band(h, 0xffff) * 0x85eb + lshift(h, 13))
  h = bxor(h, bit.rshift(h, 13))
  h = bit.tobit(band(h, 0xffff) * 0xc2b2 + lshift(h, 15))
  return bxor(h, bit.rshift(h, 16))
end

local salts = {}
for i = 1, BANDS * ROWS do salts[i] = mix(i * 0x9e37) end

-- Words in lower case; each character beyond ASCII that begins a sequence of three bytes or more is a word.
local function words_of(text)
  local out, at, wide, wide_to = {}, 1, 0, 0
  text = text:sub(1, TEXT_MAX):lower()
  while true do
    local from, to, word = text:find("([%w\194-\223][%w\128-\223]*)", at)
    -- Looked for again only behind the last one: else each word would look through all of the text.
    if wide and wide < at then wide, wide_to = text:find("[\224-\244][\128-\191]+", at) end
    if wide and (not from or wide < from) then from, to, word = wide, wide_to, text:sub(wide, wide_to) end
    if not from then return out end
    out[#out + 1] = word
    at = to + 1
  end
end

local function sketch_of(text)
  local words, seen, all = words_of(text), {}, {}
  for i = 1, math.max(#words - 2, 1) do
    local h = mix(hash((words[i] or "") .. "\0" .. (words[i + 1] or "") .. "\0" .. (words[i + 2] or "")))
    if not seen[h] then
      seen[h] = true
      all[#all + 1] = h
    end
  end
  table.sort(all)
  local out = {}
  for i = 1, math.min(#all, SKETCH) do out[i] = all[i] end
  return out
end

-- Of the smallest hashes of both together, the part that both have.
local function like(a, b)
  local i, k, both, all = 1, 1, 0, 0
  local most = math.max(math.min(#a, #b), math.min(SKETCH, math.max(#a, #b)))
  while (i <= #a or k <= #b) and all < most do
    local x, y = a[i] or math.huge, b[k] or math.huge
    all = all + 1
    if x == y then both, i, k = both + 1, i + 1, k + 1
    elseif x < y then i = i + 1
    else k = k + 1 end
  end
  return all > 0 and both / all or 1
end

local function bands_of(sketch)
  local out = {}
  for b = 0, BANDS - 1 do
    local parts = {}
    for r = 1, ROWS do
      local salt, least = salts[b * ROWS + r], math.huge
      for _, h in ipairs(sketch) do
        local v = mix(bxor(h, salt))
        if v < least then least = v end
      end
      parts[r] = least
    end
    out[b + 1] = b .. ":" .. table.concat(parts, ",")
  end
  return out
end

--- A set of texts that are not like each other.
---@param likeness number  0 to 1: texts that are as like as that are the same
---@return { add: fun(text: string): boolean }  add: false, and nothing is added, when one like it is there
function M.new(likeness)
  local places = {}
  local set = {}
  function set.add(text)
    local sketch = sketch_of(text)
    local bands = bands_of(sketch)
    for _, place in ipairs(bands) do
      for _, other in ipairs(places[place] or {}) do
        if like(sketch, other) >= likeness then return false end
      end
    end
    for _, place in ipairs(bands) do
      places[place] = places[place] or {}
      if #places[place] < CROWD then table.insert(places[place], sketch) end
    end
    return true
  end
  return set
end

return M

--- rephrase_facts: has a text that a model worded the facts of the one it was given?
--
-- A text becomes two rows, and both must be equal:
--
--     what   numbers with their units, numbers in words, and all that a mask keeps (rephrase_prose): code, quotations,
--            links, headings, rows of tables, how many items a list has
--     who    names, and negations, in their order: "A is, B is not" and "A is not, B is" differ
--
-- And the guard of near questions must find no difference: it knows opposites, colours, units, dates.
--
-- What a text in other words keeps may still be refused, and words without a mark of their own (names without a capital
-- letter, Chinese names, most of who did it to whom) are not seen.  Languages: English and Chinese; of others negations
-- and numbers would not be known, so such a text has no facts that could be compared.

local core = require "perilune.core"
local prose = require "perilune.rephrase_prose"
local text_of = require "perilune.text"

local M = {}

local function set_of(list)
  local out = {}
  for word in list:gmatch("[^|]+") do out[word] = true end
  return out
end

local number_words = set_of("one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
  .. "seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|trillion|"
  .. "dozen|half|once|twice|double|triple|quarter|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|hundreds|"
  .. "thousands|millions|billions|dozens|halves|thirds|quarters|only|all|every|unless|except|until|without")

local han_numbers = { "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "百", "千", "万", "亿", "两", "零", "半", "仅", "只" }
-- In which such a character counts nothing.
local no_numbers = {
  "十分", "一般", "一些", "一样", "一起", "一定", "一下", "统一", "唯一", "一直", "一旦", "千万", "万一", "一边", "一致", "进一步", "一种",
}

-- Words that begin sentences: with a capital letter they are no names there.
local common = set_of("the|a|an|this|that|these|those|it|its|it's|he|she|they|we|you|i|i'm|i'd|i'll|i've|if|in|on|at|for|to|from|"
  .. "with|by|of|as|and|or|but|so|because|since|although|though|even|however|therefore|thus|hence|moreover|furthermore|"
  .. "additionally|also|similarly|likewise|finally|lastly|then|next|there|here|when|where|while|what|how|why|which|who|your|our|"
  .. "their|my|his|her|be|make|ensure|use|note|keep|please|let|feel|should|can|usually|typically|often|frequently|generally|overall|"
  .. "some|many|numerous|each|everyone|someone|anyone|perhaps|maybe|prior|before|after|due|regardless|despite|regarding|mainly|"
  .. "particularly|especially|meanwhile|nevertheless|nonetheless|put|begin|start|take|together|almost|nearly|approximately|roughly|"
  .. "about|you're|you'll|they're|we're|instead|now|still|such|both|another|other|do|does|did|are|is|was|were|has|have|"
  .. "luckily|fortunately|not|no|never|nobody|nothing|none|neither|most|more|everybody|somebody|anybody|utilize|using|utilizing|irrespective")

local function add_numbers(what, mask)
  for at, word in mask:lower():gmatch("()%f[%a](%a+)") do
    if number_words[word] then what[#what + 1] = { at, word } end
  end
  for at, limit in mask:lower():gmatch("()%f[%a]at ([lm][eo]a?st)%f[%A]") do what[#what + 1] = { at, limit } end
  if not mask:find("[\228-\233]") then return end
  for _, word in ipairs(no_numbers) do mask = mask:gsub(word, (" "):rep(#word)) end
  for _, digit in ipairs(han_numbers) do
    for at in mask:gmatch("()" .. digit) do what[#what + 1] = { at, digit } end
  end
end

-- What the mask keeps, as it stands.
local function add_kept(what, line, mask)
  if mask:find("^" .. prose.MARK) then what[#what + 1] = { 0, "item" } end
  for at, span in mask:gmatch("()(" .. prose.KEPT .. "+)") do
    what[#what + 1] = { at, (line:sub(at, at + #span - 1):gsub(" ", "")) }
  end
end

-- Names that are words, too.
local names = set_of("will|mark|bill|may|rose|grace|hope|frank|grant|jack|sue|rob|pat|art|drew|dawn")

-- Words with a capital letter.  Where a sentence begins a common word is none, nor one that is somewhere written small.
local function add_names(who, mask, small)
  for at, word in mask:gmatch("()%f[%a\195-\223]([%a\195-\223][%w'\128-\191\195-\223]*)") do
    local lower = word:lower()
    local begins = not mask:sub(1, at - 1):find("[%w\128-\255]") or mask:sub(math.max(1, at - 3), at - 1):find("[.!?:] ?[ (*]?$")
    local is_word = begins and (common[lower] or small[lower] and not names[lower]) or lower == "i" or lower:find("^i'")
    if not is_word and (word:find("%u") or word:find("\195[\128-\158]")) then who[#who + 1] = { at, word } end
  end
end

local polar = { types = { "negation", "modal" } }
local denies = set_of("cannot|cant|disallow|disallowed|forbid|forbidden|prohibit|prohibited")

-- not, n't and cannot are one negation; of Chinese ones the first character says which.
local function negation_of(span, word)
  word = word:lower()
  if word:find("^[\228-\233]") then return span.type == "negation" and word:sub(1, 3) or word:match("^禁止") or word:match("^不") end
  if word == "not" or word:find("n't", 1, true) or word:find("n’t", 1, true) or word == "cannot" then return "not" end
  return (span.type == "negation" or denies[word]) and word or nil
end

local function add_negations(who, mask)
  local spans = core.text_spans(mask, polar)
  for _, span in ipairs(spans or {}) do
    local word = negation_of(span, mask:sub(span.first, span.last))
    if word then who[#who + 1] = { span.first, word } end
  end
  return spans ~= nil
end

local function by_place(a, b) return a[1] < b[1] or a[1] == b[1] and a[2] < b[2] end

local function append(row, found)
  table.sort(found, by_place)
  for _, fact in ipairs(found) do row[#row + 1] = fact[2] end
end

-- The two rows, each as one text; nil where they cannot be known.
local function rows_of(text, small)
  local language = text_of.language(text)
  if core.text_spans(text, polar) == nil or language ~= nil and language ~= "en" and language ~= "zh" then return nil end
  local what, who, read = {}, {}, prose.reader()
  for line in text:gmatch("[^\n]+") do
    local mask = line:find("%S") and read(line)
    if mask then
      local numbers, named = {}, {}
      add_numbers(numbers, mask)
      add_kept(numbers, line, mask)
      add_names(named, mask, small)
      if not add_negations(named, mask) then return nil end
      append(what, numbers)
      append(who, named)
    elseif line:find("%S") then
      what[#what + 1] = line:match("^%s*(.-)%s*$")
    end
  end
  return table.concat(what, "\n"), table.concat(who, "\n")
end

--- Has the second text the same facts as the first, as far as that can be seen?
---@param before string
---@param after string
---@return boolean
function M.are_same(before, after)
  local small = {}
  for word in (before .. "\n" .. after):gmatch("%f[%a]%l+%f[%A]") do small[word] = true end
  local what, who = rows_of(before, small)
  local new_what, new_who = rows_of(after, small)
  return what ~= nil and what == new_what and who == new_who and core.near_guard(before, after) == "same"
end

return M

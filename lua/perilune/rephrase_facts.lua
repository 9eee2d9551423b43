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

-- -- what a text holds, in any order ---------------------------------------------

-- Words behind a negation that say nothing of what is denied.
local light = set_of("the|a|an|to|of|any|be|is|are|in|on|or|and|that|this|it|you|your|do|with|for|by|at|as|from|their|them|such|even|"
  .. "under|circumstances|ever|should|must|will|would|can|please|not|no|never|nor|without|more|than|other|use|using|make|try")

local formats = set_of("json|yaml|xml|csv|tsv|html|markdown|latex|sql|regex|base64|utf|iso|plaintext|uppercase|lowercase|bullet|bullets|"
  .. "table|tables|italics|bold")

local placeholders = { "{{[^{}\n]+}}", "%${[%w_.]+}", "{[%a_][%w_.]*}", "<[%a_][%w_.-]*>", "%[[%u][%u%d_ ]+%]", "%%[sdfi]%f[%A]" }

-- Marks of lists and headings, and emphasis, are not what a text says.
local function unmarked(text)
  return (("\n" .. text):gsub("\n[ \t]*#+[ \t]*", "\n"):gsub("\n[ \t]*[%-*+•][ \t]+", "\n"):gsub("\n[ \t]*%d+[.)][ \t]+", "\n")
    :gsub("%*%*", ""):gsub("__", ""):sub(2))
end

-- Four letters of a word are the same in most of its forms.
local function stem(word) return word:lower():sub(1, 4) end

-- The sentence around a place, cut at what ends one.
local function behind(mask, at)
  return mask:sub(at, (mask:find("[.;!?\n]", at) or #mask + 1) - 1)
end

-- What a negation denies: the words behind it that say something.
local function denied(mask, last)
  local words = {}
  for word in behind(mask, last + 1):gmatch("[%a][%w']*") do
    if not light[word:lower()] then words[#words + 1] = stem(word) end
    if #words == 4 then break end
  end
  return words
end

local function add_denials(out, text)
  local spans = core.text_spans(text, polar)
  for _, span in ipairs(spans or {}) do
    local word = text:sub(span.first, span.last)
    if negation_of(span, word) then
      local words = denied(text, span.last)
      local shown = behind(text, span.first):match("^[%s]*(.-)%s*$"):gsub("%s+", " ")
      out[#out + 1] = { words = words, shown = #shown > 60 and shown:sub(1, 60) .. "..." or shown }
    end
  end
  return spans ~= nil
end

-- Of a name that only ever begins sentences nobody knows that it is one, unless it is written as no word is.
local function add_all_names(out, line, mask)
  for at, word in mask:gmatch("()%f[%a\195-\223]([%a\195-\223][%w'\128-\191\195-\223]*)") do
    local begins = not mask:sub(1, at - 1):find("[%w\128-\255]") or mask:sub(math.max(1, at - 3), at - 1):find("[.!?:] ?[ (*\"]?$")
    local odd = word:find("^.+%u") or word:find("%u.*%d")
    local lower = word:lower()
    if (odd or not begins) and word:find("^[%u\195]") and lower ~= "i" and not lower:find("^i'") and not common[lower] then
      out[word:gsub("'s$", "")] = word
    end
  end
end

---@class perilune.Facts
---@field kept table<string, string>          numbers, code, quotations, links, placeholders: as compared, as written
---@field names table<string, string>
---@field words table<string, true>           all that could be one
---@field formats table<string, string>
---@field denials { words: string[], shown: string }[]

--- What a text says that a shorter one must say, too, in whatever order.  nil: its language is not known here.
---@param text string
---@return perilune.Facts?
function M.of(text)
  local language = text_of.language(text)
  if language ~= nil and language ~= "en" and language ~= "zh" then return nil end
  local out = { kept = {}, names = {}, words = {}, formats = {}, denials = {} }
  for word in text:gmatch("[%a\195-\223][%w'\128-\191\195-\223]*") do out.words[word:gsub("'s$", "")] = true end
  for _, pattern in ipairs(placeholders) do
    for found in text:gmatch(pattern) do out.kept[found] = found end
  end
  local plain, read = unmarked(text), prose.reader()
  if not add_denials(out.denials, plain) then return nil end
  for line in plain:gmatch("[^\n]+") do
    local mask = line:find("%S") and read(line)
    local found = {}
    if mask then
      add_numbers(found, mask)
      add_kept(found, line, mask)
      add_all_names(out.names, line, mask)
    elseif line:find("%S") then
      found[1] = { 0, (line:gsub("%s+", "")) }
    end
    for _, fact in ipairs(found) do
      local what = fact[2] == "every" and "all" or fact[2]
      if what ~= "item" then out.kept[what] = fact[2] end
    end
    for word in line:lower():gmatch("%f[%a]%a+%f[%A]") do
      if formats[word] then out.formats[word] = word end
    end
  end
  return out
end

local function missing(out, what, from, to)
  for key, shown in pairs(from) do
    if to[key] == nil then out[#out + 1] = { what = what, text = shown } end
  end
end

-- A denial is still there when one of the other text denies one of the same things; what denies nothing that could be
-- named ("No.") when the other denies anything.
local function has_denial(denial, all)
  for _, other in ipairs(all) do
    if not denial.words[1] then return true end
    for _, word in ipairs(other.words) do
      for _, mine in ipairs(denial.words) do
        if word == mine then return true end
      end
    end
  end
  return false
end

local function missing_denials(out, what, from, to)
  for _, denial in ipairs(from) do
    if not has_denial(denial, to) then out[#out + 1] = { what = what, text = denial.shown } end
  end
end

local function in_order(list)
  table.sort(list, function(a, b) return a.what < b.what or a.what == b.what and a.text < b.text end)
  return list
end

--- What of the first text the second has not, and what it has that the first has not.  nil, err: cannot be known.
---@param before string
---@param after string
---@return { what: string, text: string }[]? lost
---@return { what: string, text: string }[]|string? added
function M.compare(before, after)
  local a, b = M.of(before), M.of(after)
  if not a or not b then return nil, "its language is neither English nor Chinese: nobody here knows its negations" end
  local lost, added = {}, {}
  for pass, pair in ipairs{ { a, b }, { b, a } } do
    local out = pass == 1 and lost or added
    missing(out, "fact", pair[1].kept, pair[2].kept)
    missing(out, "name", pair[1].names, pair[2].words) -- where it begins a sentence it may be one
    missing(out, "format", pair[1].formats, pair[2].formats)
    missing_denials(out, "negation", pair[1].denials, pair[2].denials)
  end
  return in_order(lost), in_order(added)
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

--- rephrase: words an answer of the cache otherwise, and changes nothing of what it says.
--
-- By rules, one change a sentence at most: groups of words that may stand for each other (rephrase_rules.lua).  Or by a
-- small model, whose text is taken only when it has the same facts.  Numbers, names, negations, quotations, code, links,
-- tables and headings stay as they are; a sentence that negates anything is left alone.

local check = require "perilune.check"
local core = require "perilune.core"
local rules = require "perilune.rephrase_rules"

local M = {}

local LONGEST = 64 * 1024 -- bytes of a text that is worded otherwise
local MODEL_TIMEOUT = 5   -- seconds

-- The value of the option `rephrase`.
function M.check(value)
  if value == true or value == false then return value end
  if type(value) ~= "string" then
    return nil, "must be true, false, or the name of an upstream, got " .. check.show(value)
  end
  return check.value({ type = "upstream" }, value)
end

-- -- by rules ---------------------------------------------------------------------------

-- What stands in a piece of a line that must stay: code, links, quotations, formulas.
local kept = {
  "`[^`]*`", "%a[%w+.-]*://%S+", '"[^"]*"', "%$[^$]*%$", "\226\128\156.-\226\128\157", "\227\128\140.-\227\128\141",
  "\227\128\138.-\227\128\139",
}

local negations = {
  "%f[%a]not%f[%A]", "n't", "n\226\128\153t", "%f[%a]no%f[%A]", "%f[%a]never%f[%A]", "%f[%a]without%f[%A]",
  "%f[%a]cannot%f[%A]", "%f[%a]neither%f[%A]", "%f[%a]nor%f[%A]", "%f[%a]none%f[%A]", "%f[%a]hardly%f[%A]",
  "\228\184\141", "\230\178\161", "\230\151\160", "\229\136\171", "\233\157\158", "\230\156\170", "\229\139\191",
}

-- Does the sentence negate?  Words of the rules themselves (不过, 非常) do not.
local own_words = { "\228\184\141\232\191\135", "\233\157\158\229\184\184" }

local function negates(sentence)
  local plain = sentence:lower()
  for _, word in ipairs(own_words) do plain = plain:gsub(word, "") end
  for _, pattern in ipairs(negations) do
    if plain:find(pattern) then return true end
  end
  return false
end

local function overlaps(first, last, spans)
  for _, span in ipairs(spans) do
    if first <= span[2] and last >= span[1] then return true end
  end
  return false
end

-- Adds where the pattern stands, or the plain text.
local function add_spans(spans, text, pattern, plain)
  local first, last = text:find(pattern, 1, plain)
  while first do
    spans[#spans + 1] = { first, last }
    first, last = text:find(pattern, last + 1, plain)
  end
end

local function kept_spans(text, but)
  local spans = {}
  for _, pattern in ipairs(kept) do add_spans(spans, text, pattern, false) end
  for _, word in ipairs(but or {}) do add_spans(spans, text, word, true) end
  return spans
end

local in_word = "[%w'_\128-\255-]"

-- Where the phrase stands as whole words, outside of what is kept; or nil.
local function find_phrase(text, lower, phrase, is_latin, spans)
  local at = 1
  while true do
    local first, last = lower:find(phrase, at, true)
    if not first then return nil end
    local whole = not is_latin or not (lower:sub(first - 1, first - 1):find(in_word) or
                                       lower:sub(last + 1, last + 1):find(in_word))
    local middle = text:sub(first + 1, last):find("%u")
    if whole and not middle and not overlaps(first, last, spans) then return first, last end
    at = last + 1
  end
end

local function like_case(text, sample)
  if sample:find("^%u") then return (text:gsub("^%l", string.upper)) end
  return text
end

-- One change of the sentence at most; the draw says which, if any.
local function reword(sentence, draw)
  if negates(sentence) then return sentence end
  local lower = sentence:lower()
  local found = {}
  for language, groups in pairs{ en = rules.en, zh = rules.zh } do
    for _, group in ipairs(groups) do
      local spans
      for i, phrase in ipairs(group) do
        if (i == 1 or not group.one_way) and lower:find(phrase, 1, true) then
          spans = spans or kept_spans(sentence, group.but)
          local first, last = find_phrase(sentence, lower, phrase, language == "en", spans)
          if first then found[#found + 1] = { first, last, group, i } end
        end
      end
    end
  end
  if #found == 0 then return sentence end
  table.sort(found, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] > b[2]) end)
  local pick = found[draw(#found + 1)]
  if not pick then return sentence end -- as it is, now and then
  local group, others = pick[3], {}
  for i, phrase in ipairs(group) do
    if i ~= pick[4] then others[#others + 1] = phrase end
  end
  local other = others[draw(#others)]
  return sentence:sub(1, pick[1] - 1) .. like_case(other, sentence:sub(pick[1], pick[2])) .. sentence:sub(pick[2] + 1)
end

-- Sentences of a line, with what ends them.
local function each_sentence(line, fn)
  local out, from = {}, 1
  while from <= #line do
    local stop = #line
    for _, pattern in ipairs{ "[.!?;]%s", "\227\128\130", "\239\188\129", "\239\188\159", "\239\188\155" } do
      local _, last = line:find(pattern, from)
      if last and last < stop then stop = last end
    end
    out[#out + 1] = fn(line:sub(from, stop))
    from = stop + 1
  end
  return table.concat(out)
end

-- A heading, a row of a table, a quotation, code by indent, or something else that is no prose.
local function is_prose(line)
  return not (line:find("^%s*[#|>{%[<]") or line:find("^\t") or line:find("^    ") or line:find("|.*|"))
end

-- The same numbers for the same seed, on every machine.
local function drawing(seed)
  local state = seed % 2147483647
  if state < 1 then state = state + 1 end
  return function(n)
    state = state * 16807 % 2147483647
    return state % n + 1
  end
end

--- A function that words one line after the other, of one text.
function M.lines(seed)
  local draw, fence = drawing(seed), nil
  return function(line)
    local mark = line:match("^%s*(```+)") or line:match("^%s*(~~~+)")
    if mark and (not fence or mark:sub(1, #fence) == fence) then
      fence = not fence and mark or nil
      return line
    end
    if fence or not is_prose(line) then return line end
    return each_sentence(line, function(sentence) return reword(sentence, draw) end)
  end
end

--- The text, worded otherwise; the same seed gives the same.
function M.text(text, seed)
  if #text > LONGEST or text:find("^%s*[{%[]") then return text end
  local word = M.lines(seed or 1)
  local out = text:gsub("[^\n]+", word)
  return M.keeps_facts(text, out) and out or text
end

-- -- facts --------------------------------------------------------------------------------

local facts = { "%d[%d.,:]*", "%f[%w]%u[%w_-]*", "`[^`]*`", "%a[%w+.-]*://%S+", "[%w_]+[_%.][%w_%.]+" }

-- Words in capitals that only begin a sentence are none: the rules change those.
local function count_facts(text)
  local count = {}
  for i, pattern in ipairs(facts) do
    for first, fact in text:gmatch("()(" .. pattern .. ")") do
      local begins = i == 2 and not fact:find("%u.*%u") and not text:sub(math.max(1, first - 2), first - 1):find("^[%l,] $")
      if not begins then
        fact = fact:gsub("[.,:]+$", "")
        count[fact] = (count[fact] or 0) + 1
      end
    end
  end
  local plain = text:lower()
  for _, word in ipairs(own_words) do plain = plain:gsub(word, "") end
  for _, pattern in ipairs(negations) do
    for _ in plain:gmatch(pattern) do count[pattern] = (count[pattern] or 0) + 1 end
  end
  return count
end

--- Does `after` have the numbers, names, negations, links and pieces of code of `before`, each as often?
function M.keeps_facts(before, after)
  local a, b = count_facts(before), count_facts(after)
  for fact, n in pairs(a) do
    if b[fact] ~= n then return false end
  end
  for fact in pairs(b) do
    if not a[fact] then return false end
  end
  return true
end

-- -- by a model ----------------------------------------------------------------------------

local system = "Reword the text that the user sends, in its own language. Keep every fact, number, name, unit, negation, "
  .. "link, quotation and piece of code exactly as it is, and the form (lists, headings, tables). Answer with the reworded "
  .. "text and nothing else."

--- The text as a small model words it, or nil.
---@async
function M.by_model(name, text, req)
  if #text > LONGEST then return nil end
  local ask = { messages = { { role = "system", content = system }, { role = "user", content = text } } }
  local out, err = require("perilune").upstream(name):ask(ask, { timeout = MODEL_TIMEOUT })
  if not out then
    req:log("warn", "an answer was not worded otherwise", { upstream = name, code = err and err.code })
    return nil
  end
  local share = #out / math.max(1, #text)
  if share < 0.5 or share > 2 or not M.keeps_facts(text, out) then
    req:log("info", "the reworded answer has other facts, and is not given", { upstream = name })
    return nil
  end
  return out
end

-- -- answers ----------------------------------------------------------------------------------

-- What wants an exact text back.
local function is_exact(req)
  local format = req.response_format
  return req.logprobs or (format and format.type ~= "text")
end

--- A hit, worded otherwise.  It is another response: policies in front may map that by a unit of their own.
---@async
function M.response(req, res, how)
  if not core.is_chat(req) or is_exact(req) then return res end
  local only_of = { of = { "text" } }
  if type(how) == "string" then
    if (req.n or 1) ~= 1 then return res end
    local text = res:text()
    local out = text and text ~= "" and M.by_model(how, text, req)
    local given = core.cache_pass(req, res) -- it has been read, so it cannot be mapped itself
    if not out then return given end
    given:map("line", function()
      local piece = out
      out = ""
      return piece
    end, only_of)
    return core.cache_pass(req, given)
  end
  local seed, words = math.floor(core.random() * 2147483646) + 1, {}
  res:map("line", function(piece, info)
    words[info.choice] = words[info.choice] or M.lines(seed + info.choice)
    local line, ending = piece:match("^([^\n]*)(\n?)$")
    if not line then return piece end
    local out = words[info.choice](line)
    return (M.keeps_facts(line, out) and out or line) .. ending
  end, only_of)
  return core.cache_pass(req, res)
end

return M

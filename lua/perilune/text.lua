--- text: what a prompt looks like, and how it becomes shorter.
--
-- Guesses for routing: which language, code or not.  They look at bytes and
-- ratios, at most SAMPLE bytes of them, and are right for ordinary prompts; a
-- mistake costs a less fitting model, not a wrong answer.
--
-- Primitives for rewriting, written in C: spans that nobody may touch, sentences,
-- ranks, extraction, duplicates, noise.  Those that need words refuse a text that is
-- not UTF-8.

local chat = require "perilune.chat"
local check = require "perilune.check"
local core = require "perilune.core"

local M = {}

-- Enough for a ratio, little enough for the CPU budget of a request.
local SAMPLE = 4096

--- The text of a message's content: a string, or the text parts of a list.
---@param content any
---@return string
function M.content(content)
  if type(content) == "string" then return content end
  if type(content) ~= "table" then return "" end
  local out = {}
  for _, part in ipairs(content) do
    local text = chat.is_object(part) and part.text
    if type(text) == "string" then out[#out + 1] = text end
  end
  return table.concat(out, "\n")
end

--- What the user said last; "" when nobody did.
---@param req perilune.Request
---@return string
function M.last_user(req)
  local messages = req.messages
  if type(messages) ~= "table" then return "" end
  for i = #messages, 1, -1 do
    local message = messages[i]
    if chat.is_object(message) and message.role == "user" then return M.content(messages[i].content) end
  end
  return ""
end

-- -- language ------------------------------------------------------------------

-- Blocks of Unicode that say which script it is: { first, last, script }.
local blocks = {
  { 0x00C0, 0x024F, "latin" }, { 0x0370, 0x03FF, "el" }, { 0x0400, 0x052F, "ru" }, { 0x0590, 0x05FF, "he" },
  { 0x0600, 0x077F, "ar" }, { 0x0900, 0x097F, "hi" }, { 0x0E00, 0x0E7F, "th" }, { 0x1100, 0x11FF, "ko" },
  { 0x3040, 0x30FF, "kana" }, { 0x3400, 0x4DBF, "han" }, { 0x4E00, 0x9FFF, "han" }, { 0xAC00, 0xD7AF, "ko" },
}

-- Frequent short words that the other languages do not have.
local words = {}
for language, list in pairs{
  en = "the and is of to what how you with this that for are can please",
  de = "der und ist das nicht ein eine wie ich mit sie den dem bitte auf",
  fr = "le les et est une dans pour que je vous avec des du pas quel",
  es = "el los y es una para que por con las del como qué yo esta",
  it = "il gli e è una per che di con sono della come non questo mi",
  pt = "o os e é uma para que com não do da como você um em",
} do
  for word in list:gmatch("%S+") do
    words[word] = words[word] or {}
    table.insert(words[word], language)
  end
end

-- nil when the sequence is not complete: the sample ends anywhere.
local function code_point(lead, rest)
  local length = lead >= 0xF0 and 3 or lead >= 0xE0 and 2 or 1
  if #rest ~= length then return nil end
  local value = lead - (length == 3 and 0xF0 or length == 2 and 0xE0 or 0xC0)
  for i = 1, length do value = value * 64 + rest:byte(i) - 0x80 end
  return value
end

local function script_of(point)
  for _, block in ipairs(blocks) do
    if point >= block[1] and point <= block[2] then return block[3] end
  end
  return nil
end

-- Which language in Latin script; English when no word gives it away.
local function latin_language(text)
  local score, best = {}, "en"
  for word in text:lower():gmatch("[%a\128-\255]+") do
    for _, language in ipairs(words[word] or {}) do
      score[language] = (score[language] or 0) + 1 / #words[word]
    end
  end
  for _, language in ipairs{ "de", "fr", "es", "it", "pt" } do
    if (score[language] or 0) > (score[best] or 0) then best = language end
  end
  return best
end

--- The language of a text: "en", "zh", "ja", "ko", "ru", "de", ... or nil when
--- there are no letters in it.
---@param text string
---@return string?
function M.language(text)
  text = check.text("text.language", 1, text):sub(1, SAMPLE)
  local seen = {}
  for lead, rest in text:gmatch("([\194-\244])([\128-\191]+)") do
    local point = code_point(lead:byte(), rest)
    local script = point and script_of(point)
    if script then seen[script] = (seen[script] or 0) + 1 end
  end
  local _, ascii = text:gsub("%a", "")
  -- A Chinese character says about as much as four Latin letters; an alphabet
  -- is compared letter by letter.
  local latin = ascii + (seen.latin or 0)
  local han, kana = seen.han or 0, seen.kana or 0
  local best, most = nil, 0
  local function consider(language, weight)
    if weight > most then best, most = language, weight end
  end
  consider("latin", latin)
  consider(kana * 10 >= han + kana and kana > 0 and "ja" or "zh", (han + kana) * 4)
  consider("ko", (seen.ko or 0) * 3)
  for _, language in ipairs{ "ru", "ar", "he", "el", "th", "hi" } do consider(language, seen[language] or 0) end
  if best == "latin" then return latin_language(text) end
  return best
end

-- -- code ----------------------------------------------------------------------

-- How a line of a program begins or ends, in most languages.
local code_lines = {
  "[{;]%s*$", "^%s*}", "^%s*#include", "^%s*import%s+[%w_.{*\"]", "^%s*from%s+[%w_.]+%s+import", "^%s*def%s+[%w_]+%(",
  "^%s*class%s+[%w_]+%s*[:({]", "^%s*func%s+", "^%s*fn%s+[%w_]+%s*[(<]", "^%s*function%s+[%w_.:]+%(", "^%s*const%s+[%w_]+%s*=",
  "^%s*let%s+[%w_]+%s*=", "^%s*var%s+[%w_]+%s*=", "^%s*local%s+[%w_, ]+=", "^%s*return%s+.*[%w_%)]$", "^%s*SELECT%s+.*%sFROM%s",
  "^%s*if%s*%(.*%)", "^%s*for%s*%(.*%)", "^%s*@[%w_.]+$", "^[+-][^+-].*[%w_]%(", "^Traceback ", "^%s+at%s+[%w_.$<>]+%(",
}

local function looks_like_code(line)
  for _, pattern in ipairs(code_lines) do
    if line:find(pattern) then return true end
  end
  return false
end

--- Is there code in the text: a fenced block, lines as programs have them, or
--- many of the symbols that prose does not use?
---@param text string
---@return boolean
function M.has_code(text)
  text = check.text("text.has_code", 1, text)
  if text:find("```", 1, true) or text:find("\n~~~", 1, true) then return true end
  local sample, hits, lines = text:sub(1, SAMPLE), 0, 0
  for line in sample:gmatch("[^\n]+") do
    lines = lines + 1
    -- A line of a kilobyte is no line of a program, and slow to look at.
    if #line < 400 and looks_like_code(line) then hits = hits + 1 end
    if hits >= 3 or (hits >= 2 and lines <= 4) then return true end
  end
  local _, symbols = sample:gsub("[{}%[%]()=<>;_\\|&$#*+]", "")
  local _, visible = sample:gsub("%S", "")
  return visible >= 20 and symbols / visible >= 0.15
end

-- -- primitives ------------------------------------------------------------------

local span_options = { types = true, merge = true }
local extract_options = {
  ratio = true, floor = true, min_tokens = true, keep_first = true, keep_last = true, lambda = true, depth = true,
  min_leaf = true, as_text = true, pieces = true,
}

local dedupe_options = { min_bytes = true, likeness = true, any_numbers = true, mark = true }
local base64_options = { min = true }
local chunk_options = { size = true, overlap = true }

function M.spans(s, opts)
  check.known("text.spans", opts, span_options)
  return core.text_spans(check.text("text.spans", 1, s), opts)
end

function M.sentences(s) return core.text_sentences(check.text("text.sentences", 1, s)) end

function M.rank(list, question)
  if type(list) ~= "table" then
    error(("bad argument #1 to 'text.rank' (table expected, got %s)"):format(type(list)), 2)
  end
  return core.text_rank(list, question ~= nil and check.text("text.rank", 2, question) or nil)
end

function M.extract(s, question, opts)
  check.known("text.extract", opts, extract_options)
  s = check.text("text.extract", 1, s)
  return core.text_extract(s, question ~= nil and check.text("text.extract", 2, question) or nil, opts)
end

function M.chunks(s, opts)
  check.known("text.chunks", opts, chunk_options)
  local size = opts and opts.size or 6000
  return core.text_chunks(check.text("text.chunks", 1, s), size, opts and opts.overlap or math.floor(size / 10))
end

function M.dedupe(s, opts)
  check.known("text.dedupe", opts, dedupe_options)
  return core.text_dedupe(check.text("text.dedupe", 1, s), opts)
end

function M.minify_json(s) return core.text_minify_json(check.text("text.minify_json", 1, s)) end

function M.strip_ansi(s) return core.text_strip_ansi(check.text("text.strip_ansi", 1, s)) end

function M.elide_base64(s, opts)
  check.known("text.elide_base64", opts, base64_options)
  return core.text_elide_base64(check.text("text.elide_base64", 1, s), opts)
end

return M

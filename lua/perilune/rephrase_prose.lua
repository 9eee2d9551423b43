--- rephrase_prose: where a text is prose that may be worded otherwise.
--
-- A text is read line by line, as it comes.  Of a line of prose the reader gives a mask: as many bytes, in which all that
-- must stay is blank.  What must stay within a line core.text_spans() knows (code, formulas, links, numbers with units,
-- quotations); here are lines that are none (headings, tables, speech, options), what goes over lines, and emphasis.
--
-- What opens and does not close on its line may end anywhere: all that follows stays.

local core = require "perilune.core"

local M = {}

M.KEPT, M.MARK = "\1", "\2" -- in a mask: what must stay; the mark of a list

local function blank(s) return M.KEPT:rep(#s) end

-- -- lines ---------------------------------------------------------------------

-- What goes on up to a line that ends it.
local function fence_of(line)
  local fence, behind = line:match("^[%s>%-*+]*(```+)(.*)")
  if fence and not behind:find("`", 1, true) then return fence end
  return line:match("^[%s>%-*+]*(~~~+)")
end

local function closes(line, fence)
  local run = line:match("^%s*([`~]+)%s*$")
  return run ~= nil and run:byte() == fence:byte() and #run >= #fence
end

local formulas = { ["$$"] = "$$", ["\\["] = "\\]" }

-- The mark that ends the formula which this line begins and does not end.
local function formula_of(line)
  local open, at = line:match("^%s*(%$%$)()")
  if not open then open, at = line:match("^%s*(\\%[)()") end
  if open and not line:find(formulas[open], at, true) then return formulas[open] end
end

-- From here on nothing is prose: HTML, LaTeX, and a text that begins as data do.
local function is_markup(line)
  return line:find("\\begin{", 1, true) or line:gsub("<br%s*/?>", ""):find("<[%a!/]") ~= nil
end
local function begins_data(line) return line:find("^[\239\187\191%s]*[{%[]") or line:find("^%s*%-%-%-") end

-- Behind the mark of a list.
local function behind_mark(line)
  return line:match("^%s*[%-*+]%s+()") or line:match("^%s*•%s*()") or line:match("^%s*%d+[.)]%s+()") or line:match("^%s*%d+、%s*()")
end

-- Who speaks, or what the line is about.
local function is_labelled(line)
  local label = line:match("^%s*(%u[%w .'-]*):%s") or line:match("^%s*(%*%*[^*]+%*%*)") or line:match("^%s*(.-)：")
  return label ~= nil and #label <= 40 and not label:find("，", 1, true) and not label:find("。", 1, true)
end

-- A., (b), c）
local options = { "^%s*%(?%a[.):]%s", "^%s*%a、", "^%s*%a．", "^%s*%a）", "^%s*（%a）" }

local function is_option(text)
  for _, pattern in ipairs(options) do
    if text:find(pattern) then return true end
  end
  return false
end

-- A heading, a row, a quotation, code, a line of a log.
local function is_structure(line, marked)
  if line:find("^%s*[#>{%[]") or line:find("|", 1, true) or line:find("[{};\\]%s*$") then return true end
  if not line:find("[^=%-*_%s]") or line:find("^%s*%d%d%d%d%-%d%d") then return true end
  if marked then return is_option(line:sub(marked)) end
  return line:find("^\t") or line:find("^    ") or is_option(line) or is_labelled(line)
end

-- -- in a line -----------------------------------------------------------------

local kept = { types = {
  "fence", "indented", "inline", "json", "table", "diff", "math", "tag", "url", "email", "path", "number", "id", "quote",
}, merge = true }
local against = { types = { "negation", "modal" } }

local marked_up = { "%*%*[^*]+%*%*", "%*[^*%s][^*]*%*", "__[^_]+__", "%[[^%[%]]*%]%b()", "%[[^%[%]]*%]", "【[^【】]*】", "%(%w%)" }
local open_marks = { '"', "`", "“", "”", "‘", "「", "『", "《", "〈", "«", "„", "‹", "【", "$$", "\\(", "\\[", "**" }

local function has_open_mark(mask)
  for _, mark in ipairs(open_marks) do
    if mask:find(mark, 1, true) then return true end
  end
  return (" " .. mask):find("[%s(]'%S") ~= nil
end

-- The line with the spans blank; nil where it is not UTF-8, or there is no time.
local function without(line, spans)
  if not spans then return nil end
  local out, at = {}, 1
  for _, span in ipairs(spans) do
    out[#out + 1] = line:sub(at, span.first - 1)
    out[#out + 1] = blank(line:sub(span.first, span.last))
    at = span.last + 1
  end
  out[#out + 1] = line:sub(at)
  return table.concat(out)
end

-- Words with more than letters in them: well-known, and/or, a@b.
local no_letter = "[%-_@\\/=<>{}#~^|&+%%%d]"

local function keep_token(token)
  local word = token:match("^(.-)[.,;:!?)]*$")
  if word:find(no_letter) or word:find("%w%.%w") then return blank(word) .. token:sub(#word + 1) end
end

local function mask_of(line, marked)
  local mask = without(line, core.text_spans(line, kept))
  if not mask then return nil end
  for _, pattern in ipairs(marked_up) do mask = mask:gsub(pattern, blank) end
  if mask:find(no_letter) or mask:find("%w%.%w") then mask = mask:gsub("[\33-\126]+", keep_token) end
  if marked then mask = M.MARK:rep(marked - 1) .. mask:sub(marked) end
  return mask
end

-- -- public --------------------------------------------------------------------

--- A function that takes the lines of a text, one after the other, and gives the mask of each; nil: the line stays.
---@return fun(line: string): string?
function M.reader()
  local closed, seen, over = nil, false, false
  return function(line)
    if over then return nil end
    if closed then
      if closed(line) then closed = nil end
      return nil
    end
    local fence, formula = fence_of(line), formula_of(line)
    if fence then closed = function(other) return closes(other, fence) end end
    if formula then closed = function(other) return other:find(formula, 1, true) ~= nil end end
    over = is_markup(line) or not seen and begins_data(line)
    seen = true
    local marked = behind_mark(line)
    if closed or over or line:find("[%z\1-\8\14-\31]") then return nil end
    local mask = mask_of(line, marked)
    over = mask ~= nil and has_open_mark(mask)
    if over or is_structure(line, marked) then return nil end
    return mask
  end
end

--- Does the sentence negate or oblige?
---@param text string
---@return boolean
function M.is_delicate(text)
  local spans = core.text_spans(text, against)
  return not spans or #spans > 0
end

return M

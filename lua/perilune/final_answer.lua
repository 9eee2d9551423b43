--- final_answer: what an answer says in the end, in a form in which two answers can be compared.
--
--     "... so 12 * 4 = 48. The answer is **48 km**."        number  48 (km is a word, two answers may leave it out)
--     "因此选 (B)。"                                          letter  B
--     "\boxed{1{,}024}"                                      number  1024
--     '```json\n{"b": 1.0, "a": 2}\n```'                      json    {"a":2,"b":1}
--     "Yes, because ..." / "是的，因为……"                       yes_no  yes
--
-- Where it stands: behind the last mark ("the answer is", "####", \boxed, 答案是, 故选 ...); else, when the
-- answer is one short line, that line; else the last number of the last line.  What cannot be found is nil: then this
-- answer has no vote.
--
-- It looks at the last LOOK bytes: an answer's end is at its end.  Linear in them.  JSON is read whole, up to JSON_MOST bytes;
-- a longer one says the same as another one that is the same byte for byte.

local core = require "perilune.core"

local M = {}

local LOOK = 8192   -- bytes from the end of an answer
local PIECE = 200   -- bytes behind a mark
local SHORT = 80    -- bytes of an answer that is all there is
local NODES = 5000  -- values of a JSON answer
local JSON_MOST = 65536 -- bytes of one that is read
local DEPTH = 32

M.kinds = { "auto", "number", "letter", "yes_no", "json", "text" }

-- -- JSON ------------------------------------------------------------------------------

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- One text for all texts of a value; nil when it is too large or too deep.
local function canonical(value, budget, depth)
  budget.left = budget.left - 1
  if budget.left < 0 or depth > DEPTH then return nil end
  if type(value) ~= "table" then return core.json_encode(value) end
  if next(value) == nil then return core.json_encode(value) end -- it knows which of the two it was
  local out, is_list = {}, value[1] ~= nil
  for i, key in ipairs(is_list and value or sorted_keys(value)) do
    local text = canonical(is_list and value[i] or value[key], budget, depth + 1)
    if not text then return nil end
    out[i] = is_list and text or core.json_encode(tostring(key)) .. ":" .. text
  end
  local all = table.concat(out, ",")
  return is_list and "[" .. all .. "]" or "{" .. all .. "}"
end

--- One text for all texts of the same JSON; of one that is none, or too long to be read, it is the text as it is.
---@param text string
---@return string
function M.canonical_text(text)
  if #text > JSON_MOST then return text end
  local ok, value = pcall(core.json_decode, text)
  return ok and value ~= nil and M.canonical(value) or text
end

--- One text for all texts of a JSON value: the same whatever the order of its members.
---@param value any
---@return string?
function M.canonical(value) return canonical(value, { left = NODES }, 0) end

-- Members that are the answer, beside others that say how it was found.
local answer_names = { "answer", "final_answer", "result", "label", "答案", "最终答案", "结果" }

-- At "/a/0/b", or at "a".
local function at_path(value, path)
  if path:sub(1, 1) ~= "/" then path = "/" .. path end
  for name in path:gmatch("/([^/]*)") do
    if type(value) ~= "table" then return nil end
    local index = tonumber(name)
    value = value[name] == nil and index and value[index + 1] or value[name]
  end
  return value
end

-- Without white space at both ends.  (The pattern "^%s*(.-)%s*$" looks through a run of it from each of its bytes.)
local function trimmed(text)
  local first = text:find("%S")
  if not first then return "" end
  return text:sub(first, #text - #text:reverse():match("^%s*"))
end

-- The inside of a block that is all there is.
local function unfenced(text)
  text = trimmed(text)
  local from = text:match("^```[^\n]*\n()")
  if not from or text:sub(-3) ~= "```" or #text - 3 < from then return text end
  return trimmed(text:sub(from, -4))
end

local function decoded(text)
  local inner = unfenced(text)
  if not inner:find("^[%[{]") then return nil end
  local ok, value = pcall(core.json_decode, inner)
  if ok and type(value) == "table" then return value end
  return nil
end

local function json_answer(text, field)
  if #text > JSON_MOST then return (text:find("^%s*[%[{]") or text:find("^%s*```")) and text or nil end
  local value = decoded(text)
  if value == nil then return nil end
  if field then value = at_path(value, field) end
  if not field then
    for _, name in ipairs(answer_names) do
      if value[name] ~= nil then
        value = value[name]
        break
      end
    end
  end
  if value == nil then return nil end
  if type(value) == "string" then return M.value(value, "auto") or value end
  return M.canonical(value)
end

-- -- normal forms -----------------------------------------------------------------------

local wide = {
  ["，"] = ",", ["。"] = ". ", ["："] = ":", ["（"] = "(", ["）"] = ")", ["％"] = "%", ["＝"] = "=", ["－"] = "-", ["−"] = "-",
  ["【"] = "(", ["】"] = ")", ["．"] = ".", ["　"] = " ", ["！"] = "!", ["；"] = "; ", ["、"] = ",", ["？"] = "?",
}
for i = 0, 9 do wide["\239\188" .. string.char(0x90 + i)] = tostring(i) end
for i = 0, 25 do
  wide["\239\188" .. string.char(0xA1 + i)] = string.char(65 + i)
end

-- ASCII for what is written in full width, without the marks of Markdown and LaTeX that say nothing.
local function plain(piece)
  piece = piece:gsub("[\194-\239][\128-\191]+", wide)
  piece = piece:gsub("\\text%s*{([^{}]*)}", "%1"):gsub("\\[d]?frac%s*{([^{}]*)}%s*{([^{}]*)}", "%1/%2")
  piece = piece:gsub("{,}", ","):gsub("\\[,;!%s]", ""):gsub("\\%%", "%%"):gsub("\\%$", "$"):gsub("[%*`$]", "")
  return (piece:gsub("^%s+", ""):gsub("%s+$", ""))
end

local scales = { ["万"] = 1e4, ["亿"] = 1e8, ["千"] = 1e3, ["百"] = 100 }

-- "1,234.50" behind place `from`: its normal form, where it begins and ends.
local function number_at(text, from)
  local first, last = text:find("%d[%d,]*%.?%d*", from)
  if not first then return nil end
  local digits = text:sub(first, last):gsub(",", "")
  digits = digits:gsub("%.$", "")
  local before = text:sub(math.max(1, first - 2), first - 1)
  if before:find("%-%s?$") and not before:find("%w%-") then digits = "-" .. digits end
  local bottom = text:match("^%s*/%s*(%d+)", last + 1)
  if bottom then return digits .. "/" .. bottom, first, last + #text:match("^%s*/%s*%d+", last + 1) end
  local value, scale = tonumber(digits), scales[text:sub(last + 1, last + 3)]
  if scale then value, last = value * scale, last + 3 end
  if not value then return nil end
  -- Beyond 2^53 a number is not what it says: then the digits are.
  local form = math.abs(value) < 2 ^ 53 and ("%.15g"):format(value) or digits
  return form .. (text:find("^%s*%%", last + 1) and "%" or ""), first, last
end

local function all_numbers(text)
  local list, from = {}, 1
  while #list < 64 do
    local form, _, last = number_at(text, from)
    if not form then break end
    list[#list + 1], from = form, last + 1
  end
  return list
end

local function number_in(piece)
  local behind = piece:match(".*=%s*(.-)$")
  local list = all_numbers(behind or piece)
  if #list == 1 or behind and list[1] then return list[1] end
  -- Of several the one that the piece begins with: "48 (12 * 4)".
  return piece:find("^[^%w]*%d") and list[1] or nil
end

local function letter_in(piece)
  local letter = piece:match("^[%(%[]%s*([A-Ja-j])%s*[%)%]]") or piece:match("^([A-J])$") or piece:match("^([A-J])[%.%):,;%s]")
    or piece:match("^[Oo]ption%s+([A-Ja-j])%f[%W]") or piece:match("^选项?择?%s*%(?([A-J])%f[%W]") or piece:match("^([A-J])[\227-\233]")
    or piece:match("^([a-j])%)")
  -- "A good idea" is no letter.
  if letter == "A" and piece:find("^A%s+%l") then return nil end
  if letter then
    local more = piece:match("^%(?[A-J]%)?[%s,]+a?n?d?%s*%(?[A-J]%)?[%s,%.%(%)A-J]*$") and piece or nil
    if not more then return letter:upper() end
    local set = {}
    for l in more:gmatch("%f[%w][A-J]%f[%W]") do set[#set + 1] = l end
    table.sort(set)
    return table.concat(set, ",")
  end
  return piece:match("^([A-F][A-F]+)%.?$")
end

local verdicts = {
  { "yes", "yes" }, { "no", "no" }, { "true", "yes" }, { "false", "no" }, { "correct", "yes" }, { "incorrect", "no" },
  { "不是", "no" }, { "不对", "no" }, { "不正确", "no" }, { "不能", "no" }, { "不可以", "no" }, { "否", "no" }, { "错误", "no" },
  { "错", "no" }, { "是", "yes" }, { "对", "yes" }, { "正确", "yes" }, { "可以", "yes" }, { "能", "yes" },
}

local function yes_no_in(piece)
  local lower = piece:lower()
  for _, v in ipairs(verdicts) do
    local word = v[1]
    if lower:sub(1, #word) == word then
      local rest = lower:sub(#word + 1)
      if word:byte() >= 128 or not rest:find("^%w") then
        -- 是 in front of a name says what it is, not that it is so.
        if word:byte() < 128 or rest == "" or rest:find("^[%p%s]") or rest:find("^的[%p%s]*") then return v[2] end
      end
    end
  end
  return nil
end

local function text_in(piece)
  local text = piece:lower():gsub("%s+", " "):gsub("^[%p%s]+", ""):gsub("[%p%s]+$", "")
  text = text:gsub("^the ", ""):gsub("^an? ", "")
  return text ~= "" and text or nil
end

local readers = { number = number_in, letter = letter_in, yes_no = yes_no_in, text = text_in }

--- The normal form of a short piece that is an answer.
---@param piece string
---@param kind string  one of kinds
---@return string?
function M.value(piece, kind)
  piece = plain(piece:sub(1, PIECE))
  if piece == "" then return nil end
  if kind ~= "auto" and kind ~= "json" then return readers[kind](piece) end
  local letter = letter_in(piece)
  if letter then return letter end
  local said = yes_no_in(piece)
  if said then return said end
  return number_in(piece) or text_in(piece)
end

-- -- where it stands ----------------------------------------------------------------------

local marks = {
  "####", "final answer", "answer is", "answer:", "answer =", "最终答案", "答案是", "答案为", "答案:", "答案应为", "答案应该是", "故选", "所以选", "因此选", "应选", "应该选", "结果是", "结果为", "réponse est", "antwort ist",
  "respuesta es",
}

-- Behind the last mark, to the end of its line; where that was.
local function behind_mark(text)
  local lower, best, stop = text:lower(), 0, 0
  for _, mark in ipairs(marks) do
    local from = 1
    while true do
      local first, last = lower:find(mark, from, true)
      if not first then break end
      if first > best then best, stop = first, last end
      from = last + 1
    end
  end
  if best == 0 then return nil, 0 end
  local rest = text:sub(stop + 1):gsub("^[%s:=#]+", ""):gsub("^is%s+", "")
  for _, word in ipairs{ "是:", "为:", "应为" } do
    if rest:sub(1, #word) == word then rest = rest:sub(#word + 1) end
  end
  rest = rest:gsub("^[%s:]+", "")
  return rest:match("^[^\n]*"), best
end

local function boxed(text)
  local found, at = nil, 0
  for first, body in text:gmatch("()\\boxed%s*(%b{})") do found, at = body:sub(2, -2), first end
  return found, at
end

-- A sentence ends it, unless that is the point of a number.
local function first_sentence(piece)
  local stop = piece:find("%.%s")
  return stop and piece:sub(1, stop - 1) or piece
end

local function last_line(text)
  local line
  for l in text:gmatch("[^\n]+") do
    if l:find("%S") then line = l end
  end
  return line or ""
end

local function marked(text)
  local box, box_at = boxed(text)
  local piece, at = behind_mark(text)
  if box and box_at >= at then return box end
  -- "The answer is \boxed{4}": the box is the answer, not its words.
  if box and piece and piece:find("\\boxed", 1, true) then return box end
  return piece and first_sentence(piece) or nil
end

local function unmarked(text, kind)
  local all = trimmed(text)
  if #all <= SHORT and not all:find("\n", 1, true) then return M.value(all, kind) end
  if kind == "text" or kind == "json" then return nil end
  local line = plain(last_line(all))
  if kind == "letter" or kind == "yes_no" then
    return readers[kind](line) or kind == "yes_no" and readers.yes_no(plain(all:sub(1, PIECE))) or nil
  end
  if kind == "auto" and not line:find("\n", 1, true) and #line <= SHORT then
    local bold = last_line(all):match("^%s*%*%*(.-)%*%*[%.。]?%s*$")
    if bold then return M.value(bold, kind) end
    local letter = letter_in(line)
    if letter then return letter end
  end
  local list = all_numbers(line)
  if kind == "number" and not list[1] then list = all_numbers(plain(all)) end
  return list[#list]
end

--- What an answer says in the end.
---@param text string
---@param options? { kind?: string, field?: string }  kind: one of kinds, default "auto"; field: of a JSON answer
---@return string? key  equal for answers that say the same; nil: it cannot be found
function M.extract(text, options)
  local kind, field = options and options.kind or "auto", options and options.field
  local found
  if kind == "json" or kind == "auto" or field then found = json_answer(text, field) end
  if found or kind == "json" or field then return found end
  text = #text > LOOK and text:sub(-LOOK) or text
  local piece = marked(plain(text))
  return piece and M.value(piece, kind) or unmarked(text, kind)
end

-- -- counting -----------------------------------------------------------------------------

--- The key that most have; of those that as many have, the one that came first.
---@param keys (string|false)[]  in the order of the answers
---@return integer? winner  the first answer that says so
---@return integer votes    for it
---@return integer second   for the best of the others
function M.majority(keys)
  local votes, first, order = {}, {}, {}
  for i, key in ipairs(keys) do
    if key then
      if not votes[key] then
        votes[key], first[key] = 0, i
        order[#order + 1] = key
      end
      votes[key] = votes[key] + 1
    end
  end
  local best, second = nil, 0
  for _, key in ipairs(order) do
    if not best or votes[key] > votes[best] then
      second = best and votes[best] or 0
      best = key
    elseif votes[key] > second then
      second = votes[key]
    end
  end
  if not best then return nil, 0, 0 end
  return first[best], votes[best], second
end

return M

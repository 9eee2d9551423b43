--- history: the older part of a conversation in few words, once for many turns.
--
--     system | 1 2 3 4 5 6 7 8 9 | 10 11 12            messages as the client sends them
--     system | "earlier" digest  | 10 11 12            as the provider gets them: folded
--     system | "earlier" digest  | 10 11 12 13 14 15   later: the same digest, byte for byte
--
-- Where it was folded and what the digest says is remembered under the hash of what was
-- folded away (req:prefixes), so every worker sends the same, and the provider finds the
-- prefix in its cache.  Two more entries make that cheap to find: under the hash of the
-- conversation's first user message stand the places where conversations that begin so
-- were folded.
--
-- The digest stands as an answer behind a short message of the user's, so that roles go
-- on alternating, and says in the model's own voice what was said; it commands nothing.
-- Never folded: system messages, what holds an image or anything else that is no text, what
-- the user said last.  Calls of tools go with all their results or not at all.

local chat = require "perilune.chat"
local core = require "perilune.core"
local extract = require "perilune.extract"
local text_of = require "perilune.text"

local M = {}

-- Bytes of one message, of all of them, and of a question, that a digest is made from.
local ONE, ALL, QUESTION = 20000, 900000, 2000
-- Places that are remembered for conversations that begin alike.
local PLACES = 8

local function set_of(list)
  local set = {}
  for _, v in ipairs(list) do set[v] = true end
  return set
end

-- -- memory ---------------------------------------------------------------------------

---@class perilune.Fold
---@field to integer      the last message of what was folded
---@field keep integer[]  messages up to there that were not: system, images ...
---@field at integer      in front of which message the digest stands: the first that is not system
---@field text string     the digest

local function first_user(messages)
  for i, m in ipairs(messages) do
    if m.role == "user" then return i end
  end
  return nil
end

--- The newest fold of a conversation that is remembered.
---@param scope string
---@param messages perilune.Message[]
---@param hashes table<integer, string>  of req:prefixes()
---@return perilune.Fold?
function M.recall(scope, messages, hashes)
  local first = first_user(messages)
  local places = first and core.memo_get(scope .. "at:" .. hashes[first])
  local best
  for place in (places or ""):gmatch("%d+") do
    local to = tonumber(place)
    if to < #messages and (not best or to > best.to) then
      local known = core.memo_get(scope .. hashes[to])
      best = known and core.json_decode(known) or best
    end
  end
  return best
end

--- Remembers a fold; returns whether there was room.
---@param scope string
---@param messages perilune.Message[]
---@param hashes table<integer, string>
---@param fold perilune.Fold
---@param seconds number
---@param tenant? string
---@return boolean
function M.remember(scope, messages, hashes, fold, seconds, tenant)
  local first = first_user(messages)
  if not first then return false end
  local key, places = scope .. "at:" .. hashes[first], { fold.to }
  for place in (core.memo_get(key) or ""):gmatch("%d+") do
    if #places < PLACES and tonumber(place) ~= fold.to then places[#places + 1] = tonumber(place) end
  end
  local kept = core.memo_set(scope .. hashes[fold.to], core.json_encode(fold), seconds, tenant)
  return kept and core.memo_set(key, table.concat(places, " "), seconds, tenant)
end

-- -- folding -----------------------------------------------------------------------------

local labels = {
  en = "[The earlier part of this conversation, shortened]",
  zh = "[这段对话较早的部分，已压缩]",
}

--- The messages with the fold in place of what it stands for.
---@param messages perilune.Message[]
---@param fold perilune.Fold
---@return perilune.Message[]
function M.apply(messages, fold)
  local kept, out = set_of(fold.keep), {}
  local label = text_of.language(fold.text) == "zh" and labels.zh or labels.en
  for i, m in ipairs(messages) do
    if i == fold.at then
      out[#out + 1] = chat.message("user", label)
      out[#out + 1] = chat.message("assistant", fold.text)
    end
    if i > fold.to or kept[i] then out[#out + 1] = m end
  end
  return out
end

local function type_of(part) return chat.is_object(part) and part.type or nil end

local function is_text(part)
  local kind = type_of(part)
  if kind == "tool_result" then
    if type(part.content) ~= "table" then return true end
    for _, inner in ipairs(part.content) do
      if type_of(inner) ~= "text" then return false end
    end
    return true
  end
  return kind == "text" or kind == "tool_use" or kind == "thinking" or kind == "redacted_thinking"
end

-- Is there anything in a group that a digest cannot say?
local function all_text(messages, group)
  for i = group.first, group.last do
    local content = messages[i].content
    for _, part in ipairs(type(content) == "table" and content or {}) do
      if not is_text(part) then return false end
    end
  end
  return true
end

---@class perilune.FoldPlan
---@field to integer
---@field keep integer[]
---@field fold integer[]   messages that go into the digest, in order
---@field tokens integer   of these
---@field rest integer     tokens of all others
---@field at integer       the first message that is not system

-- When the newest turns alone are too long: the part of `most` that may be left of them.  Were it
-- all, the next message would have to be folded, too.
local ROOM = 0.5

--- What would be folded: all up to the newest turns; when these alone exceed `most`, so much of
--- them, too, that there is room again.
---@param messages perilune.Message[]
---@param model? string
---@param keep_turns integer  newest turns that stay
---@param most integer        tokens
---@return perilune.FoldPlan?  nil: there is nothing to fold
function M.plan(messages, model, keep_turns, most)
  local groups, sizes, total = chat.groups(messages), {}, 0
  local last_user, newest, turn_starts, before = nil, groups[#groups], {}, nil
  for g, group in ipairs(groups) do
    sizes[g] = 0
    for i = group.first, group.last do sizes[g] = sizes[g] + chat.tokens(messages[i], model) end
    total = total + sizes[g]
    if group.kind == "user" then last_user = group end
    if group.kind == "user" and before ~= "user" then turn_starts[#turn_starts + 1] = g end
    if group.kind ~= "system" then before = group.kind end
  end
  local border = turn_starts[#turn_starts - keep_turns + 1] or 1 -- the first group that stays
  local plan = { to = 0, keep = {}, fold = {}, tokens = 0, rest = total }
  for _, group in ipairs(groups) do
    plan.at = plan.at or (group.kind ~= "system" and group.first or nil)
  end
  for g, group in ipairs(groups) do
    if g == border and plan.rest > most then most = most * ROOM end
    if g >= border and plan.rest <= most or group == newest then break end
    local stays = group.kind == "system" or group == last_user or not all_text(messages, group)
    for i = group.first, group.last do table.insert(stays and plan.keep or plan.fold, i) end
    if not stays then plan.tokens, plan.rest = plan.tokens + sizes[g], plan.rest - sizes[g] end
    plan.to = group.last
  end
  return #plan.fold > 0 and plan or nil
end

--- Where a message of the folded conversation stands in the one that was folded; nil for
--- the digest's own two.
---@param fold perilune.Fold?
---@param index integer
---@return integer?
function M.original(fold, index)
  if not fold then return index end
  local at, kept = 0, set_of(fold.keep)
  for i = 1, fold.to do
    if i == fold.at then at = at + 2 end
    if i == fold.at and at >= index then return nil end
    if kept[i] then
      at = at + 1
      if at == index then return i end
    end
  end
  return fold.to + index - at
end

-- -- the digest ---------------------------------------------------------------------------

-- Where a text may end in front of `most`: behind a line, a sentence, a word, and else, in
-- what has none of these, nowhere.  Half of a number is another number.
local ends = { "^.*()\n", "^.*[%.!?]()%s", "^.*\227\128\130()", "^.*()%s" }
-- The same from the back: the first of them within a text.
local begins = { "\n()", "[%.!?]%s()", "\227\128\130()", "%s()" }

local function clip(text, most)
  if #text <= most then return text end
  local head, tail = text:sub(1, math.floor(most * 0.7) + 1), text:sub(#text - math.floor(most * 0.3))
  local stop, start
  for _, pattern in ipairs(ends) do stop = stop or head:match(pattern) end
  for _, pattern in ipairs(begins) do start = start or tail:match(pattern) end
  return text:sub(1, (stop or 1) - 1) .. "\n...\n" .. (start and tail:sub(start) or "")
end

local function said(message)
  local parts = {}
  for _, t in ipairs(chat.texts(message)) do parts[#parts + 1] = t.text end
  return table.concat(parts, "\n")
end

-- What a call asked its tool, as it stands there.
local function asked(call)
  local fn = call and (call["function"] or call.custom) or call
  local value = chat.is_object(fn) and (fn.arguments or fn.input) or nil
  if value == nil then return "" end
  return clip(type(value) == "string" and value or core.json_encode(value), 300)
end

-- What JSON says, in lines, so that it can be shortened like text: a record shares a line.  Anything
-- else as it is.
local function lines_of(content)
  return content:find("^%s*[{%[]") and core.text_json_lines(content) or content
end

-- Who says what, one entry for each thing said: { who, text }.
local function transcript(messages, indexes)
  local out, bytes, calls = {}, 0, {}
  local function add(who, text)
    text = clip(text, math.max(0, math.min(ONE, ALL - bytes)))
    if text:find("%S") then out[#out + 1] = { who, text } end
    bytes = bytes + #text
  end
  for _, i in ipairs(indexes) do
    local m = messages[i]
    for id, call in pairs(chat.calls_by_id(m)) do calls[id] = call end
    local results = chat.results(m, calls)
    for _, r in ipairs(results) do
      add(("%s(%s)"):format(r.name, asked(r.id and calls[r.id])), lines_of(r.text() or ""))
    end
    local text = said(m)
    local is_label = text == labels.en or text == labels.zh
    if not chat.is_result(m) and not is_label then add(m.role == "assistant" and "Assistant" or "User", text) end
  end
  return out
end

-- What the user said last is what a digest is made for.
local function question_of(messages)
  for i = #messages, 1, -1 do
    if messages[i].role == "user" then return clip(said(messages[i]), QUESTION) end
  end
  return ""
end

-- Leaves out what answers the question least until the rest fits; not the subject.
local function fit(entries, subject, question, budget, model)
  local sizes, total, lines = {}, 0, {}
  for i, e in ipairs(entries) do
    lines[i] = e[1] .. ": " .. e[2]
    sizes[i] = core.tokens(lines[i], model, true) + 1
    total = total + sizes[i]
  end
  local scores = text_of.rank(lines, question) or {}
  local order = {}
  for i in ipairs(lines) do order[i] = i end
  table.sort(order, function(a, b)
    if (scores[a] or 0) ~= (scores[b] or 0) then return (scores[a] or 0) < (scores[b] or 0) end
    return a < b
  end)
  local gone = {}
  for _, i in ipairs(order) do
    if total <= budget then break end
    if i ~= subject then gone[i], total = true, total - sizes[i] end
  end
  local out = {}
  for i, line in ipairs(lines) do
    if not gone[i] then out[#out + 1] = line end
  end
  return table.concat(out, "\n")
end

-- Which answer or result the question is about most, if any.  What it was an answer to
-- counts, too.
local function subject_of(entries, texts, question)
  local scores = question:find("%S") and text_of.rank(texts, question)
  local best, most, asked = nil, 0, 0
  for i, score in ipairs(scores or {}) do
    if entries[i][1] == "User" then
      asked = score
    elseif score + asked > most then
      best, most = i, score + asked
    end
  end
  return best
end

--- A digest by extraction: of each thing that was said the sentences that the question
--- needs, word for word; half of the room is for what it is about most.
---@param messages perilune.Message[]
---@param plan perilune.FoldPlan
---@param budget integer  tokens
---@param model? string
---@return string? digest
---@return string? why  there is none
function M.extract(messages, plan, budget, model)
  local entries, texts, question = transcript(messages, plan.fold), {}, question_of(messages)
  if #entries == 0 then return nil, "there is no text in it" end
  for i, e in ipairs(entries) do texts[i] = e[2] end
  local subject, kept, whole = subject_of(entries, texts, question), nil, 0
  if subject then
    kept = texts[subject]
    local share = budget / 2 / math.max(1, (core.tokens(kept, model)))
    kept = share < 1 and text_of.extract(kept, question, { ratio = share, floor = 0, keep_first = 0, keep_last = 0 }) or kept
    texts[subject], whole = "", core.tokens(kept, model)
  end

  local ratio = (budget - whole) / math.max(1, plan.tokens - whole)
  local left, info = text_of.extract(core.json_encode(core.json_array(texts)), question,
    { ratio = math.min(1, math.max(0.02, ratio)), floor = 0, min_leaf = 80, keep_first = 0, keep_last = 0 })
  if not left then return nil, info end
  for i, text in ipairs(core.json_decode(left)) do entries[i][2] = i == subject and kept or text end
  return fit(entries, subject, question, math.max(budget, 50) * 1.1, model)
end

local INSTRUCTION = "Now summarize this conversation so far, for yourself: it will take the place of the messages "
  .. "above. Keep, word for word, names, numbers with their units, dates, identifiers, file names, quotations, what was decided "
  .. "and why, conditions, prohibitions and negations, results of tools that are still needed, and what is still open. "
  .. "Leave out courtesies, repetitions and what has been superseded. Answer nothing, add nothing. Write in the language of the "
  .. "conversation, as a list, with at most %d words."

--- A digest by a model, asked behind the same prefix, so that an upstream that answered
--- the conversation has most of it in its cache.
---@async
---@param upstream string
---@param req perilune.Request
---@param messages perilune.Message[]  as they go out, up to where they are folded
---@param budget integer  tokens
---@param timeout number
---@return string? digest
---@return perilune.Usage|perilune.Error|string|nil why
function M.summarize(upstream, req, messages, budget, timeout)
  local perilune = require "perilune"
  local list = {}
  for i, m in ipairs(messages) do list[i] = m end
  list[#list + 1] = { role = "user", content = INSTRUCTION:format(math.max(40, math.floor(budget * 0.6))) }
  local tools = req.tools
  local text, usage, told = perilune.upstream(upstream):ask({
    messages = core.json_array(list), tools = tools, tool_choice = tools and "none" or nil, max_tokens = budget, temperature = 0,
  }, { timeout = timeout })
  if not text then return nil, usage end
  local cut = extract.was_cut(text, usage, budget, told)
  text = extract.said(text)
  if cut then return nil, "the summary is too long" end
  if text == "" then return nil, "the small model said nothing" end
  return text, usage
end

return M

--- payload: the long material in a conversation, and the question that it is there for.
--
--     Answer from the documents.        <- head: instructions
--     <documents> ... </documents>      <- payload
--     When was the bridge built?        <- tail: the question
--
-- Material is recognized by marks around it (a tag, "Context:" ... "Question:"), by being a
-- part of its own, by coming from a tool, and else by its place: between the first and
-- the last paragraph.  Head and tail are never touched.
--
-- The question of a payload is what stands in front of it or behind it, or, for what a tool
-- brought, what the user said last before it and what the tool was asked.  It never
-- depends on what comes later, but for system messages, whose question is what the user says
-- first.  So a payload has the same question each time the conversation is sent.
--
-- A text that is to be translated, summarized, proofread is needed whole and is none.

local chat = require "perilune.chat"
local phrases = require "perilune.phrases"
local text_of = require "perilune.text"

local M = {}

-- Bytes: of a question; of a paragraph that may be a head or a tail.
local QUESTION, EDGE = 2000, 1200

-- -- what is needed whole ---------------------------------------------------------

local whole_words = {
  "translat", "proofread", "rewrite", "rephrase", "paraphrase", "reword", "summari", "reformat", "transcri",
  "verbatim", "word for word", "classify", "sentiment", "tl;dr", "copyedit", "copy-edit", "fix the grammar",
  "correct the",
}
local whole_words_zh = {
  "翻译", "润色", "改写", "校对", "总结", "概括", "摘要", "归纳", "全文", "逐字", "逐句",
  "缩写", "扩写", "仿写", "分类", "情感", "纠错",
}

--- Does an instruction ask for something that needs every sentence of a text?
---@param instruction string
---@return boolean
function M.needs_all(instruction)
  local lower = instruction:lower()
  return phrases.any(lower, whole_words) or (lower:find("[\228-\233]") ~= nil and phrases.any(lower, whole_words_zh))
end

-- -- looking for things --------------------------------------------------------------
--
-- Texts are long and patterns are slow: a plain search for what must be there comes first,
-- and a pattern is only tried at that place.

local byte = string.byte

local function is_space(c) return c == 32 or (c >= 9 and c <= 13) end

-- Where the last character of text[first..last] is that is no white space; first - 1: there is none.
local function last_visible(text, first, last)
  while last >= first and is_space(byte(text, last)) do last = last - 1 end
  return last
end

-- The end of the first "\n", white space, "\n" from `at` on, and its begin; nil: there is none.
local function empty_line(text, at)
  while true do
    at = text:find("\n", at, true)
    if not at then return nil end
    local _, stop = text:find("^%s*\n", at + 1)
    if stop then return stop, at end
    at = at + 1
  end
end

-- -- marks -------------------------------------------------------------------------

local tags = {}
for name in ([[context contexts document documents doc docs passage passages source sources article articles data
  reference references search_results results result file files knowledge background material materials transcript
  content text chunk chunks page pages]]):gmatch("%S+") do
  tags[name] = true
end

local begin_labels = {
  "context", "contexts", "document", "documents", "passage", "passages", "text", "article", "background", "reference",
  "references", "source", "sources", "search results", "retrieved documents", "knowledge base",
  "资料", "上下文", "背景", "背景资料", "文档", "文章", "材料", "参考资料", "已知信息", "检索结果", "参考内容", "原文", "知识库",
}
local end_labels = {
  "question", "query", "q", "task", "user question", "instruction", "instructions", "my question", "answer",
  "问题", "提问", "用户问题", "用户提问", "任务", "要求", "请回答", "我的问题", "回答",
}

local function set_of(list)
  local set = {}
  for _, v in ipairs(list) do set[v] = true end
  return set
end
local is_begin, is_end = set_of(begin_labels), set_of(end_labels)

-- Bytes: no label is longer, the white space behind it included.
local LABEL = 64

-- The label that a line is or begins with ("## Context:", "【资料】", "问题：..."), lower
-- case; and whether there is something behind it on the line.
local function label_of(line)
  local from = line:match("^[#*%s]*()")
  local begin = line:sub(1, from + LABEL)
  local may_be = begin:find(":", 1, true) or begin:find("：", 1, true) or begin:find("【", from, true) == from
  if not may_be and byte(line) ~= 35 then return nil end -- 35: "#"
  if #line > 400 then line = line:sub(1, 400) end
  local name, rest = line:match("^[#*%s]*([^:：%[%]*]-)%**%s*:(.*)$")
  local wide_name, wide_rest = line:match("^[#*%s]*(.-)%**%s*：(.*)$")
  if wide_name and (not name or #wide_name < #name) then name, rest = wide_name, wide_rest end
  if not name then name, rest = line:match("^[#*%s]*【(.-)】(.*)$") end
  if not name then name, rest = line:match("^#+%s*(.-)%s*$"), "" end
  return name and name:lower(), rest
end

-- first, last of the material between two labels, on lines of their own or not.
local function between_labels(text)
  local first, at = nil, 1
  local last
  while at <= #text do
    local stop = text:find("\n", at, true) or #text + 1
    local line = text:sub(at, math.min(stop - 1, at + 400))
    local name, rest = label_of(line)
    if name and not first and is_begin[name] then
      first = rest:find("%S") and stop - #rest or stop + 1
      if stop - at > 400 then first = at + line:find("[:：】]", 1) end
      while text:find("^[\128-\191]", first) do first = first + 1 end
    elseif name and first and is_end[name] then
      last = at - 1
    end
    at = stop + 1
  end
  if first and last and last > first then return first, last end
  return nil
end

-- first, last of the material between the first opening tag and the last closing one.
local function between_tags(text)
  local first, name, at, last = nil, nil, 0, nil
  while not first do
    at = text:find("<", at + 1, true)
    if not at then return nil end
    name = text:match("^[%a_][%w_%-]*", at + 1)
    first = name and tags[name:lower()] and text:match("^[^<>\n]*>()", at + 1 + #name)
  end
  local closing = "</" .. name
  at = text:find(closing, first, true)
  while at do
    if text:find("^%s*>", at + #closing) then last = at - 1 end
    at = text:find(closing, at + #closing, true)
  end
  if last and last > first then return first, last end
  return nil
end

-- -- paragraphs -----------------------------------------------------------------------

-- Where the first paragraph ends, when it is short; 0 when it is not.
local function head_of(text)
  local stop = empty_line(text:sub(1, EDGE), 1)
  return stop or 0
end

-- Where the last paragraph begins, when it is short; behind the end when it is not.
local function tail_of(text)
  local from = math.max(1, #text - EDGE)
  local last, begin = last_visible(text, from, #text), nil
  local stop, at = empty_line(text, from)
  while stop and at < last do
    begin = stop + 1
    stop, at = empty_line(text, begin)
  end
  return begin or #text + 1
end

local function asks(text)
  return text:find("?", 1, true) ~= nil or text:find("？", 1, true) ~= nil
end

local function cut(text)
  if #text <= QUESTION then return text end
  local from = #text - QUESTION + 1
  while text:find("^[\128-\191]", from) do from = from + 1 end
  return text:sub(from)
end

-- Appends the lines of a text that ask.
local function lines_that_ask(text, out)
  local at = 1
  while at <= #text do
    local stop = text:find("\n", at, true) or #text + 1
    local line = text:sub(at, stop - 1)
    if asks(line) then out[#out + 1] = line end
    at = stop + 1
  end
  return out
end

-- What is asked around a payload: the paragraphs with a question mark, or all of it.
local function question_of(head, tail)
  local asked = lines_that_ask(tail, lines_that_ask(head, {}))
  return cut(#asked > 0 and table.concat(asked, "\n") or head .. "\n" .. tail)
end

---@class perilune.Payload
---@field index integer      of its message
---@field text string
---@field question string
---@field name? string       of the tool that brought it
---@field replace fun(text: string)
---@field restore? fun()  takes that back; absent: replace(text) does

-- Without the white space at both ends, which stays where it is.
local function narrow(text, first, last)
  first = text:find("%S", first) or last + 1
  return first, last_visible(text, first, math.min(last, #text))
end

-- The payload within a text of the user's, or nil.
local function within(text, replace, least)
  local first, last = between_tags(text)
  if not first then first, last = between_labels(text) end
  if not first then
    first, last = head_of(text) + 1, tail_of(text) - 1
    if first == 1 and last == #text then return nil end
  end
  first, last = narrow(text, first, last)
  local head, tail = text:sub(1, first - 1), text:sub(last + 1)
  if last - first + 1 < least or M.needs_all(cut(head) .. "\n" .. cut(tail)) then return nil end
  local question = question_of(head, tail)
  if not question:find("%S") then return nil end
  return { text = text:sub(first, last), question = question, replace = function(left) replace(head .. left .. tail) end }
end

-- Long parts of a message whose short parts ask.
local function from_parts(texts, least)
  local short, long = {}, {}
  for _, t in ipairs(texts) do
    if #t.text < least then short[#short + 1] = t.text else long[#long + 1] = t end
  end
  local question = cut(table.concat(short, "\n"))
  if #long == 0 or not question:find("%S") or M.needs_all(question) then return nil end
  for i, t in ipairs(long) do long[i] = { text = t.text, question = question, replace = t.replace } end
  return long
end

-- content: of the message, which costs a copy each time it is read.
local function of_user(message, content, least)
  if type(content) == "string" then
    if #content < least then return {} end
    return { within(content, function(text) message.content = text end, least) }
  end
  local texts, out = chat.texts(message), {}
  if #texts > 1 then
    local parts = from_parts(texts, least)
    if parts then return parts end
  end
  for _, t in ipairs(texts) do
    out[#out + 1] = #t.text >= least and within(t.text, t.replace, least) or nil
  end
  return out
end

-- -- tools ---------------------------------------------------------------------------

local function strings_of(value, out)
  if type(value) == "string" then out[#out + 1] = value end
  if type(value) ~= "table" then return end
  local keys = {}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, k in ipairs(keys) do strings_of(value[k], out) end
end

-- What the last paragraph of a text says; all of it when it is short.
local function end_of(text)
  if #text <= EDGE then return text end
  local tail = text:sub(tail_of(text))
  return cut(tail:find("%S") and tail or text)
end

-- calls: all so far, by id.
local function of_tool(message, calls, asked, least)
  local out, results = {}, chat.results(message, calls)
  if #results == 0 or M.needs_all(asked) then return out end
  for _, r in ipairs(results) do
    local content, strings = r.text(), { asked }
    if content and #content >= least then
      if calls[r.id or ""] then strings_of(chat.arguments(calls[r.id]), strings) end
      local question = cut(table.concat(strings, "\n"))
      out[#out + 1] = question:find("%S") and { text = content, question = question, name = r.name, replace = r.replace,
                                                   restore = r.restore } or nil
    end
  end
  return out
end

-- -- all ------------------------------------------------------------------------------

--- The payloads of a conversation, in order.
---@param messages perilune.Message[]
---@param roles table<string, boolean>  in whose messages: user, tool, system, developer, assistant
---@param least integer  bytes below which a text is none
---@return perilune.Payload[]
function M.find(messages, roles, least)
  local out, asked, calls = {}, "", {}
  local function add(index, list)
    for _, p in ipairs(list) do
      p.index = index
      out[#out + 1] = p
    end
  end
  for i, message in ipairs(messages) do
    local role, content = message.role, nil -- content: of the user, who brings results in parts only
    for id, call in pairs(chat.calls_by_id(message)) do calls[id] = call end
    if role == "user" then
      content = message.content
      local said = text_of.content(content)
      if said:find("%S") then asked = end_of(said) end
      if roles.user then add(i, of_user(message, content, least)) end
    elseif (role == "system" or role == "developer") and roles[role] then
      local question = ""
      for j = i + 1, #messages do
        if messages[j].role == "user" then
          question = end_of(text_of.content(messages[j].content))
          break
        end
      end
      for _, t in ipairs(question:find("%S") and not M.needs_all(question) and chat.texts(message) or {}) do
        local first, last = between_tags(t.text)
        if not first then first, last = between_labels(t.text .. "\nquestion:") end
        if first then first, last = narrow(t.text, first, last) end
        if first and last - first >= least then
          local head, tail = t.text:sub(1, first - 1), t.text:sub(last + 1)
          add(i, { { text = t.text:sub(first, last), question = question,
                     replace = function(left) t.replace(head .. left .. tail) end } })
        end
      end
    end
    if roles.tool and type(content) ~= "string" then add(i, of_tool(message, calls, asked, least)) end
  end
  return out
end

return M

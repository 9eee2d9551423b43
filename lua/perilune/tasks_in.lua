--- tasks_in: does a question ask for several things, or does it only mention several?  For the gate of decompose.
--
--     "My fridge has eggs, milk and flour. What can I cook?"              a list in the background: one task
--     "1. Opened the case  2. Replaced the fan  ... Why the noise?"      lines that tell something: one task
--     "Write an email that mentions the heating, the window ..."        one text, whatever is in it: one task
--
--     "Compare Rome, Vienna and Prague"                                   a comparison of three
--     "A report with sections on history, batteries and the market"       a long text, and its division
--     "Explain how, list the types, and describe the effects"             three clauses that ask
--     "What is it? What does it cost? How long does it last?"             three questions
--     "1. Describe ...  2. Name ...  3. Propose ..."                      lines that ask
--
-- So what counts are the sentences, clauses and lines that ask: those that begin with a verb of asking (describe, compare,
-- 请, 介绍, 写), with a question word, or that go on with a long text asked for before ("It should have chapters on ...").
-- English and Chinese.  tests/eval/tasks_spec.lua says how often it is right.

local phrases = require "perilune.phrases"

local M = {}

local COURTESIES = 8 -- in front of a verb
local MOST = 64 -- sentences, lines and clauses that are looked at, of each

local function set_of(words)
  local set = {}
  for word in words:gmatch("%S+") do set[word] = true end
  return set
end

local function has_word(text, set)
  for word in text:gmatch("[%a][%a%-]*") do
    if set[word] then return true end
  end
  return false
end

-- -- who asks ------------------------------------------------------------------------------

local verbs = set_of [[describe explain list compare contrast outline analyze analyse discuss evaluate assess identify name propose
  recommend suggest draft write prepare create develop design make give tell cover plan estimate define present review examine
  show find provide produce build put answer state include]]

-- In front of the verb, and none of it.
local courtesy = { "please", "can you", "could you", "would you", "will you", "i want you to", "i need you to", "i'd like you to",
  "i would like you to", "help me", "and", "then", "also", "next", "finally", "now", "first", "second", "third", "lastly", "to", "kindly",
  "after that", "your task is to", "your tasks are to" }
local wishes = { "i want", "i need", "i'd like", "i would like", "we want", "we need", "we'd like", "for each of", "for each" }

local function without_courtesy(clause)
  local again, left = true, COURTESIES
  clause = clause:gsub("^[%s%p]+", "")
  while again and left > 0 do
    again, left = false, left - 1
    for _, word in ipairs(courtesy) do
      if clause:sub(1, #word) == word and clause:find("^[%s,]", #word + 1) then
        clause, again = clause:sub(#word + 2):gsub("^[%s,:]+", ""), true
      end
    end
  end
  return clause
end

local function begins_with(text, list)
  for _, word in ipairs(list) do
    if text:sub(1, #word) == word then return true end
  end
  return false
end

local zh_courtesy = { "请你", "请您", "请", "麻烦你", "麻烦", "帮我", "帮忙", "帮", "给我", "替我", "为我", "我想要", "我想", "我要", "我需要",
  "需要", "再", "然后", "并且", "并", "最后", "接着", "首先", "其次", "同时", "以及", "分别", "逐一", "依次", "你", "先" }
local zh_verbs = { "介绍", "解释", "说明", "描述", "列出", "列举", "分析", "比较", "对比", "讨论", "评估", "评价", "阐述", "梳理", "提出",
  "建议", "推荐", "写", "撰写", "编写", "起草", "制定", "设计", "规划", "准备", "做", "估计", "整理", "回答", "给出", "谈谈", "讲", "拟", "起",
  "完成", "总结", "一份", "编", "策划", "回顾", "展望" }

-- A Chinese clause without what is in front of its verb; whether there was anything.
local function zh_bare(clause)
  local again, any, left = true, false, COURTESIES
  while again and left > 0 do
    again, left = false, left - 1
    for _, word in ipairs(zh_courtesy) do
      if clause:sub(1, #word) == word then clause, again, any = clause:sub(#word + 1), true, true end
    end
  end
  return clause, any
end

-- "从家长、老师、学生三个角度各写一段", "为每个流派推荐", "就以下主题写": where the verb stands behind what it is about.
local zh_before = { "从", "就", "为", "对", "围绕", "针对", "按" }

-- Does a clause ask for something to be written?
local function asks(clause)
  local bare = without_courtesy(clause)
  if verbs[bare:match("^%a+")] or begins_with(bare, wishes) then return true end
  local zh, polite = zh_bare(bare)
  if begins_with(zh, zh_verbs) or zh ~= bare and zh:find("一份", 1, true) then return true end
  if not begins_with(zh, zh_before) then return false end
  return polite or phrases.any(zh, zh_verbs)
end

-- -- sentences -------------------------------------------------------------------------------

-- Without what stands between two marks.  (A pattern would look for the end from each beginning again.)
local function without(text, open, close)
  local out, from = {}, 1
  while true do
    local first, inner = text:find(open, from, true)
    local _, last = text:find(close, (inner or #text) + 1, true)
    if not last then break end
    out[#out + 1] = text:sub(from, first - 1)
    from = last + 1
  end
  return from == 1 and text or table.concat(out, " ") .. " " .. text:sub(from)
end

-- Without what is quoted: its questions are somebody else's.
local function unquoted(text)
  text = text:gsub('"[^"\n]*"', " ")
  return without(without(without(text, "“", "”"), "‘", "’"), "「", "」")
end

-- { text, question }, ... in lines.
local function sentences(text)
  local list = {}
  text = text:gsub("？", "?"):gsub("！", "!"):gsub("。", "!"):gsub("；", ";")
  for piece, stop in text:gmatch("([^%.!%?;\n]+)([%.!%?;\n]?)") do
    piece = piece:gsub("^%s+", "")
    if #list == MOST then break end
    if piece:find("%S") then list[#list + 1] = { text = piece, question = stop == "?" } end
  end
  return list
end

local function occurrences(text, what)
  local n, from = 0, 1
  while n < 20 do
    local _, last = text:find(what, from, true)
    if not last then break end
    n, from = n + 1, last + 1
  end
  return n
end

-- "history, batteries, charging and the market": how many members it lists.
local function members(text)
  text = text:gsub(",%s*please", ""):gsub("please%s*,", "")
  local commas, marks = occurrences(text, ","), occurrences(text, "、")
  if marks > 0 then return marks + 1 + (phrases.any(text, { "和", "与", "及", "或" }) and 1 or 0) end
  local joined = text:find("[^,%s]%s+and%s") or text:find("[^,%s]%s+or%s")
  return commas > 0 and commas + 1 + (joined and 1 or 0) or 0
end

-- -- texts and how they are divided ------------------------------------------------------------

-- One text, whatever is in it.
local piece_words = set_of [[email e-mail mail letter tweet caption slogan resume cv toast invitation reminder note bio headline tagline
  speech sms card greeting]]
local piece_zh = { "邮件", "求职信", "推荐信", "感谢信", "一封", "短信", "标语", "口号", "朋友圈", "简历", "请假条", "祝福", "检讨", "致辞",
  "广告语", "评语", "文案", "标题", "贺卡", "便条", "通知" }

local long_words = set_of [[report guide handbook whitepaper proposal overview article essay dossier manual briefing curriculum itinerary
  strategy roadmap comparison plan introduction]]
local long_zh = { "报告", "指南", "手册", "方案", "白皮书", "综述", "论文", "文章", "攻略", "规划", "大纲", "计划", "简报", "行程" }

local compare_words = set_of [[compare contrast comparison difference differences]]
local compare_zh = { "对比", "比较", "区别", "异同" }
local differ_words, differ_zh = set_of "difference differences differ", { "区别", "异同", "不同" } -- which a question asks for

-- Of these there are several, whatever they are about.
local division_words = set_of [[sections chapters headings subsections]]
local division_zh = { "章节", "各部分", "几个部分", "几部分", "各章" }
-- And of these where it says how many, or which.
local share_words = set_of [[section parts part aspects perspectives topics cover covers covering each respectively separate separately
  include including chapter angles]]
local share_zh = { "分别", "逐一", "依次", "各写", "包括", "包含", "涵盖", "以下主题", "方面", "角度" }

local en_count = "(%a+) %a* ?([psac][%a]+s)%f[%A]"
local numerals = set_of "two three four five six seven eight nine ten"
local counted = set_of "parts sections chapters aspects perspectives angles paragraphs"

-- "in four sections", "分为四章", "三个角度".
local function says_how_many(text)
  for number, noun in text:gmatch(en_count) do
    if (numerals[number] or tonumber(number)) and counted[noun] then return true end
  end
  for _, noun in ipairs{ "部分", "章", "方面", "角度", "小节", "节" } do
    local at = text:find(noun, 1, true)
    while at do
      local before = text:sub(math.max(1, at - 6), at - 1):gsub("个$", "")
      if before:find("%d$") or phrases.any(before:sub(-3), { "两", "二", "三", "四", "五", "六", "七", "八" }) then return true end
      at = text:find(noun, at + #noun, true)
    end
  end
  return false
end

local function is_piece(text) return has_word(text, piece_words) or phrases.any(text, piece_zh) end

-- Is the sentence an order for a comparison of three, or for a long text in parts?  before: a long text was asked for before.
local function divides(sentence, before)
  local text, n = sentence.text, members(sentence.text)
  if has_word(text, compare_words) or phrases.any(text, compare_zh) then
    if n >= 3 then return true end
  end
  if has_word(text, division_words) or phrases.any(text, division_zh) then return true end
  local many = says_how_many(text)
  local long = before or has_word(text, long_words) or phrases.any(text, long_zh)
  if many and (long or n >= 3) then return true end
  return n >= 3 and (has_word(text, share_words) or phrases.any(text, share_zh))
end

-- Goes on with what was asked for: "It should have chapters on ...", "Cover ...", "内容涵盖 ...".
local function goes_on(text)
  return text:find("^it should") or text:find("^it must") or text:find("^this should") or text:find("^with ")
    or begins_with(text, { "内容", "需要包括", "要包括", "包括", "分为", "要求包括" })
end

-- -- lines -------------------------------------------------------------------------------------

local function item_of(line)
  return line:match("^%s*%d+[%.%)]%s*(%S.*)") or line:match("^%s*[%-%*]%s+(%S.*)") or line:match("^%s*%d+、%s*(%S.*)")
    or line:match("^%s*（%d+）%s*(%S.*)") or line:match("^%s*%(%d+%)%s*(%S.*)")
    or line:match("^%s*[一二三四五六七八九十]-、%s*(%S.*)")
end

local function is_question(text) return text:find("%?%s*$") ~= nil or text:find("？%s*$") ~= nil end

-- How many lines are items, and how many of these ask.
local function items(said)
  local n, asking = 0, 0
  for line in said:gmatch("[^\n]+") do
    local item = #line < 400 and item_of(line)
    if n == MOST then break end
    if item then
      n = n + 1
      if is_question(item) or asks(item) then asking = asking + 1 end
    end
  end
  return n, asking
end

-- Said of lines: "answer these questions", "以下主题".
local announced_words = set_of "questions tasks topics chapters sections parts"

local function announced(text)
  if not (text:find "following" or text:find "these" or text:find "below" or phrases.any(text, { "以下", "下列", "下面", "如下" })) then return false end
  return has_word(text, announced_words)
    or phrases.any(text, { "问题", "任务", "主题", "章节", "部分", "方面" })
end

-- -- the whole -----------------------------------------------------------------------------------

local QUESTION_LEAST = 12 -- bytes of a question that wants an answer of its own: "Really?" does not

-- Clauses that ask, in a sentence that begins with one.
local function clauses_that_ask(text)
  local n, seen = 0, 0
  text = text:gsub("，", ","):gsub("、", ",")
  for clause in text:gmatch("[^,]+") do
    seen = seen + 1
    if seen > MOST then break end
    if asks(clause) then n = n + 1 end
  end
  return n
end

--- Does it ask for several things?
---@param said string  what the user said
---@return boolean
function M.several(said)
  local text = unquoted(said:lower())
  local n, asking_items = items(text)
  if n >= 3 and asking_items >= 3 and asking_items * 3 >= n * 2 then return true end

  local prose = {}
  for line in text:gmatch("[^\n]+") do
    if not (n >= 2 and item_of(line)) then prose[#prose + 1] = line end
  end
  local questions, others, long = 0, 0, false
  for _, sentence in ipairs(sentences(table.concat(prose, "\n"))) do
    local order = asks(sentence.text) or long and goes_on(sentence.text)
    if sentence.question and #sentence.text >= QUESTION_LEAST then questions = questions + 1
    elseif not order then others = others + 1 end
    local compares = has_word(sentence.text, differ_words) or phrases.any(sentence.text, differ_zh)
    if order and is_piece(sentence.text) then return false end
    if order or compares and sentence.question then
      if divides(sentence, long) or n >= 3 and announced(sentence.text) then return true end
      if clauses_that_ask(sentence.text) >= 3 then return true end
    end
    long = long or order and (has_word(sentence.text, long_words) or phrases.any(sentence.text, long_zh))
  end
  return questions >= 3 and questions > others
end

return M

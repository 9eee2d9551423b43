--- divisible: may a question be answered in parts?  Guesses for the policies decompose and skeleton.
--
--     what forbids it     tools, response_format, n > 1, few tokens, code, mathematics, data formats, one text that is to be
--                         rewritten, a story, a short answer                                          veto()
--     what speaks for it  for decompose: lines, clauses and questions that ask (tasks_in.lua); for skeleton: lists, words for
--                         points and for long answers
--
-- They look at what the user said last, at most LOOK bytes of it, and cost some ten microseconds.  A mistake costs
-- time and tokens, or quality: so in doubt they say no.  English and Chinese; in other languages only what lists and
-- marks show.

local chat = require "perilune.chat"
local phrases = require "perilune.phrases"
local tasks_in = require "perilune.tasks_in"
local text_of = require "perilune.text"

local M = {}

local LOOK = 4096   -- bytes of a question that are looked at
local LEAST = 300   -- max_tokens below which there is nothing to divide

local function set_of(words)
  local set = {}
  for word in words:gmatch("%S+") do set[word] = true end
  return set
end

-- -- what forbids it ----------------------------------------------------------------------

local forbidden = {
  code = { set_of [[code coding function functions script program programming implement implementation bug bugs debug debugging
    compile compiler sql regex regexp python javascript typescript java rust golang kotlin bash shell html css api refactor
    algorithm unittest stacktrace dockerfile makefile]],
    { "代码", "函数", "编程", "程序", "脚本", "算法", "调试", "报错", "编译", "正则", "类型注解" } },
  math = { set_of [[prove proof solve equation equations integral derivative theorem lemma calculate compute evaluate simplify
    polynomial matrix eigenvalue eigenvalues probability factorial differentiate integrate]],
    { "证明", "求解", "解方程", "方程", "积分", "导数", "计算", "求证", "定理", "概率", "化简", "多少钱", "\\frac", "\\sum", "\\int", "$$" } },
  data = { set_of [[json yaml xml csv toml latex markdown-table spreadsheet]], { "表格形式", "格式输出" } },
  one_text = { set_of [[translate translation proofread rewrite rephrase paraphrase summarize summarise summary tldr shorten
    correct grammar transcribe classify extract sentiment continue]],
    { "翻译", "润色", "改写", "校对", "总结", "概括", "摘要", "缩写", "扩写", "续写", "分类", "提取", "纠错" } },
  told = { set_of [[story poem haiku song lyrics novel dialogue screenplay joke riddle limerick]],
    { "故事", "诗", "小说", "歌词", "剧本", "笑话", "对话", "散文" } },
  short = { set_of [[briefly brief concise concisely shortly yes no]],
    { "简短", "简要", "一句话", "一两句", "简单说", "是否", "是不是", "one sentence", "one word", "single word", "in short", "few words",
      "step by step", "step-by-step", "一步一步", "逐步推理" } },
}

local function words_in(lower)
  local set = {}
  for word in lower:gmatch("[%a][%a%-]*") do set[word] = true end
  return set
end

local function holds(kind, words, lower)
  for word in pairs(kind[1]) do
    if words[word] then return true end
  end
  return phrases.any(lower, kind[2])
end

local function has_list(value) return type(value) == "table" and value[1] ~= nil end

-- A format other than text.
local function wants_format(req)
  local format = req.response_format
  return chat.is_object(format) and format.type ~= nil and format.type ~= "text"
end

--- Why the request may not be answered in parts, whatever it says; nil: it may.
---@param req perilune.Request
---@return string? why
function M.request_forbids(req)
  if not req.path:find("/chat/completions$") then return "path" end
  if has_list(req.tools) or has_list(req.functions) then return "tools" end
  if wants_format(req) then return "format" end
  if (req.n or 1) ~= 1 or req.logprobs == true or req.prediction ~= nil or req.audio ~= nil then return "choices" end
  local most = req.max_completion_tokens or req.max_tokens
  if type(most) == "number" and most < LEAST then return "short" end
  local last = type(req.messages) == "table" and req.messages[#req.messages]
  if not chat.is_object(last) or last.role ~= "user" then return "turn" end
  return nil
end

--- Of what the client allows for the whole, the share of each part; nil: it allows what there is; false: too little.
---@param req perilune.Request
---@param most integer  parts
---@param least integer tokens that a part needs
---@return integer|false|nil
function M.share(req, most, least)
  local bound = req.max_completion_tokens or req.max_tokens
  if type(bound) ~= "number" then return nil end
  local share = math.floor(bound / most)
  return share >= least and share
end

--- What in a question forbids it; nil: nothing.
---@param said string
---@return string? why
function M.veto(said)
  if text_of.has_code(said) then return "code" end
  local lower = said:sub(1, LOOK):lower()
  local words = words_in(lower)
  for _, name in ipairs{ "code", "math", "data", "one_text", "told", "short" } do
    if holds(forbidden[name], words, lower) then return name end
  end
  if lower:find("%d%s*[%+%*/=^]%s*%d") or lower:find("%d%s*×%s*%d") then return "math" end
  return nil
end

-- -- what speaks for it -----------------------------------------------------------------------

-- How many lines are items of a list.
local function items(said)
  local n = 0
  for line in said:gmatch("[^\n]+") do
    if #line < 400 and (line:find("^%s*%d+[%.%)]%s*%S") or line:find("^%s*[%-%*]%s+%S") or line:find("^%s*%d+、")
        or line:find("^%s*（%d+）") or line:find("^%s*[一二三四五六七八九十]-、")) then
      n = n + 1
    end
  end
  return n
end

local composed = { set_of [[report guide handbook whitepaper proposal overview article essay dossier manual briefing curriculum
  itinerary strategy roadmap comparison compare]],
  { "报告", "指南", "手册", "方案", "白皮书", "综述", "论文", "文章", "攻略", "对比", "比较", "规划", "策划", "大纲" } }
local points = { set_of [[tips ways reasons advantages disadvantages benefits drawbacks pros cons ideas strategies steps factors
  causes effects suggestions recommendations examples principles practices challenges list methods habits]],
  { "建议", "方法", "原因", "优点", "缺点", "优缺点", "技巧", "步骤", "因素", "影响", "好处", "措施", "要点", "列举", "有哪些", "特点", "介绍" } }

--- The gate of decompose: is it several tasks?
---@param req perilune.Request
---@return boolean
---@return string why
function M.is_several(req)
  local why = M.request_forbids(req)
  if why then return false, why end
  local said = text_of.last_user(req)
  why = M.veto(said)
  if why then return false, why end
  return tasks_in.several(said:sub(1, LOOK)), "one task"
end

--- The gate of skeleton: is the answer a list of points that do not build on each other?
---@param req perilune.Request
---@return boolean
---@return string why
function M.has_points(req)
  local why = M.request_forbids(req)
  if why then return false, why end
  local said = text_of.last_user(req)
  why = M.veto(said)
  if why then return false, why end
  local lower = said:sub(1, LOOK):lower()
  local words = words_in(lower)
  return holds(points, words, lower) or holds(composed, words, lower) or items(said) >= 3, "no points"
end

--- Is this request to be divided, says the option `when` (true, false, a function, or nil: the gate)?
---@param req perilune.Request
---@param when nil|boolean|fun(req: perilune.Request): boolean
---@param gate fun(req: perilune.Request): boolean
---@return boolean
function M.passes(req, when, gate)
  if when == false then return false end
  if when == nil then return (gate(req)) end
  if M.request_forbids(req) then return false end
  return when == true or when(req) == true
end

return M

--- best_of: asks several times at once, and gives the best answer.
--
--     { "best_of", n = 3, judge = "big" }                       a model compares them
--     { "best_of", n = 3, judge = "schema" }                    the first that fits the request's response_format
--     { "best_of", n = 4, judge = "longest" }                   or "shortest", "common" (most in common with the others)
--     { "best_of", n = 3, judge = function(req, texts) return 2 end }     which may wait
--
-- Whoever judges, an answer is out that is empty, that was cut off at max_tokens, that does not fit the request's
-- response_format (JSON, or its schema), as long as there is a better one.  One that is left, or several that are the
-- same, need no judge, and none is paid.
--
-- A judge that fails, is late, or says no number of an answer has no say: then the first answer that is left is
-- given, and the log says so.  `judge` may name an upstream that is also called "schema" only as { upstream =
-- "schema" }.
--
-- Answers are asked for as `vote` does, with the same rules for requests that pass.
--
---@class BestOfOptions
---@field n? integer             answers, 2 to 32, default 3
---@field judge string|table|async fun(req: perilune.Request, texts: string[]): integer?
---@field upstreams? string[]    whom to ask, in turn; default: what is behind this policy
---@field temperature? number    of the calls; default: the request's
---@field timeout? number        seconds for the answers; then it is chosen among those that have come
---@field judge_timeout? number  seconds for the judge, default 20
---@field when? fun(req: perilune.Request): boolean

local check = require "perilune.check"
local caught = require "perilune.caught"
local config = require "perilune.config"
local judge = require "perilune.judge"
local parts = require "perilune.parts"
local schema = require "perilune.schema"
local several = require "perilune.several"

local rules = { schema = true, longest = true, shortest = true, common = true }

-- { rule =, upstream =, fn = }: one of them.
local function check_judge(value)
  if type(value) == "function" then return { fn = value } end
  if type(value) == "string" and rules[value] then return { rule = value } end
  local name = value
  if type(value) == "table" then
    for key in pairs(value) do
      if key ~= "upstream" then return nil, check.unknown("key", key, { "upstream" }) end
    end
    name = value.upstream
  end
  local upstream, why = check.value({ type = "upstream" }, name)
  if upstream then return { upstream = upstream } end
  return nil, why .. "; or \"schema\", \"longest\", \"shortest\", \"common\", or a function"
end

local spec = {
  n = { type = "integer", default = 3, min = 2, max = 32 },
  judge = { check = check_judge, required = true },
  upstreams = { type = "list", of = { type = "upstream" }, min = 1 },
  temperature = { type = "number", min = 0, max = 2 },
  timeout = { type = "duration", min = 0.001 },
  judge_timeout = { type = "duration", default = 20, min = 0.001 },
  when = { type = "function" },
}

-- Is there a reason not to give it?  0: none; more: the worse.
local function flaw(req, answer)
  if answer.calls then return 0 end
  if not answer.text:find("%S") then return 3 end
  if not schema.answers(req, answer.text) then return 2 end
  return answer.cut and 1 or 0
end

-- Those with the least flaws.
local function without_flaws(req, list)
  local least, out = math.huge, {}
  for _, answer in ipairs(list) do
    answer.flaw = flaw(req, answer)
    least = math.min(least, answer.flaw)
  end
  for _, answer in ipairs(list) do
    if answer.flaw == least then out[#out + 1] = answer end
  end
  return out
end

local function texts_of(list)
  local texts = {}
  for i, answer in ipairs(list) do texts[i] = answer.calls and answer.text .. "\n" .. answer.calls or answer.text end
  return texts
end

local function by_length(list, sign)
  local best = list[1]
  for _, answer in ipairs(list) do
    if (#answer.text - #best.text) * sign > 0 then best = answer end
  end
  return best
end

local by_rule = {
  schema = function(list) return list[1] end,
  longest = function(list) return by_length(list, 1) end,
  shortest = function(list) return by_length(list, -1) end,
  common = several.central,
}

-- The number that a judge names, or nil and why there is none.
local function ask_judge(options, req, texts, used)
  if options.judge.fn then
    local ok, number = caught("best_of: option 'judge'", options.judge.fn, req, texts)
    if not ok then return nil, number.detail or number.message end
    if type(number) ~= "number" or not texts[number] then return nil, "it returned " .. check.show(number) end
    return number
  end
  local said, err = parts.text("best_of", "judge", {
    upstream = options.judge.upstream, messages = judge.messages(req, texts), temperature = 0, timeout = options.judge_timeout,
  }, used)
  if not said then return nil, err.code end
  local number = judge.read(said, #texts)
  if number then return number end
  return nil, "it said " .. check.show(said)
end

local function choose(options, req, list, used)
  local left = without_flaws(req, list)
  local texts = texts_of(left)
  if #left == 1 then return left[1], "only" end
  if judge.all_same(texts) then return left[1], "same" end
  if options.judge.rule then return by_rule[options.judge.rule](left), options.judge.rule end
  local number, why = ask_judge(options, req, texts, used)
  if number then return left[number], "judge" end
  req:log("warn", "best_of: the judge has no say, so the first answer is given", { reason = why })
  return left[1], "first"
end

return function(given)
  local options = config.options(spec, given, "best_of")
  return function(req, next)
    if several.passes(req, options) then return next(req) end
    local list, err, failed = several.gather(req, several.asker(req, next, options), {
      policy = "best_of", n = options.n, timeout = options.timeout,
    })
    if not list then return nil, err end
    local used = {}
    local chosen, why = choose(options, req, list, used)
    parts.tally("best_of", why)
    req:log("info", "chose the best answer", { which = chosen.index, answers = #list, failed = failed, why = why })
    return several.give(chosen, list, { ["x-perilune-best-of"] = ("%d/%d; %s"):format(chosen.index, #list, why) }, used)
  end
end, { needs = "chat", others = "pass" }

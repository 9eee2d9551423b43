--- vote: asks several times at once, and gives the answer that most of them come to.
--
--     { "vote", n = 5 }
--     { "vote", n = 3, upstreams = { "a", "b", "c" }, answer = "letter" }
--     { "vote", n = 5, answer = "json", field = "/label" }
--
-- What an answer says in the end is looked for in its text: behind "the answer is", "####", \boxed{}, 答案是,
-- 故选 ...; a JSON value, a number, a letter of a choice, yes or no, a short text.  Numbers are the same however
-- they are written ("1,024", "1024.0", "１０２４"), JSON whatever the order of its members, and calls of tools by
-- their names and arguments.  An answer in which nothing is found has no vote; when none has one, the answer wins
-- that has most in common with the others.  Of a tie the one wins whose first answer was asked first.
--
-- When the rest cannot change the result any more, it is not waited for, and its calls end.  The client gets the
-- whole answer of the first who said what won, in the form that it asked for.  An answer that fails has no vote; when
-- all fail, so does the request.
--
-- A request passes and is paid for once that asks for n > 1 itself; that has a temperature of 0, so that all answers
-- would be the same (unless `temperature` or several `upstreams` say otherwise); or of which `when` says no.  A cache
-- or `coalesce` in front of it gives the answer that was chosen again; behind it, each of the n answers has an entry
-- of its own, so that they stay n.
--
---@class VoteOptions
---@field n? integer            answers, 2 to 32, default 5
---@field answer? string|fun(text: string): string?  what is compared: "auto" (default), "number", "letter", "yes_no", "json", "text"
---@field field? string         of a JSON answer: "/label", or "label"
---@field upstreams? string[]   whom to ask, in turn; default: what is behind this policy
---@field temperature? number   of the calls; default: the request's
---@field timeout? number       seconds; then those vote that have answered
---@field early? boolean        stop when it is decided; default true
---@field when? fun(req: perilune.Request): boolean

local caught = require "perilune.caught"
local config = require "perilune.config"
local final_answer = require "perilune.final_answer"
local parts = require "perilune.parts"
local several = require "perilune.several"

local function check_answer(value)
  if type(value) == "function" then return value end
  for _, kind in ipairs(final_answer.kinds) do
    if value == kind then return value end
  end
  return nil, ("must be a function, or one of %s; got %s"):format(table.concat(final_answer.kinds, ", "), tostring(value))
end

local spec = {
  n = { type = "integer", default = 5, min = 2, max = 32 },
  answer = { type = { "string", "function" }, check = check_answer, default = "auto" },
  field = { type = "string", min = 1, max = 512 },
  upstreams = { type = "list", of = { type = "upstream" }, min = 1 },
  temperature = { type = "number", min = 0, max = 2 },
  timeout = { type = "duration", min = 0.001 },
  early = { type = "boolean", default = true },
  when = { type = "function" },
}

-- What an answer votes for, or false.
local function vote_of(options, req, answer)
  if answer.calls then return "calls " .. answer.calls end
  if type(options.answer) ~= "function" then
    return final_answer.extract(answer.text, { kind = options.answer, field = options.field }) or false
  end
  local ok, key = caught("vote: option 'answer'", options.answer, answer.text)
  if ok then return key ~= nil and tostring(key) or false end
  req:log("warn", "vote: option 'answer' threw, so this answer has no vote", { error = key.detail or key.message })
  return false
end

local function keys_of(options, req, list)
  local keys = {}
  for i, answer in ipairs(list) do
    if answer.key == nil then answer.key = vote_of(options, req, answer) end
    keys[i] = answer.key
  end
  return keys
end

return function(given)
  local options = config.options(spec, given, "vote")
  return function(req, next)
    if several.passes(req, options) then return next(req) end
    local list, err, failed = several.gather(req, several.asker(req, next, options), {
      policy = "vote", n = options.n, timeout = options.timeout,
      enough = options.early and function(list, open)
        local _, votes, second = final_answer.majority(keys_of(options, req, list))
        return votes > second + open
      end or nil,
    })
    if not list then return nil, err end

    local winner, votes = final_answer.majority(keys_of(options, req, list))
    local chosen = winner and list[winner] or several.central(list)
    local why = winner and votes > 1 and "majority" or winner and "first" or "central"
    if winner and votes == 1 and #list > 2 then chosen, why = several.central(list), "central" end
    parts.tally("vote", why)
    req:log("info", "voted", { votes = votes, answers = #list, failed = failed, why = why })
    return several.give(chosen, list, { ["x-perilune-vote"] = ("%d/%d; %s"):format(votes, #list, why) })
  end
end, { needs = "chat", others = "pass" }

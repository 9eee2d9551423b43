--- model_fields: what may stand in a question of a policy's own, which not every model takes.
--
--     { max_tokens = 400, temperature = 0 } --> OpenAI's models that think first: { max_completion_tokens = 400 + ROOM }
--
-- Policies bound their questions and want the likeliest answer.  OpenAI's o series and gpt-5 refuse both: they know
-- max_completion_tokens, in which what they think is counted, too, and one temperature.  Nobody could list the names
-- that such models have with every provider, so it is learned: a question that is refused with 400 or 422 because of
-- one of these fields is asked once more without it, for each of them once; when that helps, the field was at fault and
-- not the question, and this upstream is asked so at once for an hour, or until a reload.  Names that OpenAI gave are known from the
-- beginning; `reasoning = true` of an upstream says it of others, and `false` that fields stay as they are.
--
-- Others know max_tokens only, and a policy may have max_completion_tokens from its client, who asked another model: then
-- the one bound takes the place of the other, too.  A question is never asked without a bound that it had.
--
-- A client's own request is never changed: its refusal is its client's answer.  What a policy changed in it is its own.

local core = require "perilune.core"
local phrases = require "perilune.phrases"

local M = {}

--- Tokens for what is thought, besides those of an answer that was bounded.
M.ROOM = 8192
local KEEP = 3600     -- seconds
local KEYS_MOST = 256

-- Without which an answer is another one, and no worse.
local sampling = { "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed" }
local fields = { "max_tokens", "max_completion_tokens", unpack(sampling) }

local learned, count = {}, 0 -- upstream and model -> { [field] = until when }

local function key_of(where, model) return where .. "\0" .. tostring(model) end

-- OpenAI's names, also behind a provider's ("openai/o3").
local function thinks_first(model)
  local name = type(model) == "string" and (model:match("([^/]*)$")) or ""
  return name:find("^o%d") ~= nil or name:find("^gpt%-5") ~= nil
end

-- What a question is asked as without some fields.
local function without(asked, leave)
  local out = {}
  for k, v in pairs(asked) do out[k] = v end
  for _, field in ipairs(sampling) do
    if leave[field] then out[field] = nil end
  end
  if leave.max_completion_tokens then
    out.max_tokens, out.max_completion_tokens = tonumber(asked.max_tokens) or asked.max_completion_tokens, nil
  elseif leave.max_tokens then
    local bound = tonumber(asked.max_tokens)
    out.max_completion_tokens = asked.max_completion_tokens or bound and bound + M.ROOM
    out.max_tokens = nil
  end
  return out
end

local function fields_to_leave(where, body, reasoning)
  local out = {}
  if reasoning == false then return out end
  for field, until_s in pairs(learned[key_of(where, body.model)] or {}) do
    if until_s > core.clock() then out[field] = true end
  end
  if reasoning then
    for _, field in ipairs(sampling) do out[field] = true end
  end
  if (reasoning or thinks_first(body.model)) and not out.max_completion_tokens then out.max_tokens = true end
  return out
end

-- A number that is too large is a refusal, too, but of the question.
local words = { "unsupported", "not support", "not permitted", "not allowed", "unrecognized", "unknown", "unexpected",
                "deprecated", "extra_forbidden", "max_completion_tokens" }

local function is_unknown(err)
  local said = (tostring(err.code) .. " " .. tostring(err.message)):lower()
  return phrases.any(said, words)
end

-- The field that an upstream refuses, when it is one that can be left out.
local function refused(body, err)
  if err.status ~= 400 and err.status ~= 422 or not is_unknown(err) then return nil end
  local said = type(err.param) == "string" and err.param ~= "" and err.param or err.message
  if type(said) ~= "string" then return nil end
  for _, field in ipairs(fields) do
    if body[field] ~= nil and said:find(field, 1, true) then return field end
  end
  -- "Use max_tokens" names the one that it wants.
  return body.max_completion_tokens ~= nil and said:find("max_tokens", 1, true) and "max_completion_tokens" or nil
end

-- The bound that is asked for when the other is refused.
local other = { max_tokens = "max_completion_tokens", max_completion_tokens = "max_tokens" }

local function learn(where, body, left)
  local key = key_of(where, body.model)
  if not learned[key] then
    if count >= KEYS_MOST then learned, count = {}, 0 end
    learned[key], count = {}, count + 1
  end
  for _, field in ipairs(left) do
    learned[key][field] = core.clock() + KEEP
    if other[field] then learned[key][other[field]] = nil end
  end
  core.log("warn", "a model refuses fields of the questions that policies ask: they are left out for an hour "
    .. "(reasoning = true of its upstream saves the first try)",
    { upstream = where, model = body.model, fields = table.concat(left, ", ") })
end

--- Asks, with what this model takes.
---@async
---@param where string       the upstream, or a route
---@param settings? table    of the upstream
---@param body table
---@param timeout? number    seconds for all tries
---@param ask async fun(body: table, timeout?: number): any?, perilune.Error?
---@return any? res
---@return perilune.Error? err
function M.ask(where, settings, body, timeout, ask)
  local until_s = timeout and core.clock() + timeout
  local reasoning = settings and settings.reasoning
  local leave, left, tried = fields_to_leave(where, body, reasoning), {}, {}
  while true do
    local fitting = without(body, leave)
    local res, err = ask(fitting, until_s and math.max(0.001, until_s - core.clock()))
    if res ~= nil and left[1] then learn(where, body, left) end
    if res ~= nil or reasoning == false then return res, err end
    local field = refused(fitting, err)
    if not field or tried[field] or tried[other[field]] then return nil, err end
    left[#left + 1] = field
    leave[field], tried[field] = true, true
    if other[field] then leave[other[field]] = nil end
  end
end

--- Nothing is known of any model: between two tests.
function M.forget() learned, count = {}, 0 end

return M

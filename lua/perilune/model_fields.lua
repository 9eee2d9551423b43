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
-- A client's own request is never changed: its refusal is its client's answer.

local core = require "perilune.core"
local phrases = require "perilune.phrases"

local M = {}

--- Tokens for what is thought, besides those of an answer that was bounded.
M.ROOM = 8192
local KEEP = 3600     -- seconds
local KEYS_MOST = 256

-- Without which an answer is another one, and no worse.
local sampling = { "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed" }

local learned, count = {}, 0 -- upstream and model -> { [field] = until when }

local function key_of(where, model) return where .. "\0" .. tostring(model) end

-- OpenAI's names, also behind a provider's ("openai/o3").
local function thinks_first(model)
  local name = type(model) == "string" and (model:match("([^/]*)$")) or ""
  return name:find("^o%d") ~= nil or name:find("^gpt%-5") ~= nil
end

-- A body without these fields; the same when it has none of them.
local function without(body, fields)
  local out
  for _, field in ipairs(fields) do
    if body[field] ~= nil then
      if not out then
        out = {}
        for k, v in pairs(body) do out[k] = v end
      end
      local bound = field == "max_tokens" and out.max_completion_tokens == nil and tonumber(out.max_tokens)
      if bound then out.max_completion_tokens = bound + M.ROOM end
      out[field] = nil
    end
  end
  return out or body
end

local function fields_to_leave(where, body, reasoning)
  if reasoning == false then return {} end
  local out = {}
  if reasoning or thinks_first(body.model) then out[1] = "max_tokens" end
  local known = learned[key_of(where, body.model)]
  for field, until_s in pairs(known or {}) do
    if until_s > core.clock() then out[#out + 1] = field end
  end
  if reasoning then
    for _, field in ipairs(sampling) do out[#out + 1] = field end
  end
  return out
end

-- A number that is too large is a refusal, too, but of the question.
local words = { "unsupported", "not support", "not permitted", "not allowed", "unrecognized", "unknown", "unexpected",
                "deprecated", "max_completion_tokens" }

local function is_unknown(err)
  local said = (tostring(err.code) .. " " .. tostring(err.message)):lower()
  return phrases.any(said, words)
end

-- The field that an upstream refuses, when it is one that can be left out.
local function refused(body, err)
  if err.status ~= 400 and err.status ~= 422 or not is_unknown(err) then return nil end
  local said = err.param or err.message
  if type(said) ~= "string" then return nil end
  for _, field in ipairs{ "max_tokens", unpack(sampling) } do
    if body[field] ~= nil and said:find(field, 1, true) then return field end
  end
end

local function learn(where, body, fields)
  local key = key_of(where, body.model)
  if not learned[key] then
    if count >= KEYS_MOST then learned, count = {}, 0 end
    learned[key], count = {}, count + 1
  end
  for _, field in ipairs(fields) do learned[key][field] = core.clock() + KEEP end
  core.log("warn", "a model refuses fields of the questions that policies ask: they are left out for an hour "
    .. "(reasoning = true of its upstream saves the first try)",
    { upstream = where, model = body.model, fields = table.concat(fields, ", ") })
end

--- Asks, with what this model takes.
---@async
---@param where string       the upstream, or a route
---@param settings? table    of the upstream
---@param body table
---@param ask async fun(body: table): any?, perilune.Error?
---@return any? res
---@return perilune.Error? err
function M.ask(where, settings, body, ask)
  local reasoning = settings and settings.reasoning
  body = without(body, fields_to_leave(where, body, reasoning))
  local left = {}
  while true do
    local res, err = ask(body)
    if res ~= nil and left[1] then learn(where, body, left) end
    if res ~= nil or reasoning == false then return res, err end
    local field = refused(body, err)
    if not field then return nil, err end
    left[#left + 1] = field
    body = without(body, { field })
  end
end

--- Nothing is known of any model: between two tests.
function M.forget() learned, count = {}, 0 end

return M

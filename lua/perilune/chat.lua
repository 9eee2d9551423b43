--- chat: which messages belong together.
--
-- A call of a tool and its results are one thing: providers refuse one without the
-- other, and a conversation that lost half of a pair is refused for ever.  So what
-- shortens conversations works on groups:
--
--     system      system, developer
--     user        what the user said (also: several parts, images)
--     assistant   an answer
--     tools       a message with calls (several at once, too) and all their results
--
-- Understood are OpenAI's tool_calls with role "tool", the older function_call with
-- role "function", and Anthropic's tool_use and tool_result parts.
--
-- A result whose call is not there is an orphan.  repair() makes it plain text of the
-- user's side: what it says is kept, and nobody refuses it.

local core = require "perilune.core"

local M = {}

local function is_object(v)
  local kind = type(v)
  return kind == "table" or (kind == "userdata" and v ~= core.null)
end

local function list_of(v)
  return type(v) == "table" and v or {}
end

-- -- calls and results ---------------------------------------------------------

--- The calls that a message makes: id -> name of the tool, and how many.  A
--- function_call has the id "function:NAME".
---@param message perilune.Message
---@return table<string, string> calls
---@return integer count
function M.calls(message)
  local calls, count = {}, 0
  local function add(id, name)
    if type(id) ~= "string" then return end
    if not calls[id] then count = count + 1 end
    calls[id] = type(name) == "string" and name or "tool"
  end
  if message.role ~= "assistant" then return calls, 0 end
  for _, call in ipairs(list_of(message.tool_calls)) do
    if is_object(call) then
      local fn = call["function"] or call.custom
      add(call.id, is_object(fn) and fn.name)
    end
  end
  local old = message.function_call
  if is_object(old) and type(old.name) == "string" then add("function:" .. old.name, old.name) end
  for _, part in ipairs(list_of(message.content)) do
    if is_object(part) and part.type == "tool_use" then add(part.id, part.name) end
  end
  return calls, count
end

--- Is the message nothing but a result: role "tool" or "function"?
---@param message perilune.Message
---@return boolean
function M.is_result(message)
  return message.role == "tool" or message.role == "function"
end

-- Ids that a message answers, and whether it is a user's message with results in it.
local function answered(message)
  if message.role == "tool" then return { message.tool_call_id or false } end
  if message.role == "function" then return { "function:" .. tostring(message.name) } end
  if message.role ~= "user" then return nil end
  local ids
  for _, part in ipairs(list_of(message.content)) do
    if is_object(part) and part.type == "tool_result" then
      ids = ids or {}
      ids[#ids + 1] = part.tool_use_id or false
    end
  end
  return ids
end

-- Takes from `open` the ids that message answers.  Returns whether it belongs to the
-- calls: one id is enough, and one without an id is given the benefit of the doubt.
local function take_answers(open, message)
  local belongs = false
  for _, id in ipairs(answered(message) or {}) do
    if id == false then
      belongs = belongs or next(open) ~= nil
    elseif open[id] then
      belongs, open[id] = true, nil
    end
  end
  return belongs
end

---@class perilune.Group
---@field kind "system"|"user"|"assistant"|"tools"|"orphan"
---@field first integer
---@field last integer
---@field calls? table<string, string>  of "tools": id -> name

-- The end of the group that begins with the calls at i.
local function end_of_calls(messages, i, open)
  local last = i
  while next(open) and messages[last + 1] do
    if not take_answers(open, messages[last + 1]) then break end
    last = last + 1
  end
  return last
end

--- Cuts a conversation into groups, in order, without a gap.
---@param messages perilune.Message[]
---@return perilune.Group[]
function M.groups(messages)
  local groups, i = {}, 1
  while messages[i] do
    local m, group = messages[i], nil
    local role = m.role
    local calls, count = M.calls(m)
    if count > 0 then
      local open = {}
      for id, name in pairs(calls) do open[id] = name end
      group = { kind = "tools", first = i, last = end_of_calls(messages, i, open), calls = calls }
    elseif role == "system" or role == "developer" then
      group = { kind = "system", first = i, last = i }
    elseif M.is_result(m) then
      group = { kind = "orphan", first = i, last = i }
    else
      group = { kind = role == "assistant" and "assistant" or "user", first = i, last = i }
    end
    groups[#groups + 1] = group
    i = group.last + 1
  end
  return groups
end

-- -- the text of results -----------------------------------------------------------

local function text_bytes(content)
  if type(content) == "string" then return #content end
  local total = 0
  for _, part in ipairs(list_of(content)) do
    if is_object(part) and type(part.text) == "string" then total = total + #part.text end
  end
  return total
end

-- The content with one text instead of all; parts that are no text stay.
local function with_text(content, text)
  if type(content) == "string" then return text end
  local out = {}
  for _, part in ipairs(list_of(content)) do
    local is_text = is_object(part) and type(part.text) == "string"
    if not is_text then
      out[#out + 1] = part
    elseif text then
      out[#out + 1], text = M.part(text), nil
    end
  end
  return out
end

local function result(owner, name)
  return {
    name = name, bytes = text_bytes(owner.content),
    tokens = function(model) return M.content_tokens(owner.content, model) end,
    replace = function(text) owner.content = with_text(owner.content, text) end,
  }
end

---@class perilune.Result
---@field name string      of the tool
---@field bytes integer    of its text
---@field tokens fun(model?: string): integer
---@field replace fun(text: string)  puts another text in its place; images stay

--- The results in a message that stands behind calls.
---@param message perilune.Message
---@param calls table<string, string>  of perilune.Group
---@return perilune.Result[]
function M.results(message, calls)
  if message.role == "function" then return { result(message, message.name or "tool") } end
  if message.role == "tool" then
    return { result(message, calls[message.tool_call_id or ""] or "tool") }
  end
  local out = {}
  for _, part in ipairs(list_of(message.content)) do
    if is_object(part) and part.type == "tool_result" then
      out[#out + 1] = result(part, calls[part.tool_use_id or ""] or "tool")
    end
  end
  return out
end

-- -- orphans -------------------------------------------------------------------

--- A message whose JSON is always the same bytes.
---@param role string
---@param content string
---@return perilune.Message
function M.message(role, content)
  return (core.json_view(('{"role":%s,"content":%s}'):format(core.json_encode(role), core.json_encode(content))))
end

--- A part of a message's content, with text.
---@param text string
---@return perilune.Object
function M.part(text)
  return (core.json_view(('{"type":"text","text":%s}'):format(core.json_encode(text))))
end

local function orphan_title(name, id)
  return ("[Result of a tool call that is no longer part of this conversation%s%s]"):format(
    type(name) == "string" and name ~= "" and ": " .. name or "", type(id) == "string" and id ~= "" and ", " .. id or "")
end

-- The parts of a result that are no text (images) stay parts.
local function as_parts(title, content)
  if type(content) == "string" then return { M.part(title .. "\n" .. content) } end
  local out = { M.part(title) }
  for _, part in ipairs(list_of(content)) do out[#out + 1] = part end
  return out
end

local function as_text(message)
  local title = orphan_title(message.name, message.tool_call_id)
  local content = message.content
  if type(content) == "string" then return M.message("user", title .. "\n" .. content) end
  if type(content) ~= "table" then return M.message("user", title) end
  local out = M.message("user", "")
  out.content = as_parts(title, content)
  return out
end

-- A user's message with tool_result parts: those that nobody called become text.
local function without_orphan_parts(message, known)
  local out, changed = {}, false
  for _, part in ipairs(message.content) do
    if is_object(part) and part.type == "tool_result" and not (part.tool_use_id and known[part.tool_use_id]) then
      changed = true
      for _, p in ipairs(as_parts(orphan_title(nil, part.tool_use_id), part.content)) do out[#out + 1] = p end
    else
      out[#out + 1] = part
    end
  end
  if changed then message.content = out end
  return changed
end

local function has_results(messages)
  for _, m in ipairs(messages) do
    if answered(m) then return true end
  end
  return false
end

-- Copies the results behind a group of calls; orphans among them wait until it ends.
local function copy_results(messages, at, open, out)
  local waiting, i = {}, at
  while next(open) and messages[i] and answered(messages[i]) do
    local m, known = messages[i], {}
    for id in pairs(open) do known[id] = true end
    if take_answers(open, m) then
      out[#out + 1] = m
      if m.role == "user" and without_orphan_parts(m, known) then waiting.parts = true end
    elseif m.role == "user" then
      break
    else
      waiting[#waiting + 1] = as_text(m)
    end
    i = i + 1
  end
  for _, m in ipairs(waiting) do out[#out + 1] = m end
  return i, #waiting + (waiting.parts and 1 or 0)
end

--- Makes text of results whose call is not there, and puts those that stand between a
--- call and its other results behind them.
---@param messages perilune.Message[]
---@return perilune.Message[] messages  the same table when there are none
---@return integer orphans
function M.repair(messages)
  if not has_results(messages) then return messages, 0 end
  local out, orphans, i = {}, 0, 1
  while messages[i] do
    local m = messages[i]
    local open, count = M.calls(m)
    i = i + 1
    if count > 0 then
      out[#out + 1] = m
      local n
      i, n = copy_results(messages, i, open, out)
      orphans = orphans + n
    elseif M.is_result(m) then
      out[#out + 1] = as_text(m)
      orphans = orphans + 1
    else
      if answered(m) and without_orphan_parts(m, {}) then orphans = orphans + 1 end
      out[#out + 1] = m
    end
  end
  return orphans > 0 and out or messages, orphans
end

-- -- sizes ---------------------------------------------------------------------

-- A part that is no text: an image in a low resolution, a second of sound.  It weighs
-- something, so that it is not dropped for free; req:tokens() knows better.
local OTHER_PART = 300

--- About how many tokens a message's content is.
---@param content any
---@param model? string
---@return integer
function M.content_tokens(content, model)
  if type(content) == "string" then return core.tokens(content, model) end
  local total = 0
  for _, part in ipairs(list_of(content)) do
    if is_object(part) then
      if type(part.text) == "string" then
        total = total + core.tokens(part.text, model)
      elseif part.type == "tool_result" then
        total = total + M.content_tokens(part.content, model)
      elseif part.type == "tool_use" then
        total = total + core.tokens(core.json_encode(part.input), model)
      else
        total = total + OTHER_PART
      end
    end
  end
  return total
end

--- About how many tokens a message is.
---@param message perilune.Message
---@param model? string
---@return integer
function M.tokens(message, model)
  local total = 4 + M.content_tokens(message.content, model)
  for _, call in ipairs(list_of(message.tool_calls)) do
    if is_object(call) then total = total + core.tokens(core.json_encode(call), model) end
  end
  if is_object(message.function_call) then total = total + core.tokens(core.json_encode(message.function_call), model) end
  return total
end

return M

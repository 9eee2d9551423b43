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

--- May a value be indexed?  null may not, nor what stands where an object should.
---@param v any
---@return boolean
function M.is_object(v)
  local kind = type(v)
  return kind == "table" or (kind == "userdata" and v ~= core.null)
end
local is_object = M.is_object

local function list_of(v)
  return type(v) == "table" and v or {}
end

--- The messages of a request, or nil when it has none: on a path of the operator's own
--- they may be anything, and only a list of objects with a role is a conversation.
---@param req perilune.Request
---@return perilune.Message[]?
function M.messages(req)
  local messages = req.messages
  if type(messages) ~= "table" or #messages == 0 then return nil end
  for _, message in ipairs(messages) do
    if not is_object(message) or type(message.role) ~= "string" then return nil end
  end
  return messages
end

-- -- calls and results ---------------------------------------------------------

-- Nobody writes into it.
local none = {}

local function add_call(calls, call)
  if type(call.id) == "string" then calls[call.id] = call end
end

--- The name of the tool that a call is for: one of tool_calls, a function_call, a tool_use.
---@param call perilune.Object?
---@return string
function M.tool_name(call)
  if not call then return "tool" end
  local fn = call["function"] or call.custom
  local name = is_object(fn) and fn.name or call.name
  return type(name) == "string" and name or "tool"
end

-- id -> call; nil when the message, which is an assistant's, makes none: most do not.
local function calls_of(message)
  local list, old, content = message.tool_calls, message.function_call, message.content
  if list == nil and old == nil and type(content) ~= "table" then return nil end
  local calls = {}
  for _, call in ipairs(list_of(list)) do
    if is_object(call) then add_call(calls, call) end
  end
  if is_object(old) and type(old.name) == "string" then calls["function:" .. old.name] = old end
  for _, part in ipairs(list_of(content)) do
    if is_object(part) and part.type == "tool_use" then add_call(calls, part) end
  end
  return next(calls) and calls or nil
end

--- The calls that a message makes: id -> name of the tool, and how many.  A
--- function_call has the id "function:NAME".
---@param message perilune.Message
---@return table<string, string> calls
---@return integer count
function M.calls(message)
  local names, count = {}, 0
  for id, call in pairs(message.role == "assistant" and calls_of(message) or none) do
    names[id], count = M.tool_name(call), count + 1
  end
  return names, count
end

--- The calls themselves, by id.
---@param message perilune.Message
---@return table<string, perilune.Object>
function M.calls_by_id(message)
  return message.role == "assistant" and calls_of(message) or none
end

--- What a call asks its tool: decoded, where it is JSON.
---@param call perilune.Object
---@return any
function M.arguments(call)
  local fn = call["function"] or call.custom
  if not is_object(fn) then fn = call end
  local value = fn.arguments or fn.input
  if type(value) == "string" then return core.json_decode(value) or value end
  return value and core.json_decode(core.json_encode(value))
end

--- Is the message nothing but a result: role "tool" or "function"?
---@param message perilune.Message
---@return boolean
function M.is_result(message)
  local role = message.role
  return role == "tool" or role == "function"
end

-- The ids that a message answers (false: it does not say), or nil when it holds no results.
local function answered(message, role)
  if role == "tool" then return { message.tool_call_id or false } end
  if role == "function" then return { "function:" .. tostring(message.name) } end
  local content = role == "user" and message.content
  local ids
  for _, part in ipairs(list_of(content)) do
    if is_object(part) and part.type == "tool_result" then
      ids = ids or {}
      ids[#ids + 1] = part.tool_use_id or false
    end
  end
  return ids
end

-- Takes from `open` the ids that a message answers.  How many it answers, and how many
-- results in it answer nothing; one without an id is given the benefit of the doubt.
local function take_answers(open, ids)
  local taken, strays = 0, 0
  for _, id in ipairs(ids) do
    if id == false and next(open) ~= nil then
      taken = taken + 1
    elseif id and open[id] then
      taken, open[id] = taken + 1, nil
    else
      strays = strays + 1
    end
  end
  return taken, strays
end

---@class perilune.Group
---@field kind "system"|"user"|"assistant"|"tools"|"orphan"
---@field first integer
---@field last integer
---@field calls? table<string, perilune.Object>  of "tools": id -> call

-- The last message of the group that begins with the calls at i, and results in it that
-- answer nothing.
local function end_of_calls(messages, i, calls)
  local open, last, strays = {}, i, 0
  for id in pairs(calls) do open[id] = true end
  while next(open) and messages[last + 1] do
    local m = messages[last + 1]
    local ids = answered(m, m.role)
    local taken, lost = 0, 0
    if ids then taken, lost = take_answers(open, ids) end
    if taken == 0 then break end
    last, strays = last + 1, strays + lost
  end
  return last, strays
end

--- Cuts a conversation into groups, in order, without a gap.
---@param messages perilune.Message[]
---@return perilune.Group[]
---@return integer orphans  results without a call: repair() helps
function M.groups(messages)
  local groups, orphans, i, n = {}, 0, 1, #messages
  while i <= n do
    local m = messages[i]
    local role = m.role
    local group = { kind = "user", first = i, last = i }
    if role == "assistant" then
      local calls, strays = calls_of(m), 0
      group.kind, group.calls = calls and "tools" or "assistant", calls
      if calls then group.last, strays = end_of_calls(messages, i, calls) end
      orphans = orphans + strays
    elseif role == "system" or role == "developer" then
      group.kind = "system"
    elseif role == "tool" or role == "function" then
      group.kind, orphans = "orphan", orphans + 1
    elseif answered(m, role) then
      orphans = orphans + 1
    end
    groups[#groups + 1] = group
    i = group.last + 1
  end
  return groups, orphans
end

-- -- texts ---------------------------------------------------------------------

---@class perilune.Text
---@field text string
---@field replace fun(text: string)  puts another in its place

--- The texts of a message: its content, or the parts of it that are text.  Results of
--- tools that stand in parts are not among them.
---@param message perilune.Message
---@return perilune.Text[]
function M.texts(message)
  local content, out = message.content, {}
  if type(content) == "string" then
    out[1] = { text = content, replace = function(text) message.content = text end }
    return out
  end
  for _, part in ipairs(list_of(content)) do
    if is_object(part) and part.type == "text" and type(part.text) == "string" then
      out[#out + 1] = { text = part.text, replace = function(text) part.text = text end }
    end
  end
  return out
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

-- All of it, when there is one text only.
local function one_text(content)
  if type(content) == "string" then return content end
  local text
  for _, part in ipairs(list_of(content)) do
    if is_object(part) and type(part.text) == "string" then
      if text then return nil end
      text = part.text
    end
  end
  return text
end

local function result(owner, name, id)
  local original
  return {
    name = name, id = id, bytes = text_bytes(owner.content),
    text = function() return one_text(owner.content) end,
    replace = function(text)
      original = original or owner.content
      owner.content = with_text(owner.content, text)
    end,
    restore = function() owner.content = original or owner.content end,
  }
end

---@class perilune.Result
---@field name string      of the tool
---@field id? string        of the call
---@field text fun(): string?  when it is one text
---@field bytes integer    of its text
---@field replace fun(text: string)  puts another text in its place; images stay
---@field restore fun()     takes that back

--- The results in a message that stands behind calls.
---@param message perilune.Message
---@param calls table<string, perilune.Object>  of perilune.Group
---@return perilune.Result[]
function M.results(message, calls)
  if message.role == "function" then
    local name = message.name or "tool"
    return { result(message, name, "function:" .. tostring(name)) }
  end
  if message.role == "tool" then
    return { result(message, M.tool_name(calls[message.tool_call_id or ""]), message.tool_call_id) }
  end
  local out = {}
  for _, part in ipairs(list_of(message.content)) do
    if is_object(part) and part.type == "tool_result" then
      out[#out + 1] = result(part, M.tool_name(calls[part.tool_use_id or ""]), part.tool_use_id)
    end
  end
  return out
end

--- The results of all calls but the newest, oldest first; each with `index`, the number of
--- its message.
---@param messages perilune.Message[]
---@return perilune.Result[]
---@return integer newest  the message with the newest calls; 0: there are none
function M.old_results(messages)
  local groups, results, newest = M.groups(messages), {}, 0
  for _, g in ipairs(groups) do
    if g.kind == "tools" then newest = g.first end
  end
  for _, g in ipairs(groups) do
    for i = g.first + 1, g.kind == "tools" and g.first ~= newest and g.last or 0 do
      for _, r in ipairs(M.results(messages[i], g.calls)) do
        r.index = i
        results[#results + 1] = r
      end
    end
  end
  return results, newest
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
  for _, part in ipairs(list_of(content)) do
    if is_object(part) and part.type == "tool_result" then
      for _, p in ipairs(as_parts(orphan_title(nil, part.tool_use_id), part.content)) do out[#out + 1] = p end
    else
      out[#out + 1] = part
    end
  end
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

-- Copies the results behind calls; orphans among them wait until these are complete.
local function copy_results(messages, at, calls, out)
  local open, waiting, orphans, i = {}, {}, 0, at
  for id in pairs(calls) do open[id] = true end
  while next(open) and messages[i] do
    local m = messages[i]
    local ids, known = answered(m, m.role), {}
    if not ids then break end
    for id in pairs(open) do known[id] = true end
    local taken = take_answers(open, ids)
    if taken > 0 then
      out[#out + 1] = m
      if m.role == "user" and without_orphan_parts(m, known) then orphans = orphans + 1 end
    elseif m.role == "user" then
      break
    else
      waiting[#waiting + 1] = as_text(m)
    end
    i = i + 1
  end
  for _, m in ipairs(waiting) do out[#out + 1] = m end
  return i, orphans + #waiting
end

--- Makes text of results whose call is not there, and puts those that stand between a
--- call and its other results behind them.
---@param messages perilune.Message[]
---@return perilune.Message[] messages  a new list
---@return integer orphans
function M.repair(messages)
  local out, orphans, i = {}, 0, 1
  while messages[i] do
    local m = messages[i]
    local role = m.role
    local calls = role == "assistant" and calls_of(m)
    i = i + 1
    if calls then
      out[#out + 1] = m
      local n
      i, n = copy_results(messages, i, calls, out)
      orphans = orphans + n
    elseif M.is_result(m) then
      out[#out + 1] = as_text(m)
      orphans = orphans + 1
    else
      if answered(m, role) and without_orphan_parts(m, none) then orphans = orphans + 1 end
      out[#out + 1] = m
    end
  end
  return out, orphans
end

-- -- sizes ---------------------------------------------------------------------

--- About how many bytes of a prompt a message is: quicker to know than its tokens, and
--- good enough to compare messages.
---@param message perilune.Message
---@return integer
function M.bytes(message)
  local total, calls = 16 + text_bytes(message.content), message.tool_calls
  for _, part in ipairs(list_of(message.content)) do
    if is_object(part) and part.type == "tool_result" then total = total + text_bytes(part.content) end
  end
  for _, call in ipairs(list_of(calls)) do
    local fn = is_object(call) and call["function"]
    total = total + 40 + (is_object(fn) and type(fn.arguments) == "string" and #fn.arguments or 0)
  end
  return total
end

--- How many tokens a message is, with what stands around it: req:tokens() is the sum of
--- these and of what is around all of them.  Messages that were counted before are known.
---@param message perilune.Message
---@param model? string
---@return integer
function M.tokens(message, model) return (core.message_tokens(message, model)) end

--- Tokens of the messages from number `first` to number `last`; 0 when there are none.
---@param messages perilune.Message[]
---@param first integer
---@param last integer
---@param model? string
---@return integer
function M.tokens_between(messages, first, last, model)
  local sum = 0
  for i = first, last do sum = sum + M.tokens(messages[i], model) end
  return sum
end

return M

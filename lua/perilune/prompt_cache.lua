--- prompt_cache: what makes a provider find a prompt's beginning in its cache.
--
--     tools | system | user assistant user assistant ... user
--     ^ the same bytes each time        ^ marks where the provider should look
--
-- Providers cache by prefix and compare it exactly.  Three things here: the same tools in
-- another order become those that were seen first; marks (breakpoints) are put where the
-- provider of the model wants them; and when a conversation comes whose beginning has
-- changed, the message that did it is found.

local chat = require "perilune.chat"
local core = require "perilune.core"
local cost = require "perilune.cost"

local M = {}

-- -- tools ---------------------------------------------------------------------

-- How long an order is kept, in seconds; more than any provider keeps a prompt.
local KEEP = 86400

-- Beyond it nothing is frozen: comparing costs more than it brings.
local TOOLS_LIMIT = 96 * 1024

-- A text that is the same for values that are the same but for the order of keys.
local function canonical(value)
  if type(value) ~= "table" or next(value) == nil then return core.json_encode(value) end -- [] is not {}
  local out = {}
  if value[1] ~= nil then
    for i, v in ipairs(value) do out[i] = canonical(v) end
    return "[" .. table.concat(out, ",") .. "]"
  end
  local keys = {}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys)
  for i, k in ipairs(keys) do out[i] = core.json_encode(k) .. ":" .. canonical(value[k]) end
  return "{" .. table.concat(out, ",") .. "}"
end

local function identity(text)
  local tools = core.json_decode(text)
  local list = {}
  for i, tool in ipairs(tools) do list[i] = canonical(tool) end
  table.sort(list)
  return core.sha256(table.concat(list, "\n"))
end

--- Puts the tools, and the keys in them, in the order in which this tenant sent them
--- first.  They are the same tools before and after.
---@param req perilune.Request
---@return boolean changed
function M.freeze_tools(req)
  local tools = req.tools
  if type(tools) ~= "table" or tools[1] == nil then return false end
  local text = core.json_encode(tools)
  if #text > TOOLS_LIMIT then return false end
  local scope = ("tools:%s:"):format(req.tenant or "")
  local exact = scope .. core.sha256(text)
  local name = core.memo_get(exact)
  if name == "" then return false end -- the first order itself: the usual case
  name = name or scope .. "=" .. identity(text)
  local frozen = core.memo_get(name)
  if not frozen or frozen == text then
    core.memo_set(name, text, KEEP, req.tenant)
    core.memo_set(exact, "", KEEP, req.tenant)
    return false
  end
  core.memo_set(exact, name, KEEP, req.tenant)
  req.tools = core.json_view(frozen)
  return true
end

-- -- marks ---------------------------------------------------------------------

local is_object = chat.is_object

local function blocks_of(message)
  local content, calls = message.content, message.tool_calls
  local n = type(content) == "table" and #content or (content ~= nil and content ~= core.null) and 1 or 0
  return n + (type(calls) == "table" and #calls or 0)
end

-- Can the message carry a mark: has it a text that is not empty?
local function markable(message)
  local content = message.content
  if type(content) == "string" then return content ~= "" end
  for _, part in ipairs(type(content) == "table" and content or {}) do
    if is_object(part) and type(part.text) == "string" and part.text ~= "" then return true end
  end
  return false
end

local function put_mark(message, name, mark)
  local content = message.content
  if type(content) == "string" then
    local part = chat.part(content)
    part[name] = core.json_view(mark)
    message.content = { part }
    return
  end
  for i = #content, 1, -1 do
    local part = content[i]
    if is_object(part) and type(part.text) == "string" and part.text ~= "" then
      part[name] = core.json_view(mark)
      return
    end
  end
end

-- The last of the system messages at the front, 0 without.
local function last_system(messages)
  local n = 0
  while messages[n + 1] and (messages[n + 1].role == "system" or messages[n + 1].role == "developer") do n = n + 1 end
  return n
end
M.last_system = last_system

-- Tokens below which Anthropic's models cache nothing, and say nothing either.
local function least_of(model)
  if model:find("opus%-5") or model:find("fable%-5") or model:find("mythos%-5") then return 512 end
  if model:find("haiku%-4[%-%.]5") or model:find("opus%-4[%-%.][56]") then return 4096 end
  return 1024
end

-- Anthropic looks 20 blocks back from a mark for what it has; so the last message is marked,
-- and then one every `every` blocks, four marks in all with that of the system.
local function mark_anthropic(req, messages, options)
  local mark = options.ttl == "1h" and '{"type":"ephemeral","ttl":"1h"}' or '{"type":"ephemeral"}'
  local front, marks = last_system(messages), 0
  if front > 0 and markable(messages[front]) then
    put_mark(messages[front], "cache_control", mark)
    marks = 1
  elseif type(req.tools) == "table" and is_object(req.tools[#req.tools]) then
    req.tools[#req.tools].cache_control = core.json_view(mark)
    marks = 1
  end
  local since = math.huge
  for i = #messages, front + 1, -1 do
    if marks == 4 then break end
    if since >= options.every and markable(messages[i]) then
      put_mark(messages[i], "cache_control", '{"type":"ephemeral"}') -- after those that last an hour
      marks, since = marks + 1, 0
    end
    since = since + blocks_of(messages[i])
  end
  return marks
end

-- gpt-5.6 and later cache at marks only and put one at the latest message by themselves.
-- The next request finds it when it is marked there: where the last request ended.
local function mark_openai(messages)
  local mark, front, marks = '{"mode":"explicit"}', last_system(messages), 0
  local function put(i)
    if i > 0 and messages[i].role ~= "assistant" and markable(messages[i]) then
      put_mark(messages[i], "prompt_cache_breakpoint", mark)
      marks = marks + 1
    end
  end
  put(front)
  local last = #messages
  while last > front and messages[last].role ~= "assistant" do last = last - 1 end
  while last > front and messages[last].role == "assistant" do last = last - 1 end
  if last > front then put(last) end
  return marks
end

local function at_openai(profile)
  local host = (profile.url or ""):match("^%a+://([^/:]+)") or ""
  return host:find("openai%.com$") ~= nil or host:find("openai%.azure%.com$") ~= nil
end

--- Which marks the upstream of a request understands: "anthropic", "openai" or "none".
---@param profile perilune.PriceProfile
---@return string
function M.marks_for(profile)
  if profile.provider == "anthropic" then return "anthropic" end
  -- Others that are called like it may refuse a field that they do not know.
  return profile.breakpoints and at_openai(profile) and "openai" or "none"
end

--- Does the upstream take prompt_cache_key?
---@param profile perilune.PriceProfile
---@return boolean
function M.takes_key(profile)
  return at_openai(profile) or profile.provider == "mistral"
end

--- Puts marks into a request that has none of its own.
---@param req perilune.Request
---@param kind string  "anthropic", "openai" or "none"
---@param options { every: integer, ttl: string }
---@return integer marks
function M.mark(req, kind, options)
  if kind == "none" then return 0 end
  local body = req:body()
  if body:find('"cache_control"', 1, true) or body:find('"prompt_cache_breakpoint"', 1, true) then return 0 end
  local profile = cost.profile(req)
  if req:tokens() < (kind == "anthropic" and least_of(profile.model) or profile.least) then return 0 end
  if kind == "anthropic" then return mark_anthropic(req, req.messages, options) end
  return mark_openai(req.messages)
end

-- -- what broke a prefix -------------------------------------------------------

-- Hex digits of a hash that are kept for each message.
local SHORT = 8

local function short(list, from)
  local out = {}
  for i = from, #list do out[#out + 1] = list[i]:sub(1, SHORT) end
  return table.concat(out)
end

local function nth(packed, n) return packed:sub(n * SHORT + 1, (n + 1) * SHORT) end

-- The messages of two versions, numbers from 1: the first that differs, and what happened.
-- Not the same conversation when nothing behind it is the same.
local function compare(old, new)
  local n, m = #old / SHORT, #new / SHORT
  local i = 0
  while i < n and i < m and nth(old, i) == nth(new, i) do i = i + 1 end
  if i >= n - 1 or i >= m then return nil end -- only the newest changed, or it was cut short
  if nth(old, i + 1) == nth(new, i + 1) then return i + 1, "changed" end
  for k = i + 1, n - 1 do
    if nth(old, k) == nth(new, i) then return i + 1, "removed" end
  end
  for k = i + 1, m - 1 do
    if nth(new, k) == nth(old, i) then return i + 1, "inserted" end
  end
  return nil
end

---@class perilune.Break
---@field message integer  its number; 0: what stands in front of the messages
---@field what string      "changed", "removed", "inserted"
---@field role? string

--- Compares the request with the last one of its conversation (same tenant, same first
--- words of the user) and remembers it.
---@param req perilune.Request
---@param ttl number  seconds
---@return perilune.Break? broken  nil when the prefix held, or nothing is known
---@return boolean known  was there a request before, whose prefix holds?
function M.watch(req, ttl)
  local hashes, alone = req:prefixes(true)
  local first
  for i, m in ipairs(req.messages) do
    if m.role == "user" then first = i break end
  end
  if not first then return nil, false end
  local key = ("prefix:%s:%s"):format(core.sha256(req.tenant or ""):sub(1, 16), alone[first])
  local front, packed = hashes[0]:sub(1, SHORT), short(alone, 1)
  local before = core.memo_get(key)
  core.memo_set(key, front .. packed, ttl, req.tenant)
  if not before then return nil, false end
  local old_front, old = before:sub(1, SHORT), before:sub(SHORT + 1)
  local i, what = compare(old, packed)
  if i then return { message = i, what = what, role = req.messages[i] and req.messages[i].role }, false end
  local holds = packed:sub(1, #old - SHORT) == old:sub(1, -SHORT - 1)
  if holds and front ~= old_front then return { message = 0, what = "changed" }, false end
  return nil, holds
end

return M

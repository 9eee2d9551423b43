--- conversations: random ones, with tools, for the specs of policies that shorten them.
--
-- The same seed gives the same conversation.  Every message has a text that is nowhere
-- else, so that a test can say which ones are left and in which order.

local M = {}

--- A generator of numbers from 1 to n.
---@param seed integer
---@return fun(n: integer): integer
function M.random(seed)
  local state = seed * 2654435761 % 2 ^ 32
  return function(n)
    state = (state * 1664525 + 1013904223) % 2 ^ 32
    return math.floor(state / 2 ^ 32 * n) + 1
  end
end

local words = { "alpha", "beta", "gamma", "delta", "不要", "七公里", "42 km", "`code`", "https://a.example/x", "\"quoted\"" }

local function text(random, serial, most)
  local out = { ("#%d"):format(serial) }
  for i = 1, random(most) do out[i + 1] = words[random(#words)] end
  return table.concat(out, " ")
end

--- A conversation that a provider accepts.
---@param seed integer
---@param options? { turns?: integer, words?: integer, parts?: boolean }
---@return table[] messages
function M.valid(seed, options)
  options = options or {}
  local random, serial, id = M.random(seed), 0, 0
  local messages = {}
  local function add(message)
    messages[#messages + 1] = message
    return message
  end
  local function say()
    serial = serial + 1
    return text(random, serial, options.words or 40)
  end
  local function call_tools()
    local calls = {}
    for c = 1, random(3) do
      id = id + 1
      calls[c] = { id = "call_" .. id, type = "function",
                   ["function"] = { name = "tool" .. random(3), arguments = '{"q":"' .. id .. '"}' } }
    end
    add{ role = "assistant", content = random(2) == 1 and say() or nil, tool_calls = calls }
    for c = #calls, 1, -1 do
      local swap = random(c)
      calls[c], calls[swap] = calls[swap], calls[c]
    end
    for _, call in ipairs(calls) do
      local content = say() .. (" result"):rep(random(options.words or 40))
      if options.parts and random(4) == 1 then
        content = { { type = "text", text = content }, { type = "image_url", image_url = { url = "data:image/png;base64,AAAA" .. id } } }
      end
      add{ role = "tool", tool_call_id = call.id, content = content }
    end
  end

  if random(3) > 1 then add{ role = random(2) == 1 and "system" or "developer", content = say() } end
  if random(6) == 1 then add{ role = "assistant", content = say() } end
  local turns = random(options.turns or 12)
  for turn = 1, turns do
    for _ = 1, random(5) == 1 and 2 or 1 do add{ role = "user", content = say() } end
    for _ = 1, random(4) - 1 do call_tools() end
    if turn < turns or random(3) == 1 then add{ role = "assistant", content = say() } end
    if random(10) == 1 then add{ role = "system", content = say() } end
  end
  return messages
end

--- What a provider would complain about, or nil.
---@param messages table[]
---@return string?
function M.complaint(messages)
  local open, count = {}, 0
  for i, m in ipairs(messages) do
    if m.role == "tool" then
      if not open[m.tool_call_id] then return ("message %d: result without a call"):format(i) end
      open[m.tool_call_id], count = nil, count - 1
    elseif count > 0 then
      return ("message %d: a call in front of it has no result"):format(i)
    end
    for _, call in ipairs(m.tool_calls or {}) do open[call.id], count = true, count + 1 end
  end
  return count > 0 and "the last call has no result" or nil
end

--- The number in a message's text; nil when it has none.
---@param message table
---@return integer?
function M.serial(message)
  local content = message.content
  if type(content) == "table" then content = content[1] and content[1].text end
  return type(content) == "string" and tonumber(content:match("#(%d+)")) or nil
end

--- A copy, for what a test changes.
---@generic T
---@param value T
---@return T
function M.copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = M.copy(v) end
  return out
end

return M

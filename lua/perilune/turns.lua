--- turns: what of a conversation may go, and in which order.
--
--     system | user tools tools answer | user answer | user tools tools
--              ^^^^ first turn ^^^^^^^    turn          last turn
--
-- Units go from the oldest on: of a turn first each group of tool calls, then what was
-- said in it.  Never: system messages, what the user said in the last turn, and its
-- newest group; in the first turn only tools, when keep_first is asked for.  A unit is
-- made of whole groups (perilune.chat), so no pair is ever torn.

local chat = require "perilune.chat"

local M = {}

--- Turns: each with its groups of tool calls, the rest, and the newest of all.
--- Messages in front of the first user's are turns.greeting.
---@param groups perilune.Group[]
---@return perilune.Turn[]
function M.of(groups)
  local turns, turn, before = {}, { tools = {}, said = {} }, nil
  for _, g in ipairs(groups) do
    if g.kind == "user" and before ~= "user" then
      turn = { tools = {}, said = {} }
      turns[#turns + 1] = turn
    end
    if g.kind ~= "system" then
      table.insert(g.kind == "tools" and turn.tools or turn.said, g)
      if #turns == 0 then turns.greeting = turn end
      turn.newest, before = g, g.kind
    end
  end
  return turns
end

--- What may go, oldest first; turn: with this unit a whole turn is gone.
---@param turns perilune.Turn[]
---@param messages perilune.Message[]
---@param keep_first boolean
---@param model? string
---@return { groups: perilune.Group[], tokens: integer, turn: boolean? }[]
function M.units(turns, messages, keep_first, model)
  local units = {}
  local function add(groups, turn)
    local tokens = 0
    for _, g in ipairs(groups) do
      for i = g.first, g.last do tokens = tokens + chat.tokens(messages[i], model) end
    end
    if #groups > 0 then units[#units + 1] = { groups = groups, tokens = tokens, turn = turn } end
  end
  if turns.greeting then
    for _, g in ipairs(turns.greeting.tools) do
      if #turns > 0 or g ~= turns.greeting.newest then add{ g } end
    end
    if #turns > 0 then add(turns.greeting.said) end
  end
  for t, turn in ipairs(turns) do
    for _, g in ipairs(turn.tools) do
      if t < #turns or g ~= turn.newest then add{ g } end
    end
    if t < #turns and not (t == 1 and keep_first) then add(turn.said, true) end
  end
  return units
end

--- An amount that is needed, rounded up to steps.
---@param amount number
---@param step number  0: exactly
---@return number
function M.in_steps(amount, step)
  if amount <= 0 then return 0 end
  return step > 0 and math.ceil(amount / step) * step or amount
end

--- How many of the units go so that so many tokens and turns go; or all of them.
---@param units table[]
---@param tokens number
---@param turns integer
---@return integer n
---@return integer freed  tokens
function M.cut(units, tokens, turns)
  local n, freed, gone = 0, 0, 0
  while units[n + 1] and (freed < tokens or gone < turns) do
    n = n + 1
    freed, gone = freed + units[n].tokens, gone + (units[n].turn and 1 or 0)
  end
  return n, freed
end

--- The messages without the first n units.
---@param messages perilune.Message[]
---@param units table[]
---@param n integer
---@return perilune.Message[]
---@return integer gone
---@return integer? first  where the first that is gone stood
function M.without(messages, units, n)
  local gone, out, first = {}, {}, nil
  for u = 1, n do
    for _, g in ipairs(units[u].groups) do
      for i = g.first, g.last do gone[i] = true end
    end
  end
  for i, m in ipairs(messages) do
    if not gone[i] then out[#out + 1] = m else first = first or i end
  end
  return out, #messages - #out, first
end

return M

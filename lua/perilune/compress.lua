--- compress: extraction with a memory.

local core = require "perilune.core"
local text = require "perilune.text"

local M = {}

-- Seconds; what is longer than a value of the memory may be is made anew.
local REMEMBER = 3600

--- perilune.text.extract, remembered for an hour: an agent sends the same text again with
--- every call.  A text that the question cannot be looked for in is left as it is.
---@param s string
---@param question string
---@param options { ratio: number, floor: number, min_tokens: number }
---@param tenant? string  whose share of the memory it takes
---@return string? left
---@return string? why  there is none
---@return boolean? late  for lack of time
function M.remembered(s, question, options, tenant)
  local key = ("context:%g:%g:%g:"):format(options.ratio, options.floor, options.min_tokens)
    .. core.sha256(("%d:%s%s"):format(#question, question, s))
  local known = core.memo_get(key)
  if known then return known ~= "" and known or s end
  local left, info, late = text.extract(s, question, { ratio = options.ratio, floor = options.floor, min_tokens = options.min_tokens })
  if not left then return nil, info, late end
  if info.blind then left = s end
  core.memo_set(key, left == s and "" or left, REMEMBER, tenant)
  return left
end

return M

--- phrases: is one of these in a text?

local M = {}

--- Is any of them in the text, as it is written?
---@param text string
---@param phrases string[]
---@return boolean
function M.any(text, phrases)
  for _, phrase in ipairs(phrases) do
    if text:find(phrase, 1, true) then return true end
  end
  return false
end

return M

--- trim: politeness and filler out of a prompt.
--
--     local trimmer = trim.new{ languages = { "en", "zh" }, rules = { lead = { "would you mind" } } }
--     trimmer:text("Would you mind counting the words? Thanks a lot!")    --> "counting the words?"
--
-- The phrases are data (perilune.trim_rules); the work is done in C (core/text/trim.c),
-- which also says what is never touched.

local core = require "perilune.core"
local shipped = require "perilune.trim_rules"

local M = {}

--- Languages that there are rules for.
M.languages = {}
for language in pairs(shipped) do table.insert(M.languages, language) end
table.sort(M.languages)

--- Where a phrase may go, see perilune.trim_rules.
M.places = { "start", "lead", "tail", "whole", "content", "mention", "task", "below", "greeting", "order" }

---@class perilune.Trimmer
---@field patterns integer  how many it knows
---@field repeated boolean
---@field name string       of what it does: the same rules have the same
local Trimmer = {}
Trimmer.__index = Trimmer

---@class perilune.Cut
---@field first integer
---@field last integer
---@field text string
---@field reason "phrase"|"sentence"|"repeated"|"empty section"

--- The text without what the rules take away; nil and why when it is no text.
---@param text string
---@param cuts? boolean  also what went
---@return string? text
---@return perilune.Cut[]|string|nil cuts
---@return boolean? late  there is none for lack of time
function Trimmer:text(text, cuts)
  return core.trim(self.rules, text, self.repeated, cuts)
end

--- The same, remembered for an hour.
---@param text string
---@param tenant? string  whose share of the memory it takes
---@return string? text
---@return string? why    there is none
---@return boolean? late  for lack of time
function Trimmer:remembered(text, tenant)
  local key = self.name .. core.sha256(text)
  local known = core.memo_get(key)
  if known then return known == "" and text or known end
  local left, why, late = core.trim(self.rules, text, self.repeated)
  if left then core.memo_set(key, left == text and "" or left, 3600, tenant) end
  return left, why, late
end

--- Compiles rules; throws when a pattern is none.
---@param options? { languages?: string[], rules?: table<string, string[]>, repeated?: boolean }
---       languages: default all; rules: more patterns, by place; repeated: lines that stood
---       there before go, too, default true
---@return perilune.Trimmer
function M.new(options)
  options = options or {}
  local all = {}
  for _, place in ipairs(M.places) do all[place] = {} end
  local function add(rules)
    for place, patterns in pairs(rules) do
      if not all[place] then error(("there is no place '%s'; known: %s"):format(tostring(place), table.concat(M.places, ", ")), 0) end
      for _, pattern in ipairs(patterns) do table.insert(all[place], pattern) end
    end
  end
  for _, language in ipairs(options.languages or M.languages) do add(shipped[language]) end
  add(options.rules or {})
  local ok, rules, patterns = pcall(core.trim_rules, all)
  if not ok then error((tostring(rules):gsub("^[^' ]*:%d+: ", "")), 0) end -- whose line is this one
  local repeated = options.repeated ~= false
  local described = { tostring(repeated) }
  for _, place in ipairs(M.places) do described[#described + 1] = place .. "\n" .. table.concat(all[place], "\n") end
  local name = "trim:" .. core.sha256(table.concat(described, "\n")) .. ":"
  return setmetatable({ rules = rules, patterns = patterns, repeated = repeated, name = name }, Trimmer)
end

return M

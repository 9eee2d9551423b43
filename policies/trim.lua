--- trim: politeness, filler and repeated lines are taken out of prompts.
--
--     { "trim", rules = { lead = { "would it be ok to" } } }
--
-- "Hello! Could you please summarize this? Thanks!" becomes "summarize this?".  What goes
-- is a list of phrases, English and Chinese, which `rules` adds to (perilune.trim_rules says
-- how), and only where a sentence or clause begins or ends.  Never touched: numbers,
-- negations, quotes, code, URLs, tables, headings; what stands behind "the following text:"
-- and the like, or is to be translated; a text that would become empty; images.
--
-- A message is trimmed by what it says and nothing else.  So it is trimmed each time in the
-- same way, a conversation's prefix stays what the provider has in its cache, and trimming
-- costs nothing there.  That holds until the rules change.
--
---@class TrimOptions
---@field roles? string[]      default { "user" }; "system" and "developer" are for the operator to ask for
---@field languages? string[]  default all that there are rules for
---@field rules? table<string, string[]>  more patterns, by place
---@field repeated? boolean    also lines that stood there before; default true
---@field max_bytes? integer   a longer text is material, not a prompt, and left alone; default 64 KiB

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"
local trim = require "perilune.trim"

local patterns = { type = "list", of = { type = "string", min = 1 } }

local spec = {
  roles = { type = "set", default = { user = true }, min = 1,
            of = { type = "string", one_of = { "user", "system", "developer", "assistant", "tool" } } },
  languages = { type = "list", default = trim.languages, min = 1, of = { type = "string", one_of = trim.languages } },
  rules = { type = "map", of = patterns, default = {} },
  repeated = { type = "boolean", default = true },
  max_bytes = { type = "size", default = 65536, max = 1048576 },
}

-- Texts of this size are remembered, so that a long conversation is not trimmed over and over.
local REMEMBERED = 1024

local function shorter(trimmer, options, text, tenant, attempt)
  if #text > options.max_bytes or not text:find("%S") then return text end
  local left, why, late
  if #text < REMEMBERED then left, why, late = trimmer:text(text)
  else left, why, late = trimmer:remembered(text, tenant) end
  if late then attempt.late(why) end
  return left or text
end

-- Trims the texts of a message; returns whether anything changed.
local function trim_message(trimmer, options, message, tenant, attempt)
  local changed = false
  for _, text in ipairs(chat.texts(message)) do
    local left = shorter(trimmer, options, text.text, tenant, attempt)
    if left ~= text.text then
      attempt.undo(function() text.replace(text.text) end)
      text.replace(left)
      changed = true
    end
  end
  return changed
end

return function(given)
  local options = config.options(spec, given, "trim")
  local trimmer = trim.new{ languages = options.languages, rules = options.rules, repeated = options.repeated }

  local function trim_all(req, attempt)
    local messages = chat.messages(req)
    if not messages then return end
    local ledger = cost.open(req, "trim")
    for i, message in ipairs(messages) do
      if options.roles[message.role] then
        local before = ledger:sent(i, message)
        if trim_message(trimmer, options, message, req.tenant, attempt) then ledger:rewrote(message, before) end
      end
    end
    ledger:close()
  end

  return function(req, next) return cost.shorten(req, next, "trim", trim_all) end
end, { needs = "chat", others = "pass" }

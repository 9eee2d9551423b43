--- rewritten: system prompts in the version that was rewritten shorter, once, and accepted by a person.
--
--     { "rewritten", dir = "prompts" }
--
-- `perilune distill PROMPT.txt --with URL -o prompts/NAME.prompt` writes such a version, `perilune distill PROMPT.txt
-- --accept prompts/NAME.prompt` accepts it.  A message of the roles whose text is, but for white space around it, a prompt that has an
-- accepted version goes out as that; everything else as it came.  The files are read when the configuration is loaded;
-- proposals are left out (a warning says so), a damaged file is an error with its line.
--
---@class RewrittenOptions
---@field dir string        folder of the files, seen from the configuration
---@field roles? string[]   default { "system", "developer" }

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"
local rewritten = require "perilune.rewritten"

local spec = {
  dir = { type = "string", required = true, min = 1, max = 500 },
  roles = { type = "set", min = 1, default = { system = true, developer = true },
            of = { type = "string", one_of = { "system", "developer", "user" } } },
}

return function(given)
  local options = config.options(spec, given, "rewritten")
  local versions = rewritten.load(options.dir)

  -- Puts the version in place of each text that has one; whether there was any.
  local function replace(message)
    local changed = false
    for _, text in ipairs(chat.texts(message)) do
      local version = versions[rewritten.hash(text.text)]
      if version then text.replace(version) end
      changed = changed or version ~= nil
    end
    return changed
  end

  return function(req, next)
    local ledger = cost.open(req, "rewritten")
    for i, message in ipairs(chat.messages(req) or {}) do
      if options.roles[message.role] then
        local before = ledger:sent(i, message)
        if replace(message) then ledger:rewrote(message, before) end
      end
    end
    ledger:close()
    return next(req)
  end
end, { needs = "chat", others = "pass" }

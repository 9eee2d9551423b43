--- shout: an example of a policy that changes the request and the answer.
--
--     { "shout", most = 3 }
--
-- It asks the model to be brief, and writes the first words of the answer in
-- capitals, also while the answer streams.
--
---@class ShoutOptions
---@field most? integer    how many words are shouted, default 3
---@field system? string   what the model is told

local config = require "perilune.config"

-- What options there are.  A wrong name, a wrong type, a number out of range: the
-- gateway says so when it loads, with file and line, and keeps serving what it had.
local spec = {
  most = { type = "integer", default = 3, min = 0 },
  system = { type = "string", default = "Be brief.", min = 1 },
}

-- This runs once, when the configuration is loaded.
return function(given)
  local options = config.options(spec, given, "shout")

  -- This runs for every request.
  ---@param req perilune.Request
  ---@param next perilune.Next
  return function(req, next)
    -- Before `next` is the request's side.  Messages are an ordinary list.
    table.insert(req.messages, 1, { role = "system", content = options.system })

    -- `next` runs the policies behind this one, and finally the call.
    local res, err = next(req)

    -- A failure is a value.  This policy has nothing to add to one.
    if not res then return nil, err end

    -- After it is the response's side.  `map` gets the answer word by word, as
    -- it arrives; what the function returns is sent instead.
    local words = 0
    res:map("word", function(word)
      words = words + 1
      if words > options.most then return word end
      return word:upper()
    end)
    return res
  end
end

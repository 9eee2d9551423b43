--- sure: a small model answers, and a larger one where the small one was not sure.
--
--     { "sure", small = "local", big = "gpt", least = -0.5 }
--
-- How sure a model was of a token is its logprob: 0 is certain, -0.7 one of two, -2.3 one of ten.  Here the mean of
-- all tokens decides.  It is an example of how a policy reads what an answer says besides its text; route_smart has the
-- same as an option (cascade), and takes the logprobs out of the answer of who did not ask for them.
--
---@class SureOptions
---@field small string   upstream that is asked first
---@field big string     upstream that is asked when it was not sure
---@field least? number  mean logprob from which on its answer is taken, default -0.5

local perilune = require "perilune"
local config = require "perilune.config"

local spec = {
  small = { type = "string", required = true },
  big = { type = "string", required = true },
  least = { type = "number", default = -0.5, max = 0 },
}

-- Tokens and the sum of their logprobs that one event says, the whole of an answer or a piece of a stream.
local function said_in(event)
  local sum, n = 0, 0
  local ok, body = pcall(perilune.json.decode, event.data or "")
  local choice = ok and type(body) == "table" and type(body.choices) == "table" and body.choices[1]
  local logprobs = choice and choice.logprobs
  if type(logprobs) ~= "table" or type(logprobs.content) ~= "table" then return 0, 0 end -- nil or json.null: none
  for _, token in ipairs(logprobs.content) do sum, n = sum + token.logprob, n + 1 end
  return sum, n
end

return function(given)
  local options = config.options(spec, given, "sure")

  ---@param req perilune.Request
  ---@param next perilune.Next
  return function(req, next)
    req.upstream, req.logprobs = options.small, true
    local res, err = next(req)
    if res then
      local sum, tokens, broke = 0, 0, false
      for event in res:events() do -- what is read is kept for the client
        local s, n = said_in(event)
        sum, tokens, broke = sum + s, tokens + n, broke or event.type == "error"
      end
      if tokens > 0 and not broke and sum / tokens >= options.least then return res end
    elseif not err.retryable then
      return nil, err -- what the client did wrong is wrong for the other one, too
    end
    req.upstream, req.logprobs = options.big, nil
    return next(req)
  end
end

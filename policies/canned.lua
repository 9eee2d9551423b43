--- canned: an answer when everything else failed.
--
--     { "canned", text = "We are overloaded, please try again in a minute." }
--
-- Stands in front of the policies that may fail.  Errors that are the client's
-- own (a request that is not valid, a key that is wrong) are passed on: a
-- friendly sentence would hide what to repair.  The response header
-- `x-perilune-degraded: canned` tells programs what people can read.
--
---@class CannedOptions
---@field text string       the answer
---@field on? string[]      codes of the errors to answer; default: all failures of the
---                         serving side, too many requests among them
---@field status? integer   default 200

local config = require "perilune.config"
local perilune = require "perilune"

local spec = {
  text = { type = "string", required = true, min = 1 },
  on = { type = "set", of = { type = "string", min = 1 }, min = 1 },
  status = { type = "integer", default = 200, min = 200, max = 599 },
}

local function is_answered(codes, err)
  if codes then return codes[err.code] == true end
  return err.status >= 500 or err.status == 429
end

return function(given)
  local options = config.options(spec, given, "canned")
  return function(req, next)
    local res, err = next(req)
    if res or not is_answered(options.on, err) then return res, err end

    req:log("warn", "answered with the canned text", { code = err.code, upstream = err.upstream })
    local answer = perilune.respond{ text = options.text, status = options.status }
    answer.headers["x-perilune-degraded"] = "canned"
    return answer
  end
end, { needs = "chat" }

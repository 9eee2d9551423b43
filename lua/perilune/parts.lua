--- parts: what policies share that make an answer out of several calls.
--
-- Every call is a request of its own on behalf of the client's (perilune.ask): it is logged under the client's id,
-- counted, paid by the client's limits, and it ends when the client's request does.  What became of each part is
-- counted in perilune_parts_total, what was chosen among several in perilune_chosen_total.

local core = require "perilune.core"
local errors = require "perilune.errors"
local extract = require "perilune.extract"
local host = require "perilune.host"
local model_fields = require "perilune.model_fields"
local perilune = require "perilune"

local M = {}

--- The same question once more, through what is behind the policy: policies there see a request of their own, so that
--- several can be on their way at once.  The upstream is asked for a whole answer; it comes in the form of the client's.
--- A model that does not take the temperature is asked with the client's.
---@async
---@param req perilune.Request
---@param next perilune.Next
---@param options { upstream?: string, temperature?: number, timeout?: number, sample?: integer }
---       sample: which of several answers to the question it is; a cache behind keeps each of them apart
---@return perilune.Response?
---@return perilune.Error?
function M.again(req, next, options)
  local where = options.upstream or req.upstream
  local changed = { model = req.model, temperature = options.temperature }
  return model_fields.ask(where or "", where and host.describe(where), changed, options.timeout, function(fitting, left)
    local child, err = core.new_request(req.method, req.path, { ["content-type"] = "application/json" }, req:body())
    if not child then return nil, err end
    child.stream = false
    if fitting.temperature then child.temperature = fitting.temperature end
    child.upstream = where
    if options.sample then core.of_sample(child, options.sample) end
    return core.result(core.ask(child, function() return next(child) end, left))
  end)
end

--- Counts what became of a part.
---@param policy string
---@param part string
---@param ok boolean
function M.count(policy, part, ok) core.tally("parts", 1, policy, part, ok and "ok" or "failed") end

--- Counts what decided between several.
function M.tally(policy, why) core.tally("chosen", 1, policy, why) end

--- The answer to the client, with the usage of parts besides its own in the sum that it tells.
---@param res perilune.Response
---@param used perilune.Usage[]
---@param headers? table<string, string>
---@return perilune.Response
function M.summed(res, used, headers)
  local answer = res
  if used[1] then
    answer = perilune.compose(function(out)
      for _, usage in ipairs(used) do out:count(usage) end
      return out:pipe(res)
    end)
  end
  for name, value in pairs(headers or {}) do answer.headers[name] = value end
  return answer
end

--- A question of the policy's own: the whole text of the answer, without what was thought.
---@async
---@param policy string
---@param part string    its name among the parts
---@param ask table      of perilune.ask, without stream
---@param used? perilune.Usage[]  what it used is added here
---@return string? text
---@return perilune.Error? err
function M.text(policy, part, ask, used)
  local fields = { stream = false }
  for k, v in pairs(ask) do fields[k] = v end
  local res, err = perilune.ask(fields)
  local text
  if res then
    text, err = res:text()
    if used then used[#used + 1] = res.usage end
  end
  if text then
    text = extract.said(text)
    if text == "" then text, err = nil, errors.new{ code = "upstream_error", status = 502, message = "the answer is empty" } end
  end
  M.count(policy, part, text ~= nil)
  return text, err
end

return M

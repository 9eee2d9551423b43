--- retry: trying again without making things worse.
--
-- Three rules.  Pauses are random (full jitter), because clients that fail
-- together would otherwise come back together.  A Retry-After is a floor under
-- the pause, and a pause that the request's deadline does not leave room for is
-- not begun.  And retries have a budget over all requests: when everything
-- fails, retries are load on what is already broken.

local check = require "perilune.check"
local core = require "perilune.core"

local M = {}

---@class perilune.RetryOptions
---@field tries? integer     attempts in all, default 3
---@field base? number       seconds: upper bound of the first pause, default 0.1; doubles each time
---@field max? number        seconds: no pause is longer (a longer Retry-After ends the tries), default 10
---@field codes? table       set of error codes to retry; default: err.retryable decides
---@field budget? perilune.RetryBudget

---@class perilune.RetryBudget
---@field fraction number    of the requests that may be retries: 0.1 is one retry for ten requests
---@field floor number       retries a second that are always allowed
---@field saved number      what may be saved up; default: the floor of ten seconds, or one
---@field name string       of the account, which all workers share; pools have theirs of the same kind (sched/credit.c)

-- How many seconds of the floor may be saved up.
local SAVED = 10

--- A budget that all requests of this name share, over all workers and reloads.
---@param name string
---@param fraction? number  default 0.1
---@param floor? number     default 3
---@param saved? number     what may be saved up, default floor * 10
---@return perilune.RetryBudget
function M.budget(name, fraction, floor, saved)
  floor = floor or 3
  return { fraction = fraction or 0.1, floor = floor, saved = math.max(saved or floor * SAVED, 1), name = "retry:" .. name }
end

--- Counts one request: every request earns its share of a retry.
---@param budget perilune.RetryBudget
function M.earn(budget) core.credit_earn(budget.name, budget.fraction, budget.floor, budget.saved) end

--- Takes one retry out of the budget.
---@param budget perilune.RetryBudget
---@return boolean  false: the budget is used up
function M.spend(budget) return core.credit_spend(budget.name) end

--- The pause before the next attempt, in seconds.
---@param tries integer  attempts made so far
---@param options perilune.RetryOptions
---@param err perilune.Error
---@param random? number  from 0 to 1, for tests
---@return number
function M.pause(tries, options, err, random)
  local bound = math.min(options.max or 10, (options.base or 0.1) * 2 ^ (tries - 1))
  local jitter = bound * (random or require("perilune").random())
  -- The jitter comes on top of what the upstream asked for: all clients got the
  -- same number.
  return err.retry_after and err.retry_after + jitter or jitter
end

local function wants_retry(options, err)
  if type(err) ~= "table" then return false end
  if options.codes then return options.codes[err.code] == true end
  return err.retryable == true
end

local known_options = { tries = true, base = true, max = true, codes = true, budget = true }

--- Calls fn until it succeeds, fails for good, or time, tries or budget run out.
---@async
---@param req perilune.Request
---@param options perilune.RetryOptions
---@param fn async fun(try: integer): any?, perilune.Error?
---@return any? value
---@return perilune.Error? err  the last one
function M.run(req, options, fn)
  check.known("retry.run", options, known_options)
  local perilune = require "perilune"
  local tries, budget = options.tries or 3, options.budget
  if budget then M.earn(budget) end
  local value, err
  for i = 1, tries do
    value, err = fn(i)
    if value or i == tries or not wants_retry(options, err) then return value, err end

    if err.retry_after and err.retry_after > (options.max or 10) then return nil, err end
    local pause = M.pause(i, options, err)
    if (req:time_left() or math.huge) <= pause then return nil, err end
    if budget and not M.spend(budget) then
      req:log("warn", "retry budget is used up", { code = err.code })
      return nil, err
    end
    req:log("info", "trying again", { try = i + 1, code = err.code, pause = pause, upstream = err.upstream })
    perilune.sleep(pause)
  end
  return value, err
end

return M

--- several: one question asked several times at once, and what came of it.  For the policies vote and best_of.
--
--     next(req) --+--> answer 1 --+
--     next(req) --+--> answer 2 --+--> { index, res, text, calls, key }, ...  --> one of them is chosen
--     next(req) --+--> (failed)   |
--                    time is over-+
--
-- The answers are asked for as wholes: nothing can go to the client before it is chosen, and a whole costs Lua one
-- event where a stream costs a thousand.  The client gets the one that is chosen in the form that it asked for.
--
-- Of an answer of more than 2 MiB nothing is read: it can be chosen, but nothing is known of what it says.
--
-- One that fails is left out; when all do, their last error is the result.  When the time is over, what has come by
-- then is all there is.

local core = require "perilune.core"
local errors = require "perilune.errors"
local final_answer = require "perilune.final_answer"
local parts = require "perilune.parts"
local perilune = require "perilune"

local M = {}

-- Of the request's deadline: what is left behind it is for choosing.
local SHARE = 0.85

local READ_MOST = 2 ^ 21 -- bytes of an answer that is read, as it came; one that has more has no text here
local STRETCH = 2 ^ 18   -- bytes of a text that is long to read

local ENOUGH = { code = "enough" } -- ends those that still run

---@class perilune.Several
---@field index integer     which one of the calls
---@field res perilune.Response
---@field text string
---@field calls? string     its calls of tools, in a form that can be compared
---@field cut boolean       it ended where it had no room left
---@field upstream? string

local function calls_of(tools)
  local list = {}
  for i, call in ipairs(tools or {}) do
    if call.choice == 0 then list[i] = (call.name or "") .. final_answer.canonical_text(call.arguments or "") end
  end
  return list[1] and table.concat(list, "\n") or nil
end

-- Reads an answer to its end: text, calls, whether it was cut.
local function read(res, index)
  core.result(core.wait_end(res))
  local text, tools, cut = core.read_answer(res, READ_MOST)
  if text == nil then return nil, tools end
  if text and #text > STRETCH then perilune.sleep(0) end -- reading it was a long stretch; what comes is another
  return { index = index, res = res, text = text or "", cut = cut or false, upstream = res.upstream,
           calls = text and calls_of(tools) or nil }
end

--- Does the request go past?  One does that wants several answers itself (which of the n would be chosen?), of which
--- `when` says no, or whose answers would all be the same.
---@param req perilune.Request
---@param options { when?: function, upstreams?: string[], temperature?: number }
---@return boolean
function M.passes(req, options)
  if (req.n or 1) ~= 1 or not req.path:find("/chat/completions$") then return true end
  if options.when and not options.when(req) then return true end
  local differ = options.upstreams and #options.upstreams > 1 or (options.temperature or 0) > 0
  return not differ and (req.temperature == 0 or req.top_p == 0)
end

local function seconds_for(req, timeout)
  local left = req:time_left()
  local most = left < 1e8 and left * SHARE or nil
  if timeout and most then return math.min(timeout, most) end
  return timeout or most
end

--- Asks n times at once; returns what came, in the order of the calls, or nil and the last error.
---@async
---@param req perilune.Request
---@param ask async fun(index: integer): perilune.Response?, perilune.Error?
---@param options { policy: string, n: integer, timeout?: number, enough?: fun(list: perilune.Several[], open: integer): boolean }
---       enough: is what has come enough, when so many may still come?
---@return perilune.Several[]? list
---@return perilune.Error? err
---@return integer failed
function M.gather(req, ask, options)
  local n, got, failed, last = options.n, {}, 0, nil
  local function listed()
    local list = {}
    for i = 1, n do list[#list + 1] = got[i] end
    return list
  end
  local function branch(i)
    local res, err = ask(i)
    local answer
    if res then answer, err = read(res, i) end
    parts.count(options.policy, "answer", answer ~= nil)
    if answer then got[i] = answer
    else failed, last = failed + 1, err end
    local list = listed()
    if #list + failed < n and not (options.enough and options.enough(list, n - #list - failed)) then return true end
    return nil, ENOUGH
  end
  local seconds = seconds_for(req, options.timeout)
  local fns = {}
  for i = 1, n do fns[i] = function() return branch(i) end end
  if seconds then
    fns[n + 1] = function()
      perilune.sleep(math.max(0.001, seconds))
      last = last or errors.new{ code = "timeout", status = 504, message = ("no answer came within %g seconds"):format(seconds) }
      return nil, ENOUGH
    end
  end
  perilune.all(fns) -- ends with ENOUGH
  local list = listed()
  if not list[1] then return nil, last, failed end
  return list, last, failed
end

--- The answer that has most in common with the others: which is chosen where nothing else decides.
---@param list perilune.Several[]
---@return perilune.Several
function M.central(list)
  local texts = {}
  for i, answer in ipairs(list) do texts[i] = answer.text:sub(1, 16384):gsub("[\192-\255][\128-\191]*$", "") end
  local scores = #list > 2 and require("perilune.text").rank(texts)
  local best = 1
  for i = 2, scores and #scores or 0 do
    if scores[i] > scores[best] then best = i end
  end
  return list[best]
end

--- How calls are made: through what is behind the policy; to these upstreams, in turn, when it names any.
---@param req perilune.Request
---@param next perilune.Next
---@param options { upstreams?: string[], temperature?: number }
function M.asker(req, next, options)
  local names = options.upstreams
  return function(i)
    return parts.again(req, next, { upstream = names and names[(i - 1) % #names + 1], temperature = options.temperature, sample = i })
  end
end

--- The answer that was chosen, for the client.
---@param chosen perilune.Several
---@param list perilune.Several[]
---@param headers table<string, string>
---@param used? perilune.Usage[]  of others besides the list
---@return perilune.Response
function M.give(chosen, list, headers, used)
  used = used or {}
  for _, answer in ipairs(list) do
    if answer ~= chosen then
      used[#used + 1] = answer.res.usage
      answer.res:discard()
    end
  end
  return parts.summed(chosen.res, used, headers)
end

return M

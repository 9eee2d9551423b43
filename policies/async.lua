--- async: long requests become jobs, whose answers are fetched later.
--
--     { "async", above_tokens = 20000 }
--     { "async", when = function(req) return req.headers["x-slow"] ~= nil end, queue = "nightly" }
--     { "async", prefer = true }                 -- clients that send `prefer: respond-async`
--
-- In place of the answer the client gets 202 with {"id","status"} and Location, as from POST /v1/async/PATH, and asks
-- GET /v1/async/ID for the answer.  The job goes through the policies of the route like any request, without those
-- that say who may ask, and past this one.  So this one stands behind `auth_keys` and in front of all others: what
-- stands in front of it (a limit, a policy that rewrites) sees the request twice.
--
-- Needs `jobs` in the configuration, and the queue there: `perilune check` says so.
--
---@class AsyncOptions
---@field when? fun(req: perilune.Request): boolean?  true: a job
---@field above_tokens? integer   a prompt of more tokens: a job
---@field prefer? boolean         a client that asks for it (`prefer: respond-async`): a job; default false
---@field queue? string           default "default"
---@field priority? integer       -100 to 100, default 0
---@field max_tries? integer      default jobs.max_tries

local config = require "perilune.config"
local perilune = require "perilune"

local spec = {
  when = { type = "function" },
  above_tokens = { type = "integer", min = 0 },
  prefer = { type = "boolean", default = false },
  queue = { type = "string", default = "default", min = 1, max = 63 },
  priority = { type = "integer", default = 0, min = -100, max = 100 },
  max_tries = { type = "integer", min = 1, max = 100 },
}

local function asks_for_it(req)
  local prefer = req.headers.prefer
  return prefer ~= nil and ("," .. prefer:lower()):find("[,;]%s*respond%-async%f[^%w_-]") ~= nil
end

return function(given)
  local options = config.options(spec, given, "async")
  local when, above = options.when, options.above_tokens
  if not when and not above and not options.prefer then
    error("policy 'async': which requests become jobs? give above_tokens, when or prefer", 0)
  end
  local queue = perilune.jobs(options.queue)
  return function(req, next)
    if req.job then return next(req) end
    local long = (options.prefer and asks_for_it(req)) or (when and when(req)) or (above and req:tokens() > above)
    if not long then return next(req) end

    local key = req.headers["idempotency-key"]
    if key and (#key == 0 or #key > 255) then
      return nil, perilune.error{ code = "invalid_request", status = 400, message = "Idempotency-Key has 1 to 255 bytes" }
    end
    local job, err = queue:submit(req, { priority = options.priority, max_tries = options.max_tries, key = key })
    if not job then return nil, err end
    return queue:accepted(job)
  end
end

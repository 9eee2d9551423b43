--- skeleton: the outline of an answer first, then its points, all at once.
--
--     { "skeleton" }                                     outline and points by the model that the request goes to
--     { "skeleton", outline = "small", worker = "big" }
--
-- After "Skeleton of Thought": an answer that is a list of points, each of which stands for itself, comes in the time
-- of its outline and its longest point.  The points stream in the order of the outline.  It costs the prompt once for
-- each point (the provider has it cached after the outline), and quality where points should build on each other; so
-- it is only done where the question asks for points (tips, reasons, ways, pros and cons, 建议, 原因, 方法,
-- 优缺点 ...), and never for code, mathematics, JSON and other data, texts to be rewritten, stories, short
-- answers, with tools, a response_format or n > 1.  What does not pass this gate passes untouched and unpaid for; an
-- outline that is nonsense, or takes too long, leads to the plain call.
--
---@class SkeletonOptions
---@field outline? string       upstream that writes the outline; default: where the request would go
---@field worker? string        upstream that writes the points; the same
---@field max_points? integer   2 to 32, default 10; what is more goes into the last one
---@field concurrency? integer  points at once, default 10
---@field plan_timeout? number  seconds until the outline is complete, default 60; never more than a quarter of the request's
---@field on_error? string      of a point: "note" (default), "skip", "fail"
---@field when? boolean|fun(req: perilune.Request): boolean  default: the gate above

local config = require "perilune.config"
local crew = require "perilune.crew"
local divisible = require "perilune.divisible"
local text_of = require "perilune.text"

local spec = {
  outline = { type = "upstream" },
  worker = { type = "upstream" },
  max_points = { type = "integer", default = 10, min = 2, max = 32 },
  concurrency = { type = "integer", default = 10, min = 1, max = 32 },
  plan_timeout = { type = "duration", default = 60, min = 0.001 },
  on_error = { type = "string", one_of = { "note", "skip", "fail" }, default = "note" },
  when = { type = { "boolean", "function" } },
}

local OUTLINE = [[
Do not answer my message yet. Write only the outline of the answer: 3 to %d points, one to a line, numbered, each a
title of 2 to 6 words, in the language of my message:
1. title
2. title
The points must not build on each other. Write nothing else. If the answer is not a list of such points, write only
ONE.]]

local POINT = [[
The outline of the answer to my message is:
%s
Write only point %d, %s, in one to three sentences, without its number or title and without an introduction. Other
writers do the other points. Write in the language of my message.]]

local function job_of(options, req, next)
  local titles = {}
  return {
    policy = "skeleton", req = req, language = text_of.language(text_of.last_user(req)), max_parts = options.max_points,
    alone = true, concurrency = math.min(options.concurrency, options.max_points), on_error = options.on_error, gap = "\n\n",
    plan_timeout = options.plan_timeout,
    plain = function() return next(req) end,
    plan = function()
      return { upstream = options.outline or req.upstream, messages = crew.with(req, OUTLINE:format(options.max_points)), stream = true,
               temperature = 0, max_tokens = 40 * options.max_points }
    end,
    part = function(task)
      titles[task.index] = ("%d. %s"):format(task.index, task.title)
      return { upstream = options.worker or req.upstream, temperature = req.temperature, top_p = req.top_p, user = req.user,
               messages = crew.with(req, POINT:format(table.concat(titles, "\n", 1, #titles), task.index, task.text)) }
    end,
    head = function(task, index) return ("%d. **%s**: "):format(index, task.title) end,
  }
end

local POINT_LEAST = 60 -- tokens

return function(given)
  local options = config.options(spec, given, "skeleton")
  return function(req, next)
    local share = divisible.share(req, options.max_points, POINT_LEAST)
    if share == false or not divisible.passes(req, options.when, divisible.has_points) then return next(req) end
    local job = job_of(options, req, next)
    job.part_tokens, job.part_field = share, req.max_completion_tokens and "max_completion_tokens" or nil
    return crew.answer(job)
  end
end, { needs = "chat", others = "pass" }

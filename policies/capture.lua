--- capture: questions and answers of chosen requests into a file, for teaching a small model or for evaluating one.
--
--     { "capture", file = "pairs.jsonl", share = 0.1, max_bytes = "64MiB",
--       redact = function(record) record.user = nil return record end }
--
-- A line is a record:
--
--     {"time": "2026-11-29T14:45:57Z", "id": "...", "route": "big; classifier", "model": "gpt-4o", "upstream": "big",
--      "messages": [...], "choices": [{"message": {...}, "finish_reason": "stop"}], "usage": {...}}
--
-- messages are those that went out, behind all policies in front of this one; choices are the answer as the client
-- got it, a stream put together.  Kept are whole answers only: what failed, was cut, or whose client left is not, and
-- neither is an answer out of a cache or one that was shared.
--
-- redact gets each record and returns what is to be kept: the same one, changed, or another; nil keeps nothing.  When
-- it throws, the record is lost and the request is not: that is logged.  It may use some milliseconds and cannot wait.
--
-- Lines are written by a thread of their own from a bounded queue: a slow disk loses records, never time.  The file
-- never gets longer than max_bytes; then no more is kept, or, with `rotate`, FILE becomes FILE.1 and so on.  What became
-- of records is counted by perilune_captured_total.  A relative path is seen from where the gateway was started.
--
---@class CaptureOptions
---@field file string               of lines
---@field share? number             of requests, 0 to 1, default 1
---@field max_bytes? integer|string of the file, default "64MiB"
---@field rotate? integer           full files that are kept beside it, default 0: then a full file ends it; at most 16
---@field when? fun(req: perilune.Request): boolean  which requests
---@field redact? fun(record: table): table?
---@field fields? string[]          other members of the request's body to keep ("tools", "response_format")

local config = require "perilune.config"
local trials = require "perilune.trials"

local spec = {
  file = { type = "string", required = true, min = 1, max = 1000 },
  share = { type = "number", default = 1, min = 0, max = 1 },
  max_bytes = { type = "size", default = 64 * 2 ^ 20, min = 0 },
  rotate = { type = "integer", default = 0, min = 0, max = 16 },
  when = { type = "function" },
  redact = { type = "function" },
  fields = { type = "list", of = { type = "string", min = 1 }, max = 16, default = {} },
}

return function(given)
  local options = config.options(spec, given, "capture")
  return function(req, next) return trials.capture(req, next, options) end
end

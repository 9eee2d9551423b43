--- map_reduce: a document that is too long for one call is read in parts, at once, and answered from the notes.
--
--     { "map_reduce", above_tokens = 24000, worker = "small", merger = "big" }
--
-- When the longest text that the user or a tool put into the conversation has more than above_tokens, it is cut where
-- its structure allows (headings, paragraphs; tables and code whole; a tenth said again), and `worker` takes notes of
-- each part for what is asked.  Notes that are together too long for the merger are merged first, as a tree.  Then
-- the client's request goes on, with the notes in the place of the text: streams, tools, formats and n are as they
-- were. A request that fits passes untouched and unpaid for.
--
-- Numbers and quotations are compared with the source (check): in notes, what is not in their part is marked as
-- doubtful ("mark"), or the part is asked once more ("again"); under the answer stands what is not in the document,
-- unless its format or a call of tools forbids that.  It may be right nevertheless: a sum is in no source.  The check
-- takes what CPU time is left (limits.cpu_ms); what there is none for is left out, and the answer says
-- x-perilune-degraded: map_reduce, like that to a document that could not be read in parts at all.
--
-- A part that cannot be read (twice, when that may help) is told to the merger ("note"), left out ("skip"), or ends the
-- request ("fail").  When no part can be read, the request fails.
--
---@class MapReduceOptions
---@field above_tokens? integer  of the text, default 24000
---@field worker string          upstream that reads the parts
---@field merger? string         upstream that answers; default: where the request would go
---@field context? integer       tokens that both models take, default 32000
---@field chunk_tokens? integer  of a part at most: a quarter of context, and above_tokens; default 6000, or what is allowed
---@field note_tokens? integer   of the notes on a part at most: an eighth of context; default 800, or what is allowed
---@field concurrency? integer   parts at once, default 8
---@field timeout? number        seconds for each call of the worker, default 60
---@field check? string          "mark" (default), "again", "off"
---@field on_error? string       "note" (default), "skip", "fail"
---@field when? fun(req: perilune.Request): boolean

local chat = require "perilune.chat"
local config = require "perilune.config"
local documents = require "perilune.documents"
local grounded = require "perilune.grounded"
local parts = require "perilune.parts"
local perilune = require "perilune"

local spec = {
  above_tokens = { type = "integer", default = 24000, min = 500 },
  worker = { type = "upstream", required = true },
  merger = { type = "upstream" },
  context = { type = "integer", default = 32000, min = 2000 },
  chunk_tokens = { type = "integer", default = 6000, min = 200 },
  note_tokens = { type = "integer", default = 800, min = 50 },
  concurrency = { type = "integer", default = 8, min = 1, max = 64 },
  timeout = { type = "duration", default = 60, min = 0.001 },
  check = { type = "string", one_of = { "mark", "again", "off" }, default = "mark" },
  on_error = { type = "string", one_of = { "note", "skip", "fail" }, default = "note" },
  when = { type = "function" },
}

local MOST_PARTS = 1000 -- of a document
-- Of CPU time, with all that is asked for it but the check: measured are 20 for prose, 100 for nothing but numbers.
local SECONDS_PER_BYTE = 80e-9
local SECONDS_BEHIND = 15e-9 -- of these when it is cut: for the calls, of which none has been paid then
local DEGRADED = { ["x-perilune-degraded"] = "map_reduce" }
local FLOOR, LAST_FLOOR = 0.3, 0.2 -- of the CPU time that is left: for what must follow upon a check, or upon the last one

local labels = {
  en = "[Notes on a document of %d parts that stood here]\n%s\n[End of the notes]",
  zh = "[此处原有一份文档（共 %d 部分），以下为其笔记]\n%s\n[笔记结束]",
}

-- Under an answer in prose may stand what is not in its source.
local function may_add(req)
  local format = req.response_format
  local plain = not chat.is_object(format) or format.type == nil or format.type == "text"
  return plain and (req.n or 1) == 1
end

-- Where that is to be named; nil when there is no time to find out.
local function source_of(doc)
  local floor = perilune.cpu_left() * LAST_FLOOR
  return grounded.source({ doc.head, doc.text, doc.tail }, function(seconds) return perilune.cpu_left() >= floor + seconds end)
end

local function with_check(req, res, source)
  local said, size = {}, 0
  return res:map("sentence", function(piece)
    size = size + #piece
    if size < 200000 then said[#said + 1] = piece end
    return piece
  end, function()
    local text = table.concat(said, " ")
    local missing = source:missing(text, function(seconds) return perilune.cpu_left() >= seconds end)
    if not missing then
      req:log("warn", "map_reduce: the answer is not checked, for want of CPU time (limits.block_ms)", { bytes = #text })
      return nil
    end
    if not missing[1] then return nil end
    req:log("info", "map_reduce: not in the document", { missing = missing })
    return ("\n\n[Not found in the document: %s]"):format(table.concat(missing, ", "))
  end)
end

local function as_it_is(req, next)
  local res, err = next(req)
  if not res then return nil, err end
  return parts.summed(res, {}, DEGRADED)
end

local SLOW = "for want of CPU time (limits.cpu_ms)"

-- A text for which there is no CPU time goes as it is: half of the work would be paid for nothing.
local function chunks_of(req, doc, options)
  if perilune.cpu_left() < #doc.text * SECONDS_PER_BYTE then return nil, SLOW end
  local done, chunks, why = perilune.attempt(documents.chunks, doc.text, options.size, req.model)
  if not done or perilune.cpu_left() < #doc.text * SECONDS_BEHIND then return nil, SLOW end
  if chunks and (#chunks < 2 or #chunks > MOST_PARTS) then return nil, ("%d parts"):format(#chunks) end
  return chunks, why
end

local function answer(req, next, doc, options)
  local res, err = next(req)
  if not res or options.check == "off" then return res, err end
  local source = may_add(req) and source_of(doc)
  doc.unchecked = doc.unchecked or source == nil
  if doc.unchecked then
    req:log("warn", "map_reduce: not all is checked, for want of CPU time (limits.cpu_ms)", { bytes = #doc.text })
  end
  return source and with_check(req, res, source) or res
end

local function run(req, next, doc, options)
  local chunks, why = chunks_of(req, doc, options)
  if not chunks then
    req:log("warn", "map_reduce: the document goes as it is", { reason = why, bytes = #doc.text })
    return as_it_is(req, next)
  end
  doc.floor = perilune.cpu_left() * FLOOR
  local notes, err, failed = documents.map(options, doc, chunks)
  if not notes then return nil, err end
  local text, levels
  text, err, levels = documents.reduce(options, doc, notes)
  if not text then return nil, err end
  if text == "" then text = "(no part of the document says anything about the task)" end
  local label = require("perilune.text").language(doc.text) == "zh" and labels.zh or labels.en
  doc.replace(label:format(#chunks, text))
  req:log("info", "read a document in parts", { parts = #chunks, failed = failed, levels = levels })
  parts.tally("map_reduce", levels > 0 and "tree" or "flat")
  if options.merger then req.upstream = options.merger end
  local res
  res, err = answer(req, next, doc, options)
  if not res then return nil, err end
  return parts.summed(res, doc.used, (failed > 0 or doc.unchecked) and DEGRADED or nil)
end

-- A size that was given and cannot be is no size to be made smaller in silence.
local function check_size(given, options, name, most, why)
  if given[name] == nil or options[name] <= most then return math.min(options[name], most) end
  error(("policy 'map_reduce': option '%s' must be at most %d, got %d: %s"):format(name, most, options[name], why), 0)
end

return function(given)
  local options = config.options(spec, given, "map_reduce")
  local quarter, eighth = math.floor(options.context / 4), math.floor(options.context / 8)
  check_size(given, options, "chunk_tokens", quarter, "a quarter of context, the rest is for the question and the notes")
  options.size = check_size(given, options, "chunk_tokens", options.above_tokens,
    "above_tokens, or a text that is above it has no two parts")
  options.size = math.min(options.size, quarter)
  options.budget = math.floor(options.context / 2)
  options.note_tokens = check_size(given, options, "note_tokens", eighth, "an eighth of context, or two notes leave no room to be merged")
  check_size(given, options, "note_tokens", options.size, "what a part has, and notes are to be shorter")
  options.note_tokens = math.min(options.note_tokens, options.size)
  local done = {} -- the name, in req.ctx, of "was here": a retry runs policies again
  return function(req, next)
    if req.ctx[done] or options.when and not options.when(req) then return next(req) end
    local doc = documents.find(req, options.above_tokens)
    if not doc then return next(req) end
    req.ctx[done] = true
    return run(req, next, doc, options)
  end
end, { needs = "chat", others = "pass" }

--- compress_context: of long material only the sentences that the question needs.
--
--     { "compress_context", ratio = 0.5 }
--
-- Passages that a retriever put in front of a question, files that a tool read: most of it
-- has nothing to do with what is asked.  Sentences are ranked against the question (BM25,
-- their place, what they add to the others) and kept word for word in their order, headings,
-- code, and everything with a number or name of the question besides; JSON stays JSON.  No
-- model is asked; it takes about a millisecond for 10,000 tokens.
--
-- Which material, and which question: perilune.payload.  Both follow from the conversation
-- up to there, so a payload is shortened when it is sent first and always in the same
-- way after that: what the provider has in its cache stays as it is.  A text to be translated,
-- summarized or proofread is left alone; so are code and what is said in few words.
--
---@class CompressContextOptions
---@field ratio? number         what should be left, 0.05 to 1; default 0.5
---@field floor? number         and at least this part; default 0.25
---@field above_tokens? integer payloads up to this size are left alone; default 1500
---@field min_tokens? integer   none gets smaller; default 300
---@field question? string      instead of the one that is found
---@field roles? string[]       whose messages; default { "user", "tool" }
---@field except? string[]      names of tools whose results stay
---@field max_bytes? integer    of a conversation's payloads, from its beginning; what comes
---                             behind stays; default 512 KiB (some 10 ms of the 50 that a
---                             request has), at most 1 MiB

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"
local compress = require "perilune.compress"
local payload = require "perilune.payload"
local perilune = require "perilune"

local spec = {
  ratio = { type = "number", default = 0.5, min = 0.05, max = 1 },
  floor = { type = "number", default = 0.25, min = 0, max = 1 },
  above_tokens = { type = "integer", default = 1500, min = 1 },
  min_tokens = { type = "integer", default = 300, min = 0 },
  question = { type = "string", min = 1, max = 4096 },
  roles = { type = "set", default = { user = true, tool = true }, min = 1,
            of = { type = "string", one_of = { "user", "tool", "system", "developer" } } },
  except = { type = "set", of = { type = "string", min = 1 }, default = {} },
  max_bytes = { type = "size", default = 524288, min = 1024, max = 1048576 },
}

return function(given)
  local options = config.options(spec, given, "compress_context")
  local done = {} -- the name, in req.ctx, of "was here": a retry runs policies again

  -- Only so many tokens are counted, not those of the whole text.
  local function is_short(text, model)
    local count = perilune.tokens(text, model, options.above_tokens)
    return not count or count <= options.above_tokens
  end

  -- The payload shortened, or nil.
  local function shorten(req, p, attempt)
    if options.except[p.name or false] or is_short(p.text, req.model) then return nil end
    local left, why, late = compress.remembered(p.text, options.question or p.question, options, req.tenant)
    if late then attempt.late(why)
    elseif not left then req:log("info", "compress_context: a text goes as it is", { message = p.index, reason = why }) end
    return left ~= p.text and left or nil
  end

  local function shorten_all(req, attempt)
    local messages = chat.messages(req)
    if not messages or req.ctx[done] then return end
    req.ctx[done] = true
    -- A token is rarely shorter than a byte: what is too short need not be looked at.
    local payloads = payload.find(messages, options.roles, options.above_tokens)
    if #payloads == 0 then return end

    local ledger, bytes = cost.open(req, "compress_context"), 0
    for _, p in ipairs(payloads) do
      bytes = bytes + #p.text
      local left = bytes <= options.max_bytes and shorten(req, p, attempt)
      if left then
        local message = messages[p.index]
        local before = ledger:sent(p.index, message)
        attempt.undo(p.restore or function() p.replace(p.text) end)
        p.replace(left)
        ledger:rewrote(message, before)
      end
    end
    ledger:close()
  end

  return function(req, next) return cost.shorten(req, next, "compress_context", shorten_all) end
end, { needs = "chat", others = "pass" }

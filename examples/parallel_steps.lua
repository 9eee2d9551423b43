-- parallel_steps.lua: three things to find out before the call, at the same time.
--
--     perilune serve examples/parallel_steps.lua
--
--     curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--       -d '{"model":"answer","messages":[{"role":"user","content":"My parcel is late again!"}]}'
--
-- One after the other the steps would cost their sum; together they cost the
-- slowest.  A step that is late is replaced by its default: an answer without the
-- customer's mood is better than none.

local perilune = require "perilune"

-- What the user said last.  A message's content may also be a list of parts
-- (text, images); this example looks at plain text only.
local function question(req)
  local last = req.messages[#req.messages]
  return type(last.content) == "string" and last.content or ""
end

-- Step 1: may this be answered at all?  A word list stands in for a classifier.
local function moderate(req)
  return { allowed = not question(req):lower():find("forbidden", 1, true) }
end

-- Step 2: what do we know about it?  A real one asks a search service:
--   local res, err = perilune.fetch("http://127.0.0.1:7700/search", { method = "POST", body = ... })
--   if not res then return nil, err end       -- the step failed: its default is used
local function retrieve()
  perilune.sleep(0.05) -- as long as a search takes
  return { "Parcels are delivered within three days.", "A late parcel is refunded." }
end

-- Step 3: how does the user feel?  This one is too slow for its timeout.
local function mood()
  perilune.sleep(3)
  return "annoyed"
end

-- Puts what was found in front of the conversation.
local prompt = perilune.template([[
Answer the customer. What we know:
{{facts}}
The customer seems {{mood}}.]])

local function apply(req, results)
  if not results.moderation.allowed then
    -- An answer instead of a call.
    return perilune.respond{ text = "I cannot help with that." }
  end
  table.insert(req.messages, 1, {
    role = "system",
    content = prompt:render{ facts = table.concat(results.facts, "\n"), mood = results.mood },
  })
end

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",

  upstreams = {
    answer = { sim = { ttft_ms = 50, itl_ms = 10, tokens = 32 } },
  },

  routes = {
    {
      path = "/v1/chat/completions",
      policies = {
        { "parallel_steps",
          steps = {
            { name = "moderation", run = moderate, timeout = 0.5, required = true }, -- no verdict, no answer
            { name = "facts", run = retrieve, timeout = 1, default = {} },
            { name = "mood", run = mood, timeout = 0.2, default = "neutral" },
          },
          apply = apply },
      },
    },
  },
}

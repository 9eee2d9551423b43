-- local_model.lua: a small model in this process looks at every request, then a large one answers it.
--
--     make local                                            libllama and a small model, into local/
--     PERILUNE_MODEL=local/smollm2-135m.gguf PERILUNE_LLAMA=local/lib perilune serve examples/local_model.lua
--
--     curl -i http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--       -H 'x-perilune-trace: 1' \
--       -d '{"model":"large","messages":[{"role":"user","content":"My parcel is late again!"}]}'
--
-- Intent, emotion and moderation are asked at the same time: the three are rows of one batch, and begin alike, so the
-- question is read once.  (One thread: on cores that others use as well, threads of a model wait for each other.)  What
-- each took is in the header x-perilune-trace, and in the line of the access log.
-- Without PERILUNE_MODEL the small model is simulated, says nothing of use, and every step has its default.

local perilune = require "perilune"

local file = perilune.env("PERILUNE_MODEL")

-- What the user said last, as text.
local function question(req)
  local last = req.messages[#req.messages]
  return type(last.content) == "string" and last.content or ""
end

-- One word of a list: the schema leaves the model no other.  The text comes first, and what is asked about it
-- last: so all three prompts have their beginning in common.
local function classify(what, words)
  return function(req)
    local res, err = perilune.ask{
      upstream = "small", stream = false, temperature = 0, max_tokens = 16,
      messages = { { role = "user", content = ("A customer wrote: \"%s\"\nThe %s of the customer, in one word:")
        :format(question(req):sub(1, 2000), what) } },
      response_format = { type = "json_schema", json_schema = { name = "word", schema = { enum = words } } },
    }
    if not res then return nil, err end
    local said = (res:text() or ""):match("%a+")
    for _, word in ipairs(words) do
      if word == said then return word end
    end
    return nil, { code = "no_word", message = "the small model said none of the words" }
  end
end

local prompt = perilune.template("The customer wants: {{intent}}. The customer feels: {{emotion}}. Answer accordingly.")

local function apply(req, results)
  if results.moderation == "refuse" then
    return perilune.respond{ text = "I cannot help with that." }
  end
  table.insert(req.messages, 1, {
    role = "system", content = prompt:render{ intent = results.intent, emotion = results.emotion } })
end

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",

  upstreams = {
    small = file and { engine = { model = file, threads = 1, context = 4096 } }
                 or { sim = { ttft_ms = 20, tokens = 1 } },
    large = { sim = { ttft_ms = 200, itl_ms = 10, tokens = 32 } }, -- yours: { url = "https://...", key = { env = "KEY" } }
  },

  routes = {
    {
      path = "/v1/chat/completions",
      policies = {
        { "parallel_steps",
          steps = {
            { name = "moderation", run = classify("request", { "allow", "refuse" }), timeout = 2, default = "allow" },
            { name = "intent", run = classify("intent", { "complaint", "question", "order", "other" }), timeout = 2,
              default = "other" },
            { name = "emotion", run = classify("emotion", { "angry", "calm", "happy", "sad" }), timeout = 2,
              default = "calm" },
          },
          apply = apply },
      },
    },
  },
}

-- decompose.lua: a report of sections, planned by a small model and written by several calls at once.
--
--     perilune serve examples/decompose.lua
--
--     curl -N http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--       -d '{"model":"writer","stream":true,"messages":[{"role":"user","content":"Write a report on electric cars with sections on history, batteries and charging."}]}'
--
-- The planner's lines become tasks as they are written; the first section flows while the others are under way.  A
-- question that is one thing ("What is the capital of France?") goes to the writer as it is.  When the client has its
-- answer, a task notes how long it was: nobody waits for that.

local function note(req, answer)
  req:log("info", "answered", { bytes = #(answer.text or ""), seconds = answer.total_ms / 1000 })
end

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",

  upstreams = {
    planner = { sim = { ttft_ms = 50, itl_ms = 4,
                        text = "1. History :: how it began\n2. Batteries :: what they can do\n3. Charging :: where and how fast\n" } },
    writer = { sim = { ttft_ms = 100, itl_ms = 8, tokens = 60 }, model = "writer" },
  },

  routes = {
    { path = "/v1/chat/completions",
      policies = {
        { "after_reply", tasks = { { name = "note", run = note } } },
        { "decompose", planner = "planner", worker = "writer" },
      } },
  },
}

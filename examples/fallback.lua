-- fallback.lua: an answer, whatever is broken.
--
--     perilune serve examples/fallback.lua
--
--     curl -i http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--       -d '{"model":"auto","messages":[{"role":"user","content":"Hello!"}]}'
--
-- "first" is down and "second" hangs; "third" answers.  Stop "third" too (put a
-- port into its place that nobody listens on) and the canned text comes.

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",

  upstreams = {
    first  = { url = "http://127.0.0.1:9/v1" },                         -- nobody listens on port 9
    second = { sim = { ttft_ms = 60000, itl_ms = 10, tokens = 16 } },   -- begins after a minute
    third  = { sim = { ttft_ms = 30, itl_ms = 10, tokens = 16 } },
  },

  routes = {
    {
      path = "/v1/chat/completions",
      -- From the outside in: each policy wraps those behind it.
      policies = {
        -- Nothing worked: say so in words, with status 200 and a header for programs.
        { "canned", text = "Sorry, no model can be reached right now. Please try again in a minute." },
        -- The whole search for an upstream that works takes at most ten seconds.
        { "timeout", total = 10 },
        -- In this order; each has one second to begin its answer.
        { "fallback", upstreams = { "first", "second", "third" }, timeout = 1 },
      },
    },
  },
}

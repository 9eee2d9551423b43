-- stay_up.lua: fair, bounded and always an answer.
--
--     perilune serve examples/stay_up.lua
--
--     curl -i http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--       -d '{"model":"auto","messages":[{"role":"user","content":"Hello!"}]}'
--
-- "a", "b" and "c" are one pool; "c" is down, so it rests and the others answer.  Look at
-- http://127.0.0.1:9090/admin/upstreams, /admin/limits, and perilune_gate_* in /metrics.  Ask more than 60 times in a
-- minute and the answer is 429, with Retry-After; stop all upstreams and it is the canned text.

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",

  upstreams = {
    a = { sim = { ttft_ms = 50, itl_ms = 10, tokens = 16 }, price = { input = 2, output = 8 } },
    b = { sim = { ttft_ms = 80, itl_ms = 10, tokens = 16 }, price = { input = 2, output = 8 } },
    c = { url = "http://127.0.0.1:9/v1" },                               -- nobody listens on port 9
    small = { sim = { ttft_ms = 20, itl_ms = 5, tokens = 16 }, price = { input = 0.1, output = 0.4 } },
  },

  -- One name for three of them: the one that is free, and another one when it fails.
  pools = {
    big = { upstreams = { "a", "b", "c" }, choose = "least_outstanding" },
  },

  routes = {
    {
      path = "/v1/chat/completions",
      -- From the outside in: each policy wraps those behind it.
      policies = {
        -- Each tenant so much; a request that was refused costs nothing.
        { "limit", requests_per_minute = 60, tokens_per_minute = 20000, key = "tenant" },
        -- What was answered before needs neither a slot nor an upstream; kept for when nothing else answers.
        { "cache_exact", ttl = 60, stale_if_error = 86400 },
        -- From the best to the worst, for all workers at once.
        { "degrade", saturation = { gate = "default", high = 3 }, hold = 10, ladder = {
          { upstream = "big" }, { upstream = "small" }, { stale = "exact" },
          { text = "We are very busy. Please try again in a minute." },
        } },
        -- 64 at once, paying users first, and nobody waits in vain.
        { "priority", concurrency = 64, classes = { "paid", "free" }, tiers = { acme = "paid" }, max_wait = 5,
          upstreams = { "big" } },
      },
    },
  },
}

-- cache.lua: questions that were answered before cost nothing.
--
--     perilune serve examples/cache.lua
--
--     curl -si http://127.0.0.1:8080/v1/chat/completions \
--       -H 'content-type: application/json' \
--       -d '{"model":"auto","messages":[{"role":"user","content":"How do I reset my password?"}]}'
--
-- The reply's `x-cache` says `miss`, and when you ask once more `hit`.  "How can I reset my password?" is a hit,
-- too, with `x-cache-similarity`; "How do I delete my password?" is none: it is not the same question.
--
--     curl http://127.0.0.1:9090/admin/cache                       what is kept
--     curl http://127.0.0.1:9090/admin/cache/explain               which near questions were refused, and why
--     curl -X DELETE 'http://127.0.0.1:9090/admin/cache?all=1'     forget all
--
-- Other tenants, other system prompts, other settings never share an answer.

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090", -- keep it private
  watch = true,

  upstreams = {
    model = { sim = { ttft_ms = 200, itl_ms = 15, tokens = 64 }, price = { input = 2.50, output = 10 } },
  },

  cache = { max_bytes = "64MiB" }, -- of all workers together; add `redis` to share it with other machines

  routes = {
    {
      path = "/v1/chat/completions",
      policies = {
        -- An hour; when the model fails, a day.  At most one in 200 different questions gets another's answer.
        { "cache_semantic", ttl = 3600, stale_if_error = 86400, max_false = 0.005 },
        { "retry", tries = 2 },
      },
    },
  },
}

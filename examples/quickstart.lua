-- quickstart.lua: a gateway that works without any account or model.
--
--     perilune serve examples/quickstart.lua
--
--     curl -N http://127.0.0.1:8080/v1/chat/completions \
--       -H 'content-type: application/json' \
--       -d '{"model":"auto","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'
--
-- The answer's header `x-perilune-upstream` says which upstream it came from: a
-- short question goes to "small", a long one to "big".  Change a number below and
-- save: the running gateway takes it over, and requests in flight are not disturbed.

return {
  listen = "127.0.0.1:8080", -- what clients connect to
  admin = "127.0.0.1:9090",  -- /healthz, /metrics, /admin/reload; keep it private
  watch = true,              -- reload when this file or a policy changes

  -- The models that answer.  Simulated here: `sim` makes up tokens at a given
  -- pace.  A real one has an address instead, and a key from the environment:
  --
  --   big = { url = "https://api.openai.com/v1", model = "gpt-4o", key = { env = "OPENAI_API_KEY" } },
  upstreams = {
    small = { sim = { ttft_ms = 20, itl_ms = 5, tokens = 32 } },   -- first token after 20 ms, one every 5 ms
    big   = { sim = { ttft_ms = 200, itl_ms = 15, tokens = 128 } },
  },

  -- What happens to a request: its policies run from first to last.
  routes = {
    {
      path = "/v1/chat/completions",
      policies = {
        { "route", small = "small", big = "big", small_below_tokens = 100 },
      },
    },
  },
}

-- embed.lua: the configuration of embed.c, a C program with Perilune inside.
--
--     make example-embed
--
-- The program says where clients connect to, so there is no `listen` here; and it
-- lends its own thread, so there are no workers.

return {
  upstreams = {
    echo = { sim = { ttft_ms = 20, itl_ms = 20, tokens = 24 } },
  },

  routes = {
    {
      path = "/v1/chat/completions",
      policies = {
        { "canned", text = "Sorry, please try again in a minute." },
        { "timeout", total = 30 },
      },
    },
  },
}

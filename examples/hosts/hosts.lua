-- hosts.lua -- what the programs of this folder have in common: one question, one policy that asks the program.
--
--     make examples-hosts

return {
  upstreams = {
    echo = { sim = { ttft_ms = 2, itl_ms = 1, echo = true } }, -- says what it was asked
  },
  host_functions = { "lookup_user" }, -- each program adds it, in its own language
  log = { access = false },

  routes = {
    { path = "/v1/chat/completions", policies = { "greet" } },
  },
}

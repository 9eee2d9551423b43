-- agents.lua: long conversations with tools, made shorter without paying twice.
--
--     perilune serve examples/agents.lua
--
--     curl -i http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--       -d '{"model":"auto","messages":[{"role":"user","content":"Which port?"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"A file of a hundred and twenty bytes and more, which the model has read and found to be of no use to the question at all."},{"role":"assistant","tool_calls":[{"id":"b","type":"function","function":{"name":"read","arguments":"{}"}}]},{"role":"tool","tool_call_id":"b","content":"port = 8080"}]}'
--
-- The first result was read long ago: the model gets "[result of read left out: ...]", and
-- the header x-perilune-saved-tokens says how much that is.  `curl 127.0.0.1:9090/metrics` has the
-- sums, in tokens and in money, by policy.

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",

  upstreams = {
    -- USD per million tokens; what cached tokens cost is known by the model's name.
    model = { sim = { ttft_ms = 30, itl_ms = 10, tokens = 16 }, model = "claude-sonnet-5",
              price = { input = 3.00, output = 15.00 } },
  },

  routes = {
    {
      path = "/v1/chat/completions",
      policies = {
        -- Never more than the model can take; cut in steps, so that its cache holds.
        { "window", max_tokens = 150000 },
        -- Old results become notes when that pays.  (A batch of 1 and no result kept beyond
        -- those of the newest call: so that the conversation above is long enough.)
        { "mask_tools", keep = 0, batch = 1, min_bytes = 120 },
        -- Last: marks where the provider looks for what it has, and warns when it cannot.
        { "prompt_cache" },
      },
    },
  },
}

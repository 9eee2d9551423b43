-- own_policy.lua: a policy of your own.
--
--     perilune serve examples/own_policy.lua
--     perilune test examples/policies/shout_spec.lua
--
--     curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \
--       -d '{"model":"echo","messages":[{"role":"user","content":"Hello!"}]}'
--
-- The policy "shout" is the file policies/shout.lua beside this one: read it next.

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",
  watch = true, -- edit the policy while the gateway runs

  upstreams = {
    echo = { sim = { ttft_ms = 20, itl_ms = 30, tokens = 24 } },
  },

  routes = {
    {
      path = "/v1/chat/completions",
      policies = {
        -- A name, then the options that the policy documents.
        { "shout", most = 3 },

        -- A small policy can also be written in place.  This one adds a header.
        function(req, next)
          local res, err = next(req)
          if res then res.headers["x-example"] = "own_policy" end
          return res, err
        end,
      },
    },
  },
}

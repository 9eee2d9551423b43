-- websocket.lua: a page in a browser that asks several questions at once, on one WebSocket.
--
--     perilune serve examples/websocket.lua
--     (cd examples; python3 -m http.server 8000 --bind 127.0.0.1)
--
-- Then open http://127.0.0.1:8000/websocket.html, ask, ask again while the answer comes, and stop one.  The same
-- questions by HTTP:
--
--     curl -N http://127.0.0.1:8080/v1/chat/completions \
--       -H 'content-type: application/json' -H 'authorization: Bearer demo' \
--       -d '{"model":"chat","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'

return {
  listen = "127.0.0.1:8080",
  admin = "127.0.0.1:9090",

  upstreams = {
    chat = { sim = { ttft_ms = 50, itl_ms = 30, tokens = 120 } }, -- simulated: no account is needed
  },

  -- A browser lets every page open a WebSocket and read what comes, so pages are named here.  Others get 403.
  cors = { origins = { "http://127.0.0.1:8000", "http://localhost:8000" } },

  -- GET /v1/ws.  All of these are defaults but the limit of requests at once.
  websocket = { path = "/v1/ws", max_requests = 8, ping = 30, idle = 3600 },

  routes = {
    {
      path = "/v1/chat/completions",
      policies = {
        -- The page's key comes as a subprotocol of the handshake, and counts for every request on the socket.
        -- This is the hash of "demo":  printf %s demo | sha256sum
        { "auth_keys", keys = { ["2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea"] = "page" } },
      },
    },
  },
}

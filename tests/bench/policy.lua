-- policy.lua -- what a request costs when a policy decides where it goes.
--
--   luajit tests/bench/policy.lua       CPU microseconds per request, 0.3 and 31.5 KB
--
-- The same decision on both sides: how long is the conversation, which upstream,
-- rewrite the model.  One worker each, keep-alive, 32 connections.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local anchor = require "bench.anchor"

local SMALL, LARGE = 300, 31500

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = 16 })
  local nginx, why = anchor.lua(dir, up.port)
  local what = "nginx+lua"
  if not nginx then
    bench.note("no nginx+lua: %s; comparing with plain nginx", why)
    what = "nginx"
    nginx, why = anchor.plain(dir, up.port)
    if not nginx then bench.note("no anchor: %s", why) end
  end
  if nginx then bench.defer(nginx.stop) end
  local ours = bench.perilune([[
    upstreams = { small = { url = "@UPSTREAM@", model = "small-model" },
                  big = { url = "@UPSTREAM@", model = "big-model" } },
    routes = { { path = "/v1/chat/completions", policies = {
      { "route", small = "small", big = "big", small_below_tokens = 400 } } } },]],
    { UPSTREAM = up.url })

  for _, size in ipairs({ SMALL, LARGE }) do
    local options = { body = bench.file(dir, size .. ".json", bench.chat(size)), conns = 32, dir = dir,
                      requests = size == SMALL and 30000 or 8000 }
    local cpu = bench.compare({ ours, nginx }, options, 3)
    bench.figure(("%.1f KB chat, route policy (anchor %s)"):format(size / 1000, what),
      cpu[1], "us/req", cpu[2], size == SMALL and 2.0 or 0.35, true)
  end
end)

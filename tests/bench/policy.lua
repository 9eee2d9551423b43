-- policy.lua -- what a request costs when a policy decides where it goes.
--
--   luajit tests/bench/policy.lua [plain|tls]     CPU microseconds per request, 0.3 and 31.5 KB
--
-- The same decision on both sides: how long is the conversation, which upstream,
-- rewrite the model.  One worker each, keep-alive, 32 connections; upstreams in the clear,
-- then over TLS, verified by name and authority.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local anchor = require "bench.anchor"

local SMALL, LARGE = 300, 31500

local function anchor_of(dir, up)
  local nginx, why = anchor.lua(dir, up)
  local what = "nginx+lua"
  if not nginx then
    bench.note("no nginx+lua: %s; comparing with plain nginx", why)
    what = "nginx"
    nginx, why = anchor.plain(dir, up)
    if not nginx then bench.note("no anchor: %s", why) end
  end
  if nginx then bench.defer(nginx.stop) end
  return nginx, what
end

-- name: what a figure says of the upstream.  bars: ratios for SMALL and LARGE.
local function measure(dir, up, name, bars)
  local nginx, what = anchor_of(dir, up)
  local ca = up.ca and ('ca = "%s",'):format(bench.here(up.ca)) or ""
  local ours = bench.perilune([[
    upstreams = { small = { url = "@UPSTREAM@", model = "small-model", @CA@ },
                  big = { url = "@UPSTREAM@", model = "big-model", @CA@ } },
    routes = { { path = "/v1/chat/completions", policies = {
      { "route", small = "small", big = "big", small_below_tokens = 400 } } } },]],
    { UPSTREAM = up.url, CA = ca })
  for _, size in ipairs({ SMALL, LARGE }) do
    local options = { body = bench.file(dir, size .. ".json", bench.chat(size)), conns = 32, dir = dir,
                      requests = size == SMALL and 30000 or 8000 }
    local cpu = bench.compare({ ours, nginx }, options, 3)
    bench.figure(("%.1f KB chat%s, route policy (anchor %s)"):format(size / 1000, name, what),
      cpu[1], "us/req", cpu[2], bars[size], true)
  end
end

bench.run(function()
  local dir, only = bench.folder(), arg[1]
  if only ~= "tls" then measure(dir, bench.upstream(dir, { tokens = 16 }), "", { [SMALL] = 1.0, [LARGE] = 0.2 }) end
  if only ~= "plain" then measure(dir, bench.tls_upstream(dir, { tokens = 16 }), " over TLS", { [SMALL] = 1.1, [LARGE] = 0.35 }) end
end)

-- stream.lua -- what a streamed token costs.
--
--   luajit tests/bench/stream.lua [plain|tls]     CPU per token of many streams, upstreams in the
--                                                 clear and over TLS
--
-- The anchor is plain nginx, which looks at nothing.  Tokens over TLS come through another gateway,
-- and are further apart, so that they arrive one by one.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local anchor = require "bench.anchor"

local ROUNDS = 3

local function measure(dir, start, streams, tokens, gap_ms, name, bar)
  local up = start(dir, { tokens = tokens, ttft_ms = gap_ms, itl_ms = gap_ms })
  local ca = up.ca and ('ca = "%s"'):format(bench.here(up.ca)) or ""
  local ours = bench.perilune("upstreams = { up = { url = \"@UPSTREAM@\", @CA@ } },", { UPSTREAM = up.url, CA = ca })
  local nginx, why = anchor.plain(dir, up)
  if nginx then bench.defer(nginx.stop) else bench.note("no anchor: %s", why) end

  local options = { body = bench.file(dir, "stream.json", bench.chat(300, true)), conns = streams,
                    requests = streams, stream = true, dir = dir }
  local cpu = bench.compare({ ours, nginx }, options, ROUNDS)
  for i in ipairs(cpu) do cpu[i] = cpu[i] / tokens end
  bench.figure(("per token%s, %d streams %d ms apart (anchor nginx)"):format(name, streams, gap_ms),
    cpu[1], "us", cpu[2], bar, true)
end

bench.run(function()
  local dir, only = bench.folder(), arg[1]
  if only ~= "tls" then measure(dir, bench.upstream, 500, 300, 10, "", 0.9) end
  if only ~= "plain" then measure(dir, bench.tls_upstream, 200, 100, 25, " over TLS", 1.0) end
end)

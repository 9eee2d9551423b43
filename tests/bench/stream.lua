-- stream.lua -- what a streamed token costs.
--
--   luajit tests/bench/stream.lua       500 streams, a token every 10 ms, CPU per token
--
-- The anchor is plain nginx, which looks at nothing.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local anchor = require "bench.anchor"

local STREAMS, TOKENS, GAP_MS, ROUNDS = 500, 300, 10, 3

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = TOKENS, ttft_ms = GAP_MS, itl_ms = GAP_MS })
  local ours = bench.perilune("upstreams = { up = { url = \"@UPSTREAM@\" } },", { UPSTREAM = up.url })
  local nginx, why = anchor.plain(dir, up.port)
  if nginx then bench.defer(nginx.stop) else bench.note("no anchor: %s", why) end

  local options = { body = bench.file(dir, "stream.json", bench.chat(300, true)), conns = STREAMS,
                    requests = STREAMS, stream = true, dir = dir }
  local cpu = bench.compare({ ours, nginx }, options, ROUNDS)
  for i in ipairs(cpu) do cpu[i] = cpu[i] / TOKENS end
  bench.figure(("per token, %d streams %d ms apart (anchor nginx)"):format(STREAMS, GAP_MS),
    cpu[1], "us", cpu[2], 1.5, true)
end)

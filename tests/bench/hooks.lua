-- hooks.lua -- what a streamed token costs when a policy looks at it.
--
--   luajit tests/bench/hooks.lua     CPU per token: tap, and an identity map by word and by event
--
-- The anchor is the same stream through the same gateway with nobody looking.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"

local STREAMS, TOKENS, GAP_MS, ROUNDS = 200, 200, 10, 3

local POLICIES = {
  { "tap", "return res:tap(function(ev) end)" },
  { 'identity map("event")', 'return res:map("event", function(s) return s end)' },
  { 'identity map("word")', 'return res:map("word", function(s) return s end)' },
}

local CONFIG = [[
upstreams = { up = { url = "@UPSTREAM@" } },
routes = { { path = "/v1/chat/completions", policies = {
  function(req, next)
    local res, err = next(req)
    if not res then return nil, err end
    @DO@
  end } } },]]

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = TOKENS, ttft_ms = GAP_MS, itl_ms = GAP_MS })
  local options = { body = bench.file(dir, "stream.json", bench.chat(300, true)), conns = STREAMS,
                    requests = STREAMS, stream = true, dir = dir }
  local targets = { bench.perilune(CONFIG, { UPSTREAM = up.url, DO = "return res" }) }
  for i, p in ipairs(POLICIES) do targets[i + 1] = bench.perilune(CONFIG, { UPSTREAM = up.url, DO = p[2] }) end
  local cpu = bench.compare(targets, options, ROUNDS)
  for i, p in ipairs(POLICIES) do
    bench.figure(("per token, %s (anchor: untouched)"):format(p[1]), cpu[i + 1] / TOKENS, "us", cpu[1] / TOKENS, 2.0,
      true)
  end
end)

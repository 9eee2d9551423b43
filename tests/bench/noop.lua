-- noop.lua -- what a policy costs that does nothing.
--
--   luajit tests/bench/noop.lua         CPU microseconds per request, with and without
--
-- Both servers run at once and are loaded in turn, so that what the machine does
-- meanwhile hits both.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"

local ROUNDS, REQUESTS = 7, 20000

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = 16 })
  local upstreams = "upstreams = { up = { url = \"@UPSTREAM@\" } },\n"
  local without = bench.perilune(upstreams, { UPSTREAM = up.url })
  local with = bench.perilune(upstreams .. [[
    routes = { { path = "/v1/chat/completions", policies = {
      function(req, next) return next(req) end } } },]], { UPSTREAM = up.url })

  local options = { body = bench.file(dir, "body", bench.chat(300)), conns = 32, dir = dir,
                    requests = REQUESTS }
  local differences, base = {}, {}
  bench.compare({ without, with }, options, 1)
  for i = 1, ROUNDS do
    local a, b = bench.cpu_per_request(without, options), bench.cpu_per_request(with, options)
    differences[i], base[i] = b - a, a
  end
  bench.note("without a policy: %.2f us per request", bench.median(base))
  bench.figure("a policy that does nothing, over none", bench.median(differences), "us/req", nil, 1.0)
end)

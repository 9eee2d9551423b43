-- growth.lua -- what more of everything costs a request: routes, connections.
--
--   luajit tests/bench/growth.lua       CPU microseconds per request, as ratios
--
-- 1,001 routes against one: the same request, which the last of them takes; exact paths, prefixes
-- and hosts of each kind.  4,000 busy connections against 10; what the same costs nginx, which looks at nothing,
-- stands beside it: sockets of the kernel and a cold cache are most of it.  All servers run at once and are loaded in
-- turn, so that what the machine does meanwhile hits all of them.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local anchor = require "bench.anchor"

local ROUNDS, REQUESTS, ROUTES, MANY = 5, 20000, 1000, 4000

local function routes(n)
  local out = {}
  for i = 1, n do
    local kind = i % 4
    out[i] = kind == 0 and ('{ path = "/v1/exact/%d" }'):format(i)
             or kind == 1 and ('{ path = "/v1/prefix-%d/*" }'):format(i)
             or kind == 2 and ('{ path = "/v1/chat/completions", host = "h%d.example.com" }'):format(i)
             or ('{ path = "/v1/chat/%s*" }'):format(("x"):rep(i % 40 + 1) .. ("%04d"):format(i)) -- none begins as another
  end
  out[#out + 1] = '{ path = "/v1/chat/completions", upstream = "up" }'
  return "routes = { " .. table.concat(out, ", ") .. " },"
end

local function ratios(a, b, options, other)
  local out, base, more = {}, {}, {}
  bench.compare({ a, b }, options, 1)
  for i = 1, ROUNDS do
    local one, two = bench.cpu_per_request(a, options), bench.cpu_per_request(b, other or options)
    out[i], base[i], more[i] = two / one, one, two
  end
  return bench.median(base), bench.median(more)
end

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = 16 })
  local upstreams = "upstreams = { up = { url = \"@UPSTREAM@\" } },\n"
  local one = bench.perilune(upstreams .. routes(0), { UPSTREAM = up.url })
  local many = bench.perilune(upstreams .. routes(ROUTES), { UPSTREAM = up.url })
  local options = { body = bench.file(dir, "body", bench.chat(300)), conns = 10, dir = dir, requests = REQUESTS }

  local few, all = ratios(one, many, options)
  bench.figure(("%d routes (anchor: 1)"):format(ROUTES + 1), all, "us/req", few, 1.03, true)

  local crowd = {}
  for k, v in pairs(options) do crowd[k] = v end
  crowd.conns = MANY
  local nginx, why = anchor.plain(dir, up)
  if nginx then
    bench.defer(nginx.stop)
    few, all = ratios(nginx, nginx, options, crowd)
    bench.note("nginx: %.2f us with 10 connections, %.2f with %d, %.2fx", few, all, MANY, all / few)
  else
    bench.note("no nginx beside it: %s", why)
  end
  few, all = ratios(one, one, options, crowd)
  bench.figure(("%d connections (anchor: 10)"):format(MANY), all, "us/req", few, 1.4, true)
end)

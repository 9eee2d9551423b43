-- start.lua -- from exec to the first answer.
--
--   luajit tests/bench/start.lua        milliseconds, median of 11 starts, 2 workers

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local loop = require "support.loop"
local net = require "support.net"
local proc = require "support.proc"
local http = require "support.http"
local server = require "support.server"

local STARTS = 11

local CONFIG = [[
return { listen = "127.0.0.1:@PORT@", workers = 2,
  upstreams = { up = { url = "@UPSTREAM@" } },
  routes = { { path = "/v1/chat/completions", policies = {
    { "route", small = "up", big = "up", small_below_tokens = 400 } } } } }
]]

local function first_answer(dir, up)
  local port = net.free_port()
  local path = bench.file(dir, "perilune.lua", server.fill(CONFIG, { PORT = port, UPSTREAM = up.url }))
  local started = loop.now()
  local p = proc.spawn({ server.binary(), "serve", path }, { output = dir .. "/log" })
  bench.defer(function() p:stop() end)
  while loop.now() - started < 5 do
    local r = http.chat(port, nil, nil, 1)
    if r and r.status == 200 then
      local ms = (loop.now() - started) * 1000
      p:stop()
      return ms
    end
    loop.pause(0.0005)
  end
  error("no answer within 5 s: " .. p:text(), 0)
end

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = 1 })
  local times = {}
  for i = 1, STARTS do times[i] = first_answer(dir, up) end
  bench.figure("start to first answer, 2 workers", bench.median(times), "ms", nil, 50)
end)

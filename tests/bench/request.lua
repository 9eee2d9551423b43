-- request.lua -- what a request of the program itself costs, without HTTP.
--
--   luajit tests/bench/request.lua      CPU microseconds per request: 32 at once, one at a time
--
-- A policy that does nothing, and one behind it that makes the answer in the process.  The anchor is the same
-- request through the same policies over HTTP on loopback, 32 connections.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"

local ROUNDS, REQUESTS = 5, 20000

local CONFIG = [[
upstreams = { up = { url = "http://127.0.0.1:9/v1" } },
routes = { { path = "/v1/chat/completions", policies = {
  function(req, next) return next(req) end,
  (function()
    local perilune = require "perilune"
    return function() return perilune.respond{ text = "The answer." } end
  end)() } } },]]

local function inside(config, body, at_once)
  local command = ("build/release/bench_request %s %s %d %d"):format(config, body, 5 * REQUESTS, at_once)
  local p = io.popen(command)
  local us, failed = (p:read("*l") or ""):match("^(%S+) (%d+)$")
  p:close()
  if not us then error(command .. " failed", 0) end
  if failed ~= "0" then bench.note("%s requests failed", failed) end
  return tonumber(us)
end

bench.run(function()
  bench.build("build/release/bench_request")
  local dir = bench.folder()
  local served = bench.perilune(CONFIG, {})
  for _, stream in ipairs({ false, true }) do
    local body = bench.file(dir, stream and "stream" or "whole", bench.chat(300, stream))
    local config = bench.file(dir, "perilune.lua", "return {\n" .. CONFIG .. "\nlog = { access = false } }\n")
    local options = { body = body, conns = 32, dir = dir, requests = REQUESTS, stream = stream }
    local over_http, many, one = {}, {}, {}
    for i = 1, ROUNDS do
      over_http[i] = bench.cpu_per_request(served, options)
      many[i], one[i] = inside(config, body, 32), inside(config, body, 1)
    end
    local what = stream and "streamed" or "whole"
    bench.figure(("request without HTTP, %s (anchor: over HTTP)"):format(what), bench.median(many), "us/req",
      bench.median(over_http), not stream and 4.0 or nil)
    bench.figure(("the same, one at a time, %s"):format(what), bench.median(one), "us/req", bench.median(over_http))
  end
end)

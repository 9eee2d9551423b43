-- reloads_memory.lua -- a thousand reloads, and memory stays where it was.
--
--   luajit tests/bench/reloads_memory.lua

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local proc = require "support.proc"
local http = require "support.http"

local RELOADS, WARM_UP, MAY_GROW_KB = 1000, 100, 2048

local CONFIG = [[
workers = 2,
upstreams = { up = { url = "@UPSTREAM@" } },
routes = { { path = "/v1/chat/completions", policies = {
  { "route", small = "up", big = "up" }, { "fallback", upstreams = { "up" } },
  function(req, next) return next(req) end } } },]]

bench.run(function()
  local up = bench.upstream(bench.folder(), { tokens = 1 })
  local ours = bench.perilune(CONFIG, { UPSTREAM = up.url })
  local before
  for i = 1, RELOADS do
    local r = ours.server:reload(10)
    if not r or r.status ~= 200 then error("reload: " .. (r and r.body or "no answer"), 0) end
    local answer = http.chat(ours.port)
    if not answer or answer.status ~= 200 then error("a request failed", 0) end
    if i == WARM_UP then before = proc.rss_kb(ours.pid) end
  end
  local after = proc.rss_kb(ours.pid)
  bench.note("%.1f MB after %d reloads, %.1f MB after %d", before / 1024, WARM_UP, after / 1024, RELOADS)
  bench.figure(("memory grown over %d reloads"):format(RELOADS - WARM_UP), after - before, "KB", nil, MAY_GROW_KB)
end)

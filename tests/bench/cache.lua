-- cache.lua -- what an answer out of the exact cache costs, and what an entry does.
--
--   luajit tests/bench/cache.lua     CPU microseconds per request, chats of 0.3 and 31.5 KB, whole and streamed;
--                                    bytes an entry takes besides its own, with 100,000 and 1,000,000 of them
--
-- The anchor is nginx with the same decision in Lua: the question's MD5, a shared dictionary, the answer.
-- It compares bytes; cache_exact reads the question, so that white space and the order of members do not
-- count.  One worker each, keep-alive, 32 connections, all requests hits: what the upstream got is checked.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local anchor = require "bench.anchor"

local files = require "support.files"

local BARS = { [300] = 1.2, [31500] = 0.35 }

local CONFIG = [[
  upstreams = { up = { url = "@UPSTREAM@" } },
  routes = { { path = "/v1/chat/completions", policies = { { "cache_exact", ttl = 3600 } } } },]]

local function memory(entries)
  local heap, rss, us = files.lines("build/release/bench_cache_memory " .. entries)():match("(%S+) (%S+) (%S+)")
  bench.figure(("an entry besides its bytes, of %d, heap"):format(entries), tonumber(heap), "bytes", nil, 120)
  bench.figure(("an entry besides its bytes, of %d, RSS"):format(entries), tonumber(rss), "bytes", nil, 120)
  bench.figure(("an entry is stored, of %d"):format(entries), tonumber(us), "us CPU")
end

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = 16 })
  local nginx, why = anchor.cache(dir, up)
  if nginx then bench.defer(nginx.stop) else bench.note("no anchor: %s", why) end
  local ours = bench.perilune(CONFIG, { UPSTREAM = up.url })
  for _, size in ipairs({ 300, 31500 }) do
    local options = { body = bench.file(dir, size .. ".json", bench.chat(size)), conns = 32, dir = dir,
                      requests = size == 300 and 60000 or 20000 }
    local cpu = bench.compare({ ours, nginx }, options, 3)
    bench.figure(("%.1f KB chat, hit (anchor nginx+lua)"):format(size / 1000), cpu[1], "us/req", cpu[2], BARS[size], true)
    options.body, options.stream = bench.file(dir, size .. ".stream.json", bench.chat(size, true)), true
    bench.figure(("%.1f KB chat, hit, streamed"):format(size / 1000), bench.compare({ ours }, options, 3)[1], "us/req")
  end
  local misses = bench.metric(ours, "perilune_cache_lookups_miss_total")
  if misses > 4 * 32 then bench.note("%d of the look-ups found nothing: these are no figures of hits", misses) end
  bench.build("build/release/bench_cache_memory")
  for _, entries in ipairs({ 100000, 1000000 }) do memory(entries) end
end)

-- index.lua -- the nearest of many vectors: how long a search takes, and whether it finds it.
--
--   luajit tests/bench/index.lua
--
-- Without an embedding.  The bars are those of a lookup with one, of 128 numbers, as the built-in one is to be; hnswlib, a graph of neighbours, was measured
-- once on a machine of this kind: 98 us at 100,000.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"

local PROGRAM = "build/release/bench_index"

lib.run(function()
  lib.build(PROGRAM)
  for _, case in ipairs{ { 128, 10000, 150 }, { 128, 100000, 500 }, { 384, 10000 }, { 384, 100000 } } do
    local dims, count, bar = unpack(case)
    for line in files.lines(("%s %d %d"):format(PROGRAM, dims, count)) do
      local add, take, search, was, is, bytes, kernel = line:match("(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%S+)")
      local what = ("%d x %d (%s)"):format(count, dims, kernel)
      lib.figure("search " .. what, search / 1000, "us", nil, bar)
      lib.figure("  add", add / 1000, "us", nil, bar and 5)
      lib.figure("  remove", take / 1000, "us", nil, 5)
      lib.figure("  not found, of 1000; then after turnover", 1000 - was, "", nil)
      lib.figure("  after turnover", 1000 - is, "", nil, 10)
      lib.figure("  bytes a vector", tonumber(bytes), "", nil)
    end
  end
end)

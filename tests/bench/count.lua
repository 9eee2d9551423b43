-- count.lua -- counting a 64 KB conversation again: what is old is looked up, what is new
-- is tokenized.  The bar is for the old part: the whole less the new message alone.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"

local PROGRAM = "build/release/bench_count"

lib.run(function()
  lib.build(PROGRAM)
  local path = lib.folder() .. "/text"
  os.execute("cat README.md */README.md */*/README.md core/*/*.c > '" .. path .. "'")
  for line in files.lines(PROGRAM .. " '" .. path .. "'") do
    local size, messages, _, first, again, grown, alone = line:match("(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)")
    local what = ("%s messages of %s bytes"):format(messages, size)
    lib.figure("count 64 KB again, " .. what, again / 1000, "us", nil, 10)
    lib.figure("  with a new message, less that message", (grown - alone) / 1000, "us", nil, 10)
    lib.figure("  the new message", alone / 1000, "us")
    lib.figure("  for the first time", first / 1000, "us")
  end
end)

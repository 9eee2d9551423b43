-- library.lua -- what the library costs the program that it is added to: memory and start.
--
--   luajit tests/bench/library.lua
--
-- The library needs libraries of the distribution (libcurl alone brings twenty more), and what they cost is said apart: a
-- program that calls models mostly has them already.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"

local STARTS = 11
local OTHERS = { curl = true, ssl = true, crypto = true, luajit = true, uv = true, sqlite3 = true, hiredis = true, zstd = true,
                 z = true }

--- What libperilune.so names as needed, by file name.
local function needed(library)
  local out = {}
  for line in files.lines("readelf -d " .. library) do
    local file, name = line:match("%(NEEDED%).*%[(lib([%w]+)[^%]]*)%]")
    if name and (OTHERS[name] or name:find("^hiredis")) then out[#out + 1] = file end
  end
  return table.concat(out, " ")
end

--- Name -> median of the starts.
local function measure(command)
  local seen, out = {}, {}
  for _ = 1, STARTS do
    for line in files.lines(command) do
      local name, value = line:match("^(%S+) (%S+)$")
      seen[name] = seen[name] or {}
      table.insert(seen[name], tonumber(value))
    end
  end
  for name, values in pairs(seen) do out[name] = bench.median(values) end
  assert(out.resident, "it did not start: " .. command)
  return out
end

bench.run(function()
  local dir = bench.folder()
  bench.build("build/libperilune.so")
  local cc = ("cc -O2 -D_GNU_SOURCE -Icore -o %s/library tests/bench/library.c -ldl"):format(dir)
  if os.execute(cc) ~= 0 then error("cannot build tests/bench/library.c", 0) end
  local command = dir .. "/library build/libperilune.so "
  local added, alone = measure(command .. needed "build/libperilune.so"), measure(command)
  bench.figure("library: resident memory that it adds", added.resident, "MB", nil, 8)
  bench.figure("library: of that, nobody else could share", added.own, "MB", nil, 8)
  bench.figure("library: perilune_open(), CPU", added.open, "ms", nil, 5)
  bench.figure("library: dlopen(), CPU", added.load, "ms")
  bench.figure("library: dlopen() to the first answer, CPU", added.answered, "ms")
  bench.note("with all libraries of the distribution that it needs: %.1f MB resident, %.1f of it one's own; dlopen() %.1f ms",
    alone.resident, alone.own, alone.load)
end)

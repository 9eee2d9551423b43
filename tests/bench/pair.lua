-- pair.lua -- do two questions ask the same: what the pair model finds when it may be wrong so often.
--
--   luajit tests/bench/pair.lua
--
-- LCQMC's development set (Harbin Institute of Technology, research use), which is not of this project: LCQMC names the
-- file, else it is looked for as ../shared/data/lcqmc_dev.tsv.  Its pairs of label 0 are traps, about the same thing
-- or in nearly the same words.  A figure is the share of label 1 that is missed, so that less is better, when at
-- most so many of label 0 are taken for the same:
--
--   shipped      the model inside the program, steadied (core/semantic/steady.c); it has learned nothing of these questions
--   alone        the same, not steadied
--   calibrated   each fifth by what the other four taught, connected questions together
--   vectors      the same, with another embedder: PAIR_VECTORS (rows of 32-bit floats) and PAIR_TEXTS (a line for each)
--
-- n-grams and table: the cosines that the built-in embedder has, in the same run.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"

local PROGRAM = "build/release/bench_pair"
local BARS = { shipped = { [10] = 88 }, calibrated = { [10] = 74 }, vectors = { [10] = 60 } }
local SHARES = { 5, 10, 20, 50 } -- per mille, as the program prints them

local function data()
  local path = os.getenv("LCQMC") or "../shared/data/lcqmc_dev.tsv"
  return files.read(path) and path or nil
end

local function show(name, found)
  for i, share in ipairs(SHARES) do
    local bar = (BARS[name] or {})[share]
    lib.figure(("%s: missed at %.1f %% false"):format(name, share / 10), 100 - found[i] / 10, "%", nil, bar)
  end
end

local function run(words)
  for line in files.lines(PROGRAM .. " " .. words) do
    local name, rest = line:match("^(%S+) (.*)$")
    if name == "microseconds" then
      lib.figure("microseconds a pair", tonumber(rest), "us", nil, 60)
    elseif name == "seconds" then
      lib.figure("seconds to calibrate, five folds and all", tonumber(rest), "s", nil)
    elseif name == "threshold" then
      lib.note("shipped, at its own threshold for 1 %%: %s (per mille)", rest)
    else
      local found = {}
      for n in rest:gmatch("%d+") do found[#found + 1] = tonumber(n) end
      show(name, found)
    end
  end
end

lib.run(function()
  local path = data()
  if not path then return lib.note("pair: no LCQMC here; name its development set with LCQMC=FILE") end
  lib.build(PROGRAM)
  run(("'%s' plain"):format(path))
  run(("'%s' calibrated"):format(path))
  local vectors, texts = os.getenv("PAIR_VECTORS"), os.getenv("PAIR_TEXTS")
  if vectors and texts then run(("'%s' calibrated '%s' '%s'"):format(path, vectors, texts))
  else lib.note("pair: no vectors of another embedder (PAIR_VECTORS, PAIR_TEXTS)") end
end)

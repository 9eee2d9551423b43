-- router.lua -- choosing between a small and a big model: how long it takes, and what it is worth.
--
--   luajit tests/bench/router.lua
--
-- Time: prompts of 2 KB, made up (router.c).  Worth: APGR on outcomes that are made up (tests/eval/outcomes.lua), with
-- subjects that the model has not seen, and on outcomes of others, when ROUTER_OUTCOMES names files of the lines that
-- `perilune train` reads (with spaces between them).  RouteLLM's repository has such (routellm/evals), of GPT-4 and Mixtral on
-- MMLU and GSM8K; how much of a prompt counts was tuned on every second subject of MMLU, and on GSM8K.  Nothing was tuned
-- on what is made up here.

package.path = "tests/?.lua;" .. package.path
local lib = require "bench.lib"
local files = require "support.files"
local outcomes = require "eval.outcomes"

local BIN = os.getenv("PERILUNE") or "build/perilune"

local function worth(name, path, bar)
  for line in files.lines(("%s eval '%s'"):format(BIN, path)) do
    local apgr, low, high = line:match("^APGR (%S+), 95 %% interval (%S+) to (%S+)")
    if apgr then
      lib.figure("APGR, " .. name, tonumber(apgr), "")
      lib.note("%s", line)
      if bar then lib.figure("  missing to " .. bar, math.max(0, bar - tonumber(apgr)), "", nil, 0) end
    end
  end
end

lib.run(function()
  lib.build("build/release/bench_router")
  for line in files.lines("build/release/bench_router") do
    local name, us = line:match("^(%S+) (%S+)$")
    lib.figure("classify a prompt of 2 KB, " .. name, tonumber(us), "us", nil, name:find("p99") and 20 or 10)
  end

  local folder = lib.folder()
  for seed = 11, 13 do
    local path = ("%s/%d.jsonl"):format(folder, seed)
    outcomes.write(path, { seed = seed, subjects = 40, each = 100 })
    worth(("made up, unseen subjects, seed %d"):format(seed), path, 0.60)
  end
  for path in (os.getenv("ROUTER_OUTCOMES") or ""):gmatch("%S+") do worth(path:match("[^/]+$"), path) end
end)

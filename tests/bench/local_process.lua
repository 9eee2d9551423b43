-- local_process.lua -- what a model costs more in a process of its own: tokens a second through HTTP, in and out of it.
--
--   PERILUNE_LLAMA=FOLDER PERILUNE_TEST_MODEL=FILE luajit tests/bench/local_process.lua [requests of a stream]
--
-- The load is that of local.lua: N streams, 82 tokens of prompt, 64 of answer, greedy, one thread of the model.  The
-- anchor is the same model in the gateway's process, in the same run and in turn, three rounds, medians.
--
-- Without a library or a model it says so and measures nothing.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local json = require "support.json"

local EACH, ROUNDS = tonumber(arg[1]) or 4, 3
local library, model = os.getenv("PERILUNE_LLAMA"), os.getenv("PERILUNE_TEST_MODEL")
if not library or not model then
  print("local_process: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL): nothing is measured")
  os.exit(0)
end

local CONFIG = [[
  workers = 1,
  upstreams = { small = { engine = { model = "@MODEL@", library = "@LIBRARY@", threads = 1, context = 4096,
                                     process = @PROCESS@ } } },]]

local TEXT = ("the quick brown fox jumps over the lazy dog and runs along the river "):rep(5)

local function served(target, n, body, dir)
  local r = bench.load(target.port, { body = body, conns = n, requests = n * EACH, stream = true, dir = dir })
  if r.failed > 0 then bench.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
  return r.rps * 64
end

bench.run(function()
  local dir = bench.folder()
  local inside = bench.perilune(CONFIG, { MODEL = model, LIBRARY = library, PROCESS = "false" })
  local outside = bench.perilune(CONFIG, { MODEL = model, LIBRARY = library, PROCESS = "true" })
  local body = bench.file(dir, "body.json", json.encode{ model = "small", temperature = 0, max_tokens = 64, stream = true,
    logit_bias = { ["0"] = -100, ["2"] = -100 }, messages = { { role = "user", content = "{{n}} " .. TEXT } } })
  for _, n in ipairs{ 1, 4, 8 } do
    local a, b = {}, {}
    for round = 1, ROUNDS do
      a[round], b[round] = served(inside, n, body, dir), served(outside, n, body, dir)
    end
    local here, there = bench.median(a), bench.median(b)
    bench.note("%d streams: %.1f tokens/s in a process of its own", n, there)
    bench.figure(("%d streams: in the gateway's process, over a process of its own"):format(n), here, "tok/s", there,
                 1 / 0.97, true)
  end
end)

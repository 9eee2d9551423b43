-- local.lua -- a model in this process: tokens a second through HTTP, beside the library's own loop.
--
--   PERILUNE_LLAMA=FOLDER PERILUNE_TEST_MODEL=FILE luajit tests/bench/local.lua [requests of a stream]
--
-- N streams of one prompt each (82 tokens, told apart by a number in front), greedy, 64 tokens of answer, one thread of
-- the model.  The anchor is local.c: the same library called directly, N rows in one batch, nothing around it.  Both run
-- in turn, three rounds, and medians are compared; a prompt counts as time of both.
--
-- Without a library or a model it says so and measures nothing.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local json = require "support.json"

local EACH, ROUNDS = tonumber(arg[1]) or 4, 3
local library, model = os.getenv("PERILUNE_LLAMA"), os.getenv("PERILUNE_TEST_MODEL")
if not library or not model then
  print("local: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL): nothing is measured")
  os.exit(0)
end

local CONFIG = [[
  workers = 1,
  upstreams = { small = { engine = { model = "@MODEL@", library = "@LIBRARY@", threads = 1, context = 4096 } } },]]

local TEXT = ("the quick brown fox jumps over the lazy dog and runs along the river "):rep(5)

-- Tokens of prompts, of answers, and the seconds that they took: of a direct loop.
local function direct(n)
  local out = io.popen(("build/release/bench_local '%s' '%s' %d %d"):format(library, model, n, EACH)):read("*a")
  return tonumber(out:match("([%d.]+) tokens/s")) or error("bench_local: " .. out)
end

local function served(target, n, body, dir)
  local r = bench.load(target.port, { body = body, conns = n, requests = n * EACH, stream = true, dir = dir })
  if r.failed > 0 then bench.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
  return r.rps * 64
end

local made = os.execute("make -s BUILDING=1 build/release/bench_local")
if made ~= 0 and made ~= true then error("local.c is not built") end

bench.run(function()
  local dir = bench.folder()
  local target = bench.perilune(CONFIG, { MODEL = model, LIBRARY = library })
  local body = bench.file(dir, "body.json", json.encode{ model = "small", temperature = 0, max_tokens = 64, stream = true,
    logit_bias = { ["0"] = -100, ["2"] = -100 }, messages = { { role = "user", content = "{{n}} " .. TEXT } } })
  for _, n in ipairs{ 1, 4, 8 } do
    local ours, theirs = {}, {}
    for round = 1, ROUNDS do
      ours[round], theirs[round] = served(target, n, body, dir), direct(n)
    end
    -- figure() bars say "at most": the anchor over ours.
    local mine, loop = bench.median(ours), bench.median(theirs)
    bench.note("%d streams: %.1f tokens/s through HTTP", n, mine)
    bench.figure(("%d streams: the library's own loop, over ours"):format(n), loop, "tok/s", mine, 1 / 0.95, true)
  end
end)

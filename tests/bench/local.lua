-- local.lua -- a model in this process: tokens a second through HTTP, beside the library's own loop.
--
--   PERILUNE_LLAMA=FOLDER PERILUNE_TEST_MODEL=FILE luajit tests/bench/local.lua [requests of a stream [streams]]
--
-- N streams of one prompt each (82 tokens, told apart by a number in front), greedy, 64 tokens of answer, one thread of
-- the model.  The anchor is local.c: the same library called directly, N rows in one batch, nothing around it.  Both run
-- in turn, three rounds, and medians are compared; a prompt counts as time of both.  Beside the clock stands the CPU of a
-- token, of the model's thread alone and of the direct loop: on a machine that others use, too, that is the figure.
--
-- Without a library or a model it says so and measures nothing.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"
local json = require "support.json"

local EACH, ROUNDS = tonumber(arg[1]) or 4, 3
local library, model = os.getenv("PERILUNE_LLAMA"), os.getenv("PERILUNE_TEST_MODEL")
if not library or not model then
  print("local: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL): nothing is measured")
  os.exit(0)
end

local CONFIG = [[
  workers = 1,
  upstreams = { small = { engine = { model = "@MODEL@", library = "@LIBRARY@", threads = 1, context = 4096 },
    timeouts = { headers = 280, first_token = 280 } } },]]

local TEXT = ("the quick brown fox jumps over the lazy dog and runs along the river "):rep(5)

-- Tokens a second, and milliseconds of CPU each: of a direct loop.
local function direct(n)
  local out = io.popen(("build/release/bench_local '%s' '%s' %d %d"):format(library, model, n, EACH)):read("*a")
  local rate, cpu = out:match("([%d.]+) tokens/s, ([%d.]+) ms")
  if not rate then error("bench_local: " .. out) end
  return tonumber(rate), tonumber(cpu)
end

-- Milliseconds of CPU of the thread that runs the model.
local function cpu_of_model(pid)
  for tid in io.popen("ls /proc/" .. pid .. "/task"):read("*a"):gmatch("%d+") do
    local stat = files.read(("/proc/%d/task/%s/stat"):format(pid, tid))
    if stat and stat:find("(model)", 1, true) then
      return tonumber(files.read(("/proc/%d/task/%s/schedstat"):format(pid, tid)):match("%d+")) / 1e6
    end
  end
  error("no thread runs a model")
end

local function served(target, n, body, dir)
  local before = cpu_of_model(target.pid)
  local r = bench.load(target.port, { body = body, conns = n, requests = n * EACH, stream = true, dir = dir, timeout = 280 })
  if r.failed > 0 then bench.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
  return r.rps * 64, (cpu_of_model(target.pid) - before) / (n * EACH * 64)
end

bench.build("build/release/bench_local")

bench.run(function()
  local dir = bench.folder()
  local target = bench.perilune(CONFIG, { MODEL = model, LIBRARY = library })
  local body = bench.file(dir, "body.json", json.encode{ model = "small", temperature = 0, max_tokens = 64, stream = true,
    logit_bias = { ["0"] = -100, ["2"] = -100 }, messages = { { role = "user", content = "{{n}} " .. TEXT } } })
  for _, n in ipairs(arg[2] and { tonumber(arg[2]) } or { 1, 4, 8 }) do
    local ours, theirs, our_cpu, their_cpu = {}, {}, {}, {}
    for round = 1, ROUNDS do
      ours[round], our_cpu[round] = served(target, n, body, dir)
      theirs[round], their_cpu[round] = direct(n)
    end
    -- figure() bars say "at most": the anchor over ours.
    local mine, loop = bench.median(ours), bench.median(theirs)
    bench.note("%d streams: %.1f tokens/s through HTTP", n, mine)
    bench.figure(("%d streams: the library's own loop, over ours"):format(n), loop, "tok/s", mine, 1 / 0.95, true)
    bench.figure(("%d streams: CPU of a token, the model's thread"):format(n), bench.median(our_cpu), "ms",
                 bench.median(their_cpu), 1 / 0.95, true)
  end
end)

-- local.lua -- a model in this process: tokens a second through HTTP, beside the library's own loop.
--
--   PERILUNE_LLAMA=FOLDER PERILUNE_TEST_MODEL=FILE luajit tests/bench/local.lua [requests of a stream [streams]]
--
-- N streams of one prompt each (some 80 tokens behind what the template begins with, told apart by round and number in
-- front), greedy, 64 tokens of answer, one thread of the model.  No prompt comes twice: one that did would be read out of
-- the rows that are kept, and the anchor reads all of its own.  The anchor is local.c: the same library called directly,
-- N rows in one batch, nothing around it.  Both run in turn, three rounds, and medians are compared; a prompt counts as
-- time of both.  Beside the clock stands the CPU of a token, of the model's thread alone and of the direct loop: on a
-- machine that others use, too, that is the figure.
--
-- PERILUNE_LLAMA_SERVER: llama.cpp's own server (a program, or a script that becomes it with the libraries it needs).  It
-- answers the same prompts in turn, over HTTP, too: one slot for each stream, one thread, and without its cache of
-- prompts, which would read a round's beginning out of the one before (cache_prompt = false, no memory for idle slots).
-- Only a server of the same release is a yardstick: processor kernels differ more from one build to the next than all
-- that stands around them, so its version is told.
--
-- Without a library or a model it says so and measures nothing.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"
local json = require "support.json"
local loop = require "support.loop"
local http = require "support.http"
local net = require "support.net"
local proc = require "support.proc"

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

local PEER = os.getenv("PERILUNE_LLAMA_SERVER")
local PEER_BARS = { [1] = 1, [4] = 1 / 1.05, [8] = 1 / 1.1 }

-- Each slot has a context of its own: 512 tokens, where a stream takes some 170.
local function start_peer(dir, n)
  local port = net.free_port()
  local p = proc.spawn({ PEER, "-m", model, "--host", "127.0.0.1", "--port", tostring(port), "-c", tostring(512 * n),
                         "-np", tostring(n), "-t", "1", "-tb", "1", "-cram", "0", "--offline" },
                       { output = ("%s/peer-%d.log"):format(dir, n) })
  bench.defer(function() p:stop() end)
  local up = loop.until_true(60, function()
    local r = p:alive() and http.get(port, "/health", 2)
    return r and r.status == 200
  end)
  if not up then error("PERILUNE_LLAMA_SERVER did not start: " .. p:text():sub(-500), 0) end
  return { port = port, pid = p.pid, proc = p }
end

-- Tokens a second; nil: an answer failed, and what the others took says nothing of it.
local function peer_rate(peer, n, body, dir)
  local r = bench.load(peer.port, { body = body, conns = n, requests = n * EACH, stream = true, dir = dir, timeout = 280 })
  if r.failed == 0 and r.tokens == n * EACH * 64 then return r.rps * 64 end
  bench.note("llama-server: %d of %d requests failed (%s), %d tokens", r.failed, r.done, r.errors, r.tokens)
end

local function compare_peer(n, mine, theirs)
  if not PEER then return bench.note("%d streams: no llama-server (PERILUNE_LLAMA_SERVER): not compared with it", n) end
  if #theirs < ROUNDS then return bench.note("%d streams: not compared with llama-server: answers of it failed", n) end
  bench.figure(("%d streams: llama-server, over ours"):format(n), bench.median(theirs), "tok/s", mine,
               PEER_BARS[n] or 1, true)
end

if PEER then
  local version = io.popen("'" .. PEER .. "' --version 2>&1"):read("*a"):match("version: ([^\n]*)")
  bench.note("llama-server %s", version or "does not tell its version")
end

bench.build("build/release/bench_local")

bench.run(function()
  local dir = bench.folder()
  local target = bench.perilune(CONFIG, { MODEL = model, LIBRARY = library })
  local function body(n, round)
    return bench.file(dir, ("body-%d-%d.json"):format(n, round), json.encode{ model = "small", temperature = 0,
      max_tokens = 64, stream = true, logit_bias = { ["0"] = -100, ["2"] = -100 }, cache_prompt = false,
      messages = { { role = "user", content = ("%d %d {{n}} %s"):format(n, round, TEXT) } } })
  end
  for _, n in ipairs(arg[2] and { tonumber(arg[2]) } or { 1, 4, 8 }) do
    local ours, theirs, our_cpu, their_cpu, peers = {}, {}, {}, {}, {}
    local peer = PEER and start_peer(dir, n)
    for round = 1, ROUNDS do
      ours[round], our_cpu[round] = served(target, n, body(n, round), dir)
      theirs[round], their_cpu[round] = direct(n)
      if peer then peers[#peers + 1] = peer_rate(peer, n, body(n, round), dir) end
    end
    if peer then peer.proc:stop() end
    -- figure() bars say "at most": the anchor over ours.
    local mine, bare = bench.median(ours), bench.median(theirs)
    bench.note("%d streams: %.1f tokens/s through HTTP", n, mine)
    bench.figure(("%d streams: the library's own loop, over ours"):format(n), bare, "tok/s", mine, 1 / 0.95, true)
    bench.figure(("%d streams: CPU of a token, the model's thread"):format(n), bench.median(our_cpu), "ms",
                 bench.median(their_cpu), 1 / 0.95, true)
    compare_peer(n, mine, peers)
  end
end)

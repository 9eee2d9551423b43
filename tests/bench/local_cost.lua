-- local_cost.lua -- what an answer of a local model costs beside the model: CPU of a request and of a token, memory, and
-- how soon the room of who leaves is somebody else's.
--
--   luajit tests/bench/local_cost.lua [requests]
--
-- The model is nothing (engine.c): its step sleeps, so tokens come one after another, and what is spent is Perilune's.
-- Counted apart are the worker's thread (reading the request, events of the answer, the socket) and the model's thread
-- (queue, batch, sampler; in this run also a round trip to the engine's process for every step).  The bar is on both.
--
-- The anchor is the same stream, from a simulated upstream over HTTP, through the same gateway in the same run: as many
-- tokens, as far apart.  What is below both is told beside them (wake.c): a thread that is woken, reads its bell and
-- sends a frame, and does nothing else.
--
-- What was found: with one stream a token is one wake-up, one read of the bell and one write, and two thirds of its cost
-- are the kernel's; the bar of 10 us is below what wake.c takes on a virtual machine.  Streams that are answered in one
-- step share the wake-up and the read; then six tenths of a token are its write (perf), which on the loopback is the
-- receiving of it, too, and that alone is some 10 us.  What is left is spread over forty functions, none above 2 %.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"
local http = require "support.http"
local net = require "support.net"
local loop = require "support.loop"
local json = require "support.json"

local MANY, ROUNDS, TOKENS = tonumber(arg[1]) or 300, 3, 64
local STEP_US, SLOW_US = 4000, 50000

local CONFIG = [[
  workers = 1,
  upstreams = {
    nothing = { engine = { model = "@MODEL@", process = true, program = "@PROGRAM@", context = 65536, sequences = 8 } },
    at_once = { engine = { model = "@SOON@", process = true, program = "@PROGRAM@", context = 65536, sequences = 8 } },
    slow    = { engine = { model = "@SLOW@", process = true, program = "@PROGRAM@", context = 65536, sequences = 1 } },
    far     = { url = "@FAR@" },
  },]]

-- CPU microseconds of the threads of a process, by name.
local function cpu_by_name(pid)
  local sum = {}
  for tid in io.popen("ls /proc/" .. pid .. "/task"):read("*a"):gmatch("%d+") do
    local stat = files.read(("/proc/%d/task/%s/stat"):format(pid, tid))
    local run = files.read(("/proc/%d/task/%s/schedstat"):format(pid, tid))
    local name = stat and stat:match("%((.-)%)")
    if name and run then sum[name] = (sum[name] or 0) + tonumber(run:match("%d+")) / 1000 end
  end
  return sum
end

local function body(dir, model, tokens)
  return bench.file(dir, model .. tokens .. ".json", json.encode{ model = model, temperature = 0, max_tokens = tokens,
    stream = true, messages = { { role = "user", content = "Hi" } } })
end

-- Microseconds a request: of the model's thread, and of all others.
local function cost(target, dir, model, tokens, conns)
  local of_model, of_rest = {}, {}
  local n = tokens == 1 and MANY or math.max(4 * conns, math.floor(MANY / 10))
  for round = 1, ROUNDS do
    local before = cpu_by_name(target.pid)
    local r = bench.load(target.port, { body = body(dir, model, tokens), conns = conns, requests = n, stream = true, dir = dir })
    if r.failed > 0 then bench.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
    local after, rest = cpu_by_name(target.pid), 0
    for name, us in pairs(after) do if name ~= "model" then rest = rest + us - (before[name] or 0) end end
    of_model[round], of_rest[round] = ((after.model or 0) - (before.model or 0)) / n, rest / n
  end
  return bench.median(of_model), bench.median(of_rest)
end

local function least()
  local all = {}
  for round = 1, ROUNDS do
    local out = io.popen(("build/release/bench_wake %d 400"):format(STEP_US)):read("*a")
    all[round] = tonumber(out:match("([%d.]+) us")) or error("bench_wake: " .. out)
  end
  return bench.median(all)
end

local function compare(target, sims, dir, conns)
  local few_model, few = cost(target, dir, "nothing", 1, conns)
  local many_model, many = cost(target, dir, "nothing", TOKENS + 1, conns)
  local _, far_few = cost(sims.one, dir, "far", 1, conns)
  local _, far_many = cost(sims.many, dir, "far", TOKENS + 1, conns)
  local token, far = (many - few) / TOKENS, (far_many - far_few) / TOKENS
  local token_model = (many_model - few_model) / TOKENS
  bench.note("%d at once: the model's thread takes %.1f us a request and %.1f us a token more", conns,
             few_model - token_model, token_model)
  bench.note("woken, and a frame sent, and nothing else: %.1f us", least())
  bench.figure(("%d at once: CPU of a request"):format(conns), few - token, "us", far_few - far, 60)
  bench.figure(("%d at once: CPU of a token"):format(conns), token, "us", far, 10)
end

-- Memory of its own: pages of files (the program's code) come and go as the kernel likes.
local function own_mb(pid)
  return tonumber((files.read("/proc/" .. pid .. "/status") or ""):match("RssAnon:%s*(%d+)")) / 1024
end

-- Texts with as many words as the tokenizer's cache has places.
local function fill_cache(target, model)
  local word = 0
  for _ = 1, 200 do
    local words = {}
    for i = 1, 700 do
      word = word + 1
      local n = word
      words[i] = ("abcd"):gsub(".", function()
        local letter = string.char(97 + n % 26)
        n = math.floor(n / 26)
        return letter
      end)
    end
    local r = assert(http.chat(target.port, { model = model, max_tokens = 1,
      messages = json.array{ { role = "user", content = table.concat(words, " ") } } }, nil, 60))
    if r.status ~= 200 then error("a text of 700 words got " .. r.status .. ": " .. r.body) end
  end
end

-- Each prompt is another one, so rows, prefixes and their tables are gone through, too.  What grew here once was the
-- tokenizer's cache of words (3.6 MB a worker): a table of fixed size, whose pages are touched as words come that are
-- new.  So it is filled first.
local function growth(target, dir, model)
  local each = bench.file(dir, "each-" .. model .. ".json", json.encode{ model = model, max_tokens = 4, stream = true,
    messages = { { role = "user", content = "{{n}} is the number of this request" } } })
  fill_cache(target, model)
  local at = {}
  for i, n in ipairs{ 1000, 9000, 10000 } do
    local r = bench.load(target.port, { body = each, conns = 8, requests = n, stream = true, dir = dir })
    if r.failed > 0 then bench.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
    at[i] = own_mb(target.pid)
  end
  bench.note("%s: %.2f MB after 1,000 requests, %.2f after 10,000, %.2f after 20,000", model, at[1], at[2], at[3])
  return at
end

-- There is room for one answer.  A client leaves in the middle of it, and another one waits: how many steps until that one
-- has its first token?  One of them brings the token; what is more is the rest of the step under way, after which the room
-- is free.
local function leaving(target)
  local function asks()
    local conn = assert(net.connect(target.port))
    conn:send(http.format("POST", "/v1/chat/completions", { ["content-type"] = "application/json" }, json.encode{
      model = "slow", max_tokens = 500, stream = true, messages = { { role = "user", content = "Hi" } } }))
    return conn
  end
  local steps = {}
  for i = 1, 15 do
    local first = asks()
    assert(first:take_until('"delta":{"content":"'), "no token")
    local second = asks()
    loop.pause(0.12 + 0.0033 * i) -- anywhere in a step
    local left = loop.now()
    first:close()
    assert(second:take_until('"delta":{"content":"', 5), "no token for who waits")
    steps[i] = (loop.now() - left) / (SLOW_US / 1e6) - 1
    second:close()
    loop.pause(0.2)
  end
  table.sort(steps)
  bench.note("from leaving to the next one's step: %.2f steps at least, %.2f at most", steps[1], steps[#steps])
  bench.figure("until the room of who leaves is another's", bench.median(steps), "steps", nil, 1)
end

local function memory(local_target, far_target, dir)
  local ours, theirs = growth(local_target, dir, "at_once"), growth(far_target, dir, "far")
  bench.figure("memory after 10,000 requests", ours[2], "MB", theirs[2], 1.1, true)
  bench.figure("memory after 20,000 requests, over that after 10,000", ours[3], "MB", ours[2], 1.03, true)
end

bench.build("build/release/bench_engine build/release/bench_wake")

bench.run(function()
  local dir = bench.folder()
  local vars = { PROGRAM = bench.here("build/release/bench_engine"), MODEL = bench.file(dir, "steps-" .. STEP_US, "x"),
                 SOON = bench.file(dir, "steps-0", "x"),
                 SLOW = bench.file(dir, "steps-" .. SLOW_US, "x") }
  local function served(tokens)
    local sim = bench.upstream(dir, { tokens = tokens, itl_ms = STEP_US / 1000 })
    vars.FAR = sim.url
    return bench.perilune(CONFIG, vars)
  end
  local sims = { one = served(1), many = served(TOKENS + 1) }
  for _, conns in ipairs{ 1, 8 } do compare(sims.many, sims, dir, conns) end
  leaving(sims.one)
  memory(served(4), served(4), dir)
end)

-- local_rows.lua -- a model in this process: first tokens, embeddings, what all but the model costs, memory.
--
--   PERILUNE_LLAMA=FOLDER PERILUNE_TEST_MODEL=FILE [PERILUNE_TEST_EMBEDDER=FILE] luajit tests/bench/local_rows.lua [requests]
--
-- The anchors are the same process, asked in another way in turn: prompts that share nothing, one request at a time.
-- What all but the model costs is the process's CPU time without that of the thread called "model".
--
-- What was found (SmolLM2-135M, one thread): a short prompt beside one of 4,000 tokens waits 1.2 steps.
--
-- Without a library or a model it says so and measures nothing.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"
local http = require "support.http"
local json = require "support.json"

local MANY, ROUNDS = tonumber(arg[1]) or 200, 3
local library, model, embedder = os.getenv("PERILUNE_LLAMA"), os.getenv("PERILUNE_TEST_MODEL"), os.getenv("PERILUNE_TEST_EMBEDDER")
if not library or not model then
  print("local_rows: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL): nothing is measured")
  os.exit(0)
end

local CONFIG = [[
  workers = 1,
  upstreams = {
    small = { engine = { model = "@MODEL@", library = "@LIBRARY@", threads = 1, context = 8192 },
              timeouts = { headers = 280, first_token = 280 } },@EMBED@
  },]]
local EMBED = [[ vectors = { engine = { model = "@EMBEDDER@", library = "@LIBRARY@", threads = 1 } },]]

local WORDS = "the quick brown fox jumps over the lazy dog and runs along the river "
local serial = 0

local function chat(dir, text, tokens)
  serial = serial + 1
  return bench.file(dir, "body" .. serial .. ".json", json.encode{ model = "small", temperature = 0, max_tokens = tokens,
    stream = true, logit_bias = { ["0"] = -100, ["2"] = -100 }, messages = { { role = "user", content = text } } })
end

-- CPU microseconds of the process's threads but those of models.
local function cpu_of_others(pid)
  local sum = 0
  local list = io.popen("ls /proc/" .. pid .. "/task"):read("*a")
  for tid in list:gmatch("%d+") do
    local stat = files.read(("/proc/%d/task/%s/stat"):format(pid, tid))
    local run = files.read(("/proc/%d/task/%s/schedstat"):format(pid, tid))
    if stat and run and not stat:find("(model)", 1, true) then sum = sum + tonumber(run:match("%d+")) / 1000 end
  end
  return sum
end

local function resident_kb(pid) return tonumber((files.read("/proc/" .. pid .. "/status") or ""):match("VmRSS:%s*(%d+)")) end

local function load(target, o)
  local r = bench.load(target.port, o)
  if r.failed > 0 then bench.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
  return r
end

-- A counter of the model, over all its labels.
local function counter(target, name)
  local r = assert(http.get(target.server.admin, "/metrics", 10))
  return tonumber(r.body:match("\n" .. name .. "{[^\n]*} (%d+)")) or error("no counter " .. name)
end

-- What eight first tokens cost is counted in prompts that were computed: 1 when seven find what the first one brought.
local function first_tokens(target, dir)
  local ratio, took, apart = {}, {}, {}
  for round = 1, ROUNDS do
    -- {{n}} is the request's number: in front it parts the prompts, behind it does not.
    local long = ("%d %s"):format(round, WORDS:rep(70))
    local function run(text)
      local before = counter(target, "perilune_engine_stepped_tokens_total")
      local asked = counter(target, "perilune_engine_prompt_tokens_total")
      local r = load(target, { body = chat(dir, text, 1), conns = 8, requests = 8, stream = true, dir = dir, timeout = 280 })
      local each = (counter(target, "perilune_engine_prompt_tokens_total") - asked) / 8
      bench.note("8 prompts of %.0f tokens: the last one's first token after %.0f ms", each, r.max / 1000)
      return r.max / 1000, (counter(target, "perilune_engine_stepped_tokens_total") - before) / each
    end
    took[round], ratio[round] = run("s" .. long .. " {{n}}?")
    apart[round] = run("{{n}} a" .. long)
  end
  bench.figure("8 prompts, 1,000 tokens in common: computed", bench.median(ratio), "prompts", nil, 1.1)
  bench.figure("8 first tokens, 1,000 tokens in common", bench.median(took), "ms", bench.median(apart), 0.3, true)
end

-- A step takes as long as the long prompt over the steps that there were meanwhile.
local function beside_a_long_prompt(target, dir)
  local steps = {}
  for round = 1, ROUNDS do
    local before = counter(target, "perilune_engine_steps_total")
    local both = bench.loads(target.port, {
      { body = chat(dir, round .. "x " .. WORDS:rep(280), 1), conns = 1, requests = 1, stream = true, timeout = 280 },
      { body = chat(dir, "Hello {{n}} " .. round, 1), rate = 1, requests = 5, stream = true, timeout = 280 } }, dir)
    local step = both[1].p50 / 1000 / (counter(target, "perilune_engine_steps_total") - before)
    steps[round] = both[2].p95 / 1000 / step
    bench.note("a prompt of 4,000 tokens took %.0f ms, a step %.0f ms, p95 of short ones %.0f ms", both[1].p50 / 1000, step,
               both[2].p95 / 1000)
  end
  bench.figure("p95 first token beside 4,000 tokens", bench.median(steps), "steps", nil, 2)
end

local function embeddings(target, dir)
  local body = bench.file(dir, "embed.json", json.encode{ model = "vectors", input = "query: how do I reset the password of my account {{n}}" })
  local many, one = {}, {}
  for round = 1, ROUNDS do
    many[round] = load(target, { body = body, path = "/v1/embeddings", conns = 64, requests = MANY * 2, dir = dir }).rps
    one[round] = load(target, { body = body, path = "/v1/embeddings", conns = 1, requests = MANY / 2, dir = dir }).rps
  end
  -- figure() bars say "at most": one at a time over 64 in flight.
  bench.note("embeddings: %.1f a second with 64 in flight, %.1f ms each alone", bench.median(many), 1000 / bench.median(one))
  bench.figure("embeddings, one at a time over 64 in flight", bench.median(one), "/s", bench.median(many), 1 / 1.3, true)
end

local function cost_of_the_rest(target, dir)
  local cost = {}
  for _, tokens in ipairs{ 1, 65 } do
    local all = {}
    for round = 1, ROUNDS do
      local n = tokens == 1 and MANY or math.max(8, MANY / 10)
      local before = cpu_of_others(target.pid)
      load(target, { body = chat(dir, "Hi", tokens), conns = 4, requests = n, stream = true, dir = dir })
      all[round] = (cpu_of_others(target.pid) - before) / n
    end
    cost[tokens] = bench.median(all)
  end
  local each = (cost[65] - cost[1]) / 64
  bench.figure("CPU of a request without the model", cost[1] - each, "us", nil, 60)
  bench.figure("CPU of a token without the model", each, "us", nil, 10)
end

local function memory(target, dir)
  local body = chat(dir, "{{n}}", 1)
  load(target, { body = body, conns = 8, requests = MANY, stream = true, dir = dir })
  local before = resident_kb(target.pid)
  load(target, { body = body, conns = 8, requests = MANY * 10, stream = true, dir = dir })
  local after = resident_kb(target.pid)
  bench.figure(("memory after %d requests more"):format(MANY * 10), after / 1024, "MB", before / 1024, 1.02, true)
end

bench.run(function()
  local dir = bench.folder()
  local config = CONFIG:gsub("@EMBED@", embedder and (EMBED:gsub("%%", "%%%%")) or "")
  local target = bench.perilune(config, { MODEL = model, LIBRARY = library, EMBEDDER = embedder or "" })
  if embedder then embeddings(target, dir) else bench.note("no PERILUNE_TEST_EMBEDDER: no embeddings") end
  cost_of_the_rest(target, dir)
  memory(target, dir)
  first_tokens(target, dir)
  beside_a_long_prompt(target, dir)
end)

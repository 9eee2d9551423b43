-- batch.lua -- what batch_embeddings saves, and what it costs.
--
--   luajit tests/bench/batch.lua [seconds]     2,000 questions a second (10 s); 20 a second, of which each is alone
--
-- The upstream (perilune sim) takes 20 ms for a call, whatever is in it.  The same load goes through two gateways of one
-- worker, one with the policy and one without, in turn: what is compared is the median of three rounds.  The load is an
-- open loop, so latencies count from when a question should have left.  Calls are those that the upstream got.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local http = require "support.http"
local json = require "support.json"

local SECONDS, RATE, IDLE, ROUNDS = tonumber(arg[1]) or 10, 2000, 20, 3

local CONFIG = [[
  workers = 1,
  upstreams = { up = { url = "@UPSTREAM@", model = "e" } },
  routes = { { path = "/v1/embeddings", policies = { @POLICIES@ } } },]]

local function calls(up) return json.decode(http.get(up.port, "/sim/stats", 2).body).requests end

local function load(target, up, body, rate, seconds, dir)
  local before = calls(up)
  local r = bench.load(target.port, { body = body, path = "/v1/embeddings", rate = rate, seconds = seconds, dir = dir })
  if r.failed > 0 then bench.note("%d of %d requests failed: %s", r.failed, r.done, r.errors) end
  r.calls = calls(up) - before
  return r
end

-- Of both in turn: medians of p50, p95 and calls.
local function compare(targets, ...)
  local lists = {}
  for round = 1, ROUNDS do
    for i, target in ipairs(targets) do
      local r = load(target, ...)
      lists[i] = lists[i] or { p50 = {}, p95 = {}, calls = {}, done = {} }
      for key, list in pairs(lists[i]) do list[round] = r[key] end
    end
  end
  local out = {}
  for i, list in ipairs(lists) do
    out[i] = {}
    for key, values in pairs(list) do out[i][key] = bench.median(values) end
  end
  return out[1], out[2]
end

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { delay_ms = 20 })
  local body = bench.file(dir, "body.json", json.encode{ model = "e", input = "question number {{n}} of somebody",
    dimensions = 256, encoding_format = "base64" })
  local plain = bench.perilune(CONFIG, { UPSTREAM = up.url, POLICIES = "" })
  local ours = bench.perilune(CONFIG, { UPSTREAM = up.url, POLICIES = '{ "batch_embeddings" }' })

  local busy, without = compare({ ours, plain }, up, body, RATE, SECONDS, dir)
  bench.figure(("%d questions/s: questions a call"):format(RATE), busy.done / busy.calls, "questions")
  bench.figure(("%d questions/s: calls to the upstream"):format(RATE), busy.calls, "calls", without.calls, 1 / 5, true)
  bench.figure(("%d questions/s: p50 more"):format(RATE), (busy.p50 - without.p50) / 1000, "ms")
  bench.figure(("%d questions/s: p95 more"):format(RATE), (busy.p95 - without.p95) / 1000, "ms", nil, 5)
  local idle, alone = compare({ ours, plain }, up, body, IDLE, SECONDS, dir)
  bench.figure("idle: p50 more", (idle.p50 - alone.p50) / 1000, "ms", nil, 0.1)
end)

-- decompose.lua -- a report of four sections: decompose against one call.
--
--   luajit tests/bench/decompose.lua [rounds]     of 3
--
-- Simulated models: the planner (small) begins after 150 ms and says a token every 8 ms, the writer (large) after 300 ms and
-- every 15 ms.  A section has 200 tokens, so one call writes 800.  Measured at the client, from the request to the first
-- and the last piece of text (and, with show_plan, of reasoning).  The bars: the last token comes at least 2.5 times sooner;
-- the first one not later than 1.3 times the planner's own.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local json = require "support.json"
local posix = require "support.posix"

local ROUNDS = tonumber(arg[1]) or 3
local PLAN = "1. History :: how electric cars began, when they were forgotten, and why they came back\\n"
  .. "2. Batteries :: which kinds there are, what they cost, how long they last\\n"
  .. "3. Charging :: where and how fast, and what the grid needs for that\\n"
  .. "4. Market :: who builds and who buys, and what is expected of the next years\\n"

local CONFIG = [[
  workers = 1,
  upstreams = {
    planner = { sim = { ttft_ms = 150, itl_ms = 8, text = "@PLAN@" } },
    writer = { sim = { ttft_ms = 300, itl_ms = 15, tokens = 200 } },
    one = { sim = { ttft_ms = 300, itl_ms = 15, tokens = 800 }, model = "one" },
  },
  routes = {
    { path = "/v1/chat/completions", policies = { { "decompose", planner = "planner", worker = "writer" } } },
    { path = "/shown/v1/chat/completions", strip_prefix = "/shown", policies = {
      { "decompose", planner = "planner", worker = "writer", show_plan = true } } },
    { path = "/plan/v1/chat/completions", strip_prefix = "/plan", upstream = "planner" },
    { path = "/one/v1/chat/completions", strip_prefix = "/one", upstream = "one" },
  },]]

local BODY = json.encode{ model = "one", stream = true, messages = { { role = "user",
  content = "Write a report on electric cars with sections on history, batteries, charging and the market." } } }

-- Milliseconds to the first and the last piece of text, and to the first of reasoning.
local function ask(dir, port, path)
  local body = bench.file(dir, "body.json", BODY)
  local command = ("curl -sN -H 'content-type: application/json' -d @%s http://127.0.0.1:%d%s"):format(body, port, path)
  local clock = posix.now
  local began, first, last, thought, text = clock(), nil, nil, nil, 0
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do
    local now = (clock() - began) * 1000
    if line:find('"reasoning', 1, true) then thought = thought or now end
    if line:find('"content":"[^"]') then
      first, last, text = first or now, now, text + 1
    end
  end
  pipe:close()
  assert(last, "no answer: " .. path)
  return { first = first, last = last, thought = thought, pieces = text }
end

local function measure(dir, port, path)
  local lists = { first = {}, last = {}, thought = {}, pieces = {} }
  for round = 1, ROUNDS do
    for key, value in pairs(ask(dir, port, path)) do lists[key][round] = value end
  end
  local out = {}
  for key, list in pairs(lists) do out[key] = list[1] and bench.median(list) or nil end
  return out
end

bench.run(function()
  local dir = bench.folder()
  local g = bench.perilune(CONFIG, { PLAN = PLAN })
  local one = measure(dir, g.port, "/one/v1/chat/completions")
  local plan = measure(dir, g.port, "/plan/v1/chat/completions")
  local ours = measure(dir, g.port, "/v1/chat/completions")
  local shown = measure(dir, g.port, "/shown/v1/chat/completions")
  bench.note("one call: first token %.0f ms, last %.0f ms; the planner: first %.0f ms, last %.0f ms; decompose writes %d pieces",
    one.first, one.last, plan.first, plan.last, ours.pieces)
  bench.figure("report: last token, of one call's", ours.last, "ms", one.last, 1 / 2.5, true)
  bench.figure("report: first text, of the planner's last", ours.first, "ms", plan.last, 1.3, true)
  bench.figure("report: first text, of the planner's first", ours.first, "ms", plan.first)
  bench.figure("report, show_plan: first token, of the planner's", shown.thought, "ms", plan.first, 1.3, true)
end)

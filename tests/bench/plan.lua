-- plan.lua -- what plans cost, what they save, and what goes first finds in the cache.
--
--   luajit tests/bench/plan.lua [rounds]
--
-- One gateway of one worker.  Its policies measure by the clock: a plan of eight steps that do nothing (three waves), and
-- eight branches of perilune.all that do nothing beside it; and the three pre-steps and the call of the source document,
-- each of which takes as long as it says there: as a sleep, beside the same sleeps without a plan, and as an upstream
-- (perilune sim), beside two such calls without one.  The least of all rounds counts: another process can only add to it.
-- Eight requests at once with the same 4,096 tokens in front, to an upstream that keeps beginnings of prompts as providers
-- do (prefix_cache), leave with one that goes first, and without.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"

local ROUNDS = tonumber(arg[1]) or 9
local PREFIX, BRANCHES = 4096, 8 -- tokens, requests

local CONFIG = [[
  workers = 1,
  limits = { cpu_ms = 60000, block_ms = 60000 },
  upstreams = {
    s100 = { sim = { delay_ms = 100, tokens = 1 } }, s200 = { sim = { delay_ms = 200, tokens = 1 } },
    s300 = { sim = { delay_ms = 300, tokens = 1 } }, s2000 = { sim = { delay_ms = 2000, tokens = 1 } },
    cached = { sim = { ttft_ms = 50, tokens = 4, prefix_cache = true } },
  },
  routes = {
    { path = "/overhead", policies = { function(req)
      local perilune = require "perilune"
      local function nothing() return true end
      local plan = perilune.plan{
        a = nothing, b = nothing, c = nothing,
        d = { run = nothing, after = { "a", "b" } }, e = { run = nothing, after = { "b", "c" } }, f = { run = nothing, after = { "c" } },
        g = { run = nothing, after = { "d", "e", "f" } }, h = { run = nothing, after = { "d" } },
      }
      local fns, n = {}, 500
      for i = 1, 8 do fns[i] = nothing end
      local begun = perilune.now()
      for _ = 1, n do plan:run(req) end
      local middle = perilune.now()
      for _ = 1, n do perilune.all(fns) end
      local ended = perilune.now()
      return perilune.respond{ text = ("%f %f"):format((middle - begun) / n / 8 * 1e6, (ended - middle) / n / 8 * 1e6) }
    end } },
    { path = "/steps/*", policies = { function(req)
      local perilune = require "perilune"
      local asks, plain = req.path:find("ask") ~= nil, req.path:find("plain") ~= nil
      local function step(ms)
        return function()
          if not asks then perilune.sleep(ms / 1000) return true end
          local res, err = perilune.ask{ upstream = "s" .. ms, messages = "q" }
          if not res then return nil, err end
          return res:text()
        end
      end
      local begun, ok = perilune.now(), true
      if plain then
        ok = step(300)() and step(2000)()
      else
        ok = perilune.plan{
          moderation = step(200), profile = step(100), documents = step(300),
          answer = { run = step(2000), after = { "moderation", "profile", "documents" } },
        }:run(req)
      end
      if not ok then return nil, perilune.error "a step failed" end
      return perilune.respond{ text = ("%f"):format((perilune.now() - begun) * 1000) }
    end } },
    { path = "/fan/*", policies = { function(req)
      local perilune = require "perilune"
      local text = ("%s %s"):format(req.headers["x-round"], ("beginning "):rep(2000)):sub(1, 16384)
      return perilune.compose(function(out)
        local branches = {}
        for i = 1, 8 do
          branches[i] = function()
            return perilune.ask{ upstream = "cached", stream = true, stream_options = { include_usage = true },
              warm = req.path == "/fan/warm", messages = { { role = "system", content = text }, { role = "user", content = "q" .. i } } }
          end
        end
        return out:ordered(branches)
      end)
    end } },
  },]]

local function post(target, path, headers)
  local body = json.encode{ model = "m", messages = json.array{ { role = "user", content = "hi" } } }
  local begun = loop.now()
  local r, why = http.request(target.port, "POST", path, headers, body, 30)
  if not r or r.status ~= 200 then error(path .. ": " .. tostring(r and r.body or why), 0) end
  return json.decode(r.body), (loop.now() - begun) * 1000
end

local function text_of(answer) return answer.choices[1].message.content end

bench.run(function()
  local target = bench.perilune(CONFIG, {})
  local plans, alls = {}, {}
  for i = 1, ROUNDS do
    plans[i], alls[i] = text_of(post(target, "/overhead")):match("(%S+) (%S+)")
    plans[i], alls[i] = tonumber(plans[i]), tonumber(alls[i])
  end
  bench.figure("plan of 8 steps: a step (going to 20)", bench.median(plans), "us", bench.median(alls))
  bench.figure("plan of 8 steps: a step", bench.median(plans), "us", nil, 60)
  local least = {}
  for _ = 1, math.min(ROUNDS, 5) do
    for _, way in ipairs{ "sleep", "sleep/plain", "ask", "ask/plain" } do
      least[way] = math.min(least[way] or math.huge, tonumber(text_of(post(target, "/steps/" .. way))) - 2300)
    end
  end
  bench.figure("200, 100, 300 ms at once, then 2000: more", least.sleep, "ms", least["sleep/plain"])
  bench.figure("200, 100, 300 ms at once, then 2000: more", least.sleep, "ms", nil, 5)
  bench.figure("the same with upstreams: more", least.ask, "ms", least["ask/plain"])
  for _, way in ipairs{ "warm", "cold" } do
    local cached, took = 0, 0
    for i = 1, 5 do
      local answer, ms = post(target, "/fan/" .. way, { "x-round: " .. way .. i })
      cached = cached + ((answer.usage.prompt_tokens_details or {}).cached_tokens or 0) / 5
      took = took + ms / 5
    end
    local found = 100 * cached / (BRANCHES * PREFIX)
    bench.figure(("8 with the same 4k tokens, %s: found"):format(way), found, "%")
    if way == "warm" then bench.figure("8 with the same 4k tokens, warm: not found", 100 - found, "%", nil, 13) end
    bench.figure(("8 with the same 4k tokens, %s: all"):format(way), took, "ms")
  end
end)

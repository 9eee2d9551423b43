local t = require "perilune.test"

local function within(got, least, most, what)
  t.ok(got >= least and got <= most, ("%s: %g, expected %g to %g"):format(what, got, least, most))
end

-- Calls of each upstream in so many seconds from `from` on.
local function counted(options, from, seconds)
  local first, calls = nil, {}
  table.insert(options.policies, function(req, next)
    first = first or t.clock()
    local res, err = next(req)
    local at = t.clock() - first
    if res and at >= from and at < from + seconds then calls[res.upstream] = (calls[res.upstream] or 0) + 1 end
    return res, err
  end)
  return t.simulate(options), calls
end

t.test("a member of a pool is dark for a while: nobody fails, and it gets its share back", function()
  local up = { ttft = 0.1, itl = 0, tokens = 10 }
  local dark = { ttft = 0.1, itl = 0, tokens = 10, fails = { { from = 60, to = 90 } } }
  local report, calls = counted({
    seconds = 180, seed = 3, policies = {}, upstreams = { a = dark, b = up, c = up },
    pools = { chat = { upstreams = { "a", "b", "c" }, models = { "test" } } }, traffic = { { rate = 50, stream = true } },
  }, 101, 60)
  t.ok(report.all.refused <= 0.01 * report.all.sent, "at most one in a hundred fails")
  local asked = report.upstreams.a.calls + report.upstreams.b.calls + report.upstreams.c.calls
  t.ok(asked <= 1.1 * report.all.sent, "no storm of retries")
  local all = calls.a + calls.b + calls.c
  within(calls.a / all, 0.28, 0.38, "the share of the one that is back, after ten seconds")
end)

t.test("members that fail alike: at most half of a pool rests, and retries have a budget", function()
  local up = { ttft = 0.1, itl = 0, tokens = 10, fails = { { from = 30, to = 90, status = 503 } } }
  local report = t.simulate{
    seconds = 120, seed = 2, upstreams = { a = up, b = up },
    pools = { chat = { upstreams = { "a", "b" }, models = { "test" } } }, traffic = { { rate = 20 } },
  }
  local asked = report.upstreams.a.calls + report.upstreams.b.calls
  within(asked / report.all.sent, 1, 1.3, "calls for a request")
  t.ok(report.all.failed.upstream_status > 1000, "all of the dark minute fail")
  t.ok(report.all.ok > 1000, "and none behind it")
end)

t.test("fallback over a pool and a spare, judged by the real breakers", function()
  local dark = { ttft = 0.1, itl = 0, fails = { { from = 10, to = 70, after = 0.05 } } }
  local report = t.simulate{
    seconds = 120, seed = 5, policies = { { "fallback", upstreams = { "chat", "spare" } } },
    upstreams = { a = dark, b = dark, spare = { ttft = 0.2, itl = 0 } },
    pools = { chat = { upstreams = { "a", "b" } } }, traffic = { { rate = 20, stream = true } },
  }
  t.equal(report.all.ok, report.all.sent)
  within(report.all.degraded / 20, 55, 75, "seconds in which the spare answers")
  t.ok(report.upstreams.a.calls + report.upstreams.b.calls < 20 * 60 + 800, "the pool is let alone while it rests")
end)

t.test("breaker tells clients at once, while a scout looks for the upstream", function()
  local report = t.simulate{
    seconds = 120, seed = 1, policies = { { "breaker", open = 5 } },
    upstreams = { up = { ttft = 0.1, itl = 0, fails = { { from = 20, to = 60, after = 2 } } } },
    traffic = { { rate = 10, stream = true } },
  }
  t.ok(report.all.failed.upstream_unavailable > 300, "most are told without being tried")
  t.ok(report.all.failed.upstream_unreachable < 60, "few wait in vain")
  within(report.all.ok / 10, 74, 82, "seconds in which it answers: it is found soon")
end)

t.test("hedge cuts the tail, for a share of requests that is known", function()
  local function run(policies)
    return t.simulate{
      seconds = 600, seed = 4, policies = policies, traffic = { { rate = 30, stream = true, tokens = 5 } },
      upstreams = { a = { ttft = { median = 0.1, p99 = 5 }, itl = 0 }, b = { ttft = { median = 0.1, p99 = 5 }, itl = 0 } },
      pools = { chat = { upstreams = { "a", "b" }, models = { "test" } } },
    }
  end
  local plain, hedged = run{}, run{ { "hedge", upstreams = { "a", "b" } } }
  t.equal(hedged.all.ok, hedged.all.sent)
  t.ok(hedged.all.ttft.p99 < 0.6 * plain.all.ttft.p99,
    ("p99 %g with, %g without"):format(hedged.all.ttft.p99, plain.all.ttft.p99))
  local calls = hedged.upstreams.a.calls + hedged.upstreams.b.calls
  within(calls / hedged.all.sent, 1.005, 1.035, "calls for a request")
end)

-- Conversations: each turn has all before it.
local function conversations(count)
  local document, turns = ("a document that is long enough for a few blocks. "):rep(80), {}
  return function(i)
    local who = i % count + 1
    local turn = (turns[who] or 0) % 6 + 1
    turns[who] = turn
    local messages = { { role = "system", content = ("%d, %d: %s"):format(who, math.floor(i / (6 * count)), document) } }
    for k = 1, turn do messages[#messages + 1] = { role = "user", content = ("question %d "):format(k):rep(20) } end
    return { messages = messages }
  end
end

t.test("prefix affinity finds prompts where they are remembered, and keeps the load even", function()
  local function run(choose)
    local upstreams, members = {}, {}
    for i = 1, 8 do
      upstreams["e" .. i] = { ttft = 0.02, itl = 0.002, tokens = 20, prefill = 0.0005, remembers = 200, slots = 16 }
      members[i] = "e" .. i
    end
    local report = t.simulate{
      seconds = 120, seed = 6, upstreams = upstreams, pools = { chat = { upstreams = members, choose = choose, models = { "test" } } },
      traffic = { { rate = 40, prompt_tokens = 1000, stream = true, body = conversations(60) } },
    }
    local prompt, cached, most, all = 0, 0, 0, 0
    for _, up in pairs(report.upstreams) do
      prompt, cached, all = prompt + up.prompt_tokens, cached + up.cached_tokens, all + up.calls
      most = math.max(most, up.calls)
    end
    return cached / prompt, most / (all / 8), report
  end
  local by_turns, _, slow = run("weighted")
  local by_prefix, even, quick = run("prefix")
  t.ok(by_prefix >= 2 * by_turns, ("%g of prompts remembered, %g by turns"):format(by_prefix, by_turns))
  t.ok(even <= 1.25, ("the busiest has %g of an even load"):format(even))
  t.ok(quick.all.ttft.p50 < slow.all.ttft.p50, "which is felt")
  t.match(quick:text(), "of the prompts remembered")
end)

t.test("pools are as deterministic as everything else, and mistakes in them are told", function()
  local function run(seed)
    return t.simulate{
      seconds = 60, seed = seed, policies = { { "retry", tries = 2 } },
      upstreams = { a = { ttft = { median = 0.2, p99 = 2 }, fails = { { share = 0.3, status = 500 } } }, b = { ttft = 0.3 } },
      pools = { chat = { upstreams = { "a", "b" }, choose = "latency", models = { "test" } } }, traffic = { { rate = 20 } },
    }:text()
  end
  t.equal(run(3), run(3))
  t.ok(run(3) ~= run(4))
  t.error(function()
    t.simulate{ seconds = 1, upstreams = { a = {} }, pools = { chat = { upstreams = { "b" } } } }
  end, "t.simulate: pools.chat.*'b'")
end)

t.test("a time limit of an upstream holds, and a client that leaves ends the call", function()
  local report = t.simulate{
    seconds = 60, upstreams = { up = { ttft = 5, itl = 0, timeouts = { first_token = 2 } } },
    traffic = { { rate = 5, stream = true }, { rate = 5, stream = true, patience = 1, class = "left" } },
  }
  t.equal(report.classes.all.failed.timeout, report.classes.all.sent)
  t.equal(report.classes.left.left, report.classes.left.sent)
  t.ok(report.classes.all.total.max <= 2.01)
end)

t.test("a failure without a status is one of a connection", function()
  local function run(fail)
    return t.simulate{ seconds = 10, upstreams = { up = { fails = { fail } } }, traffic = { { rate = 10 } } }
  end
  local report = run{ code = "upstream_reset" }
  t.equal(report.all.failed.upstream_reset, report.all.sent)
  report = run{ status = 429, code = "insufficient_quota", retry_after = 7 }
  t.equal(report.all.failed.insufficient_quota, report.all.sent)
  t.error(function() run{ code = "insufficient_quota" } end, "needs the status that it comes with")
end)

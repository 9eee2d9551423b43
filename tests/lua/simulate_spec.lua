local t = require "perilune.test"

local function close(got, wanted, share, what)
  t.ok(math.abs(got - wanted) <= share * wanted, ("%s: %g, expected about %g"):format(what, got, wanted))
end

t.test("an hour of two classes through a gate, in a moment", function()
  local report = t.simulate{
    seconds = 3600, seed = 7,
    policies = { { "priority", concurrency = 8, classes = { "paid", "free" }, class = "x-class", max_wait = 5 } },
    upstreams = { up = { ttft = { median = 0.4, p99 = 1.2 }, itl = 0.01, tokens = 60, slots = 8 } }, -- 8 a second
    traffic = {
      { class = "paid", headers = { ["x-class"] = "paid" }, rate = 3, stream = true },
      { class = "free", headers = { ["x-class"] = "free" }, rate = 9, stream = true },
    },
  }
  local paid, free = report.classes.paid, report.classes.free
  close(paid.sent, 3 * 3600, 0.05, "paid")
  close(free.sent, 9 * 3600, 0.05, "free")
  t.equal(paid.ok, paid.sent, "nobody of the first class is refused")
  t.ok(free.failed.overloaded > 3000, "the others are, when there are too many")
  t.ok(paid.total.p99 < 3 and free.total.max < 5 + 3, "nobody waits longer than it may")
  close(report.upstreams.up.calls, 3600 * 8, 0.1, "the upstream is full and not over")
  t.match(report:text(), "paid +%d+ +%d+")
end)

t.test("the same seed gives the same report, another one another", function()
  local function run(seed)
    return t.simulate{
      seconds = 200, seed = seed, upstreams = { up = { ttft = { median = 0.2, p99 = 2 } } },
      policies = { function(req, next) return next(req) end },
      traffic = { { rate = 20, tenants = 5, tokens = { median = 50, p99 = 400 } } },
    }:text()
  end
  t.equal(run(3), run(3))
  t.ok(run(3) ~= run(4))
end)

t.test("an upstream that is dark for a while, and a ladder", function()
  local report = t.simulate{
    seconds = 900, seed = 1,
    policies = { { "degrade", ladder = { { upstream = "big" }, { upstream = "small" } }, hold = 20 } },
    upstreams = {
      big = { price = { input = 2, output = 10 }, fails = { { from = 300, to = 500, status = 503 } } },
      small = { price = { input = 0.1, output = 0.4 } },
    },
    traffic = { { rate = 10 } },
  }
  t.equal(report.all.ok, report.all.sent)
  close(report.all.degraded, 10 * 250, 0.25, "those of the dark time, and some behind it")
  t.ok(report.upstreams.small.calls < 3200)
  t.ok(report.all.usd > 0)
end)

t.test("clients that leave, breaks, connections that fail, arrivals that change", function()
  local report = t.simulate{
    seconds = 400, upstreams = {
      up = { ttft = 1, itl = 0, fails = { { share = 0.1, breaks = true }, { share = 0.1, after = 0.2 } } },
    },
    traffic = { { rate = function(s) return s < 200 and 10 or 2 end, stream = true, patience = 0.5, class = "left" },
                { rate = 5, stream = true } },
  }
  t.equal(report.classes.left.ok, 0)
  close(report.classes.left.sent, 2400, 0.1, "sent")
  close(report.classes.left.left, 2400 * 0.9, 0.1, "left before the first token")
  close(report.classes.all.failed.upstream_unreachable, 2000 * 0.09, 0.3, "unreachable")
  t.ok(report.classes.all.refused > 250 and report.classes.all.ok > 1400)
end)

t.test("wrong options say where", function()
  local function wrong(options, pattern) t.error(function() t.simulate(options) end, pattern) end
  wrong({ upstreams = {} }, "option 'seconds' is missing")
  wrong({ seconds = 1 }, "option 'upstreams' is missing")
  wrong({ seconds = 1, upstreams = { a = { tfft = 1 } } }, "upstream 'a'.*did you mean 'ttft'")
  wrong({ seconds = 1, upstreams = { a = { ttft = { p99 = 1 } } } }, "needs median")
  wrong({ seconds = 1, upstreams = { a = { fails = { { form = 1 } } } } }, "fails%[1%].*did you mean 'from'")
  wrong({ seconds = 1, upstreams = { a = {} }, traffic = { { rat = 1 } } }, "traffic%[1%].*did you mean 'rate'")
  wrong({ seconds = 1, upstreams = { a = {} }, traffic = { { rate = -1 } } }, "requests a second")
end)

local t = require "perilune.test"
local perilune = require "perilune"

local function ask(tenant, fields)
  local req = t.request(fields or "hi")
  req.tenant = tenant
  return req
end

-- Sends each of `list` at once; `policy` made once, as a gateway does.
local function together(policy, list)
  local fns, order = {}, {}
  for i, one in ipairs(list) do
    fns[i] = function()
      local reply = t.send(policy, nil, ask(one[1], one[2]), one.opts)
      order[#order + 1] = one[1]
      return reply
    end
  end
  return perilune.all(fns), order
end

t.test("as many at once as may, the others in turn", function()
  t.upstream("up", { text = "x", delay = 1 })
  local replies = together(t.policy("priority", { concurrency = 2 }), { { "a" }, { "a" }, { "a" }, { "a" } })
  for _, reply in ipairs(replies) do t.equal(reply.text, "x") end
  t.equal({ t.clock(), #t.calls("up") }, { 2, 4 })
end)

t.test("the first class goes first, and tenants take turns", function()
  t.upstream("up", { text = "x", delay = 1 })
  local policy = t.policy("priority", { concurrency = 1, classes = { "paid", "free" }, tiers = { acme = "paid" } })
  local _, order = together(policy, { { "a" }, { "a" }, { "a" }, { "b" }, { "acme" } })
  t.equal(order, { "a", "acme", "a", "b", "a" })
end)

t.test("a class by header, by function; what is none is the default", function()
  t.upstream("up", { text = "x", delay = 1 })
  local function order_of(options, header)
    options.concurrency, options.classes, options.name = 1, { "chat", "batch" }, header
    local policy, order = t.policy("priority", options), {}
    local function one(name, class)
      return function()
        t.send(policy, nil, t.request{ headers = { ["x-class"] = class } })
        order[#order + 1] = name
      end
    end
    perilune.all{ one("first", "batch"), one("batch", "batch"), one("odd", "nonsense"), one("chat", "chat") }
    return order
  end
  t.equal(order_of({ class = "x-class" }, "header"), { "first", "chat", "batch", "odd" })
  t.equal(order_of({ class = function(req) return req.headers["x-class"] end, default = "chat" }, "function"),
          { "first", "odd", "chat", "batch" })
end)

t.test("who waited as long as it may is refused, and so is who finds the queue full", function()
  t.upstream("up", { text = "x", delay = 5 })
  local policy = t.policy("priority", { concurrency = 1, max_wait = 2, max_queue = 1 })
  local replies = together(policy, { { "a" }, { "b" }, { "c" } })
  t.equal(replies[1].text, "x")
  for i = 2, 3 do
    t.equal({ replies[i].status, replies[i].error.code, replies[i].error.retryable }, { 503, "overloaded", true })
    t.equal(replies[i].headers["retry-after"], "1")
  end
  t.equal({ replies[3].total, replies[2].total }, { 0, 2 })
  local why = {}
  for _, line in ipairs(t.logs()) do why[#why + 1] = line.fields.why end
  t.equal({ #t.calls("up"), replies[2].error.message:match("as long as it may") }, { 1, "as long as it may" })
end)

t.test("a gate of no slots is closed: nobody waits, and nobody is told to come again", function()
  t.upstream("up", { text = "x", delay = 5 })
  local policy = t.policy("priority", { concurrency = 0 })
  for _, stream in ipairs{ false, true } do
    local request = ask("a")
    request.stream = stream
    local reply = t.send(policy, nil, request)
    t.equal({ reply.status, reply.error.code, reply.error.retryable, reply.total }, { 503, "overloaded", true, 0 })
    t.equal({ reply.headers["retry-after"] or "none", reply.headers["x-should-retry"] }, { "none", "false" })
    t.match(reply.error.message, "concurrency of this gate is 0")
  end
  t.equal({ #t.calls("up"), t.logs()[1].fields.why }, { 0, "closed" })
end)

t.test("a client that leaves gives its place back, waiting or at work", function()
  t.upstream("up", { text = "x", delay = 3 })
  local policy = t.policy("priority", { concurrency = 1 })
  local replies = together(policy, {
    { "a", nil, opts = { leave = 1 } }, { "b", nil, opts = { leave = 0.5 } }, { "c" },
  })
  t.equal({ replies[1].status, replies[2].status, replies[3].text, t.clock() }, { 499, 499, "x", 4 })
  t.equal(#t.calls("up"), 2)
end)

t.test("slots go back when a policy throws, and when the upstream fails", function()
  t.upstream("up", { status = 500 })
  local policy = t.policy("priority", { concurrency = 1 })
  for _ = 1, 3 do t.equal(t.send(policy, nil, ask("a")).total, 0) end
  local function throws() error("oh") end
  for _ = 1, 3 do t.equal(t.send(policy, nil, ask("a"), { next = throws }).error.code, "policy_error") end
  t.upstream("up", { text = "x" })
  t.equal(t.send(policy, nil, ask("a")).text, "x")
end)

t.test("a request that enters twice is in already", function()
  t.upstream("up", { text = "x" })
  local gate = perilune.gate("twice", { concurrency = 1 })
  local reply = t.send(function(req, next)
    t.equal(gate:enter(req), true)
    t.equal(gate:enter(req), true)
    t.equal(gate:saturation(), 1)
    return next(req)
  end, nil, ask("a"))
  t.equal({ reply.text, gate:saturation() }, { "x", 0 })
end)

t.test("streams, and answers with several choices, hold their slot to the end", function()
  t.upstream("up", { chunks = { "a", "b", "c" }, itl = 1 })
  local policy = t.policy("priority", { concurrency = 1 })
  local replies = together(policy, { { "a", { stream = true } }, { "b", { stream = true, n = 2 } }, { "c" } })
  t.equal({ replies[1].text, replies[2].text, replies[3].text }, { "abc", "abc", "abc" })
  t.ok(replies[2].ttft >= replies[1].total)
end)

t.test("what a gate says of itself", function()
  t.upstream("up", { text = "x", delay = 1 })
  local gate = perilune.gate("told", { concurrency = 2, classes = { "one", "two" }, max_wait = 0.5 })
  local function policy(req, next)
    local ok, err = gate:enter(req, { class = "one" })
    if not ok then return nil, err end
    return next(req)
  end
  together(policy, { { "a" }, { "a" }, { "a" } })
  local stats = gate:stats()
  t.equal({ stats.limit, stats.busy, stats.waiting, stats.classes.one.admitted, stats.classes.one.late },
          { 2, 0, 0, 2, 1 })
  t.error(function() t.send(function(req) gate:enter(req, { class = "three" }) end, nil, ask("a")) error(t.logs()[1].text) end,
          'has no class "three"')
end)

t.test("a queue that stands for long is made shorter", function()
  t.upstream("up", { text = "x", delay = 1 })
  local policy = t.policy("priority", { concurrency = 1, max_wait = 60, target_wait = 1 })
  local list = {}
  for i = 1, 40 do list[i] = { "t" .. i } end
  local replies, shed = together(policy, list), 0
  for _, reply in ipairs(replies) do
    if reply.error then
      shed = shed + 1
      t.match(reply.error.message, "wait too long")
    end
  end
  t.ok(shed > 0 and shed < 30, tostring(shed))
end)

t.test("a tenant may be told by a number, and the word tenant means the tenant", function()
  t.upstream("up", { text = "x" })
  local req = t.request("hi")
  req.tenant = "acme"
  local policy = t.policy("priority", { concurrency = 1, name = "told", tenant = function() return 7 end })
  t.equal(t.send(policy, nil, req).text, "x")
  req = t.request("hi")
  req.tenant = "acme"
  policy = t.policy("priority", { concurrency = 1, name = "word", classes = { "acme", "other" }, class = "tenant", tenant = "tenant" })
  t.equal(t.send(policy, nil, req).text, "x")
  t.error(function() t.policy("priority", { concurrency = 1, class = 7 }) end, "option 'class' must be \"tenant\", the name of a header")
end)

t.test("wrong options are refused", function()
  local function wrong(options, pattern) t.error(function() t.policy("priority", options) end, pattern) end
  wrong({}, "option 'concurrency' is missing")
  wrong({ concurrency = -1 }, "must be how many requests may work at once")
  wrong({ concurrency = { max = 0 } }, "needs max, a whole number that is not below min")
  wrong({ concurrency = { max = 10, mni = 1 } }, "did you mean 'min'")
  wrong({ concurrency = { min = 5, max = 10, start = 20 } }, "start, a whole number between")
  wrong({ concurrency = 1, classes = { "a", "a" } }, "has \"?'?a'?\"? twice")
  wrong({ concurrency = 1, classes = {} }, "classes")
  wrong({ concurrency = 1, classes = { "a" }, default = "b" }, "classes are a")
  wrong({ concurrency = 1, classes = { "a" }, tiers = { x = "b" } }, "tiers%[\"x\"%] names the class")
  wrong({ concurrency = 1, weights = { x = 0 } }, "weights")
  wrong({ concurrency = 1, maxwait = 1 }, "did you mean 'max_wait'")
end)

-- perilune.batch: what several requests run together.
local t = require "perilune.test"
local perilune = require "perilune"

-- n branches at once, each submits its number; what each got.
local function submit(batch, n, opts)
  local fns = {}
  for i = 1, n do
    fns[i] = function()
      local value, err = batch:submit(i, opts)
      return { value = value, err = err, at = t.clock() }
    end
  end
  return perilune.all(fns)
end

local function recording(ran, seconds)
  return function(list)
    ran[#ran + 1] = table.concat(list, ",")
    if seconds then perilune.sleep(seconds) end
    local out = {}
    for i, v in ipairs(list) do out[i] = v * 10 end
    return out
  end
end

t.test("batch: those of a turn go together, each gets its own", function()
  local ran = {}
  local got = submit(perilune.batch("a", { run = recording(ran) }), 3)
  t.equal(ran, { "1,2,3" })
  for i = 1, 3 do t.equal(got[i].value, i * 10) end
  t.equal(t.clock(), 0)
end)

t.test("batch: what comes while one is out goes when it ends, or after max_wait beside it", function()
  for _, case in ipairs{ { 10, 1 }, { 0.25, 0.35 } } do
    local ran, ended = {}, nil
    local batch = perilune.batch("wait " .. case[1], { max_wait = case[1], run = recording(ran, 1) })
    local began = t.clock()
    perilune.all{
      function() return batch:submit(1) end,
      function()
        perilune.sleep(0.1)
        batch:submit(2)
        ended = t.clock() - began
        return true
      end,
      function()
        perilune.sleep(0.2)
        return batch:submit(3)
      end,
    }
    t.equal(ran, { "1", "2,3" })
    t.near(ended, case[2] + 1, 1e-6)
  end
end)

t.test("batch: max_size, max_tokens, size and priority", function()
  local ran = {}
  local batch = perilune.batch("sizes", { max_size = 2, max_running = 1, run = recording(ran, 1) })
  submit(batch, 5)
  t.equal(ran, { "1,2", "3,4", "5" })
  ran = {}
  batch = perilune.batch("tokens", { max_tokens = 10, run = recording(ran, 1) })
  submit(batch, 3, { tokens = 5 })
  t.equal(ran, { "1,2", "3" })
  ran = {}
  batch = perilune.batch("priority", { max_size = 1, max_running = 1, run = recording(ran, 1) })
  perilune.all{
    function() return batch:submit(1) end, function() return batch:submit(2, { priority = 1 }) end,
    function() return batch:submit(3, { priority = 7 }) end,
  }
  t.equal(ran, { "3", "2", "1" })
end)

t.test("batch: an item's error is its own, and what is thrown or missing is everybody's", function()
  local function outcome(name, run, n)
    local got = submit(perilune.batch(name, { run = run, timeout = 3 }), n or 2)
    local out = {}
    for i, g in ipairs(got) do
      if g.err then out[i] = g.err.code else out[i] = g.value end
    end
    return out, got
  end
  t.equal(outcome("own", function(list)
    return { "fine" }, { [2] = perilune.error{ code = "mine", status = 400 } }
  end), { "fine", "mine" })
  t.equal(outcome("all", function() return nil, perilune.error{ code = "overloaded" } end), { "overloaded", "overloaded" })
  t.equal(outcome("thrown", function() perilune.error() end), { "policy_error", "policy_error" })
  t.equal(outcome("meant", function() error(perilune.error{ code = "mine" }) end), { "mine", "mine" })
  for i, few in ipairs{ function() return { 1 } end, function() return { [2] = 2 } end, function() return { 1, 2, 3 } end,
                        function() return 7 end, function() end, function() return {} end } do
    local codes, got = outcome("few " .. i, few)
    t.equal(codes, { "policy_error", "policy_error" })
    t.ok(got[1].err.message:find("run returned", 1, true), got[1].err.message)
  end
  local codes, got = outcome("hangs", function() perilune.sleep(1e6) end)
  t.equal(codes, { "timeout", "timeout" })
  t.near(got[1].at, 3, 1e-6)
  t.equal(outcome("false", function() return { false, "x" } end), { false, "x" })
end)

t.test("batch: the queue has a limit, and who waits a deadline", function()
  local ran = {}
  local batch = perilune.batch("limits", { max_queue = 2, max_running = 1, max_wait = 100, run = recording(ran, 5) })
  local codes = {}
  local function ask(i, opts)
    return function()
      perilune.sleep(i / 10)
      local value, err = batch:submit(i, opts)
      codes[i] = value or err.code
      return true
    end
  end
  perilune.all{ ask(1), ask(2, { timeout = 1 }), ask(3), ask(4) }
  t.equal(codes, { 10, "timeout", 30, "overloaded" })
  t.equal(ran, { "1", "3" })
end)

t.test("batch: who leaves takes its item away, and the run ends with the last", function()
  local ran, ended = {}, nil
  local batch = perilune.batch("leaves", { max_wait = 100, run = function(list)
    ran[#ran + 1] = table.concat(list, ",")
    perilune.sleep(10)
    ended = true
    return list
  end })
  perilune.race{
    function()
      return perilune.all{ function() return batch:submit(1) end, function() return batch:submit(2) end,
                           function() perilune.sleep(1) return batch:submit(3) end }
    end,
    function() perilune.sleep(2) return "gone" end,
  }
  perilune.sleep(20)
  t.equal(ran, { "1,2" })
  t.equal(ended, nil)
  t.equal(batch:submit(9), 9)
end)

t.test("batch: tenants never go together unless told", function()
  for _, case in ipairs{ { false, { "1,3", "2" } }, { true, { "1,2,3" } } } do
    local ran = {}
    local batch = perilune.batch("tenants " .. tostring(case[1]), { across_tenants = case[1], run = recording(ran, 1) })
    local function from(tenant, i)
      local req = t.request{ tenant = tenant }
      return function()
        return t.send(function()
          return perilune.respond{ text = tostring(batch:submit(i)) }
        end, nil, req)
      end
    end
    local replies = perilune.all{ from("red", 1), from("blue", 2), from("red", 3) }
    for i = 1, 3 do t.equal(replies[i].text, tostring(i * 10)) end
    t.equal(ran, case[2])
  end
end)

t.test("batch: the deadline is also that of the run's callers, and the time of a run is limited", function()
  t.limits{ cpu_ms = 50, block_ms = 20 }
  local batch = perilune.batch("greedy", { run = function() while true do end end })
  local reply = t.send(function()
    local value, err = batch:submit(1)
    return perilune.respond{ text = value or err.code }
  end, nil, t.request "hi")
  t.equal(reply.text, "policy_budget_exceeded")
end)

t.test("batch: names and options", function()
  local run = function(list) return list end
  local first = perilune.batch("same", { run = run })
  t.equal(perilune.batch("same", { run = function() end }), first)
  t.equal(first:submit("x"), "x")
  t.error(function() perilune.batch("same", { run = run, max_size = 7 }) end, "exists with max_size = 32, not 7")
  t.error(function() perilune.batch("y", { run = run, max_sise = 7 }) end, "did you mean 'max_size'")
  t.error(function() perilune.batch("y", {}) end, "'run' is missing")
  t.error(function() perilune.batch("y", { run = run, max_size = 0 }) end, "at least 1")
  t.error(function() perilune.batch("", { run = run }) end, "1 to 64 bytes")
  t.error(function() first:submit("x", { prio = 1 }) end, "unknown option 'prio'")
  t.error(function() first:submit("x", { priority = 8 }) end, "at most 7")
  t.error(function() first:submit(nil) end, "item is nil")
end)

t.test("batch: what one writes into a shared result is in nobody else's; one that is too large is not shared", function()
  local size = 1
  local batch = perilune.batch("shared tables", { across_tenants = true, run = function()
    perilune.sleep(1)
    local list = {}
    for i = 1, size do list[i] = i end
    return { { list = list } }
  end })
  local function ask(writes, after)
    return function()
      perilune.sleep(after)
      local value, err = batch:submit("q", { share = true })
      if value and writes then value.list[1], value.tenant = "secret", "a" end
      return { value = value, err = err }
    end
  end
  local got = perilune.all{ ask(true, 0), ask(false, 0.1), ask(true, 0.2), ask(false, 0.3) }
  t.equal({ got[2].value, got[4].value }, { { list = { 1 } }, { list = { 1 } } })
  size = 10000
  got = perilune.all{ ask(false, 0), ask(false, 0.1) }
  t.equal(#got[1].value.list, 10000)
  t.match(got[2].err.detail or got[2].err.message, "a result of batch 'shared tables' has more than 10000 values")
end)

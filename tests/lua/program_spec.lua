-- program_spec.lua -- what a program gives to policies: functions and values, and notes on requests.

local t = require "perilune.test"
local perilune = require "perilune"

local host = perilune.host

t.test("a spec stands in for a function of the program", function()
  local asked = {}
  t.host{ lookup_user = function(id, opts)
    asked[#asked + 1] = { id, opts }
    if id == "nobody" then return nil, { code = "not_found", message = "no such user" } end
    if id == "broken" then return nil, "it broke" end
    return { id = id, plan = "gold" }
  end }
  local res = t.run(function(req)
    local user, err = host.lookup_user(req.tenant, { deep = true })
    if not user then return nil, err end
    return perilune.respond{ text = user.plan }
  end, nil, (function() local r = t.request("hi") r.tenant = "acme" return r end)())
  t.equal(res:text(), "gold")
  t.equal(asked, { { "acme", { deep = true } } })
  local user, err = host.lookup_user("nobody")
  t.equal(user, nil)
  t.equal(err.code, "not_found")
  t.equal(err.status, 404)
  user, err = host.lookup_user("broken")
  t.equal(err.code, "host_error")
  t.equal(err.message, "it broke")
end)

t.test("a stand-in may take its time", function()
  t.host{ slow = function() perilune.sleep(3) return 1 end }
  t.equal(host.slow(), 1)
  t.equal(t.clock(), 3)
end)

t.test("tables are copies, as of a program", function()
  local mine = { list = { 1, 2 } }
  t.host{ echo = function(v) v.list[1] = 9 return mine end }
  local sent = { list = { 5 } }
  local got = host.echo(sent)
  t.equal(sent.list[1], 5)
  got.list[1] = 7
  t.equal(mine.list[1], 1)
  t.equal(host.echo(sent).list[1], 1)
end)

t.test("a name that nobody has is an error that says which there are", function()
  t.error(function() host.lookup_user() end, "no host function 'lookup_user': the program that runs this has none")
  t.host{ lookup_user = function() end, score = function() end }
  t.error(function() host.lookup_usr() end, "no host function 'lookup_usr'; did you mean 'lookup_user'%? There are lookup_user, score")
  t.error(function() host[1]() end, "functions have names")
  t.error(function() host.x = 1 end, "host.x cannot be assigned")
  t.error(function() t.host{ a = 1 } end, "'a' must be a function")
  t.equal(host.score(), nil)
end)

t.test("values are what the program says they are", function()
  t.equal(perilune.values.plan, nil)
  t.values{ plan = { free = { limit = 5 } }, open = false }
  t.equal(perilune.values.plan.free.limit, 5)
  t.equal(perilune.values.open, false)
  t.values{ plan = "gone" }
  t.equal(perilune.values.plan, "gone")
  t.error(function() perilune.values.plan = 1 end, "perilune.values.plan cannot be assigned")
end)

local function set_plan()
  t.values{ plan = { free = { limit = 5 }, names = { "a", "b" }, none = perilune.json.array() }, open = true }
end

local function spoil(plan)
  plan.free.limit, plan.free.mine = 9, true
  plan.names[3] = "c"
  plan.none = nil
  plan[1] = "list"
end

local function is_as_set(plan)
  t.equal(plan, { free = { limit = 5 }, names = { "a", "b" }, none = {} })
  t.equal(perilune.json.encode(plan.names), '["a","b"]')
  t.equal(perilune.json.encode(plan.none), "[]")
end

local function ask(policy)
  local reply = t.send(function(...) policy(...) return perilune.respond{ text = "" } end, nil, t.request("hi"))
  t.equal(reply.status, 200)
end

t.test("what a request writes into a value, the next does not see", function()
  set_plan()
  ask(function() spoil(perilune.values.plan) end)
  local seen
  ask(function() seen = perilune.values.plan end)
  is_as_set(seen)
end)

t.test("nor one beside it, before and after", function()
  set_plan()
  local before, after
  perilune.all{
    function() ask(function()
      local plan = perilune.values.plan
      perilune.sleep(2)
      spoil(plan)
      perilune.sleep(2)
    end) end,
    function() ask(function()
      perilune.sleep(1)
      before = perilune.values.plan
      perilune.sleep(2)
      after = perilune.values.plan
    end) end,
  }
  is_as_set(before)
  is_as_set(after)
end)

t.test("nor the hooks of another", function()
  set_plan()
  local seen
  local function hooked(inside) return function() ask(function(req) req:finally(inside) end) end end
  hooked(function() spoil(perilune.values.plan) end)()
  hooked(function() seen = perilune.values.plan end)()
  is_as_set(seen)
end)

t.test("a request has one copy, its branches too, which behaves as any table", function()
  set_plan()
  ask(function()
    local plan = perilune.values.plan
    t.ok(rawequal(plan, perilune.values.plan))
    perilune.sleep(1)
    t.ok(rawequal(plan, perilune.values.plan), "after it has waited")
    perilune.all{ function() t.ok(rawequal(plan, perilune.values.plan), "in a branch") end }
    t.equal(#plan.names, 2)
    local keys, names = {}, {}
    for k in pairs(plan) do keys[#keys + 1] = k end
    for i, name in ipairs(plan.names) do names[i] = name end
    table.sort(keys)
    t.equal(keys, { "free", "names", "none" })
    t.equal(names, { "a", "b" })
  end)
end)

t.test("copies of many requests do not pile up", function()
  set_plan()
  for _ = 1, 300 do ask(function() t.equal(perilune.values.plan.free.limit, 5) end) end
  local held = {}
  for i = 1, 200 do
    held[i] = function() ask(function()
      local plan = perilune.values.plan
      plan.free.limit = i
      perilune.sleep(1)
      t.equal(perilune.values.plan.free.limit, i)
    end) end
  end
  perilune.all(held)
end)

t.test("large copies go with their requests, and are paid for", function()
  local large = {}
  for i = 1, 12000 do large["n" .. i] = { i } end
  t.values{ large = large }
  t.limits{ memory = "64MiB", cpu_ms = 10000, block_ms = 10000 }
  for _ = 1, 60 do ask(function() t.equal(perilune.values.large.n7[1], 7) end) end
  t.limits{ cpu_ms = 10000, block_ms = 10000, memory = "1MiB" }
  local reply = t.send(function() return perilune.values.large end, nil, t.request("hi"))
  t.equal(reply.status, 500)
  t.equal(reply.body.error.code, "policy_budget_exceeded")
end)

t.test("values of another test are gone", function()
  t.equal(perilune.values.plan, nil)
  t.values{ plan = 1 }
  t.equal(perilune.values.plan, 1)
end)

t.test("notes of a request have bounds", function()
  local req = t.request("hi")
  req:note("plan", { gold = true })
  for i = 1, 31 do req:note("n" .. i, i) end
  req:note("n31", "again")
  t.error(function() req:note("n32", 1) end, "at most 32 notes of 1024 bytes")
  t.error(function() req:note("n1", ("x"):rep(2000)) end, "at most 32 notes of 1024 bytes")
  t.error(function() req:note("", 1) end, "a name of 1 to 64 bytes")
  t.error(function() req:note("n1", print) end, "cannot encode a function")
end)

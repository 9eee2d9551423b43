-- max_wait: requests that wait for a limit.
local t = require "perilune.test"
local perilune = require "perilune"

local function ask(fields)
  local what = { messages = { { role = "user", content = "hi" } } }
  for k, v in pairs(fields or {}) do what[k] = v end
  return t.request(what)
end

-- Sends so many at once; each: status, when it ended, by its number.
local function at_once(n, options, next, fields)
  local list, ended, order = {}, {}, {}
  local began = t.clock()
  for i = 1, n do
    list[i] = function()
      local req = ask(type(fields) == "function" and fields(i) or fields)
      local reply = t.send("limit", options, req, { next = next })
      ended[i] = { reply.status, math.floor((t.clock() - began) * 10 + 0.5) / 10 }
      order[#order + 1] = i
      return true
    end
  end
  perilune.all(list)
  return ended, order
end

t.test("requests at once: the next goes in when one has ended, in order", function()
  local ended, order = at_once(4, { concurrency = 1, max_wait = 10 }, (t.next{ text = "ok", delay = 1 }))
  for i = 1, 4 do
    t.equal(ended[i][1], 200)
    t.ok(math.abs(ended[i][2] - i) < 0.11, ("request %d ended after %.1f s"):format(i, ended[i][2]))
  end
  t.equal(order, { 1, 2, 3, 4 })
end)

t.test("streams hold their slot to their end, and who waits gets it then", function()
  local next = t.next{ chunks = { "a", "b", "c", "d" }, itl = 0.5 }
  local ended = at_once(2, { concurrency = 1, max_wait = 10 }, next, { stream = true })
  t.equal({ ended[1][1], ended[2][1] }, { 200, 200 })
  t.ok(ended[2][2] >= 2 * ended[1][2] - 0.11)
end)

t.test("who waited as long as it may is refused then, in OpenAI's words", function()
  local ended = at_once(3, { concurrency = 1, max_wait = 1.5 }, (t.next{ text = "ok", delay = 1 }))
  t.equal({ ended[1][1], ended[2][1], ended[3][1] }, { 200, 200, 429 })
  t.ok(math.abs(ended[3][2] - 1.5) < 0.02)
end)

t.test("a window: it waits until there is room, and no longer than it must", function()
  local options = { requests_per_second = 1, max_wait = 5 }
  local ended = at_once(4, options, (t.next{ text = "ok" }))
  for i = 1, 4 do
    t.equal(ended[i][1], 200)
    t.ok(math.abs(ended[i][2] - (i - 1)) < 0.11, ("request %d ended after %.1f s"):format(i, ended[i][2]))
  end
end)

t.test("who cannot be in time is refused at once", function()
  local options = { requests_per_hour = 1, max_wait = 5 }
  local ended = at_once(2, options, (t.next{ text = "ok" }))
  t.equal(ended[2], { 429, 0 })
  ended = at_once(1, { requests_per_minute = 0, max_wait = 5 }, (t.next{ text = "ok" }))
  t.equal(ended[1], { 429, 0 })
  ended = at_once(1, { concurrency = 0, max_wait = 5 }, (t.next{ text = "ok" }))
  t.equal(ended[1], { 429, 0 })
end)

t.test("who leaves takes its place along", function()
  local options = { concurrency = 1, max_wait = 60 }
  local slow = t.next{ text = "ok", delay = 3 }
  local first, second
  perilune.all{
    function() first = t.send("limit", options, ask(), { next = slow }) return true end,
    function() second = t.send("limit", options, ask(), { next = slow, leave = 1 }) return true end,
    function()
      perilune.sleep(1.5)
      local third = t.send("limit", options, ask(), { next = t.next{ text = "ok" } })
      t.equal(third.status, 200)
      t.ok(math.abs(t.clock() - 3) < 0.02, "who left in the line did not take the slot")
      return true
    end,
  }
  t.equal({ first.status, second.status }, { 200, 499 })
end)

t.test("keys wait for themselves", function()
  local options = { concurrency = 1, max_wait = 10, key = "x-user" }
  local next = t.next{ text = "ok", delay = 1 }
  local ended = {}
  local began = t.clock()
  local function send(i, user)
    return function()
      local req = t.request{ headers = { ["x-user"] = user }, messages = { { role = "user", content = "hi" } } }
      t.send("limit", options, req, { next = next })
      ended[i] = math.floor(t.clock() - began + 0.5)
      return true
    end
  end
  perilune.all{ send(1, "a"), send(2, "a"), send(3, "a"), send(4, "b"), send(5, "b") }
  t.equal(ended, { 1, 2, 3, 1, 2 })
end)

t.test("a limit of several keys at once: who came first goes first, and a newcomer does not overtake", function()
  local options = { tokens_per_second = 100, max_wait = 10 }
  local next = t.next{ text = "ok", usage = { prompt_tokens = 50, completion_tokens = 50 } }
  local ended, order = at_once(3, options, next, function(i) return { max_tokens = i == 2 and 90 or 1 } end)
  t.equal({ ended[1][1], ended[2][1], ended[3][1] }, { 200, 200, 200 })
  t.equal(order, { 1, 2, 3 })
end)

t.test("a line has an end: the thousand-and-first is refused", function()
  local ended = at_once(1002, { concurrency = 1, max_wait = 5 }, (t.next{ text = "ok", delay = 2 }))
  local good, at_once_refused = 0, 0
  for i = 1, 1002 do
    if ended[i][1] == 200 then good = good + 1 end
    if ended[i][1] == 429 and ended[i][2] == 0 then at_once_refused = at_once_refused + 1 end
  end
  t.equal({ good, at_once_refused }, { 3, 1 })
end)

t.test("a policy that throws behind it, and an upstream that fails: the next goes in", function()
  for _, next in ipairs{ function() perilune.sleep(1) error("oh") end, (t.next{ status = 500, delay = 1 }) } do
    local ended = at_once(3, { concurrency = 1, max_wait = 10, name = tostring(next) }, next)
    t.ok(math.abs(ended[3][2] - 3) < 0.15, "the third ended after " .. ended[3][2])
  end
end)

t.test("dry runs do not wait; options are checked", function()
  local ended = at_once(3, { concurrency = 1, max_wait = 10, dry_run = true }, (t.next{ text = "ok", delay = 1 }))
  t.equal({ ended[1][2], ended[2][2], ended[3][2] }, { 1, 1, 1 })
  local ok, why = pcall(t.policy, "limit", { concurrency = 1, max_wait = -1 })
  t.equal(ok, false)
  t.match(why, "max_wait")
end)

t.test("budget waits, too", function()
  t.upstream("big", { text = "ok", usage = { prompt_tokens = 1000, completion_tokens = 1000 },
                      upstream = { price = { input = 1, output = 1 } } })
  local ended = {}
  local began = t.clock()
  for i = 1, 3 do
    local reply = t.send("budget", { usd_per_minute = 0.002, max_wait = 200 }, ask{ model = "big", max_tokens = 1000 })
    ended[i] = { reply.status, t.clock() - began }
  end
  t.equal({ ended[1][1], ended[2][1], ended[3][1] }, { 200, 200, 200 })
  t.ok(ended[3][2] > 30)
end)

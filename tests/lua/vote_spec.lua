local t = require "perilune.test"
local perilune = require "perilune"

local function question(more)
  local body = { temperature = 1, messages = { { role = "user", content = "What is 6 * 8?" } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return t.request(body)
end

local function answers(...)
  local list = {}
  for i, text in ipairs{ ... } do list[i] = type(text) == "table" and text or { text = text } end
  t.upstream("up", list)
end

local function vote(options, more, opts)
  options.n = options.n or 3
  return t.send("vote", options, question(more), opts)
end

t.test("what most of them say is the answer, streamed or whole", function()
  for _, stream in ipairs{ false, true } do
    answers("I think it is 46. The answer is 46.", "6 * 8 = 48. The answer is 48.", "So: the answer is **48**.")
    local reply = vote({}, { stream = stream })
    t.equal(reply.text, "6 * 8 = 48. The answer is 48.")
    t.equal(reply.headers["x-perilune-vote"], "2/3; majority")
    t.equal({ #t.calls("up"), reply.done, stream and #reply.events > 1 or not stream }, { 3, true, true })
    t.equal(t.calls("up")[1].body.stream or false, false)
  end
end)

t.test("in Chinese, too", function()
  answers("答案是 46。", "六乘八得四十八，答案是 48。", "答案：４８")
  t.equal(vote{}.text, "六乘八得四十八，答案是 48。")
end)

t.test("they are asked at once, and what is decided is not waited for", function()
  answers({ text = "48", delay = 1 }, { text = "48", delay = 2 }, { text = "48", delay = 3 }, { text = "1", delay = 50 },
    { text = "1", delay = 50 })
  local reply = vote{ n = 5 }
  t.equal({ reply.text, reply.total }, { "48", 3 })
  t.equal(t.calls("up")[5].outcome, nil)
  answers({ text = "48", delay = 1 }, { text = "48", delay = 2 }, { text = "1", delay = 5 })
  t.equal(vote{ early = false }.total, 5)
end)

t.test("a tie goes to the one that was asked first; where all differ, to the one that is most like the others", function()
  answers("A", "B", "B", "A")
  t.equal(vote{ n = 4 }.text, "A")
  answers("cats and dogs are animals and pets at home", "dogs and cats are pets", "the moon is a stone of cheese")
  local reply = vote{ answer = "text" }
  t.ok(reply.text:find("dogs"), reply.text)
  t.match(reply.headers["x-perilune-vote"], "central")
end)

t.test("answers that fail have no vote; when all fail, so does the request", function()
  answers({ status = 500 }, "48", { breaks = true, text = "4" }, "48")
  local reply = vote{ n = 4 }
  t.equal({ reply.status, reply.text, reply.headers["x-perilune-vote"] }, { 200, "48", "2/2; majority" })
  answers({ status = 503, code = "overloaded" })
  reply = vote{}
  t.equal({ reply.status, reply.error.code }, { 503, "overloaded" })
end)

t.test("when the time is over, those vote that have come", function()
  answers({ text = "48", delay = 1 }, { text = "48", delay = 1 }, { text = "1", delay = 90 }, { text = "1", delay = 90 })
  local reply = vote{ n = 4, timeout = 5 }
  t.equal({ reply.text, reply.total }, { "48", 5 })
  answers{ text = "48", delay = 90 }
  t.equal(vote{ timeout = 5 }.error.code, "timeout")
end)

t.test("calls of tools vote by name and arguments", function()
  local function call(arguments) return { tool_calls = { { name = "add", arguments = arguments } } } end
  for _, stream in ipairs{ false, true } do
    local second = call '{"b":2, "a":1.0}'
    second.delay = 1 -- the last, or the third would not be waited for
    answers(call '{"a":1,"b":2}', second, call '{"a":1,"b":3}')
    local reply = vote({}, { stream = stream, tools = { { type = "function", ["function"] = { name = "add" } } } })
    t.equal(reply.headers["x-perilune-vote"], "2/3; majority")
    t.ok(reply.done)
  end
end)

t.test("what is thought is no answer", function()
  answers({ reasoning = "the answer is 1", text = "48" }, { reasoning = "the answer is 1", text = "48" }, "1")
  t.equal(vote{}.text, "48")
end)

t.test("passes: n > 1, a fixed temperature, `when`; these are paid for once", function()
  for _, case in ipairs{ { {}, { n = 2 } }, { {}, { temperature = 0 } }, { { when = function() return false end } } } do
    answers("48")
    t.ok(vote(case[1], case[2]).done)
    t.equal(#t.calls("up"), 1)
  end
  answers("48")
  vote({ temperature = 0.7 }, { temperature = 0 })
  t.equal({ #t.calls("up"), t.calls("up")[1].body.temperature }, { 3, 0.7 })
end)

t.test("several upstreams are asked in turn", function()
  for _, name in ipairs{ "a", "b" } do t.upstream(name, { text = name == "a" and "1" or "2" }) end
  local reply = vote({ n = 3, upstreams = { "a", "b" } }, { temperature = 0 })
  t.equal({ reply.text, #t.calls("a"), #t.calls("b") }, { "1", 2, 1 })
end)

t.test("a function may say what is compared, and may be wrong", function()
  answers("red one", "blue two", "red three")
  t.equal(vote{ answer = function(text) return text:match("^%w+") end }.text, "red one")
  answers("one", "two", "three")
  local reply = vote{ answer = function() error("oh") end }
  t.equal(reply.status, 200)
  t.match(reply.headers["x-perilune-vote"], "central")
end)

t.test("usage is the sum of all that were asked", function()
  for _, stream in ipairs{ false, true } do
    answers{ text = "48", usage = { prompt_tokens = 10, completion_tokens = 2 } }
    local reply = vote({ early = false }, { stream = stream, stream_options = stream and { include_usage = true } or nil })
    t.equal({ reply.usage.prompt_tokens, reply.usage.completion_tokens }, { 30, 6 })
  end
end)

t.test("who leaves early ends all calls", function()
  answers({ text = "48", delay = 10 })
  local reply = vote({}, {}, { leave = 1 })
  t.equal({ reply.status, t.clock() }, { 499, 1 })
  for _, call in ipairs(t.calls("up")) do t.equal(call.outcome, nil) end
end)

t.test("wrong options are refused", function()
  t.error(function() t.policy("vote", { n = 1 }) end, "at least 2")
  t.error(function() t.policy("vote", { answer = "nr" }) end, "one of auto")
  t.error(function() t.policy("vote", { tempratur = 1 }) end, "did you mean 'temperature'")
end)

t.test("a cache or coalesce behind it keeps the answers apart, and gives each again", function()
  for _, behind in ipairs{ { "cache_exact" }, { "cache_semantic" }, { "coalesce" } } do
    t.upstream("up", { { text = "46", delay = 1 }, { text = "The answer is 48.", delay = 1 }, { text = "48", delay = 1 } })
    local function send()
      return t.send({ { "vote", n = 3, }, behind }, nil, t.request{ temperature = 1, tenant = behind[1],
        messages = { { role = "user", content = "What is 6 * 8?" } } })
    end
    t.equal({ send().text, #t.calls("up") }, { "The answer is 48.", 3 }, behind[1])
    if behind[1] ~= "coalesce" then t.equal({ send().text, #t.calls("up") }, { "The answer is 48.", 3 }, behind[1]) end
  end
end)

t.test("one that asks for several of several keeps all of them apart", function()
  local n = 0
  t.upstream("up", function()
    n = n + 1
    return { text = "answer " .. n, delay = 1 }
  end)
  t.send({ { "vote", n = 2, }, { "vote", n = 2, }, { "cache_exact" } }, nil,
    t.request{ temperature = 1, messages = { { role = "user", content = "What is 6 * 8?" } } })
  t.equal(#t.calls("up"), 4)
end)

t.test("answers of megabytes are compared at a bounded cost", function()
  local function object(n, last) return '{"list":[' .. ('{"a":1,"b":[2,3]},'):rep(n) .. '0],"answer":' .. last .. "}" end
  local n = 75000 -- 1.3 MB
  for what, give in pairs{
    json = function(i) return { text = object(n, i == 2 and 1 or 2) } end,
    fenced = function(i) return { text = "```json\n" .. object(n, i == 2 and 1 or 2) .. "\n```" } end,
    prose = function(i) return { text = ("word "):rep(260000) .. "The answer is " .. (i == 2 and 1 or 2) .. "." } end,
    marks = function(i) return { text = ("```\n"):rep(330000) .. (i == 2 and 1 or 2) } end,
    calls = function(i) return { tool_calls = { { name = "f", arguments = object(n, i == 2 and 1 or 2) } } } end,
  } do
    answers(give(1), give(2), give(3))
    for _, options in ipairs{ {}, { answer = "json" }, { field = "/answer" }, { answer = "text" } } do
      options.early = false
      local reply = vote(options, { tools = { { type = "function", ["function"] = { name = "f" } } } })
      t.equal(reply.status, 200, what)
      local votes = reply.headers["x-perilune-vote"]
      if what == "calls" or options.answer ~= "text" and (what == "json" or what == "fenced") then t.equal(votes, "2/3; majority", what) end
      answers(give(1), give(2), give(3))
    end
  end
end)

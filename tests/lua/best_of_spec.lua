local t = require "perilune.test"
local perilune = require "perilune"
local judge = require "perilune.judge"

local function question(more)
  local body = { temperature = 1, messages = { { role = "user", content = "Write a line about the sea." } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return t.request(body)
end

local function answers(...)
  local list = {}
  for i, text in ipairs{ ... } do list[i] = type(text) == "table" and text or { text = text } end
  t.upstream("up", list)
end

local function best(options, more, opts)
  local judged = options.judge == nil
  options.n, options.judge = options.n or 3, options.judge or "critic"
  if judged and more and more.says then t.upstream("critic", more.says) end
  local body = {}
  for k, v in pairs(more or {}) do if k ~= "says" then body[k] = v end end
  local req = question(body)
  req.upstream = "up"
  return t.send("best_of", options, req, opts)
end

t.test("a model chooses, streamed or whole", function()
  for _, stream in ipairs{ false, true } do
    answers("wet", "blue and deep", "salt")
    local reply = best({}, { stream = stream, says = { text = "[[2]]" } })
    t.equal({ reply.text, reply.headers["x-perilune-best-of"], reply.done }, { "blue and deep", "2/3; judge", true })
    local asked = t.calls("critic")[1].body
    t.equal(asked.temperature, 0)
    t.match(asked.messages[2].content, "Write a line about the sea.*<answer 2>\nblue and deep\n</answer 2>")
  end
end)

t.test("what a judge may say, and what is nonsense", function()
  for said, number in pairs{
    ["[[3]]"] = 3, ["2"] = 2, ["Answer 2 is best."] = 2, ["<think>1 or 2?</think>[[1]]"] = 1, ["第二个"] = 2, ["三"] = 3,
    ["I like 1 and 2, so [[2]]"] = 2, ["2, yes 2"] = 2,
  } do t.equal(judge.read(said, 3), number, said) end
  for _, said in ipairs{ "", "[[9]]", "0", "4", "1 or 2", "the first", "[[1.5]]x7", "-", "第九个", ("9"):rep(400) } do
    t.equal(judge.read(said, 3), nil, said)
  end
end)

t.test("a judge that talks nonsense, fails or is late has no say", function()
  for _, says in ipairs{ { text = "All are lovely!" }, { status = 500 }, { text = "[[2]]", delay = 90 } } do
    answers("one", "two", "three")
    local reply = best({ judge_timeout = 5 }, { says = says })
    t.equal({ reply.text, reply.headers["x-perilune-best-of"] }, { "one", "1/3; first" })
    t.ok(t.logs()[1].text:find("no say"))
  end
end)

t.test("what is flawed is out, and one that is left needs no judge", function()
  local format = { type = "json_schema", json_schema = { name = "x", schema = { type = "object", required = { "a" },
    properties = { a = { type = "integer" } } } } }
  answers('{"a": "no"}', "no JSON", '{"a": 5}')
  local reply = best({}, { response_format = format, says = { text = "[[1]]" } })
  t.equal({ reply.text, reply.headers["x-perilune-best-of"], #t.calls("critic") }, { '{"a": 5}', "3/3; only", 0 })
  answers("", "  ", "words")
  t.equal(best({}, { says = { text = "[[1]]" } }).text, "words")
  answers({ text = "cut of", finish_reason = "length" }, { text = "whole" }, { text = "cut, too", finish_reason = "length" })
  t.equal(best({}, { says = { text = "[[1]]" } }).text, "whole")
  answers("nothing fits", "anyhow", "here") -- then they are judged as they are
  t.equal(best({}, { response_format = format, says = { text = "[[2]]" } }).text, "anyhow")
end)

t.test("equal answers need no judge", function()
  answers("same")
  local reply = best({}, { says = { text = "[[1]]" } })
  t.equal({ reply.headers["x-perilune-best-of"], #t.calls("critic") }, { "1/3; same", 0 })
end)

t.test("rules", function()
  for rule, text in pairs{ longest = "three by three", shortest = "one", schema = "one", common = "two by three" } do
    answers("one", "two by three", "three by three")
    t.equal(best{ judge = rule }.text, text, rule)
  end
end)

t.test("a function chooses, may wait, may be wrong", function()
  answers("one", "two", "three")
  t.equal(best{ judge = function(_, texts) perilune.sleep(1) return #texts end }.text, "three")
  for _, fn in ipairs{ function() error("oh") end, function() return 7 end, function() return "2" end, function() end } do
    answers("one", "two", "three")
    t.equal(best{ judge = fn }.text, "one")
  end
end)

t.test("those that fail are left out; the client's n > 1 passes", function()
  answers({ status = 500 }, "two", "three")
  t.equal(best({}, { says = { text = "[[1]]" } }).text, "two")
  answers({ status = 429 })
  t.equal(best({}, { says = {} }).status, 429)
  answers{ choices = { { text = "a" }, { text = "b" } } }
  t.equal(#best({}, { n = 2, says = {} }).body.choices, 2)
  t.equal(#t.calls("up"), 1)
end)

t.test("answers that call tools are judged with their calls", function()
  answers({ tool_calls = { { name = "f", arguments = "{}" } } }, { text = "words" }, { text = "more" })
  local reply = best({}, { says = { text = "[[1]]" } })
  t.equal(reply.body.choices[1].finish_reason, "tool_calls")
  t.match(t.calls("critic")[1].body.messages[2].content, "<answer 1>\n\nf{}")
end)

t.test("wrong options are refused", function()
  t.error(function() t.policy("best_of", {}) end, "option 'judge' is missing")
  t.upstream("up", {})
  t.error(function() t.policy("best_of", { judge = "upp" }) end, "did you mean 'up'.*\"schema\"")
  t.error(function() t.policy("best_of", { judge = { upstream = "up", model = "x" } }) end, "unknown key 'model'")
end)

t.test("a cache or coalesce behind it keeps the answers apart, and gives each again", function()
  for _, behind in ipairs{ { "cache_exact" }, { "cache_semantic" }, { "coalesce" } } do
    t.upstream("up", { { text = "46", delay = 1 }, { text = "The answer is 48.", delay = 1 }, { text = "48", delay = 1 } })
    local function send()
      return t.send({ { "best_of", n = 3, judge = "longest", }, behind }, nil, t.request{ temperature = 1, tenant = behind[1],
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
  t.send({ { "best_of", n = 2, judge = "longest", }, { "best_of", n = 2, judge = "longest", }, { "cache_exact" } }, nil,
    t.request{ temperature = 1, messages = { { role = "user", content = "What is 6 * 8?" } } })
  t.equal(#t.calls("up"), 4)
end)

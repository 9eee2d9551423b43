local t = require "perilune.test"
local perilune = require "perilune"

t.test("values come as soon as they are complete", function()
  local s = perilune.json_stream()
  t.equal(s:feed('{"title":"Mo'), {})
  t.equal(s:feed('on","n":1'), { { path = "/title", value = "Moon" } })
  t.equal(s:feed('2,"tags":["caf\\u00e9",nu'), { { path = "/n", value = 12 }, { path = "/tags/0", value = "café" } })
  t.equal(s:done(), false)
  t.equal(s:feed('ll,true,[],{}]}'), {
    { path = "/tags/1", value = perilune.json.null }, { path = "/tags/2", value = true },
    { path = "/tags/3", value = {} }, { path = "/tags/4", value = {} },
  })
  t.equal({ s:done(), #s:finish() }, { true, 0 })
  t.equal(perilune.json.encode(perilune.json_stream():feed("[[]]")[1].value), "[]")
end)

t.test("a stream of an answer", function()
  t.upstream("m", { chunks = { 'Sure: ```json\n{"a"', ': "x', 'y", "b": [1', ", 2]}\n```" } })
  local req = t.request{ stream = true }
  local res = perilune.upstream("m"):chat(req)
  local s, out = perilune.json_stream{ seek = true }, {}
  for ev in res:events() do
    for _, field in ipairs(ev.type == "text" and s:feed(ev.text) or {}) do
      out[#out + 1] = field.path .. "=" .. tostring(field.value)
    end
  end
  t.equal(table.concat(out, " "), "/a=xy /b/0=1 /b/1=2")
end)

t.test("a number alone needs the end", function()
  local s = perilune.json_stream()
  t.equal(s:feed(" 12"), {})
  t.equal(s:finish(), { { path = "", value = 12 } })
end)

t.test("what is wrong, and where", function()
  local function says(text, options, pattern)
    local s = perilune.json_stream(options)
    local got, why = s:feed(text)
    if got then got, why = s:finish() end
    t.equal(got, nil)
    t.match(why, pattern)
    local again, same = s:feed("1")
    t.equal({ again, same }, { nil, why })
  end
  says('{"a":tru}', nil, "^unexpected character at byte 5$")
  says('{"a":1', nil, "^the text ends too early at byte 6$")
  says("[[[1]]]", { max_depth = 2 }, "^nested deeper than max_depth at byte 2$")
  says("[1,2]", { max_size = 3 }, "^longer than max_size at byte 3$")
  says('["abcd"]', { max_value = 5 }, "^a value is over max_value at byte 1$")
  says("no", { seek = true }, "^there is no { or %[ at byte 2$")
end)

t.test("wrong options throw", function()
  t.error(function() perilune.json_stream{ max_deep = 1 } end, "unknown option 'max_deep'")
  t.error(function() perilune.json_stream{ max_depth = 0 } end, "whole number from 1 to 128")
  t.error(function() perilune.json_stream{ max_size = 1.5 } end, "whole number")
  t.error(function() perilune.json_stream():feed() end, "string expected")
end)

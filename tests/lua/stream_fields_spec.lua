local t = require "perilune.test"
local perilune = require "perilune"
local fields_of = require "perilune.fields"
local rewriting = require "rewriting"

local fields = { "title", "summary:text", "score:integer", "sure:boolean" }

-- The answer as the client gets it.
local function answer(options, script, body)
  body = body or { messages = { { role = "user", content = "describe" } } }
  if type(script) == "string" then script = { text = script } end
  t.upstream("m", script)
  local req = t.request(body)
  local res = t.run("stream_fields", options, req)
  return res:text(), t.calls("m")[1].body, req, res
end

t.test("lines become JSON", function()
  local text, body, req = answer({ fields = fields }, "title: The Moon\nsummary: Far away;\nand cold: very.\nscore: 7\nsure: yes")
  t.equal(perilune.json.decode(text), { title = "The Moon", summary = "Far away;\nand cold: very.", score = 7, sure = true })
  t.equal(#body.messages, 2)
  t.ok(req:saved().tokens < 0, "the instruction is counted")
  t.equal(body.messages[1].role, "system")
  t.match(body.messages[1].content, "title: %(one line%)\nsummary: %(text%)\nscore: %(a whole number%)\nsure: %(true or false%)$")
end)

t.test("the system message keeps what it said", function()
  local _, body = answer({ fields = { "a" } }, "a: 1", { messages = { { role = "system", content = "Be kind." }, { role = "user", content = "u" } } })
  t.match(body.messages[1].content, "^Be kind%.\n\nAnswer with one line")
  t.equal(#body.messages, 2)
  _, body = answer({ fields = { "a" } }, "a: 1", { messages = { { role = "developer", content = { { type = "text", text = "Be kind." } } } } })
  t.equal({ body.messages[1].content[1].text, #body.messages[1].content }, { "Be kind.", 2 })
end)

t.test("each field goes out when it is complete", function()
  local got = {}
  local script = { chunks = { "tit", "le: Mo", "on\nsumm", "ary: far\naw", "ay\nsco", "re: 7\n", "sure: no" } }
  local pieces = {}
  t.upstream("m", script)
  local res = t.run("stream_fields", {
    fields = fields, on_field = function(name, value, req)
      got[#got + 1] = { name, value, req.id ~= nil }
    end,
  }, t.request{ stream = true })
  for ev in res:events() do
    if ev.type == "text" and ev.text ~= "" then pieces[#pieces + 1] = ev.text end
  end
  t.equal(got, { { "title", "Moon", true }, { "summary", "far\naway", true }, { "score", 7, true }, { "sure", false, true } })
  t.equal(table.concat(pieces):gsub("\n", ""), '{"title":"Moon","summary":"far\\naway","score":7,"sure":false}')
  t.match(pieces[1], '^{"title":"Moon"%s*$')
  -- The JSON that a client has at any moment is cut between two values.
  local stream = perilune.json_stream()
  for _, piece in ipairs(pieces) do t.ok(stream:feed(piece)) end
  t.equal(stream:done(), true)
end)

t.test("at every way of cutting the answer", function()
  local text = "title: A \"b\"\nsummary: one\n```\nscore: 3\n```\ntwo\nscore: 12\nsure: false"
  for n = 1, #text do
    local chunks = {}
    for at = 1, #text, n do chunks[#chunks + 1] = text:sub(at, at + n - 1) end
    t.upstream("m", { chunks = chunks })
    local res = t.run("stream_fields", { fields = fields }, t.request{ stream = n % 2 == 0 })
    t.equal(perilune.json.decode(res:text()),
      { title = 'A "b"', summary = "one\n```\nscore: 3\n```\ntwo", score = 12, sure = false }, "pieces of " .. n)
  end
end)

t.test("models that decorate", function()
  local text = answer({ fields = { "title", "score:number", "mood" } },
    "Sure, here you are:\r\n\r\n**Title:** \"The \\\"Moon\\\"\"\r\n- `score` : -1.50\r\nMOOD： 好\r\n")
  t.equal(text:gsub("\n", ""), '{"title":"The \\"Moon\\"","score":-1.50,"mood":"好"}')
end)

t.test("a fence around all of it is no part of the last field", function()
  local function is(script, expected) t.equal((answer({ fields = fields }, script):gsub("\n", "")), expected) end
  is("```yaml\ntitle: t\nscore: 1\nsure: no\nsummary: a\nb\n```\n", '{"title":"t","score":1,"sure":false,"summary":"a\\nb"}')
  is("```\nsummary: a\n```\nb\n```\n```", '{"summary":"a\\n```\\nb\\n```","title":null,"score":null,"sure":null}')
  is("summary: a\n```\nb\n```", '{"summary":"a\\n```\\nb\\n```","title":null,"score":null,"sure":null}')
end)

t.test("what the model thought is no field, and numbers in front of names are no part of them", function()
  local function is(script, expected) t.equal((answer({ fields = fields }, script):gsub("\n", "")), expected) end
  is("<think>\nscore: 9\ntitle: perhaps\n</think>\n\ntitle: t\nscore: 1", '{"title":"t","score":1,"summary":null,"sure":null}')
  is("\n<think>short</think>title: t", '{"title":"t","summary":null,"score":null,"sure":null}')
  is("<think>\n</think>\n{\"title\":\"<think>\"}", '{"title":"<think>"}')
  is("<think>\nstill", "<think>still")
  is("1. title: t\n2) **score**: 2", '{"title":"t","score":2,"summary":null,"sure":null}')
end)

t.test("what is missing or not of its type is null", function()
  local function is(script, expected) t.equal((answer({ fields = fields }, script):gsub("\n", "")), expected) end
  is("title: t\nscore: 7.5\nsure: maybe", '{"title":"t","score":null,"sure":null,"summary":null}')
  is("score: 1\nscore: 2\ntitle:", '{"score":1,"title":"","summary":null,"sure":null}')
  is("score: 0x10\nsure: 是", '{"score":null,"sure":true,"title":null,"summary":null}')
end)

t.test("one of several", function()
  local options = { fields = { { name = "mood", one_of = { "Good", "bad" }, about = "of the author" } } }
  local text, body = answer(options, "mood: good")
  t.equal(text, '{"mood":"Good"}')
  t.match(body.messages[1].content, "mood: %(one of: Good, bad; of the author%)$")
  t.equal(answer(options, "mood: so so"), '{"mood":null}')
end)

t.test("an answer that is JSON, or none of it, is not lost", function()
  t.equal(answer({ fields = fields }, '{"title":"x",\n "score": 1}'), '{"title":"x",\n "score": 1}')
  t.equal(answer({ fields = fields }, '\n```json\n{"title":"x"}\n```'), '\n```json\n{"title":"x"}\n```')
  t.match(answer({ fields = fields }, "I am sorry.\nI cannot do that."), "^%s*I am sorry%.\nI cannot do that%.$")
  t.equal(answer({ fields = fields }, ""), "")
end)

t.test("lines, when they are wanted", function()
  local text = "title: t\nsummary: s\nt\nscore: 1\nsure: yes"
  t.equal(answer({ fields = fields, output = "lines" }, text), text)
end)

t.test("the fields of a response_format", function()
  local format = '{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","properties":'
    .. '{"zeta":{"type":"string","description":"the last"},"alpha":{"type":"number"},"mood":{"type":"string","enum":["up","down"]}},'
    .. '"required":["zeta","alpha","mood"],"additionalProperties":false}}}'
  local function body(f) return { body = '{"model":"m","messages":[{"role":"user","content":"u"}],"response_format":' .. f .. '}' } end
  local text, sent = answer({}, "zeta: z\nalpha: 1\nmood: up", body(format))
  t.equal(text:gsub("\n", ""), '{"zeta":"z","alpha":1,"mood":"up"}')
  t.equal(sent.response_format, nil)
  t.match(sent.messages[1].content, "zeta: %(text; the last%)\nalpha: %(a number%)\nmood: %(one of: up, down%)$")

  local others = {
    "5", "[]", '{"type":"json_schema","json_schema":5}', '{"type":"json_schema","json_schema":{"schema":"x"}}',
    (format:gsub('"object","properties":%b{}', '"object","properties":5')), (format:gsub('"object","properties":%b{}', '"object","properties":"x"')),
    (format:gsub('"object","properties":%b{}', '"object","properties":[1]')), (format:gsub('"object","properties":%b{}', '"object","properties":[]')),
    '{"type":"json_object"}', "null", '{"type":"text"}', '{"type":"json_schema"}',
    (format:gsub('"type":"number"', '"type":"array"')), (format:gsub('"type":"number"', '"type":["number","null"]')),
    (format:gsub('{"type":"number"}', "7")), (format:gsub('"object","properties":%b{}', '"object","properties":{}')),
    (format:gsub('%["up","down"%]', "[1,2]")), (format:gsub('%["up","down"%]', "[]")),
    (format:gsub('"zeta":{', '"Alpha":{')),
    (format:gsub('"type":"number"', '"type":"number","minimum":1')),
    (format:gsub('"type":"string","description"', '"type":"string","pattern":"^z","description"')),
    (format:gsub('"required"', '"anyOf":[{"required":["zeta"]}],"required"')),
  }
  for _, other in ipairs(others) do
    t.upstream("m", { text = "zeta: z" })
    local req = t.request(body(other))
    t.equal(t.run("stream_fields", {}, req):text(), "zeta: z", other)
    t.equal(t.calls("m")[1].text, body(other).body)
  end
end)

t.test("several answers at once, and what is no chat, pass", function()
  t.equal(answer({ fields = fields }, "title: t", { n = 2 }), "title: t")
  rewriting.passes("stream_fields", { fields = fields })
end)

t.test("tried again, it is asked once", function()
  t.upstream("m", { { status = 503 }, { text = "title: t" } })
  local policy, req = t.policy("stream_fields", { fields = { "title" } }), t.request("hi")
  local next = function(r) return perilune.upstream("m"):chat(r) end
  policy(req, next)
  t.equal(policy(req, next):text(), '{"title":"t"}')
  t.equal(t.calls("m")[1].text, t.calls("m")[2].text)
end)

t.test("random lines: always JSON, or the words themselves", function()
  local conversations = require "conversations"
  local bits = { "title: a", "summary: ", "summary: b", "more", "```", "score: 1", "score: x", "sure: no", "", " ", "title", ": ", "{", "x: y", "\"", "\\" }
  for seed = 1, 500 do
    local random, lines = conversations.random(seed), {}
    for i = 1, random(12) do lines[i] = bits[random(#bits)] end
    local parser, out = fields_of.parser({ fields_of.field("title"), fields_of.field("summary:text"), fields_of.field("score:number"),
                                           fields_of.field("sure:boolean") }), {}
    for _, line in ipairs(lines) do out[#out + 1] = parser:line(line) or "" end
    out[#out + 1] = parser:finish() or ""
    local text = table.concat(out, "\n")
    if not parser.as_it_is and not parser:is_empty() then
      t.ok(perilune.json.decode(text), ("seed %d: %s"):format(seed, text))
    end
  end
end)

t.test("wrong options are refused", function()
  local function says(options, pattern) t.error(function() t.policy("stream_fields", options) end, pattern) end
  says({ fields = {} }, "length of at least 1")
  says({ fields = { "a:strin" } }, "element 1 'a' has no type 'strin'")
  says({ fields = { { type = "text" } } }, "needs a name")
  says({ fields = { { name = "a", typ = "text" } } }, "unknown key 'typ'")
  says({ fields = { "a", "A" } }, "two fields are named 'A'")
  says({ fields = { "a b", "A b " } }, "two fields are named 'A b '")
  local function one(field, pattern) says({ fields = { field } }, "element 1 'a' " .. pattern) end
  for _, list in ipairs{ "x", 5, {}, { 1, 2 }, { a = "x" }, { "x", "" }, { "two\nlines" } } do
    one({ name = "a", one_of = list }, "has a one_of that is no list of texts of one line")
  end
  one({ name = "a", type = "integer", one_of = { "1" } }, "has a one_of, which goes with the types string and text")
  one({ name = "a", about = 5 }, "has an about that is no text")
  one({ name = "a", about = {} }, "has an about that is no text")
  says({ field = {} }, "did you mean 'fields'?")
end)

-- -- map's third argument -----------------------------------------------------------

t.test("map: what is added at the end", function()
  for _, stream in ipairs{ true, false } do
    for _, by in ipairs{ "event", "word", "line" } do
      t.upstream("m", { chunks = { "one t", "wo\nthree" } })
      local res = perilune.upstream("m"):chat(t.request{ stream = stream })
      local ends = 0
      res:map(by, function(s) return s end, function() ends = ends + 1 return "!" end)
      res:map(by, function(s) return s:upper() end)
      res:map(by, function(s) return s end, function() return "?" end)
      t.equal({ res:text(), ends }, { "ONE TWO\nTHREE!?", 1 }, by)
    end
  end
  t.upstream("m", { text = "" })
  local res = perilune.upstream("m"):chat(t.request{ stream = true })
  t.error(function() res:map("word", function() end, "x") end, "at_end must be a function")
end)

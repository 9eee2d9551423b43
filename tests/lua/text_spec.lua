--- What perilune.text does for policies; the algorithms have tests in tests/unit/.
local t = require "perilune.test"
local text = require "perilune.text"

t.test("spans say what must stay, by the offsets of string.sub", function()
  local s = "Pay 5 GB, never \"6 TB\", see https://a.b/c."
  local got = {}
  for _, span in ipairs(text.spans(s)) do got[#got + 1] = span.type .. "=" .. s:sub(span.first, span.last) end
  t.equal(table.concat(got, "|"), 'number=5 GB|negation=never|quote="6 TB"|number=6 TB|url=https://a.b/c')
end)

t.test("types choose spans, merge makes them disjoint", function()
  t.equal(#text.spans("never 5", { types = { "negation" } }), 1)
  local merged = text.spans('"6 TB"', { merge = true })
  t.equal(#merged, 1)
  t.equal(merged[1].type, "quote")
  t.error(function() text.spans("x", { types = { "colour" } }) end, "'colour' is no type of span")
  t.error(function() text.spans("x", { typ = {} }) end, "unknown option")
end)

t.test("sentences are the text", function()
  local s = "# Title\n\nDr. No paid. He left!\n他说：“好。”走了。"
  local units, kinds = text.sentences(s)
  t.equal(table.concat(units), s)
  t.equal(table.concat(kinds, " "), "heading sentence sentence sentence sentence")
end)

t.test("rank answers a question, or finds the centre", function()
  local list = { "The cat sat.", "Light is fast.", "Cats and light." }
  local scores = text.rank(list, "how fast is light?")
  t.ok(scores[2] > scores[3] and scores[3] > scores[1])
  t.equal(scores[1], 0)
  t.equal(#text.rank(list), 3)
  t.equal(#text.rank({}, "x"), 0)
end)

local function story()
  local out = {}
  for i = 1, 40 do out[i] = ("Filler number %d talks of nothing in particular."):format(i * 1000) end
  out[20] = "The treasure of the island is under the old oak."
  return table.concat(out, " ")
end

t.test("extract keeps what answers the question", function()
  local short, info = text.extract(story(), "Where is the treasure?", { ratio = 0.3, pieces = true })
  t.ok(short:find("under the old oak", 1, true))
  t.ok(info.after <= info.before * 0.35, "to the ratio")
  t.equal(#info.pieces, info.units)
  t.equal(info.pieces[20].kept, true)
end)

t.test("JSON stays JSON", function()
  local s = require("perilune").json.encode({ n = 1.5, list = { true, story() } })
  local short, info = text.extract(s, "treasure")
  local value = require("perilune").json.decode(short)
  t.equal(info.json, true)
  t.equal(value.n, 1.5)
  t.ok(#short < #s * 0.7 and value.list[2]:find("old oak", 1, true))
end)

t.test("bad texts are refused with a sentence", function()
  local got, err = text.spans("ab\255")
  t.equal(got, nil)
  t.equal(err, "the text is not UTF-8 (byte 3)")
  got, err = text.extract("good", "\255")
  t.equal(got, nil)
  t.equal(err, "the question is not UTF-8")
  got, err = text.sentences(("x"):rep(1024 * 1024 + 1))
  t.equal(got, nil)
  t.match(err, "the limit is 1048576")
  got, err = text.spans(("1 "):rep(100000))
  t.equal(got, nil)
  t.match(err, "100000 spans, the limit is 65536")
  t.error(function() text.extract("x", "y", { ratio = 2 }) end, "'ratio' must be a number from 0 to 1")
end)

t.test("what was said before goes", function()
  local line = "The server was restarted because its memory was full."
  local short, gone = text.dedupe(line .. "\nA different line that is long enough to count.\n" .. line .. "\n")
  t.equal(short, line .. "\nA different line that is long enough to count.\n")
  t.equal(gone.lines, 1)
  local logs = {}
  for i = 1, 3 do logs[i] = ("2024-05-01 12:00:0%d WARN the disk of node-%d is nearly full, only a few bytes are left"):format(i, i) end
  local log = table.concat(logs, "\n")
  t.equal((text.dedupe(log, { likeness = 0.5 })), log, "numbers differ")
  t.equal((text.dedupe(log, { likeness = 0.3, any_numbers = true, mark = true })), logs[1] .. " [x3]\n")
end)

t.test("noise goes", function()
  t.equal(text.minify_json(' { "a" : 1.0 , "a" : "\\u00e9 " } '), '{"a":1.0,"a":"\\u00e9 "}')
  local got, err = text.minify_json('{"a" 1}')
  t.equal(got, nil)
  t.match(err, "at byte 6")
  t.equal(text.strip_ansi("\27[32mok\27[0m 10%\r100%\nend\r\n"), "100%\nend\n")
  local blob = ("aB3dE5gH"):rep(40)
  local short, count = text.elide_base64("see data:image/png;base64," .. blob .. "== and " .. ("abc/"):rep(100))
  t.equal(short, "see data:image/png;base64,[base64 322 bytes elided] and " .. ("abc/"):rep(100))
  t.equal(count, 1)
end)

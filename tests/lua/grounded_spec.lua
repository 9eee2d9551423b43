local t = require "perilune.test"
local grounded = require "perilune.grounded"

local function missing(source, text) return table.concat(grounded.source{ source }:missing(text), "|") end

t.test("numbers are compared by value", function()
  local source = "Revenue rose to 3.2 million; 12,500 customers; 50% more; 320万用户; in 2024."
  t.equal(missing(source, "3,200,000 of revenue, 12500 customers, 50 %, 3.2 million users, 2024"), "")
  t.equal(missing(source, "40 shops and 12,501 customers"), "40|12,501")
  t.equal(missing(source, "收入320万，客户1.25万，门店40家"), "40")
  t.equal(missing("", "no numbers at all"), "")
end)

t.test("what needs no source", function()
  t.equal(missing("", "There are 3 reasons and 2 ways."), "")
  t.equal(missing("", "10. First\n11. Second\n- 12) Third"), "")
  t.equal(missing("", "It was 3.5 times"), "3.5")
end)

t.test("quotations, whatever marks they have", function()
  local source = "“We are   very proud\nof that”, she said. 他说：「我们非常自豪这个结果」。"
  t.equal(missing(source, 'She said "We are very proud of that."'), "")
  t.equal(missing(source, 'She said "We are not proud of that"'), '"We are not proud of that"')
  t.equal(missing(source, "他说“我们非常自豪这个结果”"), "")
  t.equal(missing(source, 'the "word"'), "")
end)

t.test("long and odd texts", function()
  local source = grounded.source{ ("a 17 b "):rep(200000) .. '"the very last words"' }
  t.equal(source:missing('17 and "the very last words"'), {})
  t.equal(#source:missing(("%d "):rep(100):format(unpack((function() local l = {} for i = 1, 100 do l[i] = 1000 + i end return l end)()))), 20)
  grounded.source{ "\255\254 12" }:missing("\255 12 13")
end)

t.test("who has no time gets no source, and no list of what is missing", function()
  local left = 0
  local function has_time(seconds)
    left = left - seconds
    return left >= 0
  end
  local numbers = ("12345 67890\n"):rep(4000)
  t.equal(grounded.source({ numbers }, has_time), nil)
  left = 0.003 -- it is normalized, and not all numbers are read
  t.equal(grounded.source({ numbers }, has_time), nil)
  left = 1
  local source = grounded.source({ numbers }, has_time)
  t.equal(source:missing("12345 and 999", has_time), { "999" })
  left = 0
  t.equal(source:missing("12345 and 999", has_time), nil)
  left = 0.0000005 -- numbers (there are none), but no quotations
  t.equal(source:missing("\"a quotation of some words\"", has_time), nil)
end)

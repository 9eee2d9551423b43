-- string.upper, lower, reverse and rep are ours (core/bridge/strings.c), and what Lua's manual says of them holds.
local t = require "perilune.test"

local every = {}
for i = 0, 255 do every[i + 1] = string.char(i) end
every = table.concat(every)

local function naive(s, change)
  local out = {}
  for i = 1, #s do out[i] = change(s:byte(i)) end
  return table.concat(out)
end

t.test("upper and lower change letters of ASCII only, whatever the length", function()
  for _, times in ipairs{ 1, 2, 700 } do
    local s = every:rep(times) .. "é"
    t.equal(s:upper() == naive(s, function(c) return string.char(c >= 97 and c <= 122 and c - 32 or c) end), true)
    t.equal(s:lower() == naive(s, function(c) return string.char(c >= 65 and c <= 90 and c + 32 or c) end), true)
  end
  t.equal({ (""):upper(), string.lower(12), (12.5 .. "E"):lower() }, { "", "12", "12.5e" })
end)

t.test("reverse", function()
  t.equal({ (""):reverse(), ("abc\0d"):reverse(), string.reverse(123) }, { "", "d\0cba", "321" })
  local long = every:rep(700)
  t.equal(long:reverse():reverse() == long, true)
  t.equal(long:reverse():sub(1, 2) == "\255\254", true)
end)

t.test("rep, with and without a separator", function()
  t.equal({ ("ab"):rep(3), ("ab"):rep(0), ("ab"):rep(-1), ("ab"):rep(1, ","), ("ab"):rep(3, ", "), (""):rep(1e9), string.rep(1, 3),
            ("x"):rep(2.9), (""):rep(3, "-") },
          { "ababab", "", "", "ab", "ab, ab, ab", "", "111", "xx", "--" })
  for _, n in ipairs{ 85, 86, 127, 128, 129, 21845, 21846, 50000 } do
    local pieces = {}
    for i = 1, n do pieces[i] = "abc" end
    t.equal(("abc"):rep(n) == table.concat(pieces), true)
    t.equal(("abc"):rep(n, "--") == table.concat(pieces, "--"), true)
  end
  local long = every:rep(300)
  t.equal(long:rep(3, "|") == long .. "|" .. long .. "|" .. long, true)
end)

t.test("what is wrong with an argument is said as Lua says it", function()
  t.error(function() string.upper({}) end, "bad argument #1 to 'upper' %(string expected, got table%)")
  t.error(function() ("x"):rep() end, "bad argument #1 to 'rep' %(number expected, got no value%)")
  t.error(function() ("x"):rep(1e18) end, "string length overflow")
end)

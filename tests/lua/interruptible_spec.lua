-- table.sort and string.gsub as policies have them: the same answers as C's.

local test = require "perilune.test"
local interruptible = require "perilune.interruptible"

local function numbers(n, most)
  local t = {}
  for i = 1, n do t[i] = math.random(most) end
  return t
end

test.test("sort: the same order as C's, for any length", function()
  math.randomseed(7)
  for n = 0, 600, 7 do
    local a = numbers(n, 1 + n * 2)
    local b = { unpack(a) }
    interruptible.sort(a, function(x, y) return x > y end)
    table.sort(b, function(x, y) return x > y end)
    test.equal(a, b)
  end
  local many = numbers(3000, 1000)
  local same = {}
  for i, v in ipairs(many) do same[i] = v end
  interruptible.sort(many)
  table.sort(same)
  test.equal(many, same)
end)

test.test("sort: equal elements keep their order", function()
  local t = {}
  for i = 1, 200 do t[i] = { key = i % 3, i = i } end
  interruptible.sort(t, function(a, b) return a.key < b.key end)
  for i = 2, 200 do assert(t[i - 1].key < t[i].key or (t[i - 1].key == t[i].key and t[i - 1].i < t[i].i)) end
end)

test.test("sort: strings, what cannot be compared, a contradiction, an error inside", function()
  local t = {}
  for i = 1, 600 do t[i] = tostring(i * 7 % 600) end
  interruptible.sort(t)
  for i = 2, 600 do assert(t[i - 1] < t[i]) end
  t[300] = {}
  test.equal(pcall(interruptible.sort, t), false)
  test.equal(pcall(interruptible.sort, "text"), false)
  test.equal(pcall(interruptible.sort, t, 1), false)
  local odd = numbers(50, 9)
  interruptible.sort(odd, function() return true end)
  test.equal(#odd, 50)
  local ok, err = pcall(interruptible.sort, { 2, 1 }, function() error("mine", 0) end)
  test.equal(ok, false)
  test.equal(err, "mine")
end)

-- A replacement by a string is C's: "<%1>" is what the function makes of the first capture.
local patterns = {
  "a", "a*", "(a)b?", "()a", "%w+", "(%w)%w*", "^a", "^", "$", "a$", "%f[%w]%w+", "[^a]", "", "%s*", "(b-)a", "%b()", "(a)(b)",
}

test.test("gsub: functions and tables replace as strings do", function()
  math.randomseed(11)
  local letters = { "a", "b", "ab", " ", "(", ")", "aab", "x" }
  local looked_up = setmetatable({}, { __index = function(_, key) return "<" .. key .. ">" end })
  for _ = 1, 400 do
    local parts = {}
    for i = 1, math.random(0, 9) do parts[i] = letters[math.random(#letters)] end
    local s, pattern = table.concat(parts), patterns[math.random(#patterns)]
    local most = math.random(3) == 1 and math.random(0, 3) or nil
    local want, count = s:gsub(pattern, "<%1>", most)
    local got, n = s:gsub(pattern, function(first) return "<" .. first .. ">" end, most)
    test.equal({ got, n }, { want, count })
    got, n = s:gsub(pattern, looked_up, most)
    test.equal({ got, n }, { want, count })
  end
end)

test.test("gsub: many pieces; all captures; what stays; what is wrong", function()
  local long = ("ab "):rep(20000)
  local got, n = long:gsub("%a+", function(w) return w:upper() end)
  test.equal({ got == ("AB "):rep(20000), n }, { true, 20000 })
  test.equal((("k=v, x=y"):gsub("(%w)=(%w)", function(k, v) return v .. k end)), "vk, yx")
  test.equal((("abc"):gsub(".", { a = 1, b = false })), "1bc")
  test.equal((("abc"):gsub(".", function() end)), "abc")
  test.equal(select(2, pcall(string.gsub, "abc", ".", function() return {} end)), "invalid replacement value (a table)")
  test.equal(pcall(string.gsub, "abc", "[a", function() end), false)
  test.equal(pcall(string.gsub, nil, "a", function() end), false)
  test.equal(pcall(string.gsub, "a", "a", print, {}), false)
  test.equal((string.gsub(112, 1, function() return "x" end)), "xx2")
end)

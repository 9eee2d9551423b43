local t = require "perilune.test"
local template = require "perilune.template"
local null = require("perilune.core").null

t.test("fills in names, paths and numbers", function()
  local greet = template.new("Dear {{user.name}}, {{ n }} times {{ok}}.")
  t.equal(greet:render{ user = { name = "Ada" }, n = 3, ok = true }, "Dear Ada, 3 times true.")
  t.equal(greet{ user = { name = "Bo" }, n = 1, ok = false }, "Dear Bo, 1 times false.")
  t.equal(template.new("{{list.2}}"):render{ list = { "a", "b" } }, "b")
end)

t.test("text without holes stays as it is", function()
  t.equal(template.new(""):render{}, "")
  t.equal(template.new("a { b } }} c\n"):render{}, "a { b } }} c\n")
end)

t.test("json quotes", function()
  local body = template.new('{"q":{{q|json}},"list":{{ l | json }}}')
  t.equal(body:render{ q = "plain", l = { 1, 2 } }, '{"q":"plain","list":[1,2]}')
  t.equal(template.new("{{x|json}}"):render{ x = null }, "null")
end)

t.test("a missing value is named", function()
  local one = template.new("{{user.nick}}")
  t.error(function() one:render{ user = {} } end, "no value for 'user%.nick'")
  t.error(function() one:render{} end, "no value for 'user%.nick'")
  t.error(function() one:render{ user = "text" } end, "no value for 'user%.nick'")
  t.error(function() template.new("{{x}}"):render{ x = null } end, "no value for 'x'")
  t.error(function() template.new("{{x}}"):render{ x = {} } end, "'x' is a table; write {{x|json}}")
  t.error(function() one:render() end, "takes a table of values")
end)

t.test("a value is not read as a template", function()
  t.equal(template.new("{{a}}"):render{ a = "{{b}} %1" }, "{{b}} %1")
end)

t.test("braces are inserted as text", function()
  t.equal(template.new('{{"{{"}}name{{"}}"}}'):render{}, "{{name}}")
end)

t.test("what is malformed says the line", function()
  t.error(function() template.new("a\nb {{name") end, "line 2: {{ without }}")
  t.error(function() template.new("{{}}") end, "line 1: {{}}: a name is missing")
  t.error(function() template.new("{{a..b}}") end, "a name is missing")
  t.error(function() template.new("\n\n{{a b}}") end, "line 3")
  t.error(function() template.new("{{a|jso}}") end, "unknown filter 'jso'")
  t.error(function() template.new(7) end, "takes a string")
end)

t.test("a text is compiled once, and many are not kept for ever", function()
  local text = "Dear {{name}}"
  t.equal(template.new(text).parts == template.new(text).parts, true)
  local parts = template.new(text).parts
  for i = 1, 300 do template.new("no " .. i) end
  t.equal(template.new(text).parts == parts, false)
  t.equal(template.new(text):render{ name = "Ada" }, "Dear Ada")
  local long = ("x"):rep(70000) .. "{{a}}"
  t.equal(template.new(long).parts == template.new(long).parts, false)
end)

local t = require "perilune.test"
local json = require("perilune").json

t.test("a list with a hole at its end, or a field, is an error and not lost", function()
  t.error(function() json.encode{ 1, [3] = 2, [5] = 4, [100] = 3 } end, "has an element %[%d+%] behind a hole")
  t.error(function() json.encode{ 1, 2, name = "x" } end, "a list of 2 has a field 'name' besides")
  t.error(function() json.encode{ 1, [true] = "x" } end, "a list of 1 has a field 'boolean' besides")
  t.error(function() json.encode{ 1, [1.5] = "x" } end, "has an element %[1.5%]")
  local empty = json.decode("[]")
  empty.name = "x"
  t.error(function() json.encode(empty) end, "a list of 0 has a field 'name'")
  t.error(function() json.encode{ 1, nil, 3 } end, "a list of 1 has an element %[3%] behind a hole; nil in a list is perilune.json.null")
  t.equal(json.encode{ 1, json.null, 3 }, "[1,null,3]")
end)

t.test("messages too: one that was put behind a hole", function()
  local req = t.request("hello")
  local messages = req.messages
  messages[5] = { role = "user", content = "x" }
  t.error(function() req:body() end, "a list of 1 has an element %[5%]")
  messages[5] = nil
  t.ok(req:body():find("hello", 1, true))
  messages.name = "x"
  t.error(function() req:body() end, "a field 'name' besides")
end)

t.test("what JSON cannot say", function()
  t.equal(json.encode{ 0 / 0, 1 / 0, -1 / 0 }, "[null,null,null]")
  t.equal(json.encode("a\255b"), '"a\239\191\189b"')
  t.error(function() json.encode(print) end, "cannot encode a function")
end)

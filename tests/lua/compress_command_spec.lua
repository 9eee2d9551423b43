--- perilune compress, called with files that are no text.
local t = require "perilune.test"
local command = require "perilune.compress_command"
local perilune = require "perilune"

local function refused(bytes, message)
  local file, stderr, said = os.tmpname(), io.stderr, {}
  local f = assert(io.open(file, "wb"))
  f:write(bytes)
  f:close()
  io.stderr = { write = function(_, ...) said[#said + 1] = table.concat{ ... } end }
  local status = command.run(perilune.json.encode{ file = file, policies = perilune.json.array(), options = perilune.json.array() })
  io.stderr = stderr
  os.remove(file)
  t.equal(status, 1)
  t.ok(table.concat(said):find(message, 1, true), ("%q: %s"):format(bytes:sub(1, 40), table.concat(said)))
end

t.test("what is not UTF-8 is refused, wherever it stands", function()
  refused("a\255b", "not UTF-8 (byte 2)")
  refused("abc\255", "not UTF-8 (byte 4)")
  refused("abc\228\184", "not UTF-8 (byte 4)")
  refused("\237\160\128", "not UTF-8 (byte 1)")
end)

t.test("a text over 1 MiB is refused", function()
  refused(("a"):rep(1048577), "a text may have 1 MiB, this one has 1048577 bytes")
end)

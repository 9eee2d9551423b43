-- batch_command.lua -- what perilune batch costs a line.
--
--   luajit tests/bench/batch_command.lua [lines]     50,000 lines
--
-- The upstream (perilune sim) answers at once, so that what is measured is the command: reading, asking through a
-- gateway, writing, syncing.  Its anchor is the load tester on the same upstream with the same bodies and as many
-- connections, which has no gateway in it, reads no file and keeps no answer.  Then the same command again, when every
-- line is done: what it costs to go on with a file.  Medians of three rounds, in turn; wall time.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local files = require "support.files"
local json = require "support.json"
local posix = require "support.posix"
local proc = require "support.proc"
local server = require "support.server"

local LINES, CONNS, ROUNDS = tonumber(arg[1]) or 50000, 32, 3
local CONTENT = "question number %s of somebody who has many of them"

local function write_lines(path)
  local f = assert(io.open(path, "w"))
  for i = 1, LINES do
    f:write(json.encode{ custom_id = "r-" .. i, method = "POST", url = "/v1/chat/completions",
      body = { model = "m", messages = { { role = "user", content = CONTENT:format(i) } } } }, "\n")
  end
  f:close()
end

-- Microseconds a line, and what the command said.
local function ask_all(up, dir)
  local out = dir .. "/said"
  os.remove(out) -- what is spawned appends
  local from = posix.now()
  local p = proc.spawn({ server.binary(), "batch", dir .. "/in.jsonl", "--url", up.url, "-o", dir .. "/out.jsonl", "-c",
    tostring(CONNS), "--json" }, { stdout = out, output = out .. ".err" })
  if not p:wait(300) then error("the command did not end", 0) end
  local took = posix.now() - from
  local t = json.decode(files.read(out) or "")
  if not t or t.left > 0 or t.failed > 0 then error("the command said: " .. (files.read(out) or "") .. p:text(), 0) end
  return took * 1e6 / LINES, t
end

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = 16 })
  local body = bench.file(dir, "body.json", json.encode{ model = "m", messages = { { role = "user",
    content = CONTENT:format("{{n}}") } } })
  write_lines(dir .. "/in.jsonl")
  local first, again, anchor = {}, {}, {}
  for round = 1, ROUNDS do
    os.remove(dir .. "/out.jsonl")
    first[round] = ask_all(up, dir)
    local us, t = ask_all(up, dir)
    if t.before ~= LINES then error("lines were asked again", 0) end
    again[round] = us
    anchor[round] = 1e6 / bench.load(up.port, { body = body, conns = CONNS, requests = LINES, dir = dir }).rps
  end
  bench.figure("a line of perilune batch", bench.median(first), "us", bench.median(anchor), 3, true)
  bench.figure("a line that is done, when it goes on", bench.median(again), "us", bench.median(first), 0.2, true)
end)

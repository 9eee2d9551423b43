-- neighbour.lua -- what others on the same worker notice of a policy that takes all it can.
--
--   luajit tests/bench/neighbour.lua [ATTACK...]
--
-- One worker. A neighbour asks at a steady rate, alone and then beside each attack, which a
-- client repeats without a pause: p99 beside p99 of the same run. What the neighbour waits for
-- is the longest stretch that cannot be interrupted (limits.block_ms), not the whole of what a
-- request may use (limits.cpu_ms).

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local proc = require "support.proc"
local server = require "support.server"

local RATE, SECONDS, BAR_US = 100, 2, 20000

-- Lua of the policy, by name; `forever`, `tree`, `large` and `dense` are there, and `some`: as many
-- bytes as text functions begin with in limits.block_ms.
local attacks = {
  { "loop", "while true do end" },
  { "handler", "while true do xpcall(error, forever) end" },
  { "sort", "table.sort({ 3, 1, 2 }, function() xpcall(forever, forever) end)" },
  { "sort_numbers", "local t = {} for i = 1, 2e5 do t[i] = -i end table.sort(t)" },
  { "gsub", "return (('a'):rep(1e6)):gsub('a', function() xpcall(forever, forever) end)" },
  { "pattern", "return (('a'):rep(2e5)):match('.-.-.-.-b')" },
  { "find", "while true do large:find('no such thing', 1, true) end" },
  { "encode", "perilune.json.encode(tree)" },
  { "log", "req:log('info', 'tree', { t = tree })" },
  { "field", "req.metadata = tree return next(req)" },
  { "decode", "while true do perilune.json.decode(numbers) end" },
  { "sha", "while true do perilune.sha256(large) end" },
  { "extract", "while true do text.extract(dense:sub(1, some), 'which one is 3f2a?') end" },
  { "sentences", "while true do text.sentences(('Hi. '):rep(some / 4)) end" },
  { "dedupe", "while true do text.dedupe(('a b c d e f g h i j\\n'):rep(some / 20), { likeness = 0.8 }) end" },
  { "refused", "while true do text.extract(dense, 'which one is 3f2a?') end" },
  { "tokens", "while true do perilune.tokens(dense) end" },
  { "tap", "local res = respond() res:tap(forever) return res" },
  { "map", "local res = respond() res:map('word', function(w) for _ = 1, 2000 do end return w end) return res" },
  { "map_sort", "local res = respond() res:map('word', function(w) table.sort({ 2, 1 }, forever) return w end) return res" },
  { "finally", "local res = respond() res:finally(forever) return res" },
  { "eat", "local t = {} for i = 1, 1e9 do t[i] = { i } end" },
  { "branches", "local f = {} for i = 1, 50 do f[i] = forever end perilune.all(f)" },
}

local function policy()
  local out = { [[
    routes = { { path = "/v1/chat/completions", policies = { (function()
      local perilune, text = require "perilune", require "perilune.text"
      local function forever() while true do end end
      local function respond() return perilune.respond{ text = ("word "):rep(20000) } end
      local tree, parts, x = { 1 }, {}, 1
      for _ = 1, 40 do tree = { tree, tree } end
      for i = 1, 1e5 do x = (x * 16807) % 2147483647 parts[i] = ("%x"):format(x) end
      local large, dense = ("ab"):rep(2e6), table.concat(parts, " ")
      local some = 5e5
      local numbers = perilune.json.encode(parts)
      local attacks = {}
  ]] }
  for _, a in ipairs(attacks) do out[#out + 1] = ("attacks[%q] = function(req, next) %s end\n"):format(a[1], a[2]) end
  out[#out + 1] = [[
      return function(req, next)
        local attack = attacks[req.model]
        if attack then return attack(req, next) end
        return next(req)
      end
    end)() } } }, log = { access = false, level = "fatal" },]]
  return table.concat(out)
end

local function body(dir, model)
  return bench.file(dir, model, ('{"model":%q,"messages":[{"role":"user","content":"hello"}]}'):format(model))
end

-- A client that repeats the attack until it is stopped.
local function attack(target, dir, name)
  return proc.spawn({ server.binary(), "bench", ("http://127.0.0.1:%d/v1"):format(target.port), "--no-validate",
    "--concurrency", "1", "--duration", tostring(SECONDS + 5), "--timeout", "10", "--body", body(dir, name) },
    { stdout = dir .. "/attack", output = dir .. "/attack.err" })
end

bench.run(function()
  local dir, only = bench.folder(), {}
  for _, word in ipairs(arg) do only[word] = true end
  local up = bench.upstream(dir, { tokens = 16 })
  local target = bench.perilune("workers = 1, upstreams = { up = { url = \"@UPSTREAM@\" } },\n" .. policy(), { UPSTREAM = up.url })
  local load = { body = body(dir, "hello"), rate = RATE, seconds = SECONDS, dir = dir }
  bench.load(target.port, load)
  local alone = bench.load(target.port, load).p99
  bench.figure("neighbour alone, p99", alone, "us")
  for _, a in ipairs(attacks) do
    if next(only) == nil or only[a[1]] then
      local p = attack(target, dir, a[1])
      local r = bench.load(target.port, load)
      p:stop()
      if r.failed > 0 then bench.note("%s: %d of %d requests failed: %s", a[1], r.failed, r.done, r.errors) end
      bench.figure("neighbour of " .. a[1] .. ", p99", r.failed > 0 and math.huge or r.p99, "us", alone, BAR_US)
    end
  end
end)

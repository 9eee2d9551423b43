-- loop.lua -- perilune.run() in a plain LuaJIT, with a simulated upstream.

package.path = "tests/?.lua;" .. package.path
local kit = require "rock.kit"
local perilune = require "perilune"
local test, equal, match, throws = kit.test, kit.equal, kit.match, kit.throws

local SIM = { upstreams = { up = { sim = { ttft_ms = 2, itl_ms = 1, tokens = 8 } },
                            slow = { sim = { ttft_ms = 60000, tokens = 8 } } } }

local function run(fn, ...) return perilune.run(SIM, fn, ...) end

local function ask(more)
  local question = { upstream = "up", messages = "hello" }
  for k, v in pairs(more or {}) do question[k] = v end
  return perilune.ask(question)
end

-- -- what works ---------------------------------------------------------------------

test("run gives what the function gives, holes and all", function()
  local n = select("#", run(function(...) return nil, select("#", ...), nil end, 1, nil, nil))
  equal(n, 3)
  equal(select(2, run(function(...) return nil, select("#", ...), nil end, 1, nil, nil)), 3)
  equal(run(function() end), nil)
end)

test("a stream is read as it comes", function()
  local text, kinds = "", {}
  run(function()
    local res = assert(ask{ stream = true })
    for event in res:events() do
      kinds[event.type] = (kinds[event.type] or 0) + 1
      if event.type == "text" then text = text .. event.text end
    end
  end)
  equal(kinds.text, 8)
  equal(kinds.done, 1)
  equal(#text > 10, true)
end)

test("a whole answer, its usage, and an upstream's own ask", function()
  run(function()
    local res = assert(ask())
    equal(#res:text() > 10, true)
    equal(res.usage.completion_tokens, 8)
    equal(perilune.upstream("up"):ask{ messages = { { role = "user", content = "hi" } } }, res:text())
  end)
end)

test("all, any, race and map", function()
  run(function()
    local both = perilune.all{ function() return (ask():text()) end, function() perilune.sleep(0.01) return 2 end }
    equal(both[1], (ask():text()))
    equal(both[2], 2)
    equal(perilune.any{ function() return nil, { code = "no", message = "no" } end, function() return "yes" end }, "yes")
    equal(perilune.race{ function() perilune.sleep(30) end, function() perilune.sleep(0.01) return "first" end }, "first")
    local squares = perilune.map({ 1, 2, 3 }, function(v) perilune.sleep(0.001) return v * v end, { limit = 2 })
    equal(table.concat(squares, ","), "1,4,9")
  end)
end)

-- Nobody slices a program: the loop's clock would be as old as the program was busy.
local function busy(seconds)
  local t = os.clock()
  while os.clock() - t < seconds do end
end

test("time goes on while the function works, or waits for a program", function()
  local function took(fn, ...)
    local t = perilune.now()
    local value, err = fn(...)
    return perilune.now() - t, value, err
  end
  local l, cache = perilune.limit("clock", { requests_per_second = 1 }), perilune.cache("clock", { ttl = 0.1 })
  run(function()
    busy(0.2)
    equal(took(perilune.sleep, 0.1) > 0.09, true, "sleep")
    busy(0.2)
    local _, res, err = took(ask, { timeout = 0.15 })
    equal(res and res.status, 200, err and err.message)
    busy(0.2)
    equal(took(perilune.race, { function() perilune.sleep(0.1) end }) > 0.09, true, "race")
    equal(l:take() ~= nil, true)
    equal(l:take(), nil)
    cache:set("k", "v")
    os.execute("sleep 1.1")
    equal(l:take() ~= nil, true)
    equal(cache:get("k"), nil)
    equal(took(perilune.sleep, 0.1) > 0.09, true, "sleep")
  end)
end)

test("a child of fork() leaves the parent's run alone", function()
  local ffi = require "ffi"
  ffi.cdef "int fork(void); int waitpid(int pid, int *status, int options); void _exit(int status);"
  local function child(fn)
    local pid = ffi.C.fork()
    if pid == 0 then
      local ok, err = pcall(fn)
      ffi.C._exit(not ok and tostring(err):find("forked inside of perilune.run", 1, true) and 7 or 9)
    end
    return pid
  end
  local function status(pid)
    local out = ffi.new "int[1]"
    ffi.C.waitpid(pid, out, 0)
    return bit.rshift(out[0], 8)
  end
  for _ = 1, 3 do
    local texts, pids = 0, {}
    run(function()
      local res = assert(ask{ stream = true })
      for event in res:events() do
        if event.type == "text" then texts = texts + 1 end
        if texts == 2 and not pids[1] then
          pids[1] = child(function() perilune.sleep(0.1) end)
          pids[2] = child(function() return res:text() end)
          pids[3] = child(function() return ask() end)
          pids[4] = child(function() return perilune.fetch("http://127.0.0.1:1/") end)
          pids[5] = child(function() coroutine.yield() perilune.sleep(0) end)
        end
      end
    end)
    equal(texts, 8)
    for _, pid in ipairs(pids) do equal(status(pid), 7) end
  end
  -- One that goes on behind the run, and one whose function waits for a branch of the parent's.
  local pid
  local function ends(fn, code)
    local me, ok = ffi.C.fork, nil
    local into = run
    local forked = false
    ok = pcall(into, function() fn(function() pid = me() forked = pid == 0 end) end)
    if forked then ffi.C._exit(pcall(perilune.run, print) and 1 or perilune.tokens("a b") == 2 and (ok and 3 or 4) or 2) end
    equal(status(pid), code)
  end
  ends(function(fork) perilune.sleep(0.001) fork() end, 3)
  ends(function(fork)
    perilune.all{ function() perilune.sleep(0.05) end, function() perilune.sleep(0.01) fork() end }
  end, 4)
end)

test("routes with policies, shipped ones and functions, run in the host's Lua", function()
  local seen
  local function note(req, next)
    seen = req.messages[1].content
    return next(req)
  end
  local route = { name = "chat", path = "/v1/*", upstream = "up", policies = { "retry", note } }
  perilune.run({ upstreams = SIM.upstreams, routes = { route } }, function()
    equal(#assert(perilune.ask{ route = "chat", messages = "who?" }):text() > 0, true)
  end)
  equal(seen, "who?")
end)

test("a configuration is a file, too, and policies lie beside it", function()
  local dir = os.tmpname()
  os.remove(dir)
  os.execute("mkdir -p " .. dir .. "/policies")
  local function write(name, text)
    local f = assert(io.open(dir .. "/" .. name, "w"))
    f:write(text)
    f:close()
  end
  write("policies/mine.lua", "return function() return function(req, next) req.messages[1].content = 'other' "
    .. "return next(req) end end")
  write("c.lua", "return { log = { access = false }, upstreams = { up = { sim = { tokens = 3 } } }, "
    .. "routes = { { name = 'r', path = '/v1/*', policies = { 'mine' } } } }")
  perilune.run(dir .. "/c.lua", function() equal(perilune.ask{ route = "r", messages = "x" }.status, 200) end)
  write("c.lua", "return {\n  upstreams = { up = { simm = {} } } }")
  match(throws(function() perilune.run(dir .. "/c.lua", print) end, "simm"), "c%.lua:2: upstreams%.up%.simm")
  throws(function() perilune.run(dir .. "/none.lua", print) end, "none%.lua: No such file")
  os.execute("rm -r " .. dir)
end)

test("asks of a program have no line in the log, unless it wants one, and no two the same id", function()
  local path = os.tmpname()
  local function program(config, more)
    local f = assert(io.open(path, "w"))
    f:write(("return { upstreams = { up = { sim = { tokens = 3 } } }%s }"):format(config))
    f:close()
    return (kit.luajit(([[
      local p = require "perilune"
      for _ = 1, 2 do p.run(%s, function() p.ask{ upstream = "up", messages = "hi" }:text() end) end
    ]]):format(more or ("%q"):format(path))))
  end
  equal(program(""), "")
  equal(program(", log = { level = 'info' }"), "")
  equal(program("", "{ upstreams = { up = { sim = { tokens = 3 } } }, log = { level = 'info' } }"), "")
  local ids, lines = {}, 0
  for id in program(", log = { access = true }"):gmatch('"request_id":"([^"]*)"') do
    lines = lines + 1
    equal(ids[id], nil)
    match(id, "^%x+%.1$")
    ids[id] = true
  end
  equal(lines, 2)
  os.remove(path)
end)

test("what needs no loop works inside and between runs, on the same values", function()
  local shared, cache = perilune.shared("runs"), perilune.cache("runs", { ttl = 60 })
  run(function() shared:set("a", 1) cache:set("k", "v") end)
  equal(shared:get("a"), 1)
  equal(cache:get("k"), "v")
  run(function() equal(cache:get("k"), "v") equal(perilune.tokens("hello", "gpt-4o"), 1) end)
end)

test("answers are cached across runs", function()
  local conf = { upstreams = SIM.upstreams, routes = { { name = "c", path = "/v1/*", upstream = "up", policies = {
    { "cache_exact", ttl = 60 } } } } }
  local function once()
    return perilune.run(conf, function()
      local res = assert(perilune.ask{ route = "c", messages = "the same" })
      return (res:text()), res.headers["x-cache"] or res.cache
    end)
  end
  equal(once(), once())
end)

-- -- errors -----------------------------------------------------------------------------

test("errors are what was thrown: texts with the caller's line, tables as they are", function()
  match(throws(function() run(function() error("boom") end) end, "boom"), "loop%.lua:%d+: boom$")
  local thing = {}
  local ok, err = pcall(run, function() error(thing) end)
  equal(ok, false)
  equal(err, thing)
  match(throws(function() run(function() perilune.sleep("long") end) end, "sleep"), "^tests/rock/loop%.lua:%d+: ")
  ok, err = pcall(run, function() error(nil) end)
  equal(ok, false)
  equal(err, nil)
  equal(run(function() return "still works" end), "still works")
end)

test("a wrong configuration names the key and what is near it", function()
  throws(function() perilune.run({ upstreems = {} }, print) end, "upstreems.*did you mean 'upstreams'")
  throws(function() perilune.run({ upstreams = { up = {} } }, print) end, "upstreams%.up")
  throws(function() perilune.run({ jobs = {} }, print) end, "jobs need a server")
  throws(function() perilune.run() end, "the config is a table")
  throws(function() perilune.run({ routes = { { path = "/v1/*", policies = { "retri" } } } }, print) end, "retri")
end)

test("nested runs are refused, and the outer one goes on", function()
  run(function()
    throws(function() run(print) end, "it runs already")
    equal(assert(ask()).status, 200)
  end)
end)

test("a hundred runs one after the other", function()
  for i = 1, 100 do equal(run(function() perilune.sleep(0) return i end), i) end
end)

test("run inside of a coroutine of the host's, and a coroutine inside of a run", function()
  local co = coroutine.wrap(function()
    coroutine.yield(1)
    return run(function() return ask():text() end)
  end)
  co()
  equal(#co() > 0, true)
  run(function()
    local inner = coroutine.create(function() coroutine.yield("a") perilune.sleep(0.01) end)
    equal(select(2, coroutine.resume(inner)), "a")
    local ok, err = coroutine.resume(inner)
    equal(ok, false)
    match(err, "a coroutine of your own")
    coroutine.yield("nobody takes it") -- lets others go on
    equal(assert(ask()).status, 200)
  end)
end)

test("an upstream that is not there, and one that is too slow", function()
  run(function()
    throws(function() ask{ upstream = "none" } end, "unknown upstream 'none'; known: slow, up")
    local res, err = ask{ upstream = "slow", timeout = 0.02 }
    equal(res, nil)
    equal(err.status, 504)
    res, err = perilune.fetch("http://127.0.0.1:1/", { timeout = 1 })
    equal(res, nil)
    match(err.code, "upstream")
  end)
end)

test("fetch works without upstreams", function()
  perilune.run(function() equal(perilune.fetch("http://127.0.0.1:1/", { timeout = 1 }), nil) end)
end)

-- A server of its own: its URL, and what ends it.
local function sim(options)
  local pipe = assert(io.popen((os.getenv("PERILUNE") or "build/perilune") .. " sim --listen 127.0.0.1:0 " .. options
    .. " 2>&1 & echo $!; wait", "r"))
  local pid = pipe:read("*l")
  local url
  repeat url = pipe:read("*l"):match("http://[%d.:]+/v1") until url
  return url .. "/chat/completions", function() os.execute("kill " .. pid) pipe:close() end
end

test("fetch reads a stream while it comes", function()
  local url, stop = sim("--tokens 5 --itl-ms 20")
  local body = '{"stream":true,"messages":[{"role":"user","content":"hi"}]}'
  local function fetch(more)
    local options = { stream = true, body = body, headers = { ["content-type"] = "application/json" } }
    for k, v in pairs(more or {}) do options[k] = v end
    return perilune.fetch(url, options)
  end
  local kept
  perilune.run(function()
    local res, times = assert(fetch()), {}
    equal(res.status, 200)
    equal(res.headers["Content-Type"], "text/event-stream")
    for event in res:events() do times[#times + 1] = event.data == "[DONE]" and "done" or perilune.now() end
    equal(times[#times], "done")
    equal(times[#times - 1] - times[1] > 0.05, true, "all came at once")
    local whole = assert(fetch()):text()
    match(whole, "data: %[DONE%]\n\n$")
    local bytes, lines = 0, 0
    for piece in assert(fetch()):pieces() do bytes = bytes + #piece end
    for _ in assert(fetch()):lines() do lines = lines + 1 end
    equal(bytes > 500, true)
    equal(lines, select(2, whole:gsub("\n", "")))
    res = assert(fetch())
    equal(#res:read() > 0, true)
    res:discard()
    equal(res:read(), nil)

    local none, err = perilune.fetch("http://127.0.0.1:1/", { stream = true, timeout = 1 })
    equal(none, nil)
    match(err.code, "upstream")
    res = assert(fetch{ headers = { ["content-type"] = "application/json", ["x-sim"] = "stall=1" }, timeout = 0.1 })
    for event in res:events() do err = event.error end
    equal(err.code, "timeout")
    equal(res.error.code, "timeout")
    throws(function() fetch{ stream = 1 } end, "stream must be true or false")
    kept = assert(fetch{ headers = { ["content-type"] = "application/json", ["x-sim"] = "endless,itl_ms=0" } })
    equal(#kept:read() > 0, true)
    perilune.sleep(0.05) -- and it does not fill our memory meanwhile
  end)
  throws(function() kept:read() end, "finished")
  stop()
end)

-- -- what is left behind ------------------------------------------------------------------

test("an answer that outlives its run is finished, and says so", function()
  local kept = run(function() return assert(ask{ stream = true }) end)
  throws(function() kept:text() end, "finished")
  local other = run(function() return { ask{ upstream = "slow", stream = true, timeout = 0.02 } } end)
  equal(other[1], nil)
  kept, other = nil, nil
  collectgarbage()
  collectgarbage()
  equal(run(function() return 1 end), 1)
end)

test("branches that still run when the function throws end with it", function()
  local went_on = false
  throws(function()
    run(function()
      perilune.all{ function() perilune.sleep(30) went_on = true end, function() error("out") end }
    end)
  end, "out")
  equal(went_on, false)
end)

test("a big answer is read as a whole", function()
  local conf = { upstreams = { big = { sim = { tokens = 200000 } } } }
  perilune.run(conf, function()
    local text = assert(perilune.ask{ upstream = "big", messages = "much", stream = false }):text()
    equal(#text > 500000, true)
  end)
end)

test("where OpenResty is, run says what works there", function()
  package.loaded.ngx = { config = {} }
  local ok, err = pcall(function() run(print) return 1 end)
  package.loaded.ngx = nil
  equal(ok, false)
  match(err, "this is OpenResty")
  end)

kit.finish "loop"

local t = require "perilune.test"
local perilune = require "perilune"

local function respond(text) return perilune.respond{ text = text } end

local function send(policy, what, opts) return t.send(policy, nil, t.request(what or "hi"), opts) end

t.test("fields go out as they are, what is an option does not", function()
  t.upstream("small", { text = "one\ntwo", usage = { prompt_tokens = 7, completion_tokens = 3 } })
  local reply = send(function()
    local res = t.ok(perilune.ask{ upstream = "small", temperature = 0.5, top_k = 3, timeout = 5, messages = "plan" })
    local text = res:text()
    t.equal(res.usage.prompt_tokens, 7)
    t.equal(res.upstream, "small")
    return respond(text)
  end)
  t.equal(reply.text, "one\ntwo")
  t.equal(t.calls("small")[1].body, { model = "small", temperature = 0.5, top_k = 3,
                                      messages = { { role = "user", content = "plan" } } })
end)

t.test("templates inside of messages are filled, wherever they stand", function()
  t.upstream("small", { text = "ok" })
  local about = perilune.template("About {{topic}}: {{n|json}}")
  send(function()
    perilune.ask{ upstream = "small", vars = { topic = "日本", n = { 1, 2 } }, messages = {
      { role = "system", content = about }, { role = "user", content = { { type = "text", text = about } } } } }
    perilune.ask{ upstream = "small", messages = about, vars = { topic = "b", n = 1 } }
    t.error(function() perilune.ask{ upstream = "small", messages = about, vars = { n = 1 } } end, "no value for 'topic'")
    return respond ""
  end)
  local calls = t.calls("small")
  t.equal(calls[1].body.messages[1].content, "About 日本: [1,2]")
  t.equal(calls[1].body.messages[2].content[1].text, "About 日本: [1,2]")
  t.equal(calls[2].body.messages[1].content, "About b: 1")
  t.equal(#calls, 2)
end)

t.test("the messages of the request can be asked again", function()
  t.upstream("small", { text = "ok" })
  local reply = send(function(req)
    local res = t.ok(perilune.ask{ upstream = "small", messages = req.messages })
    return respond(res:text())
  end, { messages = { { role = "user", content = "你好" } } })
  t.equal(reply.text, "ok")
  t.equal(t.calls("small")[1].body.messages, { { role = "user", content = "你好" } })
end)

t.test("without a form of its own it has the request's, and may be its answer", function()
  t.upstream("big", { chunks = { "a", "b" }, usage = { prompt_tokens = 2, completion_tokens = 2 } })
  for _, stream in ipairs{ true, false } do
    local reply = send(function() return perilune.ask{ upstream = "big", messages = "q" } end,
      { stream = stream, stream_options = stream and { include_usage = true } or nil })
    t.equal(reply.text, "ab")
    t.equal(reply.upstream, "big")
    t.equal(t.calls("big")[#t.calls("big")].body.stream, stream or nil)
    t.equal(reply.usage.total_tokens, 4)
  end
end)

t.test("it has the id, tenant, deadline and headers of the request", function()
  local seen
  t.upstream("small", function(req)
    seen = { id = req.id, tenant = req.tenant, left = req:time_left(), tier = req.headers["x-tier"],
             length = req.headers["content-length"] }
    return { text = "ok" }
  end)
  local id, left
  send(function(req)
    id, left = req.id, req:time_left()
    perilune.ask{ upstream = "small", messages = "q" }
    perilune.ask{ upstream = "small", messages = "q" }
    return respond ""
  end, { tenant = "acme", headers = { ["x-tier"] = "free", ["content-length"] = "5" } })
  t.equal(seen.id, id .. ".2")
  t.equal(seen.tenant, "acme")
  t.equal(seen.left, left)
  t.equal(seen.tier, "free")
  t.equal(seen.length, nil)
end)

t.test("failures are values, also when it takes too long", function()
  t.upstream("down", { status = 503 })
  t.upstream("slow", { text = "late", delay = 9 })
  local codes = {}
  send(function()
    local res, err = perilune.ask{ upstream = "down", messages = "q" }
    codes[1] = err.code .. " " .. err.upstream
    res, err = perilune.ask{ upstream = "slow", messages = "q", timeout = 2 }
    codes[2] = err.code
    t.equal(t.clock(), 2)
    return respond ""
  end)
  t.equal(codes, { "upstream_status down", "timeout" })
  t.equal(t.calls("slow")[1].outcome, nil)
end)

t.test("an answer that breaks off", function()
  t.upstream("broken", { chunks = { "a", "b" }, breaks = true })
  local reply = send(function() return perilune.ask{ upstream = "broken", messages = "q" } end, { stream = true })
  t.equal(reply.done, false)
  t.equal(reply.text, "ab")
  t.equal(reply.error.code, "upstream_truncated")
end)

t.test("the client leaves, and with it everything that was asked", function()
  t.upstream("slow", { chunks = { "a", "b", "c" }, itl = 1, ttft = 1 })
  local ended = {}
  local function note(what) return function(o) ended[#ended + 1] = what .. " " .. o.code end end
  t.route("inner", { function(req, next)
    req:finally(note "inner")
    return next(req)
  end })
  local reply = send(function(req)
    req:finally(note "outer")
    local res = t.ok(perilune.ask{ route = "inner", model = "slow", stream = true, messages = "q" })
    return respond(res:text())
  end, nil, { leave = 2.5 })
  t.equal(reply.status, 499)
  table.sort(ended)
  t.equal(ended, { "inner canceled", "outer canceled" })
end)

t.test("through the policies of a route, which are those of the child", function()
  t.upstream("small", { text = "ok" })
  local order = {}
  t.route("checked", { { "limit", requests_per_minute = 2 }, function(req, next)
    req:finally(function(o) order[#order + 1] = tostring(o.ok) end)
    order[#order + 1] = req.messages[1].content
    return next(req)
  end })
  local reply = send(function()
    for i = 1, 3 do
      local res, err = perilune.ask{ route = "checked", model = "small", messages = "q" .. i }
      order[#order + 1] = res and res:text() or err.code
    end
    return respond "done"
  end)
  t.equal(reply.text, "done")
  t.equal(order[1], "q1")
  t.equal(order[2], "ok")
  t.equal(#t.calls("small"), 2)
  t.equal(order[#order - 1] == "rate_limit_exceeded" or order[#order] == "rate_limit_exceeded", true)
end)

t.test("routes that ask each other in a circle", function()
  t.upstream("small", { text = "ok" })
  local first
  local function asks(name)
    return { function()
      local res, err = perilune.ask{ route = name, messages = "q" }
      first = first or err
      return res, err
    end }
  end
  t.route("a", asks "b")
  t.route("b", asks "a")
  local reply = send(function() return perilune.ask{ route = "a", messages = "q" } end)
  t.equal(reply.status, 500)
  t.equal(first.code, "ask_cycle")
  t.match(first.detail, "'a' asks 'b' asks 'a'")
  t.equal(first.retryable, false)
end)

t.test("and those that ask deeper and deeper", function()
  t.upstream("small", { text = "ok" })
  for i = 1, 9 do
    t.route("r" .. i, { function() return perilune.ask{ route = "r" .. i + 1, messages = "q" } end })
  end
  t.route("r10", { function(req, next) return next(req) end })
  local reply = send(function() return perilune.ask{ route = "r1", messages = "q" } end)
  t.equal(reply.error.code, "ask_too_deep")
end)

t.test("limits of the request count what it asked, once", function()
  local usage = { prompt_tokens = 60, completion_tokens = 40 }
  t.upstream("small", { text = "ok", usage = usage })
  local function left(policy)
    local chain = { { "limit", tokens_per_minute = 1000, key = "tenant" }, policy }
    local reply = t.send(chain, nil, t.request{ tenant = t.clock() .. "", model = "small" })
    t.equal(reply.status, 200)
    local again = t.send({ chain[1], function() return respond "x" end }, nil, t.request{ tenant = t.clock() .. "" })
    return tonumber(again.headers["x-ratelimit-remaining-tokens"])
  end
  local used = 1000 - left(function() return perilune.ask{ upstream = "small", messages = "q" } end)
  t.advance(60)
  local plain = 1000 - left(function(req, next) return next(req) end)
  t.equal(used, plain)
  t.advance(60)
  local read = 1000 - left(function() return respond(perilune.ask{ upstream = "small", messages = "q" }:text()) end)
  t.equal(read, plain)
end)

t.test("a policy of the route that throws is an error of what was asked, and no more", function()
  t.route("bad", { function() error "oops" end })
  local reply = send(function()
    local res, err = perilune.ask{ route = "bad", messages = "q" }
    t.equal(res, nil)
    return respond(err.code)
  end)
  t.equal(reply.text, "policy_error")
end)

t.test("an answer that nobody reads ends with the request", function()
  t.upstream("slow", { chunks = { "a", "b" }, itl = 50 })
  local outcome
  t.route("inner", { function(req, next)
    req:finally(function(o) outcome = o.code end)
    return next(req)
  end })
  local reply = send(function()
    t.ok(perilune.ask{ route = "inner", model = "slow", stream = true, messages = "q" })
    return respond "first"
  end)
  t.equal(reply.text, "first")
  t.equal(reply.total, 0)
  t.equal(outcome, "canceled")
end)

t.test("several at once, the losers end", function()
  t.upstream("a", { text = "A", delay = 5 })
  t.upstream("b", { text = "B", delay = 1 })
  local reply = send(function()
    local res = perilune.any{
      function() return perilune.ask{ upstream = "a", messages = "q" } end,
      function() return perilune.ask{ upstream = "b", messages = "q" } end,
    }
    return respond(res:text())
  end)
  t.equal(reply.text, "B")
  t.equal(reply.total, 1)
  t.equal(t.calls("a")[1].outcome, nil)
end)

t.test("misuse says what to write", function()
  t.upstream("small", { text = "ok" })
  t.route("r", { function(req, next) return next(req) end })
  send(function()
    local function bad(ask, pattern) t.error(function() perilune.ask(ask) end, pattern) end
    bad("q", "takes a table")
    bad({ messages = {} }, "'messages' is empty")
    bad({ upstream = "small" }, "'messages' is a text or a list")
    bad({ upstrem = "small", messages = "q" }, "did you mean 'upstream'")
    bad({ upstream = "small", messages = "q", timeout = 0 }, "'timeout' must be")
    bad({ upstream = "small", route = "r", messages = "q" }, "not both")
    bad({ route = "rr", messages = "q" }, "did you mean 'r'")
    bad({ upstream = "smal", messages = "q" }, "unknown upstream 'smal'; did you mean 'small'")
    bad({ upstream = "zzz", messages = "q" }, "unknown upstream 'zzz'; known: small")
    bad({ upstream = "small", messages = "q", warm = 5 }, "'warm' is")
    bad({ upstream = "small", messages = "q", warm_wait = -1 }, "'warm_wait' must be")
    bad({ upstream = 5, messages = "q" }, "'upstream' is a name")
    return respond ""
  end)
end)

t.test("outside of a request it works, too", function()
  t.upstream("small", { text = "ok" })
  t.equal(t.ok(perilune.ask{ upstream = "small", messages = "q" }):text(), "ok")
end)

-- -- who goes first ----------------------------------------------------------------

local long = ("the same beginning "):rep(300)
local cached = { price = { input = 2, cached = 0.5, output = 8 } }

-- When each of so many calls left.
local function fan_out(n, ask, name)
  local fns, at = {}, {}
  for i = 1, n do
    fns[i] = function()
      local own = { stream = true, messages = { { role = "system", content = long }, { role = "user", content = "q" .. i } } }
      for k, v in pairs(ask) do own[k] = v end
      local res, err = perilune.ask(own)
      return res and res:text() or err.code
    end
  end
  send(function() perilune.all(fns) return respond "" end)
  for i, call in ipairs(t.calls(name or ask.upstream)) do at[i] = call.at end
  return at
end

t.test("of those that begin the same one goes first, the others behind its first token", function()
  t.upstream("a", { chunks = { "x", "y" }, ttft = 0.5, itl = 5 })
  t.equal(fan_out(4, { upstream = "a", warm = true }), { 0, 0.5, 0.5, 0.5 })
  t.equal(#fan_out(4, { upstream = "a", warm = true }), 8) -- and for a while nobody waits
  t.equal(t.calls("a")[5].at, t.calls("a")[8].at)
end)

t.test("by itself where beginnings are cheaper, and long enough", function()
  t.upstream("dear", { text = "x", ttft = 0.5, upstream = cached })
  t.upstream("plain", { text = "x", ttft = 0.5 })
  t.equal(fan_out(3, { upstream = "dear" }), { 0, 0.5, 0.5 })
  local from = t.clock()
  t.equal(fan_out(3, { upstream = "plain" }), { from, from, from })
  t.upstream("dear", { text = "x", ttft = 0.5, upstream = cached })
  from = t.clock()
  t.equal(fan_out(3, { upstream = "dear", messages = "short" }), { from, from, from })
  t.upstream("dear", { text = "x", ttft = 0.5, upstream = cached })
  from = t.clock()
  t.equal(fan_out(3, { upstream = "dear", warm = false, model = "other" }), { from, from, from })
end)

t.test("nobody waits longer than it may", function()
  t.upstream("slow", { text = "x", ttft = 30 })
  t.equal(fan_out(3, { upstream = "slow", warm = "name" }), { 0, 2, 2 })
  t.upstream("slower", { text = "x", ttft = 30 })
  local from = t.clock()
  t.equal(fan_out(3, { upstream = "slower", warm = true, warm_wait = 0 }), { from, from, from })
  t.upstream("late", { text = "x", ttft = 30 })
  from = t.clock()
  t.equal(fan_out(2, { upstream = "late", warm = true, timeout = 1 }), { from, from + 0.5 })
  t.equal(t.clock(), from + 1)
end)

t.test("when the one that leads fails, or is canceled, the next one does", function()
  t.upstream("bad", { { status = 503, delay = 0.5 }, { text = "x", ttft = 0.5 } })
  t.equal(fan_out(4, { upstream = "bad", warm = true }), { 0, 0.5, 1, 1 })
  t.upstream("slow", { text = "x", ttft = 0.5 })
  local from = t.clock()
  local function ask() return perilune.ask{ upstream = "slow", messages = long, warm = true, stream = true } end
  send(function()
    perilune.all{
      function() return perilune.race{ ask, function() perilune.sleep(0.1) return true end } end,
      function() perilune.sleep(0.01) return ask() end,
      function() perilune.sleep(0.02) return ask() end,
    }
    return respond ""
  end)
  local at = {}
  for i, call in ipairs(t.calls("slow")) do at[i] = math.floor((call.at - from) * 10 + 0.5) / 10 end
  t.equal(at, { 0, 0.1, 0.6 })
end)

t.test("tenants do not wait for each other", function()
  t.upstream("a", { text = "x", ttft = 0.5 })
  local function one(tenant)
    return function()
      send(function() return perilune.ask{ upstream = "a", messages = long, warm = true } end, { tenant = tenant, stream = true })
    end
  end
  perilune.all{ one "acme", one "other", one "acme" }
  t.equal({ t.calls("a")[1].at, t.calls("a")[2].at, t.calls("a")[3].at }, { 0, 0, 0.5 })
end)

t.test("names that nobody has are told with the place and the names that there are, wherever they stand", function()
  t.upstream("small", { text = "ok" })
  t.route("inner", { function(req, next) return next(req) end })
  local function logged(policy)
    t.equal(t.send(policy, nil, t.request("hi")).status, 500)
    for _, line in ipairs(t.logs()) do
      if line.level == "error" then return line.text end
    end
  end
  local place = "^tests/lua/ask_spec%.lua:%d[%d-]*: "
  t.match(logged(function() return perilune.ask{ upstream = "smal", messages = "q" } end),
    place .. "perilune%.ask: unknown upstream 'smal'; did you mean 'small'%?")
  t.match(logged(function() return perilune.ask{ route = "iner", messages = "q" } end),
    place .. "perilune%.ask: unknown route 'iner'; did you mean 'inner'%?")
  t.match(logged(function(req) return perilune.upstream("smal"):chat(req) end),
    place .. "perilune%.upstream: unknown upstream 'smal'; did you mean 'small'%?")
  t.match(logged(function() return perilune.upstream("smal"):ask{ messages = {} } end), place .. "perilune%.upstream: unknown")
  t.match(logged(function() return perilune.upstream("smal"):embed("x") end), place .. "perilune%.upstream: unknown")
  t.match(logged(function(req) req.upstream = "smal" end), place .. "unknown upstream 'smal'; did you mean 'small'%?")
  t.match(logged(function(req) req.upstream = "zzz" end), place .. "unknown upstream 'zzz'; known: small")
end)

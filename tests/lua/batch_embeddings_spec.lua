-- batch_embeddings: questions for vectors of several clients become one call.
local t = require "perilune.test"
local perilune = require "perilune"

local function question(input, more)
  local body = { model = "e", input = input }
  for k, v in pairs(more or {}) do body[k] = v end
  return { path = "/v1/embeddings", body = body, tenant = (more or {}).tenant, headers = (more or {}).headers }
end

local function plain(q)
  q.body.tenant, q.body.headers = nil, nil
  return q
end

-- An upstream that gives each input a vector of its own, and takes a second; backwards, as it may.
local function vectors(more)
  return function(req)
    local inputs, data = req.input, {}
    local body = perilune.json.decode(req:body())
    if type(inputs) == "string" or type(body.input[1]) == "number" then inputs = { body.input } else inputs = body.input end
    for i, input in ipairs(inputs) do
      local text = type(input) == "table" and "ids " .. table.concat(input, " ") or input
      data[#inputs + 1 - i] = { object = "embedding", index = i - 1, embedding = { #text, i } , text = text }
    end
    local d = { delay = 1, body = { object = "list", model = "e-1", data = data,
                usage = { prompt_tokens = 10 * #data, total_tokens = 10 * #data } } }
    for k, v in pairs(more or {}) do d[k] = v end
    return d
  end
end

-- All of them at once, a moment behind one that keeps the upstream busy.
local function together(questions, options, opts)
  local policy = t.policy("batch_embeddings", options)
  local fns = { function() return t.send(policy, nil, t.request(plain(question("first", opts and opts.first))), {}) end }
  for i, q in ipairs(questions) do
    local req = t.request(plain(q))
    fns[i + 1] = function()
      perilune.sleep(0.001 * i)
      return t.send(policy, nil, req, { leave = opts and opts.leave and opts.leave[i] })
    end
  end
  local replies = t.ok(perilune.all(fns))
  table.remove(replies, 1)
  return replies
end

-- whole: it is the upstream's own answer, in its order.
local function texts(reply, whole)
  t.equal(reply.status, 200)
  local out = {}
  for i, item in ipairs(reply.body.data) do
    local index = i - 1
    if whole then index = item.index else t.equal(item.index, index) end
    out[index + 1] = item.text
  end
  return out
end

t.test("batch_embeddings: several become one call, each input once, each in its order", function()
  t.upstream("e", vectors())
  local replies = together({ question("red"), question({ "blue", "red" }), question({ "green" }) })
  t.equal(texts(replies[1]), { "red" })
  t.equal(texts(replies[2]), { "blue", "red" })
  t.equal(texts(replies[3]), { "green" })
  local calls = t.calls("e")
  t.equal(#calls, 2)
  t.equal(calls[2].body, { model = "e", input = { "red", "blue", "green" } })
  local sum = 0
  for _, reply in ipairs(replies) do
    t.equal(reply.body.model, "e-1")
    t.equal(reply.upstream, "e")
    t.equal(reply.body.usage.prompt_tokens, reply.body.usage.total_tokens)
    sum = sum + reply.body.usage.prompt_tokens
  end
  t.equal(sum, 30)
end)

t.test("batch_embeddings: one alone goes as it came, at once", function()
  t.upstream("e", vectors())
  local body = '{ "input" : "x",  "model":"e" }'
  local reply = t.send("batch_embeddings", {}, t.request{ path = "/v1/embeddings", body = body })
  t.equal(texts(reply), { "x" })
  t.equal(t.calls("e")[1].text, body)
  t.near(reply.total, 1, 1e-6)
end)

t.test("batch_embeddings: token ids go with token ids", function()
  t.upstream("e", vectors())
  local replies = together({ question{ 1, 2 }, question{ { 3 }, { 1, 2 } }, question "a", question "b" })
  t.equal(texts(replies[1]), { "ids 1 2" })
  t.equal(texts(replies[2], true), { "ids 3", "ids 1 2" })
  t.equal(texts(replies[4]), { "b" })
  for _, call in ipairs(t.calls("e")) do
    local input = perilune.json.encode(call.body.input)
    t.ok(not input:find('%d.*"') and not input:find('"%a.*%d'), input)
  end
end)

t.test("batch_embeddings: token ids of several", function()
  t.upstream("e", vectors())
  local replies = together({ question{ 1, 2 }, question{ { 3 }, { 1, 2 } }, question{ { 4 } } }, { max_wait = 10 })
  t.equal(texts(replies[3], true), { "ids 4" })
  t.equal(t.calls("e")[2].body.input, { 1, 2 }) -- of another kind than the first, so it was not waited for
  t.equal(t.calls("e")[3].body.input, { { 3 }, { 1, 2 }, { 4 } })
end)

t.test("batch_embeddings: what differs in anything else never goes together", function()
  for _, pair in ipairs{ { { dimensions = 64 }, {} }, { { user = "x" }, { user = "y" } }, { { tenant = "a" }, { tenant = "b" } },
                         { { encoding_format = "base64" }, { encoding_format = "float" } } } do
    t.upstream("e", vectors())
    together({ question("a", pair[1]), question("b", pair[2]), question("c", pair[1]), question("d", pair[2]) })
    for _, call in ipairs(t.calls("e")) do
      local input = call.body.input
      local text = type(input) == "table" and table.concat(input) or input
      t.ok(#text == 1 or text == "first" or text == "ac" or text == "bd", text)
    end
  end
end)

t.test("batch_embeddings: tenants share calls when told", function()
  t.upstream("e", vectors())
  together({ question("a", { tenant = "a" }), question("b", { tenant = "b" }) }, { across_tenants = true })
  t.equal(#t.calls("e"), 2)
end)

t.test("batch_embeddings: max_size, max_tokens, and what is too large for them goes by itself", function()
  t.upstream("e", vectors())
  together({ question("a"), question("b"), question("c"), question({ "d", "e", "f" }) }, { max_size = 2, max_wait = 10 })
  local sizes = {}
  for i, call in ipairs(t.calls("e")) do sizes[i] = type(call.body.input) == "table" and #call.body.input or 1 end
  table.sort(sizes)
  t.equal(sizes, { 1, 1, 2, 3 })
  t.upstream("e", vectors())
  together({ question(("word "):rep(20)), question("b"), question("c") }, { max_tokens = 10, max_wait = 10 })
  sizes = {}
  for i, call in ipairs(t.calls("e")) do sizes[i] = type(call.body.input) == "table" and #call.body.input or 1 end
  table.sort(sizes)
  t.equal(sizes, { 1, 1, 2 })
end)

t.test("batch_embeddings: one bad input fails nobody else", function()
  local good = vectors()
  t.upstream("e", function(req)
    if req:body():find("BAD", 1, true) then return { status = 400, code = "invalid_request_error", text = "bad input", delay = 1 } end
    return good(req)
  end)
  local replies = together({ question("a"), question("BAD"), question({ "b", "a" }) })
  t.equal(texts(replies[1]), { "a" })
  t.equal(replies[2].status, 400)
  t.equal(replies[2].error.code, "invalid_request_error")
  t.equal(texts(replies[3], true), { "b", "a" })
  t.equal(#t.calls("e"), 5) -- the first, all, and each
end)

t.test("batch_embeddings: other errors are everybody's, and nobody asks again", function()
  for _, script in ipairs{ { status = 429 }, { status = 500 }, { error = { code = "upstream_reset" } }, { status = 401 } } do
    local n = 0
    local good = vectors()
    t.upstream("e", function(req)
      n = n + 1
      return n == 1 and good(req) or script
    end)
    local replies = together({ question("a"), question("b") })
    t.equal(#t.calls("e"), 2)
    t.equal(replies[1].error.code, replies[2].error.code)
    t.ok(replies[1].status >= 400)
  end
end)

t.test("batch_embeddings: an answer that lacks a vector, or is none, is asked for again by who misses it", function()
  local good = vectors()
  t.upstream("e", function(req)
    local d = good(req)
    if #d.body.data > 1 then table.remove(d.body.data, 1) end -- the last one
    return d
  end)
  local replies = together({ question("a"), question("b") })
  t.equal(texts(replies[1]), { "a" })
  t.equal(texts(replies[2]), { "b" })
  t.equal(#t.calls("e"), 3)
  local n = 0
  t.upstream("e", function(req)
    n = n + 1
    return n == 2 and { body = '{"object":"list"}' } or good(req)
  end)
  replies = together({ question("a"), question("b") })
  t.equal(texts(replies[1]), { "a" })
  t.equal(texts(replies[2]), { "b" })
end)

t.test("batch_embeddings: who leaves takes its question away; when all have left, the call ends", function()
  t.upstream("e", vectors())
  local replies = together({ question("a"), question("b") }, { max_wait = 10 }, { leave = { [1] = 0.5 } })
  t.equal(replies[1].status, 499)
  t.equal(texts(replies[2]), { "b" })
  t.equal(t.calls("e")[2].body.input, "b")
  t.upstream("e", vectors())
  replies = together({ question("a"), question("b") }, { max_wait = 10 }, { leave = { 1.5, 1.6 } })
  t.equal(replies[2].status, 499)
  t.equal(#t.calls("e"), 2)
  t.equal(t.calls("e")[2].outcome, nil) -- canceled
end)

t.test("batch_embeddings: the queue is full", function()
  t.upstream("e", vectors())
  local replies = together({ question("a"), question("b"), question("c") }, { max_queue = 2, max_wait = 10, max_calls = 1 })
  t.equal(texts(replies[2]), { "b" })
  t.equal(replies[3].status, 503)
  t.equal(replies[3].error.code, "overloaded")
end)

t.test("batch_embeddings: a call that hangs is everybody's timeout", function()
  local good = vectors()
  local n = 0
  t.upstream("e", function(req)
    n = n + 1
    return n == 1 and good(req) or good(req) and { delay = 1000, body = "{}" }
  end)
  local replies = together({ question("a"), question("b") }, { timeout = 5 })
  t.equal(replies[1].error.code, "timeout")
  t.equal(replies[2].error.code, "timeout")
end)

t.test("batch_embeddings: policies behind it are called once for all", function()
  t.upstream("e", vectors())
  local seen = {}
  local policy = t.policy("batch_embeddings", { max_wait = 10 })
  local function next(req)
    seen[#seen + 1] = { tenant = req.tenant, input = #perilune.json.decode(req:body()).input }
    return perilune.upstream("e"):chat(req)
  end
  perilune.all{
    function() return t.send(policy, nil, t.request(plain(question({ "x" }, { tenant = "t" }))), { next = next }) end,
    function() perilune.sleep(0.01) return t.send(policy, nil, t.request(plain(question("a", { tenant = "t" }))), { next = next }) end,
    function() perilune.sleep(0.01) return t.send(policy, nil, t.request(plain(question("b", { tenant = "t" }))), { next = next }) end,
  }
  t.equal(seen, { { tenant = "t", input = 1 }, { tenant = "t", input = 2 } })
end)

t.test("batch_embeddings: what is no such question, or one that nobody understands, goes on", function()
  t.upstream("e", function() return { text = "hi", body = '{"data":[]}' } end)
  for _, input in ipairs{ "", perilune.json.array{}, { "a", "" }, { "a", { 1 } } } do
    t.equal(t.send("batch_embeddings", {}, t.request(plain(question(input)))).status, 200)
  end
  t.equal(t.send("batch_embeddings", {}, t.request{ model = "e" }).status, 200)
  t.equal(#t.calls("e"), 5)
end)

t.test("batch_embeddings: a request that is over is known to be", function()
  local core = require "perilune.core"
  t.upstream("e", vectors())
  local req = t.request(plain(question("a")))
  t.ok(core.is_live(req))
  t.send("batch_embeddings", {}, req)
  t.ok(not core.is_live(req))
end)

t.test("batch_embeddings: options", function()
  t.error(function() t.policy("batch_embeddings", { max_siz = 1 }) end, "did you mean 'max_size'")
  t.error(function() t.policy("batch_embeddings", { max_size = 4096 }) end, "at most 2048")
  t.error(function() t.policy("batch_embeddings", { max_tokens = 400000 }) end, "at most 300000")
end)

-- -- what stands behind it ------------------------------------------------------------

t.test("slots and reservations of policies behind it end with the call, not with the collector", function()
  t.upstream("up", function(req)
    local data = {}
    for i = 1, #req.input do data[i] = { index = i - 1, embedding = { i, 1 } } end
    return { body = { object = "list", model = "m", data = data, usage = { prompt_tokens = 2, total_tokens = 2 } }, delay = 1 }
  end)
  local gate = require("perilune").gate("behind", { concurrency = 2, max_wait = 0 })
  local cleaned = 0
  local list = { { "batch_embeddings", max_wait = 0.5 },
    { "limit", concurrency = 2, tokens_per_minute = 1000000 },
    function(req, next)
      req:finally(function() cleaned = cleaned + 1 end)
      local ok, err = gate:enter(req)
      if not ok then return nil, err end
      return next(req)
    end }
  local chain = t.policies(list)
  local fns = {}
  for i = 1, 6 do
    fns[i] = function()
      return t.send(chain, nil, t.request{ path = "/v1/embeddings", body = { model = "m", input = { "text " .. i } } })
    end
  end
  for _ = 1, 4 do
    for _, reply in ipairs(require("perilune").all(fns)) do t.equal(reply.status, 200) end
  end
  t.equal({ gate:stats().busy, cleaned > 0 }, { 0, true })
end)

t.test("an answer of another length gives nobody another's vector", function()
  t.upstream("up", function(req)
    if #req.input == 1 then return { body = { data = { { embedding = { 9, req.input[1]:byte() } } } } } end
    return { body = { data = { { embedding = { 1, 0 } } }, usage = { prompt_tokens = 1, total_tokens = 1 } }, delay = 1 }
  end)
  local policy = t.policy("batch_embeddings", { max_wait = 0.5 })
  local fns = {}
  for i = 1, 4 do
    fns[i] = function()
      local reply = t.send(policy, nil, t.request{ path = "/v1/embeddings", body = { model = "m", input = { ("abcd"):sub(i, i) } } })
      return reply.body.data[1].embedding[2]
    end
  end
  t.equal(require("perilune").all(fns), { 97, 98, 99, 100 })
end)

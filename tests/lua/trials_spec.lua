local perilune = require "perilune"
local t = require "perilune.test"
local trials = require "perilune.trials"

local function main_and_next(main, other)
  t.upstream("main", main or { text = "from main", upstream = { model = "m" } })
  t.upstream("next", other or { text = "from next", upstream = { model = "n" } })
end

local function chat(more)
  local what = { model = "m", messages = { { role = "user", content = "hi" } } }
  for k, v in pairs(more or {}) do what[k] = v end
  return t.request(what)
end

t.test("shares are stable, grow, and are as large as they say", function()
  local at5, at10, lost = 0, 0, 0
  for i = 1, 4000 do
    local a, b = trials.is_in("tenant " .. i, 0.05, "s"), trials.is_in("tenant " .. i, 0.1, "s")
    if a then at5 = at5 + 1 end
    if b then at10 = at10 + 1 end
    if a and not b then lost = lost + 1 end
  end
  t.equal(lost, 0)
  t.near(at5 / 4000, 0.05, 0.015)
  t.near(at10 / 4000, 0.1, 0.02)
  t.equal({ trials.is_in("x", 0, "s"), trials.is_in("x", 1, "s"), trials.is_in(nil, 1, "s") }, { false, true, false })
end)

t.test("a canary sends its share to the other upstream", function()
  main_and_next()
  local reply = t.send("canary", { upstream = "next", share = 1 }, chat())
  t.equal({ reply.text, reply.headers["x-perilune-route"] }, { "from next", "next; canary" })
  reply = t.send("canary", { upstream = "next", share = 0 }, chat())
  t.equal({ reply.text, reply.headers["x-perilune-route"] }, { "from main", nil })
end)

t.test("by tenant, header, function or conversation", function()
  main_and_next()
  local function goes(key, req) return t.send("canary", { upstream = "next", share = 1, key = key }, req).upstream end
  t.equal(goes("tenant", chat{ tenant = "acme" }), "next")
  t.equal(goes("tenant", chat()), "main", "no tenant takes no part")
  t.equal(goes("x-user", chat{ headers = { ["x-user"] = "u" } }), "next")
  t.equal(goes("x-user", chat()), "main")
  t.equal(goes(function(req) return req.user end, chat{ user = "u" }), "next")
  t.equal(goes(function() return nil end, chat()), "main")
  t.equal(t.send("canary", { upstream = "next", share = 1, key = function() error "oops" end }, chat()).status, 500)
end)

t.test("all turns of a conversation meet the same model", function()
  main_and_next()
  for i = 1, 20 do
    local messages = { { role = "system", content = "Be brief." }, { role = "user", content = "question " .. i } }
    local first = t.send("canary", { upstream = "next", share = 0.5 }, chat{ messages = messages }).upstream
    messages[3], messages[4] = { role = "assistant", content = "a" }, { role = "user", content = "and?" }
    t.equal(t.send("canary", { upstream = "next", share = 0.5 }, chat{ messages = messages }).upstream, first)
  end
end)

t.test("another version of a model", function()
  t.upstream("main", { text = "x" })
  t.send("canary", { upstream = "main", model = "v2", share = 1 }, chat())
  t.equal(t.calls("main")[1].model, "v2")
end)

t.test("a shadow is asked behind the answer, with the body as policies left it", function()
  main_and_next()
  local function policy(req, next)
    req.temperature = 0.5
    return next(req)
  end
  local shadow = t.policy("shadow", { upstream = "next", model = "v2" })
  local reply = t.send(function(req, next) return shadow(req, function(r) return policy(r, next) end) end, nil, chat())
  local calls = t.calls("next")
  t.equal({ reply.text, #calls, calls[1].outcome, calls[1].body.temperature, calls[1].model }, { "from main", 1, "trial", 0.5, "v2" })
end)

t.test("canary with shadow = true does the same for its share", function()
  main_and_next()
  t.equal(t.send("canary", { upstream = "next", share = 1, shadow = true }, chat()).text, "from main")
  t.equal(#t.calls("next"), 1)
  t.send("canary", { upstream = "next", share = 0, shadow = true }, chat())
  t.equal(#t.calls("next"), 1)
end)

t.test("no shadow for who left, for a cached answer, or where no upstream was asked", function()
  main_and_next({ text = "slow", delay = 5, upstream = { model = "m" } })
  t.send("shadow", { upstream = "next" }, chat(), { leave = 1 })
  t.equal(#t.calls("next"), 0)
  local cache, shadow = t.policy("cache_exact", { name = "under" }), t.policy("shadow", { upstream = "next" })
  local function chain(req, next) return shadow(req, function(r) return cache(r, next) end) end
  t.send(chain, nil, chat())
  t.equal(#t.calls("next"), 1)
  t.equal(t.send(chain, nil, chat()).headers["x-cache"], "hit")
  t.equal(#t.calls("next"), 1)
  t.send(function(req) return shadow(req, function() return perilune.reject(403, "no") end) end, nil, chat())
  t.equal(#t.calls("next"), 1)
end)

t.test("a failure is shadowed, too, and stays what it is", function()
  main_and_next({ status = 503, upstream = { model = "m" } })
  local reply = t.send("shadow", { upstream = "next" }, chat())
  t.equal({ reply.status, #t.calls("next") }, { 503, 1 })
end)

t.test("an answer that was read already is shadowed without its text", function()
  main_and_next()
  local shadow = t.policy("shadow", { upstream = "next" })
  local function reads(req, next)
    local res, err = next(req)
    if res then res:text() end
    return res, err
  end
  t.equal(t.send(function(req, next) return shadow(req, function(r) return reads(r, next) end) end, nil, chat()).text, "from main")
  t.equal(#t.calls("next"), 1)
end)

t.test("two that share an answer are shadowed once", function()
  main_and_next({ text = "slow", delay = 5, upstream = { model = "m" } })
  local coalesce, shadow = t.policy("coalesce", {}), t.policy("shadow", { upstream = "next" })
  local function chain(req, next) return shadow(req, function(r) return coalesce(r, next) end) end
  perilune.all{ function() return t.send(chain, nil, chat()) end, function() return t.send(chain, nil, chat()) end }
  t.equal({ #t.calls("main"), #t.calls("next") }, { 1, 1 })
end)

t.test("capture keeps questions with answers", function()
  t.upstream("up", { text = "fine", usage = { prompt_tokens = 3, completion_tokens = 1 } })
  t.send("capture", { file = "a.jsonl", fields = { "temperature" } }, chat{ temperature = 0.2, tenant = "acme" })
  local record = t.captured("a.jsonl")[1]
  t.equal({ record.messages[1].content, record.choices[1].message.content, record.choices[1].finish_reason, record.temperature,
    record.tenant, record.upstream, record.usage.prompt_tokens }, { "hi", "fine", "stop", 0.2, "acme", "up", 3 })
  t.match(record.time, "^%d+%-%d%d%-%d%dT")
end)

t.test("streams are put together, with all choices and calls of tools", function()
  t.upstream("up", { choices = { { chunks = { "a", "b" } }, { tool_calls = { { name = "f", arguments = { x = 1 } } } } } })
  t.send("capture", { file = "s.jsonl" }, chat{ stream = true, n = 2 })
  local choices = t.captured("s.jsonl")[1].choices
  t.equal({ choices[1].message.content, choices[2].message.tool_calls[1]["function"].name,
    choices[2].message.tool_calls[1]["function"].arguments }, { "ab", "f", '{"x":1}' })
end)

t.test("nothing is kept of what failed, broke off, was left or came from a cache", function()
  t.upstream("up", { { status = 503 }, { chunks = { "a", "b" }, breaks = true }, { text = "slow", delay = 5 }, { text = "x" } })
  local options = { file = "f.jsonl" }
  t.send("capture", options, chat())
  t.send("capture", options, chat{ stream = true })
  t.send("capture", options, chat(), { leave = 1 })
  local cache, capture = t.policy("cache_exact", { name = "captured" }), t.policy("capture", options)
  local function chain(req, next) return capture(req, function(r) return cache(r, next) end) end
  t.equal(#t.captured("f.jsonl"), 0)
  t.send(chain, nil, chat())
  t.send(chain, nil, chat())
  t.equal(#t.captured("f.jsonl"), 1)
end)

t.test("redact changes, drops and loses records, never requests", function()
  t.upstream("up", { text = "secret" })
  local function send(redact)
    t.equal(t.send("capture", { file = "r.jsonl", redact = redact }, chat()).text, "secret")
    return t.captured("r.jsonl")
  end
  local got = send(function(record)
    record.messages[1].content = "***"
    record.choices = nil
    return record
  end)
  t.equal({ #got, got[1].messages[1].content, got[1].choices }, { 1, "***", nil })
  t.equal(#send(function() return nil end), 1)
  t.equal(#send(function() error("oops") end), 1)
  t.match(t.logs()[1].text, "^capture: option 'redact': tests/lua/trials_spec.lua:%d+: oops\nstack traceback")
  t.match(t.logs()[2].text, "redact failed")
  t.equal(#send(function() return "text" end), 1)
  t.equal(#send(function(record) record.f = print return record end), 1)
  t.match(t.logs()[1].text, "could not be kept")
end)

t.test("shares, conditions and limits of zero", function()
  t.upstream("up", { text = "x" })
  local function send(more)
    local options = { file = "z.jsonl" }
    for k, v in pairs(more) do options[k] = v end
    t.equal(t.send("capture", options, chat()).text, "x")
    return #t.captured("z.jsonl")
  end
  t.equal(send{ share = 0 }, 0)
  t.equal(send{ max_bytes = 0 }, 0)
  t.equal(send{ when = function() return false end }, 0)
  t.equal(send{ when = function(req) return req.model == "m" end }, 1)
end)

t.test("what policies behind it do to the request is not what was asked", function()
  t.upstream("up", { text = "x" })
  local capture = t.policy("capture", { file = "q.jsonl" })
  t.send(function(req, next)
    return capture(req, function(r)
      r.messages[1].content = "changed"
      return next(r)
    end)
  end, nil, chat())
  t.equal(t.captured("q.jsonl")[1].messages[1].content, "hi")
end)

t.test("options that are wrong", function()
  main_and_next()
  for _, case in ipairs{
    { "canary", { share = 0.5 }, "upstream" }, { "canary", { upstream = "next" }, "share" },
    { "canary", { upstream = "next", share = 2 }, "share" }, { "canary", { upstream = "next", share = 1, key = 5 }, "key" },
    { "canary", { upstream = "next", share = 1, shadw = true }, "shadow" }, { "shadow", {}, "upstream" },
    { "shadow", { upstream = "nowhere" }, "nowhere" }, { "capture", {}, "file" },
    { "capture", { file = "x", rotate = 17 }, "rotate" }, { "capture", { file = "x", redact = "no" }, "redact" },
  } do
    t.error(function() t.policy(case[1], case[2]) end, case[3])
  end
end)

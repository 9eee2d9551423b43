local t = require "perilune.test"
local perilune = require "perilune"

-- What is wanted here does not depend on how fast this machine is just now: CPU time is counted by its clock, and a
-- policy that has too little of it goes past.
local function test(name, fn)
  t.test(name, function()
    t.limits{ cpu_ms = 60000, block_ms = 60000 }
    fn()
  end)
end

-- A document with a fact in each section.
local function document(sections, filler)
  local out = {}
  for i = 1, sections do
    out[#out + 1] = ("# Section %d\n\nThe code of section %d is %d.\n\n%s\n"):format(i, i, 1000 + i,
      (filler or "This sentence stands here to make the document long. "):rep(12))
  end
  return table.concat(out, "\n")
end

local question = "\n\nWhich codes are there?"

local function request(doc, more)
  local body = { model = "big", messages = { { role = "user", content = (doc or document(40)) .. question } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return t.request(body)
end

local tokens_sent = 0

-- Notes: the codes in a part, as a careful reader would write them.
local function reader(req)
  tokens_sent = math.max(tokens_sent, (req:tokens()))
  local text = req.messages[2].content
  local codes = {}
  for code in text:gmatch("is (%d+)") do codes[#codes + 1] = "the code is " .. code end
  for code in text:gmatch("代码是(%d+)") do codes[#codes + 1] = "代码是" .. code end
  return { text = codes[1] and table.concat(codes, "; ") or "NONE", delay = 1, usage = { prompt_tokens = 10, completion_tokens = 5 } }
end

local function answer(req)
  tokens_sent = math.max(tokens_sent, (req:tokens()))
  local n, seen = 0, {}
  for code in req.messages[#req.messages].content:gmatch("code is (%d+)") do
    n, seen[code] = n + (seen[code] and 0 or 1), true
  end
  return { chunks = { "There are ", tostring(n), " codes, as 1001. " }, itl = 0.1 }
end

local function options(more)
  local out = { above_tokens = 1000, worker = "small", chunk_tokens = 1000 }
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

local function send(more, doc, body, opts)
  tokens_sent = 0
  return t.send("map_reduce", options(more), request(doc, body), opts)
end

test("parts are read at once, and the answer is from the notes, streamed or whole", function()
  for _, stream in ipairs{ false, true } do
    t.upstream("small", reader)
    t.upstream("big", answer)
    local before = t.clock()
    local reply = send({}, nil, { stream = stream })
    t.match(reply.text, "^There are 40 codes, as 1001%.")
    t.equal({ reply.done, reply.upstream }, { true, "big" })
    t.ok(#t.calls("small") >= 5 and t.calls("small")[5].at == before)
    local sent = t.calls("big")[1].body.messages[1].content
    t.match(sent, "%[Notes on a document of %d+ parts that stood here%]")
    t.match(sent, "Which codes are there%?$")
  end
end)

test("what fits passes untouched and unpaid", function()
  t.upstream("small", reader)
  t.upstream("big", answer)
  local req = request("A short text.")
  local body = req:body()
  t.send("map_reduce", options(), req)
  t.equal({ #t.calls("small"), t.calls("big")[1].text }, { 0, body })
  t.send("map_reduce", options{ when = function() return false end }, request())
  t.equal(#t.calls("small"), 0)
end)

test("notes that do not fit are merged as a tree, and nothing that is sent overflows", function()
  local reduced = 0
  t.upstream("small", function(req)
    if req.messages[1].content:find("^These are notes") then reduced = reduced + 1 end
    tokens_sent = math.max(tokens_sent, (req:tokens()))
    return { text = ("note with words in it "):rep(600) } -- far over max_tokens
  end)
  t.upstream("big", answer)
  local reply = send({ context = 2000, chunk_tokens = 500, check = "off" }, document(60))
  t.equal(reply.status, 200)
  t.ok(reduced >= 8, reduced)
  t.ok(tokens_sent <= 2000, tokens_sent)
end)

test("Chinese documents", function()
  local out = {}
  for i = 1, 30 do out[i] = ("第%d章 内容\n\n本章的代码是%d。%s\n"):format(i, 2000 + i, ("这里有一些使文件变长的文字。"):rep(20)) end
  t.upstream("small", reader)
  t.upstream("big", { text = "代码是2001。" })
  local reply = send({}, table.concat(out, "\n"))
  t.equal(reply.text, "代码是2001。")
  local sent = t.calls("big")[1].body.messages[1].content
  t.match(sent, "此处原有一份文档")
  for _, i in ipairs{ 2001, 2015, 2030 } do t.ok(sent:find(tostring(i), 1, true), i) end
end)

test("what is not in the source is marked: in notes, and under the answer", function()
  t.upstream("small", function() return { text = "the code is 7777" } end)
  t.upstream("big", { chunks = { "The code is 88", "88, and 1001.", " That is it." } })
  for _, stream in ipairs{ false, true } do
    local reply = send({}, nil, { stream = stream })
    t.match(t.calls("big")[1].body.messages[1].content, "Not in the part, so doubtful: 7777")
    t.equal(reply.text, "The code is 8888, and 1001. That is it.\n\n[Not found in the document: 8888]")
  end
  t.equal(send{ check = "off" }.text, "The code is 8888, and 1001. That is it.")
  t.equal(send({}, nil, { response_format = { type = "json_object" } }).text:find("Not found", 1, true), nil)
end)

test("or the part is asked again", function()
  t.upstream("small", function(req) return { text = #req.messages > 2 and "nothing certain" or "the code is 7777" } end)
  t.upstream("big", { text = "ok" })
  send{ check = "again" }
  t.equal(t.calls("big")[1].body.messages[1].content:find("7777", 1, true), nil)
  t.match(t.calls("small")[#t.calls("small")].body.messages[4].content, "not in the part: 7777")
end)

test("a part that cannot be read", function()
  local function failing(retryable)
    local asked = 0
    t.upstream("small", function(req)
      asked = asked + 1
      if req.messages[2].content:find("Part 2 of", 1, true) then return { status = retryable and 503 or 400 } end
      return reader(req)
    end)
    t.upstream("big", answer)
    return function() return asked end
  end
  local asked = failing(true)
  local reply = send{}
  t.equal(reply.status, 200)
  t.match(t.calls("big")[1].body.messages[1].content, "%[Part 2 of %d+ could not be read%]")
  local twice = asked()
  asked = failing(false)
  send{ on_error = "skip" }
  t.equal(asked(), twice - 1) -- what would fail again is not tried again
  t.equal(t.calls("big")[1].body.messages[1].content:find("could not be read", 1, true), nil)
  failing(true)
  t.equal(reply.headers["x-perilune-degraded"], "map_reduce")
  reply = send{ on_error = "fail" }
  t.equal({ reply.status, #t.calls("big") }, { 503, 0 })
  t.upstream("small", { status = 500 })
  t.equal(send{}.status, 502)
end)

test("the merger fails before, or in the middle of its answer", function()
  t.upstream("small", reader)
  t.upstream("big", { status = 500 })
  t.equal(send{}.status, 502)
  t.upstream("big", { chunks = { "There are ", "many of" }, breaks = true })
  local reply = send({}, nil, { stream = true })
  t.equal({ reply.done, reply.error ~= nil }, { false, true })
end)

test("usage is the sum of all that was asked", function()
  for _, stream in ipairs{ false, true } do
    t.upstream("small", reader)
    t.upstream("big", { text = "ok", usage = { prompt_tokens = 100, completion_tokens = 7 } })
    local reply = send({}, nil, { stream = stream, stream_options = stream and { include_usage = true } or nil })
    local n = #t.calls("small")
    t.equal({ reply.usage.prompt_tokens, reply.usage.completion_tokens }, { 100 + 10 * n, 7 + 5 * n })
  end
end)

test("who leaves ends all that is under way", function()
  t.upstream("small", function() return { text = "x", delay = 10 } end)
  t.upstream("big", answer)
  local reply = send({ concurrency = 3 }, nil, {}, { leave = 1 })
  t.equal({ reply.status, #t.calls("small"), #t.calls("big") }, { 499, 3, 0 })
end)

test("tools, n and reasoning are the merger's business", function()
  t.upstream("small", reader)
  t.upstream("big", { reasoning = "hm", tool_calls = { { name = "f", arguments = "{}" } } })
  local reply = send({}, nil, { tools = { { type = "function", ["function"] = { name = "f" } } } })
  t.equal(reply.body.choices[1].finish_reason, "tool_calls")
  t.equal(t.calls("small")[1].body.tools, nil)
  t.upstream("big", { choices = { { text = "a" }, { text = "b" } } })
  t.equal(#send({}, nil, { n = 2 }).body.choices, 2)
end)

test("a document that is not text, or nothing but one line", function()
  t.upstream("small", reader)
  t.upstream("big", answer)
  for _, doc in ipairs{ ("x"):rep(60000), ("0123456789abcdef"):rep(4000), ("好"):rep(9000), ("a,b,c\n"):rep(5000) } do
    t.equal(send({}, doc).status, 200)
    t.ok(tokens_sent < 8000, tokens_sent)
  end
end)

test("a document for which there is no CPU time goes as it is", function()
  t.limits{ cpu_ms = 20 }
  t.upstream("small", reader)
  t.upstream("big", { text = "ok" })
  local reply = send({}, document(600))
  t.equal({ reply.status, reply.headers["x-perilune-degraded"], #t.calls("small") }, { 200, "map_reduce", 0 })
end)

local function rows(n, form)
  local out = { "a,b" }
  for i = 1, n do out[#out + 1] = form:format(i, i * 7) end
  return table.concat(out, "\n")
end

test("numbers have many tokens, and no more parts than other texts", function()
  local function each(name, doc)
    t.upstream("small", reader)
    t.upstream("big", { text = "ok" })
    local wanted = require("perilune").tokens(doc) / 1000
    t.equal(send({}, doc).status, 200)
    local n = #t.calls("small")
    t.ok(n >= 2 and n <= wanted * 2.2 + 2, ("%s: %d parts of %d thousand tokens"):format(name, n, wanted))
    t.ok(tokens_sent <= 2500, name .. ": " .. tokens_sent)
  end
  each("csv", rows(3000, "%d,%d"))
  each("table", "|a|b|\n|-|-|\n" .. ("|1|2|\n"):rep(6000))
  each("mixed", rows(1000, "%d,%d") .. document(20))
  each("hashes", ("0f3a9c77e1b2d4"):rep(2000))
end)

test("a document of too many parts goes as it is, and says so", function()
  t.upstream("small", reader)
  t.upstream("big", { text = "ok" })
  local reply = send({ chunk_tokens = 200, note_tokens = 50 }, document(1100))
  t.equal({ reply.status, reply.headers["x-perilune-degraded"], #t.calls("small") }, { 200, "map_reduce", 0 })
end)

test("a check for which there is no CPU time is left out, and the answer says so", function()
  local host = require "perilune.host"
  local really, left = host.cpu_left, 1
  host.cpu_left = function() return left end
  for _, stream in ipairs{ false, true } do
    for _, when in ipairs{ "parts", "answer", "never" } do
      left = 1
      t.upstream("small", function()
        if when == "parts" then left = 0 end -- of which the check was to leave 0.3
        return { text = "the number is 987654321" }
      end)
      t.upstream("big", function()
        if when == "answer" then left = 0.0001 end
        return { text = "It is 987654321." }
      end)
      local reply = send({}, rows(4000, "%d,%d"), { stream = stream })
      t.equal({ reply.status, reply.headers["x-perilune-degraded"] }, { 200, when ~= "never" and "map_reduce" or nil })
      t.equal(reply.text, "It is 987654321." .. (when == "never" and "\n\n[Not found in the document: 987654321]" or ""))
      local notes = t.calls("big")[1].body.messages[1].content
      t.equal(notes:find("so doubtful: 987654321", 1, true) ~= nil, when ~= "parts")
    end
  end
  host.cpu_left = really
end)

test("wrong options are refused", function()
  t.error(function() t.policy("map_reduce", {}) end, "'worker' is missing")
  t.error(function() t.policy("map_reduce", { worker = "a", check = "marks" }) end, "did you mean 'mark'")
  t.error(function() t.policy("map_reduce", { worker = "a", abov_tokens = 1 }) end, "did you mean 'above_tokens'")
end)

test("sizes that cannot be are refused, and say what can", function()
  local function wrong(options, pattern)
    options.worker = "small"
    t.error(function() t.policy("map_reduce", options) end, pattern)
  end
  wrong({ chunk_tokens = 9000 }, "option 'chunk_tokens' must be at most 8000, got 9000: a quarter of context")
  wrong({ chunk_tokens = 2500, above_tokens = 2000 }, "option 'chunk_tokens' must be at most 2000, got 2500: above_tokens")
  wrong({ note_tokens = 5000 }, "option 'note_tokens' must be at most 4000, got 5000: an eighth of context")
  wrong({ note_tokens = 900, chunk_tokens = 500 }, "option 'note_tokens' must be at most 500, got 900")
  wrong({ chunk_tokens = 0 }, "chunk_tokens")
  wrong({ chunk_tokens = 1000.5 }, "whole number")
  wrong({ chunk_tokens = -6000 }, "chunk_tokens")
  wrong({ chunk_tokens = 0 / 0 }, "chunk_tokens")
  wrong({ chunk_tokens = 1 / 0 }, "chunk_tokens")
  wrong({ chunk_tokens = "6000" }, "chunk_tokens")
  -- What is not given fits.
  t.policy("map_reduce", { worker = "small", context = 2000 })
  t.policy("map_reduce", { worker = "small", above_tokens = 500 })
end)

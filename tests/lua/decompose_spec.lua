local t = require "perilune.test"
local perilune = require "perilune"

local QUESTION = "Write a report on electric cars with sections on history, batteries, charging and the market."

local function request(more)
  local body = { model = "worker", messages = { { role = "system", content = "Be kind." }, { role = "user", content = QUESTION } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return t.request(body)
end

local LINES = { "1. History :: tell the history\n", "2. Batteries :: explain them\n", "3. Charging :: and how\n", "4. Market :: who sells\n" }

-- The planner, a line each second.
local function planner(lines, more)
  local script = { chunks = lines or LINES, itl = 1, usage = { prompt_tokens = 10, completion_tokens = 40 } }
  for k, v in pairs(more or {}) do script[k] = v end
  t.upstream("planner", script)
end

local function last(req) return req.messages[#req.messages].content end
local function title(req) return last(req):match("The part: ([^\n]*)") or "plain" end

-- Answers a part in three pieces; special[title] is a script, or a function.
local function worker(special, more)
  t.upstream("worker", function(req)
    local name = title(req)
    local script = special and special[name]
    if type(script) == "function" then script = script(req) end
    script = script or { chunks = { name, " ", "said." }, itl = 1, ttft = 1, usage = { prompt_tokens = 20, completion_tokens = 3 } }
    for k, v in pairs(more or {}) do script[k] = v end
    return script
  end)
end

local function send(options, more, opts)
  local all = { planner = "planner", worker = "worker" }
  for k, v in pairs(options or {}) do all[k] = v end
  return t.send("decompose", all, request(more), opts)
end

local REPORT = "## History\n\nHistory said.\n\n## Batteries\n\nBatteries said.\n\n## Charging\n\nCharging said.\n\n## Market\n\nMarket said."

t.test("a report of sections, streamed in order or whole", function()
  for _, stream in ipairs{ false, true } do
    planner() worker()
    local reply = send({}, { stream = stream })
    t.equal({ reply.status, reply.text, reply.done }, { 200, REPORT, true })
    t.ok(not stream or #reply.events > 8)
  end
end)

t.test("each part begins as soon as its line is complete", function()
  planner() worker()
  local reply = send({}, { stream = true })
  local at = {}
  for i, call in ipairs(t.calls("worker")) do at[i] = call.at end
  t.equal(at, { 0, 1, 2, 3 })
  t.equal({ reply.ttft, reply.total }, { 1, 7 }) -- the last begins at 3 and takes 4
end)

t.test("what stands in front of a part does not wait for it; the plan may be shown", function()
  planner() worker(nil, { ttft = 9 })
  local reply = send({}, { stream = true })
  t.equal({ reply.text, reply.ttft }, { REPORT, 1 })
  planner() worker()
  reply = send({ show_plan = true }, { stream = true })
  t.equal({ reply.text, reply.ttft }, { REPORT, 0 })
  t.match(reply.events[1] .. reply.events[2], "1%. History :: tell")
end)

t.test("Chinese plans", function()
  planner{ "1、历史 :: 写历史\n", "2、电池 :: 写电池\n" }
  worker()
  local reply = send({}, { messages = { { role = "user", content = "写一份关于电动汽车的报告，包括历史、电池和充电三个部分。" } } })
  t.equal(reply.text, "## 历史\n\n历史 said.\n\n## 电池\n\n电池 said.")
end)

t.test("what depends on others waits for them, and is told what they said", function()
  planner{ "1. A :: a\n2. B :: b\n3. C :: join $1 and $2\n" }
  worker()
  local reply = send({}, { stream = true })
  t.equal(reply.text, "## A\n\nA said.\n\n## B\n\nB said.\n\n## C\n\nC said.")
  local call = t.calls("worker")[3]
  t.match(last(call.body), "%$1 %(A%):\nA said%.\n\n%$2 %(B%):\nB said%.")
  t.equal(call.at >= 3, true)
end)

t.test("forward references, circles, a hundred parts", function()
  planner{ "1. A :: from $2\n2. B :: b\n" }
  worker()
  t.equal(send({ concurrency = 1 }, { stream = true }).text, "## A\n\nA said.\n\n## B\n\nB said.")
  t.match(last(t.calls("worker")[2].body), "%$2 %(B%):\nB said%.")
  planner{ "1. A :: from $2\n2. B :: from $1\n" }
  worker()
  t.equal(send({}, { stream = true }).text, "## A\n\nA said.\n\n## B\n\nB said.")
  local lines = {}
  for i = 1, 100 do lines[i] = ("%d. T%d :: do %d\n"):format(i, i, i) end
  planner(lines, { itl = 0 })
  worker()
  send({ max_parts = 3 })
  t.equal(#t.calls("worker"), 3)
  t.match(last(t.calls("worker")[3].body), "Also: T100: do 100")
end)

t.test("whoever needs whom, and however few work at once, it comes to an end", function()
  local function title_of(i) return ("%s said."):format(("ABCD"):sub(i, i)) end
  for _, lines in ipairs{
    { "from $3", "b", "from $2" }, { "from $3", "from $1", "from $2" }, { "from $3", "b", "c" }, { "from $4", "from $3", "c", "from $2" },
    { "from $2 and $3", "from $3", "from $1" }, { "from $4", "b", "from $9", "from $3" },
  } do
    local plan, want = {}, {}
    for i, text in ipairs(lines) do
      plan[i] = ("%d. %s :: %s\n"):format(i, ("ABCD"):sub(i, i), text)
      want[i] = ("## %s\n\n%s"):format(("ABCD"):sub(i, i), title_of(i))
    end
    for concurrency = 1, #lines do
      planner(plan)
      worker()
      local reply = send({ concurrency = concurrency }, { stream = true })
      t.equal({ reply.text, #t.calls("worker") }, { table.concat(want, "\n\n"), #lines })
    end
  end
end)

t.test("a planner that talks nonsense, fails, or sees one task: the plain call", function()
  for _, script in ipairs{ { text = "I cannot do that, sorry." }, { text = "" }, { text = "ONE" }, { text = "1. A :: only this" },
                           { status = 500 }, { chunks = { "1. A", " :: x" }, breaks = true } } do
    for _, stream in ipairs{ false, true } do
      t.upstream("planner", script)
      worker()
      local reply = send({}, { stream = stream })
      t.equal({ reply.status, reply.text, reply.done }, { 200, "plain said.", true })
    end
  end
  t.upstream("planner", { text = "ONE" })
  t.upstream("worker", { status = 429, code = "rate_limit_exceeded" })
  t.equal(send{}.status, 429)
end)

t.test("what is one thing passes untouched and unpaid for", function()
  planner() worker()
  for _, more in ipairs{ { messages = { { role = "user", content = "What is the capital of France?" } } }, { n = 2 },
                         { tools = { { type = "function", ["function"] = { name = "f" } } } }, { response_format = { type = "json_object" } } } do
    local req = request(more)
    local body = req:body()
    t.upstream("worker", { text = "x" })
    t.send("decompose", { planner = "planner", worker = "worker" }, req)
    t.equal({ #t.calls("planner"), t.calls("worker")[1].text }, { 0, body })
  end
  send{ when = false }
  send{ when = function() return false end }
  t.equal(#t.calls("planner"), 0)
  worker()
  send({ when = true }, { messages = { { role = "user", content = "hi" } } })
  t.equal(#t.calls("planner"), 1)
end)

t.test("a merger makes one answer of the parts", function()
  planner() worker()
  t.upstream("merger", { chunks = { "All ", "in one." }, reasoning = "hm" })
  for _, stream in ipairs{ false, true } do
    local reply = send({ merger = "merger" }, { stream = stream })
    t.equal({ reply.text, reply.done }, { "All in one.", true })
  end
  local asked = t.calls("merger")[1].body
  t.match(asked.messages[3].content, "Part 1, History:\nHistory said%.\n\n%-%-%-\n\nPart 2, Batteries:\nBatteries said%.")
  t.equal(asked.messages[1].content, "Be kind.")
end)

t.test("the merger fails: before its answer, and after half of it", function()
  planner() worker()
  t.upstream("merger", { status = 500 })
  t.equal(send({ merger = "merger" }, { stream = true }).status, 502)
  t.upstream("merger", { chunks = { "All ", "in" }, breaks = true })
  for _, stream in ipairs{ true, false } do
    local reply = send({ merger = "merger" }, { stream = stream })
    t.equal({ reply.done, reply.error ~= nil }, { false, true })
  end
end)

t.test("a part that fails: is noted, left out, or ends all", function()
  local broken = { Batteries = { status = 400 } }
  planner() worker(broken)
  local reply = send({}, { stream = true })
  t.match(reply.text, "## Batteries\n\n%[This part could not be written%.%]\n\n## Charging")
  planner() worker(broken)
  t.equal(send{ on_error = "skip" }.text, (REPORT:gsub("## Batteries\n\nBatteries said%.\n\n", "")))
  planner() worker(broken)
  reply = send({ on_error = "fail" }, { stream = true })
  t.equal({ reply.done, reply.error.code }, { false, "upstream_status" })
  planner() worker{ History = { status = 400 } }
  t.equal(send({ on_error = "fail" }, { stream = true }).status, 400)
end)

t.test("an answer without one of its parts is kept by no cache; without all of them it is none", function()
  for i, stream in ipairs{ false, true } do
    local chain = { { "cache_exact", ttl = 60, name = "parts" .. i },
                    { "decompose", planner = "planner", worker = "worker", on_error = i == 1 and "note" or "skip" } }
    planner() worker{ Batteries = { status = 400 } }
    t.match(t.send(chain, nil, request{ stream = stream }).text, "Market said")
    planner() worker()
    local whole = t.send(chain, nil, request{ stream = stream })
    t.equal({ whole.text, whole.headers["x-cache"] }, { REPORT, "miss" })
    t.equal(t.send(chain, nil, request{ stream = stream }).headers["x-cache"], "hit")
  end
  for _, rule in ipairs{ "note", "skip" } do
    planner() worker(nil, { status = 400 })
    t.equal(send{ on_error = rule }.status, 400)
    planner() worker(nil, { status = 400 })
    local reply = send({ on_error = rule }, { stream = true })
    t.equal({ reply.done, reply.error.code }, { false, "upstream_status" })
  end
end)

t.test("a part that may go well is asked twice; one that breaks off is told so", function()
  local n = 0
  planner() worker{ Batteries = function()
    n = n + 1
    return n == 1 and { status = 503 } or nil
  end }
  t.equal(send({}, { stream = true }).text, REPORT)
  planner() worker{ Batteries = { chunks = { "half", " of" }, breaks = true } }
  t.match(send({}, { stream = true }).text, "half of\n\n%[This part breaks off here%.%]\n\n## Charging")
  planner() worker{ Batteries = { status = 500 }, History = { status = 500 }, Charging = { status = 500 }, Market = { status = 500 } }
  t.upstream("merger", { text = "x" })
  t.equal(send{ merger = "merger" }.status, 502)
  t.equal(#t.calls("merger"), 0)
end)

t.test("no more at once than may be", function()
  local running, most = 0, 0
  planner(nil, { itl = 0 })
  worker(nil)
  local reply = send({ concurrency = 2 }, { stream = true })
  t.equal(reply.text, REPORT)
  local calls = t.calls("worker")
  t.equal({ calls[1].at, calls[2].at, calls[3].at }, { 0, 0, 4 })
end)

t.test("who leaves early ends all branches", function()
  planner() worker(nil, { delay = 50 })
  t.upstream("merger", { text = "x" })
  local reply = send({ merger = "merger" }, { stream = true }, { leave = 2.5 })
  t.equal({ reply.status, #t.calls("worker"), #t.calls("merger") }, { 499, 3, 0 })
  t.advance(100)
  t.equal(#t.calls("worker"), 3)
end)

t.test("usage is the sum of all that was asked", function()
  for _, merged in ipairs{ false, true } do
    for _, stream in ipairs{ false, true } do
      planner() worker()
      t.upstream("merger", { text = "x", usage = { prompt_tokens = 7, completion_tokens = 2 } })
      local reply = send({ merger = merged and "merger" or nil }, { stream = stream, stream_options = stream and { include_usage = true } or nil })
      local own = merged and { 7, 2 } or { 0, 0 }
      t.equal({ reply.usage.prompt_tokens, reply.usage.completion_tokens }, { 10 + 80 + own[1], 40 + 12 + own[2] })
    end
  end
end)

t.test("a client that bounds the answer bounds the parts together", function()
  planner() worker()
  send({}, { max_tokens = 1600 })
  t.equal(t.calls("worker")[1].body.max_tokens, 200)
  planner() worker()
  send({}, { max_tokens = 1000 })
  t.equal({ #t.calls("planner"), t.calls("worker")[1].body.max_tokens }, { 0, 1000 })
  planner() worker()
  t.upstream("merger", { text = "x" })
  send({ merger = "merger" }, { max_tokens = 1000 })
  t.equal({ t.calls("worker")[1].body.max_tokens or 0, t.calls("merger")[1].body.max_tokens }, { 0, 1000 })
end)

t.test("what is asked begins with what the client said, so that its provider has it cached", function()
  planner() worker()
  send{}
  local plan, part = t.calls("planner")[1].body.messages, t.calls("worker")[1].body.messages
  for i = 1, 2 do t.equal(plan[i], part[i]) end
  t.equal({ #plan, #part }, { 3, 3 })
end)

t.test("thoughts of workers are not the answer's text", function()
  planner() worker(nil, { reasoning = "let me think" })
  local reply = send({}, { stream = true })
  t.equal(reply.text, REPORT)
end)

t.test("wrong options are refused", function()
  t.error(function() t.policy("decompose", {}) end, "'planner' is missing")
  t.error(function() t.policy("decompose", { planner = "a", worker = "b", max_parts = 1 }) end, "at least 2")
  t.error(function() t.policy("decompose", { planner = "a", worker = "b", mergr = "c" }) end, "did you mean 'merger'")
end)

t.test("a planner that hangs, or dribbles, costs no more than its time", function()
  for _, stream in ipairs{ false, true } do
    worker{ plain = { text = "plain" } }
    planner(nil, { delay = 1000 }) -- it says nothing
    local reply = send({ plan_timeout = 5 }, { stream = stream })
    t.equal({ reply.text, reply.total }, { "plain", 5 })
    planner({ "1. ", "His", "to", "ry", " and ", "so ", "on" }, { itl = 3 }) -- no line of it
    reply = send({ plan_timeout = 5 }, { stream = stream })
    t.equal({ reply.text, reply.total }, { "plain", 5 })
    planner(nil, { delay = 1000 })
    reply = send({}, { stream = stream })
    t.equal({ reply.text, reply.total }, { "plain", 60 })
  end
end)

t.test("of a plan that takes too long stays what has come, and no cache keeps it", function()
  planner(nil, { itl = 10 })
  worker()
  local reply = send{ plan_timeout = 25 }
  t.equal(reply.text, "## History\n\nHistory said.\n\n## Batteries\n\nBatteries said.\n\n## Charging\n\nCharging said.")
end)

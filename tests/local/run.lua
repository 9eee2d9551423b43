-- run.lua -- models in the gateway and in a process of their own, with the real library: what happens when it dies.
--
--   PERILUNE_LLAMA=FOLDER PERILUNE_TEST_MODEL=FILE [PERILUNE_TEST_RERANKER=FILE] luajit tests/local/run.lua [WORD...]
--
-- from the root of the project.  The model is one that answers chats, and small.  Without a library or a model it says
-- so and is no failure: what does not need them is in tests/unit/test_process.c.

package.path = "tests/?.lua;" .. package.path

local caches = require "support.caches"
local files = require "support.files"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local server = require "support.server"

local await, metric, same = caches.await, caches.metric, caches.same

local LIBRARY, MODEL = os.getenv("PERILUNE_LLAMA"), os.getenv("PERILUNE_TEST_MODEL")
local RERANKER = os.getenv("PERILUNE_TEST_RERANKER")
local SIGKILL, SIGSTOP, SIGTERM, SIGSEGV = 9, 19, 15, 11
if not LIBRARY or not MODEL then
  print("local: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL): nothing is tested")
  os.exit(0)
end

local gateways = {}

local function start(upstreams, extra)
  local g = assert(server.start{ config = ("%s upstreams = { %s }, routes = { { path = \"/v1/*\" } },"):format(
    extra or "", upstreams), wait = 60 })
  gateways[#gateways + 1] = g
  return g
end

local function engine(options)
  return ('m = { engine = { model = "%s", library = "%s", threads = 1, context = 1024, %s } },'):format(MODEL, LIBRARY,
    options or "")
end

-- The processes of engines that a gateway has.
local function children(g)
  local out = {}
  for line in files.lines(("ps -o pid=,stat=,args= --ppid %d"):format(g.proc.pid)) do
    local pid, state = line:match("^%s*(%d+)%s+(%S+).*engine%-process")
    if pid then out[#out + 1] = { pid = tonumber(pid), state = state } end
  end
  return out
end

local function kill(pid, signal) assert(posix.C.kill(pid, signal) == 0, "there is no such process") end
local function failures(g) return metric(g, ('perilune_engine_failures_total{model="%s",number="1"}'):format(MODEL:match("[^/]+$"))) end
local function up(g) return metric(g, ('perilune_engine_up{model="%s",number="1"}'):format(MODEL:match("[^/]+$"))) == 1 end

local QUESTION = { model = "m", max_tokens = 8, temperature = 0 }

local function ask(g, fields, seconds)
  local body = {}
  for k, v in pairs(QUESTION) do body[k] = v end
  for k, v in pairs(fields or {}) do body[k] = v end
  return assert(http.chat(g.port, body, nil, seconds or 60))
end

local function text(g)
  local r = ask(g)
  assert(r.status == 200, ("status %d: %s"):format(r.status, r.body))
  return json.decode(r.body).choices[1].message.content
end

local tests = {}
local function test(name, fn) tests[#tests + 1] = { name = name, fn = fn } end

test("the same words, in the process and outside of it", function()
  local a, b = start(engine()), start(engine("process = true"))
  same(text(b), text(a), "the answer")
  same(#children(a), 0, "processes of the one")
  same(#children(b), 1, "processes of the other")
end)

test("killed while nobody asks, killed while it answers", function()
  local g = start(engine("process = true"))
  local first = text(g)
  kill(children(g)[1].pid, SIGKILL)
  await("the loss", function() return failures(g) == 1 end)
  await("the recovery", function() return up(g) end)
  same(text(g), first, "the answer afterwards")
  same(#children(g), 1, "processes; no zombie is left")
  local conn = assert(net.connect(g.port, 10))
  conn:send(http.format("POST", "/v1/chat/completions", nil, http.chat_body{ model = "m", stream = true, max_tokens = 900,
    logit_bias = { ["0"] = -100, ["2"] = -100 } }))
  local killed
  local r = assert(http.read_response(conn, 60, function()
    if not killed then
      killed = true
      kill(children(g)[1].pid, SIGSEGV)
    end
  end))
  conn:close()
  same(r.status, 200, "the status of a stream that had begun")
  assert(r.body:find("the local engine failed", 1, true), "no error event: " .. r.body:sub(-300))
  assert(not r.body:find("[DONE]", 1, true), "it ends well")
  await("the recovery", function() return up(g) end)
  same(text(g), first, "the answer afterwards")
  assert(caches.said(g, "was ended by signal 11") == 1, "the log does not say how it ended")
end)

test("who asks while it is down waits, or is told when to come again", function()
  local g = start(engine("process = true"))
  text(g)
  kill(children(g)[1].pid, SIGKILL)
  local r = ask(g)
  if r.status ~= 200 then
    same(r.status, 503, "the status: " .. r.body)
    assert(tonumber(r.headers["retry-after"]), "no Retry-After")
    await("an answer", function() return ask(g).status == 200 end)
  end
end)

test("a process that hangs is killed", function()
  local g = start(engine("process = true, step_timeout = 1"))
  text(g)
  kill(children(g)[1].pid, SIGSTOP)
  local r = ask(g, {}, 60)
  if r.status ~= 200 then -- nothing of it had begun: it waits for the next process, or hears when to come again
    same(r.status, 503, "the status: " .. r.body)
    assert(tonumber(r.headers["retry-after"]), "no Retry-After")
  end
  await("an answer", function() return ask(g).status == 200 end)
  same(#children(g), 1, "processes")
end)

test("it ends with the gateway, however that ends", function()
  local g = start(engine("process = true"))
  local pid = children(g)[1].pid
  g.proc:kill(SIGKILL)
  g.proc:wait()
  await("the end of it", function()
    local stat = files.lines(("ps -o stat= -p %d"):format(pid))()
    return stat == nil or stat:find("Z") ~= nil
  end)
  table.remove(gateways):stop()
end)

test("a file that is cut under its mapping costs the process, not the gateway", function()
  local dir = posix.temp_dir("perilune-model")
  local copy = dir .. "/model.gguf"
  assert(os.execute(("cp '%s' '%s'"):format(MODEL, copy)))
  local g = start((engine("process = true"):gsub(MODEL:gsub("%p", "%%%0"), copy)))
  text(g)
  assert(os.execute(("truncate -s 100000 '%s'"):format(copy)))
  local r = ask(g)
  assert(r.status == 502 or r.status == 503, "status " .. r.status .. ": " .. r.body)
  await("a sentence", function() return caches.said(g, "cut off or broken") > 0 end)
  assert(os.execute(("cp '%s' '%s.new' && mv '%s.new' '%s'"):format(MODEL, copy, copy, copy)))
  loop.until_true(60, function() return ask(g).status == 200 end)
  text(g)
  os.execute("rm -r '" .. dir .. "'")
end)

test("a reload while it answers: the stream goes on with the old model", function()
  for _, how in ipairs{ "", "process = true, " } do
    local g = start(engine(how .. "waiting = 50"))
    local conn = assert(net.connect(g.port, 10))
    conn:send(http.format("POST", "/v1/chat/completions", nil, http.chat_body{ model = "m", stream = true,
      max_tokens = 300, logit_bias = { ["0"] = -100, ["2"] = -100 } }))
    local reloaded
    local r = assert(http.read_response(conn, 120, function()
      if reloaded then return end
      reloaded = true
      g:write("perilune.lua", server.complete(("upstreams = { %s }, routes = { { path = \"/v1/*\" } },"):format(
        engine(how .. "waiting = 60"))))
      loop.go(function() same(assert(g:reload(60)).status, 200, "the reload") end)
    end))
    conn:close()
    assert(r.body:find("[DONE]", 1, true), "it broke off: " .. r.body:sub(-300))
    same(select(2, r.body:gsub('"delta":{"content"', "")) > 100, true, "many tokens came")
    text(g)
    await("the old model's end", function() return #children(g) == (how == "" and 0 or 1) end)
  end
end)

test("what cannot be loaded is refused with a sentence", function()
  local dir = posix.temp_dir("perilune-model")
  files.write(dir .. "/cut.gguf", files.read(MODEL):sub(1, 70000))
  files.write(dir .. "/none.gguf", "this is no model")
  for _, c in ipairs{
    { dir .. "/absent.gguf", LIBRARY, "there is no such file" },
    { dir .. "/none.gguf", LIBRARY, "GGUF" },
    { dir .. "/cut.gguf", LIBRARY, "cut off or broken" },
    { MODEL, dir, "has no libllama" },
  } do
    for _, how in ipairs{ "false", "true" } do
      local g, why = server.start{ config = ([[upstreams = { m = { engine = { model = "%s", library = "%s", process = %s } } },]])
        :format(c[1], c[2], how) }
      if g then g:stop() error("it starts with " .. c[1]) end
      assert(why:find(c[3], 1, true), why)
    end
  end
  os.execute("rm -r '" .. dir .. "'")
end)

-- Where the library asserts that it has memory, nothing can be given back to us: then the sentence is all there is.
test("memory that ends while it loads: whoever ends says so", function()
  local dir = posix.temp_dir("perilune-model")
  local seen = {}
  for _, how in ipairs{ "", "process = true" } do
    files.write(dir .. "/perilune.lua", ('return { upstreams = { %s }, routes = { { path = "/v1/*", upstream = "m" } } }')
      :format(engine(how)))
    for limit = 150000, 480000, 10000 do
      local said = ""
      for line in files.lines(("ulimit -c 0; ulimit -v %d; build/perilune check '%s/perilune.lua' 2>&1; echo \"status $?\"")
        :format(limit, dir)) do said = said .. line .. "\n" end
      local status = tonumber(said:match("status (%d+)\n$"))
      -- With status 127 not even the program was loaded.
      assert(status == 0 or status == 127 or said:find(MODEL, 1, true), ("with %d KB (%s): %s"):format(limit, how, said))
      assert(how == "" or status < 128, "the engine's end is that of who asked: " .. said)
      assert(not said:find("longer tokens", 1, true), said)
      seen[status == 0 and "loaded" or said:find("GGML_ASSERT", 1, true) and "asserted" or "refused"] = true
    end
  end
  assert(seen.refused, "memory was enough for all")
  os.execute("rm -r '" .. dir .. "'")
end)

test("an architecture that the library does not know", function()
  local dir = posix.temp_dir("perilune-model")
  local bytes = files.read(MODEL)
  local head = bytes:sub(1, 4096):gsub("llama", "lhama") -- its own name, and that of its keys
  files.write(dir .. "/lhama.gguf", head .. bytes:sub(4097))
  for _, how in ipairs{ "false", "true" } do
    local g, why = server.start{ config = ([[upstreams = { m = { engine = { model = "%s", library = "%s", process = %s } } },]])
      :format(dir .. "/lhama.gguf", LIBRARY, how), wait = 60 }
    if g then g:stop() error("it starts") end
    assert(why:find("lhama", 1, true) and why:find("unknown model architecture", 1, true), why)
  end
  os.execute("rm -r '" .. dir .. "'")
end)

test("a file that is replaced: the old one goes on, a reload takes the new one", function()
  local dir = posix.temp_dir("perilune-model")
  local copy = dir .. "/model.gguf"
  assert(os.execute(("cp '%s' '%s'"):format(MODEL, copy)))
  local g = start((engine():gsub(MODEL:gsub("%p", "%%%0"), copy)))
  local first = text(g)
  files.write(dir .. "/new.gguf", "this is no model")
  assert(os.execute(("mv '%s/new.gguf' '%s'"):format(dir, copy)))
  same(text(g), first, "the answer of the model that was loaded")
  local r = assert(g:reload(60))
  assert(r.status ~= 200 and r.body:find("GGUF", 1, true), "a reload with it: " .. r.body)
  same(text(g), first, "the answer after a reload that failed")
  assert(os.execute(("cp '%s' '%s.new' && mv '%s.new' '%s'"):format(MODEL, copy, copy, copy)))
  same(assert(g:reload(60)).status, 200, "the reload with a model in its place")
  same(text(g), first, "the answer of the new one")
  os.execute("rm -r '" .. dir .. "'")
end)

test("answers of another model under the same name are not given again", function()
  local dir = posix.temp_dir("perilune-model")
  local other = dir .. "/other.gguf"
  assert(os.execute(("cp '%s' '%s'"):format(MODEL, other)))
  local routes = 'routes = { { path = "/v1/*", policies = { { "cache_exact", version = "1" } } } },'
  local function config(model) return ("upstreams = { %s }, %s"):format((engine():gsub(MODEL:gsub("%p", "%%%0"), model)), routes) end
  local g = assert(server.start{ config = config(MODEL), wait = 60 })
  gateways[#gateways + 1] = g
  local function cached() return ask(g).headers["x-cache"] end
  same(cached(), "miss", "the first")
  same(cached(), "hit", "the second")
  g:write("perilune.lua", server.complete(config(other)))
  same(assert(g:reload(60)).status, 200, "the reload")
  same(cached(), "miss", "the other model")
  os.execute("rm -r '" .. dir .. "'")
end)

test("a GPU that is not there: the processor computes, and the log says so once", function()
  for _, how in ipairs{ "", "process = true, " } do
    local g = start(engine(how .. "gpu_layers = 99"))
    text(g)
    text(g)
    same(caches.said(g, "there is no GPU here", "the processor computes this model"), 1, "sentences in the log: " .. g:log())
  end
end)

test("a thousand at one slot are answered, or told to come again", function()
  local g = start(engine("sequences = 1, waiting = 50"))
  text(g)
  local open, seen = 1000, {}
  for _ = 1, 1000 do
    loop.go(function()
      local r = ask(g, { max_tokens = 1 }, 120)
      seen[r.status] = (seen[r.status] or 0) + 1
      if r.status ~= 200 then assert(tonumber(r.headers["retry-after"]), "no Retry-After: " .. r.body) end
      open = open - 1
    end)
  end
  assert(loop.until_true(120, function() return open == 0 end), open .. " have no answer")
  assert((seen[200] or 0) >= 50, "answered: " .. (seen[200] or 0))
  local told = 0
  for status, n in pairs(seen) do if status == 429 or status == 503 then told = told + n end end
  same(told + seen[200], 1000, "answers and refusals")
  text(g)
end)

test("memory for fewer than are in: all answers come to their end", function()
  local g = start((engine("sequences = 3"):gsub("context = 1024", "context = 256")))
  local open = 3
  for i = 1, 3 do
    loop.go(function()
      local r = ask(g, { max_tokens = 90, logit_bias = { ["0"] = -100, ["2"] = -100 },
        messages = json.array{ { role = "user", content = i .. " tell me a long story" } } }, 120)
      same(r.status, 200, r.body)
      local said = json.decode(r.body)
      same(said.choices[1].finish_reason, "length", "why it ended")
      same(said.usage.completion_tokens, 90, "tokens")
      open = open - 1
    end)
  end
  assert(loop.until_true(120, function() return open == 0 end), open .. " did not end")
end)

test("a prompt that is longer than the context", function()
  local g = start(engine("process = true"))
  local r = ask(g, { messages = json.array{ { role = "user", content = ("word "):rep(3000) } } })
  same(r.status, 400, "the status")
  assert(r.body:find("context_length_exceeded", 1, true) and r.body:find("room for 1023", 1, true), r.body)
end)

test("eight prompts that begin alike are read once, wherever what they share ends", function()
  local g = start((engine("sequences = 8"):gsub("context = 1024", "context = 8192")))
  local function counter(name)
    return metric(g, ('%s{model="%s",number="1"}'):format(name, MODEL:match("[^/]+$")))
  end
  for round, words in ipairs{ 100, 117, 134, 151 } do
    local shared = ("%d %s"):format(round, ("word "):rep(words))
    local stepped, prompts = counter("perilune_engine_stepped_tokens_total"), counter("perilune_engine_prompt_tokens_total")
    local open = 8
    for i = 1, 8 do
      loop.go(function()
        same(ask(g, { max_tokens = 1, messages = json.array{ { role = "user", content = shared .. i } } }).status, 200, "status")
        open = open - 1
      end)
    end
    await("answers", function() return open == 0 end)
    local one = (counter("perilune_engine_prompt_tokens_total") - prompts) / 8
    local computed = counter("perilune_engine_stepped_tokens_total") - stepped
    -- Of seven the ends are computed: a number and what the template has behind it.
    assert(computed <= one + 7 * 12, ("%d tokens were computed for prompts of %d"):format(computed, one))
  end
end)

test("an answer has the members that the vendor's API always has", function()
  local g = start(engine())
  local whole = json.decode(ask(g, { n = 2, max_tokens = 2 }).body)
  same(#whole.choices, 2, "choices")
  for _, c in ipairs(whole.choices) do
    same(c.logprobs, json.null, "logprobs that nobody asked for")
    same(c.message.refusal, json.null, "refusal")
    assert(#c.message.content > 0, "no content")
  end
  local first = assert(ask(g, { stream = true, max_tokens = 2 }).body:match("data: (%b{})"))
  local choice = json.decode(first).choices[1]
  same(choice.delta.refusal, json.null, "refusal of a stream")
  same(choice.logprobs, json.null, "logprobs of a stream")
  local asked = json.decode(ask(g, { max_tokens = 2, logprobs = true }).body)
  same(#asked.choices[1].logprobs.content, 2, "logprobs that were asked for")
end)

-- What a request may ask for, beside the messages: each must say the same in pieces and whole.
local WEATHER = { type = "function", ["function"] = { name = "weather", parameters = { type = "object",
  properties = { city = { type = "string", enum = json.array{ "Paris", "北京" } } }, required = json.array{ "city" } } } }
local KINDS = {
  plain = { max_tokens = 24 },
  chinese = { max_tokens = 24, messages = json.array{ { role = "user", content = "用中文说:你好,世界。" } } },
  ["two choices"] = { max_tokens = 12, n = 2 },
  ["a stop"] = { max_tokens = 40, stop = json.array{ "e", "的" } },
  logprobs = { max_tokens = 8, logprobs = true, top_logprobs = 2, logit_bias = { ["0"] = -100, ["2"] = -100 } },
  ["a schema"] = { max_tokens = 80, response_format = { type = "json_schema", json_schema = { name = "x", schema = {
    type = "object", properties = { feeling = { type = "string", enum = json.array{ "高兴", "glad" } }, sure = { type = "boolean" } },
    required = json.array{ "feeling", "sure" } } } } },
  ["a call"] = { max_tokens = 120, tools = json.array{ WEATHER }, tool_choice = "required", parallel_tool_calls = false },
}
-- SmolLM2's own template knows no tools.
local TOOLS = [[{% if tools %}<|im_start|>system
Tools: {% for t in tools %}{{ t | tojson }}{% endfor %} Answer with <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call><|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{% if m.tool_calls %}{% for c in m.tool_calls %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}]]

-- The choices of a whole answer, and of a stream, in one form; and the usage.
local function choice_of(c, m)
  local calls = {}
  for i, t in ipairs(type(m.tool_calls) == "table" and m.tool_calls or {}) do
    calls[i] = t["function"].name .. t["function"].arguments
  end
  return { text = type(m.content) == "string" and m.content or "", calls = table.concat(calls), why = c.finish_reason,
    probabilities = c.logprobs ~= json.null and #c.logprobs.content or 0 }
end

local function whole(g, fields)
  local r = ask(g, fields)
  same(r.status, 200, r.body)
  local said, out = json.decode(r.body), {}
  for _, c in ipairs(said.choices) do out[c.index] = choice_of(c, c.message) end
  return out, said.usage
end

local function streamed(g, fields)
  local body, out, usage = { stream = true, stream_options = { include_usage = true } }, {}, nil
  for k, v in pairs(fields) do body[k] = v end
  local r = ask(g, body)
  same(r.status, 200, r.body)
  for line in r.body:gmatch("data: ([^\n]+)") do
    local e = line:sub(1, 1) == "{" and json.decode(line) or { choices = {} }
    if type(e.usage) == "table" then usage = e.usage end
    for _, c in ipairs(e.choices) do
      local o = out[c.index] or { text = "", calls = "", probabilities = 0 }
      out[c.index] = o
      if type(c.delta.content) == "string" then o.text = o.text .. c.delta.content end
      for _, t in ipairs(type(c.delta.tool_calls) == "table" and c.delta.tool_calls or {}) do
        o.calls = o.calls .. (t["function"].name or "") .. (t["function"].arguments or "")
      end
      if c.logprobs and c.logprobs ~= json.null then o.probabilities = o.probabilities + #c.logprobs.content end
      if type(c.finish_reason) == "string" then o.why = c.finish_reason end
    end
  end
  assert(r.body:find("[DONE]", 1, true), "it broke off")
  return out, usage
end

local function with_tools(how)
  local dir = posix.temp_dir("perilune-model")
  files.write(dir .. "/tools.jinja", TOOLS)
  return start(engine(('template = "%s/tools.jinja", sequences = 2, %s'):format(dir, how or ""))), dir
end

test("in pieces and whole it says the same", function()
  for _, how in ipairs{ "", "process = true" } do
    local g, dir = with_tools(how)
    for name, fields in pairs(KINDS) do
      local a, used = whole(g, fields)
      local b, told = streamed(g, fields)
      for i = 0, (fields.n or 1) - 1 do
        for k, v in pairs(a[i]) do same(b[i][k], v, ("%s, choice %d: %s"):format(name, i, k)) end
      end
      for _, k in ipairs{ "prompt_tokens", "completion_tokens", "total_tokens" } do same(told[k], used[k], name .. ": " .. k) end
      if fields.logprobs then same(a[0].probabilities, used.completion_tokens, "probabilities") end
      if name == "a call" then
        same(a[0].why, "tool_calls", "why it ended")
        local city = json.decode(a[0].calls:match("^weather(%b{})")).city
        assert(city == "Paris" or city == "北京", a[0].calls)
      end
      if name == "a schema" then assert(json.decode(a[0].text).sure ~= nil) end
      if name == "a stop" then assert(a[0].why == "length" or not a[0].text:find("e", 1, true), a[0].text) end
    end
    os.execute("rm -r '" .. dir .. "'")
  end
end)

test("who leaves in the middle of an answer frees its place, and what waits behind it comes", function()
  for _, how in ipairs{ "", "process = true" } do
    local g, dir = with_tools(how)
    local function gauge(name) return metric(g, ('%s{model="%s",number="1"}'):format(name, MODEL:match("[^/]+$"))) end
    local never = { model = "m", max_tokens = 900, logit_bias = { ["0"] = -100, ["2"] = -100 } }
    for _, fields in ipairs{ { stream = true }, {}, { n = 2 }, { stream = true, n = 2 }, { stream = true, tools = json.array{ WEATHER } } } do
      local body, left = {}, gauge("perilune_engine_left_total")
      for k, v in pairs(never) do body[k] = v end
      for k, v in pairs(fields) do body[k] = v end
      local conns = {}
      for i = 1, 3 do -- of two places
        conns[i] = assert(net.connect(g.port, 10))
        conns[i]:send(http.format("POST", "/v1/chat/completions", nil, http.chat_body(body)))
      end
      await("answers", function() return gauge("perilune_engine_active") == 2 and gauge("perilune_engine_waiting") > 0 end)
      for i = 1, 3 do conns[i]:close() end
      await("free places", function() return gauge("perilune_engine_active") == 0 and gauge("perilune_engine_waiting") == 0 end)
      assert(gauge("perilune_engine_left_total") > left, "nobody was seen to leave")
      local stepped = gauge("perilune_engine_steps_total")
      same(gauge("perilune_engine_steps_total"), stepped, "steps for nobody")
      same(ask(g, { max_tokens = 1 }).status, 200, "who comes afterwards")
    end
    os.execute("rm -r '" .. dir .. "'")
  end
end)

test("a gateway that is told to end lets answers end", function()
  for _, how in ipairs{ "", "process = true" } do
    local g = start(engine(how))
    local conn = assert(net.connect(g.port, 10))
    conn:send(http.format("POST", "/v1/chat/completions", nil, http.chat_body{ model = "m", stream = true,
      max_tokens = 200, logit_bias = { ["0"] = -100, ["2"] = -100 } }))
    local told
    local r = assert(http.read_response(conn, 60, function()
      if told then return end
      told = true
      g.proc:kill(SIGTERM)
    end))
    conn:close()
    assert(r.body:find("[DONE]", 1, true), "it broke off: " .. r.body:sub(-300))
    g.proc:wait()
    table.remove(gateways):stop()
  end
end)

test("ranks", function()
  if not RERANKER then return print("local: no reranker (PERILUNE_TEST_RERANKER): ranks are not tested") end
  local one = ('r = { engine = { model = "%s", library = "%s", threads = 1, process = %s } },')
  local body = json.encode{ model = "r", query = "what is the capital of France?", top_n = 2, return_documents = true,
    documents = json.array{ "Horses and cows are animals.", "Paris is the capital of France.", { text = "Rome, Italy" } } }
  local seen = {}
  for i, how in ipairs{ "false", "true" } do
    local g = start(one:format(RERANKER, LIBRARY, how))
    local r = assert(http.request(g.port, "POST", "/v1/rerank", nil, body, 30))
    same(r.status, 200, r.body)
    local said = json.decode(r.body)
    same(#said.results, 2, "results")
    assert(said.results[1].relevance_score >= said.results[2].relevance_score and said.results[1].relevance_score <= 1)
    assert(#said.results[1].document.text > 5 and said.usage.total_tokens > 20)
    seen[i] = said.results[1].relevance_score
    same(assert(http.request(g.port, "POST", "/v1/embeddings", nil, '{"model":"r","input":"a"}', 30)).status, 400, "vectors")
  end
  assert(math.abs(seen[1] - seen[2]) < 0.01, "they differ")
end)

local function wanted(name)
  for i = 1, #arg do if name:find(arg[i], 1, true) then return true end end
  return #arg == 0
end

local passed, failed = 0, 0
loop.run(function()
  for _, t in ipairs(tests) do
    if wanted(t.name) then
      local ok, err = xpcall(t.fn, debug.traceback)
      ok, err = caches.finish(gateways, ok, err)
      gateways = {}
      if not ok then print(("FAIL  local: %s\n    %s"):format(t.name, err)) end
      passed, failed = passed + (ok and 1 or 0), failed + (ok and 0 or 1)
    end
  end
end)
print(("local: %d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1)

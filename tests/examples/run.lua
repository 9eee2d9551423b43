-- run.lua -- the examples do what their comments say.
--
--   luajit tests/examples/run.lua BIN "CC and flags" "LIBS"      from the root of the project
--
-- Each example is copied with its policies to a folder of its own, with free ports in
-- place of 8080 and 9090, served by BIN, and asked with the curl command that its
-- comment shows, as it stands there and once streaming, once not.  The curl commands of
-- README.md and of what `serve` prints are tried as well.  embed.c and rules.c are compiled with the
-- second and third argument; the one must print a command that works, the other what its rules say.  (Programs in other languages: hosts.lua.)
--
-- curl itself is not needed: a command is read, and sent by http.lua.

package.path = "tests/?.lua;" .. package.path

local files = require "support.files"
local loop = require "support.loop"
local net = require "support.net"
local http = require "support.http"
local json = require "support.json"
local proc = require "support.proc"
local posix = require "support.posix"
local server = require "support.server"
local websocket = require "support.websocket"

local BIN, COMPILE, LIBS = arg[1], arg[2], arg[3]
if not LIBS then
  io.stderr:write('usage: luajit tests/examples/run.lua BIN "CC and flags" "LIBS"\n')
  os.exit(2)
end
function server.binary() return BIN end

local passed, failed = 0, 0

local function check(ok, what, ...)
  if ok then
    passed = passed + 1
  else
    failed = failed + 1
    print("FAIL  " .. what:format(...))
  end
  return ok
end

-- -- A curl command --------------------------------------------------------------------

--- The words of a shell command: quotes '...' and "...", backslashes at ends of lines.
local function words(command)
  local out, at = {}, 1
  command = command:gsub("\\\n", " ")
  while true do
    at = command:match("^%s*()", at)
    if at > #command then return out end
    local word = ""
    while at <= #command and not command:find("^%s", at) do
      local piece, stop = command:match("^'([^']*)'()", at)
      if not piece then piece, stop = command:match('^"([^"]*)"()', at) end
      if not piece then piece, stop = command:match("^([^%s'\"]+)()", at) end
      assert(piece, "an unfinished quote: " .. command)
      word, at = word .. piece, stop
    end
    out[#out + 1] = word
  end
end

--- The first curl command in the text, with comment marks removed: {port, path,
--- headers, body}, or nil.
local function curl_in(text)
  local command
  for line in (text .. "\n"):gmatch("(.-)\n") do
    line = line:gsub("^%-%-", ""):gsub("^%s+", "")
    if command then
      command = command .. "\n" .. line
    elseif line:find("^curl ") then
      command = line
    end
    if command and command:sub(-1) ~= "\\" then break end
  end
  if not command then return nil end
  local list, c = words(command), { headers = {} }
  local i = 2
  while list[i] do
    local word = list[i]
    if word == "-H" or word == "-d" then
      i = i + 1
      if word == "-H" then c.headers[#c.headers + 1] = list[i] else c.body = list[i] end
    elseif word:sub(1, 1) ~= "-" then
      c.port, c.path = word:match("^http://127%.0%.0%.1:(%d+)(/%S*)$")
    end
    i = i + 1
  end
  assert(c.port and c.body, "not understood: " .. command)
  return c
end

--- Sends it.  port: instead of the one it names; fields: members of its body to change.
local function send(c, port, fields, seconds)
  local body = c.body
  if fields then
    local t = assert(json.decode(body))
    for k, v in pairs(fields) do t[k] = v end
    body = json.encode(t)
  end
  local conn, why = net.connect(port or tonumber(c.port))
  if not conn then return nil, why end
  local r
  local lines = { ("POST %s HTTP/1.1"):format(c.path), "Host: test", "Content-Length: " .. #body }
  for _, h in ipairs(c.headers) do lines[#lines + 1] = h end
  conn:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
  r, why = http.read_response(conn, seconds or 30)
  conn:close()
  return r, why
end

-- -- What an answer says ---------------------------------------------------------------

local function streamed_text(r)
  local events, text = http.events(r.body), {}
  if table.remove(events) ~= "[DONE]" then return nil, "no [DONE]" end
  for _, data in ipairs(events) do
    local chunk = assert(json.decode(data))
    local choice = chunk.choices[1]
    local piece = choice and choice.delta.content
    if type(piece) == "string" then text[#text + 1] = piece end
  end
  return table.concat(text)
end

--- The text of a complete answer of status 200, or nil and what is wrong with it.
local function answer_text(r, why)
  if not r then return nil, why end
  if r.status ~= 200 then return nil, r.line .. " " .. r.body end
  if not r.complete then return nil, "it broke off: " .. tostring(r.broke) end
  if (r.headers["content-type"] or ""):find("^text/event%-stream") then return streamed_text(r) end
  local body = json.decode(r.body)
  local text = body and body.choices and body.choices[1].message.content
  return type(text) == "string" and text or nil, r.body
end

--- Asks as the comment does, and once each way; text_ok and headers say what must come.
local function ask_all(name, c, port, text_ok, headers)
  for _, fields in ipairs({ {}, { stream = true }, { stream = false } }) do
    local how = fields.stream == nil and "as written" or fields.stream and "streaming" or "whole"
    local r, why = send(c, port, fields)
    local text
    text, why = answer_text(r, why)
    if check(text and text ~= "" and text_ok(text), "%s, %s: %s", name, how, text or why) then
      for key, value in pairs(headers or {}) do
        check(r.headers[key] == value, "%s, %s: %s is %s, expected %s", name, how, key,
          tostring(r.headers[key]), value)
      end
    end
  end
end

local function any() return true end

-- -- Serving ---------------------------------------------------------------------------

local function policies()
  local out = {}
  for path in files.lines("ls examples/policies/*.lua") do
    out["policies/" .. path:match("[^/]+$")] = files.read(path)
  end
  return out
end

--- Serves examples/NAME.lua on free ports, runs fn(srv, curl, text), and ends it.
local function with(name, change, fn)
  local text = files.read("examples/" .. name .. ".lua")
  local c = curl_in(text)
  check(c and c.port == "8080", "%s: its comment shows no curl command", name)
  local served, n = text:gsub('"127%.0%.0%.1:8080"', '"127.0.0.1:@PORT@"')
  local admin
  served, admin = served:gsub('"127%.0%.0%.1:9090"', '"127.0.0.1:@ADMIN@"')
  check(n == 1 and admin == 1, "%s: it listens elsewhere", name)
  if change then
    local changed
    served, changed = served:gsub(change[1], (change[2]:gsub("%%", "%%%%")))
    check(changed == 1, "%s: %s is not there once", name, change[1])
  end
  local srv, why = server.start({ config = served, files = policies() })
  if not check(srv, "%s: %s", name, why) then return end
  fn(srv, c, served)
  check(srv.proc:alive(), "%s: the server is gone: %s\n%s", name, srv.proc:fate(), srv:log())
  srv.proc:kill(posix.SIGTERM)
  check(srv.proc:wait() and srv.proc.status == 0, "%s: after SIGTERM: %s\n%s", name, srv.proc:fate(), srv:log())
  check(not srv:log():find("ERROR: ", 1, true), "%s: %s", name, srv:log())
  srv:stop()
end

-- -- The examples ----------------------------------------------------------------------

local EXAMPLES = {}

function EXAMPLES.quickstart()
  with("quickstart", nil, function(srv, c, text)
    ask_all("quickstart", c, srv.port, any, { ["x-perilune-upstream"] = "small" })
    ask_all("README.md", curl_in(files.read("README.md")), srv.port, any)
    local printed = curl_in(srv:log())
    if check(printed, "quickstart: serve prints no curl command: %s", srv:log()) then
      check(tonumber(printed.port) == srv.port, "quickstart: serve prints port %s", printed.port)
      ask_all("quickstart, what serve prints", printed, srv.port, any)
    end

    local long = json.array { { role = "user", content = ("moon "):rep(400) } }
    local r, why = send(c, srv.port, { stream = true, messages = long })
    check(answer_text(r, why), "quickstart, long: %s", tostring(why))
    check(r and r.headers["x-perilune-upstream"] == "big", "quickstart: a long prompt goes to big")

    -- "Change a number below and save: the running gateway takes it over."
    srv:replace("perilune.lua", (text:gsub("small_below_tokens = 100", "small_below_tokens = 1")))
    local taken = loop.until_true(5, function()
      local answer = send(c, srv.port, { stream = false })
      return answer and answer.headers["x-perilune-upstream"] == "big"
    end)
    check(taken, "quickstart: a changed file is not taken over\n%s", srv:log())
  end)
end

function EXAMPLES.own_policy()
  with("own_policy", nil, function(srv, c)
    local function shouted(text)
      local three, rest = text:match("^(%S+%s+%S+%s+%S+)(.*)$")
      return three and three == three:upper() and rest:find("%l")
    end
    ask_all("own_policy", c, srv.port, shouted, { ["x-example"] = "own_policy" })
  end)
  local spec = proc.spawn({ BIN, "test", "examples/policies/shout_spec.lua" })
  check(spec:wait() and spec.status == 0, "own_policy: its spec: %s\n%s", spec:fate(), spec:text())
  os.remove(spec.output)
end

-- The page's questions, as its script asks them.
function EXAMPLES.websocket()
  with("websocket", nil, function(srv, c)
    ask_all("websocket", c, srv.port, any)
    local page = files.read("examples/websocket.html")
    check(page:find("/v1/ws", 1, true) and page:find("perilune.key.", 1, true), "websocket.html: another socket")
    for origin, status in pairs({ ["http://127.0.0.1:8000"] = 101, ["http://evil.test"] = 403 }) do
      local conn = assert(net.connect(srv.port))
      conn:send(websocket.handshake("/v1/ws", { "Origin: " .. origin,
        "Sec-WebSocket-Protocol: perilune.v1, perilune.key.ZGVtbw" }))
      local head = conn:take_until("\r\n\r\n") or ""
      check(head:find("^HTTP/1.1 " .. status), "websocket: %s got %s", origin, head)
      if status == 101 then
        local body = { model = "chat", stream = true, messages = json.array { { role = "user", content = "Hi" } } }
        conn:send(websocket.frame(0x81, json.encode { id = 1, path = "/v1/chat/completions", body = body }))
        check(conn:take_until('{"id":1,"event":"done"}'), "websocket: no answer: %s", conn.got)
      end
      conn:close()
    end
  end)
end

function EXAMPLES.fallback()
  with("fallback", nil, function(srv, c)
    ask_all("fallback", c, srv.port, any, { ["x-perilune-upstream"] = "third" })
  end)
  -- "Stop third too, and the canned text comes."
  local dead = net.dead_port()
  local stopped = ("third = { url = \"http://127.0.0.1:%d/v1\" },"):format(dead.port)
  with("fallback", { "third  = { sim = %b{} },", stopped }, function(srv, c)
    ask_all("fallback, all down", c, srv.port, function(text) return text:find("no model can be reached", 1, true) end)
  end)
  dead:close()
end

function EXAMPLES.parallel_steps()
  with("parallel_steps", nil, function(srv, c)
    local started = loop.now()
    ask_all("parallel_steps", c, srv.port, any, { ["x-perilune-upstream"] = "answer" })
    local each = (loop.now() - started) / 3
    -- Its mood takes three seconds and has 0.2; the rest is about 0.4.
    check(each < 2.9, "parallel_steps: %.1f seconds each: a late step was waited for", each)

    local bad = json.array { { role = "user", content = "something forbidden" } }
    local text, why = answer_text(send(c, srv.port, { messages = bad }))
    check(text == "I cannot help with that.", "parallel_steps, forbidden: %s", text or why)
  end)
end

-- With the model of local/ where the tests have one, else with the simulated one and its defaults.
function EXAMPLES.local_model()
  local model, change = os.getenv("PERILUNE_TEST_MODEL"), nil
  if model and os.getenv("PERILUNE_LLAMA") then change = { "perilune%.env%(\"PERILUNE_MODEL\"%)", ("%q"):format(model) }
  else print("local_model: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL): the small model is simulated") end
  with("local_model", change, function(srv, c)
    ask_all("local_model", c, srv.port, any)
    local r = send(c, srv.port)
    local trace = r and r.headers["x-perilune-trace"] or ""
    for _, step in ipairs{ "moderation", "intent", "emotion" } do
      check(trace:find(step, 1, true), "local_model: %s is not in the trace: %s", step, trace)
    end
  end)
end

-- Its upstreams are not there: it is read, and answers that they cannot be reached.
function EXAMPLES.engines()
  with("engines", nil, function(srv, c)
    local r, why = send(c, srv.port)
    check(r and (r.status == 502 or r.status == 503), "engines: without engines it answers %s", r and r.status or why)
  end)
end

function EXAMPLES.cache()
  with("cache", nil, function(srv, c)
    local function ask(question, expected)
      local r, why = send(c, srv.port, { messages = json.array { { role = "user", content = question } } })
      check(answer_text(r, why), "cache, %s: %s", question, tostring(why))
      check(r and r.headers["x-cache"] == expected, "cache: '%s' is a %s", question, r and tostring(r.headers["x-cache"]))
      return r
    end
    ask("How do I reset my password?", "miss")
    ask("How do I reset my password?", "hit")
    local near = ask("How can I reset my password?", "hit")
    check(near and near.headers["x-cache-similarity"], "cache: no similarity")
    ask("How do I delete my password?", "miss")
  end)
end

function EXAMPLES.stay_up()
  with("stay_up", nil, function(srv, c)
    ask_all("stay_up", c, srv.port, any)
    local function ask(i)
      return send(c, srv.port, { messages = json.array { { role = "user", content = "question " .. i } } })
    end
    local r
    for i = 1, 8 do
      r = ask(i)
      local by = r and r.headers["x-perilune-upstream"]
      check(answer_text(r) and (by == "a" or by == "b"), "stay_up: question %d is answered by %s", i, tostring(by))
    end
    for i = 9, 130 do -- a minute's worth, and what flows in meanwhile
      r = ask(i)
      if r and r.status == 429 then break end
    end
    check(r and r.status == 429 and r.headers["retry-after"], "stay_up: no limit, but %s", r and tostring(r.status))
  end)
end

function EXAMPLES.agents()
  with("agents", nil, function(srv, c)
    ask_all("agents", c, srv.port, any, { ["x-perilune-upstream"] = "model" })
    local r = send(c, srv.port, {})
    check(r and tonumber(r.headers["x-perilune-saved-tokens"]) > 0, "agents: nothing is saved")
  end)
end

-- -- embed.c, rules.c ---------------------------------------------------------------------------

local function compile(name, to)
  local said = os.tmpname()
  local command = ("%s -Icore/include -Wall -Wextra -o %s examples/%s.c %s"):format(COMPILE, to, name, LIBS)
  local ok = os.execute(command .. " >" .. said .. " 2>&1")
  ok = check(ok == 0 or ok == true, "%s: %s\n%s", name, command, files.read(said))
  os.remove(said)
  return ok
end

function EXAMPLES.embed()
  local dir = posix.temp_dir("perilune-test")
  if compile("embed", dir .. "/embed") then
    local p = proc.spawn({ dir .. "/embed", "examples/embed.lua" }, { output = dir .. "/log" })
    local c = loop.until_true(30, function()
      -- Its last line is there, so the command is.
      return p:text():find("ctrl-C", 1, true) and curl_in(p:text()) or not p:alive() and "dead"
    end)
    if check(type(c) == "table", "embed: it does not say how to ask it: %s\n%s", p:fate(), p:text()) then
      ask_all("embed", c, nil, any)
      check(loop.until_true(30, function() return p:text():find("tokens, said to the program itself\n", 1, true) end),
        "embed: it got no answer itself\n%s", p:text())
      p:kill(posix.SIGTERM)
      check(p:wait() and p.status == 0, "embed, after SIGTERM: %s\n%s", p:fate(), p:text())
      check(p:text():find("-- statistics\n   perilune", 1, true), "embed: no statistics\n%s", p:text())
    end
    p:stop()
  end
  os.execute("rm -rf '" .. dir .. "'")
end

-- What it prints, a line each: its first words, and what stands in the rest.
local RULES = {
  { "gold", '"total":239.4' }, { "too many", "REJECTED: only 3 of 'desk' are left" }, { "unknown", "there is no 'boat'" },
  { "wrong", "policies/pricing.lua:17: bad argument #1 to 'ipairs'" }, { "sale", '"total":201.6' }, { "chunk", "true" },
  { "endless", "eval:1: the policy used more CPU time than it may" }, { "reloaded", '"total":201.6' },
}

function EXAMPLES.rules()
  local dir = posix.temp_dir("perilune-test")
  if compile("rules", dir .. "/rules") then
    local p = proc.spawn({ dir .. "/rules", "examples/rules.lua" }, { output = dir .. "/log" })
    check(p:wait() and p.status == 0, "rules: %s\n%s", p:fate(), p:text())
    local text = "\n" .. p:text()
    for _, line in ipairs(RULES) do
      local said = text:match("\n" .. line[1] .. " +([^\n]*)")
      check(said and said:find(line[2], 1, true), "rules, %s: %s", line[1], said or text)
    end
    p:stop()
  end
  os.execute("rm -rf '" .. dir .. "'")
end

-- -- Main ------------------------------------------------------------------------------

io.stdout:setvbuf("line")
loop.run(function()
  for _, name in ipairs({ "quickstart", "own_policy", "fallback", "parallel_steps", "local_model", "engines", "cache", "stay_up", "agents", "websocket", "embed", "rules" }) do
    local before = failed
    local ok, why = pcall(EXAMPLES[name])
    check(ok, "%s: %s", name, tostring(why))
    if failed == before then print("ok    " .. name) end
  end
end)
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1)

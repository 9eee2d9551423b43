-- kit.lua -- a spec sees what a client gets.
--
--   luajit tests/wire/kit.lua [WORD...]     from the root of the project; words: only cases with one in their name
--
-- Each policy of kit/cases.lua answers the same request twice, whole and as a stream: in a spec, by t.send of
-- `perilune test`, and over HTTP, by `perilune serve`, with the same bytes from the upstream.  Status, headers, body,
-- events, text and error must be equal.

package.path = "tests/?.lua;" .. package.path

local files = require "support.files"
local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local proc = require "support.proc"
local server = require "support.server"

local CASES = files.read("tests/wire/kit/cases.lua")

-- What the upstream says, to one choice and to two.
local function chunk(choices)
  return ('{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[%s]}'):format(choices)
end
local function delta(i, text) return ('{"index":%d,"delta":{"content":"%s"},"finish_reason":null}'):format(i, text) end
local function last(i) return ('{"index":%d,"delta":{},"finish_reason":"stop"}'):format(i) end
local STREAMS = {
  { chunk(delta(0, "hello ")), chunk(delta(0, "wi")), chunk(delta(0, "de world")), chunk(last(0)), "[DONE]" },
  { chunk(delta(0, "A a")), chunk(delta(1, "B b")), chunk(delta(0, "a") .. "," .. delta(1, "b")), chunk(last(0)),
    chunk(last(1)), "[DONE]" },
}
local function message(i, text)
  return ('{"index":%d,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}'):format(i, text)
end
local function whole(choices)
  return ('{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[%s]}'):format(choices)
end
local WHOLES = { whole(message(0, "hello wide world")), whole(message(0, "A aa") .. "," .. message(1, "B bb")) }

-- -- Over HTTP ----------------------------------------------------------------------------------

local function reply_of(body)
  local n = body:find('"n":2', 1, true) and 2 or 1
  local type, text = "application/json", WHOLES[n]
  if body:find('"stream":true', 1, true) then
    type, text = "text/event-stream", "data: " .. table.concat(STREAMS[n], "\n\ndata: ") .. "\n\n"
  end
  return ("HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s"):format(type, #text, text)
end

local function play_upstream(listener)
  while true do
    local conn = listener:accept(3600)
    if not conn then return end
    loop.go(function()
      while conn.fd do
        local request = http.read_request(conn, 60)
        if not request or not conn:send(reply_of(request.body), 30) then break end
      end
      conn:close()
    end)
  end
end

local function said_in(events)
  local text = ""
  for _, data in ipairs(events) do
    local ev = data ~= "[DONE]" and json.decode(data) or {}
    for _, c in ipairs(ev.choices or {}) do
      if c.index == 0 and type(c.delta.content) == "string" then text = text .. c.delta.content end
    end
  end
  return text
end

local function over_http(port, name, stream)
  local r = assert(http.chat(port, { model = "m", stream = stream }, { "x-case: " .. name }))
  local got = { status = r.status, events = {}, headers = {}, text = "" }
  for key, value in pairs(r.headers) do got.headers[key] = value end
  if (r.headers["content-type"] or ""):find("event-stream", 1, true) then
    got.events = http.events(r.body)
    got.text = said_in(got.events)
    local final = got.events[#got.events]
    local error = final and final ~= "[DONE]" and json.decode(final).error
    got.code = error and error.code or nil
  elseif r.body ~= "" then
    got.body = json.decode(r.body)
    got.code = got.body.error and got.body.error.code
    for _, c in ipairs(got.body.choices or {}) do
      if c.index == 0 then got.text = c.message.content end
    end
  end
  got.done = r.complete and got.code == nil
  return got
end

-- -- In a spec -----------------------------------------------------------------------------------

local SPEC = [==[
local t, json = require "perilune.test", require("perilune").json
local streams, wholes, names = json.decode [=[@STREAMS@]=], json.decode [=[@WHOLES@]=], json.decode [=[@NAMES@]=]
local function script(req)
  local n = req.n == 2 and 2 or 1
  return req.stream and { events = streams[n] } or { body = wholes[n] }
end
for _, name in ipairs(names) do
  for _, stream in ipairs{ false, true } do
    t.test(name .. (stream and ", stream" or ""), function()
      t.upstream("m", script)
      t.upstream("other", script)
      local got = t.send("cases", nil, t.request{ model = "m", stream = stream, headers = { ["x-case"] = name } })
      print("GOT " .. json.encode{ name = name, stream = stream, status = got.status, events = got.events,
        headers = got.headers, text = got.text, body = got.body, code = got.error and got.error.code, done = got.done })
    end)
  end
end
]==]

local function in_specs(dir, names)
  files.write(dir .. "/all_spec.lua", server.fill(SPEC,
    { STREAMS = json.encode(json.array(STREAMS)), WHOLES = json.encode(json.array(WHOLES)),
      NAMES = json.encode(json.array(names)) }))
  local p = proc.spawn({ server.binary(), "test", dir .. "/all_spec.lua" }, { output = dir .. "/spec.log", stdout = dir .. "/spec.out" })
  p:wait(120)
  local results = {}
  for line in files.read(dir .. "/spec.out"):gmatch("GOT ([^\n]+)") do
    local got = assert(json.decode(line))
    results[got.name .. tostring(got.stream)] = got
  end
  return results, p:text()
end

-- -- Comparing -------------------------------------------------------------------------------------

-- What is new each time: ids of requests and of answers that are made here, and when.
local function plain(value)
  if type(value) == "string" then
    return (value:gsub("request %x+", "request ID"):gsub('chatcmpl%-%w+', "ID"):gsub('"created":%d+', '"created":1'))
  end
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = k == "created" and 1 or plain(v) end
  return out
end

-- The first difference, or nil.
local function difference(a, b, at)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a ~= b and ("%s: %s in the spec, %s over HTTP"):format(at, tostring(a), tostring(b)) or nil
  end
  for k in pairs(a) do
    local d = difference(a[k], b[k], at .. "." .. tostring(k))
    if d then return d end
  end
  for k in pairs(b) do
    if a[k] == nil then return ("%s.%s: only over HTTP, %s"):format(at, tostring(k), tostring(b[k])) end
  end
end

-- The kit tells headers that policies set.
local function common_headers(spec, client)
  local out = {}
  for name, value in pairs(client.headers) do
    local gateway = name:find("^x%-perilune") or name == "x-request-id"
    if spec.headers[name] or (name:find("^x%-") and not gateway) or name == "retry-after" then out[name] = value end
  end
  return out
end

local function compare(spec, client)
  if not spec then return "the spec did not run" end
  client.headers = common_headers(spec, client)
  spec.name, spec.stream = nil, nil
  return difference(plain(spec), plain(client), "reply")
end

-- -- Main ---------------------------------------------------------------------------------------------

local function names()
  local list = {}
  for name in CASES:gmatch('\n  %["([%w-]+)"%] = ') do
    local wanted = #arg == 0
    for _, word in ipairs(arg) do wanted = wanted or name:find(word, 1, true) ~= nil end
    if wanted then list[#list + 1] = name end
  end
  return list
end

local passed, failed = 0, 0
loop.run(function()
  local listener = net.listen()
  local upstream = loop.go(play_upstream, listener)
  local dir = posix.temp_dir("perilune-kit")
  os.execute("mkdir -p '" .. dir .. "/policies'")
  local url = ("http://127.0.0.1:%d/v1"):format(listener.port)
  local srv = assert(server.start{ dir = dir, files = { ["policies/cases.lua"] = CASES }, config = ([[
    upstreams = { m = { url = "%s" }, other = { url = "%s" } },
    routes = { { path = "/v1/chat/completions", policies = { "cases" } } },]]):format(url, url) })
  local list = names()
  local specs, output = in_specs(dir, list)
  for _, name in ipairs(list) do
    for _, stream in ipairs{ false, true } do
      local why = compare(specs[name .. tostring(stream)], over_http(srv.port, name, stream))
      if why then print(("FAIL  kit: %s%s\n    %s"):format(name, stream and ", stream" or "", why)) end
      passed, failed = passed + (why and 0 or 1), failed + (why and 1 or 0)
    end
  end
  if failed > 0 and passed == 0 then print(output) end
  srv:stop()
  loop.cancel(upstream)
  listener:close()
end)
print(("kit: %d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0 and 0 or 1)

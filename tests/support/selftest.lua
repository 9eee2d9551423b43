-- selftest.lua -- the tools of the tests, tested: a comparison that always says yes
-- would pass everything.
--
--   luajit tests/support/selftest.lua       from the root of the project

package.path = "tests/?.lua;" .. package.path

local files = require "support.files"
local template = require "support.template"
local json = require "support.json"
local case = require "support.case"
local loop = require "support.loop"
local net = require "support.net"
local http = require "support.http"
local proc = require "support.proc"
local tls = require "support.tls"
local server = require "support.server"

local passed, failed = 0, 0

local function check(what, ok)
  if ok then passed = passed + 1 else
    failed = failed + 1
    print("FAIL  " .. what)
  end
end

local function same(what, got, want)
  check(("%s: got %s, expected %s"):format(what, tostring(got), tostring(want)), got == want)
end

-- -- Templates ------------------------------------------------------------------------

for _, t in ipairs({
  { "a", "a", true }, { "a", "ab", false }, { "a", "", false }, { "", "", true }, { "", "a", false },
  { "...", "", true }, { "...", "a\nb", true }, { "a...b", "a..b", true }, { "a...b", "ab", true },
  { "a...b", "abc", false }, { "a...b...c", "a1b2b3c", true }, { "a...b...c", "acb", false },
  { "...b", "abab", true }, { "{{any}}", "", false }, { "{{any}}", "a", true },
  { "x{{any}}y", "x1\n2y", false }, { "{{re:%d+}}", "12", true }, { "{{re:%d+}}", "12a", false },
  { "{{re:%d*}}5", "12345", true }, { "{{re:[^D]*}}", "data", true }, { "{{re:[^D]*}}", "[DONE]", false },
  { "{{3*ab}}", "ababab", true }, { "{{3*ab}}", "abab", false }, { '{"a":{"b":1}}', '{"a":{"b":1}}', true },
  { "{{dots}}", "...", true }, { "{{dots}}", "abc", false }, { "a.b", "axb", false }, { "%d", "1", false },
}) do
  same(("match %q on %q"):format(t[1], t[2]), template.match(t[1], t[2]), t[3])
end
check("find", template.find("b...d", "abcde") and not template.find("d...b", "abcde"))
same("repeats", template.repeats("x{{2*yz}}"), "xyzyz")

for _, t in ipairs({
  { '{"a":1}', '{"a":1,"b":2}', true }, { '{"a":1}', '{"a":2}', false }, { '{"a":1}', "{}", false },
  { '{"a":null}', '{"a":null}', true }, { '{"a":null}', "{}", false }, { '{"a":"..."}', '{"a":null}', true },
  { '{"a":"..."}', "{}", false }, { '{"a":"x..."}', '{"a":"xy"}', true }, { '{"a":"x..."}', '{"a":7}', false },
  { "[1,2]", "[1,2]", true }, { "[1,2]", "[1]", false }, { "[]", "{}", false }, { "{}", "[]", false },
  { '{"a":[{"b":"..."}]}', '{"a":[{"b":1,"c":2}]}', true }, { '{"a":true}', '{"a":"true"}', false },
  { "{}", "nonsense", false }, { "{}", "{} {}", false },
}) do
  same(("json %s on %s"):format(t[1], t[2]), template.json(t[1], t[2]) == nil, t[3])
end

-- -- JSON -------------------------------------------------------------------------------

for _, bad in ipairs({ "", "{", "[1,]", '{"a"}', "{'a':1}", '"\n"', '"\\x"', "01x", "nul", '"a', "[1 2]" }) do
  check("not JSON: " .. bad, json.decode(bad) == nil)
end
same("escapes", json.decode('"\\u00e9\\ud83d\\ude00\\n\\/"'), "\195\169\240\159\152\128\n/")
same("encode", json.encode({ b = json.array { 1, "x\n" }, a = json.null }), '{"a":null,"b":[1,"x\\n"]}')
same("empty array", json.encode(json.array {}), "[]")

-- -- Cases --------------------------------------------------------------------------------

same("escapes of a line", case.unescape([[a\r\n\t\0\\\x41\x0az]]), "a\r\n\t\0\\A\nz")
check("an unknown escape", not pcall(case.unescape, "\\q"))

local text = [[
# about
== config ==
workers = 1,

==== first
== client ==
> GET / HTTP/1.1
> Host: x\r\n\
hello "a":1,
+ "b":2
== file a/b.lua ==
return 1

==== second
== expect ==
HTTP/1.1 200 OK
a: b
!c

body
more
---
HTTP/1.1 404 Not Found
]]
local path = os.tmpname()
files.write(path, text)
local cases = case.read(path)
os.remove(path)
same("cases", #cases, 2)
same("inherited", case.text(cases[2].config), "workers = 1,")
check("a file makes a server of one's own", cases[1].own_server and not cases[2].own_server)
same("file", cases[1].files["a/b.lua"], "return 1\n")
local commands = case.commands(cases[1].client)
same("send", commands[1].rest, "GET / HTTP/1.1\r\nHost: x\r\n")
same("continued", commands[2].rest, '"a":1,"b":2')
local parts = case.parts(cases[2].expect)
local m = case.message(parts[1])
check("message", m.first == "HTTP/1.1 200 OK" and m.headers[1].value == "b" and m.absent[1] == "c")
same("body", m.body, "body\nmore")
same("second part", case.message(parts[2]).first, "HTTP/1.1 404 Not Found")

same("complete", server.complete("x = 1,"):match("^return {.-workers = 1, upstreams.-\nx = 1,\n}") ~= nil, true)
same("complete, all of it", server.complete("return {}"), "return {}")
same("fill", server.fill("@A@ @B@ @UPSTREAM:x@", { A = 1, ["UPSTREAM:x"] = "u" }), "1 @B@ u")

-- -- Loop, sockets, processes -----------------------------------------------------------------

local function answer(l, bytes, after)
  return loop.go(function()
    local conn = l:accept()
    http.read_request(conn)
    for i = 1, #bytes do conn:send(bytes:sub(i, i)) end
    if after then after(conn) end
    conn:close()
  end)
end

loop.run(function()
  local l = net.listen()
  local head = "HTTP/1.1 200 OK\r\n"
  for _, t in ipairs({
    { "Content-Length: 3\r\n\r\nabc", "abc", true }, { "Content-Length: 4\r\n\r\nabc", "abc", false },
    { "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: 1\r\n\r\n", "abc", true },
    { "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "ab", false },
    { "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", "ab", false },
    { "X: y\r\n\r\nabc", "abc", true },
  }) do
    answer(l, head .. t[1])
    local r, why = http.get(l.port, "/")
    if not r then
      check("no response to " .. t[1] .. ": " .. tostring(why), false)
    else
      same("body of " .. t[1], r.body, t[2])
      same("completeness of " .. t[1], r.complete, t[3])
    end
  end

  answer(l, head, function(conn) conn:reset() end)
  local r, why = http.get(l.port, "/")
  check("a reset is seen: " .. tostring(why), r == nil and (why == "reset" or why == "eof"))

  local dead = net.dead_port()
  local conn, refused = net.connect(dead.port)
  check("refused", conn == nil and refused == "refused")

  local started = loop.now()
  local quiet = net.connect(l.port)
  local got, timeout = quiet:recv(0.05)
  check("timeout", got == nil and timeout == "timeout" and loop.now() - started < 1)

  local p = proc.spawn({ "sh", "-c", "echo out; echo err >&2; exit 3" })
  check("a process ends", p:wait())
  same("its status", p.status, 3)
  check("what it said", p:text():find("out", 1, true) and p:text():find("err", 1, true))
  local q = proc.spawn({ "sleep", "60" })
  check("it runs", q:alive() and (proc.rss_kb(q.pid) or 0) > 0 and proc.fd_count(q.pid) >= 3)
  q:kill(9)
  check("it is killed", q:wait() and q.signal == 9)

  local guarded = loop.try(function() error("oops", 0) end)
  loop.join(1, guarded)
  same("an error stays in its task", guarded.error, "oops")

  if tls.available then
    local t = net.listen()
    loop.go(function()
      local c = t:accept()
      tls.wrap_server(c)
      http.read_request(c)
      c:send(head .. "Content-Length: 100000\r\n\r\n" .. ("x"):rep(100000))
      c:close()
    end)
    local c = net.connect(t.port)
    check("handshake", tls.wrap_client(c))
    c:send(http.format("GET", "/"))
    local over = http.read_response(c)
    check("TLS", over and over.complete and #over.body == 100000)
  end
end)

print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)

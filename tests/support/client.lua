-- client.lua -- a client that does what a script says, and hears what comes back.
--
-- A client has two tasks: one runs the commands, one reads responses from the
-- first byte on.  So a script may close, or send nonsense, while it is answered.

local files = require "support.files"
local net = require "support.net"
local loop = require "support.loop"
local http = require "support.http"
local template = require "support.template"
local posix = require "support.posix"
local tls = require "support.tls"
local websocket = require "support.websocket"
local case = require "support.case"

local M = {}

local Client = {}
Client.__index = Client

-- -- Reading ------------------------------------------------------------------------

-- Notes every byte that arrives, before anybody parses it.
local function record(conn, raw)
  local plain = conn.recv
  conn.recv = function(self, seconds, max)
    local bytes, why = plain(self, seconds, max)
    if bytes then raw[#raw + 1] = bytes end
    return bytes, why
  end
end

-- The method of the request that response n answers, as far as we know.
local function method_of(self, n)
  for method in ("\r\n" .. table.concat(self.sent)):gmatch("\n(%u+) %S+ HTTP/1%.%d\r\n") do
    n = n - 1
    if n == 0 then return method end
  end
end

-- What comes behind 101.
local function hear_frames(self)
  while true do
    local opcode, payload, last = websocket.read(self.conn, self.scene.deadline - loop.now())
    if not opcode then
      self.ended = payload
      return
    end
    self.frames[#self.frames + 1] = websocket.line(opcode, payload, last)
    if opcode == 8 then self.code = payload:sub(1, 2) end
  end
end

local function hear(self)
  while true do
    local started, answered = loop.now(), 0
    for _, r in ipairs(self.responses) do answered = answered + (r.status >= 200 and 1 or 0) end
    local response, why = http.read_response(self.conn, self.scene.deadline - loop.now(), nil, function()
      return method_of(self, answered + 1) == "HEAD"
    end)
    if not response then
      self.ended = why
      return
    end
    response.seconds = loop.now() - started
    self.responses[#self.responses + 1] = response
    if not response.complete then
      self.ended = response.broke
      return
    end
    if response.status == 101 then return hear_frames(self) end
  end
end

local function start_hearing(self)
  if not self.hearing then self.hearing = loop.go(hear, self) end
end

function Client:raw() return table.concat(self.bytes) end

-- -- Commands -------------------------------------------------------------------------

local OPS = {}

local function fail(self, command, text)
  self.scene:fail(("client%s, line %d (%s): %s"):format(
    self.name == "" and "" or " " .. self.name, command.line, command.op, text))
  return "end"
end

local function connect(self)
  if self.conn then return true end
  local port = self.port or self.scene.server.port
  local conn, why = net.connect(port, self.scene:left(), { buffers = self.buffers })
  if not conn then
    self.ended = why
    return false
  end
  if self.tls then
    local ok
    ok, why = tls.wrap_client(conn, self.scene:left())
    if not ok then
      conn:close()
      self.ended = why
      return false
    end
  end
  self.conn = conn
  record(conn, self.bytes)
  if not self.deaf then start_hearing(self) end
  return true
end

-- A server that has answered with an error may have closed: that is no failure of
-- the client, so what send() says is not looked at.
local function put(self, bytes)
  if not connect(self) then return end
  self.sent[#self.sent + 1] = bytes
  if not self.split then return self.conn:send(bytes, self.scene:left()) end
  for at = 1, #bytes, self.split do
    if self.ended or not self.conn:send(bytes:sub(at, at + self.split - 1), self.scene:left()) then return end
    loop.pause(self.slow or 0)
  end
end

-- Content-Length: @LENGTH@ becomes the number of bytes after the blank line.
local function fill_length(bytes)
  local _, stop = bytes:find("\r\n\r\n", 1, true)
  return (bytes:gsub("@LENGTH@", stop and tostring(#bytes - stop) or "0"))
end

function OPS.send(self, c)
  put(self, fill_length(template.repeats(self.scene.server:fill(c.rest))))
end

local function request(self, method, target, body)
  local headers = self.headers
  self.headers = {}
  put(self, http.format(method, target, headers, body and template.repeats(body)))
end

--- chat BODY, post PATH BODY, get PATH: a whole request.
function OPS.chat(self, c) request(self, "POST", "/v1/chat/completions", c.rest) end
function OPS.post(self, c)
  local path, body = c.rest:match("^(%S+)%s?(.*)$")
  request(self, "POST", path, body)
end
function OPS.get(self, c) request(self, "GET", c.rest) end
--- hello [more members]: the plainest chat.
function OPS.hello(self, c)
  local more = c.rest ~= "" and "," .. c.rest or ""
  request(self, "POST", "/v1/chat/completions",
    '{"model":"up","messages":[{"role":"user","content":"Hello"}]' .. more .. "}")
end
function OPS.delete(self, c) request(self, "DELETE", c.rest) end
function OPS.header(self, c) self.headers[#self.headers + 1] = self.scene.server:fill(c.rest) end
--- upgrade [PATH]: the handshake of a WebSocket, with the headers so far; what follows may go at once.
function OPS.upgrade(self, c)
  local headers = self.headers
  self.headers = {}
  put(self, websocket.handshake(c.rest ~= "" and c.rest or "/v1/ws", headers))
end
--- say TEXT: a text message.
function OPS.say(self, c) put(self, websocket.frame(0x81, template.repeats(self.scene.server:fill(c.rest)))) end
--- ask ID [, members]: the plainest chat on a socket.
function OPS.ask(self, c)
  local id, more = c.rest:match("^(%S+)%s*(.*)$")
  put(self, websocket.frame(0x81, ('{"id":%s,"path":"/v1/chat/completions","body":{"model":"up","messages":'
    .. '[{"role":"user","content":"Hello"}]%s}}'):format(id, more)))
end
--- frame HH BYTES: one frame whose first byte is HH, masked, with escapes.
function OPS.frame(self, c)
  local first, payload = c.rest:match("^(%x%x)%s?(.*)$")
  put(self, websocket.frame(tonumber(first, 16), case.unescape(template.repeats(payload))))
end
--- goodbye [CODE]: a Close frame.
function OPS.goodbye(self, c)
  local code = tonumber(c.rest) or 1000
  put(self, websocket.frame(0x88, string.char(math.floor(code / 256), code % 256)))
end
--- wait-frames N: until N frames have come.
OPS["wait-frames"] = function(self, c)
  local ok = loop.until_true(self.scene:left(), function() return #self.frames >= tonumber(c.rest) or self.ended end)
  if not ok then return fail(self, c, "they did not come") end
end

function OPS.to(self, c)
  self.port = self.scene.server[c.rest]
  if not self.port then return fail(self, c, "no such listener") end
end
function OPS.connect(self) connect(self) end
--- tls: the connection that follows is encrypted.
function OPS.tls(self) self.tls = true end
function OPS.split(self, c) self.split = tonumber((c.rest:match("%d+"))) end
function OPS.slow(self, c) self.slow = tonumber(c.rest) / 1000 end
function OPS.delay(_, c) loop.pause(tonumber(c.rest) / 1000) end
--- deaf: reads nothing (small buffers) until "hear".
function OPS.deaf(self) self.deaf, self.buffers = true, 4096 end
function OPS.hear(self)
  self.deaf = false
  start_hearing(self)
end

--- crowd N: N more connections that say nothing; leave: they go.
function OPS.crowd(self, c)
  self.others = {}
  for i = 1, tonumber(c.rest) do
    self.others[i] = net.connect(self.scene.server.port, 1)
  end
end
function OPS.leave(self)
  for _, conn in pairs(self.others) do conn:close() end
end
--- recovered: a fresh connection is answered again.
function OPS.recovered(self, c)
  local ok = loop.until_true(self.scene:left(), function()
    return http.get(self.scene.server.port, "/v1/models", 0.5)
  end)
  if not ok then return fail(self, c, "no new connection is answered") end
end

OPS["half-close"] = function(self) self.conn:finish() end
function OPS.close(self)
  self.conn:close()
  self.gone = true
end
function OPS.reset(self)
  self.conn:reset()
  self.gone = true
end

function OPS.signal(self, c) self.scene.signals[c.rest] = true end
function OPS.await(self, c)
  if not self.scene:await(c.rest) then return "end" end
end

-- Texts that are separated by "...", one behind the other.
local function holds(raw, texts)
  local from = 1
  for text in (texts .. "..."):gmatch("(.-)%.%.%.") do
    local _, to = raw:find(text, from, true)
    if not to then return false end
    from = to + 1
  end
  return true
end

--- wait response, or wait TEXT...TEXT: until it has arrived.
function OPS.wait(self, c)
  local before = self.waited or 0
  local ok = loop.until_true(self.scene:left(), function()
    if self.ended and c.rest ~= "response" then return "ended" end
    if c.rest == "response" then return #self.responses > before or (self.ended and "ended") end
    return holds(self:raw(), c.rest)
  end)
  self.waited = #self.responses
  if not ok then return fail(self, c, "it did not come") end
end

--- until PATH TEMPLATE: asks the admin listener until the answer holds that.
OPS["until"] = function(self, c)
  local path, want = c.rest:match("^(%S+)%s+(.*)$")
  local last = "(no answer)"
  local ok = loop.until_true(self.scene:left(), function()
    local r = http.get(self.scene.server.admin, path, self.scene:left())
    last = r and r.body or last -- the last of all is too late for one
    return r and template.find(want, last)
  end)
  if not ok then return fail(self, c, "never so; the last answer was\n" .. last) end
end

--- keep NAME PATTERN: the first capture of it in what came stands for @NAME@ in what this client does from here on.
function OPS.keep(self, c)
  local name, pattern = c.rest:match("^(%u+)%s+(.*)$")
  local value = self:raw():match(pattern)
  if not value then return fail(self, c, "not in what came") end
  self.scene.kept = self.scene.kept or {}
  self.scene.kept[name] = value
end

--- get-until PATH TEMPLATE: asks for PATH, on connections of its own, with the headers that were said for the next
--- message, until the answer holds that.
OPS["get-until"] = function(self, c)
  local path, want = c.rest:match("^(%S+)%s+(.*)$")
  local last, headers = "(no answer)", self.headers
  self.headers = {}
  local ok = loop.until_true(self.scene:left(), function()
    local r = http.request(self.scene.server.port, "GET", path, headers, nil, self.scene:left())
    last = r and r.body or last
    return r and template.find(want, last)
  end)
  if not ok then return fail(self, c, "never so; the last answer was\n" .. last) end
end

--- read-log: somebody reads the log at last (options: log unread).
OPS["read-log"] = function(self) self.scene.server:read_log() end

--- await-notify TEMPLATE: until the service manager has heard it (options: notify yes).
OPS["await-notify"] = function(self, c)
  local ok = loop.until_true(self.scene:left(), function()
    return template.find(c.rest, self.scene.server:notified())
  end)
  if not ok then return fail(self, c, "was not said; heard: " .. self.scene.server:notified()) end
end

--- await-log TEMPLATE: until the server has logged it.
OPS["await-log"] = function(self, c)
  local ok = loop.until_true(self.scene:left(), function()
    return template.find(c.rest, self.scene:log())
  end)
  if not ok then return fail(self, c, "not in the log") end
end

--- log-until PATH TEMPLATE: asks for PATH, on connections of its own, until the server has logged that.
OPS["log-until"] = function(self, c)
  local path, want = c.rest:match("^(%S+)%s+(.*)$")
  local ok = loop.until_true(self.scene:left(), function()
    if template.find(want, self.scene:log()) then return true end
    http.get(self.scene.server.port, path, self.scene:left())
    return template.find(want, self.scene:log())
  end)
  if not ok then return fail(self, c, "not in the log") end
end

--- copy FROM TO: replaces a file beside the configuration, placeholders filled.
function OPS.copy(self, c)
  local from, to = c.rest:match("^(%S+) (%S+)$")
  local text = files.read(self.scene.server.dir .. "/" .. from)
  if not text then return fail(self, c, "no file " .. from) end
  self.scene.server:replace(to, text)
end

--- move FROM TO: a file or folder beside the configuration is elsewhere from now on.
function OPS.move(self, c)
  local from, to = c.rest:match("^(%S+) (%S+)$")
  local dir = self.scene.server.dir .. "/"
  local ok, why = os.rename(dir .. from, dir .. to)
  if not ok then return fail(self, c, why) end
end

function OPS.hup(self) self.scene.server.proc:kill(posix.SIGHUP) end
function OPS.term(self) self.scene.server.proc:kill(posix.SIGTERM) end

--- exits CODE: the server ends by itself with that status.
function OPS.exits(self, c)
  local p = self.scene.server.proc
  if not p:wait(self.scene:left()) then return fail(self, c, "the server is still running") end
  if p.status ~= tonumber(c.rest) then return fail(self, c, "the server ended: " .. p:fate()) end
  self.scene.over = true
end

--- closed: the server hangs up.
function OPS.closed(self, c)
  local ok = loop.until_true(self.scene:left(), function() return self.ended end)
  if not ok or self.ended == "timeout" then return fail(self, c, "still open") end
end

-- -- Running ----------------------------------------------------------------------------

--- Starts the script of the named client in a scene.  done becomes true when all
--- commands have run.
function M.start(scene, name, commands)
  local self = setmetatable({ scene = scene, name = name, bytes = {}, sent = {}, responses = {}, frames = {},
                              headers = {} }, Client)
  self.task = loop.go(function()
    for _, c in ipairs(commands) do
      local op = OPS[c.op]
      if not op then
        fail(self, c, "no such command")
        break
      end
      local kept = scene.kept
      if kept then
        c = { op = c.op, line = c.line, rest = c.rest:gsub("@(%u+)@", function(n) return kept[n] end) }
      end
      local ok, result = pcall(op, self, c)
      if not ok then
        fail(self, c, tostring(result))
        break
      end
      if result == "end" then break end
    end
    self.done = true
  end)
  return self
end

--- Waits until `count` responses came or the connection ended.
function Client:collect(count)
  return loop.until_true(self.scene:left(), function()
    return #self.responses >= count or self.ended or self.gone
  end)
end

function Client:stop()
  loop.cancel(self.task)
  if self.hearing then loop.cancel(self.hearing) end
  if self.conn then self.conn:close() end
end

return M

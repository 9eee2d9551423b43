-- upstream.lua -- an upstream that does what a script says.
--
-- Scripts are served in the order in which requests come, on whatever connection:
-- whether the gateway reuses one is not the test's business.  What came is kept
-- in .requests.  A request for which no script is left is an error of the test.

local net = require "support.net"
local loop = require "support.loop"
local http = require "support.http"
local case = require "support.case"
local template = require "support.template"
local tls = require "support.tls"

local M = {}

local Upstream = {}
Upstream.__index = Upstream

-- -- Commands: function(conn, rest, run) -> nil | "end" | error by raise ----------

local OPS = {}

local function out(conn, bytes, run)
  bytes = template.repeats(bytes)
  if not run.split then return conn:send(bytes, run.left()) end
  for at = 1, #bytes, run.split do
    if not conn:send(bytes:sub(at, at + run.split - 1), run.left()) then return end
    loop.pause(run.slow or 0)
  end
end

local function chunk(conn, bytes, run)
  bytes = template.repeats(bytes)
  out(conn, ("%x\r\n"):format(#bytes) .. bytes .. "\r\n", run)
end

local function head(run, status, lines)
  local all = { ("HTTP/1.1 %s"):format(status) }
  for _, h in ipairs(lines) do all[#all + 1] = h end
  for _, h in ipairs(run.headers) do all[#all + 1] = h end
  run.headers = {}
  return table.concat(all, "\r\n") .. "\r\n\r\n"
end

function OPS.send(conn, rest, run) out(conn, rest, run) end
OPS["on-connect"] = function() end
function OPS.header(_, rest, run) run.headers[#run.headers + 1] = rest end
function OPS.delay(_, rest) loop.pause(tonumber(rest) / 1000) end
function OPS.split(_, rest, run) run.split = tonumber(rest) end
function OPS.slow(_, rest, run) run.slow = tonumber(rest) / 1000 end
function OPS.signal(_, rest, run) run.scene.signals[rest] = true end
function OPS.await(_, rest, run) run.scene:await(rest) end

--- json [STATUS] BODY: a whole answer.
function OPS.json(conn, rest, run)
  local status, body = rest:match("^(%d%d%d) (.*)$")
  body = template.repeats(body or rest)
  out(conn, head(run, status and status .. " Whatever" or "200 OK",
    { "Content-Type: application/json", "Content-Length: " .. #body }) .. body, run)
end

--- answer TEXT: a chat completion with that content and usage 3 + 2.
function OPS.answer(conn, rest, run)
  OPS.json(conn, ('{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"real",'
    .. '"choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],'
    .. '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'):format(rest), run)
end

--- stream: the head of a 200 event stream.
function OPS.stream(conn, _, run)
  out(conn, head(run, "200 OK",
    { "Content-Type: text/event-stream", "Transfer-Encoding: chunked" }), run)
end

--- chunk BYTES (with escapes): one chunk of the body.
function OPS.chunk(conn, rest, run) chunk(conn, case.unescape(rest), run) end
function OPS.event(conn, rest, run) chunk(conn, "data: " .. rest .. "\n\n", run) end
function OPS.token(conn, rest, run)
  OPS.event(conn, M.token(rest), run)
end
function OPS.usage(conn, rest, run)
  local p, c = rest:match("^(%d+) (%d+)$")
  OPS.event(conn, M.usage(tonumber(p), tonumber(c)), run)
end
function OPS.stop(conn, _, run) OPS.event(conn, M.stop(), run) end
--- done: [DONE] and the end of the body.
function OPS.done(conn, _, run)
  chunk(conn, "data: [DONE]\n\n", run)
  out(conn, "0\r\n\r\n", run)
end
OPS["end"] = function(conn, _, run) out(conn, "0\r\n\r\n", run) end

function OPS.close(conn) conn:close() return "end" end
function OPS.reset(conn) conn:reset() return "end" end
--- cut: the connection ends, and TLS on it does not.
function OPS.cut(conn, _, run)
  conn:finish()
  conn:wait_closed(run.left())
  return "end"
end

--- stall: nothing more, until the gateway gives up.
function OPS.stall(conn, _, run) conn:wait_closed(run.left()) return "end" end

--- gone: the gateway must hang up.
function OPS.gone(conn, _, run)
  if not conn:wait_closed(run.left()) then error("the gateway did not hang up", 0) end
  run.scene.signals["gone"] = true
  return "end"
end

--- tunnel: to the port that CONNECT named, until either side closes.
function OPS.tunnel(conn, _, run)
  local far = assert(net.connect(tonumber(run.request.target:match(":(%d+)$"))))
  local function relay(from, to)
    while true do
      local bytes = from:recv(run.left())
      if not bytes or not to:send(bytes, run.left()) then break end
    end
    conn:finish()
    far:finish()
  end
  run.scene.playing = run.scene.playing - 1 -- a kept connection is no unfinished script
  local back = loop.go(relay, far, conn)
  relay(conn, far)
  loop.join(run.left(), back)
  run.scene.playing = run.scene.playing + 1
  far:close()
  return "end"
end

--- fill BYTES: sends tokens until the gateway stops reading; fails when it took
--- that many bytes without ever pausing.
function OPS.fill(conn, rest, run)
  local most, sent = tonumber(rest), 0
  local event = "data: " .. M.token(("x"):rep(1000)) .. "\n\n"
  local bytes = ("%x\r\n"):format(#event) .. event .. "\r\n"
  while sent < most do
    local ok, why = conn:send(bytes, 0.4)
    if not ok then
      if why ~= "timeout" then error("while filling: " .. why, 0) end
      run.scene.signals["full"] = true
      return "end"
    end
    sent = sent + #bytes
  end
  error(("the gateway took %d bytes for a client that reads nothing"):format(sent), 0)
end

-- -- Texts ------------------------------------------------------------------------

local CHUNK = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"real","choices":%s}'

function M.token(text)
  return CHUNK:format(('[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]'):format(text))
end
function M.stop() return CHUNK:format('[{"index":0,"delta":{},"finish_reason":"stop"}]') end
function M.usage(prompt, completion)
  return ('{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"real",'
    .. '"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}')
    :format(prompt, completion, prompt + completion)
end

-- -- The listener -------------------------------------------------------------------

local function run_script(self, conn, script, request)
  local scene = self.scene
  local run = { headers = {}, scene = scene, request = request, left = function() return scene.deadline - loop.now() end }
  for _, c in ipairs(script) do
    local op = OPS[c.op]
    if not op then error(("line %d: no upstream command %q"):format(c.line, c.op), 0) end
    if op(conn, c.rest, run) == "end" then return "end" end
  end
end

local function peek_script(self)
  return self.scripts[self.served + 1] or (self.repeats and self.scripts[#self.scripts])
end

local function next_script(self)
  local script = peek_script(self)
  self.served = self.served + 1
  return script
end

local function guarded(self, conn, script, request)
  local scene = self.scene
  scene.playing = scene.playing + 1
  local ok, result = pcall(run_script, self, conn, script, request)
  scene.playing = scene.playing - 1
  if not ok then scene:fail("upstream " .. self.name .. ": " .. tostring(result)) end
  return not ok or result == "end"
end

local function serve(self, conn)
  if self.tls and not tls.wrap_server(conn) then return conn:close() end
  local following = peek_script(self)
  if following and following[1] and following[1].op == "on-connect" then
    guarded(self, conn, next_script(self))
    return conn:close()
  end
  while conn.fd do
    local request = http.read_request(conn, 60)
    if not request then break end
    self.requests[#self.requests + 1] = request
    local script = next_script(self)
    if not script then
      self.scene:fail(("upstream %s got a request that the case does not expect: %s")
        :format(self.name, request.line))
      break
    end
    if guarded(self, conn, script, request) then break end
  end
  conn:close()
end

--- A listener named `name`; it belongs to a server and gets a new scene per case.
--- One whose name begins with "tls" speaks TLS.
function M.new(name)
  local self = setmetatable({ name = name, listener = net.listen(), conns = {} }, Upstream)
  self.port = self.listener.port
  self.url = ("http://127.0.0.1:%d/v1"):format(self.port)
  self.tls = name:match("^tls") ~= nil
  if self.tls then self.url = self.url:gsub("^http:", "https:") end
  self:set_scene(nil, {})
  self.task = loop.go(function()
    while true do
      local conn, why = self.listener:accept(3600)
      if not conn then
        if why == "closed" then return end
      else
        self.conns[conn] = true
        loop.go(function()
          serve(self, conn)
          self.conns[conn] = nil
        end)
      end
    end
  end)
  return self
end

--- Starts a case: these scripts (lists of commands), nothing recorded yet.
function Upstream:set_scene(scene, scripts)
  self.scene, self.scripts, self.served, self.requests = scene, scripts, 0, {}
  self.repeats = scripts.repeats
  for conn in pairs(self.conns) do conn:close() end
  self.conns = {}
end

function Upstream:close()
  loop.cancel(self.task)
  self.listener:close()
  for conn in pairs(self.conns) do conn:close() end
end

return M

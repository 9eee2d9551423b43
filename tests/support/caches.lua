--- caches.lua: what tests of gateways that share a cache have in common.

local http = require "support.http"
local loop = require "support.loop"
local posix = require "support.posix"

local M = {}

--- An upstream that counts.  more(request): text behind "answer N", or nil.
---@return table upstream  asked: calls so far; play(listener): until it is cancelled
function M.upstream(more)
  local up = { asked = 0 }
  local function serve(conn)
    while conn.fd do
      local request = http.read_request(conn, 60)
      if not request then break end
      up.asked = up.asked + 1
      local body = ('{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
        .. '{"role":"assistant","content":"answer %d%s"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,'
        .. '"completion_tokens":2,"total_tokens":5}}'):format(up.asked, more and more(request) or "")
      if not conn:send(("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s")
                       :format(#body, body), 30) then break end
    end
    conn:close()
  end
  function up.play(listener)
    while true do
      local conn = listener:accept(3600)
      if not conn then return end
      loop.go(serve, conn)
    end
  end
  return up
end

function M.metric(g, name)
  local page = assert(http.get(g.admin, "/metrics", 60)).body
  return tonumber(page:match("\n" .. name:gsub("%p", "%%%0") .. " (%S+)"))
end

function M.await(what, fn) assert(loop.until_true(120, fn), what .. " did not come") end

function M.same(got, want, what)
  if got ~= want then error(("%s: got %s, expected %s"):format(what, tostring(got), tostring(want)), 2) end
end

--- How many lines of the log have all of these.
function M.said(g, ...)
  local n = 0
  for line in g:log():gmatch("[^\n]+") do
    local has = true
    for _, text in ipairs{ ... } do has = has and line:find(text, 1, true) ~= nil end
    if has then n = n + 1 end
  end
  return n
end

--- Ends the gateways of a test that was ok, or failed with err; each must end well.
---@return boolean ok
---@return string? err
function M.finish(gateways, ok, err)
  for _, g in ipairs(gateways) do
    if ok and g.proc.status ~= 0 and g:trouble() then ok, err = false, g:trouble() end
    if not ok then err = err .. "\n    " .. g:log():gsub("\n", "\n    ") end
    g.proc:kill(posix.SIGTERM)
    if ok and not (g.proc:wait() and g.proc.status == 0) then
      ok, err = false, "a gateway ended badly: " .. g.proc:fate() .. "\n" .. g:log()
    end
    g:stop()
  end
  return ok, err
end

return M

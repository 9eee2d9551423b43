-- turns.lua -- what one tenant does with jobs, and whether another one notices.
--
--   luajit tests/jobs/turns.lua     from the root of the project
--
-- "bolt" does its worst; "acme" asks for something small, which must be done as soon as ever.  The upstream is
-- simulated, inside of the gateway.

package.path = "tests/?.lua;" .. package.path

local http = require "support.http"
local json = require "support.json"
local loop = require "support.loop"
local net = require "support.net"
local posix = require "support.posix"
local server = require "support.server"

local failures = 0
local LONG = 60 -- seconds, for what never comes; a receiver that hangs does it for twice as long

local function check(ok, text, ...)
  if ok then return end
  failures = failures + 1
  print("FAIL  " .. text:format(...))
end

local CONFIG = [[
tenants = { header = "x-tenant" },
jobs = { file = "jobs.db", %s },
upstreams = { up = { sim = { ttft_ms = %d, itl_ms = 1, tokens = 4 } } },
]]
local WEBHOOKS = [[webhooks = { secrets = { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }, http = true, allow = { "127.0.0.1" }, timeout = 120 }]]
local BODY = '{"model":"up","messages":[{"role":"user","content":"hello"}]}'

local function submit(s, tenant, headers)
  local lines = { "x-tenant: " .. tenant }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  local r = http.request(s.port, "POST", "/v1/async/chat/completions", lines, BODY, LONG)
  return r and r.status, r and json.decode(r.body)
end

local function get(s, tenant, id)
  local r = http.request(s.port, "GET", "/v1/async/" .. id, { "x-tenant: " .. tenant }, nil, LONG)
  return r and r.status == 200 and json.decode(r.body) or {}
end

local function with(more, ttft, body)
  local dir = posix.temp_dir("perilune-turns")
  local s, why = server.start{ dir = dir, config = CONFIG:format(more, ttft) }
  if not s then error(why) end
  body(s)
  s.proc:kill(posix.SIGTERM)
  check(s.proc:wait(LONG), "the gateway does not end")
  os.execute("rm -rf '" .. dir .. "'")
end

-- Receivers that accept and say nothing, of more hosts than there are places.
local function webhooks(s)
  local deaf, good, got = {}, net.listen(0), 0
  for i = 1, 12 do deaf[i] = net.listen(0) end
  loop.go(function()
    while true do
      local c = good:accept(3600)
      if not c then return end
      http.read_request(c, LONG)
      got = got + 1
      c:send("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", 5)
      c:close()
    end
  end)
  local function told()
    local before, began = got, loop.now()
    submit(s, "acme", { ["x-perilune-webhook"] = ("http://127.0.0.1:%d/"):format(good.port) })
    return loop.until_true(LONG, function() return got > before end), loop.now() - began
  end
  check(told(), "a webhook is not told")
  local made = 0
  for i = 1, 300 do
    local url = ("http://127.0.0.1:%d/"):format(deaf[i % #deaf + 1].port)
    if submit(s, "bolt", { ["x-perilune-webhook"] = url }) == 202 then made = made + 1 end
  end
  check(made == 300, "only %d jobs with webhooks were taken", made)
  loop.pause(1)
  for _ = 1, 3 do
    local ok, seconds = told()
    check(ok, "a tenant's webhook waits for those of another one: %.1f s and more", seconds)
  end
  good:close()
  for _, l in ipairs(deaf) do l:close() end
  print "webhooks: one tenant's receivers that hang keep nobody waiting"
end

loop.run(function()
  with(WEBHOOKS, 1, webhooks)
end)
print(failures == 0 and "turns: all passed" or ("turns: %d failed"):format(failures))
os.exit(failures == 0 and 0 or 1)

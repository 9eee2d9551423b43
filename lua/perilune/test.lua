--- test: the kit for testing policies without a server.
--
--     local t = require "perilune.test"
--
--     t.test("falls back when the first upstream is down", function()
--       t.upstream("first", { status = 503 })
--       t.upstream("second", { text = "hello", delay = 2 })
--       local res = t.run("fallback", { upstreams = { "first", "second" } }, t.request("hi"))
--       t.equal(res:text(), "hello")
--       t.equal(t.clock(), 2)
--     end)
--
-- Upstreams are scripted, time is virtual: a test that sleeps for an hour is over
-- at once.  `perilune test FILE...` runs each file in a fresh state.
--
-- Requests and responses are the real ones; only the calls to the outside
-- (the functions of perilune.host) are replaced while a test runs.

local check = require "perilune.check"
local core = require "perilune.core"
local perilune = require "perilune"
local host = require "perilune.host"
local errors = require "perilune.errors"

local M = {}

---@class perilune.Script  what a scripted upstream does with one call
---@field text? string         the answer
---@field chunks? string[]     the answer in pieces, as a stream delivers them
---@field ttft? number         seconds before the first piece of a stream
---@field itl? number          seconds between two pieces
---@field delay? number        seconds before there is any answer
---@field status? integer      200; 400 and more is a failure
---@field code? string         of the failure
---@field retry_after? number  of the failure, in seconds
---@field error? table         a failure as perilune.error{...} takes it
---@field usage? table
---@field model? string
---@field upstream? table     settings as in the configuration: price, model, models, urls

---@class perilune.Call  what a scripted upstream remembers of one call
---@field upstream string
---@field at number       seconds since the test began
---@field opts table      of chat(req, opts)
---@field model string?
---@field text string     the body as it went out
---@field body table      the same, decoded
---@field outcome? string "ok" or an error code; nil: it was canceled while it waited

local results = { passed = 0, failed = 0, failures = {} }

-- Of the test that runs: upstreams = name -> { script, calls }, fetches, start.
local current

local function scene()
  return current or error("call this inside of t.test(name, function() ... end)", 3)
end

-- -- scripted upstreams --------------------------------------------------------

-- script is a description, a list of them (the last one repeats), or a function.
local function description(script, req, n)
  if type(script) == "function" then return script(req, n) end
  if type(script[1]) == "table" then return script[math.min(n, #script)] end
  return script
end

local script_fields = {
  text = true, chunks = true, ttft = true, itl = true, delay = true, status = true, code = true,
  retry_after = true, error = true, usage = true, model = true, upstream = true,
}
local fetch_fields = { status = true, body = true, text = true, headers = true, delay = true, error = true }

local function failure(name, d)
  local err = {}
  for k, v in pairs(d.error or {}) do err[k] = v end
  err.status = err.status or d.status
  err.code = err.code or d.code
  err.message = err.message or d.text
  err.retry_after = err.retry_after or d.retry_after
  err.upstream = err.upstream or name
  return errors.new(err)
end

local function play(entry, name, req, opts)
  local text = req:body()
  local call = {
    upstream = name, at = M.clock(), opts = opts or {}, model = req.model, text = text,
    body = text ~= "" and perilune.json.decode(text) or nil,
  }
  entry.calls[#entry.calls + 1] = call

  local d, err = description(entry.script, req, #entry.calls)
  if d == nil then
    call.outcome = err and err.code or "nothing"
    return nil, err or errors.new{ code = "upstream_error", message = "the script has no answer", upstream = name }
  end
  check.known("t.upstream", d, script_fields)
  local delay, timeout = d.delay or 0, opts and opts.timeout
  if timeout and delay > timeout then
    perilune.sleep(timeout)
    call.outcome = "timeout"
    return nil, errors.new{ code = "timeout", status = 504, retryable = true, upstream = name }
  end
  if delay > 0 then perilune.sleep(delay) end

  if d.error or (d.status or 200) >= 400 then
    local failed = failure(name, d)
    call.outcome = failed.code
    return nil, failed
  end
  call.outcome = "ok"
  return perilune.respond{
    text = d.text or (d.chunks and table.concat(d.chunks)) or "", chunks = d.chunks, ttft = d.ttft, itl = d.itl,
    status = d.status, usage = d.usage, model = d.model or req.model, upstream = name,
    stream = req.stream == true,
  }
end

local function fake_call(name, req, opts)
  local entry = scene().upstreams[name]
  if not entry then
    return nil, errors.new{ code = "model_not_found", message = ("the test scripts no upstream '%s'"):format(tostring(name)) }
  end
  return play(entry, name, req, opts)
end

local function fake_fetch(url, opts)
  for _, f in ipairs(scene().fetches) do
    if url == f.url then
      f.n = f.n + 1
      local d, err = description(f.script, { url = url, opts = opts or {} }, f.n)
      if d == nil then return nil, err end
      check.known("t.fetch", d, fetch_fields)
      local timeout = opts and opts.timeout
      if timeout and (d.delay or 0) > timeout then
        perilune.sleep(timeout)
        return nil, errors.new{ code = "timeout" }
      end
      if d.delay then perilune.sleep(d.delay) end
      if d.error then return nil, errors.new(d.error) end
      return { status = d.status or 200, headers = d.headers or {}, body = d.body or d.text or "" }
    end
  end
  return nil, errors.new{ code = "upstream_error", message = ("the test scripts no fetch of '%s'"):format(tostring(url)) }
end

local function fake_upstreams()
  local names = {}
  for name in pairs(scene().upstreams) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function fake_health(name)
  local entry = scene().upstreams[name]
  return { healthy = entry ~= nil and entry.healthy ~= false }
end

--- Scripts an upstream: every call of it is answered by the script.
---@param name string
---@param script perilune.Script | perilune.Script[] | fun(req: perilune.Request, n: integer): perilune.Script
function M.upstream(name, script)
  if type(script) ~= "table" and type(script) ~= "function" then
    error("t.upstream(name, script): the script is a table such as { text = \"hello\" } or a function", 2)
  end
  scene().upstreams[name] = { script = script, calls = {} }
end

--- Scripts the answer to perilune.fetch(url): { status =, body =, headers =, delay = }.
---@param url string
---@param script table|function
function M.fetch(url, script)
  table.insert(scene().fetches, { url = url, script = script, n = 0 })
end

--- The calls that an upstream got, in order.
---@param name string
---@return perilune.Call[]
function M.calls(name)
  local entry = scene().upstreams[name]
  return entry and entry.calls or error(("the test scripts no upstream '%s'"):format(tostring(name)), 2)
end

--- A scripted `next`, and the calls that it gets.
---@param script perilune.Script | perilune.Script[] | function
---@return fun(req: perilune.Request, opts: table?): perilune.Response?, perilune.Error?
---@return perilune.Call[]
function M.next(script)
  local entry = { script = script, calls = {} }
  return function(req, opts) return play(entry, "next", req, opts) end, entry.calls
end

-- -- requests and policies -----------------------------------------------------

local not_body = { body = true, headers = true, tenant = true, method = true, path = true }

--- A request as a client would send it.
--
--     t.request("hi")                                      one user message
--     t.request{ model = "m", messages = {...} }           fields of the body
--     t.request{ body = '{"model":"m"}', headers = { ["x-tier"] = "free" }, tenant = "acme" }
---@param what string|table
---@return perilune.Request
function M.request(what)
  if type(what) == "string" then what = { messages = { { role = "user", content = what } } } end
  local body = what.body
  if body == nil then
    body = { model = "test" }
    for k, v in pairs(what) do
      if not not_body[k] then body[k] = v end
    end
    body.messages = body.messages or { { role = "user", content = "hello" } }
  end
  if type(body) ~= "string" then body = perilune.json.encode(body) end
  local req, err = core.new_request(what.method or "POST", what.path or "/v1/chat/completions", what.headers or {}, body)
  if not req then error("t.request: " .. err.message, 2) end
  if what.tenant then req.tenant = what.tenant end
  return req
end

-- Where the last `next` goes: what a policy chose, what the model says, the only one.
local function last_next(req, opts)
  local upstreams = scene().upstreams
  local name = req.upstream or (upstreams[req.model] and req.model)
  if not name then
    local names = fake_upstreams()
    if #names ~= 1 then
      return nil, errors.new{ code = "model_not_found", message = "no upstream for model " .. tostring(req.model) }
    end
    name = names[1]
  end
  return host.call(name, req, opts)
end

--- A policy, ready to be called with a request and `next`.
---@param policy string|function  the name of a policy file, or what such a file returns
---@param options? table          nil for a function: it is the policy itself, function(req, next)
---@return fun(req: perilune.Request, next: function): perilune.Response?, perilune.Error?
function M.policy(policy, options)
  if type(policy) == "function" then
    return options == nil and policy or policy(options)
  end
  local factory, why = host.policy(policy)
  if not factory then error(tostring(why), 2) end
  return factory(options or {})
end

--- Runs a policy on a request.
---@async
---@param policy string|function
---@param options? table
---@param req perilune.Request
---@param next? function  default: the scripted upstream that the request or the policy chose
---@return perilune.Response?
---@return perilune.Error?
function M.run(policy, options, req, next)
  return M.policy(policy, options)(req, next or last_next)
end

-- -- the clock -----------------------------------------------------------------

--- Seconds since the test began, in virtual time, to the microsecond.
---@return number
function M.clock()
  return math.floor((perilune.now() - scene().start) * 1e6 + 0.5) / 1e6
end

--- Lets time pass.
---@async
---@param seconds number
function M.advance(seconds)
  perilune.sleep(seconds)
end

-- -- assertions ----------------------------------------------------------------

local function show(value, depth)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  if (depth or 0) > 4 then return "{...}" end
  local keys, out = {}, {}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    if type(a) == "number" and type(b) == "number" then return a < b end
    return tostring(a) < tostring(b)
  end)
  for i, k in ipairs(keys) do
    local name = type(k) == "string" and k or "[" .. tostring(k) .. "]"
    out[i] = (k == i and "" or name .. " = ") .. show(value[k], (depth or 0) + 1)
  end
  return "{ " .. table.concat(out, ", ") .. " }"
end

local function same(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function fail(message, what)
  error((what and what .. ": " or "") .. message, 3)
end

--- Fails unless the two are the same value, or tables with the same contents.
function M.equal(actual, expected, what)
  if not same(actual, expected) then
    fail(("expected %s, got %s"):format(show(expected), show(actual)), what)
  end
end

--- Fails unless the value is true in Lua's sense; returns it.
function M.ok(value, what)
  if not value then fail("expected something, got " .. show(value), what) end
  return value
end

--- Fails unless the number is within `within` (default 1e-6) of expected.
function M.near(actual, expected, within, what)
  if type(actual) ~= "number" or math.abs(actual - expected) > (within or 1e-6) then
    fail(("expected about %s, got %s"):format(show(expected), show(actual)), what)
  end
end

--- Fails unless the string has the pattern in it; returns the captures.
function M.match(text, pattern, what)
  if type(text) ~= "string" or not text:find(pattern) then
    fail(("expected something like %s, got %s"):format(show(pattern), show(text)), what)
  end
  return text:match(pattern)
end

--- Fails unless fn throws, with the pattern in its message; returns the message.
function M.error(fn, pattern, what)
  local ok, message = pcall(fn)
  if ok then fail("expected an error, there was none", what) end
  message = type(message) == "table" and message.message or message
  if pattern and not tostring(message):find(pattern) then
    fail(("expected an error like %s, got %s"):format(show(pattern), show(message)), what)
  end
  return message
end

-- -- running -------------------------------------------------------------------

local function write(line)
  local io = rawget(_G, "io")
  if io then io.write(line, "\n") else print(line) end
end

-- Settings of a scripted upstream, as the configuration would give them.
local function fake_describe(name)
  local entry = scene().upstreams[name]
  if not entry then return nil end
  local settings = type(entry.script) == "table" and entry.script.upstream or {}
  return { name = name, model = settings.model, models = settings.models or {}, urls = settings.urls or {},
           price = settings.price or {} }
end

local fakes = { describe = fake_describe, call = fake_call, fetch = fake_fetch, upstreams = fake_upstreams, health = fake_health }

--- One test.  Runs at once; a failing one does not keep the others from running.
---@async
---@param name string
---@param body async fun()
function M.test(name, body)
  local kept = {}
  for k, fake in pairs(fakes) do
    kept[k] = host[k] or false
    host[k] = fake
  end
  current = { upstreams = {}, fetches = {}, start = perilune.now() }

  local debug = rawget(_G, "debug")
  local ok, message = xpcall(body, function(e)
    e = type(e) == "table" and (e.message or show(e)) or tostring(e)
    -- A traceback says more than the message only where no assertion failed.
    return debug and not e:find("expected", 1, true) and debug.traceback(e, 2) or e
  end)

  current = nil
  for k, v in pairs(kept) do host[k] = v or nil end
  if ok then
    results.passed = results.passed + 1
    write("ok      " .. name)
  else
    results.failed = results.failed + 1
    table.insert(results.failures, name .. ": " .. tostring(message))
    write("FAILED  " .. name)
    write("        " .. tostring(message):gsub("\n", "\n        "))
  end
end

--- What has run so far in this state.
---@return integer passed
---@return integer failed
---@return string[] failures
function M.summary()
  return results.passed, results.failed, results.failures
end

return M

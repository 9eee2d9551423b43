--- test_upstreams: scripted upstreams and fetches, in place of the doors to the outside.

local answer = require "perilune.test_answer"
local check = require "perilune.check"
local core = require "perilune.core"
local errors = require "perilune.errors"
local perilune = require "perilune"
local stage = require "perilune.test_scene"

local scene, in_account, finish = stage.scene, stage.in_account, stage.finish

local M = {}

---@class perilune.Call  what a scripted upstream remembers of one call
---@field upstream string
---@field at number       seconds since the test began
---@field opts table      of chat(req, opts)
---@field model string?
---@field text string     the body as it went out
---@field body table      the same, decoded
---@field outcome? string "ok" or an error code; nil: it was canceled while it waited

local function play_it(entry, name, req, opts)
  local timeout = opts and opts.timeout
  local shared, failed = core.result(core.scripted_join(req, name, timeout)) -- before it is a call
  if shared or failed then return shared, failed end
  local call = { upstream = name, at = stage.clock(), opts = opts or {}, model = req.model }
  if not entry.forgets then
    call.text = req:body()
    call.body = call.text ~= "" and perilune.json.decode(call.text) or nil
    entry.calls[#entry.calls + 1] = call
  end

  local d, err = answer.description(entry.script, req, #entry.calls)
  if d == nil then
    call.outcome = err and err.code or "nothing"
    return nil, err or errors.new{ code = "upstream_error", message = "the script has no answer", upstream = name }
  end
  answer.known(d)
  local fails = d.error or (d.status or 200) >= 400
  local list, done, content_type = {}, d.delay or 0, ""
  if not fails then list, done, content_type = answer.timetable(d, req) end

  -- opts.timeout is until the first event of a stream, or for all of another answer.
  local first = req.wants_stream and list[1] and list[1][2] or done
  if timeout and first > timeout then
    perilune.sleep(timeout)
    call.outcome = "timeout"
    return nil, errors.new{ code = "timeout", status = 504, retryable = true, upstream = name }
  end
  if fails then
    if done > 0 then perilune.sleep(done) end
    local failed = answer.failure(name, d)
    call.outcome = failed.code
    return nil, failed
  end

  local broken = type(d.breaks) == "table" and answer.failure(name, { error = d.breaks }) or nil
  local res
  res, err = core.result(core.scripted(req, name, list, done, content_type, broken, timeout))
  call.outcome = res and "ok" or err.code
  if res and d.status then res.status = d.status end
  return res, err
end

local function play(...) return finish(in_account("free", play_it, ...)) end

local function fake_upstreams()
  local names = {}
  for name in pairs(scene().upstreams) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function settings_of(entry)
  return entry.settings or type(entry.script) == "table" and entry.script.upstream or {}
end

local function answers_to(entry, model)
  local settings = settings_of(entry)
  if settings.model == model then return true end
  for _, other in ipairs(settings.models or {}) do
    if other == model then return true end
  end
  return false
end

-- As outgoing.c has it: what a policy chose, whose model is asked for, who is called so, the only one.
local function choose(req)
  local upstreams, names = scene().upstreams, fake_upstreams()
  if req.upstream then return req.upstream end
  for _, name in ipairs(names) do
    if answers_to(upstreams[name], req.model) then return name end
  end
  if upstreams[req.model] then return req.model end
  if #names == 1 then return names[1] end
  for i, name in ipairs(names) do names[i] = ("'%s'"):format(settings_of(upstreams[name]).model or name) end
  return nil, errors.new{ code = "model_not_found", param = "model", retryable = false,
    message = ("the model '%s' does not exist; available: %s"):format(tostring(req.model), table.concat(names, ", ")) }
end

local function health_of(entry) return type(entry.script) == "table" and entry.script.health or {} end

-- As attempt.c has it.
local function refused(entry, name, req)
  local health = health_of(entry)
  if not scene().guarded[req] or health.state ~= "open" then return nil end
  return errors.new{ code = "upstream_unavailable", upstream = name, retry_after = math.max(1, health.wait or 1),
                     message = "the upstream rests, because it failed; try again later" }
end

local function fake_call(name, req, opts)
  local err
  if name == nil then
    name, err = choose(req)
    if not name then return nil, err end
  end
  local entry = scene().upstreams[name]
  if not entry then
    return nil, errors.new{ code = "internal_error", message = "the upstream that was chosen does not exist",
                            upstream = tostring(name), detail = ("no upstream '%s'"):format(tostring(name)) }
  end
  err = refused(entry, name, req)
  if err then return nil, err end
  return play(entry, name, req, opts)
end

local fetch_fields = { status = true, body = true, text = true, headers = true, delay = true, error = true }

local function fetch_it(url, opts)
  for _, f in ipairs(scene().fetches) do
    if url == f.url then
      f.n = f.n + 1
      local d, err = answer.description(f.script, { url = url, opts = opts or {} }, f.n)
      if d == nil then return nil, err end
      check.known("t.fetch", d, fetch_fields)
      local timeout = opts and opts.timeout
      if timeout and (d.delay or 0) > timeout then
        perilune.sleep(timeout)
        return nil, errors.new{ code = "timeout" }
      end
      if d.delay then perilune.sleep(d.delay) end
      if d.error then return nil, errors.new(d.error) end
      local headers = {}
      for name, value in pairs(d.headers or {}) do headers[name:lower()] = value end
      return { status = d.status or 200, headers = headers, body = d.body or d.text or "" }
    end
  end
  return nil, errors.new{ code = "upstream_error", message = ("the test scripts no fetch of '%s'"):format(tostring(url)) }
end

local function fake_fetch(...) return finish(in_account("free", fetch_it, ...)) end

local function fake_health(name)
  local entry = scene().upstreams[name]
  local out = { healthy = entry ~= nil, state = "closed", in_flight = 0, calls = entry and #entry.calls or 0, failures = 0 }
  for key, value in pairs(entry and health_of(entry) or {}) do out[key] = value end
  return out
end

local function fake_rests(name)
  local health = fake_health(name)
  return health.state == "open" and (health.wait or 1) or nil
end

local function fake_guard(req, settings) scene().guarded[req] = settings end

--- Scripts an upstream: every call of it is answered by the script.
---@param name string
---@param script perilune.Script | perilune.Script[] | fun(req: perilune.Request, n: integer): perilune.Script
function M.upstream(name, script)
  if type(script) ~= "table" and type(script) ~= "function" then
    error("t.upstream(name, script): the script is a table such as { text = \"hello\" } or a function", 2)
  end
  if type(script) == "table" then
    for _, d in ipairs(type(script[1]) == "table" and script or { script }) do answer.known(d, 4) end
  end
  scene().upstreams[name] = { script = script, calls = {} }
  core.known_upstreams(fake_upstreams())
end

--- The same for a script that is a function, with the upstream's settings (price, model, models); its calls are not
--- remembered, because there are many.
function M.upstream_of(name, script, settings)
  M.upstream(name, script)
  scene().upstreams[name].settings, scene().upstreams[name].forgets = settings, true
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

-- Settings of a scripted upstream, as the configuration would give them.
local function fake_describe(name)
  local entry = scene().upstreams[name]
  if not entry then return nil end
  local settings = settings_of(entry)
  return { name = name, model = settings.model, models = settings.models or {}, urls = settings.urls or {},
           reasoning = settings.reasoning,
           price = settings.price or {}, key = settings.key == "client" and { kind = "client" } or nil }
end

-- Nobody waits for a trial, so nothing of its answer is seen: only that it was asked for.
local function fake_trial(req, name)
  local entry = scene().upstreams[name]
  if not entry then return false end
  local text = req:body()
  entry.calls[#entry.calls + 1] = { upstream = name, at = stage.clock(), opts = {}, model = req.model, text = text,
    body = perilune.json.decode(text), outcome = "trial" }
  return true
end

--- What stands in for the functions of perilune.host.
M.fakes = {
  call = fake_call, fetch = fake_fetch, upstreams = fake_upstreams, health = fake_health, guard = fake_guard,
  rests = fake_rests, describe = fake_describe, trial = fake_trial,
}

return M

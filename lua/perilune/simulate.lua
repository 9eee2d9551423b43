--- simulate: t.simulate{...}, hours of traffic through policies in seconds.
--
--     traffic (arrivals, tenants, lengths) --> policies, the real ones --> upstreams (latency, slots, failures)
--                                                  |
--                                                  +--> a report: of each class, tenant and upstream
--
-- Time is the kit's virtual clock, so an hour takes as long as the policies of its requests do.  Whatever is
-- drawn comes from one generator: the same seed gives the same report.
--
-- Upstreams and pools are those that a gateway makes of the same settings: who of a pool is picked, who rests and for how
-- long, who is asked again, what times out, is decided by the code that decides it there.  Only what comes over the
-- connection is played, by what is said here (core/upstream/played.c).
--
-- An upstream has `slots`, behind which it queues as a real one does: who comes when all are taken begins when the
-- first is free.  A client that leaves frees its slot only when the answer would have ended, which is what most
-- engines do with what is being computed.  One that `remembers` beginnings of prompts reads the rest only, at `prefill`
-- seconds a token.

local boot = require "perilune.boot"
local check = require "perilune.check"
local config = require "perilune.config"
local core = require "perilune.core"
local errors = require "perilune.errors"
local perilune = require "perilune"
local report = require "perilune.simulate_report"

local M = {}

-- -- options -------------------------------------------------------------------

-- A number, or { median =, p99 = }: drawn from a log-normal distribution.
local function spread(value)
  if type(value) == "number" and value >= 0 then return { median = value } end
  if type(value) ~= "table" then return nil, "must be a number, or { median =, p99 = }, got " .. check.show(value) end
  for _, key in ipairs(check.keys(value)) do
    if key ~= "median" and key ~= "p99" then return nil, "has an " .. check.unknown("option", key, { "median", "p99" }) end
  end
  local median, p99 = value.median, value.p99 or value.median
  if type(median) ~= "number" or type(p99) ~= "number" or median < 0 or p99 < median then
    return nil, "needs median, and p99 that is not below it"
  end
  return { median = median, p99 = p99 }
end

-- A rate in requests a second, or function(second) -> rate.
local function check_rate(value)
  if type(value) == "function" or type(value) == "number" and value >= 0 and value <= 1e6 then return value end
  return nil, "must be requests a second, or function(second), got " .. check.show(value)
end

local spec = {
  seconds = { type = "number", min = 0.001, max = 7 * 86400 },
  seed = { type = "integer", default = 1, min = 0, max = 2 ^ 31 },
  policies = { type = "list", of = { type = { "table", "string", "function" } }, default = {} },
  chain_of = { type = "function" }, -- in place of policies: function(item) -> chain
  upstreams = { type = "map", of = { type = "table" }, required = true },
  pools = { type = "map", of = { type = "table" }, default = {} },
  configuration = { type = "table" }, -- in place of price, model, models, pools ...: checked already
  traffic = { type = "list", of = { type = "table" }, default = {} },
  arrivals = { type = "list", of = { type = "table" } },
  most_at_once = { type = "integer", default = 1024, min = 1, max = 1024 },
}

local upstream_spec = {
  ttft = { check = spread, default = { median = 0.3 } },
  itl = { check = spread, default = { median = 0.01 } },
  tokens = { check = spread, default = { median = 100 } },
  slots = { type = "integer", default = 100000, min = 1, max = 100000 },
  fails = { type = "list", of = { type = "table" }, default = {} },
  prefill = { type = "number", default = 0, min = 0, max = 10 },
  remembers = { type = "integer", default = 0, min = 0, max = 1e6 },
}
-- Those of a configuration, which looks at them.
local of_configuration = { "price", "model", "models", "key", "timeouts", "breaker" }
for _, key in ipairs(of_configuration) do upstream_spec[key] = { type = "any" } end

local fail_spec = {
  from = { type = "number", default = 0 },
  to = { type = "number", default = math.huge },
  share = { type = "number", default = 1, min = 0, max = 1 },
  status = { type = "integer", min = 400, max = 599 },
  code = { type = "string" },
  after = { type = "number", default = 0, min = 0 },
  breaks = { type = "boolean", default = false },
  retry_after = { type = "number", min = 0 },
}

local traffic_spec = {
  class = { type = "string", default = "all" },
  tenant = { type = "string" },
  tenants = { type = "integer", min = 1, max = 1e6 },
  rate = { check = check_rate, required = true },
  stream = { type = "boolean", default = false },
  model = { type = "string", default = "test" },
  prompt_tokens = { check = spread, default = { median = 100 } },
  tokens = { check = spread },
  headers = { type = "map", of = { type = "string" }, default = {} },
  body = { type = { "table", "function" } },
  patience = { type = "number", min = 0.001 }, -- seconds after which the client leaves
  slo = { type = "number", min = 0.001 },       -- seconds to the first event that count as good
}

-- What a gateway would be told of the upstreams.
local function configuration_of(o)
  local raw = { upstreams = {}, pools = o.pools }
  for name, up in pairs(o.upstreams) do
    raw.upstreams[name] = { url = "http://simulated.invalid/v1" }
    for _, key in ipairs(of_configuration) do raw.upstreams[name][key] = up[key] end
  end
  local conf, errors = config.check(raw, "t.simulate")
  if not conf then error(config.format(errors, "t.simulate"), 0) end
  return conf
end

-- How a connection may fail.
local of_connections = { upstream_unreachable = true, upstream_dns = true, upstream_tls = true, upstream_reset = true,
                         upstream_malformed = true, timeout = true }

local function read_fail(given, where)
  local fail = config.options(fail_spec, given, where)
  if fail.code and not fail.status and not of_connections[fail.code] then
    error(("policy '%s': code '%s' needs the status that it comes with, such as status = 503; without one it is a connection "
      .. "that fails: %s"):format(where, fail.code, table.concat(check.keys(of_connections), ", ")), 0)
  end
  return fail
end

local function read_options(given)
  local o = config.options(spec, given, "t.simulate")
  for name, up in pairs(o.upstreams) do
    up = config.options(upstream_spec, up, ("t.simulate, upstream '%s'"):format(name))
    for i, fail in ipairs(up.fails) do
      up.fails[i] = read_fail(fail, ("t.simulate, upstream '%s', fails[%d]"):format(name, i))
    end
    o.upstreams[name] = up
  end
  for i, one in ipairs(o.traffic) do
    o.traffic[i] = config.options(traffic_spec, one, ("t.simulate, traffic[%d]"):format(i))
  end
  if not o.arrivals and not o.seconds then error("t.simulate: option 'seconds' is missing", 0) end
  o.configuration = o.configuration or configuration_of(o)
  return o
end

-- -- chance --------------------------------------------------------------------

-- xorshift32 (Marsaglia, 2003): the library's own generator belongs to the policies.
local bit = rawget(_G, "bit") or require "bit"
local function generator(seed)
  local x = bit.bxor(seed * 2654435 + 88172645, 0x5bd1e995)
  if x == 0 then x = 1 end
  return function()
    x = bit.bxor(x, bit.lshift(x, 13))
    x = bit.bxor(x, bit.rshift(x, 17))
    x = bit.bxor(x, bit.lshift(x, 5))
    return (x % 4294967296) / 4294967296
  end
end

local Z99 = 2.3263 -- of the normal distribution

local function draw(d, random)
  if not d.p99 or d.p99 == d.median or d.median == 0 then return d.median end
  local z = math.sqrt(-2 * math.log(1 - random())) * math.cos(2 * math.pi * random())
  return d.median * math.exp(z * math.log(d.p99 / d.median) / Z99)
end

-- -- arrivals ------------------------------------------------------------------

local function tenant_of(one, random)
  if one.tenants then return ("%s%d"):format(one.tenant or "tenant", math.floor(random() * one.tenants) + 1) end
  return one.tenant
end

-- A Poisson process; a rate that changes is looked at again after each arrival, and each second.
local function arrivals_of(one, seconds, random, out)
  local at = 0
  while true do
    local rate = type(one.rate) == "function" and one.rate(at) or one.rate
    local gap = rate > 0 and -math.log(1 - random()) / rate or math.huge
    if type(one.rate) == "function" and gap > 1 then
      at = at + 1
    else
      at = at + gap
      if at >= seconds then return end
      out[#out + 1] = {
        at = at, class = one.class, tenant = tenant_of(one, random), stream = one.stream, model = one.model,
        prompt_tokens = math.floor(draw(one.prompt_tokens, random) + 0.5),
        tokens = one.tokens and math.max(1, math.floor(draw(one.tokens, random) + 0.5)),
        headers = one.headers, body = one.body, patience = one.patience, slo = one.slo,
      }
    end
    if at >= seconds then return end
  end
end

local function all_arrivals(o, random)
  if o.arrivals then return o.arrivals end
  local list = {}
  for _, one in ipairs(o.traffic) do arrivals_of(one, o.seconds, random, list) end
  table.sort(list, function(a, b) return a.at < b.at end)
  return list
end

-- -- upstreams -----------------------------------------------------------------

-- When this call begins, of `slots` that are taken until so and so: a heap, the first that is free on top.
local function begin(slots, most, now)
  if #slots < most then return now end
  return math.max(now, slots[1])
end

local function sift(heap, i)
  while true do
    local child = 2 * i
    if child > #heap then return end
    if child < #heap and heap[child + 1] < heap[child] then child = child + 1 end
    if heap[child] >= heap[i] then return end
    heap[i], heap[child] = heap[child], heap[i]
    i = child
  end
end

local function take_slot(slots, most, till)
  if #slots >= most then
    slots[1] = till
    return sift(slots, 1)
  end
  local i = #slots + 1
  slots[i] = till
  while i > 1 and slots[i] < slots[math.floor(i / 2)] do
    local up = math.floor(i / 2)
    slots[i], slots[up] = slots[up], slots[i]
    i = up
  end
end

local function failure_at(up, now, random)
  for _, fail in ipairs(up.fails) do
    if now >= fail.from and now < fail.to and random() < fail.share then return fail end
  end
end

-- How it comes: an error with its status, or the end of a connection.
local function failed(fail)
  if not fail.status then
    return { status = 0, pieces = {}, seconds = fail.after, fails = fail.code or "upstream_unreachable" }
  end
  local body = fail.code and core.json_encode{ error = { message = "simulated", code = fail.code } } or ""
  return { status = fail.status, pieces = { { body, fail.after } }, seconds = fail.after,
           fields = fail.retry_after and ("retry-after: %d\r\n"):format(math.ceil(fail.retry_after)) or "" }
end

-- What an engine keeps of prompts: the beginnings that it has read, up to each message.  When `most` have come
-- since the last time, those that were not asked for in between are forgotten.
local function memory(most)
  local new, old, count = {}, {}, 0
  local function note(hash)
    if not new[hash] then new[hash], count = true, count + 1 end
    if count >= most then new, old, count = {}, new, 0 end
  end
  --- The share of the prompt that it remembers; from here on, of all of it.
  return function(body)
    local asked = core.json_decode(body)
    local hash, known, all = "", 0, 0
    for _, message in ipairs(type(asked) == "table" and asked.messages or {}) do
      local text = core.json_encode(message)
      hash, all = core.sha256(hash .. text), all + #text
      if new[hash] or old[hash] then known = all end
      note(hash)
    end
    return all > 0 and known / all or 0
  end
end

-- What comes of a call of this upstream.
local function answer_of(name, up, world)
  local slots, random, knows = {}, world.random, up.remembers > 0 and memory(up.remembers)
  return function(path, id, streams, body)
    local now, item = world.clock(), world.items[id] or {}
    local fail = failure_at(up, now, random)
    if path == "/models" then return fail and not fail.breaks and failed(fail) or { status = 200, pieces = {}, seconds = 0 } end
    world.report:call(name, now)
    if fail and not fail.breaks then return failed(fail) end
    local tokens = item.tokens or math.max(1, math.floor(draw(up.tokens, random) + 0.5))
    local prompt = item.prompt_tokens or 10
    local cached = knows and math.floor(prompt * knows(body)) or 0
    local ttft, itl = draw(up.ttft, random) + up.prefill * (prompt - cached), draw(up.itl, random)
    local from = begin(slots, up.slots, now)
    take_slot(slots, up.slots, from + ttft + itl * tokens)
    world.report:prompt(name, prompt, cached)
    local wait = from - now + ttft
    if not streams then wait = wait + itl * tokens end
    local list, done, content_type = world.inner.timetable({ text = "x", delay = wait, itl = itl * tokens, breaks = fail and true,
      usage = { prompt_tokens = prompt, completion_tokens = tokens, cached_tokens = knows and cached } }, { stream = streams })
    return { status = 200, fields = ("content-type: %s\r\n"):format(content_type), pieces = list, seconds = done }
  end
end

-- What core.play() calls.  An error in here would be one of the upstream's, and nobody would see it.
local function player(o, world)
  local answers = {}
  for _, up in ipairs(o.configuration.upstreams) do answers[up.name] = answer_of(up.name, o.upstreams[up.name], world) end
  return function(name, ...)
    local ok, answer = pcall(answers[name], ...)
    if ok then return answer end
    world.broken = world.broken or answer
    return failed{ after = 0 }
  end
end

-- -- requests ------------------------------------------------------------------

local function chain_of(t, o)
  if o.chain_of then return o.chain_of end
  local first = boot.compose(t.policies(o.policies), boot.terminal())
  local function chain(req) return first(req) end
  return function() return chain end
end

local function request_of(t, item, i)
  local fields = {}
  local body = item.body
  if type(body) == "function" then body = body(i) end
  for k, v in pairs(body or {}) do fields[k] = v end
  fields.model = fields.model or item.model
  fields.messages = fields.messages or { { role = "user", content = ("w "):rep(math.min(item.prompt_tokens, 20000)) .. i } }
  if item.stream then fields.stream = true end
  fields.tenant, fields.headers = item.tenant, item.headers
  return t.request(fields)
end

-- One request, from its arrival to its end.
local function serve(t, world, find, item, i)
  local late = item.at - world.clock()
  if late > 0 then perilune.sleep(late) end
  local req = request_of(t, item, i)
  local id = req.id
  world.items[id] = item
  local reply = t.send(find(item), nil, req, { leave = item.patience })
  world.items[id] = nil
  world.report:reply(item, reply, math.max(0, -late))
end

-- Each of so many hands takes the next request when it is free: all wait for the arrival that they took, so requests
-- come when they should as long as a hand is free.
local function play(t, world, chain, list, hands)
  local n, fns = 0, {}
  local function hand()
    while n < #list do
      n = n + 1
      serve(t, world, chain, list[n], n)
    end
  end
  for i = 1, math.min(hands, #list) do fns[i] = hand end
  perilune.all(fns)
end

--- Runs traffic through policies.  In a test of the kit; see the manual for the options.
---@async
---@param t table     the kit
---@param given table
---@param inner table  what the kit shows nobody else: with_played(), timetable()
---@return perilune.SimulationReport
function M.run(t, given, inner)
  local o = read_options(given)
  local start, random = t.clock(), generator(o.seed)
  core.random_seed(o.seed + 1)
  local world = { inner = inner, random = random, items = {} }
  function world.clock() return t.clock() - start end
  local list = all_arrivals(o, random)
  world.report = report.new(o.configuration, list, o.seconds)
  inner.with_played(o.configuration, o.seed + 1, player(o, world), function()
    play(t, world, chain_of(t, o), list, o.most_at_once)
  end)
  if world.broken then error("t.simulate: " .. tostring(world.broken), 0) end
  return world.report:finish(world.clock())
end

return M

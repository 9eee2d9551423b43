--- replay_command: perilune replay, the half of it that is in Lua.
--
--     access log --> arrivals, tenants, lengths ---> the policies of a configuration, simulated --> a table
--                +-> of each upstream: latency, failures minute by minute --+
--
-- A log has no texts.  So each request is one of its own: caches find nothing, and what looks at texts sees words that
-- mean nothing.  What is recorded of an upstream is how it fared under the load of then; where policies send it twice
-- as much, `slots` say what it can do.

local boot = require "perilune.boot"
local check = require "perilune.check"
local core = require "perilune.core"
local host = require "perilune.host"
local kit = require "perilune.test"
local reports = require "perilune.simulate_report"

local M = {}

local MOST_LINES = 2000000
local MOST_CLASSES = 12

local function fail(status, format, ...) error({ status = status, message = format:format(...) }, 0) end

-- -- the log -------------------------------------------------------------------

-- Days since 1970-01-01 (Hinnant's algorithm); os.time() would read it as local time.
local function days(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = math.floor(y / 400)
  local of_era = y - era * 400
  local of_year = math.floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5) + d - 1
  return era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
end

local function seconds_of(time)
  local y, mo, d, h, mi, s = tostring(time):match("^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)Z$")
  if not y then return nil end
  return days(tonumber(y), tonumber(mo), tonumber(d)) * 86400 + tonumber(h) * 3600 + tonumber(mi) * 60 + tonumber(s)
end

local function number(v) return type(v) == "number" and v >= 0 and v or nil end

-- A line about a request, or nil.
local function request_in(text)
  local line = core.json_decode(text)
  if type(line) ~= "table" or line.msg ~= "request" then return nil end
  if tostring(line.request_id):find("%-trial$") then return nil end -- nobody asked: a policy tried something out
  local ended, total = seconds_of(line.time), number(line.total_ms)
  if not ended or not total then return nil end
  line.ended, line.total = ended, total / 1000
  line.ttft = (number(line.ttft_ms) or line.total_ms) / 1000
  return line
end

local function read_log(file)
  local io = _G.io
  local f, err = io.stdin, nil
  if file ~= "-" then f, err = io.open(file, "rb") end
  if not f then fail(1, "%s", err) end
  local list, other, n = {}, 0, 0
  for text in f:lines() do
    n = n + 1
    if n > MOST_LINES then fail(1, "%s: has over %d lines; replay a part of it", file, MOST_LINES) end
    local line = #text < 65536 and request_in(text) or nil
    if line then list[#list + 1] = line elseif text ~= "" then other = other + 1 end
  end
  if file ~= "-" then f:close() end
  if #list == 0 then
    fail(1, "%s: has no line about a request (log.access writes them: JSON with msg = \"request\"); %d other lines", file, other)
  end
  table.sort(list, function(a, b) return a.ended - a.total < b.ended - b.total end)
  return list, other
end

-- -- upstreams, as the log has them ----------------------------------------------

local function spread_of(list)
  if #list == 0 then return nil end
  table.sort(list)
  return { median = reports.percentile(list, 0.5), p99 = reports.percentile(list, 0.99) }
end

local paid_otherwise = { hit = true, stale = true, coalesced = true }

-- Failures of a minute become a failure with that chance in that minute.
local function fails_of(minutes)
  local list = {}
  for minute, m in pairs(minutes) do
    if m.bad > 0 then
      list[#list + 1] = { from = minute * 60, to = minute * 60 + 60, share = m.bad / m.all, status = m.status, code = m.code }
    end
  end
  table.sort(list, function(a, b) return a.from < b.from end)
  return list
end

local function note_minute(up, line, start)
  local minute = math.floor((line.ended - line.total - start) / 60)
  local m = up.minutes[minute] or { all = 0, bad = 0 }
  up.minutes[minute] = m
  m.all = m.all + 1
  local status = number(line.status) or 200
  if status < 500 and status ~= 429 then return end
  m.bad, m.status, m.code = m.bad + 1, status == 499 and 500 or status, line.error
end

-- Of each upstream: { ttft =, itl =, tokens =, fails = }; and of all together.
local function upstreams_in(list, start)
  local found, all = {}, { ttft = {}, itl = {}, tokens = {}, minutes = {} }
  for _, line in ipairs(list) do
    if line.upstream and not paid_otherwise[line.cache or ""] then
      local up = found[line.upstream] or { ttft = {}, itl = {}, tokens = {}, minutes = {} }
      found[line.upstream] = up
      note_minute(up, line, start)
      local out = number(line.tokens_out)
      if line.status == 200 and out and out > 0 then
        local streamed = line.ttft < 0.9 * line.total
        for _, one in ipairs{ up, all } do
          one.tokens[#one.tokens + 1] = out
          one.itl[#one.itl + 1] = (streamed and line.total - line.ttft or line.total) / out
          if streamed then one.ttft[#one.ttft + 1] = line.ttft end
        end
      end
    end
  end
  local function fit(up)
    return { ttft = spread_of(up.ttft) or spread_of(all.ttft) or { median = 0 }, itl = spread_of(up.itl) or spread_of(all.itl),
             tokens = spread_of(up.tokens) or spread_of(all.tokens), fails = fails_of(up.minutes) }
  end
  for name, up in pairs(found) do found[name] = fit(up) end
  return found, fit(all)
end

-- -- requests --------------------------------------------------------------------

-- By tenant, when there are few.
local function classes_of(list)
  local seen, n = {}, 0
  for _, line in ipairs(list) do
    local tenant = line.tenant or "(none)"
    if not seen[tenant] then seen[tenant], n = true, n + 1 end
  end
  return function(line) return n <= MOST_CLASSES and (line.tenant or "(none)") or "all" end
end

local function item_of(line, start, class_of)
  return {
    at = line.ended - line.total - start, class = class_of(line), tenant = line.tenant, model = line.model or "test",
    stream = line.ttft < 0.9 * line.total, prompt_tokens = number(line.tokens_in) or number(line.tokens_counted) or 100,
    tokens = number(line.tokens_out), headers = {}, patience = line.status == 499 and math.max(line.total, 0.001) or nil,
    route = line.route, path = line.path,
  }
end

-- What the log itself says, as a report.
local function recorded(list, items, conf)
  local report = reports.new(conf, list)
  for i, line in ipairs(list) do
    local usage = line.tokens_in and { prompt_tokens = line.tokens_in, completion_tokens = line.tokens_out or 0 } or nil
    report:reply(items[i], {
      status = line.status, done = line.status < 400, error = line.status >= 400 and { code = line.error or "error" } or nil,
      total = line.total, ttft = line.ttft, usage = usage, upstream = line.upstream, cache = line.cache, headers = {},
    }, 0)
    if line.upstream then report:call(line.upstream, items[i].at) end
  end
  return report:finish(items[#items].at + list[#list].total)
end

-- -- the configuration -----------------------------------------------------------

local function load_configuration(path)
  local f, err = _G.io.open(path, "rb")
  if not f then fail(1, "%s", err) end
  local text = f:read("*a")
  f:close()
  -- A log has no keys of clients, and says the tenant.
  local policy = host.policy
  host.policy = function(name, ...)
    if name ~= "auth_keys" then return policy(name, ...) end
    return function() return function(req, next) return next(req) end end
  end
  local ok, json, chains = pcall(boot.load, text, path)
  host.policy = policy
  if not ok then fail(1, "%s", tostring(json)) end
  return core.json_decode(json), chains
end

-- The chain of the route that a line names, or that has its path.
local function chain_finder(conf, chains)
  local known = {}
  for i, route in ipairs(conf.routes) do
    for _, name in ipairs{ route.label or route.path, route.path } do known[name] = known[name] or i end
  end
  local last = boot.terminal()
  local function direct(req) return last(req) end
  return function(item)
    local i = known[item.route or ""] or known[item.path or ""]
    return i and chains[i] or direct
  end
end

local function simulated_upstreams(conf, found, all, slots)
  local out = {}
  for _, up in ipairs(conf.upstreams) do
    local fit = found[up.name] or all
    out[up.name] = { ttft = fit.ttft, itl = fit.itl, tokens = fit.tokens, fails = found[up.name] and fit.fails or {},
                     slots = slots[up.name] }
  end
  return out
end

-- The upstreams as they are but for what says where and who they are: nobody is called, and no key is looked for.
local function nowhere(conf)
  for _, up in ipairs(conf.upstreams) do
    up.urls, up.key, up.sim, up.engine = { "http://simulated.invalid/v1" }, { kind = up.key.kind == "client" and "client" or "none" }, nil, nil
    up.ca, up.proxy, up.headers = nil, nil, nil
  end
  return { upstreams = conf.upstreams, pools = conf.pools }
end

local function slots_in(list)
  local slots = {}
  for _, text in ipairs(list) do
    local name, count = text:match("^(.-)=(%d+)$")
    if not name then fail(2, "--slots %s: must be UPSTREAM=NUMBER", text) end
    slots[name] = tonumber(count)
  end
  return slots
end

-- -- output ------------------------------------------------------------------------

local function plain(report)
  local out = {}
  for k, v in pairs(report) do
    if type(v) ~= "function" then out[k] = v end
  end
  return out
end

local function show(given, then_, now, other)
  if given.json then
    _G.io.write(core.json_encode{ recorded = plain(then_), replayed = plain(now), other_lines = other }, "\n")
    return
  end
  _G.io.write("recorded: ", then_:text(), "\n\nreplayed: ", now:text(), "\n")
  if other > 0 then _G.io.write(("\n%d lines of the log are not about requests\n"):format(other)) end
end

local function replay(given)
  local list, other = read_log(given.log)
  local slots = slots_in(given.slots)
  local start = list[1].ended - list[1].total
  local conf, chains = load_configuration(given.policy)
  local found, all = upstreams_in(list, start)
  if not all.itl then fail(1, "%s: no line says how long an answer was (tokens_out) and took; nothing can be simulated", given.log) end
  for name in pairs(slots) do
    if not host.describe(name) then
      local names = host.upstreams()
      fail(2, "--slots: %s", check.unknown("upstream", name, names))
    end
  end
  local upstreams, class_of, items = simulated_upstreams(conf, found, all, slots), classes_of(list), {}
  for i, line in ipairs(list) do items[i] = item_of(line, start, class_of) end
  local then_, find = recorded(list, items, conf), chain_finder(conf, chains)
  local now = kit.simulate{ upstreams = upstreams, configuration = nowhere(conf), arrivals = items, seed = given.seed, chain_of = find }
  show(given, then_, now, other)
end

--- given: JSON of { log =, policy =, seed =, slots = { "NAME=N" }, json = }.
---@async
---@param argument string
---@return integer status
function M.run(argument)
  local given = core.json_decode(argument)
  local ok, err = kit.world(function() replay(given) end)
  if ok then return 0 end
  if type(err) ~= "table" then err = { status = 1, message = tostring(err) } end
  _G.io.stderr:write("perilune replay: ", tostring(err.message), "\n")
  return err.status or 1
end

return M

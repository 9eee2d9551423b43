--- simulate_report: what came of simulated traffic, by class, tenant and upstream.

local M = {}

local spared = { hit = true, stale = true, coalesced = true } -- what was not paid for

local Report = {}
Report.__index = Report

local function class_new()
  return { sent = 0, ok = 0, good = 0, left = 0, failed = {}, degraded = 0, tokens = 0, usd = 0, ttft = {}, total = {} }
end

--- An empty one, of the traffic in `list`.
---@param conf table       whose upstreams have prices
---@param seconds? number  that the traffic comes in; default: as long as it takes
function M.new(conf, list, seconds)
  local prices = {}
  for _, up in ipairs(conf.upstreams) do prices[up.name] = up.price end
  return setmetatable({ prices = prices, asked_seconds = seconds, classes = {}, upstreams = {}, tenants = {}, late = 0,
                        sent = #list }, Report)
end

function Report:class(name)
  self.classes[name] = self.classes[name] or class_new()
  return self.classes[name]
end

function Report:upstream(name)
  self.upstreams[name] = self.upstreams[name] or { calls = 0, by_second = {}, prompt_tokens = 0, cached_tokens = 0 }
  return self.upstreams[name]
end

--- It read a prompt, of which it remembered so many tokens.
function Report:prompt(name, tokens, cached)
  local up = self:upstream(name)
  up.prompt_tokens, up.cached_tokens = up.prompt_tokens + tokens, up.cached_tokens + cached
end

--- A call reached an upstream.
function Report:call(name, now)
  local up = self:upstream(name)
  up.calls = up.calls + 1
  local second = math.floor(now)
  up.by_second[second] = (up.by_second[second] or 0) + 1
end

-- USD, by the prices of the upstream.
local function price_of(price, usage)
  if not price or not usage then return 0 end
  local cached, input = usage.cached_tokens or 0, price.input or 0
  return ((usage.prompt_tokens - cached) * input + cached * (price.cached or input)
    + usage.completion_tokens * (price.output or 0)) / 1e6
end

-- What a tenant got in each minute, for who limits that.
function Report:count_tenant(item, reply, tokens)
  local name = item.tenant or ""
  local t = self.tenants[name] or { requests = 0, tokens = 0, by_minute = {} }
  self.tenants[name] = t
  t.requests, t.tokens = t.requests + 1, t.tokens + tokens
  local minute = math.floor((item.at + reply.total) / 60)
  t.by_minute[minute] = (t.by_minute[minute] or 0) + tokens
end

--- A request is over. late: seconds that it came behind its time, because too many ran at once.
function Report:reply(item, reply, late)
  local c = self:class(item.class or "all")
  c.sent = c.sent + 1
  if late > 0.001 then self.late = self.late + 1 end
  if reply.status == 499 then
    c.left = c.left + 1
  elseif reply.error or not reply.done then
    local code = reply.error and reply.error.code or "cut"
    c.failed[code] = (c.failed[code] or 0) + 1
  else
    local usage = reply.usage
    local tokens = usage and (usage.prompt_tokens + usage.completion_tokens) or 0
    c.ok = c.ok + 1
    if not item.slo or (reply.ttft or reply.total) <= item.slo then c.good = c.good + 1 end
    if reply.headers["x-perilune-degraded"] then c.degraded = c.degraded + 1 end
    c.tokens = c.tokens + tokens
    if not spared[reply.cache or ""] then c.usd = c.usd + price_of(self.prices[reply.upstream or ""], usage) end
    c.ttft[#c.ttft + 1], c.total[#c.total + 1] = reply.ttft or reply.total, reply.total
    self:count_tenant(item, reply, tokens)
  end
end

-- -- figures -------------------------------------------------------------------

--- Of a sorted list; nil when it is empty.
function M.percentile(sorted, p) return sorted[math.max(1, math.ceil(p * #sorted))] end

local function percentiles(list)
  table.sort(list)
  local function at(p) return M.percentile(list, p) or 0 end
  return { p50 = at(0.5), p95 = at(0.95), p99 = at(0.99), max = list[#list] or 0 }
end

local function most(t)
  local n = 0
  for _, v in pairs(t) do n = math.max(n, v) end
  return n
end

local function sum(t)
  local n = 0
  for _, v in pairs(t) do n = n + v end
  return n
end

--- Counts become figures.
---@param seconds number  how long it took, in virtual time
function Report:finish(seconds)
  self.seconds = seconds
  local all = class_new()
  for _, c in pairs(self.classes) do
    for _, key in ipairs{ "sent", "ok", "good", "left", "degraded", "tokens", "usd" } do all[key] = all[key] + c[key] end
    for code, n in pairs(c.failed) do all.failed[code] = (all.failed[code] or 0) + n end
    for _, key in ipairs{ "ttft", "total" } do
      for _, v in ipairs(c[key]) do all[key][#all[key] + 1] = v end
    end
  end
  self.all = all
  local function close(c)
    c.ttft, c.total = percentiles(c.ttft), percentiles(c.total)
    c.goodput = c.good / (self.asked_seconds or seconds)
    c.refused = sum(c.failed)
  end
  for _, c in pairs(self.classes) do close(c) end
  close(all)
  for _, up in pairs(self.upstreams) do up.most_a_second, up.by_second = most(up.by_second), nil end
  for _, t in pairs(self.tenants) do t.most_tokens_a_minute, t.by_minute = most(t.by_minute), nil end
  self.prices, self.asked_seconds = nil, nil
  return self
end

-- -- text ----------------------------------------------------------------------

local function names_of(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function row(name, c)
  return ("%-16s %8d %8d %8.2f %8d %8d | %8.3f %8.3f %8.3f | %8.3f %8.3f | %10.4f"):format(name:sub(1, 16), c.sent, c.ok,
    c.goodput, c.refused, c.left, c.ttft.p50, c.ttft.p95, c.ttft.p99, c.total.p50, c.total.p99, c.usd)
end

local function failures(c)
  local list = {}
  for _, code in ipairs(names_of(c.failed)) do list[#list + 1] = ("%s %d"):format(code, c.failed[code]) end
  return table.concat(list, ", ")
end

--- As a table for people; seconds, USD.
---@return string
function Report:text()
  local out = { ("%d requests in %.0f simulated seconds"):format(self.sent, self.seconds),
    ("%-16s %8s %8s %8s %8s %8s | %8s %8s %8s | %8s %8s | %10s"):format("class", "sent", "ok", "good/s", "failed", "left",
      "ttft p50", "p95", "p99", "all p50", "p99", "USD") }
  for _, name in ipairs(names_of(self.classes)) do out[#out + 1] = row(name, self.classes[name]) end
  if #names_of(self.classes) > 1 then out[#out + 1] = row("(all)", self.all) end
  if self.all.refused > 0 then out[#out + 1] = "failed: " .. failures(self.all) end
  if self.all.degraded > 0 then out[#out + 1] = ("degraded: %d"):format(self.all.degraded) end
  for _, name in ipairs(names_of(self.upstreams)) do
    local up = self.upstreams[name]
    local line = ("upstream %s: %d calls, at most %d a second"):format(name, up.calls, up.most_a_second)
    if up.cached_tokens > 0 then
      line = line .. (", %.1f %% of the prompts remembered"):format(100 * up.cached_tokens / up.prompt_tokens)
    end
    out[#out + 1] = line
  end
  if self.late > 0 then
    out[#out + 1] = ("%d requests came late, because more ran at once than the simulation can"):format(self.late)
  end
  return table.concat(out, "\n")
end

return M

--- cost: what rewriting a prompt costs, provider caches considered.
--
-- Providers sell the part of a prompt that they have seen before for a fraction r
-- of its price, and some take a multiple w for what they see first.  A prompt is
-- recognized from its beginning: whoever changes a message makes everything behind
-- it new.  So removing a fraction s of what stands behind the first change pays
-- only when
--
--     s > 1 - N r / (w + (N - 1) r)         N: calls that will still use the prompt
--
-- (r 0.1, w 1.25, N 10: more than half of it must go.)  What was not sent yet can be
-- shortened for nothing.  So policies open a ledger, which remembers by the hashes of
-- req:prefixes() which conversations were sent how far and what was decided then:
--
--     local ledger = cost.open(req, "mask_tools")
--     ledger.known     messages at the front that were sent while the cache still holds them
--     ledger.state     what the policy told remember() then: stick to it
--     ledger:pays(removed, behind)
--     ledger:remember(state)
--     ledger:report{ sent_removed =, behind =, ... }
--
-- or, where messages are rewritten one by one and nothing is decided:
--
--     local before = ledger:sent(i, message)
--     if rewrite(message) then ledger:rewrote(message, before) end
--     ledger:close()
--
-- Memory is bounded and may be lost; then a conversation is taken for new.

local core = require "perilune.core"
local host = require "perilune.host"
local perilune = require "perilune"

local M = {}

-- -- prices --------------------------------------------------------------------

-- The first entry whose pattern fits the model (lower case, vendor prefix removed), or
-- the upstream's host, decides.  read: r, write: w, ttl: seconds that a prefix is kept
-- at least, least: tokens below which nothing is cached.
local providers = {
  { name = "anthropic", model = { "^claude" }, host = { "anthropic" }, read = 0.1, write = 1.25, ttl = 300, least = 1024 },
  { name = "openai", model = { "^gpt%-4o", "^o1", "^o3%-mini" }, read = 0.5, write = 1, ttl = 300, least = 1024 },
  { name = "openai", model = { "^gpt%-4%.1", "^o3", "^o4" }, read = 0.25, write = 1, ttl = 300, least = 1024 },
  { name = "openai", model = { "^gpt%-", "^chatgpt", "^codex" }, host = { "openai" }, read = 0.1, write = 1, ttl = 300, least = 1024 },
  { name = "deepseek", model = { "^deepseek" }, host = { "deepseek" }, read = 0.02, write = 1, ttl = 3600, least = 64 },
  { name = "groq", host = { "groq" }, read = 0.5, write = 1, ttl = 7200, least = 128 },
  { name = "mistral", model = { "^mistral", "^magistral", "^codestral" }, host = { "mistral" }, read = 0.1, write = 1, ttl = 300, least = 64 },
  { name = "gemini", model = { "^gemini" }, host = { "googleapis" }, read = 0.1, write = 1, ttl = 300, least = 1024 },
}

-- Servers of one's own keep prefixes, too; unknown ones are taken to be as good as the best.
local unknown = { name = "unknown", read = 0.1, write = 1, ttl = 300, least = 1024 }

local function fits(patterns, text)
  for _, pattern in ipairs(patterns or {}) do
    if text:find(pattern) then return true end
  end
  return false
end

-- "anthropic/claude-x" at a reseller is the same model.
local function bare(model)
  return (model:lower():gsub("^.*/", ""))
end

--- gpt-5.6 and later: breakpoints decide what is cached, and writing costs.
---@param model string
---@return boolean
function M.has_breakpoints(model)
  local major, minor = bare(model):match("^gpt%-(%d+)%.?(%d*)")
  major, minor = tonumber(major), tonumber(minor) or 0
  return major ~= nil and (major > 5 or (major == 5 and minor >= 6 and minor < 100))
end

-- Open models that are called like a provider's are served by anybody.
local function provider_of(model, url)
  local address = (url or ""):match("^%a+://([^/:]+)") or ""
  for _, p in ipairs(providers) do
    if fits(p.model, model) and not model:find("^gpt%-oss") then return p end
  end
  for _, p in ipairs(providers) do
    if fits(p.host, address) then return p end
  end
  return unknown
end

local function answers_to(up, model)
  if up.model == model then return true end
  for _, name in ipairs(up.models or {}) do
    if name == model then return true end
  end
  return false
end

-- The upstream that the request goes to as things stand: chosen, named, or the only one.
local function upstream_of(req)
  if req.upstream then return host.describe(req.upstream) end
  local names = host.upstreams()
  for _, name in ipairs(names) do
    local up = host.describe(name)
    if up and answers_to(up, req.model) then return up end
  end
  return host.describe(req.model) or (#names == 1 and host.describe(names[1])) or nil
end

local function ratio(part, whole, default)
  if part and whole and whole > 0 then return part / whole end
  return default
end

--- What the upstream of a request takes for its tokens.
---@param req perilune.Request
---@param upstream? string  another one
---@return perilune.PriceProfile
function M.profile(req, upstream)
  local up = upstream and host.describe(upstream) or (not upstream and upstream_of(req)) or {}
  local price = up.price or {}
  local model = bare(up.model or (type(req.model) == "string" and req.model) or "")
  local p = provider_of(model, up.urls and up.urls[1])
  local breakpoints = p.name == "openai" and M.has_breakpoints(model)
  return {
    provider = p.name, upstream = up.name or "", model = model, url = up.urls and up.urls[1], breakpoints = breakpoints,
    read = ratio(price.cached, price.input, p.read),
    write = ratio(price.write, price.input, breakpoints and 1.25 or p.write),
    ttl = breakpoints and 1800 or p.ttl, least = p.least,
    input = price.input or 0, output = price.output or 0,
  }
end

--- The fraction that must go from what stands behind the first change before a
--- rewrite pays: 0 without a cache.
---@param profile perilune.PriceProfile
---@param reuse number  calls that will still use the prompt, this one included
---@return number
function M.break_even(profile, reuse)
  local r, w = profile.read, profile.write
  return math.max(0, 1 - reuse * r / (w + (reuse - 1) * r))
end

-- -- the ledger ----------------------------------------------------------------

---@class perilune.Ledger
local Ledger = {}
Ledger.__index = Ledger
Ledger.__metatable = false

-- A conversation that is new is looked for in vain in as many places.
local LOOK_BACK = 256

local function find(ledger)
  local hashes = ledger.hashes
  for i = #hashes, math.max(1, #hashes - LOOK_BACK), -1 do
    local state = core.memo_get(ledger.scope .. hashes[i])
    if state then return i, state ~= "" and state or nil end
  end
  return 0, nil
end

--- Opens the ledger of a policy for a request: before it changes anything.
---@param req perilune.Request
---@param policy string
---@param options? { upstream?: string, reuse?: number, guard?: boolean }  reuse: calls that
---       will still use the prompt, default 10; guard = false: everything pays
---@return perilune.Ledger
function M.open(req, policy, options)
  options = options or {}
  local profile = M.profile(req, options.upstream)
  local self = setmetatable({
    req = req, policy = policy, profile = profile, reuse = options.reuse or 10, guard = options.guard ~= false,
    hashes = req:prefixes(), scope = ("cost:%s:%s:"):format(policy, profile.upstream), started = core.now(),
    tokens = req:tokens(),
  }, Ledger)
  if self.tokens < profile.least then
    self.known, self.cached = 0, false
    self.state = select(2, find(self))
  else
    self.known, self.state = find(self)
    self.cached = self.known > 0
  end
  return self
end

--- Does it pay to remove `removed` tokens when `behind` tokens, those included, stand
--- behind the first change and are in the provider's cache?
---@param removed number
---@param behind number  0 when nothing of it was sent: then it always pays
---@return boolean
function Ledger:pays(removed, behind)
  if removed <= 0 then return false end
  if not self.guard or not self.cached or behind <= 0 then return true end
  return removed / behind > M.break_even(self.profile, self.reuse)
end

--- Remembers that the messages as they were when the ledger was opened are now sent,
--- and what the policy decided.
---@param state? string|number
function Ledger:remember(state)
  local hash = self.hashes[#self.hashes]
  if hash then core.memo_set(self.scope .. hash, state and tostring(state) or "", self.profile.ttl, self.req.tenant) end
end

--- The money that a rewrite saves in this call; negative when it costs.
---@param what { sent: number, new: number, kept_sent: number, kept_new: number, broke?: boolean }
---       tokens: of what was sent before and of what is new, each before and after the
---       rewrite; broke: is what was sent no longer the prefix that the provider has?
---@return number usd
---@return number tokens  the same in tokens of full price
function Ledger:net(what)
  local p = self.profile
  local r, w = p.read, p.write
  if self.tokens < p.least then r, w = 1, 1 end
  local keep = what.sent * r + what.new * w
  local rewrite = what.kept_sent * (what.broke and w or r) + what.kept_new * w
  return (keep - rewrite) * p.input / 1e6, keep - rewrite
end

--- Reports the rewrite with req:saved(): tokens, money, and the time since open().
---@param what { after?: number, sent_removed?: number, earlier?: number, behind?: number, spent?: number }
---       after: default req:tokens() now; sent_removed: how much of what is gone had been
---       sent before (default 0); behind: tokens behind the first change that lose the cache,
---       those that go with it included (default 0); earlier: how much of sent_removed was
---       missing from the last request already, so that it is not among those (default 0);
---       spent: USD that the rewriting itself cost (default 0)
function Ledger:report(what)
  local before, after = self.tokens, what.after or self.req:tokens()
  local gone = what.sent_removed or 0
  local removed = before - after
  -- What stays and is new to the provider all the same.
  local behind = what.behind or 0
  local lost = behind > 0 and math.max(0, behind - (gone - (what.earlier or 0))) or 0
  local new = math.max(0, removed - gone)
  local usd = self:net{ sent = gone + lost, kept_sent = lost, new = new, kept_new = 0, broke = lost > 0 }
  if removed < gone then usd = usd - (gone - removed) * self.profile.write * self.profile.input / 1e6 end
  self.req:saved{
    policy = self.policy, before = before, after = after, cost = usd - (what.spent or 0),
    seconds = math.max(0, core.now() - self.started),
  }
end

--- What message `index` takes, when it was sent before: for rewrote(), before it changes.
---@param index integer
---@param message perilune.Message
---@return integer? tokens
function Ledger:sent(index, message)
  if index > self.known then return nil end
  return (core.message_tokens(message, self.req.model))
end

--- Notes that a message was rewritten.
---@param message perilune.Message  as it is now
---@param before? integer           what sent() said
function Ledger:rewrote(message, before)
  local gone = before and before - core.message_tokens(message, self.req.model) or 0
  self.sent_removed = (self.sent_removed or 0) + gone
end

--- Remembers, and reports what rewrote() noted.
function Ledger:close()
  self:remember()
  if self.sent_removed then self:report{ sent_removed = self.sent_removed } end
end

-- -- when time is short --------------------------------------------------------

---@class perilune.Attempt
---@field undo fun(fn: fun())       fn takes back what comes next, if time runs out
---@field late fun(why: string)     a part was left as it is, for lack of time

local function note(res, policy)
  local known = res.headers["x-perilune-degraded"]
  res.headers["x-perilune-degraded"] = known and known .. ", " .. policy or policy
end

--- Runs work(req, attempt), which makes the prompt shorter, and then next(req).  A request whose
--- CPU time does not suffice for that (limits.cpu_ms, limits.block_ms) goes on as it came: an
--- error would come back for the same prompt, for ever.  The log says so, and the response
--- (x-perilune-degraded).
---@async
---@param req perilune.Request
---@param next fun(req: perilune.Request): perilune.Response?, perilune.Error?
---@param policy string
---@param work async fun(req: perilune.Request, attempt: perilune.Attempt): perilune.Error?
---@return perilune.Response?
---@return perilune.Error?
function M.shorten(req, next, policy, work)
  local undo, short = {}, nil
  local attempt = {
    undo = function(fn) undo[#undo + 1] = fn end,
    late = function(why) short = why end,
  }
  local done, err = perilune.attempt(work, req, attempt)
  if done and err then return nil, err end
  if not done then
    short = err
    for i = #undo, 1, -1 do undo[i]() end
  end
  if not short then return next(req) end
  req:log("warn", policy .. ": the prompt is not made shorter", { policy = policy, reason = short })
  local res, failure = next(req)
  if res then note(res, policy) end
  return res, failure
end

return M

--- boot: from the text of a configuration file to running chains.
--
-- Runs once per load in every state.  Reading files is the C side's business:
-- core.policy_source() answers from what the loading thread has read.

local check = require "perilune.check"
local config = require "perilune.config"
local core = require "perilune.core"
local frame = require "perilune.frame"
local host = require "perilune.host"
local locate = require "perilune.locate"
local program = require "perilune.program"
local sandbox = require "perilune.sandbox"

local M = {}

local call_options = { timeout = true }

-- A policy called next() without the request, or with something else.
local function no_request(req) error("next(req) takes the request, not " .. check.show(req), 3) end

local function fail(message) error(message, 0) end

-- What was thrown, as a text.
local function said(value) return tostring(sandbox.said(value)) end

--- The last `next`: the upstream that a policy chose (core.call looks), the route's, or
--- the model's.
---@param upstream? string
---@return function
function M.terminal(upstream)
  return function(req, opts)
    if type(req) ~= "userdata" then no_request(req) end
    if opts then check.known("next", opts, call_options) end
    return host.call(upstream and (req.upstream or upstream), req, opts)
  end
end

--- The queues of jobs, or nil.  As job_settings_have() has it.
local function queues_of(jobs)
  if not jobs then return nil end
  local names = { "default" }
  for _, one in ipairs(jobs.queues) do
    if one.name ~= "default" then names[#names + 1] = one.name end
  end
  return names
end

-- What C starts, without arguments: the request is fetched inside the coroutine, where memory may fail.
local function entry(chain)
  return function(req) return chain(req or core.request()) end
end

-- Behind the last policy that says who may ask: what is made of the request from here on (a job) may know it.
local function behind_guard(next)
  return function(req, opts)
    if type(req) ~= "userdata" then no_request(req) end
    core.admit(req)
    return next(req, opts)
  end
end

-- An answer that a policy composes has begun when its first piece is there (a whole one: all of them), as that of an
-- upstream has.  Who waits in front (timeout, retry) takes it for that.
local function begun(res, ...)
  if type(res) ~= "userdata" then return res, ... end
  return core.result(core.begun(res))
end

--- The last step of who asks a route: its answer has begun.
---@param run function
function M.begins(run)
  return function(req)
    if type(req) ~= "userdata" then no_request(req) end
    return begun(run(req))
  end
end

--- Policies from the outside in: each gets the next one as its second argument.
---@param policies function[]
---@param last function
---@param guard? integer  the last of them that says who may ask
function M.compose(policies, last, guard)
  local next = last
  for i = #policies, 1, -1 do
    local policy, after = policies[i], i == guard and behind_guard(next) or next
    next = function(req) return frame(policy, req, after) end
    if i > 1 then next = M.begins(next) end -- the first is called by us, with a request
  end
  return next
end

-- What OpenAI's API has besides chat, each with all below it.  ORDER: path_is_openai() knows them, too.
local other_paths = {
  "/v1/responses", "/v1/completions", "/v1/embeddings", "/v1/audio", "/v1/images", "/v1/files", "/v1/batches",
  "/v1/models",
}

-- Will no request of this route be a chat?  A path of the operator's own may get what it likes.
local function is_no_chat(route)
  local path = route.path:sub(#(route.strip_prefix or "") + 1):gsub("/?%*$", "")
  for _, other in ipairs(other_paths) do
    if path == other or path:sub(1, #other + 1) == other .. "/" then return true end
  end
  return false
end

-- The policy, and whether it never calls those behind it; or nil and what is wrong.
local function build_policy(entry, route)
  if entry.fn then return entry.fn end
  local ran, factory, err, needs = pcall(host.policy, entry.name, entry.trusted)
  if not ran then return nil, ("policy '%s': %s"):format(entry.name, said(factory)) end
  if not factory then
    local near = check.nearest(entry.name, core.policy_names())
    return nil, err .. (near and ("; did you mean '%s'?"):format(near) or "")
  end
  if needs and needs.needs == "chat" and is_no_chat(route) then
    return nil, ("policy '%s' works on chat requests, and '%s' gets none; give /v1/chat/completions a route of its own")
      :format(entry.name, route.path)
  end
  local ok, policy = sandbox.protected(frame, factory, entry.options)
  if not ok then
    local text = said(policy)
    -- config.options() names the policy itself.
    return nil, (text:find("^policy '") and "" or ("policy '%s': "):format(entry.name)) .. text
  end
  if type(policy) ~= "function" then
    return nil, ("policy '%s' made a %s, not a function(req, next)"):format(entry.name, type(policy))
  end
  return policy, needs and needs.last, needs and needs.admits
end

-- Behind the policies that say who may ask, when nothing else is wanted to be known.
local function admitted(req)
  core.admit(req)
  return core.respond({ text = "" })
end

-- What runs when a job is taken on, and what when it is done: its tenant is known by then, and its key is not kept.
local function build_parts(route, list, admits)
  local first, rest, names = {}, {}, {}
  for i, policy in ipairs(list) do
    table.insert(admits[i] and first or rest, policy)
    local named = route.policies[i]
    if admits[i] then names[#names + 1] = named.fn and "function" or named.name end
  end
  return {
    admits = table.concat(names, "\n"),
    admission = first[1] and entry(M.compose(first, admitted)) or false,
    rest = rest[1] and entry(M.compose(rest, M.terminal(route.upstream))) or false,
  }
end

-- A route by its name or path; of several with the same, the first.  Without policies it is a call.
local function route_finder(routes, chains)
  return function(name)
    local known = {}
    for i, route in ipairs(routes) do
      local label = route.name or route.path
      if route.name == name or route.path == name then
        return { index = i, label = label, run = M.begins(chains[i] or M.terminal(route.upstream)) }
      end
      known[#known + 1] = label
    end
    return nil, known
  end
end

-- blame(number, message): of a policy that is wrong; then there is no chain.
local function build_route(route, blame)
  if #route.policies == 0 then return nil, false end
  local list, trusted, whole, memory, last = {}, false, true, nil, nil
  local admits, guard = {}, nil
  for i, entry in ipairs(route.policies) do
    if last then
      blame(i, ("%s stands behind '%s', which calls upstreams itself and never what is behind it; put it in front")
        :format(entry.fn and "this function" or ("policy '%s'"):format(entry.name), last))
    end
    local policy, more, says_who = build_policy(entry, route)
    admits[i] = entry.admits or (entry.admits == nil and says_who) or false
    if (admits[i] or entry.name == "auth_keys") and memory then
      blame(i, ("%s stands behind '%s', which would %s who has no key; put it in front")
        :format(entry.fn and "this function" or ("policy '%s'"):format(entry.name), memory,
          memory == "async" and "make jobs for" or "answer"))
    end
    memory = memory or entry.name and (entry.name == "async" and "async" or entry.name:match("^cache_.*"))
    if admits[i] then guard = i end
    if not policy then blame(i, more)
    elseif more then last = last or entry.name end
    list[i], whole = policy, whole and policy ~= nil
    trusted = trusted or entry.trusted
  end
  if not whole then return nil, false end
  return entry(M.compose(list, M.terminal(route.upstream), guard)), trusted, build_parts(route, list, admits)
end

-- What C reads: no functions, empty lists marked as such.
local function plain(value)
  local kind = type(value)
  if kind == "function" or kind == "userdata" then return nil end
  if kind ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do
    if type(k) == "string" or type(k) == "number" then out[k] = plain(v) end
  end
  return out
end

-- What C finds out (a file, a variable) it can tell with its line.  The text is looked through only when it may have to.
local function lines_of(conf, text)
  if not text then return {}, {} end
  local line_of, lines, columns = nil, {}, {}
  local function note(key)
    line_of = line_of or locate.lines(text)
    lines[key], columns[key] = line_of(key)
  end
  for _, up in ipairs(conf.upstreams) do
    local at = "upstreams." .. up.name
    if up.ca then note(at .. ".ca") end
    if up.sim then note(at .. ".sim") end
    if up.engine then
      note(at .. ".engine")
      for _, name in ipairs{ "model", "library", "template", "thinking" } do note(at .. ".engine." .. name) end
    end
    if up.key.kind == "env" or up.key.kind == "file" then note(at .. ".key." .. up.key.kind) end
    if up.key.kind == "literal" then note(at .. ".key") end
  end
  if conf.tls then note("tls") end
  return lines, columns
end

local function describe(conf, text)
  local out = plain(conf)
  out.lines, out.columns = lines_of(conf, text)
  for i, route in ipairs(out.routes) do
    for k, policy in ipairs(conf.routes[i].policies) do route.policies[k] = policy.name end
  end
  return core.json_encode(out)
end

-- A program that has functions, but not one that the configuration counts on: it may come later, or be misspelled.
local function missing_functions(names, warnings)
  local known = core.host_names()
  if not known[1] then return end
  for i, name in ipairs(names) do
    if not core.host_function(name) then
      local near = check.nearest(name, known)
      warnings[#warnings + 1] = { key = ("host_functions[%d]"):format(i),
        message = ("the program has no function '%s' yet%s"):format(name, near and ("; did you mean '%s'?"):format(near) or "") }
    end
  end
end

--- Returns the configuration as JSON and, per route, its chain or false.
---@param text string
---@param file string
---@param usual? fun(raw: any): any  what it returned, with what is usual where it runs
---@return string json
---@return (function|false)[] chains
---@return boolean[] trusted
---@return ({ admission: function|false, rest: function|false }|false)[] parts  of each chain
function M.load(text, file, usual)
  local marked = text:find("trusted%s*=%s*true") ~= nil
  local chunk, err = sandbox.load(text, file, marked)
  if not chunk then fail(err) end
  local raw = sandbox.run(chunk)
  return M.build(usual and usual(raw) or raw, file, text)
end

--- What policies may ask: the names of upstreams and pools, and of each what host.describe() says.
---@param conf table  as config.check() gives it
---@return string[] names
---@return table<string, table> by_name
function M.upstreams(conf)
  local names, by_name = {}, {}
  for i, up in ipairs(conf.upstreams) do
    names[i], by_name[up.name] = up.name, up
  end
  -- A pool is to policies what its first member is, under another name.
  for _, pool in ipairs(conf.pools) do
    local as = {}
    for key, value in pairs(by_name[pool.upstreams[1].name]) do as[key] = value end
    as.name, as.model, as.models, as.members = pool.name, nil, pool.models, pool.upstreams
    names[#names + 1], by_name[pool.name] = pool.name, as
  end
  return names, by_name
end

--- The same of what the text returns.
---@param raw any
---@param file string  for messages
---@param text? string  where lines are looked for
function M.build(raw, file, text)
  local conf, errors, warnings = config.check(raw, file)
  if not conf then fail(config.format(errors, file, text)) end

  local opened, pattern, why = core.tokenizers(conf.tokenizers)
  if not opened then
    fail(config.format({ { key = "tokenizers." .. pattern, message = why } }, file, text))
  end

  local names, by_name = M.upstreams(conf)
  local chains = {}
  host.upstreams = function() return names end
  host.describe = function(name) return by_name[name] end
  host.route = route_finder(conf.routes, chains)
  local queues = queues_of(conf.jobs)
  host.queues = function() return queues end
  if conf.jobs then require("perilune.jobs").serve() end
  host.has_redis = function() return conf.cache ~= nil and conf.cache.redis ~= nil end

  local trusted, parts, wrong = {}, {}, {}
  program.declare(conf.host_functions)
  missing_functions(conf.host_functions, warnings)
  if conf.rules[1] then
    require("perilune.rules").load(conf.rules, function(i, message)
      wrong[#wrong + 1] = { key = ("rules[%d]"):format(i), message = message }
    end)
  end
  local told, over = {}, false
  for i, route in ipairs(conf.routes) do
    if over then break end -- there is no time left, or no memory
    local chain, free, both = build_route(route, function(policy, message)
      over = over or message:find(": loading took ", 1, true) ~= nil
      -- What is wrong at a line of a policy's file is so on every route.
      local at = message:match("[^%s:]+%.lua:%d+: .*")
      if at and told[at] then return end
      if at then told[at] = true end
      wrong[#wrong + 1] = { key = ("routes[%d].policies[%d]"):format(i, policy), message = message }
    end)
    chains[i], trusted[i], parts[i] = chain or false, free, both or false
  end
  if wrong[1] then fail(config.format(wrong, file, text)) end
  if warnings[1] then core.policy_doubt(config.format(warnings, file, text, true), true) end
  return describe(conf, text), chains, trusted, parts
end

return M

--- coherence: what no single key of a configuration can be blamed for.
--
-- config.lua looks at each key by itself; here are the questions that need several of them.  Is there a
-- request that this route would get?  Does a key exist for this tenant?  Who can reach what?  Two answers
-- are possible: an error, and nothing is loaded; or a warning, which `perilune check` prints, because an
-- operator may mean what is written there.

local check = require "perilune.check"
local core = require "perilune.core"

local M = {}

---@class perilune.CoherenceReport
---@field complain fun(key: string, message: string)
---@field warn fun(key: string, message: string)

-- -- routes that nobody can take -------------------------------------------------

local function stem(route) return (route.path:gsub("%*$", "")) end
local function is_prefix(route) return route.path:sub(-1) == "*" end

-- Has every request that route b takes what route a asks for?  (Their paths, hosts and tenants are compared already.)
local function takes_all_of(a, b)
  for name, pattern in pairs(a.headers or {}) do
    if not b.headers or b.headers[name] ~= pattern then return false end
  end
  if not a.methods then return true end
  local mine = {}
  for _, method in ipairs(a.methods) do mine[method] = true end
  for _, method in ipairs(b.methods or {}) do
    if not mine[method] then return false end
  end
  return b.methods ~= nil
end

-- Routes by what they are looked up with.  There may be ten thousand of them.
local function slot(path, prefix, host, tenant)
  return path .. (prefix and "*\n" or "\n") .. (host or "") .. "\n" .. (tenant or "")
end

local function add(index, route, number)
  local at = slot(stem(route), is_prefix(route), route.host, route.tenant)
  index[at] = index[at] or {}
  table.insert(index[at], number)
  if is_prefix(route) then index.lengths[#stem(route)] = true end
end

-- The earlier route that takes all that this one would, or nil.
local function taken_by(index, routes, route)
  local path, best = stem(route), nil
  local function look(at)
    for _, number in ipairs(index[at] or {}) do
      if (not best or number < best) and takes_all_of(routes[number], route) then best = number end
    end
  end
  local function look_all(stem_of_it, prefix)
    for host = 0, route.host and 1 or 0 do
      for tenant = 0, route.tenant and 1 or 0 do
        look(slot(stem_of_it, prefix, host == 1 and route.host, tenant == 1 and route.tenant))
      end
    end
  end
  for length in pairs(index.lengths) do
    if length <= #path then look_all(path:sub(1, length), true) end
  end
  if not is_prefix(route) then look_all(path, false) end
  return best
end

local function check_order(routes, report)
  local index = { lengths = {} }
  for i, route in ipairs(routes) do
    local number = route.path and taken_by(index, routes, route)
    if number then
      local first = routes[number].path
      report.complain(("routes[%d].path"):format(i), ("'%s' is taken: routes[%d]%s comes first"):format(route.path, number,
        first ~= route.path and (" ('%s')"):format(first) or ""))
    elseif route.path then
      add(index, route, i)
    end
  end
end

-- -- each route -------------------------------------------------------------------

local function check_upstream(at, route, names, known, report)
  if route.upstream and not known[route.upstream] then
    report.complain(at .. ".upstream", check.unknown("upstream", route.upstream, names))
  end
end

local function check_tenant(at, route, tenants, report)
  if not route.tenant then return end
  if not tenants then
    report.complain(at .. ".tenant", "needs `tenants`: policies, which set req.tenant, run after a route is chosen")
  elseif tenants.keys then
    local names = {}
    for _, name in pairs(tenants.keys) do
      if name == route.tenant then return end
      names[#names + 1] = name
    end
    local near = check.nearest(route.tenant, names)
    report.complain(at .. ".tenant", ("no key of `tenants` gives '%s', so nobody can take this route%s"):format(route.tenant,
      near and ("; did you mean '%s'?"):format(near) or ""))
  end
end

-- Chats and embeddings are asked for with POST, whatever a route says.
local function check_methods(at, route, report)
  local path = (route.path or ""):sub(#(route.strip_prefix or "") + 1)
  if not path:find("/chat/completions$") and not path:find("/embeddings$") then return end
  for _, method in ipairs(route.methods or {}) do
    if method ~= "POST" then
      report.complain(at .. ".methods", ("'%s' takes POST only, %s gets a 405 there"):format(route.path, method))
      return
    end
  end
end

-- What tells a route from another one of the same path.
local function conditions(route)
  local list = {}
  if route.host then list[#list + 1] = "host=" .. route.host end
  if route.tenant then list[#list + 1] = "tenant=" .. route.tenant end
  if route.methods then list[#list + 1] = "methods=" .. table.concat(route.methods, ",") end
  for _, name in ipairs(check.keys(route.headers or {})) do list[#list + 1] = name .. "=" .. route.headers[name] end
  return table.concat(list, " ")
end

-- Names for the log and the metrics.
local function name_routes(routes, report)
  local count, named = {}, {}
  for _, route in ipairs(routes) do
    if route.path then count[route.path] = (count[route.path] or 0) + 1 end
  end
  for i, route in ipairs(routes) do
    local told = route.path and count[route.path] > 1 and conditions(route) or ""
    route.label = route.name or (told ~= "" and route.path .. " " .. told or route.path)
    if route.name and named[route.name] then
      report.complain(("routes[%d].name"):format(i), ("'%s' is taken: routes[%d] has it"):format(route.name, named[route.name]))
    end
    if route.name then named[route.name] = named[route.name] or i end
  end
end

-- Members for long prompts: some of the pool's, and not all.
local function check_long(pool, seen, at, report)
  local names, once = {}, {}
  for _, member in ipairs(pool.upstreams or {}) do names[#names + 1] = member.name end
  for i, name in ipairs(pool.long.upstreams or {}) do
    local where = ("%s.long.upstreams[%d]"):format(at, i)
    if not seen[name] then report.complain(where, "is not among the pool's upstreams: " .. check.unknown("upstream", name, names)) end
    if once[name] then report.complain(where, ("'%s' stands there twice"):format(name)) end
    once[name] = true
  end
  for _, name in ipairs(names) do
    if not once[name] then return end
  end
  report.complain(at .. ".long.upstreams", "names all members of the pool; some must be left for short prompts")
end

-- Members that there are, and names that only one has.
local function check_pools(out, known, names, report)
  local upstreams, list = {}, {}
  for _, up in ipairs(out.upstreams) do
    upstreams[up.name] = true
    list[#list + 1] = up.name
  end
  for _, pool in ipairs(out.pools or {}) do
    local seen, at = {}, "pools." .. pool.name
    if known[pool.name] then report.complain(at, ("'%s' is the name of an upstream, too"):format(pool.name)) end
    for i, member in ipairs(pool.upstreams or {}) do
      local where = ("%s.upstreams[%d]"):format(at, i)
      if member.name and not upstreams[member.name] then
        report.complain(where, check.unknown("upstream", member.name, list))
      elseif member.name and seen[member.name] then
        report.complain(where, ("'%s' stands there twice; give it a weight"):format(member.name))
      end
      seen[member.name or i] = true
    end
    if pool.long then check_long(pool, seen, at, report) end
    known[pool.name] = true
    names[#names + 1] = pool.name
  end
end

local function check_breakers(out, report)
  for _, up in ipairs(out.upstreams) do
    local b = up.breaker
    if b and b.open_ms and b.max_open_ms and b.open_ms > b.max_open_ms then
      report.complain(("upstreams.%s.breaker.open"):format(up.name), "must not be above max_open")
    end
  end
end

local function check_routes(out, report)
  local names, known = {}, {}
  for i, up in ipairs(out.upstreams) do
    names[i] = up.name
    known[up.name] = true
  end
  check_pools(out, known, names, report)
  check_breakers(out, report)
  for i, route in ipairs(out.routes) do
    local at = ("routes[%d]"):format(i)
    check_upstream(at, route, names, known, report)
    check_tenant(at, route, out.tenants, report)
    check_methods(at, route, report)
  end
  check_order(out.routes, report)
  name_routes(out.routes, report)
end

-- -- what is served without a route -------------------------------------------------

-- Each with a path that stands for all of it.  ORDER: path_is_openai() in C.
local families = {
  { "/v1/chat/completions" }, { "/v1/embeddings" }, { "/v1/responses", "/v1/responses/x" }, { "/v1/completions" },
  { "/v1/audio/x" }, { "/v1/images/x" }, { "/v1/files", "/v1/files/x" }, { "/v1/batches", "/v1/batches/x" }, { "/v1/models/x" },
}

-- Does a route that asks for nothing else take this path?
local function has_route(routes, path)
  for _, route in ipairs(routes) do
    local all = route.path and not (route.host or route.headers or route.tenant)
    if all and (route.path == path or (is_prefix(route) and path:sub(1, #stem(route)) == stem(route))) then return true end
  end
  return false
end

-- With jobs.files these are served here, and ask no upstream by themselves.
local ours = { ["/v1/files"] = true, ["/v1/batches"] = true }

-- The families of which some path goes to the upstreams without a route.
local function unrouted(routes, keeps_files)
  local list = {}
  for _, paths in ipairs(families) do
    local open, served = false, keeps_files and ours[paths[1]]
    for _, path in ipairs(paths) do open = open or not (served or has_route(routes, path)) end
    if open then list[#list + 1] = (paths[1]:gsub("/x$", "/*")) end
  end
  return list
end

-- Policies on one path say that somebody wants to decide what models are asked; other paths go round them.
local function check_unrouted(out, report)
  local policies = 0
  for _, route in ipairs(out.routes) do
    policies = policies + #(route.policies or {})
    out.guarded = out.guarded or route.guarded or false
  end
  if out.guarded and out.unrouted then
    report.complain("unrouted", "cannot be true where a route has auth_keys: clients without a key would be served")
  end
  out.guarded = out.guarded or out.unrouted == false
  local open = policies > 0 and not out.guarded and out.unrouted == nil
    and unrouted(out.routes, out.jobs and out.jobs.files) or {}
  if #open > 0 then
    report.warn("routes", ("these paths have no route and go to the upstreams without any policy: %s; give them routes, or set "
      .. "unrouted = false, so that they get a 404, or unrouted = true, if that is meant"):format(table.concat(open, ", ")))
  end
end

-- -- paths that are taken ------------------------------------------------------------

local function is_under(path, root) return path == root or path:sub(1, #root + 1) == root .. "/" end

-- A GET of websocket.path is a handshake or refused, and so is every other request to it.
local function check_websocket(out, report)
  local at, path = "websocket.path", out.websocket and out.websocket.on and out.websocket.path
  if not path then return end
  for i, route in ipairs(out.routes) do
    if route.path == path then report.complain(at, ("is the path of routes[%d], which nobody could ask then"):format(i)) end
  end
  for _, paths in ipairs(families) do
    local root = paths[1]:gsub("/x$", "")
    if is_under(path, root) then
      report.complain(at, ("'%s' is a path of OpenAI's API, which nobody could ask then; take one of its own, such as /v1/ws")
        :format(path))
      return
    end
  end
  if is_under(path, "/v1/async") then report.complain(at, "'/v1/async' is where jobs are; take a path of its own, such as /v1/ws") end
end

-- With jobs all of /v1/async is answered before a route is looked for; with jobs.files, files and batches are.
local function check_jobs_paths(out, report)
  for i, route in ipairs(out.jobs and out.routes or {}) do
    local path = route.path and stem(route):gsub("/$", "") or ""
    if is_under(path, "/v1/async") then
      report.complain(("routes[%d].path"):format(i), "is under /v1/async, which is answered by jobs: no request comes here. Who "
        .. "may ask for a job of /v1/chat/completions is said by the route of that path")
    elseif out.jobs.files and (is_under(path, "/v1/files") or is_under(path, "/v1/batches")) then
      report.warn(("routes[%d].path"):format(i), "files and batches are served here (jobs.files): no request comes to this route")
    end
  end
end

-- -- the rest -----------------------------------------------------------------------

local function check_listeners(out, report)
  for i, listen in ipairs(out.listen or {}) do
    if listen == out.admin and not listen:find(":0$") then
      report.complain("admin", ("is the same address as listen[%d]"):format(i))
    end
  end
  if out.admin and out.admin:sub(1, 1) == ":" then
    report.warn("admin", ("'%s' names no host, so everybody who reaches this machine may reload and read what is asked: the "
      .. "listener asks for no key; write \"127.0.0.1%s\", or \"0.0.0.0%s\" if that is meant"):format(out.admin, out.admin, out.admin))
  end
end

local function check_limits(limits, report)
  if limits.low_water and limits.high_water and limits.low_water >= limits.high_water then
    report.complain("limits.low_water", "must be below limits.high_water")
  end
end

-- -- caches ---------------------------------------------------------------------------

-- The names of their memories.
local memories = { cache_exact = "exact", cache_semantic = "semantic", cache_retrieval = "retrieval" }

-- Paths of which no answer is kept.
local function is_kept(route)
  local path = (route.path or ""):sub(#(route.strip_prefix or "") + 1)
  return is_prefix(route) or path:find("/chat/completions$") or path:find("/embeddings$")
end

local function check_cache(at, route, policy, limits, owners, report)
  local options = type(policy.options) == "table" and policy.options or {}
  local name = options.name or memories[policy.name]
  if limits.max_bytes == 0 then
    report.warn(at, ("'%s' keeps nothing: cache.max_bytes is 0"):format(policy.name))
  end
  if policy.name ~= "cache_retrieval" and not is_kept(route) then
    report.warn(at, ("'%s' keeps nothing of '%s': only chats and embeddings are kept"):format(policy.name, route.path or ""))
  end
  local most = check.size(options.max_entry or 2 ^ 20)
  if options.max_entry and most and limits.max_bytes and limits.max_bytes > 0 and most > limits.max_bytes / 16 then
    report.warn(at, ("max_entry of '%s' is %d bytes, but an entry has a sixteenth of cache.max_bytes at most, %d bytes"):format(
      policy.name, most, limits.max_bytes / 16))
  end
  if owners[name] and owners[name].name ~= policy.name then
    report.warn(at, ("'%s' and the '%s' of %s are one memory, '%s': a purge of it means both; give one of them another name"):format(
      policy.name, owners[name].name, owners[name].at, tostring(name)))
  end
  owners[name] = owners[name] or { name = policy.name, at = at }
end

local function check_caches(out, report)
  local owners = {}
  for i, route in ipairs(out.routes) do
    for k, policy in ipairs(route.policies or {}) do
      local at = ("routes[%d].policies[%d]"):format(i, k)
      if memories[policy.name] then check_cache(at, route, policy, out.cache or {}, owners, report) end
    end
  end
end

-- -- policies that do nothing where they stand, or not what was meant ------------------------------

local words_of_keys = { "tenant", "model", "upstream", "peer" }

-- A header may have any name, so one that is nearly a word of ours is no error.
local function check_word(at, policy, option, value, report)
  if type(value) ~= "string" or value:find("-", 1, true) then return end
  for _, word in ipairs(words_of_keys) do
    if value == word then return end
  end
  local near = check.nearest(value, words_of_keys)
  if near then
    report.warn(at, ("%s = \"%s\" of '%s' is taken for the name of a header; did you mean \"%s\"?"):format(option, value, policy, near))
  end
end

local keyed = { limit = true, budget = true, canary = true, shadow = true }

local function check_keys(at, policy, options, report)
  if not keyed[policy.name] then return end
  local list = type(options.key) == "table" and options.key or { options.key }
  for _, value in ipairs(list) do check_word(at, policy.name, "key", value, report) end
end

-- Names of gates that the configuration makes.
local function gates_of(out)
  local gates, names = {}, {}
  for _, route in ipairs(out.routes) do
    for _, policy in ipairs(route.policies or {}) do
      local name = policy.name == "priority" and (type(policy.options) == "table" and policy.options.name or "default")
      if name and not gates[name] then names[#names + 1] = name end
      if name then gates[name] = true end
    end
  end
  return gates, names
end

local function check_gate(at, options, gates, names, report)
  local saturation = type(options.saturation) == "table" and options.saturation or nil
  local name = saturation and (saturation.gate or "default")
  if type(name) ~= "string" or gates[name] then return end
  local near = check.nearest(name, names)
  report.warn(at, ("saturation.gate = \"%s\": no policy `priority` has this name, so nothing fills it, unless a policy of your own "
    .. "makes it (perilune.gate)%s"):format(name, near and ("; did you mean \"%s\"?"):format(near) or ""))
end

local function check_file(at, options, report)
  local folder = type(options.file) == "string" and (options.file:match("^(.*)/[^/]*$"))
  if not folder or folder == "" or core.is_folder(folder) then return end
  report.warn(at, ("there is no folder %s, so 'capture' keeps nothing in %s; make it before the gateway is started"):format(
    check.show(folder), check.show(options.file)))
end

local function is_chat(route) return (route.path or ""):sub(#(route.strip_prefix or "") + 1):find("/chat/completions$") ~= nil end

-- A hit needs no slot: behind the gate it waits for one.
local function check_places(i, route, report)
  local gate
  for k, policy in ipairs(route.policies or {}) do
    local at = ("routes[%d].policies[%d]"):format(i, k)
    if policy.name == "priority" then gate = gate or k end
    if gate and (policy.name == "cache_exact" or policy.name == "cache_semantic") then
      report.warn(at, ("'%s' stands behind 'priority' (policies[%d]), so what it has waits for a slot that is for calls; put it in "
        .. "front"):format(policy.name, gate))
    end
    if policy.name == "batch_embeddings" and is_chat(route) then
      report.warn(at, ("'batch_embeddings' does nothing on '%s': it is for /v1/embeddings"):format(route.path))
    end
  end
end

local function check_policies(out, report)
  local gates, names = gates_of(out)
  for i, route in ipairs(out.routes) do
    for k, policy in ipairs(route.policies or {}) do
      local at = ("routes[%d].policies[%d]"):format(i, k)
      local options = type(policy.options) == "table" and policy.options or {}
      check_keys(at, policy, options, report)
      if policy.name == "degrade" then check_gate(at, options, gates, names, report) end
      if policy.name == "capture" then check_file(at, options, report) end
    end
    check_places(i, route, report)
  end
  for _, pool in ipairs(out.pools or {}) do
    check_word("pools." .. pool.name .. ".key", "sticky", "key", pool.key, report)
  end
end

--- Looks at a configuration whose keys are checked; gives its routes their labels.
---@param out table
---@param report perilune.CoherenceReport
function M.check(out, report)
  check_routes(out, report)
  check_unrouted(out, report)
  check_websocket(out, report)
  check_jobs_paths(out, report)
  check_limits(out.limits, report)
  check_listeners(out, report)
  check_caches(out, report)
  check_policies(out, report)
end

return M

--- config: the configuration file, checked.
--
-- config.check() takes the table that a configuration file returned and gives
-- back a plain one in which nothing is missing and everything has one form:
-- sizes in bytes, durations in milliseconds under KEY_ms, upstreams as a list
-- sorted by name, policies as { name, options, fn, trusted }.  Or it gives back
-- everything that is wrong at once, each with the path of its key:
--
--     perilune.lua: upstreams.big.urll: unknown key 'urll'; did you mean 'url'?
--
-- It opens no file and looks up no name: what a key refers to outside of the
-- table (certificates, environment, policy files) is for the caller to find.

local breaker = require "perilune.breaker"
local check = require "perilune.check"
local coherence = require "perilune.coherence"
local core = require "perilune.core"
local engine = require "perilune.engine"
local values = require "perilune.config_values"
local walk_cache = require "perilune.config_cache"
local walk_jobs = require "perilune.config_jobs"
local walking = require "perilune.config_walk"

local complain, join, walk, section = walking.complain, walking.join, walking.walk, walking.section
local seconds, size, count, file = walking.seconds, walking.size, walking.count, walking.file
local one_or_more, header_name = walking.one_or_more, values.header_name

local M = {}

---@class perilune.ConfigError
---@field key string      path of the key: "upstreams.big.url", "routes[1].path"
---@field message string  what is wrong, and what would be right

-- -- upstreams -----------------------------------------------------------------

local function walk_key(ctx, path, value)
  if type(value) == "string" and value ~= "" and not value:find("[%c%s]") then
    if value == "client" then return { kind = "client" } end
    return { kind = "literal", value = value }
  end
  if type(value) == "table" then
    local out = walk(ctx, path, value, { env = { type = "string", min = 1 }, file = file })
    if out.env and not out.file then return { kind = "env", value = out.env } end
    if out.file and not out.env then return { kind = "file", value = out.file } end
  end
  complain(ctx, path, "must be a string, { env = \"NAME\" }, { file = \"PATH\" } or \"client\"")
  return nil
end

local function walk_sim(ctx, path, value)
  if type(value) ~= "table" then
    complain(ctx, path, "must be a table such as { ttft_ms = 20, itl_ms = 5, tokens = 64 }")
    return nil
  end
  local out = {}
  for _, key in ipairs(check.keys(value)) do
    local kind = type(value[key])
    if type(key) ~= "string" or (kind ~= "string" and kind ~= "number" and kind ~= "boolean") then
      complain(ctx, join(path, key), "must be a name with a number, string or boolean")
    else
      out[key] = value[key]
    end
  end
  return out
end

local price = { type = "number", min = 0, default = 0 }
local part_price = { type = "number", min = 0 } -- default: what the provider is known to take, see cost.lua

local upstream_schema = {
  url = one_or_more(values.base_url, 16),
  sim = { walk = walk_sim },
  engine = { walk = function(ctx, path, raw) return walk(ctx, path, raw, engine.schema(file)) end },
  model = { type = "string", min = 1 },
  models = { type = "list", of = { type = "string", min = 1 }, default = {} },
  key = { walk = walk_key, default = { kind = "none" } },
  price = section { input = price, output = price, cached = part_price, write = part_price },
  forward_headers = { type = "list", of = header_name, default = {} },
  pass_headers = { type = "list", of = values.passed_name, default = values.passed },
  headers = { type = "map", of = { type = "string" }, check = values.check_headers, default = {} },
  usage = { type = "string", one_of = { "ask", "leave" }, default = "ask" },
  reasoning = { type = "boolean" },
  prefill = { type = "string", one_of = { "assistant", "prefix", "continue_final_message" } },
  http2 = { type = "boolean", default = false },
  proxy = values.proxy_url,
  ca = file,
  insecure = { type = "boolean", default = false },
  timeouts = section {
    connect = seconds(5), headers = seconds(60), first_token = seconds(60), idle = seconds(60), total = seconds(600),
  },
  max_body = { type = "size", default = 16 * 2 ^ 20, min = 1024 },
  max_event = { type = "size", default = 16 * 2 ^ 20, min = 1024 },
  breaker = section(breaker.settings),
}

-- Upstreams and pools have names, which are the keys: a list of what stands under them, sorted by name.
-- finish(ctx, path, one, raw) looks at what was walked and what was written.
local function walk_named(schema, example, finish)
  return function(ctx, path, value)
    local out = {}
    if type(value) ~= "table" then
      complain(ctx, path, "must be a table such as " .. example)
      return out
    end
    for _, name in ipairs(check.keys(value)) do
      local at = join(path, name)
      if type(name) ~= "string" or name == "" or name:find("[^%g]") or #name > 63 then
        complain(ctx, at, "must have a name without spaces, at most 63 characters, as its key")
      else
        local one = walk(ctx, at, value[name], schema)
        finish(ctx, at, one, type(value[name]) == "table" and value[name] or {})
        one.name = name
        out[#out + 1] = one
      end
    end
    return out
  end
end

local walk_upstreams = walk_named(upstream_schema, "{ big = { url = \"https://...\" } }", function(ctx, at, up, raw)
  local problem = engine.problem(raw)
  if problem then complain(ctx, at, problem) end
  up.urls, up.url = up.url or {}, nil
end)

-- -- pools ---------------------------------------------------------------------

-- ORDER: enum pick_how in C.
local ways = { "weighted", "least_outstanding", "latency", "price", "sticky", "prefix" }

local member_schema = {
  weight = { type = "number", default = 1, min = 0.001, max = 1e6 },
  region = { type = "string", min = 1 },
  spot = { type = "boolean", default = false },
}

-- "a", or { "a", weight = 2, region = "eu", spot = true }
local function walk_member(ctx, path, value)
  local given = type(value) == "table" and value or { value }
  local fields = {}
  for key, v in pairs(given) do
    if key ~= 1 then fields[key] = v end
  end
  local out = walk(ctx, path, fields, member_schema)
  if type(given[1]) == "string" then out.name = given[1]
  else complain(ctx, path, "must be the name of an upstream, or { \"NAME\", weight = 2 }, got " .. check.show(value)) end
  return out
end

local function walk_members(ctx, path, value)
  if type(value) ~= "table" or #value == 0 then
    complain(ctx, path, "must be a list of upstreams such as { \"a\", \"b\", { \"c\", weight = 2 } }")
    return {}
  end
  if #value > 64 then complain(ctx, path, ("has %d members, 64 are the most"):format(#value)) end
  local out = {}
  for i, member in ipairs(value) do out[i] = walk_member(ctx, join(path, i), member) end
  return out
end

local long_schema = {
  upstreams = { type = "list", of = { type = "string", min = 1 }, min = 1,
                required = "is missing: those of the pool's upstreams that get long prompts" },
  above = { type = "integer", default = 4000, min = 1, max = 1e9 },
}

local pool_schema = {
  upstreams = { walk = walk_members, required = "is missing: a list of upstreams such as { \"a\", \"b\" }" },
  choose = { type = "string", one_of = ways, default = "weighted" },
  key = { type = "string", min = 1, default = "tenant" },
  region = { type = "string", min = 1 },
  models = { type = "list", of = { type = "string", min = 1 }, default = {} },
  retries = { type = "integer", default = 2, min = 0, max = 5 },
  long = { walk = function(ctx, path, value) return walk(ctx, path, value, long_schema) end },
}

local walk_pools = walk_named(pool_schema, "{ chat = { upstreams = { \"a\", \"b\" } } }", function(ctx, at, pool, raw)
  if raw.key ~= nil and pool.choose ~= "sticky" then complain(ctx, join(at, "key"), "is for choose = \"sticky\"") end
  if pool.key == "tenant" then pool.key = nil else pool.key = pool.key and pool.key:lower() end
end)

-- -- tokenizers ----------------------------------------------------------------

-- ORDER: vocab_builtin.c, models.c have the same.
local vocabularies = { "cl100k_base", "o200k_base", "o200k_harmony" }
local forms = { "openai", "harmony", "chatml", "llama3", "deepseek" }

local tokenizer_schema = {
  vocabulary = { type = "string", min = 1, required = "is missing: a file, or " .. table.concat(vocabularies, ", ") },
  chat = { type = "string", one_of = forms },
}

local function is_vocabulary(name)
  for _, known in ipairs(vocabularies) do
    if name == known then return true end
  end
  return false
end

-- A file has a dot or a slash in its name, a vocabulary of ours has neither.
local function vocabulary_of(ctx, path, name)
  if is_vocabulary(name) then return name end
  if not name:find("[./]") then
    complain(ctx, path, check.unknown("vocabulary", name, vocabularies) .. "; a file is written with its ending")
    return nil
  end
  return walking.absolute(ctx, name)
end

-- { ["gpt-*"] = "o200k_base", ["my-llama*"] = { vocabulary = "llama.vocab", chat = "llama3" } }
local function walk_tokenizers(ctx, path, value)
  local out = {}
  if type(value) ~= "table" then
    complain(ctx, path, "must be a table such as { [\"my-llama*\"] = \"llama.vocab\" }, got " .. check.show(value))
    return out
  end
  for _, pattern in ipairs(check.keys(value)) do
    local at, what = join(path, pattern), value[pattern]
    if type(pattern) ~= "string" or pattern == "" or #pattern > 128 or pattern:find("[%c%s]") then
      complain(ctx, at, "must have a model's name as its key, with * for any text, at most 128 characters")
    elseif type(what) == "string" or type(what) == "table" then
      local entry = type(what) == "string" and { vocabulary = what } or walk(ctx, at, what, tokenizer_schema)
      entry.pattern = pattern
      if entry.vocabulary then entry.vocabulary = vocabulary_of(ctx, at, entry.vocabulary) end
      out[#out + 1] = entry
    else
      complain(ctx, at, "must be a vocabulary or { vocabulary = ..., chat = ... }, got " .. check.show(what))
    end
  end
  return out
end

-- -- routes --------------------------------------------------------------------

local function walk_policy(ctx, path, value)
  if type(value) == "string" or type(value) == "function" then value = { value } end
  local first = type(value) == "table" and value[1]
  if type(first) ~= "function" and (type(first) ~= "string" or first == "" or first:find("[^%w_%-]")) then
    complain(ctx, path, "must be \"NAME\", { \"NAME\", option = ... } or function(req, next) ... end")
    return nil
  end
  local out = { options = {}, trusted = ctx.trusted }
  if type(first) == "function" then out.fn, out.name = first, path else out.name = first end
  for _, key in ipairs(check.keys(value)) do
    if key == "trusted" then
      if type(value.trusted) ~= "boolean" then complain(ctx, join(path, key), "must be true or false") end
      out.trusted = value.trusted == true
    elseif key == "admits" then
      if type(value.admits) ~= "boolean" then complain(ctx, join(path, key), "must be true or false") end
      out.admits = value.admits
    elseif type(key) == "string" then
      out.options[key] = value[key]
    elseif key ~= 1 then
      complain(ctx, join(path, key), "is not an option: options have names, one policy a table")
    end
  end
  return out
end

local function walk_list(element)
  return function(ctx, path, value)
    local out = {}
    if type(value) ~= "table" or not check.is_list(value) then
      complain(ctx, path, "must be a list, got " .. check.show(value))
      return out
    end
    for i, v in ipairs(value) do out[#out + 1] = element(ctx, join(path, i), v) end
    return out
  end
end

local function check_path(v)
  if v:sub(1, 1) ~= "/" or v:find("[%c%s?#]") then
    return nil, ("must start with / and have no spaces, ? or #, got %q"):format(v)
  end
  local star = v:find("*", 1, true)
  if star and star < #v then return nil, ("may have a * only at its end, got %q"):format(v) end
  -- What stands before a * may end within a segment: with a letter behind it, that is no '.' or '..'.
  local normal, problem = core.path_normal(star and v:sub(1, -2) .. "x" or v)
  if not normal then return nil, ("%q cannot be asked for: %s"):format(v, problem) end
  return star and normal:sub(1, -2) .. "*" or normal
end

local function check_method(v)
  if not v:find("^%u+$") then return nil, ("is not an HTTP method in capitals: %q"):format(v) end
  return v
end

-- "api.example.com", "*.example.com"; a port is not compared.
local function check_host(v)
  local name = v:lower()
  local rest = name:match("^%*%.(.+)$") or name
  if not rest:find("^[%w%-_]+[%w%.%-_]*$") and not rest:find("^%[[%x:%.]+%]$") then
    return nil, ("must be a host such as \"api.example.com\" or \"*.example.com\", without a port, got %q"):format(v)
  end
  return name
end

-- Names of headers in lower case, each with the pattern of its value.
local function check_patterns(map)
  local out = {}
  for _, name in ipairs(check.keys(map)) do
    local problem = values.line_problem(name, map[name])
    if problem then return nil, problem end
    out[name:lower()] = map[name]
  end
  return out
end

local function check_prefix(v)
  if v:sub(1, 1) ~= "/" or v:sub(-1) == "/" or v:find("[%c%s?#*]") then
    return nil, ("must be the beginning of a path such as \"/team\", without / at its end, got %q"):format(v)
  end
  return v
end

local function check_route_name(v)
  if v:find("%c") then return nil, "must not have control bytes in it" end
  return v
end

local route_schema = {
  name = { type = "string", min = 1, max = 64, check = check_route_name },
  path = { type = "string", check = check_path, required = "is missing: which path is this route for?" },
  policies = { walk = walk_list(walk_policy), default = {} },
  upstream = { type = "string", min = 1 },
  methods = { type = "list", of = { type = "string", check = check_method }, min = 1 },
  host = { type = "string", check = check_host },
  headers = { type = "map", of = { type = "string" }, check = check_patterns },
  tenant = { type = "string", min = 1, max = 127 },
  strip_prefix = { type = "string", check = check_prefix },
}

local function walk_route(ctx, path, value)
  local out = walk(ctx, path, value, route_schema)
  local prefix = out.strip_prefix
  if prefix and out.path and (out.path .. "/"):sub(1, #prefix + 1) ~= prefix .. "/" then
    complain(ctx, join(path, "strip_prefix"), ("is no beginning of the route's path '%s'"):format(out.path))
  end
  for _, policy in ipairs(out.policies) do out.guarded = out.guarded or policy.name == "auth_keys" end
  return out
end

-- -- tenants -------------------------------------------------------------------

local function check_digests(map)
  local out = {}
  for _, digest in ipairs(check.keys(map)) do
    if #digest ~= 64 or digest:find("%X") then
      return nil, "has a key that is no SHA-256 in hex (64 digits); make one with: printf %s \"$KEY\" | sha256sum"
    end
    out[digest:lower()] = map[digest]
  end
  return out
end

local tenants_schema = {
  header = header_name,
  keys = { type = "map", of = { type = "string", min = 1, max = 127 }, check = check_digests },
}

local secrets = { "authorization", "cookie", "api%-?_?key", "token", "secret", "passw", "credential" }

-- Does a header of this name hold what nobody else may know?  ORDER: is_secret() of job_question.c.
local function is_secret(name)
  for _, part in ipairs(secrets) do
    if name:find(part) then return true end
  end
  return false
end

local function walk_tenants(ctx, path, value)
  local out = walk(ctx, path, value, tenants_schema)
  if type(value) == "table" and not out.keys and value.keys == nil then
    if out.header and is_secret(out.header) then
      complain(ctx, join(path, "header"), ("needs `keys` beside it: without them the value of '%s' is the tenant's name, "
        .. "and keys of clients would stand in the log and the metrics"):format(out.header))
    elseif value.header == nil then
      complain(ctx, path, "needs keys = { [SHA-256 in hex] = \"TENANT\" }, whose clients send a key in `authorization`; "
        .. "or header = \"x-tenant\", a header that a proxy in front sets to the tenant's name")
    end
  end
  out.header = out.header or "authorization"
  return out
end

-- -- the whole file ------------------------------------------------------------

local limits_schema = {
  body = size(16 * 2 ^ 20),
  cpu_ms = count(50, 1, 60000), block_ms = count(10, 1, 60000),
  calls = count(1000, 1, 2 ^ 20), open_calls = count(64, 1, 65536), fetches = count(256, 1, 65536),
  memory = size(64 * 2 ^ 20, 2 ^ 20),
  header_timeout = seconds(10), body_timeout = seconds(60), idle_timeout = seconds(75), send_timeout = seconds(60),
  request_timeout = seconds(600),
  connections = count(65536, 1, 2 ^ 24),
  keepalive_comment = seconds(15, 0),
  high_water = size(256 * 2 ^ 10, 4096), low_water = size(64 * 2 ^ 10),
}

-- What cannot be interrupted is part of what a request may use.
local function walk_limits(ctx, path, raw)
  local out = walk(ctx, path, raw, limits_schema)
  if out.block_ms and out.cpu_ms and out.block_ms > out.cpu_ms then
    if type(raw) == "table" and raw.block_ms ~= nil then
      complain(ctx, join(path, "block_ms"), ("must not be above limits.cpu_ms, which is %d: a request never has that much")
        :format(out.cpu_ms))
    end
    out.block_ms = out.cpu_ms
  end
  return out
end

--- What stands under `limits`, with all that is missing; throws at who called the caller. For the test kit.
---@param value table
---@return table
function M.limits(value)
  local ctx = { errors = {}, folder = "" }
  local out = walk_limits(ctx, "limits", value)
  local wrong = ctx.errors[1]
  if wrong then error(("%s: %s"):format(wrong.key, wrong.message), 3) end
  return out
end

-- compress = true | false | { min_size = "1KiB", streams = true }; off is a least size of 0.
local compress_schema = { min_size = size(1024), streams = { type = "boolean", default = false } }
local compress = {
  always = true,
  walk = function(ctx, path, value)
    if type(value) ~= "boolean" then return walk(ctx, path, value, compress_schema) end
    local out = walk(ctx, path, {}, compress_schema)
    if not value then out.min_size = 0 end
    return out
  end,
}

local function check_origin(v)
  if v == "*" or v == "null" then return v end
  local host = v:match("^%a[%w+.-]*://([^/%s%c]+)$")
  if not host then
    return nil, ("must be an origin such as \"https://app.example.com\", without a path, or \"*\", got %q"):format(v)
  end
  if host:find("*", 1, true) and not host:find("^%*%.[^*]+$") then
    return nil, ("may have a * only for the first part of its name, \"https://*.example.com\", got %q"):format(v)
  end
  return v:lower()
end

local cors_schema = {
  origins = { type = "list", of = { type = "string", check = check_origin }, min = 1,
              required = "is missing: which pages may call? { \"https://app.example.com\" }, or { \"*\" } for all" },
  headers = { type = "list", of = header_name, default = {} },
  expose = { type = "list", of = header_name },
  credentials = { type = "boolean", default = false },
  max_age = seconds(3600, 0),
}

-- What scripts may see when they cannot be told "all of it".
local exposed = { "x-request-id", "x-perilune-upstream", "x-perilune-saved-tokens", "x-perilune-degraded", "x-cache",
                  "x-cache-similarity", "x-cache-entry", "age", "retry-after" }

local function walk_cors(ctx, path, raw)
  local out = walk(ctx, path, raw, cors_schema)
  for _, origin in ipairs(out.credentials and out.origins or {}) do
    if origin == "*" then
      complain(ctx, path .. ".credentials", "cannot be true with the origin \"*\": any page could act for who visits it")
    end
  end
  out.expose = table.concat(out.expose or (out.credentials and exposed or { "*" }), ", ")
  out.headers = table.concat(out.headers or {}, ", ")
  return out
end

-- websocket = true | false | { path = "/v1/ws", ... }
local websocket_schema = {
  path = {
    type = "string", default = "/v1/ws", max = 1000,
    check = function(v)
      if v:find("^/[%w%-._~/]*$") then return v end
      return nil, ("must be a path of letters, digits and -._~/, such as \"/v1/ws\", got %q"):format(v)
    end,
  },
  max_message = size(nil), max_requests = count(32, 1, 4096),
  ping = seconds(30, 0), pong = seconds(20), idle = seconds(3600, 0),
  headers = { type = "list", of = values.message_header, max = 100,
              default = { "x-request-id", "cache-control", "idempotency-key", "traceparent", "tracestate", "openai-*",
                          "x-feedback*" } },
}
local websocket = {
  always = true,
  walk = function(ctx, path, value)
    local out = walk(ctx, path, type(value) == "boolean" and {} or value, websocket_schema)
    out.on = value ~= false
    return out
  end,
}

local file_schema = {
  jobs = { walk = walk_jobs },
  listen = one_or_more(values.address, 16),
  admin = values.address,
  workers = count(0, 1, 256),
  tls = {
    walk = function(ctx, path, raw)
      return walk(ctx, path, raw, { cert = walking.required(file, "is missing: a certificate chain in PEM"),
                                    key = walking.required(file, "is missing: the private key in PEM") })
    end,
  },
  upstreams = { walk = walk_upstreams, default = {} },
  pools = { walk = walk_pools, default = {} },
  routes = { walk = walk_list(walk_route), default = {} },
  unrouted = { type = "boolean" }, -- default: yes, where nobody needs a key
  tenants = { walk = walk_tenants },
  tokenizers = { walk = walk_tokenizers, default = {} },
  rules = { type = "list", of = { type = "string", min = 1, max = 100 }, default = {} },
  host_functions = { type = "list", of = { type = "string", min = 1, max = 63 }, default = {} },
  limits = { always = true, walk = walk_limits },
  compress = compress,
  cors = { walk = walk_cors },
  websocket = websocket,
  cache = { always = true, walk = walk_cache },
  trusted = { type = "boolean", default = false },
  log = section {
    access = { type = "boolean", default = true },
    level = { type = "string", one_of = { "error", "warn", "info", "debug" }, default = "info" },
  },
  drain_timeout = seconds(30, 0),
  watch = { type = "boolean", default = false },
  reuse_port = { type = "boolean", default = false },
}

-- Headers that are kept with a job: those that were named for it, and those that routes and upstreams ask for by name.
local function headers_of_jobs(ctx, out)
  local names, seen = {}, {}
  local function add(name)
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  for i, name in ipairs(out.jobs.headers) do
    if is_secret(name) or name:find("^x%-perilune%-") then
      complain(ctx, ("jobs.headers[%d]"):format(i), ("'%s' is never kept with a job: %s"):format(name,
        is_secret(name) and "its value would be a secret in the queue" or "it is said to the queue"))
    end
    add(name)
  end
  for _, up in ipairs(out.upstreams) do
    for _, name in ipairs(up.forward_headers or {}) do add(name) end
  end
  for _, route in ipairs(out.routes) do
    for _, name in ipairs(check.keys(route.headers or {})) do add(name) end
  end
  return names
end

--- The keys that a configuration may have, for its man page.
---@return string[]
function M.keys() return check.keys(file_schema) end

--- Checks what a configuration file returned.
---@param raw any
---@param file_name string  for messages; relative paths start in its folder
---@return table? normalized
---@return perilune.ConfigError[]? errors
---@return perilune.ConfigError[]? warnings  of a configuration that is right
function M.check(raw, file_name)
  local ctx = { errors = {}, folder = file_name:match("^(.*/)[^/]*$") or "" }
  if type(raw) ~= "table" then
    complain(ctx, "", "the file must return a table, got " .. check.show(raw))
    return nil, ctx.errors
  end
  ctx.trusted = raw.trusted == true
  local out = walk(ctx, "", raw, file_schema)
  out.listen = out.listen or { "127.0.0.1:8080" }
  out.websocket.max_message = out.websocket.max_message or out.limits.body -- a body is the most of a message
  if out.jobs and out.jobs.headers then out.jobs.headers = headers_of_jobs(ctx, out) end
  local warnings = {}
  coherence.check(out, {
    complain = function(key, message) complain(ctx, key, message) end,
    warn = function(key, message) warnings[#warnings + 1] = { key = key, message = message } end,
  })
  if #ctx.errors > 0 then return nil, ctx.errors end
  return out, nil, warnings
end

--- The errors as lines: FILE: KEY: MESSAGE, or FILE:LINE: KEY: MESSAGE when the
--- text of the file is given and the key is found in it.
---@param errors perilune.ConfigError[]
---@param file_name string
---@param source? string
---@param as_warnings? boolean  what they are to perilune_check()
---@return string
function M.format(errors, file_name, source, as_warnings)
  local line_of = source and require("perilune.locate").lines(source)
  local out = {}
  for i, e in ipairs(errors) do
    local line, column
    if line_of then line, column = line_of(e.key) end
    core.finding(as_warnings or false, file_name, line, column, e.key, e.message)
    out[i] = file_name .. (line and ":" .. line or "") .. ": "
      .. (e.key ~= "" and e.key .. ": " or "") .. e.message
  end
  return table.concat(out, "\n")
end

-- -- options of policies -------------------------------------------------------

--- Checks the options of a policy and fills in defaults.  Throws a sentence with
--- the policy, each option that is wrong and the nearest known name.
---@param spec table<string, perilune.Spec>
---@param options table?
---@param where string  name of the policy
---@return table options  a new table
function M.options(spec, options, where)
  if options == nil then options = {} end
  if type(options) ~= "table" then
    error(("policy '%s': options must be a table, got %s"):format(where, check.show(options)), 0)
  end
  local names, wrong, out = check.keys(spec), {}, {}
  for _, key in ipairs(check.keys(options)) do
    if not spec[key] then wrong[#wrong + 1] = check.unknown("option", key, names) end
  end
  for _, name in ipairs(names) do
    local value, message = options[name], nil
    if value == nil then
      if spec[name].required then wrong[#wrong + 1] = ("option '%s' is missing"):format(name) end
      value = spec[name].default
    else
      value, message = check.value(spec[name], value)
      if message then wrong[#wrong + 1] = ("option '%s' %s"):format(name, message) end
    end
    out[name] = value
  end
  if wrong[1] then error(("policy '%s': %s"):format(where, table.concat(wrong, "; ")), 0) end
  return out
end

return M

local t = require "perilune.test"
local check = require "perilune.check"
local config = require "perilune.config"

-- The first complaint about raw as "KEY: MESSAGE", or "fine".
local function complaint(raw)
  local out, errors = config.check(raw, "perilune.lua")
  if out then return "fine" end
  return (errors[1].key ~= "" and errors[1].key .. ": " or "") .. errors[1].message
end

local function upstream(fields)
  fields.url = fields.url or (not fields.sim and "http://127.0.0.1:8001/v1") or nil
  return complaint{ upstreams = { big = fields } }
end

t.test("an empty configuration has every default", function()
  local c = config.check({}, "perilune.lua")
  t.equal(c.listen, { "127.0.0.1:8080" })
  t.equal({ c.admin, c.tls }, {})
  t.equal({ c.workers, c.trusted, c.watch, c.drain_timeout_ms }, { 0, false, false, 30000 })
  t.equal(c.log, { access = true, level = "info" })
  t.equal({ c.upstreams, c.routes }, { {}, {} })
  t.equal(c.compress, { min_size = 1024, streams = false })
  t.equal(c.limits, {
    body = 16777216, cpu_ms = 50, block_ms = 10, calls = 1000, open_calls = 64, fetches = 256, memory = 67108864,
    header_timeout_ms = 10000, body_timeout_ms = 60000, idle_timeout_ms = 75000, send_timeout_ms = 60000, request_timeout_ms = 600000,
    connections = 65536, keepalive_comment_ms = 15000, high_water = 262144, low_water = 65536,
  })
end)

t.test("a second tier of the cache", function()
  local function redis(fields) return config.check({ cache = { redis = fields } }, "perilune.lua").cache.redis end
  t.equal(redis{ url = "redis://10.0.0.5" },
          { host = "10.0.0.5", port = 6379, db = 0, timeout_ms = 50, prefix = "perilune:" })
  t.equal(redis{ url = "redis://me:p%40%20w@[::1]:7000/3", timeout = 0.2, prefix = "x:", secret = { env = "S" } },
          { host = "::1", port = 7000, db = 3, timeout_ms = 200, prefix = "x:", user = "me",
            password = { kind = "literal", value = "p@ w" }, secret = { kind = "env", value = "S" } })
  t.equal(redis{ url = "redis://:pw@cache.local", secret = { file = "/s" } }.password, { kind = "literal", value = "pw" })
  t.equal(redis{ url = "unix:/run/redis.sock", user = "me", password = "a b" },
          { path = "/run/redis.sock", port = 0, db = 0, timeout_ms = 50, prefix = "perilune:", user = "me",
            password = { kind = "literal", value = "a b" } })
  t.equal(config.check({}, "perilune.lua").cache.redis, nil)
  local function wrong(fields) return complaint{ cache = { redis = fields } } end
  t.match(wrong{}, "cache.redis.url: is missing")
  t.match(wrong("redis://x"), "cache.redis: must be a table")
  t.equal(redis{ url = "rediss://h", ca = "/ca.pem" },
          { host = "h", port = 6379, db = 0, tls = true, ca = "/ca.pem", timeout_ms = 50, prefix = "perilune:" })
  t.match(wrong{ url = "redis-sentinel://h" }, "names a sentinel")
  t.match(wrong{ url = "http://h" }, "must be \"redis://host")
  t.match(wrong{ url = "redis://h:0" }, "a port that does not exist")
  t.match(wrong{ url = "redis://h:70000" }, "a port that does not exist")
  t.match(wrong{ url = "redis://h/x" }, "no valid host, port or database")
  t.match(wrong{ url = "redis://" }, "no valid host, port or database")
  t.match(wrong{ url = "redis://me@h" }, "a user without a password")
  t.match(wrong{ url = "unix:/" .. ("x"):rep(200) }, "over 107 bytes")
  t.match(wrong{ url = "redis://a:b@h", password = "c" }, "cache.redis.password: stands in the url, too")
  t.match(wrong{ url = "redis://h", user = "me" }, "cache.redis.user: needs a password")
  t.match(wrong{ url = "redis://h", password = "" }, "must be a string, { env")
  t.match(wrong{ url = "redis://h", prefix = "a b" }, "without spaces")
  t.match(wrong{ url = "redis://h", timeout = 0 }, "cache.redis.timeout")
end)

t.test("cache.index", function()
  local function cache(fields) return config.check({ cache = fields }, "perilune.lua").cache end
  local redis = { url = "redis://h" }
  t.equal(cache{}.index, "builtin")
  t.equal(cache{ index = "redis", redis = redis }.index, "redis")
  t.equal(cache{ index = "redisearch", redis = redis }.index, "redisearch")
  t.equal(cache{ index = "milvus", redis = redis, milvus = { url = "http://m:19530/", token = "a:b" } }.milvus,
          { url = "http://m:19530", token = { kind = "literal", value = "a:b" }, database = "default",
            collection = "perilune", timeout_ms = 100 })
  local function wrong(fields) return complaint{ cache = fields } end
  t.match(wrong{ index = "milvus", redis = redis }, "'milvus' needs cache.milvus")
  t.match(wrong{ index = "milvus", redis = redis, milvus = {} }, "cache.milvus.url: is missing")
  t.match(wrong{ index = "milvus", redis = redis, milvus = { url = "http://m", collection = "a b" } }, "letters, digits")
  t.match(wrong{ index = "redis" }, "cache.index: 'redis' needs cache.redis, where the answers are")
  t.match(wrong{ index = "redi", redis = redis }, "did you mean 'redis'")
  t.match(wrong{ index = 8, redis = redis }, "cache.index")
  t.match(wrong{ index = "redis", redis = redis, max_vectors = 0 }, "needs max_vectors above 0")
end)

t.test("the example of the manual", function()
  local inline = function(req, next) return next(req) end
  local c, errors = config.check({
    listen = "127.0.0.1:8080", admin = "127.0.0.1:9090", workers = 2,
    upstreams = {
      big = { url = "https://api.openai.com/v1/", model = "gpt-4o", key = { env = "OPENAI_API_KEY" },
              price = { input = 2.50, output = 10.00 } },
      small = { url = { "http://127.0.0.1:8001/v1", "http://[::1]:8002/v1" }, models = { "qwen" }, key = "client",
                timeouts = { first_token = 0.0014, idle = 1.5 } },
      echo = { sim = { ttft_ms = 20, itl_ms = 5, tokens = 64 } },
    },
    routes = {
      { path = "/v1/chat/completions",
        policies = { { "route", small = "small", big = "big", small_below_tokens = 400 }, inline, "trim",
                     { "own", trusted = true } } },
      { path = "/v1/files/*", upstream = "big", methods = { "GET", "POST" } },
    },
  }, "conf/perilune.lua")
  t.equal(errors, nil)
  t.equal({ c.upstreams[1].name, c.upstreams[2].name, c.upstreams[3].name }, { "big", "echo", "small" })
  local big, echo, small = c.upstreams[1], c.upstreams[2], c.upstreams[3]
  t.equal(big.urls, { "https://api.openai.com/v1" })
  t.equal(big.key, { kind = "env", value = "OPENAI_API_KEY" })
  t.equal(big.price, { input = 2.5, output = 10 })
  t.equal(big.timeouts, { connect_ms = 5000, headers_ms = 60000, first_token_ms = 60000, idle_ms = 60000, total_ms = 600000 })
  t.equal({ big.http2, big.insecure, big.max_body, big.models, big.headers }, { false, false, 16777216, {}, {} })
  t.equal(echo.sim, { ttft_ms = 20, itl_ms = 5, tokens = 64 })
  t.equal({ echo.key, echo.urls }, { { kind = "none" }, {} })
  t.equal({ small.key, #small.urls, small.models }, { { kind = "client" }, 2, { "qwen" } })
  t.equal({ small.timeouts.first_token_ms, small.timeouts.idle_ms }, { 1, 1500 })

  local policies = c.routes[1].policies
  t.equal(policies[1], { name = "route", trusted = false, options = { small = "small", big = "big", small_below_tokens = 400 } })
  t.equal({ policies[2].fn, policies[2].name }, { inline, "routes[1].policies[2]" })
  t.equal(policies[3], { name = "trim", trusted = false, options = {} })
  t.equal(policies[4], { name = "own", trusted = true, options = {} })
  t.equal({ c.routes[2].upstream, c.routes[2].methods }, { "big", { "GET", "POST" } })
end)

t.test("unknown keys name the nearest known one", function()
  t.equal(upstream{ urll = "x" }, "upstreams.big.urll: unknown key 'urll'; did you mean 'url'?")
  t.equal(complaint{ lisen = 1 }, "lisen: unknown key 'lisen'; did you mean 'listen'?")
  t.equal(complaint{ limits = { memroy = 1 } }, "limits.memroy: unknown key 'memroy'; did you mean 'memory'?")
  t.equal(upstream{ timeouts = { first = 1 } }, "upstreams.big.timeouts.first: unknown key 'first'; did you mean 'first_token'?")
  t.equal(complaint{ log = { zzzzz = 1 } }, "log.zzzzz: unknown key 'zzzzz'; known: access, level")
  t.match(complaint{ "127.0.0.1:80" }, "^%[1%]: unknown key '1'; known: ")
end)

t.test("every error is reported, each with its key", function()
  local _, errors = config.check({ workers = 0, admn = "x", upstreams = { a = {}, b = { url = "ftp://x" } } }, "p.lua")
  local keys = {}
  for i, e in ipairs(errors) do keys[i] = e.key end
  t.equal(keys, { "admn", "upstreams.a", "upstreams.b.url", "workers" })
end)

t.test("addresses", function()
  for _, good in ipairs{ "127.0.0.1:80", ":0", "[::1]:8080", "localhost:65535" } do
    t.equal(complaint{ listen = good }, "fine", good)
  end
  for _, bad in ipairs{ "127.0.0.1", "a:b", "a:65536", "::1:80", "a b:1", "", "http://a:1" } do
    t.match(complaint{ listen = bad }, "^listen: ", bad)
  end
  t.match(complaint{ listen = {} }, "^listen: ")
  t.match(complaint{ listen = { "a:1", 7 } }, "element 2 must be a string, got 7")
  t.equal(complaint{ listen = { "a:1", "a:2" }, admin = "a:2" }, "admin: is the same address as listen[2]")
  t.match(complaint{ admin = { "a:1" } }, "^admin: must be a string")
end)

t.test("URLs", function()
  for _, good in ipairs{ "http://a", "HTTPS://a.b/v1/", "http://[::1]:80/x", "http://a_b:1" } do
    t.equal(upstream{ url = good }, "fine", good)
  end
  for _, bad in ipairs{ "", "a.b", "ftp://a", "http://", "http://a:", "http://a:0", "http://a:99999", "http://a b", "http://a/?q",
                        "http://a/#f", "http://a\n", "http:///v1", "http://[::1", "http://u:p@a", "http://\195\164" } do
    t.match(upstream{ url = bad }, "^upstreams%.big%.url: ", bad)
  end
  t.match(upstream{ url = "https://secret@a" }, "a key goes under 'key'")
  t.match(upstream{ url = {} }, "at least 1")
  t.match(upstream{ sim = {}, url = "http://a" }, "has both url and sim")
  t.match(upstream{ engine = { model = "m.gguf" }, url = "http://a" }, "has both engine and url")
  t.match(upstream{ engine = {} }, "upstreams.big.engine.model: is missing: the path of a GGUF file")
  t.match(upstream{ engine = { model = "m.gguf", thread = 2 } }, "unknown key 'thread'; did you mean 'threads'?")
  t.match(upstream{ engine = { model = "m.gguf", sequences = 0 } }, "upstreams.big.engine.sequences: must be")
  t.match(upstream{ engine = { model = "m.gguf", thinking = "no" } }, "upstreams.big.engine.thinking: must be")
  t.match(upstream{ engine = { model = "m.gguf", template = 1 } }, "upstreams.big.engine.template: must be")
  t.match(upstream{ engine = { model = "m.gguf", gpu_layers = "all" } }, "must be a number of layers from 0 on")
  t.match(upstream{ engine = { model = "m.gguf", waiting = 0 } }, "upstreams.big.engine.waiting: must be")
  t.match(upstream{ engine = { model = "m.gguf", process = "yes" } }, "upstreams.big.engine.process: must be")
  t.match(upstream{ engine = { model = "m.gguf", process = true, step_timeout = 0.5 } }, "engine.step_timeout: must be")
  t.equal(complaint{ upstreams = { big = {
    engine = { model = "m.gguf", process = true, step_timeout = 90, program = "perilune" } } } }, "fine")
  t.match(complaint{ upstreams = { big = {} } }, "upstreams%.big: needs a url")
  local function engine(fields)
    fields.model = "m.gguf"
    return complaint{ upstreams = { big = { engine = fields } } }
  end
  for _, good in ipairs{ { device = "CUDA0" }, { device = { "CUDA0", "CUDA1" }, tensor_split = { 3, 1 } }, { tensor_split = { 1, 0.5 } },
                         { flash_attention = true, kv_type = "q8_0" }, { flash_attention = "auto" }, { kv_type = "bf16", flash_attention = false },
                         { gpu_layers = "auto" }, { context_each = 512 }, { context_each = 0, context = 4096 } } do
    t.equal(engine(good), "fine")
  end
  for _, bad in ipairs{ { "device", "", "must be the name of a GPU" }, { "device", { 7 }, "must be the name of a GPU" },
                        { "device", {}, "must be the name of a GPU" }, { "tensor_split", { -1 }, "numbers from 0 on" },
                        { "tensor_split", { 0, 0 }, "a share above 0" }, { "tensor_split", { 0 / 0 }, "numbers from 0 on" },
                        { "tensor_split", 2, "a list of shares" }, { "flash_attention", "on", "true, false or \"auto\"" },
                        { "kv_type", "q9", "unknown value 'q9'" }, { "context_each", -1, "must be" } } do
    t.match(engine{ [bad[1]] = bad[2] }, "upstreams.big.engine." .. bad[1] .. "[^:]*: .*" .. bad[3])
  end
  t.match(engine{ gpu_layers = 0, device = "CUDA0" }, "uses no GPU, and engine.device")
  t.match(engine{ device = { "CUDA0", "CUDA1" }, tensor_split = { 1 } }, "another number of shares")
  t.match(engine{ flash_attention = false, kv_type = "q8_0" }, "needs flash_attention")
  t.match(engine{ context = 4096, context_each = 512 }, "both engine.context and engine.context_each")
  -- The library would end the process.
  t.match(engine{ context = 16, sequences = 64 }, "engine.context = 16, .* 128 .* engine.sequences = 64")
  t.match(engine{ context = 15 }, "engine.context = 15, .* 16 .* engine.sequences = 8")
  t.match(engine{ context = 7, sequences = 1 }, "engine.context = 7, .* 8 .* engine.sequences = 1")
  t.equal(engine{ context = 16 }, "fine")
  t.equal(engine{ context = 128, sequences = 64 }, "fine")
  t.match(engine{ step_timeout = 5 }, "engine.step_timeout, which is for process = true")
  t.match(engine{ program = "perilune", process = false }, "engine.program, which is for process = true")
  t.match(complaint{ upstreams = { big = "http://a" } }, "upstreams%.big: must be a table")
  t.equal(upstream{ proxy = "socks5h://user:pw@proxy:1080" }, "fine")
  t.match(upstream{ proxy = "proxy:3128" }, "^upstreams%.big%.proxy: must be a proxy")
end)

t.test("a configuration of upstreams that is wrong in other ways", function()
  t.match(complaint{ upstreams = { ["a b"] = { url = "http://a" } } }, "without spaces")
  t.match(complaint{ upstreams = { { url = "http://a" } } }, "^upstreams%[1%]: must have a name")
  t.match(complaint{ upstreams = 7 }, "^upstreams: must be a table")
  t.match(upstream{ key = { envv = "X" } }, "did you mean 'env'")
  t.match(upstream{ key = "" }, "^upstreams%.big%.key: must be a string")
  t.match(upstream{ key = "a\nb" }, "^upstreams%.big%.key: must be a string")
  t.match(upstream{ key = { env = "A", file = "B" } }, "^upstreams%.big%.key: must be")
  t.match(upstream{ price = { input = -1 } }, "at least 0")
  t.match(upstream{ headers = { ["content-length"] = "1" } }, "the gateway does")
  t.match(upstream{ headers = { ["x y"] = "1" } }, "not a header name")
  t.match(upstream{ headers = { ["x-a"] = "1\r\nx-b: 2" } }, "%['x%-a'%] has a value with a line break or another control byte")
  t.match(upstream{ forward_headers = { "x-a", "b:" } }, "element 2 is not a header name")
  t.equal(upstream{ pass_headers = { "X-A", "x-*" } }, "fine")
  t.match(upstream{ pass_headers = { "x-*-y" } }, "element 1 is not a header name")
  t.match(upstream{ pass_headers = { "*" } }, "element 1 is not a header name")
  t.match(upstream{ pass_headers = { "x*" } }, "element 1 names too much")
  t.match(upstream{ pass_headers = { "etag", "Content-Length" } }, "element 2 must not name 'content%-length'")
  t.match(upstream{ pass_headers = { "content-type" } }, "must not name 'content%-type'")
  t.match(upstream{ timeouts = { idle = 0 } }, "at least 0.001")
  t.match(upstream{ timeouts = { idle = "5" } }, "must be a number of seconds")
  t.match(upstream{ timeouts = { idle = 0 / 0 } }, "must be a number of seconds")
  t.match(upstream{ max_body = "16 parsecs" }, "must be a size")
  t.match(upstream{ sim = { tokens = {} } }, "sim%.tokens: must be a name with")
  t.match(upstream{ http2 = "yes" }, "must be true or false, got \"yes\"")
  t.match(upstream{ model = "" }, "must not be empty")
end)

t.test("routes", function()
  local function route(fields) return complaint{ upstreams = { big = { sim = {} } }, routes = { fields } } end
  t.equal(route{ path = "/v1/*", upstream = "big" }, "fine")
  t.match(route{}, "^routes%[1%]%.path: is missing")
  t.match(route{ path = "v1" }, "must start with /")
  t.match(route{ path = "/v1/*/x" }, "only at its end")
  t.match(route{ path = "/v1/../x" }, 'path: "/v1/../x" cannot be asked for: the path has a segment')
  t.match(route{ path = "/v1//*" }, "cannot be asked for: the path has two slashes in a row")
  t.match(route{ path = "/a;b" }, "cannot be asked for: the path has a ; in it")
  t.equal(route{ path = "/v1/.*" }, "fine")
  t.equal(route{ path = "/", upstream = "bgi" }, "routes[1].upstream: unknown upstream 'bgi'; did you mean 'big'?")
  t.match(route{ path = "/", methods = { "get" } }, "in capitals")
  t.match(route{ path = "/", policies = "route" }, "policies: must be a list")
  t.match(route{ path = "/", policies = { {} } }, "^routes%[1%]%.policies%[1%]: must be")
  t.match(route{ path = "/", policies = { "../evil" } }, "^routes%[1%]%.policies%[1%]: must be")
  t.match(route{ path = "/", policies = { { "a", "b" } } }, "^routes%[1%]%.policies%[1%]%[2%]: is not an option")
  t.match(route{ path = "/", policies = { { "a", trusted = 1 } } }, "trusted: must be true or false")
  t.match(complaint{ routes = { { path = "/a" }, { path = "/a" } } }, "^routes%[2%]%.path: '/a' is taken: routes%[1%]")
  t.match(complaint{ routes = { a = {} } }, "^routes: must be a list")
  t.match(complaint{ routes = { [2] = { path = "/" } } }, "^routes: must be a list")
end)

t.test("tenants: a header with a secret in it needs keys", function()
  local digest = ("ab"):rep(32)
  for _, name in ipairs{ "Authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key",
                         "X-Goog-Api-Key", "x-auth-token", "x-client-secret" } do
    t.match(complaint{ tenants = { header = name } }, "^tenants%.header: needs `keys` beside it", name)
    t.equal(complaint{ tenants = { header = name, keys = { [digest] = "a" } } }, "fine")
  end
  t.equal(complaint{ tenants = { header = "x-tenant" } }, "fine")
  t.equal(complaint{ tenants = { keys = { [digest] = "a" } } }, "fine")
  t.match(complaint{ tenants = {} }, "^tenants: needs keys = .* or header = \"x%-tenant\"")
end)

t.test("trusted applies to all policies, each may differ", function()
  local c = config.check({ trusted = true, routes = { { path = "/", policies = { "a", { "b", trusted = false } } } } }, "p.lua")
  t.equal({ c.routes[1].policies[1].trusted, c.routes[1].policies[2].trusted }, { true, false })
end)

t.test("the rest", function()
  t.match(complaint(nil), "the file must return a table, got a nil")
  t.match(complaint{ workers = 257 }, "^workers: must be at most 256")
  t.match(complaint{ workers = 1.5 }, "whole number")
  local many = {}
  for i = 1, 17 do many[i] = "127.0.0.1:" .. i end
  t.match(complaint{ listen = many }, "^listen: must have a length of at most 16")
  t.match(complaint{ listen = ("a"):rep(122) .. ":1" }, "^listen: .*must not be longer than 122 bytes")
  t.match(complaint{ log = { level = "warning" } }, "unknown value 'warning'; did you mean 'warn'?")
  t.match(complaint{ limits = { low_water = "1MiB" } }, "must be below limits.high_water")
  t.match(complaint{ tls = { cert = "a.pem" } }, "^tls%.key: is missing")
  t.equal(complaint{ limits = { keepalive_comment = 0 } }, "fine")
  local c = config.check({ tls = { cert = "a.pem", key = "/etc/b.pem" } }, "conf/perilune.lua")
  t.equal(c.tls, { cert = "conf/a.pem", key = "/etc/b.pem" })
end)

t.test("compress", function()
  local function compress(value) return config.check({ compress = value }, "x.lua") end
  t.equal(compress(true).compress, { min_size = 1024, streams = false })
  t.equal(compress(false).compress, { min_size = 0, streams = false })
  t.equal(compress({ min_size = "4KiB", streams = true }).compress, { min_size = 4096, streams = true })
  local _, errors = compress({ min = 1 })
  t.match(errors[1].message, "unknown key 'min'; did you mean 'min_size'?")
  _, errors = compress("gzip")
  t.match(errors[1].message, "must be a table")
end)

t.test("cors", function()
  local function cors(value)
    local out, errors = config.check({ cors = value }, "x.lua")
    return out and out.cors, errors and errors[1].message
  end
  t.equal(cors { origins = { "https://A.test:8443", "https://*.b.test", "null" } },
          { origins = { "https://a.test:8443", "https://*.b.test", "null" }, headers = "", expose = "*",
            credentials = false, max_age_ms = 3600000 })
  local out = cors { origins = { "https://a" }, credentials = true, headers = { "X-A", "x-b" } }
  t.equal(out.headers, "x-a, x-b")
  t.match(out.expose, "x.request.id, ")
  local function wrong(value, message)
    local _, why = cors(value)
    t.match(why, message)
  end
  wrong({}, "which pages may call")
  wrong({ origins = {} }, "a length of at least 1")
  wrong({ origins = { "app.test" } }, "must be an origin such as")
  wrong({ origins = { "https://app.test/" } }, "without a path")
  wrong({ origins = { "https://a.*.test" } }, "first part of its name")
  wrong({ origins = { "https://*" } }, "first part of its name")
  wrong({ origins = { "*" }, credentials = true }, "cannot be true with the origin")
  wrong({ origins = { "*" }, headers = { "a b" } }, "not a header name")
end)

t.test("websocket", function()
  local function websocket(value)
    local out, errors = config.check({ websocket = value, limits = { body = "2MiB" } }, "x.lua")
    return out and out.websocket, errors and errors[1].message
  end
  local all = { on = true, path = "/v1/ws", max_message = 2097152, max_requests = 32, ping_ms = 30000, pong_ms = 20000,
                idle_ms = 3600000, headers = { "x-request-id", "cache-control", "idempotency-key", "traceparent", "tracestate",
                                               "openai-*", "x-feedback*" } }
  t.equal(websocket(nil), all)
  t.equal(websocket(true), all)
  all.on = false
  t.equal(websocket(false), all)
  local out = websocket { path = "/live", max_message = "1KiB", max_requests = 1, ping = 0, pong = 0.5, idle = 0,
                          headers = { "Authorization", "X-A-*" } }
  t.equal(out, { on = true, path = "/live", max_message = 1024, max_requests = 1, ping_ms = 0, pong_ms = 500, idle_ms = 0,
                 headers = { "authorization", "x-a-*" } })
  local function wrong(value, message)
    local _, why = websocket(value)
    t.match(why, message)
  end
  wrong("yes", "must be a table")
  wrong({ pings = 1 }, "did you mean 'ping'")
  wrong({ path = "ws" }, "must be a path")
  wrong({ path = "/a b" }, "must be a path")
  wrong({ max_message = 0 }, "at least 1")
  wrong({ max_requests = 0 }, "1")
  wrong({ pong = 0 }, "0")
  wrong({ headers = { "upgrade" } }, "must not name 'upgrade'")
  wrong({ headers = { "host" } }, "must not name 'host'")
  wrong({ headers = { "a b" } }, "not a header name")
end)

t.test("sizes", function()
  local sizes = { [10] = 10, ["10"] = 10, ["1KB"] = 1000, ["1KiB"] = 1024, ["64MiB"] = 67108864, ["1.5 mb"] = 1500000,
                  ["10GB"] = 1e10, ["7B"] = 7 }
  for text, bytes in pairs(sizes) do t.equal(check.size(text), bytes, text) end
  for _, bad in ipairs{ "", "MB", "1XB", "-1", "1e3", "0x10", -1, 1 / 0, "1..2KB", true, "99999999TB" } do
    t.equal(check.size(bad), nil, tostring(bad))
  end
end)

t.test("the nearest name", function()
  local known = { "listen", "limits", "upstreams", "url" }
  t.equal(check.nearest("upstream", known), "upstreams")
  t.equal(check.nearest("usptreams", known), "upstreams")
  t.equal(check.nearest("URL", known), "url")
  t.equal(check.nearest("base_url", known), "url")
  t.equal(check.nearest("xyzzy", known), nil)
  t.equal(check.nearest("", known), nil)
  t.equal(check.nearest(("x"):rep(10000), known), nil)
end)

t.test("messages say file and line", function()
  local source = table.concat({
    "-- { not this one",                                    -- 1
    "local big = { url = 'http://a' } --[[ {",              -- 2
    "}} ]]",                                                -- 3
    "return {",                                             -- 4
    "  listen = \"127.0.0.1:80\", workers = 0,",            -- 5
    "  upstreams = {",                                      -- 6
    "    big = big,",                                       -- 7
    "    [\"small\"] = {",                                  -- 8
    "      urll = \"http://b/{\",",                         -- 9
    "    },",                                               -- 10
    "  },",                                                 -- 11
    "  routes = {",                                         -- 12
    "    { path = \"/\", policies = {",                     -- 13
    "      function(req, next) local a, b = {}, { x = 1 } if a then return b, a end return next(req) end,", -- 14
    "      { \"a\",",                                       -- 15
    "        \"b\" },",                                     -- 16
    "    } },",                                             -- 17
    "  },",                                                 -- 18
    "}",                                                    -- 19
  }, "\n")
  local _, errors = config.check({ -- what the source above returns
    listen = "127.0.0.1:80", workers = 0,
    upstreams = { big = { url = "http://a" }, small = { urll = "http://b/{" } },
    routes = { { path = "/", policies = { function() end, { "a", "b" } } } },
  }, "p.lua")
  t.equal(config.format(errors, "p.lua", source), table.concat({
    "p.lua:16: routes[1].policies[2][2]: is not an option: options have names, one policy a table",
    "p.lua:9: upstreams.small.urll: unknown key 'urll'; did you mean 'url'?",
    "p.lua:8: upstreams.small: needs a url, engine = { model = ... } for a model in this process, "
      .. "or sim = { ... } for a simulated one",
    "p.lua:5: workers: must be at least 1, got 0",
  }, "\n"))
  t.match(config.format(errors, "p.lua"), "^p%.lua: routes%[1%]%.policies")
  t.equal(config.format({ { key = "upstreams.big.key", message = "m" } }, "p.lua", source), "p.lua:7: upstreams.big.key: m")
  t.equal(config.format({ { key = "a", message = "m" } }, "p.lua", "local x = 1"), "p.lua: a: m")
end)

t.test("any text can be located in", function()
  local lines = require("perilune.locate").lines
  for _, text in ipairs{ "", "{", "}", "return {", "return { a = ", "return { 'x", "--[[", "[[", "return { [ }", "a = b = c",
                         "return { function( }", "return { end, end }", "return {{{{", "\\", "return { a == b, c = { 1 } }" } do
    local line_of = lines(text)
    line_of("a.b[1].c")
  end
end)

t.test("no value of any type in any place makes the check itself fail", function()
  local values = { 0, -1, 1.5, 0 / 0, 1 / 0, "", "x", "64MiB", true, false, {}, { 1 }, { {} }, { x = 1 }, { [2] = 2 },
                   { [true] = 1 }, function() end, ("a"):rep(500), "\0", "%", "[" }
  local schemas = {
    [""] = { "listen", "admin", "workers", "tls", "upstreams", "routes", "limits", "trusted", "log", "drain_timeout",
             "watch", "nonsense", 1, true },
    upstream = { "url", "sim", "model", "models", "key", "price", "forward_headers", "headers", "http2", "proxy", "ca",
                 "insecure", "timeouts", "max_body", "max_event", "pass_headers", "usage", 1, false },
    route = { "path", "policies", "upstream", "methods", 1 },
  }
  for _, value in ipairs(values) do
    for _, key in ipairs(schemas[""]) do config.check({ [key] = value }, "p.lua") end
    for _, key in ipairs(schemas.upstream) do
      local _, errors = config.check({ upstreams = { u = { [key] = value } } }, "p.lua")
      if errors then t.match(config.format(errors, "p.lua", "return {}"), "^p%.lua:1: upstreams%.u") end
    end
    for _, key in ipairs(schemas.route) do config.check({ routes = { { [key] = value } } }, "p.lua") end
    for _, key in ipairs(check.keys(config.check({}, "p.lua").limits)) do
      config.check({ limits = { [key:gsub("_ms$", "")] = value } }, "p.lua")
    end
    config.check(value, "p.lua")
    config.check({ upstreams = { u = value }, routes = { value }, log = { level = value } }, "p.lua")
  end
end)

-- -- options of policies -------------------------------------------------------

local spec = {
  small = { type = "upstream", required = true },
  below = { type = "integer", default = 400, min = 1 },
  wait = { type = "duration" },
  size = { type = "size", default = 1024 },
  names = { type = "list", of = { type = "string", min = 1 } },
  codes = { type = "set", of = { type = "string" }, min = 1 },
  map = { type = "map", of = { type = "number" } },
  mode = { type = "string", one_of = { "fast", "cheap" }, default = "fast" },
  key = { type = { "string", "function" } },
}

local function options(given)
  return config.options(spec, given, "mine")
end

t.test("options are filled in", function()
  local f = function() end
  local out = options{ small = "s", size = "2KB", wait = 0.5, names = { "a" }, codes = { "x", "y", "x" }, map = { x = 1 }, key = f }
  t.equal(out, { small = "s", below = 400, size = 2000, wait = 0.5, names = { "a" }, codes = { x = true, y = true },
                 map = { x = 1 }, mode = "fast", key = f })
end)

t.test("options that are wrong name policy, option and nearest name", function()
  local function says(given, pattern)
    t.error(function() options(given) end, pattern)
  end
  says(nil, "policy 'mine': option 'small' is missing")
  says(7, "options must be a table")
  says({ smal = "s" }, "policy 'mine': unknown option 'smal'; did you mean 'small'?")
  says({ small = "s", below = 0 }, "option 'below' must be at least 1, got 0")
  says({ small = "s", below = "4" }, "option 'below' must be a whole number, got \"4\"")
  says({ small = "s", wait = -1 }, "option 'wait' must be a number of seconds, 0 or more")
  says({ small = "s", names = { "a", 2 } }, "element 2 must be a string, got 2")
  says({ small = "s", names = { x = 1 } }, "must be a list")
  says({ small = "s", codes = {} }, "must have a length of at least 1, got 0")
  says({ small = "s", codes = { 7 } }, "element 1 must be a string, got 7")
  says({ small = "s", map = { x = "y" } }, "%['x'%] must be a number")
  says({ small = "s", map = { 1 } }, "names as keys")
  says({ small = "s", mode = "cheep" }, "unknown value 'cheep'; did you mean 'cheap'?")
  says({ small = "s", key = 5 }, "must be a string, got 5; or must be a function, got 5")
  says({ small = "" }, "name of an upstream")
end)

t.test("an upstream that does not exist is noticed when the names are known", function()
  t.upstream("big", {})
  t.error(function() options{ small = "bigg" } end, "unknown upstream 'bigg'; did you mean 'big'?")
  t.equal(options{ small = "big" }.small, "big")
end)

-- -- pools ------------------------------------------------------------------------------

local ups = { a = { url = "http://h/v1" }, b = { url = "http://h/v1" } }

local function pool(fields, others)
  local conf = { upstreams = ups, pools = { chat = fields } }
  for k, v in pairs(others or {}) do conf[k] = v end
  return complaint(conf)
end

t.test("a pool: members with their weights and tags, and how one is chosen", function()
  local c = config.check({ upstreams = ups, pools = {
    chat = { upstreams = { "a", { "b", weight = 2, region = "eu", spot = true } }, choose = "prefix" },
    talk = { upstreams = { "b" }, choose = "sticky", key = "X-Session", models = { "m" }, retries = 0, region = "eu" } } }, "p.lua")
  t.equal(c.pools, {
    { name = "chat", choose = "prefix", models = {}, retries = 2,
      upstreams = { { name = "a", weight = 1, spot = false }, { name = "b", weight = 2, region = "eu", spot = true } } },
    { name = "talk", choose = "sticky", key = "x-session", models = { "m" }, retries = 0, region = "eu",
      upstreams = { { name = "b", weight = 1, spot = false } } } })
end)

t.test("pools that are wrong say what is", function()
  t.equal(pool{}, "pools.chat.upstreams: is missing: a list of upstreams such as { \"a\", \"b\" }")
  t.equal(pool{ upstreams = {} }, "pools.chat.upstreams: must be a list of upstreams such as { \"a\", \"b\", { \"c\", weight = 2 } }")
  t.match(pool{ upstreams = { "a", "b" }, long = { upstreams = { "c" } } },
    "pools.chat.long.upstreams%[1%]: is not among the pool's upstreams: unknown upstream 'c'")
  t.match(pool{ upstreams = { "a", "b" }, long = { upstreams = { "a", "a" } } }, "'a' stands there twice")
  t.match(pool{ upstreams = { "a", "b" }, long = { upstreams = { "a", "b" } } }, "names all members of the pool")
  t.match(pool{ upstreams = { "a", "b" }, long = {} }, "pools.chat.long.upstreams: is missing")
  t.match(pool{ upstreams = { "a", "b" }, long = { upstreams = { "a" }, above = 0 } }, "pools.chat.long.above")
  t.match(pool{ upstreams = { "a", "b" }, long = { upstreams = { "a" }, over = 1 } }, "long")
  t.equal(pool{ upstreams = { "a", "bb" } }, "pools.chat.upstreams[2]: unknown upstream 'bb'; did you mean 'b'?")
  t.equal(pool{ upstreams = { "a", "a" } }, "pools.chat.upstreams[2]: 'a' stands there twice; give it a weight")
  t.equal(pool{ upstreams = { { "a", weigth = 2 } } }, "pools.chat.upstreams[1].weigth: unknown key 'weigth'; did you mean 'weight'?")
  t.match(pool{ upstreams = { { "a", weight = 0 } } }, "^pools%.chat%.upstreams%[1%]%.weight: must be at least")
  t.match(pool{ upstreams = { 7 } }, "^pools%.chat%.upstreams%[1%]: must be the name of an upstream")
  t.match(pool{ upstreams = { "a" }, choose = "latencies" }, "unknown value 'latencies'; did you mean 'latency'%?")
  t.equal(pool{ upstreams = { "a" }, key = "x" }, "pools.chat.key: is for choose = \"sticky\"")
  t.match(pool{ upstreams = { "a" }, retries = 9 }, "^pools%.chat%.retries: ")
  t.equal(complaint{ upstreams = ups, pools = { a = { upstreams = { "b" } } } }, "pools.a: 'a' is the name of an upstream, too")
  t.match(complaint{ upstreams = ups, pools = { ["a b"] = { upstreams = { "b" } } } }, "must have a name without spaces")
  local many = {}
  for i = 1, 65 do many[i] = "a" end
  t.match(complaint{ upstreams = ups, pools = { chat = { upstreams = many } } }, "has 65 members, 64 are the most")
  t.equal(pool({ upstreams = { "a" } }, { routes = { { path = "/x", upstream = "chatt" } } }),
    "routes[1].upstream: unknown upstream 'chatt'; did you mean 'chat'?")
end)

t.test("when an upstream is left alone", function()
  local c = config.check({ upstreams = { a = { url = "http://h/v1", breaker = { failures = 3, open = 0.5 } } } }, "p.lua")
  t.equal(c.upstreams[1].breaker,
    { failures = 3, share = 0.5, calls = 10, open_ms = 500, max_open_ms = 120000, probes = 2 })
  t.equal(upstream{ url = "http://h/v1", breaker = { open = 200 } }, "upstreams.big.breaker.open: must not be above max_open")
  t.match(upstream{ url = "http://h/v1", breaker = { failures = 0 } }, "^upstreams%.big%.breaker%.failures: ")
end)

t.test("a broker of jobs", function()
  local function broker(fields) return complaint{ jobs = { file = "a", broker = fields } } end
  local b = config.check({ jobs = { file = "a", broker = {
    amqp = "amqps://u%40x:p%2Fw@rabbit.internal/team%2Fa", results = "results.a", ca = "ca.pem" } } }, "/etc/p/p.lua").jobs.broker
  t.equal({ b.kind, b.host, b.port, b.tls, b.vhost, b.user, b.password.value, b.ca },
    { "amqp", "rabbit.internal", 5671, true, "team/a", "u@x", "p/w", "/etc/p/ca.pem" })
  t.equal({ b.work, b.results, b.dead, b.lost_after_ms, b.timeout_ms, b.delivery_limit },
    { "perilune.jobs", "results.a", "perilune.jobs.dead", 86400000, 10000, 20 })
  for _, url in ipairs{ "amqp://h", "amqp://h/", "amqp://h:5672", "amqp://h:5672/%2f", "amqp://[::1]:5672" } do
    local one = config.check({ jobs = { file = "a", broker = { amqp = url, results = "r" } } }, "p.lua").jobs.broker
    t.equal({ one.port, one.vhost }, { 5672, "/" }, url)
  end
  local k = config.check({ jobs = { file = "a", broker = {
    kafka = "one:9092, two:9093", topic = "work", results = "r", group = "g", mechanism = "PLAIN", user = "u",
    password = { env = "P" } } } }, "p.lua").jobs.broker
  t.equal({ k.kind, k.servers, k.work, k.dead, k.group, k.mechanism, k.password.kind },
    { "kafka", "one:9092,two:9093", "work", "work.dead", "g", "PLAIN", "env" })
  t.match(broker("amqp://h"), "^jobs%.broker: must be a table; did you mean broker = { amqp = \"amqp://h\"")
  t.match(broker{}, "needs amqp = ")
  t.match(broker{ amqp = "amqp://h", kafka = "h:1", results = "r" }, "has both")
  t.match(broker{ amqp = "amqp://h" }, "^jobs%.broker%.results: is missing")
  t.match(broker{ amqp = "http://h", results = "r" }, "^jobs%.broker%.amqp: must be \"amqp://")
  t.match(broker{ amqp = "amqp://h:70000", results = "r" }, "a port that does not exist")
  t.match(broker{ amqp = "amqp://h/a/b", results = "r" }, "a / in a vhost is %%2F")
  t.match(broker{ amqp = "amqp://:pw@h", results = "r" }, "a password without a user")
  t.match(broker{ amqp = "amqp://u:p@h", user = "x", results = "r" }, "^jobs%.broker%.user: stands in the url, too")
  t.match(broker{ amqp = "amqp://h", results = "r", topic = "x" }, "^jobs%.broker%.topic: is of kafka")
  t.match(broker{ kafka = "h:1", results = "r", queue = "x" }, "^jobs%.broker%.queue: is of amqp")
  t.match(broker{ kafka = "h", results = "r" }, "^jobs%.broker%.kafka: must be \"host:9092\"")
  t.match(broker{ amqp = "amqp://h", results = "perilune.jobs" }, "has the name 'perilune.jobs' twice")
  t.match(broker{ amqp = "amqp://h", results = "a b" }, "must have letters")
  t.match(broker{ amqp = "amqp://h", results = "r", ca = "x" }, "^jobs%.broker%.ca: needs TLS")
  t.match(broker{ amqp = "amqp://h", results = "r", prefech = 1 }, "did you mean 'prefetch'")
  t.match(complaint{ jobs = { memory = true, broker = { amqp = "amqp://h", results = "r" } } }, "^jobs%.broker: needs file or redis")
end)

t.test("paths that are taken", function()
  local function with(fields)
    fields.upstreams = { a = { url = "http://127.0.0.1:1/v1" } }
    return complaint(fields)
  end
  t.match(with{ websocket = { path = "/v1/chat/completions" } }, "^websocket%.path: .*OpenAI's API")
  t.match(with{ websocket = { path = "/v1/files/x" } }, "^websocket%.path: ")
  t.match(with{ websocket = { path = "/v1/async" } }, "^websocket%.path: .*jobs")
  t.match(with{ websocket = { path = "/a" }, routes = { { path = "/a" } } }, "^websocket%.path: is the path of routes%[1%]")
  t.equal(with{ websocket = { path = "/a" }, routes = { { path = "/*" } } }, "fine")
  t.equal(with{ websocket = { path = "/v1/asynchronous" } }, "fine")
  local jobs = { memory = true }
  t.match(with{ jobs = jobs, routes = { { path = "/v1/async/*" } } }, "^routes%[1%]%.path: is under /v1/async")
  t.match(with{ jobs = jobs, routes = { { path = "/v1/async/chat/completions" } } }, "^routes%[1%]%.path: ")
  t.equal(with{ jobs = jobs, routes = { { path = "/v1/*" } } }, "fine")
  t.equal(with{ routes = { { path = "/v1/async/*" } } }, "fine")
end)

t.test("headers that jobs keep", function()
  local c = config.check({ jobs = { memory = true, headers = { "X-Team" } },
    upstreams = { a = { url = "http://127.0.0.1:1/v1", forward_headers = { "openai-beta", "x-team" } } },
    routes = { { path = "/a", headers = { ["x-plan"] = "big" }, upstream = "a" } } }, "p.lua")
  t.equal(c.jobs.headers, { "x-team", "openai-beta", "x-plan" })
  for _, name in ipairs{ "Authorization", "cookie", "X-Api-Key", "x-my-token" } do
    t.match(complaint{ jobs = { memory = true, headers = { "x-team", name } } },
      "^jobs%.headers%[2%]: '" .. name:lower():gsub("%-", "%%-") .. "' is never kept with a job: its value would be a secret")
  end
  t.match(complaint{ jobs = { memory = true, headers = { "x-perilune-key" } } }, "it is said to the queue")
end)

t.test("jobs", function()
  local function jobs(fields) return complaint{ jobs = fields } end
  local c = config.check({ jobs = { file = "jobs.db", queues = { nightly = { concurrency = 2 }, other = {} } } }, "/etc/p/perilune.lua")
  t.equal(c.jobs.file, "/etc/p/jobs.db")
  t.equal({ c.jobs.concurrency, c.jobs.max_tries, c.jobs.lease_ms, c.jobs.keep_ms }, { 16, 3, 30000, 86400000 })
  t.equal(c.jobs.queues, { { name = "nightly", concurrency = 2 }, { name = "other", concurrency = 0 } })
  t.equal(config.check({}, "p.lua").jobs, nil)
  t.equal(jobs{ memory = true }, "fine")
  t.equal({ c.jobs.max_priority, c.jobs.max_keep_ms, c.jobs.max_delay_ms }, { 0, 7 * 86400000, 30 * 86400000 })
  t.equal(jobs{ memory = true, max_priority = -5 }, "fine")
  t.equal(config.check({ jobs = { memory = true, keep = 30 * 86400 } }, "p.lua").jobs.max_keep_ms, 30 * 86400000)
  t.match(jobs{ memory = true, keep = 100, max_keep = 10 }, "jobs.keep: must not be above max_keep")
  local far = config.check({ jobs = { redis = { url = "redis://u:p%20w@cache:7000/3" } } }, "p.lua").jobs.redis
  t.equal({ far.host, far.port, far.db, far.user, far.prefix }, { "cache", 7000, 3, "u", "perilune:jobs:" })
  t.match(jobs{ redis = "redis://x" }, "did you mean redis = { url = \"redis://x\" }")
  t.match(jobs{ redis = {} }, "^jobs%.redis%.url: is missing")
  t.match(jobs{ redis = { url = "redis://x", timeout = 1 } }, "unknown key 'timeout'")
  t.match(jobs{ redis = { url = "redis://x" }, file = "a" }, "^jobs: has more than one place")
  t.match(jobs{}, "^jobs: needs file = \"jobs.db\"")
  t.match(jobs{ file = "a", memory = true }, "keep one of them")
  t.match(jobs("jobs.db"), "did you mean jobs = { file = \"jobs.db\" }")
  t.match(jobs{ file = "a", leese = 3 }, "unknown key 'leese'; did you mean 'lease'")
  t.match(jobs{ file = "a", lease = 0 }, "^jobs%.lease: ")
  t.match(jobs{ file = "a", backoff = 400 }, "^jobs%.backoff: must not be above max_backoff")
  t.match(jobs{ file = "a", queues = { ["a b"] = {} } }, "must have a name of letters")
  t.match(jobs{ file = "a", queues = { a = { concurency = 1 } } }, "did you mean 'concurrency'")
  t.match(complaint{ routes = { { path = "/x", policies = { { function() end, admits = 1 } } } } }, "admits: must be true or false")
  t.match(complaint{ rules = "pricing" }, "^rules: ")
  t.match(complaint{ rules = { 1 } }, "^rules")
  t.match(complaint{ host_functions = { "" } }, "^host_functions")
  t.match(complaint{ host_functons = {} }, "did you mean .host_functions.")
end)

--- config_jobs: the section `jobs` of a configuration: queues, webhooks, files and batches, brokers.

local check = require "perilune.check"

local servers = require "perilune.config_servers"
local values = require "perilune.config_values"
local walking = require "perilune.config_walk"

local complain, join, walk, file = walking.complain, walking.join, walking.walk, walking.file
local seconds, size, count, walk_secret = walking.seconds, walking.size, walking.count, walking.walk_secret
local redis_schema = servers.redis_schema

local queue_schema = { concurrency = count(0, 0, 65536) }

local function walk_queues(ctx, path, value)
  local out = {}
  if type(value) ~= "table" then
    complain(ctx, path, "must be a table such as { nightly = { concurrency = 2 } }")
    return out
  end
  for _, name in ipairs(check.keys(value)) do
    local at = join(path, name)
    if type(name) ~= "string" or not name:find("^[%w_.-]+$") or #name > 63 then
      complain(ctx, at, "must have a name of letters, digits, '.', '_' and '-', at most 63 of them, as its key")
    else
      local queue = walk(ctx, at, value[name], queue_schema)
      queue.name = name
      out[#out + 1] = queue
    end
  end
  if #out > 64 then complain(ctx, path, ("has %d queues, 64 are the most"):format(#out)) end
  return out
end

local function walk_secrets(ctx, path, value)
  local out = {}
  if type(value) ~= "table" or #value == 0 or #value > 4 then
    complain(ctx, path, "must be a list of one to four secrets: { { env = \"WEBHOOK_SECRET\" } }")
    return out
  end
  for i, secret in ipairs(value) do out[i] = walk_secret(ctx, ("%s[%d]"):format(path, i), secret) end
  return out
end

local webhooks_schema = {
  secrets = { walk = walk_secrets,
              required = "is missing: { { env = \"WEBHOOK_SECRET\" } }, what signs the messages" },
  http = { type = "boolean", default = false },
  allow = { type = "list", of = { type = "string", min = 1, max = 60 }, max = 16, default = {} },
  timeout = seconds(15, 0.1),
  -- 24 hours and 35 minutes, as far as it goes the pauses that Standard Webhooks names.
  retries = { type = "list", of = { type = "number", min = 0.001, max = 604800 }, max = 16,
              default = { 5, 300, 1800, 7200, 18000, 28800, 32400 } },
  max_result = size(0, 0),
}

local jobs_redis_schema = {
  url = redis_schema.url, user = redis_schema.user, password = redis_schema.password, ca = file,
  prefix = { type = "string", min = 1, max = 128, default = "perilune:jobs:", check = redis_schema.prefix.check },
}

local function check_queue(v)
  if v:find("^[%w._-]+$") then return v end
  return nil, ("must have letters, digits, '.', '_' and '-', got %q"):format(v)
end
local broker_queue = { type = "string", min = 1, max = 249, check = check_queue }

local broker_schema = {
  amqp = { type = "string" }, kafka = { type = "string" },
  queue = broker_queue, topic = broker_queue, results = broker_queue, dead = broker_queue,
  group = { type = "string", min = 1, max = 249, check = check_queue },
  user = { type = "string", min = 1, max = 256 }, password = { walk = walk_secret },
  tls = { type = "boolean" }, ca = file, library = file,
  mechanism = { type = "string", one_of = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" } },
  prefetch = count(0, 0, 4096), delivery_limit = count(20, 0, 10000),
  timeout = seconds(10, 0.1), lost_after = seconds(86400, 60),
}

-- What only one kind of broker knows.
local broker_kinds = {
  amqp = { parse = servers.parse_amqp, queue = "queue", only = { "queue", "delivery_limit" } },
  kafka = { parse = servers.parse_kafka, queue = "topic", only = { "topic", "group", "tls", "mechanism" } },
}

local function walk_broker(ctx, path, raw)
  if type(raw) == "string" then
    complain(ctx, path, ("must be a table; did you mean broker = { amqp = %s, results = \"results.a\" }?")
      :format(check.show(raw)))
    return {}
  end
  local out = walk(ctx, path, raw, broker_schema)
  if type(raw) ~= "table" then return out end
  local name, other = raw.amqp ~= nil and "amqp" or "kafka", raw.amqp ~= nil and "kafka" or "amqp"
  local kind = broker_kinds[name]
  if raw.amqp == nil and raw.kafka == nil then
    complain(ctx, path, "needs amqp = \"amqp://user:password@host:5672/vhost\", or kafka = \"host:9092\"")
    return out
  elseif raw.amqp ~= nil and raw.kafka ~= nil then
    complain(ctx, path, "has both amqp and kafka; keep one of them")
    return out
  end
  for _, key in ipairs(broker_kinds[other].only) do
    if raw[key] ~= nil then
      complain(ctx, join(path, key), ("is of %s, and this broker is %s"):format(other, name))
    end
  end
  local parts, message
  if type(out[name]) == "string" then parts, message = kind.parse(out[name]) end
  if message then complain(ctx, join(path, name), message) end
  for key, value in pairs(parts or {}) do
    if (key == "user" or key == "password") and out[key] then
      complain(ctx, join(path, key), "stands in the url, too; keep one of them")
    end
    out[key] = value
  end
  if raw.results == nil then
    complain(ctx, join(path, "results"), "is missing: the queue in which this node reads what became of its jobs, "
      .. "such as \"results.a\": no other node may have the same, and it must stay what it is when this one starts again")
  end
  out.kind, out.work = name, out[kind.queue] or "perilune.jobs"
  out.dead = out.dead or out.work .. ".dead"
  out.group = out.group or "perilune"
  out.amqp, out.kafka, out.queue, out.topic = nil, nil, nil, nil
  local seen = {}
  for _, key in ipairs{ "work", "results", "dead" } do
    if out[key] and seen[out[key]] then
      complain(ctx, path, ("has the name '%s' twice: work, results and dead letters need one each"):format(out[key]))
    end
    if out[key] then seen[out[key]] = true end
  end
  if out.ca and name == "amqp" and parts and not parts.tls then
    complain(ctx, join(path, "ca"), "needs TLS: \"amqps://...\"")
  end
  if out.password and not out.user then complain(ctx, join(path, "password"), "needs a user") end
  return out
end

local jobs_schema = {
  file = file, broker = { walk = walk_broker },
  files = file, file_keep = seconds(30 * 86400, 60), max_files = count(1000, 1, 10000),
  max_file_bytes = size(10 * 2 ^ 30, 1),
  batch_concurrency = count(16, 1, 1024), batch_lines = count(50000, 1, 2 ^ 31 - 1),
  batch_window = seconds(86400, 1),
  redis = { walk = function(ctx, path, raw) return servers.walk_redis(ctx, path, raw, jobs_redis_schema) end },
  memory = { type = "boolean", default = false },
  concurrency = count(16, 0, 65536), tenant_concurrency = count(0, 0, 65536), worker_concurrency = count(64, 1, 1024),
  max_queued = count(10000, 0, 2 ^ 31), max_kept = count(0, 0, 2 ^ 31),
  max_priority = { type = "integer", min = -100, max = 100, default = 0 },
  max_keep = seconds(7 * 86400, 1), max_delay = seconds(30 * 86400, 1),
  max_tries = count(3, 1, 100),
  lease = seconds(30, 1), keep = seconds(86400, 1), timeout = seconds(600, 0.001),
  backoff = seconds(1, 0.001), max_backoff = seconds(300, 0.001),
  max_result = size(16 * 2 ^ 20, 1024), max_bytes = size(4 * 2 ^ 30, 2 ^ 20),
  queues = { walk = walk_queues, default = {} },
  headers = { type = "list", of = values.header_name, max = 64, default = {} },
  webhooks = { walk = function(ctx, path, raw) return walk(ctx, path, raw, webhooks_schema) end },
}

return function(ctx, path, raw)
  if type(raw) == "string" then
    complain(ctx, path, ("must be a table; did you mean jobs = { file = %s }?"):format(check.show(raw)))
    return {}
  end
  local out = walk(ctx, path, raw, jobs_schema)
  if type(raw) ~= "table" then return out end
  local places = (raw.file ~= nil and 1 or 0) + (raw.redis ~= nil and 1 or 0) + (out.memory and 1 or 0)
  if places == 0 then
    complain(ctx, path, "needs file = \"jobs.db\", where jobs are kept; or redis = { url = \"redis://host:6379/0\" }; "
      .. "or memory = true, and they are gone with the process")
  elseif out.memory and raw.file ~= nil then
    complain(ctx, path, "has both file and memory = true; keep one of them")
  elseif places > 1 then
    complain(ctx, path, "has more than one place for jobs; keep one of file, redis and memory = true")
  end
  if raw.broker ~= nil and out.memory then
    complain(ctx, join(path, "broker"), "needs file or redis beside it: there a job waits until the broker has it, "
      .. "and memory = true forgets it")
  end
  if out.backoff_ms and out.max_backoff_ms and out.backoff_ms > out.max_backoff_ms then
    complain(ctx, join(path, "backoff"), "must not be above max_backoff")
  end
  if out.keep_ms and out.max_keep_ms and raw.max_keep == nil then
    out.max_keep_ms = math.max(out.max_keep_ms, out.keep_ms)
  end
  if out.keep_ms and out.max_keep_ms and out.keep_ms > out.max_keep_ms then
    complain(ctx, join(path, "keep"), "must not be above max_keep")
  end
  return out
end

-- layers.lua -- who may include whom, and how large things may grow.
--
--   luajit tests/lint/layers.lua        from the root of the project
--
-- Folders of core/ are layers.  An include points to a lower one, never to the
-- side; a library's header belongs to the folders named for it.  Threads are made and
-- met in few files.  Files have at most 900 lines, functions at most 100 (over 60 is
-- worth a second look), lines at most 120 bytes.

package.path = "tests/?.lua;" .. package.path
local files = require "support.files"

local LAYERS = { -- folder -> folders it may include, besides itself
  base = "",
  sys = "base",
  flow = "base sys",
  tokens = "base include",
  text = "base tokens include",
  semantic = "base tokens include",
  ["local"] = "base sys tokens/unicode.h include", -- models inside of the process: they know no request; Lua's word
  http = "base sys flow",
  llm = "base flow tokens",
  store = "base sys flow semantic/grams.h sched", -- sched: stores.c, which holds what workers share
  sched = "base sys flow", -- limits, queues, breakers: they know no upstream and no request
  learn = "base tokens/unicode.h include",
  jobs = "base sys flow store", -- store: Redis, in whose words one kind of queue speaks
  upstream = "base sys flow sched http/parse.h http/tls.h http/field.h http/coding.h", -- nothing of servers
  request = "base sys flow http/parse.h llm tokens semantic store sched jobs upstream local include",
  bridge = "base sys flow http llm tokens text semantic store sched learn jobs upstream request include",
  sim = "base sys flow http llm cli/args.h include",
  gateway = "base sys flow http llm tokens store sched jobs upstream local request bridge sim/sim.h include", -- upstreams that play themselves
  bench = "base sys http llm cli/args.h include",
  rock = "base sys flow request upstream local bridge gateway sim/sim.h include", -- a gateway without listeners, in others' Lua
  cli = "base sys http tokens text semantic store learn jobs local bridge gateway bench sim rock include",
  include = "",
}
-- The error codes are public and are used everywhere.
local ANYWHERE = { ["perilune.h"] = true, ["include/perilune.h"] = true }

local BELONGS = { -- prefix of a system header -> folders
  { "lua.h", "bridge rock" }, { "lauxlib.h", "bridge rock" }, { "lualib.h", "bridge rock" },
  { "luajit.h", "bridge" }, { "curl/", "upstream" }, { "hiredis/", "store" },
  { "openssl/", "http bridge base store" }, { "zlib.h", "http" }, { "zstd.h", "http store" }, { "dlfcn.h", "jobs local" }, { "sqlite3.h", "jobs" },
}
local THREADS = { -- name -> files that may use it; main.c and sim.c are programs of their own
  pthread_create = "core/sys/mailbox.c core/cli/main.c", uv_thread_create = "core/sim/sim.c",
  uv_async_init = "core/sim/sim.c core/upstream/names.c", uv_async_send = "core/sim/sim.c core/upstream/names.c",
  uv_queue_work = "core/gateway/upload.c core/gateway/batch_work.c core/gateway/reading.c", -- file_commit() waits for the disk
  -- Types that lock inside, and gateway.c, which waits for answers of workers.
  pthread_mutex_lock = "core/sys/mailbox.c core/sys/door.c core/sys/log_thread.c core/store/shared.c core/store/values.c core/store/memo.c core/store/cache.c core/store/near.c core/store/known.c core/store/far.c core/store/flight.c core/store/tally.c core/store/captures.c core/jobs/jobs_end.c core/jobs/jobs_file.c core/jobs/jobs_memory.c core/jobs/jobs_redis.c core/sched/breaker.c core/sched/credits.c core/sched/gate.c core/sched/limit.c core/local/turn.c core/local/engines.c core/local/process.c core/local/process_keeper.c core/local/llama_library.c core/upstream/names.c core/tokens/calibration.c core/gateway/registry.c "
                       .. "core/jobs/courier.c core/jobs/broker_amqp.c core/jobs/amqp_library.c core/jobs/broker_kafka.c core/jobs/kafka_flights.c core/jobs/kafka_library.c "
                       .. "core/gateway/metrics.c core/gateway/gateway.c core/cli/main.c",
}
local FILE_LINES, FUNCTION_LINES, FUNCTION_WARN, LINE_BYTES = 900, 100, 60, 120

local failures, warnings, checked = 0, 0, 0
local bad_files = {}

local function fail(...)
  failures = failures + 1
  bad_files[(select(2, ...) or "")] = true
  print("FAIL  " .. string.format(...))
end

local function has(list, word) return (" " .. list .. " "):find(" " .. word .. " ", 1, true) end

local function read_lines(path)
  local out = {}
  for line in io.lines(path) do out[#out + 1] = line end
  return out
end

local function sources()
  local out = {}
  for path in files.lines("find core -name '*.[ch]' | sort") do out[#out + 1] = path end
  return out
end

local function folder_of(path) return path:match("^core/([^/]+)/") end

-- -- Includes ---------------------------------------------------------------------

local edges = {} -- path -> list of paths

local function check_own(path, at, name)
  local from = folder_of(path)
  local to = name:match("^([^/]+)/")
  if ANYWHERE[name] then return end
  if not to then return fail("%s:%d: write the folder in front of \"%s\"", path, at, name) end
  table.insert(edges[path], "core/" .. name)
  if to == from then return end
  if not LAYERS[to] then return fail("%s:%d: there is no folder %s/", path, at, to) end
  local may = LAYERS[from] or ""
  if not has(may, to) and not has(may, name) then
    fail("%s:%d: %s/ may not include %s", path, at, from, name)
  end
end

local function check_system(path, at, name)
  for _, rule in ipairs(BELONGS) do
    local prefix, folders = rule[1], rule[2]
    local hit = prefix:sub(-1) == "/" and name:sub(1, #prefix) == prefix or name == prefix
    if hit and not has(folders, folder_of(path)) then
      fail("%s:%d: <%s> belongs to %s", path, at, name, folders == "" and "nobody" or folders)
    end
  end
end

local function check_includes(path, lines)
  edges[path] = {}
  if not LAYERS[folder_of(path)] then fail("%s: folder without a rule in layers.lua", path) end
  for at, line in ipairs(lines) do
    local own, system = line:match('^%s*#%s*include%s+"([^"]+)"'), line:match("^%s*#%s*include%s+<([^>]+)>")
    if own then check_own(path, at, own) end
    if system then check_system(path, at, system) end
  end
end

local function check_cycles()
  local done, stack = {}, {}
  local function visit(path)
    if done[path] or not edges[path] then return end
    for i, p in ipairs(stack) do
      if p == path then
        fail("include cycle: %s -> %s", table.concat(stack, " -> ", i), path)
        return
      end
    end
    stack[#stack + 1] = path
    for _, to in ipairs(edges[path]) do visit(to) end
    stack[#stack] = nil
    done[path] = true
  end
  for path in pairs(edges) do visit(path) end
end

-- -- Sizes -------------------------------------------------------------------------

-- A function begins with a line in column one that ends in "{" and holds "(",
-- and ends at the next "}" in column one.
local function check_sizes(path, lines)
  if #lines > FILE_LINES then
    fail("%s: %d lines, the limit is %d", path, #lines, FILE_LINES)
  end
  local start
  for at, line in ipairs(lines) do
    local opens = line:match("^[%a_].*{%s*$") or line:match("^[%s].*%)%s*{%s*$")
    if not start and line:match("^[%a_]") and line:find("(", 1, true) and not line:find(";", 1, true) then
      start = at
    end
    if start and line:match("^[%a_].*;%s*$") then start = nil end
    if start and line:match("^}") then
      local size = at - start + 1
      local name = lines[start]:match("([%w_]+)%s*%(") or "?"
      if size > FUNCTION_LINES then
        fail("%s:%d: %s() has %d lines, the limit is %d", path, start, name, size, FUNCTION_LINES)
      elseif size > FUNCTION_WARN then
        warnings = warnings + 1
        print(("note  %s:%d: %s() has %d lines"):format(path, start, name, size))
      end
      start = nil
    end
    if opens and line:match("^[%a_][^(]*{%s*$") then start = nil end -- struct, enum, table
  end
end

-- -- Threads and lines ---------------------------------------------------------------

local function check_lines(path, lines)
  for at, line in ipairs(lines) do
    if #line > LINE_BYTES then fail("%s:%d: a line of %d bytes, the limit is %d", path, at, #line, LINE_BYTES) end
    for name in line:gmatch("%f[%w_]([%a_][%w_]*)%s*%(") do
      if THREADS[name] and not has(THREADS[name], path) then
        fail("%s:%d: %s() belongs to %s", path, at, name, THREADS[name] == "" and "nobody" or THREADS[name])
      end
    end
  end
end

-- -- Guards --------------------------------------------------------------------------

local function check_guard(path, lines)
  if not path:match("%.h$") then return end
  local folder, file = path:match("^core/([^/]+)/(.-)%.h$")
  local guard = folder == "include" and file:upper() .. "_H"
                or ("PERILUNE_%s_%s_H"):format(folder:upper(), file:upper())
  guard = guard:gsub("[^%w_]", "_")
  for _, line in ipairs(lines) do
    local name = line:match("^#ifndef%s+([%w_]+)")
    if name then
      if name ~= guard then fail("%s: the include guard is %s, expected %s", path, name, guard) end
      return
    end
  end
  fail("%s: no include guard", path)
end

-- -- Essays ----------------------------------------------------------------------------

local function check_essay(path, lines)
  if not path:match("%.[ch]$") then return end
  local base = path:match("([^/]+)$")
  local first = lines[1] or ""
  if first:sub(1, #base + 7) ~= "/* " .. base .. " -- " then
    fail("%s: the file begins with '/* %s -- what it is'", path, base)
  end
end

for _, path in ipairs(sources()) do
  local lines = read_lines(path)
  checked = checked + 1
  check_includes(path, lines)
  check_sizes(path, lines)
  check_lines(path, lines)
  check_guard(path, lines)
  check_essay(path, lines)
end
check_cycles()

print(("layers: %d files, %d notes"):format(checked, warnings))
local bad = 0
for _ in pairs(bad_files) do bad = bad + 1 end
print(("%d passed, %d failed"):format(checked - bad, bad))
os.exit(failures == 0 and checked > 0 and 0 or 1)

-- metrics.lua -- the page of metrics and log fields says what the program prints.
--
--   luajit tests/lint/metrics.lua       from the root of the project
--
-- Names of metrics are the strings in core/ that begin with perilune_, gen_ai_ or process_ and
-- are no function of C; fields of the log are the second arguments of log_str, log_u64 and
-- log_ms.  Each must be in a table of examples/deploy/METRICS.md, and nothing else may be.
-- (What a running gateway prints is compared by tests/unit/test_gateway.c.)

package.path = "tests/?.lua;" .. package.path
local files = require "support.files"

local PAGE = "examples/deploy/METRICS.md"

local failures, checked = 0, 0

local function fail(...)
  failures = failures + 1
  print("FAIL  " .. string.format(...))
end

-- The first column of the table under a heading.
local function column(text, heading)
  local out = {}
  local section = (text .. "\n## "):match("\n## " .. heading .. "\n(.-)\n## ")
  if not section then
    fail("%s: no section '%s'", PAGE, heading)
    return out
  end
  for cell in ("\n" .. section):gmatch("\n| ([^|]*) |") do
    for name in cell:gmatch("`([%w_]+)`") do out[name] = true end
  end
  return out
end

local function in_sources()
  local metrics, fields = {}, {}
  for path in files.lines("find core -name '*.c' ! -path 'core/cli/*' ! -path 'core/bench/*' ! -path 'core/sim/*' | sort") do
    local text = files.read(path)
    for name in text:gmatch('"([%l_]+)["{ ]') do
      if name:find("^perilune_%l") or name:find("^gen_ai_%l") or name:find("^process_%l") then
        metrics[name] = path
      end
    end
    for kind, key in text:gmatch('log_(%l%w*)%(&?[%w_]+, "([%l_]+)"') do
      if kind == "str" or kind == "u64" or kind == "ms" then fields[key] = path end
    end
  end
  for _, label in ipairs{ "gen_ai_token_type" } do metrics[label] = nil end
  return metrics, fields
end

local function compare(what, printed, described)
  for name, path in pairs(printed) do
    checked = checked + 1
    if not described[name] then fail("%s: %s '%s' is not in %s", path, what, name, PAGE) end
  end
  for name in pairs(described) do
    if not printed[name] then fail("%s: no %s '%s' is printed", PAGE, what, name) end
  end
end

local page = files.read(PAGE) or ""
local metrics, fields = in_sources()
-- Written with the line itself, or by buf_printf.
for _, name in ipairs{ "time", "level", "msg", "usd", "asked_usd", "steps", "steps_lost", "notes", "cache_similarity", "tokens_saved", "saved" } do fields[name] = "core/" end
compare("metric", metrics, column(page, "Metrics"))
compare("log field", fields, column(page, "Log lines"))

print(("metrics: %d names"):format(checked))
print(("%d passed, %d failed"):format(checked, failures))
os.exit(failures == 0 and 0 or 1)

-- compress.lua -- what trim, compress_context and compress_history reach, each figure
-- beside its bar; with the word "cases", only the three cases of tests/eval/cases.lua.
--
--   luajit tests/bench/compress.lua
--   luajit tests/bench/compress.lua cases
--
-- The texts and the measuring are in tests/eval/; figures_spec.lua holds the same bars in
-- every test run.  Tokens are o200k_base's.

package.path = "tests/?.lua;" .. package.path
local files = require "support.files"
local server = require "support.server"

local only_cases = arg[1] == "cases"

local function rows_of(command)
  local figures, cases, failed = {}, {}, false
  for line in files.lines(command) do
    local kind, rest = line:match("^(%a+)\t(.*)$")
    local fields = {}
    for field in ((rest or "") .. "\t"):gmatch("(.-)\t") do fields[#fields + 1] = field end
    if kind == "figure" then figures[#figures + 1] = fields end
    if kind == "case" then cases[#cases + 1] = fields end
    if line:find("^FAILED") then
      failed = true
      print(line)
    end
  end
  return figures, cases, failed
end

local function show_figure(name, value, unit, bar, direction)
  value, bar = tonumber(value), tonumber(bar)
  local good = not bar or (direction == "least" and value >= bar) or (direction == "most" and value <= bar)
  print(("%-52s | %8.2f %-5s | %s | %s"):format(name, value, unit,
    bar and ("%s %g"):format(direction == "least" and ">=" or "<=", bar) or "-", not bar and "-" or good and "ok" or "MISS"))
end

local function show_case(name, before, after, how)
  local change = how == "none" and "" or ("%.0f %% "):format(100 * (after - before) / before)
  print(("| %s | %s | %s | %s| %s |"):format(name, before, after, change, how))
end

local figures, cases, failed = rows_of(("PERILUNE_FIGURES=1 %s test tests/eval/figures_spec.lua"):format(server.binary()))
if not only_cases then
  for _, f in ipairs(figures) do show_figure(unpack(f)) end
  print()
end
print("| case | tokens before | after | | policy |\n|---|---|---|---|---|")
for _, c in ipairs(cases) do show_case(unpack(c)) end
os.exit(failed and 1 or 0)

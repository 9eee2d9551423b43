-- abi.lua -- what programs are compiled against stays as it was.
--
--   luajit tests/lint/abi.lua LIBRARY.so CC            compares with core/include/perilune.abi
--   luajit tests/lint/abi.lua LIBRARY.so CC --record   writes that file (`make abi`)
--
-- The record has a line for each exported symbol with its version, for the size of each
-- public struct and the offset and size of its fields, and for each number of an enum.  A
-- line that is gone or says something else breaks programs that exist; a line that is new
-- has to be recorded, so that whoever reads the change sees it.  And what takes something of
-- the whole process is called nowhere in the library: a host's process is not ours.

local LIBRARY, CC, RECORD = arg[1], arg[2] or "cc", arg[3] == "--record"
local HEADER, FILE = "core/include/perilune.h", "core/include/perilune.abi"

local NEVER = { "signal", "sigaction", "exit", "setlocale", "umask", "setenv", "putenv", "unsetenv", "clearenv", "chdir",
  "srand", "srandom", "setrlimit", "setpriority", "nice", "daemon", "atexit", "pthread_atfork" }
local PROGRAMS = { -- what runs in a process of its own: the program, a model's, and perilune_tool_...()
  ["core/cli/main.c"] = "signal sigaction setenv setrlimit setpriority", ["core/local/process_child.c"] = "signal",
  ["core/bench/bench.c"] = "setrlimit", ["core/sim/sim.c"] = "setrlimit", ["core/cli/distill_data.c"] = "umask",
}

local failures, checked = 0, 0

local function fail(...)
  failures = failures + 1
  print("FAIL  " .. string.format(...))
end

local function lines_of(command)
  local out, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do out[#out + 1] = line end
  pipe:close()
  return out
end

local function read(path)
  local f = assert(io.open(path))
  local text = f:read("*a")
  f:close()
  return text
end

local function symbols(out)
  for _, line in ipairs(lines_of("nm -D --defined-only --with-symbol-versions " .. LIBRARY)) do
    local name = line:match("%s%u%s+(%S+)$")
    if name and not name:find("^PERILUNE_%d") then out[#out + 1] = "symbol " .. name end
  end
end

-- Declarations between braces -> names of fields.
local function fields_of(body)
  local names = {}
  for declaration in body:gmatch("[^;]+") do
    local name = declaration:match("%(%s*%*%s*([%w_]+)%s*%)") or declaration:match("([%w_]+)%s*%[") or declaration:match("([%w_]+)%s*$")
    if name then names[#names + 1] = name end
  end
  return names
end

-- A C program that prints what the compiler makes of the header.
local function program(text)
  local out = { '#include "perilune.h"', "#include <stdio.h>", "int main(void) {" }
  local function put(...) out[#out + 1] = string.format(...) end
  for tag, body in text:gmatch("typedef struct ([%w_]+) (%b{})") do
    put('    printf("struct %s %%zu\\n", sizeof(%s));', tag, tag)
    for _, field in ipairs(fields_of(body:sub(2, -2))) do
      put('    printf("field %s.%s %%zu %%zu\\n", offsetof(%s, %s), sizeof(((%s *)0)->%s));', tag, field, tag, field, tag, field)
    end
  end
  for body in text:gmatch("enum [%w_]+ (%b{})") do
    for name in body:gmatch("(PERILUNE_[%u%d_]+)%s*=") do put('    printf("number %s %%d\\n", (int)%s);', name, name) end
  end
  out[#out + 1] = '#define XX(name, value, text) printf("number PERILUNE_ERR_%s %d\\n", #name, (int)PERILUNE_ERR_##name);'
  put("    PERILUNE_ERROR_MAP(XX)")
  put("    return 0;")
  put("}")
  return table.concat(out, "\n") .. "\n"
end

local function layout(out)
  local text = read(HEADER):gsub("/%*.-%*/", ""):gsub("#define[^\n]*\\\n[^\n]*", "")
  local base = os.tmpname()
  local f = assert(io.open(base .. ".c", "w"))
  f:write(program(text))
  f:close()
  local built = os.execute(("%s -std=c11 -Icore/include -o %s %s.c"):format(CC, base, base))
  if built ~= 0 then fail("%s: a program that includes it does not compile", HEADER) end
  for _, line in ipairs(built == 0 and lines_of(base) or {}) do out[#out + 1] = line end
  os.remove(base .. ".c")
  os.remove(base)
end

-- "symbol perilune_open@@PERILUNE_0" is what it is about; "struct x 16" is about "struct x".
local function key(line) return line:match("^symbol ([^@]+)") or line:match("^(%S+ %S+)") end

local function compare(now)
  local old, new = {}, {}
  for line in io.lines(FILE) do
    if not line:find("^#") then old[key(line)] = line end
  end
  for _, line in ipairs(now) do
    new[key(line)] = line
    checked = checked + 1
    local was = old[key(line)]
    if not was then fail("%s is not recorded in %s: `make abi`, and say in the commit what is new", key(line), FILE)
    elseif was ~= line then fail("'%s' was '%s': programs that are compiled break", line, was) end
  end
  for what, line in pairs(old) do
    if not new[what] then fail("'%s' is gone: programs that are compiled break", line) end
  end
end

local function check_calls()
  for _, path in ipairs(lines_of("ls core/*/*.c")) do
    local code = read(path):gsub("/%*.-%*/", ""):gsub('"[^"\n]*"', '""')
    for _, name in ipairs(NEVER) do
      if code:find("%f[%w_.>]" .. name .. "%s*%(") and not (PROGRAMS[path] or ""):find(name) then
        fail("%s calls %s(), which takes something of the host's process", path, name)
      end
    end
  end
end

local function exported_only_ours(now)
  for _, line in ipairs(now) do
    local name = line:match("^symbol (%S+)")
    if name and not name:find("^perilune_[%w_]+@@PERILUNE_%d") then fail("%s exports %s", LIBRARY, name) end
  end
end

local now = {}
symbols(now)
table.sort(now)
layout(now)
if RECORD then
  local f = assert(io.open(FILE, "w"))
  f:write("# What programs are compiled against; `make abi` writes it, tests/lint/abi.lua compares (x86-64).\n")
  f:write(table.concat(now, "\n"), "\n")
  f:close()
else
  compare(now)
end
exported_only_ours(now)
check_calls()
print(("abi: %d lines\n%d passed, %d failed"):format(#now, checked, failures))
os.exit(failures == 0 and 0 or 1)

-- words.lua -- words, functions and bytes that do not belong in the tree.
--
--   luajit tests/lint/words.lua         from the root of the project
--
-- Looks at the files that git knows or would add.

package.path = "tests/?.lua;" .. package.path
local files = require "support.files"

local failures, checked, bad_files, current = 0, 0, {}, nil

local function fail(...)
  failures = failures + 1
  bad_files[current] = true
  print("FAIL  " .. string.format(...))
end

-- Split, so that this file passes its own test.
local NOTES = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X", "HA" .. "CK" }

local C_FUNCTIONS = { -- name -> what to use
  strcpy = "a struct buf or memcpy with a length", strcat = "a struct buf",
  sprintf = "snprintf or buf_printf", vsprintf = "vsnprintf", gets = "fgets",
  strtok = "a loop over slices", atoi = "strtol or json_u64", atol = "strtol",
  gmtime = "gmtime_r", localtime = "localtime_r",
  alloca = "the arena", system = "nothing", tmpnam = "mkstemp", rand = "the loop's generator",
}
local ALLOCATORS = { malloc = true, calloc = true, realloc = true, free = true, strdup = true,
                     strndup = true, posix_memalign = true, aligned_alloc = true }
local ALLOCATOR_FILE = "core/base/mem.c"

-- Paths that exist on one machine only.
local PLACES = { "/ho" .. "me/", "/ro" .. "ot/", "/Us" .. "ers/", "/wo" .. "rk/" }

local function is_text(path)
  return path:match("%.[ch]$") or path:match("%.lua$") or path:match("%.case$")
      or path:match("%.mjs$") or path:match("%.py$") or path:match("%.sh$") or path:match("%.md$")
      or path:match("Makefile$") or path:match("%.mk$") or path:match("%.json$")
      or path:match("%.rockspec$") or path:match("^%.ci/")
end

--- The file with comments and strings of C blanked out, line numbers kept.
local function code_only(text)
  local out, at = {}, 1
  local function blank(s) return (s:gsub("[^\n]", " ")) end
  while true do
    local i = text:find("[/\"']", at)
    if not i then break end
    out[#out + 1] = text:sub(at, i - 1)
    local two, stop = text:sub(i, i + 1), nil
    local c = two:sub(1, 1)
    if two == "/*" then
      stop = select(2, text:find("*/", i + 2, true))
    elseif two == "//" then
      stop = (text:find("\n", i, true) or #text + 1) - 1
    elseif c == "/" then
      stop = i
    else
      stop = i + 1
      while text:sub(stop, stop) ~= c and stop <= #text do
        stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
      end
    end
    stop = stop or #text
    out[#out + 1] = c == "/" and stop == i and "/" or blank(text:sub(i, stop))
    at = stop + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

local function check_c(path, text)
  if not path:match("^core/.*%.[ch]$") then return end
  local at = 0
  for line in (code_only(text) .. "\n"):gmatch("(.-)\n") do
    at = at + 1
    for before, name in line:gmatch("([%w_%.>]?)%f[%w_]([%a_][%w_]*)%s*%(") do
      local called = before ~= "." and before ~= ">"
      if called and C_FUNCTIONS[name] then
        fail("%s:%d: %s(): use %s", path, at, name, C_FUNCTIONS[name])
      elseif called and ALLOCATORS[name] and path ~= ALLOCATOR_FILE then
        fail("%s:%d: %s(): only mem.c allocates, use mem_%s()", path, at, name, name)
      end
    end
    if line:find("[\128-\255]") then fail("%s:%d: a byte that is not ASCII in code", path, at) end
  end
end

local function check_lines(path, text)
  local at = 0
  local tabs_allowed = path:match("Makefile$") or path:match("%.mk$")
  for line in (text .. "\n"):gmatch("(.-)\n") do
    at = at + 1
    if line:find("\t") and not tabs_allowed then fail("%s:%d: a tab", path, at) end
    if line:find("[ \t]$") and not path:match("%.case$") then
      fail("%s:%d: white space at the end of the line", path, at)
    end
    if line:find("\r") then fail("%s:%d: a carriage return", path, at) end
    for _, word in ipairs(NOTES) do
      if line:find("%f[%w]" .. word .. "%f[%W]") then fail("%s:%d: %s", path, at, word) end
    end
    for _, place in ipairs(PLACES) do
      if line:find("%f[/]" .. place) then fail("%s:%d: %s: a path of one machine", path, at, place) end
    end
  end
  if text ~= "" and text:sub(-1) ~= "\n" then fail("%s: no line end at the end of the file", path) end
end

local function check_lock(path, text)
  if path:match("package%-lock%.json$") and text:find('"resolved"', 1, true) then
    fail("%s: names a registry: remove the \"resolved\" fields", path)
  end
end

local command = "git ls-files --cached --others --exclude-standard 2>/dev/null || true"
for path in files.lines(command) do
  current = path
  local text = is_text(path) and not path:match("^build/") and files.read(path)
  if text then
    checked = checked + 1
    check_lines(path, text)
    check_c(path, text)
    check_lock(path, text)
  end
end

print(("words: %d files"):format(checked))
local bad = 0
for _ in pairs(bad_files) do bad = bad + 1 end
print(("%d passed, %d failed"):format(checked - bad, bad))
os.exit(failures == 0 and checked > 0 and 0 or 1)

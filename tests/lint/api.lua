-- api.lua -- what Lua can call is what the manual says.
--
--   luajit tests/lint/api.lua           from the root of the project
--
-- The manual is lua/perilune/meta.lua.  Every name in a luaL_Reg table of
-- core/bridge/ must be documented there, and every function documented there must
-- exist, in C or in lua/perilune/.  A table that Lua code of ours uses and policies
-- do not see says so with the word "private" in the comment in front of it, or
-- beside its name.
--
-- Modules: what perilune and perilune.test offer is in the manual; what the manual
-- says of perilune.NAME is in lua/perilune/NAME.lua.  Documents: names that they
-- mention, as perilune.NAME, req:NAME() or res:NAME(), are in the manual.

package.path = "tests/?.lua;" .. package.path
local files = require "support.files"

local META = "lua/perilune/meta.lua"

local failures, checked = 0, 0

local function fail(...)
  failures = failures + 1
  print("FAIL  " .. string.format(...))
end

-- -- What C offers --------------------------------------------------------------------

-- The comment that ends right before position `at`, if there is one.
local function comment_before(text, at)
  local head = text:sub(1, at - 1)
  local from = head:match(".*()/%*")
  local comment = from and head:sub(from)
  return comment and comment:match("^/%*.-%*/%s*[%w%s_]*$") and comment or ""
end

--- name -> "file: table"; second result: names of private tables.
local function c_names()
  local public, private = {}, {}
  for path in files.lines("find core/bridge -name '*.c' 2>/dev/null | sort") do
    local text = files.read(path)
    for at, name, body in text:gmatch("()luaL_Reg%s+([%w_]+)%s*%[%]%s*=%s*(%b{})") do
      local hidden = (comment_before(text, at) .. name):lower():find("private", 1, true)
      for entry in body:gmatch('{%s*"([%w_]+)"%s*,%s*[%w_]+%s*}') do
        checked = checked + 1
        local into = hidden and private or public
        into[entry] = into[entry] or path .. ": " .. name
      end
    end
  end
  return public, private
end

-- -- What the manual says ----------------------------------------------------------------

--- name -> line, for functions and for fields.
local function documented(text)
  local functions, fields, at = {}, {}, 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    at = at + 1
    local f = line:match("^%s*function%s+[%w_%.]*[%.:]([%w_]+)%s*%(")
              or line:match("^%s*[%w_%.]+%.([%w_]+)%s*=%s*function")
    local field = line:match("^%s*%-%-%-@field%s+%w*%s*([%a_][%w_]*)[%?%s]")
                  or line:match("^%s*%-%-%-@field%s+([%a_][%w_]*)[%?%s]")
    local overload = line:match("^%s*%-%-%-@field%s+([%a_][%w_]*)%s+async%s+fun")
                     or line:match("^%s*%-%-%-@field%s+([%a_][%w_]*)%s+fun")
    if f then functions[f] = at end
    if field then fields[field] = at end
    if overload then functions[overload] = at end
  end
  return functions, fields
end

-- -- What our Lua offers -------------------------------------------------------------------

local function lua_names()
  local out = {}
  for path in files.lines("find lua/perilune -name '*.lua' 2>/dev/null | sort") do
    if path ~= META then
      for line in io.lines(path) do
        local name = line:match("function%s+[%w_%.]+[%.:]([%w_]+)%s*%(")
                     or line:match("[%w_]+[%.]([%w_]+)%s*=")
                     or line:match("^%s*([%w_]+)%s*=")
        if name then out[name] = path end
        for word in line:gmatch("([%w_]+)%s*=%s*[%w_]") do out[word] = out[word] or path end
      end
    end
  end
  return out
end

-- -- Modules, name by name -------------------------------------------------------------------

local MODULES = { -- name in the manual -> file, or files
  perilune = "init rock", test = "test", config = "config", check = "check", errors = "errors", retry = "retry", breaker = "breaker",
  text = "text", cost = "cost", chat = "chat", prompt_cache = "prompt_cache", extract = "extract",
  fields = "fields", turns = "turns", trim = "trim", ["perilune.json"] = false, ["perilune.base64"] = false,
}
-- What else these two hold is for the loader; of the others everything is in the manual.
local INCOMPLETE = { config = true, check = true }

--- Names that a module's files put into their table M -> line.
local function module_names(names)
  local out = {}
  for file in names:gmatch("%S+") do
    local at = 0
    for line in io.lines("lua/perilune/" .. file .. ".lua") do
      at = at + 1
      local name = line:match("^function%s+M%.([%w_]+)%s*%(") or line:match("^M%.([%w_]+)%s*=")
      if name then out[name] = at end
    end
  end
  return out
end

local function check_modules(text)
  local said = {}
  for owner, name in text:gmatch("\nfunction%s+([%w_%.]+)%.([%w_]+)%s*%(") do
    said[owner] = said[owner] or {}
    said[owner][name] = true
  end
  for _, name in ipairs{ "json", "base64", "version", "host", "values" } do said.perilune[name] = true end
  for owner, names in pairs(said) do
    local file = MODULES[owner]
    if file == nil then fail("%s: there is no module %s", META, owner) end
    local offered = file and module_names(file)
    for name in pairs(offered and names or {}) do
      checked = checked + 1
      if not offered[name] then fail("%s: %s.%s is not in lua/perilune/%s.lua", META, owner, name, file) end
    end
    for name, at in pairs(not INCOMPLETE[owner] and offered or {}) do
      checked = checked + 1
      local field = text:find("%-%-%-@field " .. name .. "%f[%W]")
      if not names[name] and not field then fail("lua/perilune/%s.lua:%d: %s is not in %s", file, at, name, META) end
    end
  end
  return said
end

-- -- Documents --------------------------------------------------------------------------------

local function check_documents(said, methods, text)
  local function is_type(name)
    return text:find("\n%-%-%-@class perilune%." .. name .. "%f[%W]") or text:find("\n%-%-%-@alias perilune%." .. name .. "%f[%W]")
  end
  for path in files.lines("git ls-files --cached --others --exclude-standard '*.md' 2>/dev/null") do
    local document = path:match("^tests/") and "" or files.read(path) or ""
    for name, what in document:gmatch("%f[%w]perilune%.([%a_][%w_]*)(.?)") do
      local is_file = name == "lua" or name == "h" or name == "so" or name == "pc" or name == "service" or name == "socket" or name == "sock" or name == "abi"
                      or name == "v1" or (name == "key" and what == ".") -- subprotocols of WebSockets
      local module = MODULES[name] or name == "template"
      if not is_file and not module and what ~= "/" then
        checked = checked + 1
        if not said.perilune[name] and not is_type(name) then fail("%s mentions perilune.%s, %s does not", path, name, META) end
      end
    end
    for name in document:gmatch("%f[%w]re[qs]:([%a_][%w_]*)%(") do
      checked = checked + 1
      if not methods[name] then fail("%s mentions :%s(), %s does not", path, name, META) end
    end
  end
end

local text = files.read(META)
if not text then
  print("api: " .. META .. " is missing")
  print("0 passed, 1 failed")
  os.exit(1)
end

local functions, fields = documented(text)
local public, private = c_names()
local ours = lua_names()

for name, where in pairs(public) do
  if name:sub(1, 2) ~= "__" and not functions[name] and not fields[name] then
    fail("%s offers %s, %s does not say what it is", where, name, META)
  end
end
for name, at in pairs(functions) do
  checked = checked + 1
  if not public[name] and not private[name] and not ours[name] then
    fail("%s:%d documents %s, nobody offers it", META, at, name)
  end
end

check_documents(check_modules(text), functions, text)

print(("api: %d names"):format(checked))
print(("%d passed, %d failed"):format(math.max(0, checked - failures), failures))
os.exit(failures == 0 and checked > 0 and 0 or 1)

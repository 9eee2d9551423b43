--- rock: the module that LuaJIT programs require.
--
-- What policies have as `require "perilune"`, and beside it what they require by other names: perilune.text and so on.
-- These are loaded when they are first asked for.  rock_meta.lua describes what is here and not there.

local check = require "perilune.check"
local core = require "perilune.core"
local traces = require "perilune.traces"

local M = {}
for name, value in pairs(require "perilune") do M[name] = value end

-- -- modules of policies ---------------------------------------------------------

local modules = {
  breaker = true, chat = true, config = true, cost = true, errors = true, extract = true, fields = true, prompt_cache = true,
  retry = true, text = true, turns = true,
}

setmetatable(M, {
  __index = function(t, name)
    if not modules[name] then return nil end
    local module = require("perilune." .. name)
    rawset(t, name, module)
    return module
  end,
})

-- -- run --------------------------------------------------------------------------

local function pack(...) return { n = select("#", ...), ... } end

-- In a sentence why not, or nil.
local function refused()
  if package.loaded.ngx then
    return "perilune.run: this is OpenResty, whose own loop would stand still meanwhile; what needs no loop works here "
      .. "(tokens, truncate, text, trim, compress, embed, json, template, sse, cache, limit), and for calls take what "
      .. "OpenResty has (ngx.socket, a location that proxies to `perilune serve`)"
  end
end

-- What was thrown, with the line of who called and not one of the library.
local function placed(err)
  err = core.place(err)
  traces.note(err)
  return err
end

-- Asks of a program are no traffic: nobody wants a line for each, unless the configuration says so.
local function quiet(raw)
  local log = type(raw) == "table" and raw.log
  if type(raw) ~= "table" or (log ~= nil and type(log) ~= "table") or (log and log.access ~= nil) then return raw end
  local function copy(from)
    local out = {}
    for k, v in pairs(from) do out[k] = v end
    return out
  end
  local out = copy(raw)
  out.log = copy(log or {})
  out.log.access = false
  return out
end

local function builder(config)
  local boot = require "perilune.boot"
  return function(text)
    local json
    if text then json = boot.load(text, config, quiet) else json = boot.build(quiet(config), "perilune.run") end
    return json
  end
end

--- Calls fn in a loop, and returns what it returns.
function M.run(config, fn, ...)
  if fn == nil and type(config) == "function" then config, fn = {}, config end
  local kind = type(config)
  if (kind ~= "table" and kind ~= "string") or type(fn) ~= "function" then
    error(("perilune.run(config, function() ... end): the config is a table, such as { upstreams = ... }, or a file's "
      .. "name; got %s and %s"):format(check.show(config), check.show(fn)), 2)
  end
  if kind == "table" and config.jobs then
    error("perilune.run: jobs need a server, which `perilune serve` is; without one nobody would do them", 2)
  end
  local why = refused()
  if why then error(why, 2) end
  local args, out = pack(...), nil
  local ok, err = pcall(core.run, kind == "string" and config or nil, builder(config), function()
    out = pack(xpcall(function() return fn(unpack(args, 1, args.n)) end, placed))
  end)
  if not ok then error(err, 0) end
  if not out[1] then error(out[2], 0) end
  return unpack(out, 2, out.n)
end

-- -- texts -----------------------------------------------------------------------

local trim_options = { languages = true, rules = true, repeated = true, cuts = true }
local trimmer -- with all that is shipped

--- Politeness, filler and repeated lines out of a prompt.
function M.trim(text, options)
  check.known("perilune.trim", options, trim_options)
  text = check.text("perilune.trim", 1, text)
  local trim = require "perilune.trim"
  if options and (options.languages or options.rules or options.repeated ~= nil) then
    return trim.new{ languages = options.languages, rules = options.rules, repeated = options.repeated }
      :text(text, options.cuts)
  end
  trimmer = trimmer or trim.new()
  return trimmer:text(text, options and options.cuts)
end

--- The sentences of a text that a question needs.
function M.compress(text, question, options)
  text = check.text("perilune.compress", 1, text)
  if question ~= nil then question = check.text("perilune.compress", 2, question) end
  return require("perilune.text").extract(text, question, options)
end

return M

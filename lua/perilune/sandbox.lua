--- sandbox: what policy files may touch.
--
-- A policy gets a fresh global table with the harmless part of Lua in it, and
-- `require`, which knows the public modules of perilune and the files beside the
-- policy.  Not in it: ffi, io, os, debug, jit, package, load and its kin (bytecode
-- is not safe), coroutine (the runtime's own yields would end up in the
-- policy's hands), collectgarbage, setfenv.
--
-- pcall and xpcall ask afterwards whether the request was condemned in the
-- meantime (CPU time, memory): a condemned one cannot talk itself out of it.
-- xpcall calls its handler when the error has been caught: while the hook that ends
-- a budget throws, no hook fires, and a handler could run for ever.
--
-- table.sort and string.gsub are Lua where they call back or work long, so that the
-- time of a request can be sliced in there, too (perilune.interruptible; perilune.confine
-- has what holds for all strings).
--
-- Policies run with the JIT off, because compiled loops do not count
-- instructions, and so does this library.  `trusted` policies get everything.

local core = require "perilune.core"
local globals = require "perilune.globals"
local interruptible = require "perilune.interruptible"
local readonly = require "perilune.readonly"
require "perilune.response"

local M = {}

local check = core.check
local sealed = readonly.sealed

local function copy(t)
  local out = {}
  for k, v in pairs(t) do out[k] = v end
  return out
end

local function guarded_rawset(t, k, v)
  if sealed[t] then error(sealed[t] .. " cannot be changed", 2) end
  return rawset(t, k, v)
end

local function to_text(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  return table.concat(parts, "\t")
end

local function guard(...) return check(...) end

local function handle(handler, ok, ...)
  if ok then return true, ... end
  local handled, said = pcall(handler, (...))
  if not handled then return false, "error in error handling" end
  return false, said
end

local open = {
  "assert", "error", "ipairs", "rawequal", "rawget", "select", "setmetatable",
  "getmetatable", "tonumber", "tostring", "type", "unpack", "_VERSION",
}

local public = { ["perilune"] = true }
for _, name in ipairs{
  "breaker", "chat", "check", "config", "cost", "errors", "extract", "fields", "prompt_cache", "retry", "template", "text",
  "trim", "turns",
  -- For the shipped policies:
  "cache", "embeddings", "rewritten", "gate", "near", "rephrase", "compress", "fetch", "history", "payload", "trim_rules", "limit",
  "schema", "smart", "trials", "final_answer", "several", "judge", "parts", "behind", "documents", "divisible", "plan_lines", "crew", "grounded",
  "elsewhere", "caught", "told",
} do
  public["perilune." .. name] = true
end

local shared_views = {}

local function public_module(name)
  if not public[name] then return nil end
  if not shared_views[name] then
    local module = require(name)
    shared_views[name] = type(module) == "table" and readonly.new(module, name) or module
  end
  return shared_views[name]
end

-- What was thrown, as a text.
local function said(value)
  if type(value) == "table" then value = rawget(value, "message") or rawget(value, "code") end
  return tostring(value)
end

local function make_require(env, trusted)
  local loaded = {}
  local loading = {} -- names of modules, from the outermost in
  return function(name)
    if type(name) ~= "string" then error("require: the module's name must be a string", 2) end
    local module = public_module(name)
    if module ~= nil then return module end
    if loaded[name] ~= nil then return loaded[name] end
    if trusted then
      local ok, found = pcall(require, name)
      if ok then return found end
      if not tostring(found):find("no library file", 1, true) then error(found, 0) end
    end
    for i, other in ipairs(loading) do
      if other == name then
        error(("require: modules need each other: %s -> %s"):format(table.concat(loading, " -> ", i), name), 2)
      end
    end
    local text, path = core.policy_source(name)
    if not text then error("require: " .. (not trusted and globals.withheld(name) or path), 2) end
    local chunk, err = M.load(text, path, trusted, env)
    if not chunk then error(("require '%s': %s"):format(name, err), 2) end
    loading[#loading + 1] = name
    local ok, value = pcall(M.run, chunk, name)
    loading[#loading] = nil
    -- Each module on the way says where it asked for the next one.
    if not ok then error(("require '%s': %s"):format(name, said(value)), 2) end
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
end

-- Lua's own, which is what a policy gets that forgot its second parameter.
local function checked_next(t, k)
  if type(t) == "userdata" then
    error("next(req) calls Lua's own next: the next policy is the second parameter, function(req, next)", 2)
  end
  return next(t, k)
end

--- A fresh global table.
---@param trusted boolean
---@return table
function M.env(trusted)
  local env = { host = require("perilune.program").functions }
  if trusted then
    setmetatable(env, { __index = _G })
    env.next = checked_next
    env.require = make_require(env, true)
    env._G = env
    return env
  end
  for _, name in ipairs(open) do env[name] = _G[name] end
  env.math, env.table, env.bit, env.string = copy(math), copy(table), copy(bit), copy(string)
  env.math.randomseed = nil
  env.table.sort = interruptible.sort
  env.pcall = function(f, ...) return guard(pcall(f, ...)) end
  env.xpcall = function(f, handler, ...) return guard(handle(handler, guard(pcall(f, ...)))) end
  env.pairs = function(t)
    if type(t) == "userdata" then return next, core.fields(t) end
    return pairs(t)
  end
  env.next = checked_next
  env.rawset = guarded_rawset
  env.print = function(...) core.log("info", to_text(...)) end
  env.require = make_require(env, false)
  env._G = env
  return env
end

--- Compiles a policy's text (never bytecode) for an environment.
---@param text string
---@param path string  for messages
---@param trusted boolean
---@param env? table
---@return function?
---@return string? err
function M.load(text, path, trusted, env)
  local chunk, err = load(text, "@" .. path, "t", env or M.env(trusted))
  if err == "attempt to load chunk with wrong mode" then err = path .. ": this is bytecode, and only text is loaded" end
  if not chunk then return nil, err end
  if trusted then core.loads_trusted() else jit.off(chunk, true) end
  return chunk
end

--- What was thrown while loading; LuaJIT does not say where memory ended, nor why (core/bridge/state.c).
---@param value any
---@param where? string
---@return any
function M.said(value, where)
  -- What came before may have filled the memory, and the next policy is not to be blamed for it.
  collectgarbage()
  if value ~= "not enough memory" then return value end
  for _ = 1, 4 do collectgarbage() end -- LuaJIT's buffer for texts loses half of its size each time
  return (where and where .. ": " or "") .. "not enough memory: loading may take 256 MiB of it"
end

local create, resume, status = coroutine.create, coroutine.resume, coroutine.status

local function outcome(co, ok, ...)
  if not ok then return false, core.blamed(co, (...)) end
  if status(co) ~= "dead" then return false, "a file that is loaded cannot yield" end
  return true, ...
end

--- pcall() for code that is loaded: what is thrown becomes a text with a place in a policy's file.  A coroutine keeps
--- its stack when it fails, also one that overflowed, on which no handler could run.
---@param fn function
---@return boolean ok
---@return any value
function M.protected(fn, ...)
  local co = create(fn)
  return outcome(co, resume(co, ...))
end

--- Runs a chunk of M.load(), and looks at the global names that it reads.  A chunk that throws throws what is wrong
--- with these, if anything is: "attempt to index a nil value" says less.  If it ran, a function inside may
--- never come to the name, or ask whether it is there: `check` refuses that, a server says it in its log.
---@param chunk function
---@param name? string
---@return any value
---@return any more
function M.run(chunk, name)
  local ok, value, more = M.protected(chunk, name)
  if not ok then value = M.said(value, debug.getinfo(chunk, "S").source:sub(2)) end
  local problem = globals.problem(chunk, getfenv(chunk))
  if not ok then error(problem or value, 0) end
  if problem then core.policy_doubt(problem) end
  return value, more
end

return M

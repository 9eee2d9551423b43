--- globals: which global names does a file read that nobody defines?
--
-- A policy runs for the first time when a request comes, so a misspelled name would be found in
-- production.  This looks at the bytecode of a file that has just run: every instruction that reads a global
-- name, in the file's own code and in all functions inside of it.  A name counts as defined when
-- the environment has it, or when the file assigns it somewhere.
--
-- What is read through a table (_G.name, rawget(_G, "name")) is not looked at: that is how a
-- file asks for a name that may be missing.

local check = require "perilune.check"
local util = require "jit.util"

local M = {}

-- What policies do without, and what takes its place.
local withheld = {
  os = "perilune.now() has the time, perilune.date() writes it, perilune.env() reads the environment",
  io = "require() loads files beside the configuration, perilune.fetch() and perilune.log() reach the outside",
  debug = "an error that a policy throws is logged with its traceback",
  ffi = "with `trusted = true` a policy has all of LuaJIT",
  jit = "with `trusted = true` a policy has all of LuaJIT",
  package = "require() finds the modules of perilune and the files beside the configuration",
  module = "a file returns its table",
  coroutine = "perilune.all, any, race and map run functions side by side",
  load = "code is loaded from files, by require()",
  loadstring = "code is loaded from files, by require()",
  loadfile = "code is loaded from files, by require()",
  dofile = "code is loaded from files, by require()",
  collectgarbage = "the runtime collects in time, and limits.memory bounds what a request may hold",
  setfenv = "an environment cannot be exchanged",
  getfenv = "an environment cannot be exchanged",
  newproxy = "setmetatable() works on tables",
}

--- Why policies do not have a library or a function of Lua; nil for any other name.
---@param name string
---@return string? sentence
function M.withheld(name)
  local instead = withheld[name]
  return instead and ("'%s' is not available to policies: %s"):format(name, instead)
end

-- The numbers of the two instructions differ between versions of LuaJIT: taken from code that has them.
local function opcode(code)
  local chunk = loadstring(code)
  for pc = 1, 8 do
    local ins = util.funcbc(chunk, pc)
    if not ins then break end
    if util.funck(chunk, -bit.rshift(ins, 16) - 1) == "probe" then return bit.band(ins, 0xff) end
  end
end
local READ, WRITE = opcode("return probe"), opcode("probe = 7")

-- reads = list of { name, line }, writes = set of names; of fn and all functions inside.
local function collect(fn, reads, writes)
  local pc = 1
  local ins = util.funcbc(fn, pc)
  while ins do
    local op = bit.band(ins, 0xff)
    if op == READ or op == WRITE then
      local name = util.funck(fn, -bit.rshift(ins, 16) - 1)
      if op == WRITE then writes[name] = true
      else reads[#reads + 1] = { name = name, line = util.funcinfo(fn, pc).currentline } end
    end
    pc = pc + 1
    ins = util.funcbc(fn, pc)
  end
  local n = -1
  local constant = util.funck(fn, n)
  while constant ~= nil do
    if type(constant) == "proto" then collect(constant, reads, writes) end
    n = n - 1
    constant = util.funck(fn, n)
  end
end

local function sentence(name, known)
  local reason = M.withheld(name)
  if reason then return reason end
  if name == "perilune" then return "'perilune' is no global: local perilune = require \"perilune\"" end
  known[#known + 1] = "perilune"
  local near = check.nearest(name, known)
  return near and ("unknown global '%s'; did you mean '%s'?"):format(name, near)
    or ("unknown global '%s': neither Lua nor this file defines it"):format(name)
end

local function names(env)
  local list = {}
  for name in pairs(env) do
    if type(name) == "string" then list[#list + 1] = name end
  end
  return list
end

local MOST = 5 -- of one file

--- What is wrong with the global names that a chunk reads; nil when nothing is.
---@param chunk function  it has run, so what it defines is there
---@param env table       its environment
---@return string? message  a line for each name: file, line and why
function M.problem(chunk, env)
  local reads, writes, told, lines = {}, {}, {}, {}
  collect(chunk, reads, writes)
  local file = util.funcinfo(chunk).source:gsub("^@", "")
  table.sort(reads, function(a, b) return a.line < b.line end)
  for _, read in ipairs(reads) do
    local name = read.name
    if env[name] == nil and not writes[name] and not told[name] and #lines < MOST then
      told[name] = true
      lines[#lines + 1] = ("%s:%d: %s"):format(file, read.line, sentence(name, names(env)))
    end
  end
  return lines[1] and table.concat(lines, "\n") or nil
end

return M

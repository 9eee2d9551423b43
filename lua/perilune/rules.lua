--- rules: functions that the program calls (perilune_eval).
--
--     code is a name -->  modules[name]                 read with the configuration (`rules = { "pricing" }`)
--     code is a text -->  young[text], or old[text]     compiled once
--
-- A rule is { chunk =, env =, main =, functions = }: `main` is what is called without the name of a function,
-- `functions` has the others.  A chunk runs when the first of its functions is called, and then its globals and what
-- it returned are there; without a function it runs each time.
--
-- Compiled chunks are kept in two tables: what is used is in the young one, and when that is full it becomes the old
-- one, whose chunks go unless they are used meanwhile.  So at most twice as many are kept, and no order has to be.

local check = require "perilune.check"
local core = require "perilune.core"
local frame = require "perilune.frame"
local globals = require "perilune.globals"
local sandbox = require "perilune.sandbox"

local M = {}

local CHUNKS, BYTES = 128, 2 ^ 20 -- of a table
local TEXT = 256 * 2 ^ 10         -- of a chunk

local young, old, count, bytes = {}, {}, 0, 0
local modules, names = {}, {}
local shared = sandbox.env(false).require -- one copy of each module for all rules

-- What a chunk that ran has: the table that it returned, or the functions that it left in its globals.
local function functions_of(value, env)
  if type(value) == "table" then return value end
  local out, usual = {}, sandbox.env(false)
  for name, fn in pairs(env) do
    if type(fn) == "function" and usual[name] == nil then out[name] = fn end
  end
  return out
end

--- Reads the modules that the configuration names; blame(i, message) of one that is wrong.
---@param list string[]
---@param blame fun(i: integer, message: string)
function M.load(list, blame)
  for i, name in ipairs(list) do
    local ok, value = pcall(shared, name)
    if not ok then blame(i, type(value) == "table" and tostring(value.message) or tostring(value))
    elseif type(value) ~= "table" and type(value) ~= "function" then
      blame(i, ("module '%s' returned a %s; a module of rules returns a table of functions, or a function")
        :format(name, type(value)))
    else
      modules[name] = { functions = type(value) == "table" and value or {}, main = type(value) == "function" and value,
                        what = ("module '%s'"):format(name) }
      names[#names + 1] = name
    end
  end
end

local function unknown_module(name)
  local near = check.nearest(name, names)
  error(("no module '%s' among the configuration's rules%s"):format(name, near and ("; did you mean '%s'?"):format(near)
    or #names == 0 and ": it names none (rules = { \"" .. name .. "\" })" or (" (%s)"):format(table.concat(names, ", "))), 0)
end

local function compile(text)
  if #text > TEXT then error(("the chunk has %d bytes, %d are the most"):format(#text, TEXT), 0) end
  local env = sandbox.env(false)
  env.require = shared
  local chunk, err = sandbox.load(text, "eval", false, env)
  if not chunk then error(err, 0) end
  return { chunk = chunk, env = env, what = "the chunk" }
end

local function keep(code, rule)
  if count >= CHUNKS or bytes >= BYTES then young, old, count, bytes = {}, young, 0, 0 end
  young[code], count, bytes = rule, count + 1, bytes + #code
end

-- The rule of a code that is not in the young table.
local function find(code)
  local rule = old[code] or modules[code]
  if not rule then
    if #code <= 100 and code:find("^[%w_-]+[%w_.-]*$") then unknown_module(code) end
    rule = compile(code)
  end
  keep(code, rule)
  return rule
end

-- The chunk itself: what is wrong with its globals is said before it runs.
local function main_of(rule)
  if not rule.chunk then
    error(("%s is a table of functions; say which one"):format(rule.what), 0)
  end
  local problem = globals.problem(rule.chunk, rule.env)
  if problem then error(problem, 0) end
  rule.main = rule.chunk
  return rule.main
end

-- A function that was not asked for before.
local function function_of(rule, name)
  if not rule.functions then rule.functions = functions_of(sandbox.run(rule.chunk), rule.env) end
  local fn = rule.functions[name]
  if type(fn) == "function" then return fn end
  local known = {}
  for k, v in pairs(rule.functions) do
    if type(v) == "function" then known[#known + 1] = tostring(k) end
  end
  local near = check.nearest(name, known)
  error(("%s has no function '%s'%s"):format(rule.what, name, near and ("; did you mean '%s'?"):format(near) or ""), 0)
end

local code_of, arguments, give = core.eval_code, core.eval_arguments, core.eval_give

core.eval_entry(function()
  local code, name = code_of()
  local rule = young[code] or find(code)
  local fn
  if name == nil then
    fn = rule.main or main_of(rule)
  else
    fn = rule.functions and rule.functions[name]
    if type(fn) ~= "function" then fn = function_of(rule, name) end
  end
  return give(frame(fn, arguments()))
end)

return M

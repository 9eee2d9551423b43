--- batch: perilune.batch(name, opts), things of several requests that are cheaper together.
--
-- C knows who waits and what goes when (core.batch, sched/batch.c); here options are checked and names remembered.
-- A name stands for one batch of the worker's and of this generation: whoever comes second with it gets the same,
-- with the `run` of the first, so that two routes with the same policy share their batches.

local check = require "perilune.check"
local config = require "perilune.config"
local copied = require "perilune.copied"
local core = require "perilune.core"
local errors = require "perilune.errors"

local M = {}

local NAMES_MOST = 256 -- a name made of a request would be a new one for each

local spec = {
  max_size = { type = "integer", default = 32, min = 1, max = 65536 },
  max_tokens = { type = "integer", default = 0, min = 0 },
  max_wait = { type = "duration", default = 0.005, max = 3600 },
  max_queue = { type = "integer", default = 1024, min = 1, max = 65536 },
  max_running = { type = "integer", default = 16, min = 1, max = 1024 },
  timeout = { type = "duration", default = 60, min = 0.001, max = 3600 },
  across_tenants = { type = "boolean", default = false },
  run = { type = "function", required = true },
}

local submit_spec = {
  tokens = { type = "integer", default = 0, min = 0 },
  priority = { type = "integer", default = 0, min = 0, max = 7 },
  size = { type = "integer", default = 1, min = 1, max = 65536 },
  timeout = { type = "duration", default = 0, max = 1e6 },
  key = { type = "string", default = "", max = 65536 },
  share = { type = "boolean", default = false },
}

---@class perilune.Batch
local batch = {}
batch.__index = batch
batch.__metatable = false

local hidden = setmetatable({}, { __mode = "k" }) -- of each batch, what policies do not see
local named, named_count = {}, 0

-- The options, or an error at the caller's caller.
local function options(of, given, what)
  local ok, out = pcall(config.options, of, given, what)
  if ok then return out end
  error(tostring(out):gsub("^policy '([^']*)'", "%1"), 4)
end

local function make(name, given)
  local self = setmetatable({}, batch)
  hidden[self] = { name = name, given = given, core = core.batch(given, given.run, name, copied) }
  return self
end

-- The same name means the same batch: then it cannot mean other limits.
local function check_same(name, before, given)
  for _, key in ipairs(check.keys(spec)) do
    if key ~= "run" and before[key] ~= given[key] then
      error(("perilune.batch: '%s' exists with %s = %s, not %s; give this one another name")
        :format(name, key, check.show(before[key]), check.show(given[key])), 3)
    end
  end
end

--- A batch of its own, which no name leads to: for policies of the library.
function M.private(name, given) return make(name, options(spec, given, name)) end

function M.open(name, given)
  if type(name) ~= "string" or #name < 1 or #name > 64 then
    error(("perilune.batch: a name is a string of 1 to 64 bytes, got %s"):format(check.show(name)), 2)
  end
  local checked = options(spec, given, "perilune.batch")
  local self = named[name]
  if self then
    check_same(name, hidden[self].given, checked)
    return self
  end
  if named_count >= NAMES_MOST then
    error(("perilune.batch: there are %d names already; a name must not depend on the request, use `key` of submit")
      :format(NAMES_MOST), 2)
  end
  named[name], named_count = make(name, checked), named_count + 1
  return named[name]
end

--- No name is taken any more: between two tests.
function M.forget() named, named_count = {}, 0 end

local function answered(self, value, err)
  if err ~= "full" then return value, err end
  return nil, errors.new{ code = "overloaded", message = "too much waits to be run together; try again later",
                          detail = ("batch '%s': %d items wait (max_queue)"):format(self.name, self.given.max_queue) }
end

function batch:submit(item, given)
  local me = hidden[self]
  if not me then error("batch:submit(item, options): call it with a colon", 2) end
  if item == nil then error("batch:submit(item, options): the item is nil", 2) end
  local how = options(submit_spec, given, "batch:submit")
  return answered(me, core.result(core.batch_submit(me.core, item, how)))
end

return M

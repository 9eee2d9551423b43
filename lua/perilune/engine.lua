--- engine: an upstream that is a model in this process.
--
-- upstreams = { small = { engine = { model = "model.gguf" } } }: what may stand there.  The files are for C to open
-- (core/local/llama.c), which refuses what it cannot load with a sentence of its own.

local check = require "perilune.check"

local M = {}

local function count(default, least, most) return { type = "integer", default = default, min = least, max = most } end

--- The schema of `engine`; `file`: how paths of the configuration are read.
---@param file table
---@return table<string, perilune.Spec>
function M.schema(file)
  local model = { required = "is missing: the path of a GGUF file" }
  for k, v in pairs(file) do model[k] = v end
  return {
    model = model,
    library = file,                 -- a folder; nil: where libllama is usually found
    template = file,                -- a chat template in place of the model's own
    thinking = { type = "boolean" }, -- nil: as the template has it, unless the request says
    threads = count(0, 0, 512),     -- 0: one for each core
    context = count(0, 0, 2 ^ 24),  -- tokens of all answers together; 0: the model's own, 8192 at most
    sequences = count(8, 1, 64),    -- answers at once
    batch = count(512, 32, 8192),   -- tokens of a step
    waiting = count(256, 1, 1e5),   -- answers that wait for their turn
    process = { type = "boolean", default = false }, -- in a process of its own: what ends it does not end this one
    program = file,                 -- that is started for it; nil: perilune itself
    -- A step that takes longer hangs: its process is killed.
    step_timeout = { type = "duration", default = 60, min = 1, max = 86400 },
    gpu_layers = {
      default = -1,
      check = function(v)
        if v == "auto" then return -1 end
        if type(v) == "number" and v >= 0 and v <= 10000 and v == math.floor(v) then return v end
        return nil, "must be a number of layers from 0 on, or \"auto\", got " .. check.show(v)
      end,
    },
  }
end

-- What only a server has.
local of_servers = { "url", "sim", "key", "http2", "proxy", "ca", "insecure", "headers", "forward_headers" }

--- What is wrong with where an upstream leads, or nil.
---@param raw table  as it is written
---@return string?
function M.problem(raw)
  if raw.engine ~= nil then
    for _, name in ipairs(of_servers) do
      if raw[name] ~= nil then return ("has both engine and %s; a model in this process is no server"):format(name) end
    end
  elseif raw.url ~= nil and raw.sim ~= nil then
    return "has both url and sim; keep one of them"
  elseif raw.url == nil and raw.sim == nil then
    return "needs a url, engine = { model = ... } for a model in this process, or sim = { ... } for a simulated one"
  end
end

return M

--- engine: an upstream that is a model in this process.
--
-- upstreams = { small = { engine = { model = "model.gguf" } } }: what may stand there.  The files are for C to open
-- (core/local/llama.c), which refuses what it cannot load with a sentence of its own.

local check = require "perilune.check"

local M = {}

local KV_TYPES = { "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl" }
local PLAIN = { f32 = true, f16 = true, bf16 = true }
local MOST_GPUS = 16 -- of one model
local SEQUENCES = 8
local ROWS = 8       -- ORDER ROWS_MIN of core/local/resident.c

-- "CUDA0", or { "CUDA0", "CUDA1" }: names with commas between.
local function devices(v)
  local list = type(v) == "string" and { v } or v
  if type(list) ~= "table" or not check.is_list(list) or #list < 1 or #list > MOST_GPUS then
    return nil, "must be the name of a GPU such as \"CUDA0\", or a list of up to 16 of them, got " .. check.show(v)
  end
  for _, name in ipairs(list) do
    if type(name) ~= "string" or not name:find("^[%w_.:-]+$") or #name > 59 then
      return nil, "must be the name of a GPU such as \"CUDA0\", got " .. check.show(name)
    end
  end
  return table.concat(list, ",")
end

local function shares(v)
  local sum = 0
  if type(v) ~= "table" or not check.is_list(v) or #v < 1 or #v > MOST_GPUS then
    return nil, "must be a list of shares, one for each GPU, such as { 3, 1 }, got " .. check.show(v)
  end
  for _, share in ipairs(v) do
    if type(share) ~= "number" or not (share >= 0 and share <= 1e6) then
      return nil, "must be a list of numbers from 0 on, got " .. check.show(share)
    end
    sum = sum + share
  end
  if sum == 0 then return nil, "must have a share above 0" end
  return v
end

local function flash(v)
  if v == "auto" then return 0 end
  if type(v) == "boolean" then return v and 1 or -1 end
  return nil, "must be true, false or \"auto\", got " .. check.show(v)
end

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
    context_each = count(0, 0, 2 ^ 20), -- tokens of one answer, which has them for itself; 0: they share `context`
    sequences = count(SEQUENCES, 1, 64), -- answers at once
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
    device = { check = devices },                      -- nil: all GPUs
    tensor_split = { check = shares },                 -- how much of the layers each of them gets
    flash_attention = { default = 0, check = flash },
    kv_type = { type = "string", one_of = KV_TYPES },  -- nil: f16
  }
end

-- What only a server has.
local of_servers = { "url", "sim", "key", "http2", "proxy", "ca", "insecure", "headers", "forward_headers" }

-- Settings that do not go together.
local function contradiction(engine)
  if type(engine) ~= "table" then return nil end
  local names, split, kv = engine.device, engine.tensor_split, engine.kv_type
  if engine.gpu_layers == 0 and (names ~= nil or split ~= nil) then
    return ("has engine.gpu_layers = 0, which uses no GPU, and engine.%s"):format(names ~= nil and "device" or "tensor_split")
  end
  if type(split) == "table" and names ~= nil and #split ~= (type(names) == "table" and #names or 1) then
    return "has another number of shares in engine.tensor_split than of GPUs in engine.device"
  end
  if engine.flash_attention == false and type(kv) == "string" and not PLAIN[kv] then
    return ("has engine.kv_type = %q, which needs flash_attention"):format(kv)
  end
  local each = engine.context_each
  if type(each) == "number" and each > 0 and type(engine.context) == "number" and engine.context > 0 then
    return "has both engine.context and engine.context_each; keep one of them"
  end
  local wants = type(engine.sequences) == "number" and engine.sequences or SEQUENCES
  local rows = math.max(ROWS, 2 * wants)
  if type(engine.context) == "number" and engine.context > 0 and engine.context < rows then
    return ("has engine.context = %d, which is less than one token for each of the %d beginnings that are kept with "
      .. "engine.sequences = %d (two for each, %d at least): make context larger, or sequences smaller"):format(
      engine.context, rows, wants, ROWS)
  end
  for _, name in ipairs{ "program", "step_timeout" } do
    if engine[name] ~= nil and not engine.process then
      return ("has engine.%s, which is for process = true: say that too, or leave it out"):format(name)
    end
  end
end

--- What is wrong with where an upstream leads, or nil.
---@param raw table  as it is written
---@return string?
function M.problem(raw)
  if raw.engine ~= nil then
    for _, name in ipairs(of_servers) do
      if raw[name] ~= nil then return ("has both engine and %s; a model in this process is no server"):format(name) end
    end
    return contradiction(raw.engine)
  elseif raw.url ~= nil and raw.sim ~= nil then
    return "has both url and sim; keep one of them"
  elseif raw.url == nil and raw.sim == nil then
    return "needs a url, engine = { model = ... } for a model in this process, or sim = { ... } for a simulated one"
  end
end

return M

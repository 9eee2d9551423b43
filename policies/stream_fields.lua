--- stream_fields: asks the model for `name: value` lines, and gives the client JSON.
--
--     { "stream_fields", fields = { "title", "summary:text", "score:integer",
--                                   { name = "mood", one_of = { "good", "bad" }, about = "of the author" } } }
--
-- A client that wants a JSON object with known fields gets one, but the model never has to
-- write JSON: a line for each field is fewer tokens, and small models do it right.  Each
-- field goes out as soon as it is complete, so what the client has received is always JSON
-- cut between two fields; whole, it is valid.  (A parser that reads JSON while it is written,
-- such as perilune.json_stream, gets the fields one by one.)
--
-- Without `fields` they come from the request's own response_format, when that is a
-- json_schema of a flat object with strings, numbers and booleans and sets no conditions
-- (minimum, pattern, ...); other requests pass as they are.  What a model does that does not obey: see perilune.fields.
--
-- The instruction stands at the end of the system message, the same for every request, so
-- provider caches hold; response_format is taken out.
--
---@class StreamFieldsOptions
---@field fields? (string|perilune.Field)[]  "name", "name:type" or { name, type, about, one_of };
---                      types: string (one line, default), text, number, integer, boolean
---@field output? string  "json" (default), or "lines": what the model wrote
---@field on_field? fun(name: string, value: any, req: perilune.Request)  each field when it is
---                      complete; it cannot wait.  null is perilune.json.null

local chat = require "perilune.chat"
local config = require "perilune.config"
local cost = require "perilune.cost"
local fields_of = require "perilune.fields"
local perilune = require "perilune"

local spec = {
  fields = { type = "list", min = 1, of = { check = fields_of.field } },
  output = { type = "string", one_of = { "json", "lines" }, default = "json" },
  on_field = { type = "function" },
}

local function check_names(fields)
  local name = fields_of.repeated(fields or {})
  if name then error(("policy 'stream_fields': two fields are named '%s'"):format(name), 0) end
end

-- Behind what the system message says already, or as one.
local function instruct(req, text)
  local messages = req.messages
  local first = messages[1]
  if not first or (first.role ~= "system" and first.role ~= "developer") then
    table.insert(messages, 1, chat.message("system", text))
  elseif type(first.content) == "string" then
    first.content = first.content .. "\n\n" .. text
  elseif type(first.content) == "table" then
    table.insert(first.content, chat.part(text))
  else
    first.content = text
  end
end

-- The same words in front of every conversation: the provider has them after the first.
local function report(req, added)
  local before, p = req:tokens(), cost.profile(req)
  req:saved{ policy = "stream_fields", before = before, after = before + added, cost = -added * p.read * p.input / 1e6 }
end

local function translate(req, res, fields, options)
  local parser = fields_of.parser(fields, options.on_field and function(name, value)
    options.on_field(name, value, req)
  end)
  local seen = false
  return res:map("line", function(line)
    seen = true
    local json = parser:line(line)
    return options.output == "lines" and line or json
  end, function()
    if not seen then return nil end
    local json = parser:finish()
    if parser:is_empty() then req:log("warn", "stream_fields: the answer has none of the fields") end
    return options.output == "json" and json or nil
  end)
end

return function(given)
  local options = config.options(spec, given, "stream_fields")
  check_names(options.fields)
  return function(req, next)
    local fields = req.ctx.stream_fields or options.fields or fields_of.from_format(req.response_format)
    -- On other paths the answer passes as bytes: nobody could read the fields out of it.
    local is_chat = chat.messages(req) and req.path:find("/chat/completions$")
    if not fields or not is_chat or (req.n or 1) ~= 1 then return next(req) end
    if not req.ctx.stream_fields then -- else it is tried again
      local text = fields_of.instruction(fields)
      report(req, perilune.tokens(text, req.model))
      instruct(req, text)
      req.response_format, req.ctx.stream_fields = nil, fields
    end
    local res, err = next(req)
    if not res then return nil, err end
    return translate(req, res, fields, options)
  end
end, { needs = "chat", others = "pass" }

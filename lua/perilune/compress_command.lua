--- compress_command: perilune compress, the half of it that is in Lua.
--
-- The policies are the real ones and get a real request; their `next` only notes what came.
-- What a policy did is found by comparing the messages before and behind it: those that
-- are gone, are new, or have changed.  For the texts that trim and compress_context shorten
-- it is also said which pieces went and why, which these two can be asked.

local check = require "perilune.check"
local core = require "perilune.core"
local host = require "perilune.host"
local payload = require "perilune.payload"
local perilune = require "perilune"
local text_of = require "perilune.text"
local trim = require "perilune.trim"

local M = {}

-- Bytes that are read at most.
local FILE_MAX = 64 * 1024 * 1024

local function fail(status, format, ...)
  error({ status = status, message = format:format(...) }, 0)
end

-- -- input ------------------------------------------------------------------------------

local function read(file)
  local io = _G.io
  local f, err = io.stdin, nil
  if file ~= "-" then f, err = io.open(file, "rb") end
  if not f then fail(1, "%s", err) end
  local bytes, why = f:read(FILE_MAX + 1)
  if not bytes and why then fail(1, "%s: %s", file, why) end
  if file ~= "-" then f:close() end
  bytes = bytes or ""
  if #bytes > FILE_MAX then fail(1, "%s: is over 64 MiB", file) end
  return bytes
end

-- The JSON of a chat request, or nil: then it is a text.  What begins like a request and is
-- cut off is neither.
local function request_in(file, bytes)
  if not bytes:find("^%s*{") then return nil end
  local body, why = core.json_decode(bytes)
  if body == nil and bytes:find('^%s*{%s*"[%w_]+"%s*:') and bytes:find('"messages"%s*:%s*%[') then
    fail(1, "%s: looks like a chat request, but is not valid JSON: %s", file, why)
  end
  return type(body) == "table" and type(body.messages) == "table" and body or nil
end

local function new_request(given, bytes)
  local body = request_in(given.file, bytes)
  local is_text = body == nil
  if is_text then
    if #bytes > 1048576 then fail(1, "%s: a text may have 1 MiB, this one has %d bytes", given.file, #bytes) end
    local ok, err = text_of.sentences(bytes)
    if not ok then fail(1, "%s: %s", given.file, err) end
    bytes = core.json_encode{ model = given.model or "gpt-4o", messages = { { role = "user", content = bytes } } }
  end
  local req, err = core.new_request("POST", "/v1/chat/completions", {}, bytes)
  if not req then fail(1, "%s: %s", given.file, err.message) end
  if given.model or type(req.model) ~= "string" then req.model = given.model or "gpt-4o" end
  return req, is_text
end

-- -- policies -----------------------------------------------------------------------------

local function value_of(text)
  if text == "true" or text == "false" then return text == "true" end
  return tonumber(text) or text
end

-- Options for a policy: those given, and the short forms where they mean something.
local function options_for(name, given)
  local options = {}
  for _, pair in ipairs(given.options) do
    local key, value = pair:match("^([%w_]+)=(.*)$")
    if not key then fail(2, "-o %s: must be KEY=VALUE", pair) end
    options[key] = value_of(value)
  end
  if name == "compress_context" then
    options.ratio, options.question = options.ratio or given.ratio, options.question or given.question
    options.above_tokens, options.min_tokens = options.above_tokens or 300, options.min_tokens or 0
  elseif name == "compress_history" then
    options.window = options.window or given.window
  elseif name == "window" then
    options.max_tokens = options.max_tokens or given.window
  end
  return options
end

local function policy_of(name, given)
  local factory, why = host.policy(name)
  if not factory then
    local near = check.nearest(name, core.policy_names())
    fail(2, "%s%s", why, near and ("; did you mean '%s'?"):format(near) or "")
  end
  local ok, policy = pcall(factory, options_for(name, given))
  if not ok then fail(2, "%s", tostring(policy)) end
  return policy
end

-- No upstream can be asked here: policies do what they do when it does not answer.
local function without_upstreams()
  local err = perilune.error{ code = "upstream_unreachable", message = "perilune compress asks no upstream" }
  host.call = function() return nil, err end
  host.fetch = host.call
  host.upstreams = function() return {} end
end

-- -- comparing ------------------------------------------------------------------------------

local function messages_of(req)
  local body = core.json_decode(req:body())
  return type(body) == "table" and type(body.messages) == "table" and body.messages or {}
end

local function shown(value)
  if type(value) ~= "table" then return type(value) .. ":" .. tostring(value) end
  local keys, out = {}, {}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, k in ipairs(keys) do out[i] = tostring(k) .. "=" .. shown(value[k]) end
  return "{" .. table.concat(out, ",") .. "}"
end

local function content_of(message)
  local out = { text_of.content(message.content) }
  for _, part in ipairs(type(message.content) == "table" and message.content or {}) do
    if type(part) == "table" and part.type == "tool_result" then out[#out + 1] = text_of.content(part.content) end
  end
  for _, call in ipairs(type(message.tool_calls) == "table" and message.tool_calls or {}) do
    local fn = type(call) == "table" and call["function"]
    if type(fn) == "table" then out[#out + 1] = ("%s(%s)"):format(tostring(fn.name), tostring(fn.arguments)) end
  end
  return table.concat(out, "\n")
end

-- What trim took from a text.
local function pieces_of_trim(before, options)
  local trimmer = trim.new{ repeated = options.repeated }
  local _, cuts = trimmer:text(before, true)
  return type(cuts) == "table" and cuts or nil
end

-- What compress_context took from a message, as pieces of its text.
local function pieces_of_context(messages, index, options)
  local out = {}
  local roles = { user = true, tool = true }
  for _, p in ipairs(payload.find(messages, roles, options.above_tokens)) do
    local at = p.index == index and content_of(messages[index]):find(p.text, 1, true)
    local _, info = text_of.extract(p.text, options.question or p.question,
      { ratio = options.ratio, floor = options.floor, min_tokens = options.min_tokens, pieces = true })
    for _, piece in ipairs(at and type(info) == "table" and not info.json and info.pieces or {}) do
      if not piece.kept then
        out[#out + 1] = { first = at + piece.first - 1, last = at + piece.last - 1,
                          reason = piece.reason == "repeated" and "said before" or "others answer the question better" }
      end
    end
  end
  return #out > 0 and out or nil
end

local function pieces_of(name, before, index, options)
  if name == "trim" then return pieces_of_trim(content_of(before[index]), options) end
  if name == "compress_context" then return pieces_of_context(before, index, options) end
  return nil
end

-- Pieces that meet and have the same reason are one.
local function joined(pieces, text)
  local out = {}
  for _, p in ipairs(pieces) do
    local last = out[#out]
    if last and last.last + 1 == p.first and last.reason == p.reason then last.last = p.last
    else out[#out + 1] = { first = p.first, last = p.last, reason = p.reason } end
  end
  for _, p in ipairs(out) do p.text = text:sub(p.first, p.last) end
  return out
end

-- Changes of one policy: { what = "shortened"|"removed"|"added", index, role, before, after, pieces }.
local function changes_of(name, before, after, options)
  local out = {}
  if #before == #after then
    for i, m in ipairs(before) do
      local a, b = content_of(m), content_of(after[i])
      if a ~= b then
        local pieces = pieces_of(name, before, i, options)
        out[#out + 1] = { what = "shortened", index = i, role = m.role, before = a, after = b,
                          pieces = pieces and joined(pieces, a) }
      end
    end
    return out
  end
  local there = {}
  for _, m in ipairs(after) do
    local key = shown(m)
    there[key] = (there[key] or 0) + 1
  end
  for i, m in ipairs(before) do
    local key = shown(m)
    if (there[key] or 0) > 0 then there[key] = there[key] - 1
    else out[#out + 1] = { what = "removed", index = i, role = m.role, before = content_of(m) } end
  end
  for i, m in ipairs(after) do
    local key = shown(m)
    if (there[key] or 0) > 0 then
      there[key] = there[key] - 1
      out[#out + 1] = { what = "added", index = i, role = m.role, after = content_of(m) }
    end
  end
  return out
end

-- -- output --------------------------------------------------------------------------------

local function painter(color)
  return function(code, text)
    if not color then return text end
    -- Line by line: pagers and terminals forget a colour at the end of a line.
    return (text:gsub("[^\n]+", function(line) return "\27[" .. code .. "m" .. line .. "\27[0m" end))
  end
end

-- Control characters of a file must not reach a terminal.
local function safe(text)
  return (text:gsub("[%z\1-\8\11-\31\127]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

local function percent(before, after)
  return before > 0 and (before - after) / before * 100 or 0
end

-- With colour: the text once, what went struck out.  Without: what went, then the reason.
local function show_shortened(write, paint, change, color)
  local at = 1
  if color then
    for _, p in ipairs(change.pieces) do
      write(safe(change.before:sub(at, p.first - 1)))
      write(paint("9;31", safe(p.text)))
      at = p.last + 1
    end
    write(safe(change.before:sub(at)), "\n")
    return
  end
  for _, p in ipairs(change.pieces) do
    write(("  - %s: %s\n"):format(p.reason, safe(p.text):gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")))
  end
end

local function show_change(write, paint, change, color)
  write(paint("1", ("message %d (%s): %s"):format(change.index, safe(tostring(change.role)), change.what)), "\n")
  if change.pieces then
    show_shortened(write, paint, change, color)
  else
    if change.before then write(paint("31", (safe(change.before):gsub("([^\n]+)", "  - %1"))), "\n") end
    if change.after then write(paint("32", (safe(change.after):gsub("([^\n]+)", "  + %1"))), "\n") end
  end
end

local function show(result, color)
  local out = {}
  local function write(...)
    for i = 1, select("#", ...) do out[#out + 1] = (select(i, ...)) end
  end
  local paint = painter(color)
  write(paint("1", ("%d -> %d tokens, %.1f %% less"):format(result.before, result.after, percent(result.before, result.after))),
    (" (%s%s)\n"):format(safe(result.model), result.exact and "" or ", approximate"))
  for _, step in ipairs(result.steps) do
    write("\n", paint("1;36", ("== %s: %d -> %d tokens, %.1f ms"):format(step.policy, step.before, step.after, step.ms)), "\n")
    for _, change in ipairs(step.changes) do show_change(write, paint, change, color) end
    if #step.changes == 0 then write("nothing to take away\n") end
  end
  write("\n", paint("1;36", "== before"), "\n", safe(result.text_before), result.text_before:sub(-1) == "\n" and "" or "\n")
  write("\n", paint("1;36", "== after"), "\n", safe(result.text_after), result.text_after:sub(-1) == "\n" and "" or "\n")
  return table.concat(out)
end

-- A whole conversation for people; for a text, the text.
local function text_in(messages, is_text)
  if is_text then return content_of(messages[1] or {}) end
  local out = {}
  for i, m in ipairs(messages) do out[i] = ("[%s] %s"):format(tostring(m.role), content_of(m)) end
  return table.concat(out, "\n")
end

-- -- running ----------------------------------------------------------------------------------

local function run_policies(given, req, is_text)
  local material = is_text and given.question
  local names = #given.policies > 0 and given.policies or (material and { "compress_context" } or { "trim", "compress_context" })
  local count, exact = req:tokens()
  local result = { file = given.file, model = req.model, steps = {}, before = count, exact = exact }
  local before = messages_of(req)
  result.text_before = text_in(before, is_text)
  for i, name in ipairs(names) do
    local policy, options = policy_of(name, given), options_for(name, given)
    local tokens, started = req:tokens(), os.clock()
    local reached = false
    local _, err = policy(req, function(r)
      reached = true
      return perilune.respond{ text = "" }
    end)
    if not reached and err then fail(1, "policy '%s' refuses: %s", name, tostring(err.message or err)) end
    local ms = math.floor((os.clock() - started) * 1e6 + 0.5) / 1000
    local after = messages_of(req)
    result.steps[i] = { policy = name, before = tokens, after = req:tokens(), ms = ms,
                        changes = changes_of(name, before, after, options) }
    before = after
  end
  result.after, result.text_after = req:tokens(), text_in(before, is_text)
  result.messages = not is_text and before or nil
  return result
end

-- A text and a question: the text is the material, all of it.
local function as_material(given, req)
  if not given.question then return end
  req.messages[1].content = core.json_array{
    { type = "text", text = req.messages[1].content }, { type = "text", text = given.question },
  }
end

--- Runs the command; returns its exit status.
---@async
---@param argument string  JSON: file, policies, options, ratio, question, window, model, json, color
---@return integer status
function M.run(argument)
  local given, io = core.json_decode(argument), _G.io
  local ok, err = pcall(function()
    local req, is_text = new_request(given, read(given.file))
    without_upstreams()
    if is_text then as_material(given, req) end
    local result = run_policies(given, req, is_text)
    if given.json then io.stdout:write(core.json_encode(result), "\n")
    else io.stdout:write(show(result, given.color)) end
  end)
  if ok then return 0 end
  if type(err) ~= "table" or not err.status then err = { status = 1, message = tostring(err) } end
  io.stderr:write("perilune compress: ", err.message, "\n")
  return err.status
end

return M

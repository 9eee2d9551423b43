--- fetched: what perilune.fetch(url, { stream = true }) gives, an answer that is read as it comes.
--
-- Below it is a response like that of an upstream: it holds what comes until it is read, up to limits.high_water, lets
-- its server wait then, and ends with the request.

local core = require "perilune.core"
local errors = require "perilune.errors"

local LINE_MOST = 1024 * 1024 -- bytes of a line

local M = {}

local methods = {}

--- The next bytes.  nil: it is over; with an error: it broke off.
---@async
function methods.read(stream)
  if stream.over then return nil, stream.error end
  local answer = stream.answer
  while true do
    local event, err = core.next_event(answer)
    if event then return event.data end
    if event == nil then
      stream.over, stream.error = true, err
      return nil, err
    end
    core.result(core.wait_event(answer))
  end
end

--- For a spec's script: all at once.
local function read_script(stream)
  if stream.over then return nil, stream.error end
  local body = stream.script
  stream.script, stream.over = nil, true
  return body ~= "" and body or nil
end

function methods.pieces(stream)
  return function() return (stream:read()) end
end

--- All that is left, as one text.
---@async
function methods.text(stream)
  local pieces = {}
  for piece in stream:pieces() do pieces[#pieces + 1] = piece end
  if stream.error then return nil, stream.error end
  return table.concat(pieces)
end

-- The stream failed here, and its server need not go on.
local function fail(stream, code, message)
  stream:discard()
  stream.error = errors.new{ code = code, message = message }
end

--- Lines without their ends, "\n" or "\r\n"; the last one may have none.
function methods.lines(stream)
  local held, at = "", 1
  return function()
    while true do
      local line, next_at = held:match("([^\n]*)\n()", at)
      if line then
        at = next_at
        return (line:gsub("\r$", ""))
      end
      held, at = held:sub(at), 1
      if #held > LINE_MOST then
        fail(stream, "upstream_too_large", "a line has more than 1 MiB")
        return nil
      end
      local piece = stream:read()
      if not piece then
        line, held = held, ""
        return line ~= "" and not stream.error and line or nil
      end
      held = held .. piece
    end
  end
end

--- Events of a text/event-stream: { type =, data =, id = }, as perilune.sse() gives them; a failure is one, too.
function methods.events(stream)
  local sse, queue, at, over = core.sse(), {}, 1, false
  local function fill()
    local piece, err = stream:read()
    over = piece == nil
    if err then
      queue = { { type = "error", error = err } }
      return
    end
    local why
    if piece then queue, why = sse:feed(piece) else queue = sse:finish() or {} end
    if queue then return end
    over = true
    fail(stream, "upstream_too_large", why)
    queue = { { type = "error", error = stream.error } }
  end
  return function()
    while at > #queue do
      if over then return nil end
      at = 1
      fill()
    end
    at = at + 1
    return queue[at - 1]
  end
end

--- Nobody wants the rest: the call ends now.
function methods.discard(stream)
  if not stream.over and stream.answer then stream.answer:discard() end
  stream.over = true
end

local scripted = setmetatable({ read = read_script }, { __index = methods })

local mt = { __index = methods, __metatable = "perilune.fetched" }
local scripted_mt = { __index = scripted, __metatable = "perilune.fetched" }

--- res: { status =, headers =, answer = } of core.fetch, or with a body in place of the answer, of a spec's script.
function M.new(res)
  if res.answer then return setmetatable(res, mt) end
  res.script, res.body = res.body, nil
  return setmetatable(res, scripted_mt)
end

return M

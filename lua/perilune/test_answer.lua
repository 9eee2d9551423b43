--- test_answer: what a scripted upstream sends, byte by byte and second by second.

local check = require "perilune.check"
local core = require "perilune.core"
local errors = require "perilune.errors"

local M = {}

---@class perilune.Script  what a scripted upstream does with one call
---@field text? string         the answer
---@field chunks? string[]     the answer in pieces, as a stream delivers them
---@field ttft? number         seconds before the first piece of a stream
---@field itl? number          seconds between two pieces
---@field delay? number        seconds before there is any answer
---@field status? integer      200; 400 and more is a failure
---@field code? string         of the failure
---@field retry_after? number  of the failure, in seconds
---@field error? table         a failure as perilune.error{...} takes it
---@field usage? table
---@field model? string
---@field reasoning? string    before the text
---@field refusal? string
---@field tool_calls? { id?: string, name: string, arguments?: string|table }[]
---@field finish_reason? string  default "stop", or "tool_calls"
---@field logprobs? number[]   of its tokens, when the request asks for them: the n-th of `chunks` is the n-th token, and
---                            more of them than pieces come with the last one
---@field choices? table[]     for n > 1: each with text, chunks, reasoning, refusal, tool_calls, finish_reason, logprobs
---@field events? (string|table)[]  instead: the data of each event of the stream, as it is sent
---@field body? string|table   instead: the body of an answer that does not stream
---@field breaks? true|table   the answer breaks off behind its pieces: true, the upstream ends it; a table, as
---                            perilune.error{...} takes it: the connection fails so
---@field health? table       what perilune.upstream(name):health() says on top of `healthy`: { state = "open", wait = 5 };
---                            `breaker` refuses the calls of one whose state is open
---@field upstream? table     settings as in the configuration: price, model, models, urls, key = "client"

--- script is a description, a list of them (the last one repeats), or a function.
function M.description(script, req, n)
  if type(script) == "function" then return script(req, n) end
  if type(script[1]) == "table" then return script[math.min(n, #script)] end
  return script
end

local script_fields = {
  text = true, chunks = true, ttft = true, itl = true, delay = true, status = true, code = true,
  retry_after = true, error = true, usage = true, model = true, upstream = true,
  reasoning = true, refusal = true, tool_calls = true, finish_reason = true, choices = true, events = true, body = true,
  breaks = true, health = true, logprobs = true,
}
local choice_fields = {
  text = true, chunks = true, reasoning = true, refusal = true, tool_calls = true, finish_reason = true, logprobs = true,
}

function M.known(d, level)
  check.known("t.upstream", d, script_fields, level)
  for _, choice in ipairs(d.choices or {}) do check.known("t.upstream: choices", choice, choice_fields, level) end
end

--- As call.c has it: a client gets 4xx, 503 and 504 as they are, 529 as 503, any other as 502.
function M.failure(name, d)
  local err = {}
  for k, v in pairs(d.error or {}) do err[k] = v end
  if not err.code and not d.code and d.status then
    err.code = d.status == 429 and "rate_limit_exceeded" or "upstream_status"
    if err.retryable == nil then
      err.retryable = errors.is_retryable(d.status)
    end
  end
  err.status = err.status or (d.status and core.client_status(d.status))
  err.code = err.code or d.code
  err.message = err.message or d.text
  err.retry_after = err.retry_after or d.retry_after
  err.upstream = err.upstream or name
  return errors.new(err)
end

-- -- in OpenAI's form ---------------------------------------------------------

local null = core.null

local function tool_calls(list, with_index)
  local out = {}
  for i, c in ipairs(list) do
    local arguments = type(c.arguments) == "string" and c.arguments or core.json_encode(c.arguments or {})
    out[i] = { id = c.id or "call_" .. i, type = "function", ["function"] = { name = c.name, arguments = arguments } }
    if with_index then out[i].index = i - 1 end
  end
  return out
end

-- Of the n-th piece of `count`, as choices[].logprobs; nil: nothing is said of it.
local function logprobs_of(choice, pieces, n)
  local list, said = choice.logprobs, {}
  if not list then return nil end
  for i = n, n < #pieces and n or math.max(n, #list) do
    if list[i] then said[#said + 1] = { token = i == n and pieces[n] or "", logprob = list[i], top_logprobs = core.json_array{} } end
  end
  return said[1] and { content = said } or nil
end

-- The deltas of one choice, in the order in which models send them, and what is said of the tokens in each.
local function deltas(choice)
  local out, logs = {}, {}
  if choice.reasoning then out[#out + 1] = { reasoning_content = choice.reasoning } end
  local pieces = choice.chunks or { choice.text }
  for n, piece in ipairs(pieces) do
    out[#out + 1] = { content = piece }
    logs[#out] = logprobs_of(choice, pieces, n)
  end
  if choice.refusal then out[#out + 1] = { refusal = choice.refusal } end
  for _, c in ipairs(choice.tool_calls and tool_calls(choice.tool_calls, true) or {}) do
    out[#out + 1] = { tool_calls = { c } }
  end
  if not out[1] then out[1] = { content = "" } end
  out[1].role = "assistant"
  return out, logs
end

-- Of a whole answer.
local function logprobs(choice)
  local all, pieces = {}, choice.chunks or { choice.text }
  for n in ipairs(pieces) do
    for _, one in ipairs((logprobs_of(choice, pieces, n) or {}).content or {}) do all[#all + 1] = one end
  end
  return all[1] and { content = all } or nil
end

local function message(choice)
  local text = choice.text or choice.chunks and table.concat(choice.chunks)
  return {
    role = "assistant", content = text or (choice.tool_calls or choice.refusal) and null or "",
    reasoning_content = choice.reasoning, refusal = choice.refusal,
    tool_calls = choice.tool_calls and tool_calls(choice.tool_calls),
  }
end

local function reason(choice)
  return choice.finish_reason or (choice.tool_calls and "tool_calls" or "stop")
end

local function usage_of(d)
  local u = d.usage
  if not u then return nil end
  local prompt, completion = u.prompt_tokens or 0, u.completion_tokens or 0
  return { prompt_tokens = prompt, completion_tokens = completion, total_tokens = prompt + completion,
           prompt_tokens_details = u.cached_tokens and { cached_tokens = u.cached_tokens } or nil,
           completion_tokens_details = u.reasoning_tokens and { reasoning_tokens = u.reasoning_tokens } or nil }
end

local function data(value)
  return "data: " .. (type(value) == "string" and value or core.json_encode(value)) .. "\n\n"
end

-- Choices alternate, as the models' own do.
local function stream_pieces(d, model, asked)
  local pieces, lists, logs, more = {}, {}, {}, true
  local choices = d.choices or { d }
  local function chunk(list, usage)
    return data{ id = "chatcmpl-test", object = "chat.completion.chunk", created = 0, model = model,
                 choices = core.json_array(list), usage = usage }
  end
  for _, event in ipairs(d.events or {}) do pieces[#pieces + 1] = data(event) end
  if not d.events then
    for i, choice in ipairs(choices) do lists[i], logs[i] = deltas(choice) end
  end
  for n = 1, math.huge do
    more = false
    for i, list in ipairs(lists) do
      if list[n] then
        more = true
        pieces[#pieces + 1] = chunk{ { index = i - 1, delta = list[n], finish_reason = null,
                                       logprobs = asked and logs[i][n] or nil } }
      end
    end
    if not more then break end
  end
  if d.breaks then return pieces end
  local last = ""
  if not d.events then
    for i, choice in ipairs(choices) do
      last = last .. chunk{ { index = i - 1, delta = {}, finish_reason = reason(choice) } }
    end
  end
  if d.usage then last = last .. chunk({}, usage_of(d)) end
  return pieces, last .. data "[DONE]"
end

local function whole(d, model, asked)
  if d.body then return type(d.body) == "string" and d.body or core.json_encode(d.body) end
  local list = {}
  for i, choice in ipairs(d.choices or { d }) do
    list[i] = { index = i - 1, message = message(choice), finish_reason = reason(choice),
                logprobs = asked and logprobs(choice) or nil }
  end
  return core.json_encode{ id = "chatcmpl-test", object = "chat.completion", created = 0, model = model,
                           choices = list, usage = usage_of(d) }
end

--- What comes and when: { bytes, seconds } ..., the seconds until the end, and the content type.
function M.timetable(d, req)
  local model, itl = d.model or req.model or "test", d.itl or 0
  local at = (d.delay or 0) + (d.ttft or 0)
  if req.stream ~= true then
    local count = d.chunks and #d.chunks or 1
    at = at + itl * math.max(0, count - 1)
    local bytes = whole(d, model, req.logprobs == true)
    if d.breaks then bytes = bytes:sub(1, math.floor(#bytes / 2)) end
    return { { bytes, at } }, at, "application/json"
  end
  local pieces, last = stream_pieces(d, model, req.logprobs == true)
  local list = {}
  for i, bytes in ipairs(pieces) do list[i] = { bytes, at + itl * (i - 1) } end
  local done = at + itl * #pieces
  if last then list[#list + 1] = { last, done } end
  return list, done, "text/event-stream"
end

return M

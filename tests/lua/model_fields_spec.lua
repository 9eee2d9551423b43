local t = require "perilune.test"
local perilune = require "perilune"

local bodies = {} -- of what an upstream was asked

-- As OpenAI's models that think first answer.
local function strict(name, more)
  local settings = { model = "m-1" }
  for k, v in pairs(more or {}) do settings[k] = v end
  bodies[name] = {}
  t.upstream_of(name, function(req)
    local body = perilune.json.decode(req:body())
    table.insert(bodies[name], body)
    if body.max_tokens then
      return { status = 400, error = { code = "unsupported_parameter", param = "max_tokens", message =
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead." } }
    end
    if body.temperature and body.temperature ~= 1 then
      return { status = 400, error = { code = "unsupported_value", param = "temperature", message =
        "Unsupported value: 'temperature' does not support 0 with this model." } }
    end
    return { text = "yes", usage = { prompt_tokens = 1, completion_tokens = 900 } }
  end, settings)
end

local function ask(name, more)
  local question = { upstream = name, messages = "q", max_tokens = 400, temperature = 0, stream = false }
  for k, v in pairs(more or {}) do question[k] = v or nil end
  local text, failure
  t.send(function()
    local res, err = perilune.ask(question)
    if res then text, err = res:text() end
    failure = err
    return perilune.respond{ text = "x" }
  end, nil, t.request("hi"))
  return text, failure
end

local function seen(name)
  local out = {}
  for i, body in ipairs(bodies[name]) do
    out[i] = ("%s %s %s"):format(body.max_tokens or "-", body.max_completion_tokens or "-", body.temperature or "-")
  end
  return out
end

t.test("what is refused is left out, once it is known, for an hour", function()
  strict "up"
  t.equal(ask "up", "yes")
  t.equal(ask "up", "yes")
  t.equal(seen "up", { "400 - 0", "- 8592 0", "- 8592 -", "- 8592 -" })
  t.advance(3601)
  t.equal(ask "up", "yes")
  t.equal(#bodies.up, 7)
end)

t.test("it is known of this model of this upstream", function()
  strict "up"
  strict "other"
  t.equal(ask "up", "yes")
  t.equal(ask("up", { model = "m-2" }), "yes")
  t.equal(ask "other", "yes")
  t.equal({ #bodies.up, #bodies.other }, { 6, 3 })
end)

t.test("names of OpenAI's, and upstreams that say so", function()
  for _, model in ipairs{ "o3-mini", "gpt-5.1", "openai/o4-mini" } do
    strict("up", { model = model })
    t.equal(ask("up", { temperature = 1 }), "yes")
    t.equal(seen "up", { "- 8592 1" })
  end
  for _, model in ipairs{ "gpt-4o", "omni", "m" } do
    t.upstream("up", { text = "yes", upstream = { model = model } })
    t.equal(ask "up", "yes")
    local body = t.calls("up")[1].body
    t.equal({ body.max_tokens, body.temperature }, { 400, 0 })
  end
  strict("up", { reasoning = true })
  t.equal(ask("up", { top_p = 0.5 }), "yes")
  t.equal(seen "up", { "- 8592 -" })
  t.equal(bodies.up[1].top_p, nil)
  strict("up", { reasoning = false, model = "o3" })
  local text, err = ask "up"
  t.equal({ text, err.code }, { nil, "unsupported_parameter" })
  t.equal(seen "up", { "400 - 0" })
end)

t.test("another refusal is an answer, and nothing is learned of it", function()
  local how = {
    { status = 400, error = { code = "context_length_exceeded", param = "messages", message = "too long" } },
    { status = 400, error = { code = "invalid_value", param = "max_tokens", message = "max_tokens is too large: 400" } },
    { status = 429, error = { code = "rate_limit_exceeded", message = "unsupported max_tokens" } },
  }
  for _, failure in ipairs(how) do
    t.upstream("up", failure)
    local _, err = ask "up"
    t.equal({ err.code, #t.calls("up") }, { failure.error.code, 1 })
  end
  t.upstream("up", { status = 400, error = { code = "unsupported_parameter", param = "max_tokens", message = "no" } })
  for i = 1, 2 do
    local _, err = ask "up"
    t.equal({ err.code, #t.calls("up") }, { "unsupported_parameter", 2 * i })
  end
end)

t.test("upstream:ask, and bounds of the asker's own", function()
  strict "up"
  t.send(function()
    t.equal(perilune.upstream("up"):ask{ messages = { { role = "user", content = "q" } }, max_tokens = 20 }, "yes")
    return perilune.respond{ text = "x" }
  end, nil, t.request("hi"))
  t.equal(ask("up", { max_tokens = perilune.json.null, max_completion_tokens = 50, temperature = 1 }), "yes")
  t.equal(bodies.up[#bodies.up].max_completion_tokens, 50)
end)

-- As servers that do not know OpenAI's newer name answer.
local function older(name, failure, more)
  bodies[name] = {}
  t.upstream_of(name, function(req)
    local body = perilune.json.decode(req:body())
    table.insert(bodies[name], body)
    if body.max_completion_tokens then return failure end
    return { text = "yes" }
  end, more or {})
end

t.test("a bound by the newer name takes the older one's where that is all that is known", function()
  for _, failure in ipairs{
    { status = 400, error = { code = "unsupported_parameter", param = "max_completion_tokens", message = "no" } },
    { status = 400, error = { message = "Unrecognized request argument supplied: max_completion_tokens" } },
    { status = 400, error = { code = "unsupported_parameter", message = "Only max_tokens is supported." } },
    { status = 422, error = { code = "extra_forbidden", param = "body.max_completion_tokens", message = "no" } },
  } do
    older("up", failure)
    for _ = 1, 2 do
      t.equal(ask("up", { max_tokens = false, max_completion_tokens = 50, temperature = 1, timeout = 5 }), "yes")
    end
    t.equal(seen "up", { "- 50 1", "50 - 1", "50 - 1" })
    require("perilune.model_fields").forget()
  end
  -- A name of OpenAI's, that somebody gave a model which is none.
  older("up", { status = 400, error = { code = "unsupported_parameter", param = "max_completion_tokens", message = "no" } }, { model = "gpt-5" })
  for _ = 1, 2 do t.equal(ask "up", "yes") end
  t.equal(seen "up", { "- 8592 0", "400 - 0", "400 - 0" })
end)

t.test("who takes neither bound is not asked without one", function()
  for _, given in ipairs{ "max_tokens", "max_completion_tokens" } do
    local asked = {}
    t.upstream("up", function(req)
      local body = perilune.json.decode(req:body())
      local name = body.max_tokens and "max_tokens" or body.max_completion_tokens and "max_completion_tokens" or "none"
      asked[#asked + 1] = name
      return { status = 400, error = { code = "unsupported_parameter", param = name, message = "no" } }
    end)
    local _, err = ask("up", { max_tokens = given == "max_tokens" and 5, max_completion_tokens =
      given ~= "max_tokens" and 5 or nil })
    t.equal({ err.code, #asked }, { "unsupported_parameter", 2 })
  end
end)

t.test("all tries together have the time that was given", function()
  t.upstream("up", { delay = 3, status = 400, error = { code = "unsupported_parameter", param = "max_tokens", message = "no" } })
  local began = t.clock()
  local _, err = ask("up", { timeout = 5 })
  t.equal({ err.code, t.clock() - began }, { "timeout", 5 })
  t.upstream("up", { delay = 3, status = 400, error = { code = "unsupported_parameter", param = "max_tokens", message = "no" } })
  require("perilune.model_fields").forget()
  began = t.clock()
  t.send(function()
    local _, failure = perilune.upstream("up"):ask({ messages = { { role = "user", content = "q" } }, max_tokens = 5 }, { timeout = 5 })
    t.equal({ failure.code, t.clock() - began }, { "timeout", 5 })
    return perilune.respond{ text = "x" }
  end, nil, t.request("hi"))
  t.equal(t.clock() - began, 5)
end)

t.test("vote and best_of ask with the client's temperature where theirs is refused", function()
  for policy, more in pairs{ vote = {}, best_of = { judge = "longest" } } do
    for _, own in ipairs{ false, 1 } do
      strict "up"
      local options = { n = 2, temperature = 0.9, judge = more.judge }
      local reply = t.send(policy, options, t.request{ model = "m-1", temperature = own or nil,
        messages = { { role = "user", content = "q" } } })
      t.equal({ reply.status, reply.text }, { 200, "yes" })
      local tail = own and "1" or "-"
      local all = seen "up"
      t.equal({ all[1], all[#all], #all }, { "- - 0.9", "- - " .. tail, 4 })
      reply = t.send(policy, options, t.request{ model = "m-1", temperature = own or nil,
        messages = { { role = "user", content = "q" } } })
      t.equal({ reply.status, #seen "up", (seen "up")[5] }, { 200, 6, "- - " .. tail })
      require("perilune.model_fields").forget()
    end
  end
end)

t.test("what a client asks is never changed", function()
  strict "up"
  local reply = t.send(function(req, next) return next(req) end, nil, t.request{
    model = "m-1", max_tokens = 5, messages = { { role = "user", content = "q" } } })
  t.equal({ reply.status, reply.error.param }, { 400, "max_tokens" })
  t.equal(#bodies.up, 1)
end)

t.test("what it thought is no part of a summary that was cut", function()
  local extract = require "perilune.extract"
  local facts = function()
    local got, why
    t.send(function()
      got, why = extract.facts("up", "q", "a long text", { max_tokens = 800, timeout = 5, remember = 0 })
      return perilune.respond{ text = "x" }
    end, nil, t.request("hi"))
    return got, why
  end
  strict "up" -- 900 tokens, and "yes"
  t.equal(facts(), "yes")
  t.upstream("up", { text = "yes", usage = { prompt_tokens = 1, completion_tokens = 900 } })
  t.equal({ facts() }, { nil, "the passages are longer than max_tokens" })
end)

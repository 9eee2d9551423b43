local t = require "perilune.test"

local function request(more)
  local body = { model = "up", messages = { { role = "user", content = "Give me tips for a good night's sleep." } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return t.request(body)
end

-- One model for all: the outline, a point, or the whole.
local function model(outline, more)
  t.upstream("up", function(req)
    local said = req.messages[#req.messages].content
    local point, name = said:match("Write only point (%d+), ([^,]+),")
    local script
    if point then script = { chunks = { name, " helps." }, ttft = 1, itl = 1, usage = { prompt_tokens = 5, completion_tokens = 2 } }
    elseif said:find("only the outline", 1, true) then script = outline
    else script = { text = "plain" } end
    for k, v in pairs(point and more or {}) do script[k] = v end
    return script
  end)
end

local OUTLINE = { chunks = { "1. Keep it dark\n", "2. No coffee\n", "3. Go early" }, itl = 1, usage = { prompt_tokens = 5, completion_tokens = 9 } }

local function send(more, options, opts) return t.send("skeleton", options or {}, request(more), opts) end

t.test("points are written at once and streamed in order", function()
  for _, stream in ipairs{ false, true } do
    model(OUTLINE)
    local reply = send{ stream = stream, stream_options = stream and { include_usage = true } or nil }
    t.equal(reply.text, "1. **Keep it dark**: Keep it dark helps.\n\n2. **No coffee**: No coffee helps.\n\n3. **Go early**: Go early helps.")
    t.equal({ reply.done, reply.usage.completion_tokens }, { true, 15 })
    t.equal(reply.total, 6) -- the third is known at 3, when the outline ends, and takes 3
  end
end)

t.test("points need each other never: a price in a title is no reference", function()
  for _, prices in ipairs{ { "$3", "$1", "20%" }, { "$2", "%1 of ${3}", "$9" }, { "100%d", "%", "$1" } } do
    local outline, want = {}, {}
    for i, price in ipairs(prices) do
      outline[i] = ("%d. Save %s\n"):format(i, price)
      want[i] = ("%d. **Save %s**: Save %s helps."):format(i, price, price)
    end
    for _, stream in ipairs{ false, true } do
      model{ chunks = outline, itl = 1 }
      local reply = send{ stream = stream }
      t.equal({ reply.status, reply.text, reply.total }, { 200, table.concat(want, "\n\n"), 5 })
    end
    t.match(t.calls("up")[4].body.messages[2].content, "1%. Save ")
    t.match(t.calls("up")[4].body.messages[2].content, "3%. Save ")
  end
end)

t.test("in Chinese", function()
  model{ text = "1、保持黑暗\n2、不喝咖啡\n" }
  local reply = send{ messages = { { role = "user", content = "提高睡眠质量有哪些方法？" } } }
  t.equal(reply.text, "1. **保持黑暗**: 保持黑暗 helps.\n\n2. **不喝咖啡**: 不喝咖啡 helps.")
end)

t.test("an outline that is nonsense, fails or says ONE: the plain call", function()
  for _, outline in ipairs{ { text = "Sleep is important." }, { text = "" }, { text = "ONE" }, { status = 500 } } do
    for _, stream in ipairs{ false, true } do
      model(outline)
      local reply = send{ stream = stream }
      t.equal({ reply.status, reply.text, reply.done }, { 200, "plain", true })
    end
  end
end)

t.test("code, mathematics, JSON, tools and the like are never touched", function()
  for _, more in ipairs{
    { messages = { { role = "user", content = "Give me tips for Python code." } } },
    { messages = { { role = "user", content = "Solve the equation, and list the steps." } } },
    { messages = { { role = "user", content = "List the reasons as JSON." } } },
    { messages = { { role = "user", content = "请写代码列举有哪些方法" } } },
    { response_format = { type = "json_object" } }, { n = 2 }, { tools = { { type = "function", ["function"] = { name = "f" } } } },
    { messages = { { role = "user", content = "What is the capital of France?" } } },
  } do
    local req = request(more)
    local body = req:body()
    model(OUTLINE)
    t.send("skeleton", {}, req)
    t.equal({ #t.calls("up"), t.calls("up")[1].text }, { 1, body })
  end
end)

t.test("a point that fails is noted; who leaves ends all", function()
  model(OUTLINE, { status = 400 })
  local reply = send{ stream = true }
  t.match(reply.text, "1%. %*%*Keep it dark%*%*: %[This part could not be written%.%]")
  model(OUTLINE, { delay = 60 })
  reply = send({ stream = true }, {}, { leave = 1.5 })
  t.equal({ reply.status or 499, #t.calls("up") }, { reply.status, 3 })
end)

t.test("outline and points may be different models'", function()
  t.upstream("small", { text = "1. Dark\n2. Quiet\n" })
  t.upstream("big", { text = "yes." })
  local reply = send({}, { outline = "small", worker = "big" })
  t.equal(reply.text, "1. **Dark**: yes.\n\n2. **Quiet**: yes.")
end)

t.test("wrong options are refused", function()
  t.error(function() t.policy("skeleton", { max_points = 1 }) end, "at least 2")
  t.error(function() t.policy("skeleton", { workr = "a" }) end, "did you mean 'worker'")
end)

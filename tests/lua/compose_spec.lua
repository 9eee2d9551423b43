local t = require "perilune.test"
local perilune = require "perilune"

local function send(fn, what, opts)
  return t.send(function() return perilune.compose(fn) end, nil, t.request(what or "hi"), opts)
end

local function asks(name, more)
  return function()
    local ask = { upstream = name, messages = "q", stream = true }
    for k, v in pairs(more or {}) do ask[k] = v end
    return perilune.ask(ask)
  end
end

-- What a client reads out of a stream: one id, one role and end for each choice, one usage, one end mark.
local function well_formed(reply, choices)
  local ids, roles, ends, usage = {}, {}, {}, 0
  t.equal(reply.events[#reply.events], "[DONE]")
  for i = 1, #reply.events - 1 do
    local e = perilune.json.decode(reply.events[i])
    ids[e.id] = true
    t.equal(e.object, "chat.completion.chunk")
    if e.usage and e.usage ~= perilune.json.null then usage = usage + 1 end
    for _, c in ipairs(e.choices) do
      if c.delta.role then roles[c.index] = (roles[c.index] or 0) + 1 end
      t.equal(ends[c.index], nil, "an event behind the end")
      if c.finish_reason ~= perilune.json.null then ends[c.index] = c.finish_reason end
    end
  end
  local n = 0
  for _ in pairs(ids) do n = n + 1 end
  t.equal(n, 1, "ids")
  for i = 0, (choices or 1) - 1 do t.equal(roles[i], 1, "role of " .. i) end
  return ends, usage
end

local both = { "streamed", "whole" }

t.test("texts and answers are one answer, streamed and whole", function()
  t.upstream("a", { chunks = { "one ", "two" }, usage = { prompt_tokens = 10, completion_tokens = 2, cached_tokens = 4 } })
  t.upstream("b", { text = "三四", usage = { prompt_tokens = 20, completion_tokens = 3 } })
  for _, how in ipairs(both) do
    local stream = how == "streamed"
    local info
    local reply = send(function(out)
      out:write("Two: ")
      info = t.ok(out:pipe(asks("a")()))
      out:write("; ")
      t.ok(out:pipe(asks("b", { stream = false })()))
    end, { model = "mine", stream = stream, stream_options = stream and { include_usage = true } or nil })
    t.equal(reply.text, "Two: one two; 三四", how)
    t.equal(reply.done, true)
    t.equal(info.finish_reason, "stop")
    t.equal(info.usage.prompt_tokens, 10)
    t.equal(reply.usage, { prompt_tokens = 30, completion_tokens = 5, total_tokens = 35, cached_tokens = 4 })
    if stream then
      local ends, usage = well_formed(reply)
      t.equal(ends, { [0] = "stop" })
      t.equal(usage, 1)
      t.equal(perilune.json.decode(reply.events[1]).model, "mine")
    else
      t.equal(reply.body.choices[1].message.role, "assistant")
      t.equal(reply.body.choices[1].finish_reason, "stop")
      t.equal(reply.body.usage.total_tokens, 35)
      t.equal(reply.body.usage.prompt_tokens_details.cached_tokens, 4)
      t.equal(reply.body.model, "mine")
    end
  end
end)

t.test("details of usage are summed, too: of what is piped, and of what is counted", function()
  t.upstream("a", { text = "a", usage = { prompt_tokens = 10, completion_tokens = 20, reasoning_tokens = 15 } })
  t.upstream("b", { text = "b", usage = { prompt_tokens = 1, completion_tokens = 2, cached_tokens = 1 } })
  for _, stream in ipairs{ false, true } do
    local info
    local reply = send(function(out)
      info = t.ok(out:pipe(asks("a")()))
      t.ok(out:pipe(asks("b")()))
      local res = t.ok(asks("a", { stream = false })())
      res:text()
      out:count(res)
      out:count(res.usage)
      out:count{ prompt_tokens = 1, reasoning_tokens = 2, rejected_prediction_tokens = 3 }
    end, { stream = stream, stream_options = stream and { include_usage = true } or nil })
    t.equal(info.usage.reasoning_tokens, 15)
    local usage = not stream and reply.body.usage or nil
    for _, event in ipairs(stream and reply.events or {}) do
      local ok, e = pcall(perilune.json.decode, event)
      if ok and type(e) == "table" and type(e.usage) == "table" then usage = e.usage end
    end
    t.equal(usage, { prompt_tokens = 32, completion_tokens = 62, total_tokens = 94, prompt_tokens_details = { cached_tokens = 1 },
      completion_tokens_details = { reasoning_tokens = 47, rejected_prediction_tokens = 3 } })
  end
  t.error(function() perilune.respond{ text = "x", usage = { reasoning_tokens = -1 } } end, "'reasoning_tokens' must be a number of tokens")
end)

t.test("without usage asked for, none is told", function()
  t.upstream("a", { text = "x", usage = { prompt_tokens = 1, completion_tokens = 1 } })
  local reply = send(function(out) out:pipe(asks "a"()) end, { stream = true })
  local _, usage = well_formed(reply)
  t.equal(usage, 0)
end)

t.test("nothing at all is an empty answer", function()
  for _, how in ipairs(both) do
    local reply = send(function() end, { stream = how == "streamed" })
    t.equal(reply.status, 200)
    t.equal(reply.text, "")
    if how == "streamed" then t.equal(well_formed(reply), { [0] = "stop" })
    else t.equal(reply.body.choices[1].finish_reason, "stop") end
  end
end)

t.test("what is written comes when it is written", function()
  t.upstream("a", { chunks = { "a", "b" }, ttft = 1, itl = 1 })
  local reply = send(function(out)
    perilune.sleep(2)
    out:write("first ")
    perilune.sleep(3)
    out:pipe(asks "a"())
  end, { stream = true })
  t.equal(reply.ttft, 2)
  t.equal(reply.total, 8)
  t.equal(reply.text, "first ab")
end)

t.test("a character in two writes", function()
  local reply = send(function(out)
    local text = "日本語"
    for i = 1, #text do out:write(text:sub(i, i)) end
    out:write("\xe6\x97")
  end, { stream = true })
  t.match(reply.text, "^日本語\xef\xbf\xbd")
end)

t.test("thoughts, refusals and calls of tools", function()
  for _, how in ipairs(both) do
    local reply = send(function(out)
      out:reasoning("hm")
      out:write("text")
      out:tool{ name = "f", arguments = { x = 1 } }
      out:tool{ id = "c2", name = "g" }
    end, { stream = how == "streamed" })
    t.equal(reply.text, "text")
    if how == "streamed" then
      t.equal(well_formed(reply), { [0] = "tool_calls" })
      t.match(reply.events[1], '"reasoning_content":"hm"')
      t.match(reply.events[4], '"index":1,"id":"c2"')
    else
      local m = reply.body.choices[1].message
      t.equal(m.reasoning_content, "hm")
      t.equal(#m.tool_calls, 2)
      t.equal(m.tool_calls[1]["function"], { name = "f", arguments = '{"x":1}' })
      t.equal(reply.body.choices[1].finish_reason, "tool_calls")
    end
  end
end)

t.test("calls of tools of parts get numbers of their own", function()
  t.upstream("a", { tool_calls = { { name = "f", arguments = {} }, { name = "g", arguments = {} } } })
  for _, how in ipairs(both) do
    local info
    local reply = send(function(out)
      out:tool{ name = "mine" }
      info = out:pipe(asks "a"())
      out:pipe(asks("a", { stream = false })())
    end, { stream = how == "streamed" })
    t.equal(info.called, true)
    t.equal(info.finish_reason, "tool_calls")
    if how == "streamed" then
      t.equal(well_formed(reply), { [0] = "tool_calls" })
      local seen = {}
      for i = 1, #reply.events - 1 do
        local d = perilune.json.decode(reply.events[i]).choices[1].delta
        for _, c in ipairs(d.tool_calls or {}) do seen[#seen + 1] = c.index .. c["function"].name end
      end
      t.equal(seen, { "0mine", "1f", "2g", "3f", "4g" })
    else
      t.equal(#reply.body.choices[1].message.tool_calls, 5)
    end
  end
end)

t.test("a part that was cut makes the answer one that was cut, unless the policy says otherwise", function()
  t.upstream("cut", { text = "half", finish_reason = "length" })
  t.upstream("filtered", { text = "", finish_reason = "content_filter" })
  t.upstream("a", { text = "x" })
  local function reason(fn) return well_formed(send(fn, { stream = true }))[0] end
  t.equal(reason(function(out)
    t.equal(out:pipe(asks "cut"()).finish_reason, "length")
    t.equal(out:pipe(asks "a"()).finish_reason, "stop")
  end), "length")
  t.equal(reason(function(out) out:pipe(asks "cut"()) out:pipe(asks "filtered"()) end), "content_filter")
  t.equal(reason(function(out) out:pipe(asks "cut"()) out:finish("stop") end), "stop")
end)

t.test("several choices", function()
  t.upstream("two", { choices = { { text = "A" }, { text = "B", finish_reason = "length" } } })
  t.upstream("one", { text = "C" })
  for _, how in ipairs(both) do
    local stream = how == "streamed"
    local reply = send(function(out)
      out:pipe(asks("two", { n = 2 })())
      out:pipe(asks "one"(), { choice = 0, as = 1 })
      out:write("!", { choice = 1 })
    end, { stream = stream, n = 2 })
    if stream then
      t.equal(well_formed(reply, 2), { [0] = "stop", "length" })
    else
      t.equal(reply.body.choices[1].message.content, "A")
      t.equal(reply.body.choices[2].message.content, "BC!")
    end
    reply = send(function(out) -- a client that asked for one gets one
      out:pipe(asks("two", { n = 2 })())
      t.error(function() out:write("x", { choice = 1 }) end, "below the n")
    end, { stream = stream })
    t.equal(reply.text, "A")
    if stream then t.equal(well_formed(reply), { [0] = "stop" }) else t.equal(#reply.body.choices, 1) end
  end
end)

t.test("a refusal passes, and the policy hears of it", function()
  t.upstream("no", { refusal = "I cannot" })
  for _, how in ipairs(both) do
    local info
    local reply = send(function(out) info = out:pipe(asks "no"()) end, { stream = how == "streamed" })
    t.equal(info.refused, true)
    if how == "whole" then t.equal(reply.body.choices[1].message.refusal, "I cannot")
    else t.match(reply.events[1], '"refusal":"I cannot"') end
  end
end)

t.test("a part that fails is a value; what came of it stays", function()
  t.upstream("broken", { chunks = { "half " }, breaks = true })
  t.upstream("down", { status = 503 })
  for _, how in ipairs(both) do
    local codes = {}
    local reply = send(function(out)
      local info, err, more = out:pipe(asks "broken"())
      codes[1], codes[2] = err.code, more.said
      info, err = out:pipe(asks "down"())
      codes[3] = err.code
      t.equal(info, nil)
      out:write("and on")
    end, { stream = how == "streamed" })
    t.equal(reply.text, "half and on")
    t.equal(codes, { "upstream_truncated", true, "upstream_status" })
    t.equal(reply.done, true)
  end
end)

t.test("a reason is a word", function()
  for _, reason in ipairs{ 5, "", true, {} } do
    t.equal(send(function(out)
      out:write("x")
      t.error(function() out:finish(reason) end, "out:finish takes the reason, such as \"length\"")
    end).status, 200)
  end
  t.equal(send(function(out) out:write("x") out:finish("length") end).body.choices[1].finish_reason, "length")
end)

t.test("a policy that throws before the first byte: 500, and behind it no end", function()
  for _, how in ipairs(both) do
    local reply = send(function() error "oops" end, { stream = how == "streamed" })
    t.equal(reply.status, 500)
    t.equal(reply.error.code, "policy_error")
    t.equal(#reply.events, 0)
    t.ok(t.logs()[1].text:find("oops"))
  end
  local reply = send(function(out) out:write("a") perilune.sleep(1) error "oops" end, { stream = true })
  t.equal(reply.status, 200)
  t.equal(reply.done, false)
  t.equal(reply.text, "a")
  t.match(reply.events[#reply.events], "policy_error")
  reply = send(function(out) out:write("a") perilune.sleep(1) error "oops" end, { stream = false })
  t.equal(reply.status, 500)
end)

t.test("an error that is returned, or thrown as one, is the answer's", function()
  local reply = send(function() return nil, perilune.error{ code = "overloaded", retry_after = 3 } end)
  t.equal(reply.status, 503)
  t.equal(reply.error.code, "overloaded")
  reply = send(function() error(perilune.error{ code = "not_found" }) end, { stream = true })
  t.equal(reply.status, 404)
  reply = send(function(out) out:write("a") perilune.sleep(1) return nil, perilune.error{ code = "timeout" } end, { stream = true })
  t.equal(reply.error.code, "timeout")
  t.equal(reply.done, false)
end)

t.test("the client leaves: the coroutine and what it pipes end", function()
  t.upstream("slow", { chunks = { "a", "b", "c", "d" }, itl = 1 })
  local ended, reached = {}, false
  t.route("r", { function(req, next)
    req:finally(function(o) ended[#ended + 1] = o.code end)
    return next(req)
  end })
  for _, how in ipairs(both) do
    local reply = send(function(out)
      out:pipe(perilune.ask{ route = "r", model = "slow", stream = true, messages = "q" })
      reached = true
    end, { stream = how == "streamed" }, { leave = 1.5 })
    t.equal(reply.status, 499)
  end
  t.equal(ended, { "canceled", "canceled" })
  t.equal(reached, false)
end)

t.test("an answer that nobody takes ends with its request", function()
  local reached = false
  local reply = t.send(function()
    perilune.compose(function() perilune.sleep(5) reached = true end)
    return perilune.respond{ text = "other" }
  end, nil, t.request("hi"))
  t.equal(reply.text, "other")
  t.advance(10)
  t.equal(reached, false)
end)

t.test("one that drops its own answer", function()
  local reply = t.send(function()
    local res
    res = perilune.compose(function(out)
      res:discard()
      t.error(function() out:write("x") end, "the answer is over")
      perilune.sleep(1)
    end)
    perilune.sleep(2)
    return perilune.respond{ text = "other" }
  end, nil, t.request("hi"))
  t.equal(reply.text, "other")
end)

t.test("out that was kept is of no use behind the end", function()
  local kept
  send(function(out) kept = out end)
  t.error(function() kept:write("x") end, "the answer is over")
  t.upstream("a", { text = "x" })
  t.error(function() kept:pipe(asks "a"()) end, "the answer is over")
end)

t.test("maps and taps of outer policies see it, and it can be read", function()
  t.upstream("a", { chunks = { "se", "cret 1" } })
  local seen = 0
  local reply = t.send({
    function(req, next)
      local res = next(req)
      res:tap(function() seen = seen + 1 end)
      return res:map("word", function(word) return (word:gsub("secret", "******")) end)
    end,
    function() return perilune.compose(function(out) out:write("the ") out:pipe(asks "a"()) end) end,
  }, nil, t.request{ stream = true })
  t.equal(reply.text, "the ****** 1")
  t.ok(seen > 2)
  t.equal(t.run(function() return perilune.compose(function(out) out:write("x") out:pipe(asks "a"()) end) end, nil,
    t.request("hi")):text(), "xsecret 1")
end)

t.test("a map that throws ends the part, or the answer", function()
  t.upstream("a", { chunks = { "a", "b" } })
  local code
  local reply = send(function(out)
    local res = asks "a"()
    res:map("event", function() error(perilune.error{ code = "overloaded" }) end)
    local _, err = out:pipe(res)
    code = err.code
    out:write("on")
  end, { stream = true })
  t.equal(code, "overloaded")
  t.equal(reply.text, "on")
end)

t.test("caches keep it as any answer", function()
  t.upstream("a", { text = "x", usage = { prompt_tokens = 1, completion_tokens = 1 } })
  local n = 0
  local chain = { { "cache_exact", ttl = 60 }, function()
    n = n + 1
    return perilune.compose(function(out) out:write("made: ") out:pipe(asks "a"()) end)
  end }
  for _, stream in ipairs{ true, false } do
    for i = 1, 2 do
      local reply = t.send(chain, nil, t.request{ stream = stream })
      t.equal(reply.text, "made: x")
      t.equal(reply.cache, i == 1 and stream and "miss" or reply.cache)
    end
  end
  t.ok(n <= 2)
end)

t.test("the same answer is piped once", function()
  t.upstream("a", { text = "x" })
  send(function(out)
    local res = asks "a"()
    out:pipe(res)
    t.error(function() out:pipe(res) end, "sent or piped before")
    local again = asks "a"()
    local both = perilune.all{ function() return out:pipe(again) end, function()
      local ok, info, err = pcall(out.pipe, out, again)
      t.ok(not ok or err, "one of the two fails")
      return info or false
    end }
    return both
  end, { stream = true })
end)

-- -- several ---------------------------------------------------------------------

t.test("in order: all run at once, and each waits for its turn", function()
  t.upstream("slow", { chunks = { "s1 ", "s2 " }, ttft = 5, itl = 1 })
  t.upstream("quick", { text = "q ", ttft = 1 })
  for _, how in ipairs(both) do
    local before = t.clock()
    local reply = send(function(out)
      return out:ordered({ { run = asks "slow", label = "A: " }, { run = asks "quick", label = "B: " }, asks "slow" },
        { between = "| " })
    end, { stream = how == "streamed" })
    t.equal(reply.text, "A: s1 s2 | B: q | s1 s2 ")
    t.equal(t.clock() - before, 7)
  end
end)

t.test("branches of texts, and at most so many at a time", function()
  local running, most = 0, 0
  local function branch(i)
    return function()
      running = running + 1
      most = math.max(most, running)
      perilune.sleep(10 - i)
      running = running - 1
      return tostring(i)
    end
  end
  local list = {}
  for i = 1, 9 do list[i] = branch(i) end
  local reply = send(function(out) return out:ordered(list, { limit = 3 }) end, { stream = true })
  t.equal(reply.text, "123456789")
  t.equal(most, 3)
end)

t.test("a branch that fails: all, a note, nothing, a text", function()
  t.upstream("ok", { text = "fine " })
  t.upstream("down", { status = 503 })
  t.upstream("broken", { chunks = { "half" }, breaks = true })
  local function text(rule, note, name)
    local report
    local reply = send(function(out)
      local err
      report, err = out:ordered({ asks "ok", asks(name or "down"), asks "ok" }, { on_fail = rule, note = note })
      return report, err
    end, { stream = true })
    return reply, report
  end
  local reply = text(nil)
  t.equal(reply.text, "fine ")
  t.equal(reply.error.code, "upstream_status")
  t.equal(reply.done, false)
  t.equal(text("skip").text, "fine fine ")
  t.equal(text("note").text, "fine \n[part 2 is missing: upstream_status]\nfine ")
  t.equal(text("note", "<%d>").text, "fine <2>fine ")
  t.equal(text("note", nil, "broken").text, "fine half\n[part 2 is missing: upstream_truncated]\nfine ")
  local out, report = text(function(err, i) return err.code .. i .. " " end)
  t.equal(out.text, "fine upstream_status2 fine ")
  t.equal(report.failed[2].code, "upstream_status")
  t.equal(report[1].finish_reason, "stop")
  t.equal(text(function(err) return nil, err end).done, false)
end)

t.test("by lines, each behind its label", function()
  t.upstream("a", { chunks = { "one\nt", "wo", "\nthree" }, itl = 1 })
  t.upstream("b", { chunks = { "eins\nzw", "ei\n" }, ttft = 0.5, itl = 1 })
  for _, how in ipairs(both) do
    local reply = send(function(out)
      return out:interleave({ { run = asks "a", label = "a: " }, { run = asks "b", label = "b: " } }, { by = "line" })
    end, { stream = how == "streamed" })
    t.equal(reply.text, "a: one\nb: eins\nb: zwei\na: two\na: three\n")
    if how == "streamed" then well_formed(reply) end
  end
end)

t.test("by events, with the label when the speaker changes", function()
  t.upstream("a", { chunks = { "1", "2", "3" }, itl = 1 })
  t.upstream("b", { chunks = { "x", "y" }, ttft = 0.5, itl = 2 })
  local reply = send(function(out)
    return out:interleave({ { run = asks "a", label = "[a]" }, { run = asks "b", label = "[b]" } }, { by = "event" })
  end, { stream = true })
  t.equal(reply.text, "[a]1[b]x[a]23[b]y")
end)

t.test("the first good one wins, the others end", function()
  t.upstream("a", { text = "A", delay = 3 })
  t.upstream("b", { text = "bad", delay = 1 })
  t.upstream("c", { text = "C", delay = 2 })
  local reply = send(function(out)
    local info, err = out:first({ asks "a", asks "b", asks "c" }, { good = function(res) return res:text() ~= "bad" end })
    if info then t.equal(info.winner, 3) end
    return info, err
  end, { stream = true })
  t.equal(reply.text, "C")
  t.equal(reply.total, 2)
  reply = send(function(out) return out:first({ asks "b" }, { good = function() return false end }) end)
  t.equal(reply.status, 500)
end)

t.test("misuse says what to write", function()
  t.error(function() perilune.compose("x") end, "takes a function")
  send(function(out)
    t.error(function() out:write() end, "string expected")
    t.error(function() out:write("x", { chioce = 1 }) end, "did you mean 'choice'")
    t.error(function() out:pipe(5) end)
    t.error(function() out:tool{} end, "out:tool takes")
    t.error(function() out:ordered({ 5 }) end, "takes a table of options")
    t.error(function() out:ordered({}, { on_fail = "x" }) end, "'on_fail' is")
    t.error(function() out:ordered({}, { by = "line" }) end, "out:interleave")
    t.error(function() out:interleave({}, { by = "word" }) end, "'by' is")
    t.error(function() out:first({}) end, "the list is empty")
    t.equal(out:ordered({}), { failed = {} })
    t.equal(out:pipe(nil, perilune.error{ code = "timeout" }), nil)
  end)
end)

t.test("what the function returns is not the answer, and that is said", function()
  t.upstream("a", { text = "A" })
  local function bad(fn, pattern)
    for _, stream in ipairs{ true, false } do
      local reply = t.send(function() return perilune.compose(fn) end, nil, t.request{ stream = stream })
      t.equal(reply.error.code, "policy_error")
      local text
      for _, line in ipairs(t.logs()) do text = line.level == "error" and line.text or text end
      t.match(text, "^tests/lua/compose_spec%.lua:%d+: perilune%.compose: the function returned " .. pattern)
    end
  end
  bad(function() return "text" end, '"text", which is not the answer: give it to out:write%(text%)')
  bad(function() return 7 end, "7, which is not the answer: give it to out:write%(tostring%(number%)%)")
  bad(function() return { text = "x" } end, "a table, which is not")
  bad(function() return perilune.respond{ text = "x" } end, "a userdata, which is not the answer: give it to out:pipe%(res%)")
  bad(function() return perilune.ask{ upstream = "a", messages = "q" } end, "a userdata")
  bad(function(out) out:write "some" return "more" end, '"more"')
  bad(function() return print end, "a function, which is not the answer: return nothing, or nil and an error")
  local function good(fn, text)
    t.equal(t.send(function() return perilune.compose(fn) end, nil, t.request("hi")).text, text)
  end
  local function ask() return perilune.ask{ upstream = "a", messages = "q" } end
  good(function(out) return out:write "w" end, "w")
  good(function(out) return out:pipe(ask()) end, "A")
  good(function(out) return out:pipe("text") end, "text")
  good(function(out) return out:ordered{ ask, ask } end, "AA")
  good(function(out) return out:interleave{ ask } end, "A\n")
  good(function(out) return out:first{ ask } end, "A")
  good(function(out) out:write "x" return true end, "x")
  good(function() end, "")
end)

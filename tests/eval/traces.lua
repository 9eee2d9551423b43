--- traces: conversations with a question at the end whose answer stands far back.
--
-- Chats: a person asks about one thing after the other; the model answers at length.
-- Agents: a task, searches whose results are JSON, files that are read, long logs.
-- Put together from the passages of contexts.lua.

local contexts = require "contexts"

local M = {}

local function of_language(lang)
  local out = {}
  for _, p in ipairs(contexts.passages) do
    if p[2] == lang then out[#out + 1] = p end
  end
  return out
end

local function title_of(passage) return passage[3]:match("^[^\n]+") end
local function body_of(passage) return passage[3]:match("\n\n(.*)$") or passage[3]:match("\n(.*)$") end

local words = {
  en = { system = "You are a helpful assistant.", ask = "Tell me about this: %s", again = "One more thing about what you said before. %s",
         task = "Prepare a report about all of these places and things. Start with %s.", go = "Go on with %s.",
         say = "I will look that up.", note = "I have noted what matters about %s." },
  zh = { system = "你是一个智能助手。", ask = "请介绍一下：%s", again = "还有一个问题，关于你前面说过的内容。%s",
         task = "请整理一份报告，内容包括下面这些地方和设备。先从%s开始。", go = "接着整理%s。",
         say = "我来查一下。", note = "%s的要点已经记下了。" },
}

local function shuffled(list, random)
  local out = {}
  for i, v in ipairs(list) do out[i] = v end
  for i = #out, 2, -1 do
    local j = random(i)
    out[i], out[j] = out[j], out[i]
  end
  return out
end

local function chat(lang, seed)
  local random, w = contexts.random(seed), words[lang]
  local passages = shuffled(of_language(lang), random)
  local messages = { { role = "system", content = w.system } }
  for i = 1, math.min(#passages, 10) do
    messages[#messages + 1] = { role = "user", content = w.ask:format(title_of(passages[i])) }
    messages[#messages + 1] = { role = "assistant", content = body_of(passages[i]) }
  end
  local asked = passages[random(5)]
  local q = asked[4 + random(3) - 1]
  messages[#messages + 1] = { role = "user", content = w.again:format(q[1]) }
  return { kind = "chat", lang = lang, messages = messages, question = q[1], answer = q[2] }
end

local function escape(s)
  return '"' .. s:gsub('[%c"\\]', function(c)
    return ({ ["\n"] = "\\n", ['"'] = '\\"', ["\\"] = "\\\\", ["\t"] = "\\t" })[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function log_of(random)
  local lines = {}
  for i = 1, 60 do
    lines[i] = ("2026-05-%02d 10:%02d:%02d %s worker=%d took=%dms"):format(random(28), random(59), random(59),
      ({ "request served", "cache filled", "connection closed", "token refreshed" })[random(4)], random(8), random(900))
  end
  return table.concat(lines, "\n")
end

local function agent(lang, seed)
  local random, w = contexts.random(seed), words[lang]
  local passages = shuffled(of_language(lang), random)
  local messages = { { role = "system", content = w.system }, { role = "user", content = w.task:format(title_of(passages[1])) } }
  local id = 0
  local function call(name, arguments, result)
    id = id + 1
    messages[#messages + 1] = { role = "assistant", content = w.say, tool_calls = { {
      id = "call_" .. id, type = "function", ["function"] = { name = name, arguments = arguments } } } }
    messages[#messages + 1] = { role = "tool", tool_call_id = "call_" .. id, content = result }
  end
  for i = 1, 6 do
    local p, other = passages[i], passages[i + 4]
    call("search", '{"q":' .. escape(title_of(p)) .. "}", ('{"results":[{"id":%d,"score":0.91,"text":%s},{"id":%d,"score":0.44,"text":%s}]}'):format(
      i, escape(body_of(p)), i + 100, escape(body_of(other))))
    if i % 2 == 0 then call("read_log", '{"lines":60}', log_of(random)) end
    messages[#messages + 1] = { role = "assistant", content = w.note:format(title_of(p)) }
    messages[#messages + 1] = { role = "user", content = w.go:format(title_of(passages[i + 1])) }
  end
  local asked = passages[random(4)]
  local q = asked[4 + random(3) - 1]
  messages[#messages].content = w.again:format(q[1])
  return { kind = "agent", lang = lang, messages = messages, question = q[1], answer = q[2] }
end

--- All traces, always the same.
---@return { kind: string, lang: string, messages: table[], question: string, answer: string }[]
function M.traces()
  local out = {}
  for seed = 1, 8 do
    for _, lang in ipairs{ "en", "zh" } do
      out[#out + 1] = chat(lang, seed)
      out[#out + 1] = agent(lang, 100 + seed)
    end
  end
  return out
end

return M

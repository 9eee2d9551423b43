--- The policies that rewrite prompts meet bodies that are not what they were made for: other
--- paths, fields of other types.  None of these may fail for it.
local t = require "perilune.test"
local conversations = require "conversations"
local perilune = require "perilune"

local policies = {
  { "trim", { roles = { "user", "system", "developer", "assistant", "tool" } } },
  { "compress_context", { above_tokens = 20, min_tokens = 5, ratio = 0.3, roles = { "user", "tool", "system" } } },
  { "compress_history", { window = 200, keep_turns = 1, guard = false } },
  { "window", { max_tokens = 100 } },
  { "window", { max_turns = 1 } },
  { "mask_tools", { keep = 0, batch = 1, min_bytes = 120, guard = false } },
  { "extract_then_answer", { small = "small", above_tokens = 100, guard = false } },
  { "prompt_cache", { marks = "anthropic" } },
  { "prompt_cache", { marks = "openai", key = "conversation" } },
  { "stream_fields", { fields = { "name" } } },
}

local function answered(policy, body, path, what)
  t.upstream("m", { text = "name: ok" })
  t.upstream("small", { text = "nothing" })
  local req = t.request{ body = body, path = path, tenant = "t" .. perilune.random() }
  local ok, res, err = pcall(t.run, policy[1], policy[2], req, function(r) return perilune.upstream("m"):chat(r) end)
  t.ok(ok, ("%s, %s: %s: %s"):format(policy[1], what, tostring(res), body:sub(1, 400)))
  t.ok(res or (type(err) == "table" and err.status < 500), ("%s, %s: %s: %s"):format(policy[1], what, tostring(err), body))
  return t.calls("m")[1]
end

local long = ("The pump runs at 42 km/h and must not be stopped, unless it rains. It is not for sale. "):rep(10)

t.test("a conversation on a path of the operator's own is one", function()
  local messages = { { role = "system", content = "Be brief." } }
  for i = 1, 8 do
    messages[#messages + 1] = { role = "user", content = ("Could you please look at pump %d? Thank you!\n\n%s\n\nDoes it run?"):format(i, long) }
    messages[#messages + 1] = { role = "assistant", tool_calls = { { id = "c" .. i, type = "function", ["function"] = { name = "f", arguments = "{}" } } } }
    messages[#messages + 1] = { role = "tool", tool_call_id = "c" .. i, content = long }
    messages[#messages + 1] = { role = "assistant", content = "Yes." }
  end
  messages[#messages + 1] = { role = "user", content = "Does it run?" }
  local body = perilune.json.encode{ model = "m", messages = messages }
  for _, policy in ipairs(policies) do
    local sent = answered(policy, body, "/team/chat/completions", "other path")
    t.ok(sent.text ~= body or policy[1] == "extract_then_answer", policy[1])
    t.equal(conversations.complaint(perilune.json.decode(sent.text).messages), nil, policy[1])
  end
end)

t.test("messages that are none of a chat go out as they came", function()
  for _, body in ipairs{
    '{"messages":"please"}', '{"messages":5}', '{"messages":null}', '{"messages":{}}', '{"messages":[]}', '{"messages":[1,null,"x"]}',
    '{"messages":[{"role":"user","content":"Please."},5]}', '{"messages":[["user","Please."]]}', '{}', '[]', '"please"', 'null',
  } do
    for _, policy in ipairs(policies) do
      t.equal(answered(policy, body, "/other", "no chat").text, body, policy[1])
    end
  end
end)

-- -- fields of other types --------------------------------------------------------------------

local odd = { 'null', '5', 'true', '"x"', '[]', '{}', '[null]', '[5,"x",[]]', '{"a":1}', '""' }
local keys = { "role", "content", "tool_calls", "tool_call_id", "function_call", "name", "refusal", "type", "text", "id", "function",
               "arguments", "input", "tool_use_id", "image_url", "url", "cache_control" }
local seeds = {
  '{"role":"user","content":"Could you please look? ' .. long .. '"}',
  '{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\\"q\\":1}"}}]}',
  '{"role":"tool","tool_call_id":"a","content":"' .. long .. '"}',
  '{"role":"assistant","content":[{"type":"text","text":"ok"},{"type":"tool_use","id":"b","name":"f","input":{"q":"pump"}}]}',
  '{"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"' .. long .. '"}]}]}',
  '{"role":"assistant","function_call":{"name":"g","arguments":"{}"}}',
  '{"role":"function","name":"g","content":"' .. long .. '"}',
  '{"role":"user","content":[{"type":"text","text":"Please look, when does it run?","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}',
  '{"role":"system","content":"Never say no."}',
  '{"role":"user","content":"When does the pump run?"}',
}

-- Each value of a key of the list may become another one.
local function changed(random, text)
  for _ = 1, random(3) do
    local key = keys[random(#keys)]
    local value = odd[random(#odd)]
    local at, stop = text:find('"' .. key .. '":', 1, true)
    if at then
      local rest = text:sub(stop + 1)
      local old = rest:match('^"[^"\\]*"') or rest:match("^%b[]") or rest:match("^%b{}") or rest:match("^%l+")
      if old then text = text:sub(1, stop) .. value .. rest:sub(#old + 1) end
    end
  end
  return text
end

t.test("no field of another type makes a policy fail", function()
  for seed = 1, 60 do
    local random = conversations.random(seed)
    local list = {}
    for i, message in ipairs(seeds) do list[i] = random(3) == 1 and changed(random, message) or message end
    local body = '{"model":"m","messages":[' .. table.concat(list, ",") .. "]}"
    for _, policy in ipairs(policies) do
      for _, path in ipairs{ "/v1/chat/completions", "/other" } do
        local ok = pcall(t.request, { body = body, path = path })
        if ok then answered(policy, body, path, "seed " .. seed) end
      end
    end
  end
end)

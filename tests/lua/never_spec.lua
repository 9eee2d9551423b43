--- What policies that shorten prompts must never do, tried on random mixtures.
local t = require "perilune.test"
local conversations = require "conversations"
local perilune = require "perilune"
local text_of = require "perilune.text"
local trim = require "perilune.trim"

-- -- mixtures ----------------------------------------------------------------------

local courtesy = {
  "Hello there!", "Could you please", "Thank you so much!", "please", "I was wondering if you could", "Basically,",
  "I'd really like you to", "It is important to note that", "Thanks in advance.", "This is very important to me.",
  "你好！", "请您帮我", "麻烦你", "非常感谢！", "其实，", "拜托了！", "希望你能", "，谢谢", "我相信你一定能做到。", "辛苦您了！",
}
local content = {
  "do not delete the file", "never exceed 5 GB", "answer without tables", "list only the first 3 items", "unless it rains",
  "the pump runs at 42 km/h", "charge $1,299.00 on 2026-03-14", "set the limit to -4.2%", "open https://a.example/x?y=1#z",
  "write to ops@example.com", "look at /var/log/app.log", "use `make test`", "the id is 3f2a9c1e-77", "ticket ABC-1234 is open",
  "she said \"please do not call\" twice", "the sum is $x^2 + y^2$", "compare a_b with c_d",
  "不要删除第3个文件", "不超过200字", "除非已经付款", "仅限2026年3月14日", "速度是每小时42公里", "他说“请你不要来”", "没有备份",
  "未经允许勿入", "编号是HT-2087", "温度不得低于-15度", "全部退款", "只要两个苹果",
}
local blocks = {
  "```lua\nprint(\"please\")\nprint(\"please\")\n```", "~~~\nthank you\n~~~", "{\"a\": [1, 2.50, null], \"please\": \"thank you\"}",
  "| name | value |\n|---|---|\n| please | 1 |\n| please | 1 |", "- item 1: please\n- item 2: not now\n- thank you",
  "1. first, please\n2. 谢谢\n3. third", "# Please\n\n## 谢谢", "> please, could you", "    please()\n    thank(\"you\")",
  "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-please\n+thank you", "<b>please</b>", "$$\nplease = 1\n$$",
}
local ends = { ". ", "! ", "? ", "。", "！", "？", "\n", "\n\n", ", ", "，", "；", "; ", " ", "：", ": " }

local function pick(random, list) return list[random(#list)] end

local function mixture(random, n)
  local out = {}
  for _ = 1, n do
    local kind = random(10)
    if kind <= 4 then out[#out + 1] = pick(random, courtesy) .. pick(random, { " ", "", ", ", "\n" })
    elseif kind <= 9 then out[#out + 1] = pick(random, content) .. pick(random, ends)
    else out[#out + 1] = "\n\n" .. pick(random, blocks) .. "\n\n" end
  end
  return table.concat(out)
end

-- -- what is protected -----------------------------------------------------------------

local kinds = { "fence", "indented", "inline", "json", "table", "diff", "math", "tag", "url", "email", "path", "number",
                "id", "quote", "negation" }

-- text of a protected span -> how often; `once`: at most once.
local function protected(text, once)
  local out = {}
  for _, span in ipairs(assert(text_of.spans(text, { types = kinds }))) do
    local s = text:sub(span.first, span.last)
    out[s] = once and 1 or (out[s] or 0) + 1
  end
  return out
end

-- Is `left` what remains of `text` when bytes are taken out of it?
local function is_rest(left, text)
  local at = 1
  for i = 1, #left do
    at = text:find(left:sub(i, i), at, true)
    if not at then return false end
    at = at + 1
  end
  return true
end

t.test("trim: nothing protected goes, the rest is a rest, twice is once", function()
  local exact, loose = trim.new{ repeated = false }, trim.new{}
  local shorter = 0
  for seed = 1, 1500 do
    local random = conversations.random(seed)
    local text = mixture(random, random(25))
    local left = exact:text(text)
    for s, n in pairs(protected(text)) do
      local found = 0
      for _ in left:gmatch(s:gsub("%p", "%%%0")) do found = found + 1 end
      local _, before = text:gsub(s:gsub("%p", "%%%0"), "")
      t.ok(found >= math.min(n, before), ("seed %d: %q of %q is gone: %q"):format(seed, s, text, left))
    end
    t.ok(is_rest(left, text), "seed " .. seed)
    t.equal(exact:text(left), left, "seed " .. seed)

    local less = loose:text(text)
    for s in pairs(protected(text, true)) do t.ok(less:find(s, 1, true), ("seed %d: %q"):format(seed, s)) end
    t.equal(loose:text(less), less, "seed " .. seed)
    shorter = shorter + (#left < #text and 1 or 0)
  end
  t.ok(shorter > 1000, shorter)
end)

-- -- material ------------------------------------------------------------------------------

local topics = { "The pump", "The harbour", "油泵", "港口", "The invoice", "合同", "The kettle", "水壶" }
local facts = {
  "%s must not run above 42 degrees.", "%s was built in 1911 and never sold.", "%s costs $1,299.00 without tax.",
  "%s is described at https://a.example/docs?id=7.", "%s has the number ABC-1234.", "%s is \"closed\" on Mondays, unless it is May.",
  "%s不得超过200公里。", "%s没有保修，除非另有约定。", "%s的编号是HT-2087，仅限本人使用。", "%s建于1573年，“从未”重修。",
}

local function material(random, n)
  local out = {}
  for _ = 1, n do
    if random(25) == 1 then out[#out + 1] = "\n\n" .. pick(random, blocks) .. "\n\n"
    else out[#out + 1] = pick(random, facts):format(pick(random, topics)) .. pick(random, { " ", "\n", " ", "\n\n" }) end
  end
  return table.concat(out)
end

-- Code that went leaves a mark.
local function unmarked(text) return (text:gsub("%[%.%.%. %d+ lines? omitted %.%.%.%]", "")) end

-- Is s lines of text?  Indented code is code only behind an empty line, and two blocks that
-- meet are one.
local function is_lines(s, text)
  text = "\n" .. text .. "\n"
  for block in (s .. "\n\n"):gmatch("%s*(.-)\n\n") do
    if block ~= "" and not text:find("\n%s*" .. block:gsub("%p", "%%%0") .. "\n") then return false end
  end
  return true
end

local function units(text)
  local set = {}
  for _, unit in ipairs(assert(text_of.sentences(text))) do set[unit:match("^%s*(.-)%s*$")] = true end
  return set
end

local function sent(policy, options, messages)
  t.upstream("m", { text = "ok" })
  t.run(policy, options, t.request{ messages = messages, tenant = "t" .. tostring(perilune.random()) })
  local calls = t.calls("m")
  return calls[#calls].body.messages
end

t.test("compress_context: sentences whole and in order, code whole, what is asked for", function()
  local shorter = 0
  for seed = 1, 300 do
    local random = conversations.random(seed)
    local text = material(random, 20 + random(150)):match("^%s*(.-)%s*$")
    local question = pick(random, { "What must not happen to the pump?", "合同的编号是什么？", "Who sold ABC-1234?", "什么时候建的？" })
    local options = { above_tokens = 100, min_tokens = random(200), ratio = random(100) / 100 + 0.05 > 1 and 1 or random(95) / 100 + 0.05,
                      floor = random(50) / 100 }
    local message = sent("compress_context", options, { { role = "user", content = "<doc>\n" .. text .. "\n</doc>\n" .. question } })[1].content
    local left = message:match("^<doc>\n(.*)\n</doc>\n")
    t.equal(message:sub(-#question), question)
    local before = units(text)
    for _, unit in ipairs(text_of.sentences(unmarked(left))) do
      local s = unit:match("^%s*(.-)%s*$")
      t.ok(before[s] or s == "" or is_lines(s, text), ("seed %d: %q"):format(seed, s))
    end
    for _, block in ipairs(blocks) do
      if block:find("^[`~]") and left:find(block:match("^[^\n]+\n[^\n]+"), 1, true) then
        t.ok(left:find(block, 1, true), ("seed %d: %q was cut"):format(seed, block))
      end
    end
    if question:find("ABC-1234", 1, true) and text:find("ABC-1234", 1, true) then t.ok(left:find("ABC-1234", 1, true), "seed " .. seed) end
    shorter = shorter + (#left < #text and 1 or 0)
  end
  t.ok(shorter > 200, shorter)
end)

-- The scalars of a value in the order of their paths, strings left out.
local function scalars(value, path, out)
  if type(value) ~= "table" then
    if type(value) ~= "string" then out[path] = tostring(value) end
    return out
  end
  out[path] = "table"
  for k, v in pairs(value) do scalars(v, path .. "/" .. tostring(k), out) end
  return out
end

t.test("compress_context: JSON stays JSON with the same members, pairs stay pairs", function()
  for seed = 1, 150 do
    local random = conversations.random(seed)
    local results = {}
    for i = 1, random(12) do
      results[i] = { id = i, score = i / 7, flags = { true, false }, url = "https://a.example/" .. i, text = material(random, random(40)) }
    end
    local json = perilune.json.encode{ results = results, total = #results, note = "please do not translate" }
    local out = sent("compress_context", { above_tokens = 50, min_tokens = 0, ratio = 0.3, floor = 0.1 }, {
      { role = "user", content = "What must not happen to the pump?" },
      { role = "assistant", tool_calls = { { id = "c", type = "function", ["function"] = { name = "f", arguments = "{\"q\":\"pump\"}" } } } },
      { role = "tool", tool_call_id = "c", content = json },
    })
    t.equal(conversations.complaint(out), nil)
    local before, after = perilune.json.decode(json), perilune.json.decode(out[3].content)
    t.ok(after, "seed " .. seed)
    t.equal(scalars(after, "", {}), scalars(before, "", {}), "seed " .. seed)
    for i, r in ipairs(after.results) do
      t.equal(r.url, results[i].url)
      local set = units(results[i].text)
      for _, unit in ipairs(text_of.sentences(unmarked(r.text))) do
        local s = unit:match("^%s*(.-)%s*$")
        t.ok(set[s] or s == "" or is_lines(s, results[i].text), ("seed %d: %q"):format(seed, s))
      end
    end
  end
end)

t.test("compress_history: pairs, images, system messages; every sentence of the digest was said", function()
  for seed = 1, 150 do
    local random = conversations.random(seed)
    local messages = conversations.valid(seed, { turns = 10, parts = true })
    for _, m in ipairs(messages) do
      if type(m.content) == "string" and m.role ~= "system" and m.role ~= "developer" then m.content = m.content .. " " .. material(random, random(12)) end
    end
    local total = 0
    for _, m in ipairs(messages) do total = total + perilune.tokens(type(m.content) == "string" and m.content or "") end
    local out = sent("compress_history", { window = math.max(200, math.floor(total * (0.3 + random(10) / 10))), keep_turns = random(3), guard = false },
      conversations.copy(messages))
    local what = "seed " .. seed
    t.equal(conversations.complaint(out), nil, what)
    local said = {}
    for _, m in ipairs(messages) do
      local content = type(m.content) == "table" and m.content[1].text or m.content
      for s in pairs(content and units(content) or {}) do said[s] = true end
    end
    for i, m in ipairs(out) do
      if m.role == "user" and type(m.content) == "string" and m.content:find("^%[") then
        for line in unmarked(out[i + 1].content):gmatch("[^\n]+") do
          line = line:gsub("^%u%l+: ", ""):gsub("^tool%d%b(): ", "")
          for _, unit in ipairs(text_of.sentences(line)) do
            local s = unit:match("^%s*(.-)%s*$")
            -- A unit of several lines is looked for line by line.
            local whole = said[s] or s == ""
            for u in pairs(whole and {} or said) do whole = whole or u:find(s, 1, true) ~= nil end
            t.ok(whole, ("%s: %q"):format(what, s))
          end
        end
      end
    end
    local images_before, images_after = 0, 0
    for _, m in ipairs(messages) do images_before = images_before + (type(m.content) == "table" and 1 or 0) end
    for _, m in ipairs(out) do images_after = images_after + (type(m.content) == "table" and 1 or 0) end
    t.equal(images_after, images_before, what)
  end
end)

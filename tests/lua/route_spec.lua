local t = require "perilune.test"
local text = require "perilune.text"

-- The upstream that a request goes to under these options.
local function goes_to(options, request)
  local req = t.request(request)
  local next, calls = t.next{ text = "ok" }
  local res = t.run("route", options, req, next)
  t.ok(res)
  t.equal(#calls, 1)
  return req.upstream
end

local long = ("word "):rep(2000)
local sizes = { small = "s", big = "b", small_below_tokens = 400 }

t.test("short prompts go to the small one, long ones to the big one", function()
  t.equal(goes_to(sizes, "hello"), "s")
  t.equal(goes_to(sizes, long), "b")
end)

t.test("with only a big one, everything goes there; with nothing, nothing is chosen", function()
  t.equal(goes_to({ big = "b" }, "hello"), "b")
  t.equal(goes_to({ small = "s" }, long), nil)
  t.equal(goes_to({}, "hello"), nil)
end)

t.test("the call goes to what was chosen", function()
  t.upstream("s", { text = "from small" })
  t.upstream("b", { text = "from big" })
  t.equal(t.run("route", sizes, t.request("hello")):text(), "from small")
  t.equal(t.run("route", sizes, t.request(long)):text(), "from big")
end)

t.test("rules: the first that fits decides", function()
  local options = {
    big = "b",
    rules = {
      { model = "gpt-4*", upstream = "four" },
      { model = "exact", upstream = "exact" },
      { header = { ["X-Tier"] = "free" }, upstream = "free" },
      { header = { ["x-debug"] = true }, upstream = "debug" },
      { language = "zh", below_tokens = 1000, upstream = "qwen" },
      { code = true, upstream = "coder" },
      { above_tokens = 1000, code = false, upstream = "long" },
    },
  }
  local function to(request) return goes_to(options, request) end
  t.equal(to{ model = "gpt-4o" }, "four")
  t.equal(to{ model = "exact" }, "exact")
  t.equal(to{ model = "exactly" }, "b")
  t.equal(to{ headers = { ["x-tier"] = "free" } }, "free")
  t.equal(to{ headers = { ["x-tier"] = "paid" } }, "b")
  t.equal(to{ headers = { ["x-debug"] = "" } }, "debug")
  t.equal(to("请把这段话翻译成英文"), "qwen")
  t.equal(to("Fix this:\n```\nx = 1\n```"), "coder")
  t.equal(to(long), "long")
  t.equal(to("hello"), "b")
end)

t.test("all conditions of a rule have to hold", function()
  local options = { rules = { { model = "m", header = { ["x-a"] = "1" }, upstream = "u" } } }
  t.equal(goes_to(options, { model = "m", headers = { ["x-a"] = "1" } }), "u")
  t.equal(goes_to(options, { model = "m" }), nil)
  t.equal(goes_to(options, { model = "n", headers = { ["x-a"] = "1" } }), nil)
end)

t.test("content in parts, and no messages at all", function()
  local options = { rules = { { language = "ja", upstream = "ja" } } }
  local parts = { { type = "image_url", image_url = { url = "data:," } }, { type = "text", text = "これは何ですか" } }
  t.equal(goes_to(options, { messages = { { role = "user", content = parts } } }), "ja")
  t.equal(goes_to(options, { messages = { { role = "assistant", content = "これは" } } }), nil)
  t.equal(goes_to(options, { path = "/v1/embeddings", body = '{"model":"e","input":"これは"}' }), nil)
end)

t.test("wrong options are refused", function()
  local function says(options, pattern)
    t.error(function() t.policy("route", options) end, pattern)
  end
  says({ smal = "s" }, "policy 'route': unknown option 'smal'; did you mean 'small'?")
  says({ rules = { { upstream = "u" }, { model = "m" } } }, "route, rule 2': option 'upstream' is missing")
  says({ rules = { { upstream = "u", modle = "m" } } }, "did you mean 'model'")
  says({ small_below_tokens = 0 }, "at least 1")
end)

t.test("languages", function()
  local samples = {
    { "What is the capital of France?", "en" }, { "Hello", "en" }, { "今天天气怎么样？", "zh" },
    { "Explain 量子力学 的基本原理 please", "zh" }, { "Translate the following sentence into Chinese: 你好", "en" },
    { "東京の天気はどうですか", "ja" }, { "오늘 날씨 어때요?", "ko" }, { "Какая сегодня погода?", "ru" },
    { "ما هو الطقس اليوم؟", "ar" }, { "מה מזג האוויר היום?", "he" }, { "Τι καιρό κάνει σήμερα;", "el" },
    { "วันนี้อากาศเป็นอย่างไร", "th" }, { "आज मौसम कैसा है?", "hi" }, { "Wie ist das Wetter und was soll ich anziehen?", "de" },
    { "Quel temps fait-il dans les montagnes ?", "fr" }, { "¿Qué tiempo hace en los Andes y por qué?", "es" },
    { "Che tempo fa e come sono le strade della città?", "it" }, { "Como está o tempo e o que você faz?", "pt" },
  }
  for _, s in ipairs(samples) do t.equal(text.language(s[1]), s[2], s[1]) end
  for _, nothing in ipairs{ "", "123 + 456", "\255\254\128", "🙂🙂", "\228\184" } do t.equal(text.language(nothing), nil) end
end)

t.test("code or not", function()
  local code = {
    "```lua\nprint(1)\n```", "def f(x):\n    return x + 1\n\nclass A:\n    pass",
    "int main(void) {\n  printf(\"hi\");\n  return 0;\n}", "why does this fail?\nimport os\nfrom sys import path\n",
    "SELECT a FROM b;\nSELECT c FROM d;", "{\"a\":[1,2,{\"b\":null}],\"c\":{\"d\":[]}}",
  }
  local prose = {
    "", "hello", "Write me a poem about the sea; it should rhyme.", "What does import mean in economics?",
    "Dear all,\n\nplease find the report (attached).\nWe return to the office on Monday.\n\nBest regards",
    "今天天气怎么样？", "a = b", "Let me know if it works for you & your team :-)",
  }
  for _, s in ipairs(code) do t.equal(text.has_code(s), true, s) end
  for _, s in ipairs(prose) do t.equal(text.has_code(s), false, s) end
end)

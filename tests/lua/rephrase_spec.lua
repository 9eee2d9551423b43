local rephrase = require "perilune.rephrase"
local t = require "perilune.test"

local prose = {
  "However, the server usually restarts at 10:30. For example, Berlin had 3 restarts.",
  "In order to pay, open the settings. In addition, make sure that the card is valid.",
  "因此，系统通常在十点重启。例如，北京有三次。",
  "如果您需要帮助，可以联系客服。此外，我们经常更新文档。",
  "虽然价格上涨，但是质量非常好。",
}

t.test("prose is worded otherwise, with the same facts, and the same for the same seed", function()
  for _, text in ipairs(prose) do
    local forms, count = {}, 0
    for seed = 1, 30 do
      local out = rephrase.text(text, seed)
      t.equal(out, rephrase.text(text, seed))
      t.equal({ out, rephrase.keeps_facts(text, out) }, { out, true })
      if not forms[out] then count = count + 1 end
      forms[out] = true
    end
    t.equal({ text, count > 2 }, { text, true })
  end
end)

-- What must come back byte for byte, whatever is drawn.
local untouched = {
  "", " ", "42", "Do not use it, for example at night.", "You can't often do that.", "它不经常发生。", "没有例如的例子。",
  "```\nfor example\nhowever, usually\n```", "`for example` and `often`", "# For example", "| often | usually |",
  "> however, often", '{"often": "for example"}', "[often, usually]", 'He said "for example" twice.', "“例如” 是一个词",
  "https://often.example/for example", "$often + usually$", "    often indented code", "softened", "OFTEN", "十分钟之后到达",
  "之所以如此", "再好不过的选择", "二十分", "oftenness", "an often-used tool", ("for example "):rep(6000), "\255\254often\255",
  "~~~\nusually\n~~~",
}

t.test("what is no prose, or negates, stays as it is", function()
  for _, text in ipairs(untouched) do
    for seed = 1, 20 do t.equal(rephrase.text(text, seed), text) end
  end
end)

t.test("code between prose stays, prose around it does not", function()
  local text = "For example:\n```lua\nlocal often = usually -- for example\n```\nUsually that works."
  local changed = false
  for seed = 1, 20 do
    local out = rephrase.text(text, seed)
    t.equal(out:find("local often = usually -- for example", 1, true) ~= nil, true)
    changed = changed or out ~= text
  end
  t.equal(changed, true)
end)

t.test("facts are compared", function()
  local same = rephrase.keeps_facts
  t.equal(same("It costs 5 euros in Paris.", "In Paris it costs 5 euros."), true)
  for _, pair in ipairs{
    { "It costs 5 euros.", "It costs 6 euros." }, { "We met Anna in May.", "We met Berta in May." },
    { "It is safe.", "It is not safe." }, { "这是安全的", "这是不安全的" }, { "Run `ls`.", "Run `rm`." },
    { "See https://a.example/x", "See https://b.example/x" }, { "5 and 5", "5" }, { "use a.b_c", "use a.b_d" },
  } do
    t.equal({ pair[1], same(pair[1], pair[2]) }, { pair[1], false })
  end
end)

local function chat(more)
  local req = { model = "m", messages = { { role = "user", content = "hi" } } }
  for k, v in pairs(more or {}) do req[k] = v end
  return t.request(req)
end

local count = 0
local function policy(how)
  count = count + 1
  return t.policy("cache_exact", { ttl = 60, name = "rephrased" .. count, rephrase = how })
end

t.test("hits are worded otherwise, as a whole and as a stream", function()
  local text = "However, it usually works. For example, 3 of 4 runs."
  for _, stream in ipairs{ false, true } do
    t.upstream("a", { text = text })
    local p, forms, kinds = policy(true), {}, 0
    t.equal(t.run(p, nil, chat{ stream = stream }):text(), text)
    for _ = 1, 20 do
      local res = t.run(p, nil, chat{ stream = stream })
      t.equal(res.headers["x-cache"], "hit")
      local r = t.send(function() return res end, nil, chat{ stream = stream })
      local out = r.text
      if not forms[out] then kinds = kinds + 1 end
      forms[out] = true
      t.equal(rephrase.keeps_facts(text, out), true)
    end
    t.equal({ stream, kinds > 2 }, { stream, true })
  end
end)

t.test("answers that must be exact are", function()
  local text = "However, it usually works."
  t.upstream("a", { text = text })
  local p = policy(true)
  local more = { response_format = { type = "json_object" } }
  for _ = 1, 10 do t.equal(t.run(p, nil, chat(more)):text(), text) end
end)

t.test("a small model's text is taken when it has the same facts", function()
  local text = "It costs 5 euros in Paris."
  local function ask(reworded)
    t.upstream("a", { text = text })
    t.upstream("small", { text = reworded })
    local inner = policy("small")
    local p = function(req)
      local res = inner(req, function(r) return require("perilune").upstream("a"):chat(r) end)
      return res:map("word", function(word) return word end) -- by a unit of its own
    end
    t.run(p, nil, chat()):text()
    local r = t.send(p, nil, chat{ stream = true })
    t.equal(r.status, 200)
    return r.text
  end
  t.equal(ask("In Paris one pays 5 euros."), "In Paris one pays 5 euros.")
  t.equal(ask("In Paris one pays 6 euros."), text)
  t.equal(ask("5 Paris"), text)
end)

t.test("a policy in front may map by another unit", function()
  local text = "However, it usually works.\nOften, that is."
  t.upstream("a", { text = text })
  local inner = policy(true)
  local outer = function(req, next)
    local res, err = inner(req, next)
    if not res then return nil, err end
    return res:map("word", function(word) return (word:gsub("works", "runs")) end)
  end
  for _, stream in ipairs{ false, true, true, false } do
    local r = t.send(outer, nil, chat{ stream = stream })
    t.equal({ r.status, r.text:find(" runs%.\n") ~= nil }, { 200, true })
  end
end)

t.test("the option", function()
  t.error(function() policy(5) end, "rephrase")
end)

-- primitives.lua -- what the rock gives without a loop.

package.path = "tests/?.lua;" .. package.path
local kit = require "rock.kit"
local perilune = require "perilune"
local test, equal, match, throws = kit.test, kit.equal, kit.match, kit.throws

test("tokens are counted, and what is no UTF-8 is an error and not a crash", function()
  local n, exact = perilune.tokens("The quick brown fox jumps over the lazy dog.", "gpt-4o")
  equal(n, 10)
  equal(exact, true)
  local none, err = perilune.tokens("\255")
  equal(none, nil)
  equal(err.code, "invalid_text")
  equal(tostring(err), "invalid_text: the text is not UTF-8: byte 0")
  equal(perilune.tokens(("a "):rep(100), "gpt-4o", 5), 6)
end)

test("truncate leaves whole tokens", function()
  equal(perilune.truncate("The quick brown fox", 2, "gpt-4o"), "The quick")
end)

test("text.* are those of policies", function()
  equal(perilune.text.language("Bonjour le monde, je suis ici"), "fr")
  equal(perilune.text.minify_json('{ "a": 1.0 }'), '{"a":1.0}')
  equal(perilune.text.strip_ansi("\27[1mbold\27[0m"), "bold")
  equal(#perilune.text.chunks(("A sentence. "):rep(400), { size = 100 }) > 4, true)
  throws(function() perilune.text.chunks("x", { sise = 1 }) end, "unknown option 'sise'.*size")
end)

test("what is no text is an error with the function's name and the caller's line", function()
  local text = perilune.text
  for name, fn in pairs{ ["perilune.tokens"] = perilune.tokens, ["perilune.truncate"] = perilune.truncate,
      ["perilune.trim"] = perilune.trim, ["perilune.compress"] = perilune.compress, ["text.language"] = text.language,
      ["text.has_code"] = text.has_code, ["text.spans"] = text.spans, ["text.sentences"] = text.sentences,
      ["text.extract"] = text.extract, ["text.chunks"] = text.chunks, ["text.dedupe"] = text.dedupe,
      ["text.minify_json"] = text.minify_json, ["text.strip_ansi"] = text.strip_ansi,
      ["text.elide_base64"] = text.elide_base64 } do
    throws(function() local out = fn(nil) return out end,
      "^tests/rock/primitives%.lua:%d+: bad argument #1 to '" .. name:gsub("%.", "%%.") .. "' %(string expected, got nil%)$")
  end
  throws(function() local out = text.rank(nil) return out end, "^tests/rock/primitives%.lua:%d+: bad argument #1 to 'text%.rank'")
  equal(text.language(5), nil) -- a number is a text, as everywhere in Lua
end)

test("trim and compress", function()
  equal(perilune.trim("Could you please count the words?"), "count the words?")
  equal(perilune.trim("zap zap count the words", { languages = {}, rules = { start = { "zap zap" } } }), "count the words")
  local left, cuts = perilune.trim("Please count the words. Thanks!", { cuts = true })
  equal(type(left), "string")
  equal(#cuts > 0, true)
  local text = "Cats sleep a lot. Berlin is the capital of Germany. " .. ("The weather was fine that day. "):rep(20)
  local short = perilune.compress(text, "What is the capital of Germany?", { ratio = 0.2 })
  match(short, "Berlin is the capital")
  equal(#short < #text, true)
end)

test("json keeps bytes: what was not changed is written as it came", function()
  local view = perilune.json.view('{"price":1.10,"big":12345678901234567890,"list":[1,2]}')
  equal(view.list[2], 2)
  equal(tostring(view), '{"price":1.10,"big":12345678901234567890,"list":[1,2]}')
  view.list = perilune.json.array{}
  match(perilune.json.encode(view), '"price":1.10,"big":12345678901234567890,"list":%[%]')
  equal(perilune.json.decode('{"a":null}').a, perilune.json.null)
  local none, why = perilune.json.decode('{"a":')
  equal(none, nil)
  match(why, "at byte %d")
end)

test("json_stream and sse take what comes in pieces", function()
  local json = perilune.json_stream()
  equal(#json:feed('{"a":'), 0)
  equal(json:feed('12}')[1].value, 12)
  local sse, got = perilune.sse(), {}
  local text = ": hi\n\nevent: delta\nid: 7\ndata: a\ndata: b\n\ndata: [DONE]\r\n\r\n"
  for i = 1, #text do
    for _, e in ipairs(sse:feed(text:sub(i, i))) do got[#got + 1] = e end
  end
  equal(#got, 2)
  equal(got[1].type .. "|" .. got[1].data .. "|" .. got[1].id, "delta|a\nb|7")
  equal(got[2].type .. "|" .. got[2].data, "message|[DONE]")
  equal(#sse:feed("data: rest"), 0)
  equal(sse:finish()[1].data, "rest")
  local small = perilune.sse{ max_size = 10 }
  local none, why = small:feed("data: " .. ("x"):rep(100))
  equal(none, nil)
  match(why, "more than 10 bytes")
  equal(small:feed("data: a\n\n"), nil, "it stays failed")
  throws(function() perilune.sse{ size = 1 } end, "unknown option 'size'")
end)

test("template", function()
  equal(perilune.template("Hello {{name}}"):render{ name = "Ada" }, "Hello Ada")
  throws(function() perilune.template("{{name}}"):render{} end, "name")
end)

test("cache, shared and limit are the process's", function()
  local cache = perilune.cache("values", { ttl = 60 })
  equal(cache:get("k"), nil)
  equal(cache:set("k", "v"), true)
  equal(cache:get("k"), "v")
  equal(perilune.cache("values", { ttl = 60 }):get("k"), "v")
  equal(perilune.shared("counts"):incr("n", 2), 2)
  local limit = perilune.limit("calls", { requests_per_minute = 2 })
  equal(type(limit:take()), "userdata")
  equal(type(limit:take{ requests = 1 }), "userdata")
  local none, err = limit:take()
  equal(none, nil)
  equal(err.code, "rate_limit_exceeded")
  equal(err.retry_after > 0, true)
end)

test("the clock runs though no loop turns", function()
  local shared = perilune.shared("clock")
  shared:set("k", "v", 0.05)
  equal(shared:get("k"), "v")
  local begun = perilune.now()
  while perilune.now() - begun < 0.08 do end
  equal(shared:get("k"), nil, "it is too old")
end)

test("embed: what means the same is near", function()
  local function dot(a, b)
    local sum = 0
    for i = 1, #a do sum = sum + a[i] * b[i] end
    return sum
  end
  local a, b, c = perilune.embed("How do I reset my password?"), perilune.embed("I forgot my password, how can I reset it?"),
    perilune.embed("The weather in Lisbon is warm.")
  equal(dot(a, b) > dot(a, c), true)
end)

test("hashes and codings", function()
  equal(perilune.sha256("abc"):sub(1, 8), "ba7816bf")
  equal(perilune.base64.decode(perilune.base64.encode("a\0b")), "a\0b")
  equal(perilune.url_encode("a b&c"), "a%20b%26c")
end)

test("what waits says what it needs, at the line of who called it", function()
  for _, call in ipairs{
    function() perilune.sleep(1) end, function() perilune.fetch("http://127.0.0.1:1/") end,
    function() perilune.all{ function() end } end, function() perilune.ask{ messages = "hi" } end,
  } do
    match(throws(call, "perilune%.run%(config, function"), "^tests/rock/primitives.lua:%d+: ")
  end
end)

test("other modules of policies are found as fields, and nothing else is", function()
  equal(type(perilune.retry), "table")
  equal(type(perilune.cost), "table")
  equal(perilune.core, nil)
  equal(perilune.sandbox, nil)
end)

kit.finish "primitives"

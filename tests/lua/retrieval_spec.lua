-- retrieval_spec.lua -- cache_retrieval, for questions that mean the same.

local perilune = require "perilune"
local t = require "perilune.test"

local asked

-- A service that counts what it is asked.
local function service(url)
  asked = 0
  t.fetch(url, function()
    asked = asked + 1
    return { status = 200, body = ("found %d"):format(asked), headers = { ["content-type"] = "text/plain" } }
  end)
end

local function get(url, opts)
  local res = assert(perilune.fetch(url, opts))
  return { res.body, res.headers["x-cache"] }
end

local a, b = "How+do+I+reset+my+password%3F", "How+can+I+reset+my+password%3F"

t.test("a near question in the URL gets what was found", function()
  t.policy("cache_retrieval", { urls = { "http://near.test/*" }, query = "q", threshold = 0.7, name = "url" })
  local url = "http://near.test/s?lang=en&q="
  service(url .. a)
  service(url .. b)
  t.equal(get(url .. a), { "found 1" })
  local res = perilune.fetch(url .. b)
  t.equal({ res.body, res.headers["x-cache"], res.headers["content-type"] }, { "found 1", "hit", "text/plain" })
  t.match(res.headers["x-cache-similarity"], "^0%.%d%d%d$")
  t.match(res.headers["x-cache-entry"], "^%x+@0%.%d+$")
  t.equal(perilune.cache("url"):feedback(res.headers["x-cache-entry"], false), true)
  t.equal((perilune.cache("any"):feedback(res.headers["x-cache-entry"], false)), nil)
  t.equal(get(url .. b), { "found 2" }) -- it was told to be wrong, so the service is asked
  t.equal(get(url .. b), { "found 2", "hit" })
end)

t.test("what the service says is not to be stored is not, unless it is told that nobody honors it", function()
  for _, honor in ipairs{ false, {} } do
    local name = honor and "all" or "some"
    t.policy("cache_retrieval", { urls = { ("http://kept.test/%s/*"):format(name) }, name = name, honor = honor or nil })
    for i, line in ipairs{ "no-store", "Max-Age=0, No-Store", "no-cache, private", "max-age=0" } do
      local url = ("http://kept.test/%s/%d"):format(name, i)
      asked = 0
      t.fetch(url, function()
        asked = asked + 1
        return { status = 200, body = ("found %d"):format(asked), headers = { ["cache-control"] = line } }
      end)
      get(url)
      t.equal(get(url)[1], i <= 2 and not honor and "found 2" or "found 1")
    end
  end
end)

t.test("feedback of another tenant moves nothing", function()
  local url, entry = "http://whose.test/s?q=", nil
  t.policy("cache_retrieval", { urls = { "http://whose.test/*" }, query = "q", threshold = 0.7, name = "whose" })
  service(url .. a)
  service(url .. b)
  t.upstream("m", { text = "fine" })
  local function as(tenant, fn)
    t.send(function(req, next)
      fn()
      return next(req)
    end, nil, t.request{ tenant = tenant, body = { model = "m", messages = { { role = "user", content = "hi" } } } })
  end
  local told = {}
  local function tell(tenant) told[tenant] = perilune.cache("whose"):feedback(entry, false) or "gone" end
  as("x", function()
    get(url .. a)
    entry = perilune.fetch(url .. b).headers["x-cache-entry"]
  end)
  as("y", function() tell("y") end)
  as("x", function() tell("x") end)
  t.equal(told, { x = true, y = "gone" })
end)

t.test("all else is equal, and the guard holds", function()
  t.policy("cache_retrieval", { urls = { "http://else.test/*" }, query = "q", threshold = 0.7, name = "else" })
  local url = "http://else.test/s?q="
  for _, rest in ipairs{ a, b .. "&lang=de", b, "How+do+I+not+reset+my+password%3F", b .. "&q=" .. a } do service(url .. rest) end
  t.equal(get(url .. a), { "found 1" })
  t.equal(get(url .. b .. "&lang=de")[2], nil)
  t.equal(get(url .. b, { headers = { ["x-team"] = "red" } })[2], nil)
  t.equal(get(url .. b, { method = "PUT" })[2], nil)
  t.equal(get(url .. "How+do+I+not+reset+my+password%3F")[2], nil)
  t.equal(get(url .. b .. "&q=" .. a)[2], nil) -- which of both is asked?
  t.equal(get(url .. b), { "found 1", "hit" })
end)

t.test("a near question in the body gets what was found", function()
  t.policy("cache_retrieval", { urls = { "http://body.test/s" }, query = "search.text", threshold = 0.7, name = "body" })
  service("http://body.test/s")
  local function post(text, size)
    return get("http://body.test/s", { body = ('{"search":{"text":%s,"size":%s}}'):format(perilune.json.encode(text), size) })
  end
  t.equal(post("How do I reset my password?", 3), { "found 1" })
  t.equal(post("How can I reset my password?", 3), { "found 1", "hit" })
  t.equal(post("How can I reset my password?", "3.0000000000000000001"), { "found 2" }) -- as it is written
  t.equal(post("How can I reset my \0 password?", 3)[2], "hit")
  t.equal(post("", 3), { "found 3" })
  t.equal(post({ "How can I reset my password?" }, 3), { "found 4" }) -- no text
end)

t.test("without query nothing is compared", function()
  t.policy("cache_retrieval", { urls = { "http://plain.test/*" }, name = "plain" })
  service("http://plain.test/s?q=" .. a)
  service("http://plain.test/s?q=" .. b)
  t.equal(get("http://plain.test/s?q=" .. a), { "found 1" })
  t.equal(get("http://plain.test/s?q=" .. b)[2], nil)
end)

t.test("tenants do not get each other's, unless it is said so", function()
  local function of(name, shared)
    t.policy("cache_retrieval",
      { urls = { ("http://%s.test/*"):format(name) }, query = "q", threshold = 0.7, shared = shared, name = name })
    local url = ("http://%s.test/s?q="):format(name)
    service(url .. a)
    service(url .. b)
    t.upstream("m", { text = "fine" })
    local seen = {}
    local function ask(tenant, what)
      t.send(function(req, next)
        seen[#seen + 1] = get(url .. what)[2] or "anew"
        return next(req)
      end, nil, t.request{ tenant = tenant, body = { model = "m", messages = { { role = "user", content = "hi" } } } })
    end
    ask("acme", a)
    ask("other", a)
    ask("other", b)
    ask("acme", b)
    return seen
  end
  t.equal(of("own"), { "anew", "anew", "hit", "hit" })
  t.equal(of("common", true), { "anew", "hit", "hit", "hit" })
end)

t.test("an embedder's failure is a miss, and its vectors are used", function()
  t.policy("cache_retrieval", { urls = { "http://vector.test/*" }, query = "q", threshold = 0.9, embedder = "e5", name = "vec" })
  local url = "http://vector.test/s?q="
  for _, q in ipairs{ "one+question", "another+question", "a+third+question" } do service(url .. q) end
  local vectors = { ["one question"] = { 1, 0, 0.1 }, ["another question"] = { 1, 0, 0 } }
  t.upstream("e5", function(req)
    local list = {}
    for i, text in ipairs(req.input) do list[i] = { index = i - 1, embedding = vectors[text] } end
    return list[1].embedding and { body = { object = "list", data = list } } or { status = 500 }
  end)
  t.equal(get(url .. "one+question"), { "found 1" })
  t.equal(get(url .. "another+question")[2], "hit")
  t.equal(get(url .. "a+third+question")[2], nil)
end)

t.test("options that need a query are refused without", function()
  t.error(function() t.policy("cache_retrieval", { urls = { "http://a.test/" }, threshold = 0.9 }) end, "needs 'query'")
  t.error(function() t.policy("cache_retrieval", { urls = { "http://a.test/" }, query = "q", threshold = 2 }) end, "threshold")
end)

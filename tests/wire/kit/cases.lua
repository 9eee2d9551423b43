--- cases: small policies, one for each value of the header x-case.  kit.lua runs each in a spec and over HTTP.
local perilune = require "perilune"

local function shout(word) return word:upper() end
local function spin() while true do end end

-- ORDER: one a line; kit.lua reads the names from here.
local cases = {
  ["plain"] = function(req, next) return next(req) end,
  ["return-nothing"] = function(req, next) next(req) end,
  ["return-string"] = function() return "hello" end,
  ["nil-string"] = function() return nil, "no" end,
  ["nil-table"] = function() return nil, { code = "x", message = "m", status = 418 } end,
  ["throw-error"] = function() error(perilune.error{ code = "mine", status = 403, message = "no" }) end,
  ["throw-text"] = function() error("oops") end,
  ["header-framing"] = function(req, next) local r = next(req) r.headers["content-length"] = "3" return r end,
  ["header-two-lines"] = function(req, next) local r = next(req) r.headers["x-a"] = "b\r\nc: d" return r end,
  ["header"] = function(req, next) local r = next(req) r.headers["x-a"] = "b" return r end,
  ["header-much"] = function(req, next) local r = next(req) for i = 1, 20 do r.headers["x-" .. i] = ("a"):rep(1000) end return r end,
  ["status-201"] = function(req, next) local r = next(req) r.status = 201 return r end,
  ["status-204"] = function(req, next) local r = next(req) r.status = 204 return r end,
  ["loop"] = function(req, next) return next(req):map("word", spin) end,
  ["loop-before"] = spin,
  ["map"] = function(req, next) return next(req):map("word", shout) end,
  ["map-number"] = function(req, next) return next(req):map("word", function() return 5 end) end,
  ["map-throws"] = function(req, next) return next(req):map("word", function() error("oops") end) end,
  ["map-throws-later"] = function(req, next) return next(req):map("word", function(w) if w == "wide" then error("oops") end return w end) end,
  ["map-refuses"] = function(req, next) return next(req):map("word", function() error(perilune.error{ code = "blocked", status = 451 }) end) end,
  ["map-line-break"] = function(req, next) return next(req):map("word", function(w) return w .. "\n\ndata: x" end) end,
  ["map-two-units"] = function(req, next) return next(req):map("word", shout):map("line", shout) end,
  ["map-drop"] = function(req, next) return next(req):map("word", function() end, { at_end = function() return "END" end }) end,
  ["map-after-text"] = function(req, next) local r = next(req) r:text() return r:map("word", shout) end,
  ["tap-throws"] = function(req, next) return next(req):tap(function() error("oops") end) end,
  ["tap-refuses"] = function(req, next) return next(req):tap(function() error(perilune.error{ code = "blocked", status = 403 }) end) end,
  ["tap-refuses-end"] = function(req, next) return next(req):tap(function(ev) if ev.type == "done" then error(perilune.error{ code = "late", status = 409 }) end end) end,
  ["text"] = function(req, next) local r = next(req) r.headers["x-text"] = r:text() return r end,
  ["events"] = function(req, next) local r, n = next(req), 0 for _ in r:events() do n = n + 1 end r.headers["x-events"] = tostring(n) return r end,
  ["events-map"] = function(req, next) local r = next(req):map("word", shout) for _ in r:events() do end return r end,
  ["first-event"] = function(req, next) local r = next(req) r:events()() return r end,
  ["twice"] = function(req, next) local r = next(req) next(req) return r end,
  ["model-unknown"] = function(req, next) req.model = "zzz" return next(req) end,
  ["upstream"] = function(req, next) req.upstream = "other" return next(req) end,
  ["upstream-unknown"] = function(req, next) req.upstream = "zzz" return next(req) end,
  ["upstream-unknown-unused"] = function(req) req.upstream = "zzz" return perilune.respond{ text = "x" } end,
  ["chat-unknown"] = function(req) return perilune.upstream("zzz"):chat(req) end,
  ["next-option"] = function(req, next) return next(req, { timeot = 1 }) end,
  ["next-nothing"] = function(_, next) return next() end,
  ["messages-none"] = function(req, next) req.messages = nil return next(req) end,
  ["respond"] = function() return perilune.respond{ text = "hi there", status = 202 } end,
  ["respond-204"] = function() return perilune.respond{ status = 204 } end,
  ["reject"] = function() return perilune.reject(429, "slow", { retry_after = 2.3 }) end,
  ["error-headers"] = function() return nil, perilune.error{ code = "x", status = 400, headers = { ["x-why"] = "so" } } end,
  ["finally-throws"] = function(req, next) return next(req):finally(function() error("x") end) end,
  ["sleep-negative"] = function() perilune.sleep(-1) end,
  ["two-choices"] = function(req, next) req.n = 2 return next(req) end,
  ["two-choices-map"] = function(req, next) req.n = 2 return next(req):map("word", shout) end,
  ["stream-other"] = function(req, next) req.stream = not req.stream return next(req) end,
  ["attempt"] = function(req, next) local ok = perilune.attempt(spin) local r = next(req) r.headers["x-ok"] = tostring(ok) return r end,
  ["all"] = function(req, next) local r = perilune.all{ function() return next(req) end, function() return next(req) end } return r[2] end,
}

return function()
  return function(req, next) return cases[req.headers["x-case"]](req, next) end
end

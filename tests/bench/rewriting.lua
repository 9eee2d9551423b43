-- rewriting.lua -- what the policies that rewrite prompts cost, in CPU time.
--
--   luajit tests/bench/rewriting.lua    CPU microseconds per request over a server without
--
-- The request is an agent's conversation of 70 KB (about 17,000 tokens, 200 messages, 90
-- results of tools), always the same, so that what is remembered of it is used.

package.path = "tests/?.lua;" .. package.path
local bench = require "bench.lib"
local json = require "support.json"

local ROUNDS, REQUESTS = 5, 1000

local function conversation()
  local m = { { role = "system", content = ("Be careful. "):rep(80) }, { role = "user", content = "Repair it." } }
  for i = 1, 90 do
    local call = { id = "call_" .. i, type = "function", ["function"] = { name = "read", arguments = '{"file":"a"}' } }
    m[#m + 1] = { role = "assistant", tool_calls = { call } }
    m[#m + 1] = { role = "tool", tool_call_id = call.id, content = i .. (" some words"):rep(60) }
    if i % 10 == 0 then
      m[#m + 1] = { role = "assistant", content = "Done." }
      m[#m + 1] = { role = "user", content = "Go on with " .. i }
    end
  end
  return json.encode{ model = "x", messages = m }
end

bench.run(function()
  local dir = bench.folder()
  local up = bench.upstream(dir, { tokens = 16 })
  local upstreams = "upstreams = { up = { url = \"@UPSTREAM@\", model = \"claude-sonnet-5\" } },\n"
  local options = { body = bench.file(dir, "body", conversation()), conns = 8, dir = dir, requests = REQUESTS }
  local without = bench.perilune(upstreams, { UPSTREAM = up.url })
  for _, policy in ipairs{ '"window", max_tokens = 1000000', '"window", max_tokens = 8000', '"mask_tools"', '"prompt_cache"',
                           '"stream_fields", fields = { "a" }' } do
    local with = bench.perilune(upstreams .. [[
      routes = { { path = "/v1/chat/completions", policies = { { ]] .. policy .. [[ } } } },]], { UPSTREAM = up.url })
    local differences = {}
    bench.compare({ without, with }, options, 1)
    for i = 1, ROUNDS do
      differences[i] = bench.cpu_per_request(with, options) - bench.cpu_per_request(without, options)
    end
    -- A millisecond for each 10,000 tokens.
    bench.figure(policy:gsub('"', ""):gsub(",", ":", 1) .. ", 70 KB", bench.median(differences), "us/req", nil, 1700)
  end
end)

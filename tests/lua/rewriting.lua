--- rewriting: what every policy that rewrites prompts must do, whatever else it does.

local t = require "perilune.test"
local perilune = require "perilune"

local M = {}

local function to_m(req) return perilune.upstream("m"):chat(req) end

--- These bodies leave as they came, byte for byte, and nothing is reported; so does what is
--- no chat.
---@param policy string
---@param options table
---@param ... string  bodies of chat requests
function M.passes(policy, options, ...)
  for _, body in ipairs{ ... } do
    t.upstream("m", { text = "ok" })
    local req = t.request{ body = body }
    t.run(policy, options, req)
    t.equal(t.calls("m")[1].text, body)
    t.equal(req:saved().tokens, 0, body)
  end
  t.upstream("m", { text = "ok" })
  local other = '{ "model":"e", "input":"please" }'
  t.run(policy, options, t.request{ path = "/v1/embeddings", body = other })
  t.equal(t.calls("m")[1].text, other)
end

--- A second run on the same request, as a retry makes it, sends the same bytes.
---@param policy string
---@param options table
---@param req perilune.Request
---@return string body
function M.again(policy, options, req)
  t.upstream("m", { { status = 503 }, { text = "ok" } })
  local run = t.policy(policy, options)
  run(req, to_m)
  run(req, to_m)
  local calls = t.calls("m")
  t.equal(calls[1].text, calls[2].text)
  return calls[1].text
end

return M

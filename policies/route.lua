--- route: choose the upstream by what the request is like.
--
--     { "route", small = "small", big = "big", small_below_tokens = 400 }
--
--     { "route", big = "big", rules = {
--         { model = "gpt-4*", upstream = "big" },
--         { header = { ["x-tier"] = "free" }, upstream = "small" },
--         { language = "zh", below_tokens = 2000, upstream = "qwen" },
--         { code = true, upstream = "coder" },
--     } }
--
-- The first rule whose conditions all hold decides; then the prompt's size does.
-- What nothing decides goes where it would have gone without this policy.
--
---@class RouteOptions
---@field small? string               upstream for prompts below small_below_tokens
---@field big? string                 upstream for all others
---@field small_below_tokens? integer default 400
---@field rules? RouteRule[]

---@class RouteRule
---@field upstream string        where to go
---@field model? string          the request's model; "gpt-4*" for all that begin so
---@field header? table<string, string|boolean>  a value, or true for: present
---@field language? string       of the last user message: "en", "zh", "ja", "ru", "de", ...
---@field code? boolean          is there code in the last user message?
---@field below_tokens? integer  the prompt is smaller than this
---@field above_tokens? integer  the prompt is larger than this

local config = require "perilune.config"
local text = require "perilune.text"

local rule_spec = {
  upstream = { type = "upstream", required = true },
  model = { type = "string", min = 1 },
  header = { type = "map", of = { type = { "string", "boolean" } } },
  language = { type = "string", min = 2 },
  code = { type = "boolean" },
  below_tokens = { type = "integer", min = 1 },
  above_tokens = { type = "integer", min = 0 },
}

local spec = {
  small = { type = "upstream" },
  big = { type = "upstream" },
  small_below_tokens = { type = "integer", default = 400, min = 1 },
  rules = { type = "list", of = { type = "table" }, default = {} },
}

-- No question asks whether there are more tokens than this: counting stops there.
local function largest(options)
  local most = options.small and options.small_below_tokens or 0
  for _, rule in ipairs(options.rules) do
    most = math.max(most, rule.below_tokens or 0, rule.above_tokens or 0)
  end
  return most
end

-- What is expensive to know is found out once, and only when a rule asks.
local function facts_of(req, most)
  local known = {}
  local function once(name, find)
    return function()
      if known[name] == nil then known[name] = { find() } end
      return known[name][1]
    end
  end
  local last = once("last", function() return text.last_user(req) end)
  return {
    tokens = once("tokens", function() return (req:tokens(most)) end),
    language = once("language", function() return text.language(last()) end),
    code = once("code", function() return text.has_code(last()) end),
  }
end

local function model_fits(wanted, model)
  if type(model) ~= "string" then return false end
  if wanted:sub(-1) == "*" then return model:sub(1, #wanted - 1) == wanted:sub(1, -2) end
  return model == wanted
end

local function headers_fit(wanted, headers)
  for name, value in pairs(wanted) do
    local got = headers[name]
    if type(value) == "boolean" then
      if (got ~= nil) ~= value then return false end
    elseif got ~= value then
      return false
    end
  end
  return true
end

local function rule_fits(rule, req, facts)
  if rule.model and not model_fits(rule.model, req.model) then return false end
  if rule.header and not headers_fit(rule.header, req.headers) then return false end
  if rule.below_tokens and facts.tokens() >= rule.below_tokens then return false end
  if rule.above_tokens and facts.tokens() <= rule.above_tokens then return false end
  if rule.code ~= nil and facts.code() ~= rule.code then return false end
  return rule.language == nil or facts.language() == rule.language
end

local function choose(options, req)
  local facts = options.rules[1] and facts_of(req, options.most)
  for _, rule in ipairs(options.rules) do
    if rule_fits(rule, req, facts) then return rule.upstream end
  end
  if not options.small then return options.big end
  local tokens = facts and facts.tokens() or req:tokens(options.small_below_tokens)
  return tokens < options.small_below_tokens and options.small or options.big
end

return function(given)
  local options = config.options(spec, given, "route")
  for i, rule in ipairs(options.rules) do
    options.rules[i] = config.options(rule_spec, rule, ("route, rule %d"):format(i))
  end
  options.most = largest(options)
  return function(req, next)
    req.upstream = choose(options, req) or req.upstream
    return next(req)
  end
end

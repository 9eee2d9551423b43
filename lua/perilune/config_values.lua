--- config_values: values of the configuration with a syntax of their own: addresses, URLs, names of headers.

local check = require "perilune.check"
local core = require "perilune.core"

local M = {}

local function check_address(text)
  local kind, rest = text:match("^(%l+):(.*)$")
  if kind == "unix" then
    local path = rest:gsub("%?mode=[0-7][0-7][0-7]$", "")
    if path:find("^/.") and #path <= 107 and not path:find("?", 1, true) then return text end
    return nil, ("must be \"unix:/path\" or \"unix:/path?mode=660\", the path with at most 107 bytes, got %q"):format(text)
  elseif kind == "fd" and rest:find("^%d+$") and #rest < 6 and tonumber(rest) > 2 and text ~= "fd:" then return text
  elseif kind == "systemd" and rest:find("^[^:%c]+$") then return text
  end
  local host, port = text:match("^%[([%x:%.]+)%]:(%d+)$")
  if not host then host, port = text:match("^([%w%.%-_]*):(%d+)$") end
  if not host then return nil, ("must be \"host:port\", \"unix:/path\", \"fd:3\" or \"systemd:NAME\", got %q"):format(text) end
  if tonumber(port) > 65535 then return nil, ("has a port over 65535: %q"):format(text) end
  return text
end

M.address = { type = "string", max = 122, check = check_address }

-- scheme://host[:port][/path]; what else a URL can have does not belong in a base.
local function check_url(text, schemes, what)
  local scheme, rest = text:match("^(%a[%w+.-]*)://(.*)$")
  if not scheme or not schemes[scheme:lower()] then
    return nil, ("must be %s, got %q"):format(what, text)
  end
  if text:find("[%c%s\128-\255]") then return nil, ("must not have spaces or control characters: %q"):format(text) end
  local authority, path = rest:match("^([^/?#]*)(.*)$")
  if authority:find("@", 1, true) then return nil, "must not have a user in it; a key goes under 'key'" end
  local host, port = authority:match("^(%[[%x:%.]+%]):?(%d*)$")
  if not host then host, port = authority:match("^([%w%.%-_]+):?(%d*)$") end
  if not host or authority:sub(-1) == ":" then return nil, ("has no valid host: %q"):format(text) end
  if port ~= "" and (tonumber(port) > 65535 or tonumber(port) == 0) then
    return nil, ("has a port that does not exist: %q"):format(text)
  end
  if path:find("[?#]") then return nil, ("must not have a query or fragment: %q"):format(text) end
  return scheme:lower() .. "://" .. authority .. path:gsub("/+$", "")
end

local http = { http = true, https = true }
local proxies = { http = true, https = true, socks4 = true, socks4a = true, socks5 = true, socks5h = true }

M.base_url = {
  type = "string",
  check = function(v) return check_url(v, http, "a base URL such as \"https://api.example.com/v1\"") end,
}
M.proxy_url = {
  type = "string",
  check = function(v)
    -- A proxy may want a user; the rest of the syntax is the same.
    local scheme, user, rest = v:match("^(%a[%w+.-]*://)([^/@%s]+@)(.*)$")
    local url, message = check_url(scheme and scheme .. rest or v, proxies, "a proxy such as \"http://proxy:3128\"")
    if not url then return nil, message end
    return scheme and scheme:lower() .. user .. url:sub(#scheme + 1) or url
  end,
}

function M.is_token(text) return core.header_problem(text) == nil end

--- nil, or what is wrong with a header line.
function M.line_problem(name, value)
  if not M.is_token(name) then return ("has a key that is not a header name: %q"):format(name) end
  local problem = core.header_problem(name, value)
  return problem and ("['%s'] %s"):format(name, problem)
end

M.header_name = {
  type = "string",
  check = function(v)
    if not M.is_token(v) then return nil, ("is not a header name: %q"):format(v) end
    return v:lower()
  end,
}

--- Headers that describe the message itself: the core writes them.
function M.is_of_message(name)
  return core.header_is_framing(name) or name == "host" or name == "expect"
end

-- Those, and what else an upstream's answer has not to tell the client.
local function is_of_answer(name)
  return M.is_of_message(name) or core.header_is_own(name) or name == "set-cookie"
end

-- A name, or the beginning of names with a * behind it; problem(name, star, v): nil, or why it must not be.
local function name_or_beginning(problem)
  return {
    type = "string",
    check = function(v)
      local name, star = v:lower():match("^(.-)(%*?)$")
      if not M.is_token(name) or name:find("*", 1, true) then
        return nil, ("is not a header name, nor the beginning of one with a *: %q"):format(v)
      end
      local why = problem(name, star, v)
      if why then return nil, why end
      return name .. star
    end,
  }
end

--- Headers of an upstream's answer that are passed on.
M.passed_name = name_or_beginning(function(name, star, v)
  if star == "" and is_of_answer(name) then return ("must not name '%s': the gateway says that itself"):format(name) end
  if star == "*" and #name < 2 then return ("names too much: %q; write more of the name"):format(v) end
end)

--- Headers that a message on a WebSocket may have.
M.message_header = name_or_beginning(function(name)
  if M.is_of_message(name) then return ("must not name '%s': it is about the connection"):format(name) end
end)

--- What SDKs and people look for in an answer.
M.passed = { "accept-ranges", "cache-control", "content-disposition", "content-range", "etag", "location", "openai-*",
             "retry-after-ms", "x-ratelimit-*", "x-should-retry" }

function M.check_headers(map)
  local out = {}
  for _, name in ipairs(check.keys(map)) do
    local problem = M.line_problem(name, map[name])
    if problem then return nil, problem end
    if M.is_of_message(name:lower()) then return nil, ("must not set '%s': the gateway does"):format(name) end
    out[name:lower()] = map[name]
  end
  return out
end

function M.percent_decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

return M

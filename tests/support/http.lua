-- http.lua -- HTTP/1.1 as a test sees it, from both ends.
--
-- Reads whole messages from a connection of net.lua.  Nothing is forgiven: a
-- response that breaks off is complete = false, bad framing is an error in words.

local net = require "support.net"
local loop = require "support.loop"
local json = require "support.json"

local M = {}

-- -- Heads ----------------------------------------------------------------------

local function parse_headers(head, from)
  local list, by_name = {}, {}
  for line in head:sub(from):gmatch("(.-)\r\n") do
    local name, value = line:match("^([^%s:]+):[ \t]*(.-)[ \t]*$")
    if not name then return nil, "bad header line: " .. line end
    list[#list + 1] = { name = name, value = value }
    local key = name:lower()
    by_name[key] = by_name[key] and (by_name[key] .. ", " .. value) or value
  end
  return list, by_name
end

-- -- Bodies ---------------------------------------------------------------------

-- Calls on_piece with each chunk as it comes.
local function read_chunked(conn, deadline, body, on_piece)
  while true do
    local line, why = conn:take_until("\r\n", deadline - loop.now())
    if not line then return nil, why end
    local hex = line:match("^(%x+)[;\r]")
    if not hex then return nil, "bad chunk size: " .. line end
    local size = tonumber(hex, 16)
    if size == 0 then
      repeat
        line, why = conn:take_until("\r\n", deadline - loop.now())
        if not line then return nil, why end
      until line == "\r\n"
      return true
    end
    local data
    data, why = conn:take(size, deadline - loop.now())
    if not data then
      body[#body + 1] = conn.got
      return nil, why
    end
    body[#body + 1] = data
    if on_piece then on_piece(data) end
    local tail = conn:take(2, deadline - loop.now())
    if tail ~= "\r\n" then return nil, "bad end of chunk" end
  end
end

local function read_sized(conn, size, deadline, body)
  local data, why = conn:take(size, deadline - loop.now())
  body[1] = data or conn.got
  return data and true, why
end

local function read_to_end(conn, deadline, body)
  while true do
    local ok, why = conn:more(deadline - loop.now())
    if not ok then
      body[1] = conn.got
      conn.got = ""
      return why == "eof", why
    end
  end
end

local function read_body(conn, message, deadline, on_piece, bodiless)
  local h, body = message.headers, {}
  local ok, why = true, nil
  if bodiless then -- whatever its headers say
  elseif (h["transfer-encoding"] or ""):lower() == "chunked" then
    ok, why = read_chunked(conn, deadline, body, on_piece)
  elseif h["content-length"] then
    local size = tonumber(h["content-length"])
    if not size then return nil, "bad Content-Length: " .. h["content-length"] end
    ok, why = read_sized(conn, size, deadline, body)
  elseif message.status and message.status >= 200 and message.status ~= 204
         and message.status ~= 304 then
    ok, why = read_to_end(conn, deadline, body)
  end
  message.body = table.concat(body)
  message.complete = ok and true or false
  message.broke = why
  return message
end

--- Reads one request: {method, target, headers, list, body, complete}.
--- nil, why when the connection ended before a head came.
function M.read_request(conn, seconds)
  local deadline = loop.now() + (seconds or 30)
  local head, why = conn:take_until("\r\n\r\n", deadline - loop.now())
  if not head then return nil, why end
  local method, target, at = head:match("^(%S+) (%S+) HTTP/1%.%d\r\n()")
  if not method then return nil, "bad request line: " .. head:match("^[^\r\n]*") end
  local list, by_name = parse_headers(head:sub(1, -3), at)
  if not list then return nil, by_name end
  if (by_name["expect"] or ""):lower() == "100-continue" then
    conn:send("HTTP/1.1 100 Continue\r\n\r\n")
  end
  local r = { method = method, target = target, list = list, headers = by_name,
              line = head:match("^[^\r\n]*") }
  return read_body(conn, r, deadline)
end

--- Reads one response: {line, status, headers, list, body, complete, broke}.
--- nil, why when the connection ended before a head came.  is_head(): was the request's method HEAD?
function M.read_response(conn, seconds, on_piece, is_head)
  local deadline = loop.now() + (seconds or 30)
  local head, why = conn:take_until("\r\n\r\n", deadline - loop.now())
  if not head then return nil, why end
  local line, status, at = head:match("^(HTTP/1%.%d (%d%d%d)[^\r\n]*)\r\n()")
  if not line then return nil, "bad status line: " .. head:match("^[^\r\n]*") end
  local list, by_name = parse_headers(head:sub(1, -3), at)
  if not list then return nil, by_name end
  local r = { line = line, status = tonumber(status), list = list, headers = by_name }
  return read_body(conn, r, deadline, on_piece, r.status >= 200 and is_head and is_head())
end

-- -- A client --------------------------------------------------------------------

--- The bytes of a request.  headers: list of "Name: value".
function M.format(method, target, headers, body)
  local lines = { ("%s %s HTTP/1.1"):format(method, target), "Host: test" }
  for _, h in ipairs(headers or {}) do lines[#lines + 1] = h end
  if body then
    lines[#lines + 1] = "Content-Type: application/json"
    lines[#lines + 1] = "Content-Length: " .. #body
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

--- One request on a connection of its own.  Returns the response, or nil, why.
function M.request(port, method, target, headers, body, seconds)
  local conn, why = net.connect(port, seconds)
  if not conn then return nil, why end
  local ok, response
  ok, why = conn:send(M.format(method, target, headers, body), seconds)
  if ok then response, why = M.read_response(conn, seconds, nil, function() return method == "HEAD" end) end
  conn:close()
  return response, why
end

function M.get(port, target, seconds) return M.request(port, "GET", target, nil, nil, seconds) end

--- A chat body for tests that do not care what it says.
function M.chat_body(fields)
  local t = { model = "test", messages = json.array { { role = "user", content = "Hello" } } }
  for k, v in pairs(fields or {}) do t[k] = v end
  return json.encode(t)
end

--- Posts a chat.  fields: members of the body to add or replace.
function M.chat(port, fields, headers, seconds)
  return M.request(port, "POST", "/v1/chat/completions", headers, M.chat_body(fields), seconds)
end

--- The data of every event in a text/event-stream body, in order.
function M.events(body)
  local out = {}
  for block in (body .. "\n\n"):gmatch("(.-)\n\n") do
    local data = {}
    for line in block:gmatch("[^\n]+") do
      local d = line:match("^data: ?(.*)$")
      if d then data[#data + 1] = d end
    end
    if #data > 0 then out[#out + 1] = table.concat(data, "\n") end
  end
  return out
end

return M

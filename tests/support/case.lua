-- case.lua -- reads a .case file.  The format is described in tests/wire/README.md.
--
-- A file is sections; what stands before the first "==== title" belongs to every
-- case of the file.  This module knows the text only: client.lua and upstream.lua
-- give the commands their meaning.

local M = {}

local PLAIN = { r = "\r", n = "\n", t = "\t", ["0"] = "\0", ["\\"] = "\\" }

--- Bytes of a "> " line: \r \n \t \0 \\ \xNN.
function M.unescape(s)
  return (s:gsub("\\(.)(%x?%x?)", function(c, hex)
    if c == "x" and #hex == 2 then return string.char(tonumber(hex, 16)) end
    if not PLAIN[c] then error("unknown escape \\" .. c, 0) end
    return PLAIN[c] .. hex
  end))
end

-- "> a", "> b\" become one send of "a\r\nb".
local function send_piece(line)
  local text = line:match("^> ?(.*)$")
  if text:sub(-1) == "\\" and text:sub(-2) ~= "\\\\" then
    return M.unescape(text:sub(1, -2))
  end
  return M.unescape(text) .. "\r\n"
end

--- Turns the text of a client or upstream section into commands: a list of
--- {op, rest, line}.  Raises on nonsense.
function M.commands(section)
  local out, last = {}, nil
  for i, line in ipairs(section.lines) do
    local at = section.line + i
    if line:match("^>") then
      if last and last.op == "send" then
        last.rest = last.rest .. send_piece(line)
      else
        last = { op = "send", rest = send_piece(line), line = at }
        out[#out + 1] = last
      end
    elseif line:match("^%+ ?") then
      if not last or last.op == "send" then error("line " .. at .. ": nothing to continue", 0) end
      last.rest = last.rest .. line:match("^%+ ?(.*)$")
    elseif line:match("^%s*$") or line:match("^#") then
      last = nil
    else
      local op, rest = line:match("^(%S+)%s?(.*)$")
      last = { op = op, rest = rest, line = at }
      out[#out + 1] = last
    end
  end
  return out
end

--- Cuts a section at its "---" lines.
function M.parts(section)
  local part = { name = section.name, line = section.line, lines = {} }
  local out = { part }
  for i, line in ipairs(section.lines) do
    if line == "---" then
      part = { name = section.name, line = section.line + i, lines = {} }
      out[#out + 1] = part
    else
      part.lines[#part.lines + 1] = line
    end
  end
  return out
end

--- The text of a section without blank lines at its end.
function M.text(section)
  local n = #section.lines
  while n > 0 and section.lines[n] == "" do n = n - 1 end
  return table.concat(section.lines, "\n", 1, n)
end

--- "name: value" lines up to a blank one, then a body.
function M.message(section)
  local m = { line = section.line, headers = {}, absent = {} }
  local i, n = 1, #section.lines
  while i <= n and section.lines[i] == "" do i = i + 1 end
  m.first = section.lines[i] or ""
  i = i + 1
  while i <= n and section.lines[i] ~= "" do
    local line = section.lines[i]
    local gone = line:match("^!(%S+)$")
    local name, value = line:match("^([^:%s]+):%s*(.*)$")
    if gone then
      m.absent[#m.absent + 1] = gone:lower()
    elseif name then
      m.headers[#m.headers + 1] = { name = name:lower(), value = value }
    else
      error("line " .. (section.line + i) .. ": not a header: " .. line, 0)
    end
    i = i + 1
  end
  local last = n
  while last > 0 and section.lines[last] == "" do last = last - 1 end
  if i < last then m.body = table.concat(section.lines, "\n", i + 1, last) end
  return m
end

local function add_section(into, section)
  local name, arg = section.name, section.arg
  if name == "file" then
    into.files[arg] = table.concat(section.lines, "\n") .. "\n"
  elseif arg ~= "" then
    into[name .. " " .. arg] = section
  else
    into[name] = section
  end
  into.order[#into.order + 1] = section
end

local function new_case(file, title, line, base)
  return { file = file, title = title, line = line, files = {}, order = {}, base = base }
end

-- A case sees the file's sections behind its own.
local function inherit(case, base)
  for name, text in pairs(base.files) do
    if case.files[name] == nil then case.files[name] = text end
  end
  case.own_server = (case.config or case.options or case.has_files) and true or false
  for k, v in pairs(base) do
    if case[k] == nil and type(v) == "table" and v.lines then case[k] = v end
  end
end

--- Returns the cases of a file, in order.
function M.read(path)
  local base = new_case(path, nil, 0)
  local cases, into, section = {}, base, nil
  local n = 0
  for line in io.lines(path) do
    n = n + 1
    local title = line:match("^====%s+(.-)%s*$")
    local name, arg = line:match("^==%s+(%S+)%s*(.-)%s*==%s*$")
    if title then
      into = new_case(path, title, n, base)
      cases[#cases + 1] = into
      section = nil
    elseif name then
      section = { name = name, arg = arg, line = n, lines = {} }
      add_section(into, section)
      if name == "file" then into.has_files = true end
    elseif section then
      section.lines[#section.lines + 1] = line
    elseif not (line:match("^#") or line:match("^%s*$")) then
      error(("%s:%d: text outside of a section: %s"):format(path, n, line), 0)
    end
  end
  -- Files are joined only now: their lines came after add_section().
  for _, c in ipairs({ base, unpack(cases) }) do
    for _, s in ipairs(c.order) do
      if s.name == "file" then
        while s.lines[#s.lines] == "" do s.lines[#s.lines] = nil end
        c.files[s.arg] = table.concat(s.lines, "\n") .. "\n"
      end
    end
  end
  if #cases == 0 then
    base.title = "(whole file)"
    return { base }
  end
  for _, c in ipairs(cases) do inherit(c, base) end
  return cases
end

return M

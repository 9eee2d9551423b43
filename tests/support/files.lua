-- files.lua -- what the tools of the tests read, write and ask the shell for.

local M = {}

--- The bytes of a file, or nil when it cannot be opened.
function M.read(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local text = f:read("*a")
  f:close()
  return text
end

--- Writes a file, and makes its folder.
function M.write(path, text)
  local folder = path:match("^(.*)/[^/]*$")
  if folder then os.execute("mkdir -p '" .. folder .. "'") end
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

--- What a shell command prints.
function M.output(command)
  local p = assert(io.popen(command))
  local text = p:read("*a")
  p:close()
  return text
end

--- Its lines, empty ones left out.
function M.lines(command) return M.output(command):gmatch("[^\n]+") end

return M

--- traces: where the last error was thrown that left a run.
--
-- What perilune.run() throws is what the function inside threw, and its stack is gone by then.  Who tells a person of
-- it (`perilune script`) finds here how it looked.

local M = {}

local err, text

--- Lines of the library, and of what Lua puts between, say nothing about the program.
function M.cut(trace)
  return (trace:gsub("\n\t[^\n]*", function(line)
    if line:find("^\n\tlua/perilune/") or line:find("^\n\t%[C%]: in function '[x]?pcall'") then return "" end
    if line:find("^\n\t%[C%]: at 0x") or line:find("^\n\t%[C%]: in function <") then return "" end
  end))
end

--- Called where it is thrown.
function M.note(thrown)
  err, text = nil, nil
  if type(thrown) == "string" then err, text = thrown, M.cut(debug.traceback(thrown, 2)) end
end

--- The trace of this error, if it is the last one.
function M.of(thrown) return type(thrown) == "string" and thrown == err and text or nil end

return M

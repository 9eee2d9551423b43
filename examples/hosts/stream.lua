-- stream.lua -- an HTTP stream in a program's own LuaJIT, with the rock: what waits looks like any other call.
--
--     luajit stream.lua http://127.0.0.1:8000/v1/chat/completions          (`perilune sim` is there)
local perilune = require "perilune"

perilune.run(function()
  local body = [[{ "stream": true, "messages": [{ "role": "user", "content": "Hello from LuaJIT!" }] }]]
  local res = assert(perilune.fetch(arg[1], { stream = true, body = body,
    headers = { ["content-type"] = "application/json", authorization = "Bearer " .. (os.getenv("KEY") or "none") } }))
  for event in res:events() do
    local chunk = perilune.json.decode(event.data or "") -- the end mark is no JSON
    if event.error then error(event.error) end
    if chunk and chunk.choices[1] then io.write(chunk.choices[1].delta.content or "") io.flush() end
  end
end)

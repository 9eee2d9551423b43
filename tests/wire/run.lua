-- run.lua -- runs tests/wire/*.case against a perilune process.
--
--   luajit tests/wire/run.lua [-v] [-k] [-j N] [WORD...]
--
-- WORD: only cases whose file or title contains one of them.  -v prints every
-- case, -k keeps the folders of the servers.  The format of a case is described
-- in README.md beside this file.
--
-- Cases of one file share a server unless they bring a configuration, options or
-- files of their own; servers run side by side.

package.path = "tests/?.lua;" .. package.path

local files = require "support.files"
local loop = require "support.loop"
local case = require "support.case"
local client = require "support.client"
local upstream = require "support.upstream"
local server = require "support.server"
local template = require "support.template"
local proc = require "support.proc"
local posix = require "support.posix"
local net = require "support.net"

-- For what never comes.  Nothing may depend on how fast this machine is.
local SECONDS, TRY_SECONDS, ALL_SECONDS = 120, 10, 3600

-- -- Options --------------------------------------------------------------------------

local function parse_args(args)
  local o = { jobs = 4, words = {} }
  local i = 1
  while args[i] do
    if args[i] == "-v" then o.verbose = true
    elseif args[i] == "-k" then o.keep = true
    elseif args[i] == "-j" then
      i = i + 1
      o.jobs = tonumber(args[i])
    else o.words[#o.words + 1] = args[i] end
    i = i + 1
  end
  return o
end

local options = parse_args(arg)

local function wanted(c)
  if #options.words == 0 then return true end
  for _, w in ipairs(options.words) do
    if (c.file .. ": " .. c.title):find(w, 1, true) then return true end
  end
  return false
end

--- "key value" lines of an options section.
local function settings(section)
  local out = {}
  for _, line in ipairs(section and section.lines or {}) do
    local k, v = line:match("^(%S+)%s*(.*)$")
    if k then out[k] = v end
  end
  return out
end

-- -- Scene: what the parties of one case share ------------------------------------------

local Scene = {}
Scene.__index = Scene

function Scene:fail(text) self.problems[#self.problems + 1] = text end
function Scene:left() return math.max(0, self.deadline - loop.now()) end
function Scene:log() return self.server:log():sub(self.log_from + 1) end

function Scene:await(name)
  local ok = loop.until_true(self:left(), function() return self.signals[name] end)
  if not ok then self:fail("nobody signalled " .. name) end
  return ok
end

local function new_scene(srv, seconds)
  return setmetatable({ server = srv, signals = {}, problems = {}, playing = 0, log_from = #srv:log(),
                        deadline = loop.now() + seconds }, Scene)
end

-- -- Comparing -------------------------------------------------------------------------

local function side_by_side(want, got)
  local function lines(text)
    local out = {}
    for l in (text .. "\n"):gmatch("(.-)\n") do
      out[#out + 1] = (l:gsub("[%z\1-\8\11-\31\127]", function(c) return ("\\x%02x"):format(c:byte()) end))
    end
    return out
  end
  local w, g, out, marked = lines(want), lines(got), {}, false
  for _, l in ipairs(w) do out[#out + 1] = "      want | " .. l end
  for i, l in ipairs(g) do
    local differs = not marked and not (w[i] and template.match(w[i], l))
    marked = marked or differs
    if #l > 600 then l = l:sub(1, 600) .. " [cut]" end
    out[#out + 1] = (differs and "    > got  | " or "      got  | ") .. l
  end
  return table.concat(out, "\n")
end

local function body_problem(want, got)
  if want:sub(1, 5) == "json " then
    local why = template.json(want:sub(6), got)
    return why and why .. "\n" .. side_by_side(want:sub(6), got)
  end
  local cut = want:match("^(.-)\n?{{cut}}$")
  want, got = (cut or want):gsub("\n+$", ""), got:gsub("\n+$", "")
  if not template.match(want, got) then return "the body differs\n" .. side_by_side(want, got) end
end

local function header_problem(want, headers)
  for _, h in ipairs(want.headers) do
    local value = headers[h.name]
    if not value then return ("header %s is missing (expected %s)"):format(h.name, h.value) end
    if not template.match(h.value, value) then
      return ("header %s is %q, expected %s"):format(h.name, value, h.value)
    end
  end
  for _, name in ipairs(want.absent) do
    if headers[name] then return ("header %s must not be there: %s"):format(name, headers[name]) end
  end
end

-- want: a message of case.lua; got: a request or response.  Returns a problem.
local function message_problem(srv, want, got)
  if not template.match(want.first, got.line) then
    return ("%s, expected %s\n%s"):format(got.line, want.first, got.body)
  end
  local why = header_problem(want, got.headers)
  if why then return why end
  local body = want.body and srv:fill(want.body)
  if body then
    why = body_problem(body, got.body)
    if why then return why end
  end
  local may_break = body and body:find("{{cut}}", 1, true)
  if not got.complete and not may_break then
    return "the message broke off: " .. tostring(got.broke) .. "\n" .. got.body
  end
  if got.complete and may_break then return "the message ended cleanly and should have broken off" end
end

local function check_messages(scene, what, section, list)
  local parts = case.parts(section)
  for i, part in ipairs(parts) do
    local at = ("%s, line %d"):format(what, part.line + 1)
    if not list[i] then
      scene:fail(("%s: message %d of %d did not come"):format(at, i, #parts))
      return
    end
    local why = message_problem(scene.server, case.message(part), list[i])
    if why then scene:fail(at .. ": " .. why) end
  end
  if #list > #parts then
    scene:fail(("%s: %d messages came, expected %d; the next is %s"):format(
      what, #list, #parts, list[#parts + 1].line))
  end
end

local function check_bytes(scene, section, raw)
  local want = {}
  for _, c in ipairs(case.commands(section)) do want[#want + 1] = c.rest end
  local text = table.concat(want)
  if not template.match(text, raw) then
    scene:fail("the bytes differ\n" .. side_by_side((text:gsub("\r", "")), (raw:gsub("\r", ""))))
  end
end

-- One line for each frame that has to come, in order; "*" in front: somewhere behind the one before.
local function check_frames(scene, section, cl)
  local at = 1
  for i, line in ipairs(section.lines) do
    local any, want = line:match("^(%*?) ?(.-)$")
    if want ~= "" and want:sub(1, 1) ~= "#" then
      loop.until_true(scene:left(), function()
        while any == "*" and cl.frames[at] and not template.match(want, cl.frames[at]) do at = at + 1 end
        return cl.frames[at] or cl.ended
      end)
      if not cl.frames[at] or not template.match(want, cl.frames[at]) then
        scene:fail(("line %d: frame %d is not\n%s\nall that came (%s):\n%s"):format(section.line + i, at, want,
          tostring(cl.ended or "open"), table.concat(cl.frames, "\n"):sub(1, 4000)))
        return
      end
      at = at + 1
    end
  end
  if cl.frames[at] then scene:fail("a frame too many: " .. cl.frames[at]:sub(1, 1000)) end
end

local function check_client(scene, c, cl)
  local suffix = cl.name == "" and "" or " " .. cl.name
  local expect, bytes = c["expect" .. suffix], c["bytes" .. suffix]
  local count = expect and #case.parts(expect) or 0
  cl:collect(count > 0 and count or bytes and 1 or 0)
  if expect then
    if not cl.responses[1] and cl.ended then
      scene:fail(("client%s got no response: %s\n%s"):format(suffix, cl.ended, cl:raw()))
    else
      check_messages(scene, "expect" .. suffix, expect, cl.responses)
    end
  end
  if bytes then check_bytes(scene, bytes, cl:raw()) end
  if c["frames" .. suffix] then check_frames(scene, c["frames" .. suffix], cl) end

  local closes = c["closes" .. suffix]
  if not closes then return end
  local yes = case.text(closes):match("^yes")
  local seconds = yes and scene:left() or 0.03
  local ended = loop.until_true(seconds, function() return cl.ended end)
  if yes and not ended then scene:fail("client" .. suffix .. ": the connection stayed open") end
  if not yes and ended then
    scene:fail(("client%s: the connection was closed (%s)"):format(suffix, cl.ended))
  end
end

local function check_log(scene, section)
  for _, line in ipairs(section.lines) do
    local forbidden = line:match("^!(.*)$")
    if forbidden then
      if template.find(forbidden, scene:log()) then scene:fail("must not be logged: " .. forbidden) end
    elseif line ~= "" then
      local ok = loop.until_true(scene:left(), function() return template.find(line, scene:log()) end)
      if not ok then scene:fail("not in the log: " .. line) end
    end
  end
end

-- -- One case ---------------------------------------------------------------------------

local function named(c, kind)
  local out = {}
  for key, section in pairs(c) do
    local name = type(key) == "string" and (key == kind and "" or key:match("^" .. kind .. " (.+)$"))
    if name then out[#out + 1] = { name = name, section = section } end
  end
  table.sort(out, function(a, b) return a.name < b.name end)
  return out
end

local function upstream_scripts(section)
  local scripts = {}
  if not section then return scripts end
  for _, part in ipairs(case.parts(section)) do
    local commands = case.commands(part)
    if commands[1] and commands[1].op == "always" then
      table.remove(commands, 1)
      scripts.repeats = true
    end
    scripts[#scripts + 1] = commands
  end
  return scripts
end

local function check_upstreams(scene, c, ups)
  for name, up in pairs(ups) do
    local suffix = name == "up" and "" or " " .. name
    local got = c["upstream-got" .. suffix]
    -- Its task may not have run since the client got what it waited for.
    loop.until_true(scene:left(), function()
      return (up.scripts.repeats or up.served >= #up.scripts)
             and #up.requests >= (got and #case.parts(got) or 0)
    end)
    if got then check_messages(scene, "upstream-got" .. suffix, got, up.requests) end
    if not up.scripts.repeats and up.served < #up.scripts then
      scene:fail(("upstream%s got %d requests, the case has answers for %d"):format(
        suffix, up.served, #up.scripts))
    end
  end
end

local function run_case(c, srv, ups, seconds)
  local scene = new_scene(srv, seconds)
  for name, up in pairs(ups) do
    up:set_scene(scene, upstream_scripts(c[name == "up" and "upstream" or "upstream " .. name]))
  end
  local clients = {}
  for _, n in ipairs(named(c, "client")) do
    clients[#clients + 1] = client.start(scene, n.name, case.commands(n.section))
  end
  loop.until_true(scene:left(), function()
    for _, cl in ipairs(clients) do
      if not cl.done then return false end
    end
    return true
  end)
  for _, cl in ipairs(clients) do
    if not cl.done then scene:fail("client " .. cl.name .. " did not get to its end") end
    check_client(scene, c, cl)
  end
  check_upstreams(scene, c, ups)
  loop.until_true(scene:left(), function() return scene.playing == 0 end) -- upstreams have an end to check, too
  if c.log then check_log(scene, c.log) end
  for _, cl in ipairs(clients) do cl:stop() end
  if not scene.over then
    local trouble = srv:trouble()
    if trouble then scene:fail(trouble) end
  end
  if #scene.problems > 0 then return scene.problems, scene:log() end
end

-- -- One command: cases with a "run" section -----------------------------------------------

local function run_command(c)
  local dir, dead, taken = posix.temp_dir("perilune-test"), net.dead_port(), net.listen()
  local vars = { DIR = dir, PORT = net.free_port(), ADMIN = net.free_port(), TAKEN = taken.port,
                 UPSTREAM = "http://127.0.0.1:" .. dead.port .. "/v1" }
  local texts = { ["perilune.lua"] = c.config and server.complete(case.text(c.config)) }
  for name, text in pairs(c.files) do texts[name] = template.repeats(text) end
  for name, text in pairs(texts) do files.write(dir .. "/" .. name, server.fill(text, vars)) end

  local args = { server.binary():sub(1, 1) == "/" and server.binary()
                 or files.lines("pwd")() .. "/" .. server.binary() }
  for word in server.fill(case.text(c.run), vars):gmatch("%S+") do args[#args + 1] = word end
  local p = proc.spawn(args, { dir = dir, output = dir .. "/log", stdout = settings(c.options).stdout })
  local problems = {}
  if not p:wait(SECONDS) then
    problems[1] = "the command did not end"
    p:stop()
  end
  local want = tonumber(c.exit and case.text(c.exit) or "0")
  if p.status ~= want then
    problems[#problems + 1] = ("the command ended with %s, expected %d"):format(p:fate(), want)
  end
  local text = p:text()
  for _, line in ipairs(c.output and c.output.lines or {}) do
    line = server.fill(line, vars)
    local forbidden = line:match("^!(.*)$")
    if forbidden and template.find(forbidden, text) then
      problems[#problems + 1] = "must not be printed: " .. forbidden
    elseif not forbidden and line ~= "" and not template.find(line, text) then
      problems[#problems + 1] = "not printed: " .. line
    end
  end
  dead:close()
  taken:close()
  if not options.keep then os.execute("rm -rf '" .. dir .. "'") end
  if #problems > 0 then return problems, text end
end

-- -- Groups: the cases that share a server -------------------------------------------------

local count = { passed = 0, failed = 0 }

local function report(c, problems, log, seconds)
  if not problems then
    count.passed = count.passed + 1
    if options.verbose then print(("ok    %s: %s (%.0f ms)"):format(c.file, c.title, seconds * 1000)) end
    return
  end
  count.failed = count.failed + 1
  print(("FAIL  %s:%d: %s"):format(c.file, c.line, c.title))
  for _, p in ipairs(problems) do print("    " .. p) end
  local tail = {}
  for line in (log or ""):gmatch("[^\n]+") do tail[#tail + 1] = line end
  for i = math.max(1, #tail - 14), #tail do print("    log  | " .. tail[i]:sub(1, 400)) end
end

local function upstreams_of(group)
  local ups = { up = upstream.new("up") }
  for _, c in ipairs(group) do
    for name in (c.config and case.text(c.config) or ""):gmatch("@UPSTREAM[_PORT]*:(%w+)@") do
      ups[name] = ups[name] or upstream.new(name)
    end
    for _, kind in ipairs({ "upstream", "upstream%-got" }) do
      for _, n in ipairs(named(c, kind)) do
        if n.name ~= "" and not ups[n.name] then ups[n.name] = upstream.new(n.name) end
      end
    end
  end
  return ups
end

local function start_server(c, ups, dead)
  local vars = { DEAD = ("http://127.0.0.1:%d/v1"):format(dead.port), UPSTREAM = ups.up.url,
                 TLS = files.lines("pwd")() .. "/tests/support/tls" }
  for name, up in pairs(ups) do
    vars["UPSTREAM:" .. name] = up.url
    vars["UPSTREAM_PORT:" .. name] = up.port
  end
  local set = settings(c.options)
  local args, env = {}, {}
  for word in (set.args or ""):gmatch("%S+") do args[#args + 1] = word end
  for k, v in (set.env or ""):gmatch("(%w[%w_]*)=(%S*)") do env[k] = v end
  return server.start({ config = c.config and case.text(c.config), files = c.files, vars = vars,
                        args = args, env = env, limit = tonumber(set.descriptors),
                        deaf = set.log == "unread", notify = set.notify == "yes" })
end

-- Where what the product does depends on milliseconds, a machine that has other work may spoil a try or two.
local function try_case(c, srv, ups, dead)
  local tries, ok, problems, log = tonumber(settings(c.options).tries) or 1, nil, nil, nil
  local seconds = tries > 1 and TRY_SECONDS or SECONDS
  while true do
    ok, problems, log = pcall(run_case, c, srv, ups, seconds)
    if not ok then problems, log = { tostring(problems) }, nil end
    tries = tries - 1
    if not problems or tries == 0 then return srv, problems, log end
    srv:stop()
    srv = assert(start_server(c, ups, dead))
  end
end

local function run_group(group)
  local first = group[1]
  if first.run then
    for _, c in ipairs(group) do
      local started = loop.now()
      local problems, log = run_command(c)
      report(c, problems, log, loop.now() - started)
    end
    return
  end
  local ups, dead = upstreams_of(group), net.dead_port()
  local srv, why
  for _, c in ipairs(group) do
    local started = loop.now()
    if srv and not srv.proc:alive() then -- reported by the case that ended it
      srv:stop()
      srv = nil
    end
    if not srv then srv, why = start_server(first, ups, dead) end
    if not srv then
      report(c, { why })
    else
      local problems, log
      srv, problems, log = try_case(c, srv, ups, dead)
      report(c, problems, log, loop.now() - started)
    end
  end
  for _, up in pairs(ups) do up:close() end
  dead:close()
  if srv then
    if options.keep then print("kept: " .. srv.dir) end
    srv:stop(options.keep)
  end
end

local function all_groups()
  local groups = {}
  for path in files.lines("ls tests/wire/*.case 2>/dev/null") do
    local shared
    for _, c in ipairs(case.read(path)) do
      if wanted(c) then
        if c.own_server or c.run then
          groups[#groups + 1] = { c }
        else
          if not shared then
            shared = {}
            groups[#groups + 1] = shared
          end
          shared[#shared + 1] = c
        end
      end
    end
  end
  return groups
end

-- -- Main ---------------------------------------------------------------------------------

io.stdout:setvbuf("line")
local started = loop.now()
loop.run(function()
  local groups, workers = all_groups(), {}
  local at = 0
  for _ = 1, options.jobs do
    workers[#workers + 1] = loop.go(function()
      while at < #groups do
        at = at + 1
        run_group(groups[at])
      end
    end)
  end
  if not loop.join(ALL_SECONDS, unpack(workers)) then
    count.failed = count.failed + 1
    print(("FAIL  the cases have not come to their end in %d s"):format(ALL_SECONDS))
  end
end)
print(("wire: %.1f s"):format(loop.now() - started))
print(("%d passed, %d failed"):format(count.passed, count.failed))
os.exit(count.failed == 0 and count.passed > 0 and 0 or 1)

-- loop.lua -- coroutines over poll(): what makes a test read like a script.
--
-- A test is several parties at once: clients, upstreams, the server's log.  Each
-- is a task, a coroutine that waits for one thing at a time: a descriptor, a
-- moment, or a condition.  loop.run() polls until the main task has returned.
--
--   loop.run(function()
--     loop.go(function() upstream() end)
--     client()                            -- both make progress
--   end)
--
-- Every wait has a deadline.  A task that raises ends the run with its error,
-- unless the task was started with loop.try().

local ffi = require "ffi"
local bit = require "bit"
local posix = require "support.posix"

local M = {}

local ready = {}      -- tasks to resume in this turn
local waiting = {}    -- task -> true: parked on fd and/or deadline
local fds, fds_cap = nil, 0
local current

M.now = posix.now

local function resume(task, value)
  local before = current
  current = task
  local ok, err = coroutine.resume(task.co, value)
  current = before
  if coroutine.status(task.co) == "dead" then
    task.done = true
    if not ok then
      task.error = task.guarded and tostring(err) or debug.traceback(task.co, tostring(err))
      if not task.guarded then error(task.error, 0) end
    end
  end
end

--- Starts fn as a task in this turn.
function M.go(fn, ...)
  local args, n = { ... }, select("#", ...)
  local task = { co = coroutine.create(function() return fn(unpack(args, 1, n)) end) }
  ready[#ready + 1] = task
  return task
end

--- Like go, but an error stays in task.error.
function M.try(fn, ...)
  local task = M.go(fn, ...)
  task.guarded = true
  return task
end

--- The task never runs again.  Its descriptors are whoever's opened them.
function M.cancel(task)
  waiting[task] = nil
  task.done, task.cancelled = true, true
end

--- Parks the current task until fd is ready for "r" or "w", or until deadline
--- (a moment on loop.now()).  fd nil: only the deadline.  True when ready.
function M.wait(fd, what, deadline)
  local task = assert(current, "loop.wait outside of a task")
  task.fd, task.deadline = fd, deadline or math.huge
  task.events = what == "w" and posix.POLLOUT or posix.POLLIN
  waiting[task] = true
  return coroutine.yield()
end

--- Part of a scenario (a slow client, a late upstream), never a way to wait for
--- somebody else: for that there is loop.until_true().
function M.pause(seconds) M.wait(nil, nil, M.now() + seconds) end

--- Asks fn again and again until it returns something true or time runs out.
--- Returns what fn returned.
function M.until_true(seconds, fn)
  local deadline, gap = M.now() + seconds, 0.001
  while true do
    local got = fn()
    if got then return got end
    if M.now() >= deadline then return got end
    M.pause(gap)
    gap = math.min(gap * 1.5, 0.02)
  end
end

--- Waits for tasks to end.  False when time ran out.
function M.join(seconds, ...)
  local tasks = { ... }
  return M.until_true(seconds, function()
    for _, t in ipairs(tasks) do
      if not t.done then return false end
    end
    return true
  end)
end

local function run_ready()
  while #ready > 0 do
    local batch = ready
    ready = {}
    for _, task in ipairs(batch) do
      if not task.done then resume(task, task.value) end
    end
  end
end

local function turn()
  local list, n, nearest = {}, 0, math.huge
  for task in pairs(waiting) do
    nearest = math.min(nearest, task.deadline)
    if task.fd then
      n = n + 1
      list[n] = task
    end
  end
  if n > fds_cap then
    fds_cap = n * 2
    fds = ffi.new("struct p_pollfd[?]", fds_cap)
  end
  for i = 1, n do
    fds[i - 1].fd, fds[i - 1].events, fds[i - 1].revents = list[i].fd, list[i].events, 0
  end
  local ms = -1
  if nearest < math.huge then ms = math.max(0, math.ceil((nearest - M.now()) * 1000)) end
  if n == 0 and nearest == math.huge then error("every task waits for ever") end
  posix.C.poll(fds, n, ms)

  for i = 1, n do
    if fds[i - 1].revents ~= 0 and waiting[list[i]] then
      waiting[list[i]] = nil
      list[i].value = true
      ready[#ready + 1] = list[i]
    end
  end
  local now = M.now()
  local late = {}
  for task in pairs(waiting) do
    if task.deadline <= now then late[#late + 1] = task end
  end
  for _, task in ipairs(late) do
    waiting[task] = nil
    task.value = false
    ready[#ready + 1] = task
  end
end

--- Runs fn as the main task, and all others until it has returned.
function M.run(fn, ...)
  assert(not current, "loop.run inside of a task")
  local main = M.go(fn, ...)
  local ok, err = pcall(function()
    while true do
      run_ready()
      if main.done then return end
      turn()
    end
  end)
  ready, waiting = {}, {}
  current = nil
  if not ok then error(err, 0) end
end

return M

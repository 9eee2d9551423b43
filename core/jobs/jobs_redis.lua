-- jobs_redis.lua -- what Redis does with jobs: one call of this script is one verb of jobs.h, whole or not at all.
--
--   P = KEYS[1]       prefix of all keys; with {} in it they are together
--   Pj:ID   hash      a job: its row, question (h, b) and result (r)
--   Pe:ID   stream    its events, by their number: "7-0"
--   Pl:LANE set       ids that are ready, in the order in which they were made; LANE: rank, queue, NUL, tenant
--   Planes  set       lanes that are not empty, in the order in which they are served
--   Pat     set       ids by the moment at which time changes them: a wait, a lease, keeping ends (steady clock)
--   Pwall   set       what people named: "d" ID: not before; "x" ID: expires (the clock on the wall)
--   Pi:...  set       ids for lists: of all, of a tenant; of every status, of one
--   Ptb     hash      bytes of each tenant's
--   Pn:...  hash      how many there are of a queue, of a tenant, by status
--   Pk:...  string    the job of a tenant's key
--   Ptaker: string    what somebody took last, for as long as he may ask again
--   Ph:N    hash      a webhook, Phat: when it is due or its lease runs out
--   Pm      hash      the clock, the last id and webhook, bytes, the lane that was served last
--
-- The rules are those of job_rules.c and job_take.c, and tests/unit/test_jobs.c asks both the same.
--
-- The steady clock is made here, from the server's: it goes on by what passed since the last call, but never back,
-- and by STEP at most.  Who has jobs asks several times a second, so what is more is a clock that was set, or time
-- in which nobody was there to work.
--
-- ARGV: verb, steady, wall ("": this server's), the arguments as LEN:TEXT..., two long texts.  The answer is LEN:TEXT...
-- as well: rc, a number that says more, how many follow, and these.

local A, P = ARGV, KEYS[1]
local call, floor, fmt = redis.call, math.floor, string.format
local STEP, FAR, BYTES, STEPS = 5000, 9e15, 8388608, 1000
local READY, RUNS, DONE, DEAD, STOPPED, WAITS = 0, 1, 2, 3, 4, 5
local NOT_FOUND, IS_OVER, LOST, WAS_CANCELED, QUOTA, IS_FULL, TOO_LARGE = 1, 2, 3, 4, 5, 6, 7 -- ORDER jobs_refusal
-- ORDER jobs_redis_words.c
local ROW = { 's', 't', 'q', 'f', 'p', 'k', 'pr', 'c', 'nb', 'ex', 'st', 'en', 'ke', 'tr', 'mt', 'sp', 'le', 'pg', 'rs',
              'rt', 'e', 'n', 'w', 'h', 'b', 'r', 'due', 'eb', 'ho', 'by', 'fl', 'tk' }
local SEEN = 26 -- of these go out
local M = P .. 'm'
local function failure(kind, code, message)
  return fmt('{"message":"%s","type":"%s","param":null,"code":"%s"}', message, kind, code)
end
local EXPIRED = failure('timeout_error', 'job_expired', 'the job was not begun before it expired')
local ABANDONED = failure('server_error', 'job_abandoned',
  'whoever worked on the job was not heard of again, and it was tried as often as it may be')
local LARGE = failure('server_error', 'job_result_too_large', 'the result of the job has more bytes than may be kept')
local USED_UP = failure('server_error', 'job_tries_used_up', 'the job was tried as often as it may be')

-- -- Words ------------------------------------------------------------------------

local function num(x) return tonumber(x) or 0 end
local function int(n) return fmt('%.0f', n) end

local function split(s)
  local out, at = {}, 1
  while at <= #s do
    local colon = s:find(':', at, true)
    local n = tonumber(s:sub(at, colon - 1))
    out[#out + 1] = s:sub(colon + 1, colon + n)
    at = colon + n + 1
  end
  return out
end

local out, items = {}, 0
local function put(v)
  if type(v) == 'number' then v = int(v) end
  v = v or ''
  out[#out + 1] = #v .. ':' .. v
end

local function answer(rc, more)
  local head = {}
  for i, n in ipairs{ rc, more or 0, items } do head[i] = #int(n) .. ':' .. int(n) end
  return table.concat(head) .. table.concat(out)
end

-- -- Clocks ------------------------------------------------------------------------

local verb, args = A[1], split(A[4])
local now, wall = tonumber(A[2]), tonumber(A[3])
-- GET LIST EVENTS HOOKS COUNTS only read: no clock, so that they are answered by a server that takes no writes.
local reads = { GET = true, LIST = true, EVENTS = true, HOOKS = true, COUNTS = true }

-- What ends jobs, or forgets them, makes room: a server whose memory is full lets a script go on that has written
-- something which needs none.
if not reads[verb] and verb ~= 'SUBMIT' and verb ~= 'APPEND' then call('DEL', P .. 'nothing') end
if not now and not reads[verb] then
  local t = call('TIME')
  wall = t[1] * 1000 + floor(t[2] / 1000)
  local c = call('HMGET', M, 'steady', 'wall')
  local by = c[2] and wall - num(c[2]) or 0
  now = (c[1] and num(c[1]) or 1) + (by < 0 and 0 or by > STEP and STEP or by)
  call('HSET', M, 'steady', int(now), 'wall', int(wall))
end

local function later(by) return by > FAR - now and FAR or now + by end

-- -- Rows ------------------------------------------------------------------------

local changed, due, hook_due = {}, false, false

local function fetch(id, parts)
  local names = {}
  for i, name in ipairs(ROW) do
    local long = name == 'h' or name == 'b' or name == 'r'
    names[i] = (not long or parts:find(name, 1, true)) and name or 'none'
  end
  local v = call('HMGET', P .. 'j:' .. id, unpack(names))
  if not v[1] then return nil end
  local j = { id = id }
  for i, name in ipairs(ROW) do j[name] = v[i] or '' end
  return j
end

local function own(id, tenant, parts)
  local j = fetch(id, parts or '')
  if j and (tenant == '' or tenant == '=' .. j.t) then return j end
end

local function show(j)
  items = items + 1
  put(j.id)
  for i = 1, SEEN do put(j[ROW[i]]) end
end

-- Those that go out after they were changed here: with numbers as texts.
local function set(j, fields)
  local list = {}
  for name, v in pairs(fields) do
    if type(v) == 'number' then v = int(v) end
    j[name] = v
    list[#list + 1] = name
    list[#list + 1] = v
  end
  if #list > 0 then call('HSET', P .. 'j:' .. j.id, unpack(list)) end
end

local function status(s) return s == WAITS and READY or s end
local function is_over(j) local s = num(j.s) return s >= DONE and s <= STOPPED end
local function lane(j) return fmt('%03d', 100 - num(j.pr)) .. j.q .. '\0' .. j.t end

local function count(j, s, by)
  for _, key in ipairs{ P .. 'n:q:' .. j.q, P .. 'n:t:' .. j.t } do
    if call('HINCRBY', key, s, by) <= 0 then call('HDEL', key, s) end
  end
  local what = by > 0 and { 'ZADD', 0 } or { 'ZREM' }
  for _, key in ipairs{ P .. 'i:' .. s, P .. 'i:' .. s .. ':' .. j.t } do
    if what[2] then call('ZADD', key, 0, j.id) else call('ZREM', key, j.id) end
  end
end

local function leave(j)
  local s = num(j.s)
  if s == READY then
    local l = lane(j)
    call('ZREM', P .. 'l:' .. l, j.id)
    if call('EXISTS', P .. 'l:' .. l) == 0 then call('ZREM', P .. 'lanes', l) end
  else
    call('ZREM', P .. 'at', j.id)
  end
  if s == READY or s == WAITS then call('ZREM', P .. 'wall', 'd' .. j.id, 'x' .. j.id) end
end

local function tell_of_end(j)
  local n = call('HINCRBY', M, 'hooks', 1)
  call('HINCRBY', M, 'hooks_open', 1)
  call('HSET', P .. 'h:' .. n, 'j', j.id, 's', 0, 'le', 0, 'tr', 0, 'c', int(wall), 'ls', 0, 'lg', '')
  call('ZADD', P .. 'hat', int(now), n)
  call('HSET', P .. 'j:' .. j.id, 'hn', n)
  hook_due = true
end

-- at: for RUNS, when the lease runs out; for WAITS, until when, nil: until the moment that was named.
local function enter(j, s, at, fields)
  local old = tonumber(j.s)
  fields = fields or {}
  if old then leave(j) end
  fields.s = s
  if old ~= s then changed[#changed + 1] = j.id end
  if s == READY or (old == RUNS and s ~= RUNS) then due = true end
  if s >= DONE and s <= STOPPED then
    fields.ho, fields.sp, fields.en = j.w ~= '' and 1 or 0, 0, wall
  end
  set(j, fields)
  if s == READY then
    local l = lane(j)
    call('ZADD', P .. 'l:' .. l, 0, j.id)
    call('ZADD', P .. 'lanes', 0, l)
  elseif s == RUNS or (s == WAITS and at) then
    call('ZADD', P .. 'at', int(at), j.id)
  elseif s == WAITS then
    call('ZADD', P .. 'wall', j.nb, 'd' .. j.id)
  elseif j.w ~= '' then
    tell_of_end(j)
  else
    call('ZADD', P .. 'at', int(later(num(j.ke))), j.id)
  end
  if (s == READY or s == WAITS) and num(j.tr) == 0 and num(j.ex) > 0 then call('ZADD', P .. 'wall', j.ex, 'x' .. j.id) end
  if not old then count(j, status(s), 1)
  elseif status(old) ~= status(s) then
    count(j, status(old), -1)
    count(j, status(s), 1)
  end
end

local function grow(j, bytes)
  set(j, { by = num(j.by) + bytes })
  call('HINCRBY', M, 'bytes', bytes)
  call('HINCRBY', P .. 'tb', j.t, bytes)
end

local function forget(j)
  leave(j)
  count(j, num(j.s), -1)
  call('ZREM', P .. 'i', j.id)
  call('ZREM', P .. 'i::' .. j.t, j.id)
  local key = P .. 'k:' .. j.t .. '\0' .. j.k
  if j.k ~= '' and call('GET', key) == j.id then call('DEL', key) end
  local hook = call('HGET', P .. 'j:' .. j.id, 'hn')
  if hook then call('DEL', P .. 'h:' .. hook) end
  call('UNLINK', P .. 'j:' .. j.id, P .. 'e:' .. j.id)
  call('HINCRBY', M, 'bytes', -num(j.by))
  if call('HINCRBY', P .. 'tb', j.t, -num(j.by)) <= 0 then call('HDEL', P .. 'tb', j.t) end
  call('HINCRBY', M, 'jobs', -1)
  changed[#changed + 1] = j.id
end

local function requeue(j, delay, fields)
  if delay > 0 then enter(j, WAITS, later(delay), fields) else enter(j, READY, nil, fields) end
end

-- -- Time ------------------------------------------------------------------------

local function its_moment(j)
  local s = num(j.s)
  if s == RUNS then
    if j.sp == '1' then enter(j, STOPPED)
    elseif num(j.tr) >= num(j.mt) then enter(j, DEAD, nil, { e = ABANDONED })
    else requeue(j, 0) end
  elseif s == WAITS then enter(j, READY)
  elseif s ~= READY then forget(j) end
end

local function its_named_moment(j, what)
  local s = num(j.s)
  if s ~= READY and s ~= WAITS then return end
  if what == 'x' then
    if num(j.tr) == 0 then enter(j, DEAD, nil, { e = EXPIRED }) end
  elseif s == WAITS then enter(j, READY) end
end

-- What is due, most of it; whether there is more.
local function time(most)
  local ids = call('ZRANGEBYSCORE', P .. 'at', '-inf', int(now), 'LIMIT', 0, most)
  for _, id in ipairs(ids) do
    local j = fetch(id, '')
    if j then its_moment(j) else call('ZREM', P .. 'at', id) end
  end
  local named = call('ZRANGEBYSCORE', P .. 'wall', '-inf', int(wall), 'LIMIT', 0, most)
  for _, name in ipairs(named) do
    local j = fetch(name:sub(2), '')
    call('ZREM', P .. 'wall', name)
    if j then its_named_moment(j, name:sub(1, 1)) end
  end
  if #call('ZRANGEBYSCORE', P .. 'hat', '-inf', int(now), 'LIMIT', 0, 1) > 0 then hook_due = true end
  return #ids == most or #named == most
end

-- In how many milliseconds is something due?
local function until_next()
  local least = FAR
  local function look(key, from, clock)
    local first = call('ZRANGEBYSCORE', P .. key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if first[2] then least = math.min(least, math.max(0, num(first[2]) - clock)) end
  end
  look('at', '-inf', now)
  look('wall', '-inf', wall)
  look('hat', '(' .. int(now), now)
  return least
end

-- -- Clients ------------------------------------------------------------------------

local V = {}

-- Milliseconds and a place in them, in the order of all.
local function new_id(token)
  local m = call('HMGET', M, 'id_ms', 'id_n')
  local ms, n = wall, 0
  if num(m[1]) >= ms then ms, n = num(m[1]), num(m[2]) + 1 end
  if n > 1048575 then ms, n = ms + 1, 0 end
  call('HSET', M, 'id_ms', int(ms), 'id_n', n)
  return fmt('job_%011x%05x', ms, n) .. token
end

local function over_quota(tenant, max_bytes, max_queued, max_kept)
  local used = num(call('HGET', M, 'bytes'))
  if used >= max_bytes then return IS_FULL, 0 end
  if tenant ~= '' and used > max_bytes / 2 and num(call('HGET', P .. 'tb', tenant)) >= max_bytes - used then
    return QUOTA, 3
  end
  if max_queued == 0 and max_kept == 0 then return end
  local n = call('HMGET', P .. 'n:t:' .. tenant, 0, 1, 2, 3, 4)
  local all = 0
  for i = 1, 5 do all = all + num(n[i]) end
  if max_queued > 0 and num(n[1]) >= max_queued then return QUOTA, 1 end
  if max_kept > 0 and all >= max_kept then return QUOTA, 2 end
end

-- Parts of a date that is far away are no number that a double holds: as far as may be.
local function date(text) return math.min(num(text), FAR) end

function V.SUBMIT(token, tenant, queue, func, path, key, rank, not_before, expires, keep, tries, hook, max_body,
                  max_bytes, max_queued, max_kept)
  local pointer = P .. 'k:' .. tenant .. '\0' .. key
  local id = key ~= '' and call('GET', pointer)
  local there = id and fetch(id, 'hb')
  if there then
    show(there)
    return 0, 1
  end
  if #A[5] + #A[6] > num(max_body) then return TOO_LARGE end
  local rc, which = over_quota(tenant, num(max_bytes), num(max_queued), num(max_kept))
  if rc then return rc, which end
  local j = { id = new_id(token), s = nil }
  set(j, { t = tenant, q = queue, f = func, p = path, k = key, pr = num(rank), c = wall, nb = date(not_before),
           ex = date(expires), st = 0, en = 0, ke = date(keep), tr = 0, mt = num(tries), sp = 0, le = 0, pg = '', rs = 0,
           rt = '', e = '', n = 0, w = hook, h = A[5], b = A[6], r = '', due = 0, eb = 0, ho = 0, by = 0, fl = '' })
  call('ZADD', P .. 'i', 0, j.id)
  call('ZADD', P .. 'i::' .. tenant, 0, j.id)
  call('SADD', P .. 'queues', queue)
  call('HINCRBY', M, 'jobs', 1)
  grow(j, #A[5] + #A[6] + 500)
  if key ~= '' then call('SET', pointer, j.id) end
  enter(j, num(j.nb) > wall and WAITS or READY)
  j.h, j.b = '', ''
  show(j)
  return 0
end

function V.GET(id, tenant)
  local j = own(id, tenant, 'hbr')
  if not j then return NOT_FOUND end
  show(j)
  return 0
end

function V.LIST(tenant, state, before, most)
  if before ~= '' and not (#before == 36 and before:find('^job_%x+$')) then return 0 end
  local key = P .. 'i' .. (state ~= '' and ':' .. state or tenant ~= '' and ':' or '')
  if tenant ~= '' then key = key .. ':' .. tenant:sub(2) end
  local ids = call('ZREVRANGEBYLEX', key, before ~= '' and '(' .. before or '+', '-', 'LIMIT', 0, num(most))
  for _, id in ipairs(ids) do
    local j = fetch(id, '')
    if j then show(j) end
  end
  return 0
end

function V.CANCEL(id, tenant, forgets)
  local j = own(id, tenant)
  if not j then return NOT_FOUND end
  local rc = 0
  if is_over(j) then
    rc = IS_OVER
    if forgets == '1' and j.ho ~= '1' then
      forget(j)
      show(j)
      return rc, 1
    end
  elseif num(j.s) ~= RUNS then enter(j, STOPPED)
  elseif j.sp ~= '1' then
    set(j, { sp = 1 })
    changed[#changed + 1] = id
  end
  show(j)
  return rc
end

function V.EVENTS(id, tenant, after, most)
  local j = own(id, tenant)
  if not j then return NOT_FOUND end
  show(j)
  items = 0
  local from, bytes = math.min(num(after), FAR) + 1, 0
  if from > num(j.n) or num(most) == 0 then return 0 end
  while items < num(most) and bytes < BYTES do
    local page = call('XRANGE', P .. 'e:' .. id, int(from) .. '-0', '+', 'COUNT', math.min(64, num(most) - items))
    for _, e in ipairs(page) do
      if bytes >= BYTES then break end
      local number = e[1]:match('^%d+')
      put(number)
      put(e[2][2])
      put(e[2][4])
      items, bytes, from = items + 1, bytes + #e[2][4], num(number) + 1
    end
    if #page == 0 then break end
  end
  return 0
end

-- -- Workers ------------------------------------------------------------------------

local function taking(queue, conc, tenant_conc, named)
  local running = {}
  local function room(key, most)
    if most == 0 then return true end
    running[key] = running[key] or num(call('HGET', P .. 'n:' .. key, RUNS))
    return running[key] < most
  end
  local k = { steps = 0 }
  function k.queue_may(q)
    return (queue == '' or queue == '=' .. q) and room('q:' .. q, named[q] or conc)
  end
  function k.tenant_may(t) return room('t:' .. t, tenant_conc) end
  function k.note(q, t)
    for _, key in ipairs{ 'q:' .. q, 't:' .. t } do
      if running[key] then running[key] = running[key] + 1 end
    end
  end
  return k
end

-- The lane of this rank that may go: from behind the one that was served last, then from the first.
local function find_in_rank(k, rank, cursor)
  local lanes = P .. 'lanes'
  local last, from, wrapped, at = '(' .. fmt('%03d', num(rank) + 1), '(' .. rank .. cursor, false, nil
  while k.steps < STEPS do
    k.steps = k.steps + 1
    local l = call('ZRANGEBYLEX', lanes, from, last, 'LIMIT', 0, 1)[1]
    if not l then
      if wrapped then return nil end
      wrapped, from, last = true, '[' .. rank, '[' .. rank .. cursor
    else
      local q, t = l:match('^...([^%z]*)%z(.*)$')
      local may = k.queue_may(q)
      if may and k.tenant_may(t) then return l, q, t end
      from, at = may and '(' .. l or '(' .. rank .. q .. '\1', l
    end
  end
  if at then call('HSET', M, 'cursor', at:sub(4)) end -- the next TAKE goes on behind it
end

local function next_to_take(k)
  local from, cursor = '-', call('HGET', M, 'cursor') or ''
  while k.steps < STEPS do
    local first = call('ZRANGEBYLEX', P .. 'lanes', from, '+', 'LIMIT', 0, 1)[1]
    if not first then return nil end
    local rank = first:sub(1, 3)
    local l, q, t = find_in_rank(k, rank, cursor)
    if l then
      call('HSET', M, 'cursor', l:sub(4))
      k.note(q, t)
      return call('ZRANGE', P .. 'l:' .. l, 0, 0)[1]
    end
    from = '[' .. fmt('%03d', num(rank) + 1)
  end
end

-- serial: of what this one takes.  He shows the same again when an answer was lost on its way, and gets what nobody has
-- begun; without that each would come back with its lease, one try poorer.
local function take_again(key, taking_now, lease)
  local said = split(call('GET', key) or '')
  if said[1] ~= taking_now then return end
  for i = 2, #said do
    local j = fetch(said[i], 'hb')
    if j and num(j.s) == RUNS and j.tk == taking_now then
      call('ZADD', P .. 'at', int(later(lease)), j.id)
      show(j)
    end
  end
end

function V.TAKE(queue, most, lease, taker, serial, conc, tenant_conc, ...)
  local named, more = {}, { ... }
  for i = 1, #more, 2 do named[more[i]] = num(more[i + 1]) end
  local key, taking_now, said = P .. 'taker:' .. taker, taker .. ' ' .. serial, {}
  time(20)
  if taker ~= '' then take_again(key, taking_now, num(lease)) end
  if items > 0 then return 0 end
  local k, bytes = taking(queue, num(conc), num(tenant_conc), named), 0
  while items < num(most) and bytes < BYTES do
    local id = next_to_take(k)
    if not id then break end
    local j = fetch(id, 'hb')
    enter(j, RUNS, later(num(lease)), { tr = num(j.tr) + 1, le = num(j.le) + 1, st = wall, fl = '', tk = taking_now })
    said[#said + 1] = #id .. ':' .. id
    bytes = bytes + #j.b
    show(j)
  end
  if taker ~= '' and #said > 0 then
    call('SET', key, #taking_now .. ':' .. taking_now .. table.concat(said), 'PX', int(math.min(num(lease) * 2, FAR / 10)))
  end
  return 0
end

-- Handed on: they wait, without a try.  With an id: this one waits from now on.
function V.GIVE(id, queue, most, ms)
  if id ~= '' then
    local j = fetch(id, '')
    if not j then return NOT_FOUND end
    if is_over(j) then return IS_OVER end
    if num(j.s) ~= RUNS then requeue(j, num(ms), { le = num(j.le) + 1, fl = '' }) end
    return 0
  end
  time(20)
  local k, bytes = taking(queue, 0, 0, {}), 0
  while items < num(most) and bytes < BYTES do
    local next_id = next_to_take(k)
    if not next_id then break end
    local j = fetch(next_id, 'hb')
    requeue(j, num(ms), { le = num(j.le) + 1, fl = '' })
    bytes = bytes + #j.b
    show(j)
  end
  return 0
end

local ELSEWHERE = '18446744073709551615' -- ORDER JOBS_ELSEWHERE

-- Not 0: it is not his any more.
local function check_lease(j, lease)
  if not j then return NOT_FOUND end
  if is_over(j) then return num(j.s) == STOPPED and WAS_CANCELED or IS_OVER end
  if lease ~= ELSEWHERE and (num(j.s) ~= RUNS or j.le ~= lease) then return LOST end
  if j.sp ~= '1' then return 0 end
  enter(j, STOPPED)
  return WAS_CANCELED
end

-- Somebody works on it without a lease of ours.
local function elsewhere(j, ms, tries)
  if num(j.s) == RUNS and tries <= num(j.tr) then return end
  enter(j, RUNS, later(ms), { st = wall, tr = math.max(tries, 1), le = num(j.le) + 1, fl = '' })
end

function V.BEAT(id, lease, ms, tries)
  local j = fetch(id, '')
  local rc = check_lease(j, lease)
  if rc == 0 and lease == ELSEWHERE then elsewhere(j, num(ms), num(tries)) end
  if rc == 0 then call('ZADD', P .. 'at', int(later(num(ms))), id) end
  return rc
end

-- next: the number that it should get.  It has it already when an answer was lost on its way.
function V.APPEND(id, lease, name, next, max)
  local j, data = fetch(id, ''), A[5]
  local rc = check_lease(j, lease)
  if rc ~= 0 then return rc end
  local number = num(j.n) + 1
  if num(next) == num(j.n) and num(next) > 0 then return 0, num(j.n) end
  if num(j.eb) + #data > num(max) then return TOO_LARGE end
  call('XADD', P .. 'e:' .. id, int(number) .. '-0', 'n', name, 'd', data)
  local fields = { n = number, eb = num(j.eb) + #data }
  if name == 'progress' then fields.pg = data end
  set(j, fields)
  grow(j, #data + 64)
  changed[#changed + 1] = id
  return 0, number
end

-- fl: the lease with which it was finished.  Who says so once more has lost an answer on its way, and gets it.
function V.FINISH(id, lease, state, tries, delay, code, kind, max, keep)
  local j, result, err = fetch(id, ''), A[5], A[6]
  if j and j.fl == lease and num(j.s) ~= RUNS and num(j.s) ~= STOPPED then
    show(j)
    return 0
  end
  local rc = check_lease(j, lease)
  if rc ~= 0 then
    if j then show(j) end
    return rc
  end
  -- Who speaks for somebody elsewhere shows no lease that tells one end from the next.
  local fields = { e = err, fl = lease ~= ELSEWHERE and lease or '' }
  local used = num(j.tr)
  state = num(state)
  if state == READY then used = math.min(used, num(tries)) end
  if lease == ELSEWHERE then
    used = math.max(used, num(tries))
    if num(j.st) == 0 then fields.st = wall end
  end
  fields.tr = used
  if state == READY and used < num(j.mt) then
    requeue(j, num(delay), fields)
    show(j)
    return 0
  end
  if num(keep) > 0 and num(keep) < num(j.ke) then fields.ke = keep end
  if state == READY then
    fields.e = err ~= '' and err or USED_UP
    enter(j, DEAD, nil, fields)
  elseif #result > num(max) or #err > num(max) then
    fields.e = LARGE
    enter(j, DEAD, nil, fields)
  else
    fields.rs, fields.rt, fields.r = num(code), kind, result
    enter(j, state, nil, fields)
    grow(j, #result)
  end
  j.r = ''
  show(j)
  return 0
end

-- -- Webhooks ------------------------------------------------------------------------

local HOOK = { 'j', 's', 'le', 'tr', 'c', 'ls', 'lg' }

local function fetch_hook(n)
  local v = call('HMGET', P .. 'h:' .. n, unpack(HOOK))
  if not v[1] then return nil end
  local h = { n = n }
  for i, name in ipairs(HOOK) do h[name] = v[i] end
  return h
end

local function show_hook(h, url)
  for _, v in ipairs{ h.n, h.j, h.s, h.le, h.tr, h.c, h.ls, h.lg, url } do put(v) end
end

function V.HOOK_TAKE(most, lease)
  local taken, bytes = 0, 0
  for _, n in ipairs(call('ZRANGEBYSCORE', P .. 'hat', '-inf', int(now), 'LIMIT', 0, num(most))) do
    local h = fetch_hook(n)
    local j = h and fetch(h.j, 'r')
    if bytes >= BYTES then break end
    if j then
      h.s, h.le, h.tr = '1', int(num(h.le) + 1), int(num(h.tr) + 1)
      call('HSET', P .. 'h:' .. n, 's', h.s, 'le', h.le, 'tr', h.tr)
      call('ZADD', P .. 'hat', int(later(num(lease))), n)
      show_hook(h, j.w)
      show(j)
      taken, bytes = taken + 1, bytes + #j.r
    else
      call('ZREM', P .. 'hat', n)
    end
  end
  items = taken
  return 0
end

-- note: what goes to its log.  unsent: nobody was asked, so it was no try.
function V.HOOK_DONE(n, lease, state, code, delay, note, unsent)
  local h = fetch_hook(n)
  if not h then return NOT_FOUND end
  if h.s ~= '1' or h.le ~= lease then return LOST end
  if unsent == '1' then
    call('HSET', P .. 'h:' .. n, 's', 0, 'tr', int(num(h.tr) - 1))
    call('ZADD', P .. 'hat', int(later(num(delay))), n)
    return 0
  end
  local log = h.lg .. '{"at":' .. int(wall) .. ',"status":' .. code .. ',"note":' .. note .. '}\n'
  while #log > 2048 do log = log:match('^[^\n]*\n(.*)$') or '' end
  call('HSET', P .. 'h:' .. n, 's', state, 'ls', code, 'lg', log)
  if state == '0' then
    call('ZADD', P .. 'hat', int(later(num(delay))), n)
    return 0
  end
  call('ZREM', P .. 'hat', n)
  call('HINCRBY', M, 'hooks_open', -1)
  local j = fetch(h.j, '')
  if j then
    set(j, { ho = 0 })
    call('ZADD', P .. 'at', int(later(num(j.ke))), j.id)
  end
  return 0
end

function V.HOOKS(id, tenant)
  local j = own(id, tenant)
  if not j then return NOT_FOUND end
  local n = call('HGET', P .. 'j:' .. id, 'hn')
  local h = n and fetch_hook(n)
  if h then
    show_hook(h, j.w)
    items = 1
  end
  return 0
end

-- -- Besides ------------------------------------------------------------------------

-- What time does; more: in how many milliseconds again.
function V.TIME(most)
  if time(num(most)) then return 0, 0 end
  return 0, until_next()
end

function V.COUNTS()
  local m = call('HMGET', M, 'jobs', 'hooks_open', 'bytes')
  for i = 1, 3 do put(num(m[i])) end
  local oldest, from = {}, '-'
  for _ = 1, STEPS do
    local l = call('ZRANGEBYLEX', P .. 'lanes', from, '+', 'LIMIT', 0, 1)[1]
    if not l then break end
    local q, id = l:match('^...([^%z]*)%z'), call('ZRANGE', P .. 'l:' .. l, 0, 0)[1]
    if id and (not oldest[q] or id < oldest[q]) then oldest[q] = id end
    from = '(' .. l
  end
  for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do
    local n = call('HMGET', P .. 'n:q:' .. q, 0, 1, 3)
    if items < 256 and (n[1] or n[2] or n[3] or #call('HKEYS', P .. 'n:q:' .. q) > 0) then
      put(q)
      for i = 1, 3 do put(num(n[i])) end
      put(oldest[q] and tonumber(oldest[q]:sub(5, 15), 16) or 0)
      items = items + 1
    end
  end
  return 0
end

-- -- The call ------------------------------------------------------------------------

local rc, more = V[verb](unpack(args))
if #changed > 0 or due or hook_due then
  local ids = #changed <= 64 and table.concat(changed, ' ') or '*'
  call('PUBLISH', P .. 'news', (due and 'd' or '-') .. (hook_due and 'h' or '-') .. ' ' .. ids)
end
return answer(rc, more)

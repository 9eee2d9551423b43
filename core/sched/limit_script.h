/* limit_script.h -- one decision of a limit that machines share, for Redis.
 *
 *     KEYS  the hash, the leases         ARGV  1 the lease that ends ("": none)   2 the one that begins ("": none)
 *                                              3 for so many milliseconds         4 meters, see limit_far.c
 *                                              5 slots (-1: any number)           6 "1": nothing, if 1 is not there
 *
 * Answers "ok" or "no", what is used of each meter, what is reserved, slots in use.  A day or a month begins when the
 * server's clock says a later one than before.  A clock that goes back gives nothing anew; when it was more than a
 * window ahead, what was used counts from its new time on: nobody is locked out until the old one comes again. */
#ifndef PERILUNE_SCHED_LIMIT_SCRIPT_H
#define PERILUNE_SCHED_LIMIT_SCRIPT_H

/* Of LIMIT_SCRIPT, as SCRIPT LOAD would say: tests/unit/test_limit_far.c checks it. */
#define LIMIT_SCRIPT_SHA1 "1d3c0a5e7e576519214cc3cd54fc1ca4d913b0a0"

/* clang-format off */
#define LIMIT_SCRIPT \
    "local t = redis.call('TIME')\n" \
    "local s, now = tonumber(t[1]), t[1] * 1000 + math.floor(t[2] / 1000)\n" \
    "local H, L, ends, begins, lease = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3])\n" \
    "local function add(m, sign)\n" \
    "local a, b, c = m:match(':(%d+):(%d+):(%d+)$')\n" \
    "redis.call('HINCRBY', H, 'h1', string.format('%.0f', 0 + sign * a))\n" \
    "redis.call('HINCRBY', H, 'h2', string.format('%.0f', 0 + sign * b))\n" \
    "redis.call('HINCRBY', H, 's', string.format('%.0f', 0 + sign * c)) end\n" \
    "local function back(m)\n" \
    "if redis.call('ZREM', L, m) == 0 then return false end\n" \
    "add(m, -1) return true end\n" \
    "for _, m in ipairs(redis.call('ZRANGEBYSCORE', L, '-inf', now, 'LIMIT', 0, 256)) do back(m) end\n" \
    "local known = ends == '' or back(ends)\n" \
    "if ARGV[6] == '1' and not known then return 'ok' end\n" \
    "local function month(d)\n" \
    "d = d + 719468\n" \
    "local era = math.floor(d / 146097) local e = d - era * 146097\n" \
    "local y = math.floor((e - math.floor(e / 1460) + math.floor(e / 36524) - math.floor(e / 146096)) / 365)\n" \
    "local m = math.floor((5 * (e - (365 * y + math.floor(y / 4) - math.floor(y / 100))) + 2) / 153)\n" \
    "return (y + era * 400) * 12 + m end\n" \
    "local got = redis.call('HMGET', H, 'h1', 'h2', 's')\n" \
    "local held, slots = { tonumber(got[1] or 0), tonumber(got[2] or 0) }, tonumber(got[3] or 0)\n" \
    "local ok, rows, keep = true, {}, 0\n" \
    "for id, kind, most, win, period, charge, check in\n" \
    "ARGV[4]:gmatch('(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+);') do\n" \
    "most, win, charge, check = tonumber(most), tonumber(win), tonumber(charge), tonumber(check)\n" \
    "local v = redis.call('HMGET', H, 'u' .. id, 'a' .. id)\n" \
    "local u, a, h = tonumber(v[1] or 0), tonumber(v[2] or 0), held[tonumber(kind)] or 0\n" \
    "local p = period == '1' and math.floor(s / 86400) or period == '2' and month(math.floor(s / 86400))\n" \
    "if p then if p > a then u, a = 0, p elseif p + 1 < a then a = p end\n" \
    "elseif now > a then u, a = math.max(0, u - (now - a) * most / win), now\n" \
    "elseif a - now > win then a = now end\n" \
    "if check >= 0 and (most <= 0 or u + h + check > most + 1e-6) then ok = false end\n" \
    "keep = math.max(keep, win)\n" \
    "rows[#rows + 1] = { id, u, a, charge } end\n" \
    "local places = tonumber(ARGV[5])\n" \
    "if places >= 0 and slots + 1 > places then ok = false end\n" \
    "if ok then\n" \
    "for _, r in ipairs(rows) do\n" \
    "r[2] = math.max(0, r[2] + r[4])\n" \
    "redis.call('HSET', H, 'u' .. r[1], string.format('%.17g', r[2]), 'a' .. r[1], string.format('%.0f', r[3])) end\n" \
    "if begins ~= '' then\n" \
    "redis.call('ZADD', L, now + lease, begins)\n" \
    "add(begins, 1)\n" \
    "local a, b, c = begins:match(':(%d+):(%d+):(%d+)$')\n" \
    "held[1], held[2], slots = held[1] + a, held[2] + b, slots + c end\n" \
    "for _, k in ipairs(KEYS) do\n" \
    "local life = keep + lease + 60000\n" \
    "if redis.call('PTTL', k) < life then redis.call('PEXPIRE', k, life) end end end\n" \
    "local out = { ok and 'ok' or 'no' }\n" \
    "for _, r in ipairs(rows) do out[#out + 1] = string.format('%.17g', r[2]) end\n" \
    "for _, n in ipairs({ held[1], held[2], slots }) do out[#out + 1] = string.format('%.0f', math.max(0, n)) end\n" \
    "return table.concat(out, ' ')"

#endif

/* l_limit.c -- perilune.limit(name, opts), and what the policies `limit` and `budget` are made of.
 *
 *     core.limit_enter(limit, req, key)     takes for the request, or says why not; settled behind it (reserved.c)
 *     core.limit_leave(limit, req, res, ..) puts x-ratelimit-... on the answer
 *     core.limit_take(limit, ask)           the same for a policy that says itself what it takes: a reservation
 *     core.limit_share(limit, req, key)     how much of it is used
 *
 * A request that is let through costs one call into C, which finds the key, counts the prompt (when tokens or money are
 * limited), and takes under one lock; another puts headers on the answer; no Lua function and no table is made for it.
 *
 * A shared limit asks Redis and waits for at most cache.redis.timeout.  When there is no answer, the process decides by
 * what it knows: what the last answer said, what it took itself since, and what is under way, which is held here as
 * well as there.  An outage is one line of the log. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/limit.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "bridge/task.h"
#include "bridge/value.h"
#include "flow/headers.h"
#include "request/limit_far.h"
#include "request/outgoing.h"

#define LIMIT_TYPE       "perilune.limit"
#define RESERVATION_TYPE "perilune.reservation"
#define LEASE_MS         600000 /* of a request without a deadline */

static struct lua_limit *limit_check(lua_State *L, int i) { return luaL_checkudata(L, i, LIMIT_TYPE); }

static struct limit_group *group_of(lua_State *L, struct lua_limit *m) {
    struct limits *now = state_of(L)->stores->limits;
    if (m->limits == now) return m->group;
    struct limit_group *g = limits_group(now, m->name);
    if (g == NULL) luaL_error(L, "limit: a process has at most %d names of limits", LIMIT_GROUPS);
    m->limits = now;
    return m->group = g;
}

/* -- Making ------------------------------------------------------------------------------------ */

static int limit_gc(lua_State *L) {
    struct lua_limit *m = lua_touserdata(L, 1);
    price_list_put(m->prices);
    m->prices = NULL;
    return 0;
}

static bool is_secret(struct slice header) {
    static const struct slice names[] = { SLICE("authorization"), SLICE("x-api-key"), SLICE("api-key"),
                                          SLICE("cookie") };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_eq_nocase(header, names[i])) return true;
    return false;
}

static void read_part(lua_State *L, struct lua_limit *m, char **at, int i) {
    static const struct slice words[] = { SLICE("tenant"), SLICE("model"), SLICE("upstream"), SLICE("peer"),
                                          SLICE("") };
    struct slice s;
    lua_rawgeti(L, -1, i);
    s.ptr = lua_tolstring(L, -1, &s.len);
    m->part[m->part_count].kind = PART_HEADER;
    for (unsigned k = 0; k < PART_HEADER; k++)
        if (slice_eq(s, words[k])) m->part[m->part_count].kind = (enum part)k;
    memcpy(*at, s.ptr, s.len);
    m->part[m->part_count].header = slice_of(*at, s.len);
    m->part[m->part_count++].secret = is_secret(s);
    *at += s.len;
    lua_pop(L, 1);
}

/* Bytes of the strings of the list on top. [0, 0, e] */
static size_t parts_bytes(lua_State *L) {
    size_t bytes = 0, len;
    for (int i = 1; i <= LIMIT_PARTS; i++) {
        lua_rawgeti(L, -1, i);
        if (lua_type(L, -1) == LUA_TSTRING) {
            lua_tolstring(L, -1, &len);
            bytes += len;
        }
        lua_pop(L, 1);
    }
    return bytes;
}

/* The list of numbers on top, by meter; -1: none. [0, 0, e] */
static void read_meters(lua_State *L, struct lua_limit *m) {
    for (unsigned which = 0; which < LIMIT_METERS; which++) {
        lua_rawgeti(L, -1, (int)which + 1);
        double most = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
        lua_pop(L, 1);
        if (most < 0) continue;
        bool money = which / LIMIT_WINDOWS == LIMIT_USD;
        m->rule.mask |= 1u << which;
        m->rule.most[which] = money ? most * LIMIT_NANO : most;
        m->counts |= which / LIMIT_WINDOWS != LIMIT_REQUESTS;
    }
}

/* core.limit_new(name, { meters =, concurrency =, key = list, dry_run =, shared =, named =, max_wait = }), as limit.lua
 * has them. */
int l_limit_new(lua_State *L) {
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_argcheck(L, len > 0 && len <= LIMIT_NAME && strlen(name) == len, 1, "a name has 1 to 96 bytes");
    lua_settop(L, 2);
    lua_getfield(L, 2, "key");
    luaL_checktype(L, 3, LUA_TTABLE);
    struct lua_limit *m = lua_newuserdata(L, sizeof(*m) + len + parts_bytes(L));
    char *at = m->text;
    *m = (struct lua_limit){ .rule = { .slots = -1 }, .dry = value_field_bool(L, 2, "dry_run", false),
                             .shared = value_field_bool(L, 2, "shared", false),
                             .named = value_field_bool(L, 2, "named", false), .name = slice_of(at, len) };
    m->max_wait_ms = lib_opt_ms(L, 2, "max_wait");
    luaL_getmetatable(L, LIMIT_TYPE);
    lua_setmetatable(L, -2);
    memcpy(at, name, len);
    at += len;
    int parts = (int)lua_objlen(L, 3);
    lua_pushvalue(L, 3);
    for (int i = 1; i <= parts && i <= LIMIT_PARTS; i++) read_part(L, m, &at, i);
    lua_getfield(L, 2, "meters");
    luaL_checktype(L, -1, LUA_TTABLE);
    read_meters(L, m);
    lua_getfield(L, 2, "concurrency");
    if (lua_isnumber(L, -1)) m->rule.slots = lua_tonumber(L, -1);
    lua_settop(L, 4);
    return 1;
}

/* core.limit_price(limit, upstream, input, output, cached): USD for a million tokens; one upstream a call */
int l_limit_price(lua_State *L) {
    struct lua_limit *m = limit_check(L, 1);
    struct price row = { .in = luaL_checknumber(L, 3), .out = luaL_checknumber(L, 4),
                         .cached = luaL_checknumber(L, 5) };
    size_t len;
    const char *name = luaL_checklstring(L, 2, &len);
    slice_copy(row.upstream, sizeof(row.upstream), slice_of(name, len));
    if (m->prices == NULL) m->prices = price_list_new();
    if (m->prices == NULL || !price_list_add(m->prices, &row)) return luaL_error(L, "not enough memory");
    return 0;
}

/* -- Keys ------------------------------------------------------------------------------------------ */

static struct slice model_of(const struct request *r) {
    const struct body *b = r->body;
    if (b == NULL || body_is_cleared(b) || b->chat.model == JSON_NONE) return SLICE("");
    struct slice quoted = json_raw(&b->doc, b->chat.model);
    return quoted.len > 2 ? slice_of(quoted.ptr + 1, quoted.len - 2) : SLICE("");
}

static struct slice upstream_of(struct state *s, const struct request *r) {
    struct failure ignored;
    if (r->upstream[0] != '\0') return slice_str(r->upstream);
    failure_init(&ignored);
    struct call_pool *pool = outgoing_choose(&s->services, r, r->body, &ignored);
    failure_deinit(&ignored);
    return pool != NULL ? slice_str(pool->target->name) : SLICE("");
}

static void put_header(struct buf *out, struct slice value, bool secret) {
    char hex[65];
    if (!secret || value.len == 0) {
        buf_slice(out, value);
        return;
    }
    lib_sha256(value, hex);
    buf_put(out, hex, 32);
}

/* Which route it is, for people and for sure: its path, and a hash of all that it is told apart by.  Identities are
 * those of the configuration, which outlives m. */
static void keep_route(struct lua_limit *m, const char *identity) {
    const char *path = strchr(identity, ':');
    unsigned long len = strtoul(identity, NULL, 10);
    path = path != NULL ? path + 1 : identity;
    int n = snprintf(m->route_end, sizeof(m->route_end), " @%.*s#%08x", (int)(len < 64 ? len : 64), path,
                     (unsigned)hash_fnv(slice_str(identity)));
    m->route = identity;
    m->route_len = (unsigned)n;
}

/* The name that the model will be asked by: that of the upstream, or the body's, however it is spelled there. */
static void put_model(struct buf *out, struct state *s, const struct request *r) {
    struct outgoing_model m = { .text = { .data = NULL } };
    outgoing_model(&s->services, r, r->body, &m);
    buf_slice(out, m.model);
    outgoing_model_deinit(&m);
}

/* given: what a function of the policy said, or "". */
static void read_key(lua_State *L, struct lua_limit *m, const struct request *r, struct slice given,
                     struct limit_key *k) {
    struct state *s = state_of(L);
    struct buf *out = lib_scratch(L);
    for (unsigned i = 0; i < m->part_count; i++) {
        if (i > 0) buf_putc(out, '\x1f');
        switch (m->part[i].kind) {
        case PART_TENANT: buf_puts(out, r->tenant); break;
        case PART_MODEL: put_model(out, s, r); break;
        case PART_UPSTREAM: buf_slice(out, upstream_of(s, r)); break;
        case PART_PEER: buf_puts(out, r->peer); break;
        case PART_GIVEN: buf_slice(out, given); break;
        case PART_HEADER: put_header(out, request_header(r, m->part[i].header), m->part[i].secret); break;
        }
    }
    if (!m->named && r->route[0] != '\0') {
        if (m->route != r->route) keep_route(m, r->route);
        buf_put(out, m->route_end, m->route_len);
    }
    lib_check_buf(L, out);
    k->len = buf_len(out);
    memcpy(k->own, buf_get(out).ptr, k->len < LIMIT_KEY ? k->len : LIMIT_KEY);
    if (k->len <= LIMIT_KEY) return;
    char hex[65];
    lib_sha256(buf_get(out), hex);
    k->len = LIMIT_KEY;
    memcpy(k->own + LIMIT_KEY - 64, hex, 64);
}

static struct slice key_of(const struct limit_key *k) { return slice_of(k->own, k->len); }

/* -- What is asked for --------------------------------------------------------------------------------- */

static double most_out(const struct body *b) {
    static const struct slice names[] = { SLICE("max_completion_tokens"), SLICE("max_tokens"),
                                          SLICE("max_output_tokens") };
    double most = INFINITY;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        uint32_t n = json_get(&b->doc, 0, names[i]);
        if (json_is(&b->doc, n, JSON_NUMBER)) most = fmin(most, fmax(0, json_number(&b->doc, n)));
    }
    unsigned choices = b->dialect != NULL ? b->dialect->choices(&b->doc) : 1;
    return choices > 1 ? most * choices : most;
}

/* The prompt, and what is known of the answer to it. [0, 0, e] */
static void ask_tokens(lua_State *L, int at, const struct lua_limit *m, struct limit_matter *q) {
    struct request *r = q->req;
    struct limit_ask *a = &q->ask;
    struct body *b = r->body;
    a->answers = true;
    if (b != NULL && !body_is_cleared(b)) {
        a->answers = b->dialect == NULL || b->chat.messages != JSON_NONE;
        a->most_out = most_out(b);
        q->prompt = lib_request_tokens(L, at);
    } else if (r->raw != NULL) {
        q->prompt = (double)(blob_get(r->raw).len / 4);
    }
    struct slice upstream = upstream_of(state_of(L), r);
    a->model = hash_fnv_field(hash_fnv_field(HASH_FNV_START, upstream), model_of(r)) | 1;
    a->amount[LIMIT_TOKENS] = q->prompt;
    if (m->prices == NULL) return;
    struct price p = price_list_find(m->prices, upstream);
    a->amount[LIMIT_USD] = q->prompt * p.in * (LIMIT_NANO / 1e6);
    a->out_usd = p.out * (LIMIT_NANO / 1e6);
}

static void keep(struct reserved *v, const struct limit_matter *q, const struct limit_verdict *said) {
    v->group = q->group;
    v->prices = q->prices;
    if (v->prices != NULL) v->prices->refs++;
    v->prompt = q->prompt;
    v->model = q->ask.model;
    memcpy(v->amount, said->reserved, sizeof(v->amount));
    memcpy(v->row, said->row, sizeof(v->row));
}

/* -- Saying ------------------------------------------------------------------------------------------------ */

static void put_amount(struct buf *out, unsigned meter, double v) {
    if (meter < LIMIT_METERS && meter / LIMIT_WINDOWS == LIMIT_USD) buf_printf(out, "$%.6g", v / LIMIT_NANO);
    else buf_printf(out, "%.0f", v);
}

static void put_what(struct buf *out, unsigned meter) {
    if (meter == LIMIT_SLOTS) buf_puts(out, "requests at once");
    else buf_printf(out, "%s per %s", meter / LIMIT_WINDOWS == LIMIT_USD ? "USD" : limit_kind_name(meter),
                    limit_window_name(meter));
}

static void put_wait(struct buf *out, const struct limit_verdict *v) {
    if (v->wait_ms == 0) {
        buf_puts(out, v->most <= 0 ? ". Nothing is allowed by this limit."
                                   : ". It asks for more than the limit; it cannot succeed.");
        return;
    }
    buf_puts(out, ". Please try again in ");
    limit_put_duration(out, v->wait_ms);
    buf_putc(out, '.');
}

static void put_message(struct buf *out, const struct limit_verdict *v, struct slice model) {
    if (v->meter == LIMIT_FULL) {
        buf_puts(out, "Rate limit reached: too many keys are limited at once. Please try again in 1s.");
        return;
    }
    buf_puts(out, "Rate limit reached");
    if (model.len > 0 && model.len <= 80) buf_printf(out, " for %.*s", (int)model.len, model.ptr);
    buf_puts(out, " on ");
    put_what(out, v->meter);
    buf_puts(out, ": Limit ");
    put_amount(out, v->meter, v->most);
    buf_puts(out, ", Used ");
    put_amount(out, v->meter, v->used);
    buf_puts(out, ", Requested ");
    put_amount(out, v->meter, v->asked);
    put_wait(out, v);
}

static void fill_failure(struct failure *f, const struct limit_verdict *v, struct slice message) {
    static const char *const types[] = { "requests", "tokens", "insufficient_quota" };
    failure_set(f, FAILURE_REJECTED, "%.*s", SLICE_ARG(message));
    f->status = 429;
    f->retryable = v->wait_ms > 0;
    snprintf(f->code, sizeof(f->code), "rate_limit_exceeded");
    snprintf(f->type, sizeof(f->type), "%s", v->meter < LIMIT_METERS ? types[v->meter / LIMIT_WINDOWS] : "requests");
    uint64_t ms = v->wait_ms < 1000000000 ? v->wait_ms : 1000000000;
    f->retry_after_ms = (uint32_t)ms;
    limit_put_rows(v->row, &f->headers);
    if (ms > 0) buf_printf(&f->headers, "retry-after-ms: %llu\r\n", (unsigned long long)ms);
    else buf_puts(&f->headers, "x-should-retry: false\r\n");
}

/* As perilune.error makes them, with `limit` and `window`. [0, +1, e] */
static int push_refusal(lua_State *L, const struct limit_matter *q, const struct limit_verdict *v) {
    struct buf *text = lib_output(L);
    struct failure f;
    put_message(text, v, q->req != NULL ? model_of(q->req) : SLICE(""));
    lib_check_buf(L, text);
    lua_pushstring(L, limit_group_name(q->group));
    lua_pushstring(L, v->meter < LIMIT_METERS ? limit_window_name(v->meter) : "");
    failure_init(&f);
    fill_failure(&f, v, buf_get(text));
    snprintf(f.detail, sizeof(f.detail), "limit '%.90s', tenant '%.100s'", limit_group_name(q->group),
             q->req != NULL ? q->req->tenant : "");
    struct buf *kept = lib_scratch(L); /* the state's own: nothing is lost when something raises below */
    buf_slice(kept, buf_get(&f.headers));
    buf_deinit(&f.headers);
    f.headers = *kept;
    lib_push_failure(L, &f);
    lua_insert(L, -3);
    if (v->meter < LIMIT_METERS) lua_setfield(L, -3, "window");
    else lua_pop(L, 1);
    lua_setfield(L, -2, "limit");
    return 1;
}

static void log_dry(lua_State *L, const struct limit_matter *q, const struct limit_verdict *v) {
    struct buf *text = lib_output(L);
    put_message(text, v, SLICE(""));
    log_of_request(state_of(L)->log, PERILUNE_LOG_INFO, q->req != NULL ? q->req->id : NULL,
                   "limit '%s' (dry run) would refuse: %.*s", limit_group_name(q->group), SLICE_ARG(buf_get(text)));
}

/* nil, or the refusal. [0, +1, e] */
int limit_push_entered(lua_State *L, const struct limit_matter *q, int rc, const struct limit_verdict *v) {
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc != 0 && !q->dry) return push_refusal(L, q, v);
    if (rc != 0) log_dry(L, q, v);
    lua_pushnil(L);
    return 1;
}

/* -- Reservations in Lua --------------------------------------------------------------------------------------- */

static struct reserved **reservation_new(lua_State *L) {
    struct reserved **p = lua_newuserdata(L, sizeof(*p));
    *p = NULL;
    luaL_getmetatable(L, RESERVATION_TYPE);
    lua_setmetatable(L, -2);
    return p;
}

static int reservation_gc(lua_State *L) {
    struct reserved **p = lua_touserdata(L, 1);
    reserved_put(*p);
    *p = NULL;
    return 0;
}

static double amount_field(lua_State *L, int t, const char *key, double otherwise) {
    lua_getfield(L, t, key);
    double v = otherwise;
    if (!lua_isnil(L, -1)) {
        v = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        if (!(v >= 0 && v < 1e15)) luaL_error(L, "limit: '%s' must be a number, 0 or more", key);
    }
    lua_pop(L, 1);
    return v;
}

/* reservation:settle{ tokens =, usd = }: what is not said is as reserved */
static int reservation_settle(lua_State *L) {
    struct reserved **p = luaL_checkudata(L, 1, RESERVATION_TYPE);
    lua_settop(L, 2);
    double tokens = -1, usd = -1;
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_pushnil(L);
        while (lua_next(L, 2) != 0) {
            lua_pop(L, 1);
            const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
            if (strcmp(key, "tokens") != 0 && strcmp(key, "usd") != 0)
                return luaL_error(L, "reservation:settle: unknown option '%s'; known: tokens, usd", key);
        }
        tokens = amount_field(L, 2, "tokens", -1);
        usd = amount_field(L, 2, "usd", -1);
    }
    struct reserved *v = *p;
    if (v == NULL) return 0;
    struct limit_use use = { .tokens = tokens >= 0 ? tokens : v->amount[LIMIT_TOKENS],
                             .usd = usd >= 0 ? usd * LIMIT_NANO : v->amount[LIMIT_USD], .out = -1 };
    reserved_settle(v, &use);
    return 0;
}

/* reservation:release(): as if it had never been taken */
static int reservation_release(lua_State *L) {
    struct reserved **p = luaL_checkudata(L, 1, RESERVATION_TYPE);
    if (*p != NULL) reserved_give_back(*p);
    return 0;
}

/* -- Deciding --------------------------------------------------------------------------------------------------- */

/* Here, at once.  handle: the userdata on top, or NULL; it has a share afterwards. */
static int take(struct state *s, const struct limit_matter *q, struct slice key, enum limit_count how,
                struct reserved **handle, struct limit_verdict *v) {
    struct limit_hold hold;
    struct limit_clock now = reserved_clock(s->loop);
    int rc = limits_take(q->group, q->rule, key, &q->ask, now, q->dry ? LIMIT_DRY : how, &hold, v);
    struct reserved *r = rc == 0 ? reserved_new(q->req, q->owner, s->loop, handle != NULL) : NULL;
    if (rc != 0) return rc;
    if (r == NULL) {
        limits_give_back(&hold, now);
        return PERILUNE_ERR_NOMEM;
    }
    r->hold = hold;
    if (handle != NULL) *handle = r;
    keep(r, q, v);
    return 0;
}

int limit_take(struct state *s, const struct limit_matter *q, struct slice key, enum limit_count how,
               struct limit_verdict *v) {
    return take(s, q, key, how, NULL, v);
}

static int decide(lua_State *L, const struct limit_matter *q, struct slice key, struct reserved **handle,
                  struct limit_verdict *v) {
    return take(state_of(L), q, key, LIMIT_COUNT, handle, v);
}

/* Waits for Redis. */
struct limit_wait {
    struct op            op;
    struct far_take      take;
    struct loop         *loop;
    struct limit_matter        matter; /* its rule and prices are these: */
    struct limit_rule    rule;
    struct price_list   *prices; /* a share */
    struct limit_key          key;
    struct limit_verdict said;
    int                  rc;     /* 0, LIMITED; else Redis did not decide */
    bool                 handle; /* a reservation is wanted, too */
};

static void wait_free(struct limit_wait *w) {
    price_list_put(w->prices);
    mem_free(w);
}

static void wait_cancel(struct op *op) {
    struct limit_wait *w = container_of(op, struct limit_wait, op);
    far_take_cancel(&w->take);
    wait_free(w);
}

static void on_decided(struct far_take *t, int rc) {
    struct limit_wait *w = container_of(t, struct limit_wait, take);
    w->rc = rc;
    op_done(&w->op);
}

/* One line for an outage, and one for its end. */
static void note_outage(lua_State *L, struct limit_group *g, bool away) {
    if (!limit_group_falls_back(g, away, loop_now(state_of(L)->loop))) return;
    struct log *log = state_of(L)->log;
    if (away)
        log_line(log, PERILUNE_LOG_WARN, "limit '%s': Redis does not decide in time, so each process limits by itself",
                 limit_group_name(g));
    else
        log_line(log, PERILUNE_LOG_INFO, "limit '%s': Redis decides again", limit_group_name(g));
}

/* What Redis has decided, in the books. The wait still owns its hold unless it is taken here. */
static int take_far(lua_State *L, struct limit_wait *w, struct reserved **handle) {
    struct limit_matter *q = &w->matter;
    struct reserved *r = w->rc == 0 ? reserved_new(q->req, q->owner, w->loop, handle != NULL) : NULL;
    if (w->rc == 0 && r == NULL) return PERILUNE_ERR_NOMEM;
    note_outage(L, q->group, false);
    limits_mirror(q->group, q->rule, key_of(&w->key), &w->take.ask, &w->take.state, reserved_clock(w->loop), q->dry,
                  r != NULL ? &r->hold : NULL, &w->said);
    if (r == NULL) return w->rc;
    r->far = w->take.hold;
    w->take.hold = NULL;
    if (handle != NULL) *handle = r;
    keep(r, q, &w->said);
    return 0;
}

/* The reservation on top, or nil and the refusal. [0, +0 or 2, e] */
static int push_taken(lua_State *L, const struct limit_matter *q, int rc, const struct limit_verdict *v) {
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc != 0 && q->dry) log_dry(L, q, v);
    if (rc == 0 || q->dry) return 1;
    lua_pushnil(L);
    push_refusal(L, q, v);
    return 2;
}

static int push_decided(lua_State *L, struct op *op) {
    struct limit_wait *w = container_of(op, struct limit_wait, op);
    struct reserved **handle = w->handle ? reservation_new(L) : NULL;
    if (w->rc == 0 || w->rc == PERILUNE_ERR_LIMITED) {
        w->rc = take_far(L, w, handle);
    } else {
        note_outage(L, w->matter.group, true);
        w->rc = decide(L, &w->matter, key_of(&w->key), handle, &w->said);
    }
    int n = w->handle ? push_taken(L, &w->matter, w->rc, &w->said) : limit_push_entered(L, &w->matter, w->rc, &w->said);
    wait_cancel(op); /* what was not given on */
    return n;
}

static uint64_t lease_of(const struct loop *l, const struct request *r) {
    uint64_t now = loop_now(l);
    if (r == NULL || r->deadline_ms <= now) return LEASE_MS;
    return r->deadline_ms - now + 10000;
}

/* Asks Redis and waits, if it can be asked; false: it cannot, and nothing was done. [0, 0, e] */
static struct limit_wait *wait_new(lua_State *L, const struct limit_matter *q, const struct limit_key *key,
                                   bool handle) {
    struct state *s = state_of(L);
    if (!op_is_possible(L) || !far_is_ready(s->services.far)) return NULL;
    struct limit_wait *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return NULL;
    w->op = (struct op){ .task = s->running, .cancel = wait_cancel, .push = push_decided };
    w->loop = s->loop;
    w->matter = *q;
    w->rule = *q->rule;
    w->matter.rule = &w->rule;
    w->prices = q->prices;
    if (w->prices != NULL) w->prices->refs++;
    memcpy(w->key.own, key->own, key->len);
    w->key.len = key->len;
    w->handle = handle;
    struct limit_ask ask = q->ask;
    limits_foretell(q->group, q->rule, key_of(key), &ask);
    if (far_take_begin(s->services.far, &w->take, q->group, q->rule, key_of(key), &ask, lease_of(s->loop, q->req),
                       on_decided) == 0)
        return w;
    wait_free(w);
    return NULL;
}

static struct limit_matter matter_of(lua_State *L, struct lua_limit *m, struct request *r) {
    if (m->counts) reserved_watch(r);
    return (struct limit_matter){ .group = group_of(L, m), .rule = &m->rule, .owner = m, .prices = m->prices, .req = r,
                            .dry = m->dry, .ask = { .amount = { 1, 0, 0 }, .most_out = INFINITY, .slots = 1 } };
}

static struct slice given_key(lua_State *L, int i) {
    struct slice s = SLICE("");
    if (!lua_isnoneornil(L, i)) s.ptr = luaL_checklstring(L, i, &s.len);
    return s;
}

/* core.limit_enter(limit, req, key | nil, force) -> nil | err.  Waits when the limit is shared, or has max_wait.
 * force: it goes beyond the limit, and is counted; of a shared limit in this process only. */
int l_limit_enter(lua_State *L) {
    struct lua_limit *m = limit_check(L, 1);
    struct request *r = request_check(L, 2);
    struct slice given = given_key(L, 3);
    struct limit_matter q = matter_of(L, m, r);
    struct limit_verdict v;
    struct limit_key key;
    if (m->counts) ask_tokens(L, 2, m, &q);
    read_key(L, m, r, given, &key);
    if (lua_toboolean(L, 4))
        return limit_push_entered(L, &q, limit_take(state_of(L), &q, key_of(&key), LIMIT_FORCE, &v), &v);
    if (!m->shared && m->max_wait_ms > 0 && !m->dry) return limit_line_enter(L, &q, &key, m->max_wait_ms);
    if (!m->shared) return limit_push_entered(L, &q, decide(L, &q, key_of(&key), NULL, &v), &v);
    struct limit_wait *w = wait_new(L, &q, &key, false);
    if (w != NULL) return op_wait(L, &w->op, "limit");
    note_outage(L, q.group, true);
    return limit_push_entered(L, &q, decide(L, &q, key_of(&key), NULL, &v), &v);
}

/* core.limit_pause(limit, req, seconds) -> true; false at once: too many wait.  For who asks a shared limit again. */
int l_limit_pause(lua_State *L) {
    struct lua_limit *m = limit_check(L, 1);
    struct request *r = request_check(L, 2);
    double seconds = luaL_checknumber(L, 3);
    luaL_argcheck(L, seconds >= 0 && seconds <= 3600, 3, "0 to 3600 seconds");
    struct limit_matter q = matter_of(L, m, r);
    return limit_line_pause(L, &q, (uint64_t)(seconds * 1000));
}

/* Is the value at i a refusal by another limit? */
static bool is_refusal(lua_State *L, int i) {
    if (!lua_istable(L, i)) return false;
    lua_pushliteral(L, "limit");
    lua_rawget(L, i);
    bool is = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return is;
}

/* core.limit_leave(limit, req, res, ...) -> res, ...: with headers.  Without an answer it is settled here: whoever asks
 * once more would find the place of the first time taken. */
int l_limit_leave(lua_State *L) {
    const struct lua_limit *m = limit_check(L, 1);
    const struct request *r = request_check(L, 2);
    struct response *res = response_test(L, 3);
    struct reserved *v = r->reserved;
    while (v != NULL && v->owner != m) v = v->next;
    if (v != NULL && lua_isnil(L, 3) && is_refusal(L, 4)) reserved_give_back(v);
    else if (v != NULL && lua_isnil(L, 3)) reserved_settle_failed(v, r);
    if (res != NULL && v != NULL && !m->dry) {
        limit_put_rows(v->row, &res->headers);
        lib_check_buf(L, &res->headers);
    }
    return lua_gettop(L) - 2;
}

/* core.limit_share(limit, req, key | nil) -> the largest used / most, with what is reserved */
int l_limit_share(lua_State *L) {
    struct lua_limit *m = limit_check(L, 1);
    const struct request *r = request_check(L, 2);
    struct slice given = given_key(L, 3);
    struct limit_key key;
    struct limit_group *g = group_of(L, m);
    read_key(L, m, r, given, &key);
    lua_pushnumber(L, limits_share(g, &m->rule, key_of(&key), reserved_clock(state_of(L)->loop)));
    return 1;
}

/* core.limit_take(limit, key, requests, tokens, usd) -> reservation | nil, err.  It is of the running request. */
int l_limit_take(lua_State *L) {
    struct lua_limit *m = limit_check(L, 1);
    struct limit_key key;
    struct limit_verdict v;
    struct slice given = given_key(L, 2);
    struct request *r = state_of(L)->running != NULL ? state_of(L)->running->request : NULL;
    struct limit_matter q = matter_of(L, m, r);
    q.ask.amount[LIMIT_REQUESTS] = luaL_checknumber(L, 3);
    q.ask.amount[LIMIT_TOKENS] = luaL_checknumber(L, 4);
    q.ask.amount[LIMIT_USD] = luaL_checknumber(L, 5) * LIMIT_NANO;
    static const struct request nobody = { .route = "", .peer = "" };
    read_key(L, m, r != NULL ? r : &nobody, given, &key);
    struct limit_wait *w = m->shared ? wait_new(L, &q, &key, true) : NULL;
    if (w != NULL) return op_wait(L, &w->op, "limit");
    if (m->shared) note_outage(L, q.group, true);
    struct reserved **handle = reservation_new(L);
    return push_taken(L, &q, decide(L, &q, key_of(&key), handle, &v), &v);
}

void limit_open(lua_State *L, int core) {
    static const luaL_Reg methods[] = { { "release", reservation_release }, { "settle", reservation_settle },
                                        { NULL, NULL } };
    lib_open_object(L, RESERVATION_TYPE, reservation_gc, methods);
    lib_open_owned(L, LIMIT_TYPE, limit_gc);
    luaL_getmetatable(L, LIMIT_TYPE);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, core, "limit_methods");
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

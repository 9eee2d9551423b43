/* l_cache.c -- perilune.cache(name, opts): what policies see of the cache.
 *
 *     cache:wrap(req, next)    lua/perilune/cache.lua, with the steps below
 *     core.cache_lookup        is there an answer for this request?
 *     core.cache_far           is there one in the second tier? (store/far.c) Then look again
 *     core.cache_record        keep what `next` answered
 *     core.cache_get, cache_set ...  a policy's own values
 *
 * The object holds its options, checked by cache.lua, so that a look-up passes nothing but the request.
 * Entries are common to all workers, survive reloads, and are told apart by the cache's name. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "bridge/l_cache.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "bridge/value.h"
#include "flow/headers.h"
#include "request/asked.h"
#include "request/cache_control.h"
#include "request/cached.h"
#include "request/fingerprint.h"
#include "request/widen.h"

#define CACHE_TYPE "perilune.cache"
#define MAX_TAGS   (CACHE_MAX_TAGS - 2)
#define MAX_NAME   64         /* bytes */
#define MAX_KEY    4096       /* bytes of a policy's own key */
#define MAX_BODY   (1u << 20) /* bytes of a question: what is longer is asked once, and costs more to compare */
#define CLAIM_MS   30000      /* a refresh that takes longer may be tried by another request */

struct lua_cache *cache_check(lua_State *L, int i) { return luaL_checkudata(L, i, CACHE_TYPE); }
struct slice cache_tenant(const struct lua_cache *c, const struct request *r) {
    return slice_str(c->shared ? "" : r->tenant);
}
struct slice cache_running_tenant(struct state *s, const struct lua_cache *c) {
    const struct request *r = s->running != NULL ? s->running->request : NULL;
    return r != NULL ? cache_tenant(c, r) : SLICE("");
}
static struct cache *cache_of(lua_State *L) { return state_of(L)->stores->cache; }
static uint64_t now_of(lua_State *L) { return loop_now(state_of(L)->loop); }

/* -- Making -------------------------------------------------------------------------------- */

static uint64_t field_ms(lua_State *L, const char *key) {
    lua_getfield(L, 2, key);
    double s = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return s > 0 ? (uint64_t)ceil(s * 1000) : 0;
}

static double field_number(lua_State *L, const char *key, double otherwise) {
    lua_getfield(L, 2, key);
    double v = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : otherwise;
    lua_pop(L, 1);
    return v;
}

static bool field_bool(lua_State *L, const char *key) { return value_field_bool(L, 2, key, false); }

static struct slice add_text(char **at, const char *s, size_t len) {
    struct slice out = slice_of(*at, len);
    memcpy(*at, s, len);
    *at += len;
    return out;
}

/* Bytes of the strings of the list at the top. */
static size_t list_bytes(lua_State *L, unsigned *count) {
    size_t bytes = 0, len;
    *count = 0;
    if (!lua_istable(L, -1)) return 0;
    for (int i = 1; *count < L_CACHE_MAX_VARY; i++, ++*count) {
        lua_rawgeti(L, -1, i);
        bool more = lua_type(L, -1) == LUA_TSTRING;
        if (more) lua_tolstring(L, -1, &len);
        lua_pop(L, 1);
        if (!more) break;
        bytes += len;
    }
    return bytes;
}

/* core.cache_new(name, options): options as cache.lua has checked them. */
int l_cache_new(lua_State *L) {
    size_t name_len, len;
    const char *name = luaL_checklstring(L, 1, &name_len);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_argcheck(L, name_len > 0 && name_len <= MAX_NAME, 1, "a name has 1 to 64 bytes");
    lua_settop(L, 2);
    size_t version_len = 0;
    lua_getfield(L, 2, "version");
    const char *version = lua_isnil(L, -1) ? "" : lua_tolstring(L, -1, &version_len);
    lua_getfield(L, 2, "vary");
    unsigned count;
    size_t bytes = name_len + version_len + list_bytes(L, &count);
    struct lua_cache *c = lua_newuserdata(L, sizeof(*c) + bytes);
    char *at = c->text;
    *c = (struct lua_cache){ .ttl_ms = field_ms(L, "ttl"), .stale_ms = field_ms(L, "stale"),
                             .error_ms = field_ms(L, "stale_if_error"), .negative_ms = field_ms(L, "negative"),
                             .pace_ms = field_ms(L, "pace"), .max_entry = (size_t)field_number(L, "max_entry", 1 << 20),
                             .shared = field_bool(L, "shared"), .tool_calls = field_bool(L, "tool_calls"),
                             .max_temperature = field_number(L, "max_temperature", -1),
                             .honor = (unsigned)field_number(L, "honor_bits", 0) };
    c->limits_temperature = c->max_temperature >= 0;
    c->name = add_text(&at, name, name_len);
    c->version = add_text(&at, version, version_len);
    for (c->vary_count = 0; c->vary_count < count; c->vary_count++) {
        lua_rawgeti(L, 4, (int)c->vary_count + 1);
        const char *s = lua_tolstring(L, -1, &len);
        c->vary[c->vary_count] = add_text(&at, s, len);
        lua_pop(L, 1);
    }
    luaL_getmetatable(L, CACHE_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

/* -- Keys ------------------------------------------------------------------------------------ */

/* Where an entry is: in this process, and in the second tier when that is asked. */
struct place {
    struct hash128 near;
    struct hash128 rest;  /* fingerprint_rest(), where errors are kept */
    struct cache_when asked; /* cache_ask() when the question was asked */
    bool           has_far;
    struct far_key far;
};

#define NEAR_BYTES (2 * sizeof(struct hash128) + sizeof(struct cache_when))

static struct far *far_of(lua_State *L) {
    struct far *f = state_of(L)->services.far;
    return far_is_ready(f) ? f : NULL;
}

/* Of the text that made p->near. */
static void place_add_far(lua_State *L, struct place *p, struct slice text) {
    struct far *f = far_of(L);
    p->has_far = f != NULL;
    if (f != NULL) far_key(f, text, &p->far);
}

/* As a string that Lua keeps meanwhile; cache_key_check() reads it. */
static void push_place(lua_State *L, const struct place *p) {
    char text[NEAR_BYTES + sizeof(p->far)];
    memcpy(text, &p->near, sizeof(p->near));
    memcpy(text + sizeof(p->near), &p->rest, sizeof(p->rest));
    memcpy(text + NEAR_BYTES - sizeof(p->asked), &p->asked, sizeof(p->asked));
    memcpy(text + NEAR_BYTES, &p->far, sizeof(p->far));
    lua_pushlstring(L, text, p->has_far ? sizeof(text) : NEAR_BYTES);
}

static struct place check_place(lua_State *L, int i) {
    struct place p = { .has_far = false };
    size_t len;
    const char *s = luaL_checklstring(L, i, &len);
    p.has_far = len == NEAR_BYTES + sizeof(p.far);
    luaL_argcheck(L, len == NEAR_BYTES || p.has_far, i, "no key of core.cache_lookup()");
    memcpy(&p.near, s, sizeof(p.near));
    memcpy(&p.rest, s + sizeof(p.near), sizeof(p.rest));
    memcpy(&p.asked, s + NEAR_BYTES - sizeof(p.asked), sizeof(p.asked));
    if (p.has_far) memcpy(&p.far, s + NEAR_BYTES, sizeof(p.far));
    p.far.hex[sizeof(p.far.hex) - 1] = '\0';
    return p;
}

struct hash128 cache_key_check(lua_State *L, int i) { return check_place(L, i).near; }

/* The upstream is part of it where it is known by now; else all are, so that a change of them is seen.  A policy behind
 * the cache may ask another one than is known now, so what any of them gets of the client is part of it in either
 * case: an answer to one client's key must not be another's. */
void cache_write_text(struct state *s, const struct lua_cache *c, const struct request *r, const struct body *body,
                      const struct json_doc *doc, struct slice salt, struct buf *out) {
    struct failure ignored;
    failure_init(&ignored);
    struct call_pool *pool = outgoing_choose(&s->services, r, body, &ignored);
    failure_deinit(&ignored);
    struct slice files = slice_of((const char *)s->services.files, sizeof(s->services.files));
    struct fingerprint_ask ask = { .services = &s->services, .request = r, .body = body, .doc = doc,
                                   .target = pool ? pool->target : NULL, .scope = c->name,
                                   .shared = c->shared, .vary = c->vary, .vary_count = c->vary_count, .salt = salt,
                                   .version = c->version.len > 0 ? c->version : files };
    fingerprint_write(&ask, out);
    for (unsigned i = 0; i < s->services.pool_count; i++) {
        ask.target = s->services.pools[i].target;
        if (pool == NULL) fingerprint_write_target(&ask, out);
        else fingerprint_write_forwarded(&ask, out);
    }
}

/* -- Looking up --------------------------------------------------------------------------------- */

static int bypass(lua_State *L, const char *why) {
    lua_pushliteral(L, "bypass");
    lua_pushstring(L, why);
    return 2;
}

/* Why this request is none for a cache, or NULL. */
static const char *unfit(const struct lua_cache *c, const struct body *b) {
    if (b == NULL || b->dialect == NULL) return "it is no chat and asks for no embeddings";
    if (b->doc.text.len > MAX_BODY) return "its body is over 1 MiB";
    uint32_t t = c->limits_temperature ? json_get(&b->doc, 0, SLICE("temperature")) : JSON_NONE;
    if (json_is(&b->doc, t, JSON_NUMBER) && json_number(&b->doc, t) > c->max_temperature)
        return "its temperature is over max_temperature";
    return NULL;
}

static void put_state(struct response *r, enum response_cache how, uint64_t age_ms) {
    char age[24];
    r->cache = how;
    headers_put(&r->headers, SLICE("x-cache"), slice_str(response_cache_name(how)));
    if (how != RESPONSE_HIT && how != RESPONSE_STALE) return;
    snprintf(age, sizeof(age), "%llu", (unsigned long long)(age_ms / 1000));
    headers_put(&r->headers, SLICE("age"), slice_str(age));
}

/* What the state holds of the last look-up is let go, also when something raises in between. */
void cache_hold(struct state *s, struct cache_entry *e) {
    cache_entry_put(s->found);
    s->found = e;
}

/* What a look-up wants to know of the request. */
struct question {
    struct request *req;
    bool            stream, refreshes;
    unsigned        control; /* CACHE_CONTROL_ bits that the cache honors, */
    uint64_t        max_age_ms; /* and how old an answer may be */
    struct place    place;
    bool            again;      /* it was looked up before, and the place is known */
};

/* Reads the request at 2, with the salt at 3 and perhaps its place at 4.  NULL, or why it is none for the
 * cache. [0, 0, e] */
static const char *read_question(lua_State *L, const struct lua_cache *c, struct question *q) {
    size_t salt_len;
    const char *salt = luaL_optlstring(L, 3, "", &salt_len);
    q->req = request_check(L, 2);
    struct body *body = request_body(L, 2);
    const char *why = unfit(c, body);
    struct buf *text = &state_of(L)->encode; /* lib_output(), which may have been used for the body */
    bool keyed = q->again = !lua_isnoneornil(L, 4);
    if (q->again) q->place = check_place(L, 4);
    q->stream = request_wants_stream(q->req);
    if (why == NULL && !q->again) {
        buf_clear(text);
        cache_write_text(state_of(L), c, q->req, body, NULL, slice_of(salt, salt_len), text);
        keyed = !buf_failed(text);
        if (keyed) q->place.near = cache_key(cache_of(L), buf_get(text));
        q->place.asked = cache_ask(cache_of(L), q->place.near);
        if (keyed) place_add_far(L, &q->place, buf_get(text));
        if (keyed && c->negative_ms > 0) q->place.rest = fingerprint_rest(cache_of(L), &body->doc, text);
        keyed = !buf_failed(text);
    }
    body_put(body);
    if (why == NULL && !keyed) luaL_error(L, "not enough memory");
    q->refreshes = q->req->refreshes;
    q->control = cache_control_read(q->req, &q->max_age_ms) & c->honor;
    return why;
}

/* The state holds e until the source does: what is in between may raise. */
struct response *cache_push_hit(lua_State *L, const struct lua_cache *c, struct request *r, bool stream,
                                struct cache_entry *e, const struct cached *facts, enum response_cache how) {
    struct state *s = state_of(L);
    char upstream[64];
    cache_hold(s, e);
    slice_copy(upstream, sizeof(upstream), facts->upstream);
    struct response *res = response_make(L, &(struct response_options){
        .loop = s->loop, .upstream = upstream, .dialect = facts->dialect, .among = &r->responses,
        .limit = s->limits.max_answer, .high_water = s->limits.high_water, .model = facts->model });
    struct source *source = hit_new(cache_entry_ref(e), facts, &(struct hit_options){
        .loop = s->loop, .stream = stream, .wants_usage = request_wants_usage(r),
        .pace_ms = c->pace_ms });
    if (source == NULL) luaL_error(L, "not enough memory");
    put_state(res, how, cache_age(e, loop_now(s->loop)));
    response_start(res, source);
    return res;
}

/* What the look-up found. [0, +1, e] */
static void push_found(lua_State *L, const struct lua_cache *c, const struct question *q, const struct cached *facts,
                       enum response_cache how) {
    char id[33];
    struct cache_entry *e = state_of(L)->found;
    hash128_hex(cache_entry_key(e), id);
    struct response *res = cache_push_hit(L, c, q->req, q->stream, cache_entry_ref(e), facts, how);
    headers_put(&res->headers, SLICE("x-cache-entry"), slice_str(id)); /* without a score: nothing was compared */
}

/* Is e young enough for the client? */
static bool suits(const struct question *q, const struct cache_entry *e, uint64_t now) {
    return !(q->control & CACHE_CONTROL_MAX_AGE) || cache_age(e, now) <= q->max_age_ms;
}

/* A failure does not take the place of an answer that was good, and is none of a question whose metadata are others:
 * it may have been about those. */
static struct hash128 failure_key(const struct place *p) {
    return (struct hash128){ ~p->near.low ^ p->rest.low, p->near.high ^ p->rest.high };
}

/* Does the state hold a failure of this question that is fresh? [0, 0, -] */
static bool find_failure(struct state *s, const struct lua_cache *c, const struct question *q, uint64_t now) {
    struct cached facts;
    if (c->negative_ms == 0 || q->refreshes) return false;
    cache_hold(s, cache_get(s->stores->cache, failure_key(&q->place), now));
    return s->found != NULL && cached_read(s->found, &facts) && facts.kind == CACHED_FAILURE &&
           cache_is_fresh(s->found, now) && suits(q, s->found, now);
}

/* Leaves what there is with the state: what core.cache_far() has just brought, or what the cache has. */
static void find(struct state *s, const struct question *q, uint64_t now) {
    if (q->again && s->found != NULL && !q->refreshes) {
        struct hash128 key = cache_entry_key(s->found);
        if (key.low == q->place.near.low && key.high == q->place.near.high) return;
    }
    cache_hold(s, q->refreshes ? NULL : cache_get(s->stores->cache, q->place.near, now));
}

/* The strings of the list at index i, which keeps them. [0, 0, e] */
static unsigned read_tags(lua_State *L, int i, struct slice *tags) {
    unsigned n = 0;
    if (lua_isnoneornil(L, i)) return 0;
    luaL_checktype(L, i, LUA_TTABLE);
    for (; n < MAX_TAGS; n++) {
        lua_rawgeti(L, i, (int)n + 1);
        bool is_string = lua_type(L, -1) == LUA_TSTRING, over = lua_isnil(L, -1);
        if (is_string) tags[n].ptr = lua_tolstring(L, -1, &tags[n].len);
        lua_pop(L, 1);
        if (over) return n;
        if (!is_string) luaL_error(L, "cache: a tag must be a string");
    }
    lua_rawgeti(L, i, (int)n + 1);
    if (!lua_isnil(L, -1)) luaL_error(L, "cache: an entry has at most %d tags", MAX_TAGS);
    lua_pop(L, 1);
    return n;
}

/* Whoever asks now shares no call that began before something was let go that concerns it.  Tags at 5. [0, 0, e] */
static void note_since(lua_State *L, const struct lua_cache *c, const struct question *q) {
    struct recorder_options opt = { .name = c->name, .tenant = cache_tenant(c, q->req) };
    struct slice tags[CACHE_MAX_TAGS];
    struct buf *text = lib_output(L);
    opt.tag_count = read_tags(L, 5, opt.tags);
    unsigned count = cached_tags(&opt, text, tags);
    lib_check_buf(L, text);
    uint64_t since = cache_since(cache_of(L), q->place.near, tags, count);
    if (since != 0) q->req->since = (q->req->since ^ since) * UINT64_C(0x9E3779B97F4A7C15);
}

/* core.cache_lookup(cache, req, salt, key | nil, tags) -> "hit", res | "stale", res, key, refresh | "failure", json
 * | "miss", key, old | "bypass", why, key.  With a key: once more, behind core.cache_far().  refresh: nobody else
 * is at it; old: there is one to fall back on (core.cache_stale); key: it may be recorded under it. */
int l_cache_lookup(lua_State *L) {
    struct lua_cache *c = cache_check(L, 1);
    struct state *s = state_of(L);
    struct question q = { .control = 0 };
    lua_settop(L, 5);
    const char *why = read_question(L, c, &q);
    if (q.control & (CACHE_CONTROL_NO_CACHE | CACHE_CONTROL_NO_STORE)) q.req->coalesces = false; /* one of its own */
    if (q.refreshes) q.req->coalesces = false;
    if (why == NULL && (q.control & CACHE_CONTROL_NO_STORE)) why = "the client says no-store";
    if (why != NULL) return bypass(L, why);
    if (q.control & CACHE_CONTROL_NO_CACHE) {
        note_since(L, c, &q);
        bypass(L, "the client says no-cache");
        push_place(L, &q.place);
        return 3;
    }
    uint64_t now = now_of(L);
    struct cached facts;
    find(s, &q, now);
    bool good = s->found != NULL && cached_read(s->found, &facts) && facts.kind <= CACHED_WHOLE &&
                suits(&q, s->found, now);
    bool fresh = good && cache_is_fresh(s->found, now);
    if (fresh) {
        lua_pushliteral(L, "hit");
        push_found(L, c, &q, &facts, RESPONSE_HIT);
        return 2;
    }
    struct cache_entry *old = s->found ? cache_entry_ref(s->found) : NULL;
    if (find_failure(s, c, &q, now)) {
        cache_entry_put(old);
        lua_pushliteral(L, "failure");
        lua_pushlstring(L, cache_entry_data(s->found).ptr, cache_entry_data(s->found).len);
        return 2;
    }
    cache_hold(s, old);
    if (good && cache_age(s->found, now) < c->ttl_ms + c->stale_ms) {
        lua_pushliteral(L, "stale");
        push_found(L, c, &q, &facts, RESPONSE_STALE);
        push_place(L, &q.place);
        lua_pushboolean(L, cache_entry_claim(s->found, now, CLAIM_MS));
        return 4;
    }
    note_since(L, c, &q);
    lua_pushliteral(L, "miss");
    push_place(L, &q.place);
    lua_pushboolean(L, good && c->error_ms > 0);
    return 3;
}

/* core.cache_key(cache, req, salt) -> key | nil, is there an answer?  Nothing is counted as asked for.  nil: the
 * request is none for a cache. */
int l_cache_key(lua_State *L) {
    struct lua_cache *c = cache_check(L, 1);
    struct question q = { .control = 0 };
    struct cached facts;
    lua_settop(L, 3);
    lua_pushnil(L);
    if (read_question(L, c, &q) != NULL) return 0;
    uint64_t now = now_of(L);
    struct cache_entry *e = cache_peek(cache_of(L), q.place.near, now);
    push_place(L, &q.place);
    lua_pushboolean(L, e != NULL && cached_read(e, &facts) && facts.kind <= CACHED_WHOLE && suits(&q, e, now));
    cache_entry_put(e);
    return 2;
}

/* -- The second tier --------------------------------------------------------------------------- */

struct far_wait {
    struct op           op;
    struct far_question question;
    struct cache_entry *e; /* that came */
};

static void far_wait_free(struct far_wait *w) {
    far_cancel(&w->question);
    cache_entry_put(w->e);
    mem_free(w);
}

static void far_wait_cancel(struct op *op) { far_wait_free(container_of(op, struct far_wait, op)); }

static void far_came(struct far_question *q, struct cache_entry *e) {
    struct far_wait *w = container_of(q, struct far_wait, question);
    w->e = e;
    op_done(&w->op); /* may free w */
}

/* The state holds what came. */
static bool take_far(lua_State *L, struct op *op) {
    struct far_wait *w = container_of(op, struct far_wait, op);
    bool came = w->e != NULL;
    struct cached facts;
    if (came && cached_read(w->e, &facts))
        asked_remember(state_of(L)->stores, cache_entry_key(w->e), &facts, now_of(L));
    if (came && w->question.far->vectors.driver != NULL)
        widen_know(state_of(L)->stores, &w->question.key, cache_entry_key(w->e));
    cache_hold(state_of(L), w->e);
    w->e = NULL;
    far_wait_free(w);
    return came;
}

static int push_far(lua_State *L, struct op *op) {
    lua_pushboolean(L, take_far(L, op));
    return 1;
}

/* NULL: it cannot be asked, which is no more than a miss. */
static struct far_wait *far_wait_new(lua_State *L, const struct place *p) {
    struct far *f = far_of(L);
    struct far_wait *w = f != NULL ? mem_zalloc(sizeof(*w)) : NULL;
    if (w == NULL) return NULL;
    w->op = (struct op){ .task = state_of(L)->running, .cancel = far_wait_cancel, .push = push_far };
    if (far_get(f, &w->question, &p->far, p->near, far_came) == 0) return w;
    mem_free(w);
    return NULL;
}

/* core.cache_far(req, key) -> whether it is there, and core.cache_lookup() will find it */
int l_cache_far(lua_State *L) {
    struct request *req = request_check(L, 1);
    struct place place = check_place(L, 2);
    struct far_wait *w = NULL;
    op_check(L);
    if (place.has_far && !req->refreshes) w = far_wait_new(L, &place);
    if (w != NULL) return op_wait(L, &w->op, "cache.redis");
    lua_pushboolean(L, 0);
    return 1;
}

/* core.cache_stale(cache, req, key) -> res | nil: an answer that is too old, when there is no other */
int l_cache_stale(lua_State *L) {
    struct lua_cache *c = cache_check(L, 1);
    struct state *s = state_of(L);
    struct request *req = request_check(L, 2);
    struct question q = { .req = req, .stream = request_wants_stream(req), .place = check_place(L, 3) };
    uint64_t now = now_of(L);
    struct cached facts;
    cache_hold(s, cache_get(s->stores->cache, q.place.near, now));
    if (s->found == NULL || !cached_read(s->found, &facts) || facts.kind > CACHED_WHOLE ||
        cache_age(s->found, now) >= c->ttl_ms + c->error_ms)
        return 0;
    push_found(L, c, &q, &facts, RESPONSE_STALE);
    return 1;
}

/* -- Keeping --------------------------------------------------------------------------------------- */

static uint64_t keep_ms(const struct lua_cache *c) { return c->stale_ms > c->error_ms ? c->stale_ms : c->error_ms; }

static unsigned asked_choices(const struct request *r) {
    const struct body *b = r->body;
    return b != NULL && b->dialect != NULL && !body_is_cleared(b) ? b->dialect->choices(&b->doc) : 0;
}

/* Told when the request ends, by route and tenant. gave: the answer is this cache's. [0, 0, e] */
static void note(lua_State *L, const struct lua_cache *c, struct request *r, enum lookup how, bool gave) {
    if (!lookups_add(&r->lookups, &r->arena, c->name, how, gave)) luaL_error(L, "not enough memory");
}

/* core.cache_note(cache, req | nil, how): what came of a look-up for the request, or of one for a value, of whatever
 * request is running; core.cache_record() does that itself */
int l_cache_note(lua_State *L) {
    const struct lua_cache *c = cache_check(L, 1);
    const struct task *t = state_of(L)->running;
    bool answers = !lua_isnil(L, 2);
    struct request *r = answers ? request_check(L, 2) : t != NULL ? t->request : NULL;
    struct slice name;
    name.ptr = luaL_checklstring(L, 3, &name.len);
    enum lookup how = lookup_find(name);
    luaL_argcheck(L, how != LOOKUPS, 3, "no result of a look-up");
    if (r != NULL) note(L, c, r, how, answers && how <= LOOKUP_STALE);
    return 0;
}

/* core.cache_record(cache, req, res, key | nil, tags, bypassed, asked | nil) -> res: says x-cache: miss, or bypass;
 * what is returned in place of res keeps the answer, if there is a key.  asked: of core.near_find(), so that near
 * questions find it. */
int l_cache_record(lua_State *L) {
    struct lua_cache *c = cache_check(L, 1);
    struct request *req = request_check(L, 2);
    struct response *r = response_test(L, 3);
    lua_settop(L, 7);
    bool shared = r != NULL && response_cache_of(r) == RESPONSE_COALESCED;
    note(L, c, req, lua_toboolean(L, 6) ? LOOKUP_BYPASS : shared ? LOOKUP_COALESCED : LOOKUP_MISS, shared);
    lua_pushvalue(L, 3);
    if (r == NULL) return 1; /* a policy returned something else, or its answer is over */
    bool keeps = !lua_isnil(L, 4);
    enum response_cache how = lua_toboolean(L, 6) ? RESPONSE_BYPASS : RESPONSE_MISS;
    bool says = headers_find(buf_get(&r->headers), SLICE("x-cache")).ptr != NULL;
    if (r->cache == RESPONSE_UNCACHED && !says) put_state(r, how, 0);
    else if (r->cache == RESPONSE_UNCACHED && r->bill != NULL) r->cache = how; /* should it pay in the end */
    bool stands_in = headers_find(buf_get(&r->headers), SLICE("x-perilune-degraded")).ptr != NULL;
    if (!keeps || stands_in || !recorder_suits(r)) return 1; /* what stands in for an answer is none */
    struct place place = check_place(L, 4);
    struct recorder_options opt = { .cache = cache_of(L), .loop = state_of(L)->loop, .key = place.near,
                                    .asked_at = place.asked, .far = place.has_far ? far_of(L) : NULL,
                                    .far_key = place.far,
                                    .name = c->name, .tenant = cache_tenant(c, req),
                                    .fresh_ms = c->ttl_ms, .keep_ms = keep_ms(c), .limit = c->max_entry,
                                    .keep_tools = c->tool_calls,
                                    .heeds = (c->honor & CACHE_CONTROL_UPSTREAM) != 0, .stores = state_of(L)->stores };
    near_read_asked(L, 7, &opt.asked);
    opt.tag_count = read_tags(L, 5, opt.tags);
    opt.choices = asked_choices(req);
    struct response *outer = response_make_outer(L, r, &req->responses);
    struct source *source = recorder_new(r, &opt);
    if (source == NULL) return luaL_error(L, "not enough memory");
    response_start(outer, source);
    return 1;
}

/* core.cache_pass(req, res) -> res: another response that gives the same, and can be mapped although res was read */
int l_cache_pass(lua_State *L) {
    struct request *req = request_check(L, 1);
    struct response *r = response_test(L, 2);
    lua_settop(L, 2);
    if (r == NULL || !recorder_suits(r)) return 1;
    struct response *outer = response_make_outer(L, r, &req->responses);
    struct source *source = recorder_pass(r);
    if (source == NULL) return luaL_error(L, "not enough memory");
    response_start(outer, source);
    return 1;
}

/* core.cache_has_offsets() -> bool: does the answer that was found last count its own characters (where citations
 * stand, in annotations)?  Then its text must stay.  Within a text quotation marks are escaped: it is none that says
 * so. */
int l_cache_has_offsets(lua_State *L) {
    static const struct slice keys[] = { SLICE("\"start_index\""), SLICE("\"startIndex\"") };
    const struct cache_entry *e = state_of(L)->found;
    struct slice data = e != NULL ? cache_entry_data(e) : SLICE("");
    bool has = false;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        has = has || memmem(data.ptr, data.len, keys[i].ptr, keys[i].len) != NULL;
    lua_pushboolean(L, has);
    return 1;
}

static int store(lua_State *L, const struct lua_cache *c, enum cached_kind kind, const struct place *place,
                 struct slice tenant, struct slice data, uint64_t ttl_ms, int tags_at, const struct asked *asked) {
    struct slice tags[CACHE_MAX_TAGS];
    struct recorder_options opt = { .cache = cache_of(L), .loop = state_of(L)->loop, .key = place->near,
                                    .asked_at = place->asked, .far = place->has_far ? far_of(L) : NULL,
                                    .far_key = place->far, .name = c->name, .tenant = tenant, .fresh_ms = ttl_ms };
    if (asked != NULL) {
        opt.asked = *asked;
        opt.stores = state_of(L)->stores;
    }
    opt.tag_count = read_tags(L, tags_at, tags);
    memcpy(opt.tags, tags, opt.tag_count * sizeof(*tags));
    return cached_store(&opt, &(struct cached){ .kind = kind, .usage_at = CACHED_NO_USAGE }, data);
}

/* core.cache_keep_failure(cache, req, key, json) */
int l_cache_keep_failure(lua_State *L) {
    struct lua_cache *c = cache_check(L, 1);
    struct request *req = request_check(L, 2);
    struct place asked = check_place(L, 3), place = { .near = failure_key(&asked) };
    place.asked = (struct cache_when){ asked.asked.epoch, cache_ask(cache_of(L), place.near).deleted };
    struct slice json;
    json.ptr = luaL_checklstring(L, 4, &json.len);
    if (c->negative_ms == 0 || json.len > c->max_entry) return 0;
    store(L, c, CACHED_FAILURE, &place, cache_tenant(c, req), json, c->negative_ms, 5, NULL);
    return 0;
}

/* -- A policy's own values ------------------------------------------------------------------------------ */

/* Of the string at 2: no request can have the same, because it begins otherwise. [0, 0, e] */
static struct place place_of_value(lua_State *L, const struct lua_cache *c) {
    size_t len;
    const char *key = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, len <= MAX_KEY, 2, "a key has at most 4096 bytes");
    struct buf *text = lib_output(L);
    buf_put(text, "value\0", 6);
    buf_slice(text, c->name);
    buf_putc(text, '\0');
    buf_put(text, key, len);
    lib_check_buf(L, text);
    struct place p = { .near = cache_key(cache_of(L), buf_get(text)) };
    place_add_far(L, &p, buf_get(text));
    return p;
}

/* What the state holds, as results of core.cache_get(). [0, +0 or 2, e] */
static int push_value(lua_State *L) {
    struct state *s = state_of(L);
    struct cached facts;
    if (s->found == NULL || !cached_read(s->found, &facts) || facts.kind != CACHED_VALUE) return 0;
    struct slice data = cache_entry_data(s->found);
    lua_pushlstring(L, data.ptr, data.len);
    lua_pushnumber(L, (lua_Number)cache_age(s->found, now_of(L)) / 1000);
    return 2;
}

static int push_far_value(lua_State *L, struct op *op) { return take_far(L, op) ? push_value(L) : 0; }

/* core.cache_get(cache, key) -> string | nil, age in seconds.  Waits for the second tier, where waiting is possible
 * and there is one. */
int l_cache_get(lua_State *L) {
    struct state *s = state_of(L);
    struct place place = place_of_value(L, cache_check(L, 1));
    cache_hold(s, cache_get(s->stores->cache, place.near, now_of(L)));
    if (s->found != NULL || !place.has_far || !op_is_possible(L)) return push_value(L);
    struct far_wait *w = far_wait_new(L, &place);
    if (w == NULL) return 0;
    w->op.push = push_far_value;
    return op_wait(L, &w->op, "cache.redis");
}

/* core.cache_tenant(cache) -> whose a value is that may be found by its meaning: the running request's tenant, or "" */
int l_cache_tenant(lua_State *L) {
    struct slice s = cache_running_tenant(state_of(L), cache_check(L, 1));
    lua_pushlstring(L, s.ptr, s.len);
    return 1;
}

/* core.cache_set(cache, key, string, seconds | nil, tags, asked | nil) -> whether it is kept.  asked: of
 * core.near_find(); with it the value is the running request's tenant's, and near questions find it. */
int l_cache_set(lua_State *L) {
    struct lua_cache *c = cache_check(L, 1);
    struct slice data;
    struct place place = place_of_value(L, c);
    data.ptr = luaL_checklstring(L, 3, &data.len);
    double seconds = luaL_optnumber(L, 4, (lua_Number)c->ttl_ms / 1000);
    luaL_argcheck(L, seconds > 0 && seconds < 1e9, 4, "a time to live is a number of seconds above 0");
    bool fits = data.len <= c->max_entry;
    struct asked asked;
    lua_settop(L, 6);
    near_read_asked(L, 6, &asked);
    bool found = asked.text.len > 0;
    struct slice tenant = found ? cache_running_tenant(state_of(L), c) : SLICE("");
    /* What Redis has is older, and must not come back. */
    if (!place.has_far) far_delete(state_of(L)->services.far, buf_get(&state_of(L)->encode));
    int rc = fits ? store(L, c, CACHED_VALUE, &place, tenant, data, (uint64_t)ceil(seconds * 1000), 5,
                          found ? &asked : NULL) : -1;
    lua_pushboolean(L, rc == 0);
    return 1;
}

/* core.cache_delete(cache, key) -> was it there? */
int l_cache_delete(lua_State *L) {
    struct place place = place_of_value(L, cache_check(L, 1));
    far_delete(state_of(L)->services.far, buf_get(&state_of(L)->encode)); /* the text of the key */
    lua_pushboolean(L, cache_delete(cache_of(L), place.near));
    return 1;
}

/* core.cache_invalidate(cache, tag | nil): entries of this cache with the tag, or all of this cache */
int l_cache_invalidate(lua_State *L) {
    struct lua_cache *c = cache_check(L, 1);
    struct slice tag;
    tag.ptr = luaL_optlstring(L, 2, NULL, &tag.len);
    struct buf *text = lib_output(L);
    if (tag.ptr == NULL) cache_tag_of_name(c->name, text);
    else cache_tag_of_policy(c->name, tag, text);
    lib_check_buf(L, text);
    cache_invalidate(cache_of(L), buf_get(text), now_of(L));
    far_invalidate(state_of(L)->services.far, buf_get(text));
    return 0;
}

static void push_count(lua_State *L, const char *name, uint64_t n) {
    lua_pushnumber(L, (lua_Number)n);
    lua_setfield(L, -2, name);
}

/* core.coalesce(req): its calls may share an answer from now on */
int l_coalesce(lua_State *L) {
    request_check(L, 1)->coalesces = true;
    return 0;
}

/* core.cache_refresh(req): asks the same once more, for nobody, so that the cache gets a newer answer */
int l_cache_refresh(lua_State *L) {
    struct services *v = &state_of(L)->services;
    struct request *r = request_check(L, 1);
    if (v->ask_again != NULL) v->ask_again(v, r, NULL, NULL);
    return 0;
}

/* core.cache_stats() -> table, of all caches together */
int l_cache_stats(lua_State *L) {
    struct cache_stats n;
    cache_count(cache_of(L), &n);
    lua_createtable(L, 0, 10);
    push_count(L, "entries", n.entries);
    push_count(L, "bytes", n.bytes);
    push_count(L, "limit", n.limit);
    push_count(L, "hits", n.hits);
    push_count(L, "misses", n.misses);
    push_count(L, "stored", n.stored);
    push_count(L, "refused", n.refused);
    push_count(L, "evicted", n.evicted);
    push_count(L, "expired", n.expired);
    push_count(L, "invalidated", n.invalidated);
    return 1;
}

/* core.cache_methods: the table that cache.lua puts the methods into. [0, 0, e] */
void cache_open(lua_State *L, int core) {
    luaL_newmetatable(L, CACHE_TYPE);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, core, "cache_methods");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

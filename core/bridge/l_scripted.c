/* l_scripted.c -- core.scripted: what tests of policies need, an upstream that is played.  (Who asks is in l_serve.c.)
 *
 *     pieces of bytes, each at its time --> the reader of answers --> response
 *
 * A test of a policy says what an upstream sends and when; from there on everything is the same as
 * with a real one: the reader (llm/answer.c) finds usage, errors inside the answer, the end of each
 * stream and what broke off.  The clock is that of the loop, virtual in tests.
 *
 * Calls of requests that coalesce share one answer here, too: one that comes while another is under way joins it by
 * core.scripted_join(), before the script is asked.  What the script says of that other call is all that there is,
 * so nobody who joined can lead in its stead: when it fails before it said anything, they fail, too. */
#include <stdio.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "bridge/response.h"
#include "llm/answer.h"
#include "llm/dialect.h"
#include "request/coalesce.h"
#include "request/spending.h"

struct scripted {
    struct source  source;
    struct sink   *to;
    struct loop   *loop;
    struct timer   timer;
    struct buf     bytes;   /* all pieces */
    size_t        *ends;    /* where each piece ends */
    uint64_t      *at_ms;   /* when each comes, since start() */
    unsigned       count, next;
    uint64_t       began_ms;
    struct failure failure; /* how it ends; not set: well */
    int            status;
    bool           headed, over, in_event;
    char           content_type[80];
};

static void scripted_free(struct scripted *c) {
    timer_stop(c->loop, &c->timer);
    buf_deinit(&c->bytes);
    mem_free(c->ends);
    mem_free(c->at_ms);
    failure_deinit(&c->failure);
    mem_free(c);
}

/* -- Playing ---------------------------------------------------------------------------- */

static void finish(struct scripted *c, const struct failure *f) {
    c->to->event(c->to, &(struct event){ .type = f ? EVENT_ERROR : EVENT_END, .failure = f });
    c->over = true;
}

/* The next event.  The head comes with the first piece. */
static void step(struct scripted *c) {
    bool fails = failure_is_set(&c->failure);
    if (!c->headed && (c->count > 0 || !fails)) {
        c->headed = true;
        c->to->event(c->to, &(struct event){ .type = EVENT_HEAD, .status = c->status,
                                             .content_type = slice_str(c->content_type) });
    } else if (c->next < c->count) {
        size_t from = c->next == 0 ? 0 : c->ends[c->next - 1];
        struct slice piece = slice_of(buf_get(&c->bytes).ptr + from, c->ends[c->next] - from);
        c->next++;
        c->to->event(c->to, &(struct event){ .type = EVENT_BYTES, .raw = piece });
    } else {
        finish(c, fails ? &c->failure : NULL);
    }
}

static void due(struct timer *t);

/* Everything whose time has come; then a timer for the next. */
static void play(struct scripted *c) {
    c->in_event = true;
    uint64_t now = loop_now(c->loop);
    while (!c->over && c->began_ms + c->at_ms[c->next] <= now) step(c);
    if (!c->over && timer_start(c->loop, &c->timer, c->began_ms + c->at_ms[c->next] - now, due) != 0) {
        failure_set(&c->failure, FAILURE_NO_MEMORY, "out of memory");
        finish(c, &c->failure);
    }
    c->in_event = false;
    if (c->over) scripted_free(c);
}

static void due(struct timer *t) { play(container_of(t, struct scripted, timer)); }

static void start(struct source *s, struct sink *to) {
    struct scripted *c = container_of(s, struct scripted, source);
    c->to = to;
    c->began_ms = loop_now(c->loop);
    play(c);
}

/* It is never told to pause: all of it is here already. */
static void resume(struct source *s) { (void)s; }

static void cancel(struct source *s) {
    struct scripted *c = container_of(s, struct scripted, source);
    c->over = true;
    if (!c->in_event) scripted_free(c);
}

static const char *describe(const struct source *s, char *buf, size_t size) {
    (void)s;
    (void)buf;
    (void)size;
    return "an upstream of a test";
}

static const struct source_ops ops = { start, resume, cancel, NULL, describe, NULL, NULL };

/* -- Making ------------------------------------------------------------------------------- */

/* Room for n pieces. NULL: no memory. */
static struct scripted *make(lua_State *L, unsigned n) {
    struct scripted *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return NULL;
    c->source.ops = &ops;
    c->loop = state_of(L)->loop;
    c->count = n;
    buf_init(&c->bytes, 0);
    failure_init(&c->failure);
    c->ends = mem_alloc((n + 1) * sizeof(*c->ends));
    c->at_ms = mem_zalloc((n + 1) * sizeof(*c->at_ms));
    if (c->ends != NULL && c->at_ms != NULL) return c;
    scripted_free(c);
    return NULL;
}

/* Raises unless all are { bytes, seconds }, in the order of time. */
static void check_pieces(lua_State *L, int list, int n) {
    double before = 0;
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, list, i);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        luaL_checkstring(L, -1);
        lua_rawgeti(L, -2, 2);
        double at = luaL_checknumber(L, -1);
        if (!(at >= before && at < 1e9)) luaL_error(L, "a piece comes at %f seconds, before the one ahead", at);
        before = at;
        lua_pop(L, 3);
    }
}

static void read_pieces(lua_State *L, int list, struct scripted *c) {
    for (unsigned i = 0; i < c->count; i++) {
        lua_rawgeti(L, list, (int)i + 1);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        size_t len;
        const char *bytes = lua_tolstring(L, -2, &len);
        c->at_ms[i] = (uint64_t)(lua_tonumber(L, -1) * 1000 + 0.5);
        buf_put(&c->bytes, bytes, len);
        c->ends[i] = buf_len(&c->bytes);
        lua_pop(L, 3);
    }
}

/* -- Sharing ------------------------------------------------------------------------------ */

struct share {
    struct source *source; /* NULL: it only joins, or leads already */
    struct bill   *bill;   /* a share */
};

static struct source *share_make(void *ud) {
    struct share *sh = ud;
    struct source *source = sh->source;
    sh->source = NULL;
    return source;
}

static void share_drop(void *ud) {
    struct share *sh = ud;
    if (sh->source != NULL) source_cancel(sh->source);
    bill_put(sh->bill);
    mem_free(sh);
}

static void share_pays(void *ud, bool pays, const struct usage *known) {
    coalesce_bill(((struct share *)ud)->bill, pays, known);
}

/* A seat where all are that ask the same; source (NULL: none) is for all when it leads. NULL: no memory. */
static struct source *share(struct state *s, const struct outgoing *o, struct source *source, struct bill *bill,
                            bool *joined) {
    struct outgoing_form form = outgoing_form(o);
    struct hash128 key, rest;
    struct share *sh = coalesce_key(&s->services, o, &form, &key, &rest) ? mem_zalloc(sizeof(*sh)) : NULL;
    *joined = false;
    if (sh == NULL) {
        if (source != NULL) source_cancel(source);
        return NULL;
    }
    sh->source = source;
    sh->bill = bill_ref(bill);
    return flight_join(&(struct flight_options){ .flights = s->stores->flights, .loop = s->loop, .key = key,
                                                 .rest = rest, .limit = s->limits.max_answer + 65536,
                                                 .high_water = s->limits.high_water, .make = share_make,
                                                 .drop = share_drop, .pays = share_pays, .ud = sh },
                       joined);
}

/* -- For Lua ------------------------------------------------------------------------------ */

static struct response *make_response(struct state *s, struct request *req, const char *upstream,
                                      const struct dialect *d) {
    return response_new(&(struct response_options){ .loop = s->loop, .upstream = upstream, .dialect = d,
                                                    .among = &req->responses, .limit = s->limits.max_answer,
                                                    .high_water = s->limits.high_water });
}

/* core.scripted_join(req, upstream, seconds) -> res | nil: the same is being answered; seconds: that it may take,
 * or nil */
int l_scripted_join(lua_State *L) {
    lua_settop(L, 3);
    struct request *req = request_check(L, 1);
    const char *upstream = luaL_checkstring(L, 2);
    op_check(L);
    struct state *s = state_of(L);
    struct outgoing o = { .request = req, .body = request_body(L, 1), .timeout_ms = !lua_isnil(L, 3) };
    const struct dialect *d = o.body ? o.body->dialect : NULL;
    bool joined = false;
    struct bill *bill = bill_new();
    bool shares = bill != NULL && coalesce_suits(&s->services, &o);
    struct source *source = shares ? share(s, &o, NULL, bill, &joined) : NULL;
    body_put(o.body);
    struct response *r = joined ? make_response(s, req, upstream, d) : NULL;
    if (r == NULL) {
        if (source != NULL) source_cancel(source);
        bill_put(bill);
        return 0;
    }
    r->bill = bill;
    headers_put(&r->headers, SLICE("x-cache"), SLICE("coalesced"));
    response_start(r, source);
    return lib_wait_response(L, r);
}

/* core.scripted(req, upstream, pieces, end_seconds, content_type, failure | nil, seconds | nil) -> res | nil, err;
 * seconds: that it may take */
int l_scripted(lua_State *L) {
    lua_settop(L, 7);
    struct request *req = request_check(L, 1);
    const char *upstream = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    int n = (int)lua_objlen(L, 3);
    double end = luaL_checknumber(L, 4);
    const char *type = luaL_checkstring(L, 5);
    luaL_argcheck(L, end >= 0 && end < 1e9, 4, "must be a number of seconds");
    op_check(L);
    check_pieces(L, 3, n);
    struct state *s = state_of(L);
    struct outgoing o = { .request = req, .body = request_body(L, 1), .timeout_ms = !lua_isnil(L, 7) };
    const struct dialect *d = o.body ? o.body->dialect : NULL;
    struct scripted *c = make(L, (unsigned)n);
    struct response *r = c == NULL ? NULL : make_response(s, req, upstream, d);
    if (r == NULL) {
        if (c != NULL) scripted_free(c);
        body_put(o.body);
        return luaL_error(L, "not enough memory");
    }
    read_pieces(L, 3, c);
    c->at_ms[n] = (uint64_t)(end * 1000 + 0.5);
    c->status = 200;
    snprintf(c->content_type, sizeof(c->content_type), "%s", type);
    if (lua_istable(L, 6)) lib_to_failure(L, 6, &c->failure);
    struct source *source = &c->source;
    if (buf_failed(&c->bytes)) {
        scripted_free(c);
        source = NULL;
    } else if (d != NULL) {
        struct answer_options opt = { .stream = request_wants_stream(req), .keep_usage = request_wants_usage(req),
                                      .limit = s->limits.max_answer };
        source = d->reader(source, &opt);
    }
    bool joined, shares = source != NULL && coalesce_suits(&s->services, &o);
    if (shares) r->bill = bill_new();
    if (shares) source = share(s, &o, source, r->bill, &joined);
    body_put(o.body);
    spending_watch(req->spending, r);
    response_start(r, source);
    return lib_wait_response(L, r);
}

/* core.fresh_stores(): caches, and whatever policies share, are empty from here on, as in a process that begins */
int l_fresh_stores(lua_State *L) {
    struct state *s = state_of(L);
    state_close_jobs(s);
    if (!stores_renew(&s->stores)) return luaL_error(L, "not enough memory");
    cache_entry_put(s->found);
    s->found = NULL;
    s->services.stores = s->stores;
    s->values_seen = 0; /* theirs count from the beginning */
    services_forget(&s->services);
    return 0;
}

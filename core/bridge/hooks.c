/* hooks.c -- tap, map, finally, record: a policy's functions on an answer's way.
 *
 * The functions stand in the environment of the response's handle, so that the
 * collector sees them as part of it (a registry reference could form a cycle it
 * cannot see):
 *
 *     env = { taps = {fn, ...}, maps = {fn, ...}, ends = {fn | false, ...},
 *             finally = {fn, ...} }
 *
 * They run protected, outside any coroutine: they may compute and set variables,
 * they cannot wait.  One that throws fails the answer with policy_error; later
 * events are not shown to it.
 *
 * map by word or line holds back the unfinished piece.  It is given out before
 * the event that carries finish_reason, before [DONE], and at the end, in a frame
 * shaped like the last one that carried text.  Behind it comes, once, what the
 * functions of `ends` add; an answer without any text has no such frame, and no end. */
#include "bridge/hooks.h"

#include <stdio.h>

#include "base/mem.h"
#include "bridge/cleanup.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "llm/openai.h"

struct hooks {
    struct filter   filter;
    struct response *r;
    bool            placed, has_tap, has_map, has_ends, has_finally, record, ended;
    enum hook_piece by;
    struct json_doc doc;
    struct buf      piece;    /* not handed to map yet */
    struct buf      shape;    /* data of the last frame that carried text */
    struct buf      text;     /* decoded; scratch */
    struct buf      mapped;   /* what map made of it; scratch */
    struct buf      frame;    /* built from that */
    struct buf      recorded; /* all text, for finally */
    bool            broken;
    struct failure  failure;
    struct budget  *budget;   /* a share of the request's */
    uint64_t        ran_us;   /* all calls */
    char            id[80];   /* of the request, for the log */
};

static enum flow on_event(struct sink *k, const struct event *ev);

static void hooks_free(struct filter *f) {
    struct hooks *h = container_of(f, struct hooks, filter);
    json_deinit(&h->doc);
    buf_deinit(&h->piece);
    buf_deinit(&h->shape);
    buf_deinit(&h->text);
    buf_deinit(&h->mapped);
    buf_deinit(&h->frame);
    buf_deinit(&h->recorded);
    failure_deinit(&h->failure);
    budget_put(h->budget);
    mem_free(h);
}

void hooks_release(struct hooks *h) {
    if (h != NULL && !h->placed) hooks_free(&h->filter); /* else it goes with the filters */
}

/* Also when it is too late for a filter: finally() is all that it may still get. */
static struct hooks *hooks_of(struct response *r) {
    struct lua_response *lr = response_lua(r);
    if (lr->hooks != NULL) return lr->hooks;
    struct state *s = lr->state;
    struct budget *b = s->run.budget ? budget_ref(s->run.budget) : budget_new();
    struct hooks *h = b ? mem_zalloc(sizeof(*h)) : NULL;
    if (h == NULL) {
        budget_put(b);
        return NULL;
    }
    h->budget = b;
    h->filter = (struct filter){ .sink = { on_event }, .free = hooks_free };
    h->r = r;
    buf_init(&h->recorded, s->limits.max_answer);
    buf_init(&h->piece, s->limits.max_answer);
    struct task *t = s->running;
    snprintf(h->id, sizeof(h->id), "%s", t && t->request ? t->request->id : "-");
    lr->hooks = h;
    return h;
}

/* The filter is in its place only when it has something to do there. */
static void be_filter(struct response *r, struct hooks *h) {
    if (h->placed) return;
    h->placed = true;
    response_add_filter(r, &h->filter);
}

/* -- Events as Lua sees them ---------------------------------------------------------- */

/* Returns 0, PERILUNE_ERR_INVAL for what is no object, or PERILUNE_ERR_NOMEM. */
static int parse(struct json_doc *doc, const struct event *ev) {
    struct slice s = ev->type == EVENT_FRAME ? ev->data : ev->raw;
    if (s.len == 0 || s.ptr[0] != '{') return PERILUNE_ERR_INVAL;
    return json_parse(doc, s, &(struct json_error){ 0 });
}

void hooks_event_text(struct json_doc *doc, const struct event *ev, struct buf *out) {
    int rc = parse(doc, ev);
    if (rc == PERILUNE_ERR_NOMEM) out->error = rc; /* a text with a hole is no text */
    if (rc != 0) return;
    uint32_t n = openai_text_node(doc);
    if (n != JSON_NONE) json_decode_string(doc, n, out);
}

static const char *type_of(struct json_doc *doc, const struct event *ev, bool parsed) {
    if (slice_eq(ev->data, SLICE("[DONE]"))) return "done";
    if (!parsed) return "other";
    if (openai_text_node(doc) != JSON_NONE) return "text";
    struct slice s = ev->type == EVENT_FRAME ? ev->data : ev->raw;
    if (memmem(s.ptr, s.len, "\"tool_calls\"", 12)) return "tool";
    if (memmem(s.ptr, s.len, "\"usage\"", 7)) return "usage";
    return "other";
}

void hooks_push_event(lua_State *L, struct json_doc *doc, const struct event *ev) {
    int rc = parse(doc, ev);
    if (rc == PERILUNE_ERR_NOMEM) luaL_error(L, "not enough memory");
    bool parsed = rc == 0;
    struct slice s = ev->type == EVENT_FRAME ? ev->data : ev->raw;
    lua_createtable(L, 0, 3);
    lua_pushstring(L, type_of(doc, ev, parsed));
    lua_setfield(L, -2, "type");
    lua_pushlstring(L, s.ptr, s.len);
    lua_setfield(L, -2, "data");
    uint32_t n = parsed ? openai_text_node(doc) : JSON_NONE;
    if (n == JSON_NONE) return;
    struct buf *text = lib_scratch(L);
    json_decode_string(doc, n, text);
    if (buf_failed(text)) luaL_error(L, "not enough memory");
    lua_pushlstring(L, buf_get(text).ptr, buf_len(text));
    lua_setfield(L, -2, "text");
}

/* -- Running Lua ------------------------------------------------------------------------- */

struct run {
    struct response     *r;
    const struct event  *ev;
    const struct outcome *outcome;
    struct slice         piece;
};

/* Calls each function of env[list] with the value on top. [-1, +0, e] */
static void call_all(lua_State *L, struct response *r, const char *list) {
    int arg = lua_gettop(L);
    if (!lib_push_handle(L, r)) return;
    lua_getfenv(L, -1);
    lua_getfield(L, -1, list);
    int t = lua_gettop(L);
    for (int i = 1; lua_istable(L, t) && i <= (int)lua_objlen(L, t); i++) {
        lua_rawgeti(L, t, i);
        lua_pushvalue(L, arg);
        lua_call(L, 1, 0);
    }
    lua_settop(L, arg - 1);
}

static int run_taps(lua_State *L, void *ud) {
    struct run *run = ud;
    hooks_push_event(L, &response_lua(run->r)->hooks->doc, run->ev);
    call_all(L, run->r, "taps");
    return 0;
}

static void check_mapped(lua_State *L) {
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "map's function must return a string or nil, not a %s", luaL_typename(L, -1));
}

/* mapped += the string on top through the functions of maps (at t) from number
 * `from` on. [-1, +0, e] */
static void map_through(lua_State *L, struct hooks *h, int t, int from) {
    for (int i = from; i <= (int)lua_objlen(L, t) && !lua_isnil(L, -1); i++) {
        lua_rawgeti(L, t, i);
        lua_insert(L, -2);
        lua_call(L, 1, 1);
        check_mapped(L);
    }
    size_t len = 0;
    const char *s = lua_isnil(L, -1) ? "" : lua_tolstring(L, -1, &len);
    buf_put(&h->mapped, s, len);
    lua_pop(L, 1);
}

/* mapped += maps(piece), one after the other. */
static int run_maps(lua_State *L, void *ud) {
    struct run *run = ud;
    if (!lib_push_handle(L, run->r)) return 0;
    lua_getfenv(L, -1);
    lua_getfield(L, -1, "maps");
    lua_pushlstring(L, run->piece.ptr, run->piece.len);
    map_through(L, response_lua(run->r)->hooks, lua_gettop(L) - 1, 1);
    return 0;
}

/* mapped += what each map adds at the end, seen by those behind it. */
static int run_ends(lua_State *L, void *ud) {
    struct run *run = ud;
    if (!lib_push_handle(L, run->r)) return 0;
    lua_getfenv(L, -1);
    lua_getfield(L, -1, "maps");
    lua_getfield(L, -2, "ends");
    int ends = lua_gettop(L);
    for (int i = 1; lua_istable(L, ends) && i <= (int)lua_objlen(L, ends - 1); i++) {
        lua_rawgeti(L, ends, i);
        if (!lua_isfunction(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        lua_call(L, 0, 1);
        check_mapped(L);
        map_through(L, response_lua(run->r)->hooks, ends - 1, i + 1);
    }
    return 0;
}

/* Calls fn; a throw, or a budget that is used up, breaks the answer. */
static void protect(struct response *r, int (*fn)(lua_State *, void *), struct run *run) {
    struct hooks *h = response_lua(r)->hooks;
    if (h->broken) return;
    char err[900] = "";
    struct state *s = response_lua(r)->state;
    struct stretch outer;
    stretch_begin(s, &outer, h->budget, true);
    int rc = h->budget->killed ? PERILUNE_ERR_POLICY : state_call(s, fn, run, err, sizeof(err));
    h->ran_us += stretch_end(s, &outer);
    const char *killed = h->budget->killed;
    if (rc == 0 && killed == NULL) return;
    state_collect_early(s); /* it may have eaten memory that others need */
    state_collect_soon(s);
    h->broken = true;
    if (s->stats) atomic_fetch_add_explicit(killed ? &s->stats->kills : &s->stats->errors, 1, memory_order_relaxed);
    if (killed) failure_set(&h->failure, FAILURE_POLICY_BUDGET, "%s", killed);
    else failure_set(&h->failure, FAILURE_POLICY, "a policy's tap or map failed (see the log, request %s)", h->id);
    log_line(s->log, PERILUNE_LOG_ERROR, "request %s: tap, map or finally failed: %s", h->id,
             killed && (rc == PERILUNE_ERR_NOMEM || err[0] == '\0') ? killed : err);
}

uint64_t response_hooks_us(const struct response *r) {
    const struct lua_response *lr = response_lua(r);
    return lr != NULL && lr->hooks != NULL ? lr->hooks->ran_us : 0;
}

/* -- Map ------------------------------------------------------------------------------------ */

static void map_piece(struct response *r, struct slice piece) {
    protect(r, run_maps, &(struct run){ .r = r, .piece = piece });
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* End of the next whole piece in s, or 0.  A word ends where white space begins. */
static size_t piece_end(enum hook_piece by, struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (by == PIECE_LINE ? s.ptr[i] == '\n' : is_space(s.ptr[i])) return i;
    return SIZE_MAX;
}

/* Hands out whole pieces; white space between them stays as it is. */
static void map_pieces(struct response *r, bool all) {
    struct hooks *h = response_lua(r)->hooks;
    while (buf_len(&h->piece) > 0 && !h->broken) {
        struct slice s = buf_get(&h->piece);
        size_t end = piece_end(h->by, s);
        if (end == SIZE_MAX) {
            if (!all) return;
            end = s.len;
        }
        if (end > 0) map_piece(r, slice_of(s.ptr, end));
        if (end < s.len) buf_putc(&h->mapped, s.ptr[end++]);
        buf_consume(&h->piece, end);
    }
}

static void map_end(struct response *r) {
    struct hooks *h = response_lua(r)->hooks;
    if (!h->has_ends || h->ended) return;
    h->ended = true;
    protect(r, run_ends, &(struct run){ .r = r });
}

/* doc's text replaced by `mapped`, as a frame or a whole body. */
static void build(struct hooks *h, enum event_type type, struct event *out) {
    const struct json_doc *d = &h->doc;
    uint32_t n = openai_text_node(d);
    buf_clear(&h->frame);
    if (type == EVENT_FRAME) buf_puts(&h->frame, "data: ");
    buf_put(&h->frame, d->text.ptr, d->nodes[n].start);
    json_write_string(&h->frame, buf_get(&h->mapped));
    buf_put(&h->frame, d->text.ptr + d->nodes[n].end, d->text.len - d->nodes[n].end);
    size_t len = buf_len(&h->frame);
    if (type == EVENT_FRAME) buf_puts(&h->frame, "\n\n");
    struct slice raw = buf_get(&h->frame);
    *out = (struct event){ .type = type, .raw = raw };
    if (type == EVENT_FRAME && !buf_failed(&h->frame)) out->data = slice_of(raw.ptr + 6, len - 6);
}

/* Did a buffer fail?  Then the answer has: what went out would not be what map made. */
static bool lost(struct response *r) {
    struct hooks *h = response_lua(r)->hooks;
    const struct buf *all[] = { &h->piece, &h->shape, &h->text, &h->mapped, &h->frame };
    int error = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (error == 0) error = all[i]->error;
    if (error == 0) return false;
    h->broken = true;
    if (error == PERILUNE_ERR_LIMITED)
        failure_set(&h->failure, FAILURE_ANSWER_TOO_LARGE, "a word or line that map waits for is over max_body");
    else failure_set(&h->failure, FAILURE_NO_MEMORY, "out of memory");
    response_break(r, &h->filter, &h->failure);
    return true;
}

static enum flow finish_event(struct response *r, const struct event *ev) {
    struct hooks *h = response_lua(r)->hooks;
    if (h->record && (ev->type == EVENT_FRAME || ev->type == EVENT_BYTES)) hooks_event_text(&h->doc, ev, &h->recorded);
    if (h->has_tap && (ev->type == EVENT_FRAME || ev->type == EVENT_BYTES))
        protect(r, run_taps, &(struct run){ .r = r, .ev = ev });
    if (h->broken) {
        response_break(r, &h->filter, &h->failure);
        return FLOW_MORE;
    }
    return h->filter.to->event(h->filter.to, ev);
}

/* The rest of the last piece, and the end, in a frame of its own. */
static void flush(struct response *r) {
    struct hooks *h = response_lua(r)->hooks;
    bool rest = buf_len(&h->piece) > 0, end = h->has_ends && !h->ended;
    if ((!rest && !end) || buf_len(&h->shape) == 0) return;
    buf_clear(&h->mapped);
    map_pieces(r, true);
    map_end(r);
    if (!rest && buf_len(&h->mapped) == 0 && !h->broken) return;
    struct event out;
    if (json_parse(&h->doc, buf_get(&h->shape), &(struct json_error){ 0 }) != 0) h->frame.error = PERILUNE_ERR_NOMEM;
    else build(h, EVENT_FRAME, &out);
    if (!lost(r)) finish_event(r, &out);
}

static bool carries_finish(const struct hooks *h, struct slice data) {
    uint32_t c = json_get(&h->doc, 0, SLICE("choices"));
    if (c == JSON_NONE || json_type(&h->doc, c) != JSON_ARRAY) return false;
    c = json_first(&h->doc, c);
    if (c == JSON_NONE || json_type(&h->doc, c) != JSON_OBJECT) return false;
    uint32_t f = json_get(&h->doc, c, SLICE("finish_reason"));
    (void)data;
    return f != JSON_NONE && json_type(&h->doc, f) == JSON_STRING;
}

static enum flow map_event(struct response *r, const struct event *ev) {
    struct hooks *h = response_lua(r)->hooks;
    int rc = parse(&h->doc, ev);
    if (rc == PERILUNE_ERR_NOMEM) {
        h->frame.error = rc;
        lost(r);
        return FLOW_MORE;
    }
    if (rc != 0) { /* [DONE] */
        flush(r);
        return h->broken ? FLOW_MORE : finish_event(r, ev);
    }
    uint32_t n = openai_text_node(&h->doc);
    bool whole = ev->type == EVENT_BYTES || carries_finish(h, ev->data);
    if (n == JSON_NONE) {
        if (whole) flush(r);
        return h->broken ? FLOW_MORE : finish_event(r, ev);
    }
    buf_clear(&h->text);
    buf_clear(&h->mapped);
    json_decode_string(&h->doc, n, &h->text);
    if (ev->type == EVENT_FRAME && (h->by != PIECE_EVENT || h->has_ends)) {
        buf_clear(&h->shape);
        buf_slice(&h->shape, ev->data);
    }
    if (h->by == PIECE_EVENT) {
        if (buf_len(&h->text) > 0) map_piece(r, buf_get(&h->text));
    } else {
        buf_slice(&h->piece, buf_get(&h->text));
        map_pieces(r, whole);
    }
    if (whole) map_end(r);
    struct event out;
    build(h, ev->type, &out);
    return lost(r) ? FLOW_MORE : finish_event(r, &out);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct hooks *h = container_of(container_of(k, struct filter, sink), struct hooks, filter);
    struct response *r = h->r;
    if (h->broken) return FLOW_MORE;
    if (h->has_map && (ev->type == EVENT_FRAME || ev->type == EVENT_BYTES)) return map_event(r, ev);
    if (h->has_map && ev->type == EVENT_END) flush(r);
    if (h->broken) return FLOW_MORE;
    return finish_event(r, ev);
}

/* -- Finally ----------------------------------------------------------------------------------- */

static int run_finally(lua_State *L, void *ud) {
    struct run *run = ud;
    cleanup_push_outcome(L, run->outcome);
    struct hooks *h = response_lua(run->r)->hooks;
    if (h->record && !buf_failed(&h->recorded)) {
        lua_pushlstring(L, buf_get(&h->recorded).ptr, buf_len(&h->recorded));
        lua_setfield(L, -2, "text");
    }
    call_all(L, run->r, "finally");
    return 0;
}

void hooks_finally(struct response *r, const struct outcome *o) {
    if (!response_lua(r)->hooks->has_finally) return;
    response_lua(r)->hooks->broken = false;
    budget_reprieve(response_lua(r)->state, response_lua(r)->hooks->budget);
    protect(r, run_finally, &(struct run){ .r = r, .outcome = o });
}

/* -- What policies call ---------------------------------------------------------------------------- */

/* env[list][#+1] = the function at index fn. [0, 0, e] */
static void add_function(lua_State *L, const char *list, int fn) {
    lib_handle_env(L, 1);
    lua_getfield(L, -1, list);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, list);
    }
    lua_pushvalue(L, fn);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

static struct hooks *hooks_for(lua_State *L, struct response **out) {
    struct response *r = response_test(L, 1);
    luaL_argcheck(L, r != NULL, 1, "not a response");
    if (response_is_opened(r)) luaL_error(L, "too late: this response is already being read or sent");
    struct hooks *h = hooks_of(r);
    if (h == NULL) luaL_error(L, "not enough memory");
    be_filter(r, h);
    *out = r;
    return h;
}

int l_response_tap(lua_State *L) {
    struct response *r;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct hooks *h = hooks_for(L, &r);
    add_function(L, "taps", 2);
    h->has_tap = true;
    lua_settop(L, 1);
    return 1;
}

int l_response_map(lua_State *L) {
    static const char *const names[] = { "event", "word", "line", NULL };
    enum hook_piece by = (enum hook_piece)luaL_checkoption(L, 2, NULL, names);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 4);
    if (lua_isnil(L, 4)) {
        lua_pushboolean(L, 0); /* keeps its place in the list */
        lua_replace(L, 4);
    }
    luaL_argcheck(L, lua_isboolean(L, 4) || lua_isfunction(L, 4), 4, "at_end must be a function");
    struct response *r;
    struct hooks *h = hooks_for(L, &r);
    if (h->has_map && h->by != by)
        return luaL_error(L, "this response is already mapped by %s; one unit per response", names[h->by]);
    add_function(L, "maps", 3);
    add_function(L, "ends", 4);
    h->by = by;
    h->has_ends |= lua_isfunction(L, 4);
    h->has_map = true;
    lua_settop(L, 1);
    return 1;
}

int l_response_finally(lua_State *L) {
    struct response *r = response_test(L, 1);
    luaL_argcheck(L, r != NULL, 1, "not a response");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct hooks *h = hooks_of(r);
    const struct task *t = state_of(L)->running;
    bool kept = t == NULL || t->request == NULL || request_keep(t->request);
    if (h == NULL || !kept) return luaL_error(L, "not enough memory");
    add_function(L, "finally", 2);
    h->has_finally = true;
    lua_settop(L, 1);
    return 1;
}

int l_response_record(lua_State *L) {
    struct response *r;
    struct hooks *h = hooks_for(L, &r);
    h->record = true;
    lua_settop(L, 1);
    return 1;
}

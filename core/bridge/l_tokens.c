/* l_tokens.c -- tokens for Lua: core.tokens, core.truncate, core.message_tokens, and
 * req:tokens().
 *
 *     core.tokenizers{...}  while loading, once: the table of models, kept in the bundle
 *     state->models         a share of it, in every state of the configuration
 *     state->tokens         the counter: the worker's, so that what it remembers survives
 *                           a reload; while loading and in specs the state's own
 *
 * A model's name may be an upstream's: then that upstream's model is meant.  A request
 * is counted for the model that it would go to if the policy called `next` now.
 *
 * Counting is the policy's time: text of 10 MB takes longer than limits.cpu_ms allows,
 * and then the request ends as it does for a loop that is too long.  Who only wants to
 * know whether there are more than n tokens says so and pays for n. */
#include <stdio.h>

#include "bridge/bundle.h"
#include "bridge/lib.h"
#include "bridge/request.h"
#include "request/outgoing.h"
#include "bridge/value.h"
#include "tokens/calibration.h"

/* -- Models ------------------------------------------------------------------------- */

static const char *field(lua_State *L, int t, const char *key, bool needed) {
    lua_getfield(L, t, key);
    const char *s = state_text(L, -1);
    if (s == NULL && (needed || !lua_isnil(L, -1))) luaL_error(L, "tokenizers: '%s' must be a string", key);
    lua_pop(L, 1); /* the table keeps it */
    return s;
}

/* Adds the entries of the list at 1. Returns false with the pattern and message on the stack. */
static bool add_all(lua_State *L, struct models *m) {
    int n = (int)lua_objlen(L, 1);
    for (int i = 1; i <= n; i++) {
        char message[512];
        lua_rawgeti(L, 1, i);
        luaL_checktype(L, 2, LUA_TTABLE);
        const char *pattern = field(L, 2, "pattern", true), *vocabulary = field(L, 2, "vocabulary", true);
        if (models_add(m, pattern, vocabulary, field(L, 2, "chat", false), message, sizeof(message)) != 0) {
            lua_pushstring(L, pattern);
            lua_pushstring(L, message);
            return false;
        }
        lua_pop(L, 1);
    }
    return true;
}

/* core.tokenizers(list of { pattern =, vocabulary =, chat = }) -> true | nil, pattern, message */
int l_tokenizers(lua_State *L) {
    struct state *s = state_of(L);
    struct bundle *b = (struct bundle *)(uintptr_t)s->bundle;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (b == NULL || s->services.models != NULL)
        return luaL_error(L, "tokenizers are set while a configuration is loaded");
    if (b->models != NULL) {
        s->services.models = models_ref(b->models);
        lua_pushboolean(L, 1);
        return 1;
    }
    s->services.models = models_new(b->models_before);
    if (s->services.models == NULL) return luaL_error(L, "not enough memory");
    lua_checkstack(L, 8);
    if (!add_all(L, s->services.models)) {
        lua_pushnil(L);
        lua_insert(L, -3);
        return 3;
    }
    models_done(s->services.models);
    b->models = models_ref(s->services.models);
    lua_pushboolean(L, 1);
    return 1;
}

static struct models *models_of(lua_State *L) {
    struct state *s = state_of(L);
    if (s->services.models == NULL) s->services.models = models_new(NULL);
    if (s->services.models == NULL) luaL_error(L, "not enough memory");
    return s->services.models;
}

static struct tokens *counter_of(lua_State *L) {
    struct tokens *t = services_tokens(&state_of(L)->services);
    if (t == NULL) luaL_error(L, "not enough memory");
    return t;
}

static bool go_on(void *ud) { return state_has_time(ud); }

/* The question for a model's name, or an upstream's; nil: any model. */
static struct tokens_ask ask_for(lua_State *L, int index) {
    struct state *s = state_of(L);
    struct slice name = SLICE("");
    if (!lua_isnoneornil(L, index)) name.ptr = luaL_checklstring(L, index, &name.len);
    const struct call_pool *p = outgoing_find(&s->services, name);
    if (p != NULL && p->target->model) name = slice_str(p->target->model);
    struct tokens_ask a = { .limit = TOKENS_NO_LIMIT, .go_on = go_on, .ud = s };
    models_find(models_of(L), name, &a.model);
    return a;
}

/* Raises for all but text that is not UTF-8. */
static void check_rc(lua_State *L, int rc) {
    if (rc == 0 || rc == PERILUNE_ERR_INVAL) return;
    state_check(L); /* the budget is used up */
    luaL_error(L, rc == PERILUNE_ERR_NOMEM ? "not enough memory" : "loading took too long: very much text is counted");
}

static int push_count(lua_State *L, const struct tokens_count *n) {
    lua_pushnumber(L, (lua_Number)n->tokens);
    lua_pushboolean(L, n->exact);
    return 2;
}

static int push_not_utf8(lua_State *L, const struct tokens *t) {
    lua_pushnil(L);
    lua_pushfstring(L, "the text is not UTF-8: byte %d", (int)tokens_error_offset(t));
    return 2;
}

/* -- Texts ----------------------------------------------------------------------------- */

/* What is not UTF-8 goes out as U+FFFD: appends the text like that. */
static void put_clean(struct buf *out, struct slice s) {
    while (s.len > 0) {
        size_t good = utf8_valid_prefix(s);
        buf_put(out, s.ptr, good);
        if (good == s.len) return;
        buf_puts(out, "\xEF\xBF\xBD");
        s = slice_of(s.ptr + good + 1, s.len - good - 1);
    }
}

/* core.tokens(text, model, lenient, limit) -> count, exact | nil, message
 * lenient: bytes that are not UTF-8 count as what they become in JSON, U+FFFD.
 * limit: nobody wants to know more than that there are more, which is limit + 1. */
int l_tokens(lua_State *L) {
    struct slice s;
    s.ptr = luaL_checklstring(L, 1, &s.len);
    double most = luaL_optnumber(L, 4, 1e18);
    luaL_argcheck(L, most >= 0, 4, "a limit is a number of tokens, 0 or more");
    struct tokens_ask a = ask_for(L, 2);
    if (most < 1e15) a.limit = (uint64_t)most;
    struct tokens *t = counter_of(L);
    struct tokens_count n;
    int rc = tokens_text(t, &a, s, &n);
    if (rc == PERILUNE_ERR_INVAL && lua_toboolean(L, 3)) {
        struct buf *clean = lib_output(L);
        put_clean(clean, s);
        rc = buf_failed(clean) ? PERILUNE_ERR_NOMEM : tokens_text(t, &a, buf_get(clean), &n);
    }
    check_rc(L, rc);
    return rc == 0 ? push_count(L, &n) : push_not_utf8(L, t);
}

/* core.truncate(text, most, model) -> text, exact | nil, message */
int l_truncate(lua_State *L) {
    struct slice s;
    s.ptr = luaL_checklstring(L, 1, &s.len);
    double most = luaL_checknumber(L, 2);
    luaL_argcheck(L, most >= 0 && most < 1e15, 2, "a number of tokens is 0 or more");
    struct tokens_ask a = ask_for(L, 3);
    struct tokens *t = counter_of(L);
    size_t bytes;
    int rc = tokens_truncate(t, &a.model, s, (uint64_t)most, &bytes);
    check_rc(L, rc);
    if (rc != 0) return push_not_utf8(L, t);
    if (bytes == s.len) lua_pushvalue(L, 1);
    else lua_pushlstring(L, s.ptr, bytes);
    lua_pushboolean(L, a.model.exact);
    return 2;
}

/* core.message_tokens(message, model) -> count, exact: of an object of the request or a table */
int l_message_tokens(lua_State *L) {
    luaL_checkany(L, 1);
    struct tokens_ask a = ask_for(L, 2);
    struct tokens *t = counter_of(L);
    struct buf *out = lib_output(L);
    value_encode(L, 1, out, 0);
    struct json_doc *doc = &state_of(L)->scratch_doc;
    struct tokens_count n = { .tokens = 0 };
    int rc = buf_failed(out) ? PERILUNE_ERR_NOMEM : json_parse(doc, buf_get(out), &(struct json_error){ 0 });
    if (rc == 0) rc = tokens_message(t, &a, doc, 0, &n);
    check_rc(L, rc);
    return push_count(L, &n);
}

/* -- Requests --------------------------------------------------------------------------- */

/* More than this, and the corrected count is more than limit: ratios are at least 0.5, offsets
 * at least -16 (calibration.c). */
static uint64_t limit_before(struct calibration *l, const struct outgoing_model *m, uint64_t limit) {
    bool known;
    if (limit == TOKENS_NO_LIMIT) return limit;
    calibration_apply(l, m->upstream, m->model, limit, &known);
    return known ? 2 * limit + 64 : limit;
}

static struct tokens_count count_request(lua_State *L, struct request *r, struct body *b, uint64_t limit,
                                         int *rc) {
    struct state *s = state_of(L);
    struct outgoing_model m;
    outgoing_model(&s->services, r, b, &m);
    struct tokens_ask a = { .go_on = go_on, .ud = s };
    models_find(s->services.models, m.model, &a.model);
    struct calibration *l = s->services.calibration;
    a.limit = limit_before(l, &m, limit);
    struct tokens_count n;
    *rc = tokens_body(s->services.tokens, &a, &b->doc, &n);
    if (*rc == 0 && b == r->body && n.tokens <= a.limit) {
        r->counted = n.tokens;
        r->counted_for = a.model;
    }
    bool known;
    n.tokens = calibration_apply(l, m.upstream, m.model, n.tokens, &known);
    if (n.tokens > limit) n.tokens = limit + 1;
    outgoing_model_deinit(&m);
    return n;
}

double lib_request_tokens(lua_State *L, int index) {
    struct request *r = request_check(L, index);
    models_of(L);
    counter_of(L);
    struct body *b = request_body(L, index);
    struct tokens_count n = { .tokens = 0 };
    int rc = 0;
    if (b != NULL) n = count_request(L, r, b, TOKENS_NO_LIMIT, &rc);
    body_put(b);
    check_rc(L, rc);
    return (double)n.tokens;
}

/* req:tokens(limit) -> count, exact */
int l_request_tokens(lua_State *L) {
    struct request *r = request_check(L, 1);
    double most = luaL_optnumber(L, 2, 1e18);
    luaL_argcheck(L, most >= 0, 2, "a limit is a number of tokens, 0 or more");
    models_of(L);
    counter_of(L);
    struct body *b = request_body(L, 1);
    struct tokens_count n = { .exact = true };
    int rc = 0;
    if (b != NULL) n = count_request(L, r, b, most < 1e15 ? (uint64_t)most : TOKENS_NO_LIMIT, &rc);
    body_put(b);
    check_rc(L, rc);
    return push_count(L, &n);
}

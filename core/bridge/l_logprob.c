/* l_logprob.c -- core.logprob_meter(res), core.logprob_mean(meter): how sure a model was of its answer.
 *
 *     source --> [ meter ] --> map, record, taps --> reader
 *                  choices[0].logprobs.content[].logprob, summed
 *
 * The meter stands in front of map(), which takes logprobs out of an answer that the client did not ask them of.
 * It changes nothing.  It is memory of the response and of Lua, whoever lives longer: counted.
 *
 * Of a choice that says no logprobs, and of events that are no JSON, it knows nothing. */
#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/response.h"
#include "bridge/state.h"
#include "flow/filter.h"

#define METER_TYPE "perilune.logprob_meter"

struct meter {
    unsigned        refs;
    struct filter   filter;
    struct json_doc doc;
    struct buf      bytes;  /* of an answer that does not stream */
    double          sum;
    unsigned        count;
};

static void meter_put(struct meter *m) {
    if (m == NULL || --m->refs > 0) return;
    json_deinit(&m->doc);
    buf_deinit(&m->bytes);
    mem_free(m);
}

static void add_list(struct meter *m, uint32_t list, struct slice key) {
    for (uint32_t n = json_first(&m->doc, list); n != JSON_NONE; n = json_next(&m->doc, list, n)) {
        uint32_t v = key.len == 0 ? n : json_is(&m->doc, n, JSON_OBJECT) ? json_get(&m->doc, n, key) : JSON_NONE;
        if (!json_is(&m->doc, v, JSON_NUMBER)) continue;
        double p = json_number(&m->doc, v);
        m->sum += fmax(fmin(p, 0), -100); /* some write -9999 for "never" */
        m->count++;
    }
}

static void read_json(struct meter *m, struct slice text) {
    struct json_error ignored;
    if (json_parse(&m->doc, text, &ignored) != 0 || !json_is(&m->doc, 0, JSON_OBJECT)) return;
    uint32_t choices = json_get(&m->doc, 0, SLICE("choices"));
    uint32_t choice = json_is(&m->doc, choices, JSON_ARRAY) ? json_first(&m->doc, choices) : JSON_NONE;
    uint32_t log = json_is(&m->doc, choice, JSON_OBJECT) ? json_get(&m->doc, choice, SLICE("logprobs")) : JSON_NONE;
    if (!json_is(&m->doc, log, JSON_OBJECT)) return;
    uint32_t content = json_get(&m->doc, log, SLICE("content")), old = json_get(&m->doc, log, SLICE("token_logprobs"));
    if (json_is(&m->doc, content, JSON_ARRAY)) add_list(m, content, SLICE("logprob"));
    else if (json_is(&m->doc, old, JSON_ARRAY)) add_list(m, old, SLICE(""));
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct meter *m = container_of(container_of(k, struct filter, sink), struct meter, filter);
    if (ev->type == EVENT_FRAME) read_json(m, ev->data);
    if (ev->type == EVENT_BYTES) buf_slice(&m->bytes, ev->raw);
    if (ev->type == EVENT_END && buf_len(&m->bytes) > 0 && !buf_failed(&m->bytes)) read_json(m, buf_get(&m->bytes));
    return m->filter.to->event(m->filter.to, ev);
}

static void filter_free(struct filter *f) { meter_put(container_of(f, struct meter, filter)); }

/* core.logprob_meter(res) -> meter.  Before the answer is read, and before its map(). */
int l_logprob_meter(lua_State *L) {
    struct response *r = response_test(L, 1);
    luaL_argcheck(L, r != NULL, 1, "not a response");
    if (response_is_opened(r)) return luaL_error(L, "too late: this response is already being read or sent");
    struct meter **slot = lua_newuserdata(L, sizeof(*slot));
    *slot = NULL;
    luaL_getmetatable(L, METER_TYPE);
    lua_setmetatable(L, -2);
    struct meter *m = *slot = mem_zalloc(sizeof(*m));
    if (m == NULL) return luaL_error(L, "not enough memory");
    m->refs = 2; /* Lua's, and the filter's */
    m->filter = (struct filter){ .sink = { on_event }, .free = filter_free };
    buf_init(&m->bytes, r->limit);
    response_add_filter(r, &m->filter);
    return 1;
}

/* core.logprob_mean(meter) -> mean | nil: none was said; how many */
int l_logprob_mean(lua_State *L) {
    const struct meter *m = *(struct meter **)luaL_checkudata(L, 1, METER_TYPE);
    if (m->count > 0) lua_pushnumber(L, m->sum / m->count);
    else lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)m->count);
    return 2;
}

static int l_gc(lua_State *L) {
    struct meter **slot = luaL_checkudata(L, 1, METER_TYPE);
    meter_put(*slot);
    *slot = NULL;
    return 0;
}

void logprob_open(lua_State *L) { lib_open_owned(L, METER_TYPE, l_gc); }

/* event_reader.c -- what taps and res:events() get for an event.
 *
 *     { type = "text", data = '{"choices":[...', text = "Hel", choice = 0 }
 *
 * type is what the first piece of the event is: "text", "reasoning", "refusal", "tool";
 * an event without one is "usage", "done" (the end mark of a stream) or "other".  text is
 * there when the choice named by `choice` says some.  An event with more than one piece
 * lists them all:
 *
 *     pieces = { { choice = 0, kind = "text", text = "Hel" }, { choice = 1, ... } }
 *
 * What it says of calls of tools, whatever its type (an event may say some text, too):
 *
 *     tools = { { choice = 0, index = 0, id = "call_1", name = "rm", arguments = "{" } }
 *
 * data is the event as it came: whoever wants another member parses it. */
#include "bridge/event_reader.h"

#include <lauxlib.h>

#include "bridge/lib.h"

void event_reader_deinit(struct event_reader *e) {
    json_deinit(&e->doc);
    piece_list_deinit(&e->pieces);
}

static struct slice data_of(const struct event *ev) { return ev->type == EVENT_FRAME ? ev->data : ev->raw; }

/* The pieces of the event. False: it is no JSON of this dialect; *nomem: nobody knows. */
static bool read_event(struct event_reader *e, const struct dialect *d, const struct event *ev, bool *nomem) {
    struct slice s = data_of(ev);
    e->pieces.len = 0;
    *nomem = false;
    if (d == NULL || d->pieces == NULL || s.len == 0 || dialect_is_end(d, s)) return false;
    int rc = json_parse(&e->doc, s, &(struct json_error){ 0 });
    if (rc == 0) d->pieces(&e->doc, &e->pieces);
    *nomem = rc == PERILUNE_ERR_NOMEM || (rc == 0 && e->pieces.failed);
    return rc == 0 && !*nomem;
}

void event_reader_text(struct event_reader *e, const struct dialect *d, const struct event *ev, unsigned choice,
                       struct buf *out) {
    bool nomem;
    if (d == NULL) buf_slice(out, ev->raw);
    bool known = read_event(e, d, ev, &nomem);
    if (nomem) out->error = PERILUNE_ERR_NOMEM; /* a text with a hole is no text */
    for (unsigned i = 0; known && i < e->pieces.len; i++) {
        const struct piece *p = &e->pieces.items[i];
        if (p->kind == PIECE_TEXT && p->choice == choice) piece_decode(&e->doc, p->node, &e->half, out);
    }
}

/* Has a choice no room left? */
static bool is_cut(const struct json_doc *doc) {
    uint32_t choices = json_is(doc, 0, JSON_OBJECT) ? json_get(doc, 0, SLICE("choices")) : JSON_NONE;
    if (!json_is(doc, choices, JSON_ARRAY)) return false;
    for (uint32_t c = json_first(doc, choices); c != JSON_NONE; c = json_next(doc, choices, c)) {
        uint32_t reason = json_is(doc, c, JSON_OBJECT) ? json_get(doc, c, SLICE("finish_reason")) : JSON_NONE;
        if (reason != JSON_NONE && json_str_eq(doc, reason, SLICE("length"))) return true;
    }
    return false;
}

static bool has_usage(const struct json_doc *doc) {
    uint32_t n = json_type(doc, 0) == JSON_OBJECT ? json_get(doc, 0, SLICE("usage")) : JSON_NONE;
    return json_is(doc, n, JSON_OBJECT);
}

/* What comes first; of an empty string beside something that is said, the latter. */
static const struct piece *main_piece(const struct event_reader *e) {
    const struct piece *first = NULL;
    for (unsigned i = 0; i < e->pieces.len; i++) {
        const struct piece *p = &e->pieces.items[i];
        bool empty = p->node != JSON_NONE && piece_is_empty(&e->doc, p->node);
        if (p->kind >= PIECE_END) continue;
        if (!empty) return p;
        if (first == NULL) first = p;
    }
    return first;
}

static const char *type_of(const struct event_reader *e, bool known, bool is_end) {
    if (is_end) return "done";
    const struct piece *p = known ? main_piece(e) : NULL;
    if (p != NULL) return p->kind >= PIECE_ARGUMENTS ? "tool" : piece_names[p->kind];
    return known && has_usage(&e->doc) ? "usage" : "other";
}

/* [0, +1, e] */
static void push_string(lua_State *L, const struct event_reader *e, const struct piece *p) {
    struct buf *text = lib_scratch(L);
    piece_text(&e->doc, p->node, text);
    if (buf_failed(text)) luaL_error(L, "not enough memory");
    lua_pushlstring(L, buf_get(text).ptr, buf_len(text));
}

static void set_choice(lua_State *L, const struct piece *p) {
    lua_pushnumber(L, p->choice);
    lua_setfield(L, -2, "choice");
}

static void push_pieces(lua_State *L, const struct event_reader *e) {
    int n = 0;
    lua_newtable(L);
    for (unsigned i = 0; i < e->pieces.len; i++) {
        const struct piece *p = &e->pieces.items[i];
        if (p->kind >= PIECE_KINDS) continue;
        lua_createtable(L, 0, 3);
        set_choice(L, p);
        lua_pushstring(L, piece_names[p->kind]);
        lua_setfield(L, -2, "kind");
        push_string(L, e, p);
        lua_setfield(L, -2, "text");
        lua_rawseti(L, -2, ++n);
    }
}

/* The text of the event's first choice that has one. */
static void set_text(lua_State *L, const struct event_reader *e) {
    unsigned strings = 0;
    bool done = false;
    for (unsigned i = 0; i < e->pieces.len; i++) {
        const struct piece *p = &e->pieces.items[i];
        strings += p->kind < PIECE_KINDS;
        if (done || p->kind != PIECE_TEXT) continue;
        push_string(L, e, p);
        lua_setfield(L, -2, "text");
        set_choice(L, p);
        done = true;
    }
    if (!done && e->pieces.len > 0) set_choice(L, &e->pieces.items[0]);
    if (strings < 2) return;
    push_pieces(L, e);
    lua_setfield(L, -2, "pieces");
}

/* Of the table on top. [0, 0, e] */
static void set_string(lua_State *L, const struct json_doc *doc, const char *key, uint32_t node) {
    if (node == JSON_NONE || json_type(doc, node) == JSON_NULL) return;
    struct buf *text = lib_scratch(L);
    if (json_is(doc, node, JSON_STRING)) json_decode_string(doc, node, text);
    else buf_slice(text, json_raw(doc, node)); /* arguments that are an object: their JSON */
    lib_check_buf(L, text);
    lua_pushlstring(L, buf_get(text).ptr, buf_len(text));
    lua_setfield(L, -2, key);
}

struct calls {
    lua_State             *L;
    const struct json_doc *doc;
    int                    count;
};

/* Into the list on top. */
static void push_call(void *ud, const struct dialect_call *c) {
    struct calls *to = ud;
    lua_State *L = to->L;
    lua_createtable(L, 0, 5);
    lua_pushnumber(L, c->choice);
    lua_setfield(L, -2, "choice");
    lua_pushnumber(L, c->index);
    lua_setfield(L, -2, "index");
    set_string(L, to->doc, "id", c->id);
    set_string(L, to->doc, "name", c->name);
    set_string(L, to->doc, "arguments", c->arguments);
    lua_rawseti(L, -2, ++to->count);
}

static bool has_calls(const struct event_reader *e) {
    for (unsigned i = 0; i < e->pieces.len; i++)
        if (e->pieces.items[i].kind == PIECE_TOOL) return true;
    return false;
}

static void set_tools(lua_State *L, const struct event_reader *e, const struct dialect *d) {
    if (!has_calls(e) || d->calls == NULL) return;
    struct calls to = { .L = L, .doc = &e->doc };
    lua_newtable(L);
    d->calls(&e->doc, push_call, &to);
    lua_setfield(L, -2, "tools");
}

/* Into the list on top, as event_reader_push() has it; count: how many are in it. */
bool event_reader_answer(lua_State *L, struct event_reader *e, const struct dialect *d, const struct event *ev,
                         struct buf *out, int *count) {
    bool nomem;
    bool known = read_event(e, d, ev, &nomem);
    if (nomem) out->error = PERILUNE_ERR_NOMEM; /* a text with a hole is no text */
    if (!known) return false;
    for (unsigned i = 0; i < e->pieces.len; i++) {
        const struct piece *p = &e->pieces.items[i];
        if (p->kind == PIECE_TEXT && p->choice == 0) piece_decode(&e->doc, p->node, &e->half, out);
    }
    struct calls to = { .L = L, .doc = &e->doc, .count = *count };
    if (has_calls(e) && d->calls != NULL) d->calls(&e->doc, push_call, &to);
    *count = to.count;
    return is_cut(&e->doc);
}

void event_reader_push(lua_State *L, struct event_reader *e, const struct dialect *d, const struct event *ev) {
    bool nomem;
    struct slice s = data_of(ev);
    bool known = read_event(e, d, ev, &nomem);
    if (nomem) luaL_error(L, "not enough memory");
    lua_createtable(L, 0, 4);
    lua_pushstring(L, type_of(e, known, d != NULL && dialect_is_end(d, s)));
    lua_setfield(L, -2, "type");
    lua_pushlstring(L, s.ptr, s.len);
    lua_setfield(L, -2, "data");
    if (!known) return;
    set_text(L, e);
    set_tools(L, e, d);
}

/* l_text.c -- perilune.text: what the functions of text/ do, for policies.
 *
 * Offsets are Lua's: 1 is the first byte, the last is included, so that
 * text:sub(span.first, span.last) is the span.  Sizes are tokens by text_estimate_tokens():
 * units are only compared with each other and with a share of their sum, and counting each
 * would take a quarter of the time of all the rest.
 *
 * No hook can stop these functions.  So a text has a limit, TEXT_LIMIT; what is longer gives
 * nil and a sentence.  So does what the request has no time for: before the work the time is
 * guessed that its first part will take, which cannot be stopped, and during it the clock is
 * asked.  `true` behind the sentence says that it was time: policies that shorten go on without.
 *
 * Memory of the work is given back before Lua gets anything; results stand in the state's
 * buffers meanwhile, because every push may jump. */
#include <string.h>

#include "bridge/lib.h"
#include "bridge/state.h"
#include "bridge/value.h"
#include "llm/chat.h"
#include "text/chunks.h"
#include "text/dups.h"
#include "text/extract.h"
#include "text/json_minify.h"
#include "text/noise.h"
#include "text/rank.h"
#include "text/sentences.h"
#include "text/spans.h"

#define TEXT_LIMIT ((size_t)1 << 20)
#define BYTES_PER_US 64 /* of the slowest text, at least, in what cannot be stopped: text_spans() */
#define RESULTS_MOST 65536              /* elements of a list: some 13 MB of a state's memory */
#define KEEP_MOST ((size_t)1 << 20) /* bytes of a buffer that the state keeps */

/* -- Arguments --------------------------------------------------------------------- */

static struct slice text_arg(lua_State *L, int at) {
    struct slice s;
    s.ptr = luaL_checklstring(L, at, &s.len);
    return s;
}

/* A text that is absent is empty. */
static struct slice question_arg(lua_State *L, int at) {
    return lua_isnoneornil(L, at) ? slice_of("", 0) : text_arg(L, at);
}

/* NULL where nothing is limited: then nobody need ask. */
static bool (*patience(struct state *s))(void *ud) {
    return budget_left_us(s, true) == UINT64_MAX ? NULL : budget_may_go_on;
}

/* Leaves nil, why, true. */
static void push_no_time(lua_State *L) {
    state_check(L); /* of a request that is condemned already nothing is left */
    lua_settop(L, 0);
    lua_pushnil(L);
    lua_pushliteral(L, "there is not enough CPU time left for the text (limits.cpu_ms, limits.block_ms)");
    lua_pushboolean(L, 1);
}

/* Is it short enough, for the limit and for the time that is left?  Else 2 or 3 values are all
 * that is on the stack. */
static bool fits(lua_State *L, size_t len) {
    state_check(L);
    if (len > TEXT_LIMIT) {
        lua_settop(L, 0);
        lua_pushnil(L);
        lua_pushfstring(L, "the text has %d bytes, the limit is %d: take it in parts", (int)len, (int)TEXT_LIMIT);
        return false;
    }
    if (budget_left_us(state_of(L), true) > len / BYTES_PER_US) return true;
    push_no_time(L);
    return false;
}

/* Are the results few enough for a list?  A megabyte of digits has half a million spans.
 * Else nil and why are on the stack. */
static bool few(lua_State *L, size_t n, const char *what) {
    if (n <= RESULTS_MOST) return true;
    lua_pushnil(L);
    lua_pushfstring(L, "the text has %d %s, the limit is %d: take it in parts", (int)n, what, RESULTS_MOST);
    return false;
}

/* nil and a sentence for an error of text_*.h; throws when there is no memory. */
static int failed(lua_State *L, int rc, struct slice text) {
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    if (rc == PERILUNE_ERR_CANCELED) {
        push_no_time(L);
        return 3;
    }
    if (rc == PERILUNE_ERR_LIMITED) {
        lua_pushnil(L);
        lua_pushliteral(L, "the text has too many lines or sentences: take it in parts");
        return 2;
    }
    size_t at = text_error_offset(text);
    lua_pushnil(L);
    if (at < text.len) lua_pushfstring(L, "the text is not UTF-8 (byte %d)", (int)at + 1);
    else lua_pushliteral(L, "the question is not UTF-8");
    return 2;
}

static void release(struct buf *b) {
    if (b->cap > KEEP_MOST) buf_deinit(b);
}

static double number_opt(lua_State *L, int table, const char *key, double otherwise, double most) {
    if (!lua_istable(L, table)) return otherwise;
    lua_getfield(L, table, key);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return otherwise;
    }
    double v = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    if (!(v >= 0 && v <= most)) luaL_error(L, "'%s' must be a number from 0 to %f", key, most);
    lua_pop(L, 1);
    return v;
}

static bool flag_opt(lua_State *L, int table, const char *key) {
    return lua_istable(L, table) && value_field_bool(L, table, key, false);
}

static void set_number(lua_State *L, const char *key, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, key);
}

static void set_string(lua_State *L, const char *key, const char *v) {
    lua_pushstring(L, v);
    lua_setfield(L, -2, key);
}

/* -- Spans ---------------------------------------------------------------------------- */

/* The mask of a list of names in the field "types"; all without it. */
static unsigned types_opt(lua_State *L, int table) {
    unsigned mask = 0;
    if (!lua_istable(L, table)) return TEXT_ALL_TYPES;
    lua_getfield(L, table, "types");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return TEXT_ALL_TYPES;
    }
    if (!lua_istable(L, -1)) luaL_error(L, "'types' must be a list of names");
    for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        const char *name = lua_tostring(L, -1);
        unsigned type = 0;
        while (type < TEXT_SPAN_TYPES && (name == NULL || strcmp(name, text_span_names[type]) != 0)) type++;
        if (type == TEXT_SPAN_TYPES) luaL_error(L, "'%s' is no type of span", name ? name : luaL_typename(L, -1));
        mask |= 1u << type;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return mask;
}

/* core.text_spans(text, { types =, merge = }) -> { { type =, first =, last = }, ... } */
int l_text_spans(lua_State *L) {
    struct slice text = text_arg(L, 1);
    unsigned mask = types_opt(L, 2);
    bool merge = flag_opt(L, 2, "merge");
    if (!fits(L, text.len)) return lua_gettop(L);
    struct buf *spans = lib_scratch(L);
    int rc = text_spans(text, mask, spans);
    if (rc != 0) return failed(L, rc, text);
    if (merge) text_spans_merge(spans);
    size_t n;
    const struct text_span *span = text_spans_of(spans, &n);
    if (!few(L, n, "spans")) return 2;
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 3);
        set_string(L, "type", text_span_names[span[i].type]);
        set_number(L, "first", (double)span[i].start + 1);
        set_number(L, "last", span[i].end);
        lua_rawseti(L, -2, (int)i + 1);
    }
    release(spans);
    state_check(L);
    return 1;
}

/* -- Sentences, ranks ------------------------------------------------------------------- */

/* core.text_sentences(text) -> strings, kinds */
int l_text_sentences(lua_State *L) {
    struct slice text = text_arg(L, 1);
    if (!fits(L, text.len)) return lua_gettop(L);
    struct buf *spans = lib_scratch(L), *units = lib_output(L);
    if (patience(state_of(L)) != NULL) units->limit = TEXT_UNITS_MOST;
    int rc = text_spans(text, TEXT_ALL_TYPES, spans);
    if (rc == 0 && !budget_may_go_on(state_of(L))) rc = PERILUNE_ERR_CANCELED;
    if (rc == 0) rc = text_sentences(text, spans, units);
    release(spans);
    if (rc != 0) return failed(L, rc, text);
    size_t n;
    const struct text_unit *unit = text_units_of(units, &n);
    if (!few(L, n, "units")) return 2;
    lua_createtable(L, (int)n, 0);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushlstring(L, text.ptr + unit[i].start, unit[i].end - unit[i].start);
        lua_rawseti(L, -3, (int)i + 1);
        lua_pushstring(L, text_unit_names[unit[i].kind]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    release(units);
    state_check(L);
    return 2;
}

static int rank(struct text_index *ix, struct slice text, const uint32_t *ends, size_t n, struct slice question,
                float *scores, struct state *s) {
    uint32_t at = 0;
    for (size_t i = 0; i < n; at = ends[i++]) {
        text_index_add(ix, slice_of(text.ptr + at, ends[i] - at));
        if (i % 256 == 255 && !budget_may_go_on(s)) return PERILUNE_ERR_CANCELED;
    }
    int rc = text_index_check(ix);
    if (rc == 0 && !budget_may_go_on(s)) rc = PERILUNE_ERR_CANCELED;
    if (rc != 0) return rc;
    return question.len > 0 ? text_index_bm25(ix, question, TEXT_BM25, scores) : text_index_central(ix, scores);
}

/* core.text_rank(list, question | nil) -> numbers */
int l_text_rank(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    struct slice question = question_arg(L, 2);
    struct buf *text = lib_output(L), *ends = lib_scratch(L);
    size_t n = lua_objlen(L, 1);
    if (!few(L, n, "elements")) return 2;
    for (size_t i = 1; i <= n && text->len <= TEXT_LIMIT; i++) {
        lua_rawgeti(L, 1, (int)i);
        size_t len;
        if (lua_type(L, -1) != LUA_TSTRING)
            return luaL_error(L, "element %d is a %s, not a string", (int)i, luaL_typename(L, -1));
        const char *s = lua_tolstring(L, -1, &len);
        if (text_error_offset(slice_of(s, len)) != len) return luaL_error(L, "element %d is not UTF-8", (int)i);
        buf_put(text, s, len);
        uint32_t end = (uint32_t)text->len;
        buf_put(ends, &end, sizeof(end));
        lua_pop(L, 1);
    }
    if (!fits(L, text->len + question.len)) return lua_gettop(L);
    struct slice all = buf_get(text);
    if (text_error_offset(question) != question.len) return failed(L, PERILUNE_ERR_INVAL, all);
    struct text_index ix;
    text_index_init(&ix);
    size_t scores_at = ends->len; /* behind the ends */
    float *scores = (float *)(void *)buf_reserve(ends, n * sizeof(*scores) + 1);
    bool memory = scores != NULL && !buf_failed(text);
    int rc = memory ? rank(&ix, all, (const uint32_t *)(void *)ends->data, n, question, scores, state_of(L))
                    : PERILUNE_ERR_NOMEM;
    text_index_deinit(&ix);
    if (rc != 0) return failed(L, rc, all);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushnumber(L, ((float *)(void *)(ends->data + scores_at))[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    release(ends);
    state_check(L);
    return 1;
}

static size_t tokens_of(void *ud, struct slice piece) {
    (void)ud;
    return text_estimate_tokens(piece);
}

/* -- Chunks ------------------------------------------------------------------------------------ */

static void push_chunk(lua_State *L, struct slice text, const struct text_chunk *k) {
    lua_createtable(L, 0, 4);
    lua_pushlstring(L, text.ptr + k->start, k->end - k->start);
    lua_setfield(L, -2, "text");
    set_number(L, "first", (double)k->start + 1);
    lua_pushlstring(L, text.ptr + k->lead, k->start - k->lead);
    lua_setfield(L, -2, "lead");
    lua_pushlstring(L, text.ptr + k->heading, k->heading_end - k->heading);
    lua_setfield(L, -2, "heading");
}

/* core.text_chunks(text, size, overlap) -> { { text =, first =, lead =, heading = }, ... } */
int l_text_chunks(lua_State *L) {
    struct slice text = text_arg(L, 1);
    lua_Number size = luaL_checknumber(L, 2), overlap = luaL_checknumber(L, 3);
    luaL_argcheck(L, size >= 16 && size <= 1e6, 2, "16 to 1000000 tokens");
    luaL_argcheck(L, overlap >= 0 && overlap * 2 < size, 3, "less than half of the size");
    if (!fits(L, text.len)) return lua_gettop(L);
    struct buf *chunks = lib_output(L);
    struct text_chunk_options o = { .size = (size_t)size, .overlap = (size_t)overlap, .measure = tokens_of,
                                    .go_on = patience(state_of(L)), .ud = state_of(L) };
    int rc = text_chunks(text, &o, chunks);
    if (rc != 0) return failed(L, rc, text);
    size_t n;
    const struct text_chunk *k = text_chunks_of(chunks, &n);
    if (!few(L, n, "chunks")) return 2;
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        push_chunk(L, text, &k[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    release(chunks);
    state_check(L);
    return 1;
}

/* -- Extraction ---------------------------------------------------------------------------- */

static void push_pieces(lua_State *L, const struct buf *pieces) {
    const struct text_piece *p = (const struct text_piece *)(const void *)buf_get(pieces).ptr;
    size_t n = buf_len(pieces) / sizeof(*p);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 6);
        set_number(L, "first", (double)p[i].start + 1);
        set_number(L, "last", p[i].end);
        set_string(L, "kind", text_unit_names[p[i].kind]);
        set_string(L, "reason", text_reason_names[p[i].reason]);
        set_number(L, "score", (double)p[i].score);
        lua_pushboolean(L, p[i].reason > TEXT_REPEATED);
        lua_setfield(L, -2, "kept");
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* core.text_extract(text, question | nil, options) -> text, { before =, after =, ... } */
int l_text_extract(lua_State *L) {
    struct slice text = text_arg(L, 1), question = question_arg(L, 2);
    struct text_extract_options o = text_extract_defaults;
    o.size = tokens_of;
    o.go_on = patience(state_of(L));
    o.ud = state_of(L);
    o.ratio = (float)number_opt(L, 3, "ratio", (double)o.ratio, 1);
    o.floor = (float)number_opt(L, 3, "floor", (double)o.floor, 1);
    o.lambda = (float)number_opt(L, 3, "lambda", (double)o.lambda, 1);
    o.depth = (float)number_opt(L, 3, "depth", (double)o.depth, 1);
    o.min_size = (size_t)number_opt(L, 3, "min_tokens", 0, 1e9);
    o.keep_first = (unsigned)number_opt(L, 3, "keep_first", o.keep_first, 1e6);
    o.keep_last = (unsigned)number_opt(L, 3, "keep_last", o.keep_last, 1e6);
    o.min_leaf = (size_t)number_opt(L, 3, "min_leaf", (double)o.min_leaf, 1e9);
    o.as_text = flag_opt(L, 3, "as_text");
    bool want_pieces = flag_opt(L, 3, "pieces");
    if (!fits(L, text.len + question.len)) return lua_gettop(L);
    struct buf *out = lib_output(L), *pieces = lib_scratch(L);
    struct text_extract_result r;
    int rc = text_extract(text, question, &o, out, want_pieces ? pieces : NULL, &r);
    if (rc != 0) return failed(L, rc, text);
    if (want_pieces && !few(L, r.units, "units")) return 2;
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    lua_createtable(L, 0, 6);
    set_number(L, "before", (double)r.before);
    set_number(L, "after", (double)r.after);
    set_number(L, "units", (double)r.units);
    set_number(L, "kept", (double)r.kept);
    lua_pushboolean(L, r.is_json);
    lua_setfield(L, -2, "json");
    lua_pushboolean(L, r.is_blind);
    lua_setfield(L, -2, "blind");
    if (want_pieces) {
        push_pieces(L, pieces);
        lua_setfield(L, -2, "pieces");
        release(pieces);
    }
    state_check(L);
    return 2;
}

/* -- Cleaning -------------------------------------------------------------------------------- */

static int push_output(lua_State *L, struct buf *out) {
    lua_pushlstring(L, buf_get(out).ptr, buf_len(out));
    return 1;
}

/* core.text_dedupe(text, options) -> text, { lines =, bytes = } */
int l_text_dedupe(lua_State *L) {
    struct slice text = text_arg(L, 1);
    struct text_dedupe_options o = text_dedupe_defaults;
    o.min_bytes = (size_t)number_opt(L, 2, "min_bytes", (double)o.min_bytes, 1e9);
    o.likeness = (float)number_opt(L, 2, "likeness", (double)o.likeness, 1);
    o.any_numbers = flag_opt(L, 2, "any_numbers");
    o.mark = flag_opt(L, 2, "mark");
    o.go_on = patience(state_of(L));
    o.ud = state_of(L);
    if (!fits(L, text.len)) return lua_gettop(L);
    struct buf *out = lib_output(L);
    struct text_dedupe_result r;
    int rc = text_dedupe(text, &o, out, &r);
    if (rc != 0) return failed(L, rc, text);
    push_output(L, out);
    lua_createtable(L, 0, 2);
    set_number(L, "lines", (double)r.lines);
    set_number(L, "bytes", (double)r.bytes);
    state_check(L);
    return 2;
}

static int rewrite_json(lua_State *L, int (*rewrite)(struct slice text, struct buf *out, struct json_error *err)) {
    struct slice text = text_arg(L, 1);
    struct json_error err = { "", 0 };
    if (!fits(L, text.len)) return lua_gettop(L);
    struct buf *out = lib_output(L);
    int rc = rewrite(text, out, &err);
    if (rc == 0) return push_output(L, out);
    if (rc == PERILUNE_ERR_NOMEM) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_pushfstring(L, "%s at byte %d", err.message, (int)err.offset + 1);
    return 2;
}

/* core.text_minify_json(text) -> text | nil, why */
int l_text_minify_json(lua_State *L) { return rewrite_json(L, text_json_minify); }

/* core.text_json_lines(text) -> a line for each scalar | nil, why */
int l_text_json_lines(lua_State *L) { return rewrite_json(L, text_json_lines); }

/* core.text_strip_ansi(text) -> text */
int l_text_strip_ansi(lua_State *L) {
    struct slice text = text_arg(L, 1);
    if (!fits(L, text.len)) return lua_gettop(L);
    struct buf *out = lib_output(L);
    int rc = text_strip_ansi(text, out);
    return rc == 0 ? push_output(L, out) : luaL_error(L, "not enough memory");
}

/* core.text_elide_base64(text, { min = }) -> text, how many */
int l_text_elide_base64(lua_State *L) {
    struct slice text = text_arg(L, 1);
    size_t min = (size_t)number_opt(L, 2, "min", 256, 1e9), count;
    if (!fits(L, text.len)) return lua_gettop(L);
    struct buf *out = lib_output(L);
    if (text_elide_base64(text, min, out, &count) != 0) return luaL_error(L, "not enough memory");
    push_output(L, out);
    lua_pushnumber(L, (lua_Number)count);
    return 2;
}

/* fuzz_map.c -- what an answer says behind map is what it said before.
 *
 *     input -> stream (or whole answer) --> reader --> response ---------------> as it came
 *                                      \-> reader --> response, map, tap -----> mapped
 *
 * The first bytes of the input choose how: the unit, the kinds, the functions, how bytes are cut and when the
 * consumer comes.  The rest chooses what is said: choices and kinds that alternate, halves of surrogates,
 * odd reasons, data of several lines, frames that are no JSON.  The same bytes are answered twice, untouched and
 * mapped, and both are taken apart by other code than map's:
 *
 *   story     of each choice what it says, each text (kind, member, part) for itself, up to its end and behind
 *             that.  A string of nothing is none
 *   skeleton  an event without its strings.  Every event of the untouched answer has one in the mapped answer, in the
 *             same order; what stands between them says strings and nothing else
 *
 * Functions change nothing, or swap the case of letters (a letter that map did not see shows), or put each piece into
 * < and >: then a word that was cut shows, and a stream has the same ones as a whole answer.  Log probabilities of
 * mapped answers are null. */
#include "fuzz.h"

#include <lauxlib.h>
#include <stdbool.h>

#include "base/mem.h"
#include "bridge/hooks.h"
#include "include/perilune.h"
#include "llm/answer.h"
#include "llm/dialect.h"
#include "llm/sse.h"

const char *const fuzz_tokens[] = { "\x01\x01\x01", "\x04\x09\x04\x0a", "\x02\x03", "\x08\x08", "\x0f", "\x10\x20\x30",
                                    NULL };

#define ANSWER_MAX (1u << 20) /* bytes */
#define FRAMES_MAX 20000

/* -- What the input chooses ------------------------------------------------------------ */

struct choices_of {
    const uint8_t *p;
    size_t         left;
};

static unsigned take(struct choices_of *c, unsigned n) {
    if (c->left == 0) return 0;
    c->left--;
    return *c->p++ % n;
}

struct plan {
    bool     stream, swap, tap, mixed; /* mixed: several kinds in one event */
    bool     marks;                    /* each piece becomes <piece> */
    unsigned unit, kinds, choices, most; /* most: bytes of one piece */
    unsigned reader;                   /* how it is taken: 0 at once, 1 late, 2 behind a reader of events */
    bool     broken;                   /* a frame is no JSON */
};

/* -- Writing answers --------------------------------------------------------------------- */

static void put_text(struct buf *out, struct choices_of *c) {
    static const char *const parts[] = { "a", "Bc", " ", "\\n", "\\ud83d", "\\ude00", "\\ud83d\\ude00", "\\u0041",
                                         "\xe4\xb8\x96", "\\\\", "\\\"", "d e", "\xc3\xa9", "\\u3002", "", "\\t", "\\\\ud83d",
                                         "\\u007b", "\\u007d" };
    buf_putc(out, '"');
    for (unsigned n = take(c, 4); n > 0; n--) buf_puts(out, parts[take(c, sizeof(parts) / sizeof(*parts))]);
    buf_putc(out, '"');
}

/* In a shape, % is a number and @ a text. */
static void put_member(struct buf *out, struct choices_of *c) {
    static const char *const shapes[] = {
        "\"content\":@", "\"reasoning_content\":@", "\"reasoning\":@", "\"refusal\":@",
        "\"content\":[{\"type\":\"text\",\"text\":@}]", "\"function_call\":{\"arguments\":@}",
        "\"tool_calls\":[{\"index\":%,\"function\":{\"arguments\":@}}]",
        "\"tool_calls\":[{\"index\":%,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":@}}]",
        "\"content\":[{\"type\":\"image\",\"x\":\"y\"},{\"text\":@}]",
        "\"content\":[{\"type\":\"text\",\"text\":@},{\"type\":\"text\",\"text\":@}]",
        "\"content\":[{\"text\":@},{\"type\":\"reference\",\"ids\":[1]},{\"text\":@},{\"text\":@}]",
    };
    unsigned i = take(c, 16);
    if (i >= sizeof(shapes) / sizeof(*shapes)) i = 0;
    for (const char *s = shapes[i]; *s; s++) {
        if (*s == '%') buf_u64(out, take(c, 3));
        else if (*s == '@') put_text(out, c);
        else buf_putc(out, *s);
    }
}

static void put_choice(struct buf *out, struct choices_of *c, const struct plan *p, unsigned index) {
    static const char *const reasons[] = {
        ",\"finish_reason\":null", "", ",\"finish_reason\":\"\"", ",\"finish_reason\":\"null\"",
        ",\"finish_reason\":\"stop\"", ",\"finish_reason\": \"tool_calls\"", ",\"finish_reason\":7",
    };
    bool first = take(c, 8) == 7;
    const char *reason = reasons[take(c, 14) % 7];
    buf_puts(out, "{");
    if (first) buf_printf(out, "\"finish_reason\":null,");
    buf_printf(out, "\"index\":%u,\"%s\":{\"role\":\"assistant\"", index, p->stream ? "delta" : "message");
    for (unsigned n = p->mixed ? take(c, 4) : take(c, 4) > 0; n > 0; n--) {
        buf_putc(out, ',');
        put_member(out, c);
    }
    buf_puts(out, "}");
    if (take(c, 4) == 3) buf_puts(out, ",\"logprobs\":{\"content\":[{\"token\":\"aB\",\"logprob\":-0.5}]}");
    if (!first) buf_puts(out, reason);
    buf_puts(out, "}");
}

static void put_object(struct buf *out, struct choices_of *c, const struct plan *p) {
    buf_puts(out, "{\"id\":\"chatcmpl-1\",\"object\":\"x\",\"created\":1,\"choices\":[");
    unsigned n = p->stream ? (take(c, 4) == 3 ? 2 : 1) : p->choices;
    for (unsigned i = 0, at = take(c, p->choices); i < n; i++) {
        if (i > 0) buf_putc(out, ',');
        put_choice(out, c, p, (at + i) % p->choices);
    }
    buf_puts(out, "],\"model\":\"m\\u00e9\"");
    if (take(c, 8) == 7) buf_puts(out, ",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}");
    buf_puts(out, "}");
}

static void put_frame(struct buf *out, struct choices_of *c, struct plan *p) {
    unsigned how = take(c, 32);
    struct buf one;
    buf_init(&one, 0);
    put_object(&one, c, p);
    if (how == 31) {
        buf_puts(out, ": a comment\n\n");
    } else if (how == 30) {
        buf_puts(out, "event: delta\nid: 1\n");
    } else if (how == 29 && take(c, 4) == 0) {
        buf_puts(out, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}]\n\n");
        p->broken = true;
    }
    buf_puts(out, "data: ");
    for (size_t i = 0; i < buf_len(&one); i++) {
        char ch = buf_get(&one).ptr[i];
        buf_putc(out, ch);
        if (how == 28 && (ch == '{' || ch == '[')) buf_puts(out, "\ndata: "); /* several lines */
    }
    buf_puts(out, how == 27 ? "\r\n\r\n" : "\n\n");
    buf_deinit(&one);
}

static void put_answer(struct buf *out, struct choices_of *c, struct plan *p) {
    if (!p->stream) {
        put_object(out, c, p);
        return;
    }
    while (c->left > 0) put_frame(out, c, p);
    for (unsigned i = 0; i < p->choices; i++)
        buf_printf(out, "data: {\"choices\":[{\"index\":%u,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", i);
    buf_puts(out, "data: [DONE]\n\n");
}

/* -- A source of bytes --------------------------------------------------------------------- */

struct bytes_source {
    struct source source;
    struct sink  *to;
    bool          stream, gone;
};

static void bytes_start(struct source *s, struct sink *to) {
    struct bytes_source *b = container_of(s, struct bytes_source, source);
    b->to = to;
    to->event(to, &(struct event){ .type = EVENT_HEAD, .status = 200,
                                   .content_type = slice_str(b->stream ? "text/event-stream" : "application/json") });
}

static void bytes_resume(struct source *s) { (void)s; }
static void bytes_cancel(struct source *s) { container_of(s, struct bytes_source, source)->gone = true; }
static const char *bytes_describe(const struct source *s, char *buf, size_t size) {
    (void)s; (void)buf; (void)size;
    return "bytes";
}

static const struct source_ops bytes_ops = { bytes_start, bytes_resume, bytes_cancel, NULL, bytes_describe, NULL, NULL };

/* -- The world: one Lua state for all inputs -------------------------------------------------- */

static const char SETUP[] =
    "local res, unit, of, how, tap = ...\n"
    "local function keep(s) return s end\n"
    "local function turn(s)\n"
    "  return (s:gsub('%a', function(c) local u = c:upper() return u == c and c:lower() or u end))\n"
    "end\n"
    "local function mark(s) return '<' .. s .. '>' end\n"
    "res:map(unit, how == 'marks' and mark or how == 'swap' and turn or keep, { of = of })\n"
    "if not tap then return end\n"
    "local data, said = {}, {}\n"
    "local function note(choice, kind, text)\n"
    "  local key = ('%d %s '):format(choice, kind)\n"
    "  said[key] = (said[key] or '') .. text\n"
    "end\n"
    "res:tap(function(ev)\n"
    "  data[#data + 1] = ev.data .. '\\n'\n"
    "  for _, p in ipairs(ev.pieces or {}) do note(p.choice, p.kind, p.text) end\n"
    "  if not ev.pieces and ev.text then note(ev.choice, 'text', ev.text) end\n"
    "end)\n"
    "return function(key) if key then return said[key] or '' end return table.concat(data) end\n";

static struct {
    bool          open;
    struct loop   loop;
    struct stores *stores;
    struct state *state;
    int           setup; /* reference */
} world;

static int load_setup(lua_State *L, void *ud) {
    (void)ud;
    if (luaL_loadstring(L, SETUP) != 0) lua_error(L);
    world.setup = state_ref_new(L);
    return 0;
}

/* Lua hides its memory from leak checkers, which look when the process ends. */
static void world_close(void) {
    state_ref_drop(world.state, world.setup);
    state_put(world.state);
    loop_flush(&world.loop);
    loop_deinit(&world.loop);
    stores_free(world.stores);
}

static void world_open(void) {
    static const struct state_limits limits = { .memory = 64u << 20, .max_answer = ANSWER_MAX, .high_water = 1u << 16 };
    char err[512] = "";
    if (world.open) return;
    ORACLE(loop_init(&world.loop) == 0);
    world.stores = stores_new();
    ORACLE(world.stores != NULL);
    ORACLE(state_new(&world.state, &world.loop, NULL, world.stores, &limits, err, sizeof(err)) == 0);
    world.state->time.until_us = 0;
    ORACLE(state_call(world.state, load_setup, NULL, err, sizeof(err)) == 0);
    world.open = true;
    atexit(world_close);
}

/* -- One answer ---------------------------------------------------------------------------- */

struct run {
    const struct plan  *plan;
    struct response    *r;
    struct list         among;
    struct sink         client;
    struct bytes_source bytes;
    int                 report; /* reference of the tap's function; 0: none */
    struct slice        frames[FRAMES_MAX]; /* data, into `text` as offsets until the end */
    size_t              starts[FRAMES_MAX], lens[FRAMES_MAX];
    unsigned            count;
    struct buf          text, raw;
    unsigned            ends;
    bool                failed, headed;
    char                code[48];
};

static enum flow on_client(struct sink *k, const struct event *ev) {
    struct run *run = container_of(k, struct run, client);
    ORACLE(run->ends == 0);
    if (ev->type == EVENT_HEAD) {
        ORACLE(!run->headed && run->count == 0);
        run->headed = true;
    } else if (ev->type == EVENT_END || ev->type == EVENT_ERROR) {
        run->ends++;
        run->failed = ev->type == EVENT_ERROR;
        if (run->failed) slice_copy(run->code, sizeof(run->code), slice_str(ev->failure->code));
    } else {
        struct slice data = ev->type == EVENT_FRAME ? ev->data : ev->raw;
        ORACLE(run->headed && run->count < FRAMES_MAX && (ev->type == EVENT_FRAME) == run->plan->stream);
        run->starts[run->count] = buf_len(&run->text);
        run->lens[run->count++] = data.len;
        buf_slice(&run->text, data);
        buf_slice(&run->raw, ev->raw);
    }
    return FLOW_MORE;
}

struct make {
    struct run                    *run;
    const struct response_options *opt;
};

static int make_mapped(lua_State *L, void *ud) {
    static const char *const units[] = { "event", "word", "line", "sentence" };
    struct make *m = ud;
    const struct plan *p = m->run->plan;
    lua_rawgeti(L, LUA_REGISTRYINDEX, world.setup);
    m->run->r = response_make(L, m->opt);
    response_ref(m->run->r);
    lua_pushstring(L, units[p->unit]);
    lua_newtable(L);
    for (unsigned k = 0, n = 0; k < PIECE_KINDS; k++) {
        if (!(p->kinds & 1u << k)) continue;
        lua_pushstring(L, piece_names[k]);
        lua_rawseti(L, -2, (int)++n);
    }
    lua_pushstring(L, p->marks ? "marks" : p->swap ? "swap" : "keep");
    lua_pushboolean(L, p->tap);
    lua_call(L, 5, 1);
    m->run->report = p->tap ? state_ref_new(L) : 0;
    return 0;
}

static void run_make(struct run *run, bool mapped) {
    struct response_options opt = { .loop = &world.loop, .upstream = "up", .dialect = &openai_chat,
                                    .among = &run->among, .limit = ANSWER_MAX, .high_water = 1u << 16 };
    char err[512] = "";
    list_init(&run->among);
    if (!mapped) {
        run->r = response_new(&opt);
        ORACLE(run->r != NULL);
        return;
    }
    int rc = state_call(world.state, make_mapped, &(struct make){ run, &opt }, err, sizeof(err));
    if (rc != 0) fprintf(stderr, "%s\n", err);
    ORACLE(rc == 0);
    response_pin(run->r);
}

static void read_events(struct response *r, size_t *seen) {
    struct event ev;
    response_read(r, false);
    while (response_next(r, &ev)) ++*seen;
}

/* The consumer comes before the piece number `when`. */
static void run_bytes(struct run *run, struct slice s, uint64_t rng, size_t when) {
    size_t n = 0, seen = 0;
    bool there = false;
    struct response *r = run->r;
    const struct answer_options opt = { .stream = run->plan->stream, .keep_usage = true,
                                        .choices = run->plan->choices, .limit = ANSWER_MAX, .max_event = ANSWER_MAX };
    run->bytes = (struct bytes_source){ .source.ops = &bytes_ops, .stream = run->plan->stream };
    run->client.event = on_client;
    response_start(r, answer_new(&run->bytes.source, &opt));
    for (; s.len > 0 && !run->bytes.gone; n++) {
        if (n == when && !there) response_deliver(r, &run->client);
        there |= n == when;
        if (!there && run->plan->reader == 2) read_events(r, &seen);
        if (run->bytes.gone) break; /* map broke it, at what was held */
        struct slice piece = fuzz_piece(&s, run->plan->most, &rng);
        run->bytes.to->event(run->bytes.to, &(struct event){ .type = EVENT_BYTES, .raw = piece });
        free((void *)(uintptr_t)piece.ptr);
        loop_flush(&world.loop);
    }
    if (!run->bytes.gone) run->bytes.to->event(run->bytes.to, &(struct event){ .type = EVENT_END });
    if (!there) response_deliver(r, &run->client);
    ORACLE(run->ends == 1);
}

static void run_end(struct run *run) {
    response_finish(run->r, &(struct outcome){ .ok = !run->failed });
    response_put(run->r);
    response_abandon_all(&run->among);
    loop_flush(&world.loop);
    for (unsigned i = 0; i < run->count; i++)
        run->frames[i] = slice_of(buf_get(&run->text).ptr + run->starts[i], run->lens[i]);
}

static void run_deinit(struct run *run) {
    if (run->report != 0) state_ref_drop(world.state, run->report);
    buf_deinit(&run->text);
    buf_deinit(&run->raw);
}

/* -- Taking events apart --------------------------------------------------------------------- */

/* A line per thing: "choice kind member part" and what was said. */
struct thing {
    unsigned     choice, kind, part; /* kind PIECE_TOOL, PIECE_END: marks, which are in the bones */
    unsigned     ends;               /* of the choice, before it */
    const char  *member;
    struct buf   raw; /* inside of JSON strings, joined */
};

struct story {
    struct thing *things;
    unsigned      len, cap;
    unsigned      ends[8]; /* of each choice, so far */
    bool          mapped;
};

static struct thing *find_thing(struct story *s, const struct thing *t) {
    for (unsigned i = 0; i < s->len; i++) {
        struct thing *o = &s->things[i];
        if (o->choice == t->choice && o->ends == t->ends && o->kind == t->kind && o->part == t->part && strcmp(o->member, t->member) == 0)
            return o;
    }
    return NULL;
}

static void tell(struct story *s, struct thing t, struct slice raw) {
    ORACLE(t.choice < sizeof(s->ends) / sizeof(*s->ends));
    if (t.kind == PIECE_END) s->ends[t.choice]++;
    if (t.kind >= PIECE_KINDS || raw.len == 0) return;
    t.ends = s->ends[t.choice];
    struct thing *at = find_thing(s, &t);
    if (at == NULL) {
        if (s->len == s->cap) {
            s->cap = s->cap ? 2 * s->cap : 64;
            s->things = realloc(s->things, s->cap * sizeof(*s->things));
        }
        at = &s->things[s->len++];
        *at = t;
        buf_init(&at->raw, 0);
    }
    buf_slice(&at->raw, raw);
}

static void story_deinit(struct story *s) {
    for (unsigned i = 0; i < s->len; i++) buf_deinit(&s->things[i].raw);
    free(s->things);
}

static void walk(const struct json_doc *d, uint32_t node, struct story *s, struct buf *bones, struct thing t,
                 unsigned depth);

static void put_bone(const struct json_doc *d, uint32_t node, struct buf *bones) {
    buf_slice(bones, json_raw(d, node));
}

static const struct { const char *name; unsigned kind; } SAID[] = {
    { "content", PIECE_TEXT }, { "reasoning_content", PIECE_REASONING }, { "reasoning", PIECE_REASONING },
    { "refusal", PIECE_REFUSAL },
};

static void say(const struct json_doc *d, uint32_t node, struct story *s, struct buf *bones, struct thing t) {
    struct slice raw = json_raw(d, node);
    tell(s, t, slice_of(raw.ptr + 1, raw.len - 2));
    buf_puts(bones, "\"\"");
}

static unsigned number_of(const struct json_doc *d, uint32_t object, const char *name, unsigned other) {
    uint64_t v;
    uint32_t n = json_get(d, object, slice_str(name));
    bool known = n != JSON_NONE && json_type(d, n) == JSON_NUMBER && json_u64(d, n, &v) == 0;
    return known ? (unsigned)v : other;
}

/* Where in the answer a value stands; other places are bones. */
enum depth { IN_ANSWER, IN_CHOICES, IN_CHOICE, IN_DELTA, IN_PARTS, IN_PART, IN_CALLS, IN_CALL, IN_FUNCTION, ELSEWHERE };

static void member(const struct json_doc *d, uint32_t key, uint32_t value, struct story *s, struct buf *bones,
                   struct thing t, unsigned depth) {
    enum json_type type = json_type(d, value);
    unsigned inner = ELSEWHERE;
    if (depth == IN_ANSWER && json_str_eq(d, key, SLICE("choices"))) inner = IN_CHOICES;
    bool says = json_str_eq(d, key, SLICE("delta")) || json_str_eq(d, key, SLICE("message"));
    if (depth == IN_CHOICE && says) inner = IN_DELTA;
    if (depth == IN_CALL && json_str_eq(d, key, SLICE("function"))) inner = IN_FUNCTION;
    if (depth == IN_DELTA && json_str_eq(d, key, SLICE("tool_calls"))) inner = IN_CALLS;
    if (depth == IN_DELTA && json_str_eq(d, key, SLICE("function_call"))) {
        inner = IN_FUNCTION;
        t = (struct thing){ .choice = t.choice, .kind = PIECE_TOOL, .member = "function_call" };
        tell(s, t, SLICE(""));
    }
    for (size_t i = 0; depth == IN_DELTA && i < 4; i++) {
        if (!json_str_eq(d, key, slice_str(SAID[i].name))) continue;
        t.kind = SAID[i].kind;
        t.member = SAID[i].name;
        if (type == JSON_ARRAY) inner = IN_PARTS;
        else if (type == JSON_STRING) {
            say(d, value, s, bones, t);
            return;
        }
    }
    bool text = depth == IN_PART && json_str_eq(d, key, SLICE("text"));
    bool args = depth == IN_FUNCTION && json_str_eq(d, key, SLICE("arguments"));
    if (args) t.kind = PIECE_ARGUMENTS;
    if (depth == IN_CHOICE && json_str_eq(d, key, SLICE("logprobs"))) {
        ORACLE(!s->mapped || type == JSON_NULL);
        buf_puts(bones, "null");
        return;
    }
    if (text || args) say(d, value, s, bones, t);
    else walk(d, value, s, bones, t, inner);
}

static void walk_element(const struct json_doc *d, uint32_t n, struct story *s, struct buf *bones, struct thing t,
                         unsigned depth, unsigned place) {
    if (depth == IN_CHOICES) t.choice = number_of(d, n, "index", place);
    if (depth == IN_CALLS) {
        t.part = number_of(d, n, "index", place);
        t.member = "tool_calls";
        t.kind = PIECE_TOOL;
        tell(s, t, SLICE(""));
    }
    walk(d, n, s, bones, t, depth == IN_CHOICES ? IN_CHOICE : depth == IN_PARTS ? IN_PART :
                            depth == IN_CALLS ? IN_CALL : ELSEWHERE);
    uint32_t reason = depth == IN_CHOICES ? json_get(d, n, SLICE("finish_reason")) : JSON_NONE;
    bool ends = reason != JSON_NONE && json_type(d, reason) == JSON_STRING && !json_str_eq(d, reason, SLICE("")) &&
                !json_str_eq(d, reason, SLICE("null"));
    if (ends) tell(s, (struct thing){ .choice = t.choice, .kind = PIECE_END, .member = "" }, SLICE(""));
}

static void walk(const struct json_doc *d, uint32_t node, struct story *s, struct buf *bones, struct thing t,
                 unsigned depth) {
    enum json_type type = json_type(d, node);
    if (type != JSON_ARRAY && type != JSON_OBJECT) {
        put_bone(d, node, bones);
        return;
    }
    unsigned place = 0;
    buf_putc(bones, type == JSON_ARRAY ? '[' : '{');
    for (uint32_t n = json_first(d, node); n != JSON_NONE; place++) {
        uint32_t value = n;
        if (type == JSON_OBJECT) {
            put_bone(d, n, bones);
            value = json_next(d, node, n);
            member(d, n, value, s, bones, t, depth);
        } else {
            walk_element(d, n, s, bones, t, depth, place);
        }
        buf_putc(bones, ',');
        n = json_next(d, node, value);
    }
    buf_putc(bones, type == JSON_ARRAY ? ']' : '}');
}

/* The skeleton of frame i. */
static void skeleton(const struct run *run, unsigned i, struct story *s, struct buf *bones) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error why;
    buf_clear(bones);
    struct slice data = run->frames[i];
    if (slice_eq(data, SLICE("[DONE]"))) {
        buf_slice(bones, data);
        return;
    }
    int rc = json_parse(&doc, data, &why);
    if (rc != 0) fprintf(stderr, "%s at %zu: %.*s\n", why.message, why.offset, SLICE_ARG(data));
    ORACLE(rc == 0);
    walk(&doc, 0, s, bones, (struct thing){ .member = "" }, IN_ANSWER);
    json_deinit(&doc);
}

/* -- What holds ------------------------------------------------------------------------------- */

static void decode(struct slice inside, struct buf *out) {
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "\"%.*s\"", SLICE_ARG(inside));
    struct json_doc doc = { .nodes = NULL };
    ORACLE(json_parse(&doc, buf_get(&text), &(struct json_error){ 0 }) == 0);
    json_decode_string(&doc, 0, out);
    json_deinit(&doc);
    buf_deinit(&text);
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static void swap_case(struct buf *b) {
    for (size_t i = 0; i < buf_len(b); i++)
        if (is_letter(b->data[b->mark + i])) b->data[b->mark + i] ^= 0x20;
}

static void print_story(const char *name, const struct story *s) {
    for (unsigned i = 0; i < s->len; i++)
        fprintf(stderr, "%s: choice %u kind %u %s %u: %.*s\n", name, s->things[i].choice, s->things[i].kind,
                s->things[i].member, s->things[i].part, SLICE_ARG(buf_get(&s->things[i].raw)));
}

/* The length of what s begins with: a piece of the plan's unit, or a separator (*is_piece false). */
static size_t piece_len(unsigned unit, struct slice s, bool *is_piece) {
    static const char WIDE[] = "\xe4\xb8\x96", MARK[] = "\xe3\x80\x82";
    size_t n = 0;
    *is_piece = false;
    if (unit == 2) { /* line */
        while (n < s.len && s.ptr[n] != '\n') n++;
        *is_piece = n > 0;
        return n > 0 ? n : 1;
    }
    if (strchr(" \t\n", s.ptr[0]) != NULL && s.ptr[0] != '\0') return 1;
    if (slice_starts(s, slice_str(MARK))) return 3;
    *is_piece = true;
    if (slice_starts(s, slice_str(WIDE))) return 3;
    for (struct slice rest = s; n < s.len; rest = slice_of(s.ptr + n, s.len - n)) {
        bool space = strchr(" \t\n", rest.ptr[0]) != NULL && rest.ptr[0] != '\0';
        if (space || slice_starts(rest, slice_str(MARK)) || slice_starts(rest, slice_str(WIDE))) break;
        n++;
    }
    return n;
}

/* The length of s up to where a JSON value is closed, or all of it. */
static size_t closed_len(struct slice s, int *depth, bool *quoted) {
    for (size_t i = 0; i < s.len; i++) {
        if (*quoted && s.ptr[i] == '\\' && i + 1 < s.len) {
            i++;
        } else if (s.ptr[i] == '"') {
            *quoted = !*quoted;
            if (!*quoted && *depth == 0) return i + 1;
        } else if (!*quoted && s.ptr[i] == '{') {
            ++*depth;
        } else if (!*quoted && s.ptr[i] == '}') {
            if (*depth > 0) --*depth;
            if (*depth == 0) return i + 1;
        }
    }
    return s.len;
}

/* Puts each piece of the text, taken as one, between < and >. */
static void mark_pieces(unsigned unit, bool json, struct buf *text) {
    struct buf out;
    int depth = 0;
    bool quoted = false;
    buf_init(&out, 0);
    for (struct slice s = buf_get(text); s.len > 0;) {
        bool is_piece;
        size_t len = piece_len(unit, s, &is_piece);
        if (json) len = closed_len(slice_of(s.ptr, len), &depth, &quoted);
        buf_printf(&out, is_piece ? "<%.*s>" : "%.*s", (int)len, s.ptr);
        s = slice_of(s.ptr + len, s.len - len);
    }
    buf_deinit(text);
    *text = out;
}

static bool same_thing(const struct plan *p, struct thing *came, struct thing *went) {
    struct buf a, b;
    buf_init(&a, 0);
    buf_init(&b, 0);
    decode(buf_get(&came->raw), &a);
    decode(buf_get(&went->raw), &b);
    bool mapped = p->kinds & 1u << came->kind;
    if (mapped && p->marks) mark_pieces(p->unit, came->kind == PIECE_ARGUMENTS, &a);
    else if (mapped && p->swap) swap_case(&a);
    bool same = slice_eq(buf_get(&a), buf_get(&b));
    buf_deinit(&a);
    buf_deinit(&b);
    return same;
}

static bool same_story(const struct plan *p, struct story *came, struct story *went) {
    for (unsigned i = 0; i < came->len; i++) {
        struct thing *o = find_thing(went, &came->things[i]);
        if (o == NULL || !same_thing(p, &came->things[i], o)) return false;
    }
    return came->len == went->len;
}

/* Every event has its place in what went out. */
static void check_bones(const struct run *came, const struct run *went, struct story *a, struct story *b) {
    struct buf want, got;
    unsigned k = 0;
    buf_init(&want, 0);
    buf_init(&got, 0);
    for (unsigned i = 0; i < came->count; i++) {
        skeleton(came, i, a, &want);
        for (;; k++) {
            if (k >= went->count) fprintf(stderr, "lost: %.*s\n", SLICE_ARG(came->frames[i]));
            ORACLE(k < went->count);
            skeleton(went, k, b, &got);
            if (slice_eq(buf_get(&want), buf_get(&got))) break;
            bool front = memmem(buf_get(&got).ptr, buf_len(&got), "logprobs", 8) == NULL &&
                         memmem(buf_get(&got).ptr, buf_len(&got), "usage", 5) == NULL &&
                         memmem(buf_get(&got).ptr, buf_len(&got), "\"finish_reason\"null,},],}", 25) != NULL;
            if (!front) fprintf(stderr, "want %.*s\ngot  %.*s\n", SLICE_ARG(buf_get(&want)), SLICE_ARG(buf_get(&got)));
            ORACLE(front && came->plan->stream);
        }
        k++;
    }
    ORACLE(k == went->count);
    buf_deinit(&want);
    buf_deinit(&got);
}

static void check_stories(const struct plan *p, const struct run *came, const struct run *went) {
    struct story a = { .mapped = false }, b = { .mapped = true };
    check_bones(came, went, &a, &b);
    bool same = same_story(p, &a, &b);
    if (!same) {
        fprintf(stderr, "unit %u kinds %x swap %d marks %d mixed %d\n", p->unit, p->kinds, p->swap, p->marks, p->mixed);
        print_story("came", &a);
        print_story("went", &b);
        fprintf(stderr, "came:\n%.*s\nwent:\n%.*s\n", SLICE_ARG(buf_get(&came->raw)), SLICE_ARG(buf_get(&went->raw)));
    }
    ORACLE(same);
    story_deinit(&a);
    story_deinit(&b);
}

struct ask {
    int         report;
    const char *key; /* NULL: the data of all events */
    struct buf *out;
};

static int ask_tap(lua_State *L, void *ud) {
    struct ask *a = ud;
    size_t len;
    lua_rawgeti(L, LUA_REGISTRYINDEX, a->report);
    lua_pushstring(L, a->key);
    if (a->key == NULL) lua_pop(L, 1), lua_pushnil(L);
    lua_call(L, 1, 1);
    const char *s = lua_tolstring(L, -1, &len);
    buf_put(a->out, s, len);
    return 0;
}

static void tapped(const struct run *run, const char *key, struct buf *out) {
    char err[256];
    buf_clear(out);
    ORACLE(state_call(world.state, ask_tap, &(struct ask){ run->report, key, out }, err, sizeof(err)) == 0);
}

/* Taps saw what went out, event by event, and the same strings in it. */
static void check_taps(const struct run *run) {
    struct buf want, got;
    struct story all = { .mapped = true };
    buf_init(&want, 0);
    buf_init(&got, 0);
    for (unsigned i = 0; i < run->count; i++) {
        buf_slice(&want, run->frames[i]);
        buf_putc(&want, '\n');
    }
    tapped(run, NULL, &got);
    ORACLE(slice_eq(buf_get(&want), buf_get(&got)));
    for (unsigned i = 0; i < run->count; i++) skeleton(run, i, &all, &want);
    for (unsigned i = 0; i < all.len; i++) {
        struct thing *t = &all.things[i];
        char key[64];
        /* Only single strings per kind are told alone; what several members and parts say is one to a tap. */
        bool text = t->kind == PIECE_TEXT && t->part == 0 && run->plan->kinds == 15;
        for (unsigned k = 0; k < all.len; k++)
            text &= k == i || all.things[k].kind != t->kind || all.things[k].choice != t->choice;
        if (!text) continue;
        snprintf(key, sizeof(key), "%u %s ", t->choice, piece_names[t->kind]);
        tapped(run, key, &got);
        buf_clear(&want);
        decode(buf_get(&t->raw), &want);
        ORACLE(slice_eq(buf_get(&want), buf_get(&got)));
    }
    story_deinit(&all);
    buf_deinit(&want);
    buf_deinit(&got);
}

/* What went out, read by a parser of streams: the same events, and JSON in each. */
struct reread {
    const struct run *run;
    unsigned          at;
};

static int on_reread(void *ud, const struct sse_event *ev) {
    struct reread *r = ud;
    ORACLE(r->at < r->run->count);
    ORACLE(slice_eq(ev->data, r->run->frames[r->at]));
    r->at++;
    return 0;
}

static void check_raw(const struct run *run) {
    struct sse e;
    struct reread r = { run, 0 };
    if (!run->plan->stream) return;
    sse_init(&e, 0);
    ORACLE(sse_feed(&e, buf_get(&run->raw), on_reread, &r) == 0 && r.at == run->count);
    sse_deinit(&e);
}

static void answer(struct run *run, const struct plan *p, struct slice bytes, bool mapped, uint64_t rng) {
    *run = (struct run){ .plan = p };
    buf_init(&run->text, 0);
    buf_init(&run->raw, 0);
    run_make(run, mapped);
    run_bytes(run, bytes, rng, p->reader == 0 ? 0 : fuzz_below(&rng, 40));
    run_end(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run came, went;
    static const unsigned sets[] = { 15, 1, 2, 8, 4, 9, 3, 15 }, sizes[] = { 1u << 20, 1, 7, 300 };
    struct choices_of c = { data, size < 2000 ? size : 2000 };
    uint64_t rng = fuzz_hash(data, size);
    world_open();
    unsigned how = take(&c, 256), more = take(&c, 256);
    struct plan p = { .stream = how % 8 != 7, .unit = how / 8 % 4, .swap = how & 128, .mixed = more % 8 == 7,
                      .kinds = sets[more / 8 % 8], .tap = more & 128, .choices = 1 + take(&c, 3) };
    p.marks = (p.unit == 1 || p.unit == 2) && !p.swap && more & 64;
    p.reader = take(&c, 3);
    p.most = sizes[take(&c, 4)];
    struct buf bytes;
    buf_init(&bytes, 0);
    put_answer(&bytes, &c, &p);

    answer(&came, &p, buf_get(&bytes), false, rng);
    answer(&went, &p, buf_get(&bytes), true, rng);
    check_raw(&went);
    if (p.broken) {
        ORACLE(went.failed);
    } else {
        if (came.failed || went.failed) fprintf(stderr, "failed: %s, %s\n%.*s\n", came.code, went.code, SLICE_ARG(buf_get(&bytes)));
        ORACLE(!came.failed && !went.failed);
        check_stories(&p, &came, &went);
    }
    if (p.tap) check_taps(&went);
    run_deinit(&came);
    run_deinit(&went);
    buf_deinit(&bytes);
    return 0;
}

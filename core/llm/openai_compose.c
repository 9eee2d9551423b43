/* openai_compose.c -- an answer made of pieces, and of other answers, in OpenAI's dialect.
 *
 *     a part's event   {"id":"X","model":"small","choices":[{"index":1,"delta":{"role":"assistant","content":"hi",
 *                       "tool_calls":[{"index":0,..}]},"finish_reason":"stop"}],"usage":{..}}
 *     told again       {"id":"A","model":"big",  "choices":[{"index":0,"delta":{"content":"hi",
 *                       "tool_calls":[{"index":2,..}]},"finish_reason":null}]}
 *
 * What a client reads is one stream: one id, one role for each choice (with the first thing it says), one end of each,
 * calls of tools with numbers of their own.  So of a part's event only what it says goes on, byte for byte; its end is
 * remembered (the answer goes on), usage is summed up elsewhere, an event that says nothing else disappears.  Members
 * that nobody here knows (logprobs of a choice, citations beside the choices) go on as they came.
 *
 * Why the answer ends, when its parts say several things: what was filtered or cut is neither whole nor well, whatever
 * the others are; a call of a tool waits for its result. */
#include "llm/openai.h"

#include "llm/composing.h"

/* -- Pieces --------------------------------------------------------------------------- */

void openai_compose_common(struct buf *out, struct slice id, struct slice model, uint64_t created) {
    buf_puts(out, "\"id\":");
    json_write_string(out, id);
    buf_puts(out, ",\"object\":\"chat.completion.chunk\",\"created\":");
    buf_u64(out, created);
    buf_puts(out, ",\"model\":");
    json_write_string(out, model);
    buf_putc(out, ',');
}

static void begin_choice(struct buf *out, unsigned choice, bool first) {
    buf_puts(out, "{\"index\":");
    buf_u64(out, choice);
    buf_puts(out, first ? ",\"delta\":{\"role\":\"assistant\"" : ",\"delta\":{");
}

static void begin(struct buf *out, struct slice common, unsigned choice, bool first) {
    buf_putc(out, '{');
    buf_slice(out, common);
    buf_puts(out, "\"choices\":[");
    begin_choice(out, choice, first);
}

void openai_compose_text(struct buf *out, struct slice common, unsigned choice, bool first, enum piece_kind kind,
                         struct slice text) {
    static const char *const names[] = { [PIECE_TEXT] = "\"content\":", [PIECE_REASONING] = "\"reasoning_content\":",
                                         [PIECE_REFUSAL] = "\"refusal\":" };
    begin(out, common, choice, first);
    if (first) buf_putc(out, ',');
    buf_puts(out, names[kind]);
    json_write_string(out, text);
    buf_puts(out, "},\"finish_reason\":null}]}");
}

void openai_compose_call(struct buf *out, struct slice common, unsigned choice, bool first, unsigned number,
                         const struct composing_call *call) {
    begin(out, common, choice, first);
    buf_puts(out, first ? ",\"content\":null,\"tool_calls\":[" : "\"tool_calls\":[");
    openai_call_write(out, &(struct openai_call){ number, call->id, call->name, call->arguments });
    buf_puts(out, "]},\"finish_reason\":null}]}");
}

void openai_compose_end(struct buf *out, struct slice common, unsigned choice, bool first, struct slice reason) {
    begin(out, common, choice, first);
    buf_puts(out, first ? ",\"content\":\"\"},\"finish_reason\":" : "},\"finish_reason\":");
    json_write_string(out, reason);
    buf_puts(out, "}]}");
}

/* -- Parts told again ------------------------------------------------------------------------ */

static bool is_named(const struct json_doc *d, uint32_t key, const struct slice *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (json_str_eq(d, key, names[i])) return true;
    return false;
}
#define IS_NAMED(d, key, names) is_named(d, key, names, sizeof(names) / sizeof(*(names)))

/* Is there anything in it: a letter, an element, a member? */
static bool says(const struct json_doc *d, uint32_t n) {
    enum json_type type = json_type(d, n);
    if (type == JSON_STRING) return json_raw(d, n).len > 2;
    if (type == JSON_ARRAY || type == JSON_OBJECT) return d->nodes[n].count > 0;
    return type != JSON_NULL;
}

static unsigned index_of(const struct json_doc *d, uint32_t object, unsigned place) {
    uint32_t n = json_get(d, object, SLICE("index"));
    uint64_t v;
    return json_is(d, n, JSON_NUMBER) && json_u64(d, n, &v) == 0 && v < UINT32_MAX ? (unsigned)v : place;
}

/* The members of an object but for those named, each with a comma in front of it unless it is the first. */
static void put_others(struct buf *out, const struct json_doc *d, uint32_t object, const struct slice *without,
                       size_t count, bool first) {
    for (uint32_t key = json_first(d, object); key != JSON_NONE;) {
        uint32_t value = json_next(d, object, key);
        if (!is_named(d, key, without, count)) {
            if (!first) buf_putc(out, ',');
            first = false;
            buf_slice(out, json_raw(d, key));
            buf_putc(out, ':');
            buf_slice(out, json_raw(d, value));
        }
        key = json_next(d, object, value);
    }
}

static void put_calls(struct buf *out, const struct json_doc *d, uint32_t list, unsigned choice, struct retold *how) {
    static const struct slice own[] = { SLICE("index") };
    unsigned place = 0;
    bool first = true;
    buf_puts(out, "\"tool_calls\":[");
    for (uint32_t n = json_first(d, list); n != JSON_NONE; n = json_next(d, list, n), place++) {
        if (!json_is(d, n, JSON_OBJECT)) continue;
        unsigned number = how->calls->number(how->calls, choice, index_of(d, n, place));
        how->failed |= number == UINT32_MAX;
        buf_puts(out, first ? "{\"index\":" : ",{\"index\":");
        first = false;
        buf_u64(out, number);
        put_others(out, d, n, own, 1, false);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

/* What a delta says; true when that is something.  `comma`: something stands in front of it. */
static bool put_delta(struct buf *out, const struct json_doc *d, uint32_t delta, unsigned choice, struct retold *how,
                      bool comma) {
    static const struct slice text[] = { SLICE("content") };
    bool any = false;
    for (uint32_t key = json_first(d, delta); key != JSON_NONE;) {
        uint32_t value = json_next(d, delta, key);
        bool skip = json_str_eq(d, key, SLICE("role")) || !says(d, value) ||
                    (how->without_text && IS_NAMED(d, key, text) && json_is(d, value, JSON_STRING));
        if (!skip) {
            if (comma || any) buf_putc(out, ',');
            any = true;
            if (json_str_eq(d, key, SLICE("tool_calls")) && json_is(d, value, JSON_ARRAY)) {
                put_calls(out, d, value, choice, how);
            } else {
                buf_slice(out, json_raw(d, key));
                buf_putc(out, ':');
                buf_slice(out, json_raw(d, value));
            }
        }
        key = json_next(d, delta, value);
    }
    return any;
}

static void note_reason(const struct json_doc *d, uint32_t choice, struct composing_choice *c) {
    struct buf text;
    if (!openai_is_finished(d, choice)) return;
    buf_init(&text, 0);
    json_decode_string(d, json_get(d, choice, SLICE("finish_reason")), &text);
    struct slice worse = openai_compose_worse(slice_str(c->reason), buf_get(&text));
    if (worse.ptr != c->reason && worse.len < sizeof(c->reason)) slice_copy(c->reason, sizeof(c->reason), worse);
    buf_deinit(&text);
}

/* One choice of a part; nothing is written when it says nothing. */
static bool put_choice(struct buf *out, const struct json_doc *d, uint32_t choice, unsigned as, struct retold *how,
                       bool comma) {
    static const struct slice own[] = { SLICE("index"), SLICE("delta"), SLICE("finish_reason"), SLICE("text") };
    struct composing_choice *c = &how->choices[as];
    uint32_t delta = json_get(d, choice, SLICE("delta")), text = json_get(d, choice, SLICE("text"));
    size_t from = buf_len(out);
    bool any = false, legacy = json_is(d, text, JSON_STRING) && !how->without_text && says(d, text);
    note_reason(d, choice, c);
    if (comma) buf_putc(out, ',');
    begin_choice(out, as, !c->begun);
    if (json_is(d, delta, JSON_OBJECT)) any = put_delta(out, d, delta, as, how, !c->begun);
    if (!any && legacy) {
        buf_puts(out, c->begun ? "\"content\":" : ",\"content\":");
        buf_slice(out, json_raw(d, text));
        any = true;
    }
    buf_puts(out, "},\"finish_reason\":null");
    put_others(out, d, choice, own, sizeof(own) / sizeof(*own), false);
    buf_putc(out, '}');
    if (any) c->begun = true;
    else if (!buf_failed(out)) out->len -= buf_len(out) - from;
    return any;
}

static bool find_choice(const struct retold *how, unsigned index, unsigned *as) {
    *as = how->only >= 0 ? how->as : index;
    return (how->only < 0 || (unsigned)how->only == index) && *as < how->count;
}

/* A line end would cut the event in two; JSON has them as white space only. */
static void join_lines(struct buf *out, size_t from) {
    for (size_t i = from; i < buf_len(out); i++) {
        char *c = out->data + out->mark + i;
        if (*c == '\n' || *c == '\r') *c = ' ';
    }
}

bool openai_compose_retell(struct buf *out, const struct json_doc *d, struct retold *how) {
    static const struct slice own[] = { SLICE("id"), SLICE("object"), SLICE("created"), SLICE("model"),
                                        SLICE("choices"), SLICE("usage"), SLICE("system_fingerprint"),
                                        SLICE("service_tier"), SLICE("error"), SLICE("obfuscation") };
    size_t from = buf_len(out);
    bool any = false;
    unsigned place = 0, as;
    if (!json_is(d, 0, JSON_OBJECT)) return false;
    uint32_t list = json_get(d, 0, SLICE("choices"));
    buf_putc(out, '{');
    buf_slice(out, how->common);
    buf_puts(out, "\"choices\":[");
    for (uint32_t n = json_is(d, list, JSON_ARRAY) ? json_first(d, list) : JSON_NONE; n != JSON_NONE;
         n = json_next(d, list, n), place++)
        if (json_is(d, n, JSON_OBJECT) && find_choice(how, index_of(d, n, place), &as))
            any |= put_choice(out, d, n, as, how, any);
    buf_putc(out, ']');
    size_t bare = buf_len(out);
    put_others(out, d, 0, own, sizeof(own) / sizeof(*own), false);
    any |= buf_len(out) > bare; /* citations and the like, which some send in events of their own */
    buf_putc(out, '}');
    if (any) join_lines(out, from);
    else if (!buf_failed(out)) out->len -= buf_len(out) - from;
    return any;
}

/* ORDER of badness.  One that is not listed stands between a call and a stop. */
struct slice openai_compose_worse(struct slice a, struct slice b) {
    static const struct slice known[] = { SLICE("content_filter"), SLICE("length"), SLICE("tool_calls"),
                                          SLICE("function_call") };
    if (a.len == 0 || b.len == 0) return a.len > 0 ? a : b;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (slice_eq(a, known[i])) return a;
        if (slice_eq(b, known[i])) return b;
    }
    return slice_eq(a, SLICE("stop")) ? b : a;
}

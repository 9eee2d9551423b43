/* assemble.c -- the chunks of a stream, put together to the answer that they are pieces of.
 *
 *     {"id":..,"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}
 *     {"id":..,"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}
 *       -> {"id":..,"object":"chat.completion","choices":[{"index":0,
 *           "message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}
 *
 * Some upstreams stream whether they were asked to or not; this is for a client that was
 * not.  How values grow is merge.c's; here is where what grows: everything in a delta, logprobs and text of
 * a choice.  Of the members beside those the last counts, but not one that says nothing: null, "", or created 0.  Calls
 * of tools are told apart by tool_calls.c, and stand in the order in which they began; their index says nothing in a
 * whole answer, and is left out. */
#include "llm/assemble.h"

#include "base/mem.h"
#include "include/perilune.h"
#include "llm/tool_calls.h"

#define CHOICES_MAX 128 /* OpenAI's most */

struct assemble_choice {
    bool              seen, has_delta;
    struct merged     message, tools; /* tools: the list of calls, by number */
    struct merged     rest;           /* members beside the message */
    struct tool_calls calls;
    struct buf        reason;         /* JSON */
};

/* -- Life --------------------------------------------------------------------------- */

void assemble_init(struct assemble *a, size_t limit) {
    *a = (struct assemble){ .left = limit != 0 ? limit : SIZE_MAX };
}

static void choice_deinit(struct assemble_choice *c) {
    merged_deinit(&c->message);
    merged_deinit(&c->tools);
    merged_deinit(&c->rest);
    tool_calls_deinit(&c->calls);
    buf_deinit(&c->reason);
}

void assemble_deinit(struct assemble *a) {
    for (unsigned i = 0; i < a->count; i++) choice_deinit(&a->choices[i]);
    mem_free(a->choices);
    merged_deinit(&a->head);
    buf_deinit(&a->usage);
    *a = (struct assemble){ .left = a->left };
}

/* -- Taking ------------------------------------------------------------------------- */

static unsigned index_of(const struct json_doc *d, uint32_t object, unsigned otherwise) {
    uint32_t n = json_get(d, object, SLICE("index"));
    uint64_t v = otherwise;
    if (json_is(d, n, JSON_NUMBER)) json_u64(d, n, &v);
    return v < CHOICES_MAX ? (unsigned)v : CHOICES_MAX;
}

/* The choice of this index; what is new is zero. */
static struct assemble_choice *choice_at(struct assemble *a, unsigned index) {
    if (index < a->count) return &a->choices[index];
    struct assemble_choice *more = mem_realloc(a->choices, (index + 1) * sizeof(*more));
    if (more == NULL) return NULL;
    memset(more + a->count, 0, (index + 1 - a->count) * sizeof(*more));
    a->choices = more;
    a->count = index + 1;
    return &more[index];
}

static int replace(const struct json_doc *d, uint32_t n, struct buf *with) {
    if (n == JSON_NONE || json_type(d, n) == JSON_NULL) return 0;
    buf_clear(with);
    buf_slice(with, json_raw(d, n));
    return buf_failed(with) ? PERILUNE_ERR_NOMEM : 0;
}

static int add_calls(struct assemble_choice *c, const struct merging *from, uint32_t list) {
    const struct json_doc *d = from->doc;
    struct tool_call_at at = { .among = d->nodes[list].count };
    for (uint32_t n = json_first(d, list); n != JSON_NONE; n = json_next(d, list, n), at.place++) {
        unsigned number;
        if (!json_is(d, n, JSON_OBJECT)) continue;
        at.call = n;
        int rc = tool_calls_find(&c->calls, d, &at, &number);
        if (rc == 0) rc = merge_element(&c->tools, from, number, n);
        if (rc != 0) return rc;
    }
    return 0;
}

static int add_delta(struct assemble_choice *c, const struct merging *from, uint32_t delta) {
    const struct json_doc *d = from->doc;
    int rc = 0;
    for (uint32_t key = json_first(d, delta); rc == 0 && key != JSON_NONE;) {
        uint32_t value = json_next(d, delta, key);
        bool calls = json_is(d, value, JSON_ARRAY) && json_str_eq(d, key, SLICE("tool_calls"));
        rc = calls ? add_calls(c, from, value) : merge_member(&c->message, from, key, value, MERGE_GROW);
        key = json_next(d, delta, value);
    }
    return rc;
}

/* One of the choice's members, but for the delta. */
static int add_beside(struct assemble_choice *c, const struct merging *from, uint32_t key, uint32_t value) {
    static const char *const otherwise[] = { "index", "delta", "message", "finish_reason" };
    const struct json_doc *d = from->doc;
    for (size_t i = 0; i < sizeof(otherwise) / sizeof(*otherwise); i++)
        if (json_str_eq(d, key, slice_str(otherwise[i]))) return 0;
    bool grows = json_str_eq(d, key, SLICE("logprobs")) || json_str_eq(d, key, SLICE("text"));
    return merge_member(&c->rest, from, key, value, grows ? MERGE_GROW : MERGE_LAST);
}

/* The delta; or a message in its place, unless it tells again what deltas have told. */
static int add_said(struct assemble_choice *c, const struct merging *from, uint32_t choice) {
    uint32_t said = json_get(from->doc, choice, SLICE("delta"));
    bool delta = json_is(from->doc, said, JSON_OBJECT);
    c->has_delta |= delta;
    if (!c->has_delta) said = json_get(from->doc, choice, SLICE("message"));
    return json_is(from->doc, said, JSON_OBJECT) ? add_delta(c, from, said) : 0;
}

static int add_choice(struct assemble *a, const struct merging *from, uint32_t choice, unsigned place) {
    const struct json_doc *d = from->doc;
    unsigned at = index_of(d, choice, place);
    if (at >= CHOICES_MAX) return PERILUNE_ERR_UPSTREAM;
    struct assemble_choice *c = choice_at(a, at);
    if (c == NULL) return PERILUNE_ERR_NOMEM;
    c->seen = true;
    int rc = add_said(c, from, choice);
    for (uint32_t key = json_first(d, choice); rc == 0 && key != JSON_NONE;) {
        uint32_t value = json_next(d, choice, key);
        rc = add_beside(c, from, key, value);
        key = json_next(d, choice, value);
    }
    return rc != 0 ? rc : replace(d, json_get(d, choice, SLICE("finish_reason")), &c->reason);
}

/* Azure's, in chunks that are of no answer: the first, with the verdict on the prompt. */
static bool is_no_time(const struct json_doc *d, uint32_t key, uint32_t value) {
    uint64_t v = 1;
    if (!json_is(d, value, JSON_NUMBER) || !json_str_eq(d, key, SLICE("created"))) return false;
    return json_u64(d, value, &v) == 0 && v == 0;
}

/* All members but those that a whole answer has otherwise. */
static int add_head(struct assemble *a, const struct merging *from) {
    const struct json_doc *d = from->doc;
    int rc = 0;
    for (uint32_t key = json_first(d, 0); rc == 0 && key != JSON_NONE;) {
        uint32_t value = json_next(d, 0, key);
        if (!json_str_eq(d, key, SLICE("object")) && !json_str_eq(d, key, SLICE("choices")) &&
            !json_str_eq(d, key, SLICE("usage")) && !(is_no_time(d, key, value) && merged_get(&a->head, "created")))
            rc = merge_member(&a->head, from, key, value, MERGE_LAST);
        key = json_next(d, 0, value);
    }
    return rc;
}

int assemble_add(struct assemble *a, const struct json_doc *d) {
    const struct merging from = { d, &a->left };
    if (json_type(d, 0) != JSON_OBJECT) return 0;
    if (d->text.len > a->left) return PERILUNE_ERR_LIMITED;
    a->left -= d->text.len;
    uint32_t choices = json_get(d, 0, SLICE("choices"));
    int rc = replace(d, json_get(d, 0, SLICE("usage")), &a->usage);
    if (rc == 0) rc = add_head(a, &from);
    if (rc != 0 || !json_is(d, choices, JSON_ARRAY)) return rc;
    unsigned place = 0;
    for (uint32_t n = json_first(d, choices); rc == 0 && n != JSON_NONE; n = json_next(d, choices, n))
        if (json_is(d, n, JSON_OBJECT)) rc = add_choice(a, &from, n, place++);
    return rc;
}

/* -- Writing ------------------------------------------------------------------------ */

static void put_name(struct buf *out, struct slice name) {
    buf_slice(out, name);
    buf_putc(out, ':');
}

/* Libraries want both members, whether the upstream said them or not. */
static void put_function(struct buf *out, const struct merged *fn) {
    buf_puts(out, "{\"name\":");
    const struct merged *name = merged_get(fn, "name"), *arguments = merged_get(fn, "arguments");
    if (name != NULL) merged_write(out, name);
    else buf_puts(out, "\"\"");
    for (unsigned i = 0; i < fn->count; i++) {
        if (merged_is(&fn->items[i], "name")) continue;
        buf_putc(out, ',');
        put_name(out, buf_get(&fn->items[i].name));
        merged_write(out, &fn->items[i].value);
    }
    buf_puts(out, arguments != NULL ? "}" : ",\"arguments\":\"\"}");
}

static void put_call(struct buf *out, const struct merged *call) {
    const struct merged *id = merged_get(call, "id"), *type = merged_get(call, "type");
    buf_puts(out, "{\"id\":");
    if (id != NULL) merged_write(out, id);
    else buf_puts(out, "\"\"");
    buf_puts(out, ",\"type\":");
    if (type != NULL) merged_write(out, type);
    else buf_puts(out, merged_get(call, "custom") ? "\"custom\"" : "\"function\"");
    for (unsigned i = 0; i < call->count; i++) {
        const struct merged_item *m = &call->items[i];
        if (merged_is(m, "id") || merged_is(m, "type") || merged_is(m, "index")) continue;
        buf_putc(out, ',');
        put_name(out, buf_get(&m->name));
        if (merged_is(m, "function") && m->value.type == MERGED_OBJECT) put_function(out, &m->value);
        else merged_write(out, &m->value);
    }
    buf_putc(out, '}');
}

static void put_calls(struct buf *out, const struct merged *tools) {
    buf_puts(out, ",\"tool_calls\":[");
    for (unsigned i = 0; i < tools->count; i++) {
        if (i > 0) buf_putc(out, ',');
        put_call(out, &tools->items[i].value);
    }
    buf_putc(out, ']');
}

static void put_message(struct buf *out, const struct assemble_choice *c) {
    const struct merged *m = &c->message;
    bool first = true;
    buf_putc(out, '{');
    for (unsigned i = 0; i < m->count; i++) {
        if (c->tools.count > 0 && merged_is(&m->items[i], "tool_calls")) continue; /* null, before there were some */
        if (!first) buf_putc(out, ',');
        first = false;
        put_name(out, buf_get(&m->items[i].name));
        merged_write(out, &m->items[i].value);
    }
    if (merged_get(m, "role") == NULL) buf_puts(out, first ? "\"role\":\"assistant\"" : ",\"role\":\"assistant\"");
    if (merged_get(m, "content") == NULL) buf_puts(out, ",\"content\":null");
    if (c->tools.count > 0) put_calls(out, &c->tools);
    buf_putc(out, '}');
}

static void put_choice(struct buf *out, const struct assemble_choice *c, unsigned index) {
    buf_puts(out, "{\"index\":");
    buf_u64(out, index);
    buf_puts(out, ",\"message\":");
    put_message(out, c);
    for (unsigned i = 0; i < c->rest.count; i++) {
        buf_putc(out, ',');
        put_name(out, buf_get(&c->rest.items[i].name));
        merged_write(out, &c->rest.items[i].value);
    }
    buf_puts(out, ",\"finish_reason\":");
    buf_slice(out, buf_len(&c->reason) > 0 ? buf_get(&c->reason) : SLICE("null"));
    buf_putc(out, '}');
}

bool assemble_write(const struct assemble *a, struct buf *out) {
    bool first = true;
    if (a->count == 0) return false;
    buf_putc(out, '{');
    for (unsigned i = 0; i < a->head.count; i++) {
        put_name(out, buf_get(&a->head.items[i].name));
        merged_write(out, &a->head.items[i].value);
        buf_putc(out, ',');
    }
    buf_puts(out, "\"object\":\"chat.completion\",\"choices\":[");
    for (unsigned i = 0; i < a->count; i++) {
        if (!a->choices[i].seen) continue;
        if (!first) buf_putc(out, ',');
        first = false;
        put_choice(out, &a->choices[i], i);
    }
    buf_putc(out, ']');
    if (buf_len(&a->usage) > 0) {
        buf_puts(out, ",\"usage\":");
        buf_slice(out, buf_get(&a->usage));
    }
    buf_putc(out, '}');
    return true;
}

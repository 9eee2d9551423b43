/* prefill.c -- a request for the rest of an answer, and that rest as part of it.
 *
 *     {"messages":[{"role":"user",...}],"max_tokens":500}        "The three steps are: first,"  (broke off here)
 *
 *     {"messages":[{"role":"user",...},{"role":"assistant","content":"The three steps are: first,"}],
 *      "max_tokens":493, "continue_final_message":true, "add_generation_prompt":false}
 *
 * What a model has said becomes the beginning of what it is to say.  All else stays byte for byte, but for the limit
 * on tokens, of which the part that was used is taken off (by estimate: 1 at least).
 *
 * The events of the rest come from another answer, with an id of its own; clients put together what has one id, and
 * some add up every string, the role as well.  So each event gets the members of the first answer, and no role. */
#include "llm/prefill.h"

#include <string.h>

enum prefill prefill_named(const char *name) {
    static const char *const names[] = { "", "assistant", "prefix", "continue_final_message" }; /* ORDER prefill */
    for (unsigned i = 1; name != NULL && i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i]) == 0) return (enum prefill)i;
    return PREFILL_NONE;
}

/* -- The request --------------------------------------------------------------------- */

static bool is_there(const struct json_doc *doc, const char *key) {
    uint32_t n = json_get(doc, 0, slice_str(key));
    if (n == JSON_NONE || json_type(doc, n) == JSON_NULL || json_type(doc, n) == JSON_FALSE) return false;
    return json_type(doc, n) != JSON_ARRAY || doc->nodes[n].count > 0;
}

static uint32_t last_message(const struct json_doc *doc, const struct chat *c) {
    uint32_t last = JSON_NONE;
    for (uint32_t m = json_first(doc, c->messages); m != JSON_NONE; m = json_next(doc, c->messages, m)) last = m;
    return last;
}

bool prefill_suits(const struct json_doc *doc, const struct chat *c) {
    if (c->messages == JSON_NONE || chat_choices(doc) != 1) return false;
    static const char *const others[] = { "tools", "functions", "logprobs", "audio", "continue_final_message" };
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (is_there(doc, others[i])) return false;
    uint32_t last = last_message(doc, c), role = last != JSON_NONE ? json_get(doc, last, SLICE("role")) : JSON_NONE;
    return role != JSON_NONE && !json_str_eq(doc, role, SLICE("assistant"));
}

/* Where the text is changed: at a place, `len` bytes go, and a text comes. */
struct change {
    size_t at, len;
    enum { MESSAGE, FLAGS, LIMIT } what;
};

static void add_change(struct change *list, unsigned *n, struct change c) {
    unsigned i = (*n)++;
    for (; i > 0 && list[i - 1].at > c.at; i--) list[i] = list[i - 1];
    list[i] = c;
}

static void add_limit(const struct json_doc *doc, const char *key, struct change *list, unsigned *n) {
    uint32_t node = json_get(doc, 0, slice_str(key));
    if (!json_is(doc, node, JSON_NUMBER)) return;
    const struct json_node *x = &doc->nodes[node];
    add_change(list, n, (struct change){ x->start, x->end - x->start, LIMIT });
}

static void write_message(struct buf *out, enum prefill how, struct slice said) {
    buf_puts(out, ",{\"role\":\"assistant\",\"content\":");
    json_write_string(out, said);
    if (how == PREFILL_PREFIX) buf_puts(out, ",\"prefix\":true");
    buf_putc(out, '}');
}

static void write_limit(const struct json_doc *doc, const struct change *c, struct slice said, struct buf *out) {
    uint64_t used = text_estimate_tokens(said), limit = 0;
    const char *p = doc->text.ptr + c->at;
    for (size_t i = 0; i < c->len && p[i] >= '0' && p[i] <= '9' && limit < 1u << 30; i++)
        limit = limit * 10 + (uint64_t)(p[i] - '0');
    buf_u64(out, limit > used ? limit - used : 1);
}

void prefill_write(const struct json_doc *doc, const struct chat *c, enum prefill how, struct slice said,
                   struct buf *out) {
    struct change changes[4];
    unsigned count = 0;
    size_t at = 0;
    add_change(changes, &count, (struct change){ doc->nodes[c->messages].end - 1, 0, MESSAGE });
    add_change(changes, &count, (struct change){ doc->nodes[0].end - 1, 0, FLAGS });
    add_limit(doc, "max_tokens", changes, &count);
    add_limit(doc, "max_completion_tokens", changes, &count);
    for (unsigned i = 0; i < count; i++) {
        buf_put(out, doc->text.ptr + at, changes[i].at - at);
        at = changes[i].at + changes[i].len;
        if (changes[i].what == MESSAGE) write_message(out, how, said);
        else if (changes[i].what == LIMIT) write_limit(doc, &changes[i], said, out);
        else if (how == PREFILL_CONTINUE)
            buf_puts(out, ",\"continue_final_message\":true,\"add_generation_prompt\":false");
    }
    buf_put(out, doc->text.ptr + at, doc->text.len - at);
}

/* -- The rest -------------------------------------------------------------------------- */

static void put_member(const struct json_doc *doc, uint32_t key, uint32_t value, bool *first, struct buf *out) {
    if (!*first) buf_putc(out, ',');
    *first = false;
    buf_slice(out, json_raw(doc, key));
    buf_putc(out, ':');
    if (value != JSON_NONE) buf_slice(out, json_raw(doc, value));
}

static void put_without_role(const struct json_doc *doc, uint32_t delta, struct buf *out) {
    bool first = true;
    buf_putc(out, '{');
    for (uint32_t key = json_first(doc, delta); key != JSON_NONE;) {
        uint32_t value = json_next(doc, delta, key);
        if (!json_str_eq(doc, key, SLICE("role"))) put_member(doc, key, value, &first, out);
        key = json_next(doc, delta, value);
    }
    buf_putc(out, '}');
}

static void put_choice(const struct json_doc *doc, uint32_t choice, struct buf *out) {
    bool first = true;
    buf_putc(out, '{');
    for (uint32_t key = json_first(doc, choice); key != JSON_NONE;) {
        uint32_t value = json_next(doc, choice, key);
        bool delta = json_str_eq(doc, key, SLICE("delta")) && json_is(doc, value, JSON_OBJECT);
        put_member(doc, key, delta ? JSON_NONE : value, &first, out);
        if (delta) put_without_role(doc, value, out);
        key = json_next(doc, choice, value);
    }
    buf_putc(out, '}');
}

static void put_choices(const struct json_doc *doc, uint32_t choices, struct buf *out) {
    bool first = true;
    buf_puts(out, "\"choices\":[");
    for (uint32_t c = json_first(doc, choices); c != JSON_NONE; c = json_next(doc, choices, c)) {
        if (!first) buf_putc(out, ',');
        first = false;
        if (json_is(doc, c, JSON_OBJECT)) put_choice(doc, c, out);
        else buf_slice(out, json_raw(doc, c));
    }
    buf_putc(out, ']');
}

void prefill_write_rest(const struct json_doc *doc, struct slice common, struct buf *out) {
    uint32_t choices = json_get(doc, 0, SLICE("choices")), usage = json_get(doc, 0, SLICE("usage"));
    buf_putc(out, '{');
    buf_slice(out, common); /* ends with a comma */
    if (json_is(doc, choices, JSON_ARRAY)) put_choices(doc, choices, out);
    else buf_puts(out, "\"choices\":[]");
    if (usage != JSON_NONE) {
        buf_putc(out, ',');
        buf_puts(out, "\"usage\":");
        buf_slice(out, json_raw(doc, usage));
    }
    buf_putc(out, '}');
}

/* assemble.c -- the chunks of a stream, put together to the answer that they are pieces of.
 *
 *     {"id":..,"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}
 *     {"id":..,"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}
 *       -> {"id":..,"object":"chat.completion","choices":[{"index":0,
 *           "message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}
 *
 * Some upstreams stream whether they were asked to or not; this is for a client that was
 * not.  A choice is a few texts that grow (content, reasoning, refusal), and calls of tools,
 * whose arguments grow.  Texts are kept decoded and written as JSON at the end.  What is
 * not text is kept as it came: the last that was not null counts.  Members of a delta that
 * nobody knows are texts when they are strings, so that they grow, too. */
#include "llm/assemble.h"

#include "base/mem.h"
#include "include/perilune.h"

#define CHOICES_MAX 128 /* OpenAI's most */
#define CALLS_MAX   128 /* tools of one answer */
#define TEXTS_MAX   8   /* kinds of text in one message */

struct text {
    char       name[32];
    struct buf value; /* decoded */
};

struct tool_call {
    struct buf id, name, arguments; /* decoded */
};

struct assemble_choice {
    bool              seen;
    struct text       texts[TEXTS_MAX];
    unsigned          text_count;
    struct tool_call *calls;
    unsigned          call_count;
    struct buf        reason, logprobs; /* JSON: a string; the elements of an array */
};

/* -- Life --------------------------------------------------------------------------- */

void assemble_init(struct assemble *a, size_t limit) { *a = (struct assemble){ .limit = limit }; }

static void choice_deinit(struct assemble_choice *c) {
    for (unsigned i = 0; i < c->text_count; i++) buf_deinit(&c->texts[i].value);
    for (unsigned i = 0; i < c->call_count; i++) {
        buf_deinit(&c->calls[i].id);
        buf_deinit(&c->calls[i].name);
        buf_deinit(&c->calls[i].arguments);
    }
    mem_free(c->calls);
    buf_deinit(&c->reason);
    buf_deinit(&c->logprobs);
}

void assemble_deinit(struct assemble *a) {
    for (unsigned i = 0; i < a->count; i++) choice_deinit(&a->choices[i]);
    mem_free(a->choices);
    buf_deinit(&a->head);
    buf_deinit(&a->usage);
    assemble_init(a, a->limit);
}

/* Room for the element at index of an array; what is new is zero.  False: no memory. */
static bool make_room(void **array, unsigned *count, unsigned index, size_t size) {
    if (index < *count) return true;
    char *more = mem_realloc(*array, (index + 1) * size);
    if (more == NULL) return false;
    memset(more + *count * size, 0, (index + 1 - *count) * size);
    *array = more;
    *count = index + 1;
    return true;
}

/* -- Taking ------------------------------------------------------------------------- */

static unsigned index_of(const struct json_doc *d, uint32_t object, unsigned otherwise) {
    uint32_t n = json_get(d, object, SLICE("index"));
    uint64_t v = otherwise;
    if (json_is(d, n, JSON_NUMBER)) json_u64(d, n, &v);
    return v < 1000 ? (unsigned)v : 1000;
}

static int grow(const struct json_doc *d, uint32_t n, struct buf *to) {
    if (json_is(d, n, JSON_STRING)) json_decode_string(d, n, to);
    return buf_failed(to) ? PERILUNE_ERR_NOMEM : 0;
}

static int replace(const struct json_doc *d, uint32_t n, struct buf *with) {
    if (n == JSON_NONE || json_type(d, n) == JSON_NULL) return 0;
    buf_clear(with);
    buf_slice(with, json_raw(d, n));
    return buf_failed(with) ? PERILUNE_ERR_NOMEM : 0;
}

/* The role comes once, and again with some in every chunk. */
static bool is_said_once(const struct text *t) { return strcmp(t->name, "role") == 0 && buf_len(&t->value) > 0; }

static int add_text(struct assemble_choice *c, const struct json_doc *d, uint32_t key, uint32_t value) {
    unsigned i = 0;
    while (i < c->text_count && !json_str_eq(d, key, slice_str(c->texts[i].name))) i++;
    if (i == c->text_count) {
        struct slice raw = json_raw(d, key);
        bool fits = i < TEXTS_MAX && raw.len - 2 < sizeof(c->texts[i].name);
        if (!fits || memchr(raw.ptr, '\\', raw.len) != NULL) return 0;
        slice_copy(c->texts[i].name, sizeof(c->texts[i].name), json_plain(d, key));
        c->text_count++;
    }
    return is_said_once(&c->texts[i]) ? 0 : grow(d, value, &c->texts[i].value);
}

static int add_call(struct assemble_choice *c, const struct json_doc *d, uint32_t call, unsigned place) {
    unsigned at = index_of(d, call, place);
    if (at >= CALLS_MAX) return PERILUNE_ERR_LIMITED;
    if (!make_room((void **)&c->calls, &c->call_count, at, sizeof(*c->calls))) return PERILUNE_ERR_NOMEM;
    struct tool_call *t = &c->calls[at];
    uint32_t fn = json_get(d, call, SLICE("function"));
    int err = buf_len(&t->id) == 0 ? grow(d, json_get(d, call, SLICE("id")), &t->id) : 0;
    if (err != 0 || !json_is(d, fn, JSON_OBJECT)) return err;
    if (buf_len(&t->name) == 0) err = grow(d, json_get(d, fn, SLICE("name")), &t->name);
    return err != 0 ? err : grow(d, json_get(d, fn, SLICE("arguments")), &t->arguments);
}

static int add_delta(struct assemble_choice *c, const struct json_doc *d, uint32_t delta) {
    int err = 0;
    for (uint32_t key = json_first(d, delta); err == 0 && key != JSON_NONE;) {
        uint32_t value = json_next(d, delta, key);
        if (json_str_eq(d, key, SLICE("tool_calls")) && json_is(d, value, JSON_ARRAY)) {
            unsigned place = 0;
            for (uint32_t n = json_first(d, value); err == 0 && n != JSON_NONE; n = json_next(d, value, n))
                if (json_is(d, n, JSON_OBJECT)) err = add_call(c, d, n, place++);
        } else if (json_is(d, value, JSON_STRING)) {
            err = add_text(c, d, key, value);
        }
        key = json_next(d, delta, value);
    }
    return err;
}

static int add_logprobs(struct assemble_choice *c, const struct json_doc *d, uint32_t logprobs) {
    uint32_t list = json_is(d, logprobs, JSON_OBJECT) ? json_get(d, logprobs, SLICE("content")) : JSON_NONE;
    if (!json_is(d, list, JSON_ARRAY)) return 0;
    for (uint32_t n = json_first(d, list); n != JSON_NONE; n = json_next(d, list, n)) {
        if (buf_len(&c->logprobs) > 0) buf_putc(&c->logprobs, ',');
        buf_slice(&c->logprobs, json_raw(d, n));
    }
    return buf_failed(&c->logprobs) ? PERILUNE_ERR_NOMEM : 0;
}

static int add_choice(struct assemble *a, const struct json_doc *d, uint32_t choice, unsigned place) {
    unsigned at = index_of(d, choice, place);
    if (at >= CHOICES_MAX) return PERILUNE_ERR_LIMITED;
    if (!make_room((void **)&a->choices, &a->count, at, sizeof(*a->choices))) return PERILUNE_ERR_NOMEM;
    struct assemble_choice *c = &a->choices[at];
    c->seen = true;
    uint32_t delta = json_get(d, choice, SLICE("delta"));
    int err = json_is(d, delta, JSON_OBJECT) ? add_delta(c, d, delta) : 0;
    if (err == 0) err = add_logprobs(c, d, json_get(d, choice, SLICE("logprobs")));
    return err != 0 ? err : replace(d, json_get(d, choice, SLICE("finish_reason")), &c->reason);
}

/* All members of the first chunk but those that a whole answer has otherwise. */
static int take_head(struct assemble *a, const struct json_doc *d) {
    for (uint32_t key = json_first(d, 0); key != JSON_NONE;) {
        uint32_t value = json_next(d, 0, key);
        if (!json_str_eq(d, key, SLICE("object")) && !json_str_eq(d, key, SLICE("choices")) &&
            !json_str_eq(d, key, SLICE("usage"))) {
            buf_slice(&a->head, json_raw(d, key));
            buf_putc(&a->head, ':');
            buf_slice(&a->head, json_raw(d, value));
            buf_putc(&a->head, ',');
        }
        key = json_next(d, 0, value);
    }
    return buf_failed(&a->head) ? PERILUNE_ERR_NOMEM : 0;
}

int assemble_add(struct assemble *a, const struct json_doc *d) {
    if (json_type(d, 0) != JSON_OBJECT) return 0;
    a->size += d->text.len;
    if (a->size > a->limit) return PERILUNE_ERR_LIMITED;
    uint32_t choices = json_get(d, 0, SLICE("choices"));
    int err = replace(d, json_get(d, 0, SLICE("usage")), &a->usage);
    if (err != 0 || !json_is(d, choices, JSON_ARRAY) || d->nodes[choices].count == 0) return err;
    if (buf_len(&a->head) == 0) err = take_head(a, d);
    unsigned place = 0;
    for (uint32_t n = json_first(d, choices); err == 0 && n != JSON_NONE; n = json_next(d, choices, n))
        if (json_is(d, n, JSON_OBJECT)) err = add_choice(a, d, n, place++);
    return err;
}

/* -- Writing ------------------------------------------------------------------------ */

static void put_calls(struct buf *out, const struct assemble_choice *c) {
    buf_puts(out, ",\"tool_calls\":[");
    for (unsigned i = 0; i < c->call_count; i++) {
        buf_puts(out, i > 0 ? ",{\"id\":" : "{\"id\":");
        json_write_string(out, buf_get(&c->calls[i].id));
        buf_puts(out, ",\"type\":\"function\",\"function\":{\"name\":");
        json_write_string(out, buf_get(&c->calls[i].name));
        buf_puts(out, ",\"arguments\":");
        json_write_string(out, buf_get(&c->calls[i].arguments));
        buf_puts(out, "}}");
    }
    buf_putc(out, ']');
}

static void put_message(struct buf *out, const struct assemble_choice *c) {
    bool role = false, content = false;
    buf_putc(out, '{');
    for (unsigned i = 0; i < c->text_count; i++) {
        role |= strcmp(c->texts[i].name, "role") == 0;
        content |= strcmp(c->texts[i].name, "content") == 0;
        buf_puts(out, i > 0 ? "," : "");
        json_write_string(out, slice_str(c->texts[i].name));
        buf_putc(out, ':');
        json_write_string(out, buf_get(&c->texts[i].value));
    }
    if (!role) buf_puts(out, c->text_count > 0 ? ",\"role\":\"assistant\"" : "\"role\":\"assistant\"");
    if (!content) buf_puts(out, ",\"content\":null");
    if (c->call_count > 0) put_calls(out, c);
    buf_putc(out, '}');
}

static void put_choice(struct buf *out, const struct assemble_choice *c, unsigned index) {
    buf_puts(out, "{\"index\":");
    buf_u64(out, index);
    buf_puts(out, ",\"message\":");
    put_message(out, c);
    if (buf_len(&c->logprobs) > 0) {
        buf_puts(out, ",\"logprobs\":{\"content\":[");
        buf_slice(out, buf_get(&c->logprobs));
        buf_puts(out, "]}");
    }
    buf_puts(out, ",\"finish_reason\":");
    buf_slice(out, buf_len(&c->reason) > 0 ? buf_get(&c->reason) : SLICE("null"));
    buf_putc(out, '}');
}

bool assemble_write(const struct assemble *a, struct buf *out) {
    bool first = true;
    if (a->count == 0) return false;
    buf_putc(out, '{');
    buf_slice(out, buf_get(&a->head));
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

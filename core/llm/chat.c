/* chat.c -- reading a request, and editing it by splicing.
 *
 * Only what the gateway itself relies on is checked: that the body is an object,
 * that `messages` is an array of objects with a role, that `model`, `stream` and
 * `stream_options` have their types.  Everything else (tools, content parts,
 * fields of next year) is the upstream's business and travels untouched.
 *
 *     {"model":"a", "x":1e999, "model":"b", "messages":[...]}
 *               ^^^                     ^^^   two splices; the rest is memcpy */
#include "llm/chat.h"

#include <stdio.h>

int chat_parse(struct json_doc *doc, struct slice body, struct failure *f) {
    struct json_error err = { 0 };
    int rc = json_parse(doc, body, &err);
    if (rc == PERILUNE_ERR_NOMEM) {
        failure_set(f, FAILURE_NO_MEMORY, "out of memory while reading the body");
    } else if (rc != 0) {
        failure_set(f, FAILURE_INVALID_JSON, "the body is not valid JSON: %s at byte %zu", err.message,
                    err.offset);
    }
    return rc;
}

static int bad_field(struct failure *f, const struct json_doc *doc, uint32_t node, const char *param,
                     const char *must) {
    size_t at = node == JSON_NONE ? 0 : doc->nodes[node].start;
    failure_set(f, FAILURE_INVALID_REQUEST, "'%s' must be %s (byte %zu)", param, must, at);
    snprintf(f->param, sizeof(f->param), "%s", param);
    return PERILUNE_ERR_INVAL;
}

static int missing(struct failure *f, const char *param) {
    failure_set(f, FAILURE_INVALID_REQUEST, "missing required field '%s' (byte 0)", param);
    snprintf(f->param, sizeof(f->param), "%s", param);
    return PERILUNE_ERR_INVAL;
}

static bool is_null(const struct json_doc *doc, uint32_t n) {
    return n == JSON_NONE || json_type(doc, n) == JSON_NULL;
}

/* Its name is written only now: a long conversation has hundreds of messages that are in order. */
static int bad_message(struct failure *f, const struct json_doc *doc, uint32_t node, unsigned i, const char *member,
                       const char *must) {
    char param[64];
    snprintf(param, sizeof(param), "messages[%u]%s", i, member);
    return bad_field(f, doc, node, param, must);
}

static int check_message(const struct json_doc *doc, uint32_t m, unsigned i, struct failure *f) {
    if (!json_is(doc, m, JSON_OBJECT)) return bad_message(f, doc, m, i, "", "an object");
    uint32_t role = json_get(doc, m, SLICE("role"));
    if (role == JSON_NONE) return bad_message(f, doc, m, i, ".role", "present");
    if (!json_is(doc, role, JSON_STRING)) return bad_message(f, doc, role, i, ".role", "a string");
    uint32_t content = json_get(doc, m, SLICE("content"));
    if (!is_null(doc, content) && !json_is(doc, content, JSON_STRING) && !json_is(doc, content, JSON_ARRAY))
        return bad_message(f, doc, content, i, ".content", "a string or an array of parts");
    return 0;
}

static int check_messages(const struct json_doc *doc, uint32_t messages, struct failure *f) {
    if (messages == JSON_NONE) return missing(f, "messages");
    if (!json_is(doc, messages, JSON_ARRAY)) return bad_field(f, doc, messages, "messages", "an array");
    if (doc->nodes[messages].count == 0)
        return bad_field(f, doc, messages, "messages", "an array with at least one message");
    unsigned i = 0;
    for (uint32_t m = json_first(doc, messages); m != JSON_NONE; m = json_next(doc, messages, m)) {
        int err = check_message(doc, m, i++, f);
        if (err) return err;
    }
    return 0;
}

static int check_stream(const struct json_doc *doc, struct chat *out, struct failure *f) {
    uint32_t stream = json_get(doc, 0, SLICE("stream"));
    if (!is_null(doc, stream) && !json_is(doc, stream, JSON_TRUE) && !json_is(doc, stream, JSON_FALSE))
        return bad_field(f, doc, stream, "stream", "true or false");
    out->stream = json_is(doc, stream, JSON_TRUE);
    uint32_t options = json_get(doc, 0, SLICE("stream_options"));
    if (is_null(doc, options)) return 0;
    if (!json_is(doc, options, JSON_OBJECT))
        return bad_field(f, doc, options, "stream_options", "an object");
    out->wants_usage = json_is(doc, json_get(doc, options, SLICE("include_usage")), JSON_TRUE);
    return 0;
}

/* Whoever looks for the model compares it, and errors and logs tell it. */
static bool is_long_name(const struct json_doc *doc, uint32_t node) {
    size_t raw = json_raw(doc, node).len - 2;
    if (raw <= CHAT_NAME_MAX || raw > 6 * CHAT_NAME_MAX) return raw > CHAT_NAME_MAX; /* an escape has six bytes */
    struct buf text;
    buf_init(&text, CHAT_NAME_MAX);
    json_decode_string(doc, node, &text);
    bool is_long = text.error == PERILUNE_ERR_LIMITED;
    buf_deinit(&text);
    return is_long;
}

/* What all bodies have: they are objects, and may name a model. */
static int read_model(const struct json_doc *doc, struct chat *out, struct failure *f) {
    *out = (struct chat){ .model = JSON_NONE, .messages = JSON_NONE };
    if (!json_is(doc, 0, JSON_OBJECT)) {
        failure_set(f, FAILURE_INVALID_REQUEST, "the body must be a JSON object (byte %u)",
                    doc->nodes[0].start);
        return PERILUNE_ERR_INVAL;
    }
    out->model = json_get(doc, 0, SLICE("model"));
    if (is_null(doc, out->model)) out->model = JSON_NONE;
    else if (!json_is(doc, out->model, JSON_STRING))
        return bad_field(f, doc, out->model, "model", "a string");
    if (out->model != JSON_NONE && is_long_name(doc, out->model))
        return bad_field(f, doc, out->model, "model", "a name of at most 512 bytes");
    return 0;
}

int chat_read_embedding(const struct json_doc *doc, struct chat *out, struct failure *f) {
    int err = read_model(doc, out, f);
    if (err) return err;
    uint32_t input = json_get(doc, 0, SLICE("input"));
    if (input == JSON_NONE) return missing(f, "input");
    if (!json_is(doc, input, JSON_STRING) && !json_is(doc, input, JSON_ARRAY))
        return bad_field(f, doc, input, "input", "a string or an array");
    return 0;
}

int chat_read_completion(const struct json_doc *doc, struct chat *out, struct failure *f) {
    int err = read_model(doc, out, f);
    if (err) return err;
    out->messages = json_get(doc, 0, SLICE("messages"));
    err = check_messages(doc, out->messages, f);
    return err ? err : check_stream(doc, out, f);
}

unsigned chat_choices(const struct json_doc *doc) {
    uint32_t n = json_get(doc, 0, SLICE("n"));
    uint64_t v = 1;
    if (json_is(doc, n, JSON_NUMBER)) json_u64(doc, n, &v);
    return v < CHAT_CHOICES_MAX ? (unsigned)v : CHAT_CHOICES_MAX;
}

/* -- The last question ----------------------------------------------------------- */

/* The text of {"type":"text","text":"..."}, or JSON_NONE. */
static uint32_t text_of_part(const struct json_doc *doc, uint32_t part) {
    if (!json_is(doc, part, JSON_OBJECT)) return JSON_NONE;
    uint32_t type = json_get(doc, part, SLICE("type")), text = json_get(doc, part, SLICE("text"));
    bool is_text = json_is(doc, type, JSON_STRING) && json_str_eq(doc, type, SLICE("text"));
    return is_text && json_is(doc, text, JSON_STRING) ? text : JSON_NONE;
}

uint32_t chat_last_question(const struct json_doc *doc, const struct chat *c) {
    uint32_t last = JSON_NONE;
    if (!json_is(doc, c->messages, JSON_ARRAY)) return JSON_NONE;
    for (uint32_t m = json_first(doc, c->messages); m != JSON_NONE; m = json_next(doc, c->messages, m)) last = m;
    if (!json_is(doc, last, JSON_OBJECT)) return JSON_NONE;
    uint32_t role = json_get(doc, last, SLICE("role")), content = json_get(doc, last, SLICE("content"));
    if (!json_is(doc, role, JSON_STRING) || !json_str_eq(doc, role, SLICE("user"))) return JSON_NONE;
    if (json_is(doc, content, JSON_STRING)) return content;
    if (!json_is(doc, content, JSON_ARRAY)) return JSON_NONE;
    for (uint32_t p = json_first(doc, content); p != JSON_NONE; p = json_next(doc, content, p))
        if (text_of_part(doc, p) == JSON_NONE) return JSON_NONE;
    return content;
}

void chat_content_text(const struct json_doc *doc, uint32_t content, struct buf *out) {
    if (json_is(doc, content, JSON_STRING)) {
        json_decode_string(doc, content, out);
        return;
    }
    for (uint32_t p = json_first(doc, content), first = p; p != JSON_NONE; p = json_next(doc, content, p)) {
        if (p != first) buf_putc(out, '\n');
        json_decode_string(doc, text_of_part(doc, p), out);
    }
}

/* -- Editing ------------------------------------------------------------------- */

static uint32_t usage_node(const struct json_doc *doc, uint32_t *options) {
    *options = json_get(doc, 0, SLICE("stream_options"));
    if (!json_is(doc, *options, JSON_OBJECT)) return JSON_NONE;
    return json_get(doc, *options, SLICE("include_usage"));
}

bool chat_needs_edit(const struct json_doc *doc, struct slice model, bool usage) {
    uint32_t options;
    if (usage && !json_is(doc, usage_node(doc, &options), JSON_TRUE)) return true;
    if (model.ptr == NULL) return false;
    uint32_t n = json_get(doc, 0, SLICE("model"));
    return !json_is(doc, n, JSON_STRING) || !json_str_eq(doc, n, model);
}

/* Keeps all up to `to` and remembers where the rest begins. */
static void keep_to(struct rope *out, size_t *from, size_t to) {
    rope_keep(out, *from, to);
    *from = to;
}

static void put(struct rope *out, const char *text) {
    buf_puts(&out->text, text);
    rope_add(out);
}

static void put_model(struct rope *out, struct slice model) {
    json_write_string(&out->text, model);
    rope_add(out);
}

static void ask(struct rope *out, struct chat_asked *asked, const char *text, const char *was) {
    *asked = (struct chat_asked){ out->len, strlen(text), was };
    put(out, text);
}

static void put_usage(const struct json_doc *doc, uint32_t value, size_t *from, struct rope *out,
                      struct chat_asked *asked) {
    const struct json_node *n = &doc->nodes[value];
    if (n->type != JSON_OBJECT) { /* null, or what chat_read() would have refused */
        keep_to(out, from, n->start);
        ask(out, asked, "{\"include_usage\":true}", "null");
        *from = n->end;
        return;
    }
    uint32_t flag = json_get(doc, value, SLICE("include_usage"));
    if (flag == JSON_NONE) {
        keep_to(out, from, n->start + 1);
        ask(out, asked, n->count > 0 ? "\"include_usage\":true," : "\"include_usage\":true", "");
    } else if (!json_is(doc, flag, JSON_TRUE)) {
        keep_to(out, from, doc->nodes[flag].start);
        ask(out, asked, "true", "false");
        *from = doc->nodes[flag].end;
    }
}

void chat_edit(const struct json_doc *doc, struct slice model, bool usage, struct rope *out,
               struct chat_asked *asked) {
    *asked = (struct chat_asked){ .was = "" };
    uint32_t options = JSON_NONE;
    bool has_model = json_get(doc, 0, SLICE("model")) != JSON_NONE;
    if (usage) usage_node(doc, &options);
    size_t from = 0;
    const char *comma = doc->nodes[0].count > 0 ? "," : "";
    if ((model.ptr && !has_model) || (usage && options == JSON_NONE)) {
        keep_to(out, &from, doc->nodes[0].start + 1);
        if (model.ptr && !has_model) {
            put(out, "\"model\":");
            put_model(out, model);
            put(out, usage && options == JSON_NONE ? "," : comma);
        }
        if (usage && options == JSON_NONE) {
            bool last = comma[0] == '\0';
            ask(out, asked, last ? "\"stream_options\":{\"include_usage\":true}"
                                 : "\"stream_options\":{\"include_usage\":true},", "");
        }
    }
    for (uint32_t key = json_first(doc, 0); key != JSON_NONE;) {
        uint32_t value = doc->nodes[key].next;
        if (model.ptr && json_str_eq(doc, key, SLICE("model"))) {
            keep_to(out, &from, doc->nodes[value].start);
            put_model(out, model);
            from = doc->nodes[value].end;
        } else if (usage && value == options) {
            put_usage(doc, value, &from, out, asked);
        }
        key = doc->nodes[value].next;
        if (key >= doc->nodes[0].next) break;
    }
    keep_to(out, &from, doc->text.len);
}

/* -- Size ------------------------------------------------------------------------ */

/* Bytes that begin a three-byte sequence (1110xxxx), eight at a time: a byte of t
 * is zero where one stands, and of y 0x80 where t's is zero. */
static uint64_t count_wide(struct slice text) {
    const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
    uint64_t n = 0, x;
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        memcpy(&x, text.ptr + i, 8);
        uint64_t t = (x & 0xf0f0f0f0f0f0f0f0u) ^ 0xe0e0e0e0e0e0e0e0u;
        uint64_t y = ~(((t & low) + low) | t | low);
        n += ((y >> 7) * 0x0101010101010101u) >> 56;
    }
    for (; i < text.len; i++) n += ((unsigned char)text.ptr[i] & 0xf0) == 0xe0;
    return n;
}

uint64_t text_estimate_tokens(struct slice text) {
    /* Three-byte sequences are mostly CJK: about one token each; the rest of the
     * world's text averages four bytes a token. */
    uint64_t wide = count_wide(text);
    return wide + (text.len - 3 * (wide < text.len / 3 ? wide : text.len / 3) + 3) / 4;
}

/* openai_pieces.c -- the strings in an answer of OpenAI's dialect: where they are, and
 * how one is written.
 *
 *     { "id": .., "choices": [ { "index": 1, "delta": { "content": "..",          TEXT
 *                                                       "reasoning_content": "..", REASONING
 *                                                       "refusal": "..",           REFUSAL
 *                                                       "tool_calls": [ .. ] },    TOOL, ARGUMENTS
 *                                "logprobs": { .. },                               LOGPROBS
 *                                "finish_reason": "stop" } ], "usage": .. }        END
 *
 * A whole answer has `message` in place of `delta`.  `reasoning_content` is what DeepSeek,
 * vLLM and SGLang say, `reasoning` what OpenRouter and newer vLLM say.  Content may be a
 * list of parts ({"type":"text","text":".."}), as some servers send it.
 *
 * A finish_reason ends a choice when it is a string that says something: Ollama, SGLang
 * and KoboldCpp send "" or "null" in each chunk. */
#include "llm/openai.h"

/* -- Reading ------------------------------------------------------------------------ */

/* The `index` of an object in a list, or its place there. */
static unsigned index_of(const struct json_doc *doc, uint32_t object, unsigned place) {
    uint32_t n = json_get(doc, object, SLICE("index"));
    uint64_t v;
    return json_is(doc, n, JSON_NUMBER) && json_u64(doc, n, &v) == 0 && v < UINT32_MAX ? (unsigned)v : place;
}

static void add_string(struct piece_list *l, const struct json_doc *doc, struct piece p, uint32_t name, uint32_t node) {
    if (!json_is(doc, node, JSON_STRING)) return;
    p.node = node;
    p.name = name;
    piece_list_add(l, p);
}

static void add_parts(struct piece_list *l, const struct json_doc *doc, struct piece p, uint32_t list) {
    for (uint32_t n = json_first(doc, list); n != JSON_NONE; n = json_next(doc, list, n)) {
        uint32_t text = json_is(doc, n, JSON_OBJECT) ? json_get(doc, n, SLICE("text")) : JSON_NONE;
        if (!json_is(doc, text, JSON_STRING)) continue;
        add_string(l, doc, p, text - 1, text); /* a member's name stands before its value */
        p.part++; /* others do not count: the text goes on as a string in the next event */
    }
}

static void add_call(struct piece_list *l, const struct json_doc *doc, struct piece p, uint32_t function) {
    p.kind = PIECE_TOOL;
    piece_list_add(l, p);
    p.kind = PIECE_ARGUMENTS;
    uint32_t n = json_is(doc, function, JSON_OBJECT) ? json_get(doc, function, SLICE("arguments")) : JSON_NONE;
    if (n != JSON_NONE) add_string(l, doc, p, n - 1, n);
}

static void add_calls(struct piece_list *l, const struct json_doc *doc, struct piece p, uint32_t list) {
    unsigned place = 0;
    for (uint32_t n = json_first(doc, list); n != JSON_NONE; n = json_next(doc, list, n), place++) {
        if (!json_is(doc, n, JSON_OBJECT)) continue;
        p.part = index_of(doc, n, place);
        add_call(l, doc, p, json_get(doc, n, SLICE("function")));
    }
}

static void add_member(struct piece_list *l, const struct json_doc *doc, struct piece p, uint32_t key, uint32_t value) {
    static const struct { struct slice name; enum piece_kind kind; unsigned part; } strings[] = {
        { SLICE("content"), PIECE_TEXT, 0 }, { SLICE("reasoning_content"), PIECE_REASONING, 0 },
        { SLICE("reasoning"), PIECE_REASONING, 1 }, { SLICE("refusal"), PIECE_REFUSAL, 0 },
    };
    for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++) {
        if (!json_str_eq(doc, key, strings[i].name)) continue;
        p.kind = strings[i].kind;
        p.part = strings[i].part;
        if (i == 0 && json_is(doc, value, JSON_ARRAY)) add_parts(l, doc, p, value);
        else add_string(l, doc, p, key, value);
        return;
    }
    if (json_is(doc, value, JSON_ARRAY) && json_str_eq(doc, key, SLICE("tool_calls"))) add_calls(l, doc, p, value);
    p.part = PIECE_ONLY_CALL;
    if (json_is(doc, value, JSON_OBJECT) && json_str_eq(doc, key, SLICE("function_call"))) add_call(l, doc, p, value);
}

/* Members of one object have no order, and servers write the end of what was thought behind the
 * beginning of what is said. */
static unsigned rank_of(const struct piece *p) {
    return p->kind == PIECE_REASONING ? 0 : p->kind == PIECE_ARGUMENTS || p->kind == PIECE_TOOL ? 2 : 1;
}

static void sort_from(struct piece_list *l, unsigned from) {
    for (unsigned i = from + 1; i < l->len; i++) {
        struct piece p = l->items[i];
        unsigned at = i;
        for (; at > from && rank_of(&l->items[at - 1]) > rank_of(&p); at--) l->items[at] = l->items[at - 1];
        l->items[at] = p;
    }
}

bool openai_is_finished(const struct json_doc *doc, uint32_t choice) {
    uint32_t n = json_get(doc, choice, SLICE("finish_reason"));
    return json_is(doc, n, JSON_STRING) && !json_str_eq(doc, n, SLICE("")) && !json_str_eq(doc, n, SLICE("null"));
}

/* vLLM tells the tokens without their probabilities, too, when it is asked to. */
static void add_logprobs(struct piece_list *l, const struct json_doc *doc, struct piece p, uint32_t choice) {
    static const struct slice names[] = { SLICE("logprobs"), SLICE("token_ids") };
    p.kind = PIECE_LOGPROBS;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        p.node = json_get(doc, choice, names[i]);
        if (p.node != JSON_NONE) piece_list_add(l, p);
    }
}

static void add_choice(struct piece_list *l, const struct json_doc *doc, uint32_t choice, unsigned place) {
    struct piece p = { .choice = index_of(doc, choice, place), .node = JSON_NONE, .name = JSON_NONE };
    uint32_t message = json_get(doc, choice, SLICE("delta"));
    if (!json_is(doc, message, JSON_OBJECT)) message = json_get(doc, choice, SLICE("message"));
    if (json_is(doc, message, JSON_OBJECT)) {
        unsigned from = l->len;
        for (uint32_t key = json_first(doc, message); key != JSON_NONE;) {
            uint32_t value = json_next(doc, message, key);
            add_member(l, doc, p, key, value);
            key = json_next(doc, message, value);
        }
        sort_from(l, from);
    }
    add_logprobs(l, doc, p, choice);
    p.kind = PIECE_END;
    if (openai_is_finished(doc, choice)) piece_list_add(l, p);
}

void openai_pieces(const struct json_doc *doc, struct piece_list *l) {
    l->len = 0;
    l->failed = false;
    uint32_t choices = json_is(doc, 0, JSON_OBJECT) ? json_get(doc, 0, SLICE("choices")) : JSON_NONE;
    if (!json_is(doc, choices, JSON_ARRAY)) return;
    unsigned place = 0;
    for (uint32_t n = json_first(doc, choices); n != JSON_NONE; n = json_next(doc, choices, n), place++)
        if (json_is(doc, n, JSON_OBJECT)) add_choice(l, doc, n, place);
}

/* -- Writing ------------------------------------------------------------------------- */

void openai_write_common(struct buf *out, const struct json_doc *doc) {
    for (uint32_t key = json_first(doc, 0); key != JSON_NONE;) {
        uint32_t value = json_next(doc, 0, key);
        enum json_type type = json_type(doc, value);
        bool simple = type != JSON_ARRAY && type != JSON_OBJECT; /* what is said once: choices, usage, error */
        if (simple && !json_str_eq(doc, key, SLICE("usage"))) {
            buf_slice(out, json_raw(doc, key));
            buf_putc(out, ':');
            buf_slice(out, json_raw(doc, value));
            buf_putc(out, ',');
        }
        key = json_next(doc, 0, value);
    }
}

void openai_write_piece(struct buf *out, struct slice common, const struct piece *p, struct slice name,
                        struct slice text) {
    buf_putc(out, '{');
    buf_slice(out, common);
    buf_puts(out, "\"choices\":[{\"index\":");
    buf_u64(out, p->choice);
    buf_puts(out, ",\"delta\":{");
    if (p->kind == PIECE_ARGUMENTS && p->part == PIECE_ONLY_CALL) {
        buf_puts(out, "\"function_call\":{\"arguments\":");
        json_write_string(out, text);
        buf_putc(out, '}');
    } else if (p->kind == PIECE_ARGUMENTS) {
        buf_puts(out, "\"tool_calls\":[{\"index\":");
        buf_u64(out, p->part);
        buf_puts(out, ",\"function\":{\"arguments\":");
        json_write_string(out, text);
        buf_puts(out, "}}]");
    } else {
        json_write_string(out, p->kind == PIECE_TEXT ? SLICE("content") : name);
        buf_putc(out, ':');
        json_write_string(out, text);
    }
    buf_puts(out, "},\"finish_reason\":null}]}");
}

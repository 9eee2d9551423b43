/* openai_traits.c -- what an event or an answer is besides text, and an event of usage. */
#include "base/err_body.h"
#include "llm/chunk.h"
#include "llm/openai.h"

static bool is_said(const struct json_doc *doc, uint32_t object) {
    return err_body_is_said(doc, json_get(doc, object, SLICE("error")));
}

/* Does a choice that ended so say all that it was to say?  Servers have many words for one that was filtered or given
 * up (DeepSeek insufficient_system_resource, Zhipu sensitive and network_error, Gemini SAFETY, vLLM abort), and find
 * new ones; of those for a proper end there are few.  What is cut at its limit of tokens is what was asked for. */
static bool is_proper_end(const struct json_doc *doc, uint32_t reason) {
    static const struct slice reasons[] = {
        SLICE("stop"), SLICE("length"), SLICE("tool_calls"), SLICE("tool_call"), SLICE("function_call"),
        SLICE("tool_use"), SLICE("eos"), SLICE("eos_token"), SLICE("stop_token"), SLICE("stop_sequence"),
        SLICE("end_turn"), SLICE("max_tokens"), SLICE("model_length"), SLICE("complete"), SLICE("completed"),
    };
    struct slice raw = json_raw(doc, reason), word = slice_of(raw.ptr + 1, raw.len - 2); /* it is a string */
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
        if (slice_eq_nocase(word, reasons[i])) return true;
    return word.len == 0 || slice_eq(word, SLICE("null")); /* not ended yet */
}

/* Does the answer, or one of its choices, say an error, or that it was filtered or given up? */
static bool is_spoiled(const struct json_doc *doc) {
    if (!json_is(doc, 0, JSON_OBJECT)) return true;
    uint32_t choices = json_get(doc, 0, SLICE("choices"));
    bool spoiled = is_said(doc, 0);
    if (!json_is(doc, choices, JSON_ARRAY)) return spoiled;
    for (uint32_t n = json_first(doc, choices); n != JSON_NONE && !spoiled; n = json_next(doc, choices, n)) {
        if (!json_is(doc, n, JSON_OBJECT)) continue;
        uint32_t reason = json_get(doc, n, SLICE("finish_reason"));
        spoiled = is_said(doc, n);
        spoiled |= json_is(doc, reason, JSON_STRING) && !is_proper_end(doc, reason);
    }
    return spoiled;
}

static bool calls_tools(const struct json_doc *doc) {
    struct piece_list pieces = { .items = NULL };
    openai_pieces(doc, &pieces);
    bool calls = pieces.failed;
    for (unsigned i = 0; i < pieces.len; i++) calls |= pieces.items[i].kind == PIECE_TOOL;
    piece_list_deinit(&pieces);
    return calls;
}

unsigned openai_traits(const struct json_doc *doc, struct chunk_choices *c) {
    chunk_count(c, doc);
    bool usage = json_is(doc, 0, JSON_OBJECT) && json_get(doc, 0, SLICE("usage")) != JSON_NONE;
    return (usage ? TRAIT_USAGE : 0) | (calls_tools(doc) ? TRAIT_TOOLS : 0) | (is_spoiled(doc) ? TRAIT_SPOILED : 0);
}

/* A list of vectors is one answer, and complete. */
unsigned openai_embedding_traits(const struct json_doc *doc, struct chunk_choices *c) {
    uint32_t data = json_is(doc, 0, JSON_OBJECT) ? json_get(doc, 0, SLICE("data")) : JSON_NONE;
    bool good = json_is(doc, data, JSON_ARRAY) && doc->nodes[data].count > 0 && !is_said(doc, 0);
    c->seen[0] = c->ended[0] = c->said[0] = 1;
    c->asked = 1;
    return good ? 0 : TRAIT_SPOILED;
}

#define USAGE "\"choices\":[],\"usage\":"

void openai_write_usage(struct buf *out, struct slice common, const struct usage *u, struct slice said) {
    buf_putc(out, '{');
    buf_slice(out, common); /* each member with a comma behind it */
    buf_puts(out, USAGE);
    size_t from = buf_len(out);
    if (said.len > 0) buf_slice(out, said);
    else openai_put_usage(out, u);
    buf_putc(out, '}');
    /* JSON has line ends as white space only. */
    for (size_t i = from; i < buf_len(out); i++) {
        char *c = out->data + out->mark + i;
        if (*c == '\n' || *c == '\r') *c = ' ';
    }
}

/* It is the last member, and those in front of it are no lists (openai_write_common). */
struct slice openai_usage_said(struct slice data) {
    static const struct slice before = SLICE(USAGE);
    const char *at = data.len > 0 ? memmem(data.ptr, data.len, before.ptr, before.len) : NULL;
    if (at == NULL) return SLICE("");
    size_t from = (size_t)(at - data.ptr) + before.len;
    return slice_of(data.ptr + from, data.len - from - 1);
}

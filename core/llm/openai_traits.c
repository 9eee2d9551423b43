/* openai_traits.c -- what an event or an answer is besides text, and an event of usage.
 *
 * A quotation mark inside of a string is escaped, so what looks like a member's name or a whole string is
 * one.  Only what has such a word is parsed, to see what it means: servers write "tool_calls":null, too. */
#include "llm/openai.h"

#include <string.h>

static bool has_word(struct slice data, const char *word) {
    return memmem(data.ptr, data.len, word, strlen(word)) != NULL;
}

static bool is_said(const struct json_doc *doc, uint32_t object, struct slice name) {
    uint32_t n = json_get(doc, object, name);
    return n != JSON_NONE && json_type(doc, n) != JSON_NULL;
}

/* Does the answer, or one of its choices, say an error, or that it was filtered? */
static bool is_spoiled(const struct json_doc *doc) {
    if (!json_is(doc, 0, JSON_OBJECT)) return true;
    uint32_t choices = json_get(doc, 0, SLICE("choices"));
    bool spoiled = is_said(doc, 0, SLICE("error"));
    if (!json_is(doc, choices, JSON_ARRAY)) return spoiled;
    for (uint32_t n = json_first(doc, choices); n != JSON_NONE && !spoiled; n = json_next(doc, choices, n)) {
        if (!json_is(doc, n, JSON_OBJECT)) continue;
        uint32_t reason = json_get(doc, n, SLICE("finish_reason"));
        spoiled = is_said(doc, n, SLICE("error"));
        if (json_is(doc, reason, JSON_STRING))
            spoiled |= json_str_eq(doc, reason, SLICE("content_filter")) || json_str_eq(doc, reason, SLICE("error"));
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

/* What has one of the words is parsed; what cannot be, is what nobody should rely on. */
static unsigned look_closer(struct slice data) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    if (json_parse(&doc, data, &err) != 0) return TRAIT_TOOLS | TRAIT_SPOILED;
    unsigned traits = (calls_tools(&doc) ? TRAIT_TOOLS : 0) | (is_spoiled(&doc) ? TRAIT_SPOILED : 0);
    json_deinit(&doc);
    return traits;
}

unsigned openai_traits(struct slice data) {
    static const char *const words[] = { "\"tool_calls\"", "\"function_call\"", "\"error\"", "\"content_filter\"" };
    unsigned traits = has_word(data, "\"usage\"") ? TRAIT_USAGE : 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (has_word(data, words[i])) return traits | look_closer(data);
    return traits;
}

void openai_write_usage(struct buf *out, struct slice common, const struct usage *u) {
    buf_putc(out, '{');
    buf_slice(out, common); /* each member with a comma behind it */
    buf_printf(out, "\"choices\":[],\"usage\":{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu",
               (unsigned long long)u->prompt, (unsigned long long)u->completion,
               (unsigned long long)(u->prompt + u->completion));
    if (u->cached > 0)
        buf_printf(out, ",\"prompt_tokens_details\":{\"cached_tokens\":%llu}", (unsigned long long)u->cached);
    buf_puts(out, "}}");
}

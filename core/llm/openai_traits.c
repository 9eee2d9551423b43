/* openai_traits.c -- what an event or an answer is besides text, and an event of usage.
 *
 * A quotation mark inside of a string is escaped, so what looks like a member's name or a whole string is
 * one.  Only what has such a word is parsed, to see what it means: servers write "tool_calls":null, too. */
#include "llm/openai.h"

#include <string.h>

static bool has_word(struct slice data, const char *word) {
    return memmem(data.ptr, data.len, word, strlen(word)) != NULL;
}

static bool calls_tools(struct slice data) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct piece_list pieces = { .items = NULL };
    if (json_parse(&doc, data, &err) != 0) return true; /* who knows */
    openai_pieces(&doc, &pieces);
    bool calls = pieces.failed;
    for (unsigned i = 0; i < pieces.len; i++) calls |= pieces.items[i].kind == PIECE_TOOL;
    piece_list_deinit(&pieces);
    json_deinit(&doc);
    return calls;
}

unsigned openai_traits(struct slice data) {
    unsigned traits = 0;
    if (has_word(data, "\"usage\"")) traits |= TRAIT_USAGE;
    if (has_word(data, "\"content_filter\"")) traits |= TRAIT_FILTERED;
    if ((has_word(data, "\"tool_calls\"") || has_word(data, "\"function_call\"")) && calls_tools(data))
        traits |= TRAIT_TOOLS;
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

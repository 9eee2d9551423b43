/* dialect.c -- the rows of the table, and which of them a request is in.
 *
 * A new protocol is a file with the functions of a row, and the row here. */
#include "llm/dialect.h"

#include "llm/answer.h"
#include "llm/chat.h"
#include "llm/composing.h"
#include "llm/openai.h"

static const struct composing openai_composing = {
    .write_common = openai_compose_common, .write_text = openai_compose_text, .write_call = openai_compose_call,
    .write_end = openai_compose_end, .retell = openai_compose_retell, .worse = openai_compose_worse,
};

const struct dialect openai_chat = {
    .name = "openai", .path = SLICE("/chat/completions"), .end_mark = SLICE("[DONE]"),
    .parse = chat_read_completion, .needs_edit = chat_needs_edit, .edit = chat_edit, .choices = chat_choices,
    .last_question = chat_last_question,
    .reader = answer_new, .pieces = openai_pieces, .calls = openai_calls,
    .write_common = openai_write_common, .write_piece = openai_write_piece, .write_whole = openai_completion_as_chunks,
    .write_error = failure_write_json,
    .write_usage = openai_write_usage, .usage_said = openai_usage_said, .traits = openai_traits,
    .composing = &openai_composing,
};

const struct dialect openai_embeddings = {
    .name = "openai embeddings", .path = SLICE("/embeddings"),
    .parse = chat_read_embedding, .needs_edit = chat_needs_edit, .edit = chat_edit, .choices = chat_choices,
    .reader = answer_new, .write_error = failure_write_json, .traits = openai_embedding_traits,
};

const struct dialect *dialect_find(struct slice path) {
    static const struct dialect *const all[] = { &openai_chat, &openai_embeddings };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct slice end = all[i]->path;
        if (path.len >= end.len && memcmp(path.ptr + path.len - end.len, end.ptr, end.len) == 0) return all[i];
    }
    return NULL;
}

bool dialect_is_end(const struct dialect *d, struct slice data) {
    return d->end_mark.len > 0 && slice_eq(slice_trim(data), d->end_mark);
}

void dialect_write_event(struct buf *out, struct slice data) {
    buf_puts(out, "data: ");
    buf_slice(out, data);
    buf_puts(out, "\n\n");
}

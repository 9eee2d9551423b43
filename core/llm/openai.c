/* openai.c -- OpenAI's dialect, written by hand into a buffer.
 *
 * What a client library reads is there (id, object, created, model, choices with
 * index and finish_reason); what it does not read is left out. */
#include "llm/openai.h"

static void put_common(struct buf *out, const struct openai_answer *a, const char *object) {
    buf_puts(out, "{\"id\":");
    json_write_string(out, a->id);
    buf_puts(out, ",\"object\":\"");
    buf_puts(out, object);
    buf_puts(out, "\",\"created\":");
    buf_u64(out, a->created);
    buf_puts(out, ",\"model\":");
    json_write_string(out, a->model);
}

static void put_usage(struct buf *out, const struct usage *u) {
    static const struct usage none;
    if (u == NULL) u = &none;
    buf_puts(out, ",\"usage\":{\"prompt_tokens\":");
    buf_u64(out, u->prompt);
    buf_puts(out, ",\"completion_tokens\":");
    buf_u64(out, u->completion);
    buf_puts(out, ",\"total_tokens\":");
    buf_u64(out, u->prompt + u->completion);
    buf_putc(out, '}');
}

void openai_completion(struct buf *out, const struct openai_answer *a, struct slice text) {
    put_common(out, a, "chat.completion");
    buf_puts(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    json_write_string(out, text);
    buf_puts(out, "},\"finish_reason\":\"stop\"}]");
    put_usage(out, a->usage);
    buf_putc(out, '}');
}

static void begin_chunk(struct buf *out, const struct openai_answer *a) {
    buf_puts(out, "data: ");
    put_common(out, a, "chat.completion.chunk");
}

void openai_chunk_role(struct buf *out, const struct openai_answer *a) {
    begin_chunk(out, a);
    buf_puts(out, ",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                  "\"finish_reason\":null}]}\n\n");
}

void openai_chunk_text(struct buf *out, const struct openai_answer *a, struct slice text) {
    begin_chunk(out, a);
    buf_puts(out, ",\"choices\":[{\"index\":0,\"delta\":{\"content\":");
    json_write_string(out, text);
    buf_puts(out, "},\"finish_reason\":null}]}\n\n");
}

void openai_chunk_finish(struct buf *out, const struct openai_answer *a) {
    begin_chunk(out, a);
    buf_puts(out, ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
}

void openai_chunk_usage(struct buf *out, const struct openai_answer *a) {
    begin_chunk(out, a);
    buf_puts(out, ",\"choices\":[]");
    put_usage(out, a->usage);
    buf_puts(out, "}\n\n");
}

void openai_error_event(struct buf *out, const struct failure *f) {
    buf_puts(out, "data: ");
    failure_write_json(out, f);
    buf_puts(out, "\n\n");
}

uint32_t openai_text_node(const struct json_doc *doc) {
    if (json_type(doc, 0) != JSON_OBJECT) return JSON_NONE;
    uint32_t choices = json_get(doc, 0, SLICE("choices"));
    if (choices == JSON_NONE || json_type(doc, choices) != JSON_ARRAY) return JSON_NONE;
    uint32_t choice = json_first(doc, choices);
    if (choice == JSON_NONE || json_type(doc, choice) != JSON_OBJECT) return JSON_NONE;
    uint32_t message = json_get(doc, choice, SLICE("delta"));
    if (message == JSON_NONE) message = json_get(doc, choice, SLICE("message"));
    if (message == JSON_NONE || json_type(doc, message) != JSON_OBJECT) return JSON_NONE;
    uint32_t content = json_get(doc, message, SLICE("content"));
    return content != JSON_NONE && json_type(doc, content) == JSON_STRING ? content : JSON_NONE;
}

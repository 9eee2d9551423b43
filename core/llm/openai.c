/* openai.c -- OpenAI's dialect, written by hand into a buffer.
 *
 * What a client library reads is there (id, object, created, model, choices with
 * index and finish_reason); what it does not read is left out.
 *
 * An answer that came whole when the client's stream had already begun is told
 * again as a chunk: every member goes over as it stands, but `message` is called
 * `delta` there, and each call of a tool carries its index. */
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

/* ORDER: enum usage_detail */
const struct openai_usage_detail openai_usage_details[USAGE_DETAIL_COUNT] = {
    { SLICE("prompt_tokens_details"), SLICE("audio_tokens") },
    { SLICE("completion_tokens_details"), SLICE("reasoning_tokens") },
    { SLICE("completion_tokens_details"), SLICE("audio_tokens") },
    { SLICE("completion_tokens_details"), SLICE("accepted_prediction_tokens") },
    { SLICE("completion_tokens_details"), SLICE("rejected_prediction_tokens") },
};

/* One of the objects of details, when there is something in it. */
static void put_details(struct buf *out, const struct usage *u, struct slice object, uint64_t cached) {
    bool begun = false;
    for (unsigned i = 0; i <= USAGE_DETAIL_COUNT; i++) {
        bool last = i == USAGE_DETAIL_COUNT; /* what a cache had */
        struct slice name = last ? SLICE("cached_tokens") : openai_usage_details[i].name;
        bool told = last ? cached > 0 : (u->detailed >> i & 1) != 0 && slice_eq(object, openai_usage_details[i].object);
        if (!told) continue;
        buf_puts(out, ",\"");
        if (!begun) {
            buf_slice(out, object);
            buf_puts(out, "\":{\"");
        }
        begun = true;
        buf_slice(out, name);
        buf_puts(out, "\":");
        buf_u64(out, last ? cached : u->details[i]);
    }
    if (begun) buf_putc(out, '}');
}

void openai_put_usage(struct buf *out, const struct usage *u) {
    buf_puts(out, "{\"prompt_tokens\":");
    buf_u64(out, u->prompt);
    buf_puts(out, ",\"completion_tokens\":");
    buf_u64(out, u->completion);
    buf_puts(out, ",\"total_tokens\":");
    buf_u64(out, u->prompt + u->completion);
    put_details(out, u, SLICE("prompt_tokens_details"), u->cached);
    put_details(out, u, SLICE("completion_tokens_details"), 0);
    buf_putc(out, '}');
}

static void put_usage(struct buf *out, const struct usage *u) {
    static const struct usage none;
    buf_puts(out, ",\"usage\":");
    openai_put_usage(out, u != NULL ? u : &none);
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

/* -- Several choices ------------------------------------------------------------------ */

static void begin_choice(struct buf *out, const struct openai_answer *a, unsigned choice) {
    begin_chunk(out, a);
    buf_puts(out, ",\"choices\":[{\"index\":");
    buf_u64(out, choice);
    buf_puts(out, ",\"delta\":");
}

/* `refusal` and `logprobs` are members that OpenAI's API always has: so a whole answer has them, too. */
void openai_choice_role(struct buf *out, const struct openai_answer *a, unsigned choice, bool null) {
    begin_choice(out, a, choice);
    buf_puts(out, null ? "{\"role\":\"assistant\",\"content\":null" : "{\"role\":\"assistant\",\"content\":\"\"");
    buf_puts(out, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
}

/* Behind the delta. */
static void end_choice(struct buf *out, struct slice logprobs) {
    if (logprobs.len > 0) {
        buf_puts(out, ",\"logprobs\":{\"content\":[");
        buf_slice(out, logprobs);
        buf_puts(out, "],\"refusal\":null}");
    }
    buf_puts(out, ",\"finish_reason\":null}]}\n\n");
}

/* member: `{"name":` of the delta. */
static void choice_say(struct buf *out, const struct openai_answer *a, unsigned choice, const char *member,
                       struct slice text, struct slice logprobs) {
    begin_choice(out, a, choice);
    buf_puts(out, member);
    json_write_string(out, text);
    buf_putc(out, '}');
    end_choice(out, logprobs);
}

void openai_choice_text(struct buf *out, const struct openai_answer *a, unsigned choice, struct slice text,
                        struct slice logprobs) {
    choice_say(out, a, choice, "{\"content\":", text, logprobs);
}

void openai_choice_thought(struct buf *out, const struct openai_answer *a, unsigned choice, struct slice text,
                           struct slice logprobs) {
    choice_say(out, a, choice, "{\"reasoning_content\":", text, logprobs);
}

void openai_call_write(struct buf *out, const struct openai_call *call) {
    buf_puts(out, "{\"index\":");
    buf_u64(out, call->number);
    buf_puts(out, ",\"id\":");
    json_write_string(out, call->id);
    buf_puts(out, ",\"type\":\"function\",\"function\":{\"name\":");
    json_write_string(out, call->name);
    buf_puts(out, ",\"arguments\":");
    json_write_string(out, call->arguments);
    buf_puts(out, "}}");
}

void openai_choice_call(struct buf *out, const struct openai_answer *a, unsigned choice, const struct openai_call *call,
                        struct slice logprobs) {
    begin_choice(out, a, choice);
    buf_puts(out, "{\"tool_calls\":[");
    openai_call_write(out, call);
    buf_puts(out, "]}");
    end_choice(out, logprobs);
}

void openai_choice_end(struct buf *out, const struct openai_answer *a, unsigned choice, const char *reason) {
    begin_choice(out, a, choice);
    buf_puts(out, "{},\"finish_reason\":\"");
    buf_puts(out, reason);
    buf_puts(out, "\"}]}\n\n");
}

/* The members of a token. Its bytes are told, too, because they may be half a character. */
static void put_token(struct buf *out, const struct openai_logprob *t) {
    buf_puts(out, "{\"token\":");
    json_write_string(out, t->text);
    buf_puts(out, ",\"logprob\":");
    json_write_number(out, t->value > -9999 ? t->value : -9999); /* what OpenAI says of impossible ones */
    buf_puts(out, ",\"bytes\":[");
    for (size_t i = 0; i < t->text.len; i++) {
        if (i > 0) buf_putc(out, ',');
        buf_u64(out, (unsigned char)t->text.ptr[i]);
    }
    buf_putc(out, ']');
}

void openai_put_logprob(struct buf *out, const struct openai_logprob *token, const struct openai_logprob *tops,
                        unsigned count) {
    put_token(out, token);
    buf_puts(out, ",\"top_logprobs\":[");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0) buf_putc(out, ',');
        put_token(out, &tops[i]);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}

/* -- A whole answer as a stream ------------------------------------------------------ */

static void put_tool_calls(struct buf *out, const struct json_doc *doc, uint32_t calls) {
    unsigned i = 0;
    buf_putc(out, '[');
    for (uint32_t n = json_first(doc, calls); n != JSON_NONE; n = json_next(doc, calls, n), i++) {
        struct slice raw = json_raw(doc, n);
        if (i > 0) buf_putc(out, ',');
        if (json_is(doc, n, JSON_OBJECT) && json_get(doc, n, SLICE("index")) == JSON_NONE) {
            buf_puts(out, "{\"index\":");
            buf_u64(out, i);
            if (doc->nodes[n].count > 0) buf_putc(out, ',');
            raw = slice_of(raw.ptr + 1, raw.len - 1);
        }
        buf_slice(out, raw);
    }
    buf_putc(out, ']');
}

/* How an object is told again: without some members, and one of them, when it has the
 * right type, by another name and by put(). */
struct retelling {
    const char    *without[2];
    const char    *name, *called;
    enum json_type type;
    void         (*put)(struct buf *out, const struct json_doc *doc, uint32_t value);
};

/* `begin` is what the object begins with: "{", or "{" and members. */
static void put_object(struct buf *out, const struct json_doc *doc, uint32_t object, const char *begin,
                       const struct retelling *how) {
    bool first = begin[1] == '\0';
    buf_puts(out, begin);
    for (uint32_t key = json_first(doc, object); key != JSON_NONE;) {
        uint32_t value = json_next(doc, object, key), next = json_next(doc, object, value);
        bool skip = false, special = json_str_eq(doc, key, slice_str(how->name)) && json_is(doc, value, how->type);
        for (int i = 0; i < 2; i++)
            skip |= how->without[i] != NULL && json_str_eq(doc, key, slice_str(how->without[i]));
        key = skip ? next : key;
        if (skip) continue;
        if (!first) buf_putc(out, ',');
        first = false;
        if (special) json_write_string(out, slice_str(how->called));
        else buf_slice(out, json_raw(doc, key));
        buf_putc(out, ':');
        if (special) how->put(out, doc, value);
        else buf_slice(out, json_raw(doc, value));
        key = next;
    }
    buf_putc(out, '}');
}

static void put_delta(struct buf *out, const struct json_doc *doc, uint32_t message) {
    static const struct retelling how = { { NULL }, "tool_calls", "tool_calls", JSON_ARRAY, put_tool_calls };
    put_object(out, doc, message, "{", &how);
}

static void put_choices(struct buf *out, const struct json_doc *doc, uint32_t choices) {
    static const struct retelling how = { { NULL }, "message", "delta", JSON_OBJECT, put_delta };
    bool first = true;
    buf_putc(out, '[');
    for (uint32_t n = json_first(doc, choices); n != JSON_NONE; n = json_next(doc, choices, n)) {
        if (!first) buf_putc(out, ',');
        first = false;
        if (json_is(doc, n, JSON_OBJECT)) put_object(out, doc, n, "{", &how);
        else buf_slice(out, json_raw(doc, n)); /* of two `choices` only the last was looked at */
    }
    buf_putc(out, ']');
}

static void put_no_choices(struct buf *out, const struct json_doc *doc, uint32_t choices) {
    (void)doc;
    (void)choices;
    buf_puts(out, "[]");
}

/* One frame. A line end of the original would cut it in two; JSON has them as white
 * space only. */
static void put_retold(struct buf *out, const struct json_doc *doc, const struct retelling *how) {
    size_t from = buf_len(out);
    buf_puts(out, "data: ");
    put_object(out, doc, 0, "{\"object\":\"chat.completion.chunk\"", how);
    for (size_t i = from; i < buf_len(out); i++) {
        char *c = out->data + out->mark + i;
        if (*c == '\n' || *c == '\r') *c = ' ';
    }
    buf_puts(out, "\n\n");
}

static bool is_completion(const struct json_doc *doc) {
    uint32_t choices = json_is(doc, 0, JSON_OBJECT) ? json_get(doc, 0, SLICE("choices")) : JSON_NONE;
    if (!json_is(doc, choices, JSON_ARRAY)) return false;
    for (uint32_t n = json_first(doc, choices); n != JSON_NONE; n = json_next(doc, choices, n))
        if (!json_is(doc, n, JSON_OBJECT) || !json_is(doc, json_get(doc, n, SLICE("message")), JSON_OBJECT))
            return false;
    return true;
}

bool openai_completion_as_chunks(struct buf *out, const struct json_doc *doc, bool keep_usage) {
    static const struct retelling text = { { "object", "usage" }, "choices", "choices", JSON_ARRAY, put_choices };
    static const struct retelling usage = { { "object" }, "choices", "choices", JSON_ARRAY, put_no_choices };
    if (!is_completion(doc)) return false;
    put_retold(out, doc, &text);
    if (keep_usage && json_is(doc, json_get(doc, 0, SLICE("usage")), JSON_OBJECT)) put_retold(out, doc, &usage);
    return true;
}

/* answer.c -- an upstream's answer, read on its way through.
 *
 *     bytes -> [events] -> frame -> look -> forward as it came
 *                                    |
 *                  usage? error? [DONE]? finish_reason?
 *
 * Frames are not rebuilt.  The look is a few memory searches; only a frame that
 * mentions "usage" or "error" is parsed.  Usage is always asked upstream; what
 * the client did not ask for is taken out again: the frame with empty choices
 * disappears, a usage member in any other frame is cut out.
 *
 * HEAD is held back until the first real event, so that an upstream which says 200
 * and then {"error": ...} has failed before the first byte.
 *
 * An answer that is not an event stream is collected, must be JSON, and leaves
 * in one piece. */
#include "llm/answer.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "llm/sse.h"

#define EVENT_LIMIT (1024 * 1024) /* bytes of one event: tokens are far below, a flood is stopped */

struct answer {
    struct source   source;
    struct sink     sink;     /* of `from` */
    struct source  *from;     /* NULL: it has ended */
    struct sink    *to;
    struct sse      events;
    struct buf      scratch;  /* a frame without its usage */
    struct buf      whole;    /* an answer that is not a stream */
    struct buf      headers;
    struct json_doc doc;
    struct usage    usage;
    struct failure  failure;
    int             status;
    enum flow       flow;     /* what `to` said last */
    unsigned        expect_stream : 1, keep_usage : 1, is_stream : 1, headed : 1, done : 1,
                    finished : 1, over : 1, in_event : 1,
                    news : 1; /* usage that `to` has not heard of */
    char            content_type[80];
    char            upstream[64];
};

/* -- Life ----------------------------------------------------------------------------- */

static void answer_free(struct answer *a) {
    if (a->from != NULL) source_cancel(a->from);
    sse_deinit(&a->events);
    buf_deinit(&a->scratch);
    buf_deinit(&a->whole);
    buf_deinit(&a->headers);
    json_deinit(&a->doc);
    failure_deinit(&a->failure);
    mem_free(a);
}

static void answer_start(struct source *s, struct sink *to) {
    struct answer *a = container_of(s, struct answer, source);
    a->to = to;
    source_start(a->from, &a->sink);
}

static void answer_resume(struct source *s) {
    struct answer *a = container_of(s, struct answer, source);
    if (a->from != NULL && !a->over) source_resume(a->from);
}

/* From inside one of its events, on_event() frees it. */
static void answer_cancel(struct source *s) {
    struct answer *a = container_of(s, struct answer, source);
    a->over = 1;
    if (!a->in_event) answer_free(a);
}

static const char *answer_describe(const struct source *s, char *buf, size_t size) {
    const struct answer *a = container_of((struct source *)(uintptr_t)s, struct answer, source);
    return a->from ? source_describe(a->from, buf, size) : "";
}

/* -- Looking ------------------------------------------------------------------------ */

static bool mentions(struct slice s, struct slice what) {
    return memmem(s.ptr, s.len, what.ptr, what.len) != NULL;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* "finish_reason" followed by a string. */
static bool is_finish(struct slice s) {
    static const char key[] = "\"finish_reason\"";
    const char *p = s.ptr, *stop = s.ptr + s.len;
    while ((p = memmem(p, (size_t)(stop - p), key, sizeof(key) - 1)) != NULL) {
        for (p += sizeof(key) - 1; p < stop && (*p == ':' || is_space(*p)); p++) {}
        if (p < stop && *p == '"') return true;
    }
    return false;
}

static uint64_t number_of(const struct json_doc *doc, uint32_t object, struct slice key) {
    uint32_t n = object == JSON_NONE ? JSON_NONE : json_get(doc, object, key);
    uint64_t v = 0;
    if (n != JSON_NONE && json_type(doc, n) == JSON_NUMBER) json_u64(doc, n, &v);
    return v;
}

/* From a parsed answer or chunk; false when it has none. */
static bool read_usage(const struct json_doc *doc, struct usage *out) {
    if (json_type(doc, 0) != JSON_OBJECT) return false;
    uint32_t u = json_get(doc, 0, SLICE("usage"));
    if (u == JSON_NONE || json_type(doc, u) != JSON_OBJECT) return false;
    out->known = true;
    out->prompt = number_of(doc, u, SLICE("prompt_tokens"));
    out->completion = number_of(doc, u, SLICE("completion_tokens"));
    uint32_t details = json_get(doc, u, SLICE("prompt_tokens_details"));
    if (details != JSON_NONE && json_type(doc, details) == JSON_OBJECT)
        out->cached = number_of(doc, details, SLICE("cached_tokens"));
    /* What DeepSeek and gateways in front of Anthropic call it. */
    if (out->cached == 0) out->cached = number_of(doc, u, SLICE("prompt_cache_hit_tokens"));
    if (out->cached == 0) out->cached = number_of(doc, u, SLICE("cache_read_input_tokens"));
    return true;
}

/* {"error": {...}} or {"error": "..."} inside a 200. */
static bool find_error(struct answer *a) {
    if (json_type(&a->doc, 0) != JSON_OBJECT) return false;
    uint32_t e = json_get(&a->doc, 0, SLICE("error"));
    if (e == JSON_NONE || json_type(&a->doc, e) == JSON_NULL) return false;
    failure_set(&a->failure, FAILURE_STREAM, "upstream '%s' sent an error in its answer", a->upstream);
    if (json_type(&a->doc, e) == JSON_OBJECT) {
        json_copy_string(&a->doc, e, SLICE("message"), a->failure.message, sizeof(a->failure.message));
        json_copy_string(&a->doc, e, SLICE("type"), a->failure.type, sizeof(a->failure.type));
        json_copy_string(&a->doc, e, SLICE("code"), a->failure.code, sizeof(a->failure.code));
    } else if (json_type(&a->doc, e) == JSON_STRING) {
        buf_clear(&a->scratch);
        json_decode_string(&a->doc, e, &a->scratch);
        slice_copy(a->failure.message, sizeof(a->failure.message), buf_get(&a->scratch));
    }
    return true;
}

static void fail_for_memory(struct answer *a) { failure_set(&a->failure, FAILURE_NO_MEMORY, "out of memory"); }

/* Returns 0, PERILUNE_ERR_INVAL, or PERILUNE_ERR_NOMEM: then the answer has failed. */
static int parse(struct answer *a, struct slice text) {
    int rc = json_parse(&a->doc, text, &(struct json_error){ 0 });
    if (rc == PERILUNE_ERR_NOMEM) fail_for_memory(a);
    return rc;
}

static bool choices_are_empty(const struct json_doc *doc) {
    uint32_t c = json_get(doc, 0, SLICE("choices"));
    return c == JSON_NONE || (json_type(doc, c) == JSON_ARRAY && doc->nodes[c].count == 0);
}

/* The frame without its usage member: all other members, each with the comma and the
 * white space in front of it; the first that stays, without. */
static struct slice cut_usage(struct answer *a) {
    const struct json_doc *d = &a->doc;
    struct buf *out = &a->scratch;
    const char *text = d->text.ptr;
    size_t from = d->nodes[0].start + 1; /* what comes next is not copied yet */
    bool first = true, cut = false;
    buf_clear(out);
    buf_puts(out, "data: ");
    buf_put(out, text, from);
    for (uint32_t key = json_first(d, 0); key != JSON_NONE;) {
        uint32_t value = json_next(d, 0, key);
        size_t end = d->nodes[value].end;
        if (json_str_eq(d, key, SLICE("usage"))) {
            cut = true;
        } else {
            if (first && cut) from = d->nodes[key].start;
            buf_put(out, text + from, end - from);
            first = false;
        }
        from = end;
        key = json_next(d, 0, value);
    }
    buf_put(out, text + from, d->text.len - from);
    /* Data of several lines: JSON has line ends as white space only. */
    for (size_t i = 0; i < buf_len(out); i++)
        if (out->data[out->mark + i] == '\n') out->data[out->mark + i] = ' ';
    buf_puts(out, "\n\n");
    return buf_get(out);
}

/* -- Forwarding ------------------------------------------------------------------------ */

static void forward(struct answer *a, struct event *ev) {
    if (a->news) ev->usage = &a->usage;
    a->news = 0;
    a->flow = a->to->event(a->to, ev);
}

static void send_head(struct answer *a) {
    if (a->headed) return;
    a->headed = 1;
    struct event ev = { .type = EVENT_HEAD, .status = a->status, .headers = buf_get(&a->headers),
                        .content_type = slice_str(a->is_stream ? "text/event-stream" : a->content_type) };
    a->flow = a->to->event(a->to, &ev);
}

static void end(struct answer *a) {
    a->over = 1;
    struct event ev = { .type = EVENT_END };
    if (failure_is_set(&a->failure)) {
        ev.type = EVENT_ERROR;
        ev.failure = &a->failure;
    }
    forward(a, &ev);
}

static int on_frame(void *ud, const struct sse_event *e) {
    struct answer *a = ud;
    if (a->over || a->done || e->data.len == 0) return 0; /* nothing counts behind [DONE] */
    if (a->from != NULL) source_mark(a->from);
    struct event ev = { .type = EVENT_FRAME, .raw = e->raw, .data = e->data };
    if (slice_eq(e->data, SLICE("[DONE]"))) {
        a->done = 1;
        send_head(a);
        if (!a->over) forward(a, &ev);
        return 0;
    }
    bool usage = mentions(e->data, SLICE("\"usage\""));
    bool error = mentions(e->data, SLICE("\"error\""));
    if (!a->finished && is_finish(e->data)) a->finished = 1;
    int rc = usage || error ? parse(a, e->data) : PERILUNE_ERR_INVAL;
    if (rc == PERILUNE_ERR_NOMEM) return 1;
    if (rc == 0) {
        if (error && find_error(a)) return 1;
        bool known = usage && read_usage(&a->doc, &a->usage);
        a->news |= known;
        if (known && !a->keep_usage && choices_are_empty(&a->doc)) return 0;
        if (known && !a->keep_usage) {
            ev.raw = cut_usage(a);
            if (buf_failed(&a->scratch)) {
                fail_for_memory(a);
                return 1;
            }
            ev.data = slice_of(ev.raw.ptr + 6, ev.raw.len - 8);
        }
    }
    send_head(a);
    if (!a->over) forward(a, &ev);
    return 0;
}

/* -- What the call says ------------------------------------------------------------------- */

static void on_head(struct answer *a, const struct event *ev) {
    a->status = ev->status;
    buf_slice(&a->headers, ev->headers);
    if (buf_failed(&a->headers)) {
        fail_for_memory(a);
        end(a);
        return;
    }
    struct slice ct = ev->content_type;
    slice_copy(a->content_type, sizeof(a->content_type), ct);
    static const struct slice sse = SLICE("text/event-stream");
    bool named = ct.len >= sse.len && strncasecmp(ct.ptr, sse.ptr, sse.len) == 0;
    a->is_stream = a->expect_stream && named && (ct.len == sse.len || strchr("; \t", ct.ptr[sse.len]) != NULL);
    if (a->content_type[0] == '\0') snprintf(a->content_type, sizeof(a->content_type), "application/json");
}

static void on_bytes(struct answer *a, struct slice s) {
    if (!a->is_stream) {
        buf_slice(&a->whole, s);
        if (!buf_failed(&a->whole)) return;
        failure_set(&a->failure, a->whole.error == PERILUNE_ERR_LIMITED ? FAILURE_ANSWER_TOO_LARGE : FAILURE_NO_MEMORY,
                    "upstream '%s': the answer is over max_body", a->upstream);
        end(a);
        return;
    }
    int rc = sse_feed(&a->events, s, on_frame, a);
    if (rc == 0 || a->over) return;
    if (rc == PERILUNE_ERR_LIMITED)
        failure_set(&a->failure, FAILURE_MALFORMED, "upstream '%s' sent an event over its limit of %zu bytes",
                    a->upstream, a->events.limit);
    else if (!failure_is_set(&a->failure))
        fail_for_memory(a);
    end(a);
}

static void end_of_stream(struct answer *a) {
    int rc = sse_finish(&a->events, on_frame, a);
    if (a->over) return;
    if (rc != 0 && !failure_is_set(&a->failure)) fail_for_memory(a);
    if (!failure_is_set(&a->failure) && !a->done) {
        if (a->finished) { /* complete, but for providers that forget the last line */
            struct event ev = { .type = EVENT_FRAME, .raw = SLICE("data: [DONE]\n\n"),
                                .data = SLICE("[DONE]") };
            forward(a, &ev);
        } else {
            failure_set(&a->failure, FAILURE_TRUNCATED, "upstream '%s' ended its stream too early",
                        a->upstream);
        }
    }
    if (!a->over) end(a);
}

static void end_of_whole(struct answer *a) {
    int rc = parse(a, buf_get(&a->whole));
    if (rc == PERILUNE_ERR_INVAL) {
        failure_set(&a->failure, FAILURE_MALFORMED, "upstream '%s' answered %d with a body that is not JSON",
                    a->upstream, a->status);
    } else if (rc == 0 && !find_error(a)) {
        a->news = read_usage(&a->doc, &a->usage);
        send_head(a);
        struct event ev = { .type = EVENT_BYTES, .raw = buf_get(&a->whole) };
        if (!a->over) forward(a, &ev);
    }
    if (!a->over) end(a);
}

static void take(struct answer *a, const struct event *ev) {
    switch (ev->type) {
    case EVENT_HEAD: on_head(a, ev); break;
    case EVENT_BYTES:
    case EVENT_FRAME: on_bytes(a, ev->raw); break;
    case EVENT_END:
        if (a->is_stream) end_of_stream(a);
        else end_of_whole(a);
        break;
    case EVENT_ERROR:
        if (a->done) { /* all was said: how the connection ends concerns nobody */
            end(a);
            break;
        }
        a->over = 1;
        a->to->event(a->to, ev);
        break;
    }
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct answer *a = container_of(k, struct answer, sink);
    if (ev->type == EVENT_END || ev->type == EVENT_ERROR) a->from = NULL;
    a->flow = FLOW_MORE;
    a->in_event = 1;
    if (!a->over) take(a, ev);
    a->in_event = 0;
    enum flow flow = a->flow;
    if (a->over) answer_free(a);
    return flow;
}

/* -- Making --------------------------------------------------------------------------------- */

static const struct source_ops source_ops = { answer_start, answer_resume, answer_cancel, NULL, answer_describe };

struct source *answer_new(struct source *from, const struct answer_options *opt) {
    struct answer *a = mem_zalloc(sizeof(*a));
    if (a == NULL) {
        source_cancel(from);
        return NULL;
    }
    a->source.ops = &source_ops;
    a->sink.event = on_event;
    a->from = from;
    slice_copy(a->upstream, sizeof(a->upstream), slice_str(opt->upstream));
    a->expect_stream = opt->stream;
    a->keep_usage = opt->keep_usage;
    sse_init(&a->events, opt->limit < EVENT_LIMIT ? opt->limit : EVENT_LIMIT);
    buf_init(&a->scratch, 0);
    buf_init(&a->whole, opt->limit);
    buf_init(&a->headers, 0);
    failure_init(&a->failure);
    return &a->source;
}

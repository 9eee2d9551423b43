/* answer.c -- an upstream's answer, read on its way through.
 *
 *     bytes --> what is it? --event stream--> [events] --> frame --> look --> forward as it came
 *                    |                                                |
 *                    +--JSON--> collect, parse          usage? error? end mark? finish_reason?
 *
 * What an answer is shows in its first bytes; the content type is believed only where they
 * say nothing.  A whole answer to who asked for a stream is told again as one, because that is
 * what its reader waits for; a stream that its reader did not wait for is put together (assemble.c).
 *
 * Frames are not rebuilt.  The look is one pass over their bytes (chunk.c); only a frame that
 * mentions usage, an error or the end of a choice, or has no choices, is parsed.  Usage is asked upstream; what
 * the client did not ask for is taken out again: the frame with empty choices
 * disappears, a usage member in any other frame is cut out, null as well.
 *
 * HEAD is held back until the first real event, so that an upstream which says 200
 * and then {"error": ...} has failed before the first byte.
 *
 * The end: everything was said when the end mark came, and the answer ends there; or when all choices have
 * ended with a reason, and the body has (usage comes behind a reason).  How the connection ends after that
 * concerns nobody, and there is one end mark whether it came or not.  Half an event at the end is dropped.  A stream
 * that ends before that is a failure.
 *
 * An answer that is not an event stream is collected, must be JSON, and leaves
 * in one piece. */
#include "llm/answer.h"

#include <stdio.h>

#include "base/err_body.h"
#include "base/json.h"
#include "base/mem.h"
#include "llm/assemble.h"
#include "llm/chunk.h"
#include "llm/openai.h"
#include "llm/sse.h"

#define KEEP_BYTES (64 * 1024) /* of memory that one large event left behind */

enum shape { SHAPE_UNKNOWN, SHAPE_STREAM, SHAPE_WHOLE };

struct answer {
    struct source   source;
    struct sink     sink;     /* of `from` */
    struct source  *from;     /* NULL: it has ended */
    struct sink    *to;
    struct sse      events;
    struct buf      scratch;  /* a frame without its usage */
    struct buf      whole;    /* an answer that is not a stream, or not known to be one yet */
    struct buf      headers;
    struct json_doc doc;
    struct usage    usage;
    uint64_t        frames, bytes; /* events that say something, and their data */
    size_t          shortest; /* of them */
    struct buf      said;     /* the upstream's own object of it, when it is cut out of the events */
    struct failure *failure;  /* found in this event, of on_event(); NULL between events */
    struct chunk_choices choices;
    struct assemble assembly; /* of a stream that is given as a whole */
    enum shape      shape;
    int             status;
    enum flow       flow;     /* what `to` said last */
    unsigned        expect_stream : 1, keep_usage : 1, headed : 1, over : 1, in_event : 1,
                    named : 1, /* the content type says event stream */
                    done : 1,  /* the end mark came */
                    complete : 1, /* and the end was told */
                    silent : 1, /* this event has no choice that could say anything */
                    retold : 1, /* what it says is counted already */
                    news : 1;  /* usage that `to` has not heard of */
    char            content_type[80];
};

/* -- Life ----------------------------------------------------------------------------- */

static void answer_free(struct answer *a) {
    if (a->from != NULL && a->complete) source_release(a->from);
    else if (a->from != NULL) source_cancel(a->from);
    sse_deinit(&a->events);
    buf_deinit(&a->scratch);
    buf_deinit(&a->whole);
    buf_deinit(&a->headers);
    buf_deinit(&a->said);
    assemble_deinit(&a->assembly);
    json_deinit(&a->doc);
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

static bool answer_is_unsent(const struct source *s) {
    const struct answer *a = container_of((struct source *)(uintptr_t)s, struct answer, source);
    return a->from != NULL && source_is_unsent(a->from);
}

/* -- Looking ------------------------------------------------------------------------ */

static void fail_for_memory(struct answer *a) { failure_set(a->failure, FAILURE_NO_MEMORY, "out of memory"); }

/* Returns 0, PERILUNE_ERR_INVAL, or PERILUNE_ERR_NOMEM: then the answer has failed. */
static int parse(struct answer *a, struct slice text) {
    int rc = json_parse(&a->doc, text, &(struct json_error){ 0 });
    if (rc == PERILUNE_ERR_NOMEM) fail_for_memory(a);
    return rc;
}

static bool has_ended(const struct answer *a) { return a->done || chunk_is_complete(&a->choices); }

/* e with other data: what stands around the data stays as it came. */
static void put_frame(struct answer *a, const struct sse_event *e, struct slice data, struct event *ev) {
    struct buf *out = &a->scratch;
    bool inside = e->data.ptr >= e->raw.ptr && e->data.ptr + e->data.len <= e->raw.ptr + e->raw.len;
    struct slice before = SLICE("data: "), after = SLICE("\n\n");
    if (inside) {
        size_t at = (size_t)(e->data.ptr - e->raw.ptr);
        before = slice_of(e->raw.ptr, at);
        after = slice_of(e->data.ptr + e->data.len, e->raw.len - at - e->data.len);
    }
    size_t from = buf_len(out);
    buf_slice(out, before);
    if (data.ptr != NULL) buf_slice(out, data);
    else chunk_without_usage(&a->doc, out);
    size_t end = buf_len(out);
    buf_slice(out, after);
    if (buf_failed(out)) {
        fail_for_memory(a);
        return;
    }
    ev->raw = slice_of(buf_get(out).ptr + from, buf_len(out) - from);
    ev->data = slice_of(ev->raw.ptr + before.len, end - from - before.len);
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
                        .content_type = slice_str(a->shape == SHAPE_STREAM ? "text/event-stream" : a->content_type) };
    a->flow = a->to->event(a->to, &ev);
}

static void end(struct answer *a) {
    a->over = 1;
    struct event ev = { .type = EVENT_END, .usage_said = buf_get(&a->said) };
    if (failure_is_set(a->failure)) {
        if (a->failure->kind != FAILURE_STREAM) failure_forbid_repeat(a->failure); /* an answer came: it is paid */
        ev.type = EVENT_ERROR;
        ev.failure = a->failure;
    }
    forward(a, &ev);
}

/* Memory that one large event took is not kept for the small ones behind it. */
static void shed(struct answer *a) {
    buf_shed(&a->scratch, KEEP_BYTES);
    if (a->doc.cap * sizeof(*a->doc.nodes) > KEEP_BYTES) json_deinit(&a->doc);
}

#define TOKEN_BYTES  4
#define AROUND_BYTES 300 /* of an event, around what it says, at most */
#define KEY_BYTES    16  /* of "content":"" and the like, which the shortest one, an end, has not */

/* An event is a token, or more when it is longer than the shortest, which is the frame around them and little else:
 * servers put several into one. */
static void count_frame(struct answer *a, struct slice data) {
    static const struct slice none = SLICE("\"choices\":[]");
    size_t len = data.len;
    bool is_new = a->shortest == 0 || len < a->shortest;
    if (is_new && memmem(data.ptr, len, none.ptr, none.len) != NULL) return; /* it says nothing */
    a->frames++;
    a->bytes += len;
    if (is_new) a->shortest = len;
    uint64_t around = a->frames * (KEY_BYTES + (a->shortest < AROUND_BYTES ? a->shortest : AROUND_BYTES));
    uint64_t more = a->bytes > around ? (a->bytes - around) / TOKEN_BYTES : 0;
    a->usage.said = more > a->frames ? more : a->frames;
    a->news = 1;
}

static void forward_frame(struct answer *a, struct event *ev) {
    if (!a->done && !a->silent && !a->retold) count_frame(a, ev->data);
    a->silent = 0;
    send_head(a);
    if (!a->over) forward(a, ev);
    shed(a);
}

static void send_end_mark(struct answer *a) {
    struct event ev = { .type = EVENT_FRAME, .raw = SLICE("data: [DONE]\n\n"), .data = openai_chat.end_mark };
    a->done = 1;
    forward_frame(a, &ev);
}

/* True: this frame is an error, and a->failure says so. */
static bool find_error(struct answer *a, struct slice data, bool named, bool parsed) {
    if (parsed) return err_body_inside(a->failure, &a->doc, named);
    if (named) err_body_inside_text(a->failure, data);
    return named;
}

/* More than numbers of ours: a cache keeps it for who asks later. */
static void keep_said(struct answer *a, uint32_t usage) {
    buf_clear(&a->said);
    buf_slice(&a->said, json_raw(&a->doc, usage));
    if (buf_failed(&a->said)) fail_for_memory(a);
}

/* The usage of a parsed frame is noted and cut out.  False: nothing of the frame is left. */
static bool take_usage(struct answer *a, const struct sse_event *e, struct event *ev) {
    if (json_type(&a->doc, 0) != JSON_OBJECT) return true;
    a->news |= chunk_usage(&a->doc, &a->usage);
    uint32_t member = json_get(&a->doc, 0, SLICE("usage"));
    bool is_object = json_is(&a->doc, member, JSON_OBJECT);
    if (a->keep_usage || (!is_object && !json_is(&a->doc, member, JSON_NULL))) return true;
    if (is_object && a->usage.known) keep_said(a, member);
    else if (is_object) buf_clear(&a->said); /* what makes no sense is told to nobody else */
    if (is_object && chunk_has_no_choices(&a->doc)) return false;
    put_frame(a, e, slice_of(NULL, 0), ev);
    return true;
}

/* "usage":null as the last member: what OpenAI's own API puts into every chunk of who asks for
 * usage.  It is cut off without a look at the rest. */
static bool cut_last_null(struct answer *a, const struct sse_event *e, struct event *ev) {
    static const struct slice tail = SLICE(",\"usage\":null}");
    struct slice d = ev->data;
    if (a->keep_usage || d.len < tail.len || memcmp(d.ptr + d.len - tail.len, tail.ptr, tail.len) != 0) return false;
    if (memchr(d.ptr, '\n', d.len) != NULL) return false; /* several lines of data */
    struct buf *text = &a->scratch;
    buf_put(text, d.ptr, d.len - tail.len);
    buf_putc(text, '}');
    size_t n = buf_len(text);
    buf_reserve(text, n + e->raw.len); /* put_frame() appends behind what it copies from */
    if (buf_failed(text)) fail_for_memory(a);
    else put_frame(a, e, slice_of(buf_get(text).ptr, n), ev);
    return true;
}

/* What a frame says besides text.  False: it is not to be forwarded, or is an error. */
static bool read_frame(struct answer *a, const struct sse_event *e, struct event *ev) {
    bool named = slice_eq(e->name, SLICE("error"));
    unsigned found = chunk_look(ev->data);
    if (a->choices.asked > 1) found &= ~(unsigned)CHUNK_INDEX; /* their number is known */
    if (found == CHUNK_USAGE && !named && cut_last_null(a, e, ev)) return !failure_is_set(a->failure);
    bool suspect = named || (found & CHUNK_ERROR) || chunk_lacks_choices(ev->data);
    if (found == 0 && !suspect) return true;
    int rc = parse(a, ev->data);
    if (rc == PERILUNE_ERR_NOMEM) return false;
    if (suspect && find_error(a, ev->data, named, rc == 0)) return false;
    if (rc != 0) return true;
    chunk_count(&a->choices, &a->doc);
    a->silent = chunk_has_no_choices(&a->doc);
    bool stays = take_usage(a, e, ev);
    return stays && !failure_is_set(a->failure);
}

static void fail_for_size(struct answer *a) {
    failure_set(a->failure, FAILURE_ANSWER_TOO_LARGE, "the upstream failed: its answer is over max_body");
}

/* A stream that `to` does not wait for becomes a whole answer.  Returns non-zero when it has failed. */
static int gather(struct answer *a, const struct sse_event *e) {
    bool named = slice_eq(e->name, SLICE("error"));
    if (a->from != NULL) source_mark(a->from);
    if (dialect_is_end(&openai_chat, e->data)) {
        a->done = 1;
        return 0;
    }
    int rc = parse(a, e->data);
    if (rc == PERILUNE_ERR_NOMEM || find_error(a, e->data, named, rc == 0)) return 1;
    if (rc != 0 && e->name.len > 0) return 0; /* a "ping" or the like */
    if (rc != 0) {
        failure_set(a->failure, FAILURE_MALFORMED, "the upstream sent an event that is not JSON");
        return 1;
    }
    chunk_count(&a->choices, &a->doc);
    chunk_usage(&a->doc, &a->usage);
    a->usage.said += chunk_estimate(&a->doc);
    a->news = 1;
    rc = assemble_add(&a->assembly, &a->doc);
    if (rc == PERILUNE_ERR_LIMITED) fail_for_size(a);
    else if (rc == PERILUNE_ERR_UPSTREAM) failure_set(a->failure, FAILURE_MALFORMED, "%s", ASSEMBLE_NO_CHOICE);
    else if (rc != 0) fail_for_memory(a);
    shed(a);
    return rc;
}

static int on_frame(void *ud, const struct sse_event *e) {
    struct answer *a = ud;
    if (a->over || a->done || e->data.len == 0) return 0; /* nothing counts behind the end mark */
    if (!a->expect_stream) return gather(a, e);
    if (a->from != NULL) source_mark(a->from);
    struct event ev = { .type = EVENT_FRAME, .raw = e->raw, .data = e->data };
    if (dialect_is_end(&openai_chat, e->data)) {
        if (e->data.len != openai_chat.end_mark.len) { /* with spaces around it */
            send_end_mark(a);
            return 0;
        }
        a->done = 1;
    } else if (!read_frame(a, e, &ev)) {
        shed(a);
        return failure_is_set(a->failure);
    }
    forward_frame(a, &ev);
    return 0;
}

/* Nothing stands behind this one, and its blank line is missing: it may have been cut.  An
 * object that was cut does not parse. */
static int on_last_frame(void *ud, const struct sse_event *e) {
    struct answer *a = ud;
    if (a->over || a->done) return 0;
    if (dialect_is_end(&openai_chat, e->data)) return on_frame(a, e);
    int rc = e->data.len > 0 && e->data.ptr[0] == '{' ? parse(a, e->data) : PERILUNE_ERR_INVAL;
    if (rc == PERILUNE_ERR_NOMEM) return 1;
    return rc == 0 ? on_frame(a, e) : 0;
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
    a->named = named && (ct.len == sse.len || strchr("; \t", ct.ptr[sse.len]) != NULL);
    if (a->content_type[0] == '\0' || a->named) snprintf(a->content_type, sizeof(a->content_type), "application/json");
}

/* What the first bytes are; SHAPE_UNKNOWN: there are too few of them. */
static enum shape shape_of(const struct answer *a, struct slice s) {
    static const char *const fields[] = { "data:", "event:", "id:", "retry:", ":" };
    static const struct slice bom = SLICE("\xEF\xBB\xBF");
    if (s.len > 0 && s.len < bom.len && memcmp(s.ptr, bom.ptr, s.len) == 0) return SHAPE_UNKNOWN;
    s = json_without_bom(s);
    while (s.len > 0 && memchr(" \t\r\n", s.ptr[0], 4) != NULL) s = slice_of(s.ptr + 1, s.len - 1);
    if (s.len == 0) return SHAPE_UNKNOWN;
    if (s.ptr[0] == '{' || s.ptr[0] == '[') return SHAPE_WHOLE;
    if (a->named) return SHAPE_STREAM;
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        size_t n = strlen(fields[i]) < s.len ? strlen(fields[i]) : s.len;
        if (memcmp(s.ptr, fields[i], n) == 0) return n == strlen(fields[i]) ? SHAPE_STREAM : SHAPE_UNKNOWN;
    }
    return SHAPE_WHOLE;
}

static void feed(struct answer *a, struct slice s) {
    int rc = sse_feed(&a->events, s, on_frame, a);
    if (rc == 0 || a->over) return;
    if (rc == PERILUNE_ERR_LIMITED && !failure_is_set(a->failure))
        failure_set(a->failure, FAILURE_MALFORMED,
                    "the upstream sent an event over its limit of %zu bytes (max_event)", a->events.limit);
    else if (!failure_is_set(a->failure))
        fail_for_memory(a);
    end(a);
}

static void collect(struct answer *a, struct slice s) {
    buf_slice(&a->whole, s);
    if (!buf_failed(&a->whole)) return;
    if (a->whole.error == PERILUNE_ERR_LIMITED) fail_for_size(a);
    else fail_for_memory(a);
    end(a);
}

static void on_bytes(struct answer *a, struct slice s) {
    bool first = a->shape == SHAPE_UNKNOWN && buf_len(&a->whole) == 0;
    if (first) a->shape = shape_of(a, s);
    if (a->shape == SHAPE_STREAM) {
        feed(a, s);
        return;
    }
    collect(a, s);
    if (a->over || a->shape == SHAPE_WHOLE) return;
    a->shape = shape_of(a, buf_get(&a->whole));
    if (a->shape != SHAPE_STREAM) return;
    struct buf held = a->whole;
    buf_init(&a->whole, held.limit);
    feed(a, buf_get(&held));
    buf_deinit(&held);
}

/* What was gathered, as if it had come so. */
static void send_gathered(struct answer *a) {
    struct buf whole;
    buf_init(&whole, 0);
    a->shape = SHAPE_WHOLE;
    bool any = assemble_write(&a->assembly, &whole);
    if (buf_failed(&whole)) {
        fail_for_memory(a);
    } else if (!any) {
        failure_set(a->failure, FAILURE_MALFORMED, "the upstream answered with a stream that has no choices");
    } else {
        struct event ev = { .type = EVENT_BYTES, .raw = buf_get(&whole) };
        send_head(a);
        if (!a->over) forward(a, &ev);
    }
    buf_deinit(&whole);
}

/* `why`: the call failed; NULL: the body has ended. */
static void end_of_stream(struct answer *a, const struct event *why) {
    int rc = why == NULL ? sse_finish(&a->events, on_last_frame, a) : 0;
    if (a->over) return;
    if (rc != 0 && !failure_is_set(a->failure)) fail_for_memory(a);
    if (!failure_is_set(a->failure) && !has_ended(a)) {
        if (why != NULL) {
            a->over = 1;
            a->to->event(a->to, why);
            return;
        }
        failure_set(a->failure, FAILURE_TRUNCATED, "the upstream ended its stream too early");
    }
    if (!failure_is_set(a->failure) && !a->expect_stream) send_gathered(a);
    else if (!failure_is_set(a->failure) && !a->done) send_end_mark(a);
    if (!a->over) end(a);
}

/* A stream was asked for, and came as a whole.  False: this is nothing that can be told as one. */
static bool retell(struct answer *a) {
    struct buf frames;
    buf_init(&frames, 0);
    bool told = openai_completion_as_chunks(&frames, &a->doc, true);
    if (told) a->usage.said = chunk_estimate(&a->doc);
    a->retold = told;
    a->news = told;
    if (told && buf_failed(&frames)) {
        fail_for_memory(a);
    } else if (told) {
        a->shape = SHAPE_STREAM;
        a->events.limit = 0; /* the whole was within its own */
        feed(a, buf_get(&frames));
        if (!a->over && !a->done) send_end_mark(a);
    }
    buf_deinit(&frames);
    return told;
}

static void take_whole_usage(struct answer *a) {
    chunk_usage(&a->doc, &a->usage);
    a->usage.said = chunk_estimate(&a->doc);
    a->news = usage_is_told(&a->usage);
}

static void end_of_whole(struct answer *a) {
    struct slice whole = json_without_bom(buf_get(&a->whole));
    int rc = parse(a, whole);
    bool good = rc == 0 && !err_body_inside(a->failure, &a->doc, false);
    if (rc == PERILUNE_ERR_INVAL) {
        failure_set(a->failure, FAILURE_MALFORMED, "the upstream answered %d with a body that is not JSON",
                    a->status);
    } else if (good && a->expect_stream && !json_is(&a->doc, 0, JSON_OBJECT)) {
        failure_set(a->failure, FAILURE_MALFORMED, "the upstream answered %d with JSON that is neither a stream nor a "
                    "completion", a->status);
    } else if (good && !(a->expect_stream && retell(a))) {
        take_whole_usage(a);
        send_head(a);
        struct event ev = { .type = EVENT_BYTES, .raw = whole };
        if (!a->over) forward(a, &ev);
    }
    if (!a->over) end(a);
}

static void take(struct answer *a, const struct event *ev) {
    switch (ev->type) {
    case EVENT_HEAD: on_head(a, ev); break;
    case EVENT_BYTES:
    case EVENT_FRAME:
        on_bytes(a, ev->raw);
        if (!a->over && a->done) {
            a->complete = 1;
            end_of_stream(a, NULL);
        }
        break;
    case EVENT_END:
        if (a->shape == SHAPE_STREAM || (a->shape == SHAPE_UNKNOWN && a->named)) end_of_stream(a, NULL);
        else end_of_whole(a);
        break;
    case EVENT_ERROR: end_of_stream(a, ev); break;
    }
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct answer *a = container_of(k, struct answer, sink);
    if (ev->type == EVENT_END || ev->type == EVENT_ERROR) a->from = NULL;
    /* It is as large as all the rest, and none outlives its event: that ends the answer. */
    struct failure f;
    failure_init(&f);
    a->failure = &f;
    a->flow = FLOW_MORE;
    a->in_event = 1;
    if (!a->over) take(a, ev);
    if (!a->over && failure_is_set(&f)) end(a);
    a->in_event = 0;
    a->failure = NULL;
    failure_deinit(&f);
    enum flow flow = a->flow;
    if (a->over) answer_free(a);
    return flow;
}

/* -- Making --------------------------------------------------------------------------------- */

static const struct source_ops source_ops = { answer_start, answer_resume, answer_cancel, NULL, answer_describe,
                                               NULL, answer_is_unsent };

struct source *answer_new(struct source *from, const struct answer_options *opt) {
    struct answer *a = mem_zalloc(sizeof(*a));
    if (a == NULL) {
        source_cancel(from);
        return NULL;
    }
    a->source.ops = &source_ops;
    a->sink.event = on_event;
    a->from = from;
    a->expect_stream = opt->stream;
    a->keep_usage = opt->keep_usage;
    a->choices.asked = opt->choices;
    sse_init(&a->events, opt->max_event);
    assemble_init(&a->assembly, opt->limit);
    buf_init(&a->scratch, 0);
    buf_init(&a->whole, opt->limit);
    buf_init(&a->headers, 0);
    buf_init(&a->said, 0);
    return &a->source;
}

/* recorder.c -- hands an answer on, and stores it when it has ended well.
 *
 *     response --> its filters (map) --> [ recorder ] --> the response that outer policies see
 *                                             |
 *                                             +-- END --> cache
 *
 * It is the consumer of what policies below have answered and the source of what policies above get, so
 * it keeps just what was answered below: a map of a policy above is done again with each hit.
 *
 * Only an answer whose form is known is kept (its dialect says so), which ended with END: readers of
 * upstreams end a stream so when all its choices have ended, and with ERROR when it was cut or said an
 * error.  So what was cut, what a policy broke off, and what its client did not wait for is never stored.
 * Nor is an answer of which a part is missing (END says so), one that was filtered or given up on its way (a later
 * question may pass), that says nothing at all (it is asked again because of that), that calls tools (their results are
 * not part of the question), that has another status than 200, or that is longer than an entry may be.
 *
 * Of a stream the usage is kept as one record of its own, with the upstream's own object, when the client did
 * not ask for it: who asks later gets it, who does not, does not. */
#include "request/cached.h"

#include "base/mem.h"
#include "flow/records.h"
#include "llm/chunk.h"
#include "request/cache_control.h"
#include "include/perilune.h"

struct recorder {
    struct source    source;
    struct sink      sink;    /* of r */
    struct sink     *to;
    struct response *r;       /* a share */
    struct recorder_options opt;
    struct buf       text;    /* what slices of opt point to */
    struct buf       records;
    struct cached    facts;
    struct buf       common;  /* members that each event repeats, for an event of usage */
    bool             given_up, begun, over, in_event;
    size_t           end_at;  /* where the end mark stands in records; 0: nowhere */
};

static void give_up(struct recorder *k) {
    k->given_up = true;
    buf_deinit(&k->records);
    buf_deinit(&k->common);
}

/* -- Storing ----------------------------------------------------------------------------- */

static void store(struct recorder *k) {
    k->facts.upstream = slice_str(k->r->upstream);
    k->facts.model = slice_str(k->r->model);
    cached_store(&k->opt, &k->facts, buf_get(&k->records)); /* too large, no memory: it is not kept */
}

/* -- Reading along ------------------------------------------------------------------------- */

static void keep(struct recorder *k, const struct event *ev) {
    if (!records_put(&k->records, ev)) give_up(k); /* too long, or no memory */
}

/* An event that says nothing but usage, in front of the end mark, which is the last record. */
static void put_usage(struct recorder *k) {
    const struct dialect *d = k->r->dialect;
    struct buf frame, end;
    buf_init(&frame, 0);
    buf_init(&end, 0);
    buf_puts(&frame, "data: ");
    d->write_usage(&frame, buf_get(&k->common), &k->facts.usage, buf_get(&k->r->usage_said));
    buf_puts(&frame, "\n\n");
    struct slice all = buf_get(&frame), kept = buf_get(&k->records);
    buf_put(&end, kept.ptr + k->end_at, kept.len - k->end_at);
    if (buf_failed(&frame) || buf_failed(&end) || buf_failed(&k->common)) {
        give_up(k);
    } else {
        k->records.len -= buf_len(&end);
        keep(k, &(struct event){ .type = EVENT_FRAME, .raw = all, .data = slice_of(all.ptr + 6, all.len - 8) });
        k->facts.usage_at = (uint32_t)k->end_at;
        k->facts.usage_len = (uint32_t)(buf_len(&k->records) - k->end_at);
        buf_slice(&k->records, buf_get(&end));
        if (buf_failed(&k->records)) give_up(k);
    }
    buf_deinit(&frame);
    buf_deinit(&end);
}

/* The first event with choices tells what each repeats: in front of it Azure has one of no answer, with id "". */
static void note_common(struct recorder *k, struct slice data) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    k->begun = k->r->dialect->write_common == NULL;
    if (k->begun || json_parse(&doc, data, &err) != 0) return;
    if (json_is(&doc, 0, JSON_OBJECT)) {
        buf_clear(&k->common);
        k->r->dialect->write_common(&k->common, &doc);
        k->begun = !chunk_has_no_choices(&doc);
    }
    json_deinit(&doc);
}

static void on_frame(struct recorder *k, const struct event *ev) {
    k->facts.kind = CACHED_STREAM;
    if (dialect_is_end(k->r->dialect, ev->data)) k->end_at = buf_len(&k->records);
    else if (!k->begun) note_common(k, ev->data);
    if (!k->given_up) keep(k, ev);
}

/* A whole comes in one piece, or in several that are one. */
static void on_bytes(struct recorder *k, const struct event *ev) {
    k->facts.kind = CACHED_WHOLE;
    buf_slice(&k->common, ev->raw); /* made one record at the end */
    if (buf_failed(&k->common)) give_up(k);
}

/* Is it a good answer, all of it?  All that is kept is looked at once more, as JSON: it will be relied on. */
static bool is_good(struct recorder *k) {
    const struct dialect *d = k->r->dialect;
    struct chunk_choices choices = { .asked = k->opt.choices };
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct event ev;
    unsigned traits = 0;
    for (size_t at = 0; records_next(buf_get(&k->records), &at, &ev);) {
        struct slice data = ev.type == EVENT_FRAME ? ev.data : ev.raw;
        if (ev.type == EVENT_FRAME && (data.len == 0 || dialect_is_end(d, data))) continue;
        traits |= json_parse(&doc, data, &err) == 0 ? d->traits(&doc, &choices) : TRAIT_SPOILED;
    }
    json_deinit(&doc);
    k->facts.usage_within = k->facts.kind == CACHED_STREAM && (traits & TRAIT_USAGE);
    if ((traits & TRAIT_SPOILED) || ((traits & TRAIT_TOOLS) && !k->opt.keep_tools)) return false;
    return chunk_is_complete(&choices) && !chunk_is_empty(&choices);
}

static void on_end(struct recorder *k) {
    if (k->facts.kind == CACHED_WHOLE) keep(k, &(struct event){ .type = EVENT_BYTES, .raw = buf_get(&k->common) });
    k->facts.usage = k->r->usage;
    bool plain = k->r->status == 200 && k->r->own_status == 0 && buf_len(&k->records) > 0 && !k->r->partial;
    bool forbidden = k->opt.heeds && cache_control_forbids(buf_get(&k->r->upstream_headers));
    bool good = !k->given_up && plain && !forbidden && is_good(k);
    bool lacks = k->facts.usage.known && !k->facts.usage_within && k->end_at > 0 && k->r->dialect->write_usage;
    if (good && k->facts.kind == CACHED_STREAM && lacks) put_usage(k);
    if (good && !k->given_up) store(k);
    give_up(k);
}

static void observe(struct recorder *k, const struct event *ev) {
    switch (ev->type) {
    case EVENT_HEAD: break;
    case EVENT_FRAME: on_frame(k, ev); break;
    case EVENT_BYTES: on_bytes(k, ev); break;
    case EVENT_END: on_end(k); break;
    case EVENT_ERROR: give_up(k); break;
    }
}

static void recorder_free(struct recorder *k) {
    buf_deinit(&k->records);
    buf_deinit(&k->common);
    buf_deinit(&k->text);
    response_leave(k->r);
    response_put(k->r);
    mem_free(k);
}

static enum flow on_event(struct sink *s, const struct event *ev) {
    struct recorder *k = container_of(s, struct recorder, sink);
    enum flow flow = FLOW_MORE;
    bool outer = k->in_event, last = ev->type == EVENT_END || ev->type == EVENT_ERROR;
    k->in_event = true;
    if (!k->given_up) observe(k, ev);
    if (!k->over) {
        struct event out = *ev;
        if (last && k->r->usage.known) out.usage = &k->r->usage; /* it may have come before k did */
        if (ev->type == EVENT_END) out.usage_said = buf_get(&k->r->usage_said);
        flow = k->to->event(k->to, &out);
    }
    k->over |= last;
    k->in_event = outer;
    if (k->over && !outer) recorder_free(k);
    return flow;
}

/* -- As a source --------------------------------------------------------------------------------- */

/* Everything may come from inside of it. */
static void recorder_start(struct source *s, struct sink *to) {
    struct recorder *k = container_of(s, struct recorder, source);
    k->to = to;
    k->in_event = true;
    response_deliver(k->r, &k->sink);
    k->in_event = false;
    if (k->over) recorder_free(k);
}

static void recorder_resume(struct source *s) {
    struct recorder *k = container_of(s, struct recorder, source);
    if (!k->over) response_resume(k->r);
}

static void recorder_cancel(struct source *s) {
    struct recorder *k = container_of(s, struct recorder, source);
    k->over = true;
    give_up(k);
    response_leave(k->r); /* now, also in an event: whoever cancels wants to know who pays for it (struct bill) */
    if (!k->in_event) recorder_free(k);
}

static const char *recorder_describe(const struct source *s, char *buf, size_t size) {
    const struct recorder *k = container_of((struct source *)(uintptr_t)s, struct recorder, source);
    return k->r->source ? source_describe(k->r->source, buf, size) : "";
}

/* -- Making ------------------------------------------------------------------------------------ */

static struct slice keep_text(struct buf *text, struct slice s) {
    size_t at = buf_len(text);
    buf_slice(text, s);
    return slice_of(buf_get(text).ptr + at, s.len);
}

/* Slices of opt become the recorder's own. */
static bool copy_texts(struct recorder *k, const struct recorder_options *opt) {
    const struct asked *a = &opt->asked;
    size_t size = opt->name.len + opt->tenant.len + a->text.len + a->embedder.len + a->vector.len;
    for (unsigned i = 0; i < opt->tag_count; i++) size += opt->tags[i].len;
    buf_init(&k->text, 0);
    buf_reserve(&k->text, size + 1); /* it does not move from here on */
    if (buf_failed(&k->text)) return false;
    k->opt.name = keep_text(&k->text, opt->name);
    k->opt.tenant = keep_text(&k->text, opt->tenant);
    k->opt.asked.text = keep_text(&k->text, a->text);
    k->opt.asked.embedder = keep_text(&k->text, a->embedder);
    k->opt.asked.vector = keep_text(&k->text, a->vector);
    for (unsigned i = 0; i < opt->tag_count; i++) k->opt.tags[i] = keep_text(&k->text, opt->tags[i]);
    return true;
}

bool recorder_suits(const struct response *r) {
    return r->dialect != NULL && !r->failed && !r->forgotten && !response_is_taken(r);
}

static struct recorder *make(struct response *r) {
    static const struct source_ops ops = { recorder_start, recorder_resume, recorder_cancel, NULL, recorder_describe,
                                           NULL, NULL };
    struct recorder *k = mem_zalloc(sizeof(*k));
    if (k == NULL) return NULL;
    *k = (struct recorder){ .source = { &ops }, .sink = { on_event }, .r = response_ref(r),
                            .facts = { .dialect = r->dialect, .usage_at = CACHED_NO_USAGE } };
    buf_init(&k->text, 0);
    return k;
}

struct source *recorder_pass(struct response *r) {
    struct recorder *k = make(r);
    if (k == NULL) return NULL;
    give_up(k);
    return &k->source;
}

struct source *recorder_new(struct response *r, const struct recorder_options *opt) {
    struct recorder *k = make(r);
    if (k == NULL) return NULL;
    k->opt = *opt;
    buf_init(&k->records, opt->limit);
    buf_init(&k->common, opt->limit);
    if (copy_texts(k, opt)) return &k->source;
    recorder_free(k);
    return NULL;
}

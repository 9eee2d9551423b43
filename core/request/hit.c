/* hit.c -- an answer out of the cache, as a source.
 *
 *     entry's records --> [ hit ] ------------------------> response      as it was recorded
 *     entry's bytes   --> [ hit ] --> dialect's reader ---> response      as it was not: a stream as a whole,
 *                                                                        a whole as a stream, without usage
 *
 * What the client asks for is mostly what was recorded; then the events are given as they are, straight
 * from the entry, of which the hit holds a share.  Otherwise the bytes go through the reader of the
 * dialect, as if an upstream had sent them to this client: it knows how a whole is told as a stream, how
 * a stream is put together, and how usage is taken out.
 *
 * A pace gives the events one by one, for clients that show them as they come. */
#include "request/cached.h"

#include "base/mem.h"
#include "flow/records.h"
#include "llm/answer.h"

struct hit {
    struct source       source;
    struct sink        *to;
    struct loop        *loop;
    struct cache_entry *entry;
    struct cached       facts;  /* borrowed from the entry */
    struct timer        timer;
    size_t              at;     /* in the data */
    uint64_t            pace_ms;
    bool                as_bytes; /* for a reader */
    bool                no_usage; /* the record of usage is left out */
    bool                over, in_event, full;
};

static void hit_free(struct hit *h) {
    timer_stop(h->loop, &h->timer);
    cache_entry_put(h->entry);
    mem_free(h);
}

static void emit(struct hit *h, const struct event *ev) {
    if (!h->over && h->to->event(h->to, ev) == FLOW_FULL) h->full = true;
}

/* The next event, or false. */
static bool next(struct hit *h, struct event *ev) {
    struct slice all = cache_entry_data(h->entry);
    if (h->no_usage && h->at == h->facts.usage_at) h->at += h->facts.usage_len;
    if (!records_next(all, &h->at, ev)) return false;
    if (h->as_bytes) *ev = (struct event){ .type = EVENT_BYTES, .raw = ev->raw };
    return true;
}

static void on_pace(struct timer *t);

/* What the record of usage says that the client does not get: for who keeps the answer once more. */
static struct slice usage_said(const struct hit *h) {
    struct event ev;
    struct slice all = cache_entry_data(h->entry);
    size_t at = h->facts.usage_at; /* CACHED_NO_USAGE is beyond any data */
    if (!h->no_usage || at > all.len || h->facts.dialect->usage_said == NULL) return SLICE("");
    return records_next(all, &at, &ev) ? h->facts.dialect->usage_said(ev.data) : SLICE("");
}

/* What the client takes at once; the last event frees h. */
static void run(struct hit *h) {
    struct event ev;
    h->in_event = true;
    h->full = false;
    while (!h->over && !h->full && !timer_is_running(&h->timer)) {
        if (next(h, &ev)) {
            emit(h, &ev);
            if (h->pace_ms > 0 && !h->over && ev.type == EVENT_FRAME)
                timer_start(h->loop, &h->timer, h->pace_ms, on_pace); /* without memory: at once */
            continue;
        }
        const struct usage *u = h->facts.usage.known && !h->as_bytes ? &h->facts.usage : NULL;
        emit(h, &(struct event){ .type = EVENT_END, .usage = u, .usage_said = usage_said(h) });
        h->over = true;
    }
    h->in_event = false;
    if (h->over) hit_free(h);
}

static void on_pace(struct timer *t) { run(container_of(t, struct hit, timer)); }

static void hit_start(struct source *s, struct sink *to) {
    struct hit *h = container_of(s, struct hit, source);
    h->to = to;
    h->in_event = true;
    bool events = h->facts.kind == CACHED_STREAM;
    emit(h, &(struct event){ .type = EVENT_HEAD, .status = 200,
                             .content_type = slice_str(events ? "text/event-stream" : "application/json") });
    run(h); /* also frees it when it was cancelled meanwhile */
}

static void hit_resume(struct source *s) {
    struct hit *h = container_of(s, struct hit, source);
    h->full = false;
    if (!h->in_event && !timer_is_running(&h->timer)) run(h);
}

static void hit_cancel(struct source *s) {
    struct hit *h = container_of(s, struct hit, source);
    h->over = true;
    if (!h->in_event) hit_free(h);
}

static const char *hit_describe(const struct source *s, char *buf, size_t size) {
    (void)s;
    (void)buf;
    (void)size;
    return "cache";
}

struct source *hit_new(struct cache_entry *e, const struct cached *c, const struct hit_options *opt) {
    static const struct source_ops ops = { hit_start, hit_resume, hit_cancel, NULL, hit_describe, NULL, NULL };
    struct hit *h = mem_zalloc(sizeof(*h));
    if (h == NULL) {
        cache_entry_put(e);
        return NULL;
    }
    bool same = opt->stream == (c->kind == CACHED_STREAM);
    bool cut = c->kind == CACHED_STREAM && c->usage_within && !opt->wants_usage;
    *h = (struct hit){ .source = { &ops }, .loop = opt->loop, .entry = e, .facts = *c, .pace_ms = opt->pace_ms,
                       .as_bytes = !same || cut, .no_usage = same && !opt->wants_usage };
    if (!h->as_bytes) return &h->source;
    return c->dialect->reader(&h->source, &(struct answer_options){ .stream = opt->stream,
                                                                    .keep_usage = opt->wants_usage,
                                                                    .limit = SIZE_MAX / 2 }); /* it was within one */
}

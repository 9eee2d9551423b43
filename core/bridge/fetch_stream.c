/* fetch_stream.c -- the answer of perilune.fetch(url, { stream = true }), piece by piece.
 *
 *     response <--events-- [ fetch stream ] <--events-- call --> a pool, a target, a URL of its own
 *         +---- resume, cancel --> ---------------------^
 *
 * What a fetched stream needs to be held, to stop its server when nobody reads, and to end with the request, a
 * response has (flow/response.c): it takes this source as it takes that of an upstream.  The source is a call and,
 * around it, the place that it goes to, which outlives it by the end of the loop's turn (call_pool_close()).
 *
 * The head and each piece count as events, so `timeout` bounds every pause, and not the whole. */
#include "bridge/fetch_stream.h"

#include "base/mem.h"

/* -- The place --------------------------------------------------------------------------- */

bool fetch_place_init(struct fetch_place *p, struct client *client, struct slice url, uint64_t timeout_ms, size_t most,
                      const struct reach *reach) {
    buf_slice(&p->url, url);
    buf_putc(&p->url, '\0');
    p->target = (struct target){ .name = "fetch", .urls = { p->url.data }, .url_count = 1,
                                 .timeouts = { .connect_ms = timeout_ms }, .max_answer = most,
                                 .health = &p->health, .reach = reach };
    call_pool_init(&p->pool, client, &p->target);
    return !buf_failed(&p->url);
}

void fetch_place_deinit(struct fetch_place *p) {
    call_pool_deinit(&p->pool);
    buf_deinit(&p->url);
}

/* -- The source --------------------------------------------------------------------------- */

struct fetch_stream {
    struct source      source;
    struct sink        in;
    struct sink       *to;
    struct source     *call; /* NULL: it has ended */
    unsigned          *counter;
    struct fetch_place place;
};

static void stream_free(void *ud) {
    struct fetch_stream *f = ud;
    buf_deinit(&f->place.url); /* the pool is deinitialized */
    mem_free(f);
}

/* The call is over, but may be below us on the stack.  May free f. */
static void gone(struct fetch_stream *f) {
    f->call = NULL;
    (*f->counter)--;
    call_pool_close(&f->place.pool, stream_free, f);
}

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct fetch_stream *f = container_of(k, struct fetch_stream, in);
    if (ev->type != EVENT_END && ev->type != EVENT_ERROR) {
        source_mark(f->call); /* before: the sink may cancel f */
        return f->to->event(f->to, ev);
    }
    f->to->event(f->to, ev);
    gone(f);
    return FLOW_MORE;
}

static void stream_start(struct source *s, struct sink *to) {
    struct fetch_stream *f = container_of(s, struct fetch_stream, source);
    f->to = to;
    source_start(f->call, &f->in);
}

static void stream_resume(struct source *s) { source_resume(container_of(s, struct fetch_stream, source)->call); }

static void stream_cancel(struct source *s) {
    struct fetch_stream *f = container_of(s, struct fetch_stream, source);
    source_cancel(f->call);
    gone(f);
}

static const char *stream_describe(const struct source *s, char *buf, size_t size) {
    const struct fetch_stream *f = container_of((struct source *)(uintptr_t)s, struct fetch_stream, source);
    return source_describe(f->call, buf, size);
}

static const struct source_ops stream_ops = { .start = stream_start, .resume = stream_resume, .cancel = stream_cancel,
                                              .describe = stream_describe };

struct source *fetch_stream_new(struct client *client, struct slice url, const struct reach *reach, unsigned *counter,
                                struct call_options *opt) {
    struct fetch_stream *f = mem_zalloc(sizeof(*f));
    if (f == NULL) return NULL;
    f->source.ops = &stream_ops;
    f->in.event = on_event;
    f->counter = counter;
    opt->pool = &f->place.pool;
    bool ready = fetch_place_init(&f->place, client, url, opt->timeouts.connect_ms, SIZE_MAX, reach);
    f->call = ready ? call_new(opt) : NULL;
    if (f->call != NULL) {
        (*counter)++;
        return &f->source;
    }
    fetch_place_deinit(&f->place);
    mem_free(f);
    return NULL;
}

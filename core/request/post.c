/* post.c -- a store that is asked by HTTP.
 *
 *     words { path, body } --POST--> 200 and a body: the answer
 *                                    another status: PERILUNE_ERR_UPSTREAM, with what it said
 *                                    none:           PERILUNE_ERR_AGAIN
 *
 * It goes by the client of the upstreams, whose connections are kept.  What is slow or dead costs a bounded time, and
 * then nothing, as it is with Redis (store/redis.c): after FAILED_MOST failures in a row nobody asks for a pause,
 * which doubles up to PAUSE_MOST; then one question is enough to find out.  An answer ends all that.
 *
 * A call's sink must outlive the event that ends it, so what was asked is freed when the turn ends. */
#include "request/post.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "upstream/call.h"

#define QUESTIONS   256        /* that wait at once */
#define ANSWER      (1u << 20) /* bytes */
#define FAILED_MOST 3          /* in a row */
#define PAUSE_LEAST 250        /* ms */
#define PAUSE_MOST  30000

struct post {
    struct store         store;
    struct post_options  opt;
    struct target        target;
    struct target_health health;
    struct call_pool     pool;
    struct list          posted;
    unsigned             failed;   /* in a row */
    bool                 quiet;    /* nobody asks until: */
    uint64_t             quiet_until_ms, pause_ms;
};

struct posted {
    struct list      link;
    struct post     *post;
    struct store_op *op;     /* NULL: nobody waits any more */
    struct source   *call;   /* NULL: it is over */
    struct sink      sink;
    struct buf       body;
    int              status;
    uint64_t         until_ms;
    struct deferred  over;
};

static void posted_free(struct posted *k) {
    struct source *call = k->call;
    k->call = NULL;
    if (call != NULL) source_cancel(call);
    deferred_cancel(&k->over);
    list_remove(&k->link);
    buf_deinit(&k->body);
    mem_free(k);
}

static void on_over(struct deferred *j) { posted_free(container_of(j, struct posted, over)); }

/* -- Whether it is asked -------------------------------------------------------------------- */

static void failed(struct post *p) {
    if (++p->failed < FAILED_MOST) return;
    p->quiet_until_ms = loop_now(p->opt.loop) + p->pause_ms;
    p->pause_ms = p->pause_ms * 2 < PAUSE_MOST ? p->pause_ms * 2 : PAUSE_MOST;
    if (p->quiet) return;
    p->quiet = true;
    if (p->opt.changed != NULL) p->opt.changed(p->opt.ud, false);
}

static void answered(struct post *p) {
    p->failed = 0;
    p->pause_ms = PAUSE_LEAST;
    if (!p->quiet) return;
    p->quiet = false;
    if (p->opt.changed != NULL) p->opt.changed(p->opt.ud, true);
}

/* -- Asking ------------------------------------------------------------------------------------ */

static void conclude(struct posted *k, bool came) {
    struct store_op *op = k->op;
    struct store_answer a = { .rc = PERILUNE_ERR_AGAIN };
    k->call = NULL;
    k->op = NULL;
    came = came && !buf_failed(&k->body);
    if (came && k->status == 200) answered(k->post);
    else failed(k->post);
    if (came) a.rc = k->status == 200 ? 0 : PERILUNE_ERR_UPSTREAM;
    if (op != NULL) {
        if (came) a.value = blob_copy(buf_get(&k->body));
        op->driver = NULL;
        store_answer(op, &a);
    }
    loop_soon(k->post->opt.loop, &k->over, on_over);
}

static enum flow on_event(struct sink *s, const struct event *ev) {
    struct posted *k = container_of(s, struct posted, sink);
    switch (ev->type) {
    case EVENT_HEAD:
        k->status = ev->status;
        if (ev->status != 200) buf_printf(&k->body, "HTTP %d: ", ev->status);
        break;
    case EVENT_FRAME:
    case EVENT_BYTES: buf_slice(&k->body, ev->raw); break;
    case EVENT_ERROR: conclude(k, false); break;
    case EVENT_END: conclude(k, true); break;
    }
    return FLOW_MORE;
}

static struct source *call_of(struct post *p, const struct store_ask *ask) {
    static const struct call_field json = { SLICE("content-type"), SLICE("application/json") };
    struct blob *body = blob_copy(ask->words[1]);
    struct source *call = body == NULL ? NULL : call_new(&(struct call_options){
        .pool = &p->pool, .method = SLICE("POST"), .path = ask->words[0], .body = body, .headers = &json,
        .header_count = 1, .whole = true, .verbatim = true, .timeouts = { .total_ms = ask->within_ms + 1000 } });
    blob_put(body);
    return call;
}

static void post_begin(struct store *s, struct store_op *op, const struct store_ask *ask) {
    struct post *p = container_of(s, struct post, store);
    bool asks = ask->verb == STORE_WORDS && ask->word_count == 2 &&
                !(p->quiet && loop_now(p->opt.loop) < p->quiet_until_ms);
    struct posted *k = asks ? mem_zalloc(sizeof(*k)) : NULL;
    struct source *call = k != NULL ? call_of(p, ask) : NULL;
    if (call == NULL) {
        mem_free(k);
        store_answer(op, &(struct store_answer){ .rc = PERILUNE_ERR_AGAIN });
        return;
    }
    k->post = p;
    k->op = op;
    k->call = call;
    k->sink.event = on_event;
    k->until_ms = loop_now(p->opt.loop) + ask->within_ms;
    buf_init(&k->body, ANSWER);
    list_append(&p->posted, &k->link);
    op->driver = k;
    source_start(call, &k->sink); /* may conclude */
}

static void post_forget(struct store *s, struct store_op *op) {
    struct post *p = container_of(s, struct post, store);
    struct posted *k = op->driver;
    if (k == NULL) return;
    op->driver = NULL;
    bool late = loop_now(p->opt.loop) >= k->until_ms;
    posted_free(k);
    if (late) failed(p);
}

/* -- Life -------------------------------------------------------------------------------------- */

struct post *post_new(const struct post_options *opt) {
    static const struct store_driver driver = { post_begin, post_forget };
    struct post *p = mem_zalloc(sizeof(*p));
    if (p == NULL) return NULL;
    p->opt = *opt;
    p->pause_ms = PAUSE_LEAST;
    p->target = (struct target){ .name = "index", .urls = { opt->url }, .url_count = 1, .key = opt->token,
                                 .timeouts = { .connect_ms = 1000 }, .max_answer = ANSWER, .health = &p->health };
    list_init(&p->posted);
    store_init(&p->store, &driver, opt->loop, QUESTIONS);
    call_pool_init(&p->pool, opt->client, &p->target);
    return p;
}

static void gone(void *ud) { mem_free(ud); }

void post_close(struct post *p) {
    if (p == NULL) return;
    store_deinit(&p->store);
    while (!list_is_empty(&p->posted)) posted_free(container_of(p->posted.next, struct posted, link));
    call_pool_close(&p->pool, gone, p);
}

struct store *post_store(struct post *p) { return &p->store; }

/* embeddings.c -- vectors of texts by an upstream, many in one call.
 *
 *     wait, wait ---> item "reset my password" --+
 *     wait ---------> item "delete my account" --+--> batch: one POST /v1/embeddings, input [ , , ]
 *     wait ---------> item ... ------------------+         |
 *     queued: items that came meanwhile <--- the next one <+
 *
 * An embedder takes thirty texts in little more time than one.  So nothing is waited for: the first text is asked
 * for at the end of this turn of the loop, and those that come while a call is under way go together in the next,
 * EMBEDDINGS_BATCH at most.  When the upstream is quick the batches are small, when it is slow they grow.
 *
 * A text that is there already is shared by who asks for it.  A call belongs to none of them: it ends when nobody
 * waits for any of its texts, or by its own timeout.  Whoever waits has its own deadline and cancels.  A call that
 * fails fails its own texts only; those that are queued are asked for.
 *
 * Answers that name no vector for a text, or none of numbers, fail that text only. */
#include "request/embeddings.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "request/outgoing.h"

struct embeddings_item {
    struct list   link;  /* queued, or in no list: of the batch */
    struct list   waits;
    struct batch *batch; /* NULL: it is queued */
    struct embeddings *owner;
    size_t        len;
    char          text[];
};

struct batch {
    struct embeddings      *owner;
    struct request         *request;
    struct response        *res;
    struct sink             sink;
    struct buf              answer;
    struct failure          failure;
    struct deferred         end;
    struct embeddings_item *items[EMBEDDINGS_BATCH];
    unsigned                count;
    bool                    telling;
};

struct embeddings {
    struct services *services;
    struct list      queue;
    unsigned         queued;
    struct batch    *batch;   /* under way */
    struct deferred  begin;
    uint64_t         timeout_ms;
    char             upstream[64];
};

struct embeddings *embeddings_new(struct services *v, const char *upstream) {
    struct embeddings *e = mem_zalloc(sizeof(*e));
    if (e == NULL) return NULL;
    e->services = v;
    list_init(&e->queue);
    snprintf(e->upstream, sizeof(e->upstream), "%s", upstream);
    return e;
}

void embeddings_free(struct embeddings *e) {
    if (e == NULL) return;
    assert(list_is_empty(&e->queue) && e->batch == NULL);
    deferred_cancel(&e->begin);
    mem_free(e);
}

/* -- Telling those who wait ------------------------------------------------------------------ */

static void begin_next(struct deferred *d);

static void batch_free(struct batch *b) {
    struct response *res = b->res;
    deferred_cancel(&b->end);
    b->res = NULL;
    if (res != NULL) {
        response_leave(res);
        response_put(res);
    }
    if (b->request != NULL) request_end(b->request);
    request_put(b->request);
    for (unsigned i = 0; i < b->count; i++) mem_free(b->items[i]);
    failure_deinit(&b->failure);
    buf_deinit(&b->answer);
    mem_free(b);
}

/* Any of them may cancel others, in its call. */
static void tell(struct embeddings_item *item, const float *vector, unsigned count, const struct failure *f) {
    while (!list_is_empty(&item->waits)) {
        struct embeddings_wait *w = container_of(item->waits.next, struct embeddings_wait, link);
        list_remove(&w->link);
        w->item = NULL;
        w->done(w, vector, count, f); /* may free w */
    }
}

/* The numbers of the list at node, into out; 0: it is none. */
static unsigned read_vector(const struct json_doc *doc, uint32_t list, float *out) {
    if (!json_is(doc, list, JSON_ARRAY)) return 0;
    unsigned n = doc->nodes[list].count;
    float most = 0;
    if (n > EMBEDDINGS_VECTOR) return 0;
    uint32_t at = json_first(doc, list);
    for (unsigned i = 0; i < n; i++, at = json_next(doc, list, at)) {
        if (!json_is(doc, at, JSON_NUMBER)) return 0;
        out[i] = (float)json_number(doc, at);
        if (!isfinite(out[i])) return 0;
        if (fabsf(out[i]) > most) most = fabsf(out[i]);
    }
    return most > 0 ? n : 0; /* without a direction it is near to nothing, and must not be remembered */
}

/* The vector of input i, of a list whose members say which they are, or stand in order. */
static uint32_t find_vector(const struct json_doc *doc, uint32_t data, unsigned i) {
    unsigned n = 0;
    for (uint32_t at = json_first(doc, data); at != JSON_NONE; at = json_next(doc, data, at), n++) {
        if (!json_is(doc, at, JSON_OBJECT)) continue;
        uint32_t index = json_get(doc, at, SLICE("index"));
        uint64_t says = n;
        if (json_is(doc, index, JSON_NUMBER) && json_u64(doc, index, &says) != 0) continue;
        if (says == i) return json_get(doc, at, SLICE("embedding"));
    }
    return JSON_NONE;
}

static void tell_all(struct batch *b) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct failure none;
    float *vector = mem_alloc(EMBEDDINGS_VECTOR * sizeof(*vector));
    uint32_t data = JSON_NONE;
    failure_init(&none);
    failure_set(&none, FAILURE_UPSTREAM, "the answer holds no vector for a text");
    bool read = !failure_is_set(&b->failure) && json_parse(&doc, buf_get(&b->answer), &err) == 0;
    if (read && json_is(&doc, 0, JSON_OBJECT))
        data = json_get(&doc, 0, SLICE("data"));
    const struct failure *f = failure_is_set(&b->failure) ? &b->failure : &none;
    for (unsigned i = 0; i < b->count; i++) {
        bool there = vector != NULL && json_is(&doc, data, JSON_ARRAY);
        unsigned count = there ? read_vector(&doc, find_vector(&doc, data, i), vector) : 0;
        tell(b->items[i], count > 0 ? vector : NULL, count, count > 0 ? NULL : f);
    }
    failure_deinit(&none);
    json_deinit(&doc);
    mem_free(vector);
}

static void batch_end(struct deferred *d) {
    struct batch *b = container_of(d, struct batch, end);
    struct embeddings *e = b->owner;
    b->telling = true; /* it stays whole, whoever cancels */
    tell_all(b);
    e->batch = NULL;
    batch_free(b);
    if (!list_is_empty(&e->queue)) loop_soon(e->services->loop, &e->begin, begin_next);
}

static void end_soon(struct batch *b) { loop_soon(b->owner->services->loop, &b->end, batch_end); }

/* -- The call ----------------------------------------------------------------------------------- */

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct batch *b = container_of(k, struct batch, sink);
    switch (ev->type) {
    case EVENT_HEAD: break;
    case EVENT_FRAME:
    case EVENT_BYTES: buf_slice(&b->answer, ev->raw); break;
    case EVENT_ERROR:
        failure_copy(&b->failure, ev->failure);
        /* fall through */
    case EVENT_END:
        if (!failure_is_set(&b->failure) && buf_failed(&b->answer))
            failure_set(&b->failure, FAILURE_NO_MEMORY, "out of memory");
        end_soon(b);
        break;
    }
    return FLOW_MORE;
}

static void take_items(struct embeddings *e, struct batch *b) {
    while (!list_is_empty(&e->queue) && b->count < EMBEDDINGS_BATCH) {
        struct embeddings_item *item = container_of(e->queue.next, struct embeddings_item, link);
        list_remove(&item->link);
        e->queued--;
        item->batch = b;
        b->items[b->count++] = item;
    }
}

/* 0, or why it cannot be asked, in the batch's failure. */
static int call(struct batch *b) {
    struct embeddings *e = b->owner;
    struct request *r = b->request = request_new();
    struct buf body;
    if (r == NULL) return PERILUNE_ERR_NOMEM;
    r->method = SLICE("POST");
    r->path = SLICE("/v1/embeddings");
    r->peer = "127.0.0.1";
    rng_hex128(&e->services->loop->rng, r->id);
    buf_init(&body, 0);
    buf_puts(&body, "{\"model\":\"embedding\",\"input\":[");
    for (unsigned i = 0; i < b->count; i++) {
        if (i > 0) buf_putc(&body, ',');
        json_write_string(&body, slice_of(b->items[i]->text, b->items[i]->len));
    }
    buf_puts(&body, "]}");
    struct call_pool *pool = outgoing_find(e->services, slice_str(e->upstream));
    if (pool == NULL) outgoing_no_upstream(&b->failure, slice_str(e->upstream));
    if (pool == NULL || buf_failed(&body)) {
        buf_deinit(&body);
        return PERILUNE_ERR_NOMEM;
    }
    int rc = body_new(&r->body, &body, &openai_embeddings, &b->failure);
    if (rc != 0) return rc;
    b->res = outgoing_start(e->services, &(struct outgoing){ .pool = pool, .request = r, .body = r->body,
                                                             .timeout_ms = e->timeout_ms });
    if (b->res == NULL) return PERILUNE_ERR_NOMEM;
    response_deliver(b->res, &b->sink);
    return 0;
}

static void fail_queue(struct embeddings *e) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, FAILURE_NO_MEMORY, "out of memory");
    while (!list_is_empty(&e->queue)) {
        struct embeddings_item *item = container_of(e->queue.next, struct embeddings_item, link);
        struct embeddings_wait *w = container_of(item->waits.next, struct embeddings_wait, link);
        embeddings_cancel(w); /* frees the item with the last */
        w->done(w, NULL, 0, &f);
    }
    failure_deinit(&f);
}

static void begin_next(struct deferred *d) {
    struct embeddings *e = container_of(d, struct embeddings, begin);
    struct batch *b = e->batch == NULL && !list_is_empty(&e->queue) ? mem_zalloc(sizeof(*b)) : NULL;
    if (b == NULL) {
        if (e->batch == NULL) fail_queue(e);
        return;
    }
    b->owner = e;
    b->sink.event = on_event;
    buf_init(&b->answer, 0);
    failure_init(&b->failure);
    e->batch = b;
    take_items(e, b);
    if (call(b) == 0) return;
    if (!failure_is_set(&b->failure)) failure_set(&b->failure, FAILURE_NO_MEMORY, "out of memory");
    end_soon(b);
}

/* -- Asking --------------------------------------------------------------------------------------- */

static struct embeddings_item *find_item(struct embeddings *e, struct slice text) {
    struct batch *b = e->batch;
    for (unsigned i = 0; b != NULL && !b->telling && i < b->count; i++) {
        struct embeddings_item *item = b->items[i];
        if (slice_eq(slice_of(item->text, item->len), text)) return item;
    }
    for (struct list *l = e->queue.next; l != &e->queue; l = l->next) {
        struct embeddings_item *item = container_of(l, struct embeddings_item, link);
        if (slice_eq(slice_of(item->text, item->len), text)) return item;
    }
    return NULL;
}

int embeddings_ask(struct embeddings *e, struct embeddings_wait *w, struct slice text, uint64_t timeout_ms) {
    struct embeddings_item *item = find_item(e, text);
    if (item == NULL && e->queued >= EMBEDDINGS_QUEUE) return PERILUNE_ERR_LIMITED;
    if (item == NULL) {
        item = mem_alloc(sizeof(*item) + text.len);
        if (item == NULL) return PERILUNE_ERR_NOMEM;
        *item = (struct embeddings_item){ .owner = e, .len = text.len };
        memcpy(item->text, text.ptr, text.len);
        list_init(&item->waits);
        list_append(&e->queue, &item->link);
        e->queued++;
        e->timeout_ms = timeout_ms;
        if (e->batch == NULL && !deferred_is_waiting(&e->begin)) loop_soon(e->services->loop, &e->begin, begin_next);
    }
    w->item = item;
    list_append(&item->waits, &w->link);
    return 0;
}

/* Nobody waits for it. */
static void drop_item(struct embeddings_item *item) {
    struct batch *b = item->batch;
    struct embeddings *e = item->owner;
    if (b == NULL) {
        list_remove(&item->link);
        e->queued--;
        mem_free(item);
        return;
    }
    if (b->telling) return;
    bool wanted = false;
    for (unsigned i = 0; i < b->count; i++) wanted |= !list_is_empty(&b->items[i]->waits);
    if (wanted) return;
    e->batch = NULL;
    batch_free(b);
    if (!list_is_empty(&e->queue)) loop_soon(e->services->loop, &e->begin, begin_next);
}

void embeddings_cancel(struct embeddings_wait *w) {
    struct embeddings_item *item = w->item;
    if (item == NULL) return;
    w->item = NULL;
    list_remove(&w->link);
    if (list_is_empty(&item->waits)) drop_item(item);
}

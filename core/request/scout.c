/* scout.c -- is an upstream back?
 *
 *     breaker open --who would ask--> GET /models --any answer below 500--> breaker: half open
 *
 * A probe is a request of somebody's, who waits for it in vain when the upstream is still gone.  A list of models is
 * nobody's, costs nothing, and every server that speaks OpenAI has one; one that says 404 or 401 is there, too.
 * Whether it can answer chats is for the probes to find out.
 *
 * One asks only when a request has come that would have gone there, so what nobody needs is not looked for. */
#include "request/scout.h"

#include "base/mem.h"

#define WITHIN_MS 3000

struct scout {
    struct list      link;
    struct sink      sink;
    struct source   *call; /* NULL: it is over */
    struct loop     *loop;
    struct breaker  *breaker;
    bool             alive;
    struct deferred  over;
};

static void scout_free(struct scout *s) {
    struct source *call = s->call;
    s->call = NULL;
    if (call != NULL) source_cancel(call);
    deferred_cancel(&s->over);
    list_remove(&s->link);
    mem_free(s);
}

static void on_over(struct deferred *j) { scout_free(container_of(j, struct scout, over)); }

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct scout *s = container_of(k, struct scout, sink);
    if (ev->type == EVENT_HEAD) s->alive = ev->status < 500 && ev->status != 429;
    if (ev->type != EVENT_END && ev->type != EVENT_ERROR) return FLOW_MORE;
    s->call = NULL;
    breaker_scouted(s->breaker, s->alive, loop_now(s->loop));
    loop_soon(s->loop, &s->over, on_over); /* its sink outlives the event */
    return FLOW_MORE;
}

void scout_send(struct loop *loop, struct call_pool *pool) {
    if (pool->target->engine != NULL) { /* it is here; whether it can answer is for the probes to find out */
        breaker_scouted(&pool->target->health->breaker, true, loop_now(loop));
        return;
    }
    struct scout *s = mem_zalloc(sizeof(*s));
    struct source *call = s == NULL ? NULL : call_new(&(struct call_options){
        .pool = pool, .method = SLICE("GET"), .path = SLICE("/models"), .verbatim = true, .unread = true,
        .timeouts = { .connect_ms = WITHIN_MS, .total_ms = WITHIN_MS } });
    if (call == NULL) {
        mem_free(s);
        return;
    }
    s->sink.event = on_event;
    s->call = call;
    s->loop = loop;
    s->breaker = &pool->target->health->breaker;
    list_append(&pool->client->scouts, &s->link);
    source_start(call, &s->sink);
}

void scout_drop_all(struct client *client) {
    while (!list_is_empty(&client->scouts)) scout_free(container_of(client->scouts.next, struct scout, link));
}

/* refresh.c -- a question that is asked once more, for nobody, so that a cache gets a newer answer.
 *
 *     request (its client has got the stale answer) --copy--> refresh --> exchange --> policies --> response
 *                                                                             +<--- events are dropped
 *
 * It is an exchange like that of a client, through the same policies of the same route; the difference is
 * told to caches (request->refreshes): nothing stored will do, and what comes is kept.  It is logged and
 * counted like any request, because its tokens cost the same.  Two ask for it: a cache whose answer is stale, and
 * a shadow check (request/shadow.c), which hears of the end.
 *
 * Who asks is memory of this file's own, so that the client may leave when it likes. */
#include "gateway/refresh.h"

#define MOST 64 /* at once, of one worker; stale answers are given all the same */

struct refresh {
    struct exchange x;
    struct sink     sink;
    void          (*over)(void *ud); /* NULL: nobody waits */
    void           *ud;
};

static enum flow on_event(struct sink *k, const struct event *ev) {
    (void)k;
    (void)ev;
    return FLOW_MORE;
}

static void understood(struct exchange *x) { (void)x; }

static void refresh_free(struct exchange *x) {
    struct refresh *f = container_of(x, struct refresh, x);
    x->w->refreshes--;
    if (f->over != NULL) f->over(f->ud);
    mem_free(f);
}

static const struct exchange_ops ops = { understood, refresh_free, NULL };

static const struct exchange *exchange_of(const struct worker *w, const struct request *r) {
    for (const struct list *l = w->exchanges.next; l != &w->exchanges; l = l->next) {
        const struct exchange *x = container_of((struct list *)(uintptr_t)l, struct exchange, link);
        if (x->req == r) return x;
    }
    return NULL; /* a question that a policy made itself */
}

bool refresh_begin(struct services *v, struct request *r, void (*over)(void *ud), void *ud) {
    struct worker *w = v->ask_again_ud;
    const struct exchange *from = exchange_of(w, r);
    if (from == NULL || r->body == NULL || body_is_cleared(r->body) || w->refreshes >= MOST) return false;
    struct refresh *f = mem_zalloc(sizeof(*f));
    if (f == NULL) return false;
    f->sink.event = on_event;
    f->over = over;
    f->ud = ud;
    if (exchange_init(&f->x, w, from->gen, &ops, &f->sink, loop_hrtime_us()) != 0) {
        mem_free(f);
        return false;
    }
    w->refreshes++;
    exchange_begin_again(&f->x, from);
    return true;
}

void refresh_end_all(struct worker *w) {
    for (struct list *l = w->exchanges.next, *next; l != &w->exchanges; l = next) {
        struct exchange *x = container_of(l, struct exchange, link);
        next = l->next;
        if (x->ops == &ops) exchange_gone(x);
    }
}

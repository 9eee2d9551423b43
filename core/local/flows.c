/* flows.c -- whose turn it is among tenants that ask one model.
 *
 *     hog     300 answers wait    turns 41, 3 in the batch
 *     other     1 answer  waits   turns 41, 0 in the batch     <-- the next free row
 *
 * A row is free when an answer ends, seconds later.  By arrival alone, one tenant that asks for hundreds of answers
 * would have all rows until the last of them.  So each tenant's answers take turns with the others': who has had fewer
 * goes first, then who has fewer in the batch.  Who comes begins where the others are: neither what it did not ask for
 * before is owed to it, nor what it had then.
 *
 * This is start-time fair queueing (Goyal, Vin, Cheng) as in sched/fair.c, but the heap there knows no deadlines, and
 * an answer that is put back keeps its place: here the owner's list stays in its order, and only flows are compared.
 *
 * Thread: the model's. */
#include "local/flows.h"

#include "base/list.h"
#include "base/mem.h"

static struct slice tenant_of(const struct chained *e) {
    const struct flow *w = container_of((struct chained *)(uintptr_t)e, struct flow, link);
    return slice_of((const char *)&w->tenant, sizeof(w->tenant));
}

void flows_deinit(struct flows *f) { hashtable_deinit(&f->table); }

struct flow *flows_join(struct flows *f, struct hash128 tenant) {
    struct slice key = slice_of((const char *)&tenant, sizeof(tenant));
    struct chained **at = hashtable_find(&f->table, tenant.low, key, tenant_of);
    struct flow *w = at != NULL ? container_of(*at, struct flow, link) : NULL;
    if (w == NULL) {
        if (hashtable_reserve(&f->table) != 0 || (w = mem_zalloc(sizeof(*w))) == NULL) return NULL;
        w->link.hash = tenant.low; /* of a keyed hash */
        w->tenant = tenant;
        w->turns = f->now;
        hashtable_add(&f->table, &w->link);
    }
    w->choices++;
    return w;
}

void flows_leave(struct flows *f, struct flow *w) {
    if (--w->choices > 0) return;
    hashtable_remove(&f->table, hashtable_find(&f->table, w->link.hash, tenant_of(&w->link), tenant_of));
    mem_free(w);
}

void flows_turn(struct flows *f, struct flow *w) {
    if (w->turns > f->now) f->now = w->turns;
    w->turns++;
}

bool flow_is_before(const struct flow *a, const struct flow *b) {
    return a->turns != b->turns ? a->turns < b->turns : a->active < b->active;
}

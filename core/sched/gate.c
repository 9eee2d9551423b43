/* gate.c -- how many may work at once, who waits, and in which order.
 *
 *     enter --> is there a slot, and does nobody wait? --> OPEN
 *                    | no
 *                    v
 *     class 0   [ fair queue: a turn for each tenant ]  --+
 *     class 1   [ fair queue ]                            +--> the next slot: the first class that waits;
 *     ...                                                 |    CoDel turns some away when its queue stands
 *     leave --> a slot is free ---------------------------+
 *
 * Classes are strict: while anybody of the first one waits, nobody of the second gets a slot.  Within a class tenants
 * take turns (fair.c).  How many slots there are is fixed, or is found out (adaptive.c).
 *
 * Who waits holds a ticket.  Slots are given back on any thread and a ticket belongs to one, so a letter tells it
 * (deferred work, where both are the same):
 *
 *     WAITING --slot, or shed--> TOLD --letter--> told(), freed
 *        |                        | gave up meanwhile: GONE; the letter passes the slot on, and frees it
 *        +--gave up--> freed      | the thread of the ticket is ending: LOST; freed when it gives up
 *
 * When as many wait as may, who comes takes the place of one of a class below, who hears that it is full: else the
 * unimportant would keep the important out by their number.
 *
 * Who cannot be in time is refused when it comes, not when its time is up: with a queue of known speed (a running
 * mean of the gaps between slots that are given back while somebody waits) its turn can be told beforehand.
 *
 * Everything of a gate is behind one lock.  What is done under it is short: a heap of those who wait, a letter. */
#include "sched/gate.h"

#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "sched/codel.h"
#include "sched/fair.h"

#define GAPS_KNOWN 8   /* gaps from which on the speed of a queue is known */
#define GAP_SHARE  0.1 /* of the running mean that a new one is */

struct line { /* of a class */
    struct fair_queue       queue;
    struct codel            codel;
    struct gate_class_count count;
};

struct gate {
    struct chained  link;
    char            name[GATE_NAME];
    struct hash_key key;     /* of tenants */
    pthread_mutex_t lock;    /* of all that follows */
    struct adaptive slots;
    bool            known, closed; /* it was configured; nobody may */
    unsigned        busy, waiting, most_waiting, classes;
    struct line     lines[GATE_CLASSES];
    double          gap_ms;
    unsigned        gaps;
    uint64_t        left_ms; /* when a slot was given back last while somebody waited; 0: nobody did */
};

enum ticket_state { WAITING, TOLD, GONE, LOST };

struct gate_ticket {
    struct fair_item  item;
    struct gate      *gate;
    enum ticket_state state;    /* GATE_LOCK */
    enum gate_answer  answer;   /* GATE_LOCK */
    unsigned          class_;
    uint64_t          since_ms;
    struct loop      *loop;
    struct mailbox   *mail;
    struct letter     letter;
    struct deferred   here;
    gate_told_fn     *told;
    void             *ud;
};

/* -- Gates ---------------------------------------------------------------------------------- */

struct gates {
    pthread_mutex_t  lock;
    struct hash_key  key;
    struct hashtable table;
    struct gate     *all[GATES_MAX];
    unsigned         count;
};

struct gates *gates_new(void) {
    struct gates *g = mem_zalloc(sizeof(*g));
    if (g == NULL) return NULL;
    pthread_mutex_init(&g->lock, NULL);
    hash_key_random(&g->key);
    return g;
}

static void gate_free(struct gate *g) {
    for (unsigned i = 0; i < GATE_CLASSES; i++) fair_deinit(&g->lines[i].queue);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

void gates_free(struct gates *g) {
    if (g == NULL) return;
    for (unsigned i = 0; i < g->count; i++) gate_free(g->all[i]);
    hashtable_deinit(&g->table);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

static struct slice name_of(const struct chained *e) {
    return slice_str(container_of((struct chained *)(uintptr_t)e, struct gate, link)->name);
}

/* GATES_LOCK. */
static struct gate *make(struct gates *gs, struct slice name, uint64_t hash) {
    if (gs->count == GATES_MAX || hashtable_reserve(&gs->table) != 0) return NULL;
    struct gate *g = mem_zalloc(sizeof(*g));
    if (g == NULL) return NULL;
    slice_copy(g->name, sizeof(g->name), name);
    hash_key_random(&g->key);
    pthread_mutex_init(&g->lock, NULL);
    adaptive_init(&g->slots, 1, 1, 1);
    g->classes = 1;
    g->link.hash = hash;
    hashtable_add(&gs->table, &g->link);
    gs->all[gs->count++] = g;
    return g;
}

static struct gate *get(struct gates *gs, struct slice name, bool makes) {
    if (name.len >= GATE_NAME) name.len = GATE_NAME - 1;
    uint64_t hash = hash64(&gs->key, name);
    pthread_mutex_lock(&gs->lock);
    struct chained **at = hashtable_find(&gs->table, hash, name, name_of);
    struct gate *g = at != NULL ? container_of(*at, struct gate, link) : makes ? make(gs, name, hash) : NULL;
    pthread_mutex_unlock(&gs->lock);
    return g;
}

struct gate *gates_get(struct gates *gs, struct slice name) { return get(gs, name, true); }
struct gate *gates_find(struct gates *gs, struct slice name) { return get(gs, name, false); }

const char *gate_name(const struct gate *g) { return g->name; }

/* -- Telling ---------------------------------------------------------------------------------- */

static void open_next(struct gate *g, struct loop *loop, uint64_t now);

/* On the ticket's thread: it hears what was decided. */
static void hear(struct gate_ticket *t) {
    struct gate *g = t->gate;
    pthread_mutex_lock(&g->lock);
    bool gone = t->state == GONE;
    enum gate_answer how = t->answer;
    if (gone && how == GATE_OPEN) {
        g->busy--;
        open_next(g, t->loop, loop_now(t->loop));
    }
    pthread_mutex_unlock(&g->lock);
    gate_told_fn *told = t->told;
    void *ud = t->ud;
    mem_free(t);
    if (!gone) told(ud, how);
}

static void on_letter(struct letter *l, void *owner) {
    (void)owner;
    hear(container_of(l, struct gate_ticket, letter));
}

static void on_here(struct deferred *d) { hear(container_of(d, struct gate_ticket, here)); }

/* GATE_LOCK, on the thread of `loop`.  False: the ticket's thread is ending, nobody hears it. */
static bool tell(struct gate_ticket *t, struct loop *loop, enum gate_answer how) {
    t->answer = how;
    t->state = TOLD;
    if (t->loop == loop) loop_soon(loop, &t->here, on_here);
    else if (!mailbox_send(t->mail, &t->letter, on_letter)) t->state = LOST;
    return t->state == TOLD;
}

/* -- Slots ------------------------------------------------------------------------------------- */

static bool has_slot(const struct gate *g) { return !g->closed && g->busy < adaptive_limit(&g->slots); }

/* GATE_LOCK.  The next one of a class that is not turned away; NULL: nobody waits any more. */
static struct gate_ticket *take(struct gate *g, struct line *l, struct loop *loop, uint64_t now) {
    struct fair_item *item;
    while ((item = fair_pop(&l->queue)) != NULL) {
        struct gate_ticket *t = container_of(item, struct gate_ticket, item);
        uint64_t waited = now > t->since_ms ? now - t->since_ms : 0;
        g->waiting--;
        l->count.waiting--;
        if (!codel_sheds(&l->codel, waited, now)) {
            histogram_record(&l->count.waited, waited * 1000);
            return t;
        }
        l->count.shed++;
        tell(t, loop, GATE_SHED);
    }
    return NULL;
}

/* GATE_LOCK.  Free slots go to those who wait. */
static void open_next(struct gate *g, struct loop *loop, uint64_t now) {
    for (unsigned i = 0; i < GATE_CLASSES && g->waiting > 0; i++) {
        struct line *l = &g->lines[i];
        struct gate_ticket *t;
        while (has_slot(g) && (t = take(g, l, loop, now)) != NULL) {
            if (!tell(t, loop, GATE_OPEN)) continue;
            l->count.admitted++;
            g->busy++;
        }
    }
}

void gate_configure(struct gate *g, struct loop *loop, const struct gate_settings *s) {
    pthread_mutex_lock(&g->lock);
    g->closed = s->most == 0;
    if (!g->known) adaptive_init(&g->slots, s->least, s->most, s->start);
    else if (!g->closed) adaptive_bound(&g->slots, s->least, s->most);
    g->known = true;
    g->most_waiting = s->most_waiting;
    g->classes = s->classes;
    for (unsigned i = 0; i < s->classes; i++) {
        struct line *l = &g->lines[i];
        l->codel.target = s->target_ms;
        l->codel.interval = s->interval_ms;
        memcpy(l->count.name, s->names[i], sizeof(l->count.name));
    }
    open_next(g, loop, loop_now(loop));
    pthread_mutex_unlock(&g->lock);
}

/* GATE_LOCK.  The queues are full: somebody of a class below makes room.  False: nobody waits there. */
static bool make_room(struct gate *g, unsigned class_, struct loop *loop) {
    for (unsigned i = GATE_CLASSES; i-- > class_ + 1;) {
        struct line *l = &g->lines[i];
        struct fair_item *item = fair_pop_late(&l->queue);
        if (item == NULL) continue;
        g->waiting--;
        l->count.waiting--;
        l->count.full++;
        tell(container_of(item, struct gate_ticket, item), loop, GATE_FULL);
        return true;
    }
    return false;
}

/* -- Entering ------------------------------------------------------------------------------------- */

/* GATE_LOCK.  Until its turn, as far as is known; 0: it is not. */
static uint64_t turn_of(const struct gate *g, unsigned class_, uint64_t hash, struct slice flow) {
    if (g->gaps < GAPS_KNOWN) return 0;
    double ahead = 1 + (double)fair_ahead(&g->lines[class_].queue, hash, flow);
    for (unsigned i = 0; i < class_; i++) ahead += g->lines[i].queue.count;
    return 1 + (uint64_t)(ahead * g->gap_ms);
}

/* GATE_LOCK. */
static enum gate_answer wait(struct gate *g, struct line *l, struct gate_ticket *t, const struct gate_entry *e,
                             uint64_t hash, struct slice flow) {
    if (fair_push(&l->queue, &t->item, hash, flow, e->weight, e->cost) != 0) return GATE_NO_MEMORY;
    g->waiting++;
    l->count.waiting++;
    return GATE_WAITS;
}

/* GATE_LOCK. */
static enum gate_answer decide(struct gate *g, struct line *l, struct gate_ticket *t, const struct gate_entry *e,
                               uint64_t *wait_ms, uint64_t now) {
    struct slice flow = slice_of(e->flow.ptr, e->flow.len < GATE_FLOW ? e->flow.len : GATE_FLOW);
    uint64_t hash = hash64(&g->key, flow), turn = turn_of(g, t->class_, hash, flow);
    *wait_ms = turn > 0 ? turn : 1;
    if (g->closed) {
        l->count.full++;
        return GATE_CLOSED;
    }
    if (e->deadline_ms != 0 && now + turn > e->deadline_ms) {
        l->count.hopeless++;
        return GATE_HOPELESS;
    }
    if (g->waiting >= g->most_waiting && !make_room(g, t->class_, e->loop)) {
        l->count.full++;
        return GATE_FULL;
    }
    return wait(g, l, t, e, hash, flow);
}

static struct gate_ticket *ticket_new(struct gate *g, const struct gate_entry *e, uint64_t now) {
    struct gate_ticket *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    t->gate = g;
    t->since_ms = now;
    t->loop = e->loop;
    t->mail = e->mail;
    t->told = e->told;
    t->ud = e->ud;
    return t;
}

/* GATE_LOCK.  Those beyond the last class are of the last. */
static unsigned class_in(const struct gate *g, unsigned class_) {
    return class_ < g->classes ? class_ : g->classes - 1;
}

/* There is a slot, and nobody waits who would have it first. */
static bool enter_at_once(struct gate *g, unsigned class_) {
    pthread_mutex_lock(&g->lock);
    bool open = has_slot(g);
    class_ = class_in(g, class_);
    for (unsigned i = 0; open && g->waiting > 0 && i <= class_; i++) open = g->lines[i].queue.count == 0;
    if (open) {
        g->busy++;
        g->lines[class_].count.admitted++;
    }
    pthread_mutex_unlock(&g->lock);
    return open;
}

enum gate_answer gate_enter(struct gate *g, const struct gate_entry *e, uint64_t now, struct gate_ticket **ticket,
                            uint64_t *wait_ms) {
    *ticket = NULL;
    *wait_ms = 1;
    if (enter_at_once(g, e->class_)) return GATE_OPEN;
    struct gate_ticket *t = ticket_new(g, e, now);
    if (t == NULL) return GATE_NO_MEMORY;
    pthread_mutex_lock(&g->lock);
    t->class_ = class_in(g, e->class_);
    enum gate_answer a = decide(g, &g->lines[t->class_], t, e, wait_ms, now);
    if (a == GATE_WAITS) open_next(g, e->loop, now); /* one may have been given back in between */
    pthread_mutex_unlock(&g->lock);
    if (a == GATE_WAITS) *ticket = t;
    else mem_free(t);
    return a;
}

/* -- Leaving --------------------------------------------------------------------------------------- */

/* GATE_LOCK.  It was decided and has not heard of it: what it was given goes on. */
static bool give_up_told(struct gate *g, struct gate_ticket *t) {
    if (deferred_is_waiting(&t->here)) {
        deferred_cancel(&t->here);
        if (t->answer == GATE_OPEN) {
            g->busy--;
            open_next(g, t->loop, loop_now(t->loop));
        }
        return true;
    }
    if (t->state == LOST) return true;
    t->state = GONE;
    return false;
}

void gate_give_up(struct gate_ticket *t, bool late) {
    struct gate *g = t->gate;
    struct line *l = &g->lines[t->class_];
    bool over = true;
    pthread_mutex_lock(&g->lock);
    if (t->state == WAITING) {
        fair_remove(&l->queue, &t->item);
        g->waiting--;
        l->count.waiting--;
        if (late) l->count.late++;
        else l->count.left++;
    } else {
        over = give_up_told(g, t);
    }
    pthread_mutex_unlock(&g->lock);
    if (over) mem_free(t);
}

/* GATE_LOCK. */
static void note_gap(struct gate *g, uint64_t now) {
    if (g->waiting == 0) {
        g->left_ms = 0;
        return;
    }
    if (g->left_ms != 0 && now >= g->left_ms) {
        double gap = (double)(now - g->left_ms);
        g->gap_ms += (gap - g->gap_ms) * (g->gaps < GAPS_KNOWN ? 1.0 / (g->gaps + 1) : GAP_SHARE);
        if (g->gaps < GAPS_KNOWN) g->gaps++;
    }
    g->left_ms = now;
}

void gate_leave(struct gate *g, struct loop *loop, const struct adaptive_sample *s) {
    uint64_t now = loop_now(loop);
    pthread_mutex_lock(&g->lock);
    adaptive_add(&g->slots, s, g->busy, now);
    g->busy--;
    note_gap(g, now);
    open_next(g, loop, now);
    pthread_mutex_unlock(&g->lock);
}

/* -- For who looks --------------------------------------------------------------------------------- */

void gate_count(struct gate *g, struct gate_count *out) {
    pthread_mutex_lock(&g->lock);
    *out = (struct gate_count){ .limit = g->closed ? 0 : adaptive_limit(&g->slots), .busy = g->busy,
                                .waiting = g->waiting, .classes = g->classes };
    for (unsigned i = 0; i < g->classes; i++) out->of[i] = g->lines[i].count;
    pthread_mutex_unlock(&g->lock);
}

double gate_count_saturation(const struct gate_count *c) {
    return c->limit > 0 ? (double)(c->busy + c->waiting) / c->limit : 0;
}

double gate_saturation(struct gate *g) {
    pthread_mutex_lock(&g->lock);
    struct gate_count c = { .limit = g->closed ? 0 : adaptive_limit(&g->slots), .busy = g->busy,
                            .waiting = g->waiting };
    pthread_mutex_unlock(&g->lock);
    return gate_count_saturation(&c);
}

void gates_each(struct gates *gs, void (*see)(void *ud, const char *name, const struct gate_count *c), void *ud) {
    struct gate_count c;
    pthread_mutex_lock(&gs->lock);
    for (unsigned i = 0; i < gs->count; i++) {
        gate_count(gs->all[i], &c);
        see(ud, gs->all[i]->name, &c);
    }
    pthread_mutex_unlock(&gs->lock);
}

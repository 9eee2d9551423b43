/* limit_line.c -- who waits for a limit instead of being refused (max_wait).
 *
 *     enter --fits--> in
 *       +--refused, room in the line, and it can be in time--> [ first of key a | first of b | second of a | ... ]
 *                                                                  |  tick: the first of each key asks again
 *                                                   in <--fits-----+-----its time is up--> refused
 *
 * A limit has a line in each Lua state.  Requests of a key go in the order in which they came; a key whose first one
 * does not fit keeps no other key.  Who comes while others of its key wait stands behind them, though it might fit.
 * Another worker knows nothing of this line, so what comes free may be taken there: that is why the line asks, every
 * TICK_MS at most, and is not told.
 *
 * A line has a length (LINE_MOST), and each wait an end: max_wait, or the request's own deadline.  At its end a
 * request asks once more, so that a refusal says what stood against it then.  Whoever would have to wait longer than
 * that is refused at once.  A client that leaves takes its place along.
 *
 * A limit that machines share is asked by Lua (limit.lua), which pauses in this line, so that it has the same bounds.
 *
 * A decision resumes a coroutine, which may do anything: enter again, end the request of another one in this line.
 * So all that is to be told is taken out of the line first. */
#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/limit.h"
#include "bridge/task.h"
#include "sched/limit.h"

#define LINE_MOST 1000
#define TICK_MS   10
#define SEEN      2048 /* places for keys of one tick: more than a line has */

struct limit_line {
    struct limit_line  *next;    /* of the state */
    struct limit_group *group;   /* an identity */
    struct list         waiting; /* in the order in which they came */
    unsigned            count;
    struct loop        *loop;
    struct timer        tick;
};

struct waiter {
    struct op            op;
    struct list          link; /* of the line, or of those that are told */
    struct limit_line   *line; /* NULL: it has left */
    struct limit_matter  matter; /* its rule and prices are these: */
    struct limit_rule    rule;
    struct price_list   *prices; /* a share */
    struct limit_key     key;
    uint64_t             hash, until_ms;
    struct limit_verdict said;
    int                  rc;
    bool                 pauses; /* it asks elsewhere, and only waits here */
};

static void leave(struct waiter *w) {
    list_remove(&w->link);
    if (w->line != NULL) w->line->count--;
    w->line = NULL;
}

static void wait_cancel(struct op *op) {
    struct waiter *w = container_of(op, struct waiter, op);
    leave(w);
    limit_group_count_waiting(w->matter.group, -1);
    price_list_put(w->prices);
    mem_free(w);
}

/* In the coroutine again. */
static int wait_push(lua_State *L, struct op *op) {
    struct waiter *w = container_of(op, struct waiter, op);
    if (w->pauses) lua_pushboolean(L, 1);
    int n = w->pauses ? 1 : limit_push_entered(L, &w->matter, w->rc, &w->said);
    wait_cancel(op);
    return n;
}

/* -- Asking again ------------------------------------------------------------------------ */

/* Where the key is, or would be, among those of which one was refused in this tick. */
static uint64_t *place_of(uint64_t refused[SEEN], uint64_t hash) {
    size_t at = (size_t)(hash >> 1) % SEEN;
    while (refused[at] != 0 && refused[at] != (hash | 1)) at = (at + 1) % SEEN;
    return &refused[at];
}

static int ask(struct state *s, struct waiter *w, enum limit_count how) {
    return w->rc = limit_take(s, &w->matter, slice_of(w->key.own, w->key.len), how, &w->said);
}

/* True: it is decided. */
static bool look(struct waiter *w, uint64_t refused[SEEN], uint64_t now, uint64_t *next_ms) {
    struct state *s = w->op.task->state;
    if (now >= w->until_ms) {
        if (!w->pauses) ask(s, w, LIMIT_COUNT);
        return true;
    }
    if (w->until_ms - now < *next_ms) *next_ms = w->until_ms - now;
    if (w->pauses) return false;
    uint64_t *own = place_of(refused, w->hash);
    if (*own != 0) return false; /* behind one that does not fit */
    if (ask(s, w, LIMIT_AGAIN) != PERILUNE_ERR_LIMITED) return true;
    *own = w->hash | 1;
    if (w->said.wait_ms > 0 && w->said.wait_ms < *next_ms) *next_ms = w->said.wait_ms;
    return false;
}

static void tick(struct timer *t) {
    struct limit_line *l = container_of(t, struct limit_line, tick);
    uint64_t refused[SEEN] = { 0 }, now = loop_now(l->loop), next_ms = TICK_MS;
    struct list told;
    list_init(&told);
    for (struct list *at = l->waiting.next, *next; at != &l->waiting; at = next) {
        struct waiter *w = container_of(at, struct waiter, link);
        next = at->next;
        if (!look(w, refused, now, &next_ms)) continue;
        leave(w);
        list_append(&told, &w->link);
    }
    if (l->count > 0) timer_start(l->loop, &l->tick, next_ms, tick);
    while (!list_is_empty(&told)) { /* whatever policies do then */
        struct waiter *w = container_of(told.next, struct waiter, link);
        list_remove(&w->link);
        op_done(&w->op);
    }
}

/* -- Entering ------------------------------------------------------------------------------- */

/* The line of the limit, made when there is none; NULL: no memory. */
static struct limit_line *line_of(struct state *s, struct limit_group *g) {
    struct limit_line *l = s->limit_lines;
    while (l != NULL && l->group != g) l = l->next;
    if (l != NULL || (l = mem_zalloc(sizeof(*l))) == NULL) return l;
    list_init(&l->waiting);
    l->group = g;
    l->loop = s->loop;
    l->next = s->limit_lines;
    return s->limit_lines = l;
}

void limit_lines_free(struct state *s) {
    struct limit_line *l = s->limit_lines, *next;
    s->limit_lines = NULL;
    for (; l != NULL; l = next) {
        next = l->next;
        while (!list_is_empty(&l->waiting)) leave(container_of(l->waiting.next, struct waiter, link));
        timer_stop(l->loop, &l->tick);
        mem_free(l);
    }
}

static bool waits_already(const struct limit_line *l, uint64_t hash) {
    for (const struct list *at = l->waiting.next; at != &l->waiting; at = at->next)
        if (container_of((struct list *)(uintptr_t)at, struct waiter, link)->hash == hash) return true;
    return false;
}

static uint64_t until(const struct request *r, uint64_t now, uint64_t max_ms) {
    uint64_t own = now + max_ms, deadline = r != NULL ? r->deadline_ms : 0;
    return deadline != 0 && deadline < own ? deadline : own;
}

/* key: NULL, for who pauses.  NULL: nobody more may wait. */
static struct waiter *waiter_new(struct state *s, struct limit_line *l, const struct limit_matter *q,
                                 const struct limit_key *key, uint64_t hash, uint64_t until_ms) {
    if (l == NULL || l->count >= LINE_MOST) return NULL;
    struct waiter *w = mem_zalloc(sizeof(*w));
    if (w == NULL) return NULL;
    if (l->count == 0 && timer_start(l->loop, &l->tick, TICK_MS, tick) != 0) {
        mem_free(w);
        return NULL;
    }
    w->op = (struct op){ .task = s->running, .cancel = wait_cancel, .push = wait_push };
    w->line = l;
    w->matter = *q;
    w->rule = *q->rule;
    w->matter.rule = &w->rule;
    w->matter.prices = w->prices = q->prices;
    if (w->prices != NULL) w->prices->refs++;
    if (key != NULL) memcpy(w->key.own, key->own, w->key.len = key->len);
    w->pauses = key == NULL;
    w->hash = hash;
    w->until_ms = until_ms;
    list_append(&l->waiting, &w->link);
    l->count++;
    limit_group_count_waiting(q->group, 1);
    return w;
}

int limit_line_enter(lua_State *L, const struct limit_matter *q, const struct limit_key *key, uint64_t max_ms) {
    struct state *s = state_of(L);
    struct limit_line *l = line_of(s, q->group);
    struct slice text = slice_of(key->own, key->len);
    uint64_t hash = hash_fnv(text), now = loop_now(s->loop), until_ms = until(q->req, now, max_ms);
    struct limit_verdict v = { .wait_ms = 0 };
    bool behind = l != NULL && l->count > 0 && waits_already(l, hash), may = op_is_possible(L) && until_ms > now;
    int rc = behind && may ? PERILUNE_ERR_LIMITED : limit_take(s, q, text, may ? LIMIT_AGAIN : LIMIT_COUNT, &v);
    if (rc != PERILUNE_ERR_LIMITED || !may) return limit_push_entered(L, q, rc, &v);
    bool known = v.meter < LIMIT_METERS; /* of slots nobody knows when one is free */
    bool hopeless = !behind && (v.wait_ms == 0 || (known && now + v.wait_ms > until_ms));
    struct waiter *w = hopeless ? NULL : waiter_new(s, l, q, key, hash, until_ms);
    if (w != NULL) return op_wait(L, &w->op, "limit");
    return limit_push_entered(L, q, limit_take(s, q, text, LIMIT_COUNT, &v), &v);
}

int limit_line_pause(lua_State *L, const struct limit_matter *q, uint64_t ms) {
    op_check(L);
    struct state *s = state_of(L);
    struct waiter *w = waiter_new(s, line_of(s, q->group), q, NULL, 0, loop_now(s->loop) + ms);
    if (w != NULL) return op_wait(L, &w->op, "limit");
    lua_pushboolean(L, 0);
    return 1;
}

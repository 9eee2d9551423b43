/* reserved.c -- what limits have reserved for a request, until it is known what it used.
 *
 *     request --reserved--> [ a limit's ] --> [ another's ]         a policy's reservation, if it keeps one
 *                                ^--------------------------------------+
 *
 *     ended with usage        what the upstream said: all tokens, and what they cost there
 *     ended without           the prompt as counted here, and what came (response_estimate); as reserved when that is
 *                             nothing.  The same when it said what cannot be: or it could make limits free
 *     out of a cache          nothing, but for the request itself
 *     cut, or left            what was delivered until then, or the prompt when that was all; nothing while there
 *                             was no connection yet
 *     failed                  nothing, but for the request itself
 *     answers besides         the loser of a hedge, the half that was gone on with elsewhere, one that a policy read
 *                             and did not pass on, its own questions: what they used, too (spending.c)
 *     turned away behind it   given back whole: another limit refused it, or there was no room
 *
 * A request always ends, so nothing that was reserved is forgotten, whatever policies do: they throw, clients leave,
 * upstreams break.  What a policy has settled itself is not settled again.
 *
 * Within one thread; what limits count is locked inside. */
#include "request/reserved.h"

#include <time.h>

#include "base/clock.h"
#include "request/spending.h"
#include "request/spent.h"

struct limit_clock reserved_clock(const struct loop *l) {
    struct timespec t = { .tv_sec = (time_t)(l->virtual_ms / 1000) };
    if (!l->is_virtual) clock_read(CLOCK_REALTIME_COARSE, &t);
    return (struct limit_clock){ .mono_ms = loop_now(l), .wall_s = t.tv_sec };
}

/* -- Prices --------------------------------------------------------------------------------- */

struct price_list *price_list_new(void) {
    struct price_list *p = mem_zalloc(sizeof(*p));
    if (p != NULL) p->refs = 1;
    return p;
}

void price_list_put(struct price_list *p) {
    if (p == NULL || --p->refs > 0) return;
    mem_free(p->rows);
    mem_free(p);
}

bool price_list_add(struct price_list *p, const struct price *row) {
    if (!mem_grow((void **)&p->rows, p->count, &p->cap, sizeof(*row))) return false;
    p->rows[p->count++] = *row;
    return true;
}

struct price price_list_find(const struct price_list *p, struct slice upstream) {
    struct price most = { .in = 0 };
    for (unsigned i = 0; p != NULL && i < p->count; i++) {
        const struct price *row = &p->rows[i];
        if (upstream.len > 0 && slice_eq(slice_str(row->upstream), upstream)) return *row;
        if (row->in > most.in) most.in = row->in;
        if (row->out > most.out) most.out = row->out;
        if (row->cached > most.cached) most.cached = row->cached;
    }
    return most;
}

/* In billionths of a dollar: a million tokens cost dollars, so a token costs thousandths of a millionth. */
static double cost_of(const struct price *p, const struct usage *u) {
    double cached = (double)(u->cached < u->prompt ? u->cached : u->prompt);
    return (((double)u->prompt - cached) * p->in + cached * p->cached + (double)u->completion * p->out) *
           (LIMIT_NANO / 1e6);
}

/* -- One of them ------------------------------------------------------------------------------- */

struct reserved *reserved_new(struct request *r, const void *owner, struct loop *loop, bool shared) {
    struct reserved *v = mem_zalloc(sizeof(*v));
    if (v == NULL) return NULL;
    v->refs = (r != NULL) + (unsigned)shared;
    v->owner = owner;
    v->loop = loop;
    v->open = true;
    if (r == NULL) return v;
    v->since = r->spending != NULL ? r->spending->calls : 0;
    for (struct reserved *w = r->reserved; w != NULL; w = w->next)
        if (w->owner == owner && w->until == 0) w->until = v->since;
    v->next = r->reserved;
    r->reserved = v;
    return v;
}

void reserved_watch(struct request *r) {
    if (r != NULL && r->spending == NULL) r->spending = spending_new();
}

void reserved_put(struct reserved *v) {
    if (v == NULL || --v->refs > 0) return;
    reserved_give_back(v);
    price_list_put(v->prices);
    mem_free(v);
}

void reserved_settle(struct reserved *v, const struct limit_use *use) {
    if (!v->open) return;
    v->open = false;
    limits_settle(&v->hold, use, reserved_clock(v->loop));
    if (v->far != NULL) far_hold_end(v->far, (double[LIMIT_KINDS]){ 0, use->tokens, use->usd }, false);
}

void reserved_give_back(struct reserved *v) {
    if (!v->open) return;
    v->open = false;
    limits_give_back(&v->hold, reserved_clock(v->loop));
    if (v->far != NULL) far_hold_end(v->far, (double[LIMIT_KINDS]){ -v->amount[LIMIT_REQUESTS], 0, 0 }, true);
}

/* -- All of a request ------------------------------------------------------------------------------ */

/* Was an upstream asked for it at all? */
static bool was_asked(const struct request *r, const struct response *res) {
    return res != NULL || r->tries > 0 || !list_is_empty(&r->responses);
}

static bool is_behind(const struct reserved *v, unsigned serial) {
    return serial > v->since && (v->until == 0 || serial <= v->until);
}

static void add(struct limit_use *use, const struct reserved *v, const char *upstream, const struct usage *u) {
    struct price price = price_list_find(v->prices, slice_str(upstream));
    use->tokens += (double)u->prompt + (double)u->completion;
    use->usd += cost_of(&price, u);
}

/* What policies asked for it on the way, unless limits there have settled that. */
static void add_asks(struct limit_use *use, const struct reserved *v, const struct request *r) {
    for (const struct spent *e = r->spent; e != NULL; e = e->next)
        if (!e->settled) add(use, v, e->upstream, &e->usage);
}

/* Answers that were paid and not delivered; `but`: the call whose answer was. */
static void add_spent(struct limit_use *use, const struct reserved *v, const struct request *r, unsigned but) {
    for (unsigned i = 0; r->spending != NULL && i < r->spending->count; i++) {
        const struct spending_row *row = &r->spending->rows[i];
        struct usage u = row->usage;
        if (row->serial == but || !is_behind(v, row->serial)) continue;
        u.prompt += row->prompts * (uint64_t)v->prompt;
        add(use, v, row->upstream, &u);
    }
}

/* What was delivered. */
static void add_delivered(struct limit_use *use, const struct reserved *v, const struct response *res,
                          const struct outcome *o) {
    struct usage u = usage_here(&o->usage);
    bool gone = strcmp(o->code, "canceled") == 0 || strcmp(o->code, "deadline_exceeded") == 0;
    uint64_t came = res->upstream[0] != '\0' ? response_estimate(res) : 0;
    if (res->unsent || response_cache_spares(response_cache_of(res))) return;
    if (!u.known && o->ok && came > 0) u = (struct usage){ .known = true };
    if (!u.known && o->ok && res->upstream[0] != '\0') {
        use->tokens += v->amount[LIMIT_TOKENS];
        use->usd += v->amount[LIMIT_USD];
        return;
    }
    /* It was asked, so the prompt was read, or was about to be. */
    if (!u.known && !o->ok && gone) u = (struct usage){ .known = true };
    if (!u.known) return;
    /* Nobody reads a prompt of no tokens, or says something in none: some servers say so of what their cache had. */
    if (u.prompt == 0 && (came > 0 || !o->ok)) u.prompt = (uint64_t)v->prompt;
    if (u.completion == 0 && o->ok) u.completion = came;
    if (o->ok) use->out = (double)u.completion;
    add(use, v, res->upstream, &u);
}

static struct limit_use use_of(const struct reserved *v, const struct request *r, const struct response *res,
                               const struct outcome *o) {
    struct limit_use use = { .model = v->model, .out = -1 };
    /* A call of before, or of a later turn of the same limit, is none of its own.  Nor does an answer made of others
     * count by itself: each of those does. */
    bool own = res != NULL && !res->accounted && (res->serial == 0 || is_behind(v, res->serial));
    if (own) add_delivered(&use, v, res, o);
    add_spent(&use, v, r, res != NULL ? res->serial : 0);
    add_asks(&use, v, r);
    return use;
}

void reserved_settle_failed(struct reserved *v, const struct request *r) {
    struct limit_use use = { .out = -1 };
    add_spent(&use, v, r, 0);
    reserved_settle(v, &use);
}

/* Another limit stood behind this one, or there was no room for it: it was as if it had never come. */
static bool was_turned_away(const struct request *r, const struct response *res, const struct outcome *o) {
    bool refused = strcmp(o->code, "rate_limit_exceeded") == 0 || strcmp(o->code, "overloaded") == 0;
    return !o->ok && refused && !was_asked(r, res);
}

void reserved_finish(struct request *r, const struct response *res, const struct outcome *o) {
    struct reserved *v = r->reserved, *next;
    r->reserved = NULL;
    for (; v != NULL; v = next) {
        next = v->next;
        if (v->open && was_turned_away(r, res, o)) reserved_give_back(v);
        if (v->open) {
            struct limit_use use = use_of(v, r, res, o);
            reserved_settle(v, &use);
        }
        reserved_put(v);
    }
}

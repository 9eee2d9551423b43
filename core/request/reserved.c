/* reserved.c -- what limits have reserved for a request, until it is known what it used.
 *
 *     request --reserved--> [ a limit's ] --> [ another's ]         a policy's reservation, if it keeps one
 *                                ^--------------------------------------+
 *
 *     ended with usage        what the upstream said: all tokens, and what they cost there
 *     ended without           as reserved: nobody knows better
 *     out of a cache          nothing, but for the request itself
 *     cut, or left            what was delivered until then, or the prompt when that was all
 *     failed                  nothing, but for the request itself
 *     turned away behind it   given back whole: another limit refused it, or there was no room
 *
 * A request always ends, so nothing that was reserved is forgotten, whatever policies do: they throw, clients leave,
 * upstreams break.  What a policy has settled itself is not settled again.
 *
 * Within one thread; what limits count is locked inside. */
#include "request/reserved.h"

#include "request/spent.h"

#include <time.h>

struct limit_clock reserved_clock(const struct loop *l) {
    struct timespec t = { .tv_sec = (time_t)(l->virtual_ms / 1000) };
    if (!l->is_virtual) clock_gettime(CLOCK_REALTIME_COARSE, &t);
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

struct reserved *reserved_new(struct request *r, struct loop *loop, bool shared) {
    struct reserved *v = mem_zalloc(sizeof(*v));
    if (v == NULL) return NULL;
    v->refs = (r != NULL) + (unsigned)shared;
    v->loop = loop;
    v->open = true;
    if (r == NULL) return v;
    v->next = r->reserved;
    r->reserved = v;
    return v;
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
    if (!v->elsewhere) {
        limits_settle(&v->hold, use, reserved_clock(v->loop));
        return;
    }
    far_hold_end(v->far, (double[LIMIT_KINDS]){ 0, use->tokens, use->usd }, use);
    limit_group_count_held(v->group, v->amount, -1);
}

void reserved_give_back(struct reserved *v) {
    if (!v->open) return;
    v->open = false;
    if (!v->elsewhere) {
        limits_give_back(&v->hold, reserved_clock(v->loop));
        return;
    }
    far_hold_end(v->far, (double[LIMIT_KINDS]){ -v->amount[LIMIT_REQUESTS], 0, 0 }, NULL);
    limit_group_count_held(v->group, v->amount, -1);
}

/* -- All of a request ------------------------------------------------------------------------------ */

/* Was an upstream asked for it at all? */
static bool was_asked(const struct request *r, const struct response *res) {
    return res != NULL || r->tries > 0 || !list_is_empty(&r->responses);
}

/* What policies asked for it on the way, unless limits there have settled that. */
static void add_spent(struct limit_use *use, const struct reserved *v, const struct request *r) {
    for (const struct spent *e = r->spent; e != NULL; e = e->next) {
        if (e->settled) continue;
        struct price price = price_list_find(v->prices, slice_str(e->upstream));
        use->tokens += (double)e->usage.prompt + (double)e->usage.completion;
        use->usd += cost_of(&price, &e->usage);
    }
}

static struct limit_use use_of(const struct reserved *v, const struct request *r, const struct response *res,
                               const struct outcome *o) {
    struct limit_use use = { .model = v->model, .out = -1 };
    struct price price = price_list_find(v->prices, res != NULL ? slice_str(res->upstream) : SLICE(""));
    struct usage u = usage_here(&o->usage);
    bool gone = strcmp(o->code, "canceled") == 0 || strcmp(o->code, "deadline_exceeded") == 0;
    bool left = !o->ok && gone && was_asked(r, res);
    if (res != NULL && response_cache_spares(response_cache_of(res))) return use;
    if (!u.known && o->ok && res != NULL && res->upstream[0] != '\0') {
        use.tokens = v->amount[LIMIT_TOKENS];
        use.usd = v->amount[LIMIT_USD];
        return use;
    }
    /* It was asked, so the prompt was read, or was about to be. */
    if (!u.known && left) u = (struct usage){ .known = true, .prompt = (uint64_t)v->prompt };
    /* What was counted of a stream that was cut is the calls' own, which may not have counted the prompt. */
    if (o->estimated && u.prompt == 0) u.prompt = (uint64_t)v->prompt;
    use.tokens = (double)u.prompt + (double)u.completion;
    use.usd = cost_of(&price, &u);
    if (o->ok && u.known) use.out = (double)u.completion;
    return use;
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
            add_spent(&use, v, r);
            reserved_settle(v, &use);
        }
        reserved_put(v);
    }
}

/* savings.c -- what policies that rewrite requests saved, and what it cost.
 *
 *     req:saved{ policy = "window", before = 5400, after = 900, cost = 0.0021 }
 *          |
 *          +-- entry of the request    -> access log, x-perilune-saved-tokens
 *          +-- row of the worker       -> /metrics, summed over workers
 *
 * Tokens alone mislead: shortening what a provider has cached can cost more than
 * it saves.  So money stands beside them, and it may be negative.  Counters of
 * Prometheus only grow, which is why gains and losses are counted apart.
 *
 * Rows are found by name, a linear search over at most SAVINGS_POLICIES; a worker
 * writes its own, any thread reads.  A name that comes when all rows are taken is
 * counted under "other": metrics must not grow with what a policy makes up.
 *
 * Does not judge: before and after are what the policy says. */
#include "request/savings.h"

#include <stdio.h>

#include "base/json.h"

typedef unsigned long long ull;

/* -- Rows of a worker ------------------------------------------------------------- */

static struct savings_row *row_of(struct savings_stats *s, const char *policy) {
    unsigned n = atomic_load_explicit(&s->count, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++)
        if (strcmp(s->rows[i].policy, policy) == 0) return &s->rows[i];
    if (n == SAVINGS_POLICIES) return &s->rows[n - 1];
    snprintf(s->rows[n].policy, SAVINGS_NAME, "%s", n == SAVINGS_POLICIES - 1 ? "other" : policy);
    atomic_store_explicit(&s->count, n + 1, memory_order_release);
    return &s->rows[n];
}

void savings_stats_add(struct savings_stats *s, const char *policy, const struct savings_amount *a) {
    struct savings_row *r = row_of(s, policy);
    stats_add(&r->times, a->times);
    stats_add(&r->before, a->before);
    stats_add(&r->after, a->after);
    if (a->before > a->after) stats_add(&r->tokens, a->before - a->after);
    if (a->nano_usd >= 0) stats_add(&r->gained_nano, (uint64_t)a->nano_usd);
    else stats_add(&r->lost_nano, (uint64_t)-a->nano_usd);
    stats_add(&r->us, a->us);
}

void savings_stats_merge(struct savings_stats *to, const struct savings_stats *from) {
    unsigned n = atomic_load_explicit((atomic_uint *)(uintptr_t)&from->count, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        const struct savings_row *f = &from->rows[i];
        struct savings_row *t = row_of(to, f->policy);
        stats_add(&t->times, stats_get(&f->times));
        stats_add(&t->before, stats_get(&f->before));
        stats_add(&t->after, stats_get(&f->after));
        stats_add(&t->tokens, stats_get(&f->tokens));
        stats_add(&t->gained_nano, stats_get(&f->gained_nano));
        stats_add(&t->lost_nano, stats_get(&f->lost_nano));
        stats_add(&t->us, stats_get(&f->us));
    }
}

void savings_stats_write(const struct savings_stats *s, struct buf *out) {
    static const struct { const char *name, *help; size_t at; double unit; } families[] = {
        { "perilune_rewrites_total", "Requests that a policy rewrote, or looked at and reported.",
          offsetof(struct savings_row, times), 1 },
        { "perilune_rewrite_before_tokens_total", "Prompt tokens before a policy rewrote them.",
          offsetof(struct savings_row, before), 1 },
        { "perilune_rewrite_after_tokens_total", "Prompt tokens after a policy rewrote them.",
          offsetof(struct savings_row, after), 1 },
        { "perilune_saved_tokens_total", "Prompt tokens that a policy kept from being sent.",
          offsetof(struct savings_row, tokens), 1 },
        { "perilune_saved_usd_total", "Money saved by rewriting, provider caches considered.",
          offsetof(struct savings_row, gained_nano), 1e-9 },
        { "perilune_lost_usd_total", "Money that rewriting cost more than it saved.",
          offsetof(struct savings_row, lost_nano), 1e-9 },
        { "perilune_rewrite_seconds_total", "Time that rewriting took.", offsetof(struct savings_row, us), 1e-6 },
    };
    unsigned n = atomic_load_explicit((atomic_uint *)(uintptr_t)&s->count, memory_order_acquire);
    for (size_t f = 0; n > 0 && f < sizeof(families) / sizeof(*families); f++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n", families[f].name, families[f].help, families[f].name);
        for (unsigned i = 0; i < n; i++) {
            const stats_counter *c = (const stats_counter *)(const void *)((const char *)&s->rows[i] + families[f].at);
            buf_printf(out, "%s{policy=\"%s\"} ", families[f].name, s->rows[i].policy);
            if (families[f].unit == 1) buf_printf(out, "%llu\n", (ull)stats_get(c));
            else buf_printf(out, "%.9f\n", (double)stats_get(c) * families[f].unit);
        }
    }
}

/* -- Entries of a request ------------------------------------------------------------ */

bool savings_add(struct savings_entry **list, struct arena *arena, const char *policy, const struct savings_amount *a) {
    struct savings_entry **at = list;
    while (*at != NULL && strcmp((*at)->policy, policy) != 0) at = &(*at)->next;
    if (*at == NULL) {
        struct savings_entry *e = arena_alloc(arena, sizeof(*e));
        if (e == NULL) return false;
        memset(e, 0, sizeof(*e));
        snprintf(e->policy, sizeof(e->policy), "%s", policy);
        *at = e;
    }
    struct savings_amount *sum = &(*at)->sum;
    sum->times += a->times;
    sum->before += a->before;
    sum->after += a->after;
    sum->nano_usd += a->nano_usd;
    sum->us += a->us;
    return true;
}

void savings_total(const struct savings_entry *list, int64_t *tokens, int64_t *nano_usd) {
    *tokens = *nano_usd = 0;
    for (const struct savings_entry *e = list; e != NULL; e = e->next) {
        *tokens += (int64_t)e->sum.before - (int64_t)e->sum.after;
        *nano_usd += e->sum.nano_usd;
    }
}

void savings_log(const struct savings_entry *list, struct buf *line) {
    int64_t tokens, nano;
    savings_total(list, &tokens, &nano);
    buf_printf(line, ",\"tokens_saved\":%lld,\"saved\":{", (long long)tokens);
    for (const struct savings_entry *e = list; e != NULL; e = e->next) {
        if (e != list) buf_putc(line, ',');
        json_write_string(line, slice_str(e->policy));
        buf_printf(line, ":{\"before\":%llu,\"after\":%llu,\"usd\":%.9f,\"ms\":%.3f}", (ull)e->sum.before,
                   (ull)e->sum.after, (double)e->sum.nano_usd / 1e9, (double)e->sum.us / 1e3);
    }
    buf_putc(line, '}');
}

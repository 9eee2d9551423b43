/* savings.h -- what policies that rewrite requests saved. See savings.c. */
#ifndef PERILUNE_REQUEST_SAVINGS_H
#define PERILUNE_REQUEST_SAVINGS_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/stats.h"

#define SAVINGS_NAME     32 /* bytes of a policy's name, its NUL included */
#define SAVINGS_POLICIES 24 /* rows of a worker; more names share the last one, "other" */

/* One rewrite, or the sum of several. Money in 10^-9 USD: a token may cost 3. */
struct savings_amount {
    uint64_t times, before, after; /* tokens */
    int64_t  nano_usd;             /* saved; negative: what it cost more */
    uint64_t us;                   /* time that the rewriting took */
};

/* Sums of one policy on one worker, written by its thread. */
struct savings_row {
    char          policy[SAVINGS_NAME];
    stats_counter times, before, after, tokens, gained_nano, lost_nano, us;
};

struct savings_stats {
    atomic_uint      count; /* rows in use: a row's name is written before it counts */
    struct savings_row rows[SAVINGS_POLICIES];
};

void savings_stats_add(struct savings_stats *s, const char *policy, const struct savings_amount *a);
/* to += from, for sums over workers; `to` is nobody else's. */
void savings_stats_merge(struct savings_stats *to, const struct savings_stats *from);
/* Prometheus text. */
void savings_stats_write(const struct savings_stats *s, struct buf *out);

/* Of one request: an entry per policy, in the order of their first report. */
struct savings_entry {
    struct savings_entry *next;
    char                policy[SAVINGS_NAME];
    struct savings_amount sum;
};

/* Adds to the policy's entry, made in the arena. False when there is no memory. */
bool savings_add(struct savings_entry **list, struct arena *arena, const char *policy, const struct savings_amount *a);
/* All entries together: tokens saved (negative: added), money. */
void savings_total(const struct savings_entry *list, int64_t *tokens, int64_t *nano_usd);
/* ,"tokens_saved":N,"saved":{"window":{"before":N,"after":N,"usd":X,"ms":X}} */
void savings_log(const struct savings_entry *list, struct buf *line);

#endif

/* saved.h -- what policies that rewrite requests saved. See saved.c. */
#ifndef PERILUNE_BRIDGE_SAVED_H
#define PERILUNE_BRIDGE_SAVED_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/stats.h"

#define SAVED_NAME     32 /* bytes of a policy's name, its NUL included */
#define SAVED_POLICIES 24 /* rows of a worker; more names share the last one, "other" */

/* One rewrite, or the sum of several. Money in 10^-9 USD: a token may cost 3. */
struct saved_amount {
    uint64_t times, before, after; /* tokens */
    int64_t  nano_usd;             /* saved; negative: what it cost more */
    uint64_t us;                   /* time that the rewriting took */
};

/* Sums of one policy on one worker, written by its thread. */
struct saved_row {
    char          policy[SAVED_NAME];
    stats_counter times, before, after, tokens, gained_nano, lost_nano, us;
};

struct saved_stats {
    atomic_uint      count; /* rows in use: a row's name is written before it counts */
    struct saved_row rows[SAVED_POLICIES];
};

void saved_stats_add(struct saved_stats *s, const char *policy, const struct saved_amount *a);
/* to += from, for sums over workers; `to` is nobody else's. */
void saved_stats_merge(struct saved_stats *to, const struct saved_stats *from);
/* Prometheus text. */
void saved_stats_write(const struct saved_stats *s, struct buf *out);

/* Of one request: an entry per policy, in the order of their first report. */
struct saved_entry {
    struct saved_entry *next;
    char                policy[SAVED_NAME];
    struct saved_amount sum;
};

/* Adds to the policy's entry, made in the arena. False when there is no memory. */
bool saved_add(struct saved_entry **list, struct arena *arena, const char *policy, const struct saved_amount *a);
/* All entries together: tokens saved (negative: added), money. */
void saved_total(const struct saved_entry *list, int64_t *tokens, int64_t *nano_usd);
/* ,"tokens_saved":N,"saved":{"window":{"before":N,"after":N,"usd":X,"ms":X}} */
void saved_log(const struct saved_entry *list, struct buf *line);

#endif

/* kafka_offsets.h -- how far a partition is done with. See kafka_offsets.c. */
#ifndef PERILUNE_JOBS_KAFKA_OFFSETS_H
#define PERILUNE_JOBS_KAFKA_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>

/* One partition, for as long as it is ours. */
struct kafka_offsets {
    struct kafka_offset *ring;
    unsigned first, count, cap, limit;
    unsigned unsettled, again; /* again: of the unsettled ones, those that are to come once more */
    int64_t  last;      /* the newest that was taken; -1: none yet */
};

enum kafka_taken {
    KAFKA_TAKEN,
    KAFKA_TAKEN_AGAIN,  /* as was asked for */
    KAFKA_TAKEN_BEFORE, /* it is being worked on, or it is settled */
    KAFKA_TAKEN_BACK    /* the log is shorter than it was: what is known of the partition means nothing any more */
};

void kafka_offsets_init(struct kafka_offsets *o, unsigned limit);
void kafka_offsets_deinit(struct kafka_offsets *o);
/* An enum kafka_taken, or PERILUNE_ERR_LIMITED: as many as may be lie behind one that is not settled; or
 * PERILUNE_ERR_NOMEM; and then nothing has changed. */
int  kafka_offsets_take(struct kafka_offsets *o, int64_t offset);
/* False: it was not taken, or settled before. */
bool kafka_offsets_settle(struct kafka_offsets *o, int64_t offset);
/* It is to come once more.  False: as above. */
bool kafka_offsets_return(struct kafka_offsets *o, int64_t offset);
void kafka_offsets_return_all(struct kafka_offsets *o); /* that are not settled */
/* The first that is to come once more; -1: none. */
int64_t kafka_offsets_returned(const struct kafka_offsets *o);
/* The offset to commit: all before it are settled.  -1: nothing was taken yet. */
int64_t kafka_offsets_mark(const struct kafka_offsets *o);
static inline bool kafka_offsets_are_full(const struct kafka_offsets *o) { return o->count >= o->limit; }

#endif

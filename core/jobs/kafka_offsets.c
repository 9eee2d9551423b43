/* kafka_offsets.c -- how far a partition is done with.
 *
 * Kafka does not know which messages were done: it keeps one number for each partition and group, and whoever gets
 * the partition next begins there.  Jobs end in any order, so that number is the first one that has not ended:
 *
 *     taken      17   18   20   21   22   (19 was no message of ours: transactions and compaction leave gaps)
 *     settled    yes       yes  yes
 *     mark            18                  what would come again: 18, and 20 and 21, too, which were done
 *
 * A ring of what was taken, in order, from the first that is not settled on.  Its limit bounds how much is done again
 * when a node dies while one job lasts long: behind `limit` the partition waits for that job.
 *
 * One that nobody could do is returned: it stays unsettled, and when the partition is read again from it on, it is
 * taken again and what lies behind it is known.
 *
 * Offsets only grow, except when a topic was made anew or lost its end: then who reads learns so (KAFKA_TAKEN_BACK)
 * and begins anew.  Pure: no clock, no library, one thread. */
#include "jobs/kafka_offsets.h"

#include "base/mem.h"
#include "include/perilune.h"

#define FIRST_CAP 16u

struct kafka_offset {
    int64_t offset;
    bool    settled, returned;
};

void kafka_offsets_init(struct kafka_offsets *o, unsigned limit) {
    *o = (struct kafka_offsets){ .limit = limit, .last = -1 };
}

void kafka_offsets_deinit(struct kafka_offsets *o) {
    mem_free(o->ring);
    kafka_offsets_init(o, o->limit);
}

static struct kafka_offset *at(const struct kafka_offsets *o, unsigned i) {
    return &o->ring[(o->first + i) & (o->cap - 1)]; /* cap is a power of two */
}

static int grow(struct kafka_offsets *o) {
    unsigned cap = o->cap > 0 ? o->cap * 2 : FIRST_CAP;
    struct kafka_offset *ring = mem_alloc(cap * sizeof(*ring));
    if (ring == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < o->count; i++) ring[i] = *at(o, i);
    mem_free(o->ring);
    o->ring = ring;
    o->cap = cap;
    o->first = 0;
    return 0;
}

/* NULL: it is not in the ring. */
static struct kafka_offset *find(const struct kafka_offsets *o, int64_t offset) {
    unsigned low = 0, high = o->count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (at(o, middle)->offset < offset) low = middle + 1;
        else high = middle;
    }
    return low < o->count && at(o, low)->offset == offset ? at(o, low) : NULL;
}

int kafka_offsets_take(struct kafka_offsets *o, int64_t offset) {
    if (offset <= o->last) {
        struct kafka_offset *known = find(o, offset);
        if (known == NULL) return KAFKA_TAKEN_BACK;
        if (!known->returned) return KAFKA_TAKEN_BEFORE;
        known->returned = false;
        o->again--;
        return KAFKA_TAKEN_AGAIN;
    }
    if (kafka_offsets_are_full(o)) return PERILUNE_ERR_LIMITED;
    if (o->count == o->cap && grow(o) != 0) return PERILUNE_ERR_NOMEM;
    o->count++;
    *at(o, o->count - 1) = (struct kafka_offset){ .offset = offset };
    o->unsettled++;
    o->last = offset;
    return KAFKA_TAKEN;
}

bool kafka_offsets_settle(struct kafka_offsets *o, int64_t offset) {
    struct kafka_offset *e = find(o, offset);
    if (e == NULL || e->settled) return false;
    e->settled = true;
    o->again -= e->returned;
    e->returned = false;
    o->unsettled--;
    while (o->count > 0 && at(o, 0)->settled) {
        o->first = (o->first + 1) & (o->cap - 1);
        o->count--;
    }
    return true;
}

bool kafka_offsets_return(struct kafka_offsets *o, int64_t offset) {
    struct kafka_offset *e = find(o, offset);
    if (e == NULL || e->settled || e->returned) return false;
    e->returned = true;
    o->again++;
    return true;
}

void kafka_offsets_return_all(struct kafka_offsets *o) {
    for (unsigned i = 0; i < o->count; i++) at(o, i)->returned = !at(o, i)->settled;
    o->again = o->unsettled;
}

int64_t kafka_offsets_returned(const struct kafka_offsets *o) {
    for (unsigned i = 0; i < o->count && o->again > 0; i++)
        if (at(o, i)->returned) return at(o, i)->offset;
    return -1;
}

int64_t kafka_offsets_mark(const struct kafka_offsets *o) {
    if (o->count > 0) return at(o, 0)->offset;
    return o->last >= 0 ? o->last + 1 : -1;
}

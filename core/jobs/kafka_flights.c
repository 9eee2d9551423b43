/* kafka_flights.c -- messages that were handed over and are not settled.
 *
 *     row:  FREE --add--> FLYING --settle, any thread--> SETTLED --land--> FREE
 *             ^              |                              |
 *             +-- drop ------+------------------------------+    the partition went to somebody else
 *
 *     token:  43 bits serial | 1 bit stamp | 20 bits row
 *
 * Who does a job settles it from a thread of his own, any time later, perhaps when the partition is long somebody
 * else's.  So a token names a row and the serial number of its use: an old one finds a row that has another token.
 * Settling takes no memory and cannot fail; the driver's thread takes what was settled, in order.
 *
 * All rows are made at once: there are no more than messages that may be worked on. */
#include "jobs/kafka_flights.h"

#include "base/mem.h"
#include "include/perilune.h"

#define NONE UINT32_MAX

struct kafka_flight {
    uint64_t token;  /* 0: free */
    void    *part;   /* NULL: dropped while it was on its way to land */
    int64_t  offset;
    unsigned next;
    bool     is_settled, again;
};

int kafka_flights_init(struct kafka_flights *f, unsigned most, unsigned stamp) {
    *f = (struct kafka_flights){ .most = most, .settled = NONE, .newest = NONE, .stamp = (uint64_t)stamp << 20 };
    f->rows = mem_zalloc(most * sizeof(*f->rows));
    if (f->rows == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < most; i++) f->rows[i].next = i + 1 < most ? i + 1 : NONE;
    if (pthread_mutex_init(&f->lock, NULL) == 0) return 0;
    mem_free(f->rows);
    f->rows = NULL;
    return PERILUNE_ERR_NOMEM;
}

void kafka_flights_deinit(struct kafka_flights *f) {
    if (f->rows == NULL) return;
    pthread_mutex_destroy(&f->lock);
    mem_free(f->rows);
    f->rows = NULL;
}

uint64_t kafka_flights_add(struct kafka_flights *f, void *part, int64_t offset) {
    uint64_t token = 0;
    pthread_mutex_lock(&f->lock);
    unsigned i = f->free;
    if (i != NONE) {
        f->free = f->rows[i].next;
        f->count++;
        token = ++f->serial << 21 | f->stamp | i;
        f->rows[i] = (struct kafka_flight){ .token = token, .part = part, .offset = offset, .next = NONE };
    }
    pthread_mutex_unlock(&f->lock);
    return token;
}

static void release(struct kafka_flights *f, unsigned i) {
    f->rows[i].token = 0;
    f->rows[i].next = f->free;
    f->free = i;
    f->count--;
}

bool kafka_flights_settle(struct kafka_flights *f, uint64_t token, bool again) {
    unsigned i = token & (KAFKA_FLIGHTS_MOST - 1);
    if (token == 0 || i >= f->most) return false;
    pthread_mutex_lock(&f->lock);
    struct kafka_flight *row = &f->rows[i];
    bool is_first = row->token == token && !row->is_settled;
    if (is_first) {
        row->is_settled = true;
        row->again = again;
        if (f->settled == NONE) f->settled = i;
        else f->rows[f->newest].next = i;
        f->newest = i;
    }
    pthread_mutex_unlock(&f->lock);
    return is_first;
}

bool kafka_flights_land(struct kafka_flights *f, struct kafka_landing *out) {
    bool found = false;
    pthread_mutex_lock(&f->lock);
    while (f->settled != NONE && !found) {
        unsigned i = f->settled;
        struct kafka_flight *row = &f->rows[i];
        f->settled = row->next;
        *out = (struct kafka_landing){ .part = row->part, .offset = row->offset, .again = row->again };
        found = row->part != NULL;
        release(f, i);
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

void kafka_flights_drop(struct kafka_flights *f, const void *part) {
    pthread_mutex_lock(&f->lock);
    for (unsigned i = 0; i < f->most; i++) {
        struct kafka_flight *row = &f->rows[i];
        if (row->token == 0 || row->part != part) continue;
        if (row->is_settled) row->part = NULL; /* it is in the list of those that land */
        else release(f, i);
    }
    pthread_mutex_unlock(&f->lock);
}

unsigned kafka_flights_count(struct kafka_flights *f) {
    pthread_mutex_lock(&f->lock);
    unsigned n = f->count;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* kafka_flights.h -- messages that were handed over and are not settled. See kafka_flights.c. */
#ifndef PERILUNE_JOBS_KAFKA_FLIGHTS_H
#define PERILUNE_JOBS_KAFKA_FLIGHTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define KAFKA_FLIGHTS_MOST (1u << 20)

struct kafka_flight;

struct kafka_flights {
    pthread_mutex_t lock;
    struct kafka_flight *rows;
    unsigned most, count;           /* LOCK count */
    unsigned free, settled, newest; /* LOCK heads of lists of rows, and the end of the second */
    uint64_t serial, stamp;         /* of tokens; bits that all of them have */
};

/* One that was settled.  part is whose it was. */
struct kafka_landing {
    void   *part;
    int64_t offset;
    bool    again;
};

/* most: 1 to KAFKA_FLIGHTS_MOST at once.  stamp: 0 or 1, what kafka_flights_stamp() says of its tokens.  0 or
 * PERILUNE_ERR_NOMEM. */
int  kafka_flights_init(struct kafka_flights *f, unsigned most, unsigned stamp);
void kafka_flights_deinit(struct kafka_flights *f);
/* The driver's thread: a token; 0: as many as may be. */
uint64_t kafka_flights_add(struct kafka_flights *f, void *part, int64_t offset);
/* [any] False: an old token, or one that was settled before. */
bool kafka_flights_settle(struct kafka_flights *f, uint64_t token, bool again);
/* The driver's thread: the next that was settled, in the order of settling.  False: none. */
bool kafka_flights_land(struct kafka_flights *f, struct kafka_landing *out);
/* The driver's thread: all of this part are nobody's any more, settled or not. */
void kafka_flights_drop(struct kafka_flights *f, const void *part);
unsigned kafka_flights_count(struct kafka_flights *f); /* [any] */
static inline unsigned kafka_flights_stamp(uint64_t token) { return token >> 20 & 1; }

#endif

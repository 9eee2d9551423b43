/* vectors.h -- an index of vectors that machines share. See vectors.c. A thread's own. */
#ifndef PERILUNE_STORE_VECTORS_H
#define PERILUNE_STORE_VECTORS_H

#include "base/log.h"
#include "base/stats.h"
#include "store/far_value.h"
#include "store/refused.h"
#include "store/store.h"
#include "store/words.h"

#define VECTORS_MOST 8 /* that a search gives; ORDER: ELEMENTS in redis.c */

struct vector_hit {
    struct far_key key;    /* of the entry */
    float          cosine; /* -1 to 1 */
};

/* What a driver is asked. */
struct vectors_ask {
    const char    *prefix;  /* of all keys; of the collection */
    const char    *database; /* or NULL */
    struct far_key part, key; /* vectors of different parts are never compared; key: of the entry */
    struct slice   vector;  /* a signed byte for each number */
    unsigned       dims;    /* how many */
    uint64_t       ttl_ms;  /* of the entry */
    uint64_t       time_ms; /* since 1970 */
};

enum vectors_error {
    VECTORS_REFUSED, /* this question; another may be fine */
    VECTORS_CANNOT,  /* it has no such command, or not for us */
    VECTORS_NOT_MADE, /* vectors of this length have no place yet */
    VECTORS_FINE     /* it is as it should be */
};

/* A kind of index: what is asked in which words. */
struct vectors_driver {
    const char *name, *needs; /* needs: for people whose server cannot */
    /* The place for vectors of so many numbers, asked for once before the first.  NULL: there is none to make. */
    void (*make)(const struct vectors_ask *a, struct words *out);
    void (*add)(const struct vectors_ask *a, struct words *out);
    void (*search)(const struct vectors_ask *a, struct words *out); /* VECTORS_MOST at most */
    void (*remove)(const struct vectors_ask *a, struct words *out);
    /* Lets go of all that has expired, asked for now and then.  NULL: it does so by itself. */
    void (*clean)(const struct vectors_ask *a, struct words *out);
    /* What an answer to search() found, at most VECTORS_MOST; what makes no sense is left out. */
    unsigned (*read)(struct slice answer, struct vector_hit *out);
    /* What an error means. */
    enum vectors_error (*error)(struct slice text);
    /* The error in an answer that came as if all were well, or nothing.  NULL: none comes so. */
    struct slice (*fault)(struct slice answer);
};

extern const struct vectors_driver vectors_redis, vectors_search, vectors_milvus;

/* One thread writes. */
struct vectors_stats {
    atomic_uint      up;              /* 1: it would be asked, and is there */
    stats_counter    found, nothing, failed; /* searches, by what came of them */
    stats_counter    added, removed;  /* that the index confirmed */
    stats_counter    brought;         /* entries that came because a search named them */
    struct histogram latency;         /* of searches that were answered */
};

#define VECTORS_LENGTHS 8 /* of vectors, that are remembered as made */

/* What the log says of it, for all threads of a process.  Zeroed: nothing. */
struct vectors_said {
    atomic_int     cannot;
    struct refused refused;
};

/* Zeroed: there is none. */
struct vectors {
    const struct vectors_driver *driver; /* NULL: none */
    struct store    *searched;   /* who is asked, and waited for; */
    struct store    *told;       /* and who is told, behind the entries that vectors lead to */
    struct loop     *loop;
    struct log      *log;
    struct vectors_said *said;
    const char      *prefix, *database; /* borrowed; database NULL: it has no name */
    unsigned         adds;       /* since the last cleaning */
    uint64_t         within_ms;  /* that a search may take */
    bool             off;        /* the server cannot: until the next connection */
    unsigned         made[VECTORS_LENGTHS], made_count;
    struct words     words;      /* scratch */
    struct vectors_stats stats;
};

void vectors_init(struct vectors *v, struct loop *loop, struct log *log, struct vectors_said *said);
/* Who is asked from now on, and how; driver NULL: nobody.  That it is there is told by vectors_changed(). */
void vectors_use(struct vectors *v, const struct vectors_driver *driver, struct store *searched, struct store *told,
                 const char *prefix, uint64_t within_ms);
/* There is a new connection (what was learned of the server may be wrong by now), or none any more. */
void vectors_changed(struct vectors *v, bool up);
void vectors_deinit(struct vectors *v);

/* Would it be asked now? */
static inline bool vectors_is_ready(const struct vectors *v) { return v->driver != NULL && !v->off; }

/* A search; embedded in who waits, zeroed before the first use. */
struct vectors_question {
    struct store_op op;
    struct vectors *vectors;
    uint64_t        began_us;
    void          (*done)(struct vectors_question *q, const struct vector_hit *hits, unsigned count);
};

/* The nearest to the vector of ask, best first.  Returns 0, and done() comes later, once; or an error, and it never
 * comes.  Of ask, prefix and time are filled in here. */
int  vectors_find(struct vectors *v, struct vectors_question *q, struct vectors_ask *ask,
                  void (*done)(struct vectors_question *q, const struct vector_hit *hits, unsigned count));
void vectors_cancel(struct vectors_question *q);

/* Nobody waits for these.  Where it is not ready they do nothing. */
void vectors_add(struct vectors *v, struct vectors_ask *ask);
void vectors_remove(struct vectors *v, struct vectors_ask *ask);

#endif

/* far.h -- the second tier of the cache, which machines share. See far.c. */
#ifndef PERILUNE_STORE_FAR_H
#define PERILUNE_STORE_FAR_H

#include <pthread.h>

#include "store/far_value.h"
#include "store/redis.h"
#include "store/vectors.h"

/* Which index of vectors machines share besides. */
enum far_index { FAR_INDEX_NONE, FAR_INDEX_REDIS, FAR_INDEX_SEARCH, FAR_INDEX_MILVUS };

struct far_settings {
    const char *host;         /* NULL: `path` */
    unsigned    port;
    const char *path;         /* of a socket */
    bool        tls;
    const char *ca;           /* whom it trusts; NULL: the system's authorities */
    const char *user, *password; /* or NULL */
    unsigned    db;
    uint64_t    timeout_ms;   /* that a question may take */
    const char *prefix;       /* of all keys */
    const char *secret;       /* NULL: none */
    enum far_index index;     /* MILVUS: who configures this says where it is (vectors_use) */
};

/* What all threads of a process share. */
struct far_process {
    struct redis_said   said;       /* what the log says of the connections, */
    struct vectors_said index_said; /* and of the shared index */
    char                origin[33]; /* of notes that are our own */
    pthread_mutex_t     lock;
    struct list         orders;     /* of all threads: what is let go and may still be in Redis; LOCK */
    atomic_uint         order_count, orders_ended;
};

void far_process_init(struct far_process *p);
void far_process_deinit(struct far_process *p);

/* Something that is told when Redis is there again; embedded there. */
struct far_untold {
    struct list link;
    void      (*drop)(struct far_untold *u); /* nobody will be told any more: takes it off the list, and frees it */
};

/* Of one thread; survives reloads. Zeroed: there is no second tier. */
struct far {
    struct loop       *loop;
    struct log        *log;
    struct far_process *process;
    struct cache      *cache;
    struct redis      *redis, *listener, *searcher; /* NULL: none.  searcher: for searches in the shared index */
    struct redis_stats stats;
    struct buf         text;     /* what it was configured with, and */
    struct far_settings settings; /* the same, taken apart */
    char               channel[160], hello[160];
    struct far_codec   codec;
    struct list        orders;    /* struct far_order: what Redis has not confirmed */
    unsigned           order_count;
    bool               overflowed; /* more orders came than are kept, which is said once an outage */
    struct timer       retry;     /* when those that were refused are given again */
    uint64_t           retry_ms;
    bool               heard;     /* the listener works, */
    bool               caught_up; /* and what was told while it did not is known, too */
    uint64_t           deaf_ms;   /* since when it did not; 0: since ever */
    struct store_op    notes;     /* the question for that */
    /* Another process has let go what stands under this key: who knows how entries say theirs looks for it.
     * NULL: nobody does. */
    unsigned         (*forget)(struct cache *c, struct slice hex);
    struct list        untold;    /* struct far_untold: what limits tell again */
    unsigned           untold_count;
    struct vectors     vectors;   /* by which other processes find entries that answer near questions */
};

void far_init(struct far *f, struct loop *loop, struct log *log, struct far_process *process,
              struct cache *cache);
/* Takes effect at once; what is the same as before stays as it is.  NULL: none.  listens: this thread hears what
 * other processes invalidate, for all threads of this one.  False: no memory, and there is no second tier. */
bool far_configure(struct far *f, const struct far_settings *s, bool listens);
void far_deinit(struct far *f);

/* Would it be asked now?  f may be NULL. */
static inline bool far_is_ready(const struct far *f) {
    return f != NULL && f->redis != NULL && redis_is_ready(f->redis);
}
/* The key of a text that says all that an entry depends on. Where there is a second tier only. */
void far_key(struct far *f, struct slice text, struct far_key *out);

/* A question; embedded in who waits, zeroed before the first use. */
struct far_question {
    struct store_op op;
    struct far     *far;
    struct far_key  key;
    struct hash128  near;   /* the key in the cache of this process */
    struct cache_when asked; /* cache_ask() of `near` */
    bool            ordered; /* orders were under way when it was asked, */
    unsigned        ended;   /* and so many had ended */
    uint64_t        within_ms; /* that it may take; 0: as the settings say */
    bool            gone;   /* there is no such entry: in done() */
    /* A share of the entry, which is in the cache by now if it has room there, or NULL. */
    void          (*done)(struct far_question *q, struct cache_entry *e);
};

/* Returns 0, and done() comes later, once; or an error, and it never comes. */
int  far_get(struct far *f, struct far_question *q, const struct far_key *key, struct hash128 near,
             void (*done)(struct far_question *q, struct cache_entry *e));
void far_cancel(struct far_question *q);

/* Nobody waits for these. */

/* Where it is not ready this does nothing. */
void far_put(struct far *f, const struct far_key *key, const struct cache_item *item);
/* These are kept until Redis is there to be told.  text: what the key was made of.  f may be NULL. */
void far_delete(struct far *f, struct slice text);
/* Of a key whose text nobody knows any more: other processes look for it among their entries. */
void far_delete_key(struct far *f, const struct far_key *key);
void far_invalidate(struct far *f, struct slice tag);
/* Is it known that such an order waits, because Redis is away or refuses it? */
bool far_is_behind(const struct far *f);

#endif

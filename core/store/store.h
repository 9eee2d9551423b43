/* store.h -- values that live somewhere else: what is asked is answered later. See store.c. */
#ifndef PERILUNE_STORE_STORE_H
#define PERILUNE_STORE_STORE_H

#include "base/blob.h"
#include "sys/loop.h"

struct store;
struct store_op;

enum store_verb {
    STORE_GET, STORE_SET, STORE_DELETE, STORE_ADD,
    STORE_INVALIDATE, /* all that was set with the tag `key` */
    STORE_NOTES,      /* what everybody was told in the last ttl_ms: each note behind its length and a colon */
    STORE_WORDS       /* in the words of this kind of store: words.h */
};

/* Borrowed during store_begin(). */
struct store_ask {
    enum store_verb verb;
    struct slice    key;
    struct slice    value;     /* SET */
    const struct slice *tags;  /* SET: by which it can be invalidated */
    unsigned        tag_count; /* CACHE_MAX_TAGS at most */
    struct slice    note;      /* DELETE, INVALIDATE: what everybody is told who listens; "": nothing */
    int64_t         by;        /* ADD */
    const struct slice *words; /* WORDS */
    unsigned        word_count;
    uint64_t        ttl_ms;    /* SET, ADD; 0: for ever */
    uint64_t        within_ms; /* an answer that takes longer is PERILUNE_ERR_TIMEOUT; not 0 */
};

struct store_answer {
    int          rc;     /* 0, or why there is none */
    struct blob *value;  /* GET, NOTES, WORDS; NULL: no such key, or none.  WORDS with PERILUNE_ERR_UPSTREAM: what the
                          * store says is wrong */
    uint64_t     ttl_ms; /* GET: what is left; 0: for ever */
    int64_t      number; /* ADD: the sum */
};

/* What a kind of store implements.  Both run on the loop's thread. */
struct store_driver {
    /* Sends the question; store_answer() is due once, now or later. */
    void (*begin)(struct store *s, struct store_op *op, const struct store_ask *ask);
    /* Nobody waits for op any more, and its memory goes: no store_answer(). */
    void (*forget)(struct store *s, struct store_op *op);
};

struct store {
    const struct store_driver *driver;
    struct loop               *loop;
    struct list                ops;          /* that wait */
    unsigned                   count, limit; /* of these */
};

/* One question.  Embedded in whoever waits; zeroed before the first use, free again when done()
 * has begun or store_cancel() has returned. */
struct store_op {
    struct list         link;
    struct store       *store;    /* NULL: waits for nothing */
    struct timer        deadline;
    struct deferred     later;
    struct store_answer answer;
    bool                answered;
    void               *driver;   /* the driver's own */
    /* Takes a->value.  Never called from within store_begin(). */
    void              (*done)(struct store_op *op, struct store_answer *a);
};

void store_init(struct store *s, const struct store_driver *driver, struct loop *loop, unsigned limit);
/* All that waits ends with PERILUNE_ERR_CANCELED, from within this call. */
void store_deinit(struct store *s);

/* Returns 0, and done() comes exactly once unless it is canceled; or, and then it never comes,
 * PERILUNE_ERR_LIMITED (as many wait as may) or PERILUNE_ERR_NOMEM. */
int  store_begin(struct store *s, struct store_op *op, const struct store_ask *ask,
                 void (*done)(struct store_op *op, struct store_answer *a));
/* Silence from here on.  Nothing when op waits for nothing. */
void store_cancel(struct store_op *op);

/* For drivers: the answer; takes a->value. */
void store_answer(struct store_op *op, const struct store_answer *a);

#endif

/* jobs_redis_words.h -- questions about jobs in Redis' words, and its answers. See jobs_redis_words.c. */
#ifndef PERILUNE_JOBS_JOBS_REDIS_WORDS_H
#define PERILUNE_JOBS_JOBS_REDIS_WORDS_H

#include "jobs/job_table.h"
#include "store/words.h"

/* What is asked besides verbs, by who keeps the queue. */
enum jobs_redis_more { JOBS_REDIS_TIME = JOBS_GIVE + 1, JOBS_REDIS_COUNTS };

/* The script, as it is embedded. */
struct slice jobs_redis_script(void);

struct jobs_redis_way {
    struct slice sha;    /* of the script, when the server has it; "": the script goes along */
    struct slice prefix; /* of all keys */
    const struct jobs_settings *settings;
    const struct job_limits    *limits;
    struct rng  *rng;    /* for new ids */
    struct slice taker;  /* who takes; "": nobody who asks again after a lost answer */
    uint64_t     serial; /* of what he takes */
};

/* verb: an enum jobs_verb, or jobs_redis_more with ask->count.  words_get() says whether there was memory. */
void jobs_redis_ask(struct words *w, const struct jobs_redis_way *way, int verb, const struct jobs_ask *ask);

/* Texts are borrowed from `text`, lists are a's.  *more: the number that says more.  PERILUNE_ERR_IO: this is no
 * answer of the script. */
int  jobs_redis_read(struct slice text, int verb, struct arena *a, const struct jobs_settings *s,
                     const struct job_limits *l, struct jobs_answer *out, uint64_t *more);
/* The answer to COUNTS: false, it is none. */
bool jobs_redis_counts(struct slice text, struct jobs_totals *totals,
                       void (*each)(void *ud, const struct jobs_count *c), void *ud);

#endif

/* stores.h -- what all workers of a process remember together, and reloads leave alone. See stores.c. */
#ifndef PERILUNE_STORE_STORES_H
#define PERILUNE_STORE_STORES_H

#include "base/hash.h"
#include "sched/affinity.h"
#include "sched/afterwork.h"
#include "sched/credits.h"
#include "sched/gate.h"
#include "sched/limit.h"
#include "store/cache.h"
#include "store/captures.h"
#include "store/far.h"
#include "store/flight.h"
#include "store/known.h"
#include "store/memo.h"
#include "store/near.h"
#include "store/shared.h"
#include "store/tally.h"
#include "store/values.h"

struct host;
struct jobs_store;

struct stores {
    struct shared *shared; /* perilune.shared(): refuses when it is full */
    struct memo   *memo;   /* what policies remember to be cheaper next time: forgets when it is full */
    struct cache  *cache;  /* answers */
    struct near   *near;   /* questions that they answer, by what those mean */
    struct flights *flights; /* answers under way */
    struct credits *credits; /* budgets of policies, by name */
    struct gates  *gates;  /* who may work, and who waits */
    struct limits *limits;  /* what keys have used of their limits */
    struct known  *known;  /* which entries of the second tier are among them */
    struct tally  *tally;  /* what policies count for operators */
    struct captures *captures; /* files that policies write lines to */
    struct affinity *_Atomic prompts; /* which upstreams have seen them: stores_prompts(); NULL: nobody has asked */
    struct hash_long_key prompt_key;
    struct values *values; /* that the program sets, and policies read */
    struct host   *host;   /* functions of the program's; NULL: there is no program.  Of who opened it */
    struct jobs_store *_Atomic jobs; /* questions that nobody waits for; NULL: none are kept.  Of who opened it */
    struct jobs_store *_Atomic guests; /* those of other nodes, which a broker brought; NULL: there is no broker */
    struct afterwork afterwork; /* what is to be done behind replies */
    struct far_process far; /* of the second tier of the cache */
    struct stores *next;    /* that took its place: stores_renew() */
};

#define STORES_SHARED_BYTES (16u << 20)
#define STORES_MEMO_BYTES   (16u << 20) /* conversations and tools of some thousand clients */
#define STORES_CACHE_BYTES  (64u << 20) /* until a configuration says (cache.max_bytes) */
#define STORES_LIMIT_BYTES  (64u << 20) /* some 300,000 keys */
#define STORES_NEAR_BYTES   (32u << 20) /* until a configuration says (cache.max_vectors) */

/* NULL: no memory. */
struct stores *stores_new(void);
void           stores_free(struct stores *s); /* and all that took its place; NULL is fine */
/* Who has seen which prompts, of policies that choose upstreams by name; made when first asked for.  Any thread.
 * NULL: no memory. */
struct affinity *stores_prompts(struct stores *s);
/* Empty ones in the place of *s, for a spec that begins anew; what was, stays for who still uses it, until the
 * first one is freed.  False: no memory. */
bool           stores_renew(struct stores **s);

#endif

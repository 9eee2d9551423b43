/* services.h -- what a thread has for the requests of one generation.
 *
 * Filled by the owner's thread while a generation is built, used by the loop's.  Nothing
 * in it is owned but the counter of tokens, when owns_tokens says so, the questions, and a share of models. */
#ifndef PERILUNE_REQUEST_SERVICES_H
#define PERILUNE_REQUEST_SERVICES_H

#include "request/questions.h"
#include "store/stores.h"
#include "sys/loop.h"
#include "tokens/models.h"
#include "tokens/tokens.h"
#include "upstream/call.h"

struct ask_report;
struct ask_route;
struct calibration;
struct door;
struct job_settings;
struct jobs;
struct player;
struct embedder;
struct request;
struct trial_ask;

struct services {
    struct loop        *loop;
    struct client      *client;     /* who calls; NULL: nobody can */
    struct call_pool   *pools;      /* the upstreams */
    unsigned            pool_count;
    struct models      *models;     /* a share; NULL until the configuration says, or somebody asks */
    struct tokens      *tokens;     /* the counter; the worker's, unless owns_tokens */
    bool                owns_tokens;
    struct questions   *questions;  /* NULL until somebody asks */
    struct embedder    *embedder;   /* the built-in one; NULL until somebody asks */
    struct calibration *calibration; /* NULL in the checker */
    unsigned char       files[32];  /* digest of all files of the configuration: two that differ answer differently */
    struct stores      *stores;     /* of the process */
    struct far         *far;        /* the second tier of the cache, of this thread; NULL: there is none */
    struct mailbox     *mail;       /* of this thread; NULL: there is no other */
    struct door        *door;       /* the same for who may come when this thread is gone; NULL: nobody can */
    /* Asks the same once more for nobody, so that caches hear of the answer; NULL: nobody can.  False: not now.  Else
     * over (may be NULL) is called once, when it has ended in whatever way. */
    bool              (*ask_again)(struct services *v, struct request *r, void (*over)(void *ud), void *ud);
    void               *ask_again_ud;
    /* Asks one upstream in the background, for nobody, past all policies; NULL: nobody can.  request/trial.h */
    bool              (*try_out)(struct services *v, const struct trial_ask *ask);
    struct jobs        *jobs;       /* this thread's end of the queue; NULL: there is none */
    const struct job_settings *job_settings; /* NULL: the same */
    /* A request that a policy made (request/spent.h) begins, and is over: for who counts and logs.  NULL: nobody. */
    bool              (*route_at)(struct services *v, unsigned index, struct ask_route *out); /* of the configuration */
    void              (*ask_begins)(struct services *v);
    void              (*ask_ends)(struct services *v, const struct ask_report *r);
    /* Puts upstreams that are played in the place of `pools`, as the configuration (JSON) has them; its ptr is NULL:
     * they go.  0 or an error with a sentence.  NULL: nothing can be played here. */
    int               (*play)(struct services *v, struct slice config, uint64_t seed, const struct player *player,
                              char *err, size_t errlen);
    void               *play_ud;
    size_t              high_water; /* bytes of an answer that are held for a consumer that is not there yet */
};

void services_deinit(struct services *v);
/* What was made of the stores, which are others now. */
void services_forget(struct services *v);
/* The counter of tokens, made when there is none yet. NULL: no memory. */
struct tokens *services_tokens(struct services *v);
/* What bodies ask, remembered from here on. NULL: no memory. */
struct questions *services_questions(struct services *v);
/* The embedder that is built in, made when there is none yet. NULL: no memory. */
struct embedder *services_embedder(struct services *v);

#endif

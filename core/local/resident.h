/* resident.h -- a model and the thread that runs it. See resident.c. */
#ifndef PERILUNE_LOCAL_RESIDENT_H
#define PERILUNE_LOCAL_RESIDENT_H

#include "base/stats.h"
#include "include/perilune_engine.h"
#include "local/chat_style.h"
#include "local/turn.h"

struct resident;

struct resident_settings {
    const struct perilune_engine *engine;
    struct perilune_engine_options options; /* its sequences and batch are made of: */
    const char *template; /* a file with the chat template; NULL: the model's own */
    unsigned active;  /* answers at once; 1 ... 64 */
    unsigned batch;   /* most tokens of a step */
    unsigned waiting; /* most choices that wait */
    void   (*say)(void *ud, int level, const char *sentence); /* for the log; any thread.  NULL: nobody listens */
    void    *ud;
    uint64_t step_us; /* a step with somebody's prompt in it takes about so long at most; 0: as many tokens as fit */
};

/* Of one model; written by its thread, read by any. */
struct resident_stats {
    stats_counter turns, prompt, cached, said; /* turns; tokens of prompts, those of them that were there; of answers */
    stats_counter steps, stepped, step_us;     /* stepped: tokens */
    stats_counter preempted, refused, left;    /* choices put back for want of memory; turns refused, left */
    stats_counter failures, recoveries;        /* of the engine: how often it failed, and was there again */
    stats_counter active, waiting, cells;      /* now */
    stats_counter up;                          /* 0: it has failed, and is not there again */
    stats_counter unread;                      /* [any] answers that were asked for, and nobody has looked at */
    stats_counter step_began_us;               /* loop_hrtime_us() of the step under way; 0: there is none */
};

/* Loads the model, which takes as long as it takes, and starts its thread.  On failure `why` says why. */
int  resident_new(struct resident **out, const struct resident_settings *s, char *why, size_t why_size);
/* Ends the step under way, fails all turns, waits for the thread, unloads. */
void resident_free(struct resident *r);

const struct perilune_engine *resident_engine(const struct resident *r);
/* [any], for what the engine's header says may be asked on any thread. */
const struct perilune_engine_model *resident_model(const struct resident *r);
const struct perilune_engine_facts *resident_facts(const struct resident *r);
/* How it wants conversations written; NULL: it answers none. */
const struct chat_style *resident_style(const struct resident *r);
const struct resident_stats *resident_stats(const struct resident *r);

/* [any] Takes a share of t. */
void resident_ask(struct resident *r, struct turn *t);
/* [any] Looks who has left. */
void resident_ring(struct resident *r);

#endif

/* engines.h -- the models that a process has loaded. See engines.c. */
#ifndef PERILUNE_LOCAL_ENGINES_H
#define PERILUNE_LOCAL_ENGINES_H

#include "base/log.h"
#include "local/resident.h"

struct engines;

#define ENGINE_SPLIT 16 /* GPUs of a model at most */

/* What an upstream says of its model. */
struct engine_settings {
    const char *model, *library; /* library NULL: where it is usually found */
    const char *template;        /* a file with the chat template; NULL: the model's own */
    unsigned    threads, context, context_each, sequences, batch, waiting;
    int         gpu_layers, flash_attention; /* as in perilune_engine_options */
    const char *device, *kv_type;            /* NULL: none is said */
    float       split[ENGINE_SPLIT];
    unsigned    split_count;
    bool        process;          /* in a process of its own */
    const char *program;          /* that is started for it; NULL: Perilune's */
    unsigned    step_ms;          /* after so long it hangs */
};

/* process: the same engine in a process of its own, see process.h.  log: NULL: nobody reads.  NULL: no memory. */
struct engines *engines_new(const struct perilune_engine *engine, const struct perilune_engine *process,
                            struct log *log);
/* The log is going to be closed: nothing is said any more. */
void            engines_hush(struct engines *e);
void            engines_free(struct engines *e); /* nobody has a share; NULL is fine */

/* A share of the resident of this model with these settings, loaded if nobody has it: takes as long as that takes. The
 * owner's thread.  On failure `why` gets a sentence. */
int  engines_get(struct engines *e, const struct engine_settings *s, struct resident **out, char *why, size_t why_size);
/* [any] Gives a share back. */
void engines_put(struct engines *e, struct resident *r);
/* Between the two, models without a share stay: a configuration is read twice, or replaced by one with the same. The
 * owner's thread. */
void engines_hold(struct engines *e);
void engines_release(struct engines *e);
/* Calls each() with every model that is loaded, under a lock. [any] */
void engines_each(struct engines *e, void (*each)(void *ud, const char *model, const struct resident *r), void *ud);
uint64_t engines_loads(const struct engines *e); /* how often a model was loaded */

#endif

/* nearest.h -- an answer to another question that asks the same. See nearest.c. */
#ifndef PERILUNE_REQUEST_NEAREST_H
#define PERILUNE_REQUEST_NEAREST_H

#include "request/asked.h"
#include "semantic/embedding.h"
#include "semantic/pair.h"

/* A similarity below this is not looked at: no two questions that ask the same had it. */
#define NEAREST_FAR 0.35f

/* When two questions are near enough.  Borrowed as long as it is used. */
struct nearest_rule {
    const struct pair_model *model;
    float  threshold; /* of the similarity, 0 to 1; below 0: the model's score decides, so that */
    double max_false; /* at most this share of different questions gets an answer */
};

struct nearest_ask {
    struct stores         *stores;
    struct embedder       *embedder; /* the built-in one, or one of a table */
    struct nearest_rule    rule;
    struct slice           cache, tenant;
    struct asked           asked;    /* what is asked now, without its vector */
    bool                   own;      /* vectors are the embedder's */
    bool                   values;   /* a policy's own are looked for, not answers */
    bool                   only;     /* nothing is looked for: the vector is all that is wanted */
    uint64_t               max_age_ms, now;
};

struct nearest {
    struct cache_entry *e;           /* a share; NULL: there is none */
    float               similarity, score;
    struct near_miss    miss;        /* the nearest that was refused; why is "" when there was none near */
};

/* vector: what is asked, as an entry keeps it: appended when vectors are the embedder's own, else given.
 * PERILUNE_ERR_NOMEM, or 0. */
int nearest_find(const struct nearest_ask *ask, struct buf *vector, struct nearest *out);
/* The numbers as an entry keeps them, filled up to a multiple of 64; false: they have no direction, or are too many. */
bool nearest_quantize(const float *v, size_t n, struct buf *out);

/* -- What was told of answers ------------------------------------------------------------------------ */

/* It was given to another question at this score, and was right, or not. */
void nearest_feedback(struct stores *s, struct hash128 key, float score, bool ok, uint64_t now);

#endif

/* import_model.h -- the rows of a static embedding model. See import_model.c. */
#ifndef PERILUNE_SEMANTIC_IMPORT_MODEL_H
#define PERILUNE_SEMANTIC_IMPORT_MODEL_H

#include "semantic/import_tensors.h"

#define IMPORT_MODEL_MAX_DIMS 4096

struct import_model {
    struct tensors       tensors;
    const struct tensor *matrix, *weights, *mapping; /* the last two or NULL */
    uint64_t             tokens; /* pieces that have a row */
    unsigned             dims;
};

/* Finds the matrix and looks at every number.  The bytes are the caller's and must outlive m.  Returns 0,
 * PERILUNE_ERR_INVAL with *f telling what is wrong, or PERILUNE_ERR_NOMEM; import_model_close() always. */
int  import_model_open(struct import_model *m, struct slice bytes, struct failure *f);
void import_model_close(struct import_model *m);
/* Adds the row of a piece, which is below m->tokens, to out[dims]. */
void import_model_add(const struct import_model *m, uint32_t piece, float *out);

#endif

/* import_table.h -- from a static embedding model to a table of our tokens. See import_table.c. */
#ifndef PERILUNE_SEMANTIC_IMPORT_TABLE_H
#define PERILUNE_SEMANTIC_IMPORT_TABLE_H

#include "semantic/import_model.h"
#include "semantic/import_tokenizer.h"

struct import_report {
    unsigned rows, dims;
    unsigned tokens;  /* of ours that may stand in a normal text */
    unsigned unknown; /* pieces of them that the model has not */
};

/* Appends the file form (static_table.c) to out.  dims 0: as many as the model has, filled up to a multiple of
 * 16.  Returns 0, PERILUNE_ERR_INVAL with *f telling what is wrong, or PERILUNE_ERR_NOMEM. */
int import_table_write(const struct import_model *m, struct import_tokenizer *t, unsigned dims, struct buf *out,
                       struct import_report *report, struct failure *f);

#endif

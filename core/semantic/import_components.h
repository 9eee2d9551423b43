/* import_components.h -- vectors with fewer numbers, which say nearly the same. See import_components.c. */
#ifndef PERILUNE_SEMANTIC_IMPORT_COMPONENTS_H
#define PERILUNE_SEMANTIC_IMPORT_COMPONENTS_H

#include <stddef.h>

/* rows[count][dims] become rows[count][keep], in place; keep < dims.  The same input, the same output.  Returns 0 or
 * PERILUNE_ERR_NOMEM, and the rows are as they were. */
int import_components(float *rows, size_t count, unsigned dims, unsigned keep);

#endif

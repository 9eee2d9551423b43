/* import_tensors.h -- what a safetensors file holds. See import_tensors.c. */
#ifndef PERILUNE_SEMANTIC_IMPORT_TENSORS_H
#define PERILUNE_SEMANTIC_IMPORT_TENSORS_H

#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"

enum tensor_type { TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_F64, TENSOR_I8, TENSOR_I32, TENSOR_I64, TENSOR_OTHER };

struct tensor {
    struct slice     name; /* as it stands in the header, escapes not undone */
    char             type_name[16];
    enum tensor_type type;
    unsigned         axes;    /* 0 to 4; more are 4 */
    uint64_t         shape[4];
    uint64_t         count;   /* numbers in it */
    struct slice     data;    /* borrowed from the file */
};

struct tensors {
    struct json_doc header;
    struct tensor  *items;
    unsigned        count;
};

/* Reads the header and checks every place in it.  The bytes are the caller's and must outlive t.  Returns 0,
 * PERILUNE_ERR_INVAL with *f telling what is wrong, or PERILUNE_ERR_NOMEM; import_tensors_close() always. */
int  import_tensors_open(struct tensors *t, struct slice bytes, struct failure *f);
void import_tensors_close(struct tensors *t);
/* NULL: there is none of this name. */
const struct tensor *import_tensors_find(const struct tensors *t, struct slice name);
/* A number out of it, whatever its type, which is not TENSOR_OTHER. */
double import_tensors_number(const struct tensor *t, uint64_t i);

#endif

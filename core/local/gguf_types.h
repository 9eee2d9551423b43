/* gguf_types.h -- the types of tensors in a GGUF file, and their sizes. See gguf_types.c. */
#ifndef PERILUNE_LOCAL_GGUF_TYPES_H
#define PERILUNE_LOCAL_GGUF_TYPES_H

#include <stdint.h>

#define GGUF_TYPES 43 /* numbers of types are below; some of them are no type any more */

struct gguf_tensor_type {
    const char *name;  /* as people write it: "Q4_K" */
    unsigned    block; /* numbers of a block */
    unsigned    bytes; /* of a block */
};

/* NULL: no such type. */
const struct gguf_tensor_type *gguf_tensor_type(uint32_t number);

#endif

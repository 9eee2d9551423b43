/* gguf.h -- what a GGUF file says of itself, read without the library. See gguf.c. */
#ifndef PERILUNE_LOCAL_GGUF_H
#define PERILUNE_LOCAL_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define GGUF_PAIRS_MAX   16384         /* the library compares each with each */
#define GGUF_TENSORS_MAX 16384
#define GGUF_KEY_MAX     65535         /* bytes; the format's */
#define GGUF_NAME_MAX    63            /* bytes of a tensor's name; the library's */
#define GGUF_DIMS        4
#define GGUF_HEADER_MAX  (256u << 20)  /* bytes; vocabularies of today take 30 MB at most */
#define GGUF_WHY         400           /* bytes of a sentence */

enum gguf_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY,
    GGUF_U64, GGUF_I64, GGUF_F64
};

struct gguf_pair {
    struct slice   key;
    enum gguf_type type, of; /* of: the elements of an array; else the type once more */
    uint64_t       count;    /* elements of an array; else 1 */
    size_t         at;       /* where the value (of an array: its first element) begins */
};

struct gguf_tensor {
    struct slice name;
    size_t       at;              /* where it is described */
    uint32_t     dims, type;
    uint64_t     ne[GGUF_DIMS];   /* numbers along each dimension, the row first; 1 beyond `dims` */
    uint64_t     count;           /* numbers */
    uint64_t     offset, bytes;   /* from `data_at` */
};

struct gguf {
    struct slice        header;   /* `own`, or the caller's */
    char               *own;
    uint64_t            file_size, data_at, data_end;
    uint32_t            version, alignment;
    unsigned            pair_count, tensor_count;
    struct gguf_pair   *pairs;
    struct gguf_tensor *tensors;
    bool                more;     /* after a failure: with more of the file it might have been none */
};

/* Reads a header out of `bytes`, the beginning of a file of file_size bytes; they are borrowed as long as g is used.
 * Returns 0, PERILUNE_ERR_INVAL with a sentence in `why` that says at which byte, or PERILUNE_ERR_NOMEM.  On failure g
 * is empty. */
int gguf_read(struct gguf *g, struct slice bytes, uint64_t file_size, char *why, size_t why_size);

/* The same from a file, of which the header is kept in memory: whatever happens to the file, g stays what it was.
 * PERILUNE_ERR_IO: it cannot be read. */
int gguf_open(struct gguf *g, const char *path, char *why, size_t why_size);

void gguf_close(struct gguf *g); /* once gguf_read() or gguf_open() have returned, and as often as one likes */

/* NULL: there is none. */
const struct gguf_pair   *gguf_find(const struct gguf *g, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* The i-th element as what is asked for; false, and *out as it was: it is of another kind, negative, or not there. */
bool gguf_u64_at(const struct gguf *g, const struct gguf_pair *p, uint64_t i, uint64_t *out);
bool gguf_number_at(const struct gguf *g, const struct gguf_pair *p, uint64_t i, double *out);
/* A value that is no array, by its key. */
bool gguf_u64(const struct gguf *g, const char *key, uint64_t *out);
bool gguf_number(const struct gguf *g, const char *key, double *out);
/* Empty: there is none. */
struct slice gguf_string(const struct gguf *g, const char *key);

/* The texts of an array of texts, one after the other. */
struct gguf_strings {
    const struct gguf *file;
    uint64_t           left;
    size_t             at;
};
/* False: p is NULL or no array of texts; then there are none. */
bool gguf_strings(const struct gguf *g, const struct gguf_pair *p, struct gguf_strings *out);
bool gguf_next(struct gguf_strings *s, struct slice *out);

#endif

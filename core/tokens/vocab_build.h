/* vocab_build.h -- from tokens and merges to the file form of a vocabulary.  See
 * vocab_build.c. */
#ifndef PERILUNE_TOKENS_VOCAB_BUILD_H
#define PERILUNE_TOKENS_VOCAB_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "tokens/pretokenize.h"

struct vocab_merge {
    uint32_t left, right, id;
};

struct vocab_source_added {
    uint32_t     id, flags; /* ADDED_... of vocab_int.h */
    struct slice text;
};

/* All borrowed. */
struct vocab_source {
    const char         *name;
    enum pretokenize_kind     split;
    unsigned            flags;  /* VOCAB_NFC, VOCAB_WHOLE of vocab_int.h */
    const struct slice *tokens; /* by id; len 0: no token has this id */
    uint32_t            n_ids;
    const struct vocab_merge *merges; /* by rank; NULL: any two tokens whose bytes together are
                                         a token merge into it, by the order of its id */
    size_t              n_merges;
    const struct vocab_source_added *added;
    size_t              n_added;
};

/* Appends the file to out.  Returns 0, PERILUNE_ERR_INVAL with a sentence in message
 * (which token or merge, what is wrong with it) or PERILUNE_ERR_NOMEM. */
int vocab_build(const struct vocab_source *source, struct buf *out, char *message, size_t size);

#endif

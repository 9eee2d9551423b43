/* prefix.h -- the beginnings of a prompt, as hashes. See prefix.c. */
#ifndef PERILUNE_REQUEST_PREFIX_H
#define PERILUNE_REQUEST_PREFIX_H

#include "base/hash.h"
#include "request/request.h"

#define PREFIX_BLOCKS 64 /* of a prompt that are looked at */

struct prefix {
    uint64_t blocks[PREFIX_BLOCKS]; /* each with all before it */
    uint64_t ends[PREFIX_BLOCKS];   /* bytes of the prompt up to there */
    unsigned count;                 /* 0: it is no chat, or shorter than a block */
    uint64_t bytes;                 /* of the prompt */
};

/* b may be NULL. */
void prefix_read(struct prefix *p, const struct hash_long_key *key, const struct body *b);

#endif

/* chunks.h -- a long text in pieces that a model can read one by one. See chunks.c. */
#ifndef PERILUNE_TEXT_CHUNKS_H
#define PERILUNE_TEXT_CHUNKS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

struct text_chunk_options {
    size_t size;    /* of a chunk at most, its lead included; at least 16 */
    size_t overlap; /* of its lead at most; less than half of size */
    /* Size of a piece, in tokens for example; NULL: its bytes.  No piece may be larger than its bytes. */
    size_t (*measure)(void *ud, struct slice piece);
    /* NULL, or asked now and then: false gives up. */
    bool   (*go_on)(void *ud);
    void    *ud;
};

struct text_chunk {
    uint32_t lead;       /* offset: from here to start is what the chunk in front of it said, too */
    uint32_t start, end; /* offsets of what is its own */
    uint32_t heading, heading_end; /* under which it begins; equal: under none, or it begins with one */
};

/* Appends a struct text_chunk for each piece.  Lossless: the first starts at 0, each starts where the one before it
 * ends, the last ends with the text; an empty text has none.  No chunk is larger than size, but for a character that
 * is.  chunks holds nothing else.  Linear.  Returns 0; PERILUNE_ERR_INVAL: ill-formed UTF-8, or options out of range;
 * PERILUNE_ERR_LIMITED: longer than TEXT_MAX, or too many units; PERILUNE_ERR_CANCELED: go_on() said so;
 * PERILUNE_ERR_NOMEM.  On failure chunks is as long as it was. */
int text_chunks(struct slice text, const struct text_chunk_options *options, struct buf *chunks);

static inline const struct text_chunk *text_chunks_of(const struct buf *chunks, size_t *n) {
    struct slice s = buf_get(chunks);
    *n = s.len / sizeof(struct text_chunk);
    return (const struct text_chunk *)(const void *)s.ptr;
}

#endif

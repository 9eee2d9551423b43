/* rope.h -- a text that is another one with some places changed: pieces of that, and new text
 * between them. See rope.c. */
#ifndef PERILUNE_BASE_ROPE_H
#define PERILUNE_BASE_ROPE_H

#include "base/buf.h"

#define ROPE_PIECES 8

struct rope {
    struct slice of;   /* borrowed: the text that is changed */
    struct buf   text; /* all that is new */
    size_t       added, len;
    unsigned     count;
    struct rope_piece {
        bool   is_new; /* of `text`, else of `of` */
        size_t at, len;
    } pieces[ROPE_PIECES];
};

void rope_init(struct rope *r, struct slice of);
void rope_deinit(struct rope *r);
static inline bool rope_failed(const struct rope *r) { return buf_failed(&r->text); }

/* Appends these bytes of `of`, copied only when there are too many pieces. */
void rope_keep(struct rope *r, size_t from, size_t to);
/* Appends what was written to r->text since the last call. */
void rope_add(struct rope *r);
/* The i-th piece; borrowed until the next change. */
struct slice rope_piece(const struct rope *r, unsigned i);
void rope_write(const struct rope *r, struct buf *out);

#endif

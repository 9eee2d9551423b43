/* words.h -- a question in a store's own words, and its answer. See words.c. */
#ifndef PERILUNE_STORE_WORDS_H
#define PERILUNE_STORE_WORDS_H

#include "base/buf.h"

#define WORDS_MOST 24 /* of one question */

struct words {
    struct buf   text;
    size_t       ends[WORDS_MOST];
    unsigned     count;
    struct slice list[WORDS_MOST]; /* of words_get() */
};

void words_init(struct words *w);
void words_deinit(struct words *w);
void words_clear(struct words *w);
/* What was appended to `text` since the last end is one word; more than WORDS_MOST fail as `text` does. */
void words_end(struct words *w);
void words_add(struct words *w, struct slice word);
void words_number(struct words *w, uint64_t n);
/* A vector's numbers, each a signed byte, as 32-bit floats, the lowest byte first: one word. */
void words_floats(struct words *w, struct slice vector);
/* w->count of them, borrowed until the next change; NULL: building them failed. */
const struct slice *words_get(struct words *w);

/* An answer of several texts is one: each behind its length and a colon. */
void words_join(struct buf *out, struct slice word);
/* The next of them; false: there is none, or what is there is none. */
bool words_next(struct slice *rest, struct slice *word);

#endif

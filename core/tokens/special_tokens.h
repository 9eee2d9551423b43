/* special_tokens.h -- finds added tokens (<|im_start|>, <think>) in a text.  See special_tokens.c.
 * Private to core/llm. */
#ifndef PERILUNE_TOKENS_SPECIAL_TOKENS_H
#define PERILUNE_TOKENS_SPECIAL_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct vocab;
struct special_tokens;

/* Indexes the added tokens of v, borrowed.  0 with *out NULL when it has none. */
int  special_tokens_new(const struct vocab *v, struct special_tokens **out);
void special_tokens_free(struct special_tokens *a);

/* Which tokens count. */
struct special_tokens_filter {
    bool special;    /* special ones, too */
    bool normalized; /* those that are looked for in normalized text, else the others */
};

struct special_tokens_match {
    uint32_t             id;
    const unsigned char *start, *end; /* with the white space that the token takes along */
};

/* The first match in [p, end).  text: where the text begins, to see what stands before
 * p (the end of the match before): white space before p is never taken. */
bool special_tokens_find(const struct special_tokens *a, struct special_tokens_filter f, const unsigned char *text,
                         const unsigned char *p, const unsigned char *end, struct special_tokens_match *m);
/* May the two characters in `both` stand side by side in a token, or one of them matter to
 * a token beside it: white space that it takes along, a letter where it must stand alone? */
bool special_tokens_holds(const struct special_tokens *a, struct slice both);
/* Is there any token that takes white space beside it along? */
bool special_tokens_strips(const struct special_tokens *a);
/* Is there any token that the filter lets through? */
bool special_tokens_any(const struct special_tokens *a, struct special_tokens_filter f);

#endif

/* added.h -- finds added tokens (<|im_start|>, <think>) in a text.  See added.c.
 * Private to core/llm. */
#ifndef PERILUNE_LLM_ADDED_H
#define PERILUNE_LLM_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct vocab;
struct added;

/* Indexes the added tokens of v, borrowed.  0 with *out NULL when it has none. */
int  added_new(const struct vocab *v, struct added **out);
void added_free(struct added *a);

/* Which tokens count. */
struct added_filter {
    bool special;    /* special ones, too */
    bool normalized; /* those that are looked for in normalized text, else the others */
};

struct added_match {
    uint32_t             id;
    const unsigned char *start, *end; /* with the white space that the token takes along */
};

/* The first match in [p, end).  text: where the text begins, to see what stands before
 * p (the end of the match before): white space before p is never taken. */
bool added_find(const struct added *a, struct added_filter f, const unsigned char *text, const unsigned char *p,
                const unsigned char *end, struct added_match *m);
/* May the two characters in `both` stand side by side in a token, or one of them matter to
 * a token beside it: white space that it takes along, a letter where it must stand alone? */
bool added_holds(const struct added *a, struct slice both);
/* Is there any token that takes white space beside it along? */
bool added_strips(const struct added *a);
/* Is there any token that the filter lets through? */
bool added_any(const struct added *a, struct added_filter f);

#endif

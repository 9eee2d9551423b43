/* guard.h -- differences after which two questions do not have the same answer. See guard.c. Any thread. */
#ifndef PERILUNE_SEMANTIC_GUARD_H
#define PERILUNE_SEMANTIC_GUARD_H

#include "base/slice.h"

struct embedder;

enum guard {
    GUARD_SAME,       /* nothing that it knows of differs */
    GUARD_NUMBER,     /* numbers, ordinals, versions */
    GUARD_UNIT,       /* units, currencies */
    GUARD_DATE,       /* dates, days, times */
    GUARD_NEGATION,   /* one of them is negated */
    GUARD_DIRECTION,  /* opposites (enable, disable; rise, fall), and from-to in another order */
    GUARD_NAME,       /* named entities, identifiers */
    GUARD_CODE,       /* tokens of code, paths, URLs, e-mail addresses */
    GUARD_LANGUAGE,   /* of the question, or of the answer that is asked for */
    GUARD_FORMAT,     /* of the answer that is asked for: a table, JSON, a length */
    GUARD_QUESTION,   /* who, when, where, why, how many */
    GUARD_WORD,       /* one word, by one that does not mean the same; all else is the same */
};

/* What differs first.  Texts as they were written, of SEMANTIC_MAX_TEXT bytes at most.  e says how near two words are;
 * NULL: GUARD_WORD is not found.  Symmetric. */
enum guard  guard_compare(struct slice a, struct slice b, struct embedder *e);
const char *guard_name(enum guard g); /* "number" */

#endif

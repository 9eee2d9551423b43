/* phrases.h -- words of questions that mean the same, and those that mean little. See phrases.c. */
#ifndef PERILUNE_SEMANTIC_PHRASES_H
#define PERILUNE_SEMANTIC_PHRASES_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum phrase_kind { PHRASE_FILLER, PHRASE_QUESTION, PHRASE_NEGATION, PHRASE_OTHER };

struct phrase {
    const char      *text, *means; /* means: the one word for all that say it; "" of a filler */
    enum phrase_kind kind;
};

#define PHRASE_LONGEST 6 /* characters of a Chinese one */

/* The whole English word s, in lower case, or NULL. */
const struct phrase *phrase_of_word(struct slice s);
/* The longest Chinese one that begins at p, or NULL. */
const struct phrase *phrase_at(const char *p, const char *end);

/* For tests: all of them, ascending by the bytes of their texts. */
extern const struct phrase phrases[];
extern const size_t        phrase_count;

#endif

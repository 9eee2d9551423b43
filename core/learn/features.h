/* features.h -- what a linear model sees of a prompt. See features.c. */
#ifndef PERILUNE_LEARN_FEATURES_H
#define PERILUNE_LEARN_FEATURES_H

#include <stdint.h>

#include "base/slice.h"

#define FEATURES_TEXT  4096 /* bytes that are looked at: of a longer text the first three quarters, and its end */
#define FEATURES_WORDS (3 * FEATURES_TEXT)
#define FEATURES_SHAPE 24   /* ORDER: enum shape in features.c */

/* 48 KiB: one of a thread, filled again and again. */
struct features {
    uint32_t hashes[FEATURES_WORDS]; /* an n-gram each, as often as it comes; a model takes their upper bits */
    unsigned count;
    float    shape[FEATURES_SHAPE];  /* numbers that say little of the subject, and much of the size */
};

/* Fills f.  Any bytes; turns: messages of users in the conversation, 1 for a question alone. */
void features_read(struct features *f, struct slice text, unsigned turns);

#endif

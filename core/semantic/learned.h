/* learned.h -- a threshold out of what users told. See learned.c. Any thread. */
#ifndef PERILUNE_SEMANTIC_LEARNED_H
#define PERILUNE_SEMANTIC_LEARNED_H

#include <stdbool.h>
#include <stddef.h>

#define LEARNED_MAX 64 /* notes that count: the newest */

/* An answer was given to another question at this score, and was right, or not. */
struct learned_note {
    float score;
    bool  ok;
};

/* The least score from which at most max_false of the answers are wrong, as far as the notes tell; `otherwise` while
 * they tell too little.  Above 1: nothing is sure enough. */
float learned_threshold(const struct learned_note *notes, size_t count, double max_false, float otherwise);

#endif

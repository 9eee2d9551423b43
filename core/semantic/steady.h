/* steady.h -- the score of the pair model that ships, steadied by what else is known.  See steady.c. */
#ifndef PERILUNE_SEMANTIC_STEADY_H
#define PERILUNE_SEMANTIC_STEADY_H

#include <stddef.h>

/* How near the others are to a question: the mean of the three nearest of these similarities but for number `which`. */
float steady_crowd(const float *similarities, unsigned count, unsigned which);

/* The score (0 to 1) of two questions of so many bytes, of this similarity, asked of a cache where it is as crowded
 * as that.  0 and 1 stay as they are: the model did not compare them. */
float steady_score(float score, float similarity, float crowd, size_t bytes, size_t other_bytes);

#endif

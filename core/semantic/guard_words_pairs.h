/* guard_words_pairs.h -- made by guard_words.lua, which has the words. Included by guard_int.h. */
#ifndef PERILUNE_SEMANTIC_GUARD_WORDS_PAIRS_H
#define PERILUNE_SEMANTIC_GUARD_WORDS_PAIRS_H

#define GUARD_WORDS_PAIRS 1021 /* of opposites: ids are below */

#endif

/* semantic.h -- bounds that the files of this folder share.
 *
 * Two questions are compared in three steps, each dearer and surer than the one before:
 *
 *     embedding    a vector of a text; near vectors are candidates        embedding.c
 *     pair         features of two texts, and a model that judges them    pair.c, trees.c
 *     guard        what must not differ: numbers, negation, names ...     guard.c
 *
 * All of them take texts in one form (normal.c), of SEMANTIC_MAX_TEXT bytes at most, and
 * cost time that is bounded by that. */
#ifndef PERILUNE_SEMANTIC_SEMANTIC_H
#define PERILUNE_SEMANTIC_SEMANTIC_H

#define SEMANTIC_MAX_TEXT 4096 /* bytes of a question; longer ones are not compared */

#endif

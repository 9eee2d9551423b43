/* rank.h -- which pieces of a text matter: BM25, TextRank, MMR. See rank.c. */
#ifndef PERILUNE_TEXT_RANK_H
#define PERILUNE_TEXT_RANK_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

#define TEXT_NONE UINT32_MAX

/* The terms of a list of pieces.  A term is a word (lower case, a plural like its
 * singular), a number with its separators, or a pair of neighbours in a script that is
 * written without spaces; a character alone there is one, too.
 *
 * Time and memory are linear in the text whatever it holds: terms that were made to
 * collide count as one term. */
struct text_index {
    struct buf slots;    /* open addressing: struct slot */
    struct buf terms;    /* struct term */
    struct buf postings; /* struct posting, by piece */
    struct buf pieces;   /* struct piece */
    size_t     tokens;   /* all terms of all pieces */
};

struct text_bm25 {
    float k1, b; /* TEXT_BM25: 0.9, 0.4 */
};
#define TEXT_BM25 ((struct text_bm25){ 0.9f, 0.4f })

void text_index_init(struct text_index *ix);
void text_index_deinit(struct text_index *ix);
/* Something like this will be added, in pieces: memory for it, which is not needed but faster. */
void text_index_expect(struct text_index *ix, struct slice text);
/* The next piece; well-formed UTF-8.  Not kept.  Failures are sticky: see text_index_check. */
void text_index_add(struct text_index *ix, struct slice piece);
/* 0, or PERILUNE_ERR_NOMEM: an add failed and the index is of no use. */
int  text_index_check(const struct text_index *ix);
size_t text_index_len(const struct text_index *ix); /* pieces */

/* scores[i] = how well piece i answers the question, 0: not a term in common.  Frequent
 * words of questions (what, the, 什么, 请问) do not count, unless there are no others.
 * Returns 0 or PERILUNE_ERR_NOMEM; scores are then undefined. */
int text_index_bm25(const struct text_index *ix, struct slice question, struct text_bm25 how, float *scores);

/* scores[i] = how much piece i has in common with all others (TextRank over cosines, 0
 * to 1).  Returns like the above. */
int text_index_central(const struct text_index *ix, float *scores);

/* 1 at both ends, 1 - depth in the middle. */
float text_position(size_t i, size_t n, float depth);

/* -- Maximal marginal relevance ------------------------------------------------------ */

struct text_mmr_term {
    float    weight; /* squared; below 0: it has no list */
    uint32_t first;  /* where its list begins, which ends where the next one begins */
};

/* Picks one piece after the other: lambda * score - (1 - lambda) * the likeness to the
 * most similar piece picked before. */
struct text_mmr {
    const struct text_index *ix; /* borrowed */
    const float             *scores;
    float                    lambda;
    uint64_t                *heap;     /* of pieces by their value, which may be too high */
    uint32_t                 heap_len;
    float                   *likeness; /* by piece: to what was picked */
    float                   *now;      /* by piece: to the one being picked, without scale; 0 between */
    float                   *scale;    /* by piece: 1 / the length of its vector */
    struct text_mmr_term    *terms;
    uint32_t                *lists;    /* pieces by term */
    uint32_t                *links, *from; /* terms by piece, those that have lists; by piece, its first */
    uint32_t                *touched;
    uint8_t                 *gone;     /* by piece: picked, or never to be */
    void                    *memory;
};

/* Borrows ix and scores (one for each piece, 0 to 1) until text_mmr_deinit().
 * Returns 0 or PERILUNE_ERR_NOMEM (nothing to deinit). */
int  text_mmr_init(struct text_mmr *m, const struct text_index *ix, const float *scores, float lambda);
void text_mmr_deinit(struct text_mmr *m);
/* Piece i is picked, or (text_mmr_drop) will not be. */
void text_mmr_take(struct text_mmr *m, uint32_t i);
void text_mmr_drop(struct text_mmr *m, uint32_t i);
/* The best that is left, not yet taken; TEXT_NONE: nothing is. */
uint32_t text_mmr_best(struct text_mmr *m);

#endif

/* import_pieces.h -- what a model of a tokenizer.json cuts a word into. See import_pieces.c. */
#ifndef PERILUNE_SEMANTIC_IMPORT_PIECES_H
#define PERILUNE_SEMANTIC_IMPORT_PIECES_H

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

enum import_kind { IMPORT_WORDPIECE, IMPORT_BPE, IMPORT_UNIGRAM };

#define IMPORT_MAX_WORD 4096 /* bytes */
#define IMPORT_NONE     UINT32_MAX

struct import_piece {
    struct slice text;
    uint32_t     id;
    float        score; /* Unigram */
};

struct import_merge {
    uint32_t left, right; /* ids; left IMPORT_NONE: an empty place of the table */
    uint32_t made, rank;
};

struct import_pieces {
    enum import_kind     kind;
    struct arena         arena;
    struct import_piece *items;
    unsigned             count;
    uint32_t            *places; /* a hash table of texts: index + 1 */
    unsigned             place_bits;
    struct import_merge *merges; /* a hash table of pairs */
    unsigned             merge_bits;
    struct slice         prefix; /* WordPiece: of pieces inside of a word */
    unsigned             max_chars;
    bool                 byte_fallback, whole; /* whole: a word that is a piece is not cut */
    float                unknown_score;
    uint32_t             unknown;   /* id of the piece that stands for what is unknown, or IMPORT_NONE */
    uint32_t             bytes[256]; /* byte_fallback: <0x00> ... */
    unsigned             longest;   /* piece, in bytes */
    uint64_t             ids;       /* one more than the largest id */
};

/* Reads the member "model" of the document.  Returns 0, PERILUNE_ERR_INVAL with *f telling what is wrong, or
 * PERILUNE_ERR_NOMEM; import_pieces_close() always. */
int  import_pieces_open(struct import_pieces *p, const struct json_doc *doc, uint32_t model, struct failure *f);
void import_pieces_close(struct import_pieces *p);

/* Appends the ids (uint32_t) of a word's pieces to out and counts what no piece stands for.  inside: the word
 * begins inside of another one, as WordPiece tells it.  Returns 0 or PERILUNE_ERR_NOMEM. */
int import_pieces_cut(const struct import_pieces *p, struct slice word, bool inside, struct buf *out,
                      unsigned *unknown);

/* -- For import_pieces.c and import_cut.c ------------------------------------------------------ */

uint32_t import_pieces_find(const struct import_pieces *p, struct slice text); /* an index, or IMPORT_NONE */
const struct import_merge *import_pieces_merge(const struct import_pieces *p, uint32_t left, uint32_t right);

#endif

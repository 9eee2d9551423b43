/* import_tokenizer.h -- how a static embedding model would cut a piece of a text. See import_tokenizer.c. */
#ifndef PERILUNE_SEMANTIC_IMPORT_TOKENIZER_H
#define PERILUNE_SEMANTIC_IMPORT_TOKENIZER_H

#include "semantic/import_pieces.h"

#define IMPORT_MAX_STEPS 256

enum import_step_kind {
    IMPORT_REPLACE,     /* from, by to */
    IMPORT_ACCENTS,     /* off */
    IMPORT_IDEOGRAPHS,  /* each a word */
    IMPORT_PUNCTUATION, /* each a word */
    IMPORT_RUNS,        /* of what is no letter and no number, each a word */
    IMPORT_DIGITS,      /* each a word */
};

struct import_step {
    enum import_step_kind kind;
    struct slice          from, to;
};

/* What becomes of a space. */
enum import_spaces { IMPORT_MARKED, IMPORT_DROPPED, IMPORT_ALPHABET };

struct import_tokenizer {
    struct import_pieces pieces;
    struct arena         arena;
    struct import_step   steps[IMPORT_MAX_STEPS];
    unsigned             step_count;
    enum import_spaces   spaces;
    struct slice         mark;     /* IMPORT_MARKED: what stands for it */
    bool                 isolates; /* puts spaces round something: a word may begin where no space was */
    bool                 decomposes, splits;
    uint64_t             ids;      /* one more than the largest id, added tokens included */
    struct buf           a, b;     /* scratch */
};

/* Reads a tokenizer.json.  Returns 0, PERILUNE_ERR_INVAL with *f telling what is wrong, or PERILUNE_ERR_NOMEM;
 * import_tokenizer_close() always. */
int  import_tokenizer_open(struct import_tokenizer *t, struct slice json, struct failure *f);
void import_tokenizer_close(struct import_tokenizer *t);

/* out, which is emptied: the ids of the pieces (uint32_t) of a text that stands somewhere in a longer one, whose
 * words begin where a space is in it.  Counts what no piece stands for.  Returns 0, PERILUNE_ERR_LIMITED (the
 * steps made it too long) or PERILUNE_ERR_NOMEM. */
int import_tokenizer_cut(struct import_tokenizer *t, struct slice text, struct buf *out, unsigned *unknown);

#endif

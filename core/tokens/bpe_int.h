/* bpe_int.h -- what bpe.c shares with bpe_prefix.c and bpe_stream.c.  Private to core/llm. */
#ifndef PERILUNE_TOKENS_BPE_INT_H
#define PERILUNE_TOKENS_BPE_INT_H

#include <stdbool.h>

#include "tokens/bpe.h"
#include "tokens/bpe_merge.h"
#include "tokens/vocab_int.h"

struct bpe_cache;

struct bpe {
    struct vocab        *v;
    pretokenize_fn            *next;
    struct bpe_cache    *cache; /* NULL until the first text */
    struct merge_scratch merge;
    uint32_t            *ids;   /* scratch: a long word's tokens */
    size_t               ids_cap;
    struct buf           text;  /* a stretch in form C */
    size_t               error_offset;
    bool                 cuts;  /* pieces may be cut where nothing joins */
};

/* Where tokens go. */
struct sink {
    size_t      count, limit;
    struct buf *ids; /* NULL: they are only counted */
    char       *at, *stop; /* room in ids that is not yet part of its length; bpe_text()'s */
};
#define SINK_FULL 1 /* more than limit: what follows was not looked at */

/* 0, SINK_FULL or PERILUNE_ERR_...; after INVAL b->error_offset is set. */
int bpe_text(struct bpe *b, struct slice text, unsigned flags, struct sink *s);
/* Do tokens stand for other bytes than those of the text, here and there? */
bool bpe_is_rewritten(const struct bpe *b, struct slice text);
/* The same for well-formed or ill-formed text without added tokens, normalized. */
int bpe_plain(struct bpe *b, const unsigned char *p, const unsigned char *end, struct sink *s);

#endif

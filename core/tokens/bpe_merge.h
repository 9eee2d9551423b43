/* bpe_merge.h -- the merging of one piece.  See bpe_merge.c.  Private to core/llm. */
#ifndef PERILUNE_TOKENS_BPE_MERGE_H
#define PERILUNE_TOKENS_BPE_MERGE_H

#include <stddef.h>
#include <stdint.h>

struct vocab;

/* Memory that long pieces need, kept for the next one up to a limit. */
struct merge_scratch {
    char  *data;
    size_t size;
};

void merge_deinit(struct merge_scratch *s);

/* The tokens that merging makes of the n > 0 bytes at p; ids has room for n.  Returns
 * how many, or 0: no memory.  Linear in n, but for vocabularies made to be slow
 * (n log n). */
size_t merge_piece(const struct vocab *v, struct merge_scratch *s, const unsigned char *p, size_t n, uint32_t *ids);

#endif

/* sim_prefix.h -- what a provider has in its cache of prompts' beginnings. See sim_prefix.c. */
#ifndef PERILUNE_SIM_SIM_PREFIX_H
#define PERILUNE_SIM_SIM_PREFIX_H

#include "base/buf.h"
#include "base/slice.h"

#define SIM_PREFIX_BLOCK 128  /* tokens: as OpenAI counts them */
#define SIM_PREFIX_LEAST 1024 /* tokens: shorter beginnings are not kept */
#define SIM_PREFIX_SLOTS 65536

struct sim_prefixes {
    uint64_t *slots; /* hashes of beginnings, each where it belongs; 0: none.  NULL until the first is kept */
};

void sim_prefixes_deinit(struct sim_prefixes *p);
/* Appends to out (uint64_t) the hashes of the beginnings of a prompt, block by block: the text is JSON, of which four
 * bytes count as a token. */
void sim_prefix_hashes(struct slice model, struct slice text, struct buf *out);
/* Tokens of the longest beginning that is kept. */
uint64_t sim_prefix_cached(const struct sim_prefixes *p, const struct buf *hashes);
/* Keeps all of them; without memory, none. */
void sim_prefix_keep(struct sim_prefixes *p, const struct buf *hashes);

#endif

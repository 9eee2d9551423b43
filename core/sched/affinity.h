/* affinity.h -- who has seen which beginnings of prompts. See affinity.c. */
#ifndef PERILUNE_SCHED_AFFINITY_H
#define PERILUNE_SCHED_AFFINITY_H

#include <stdint.h>

struct affinity;

/* NULL: no memory.  A megabyte and a half, whatever comes. */
struct affinity *affinity_new(void);
void             affinity_free(struct affinity *a);

/* Any thread.  blocks: hashes, each of a block and all before it; who: numbers of members, 1 to 65535.
 * matched[i]: how many blocks from the first on member who[i] has seen lately. */
void affinity_match(const struct affinity *a, const uint64_t *blocks, unsigned block_count, const uint16_t *who,
                    unsigned who_count, uint64_t now_ms, unsigned *matched);
void affinity_note(struct affinity *a, const uint64_t *blocks, unsigned block_count, uint16_t who, uint64_t now_ms);

#endif

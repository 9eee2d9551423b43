/* batch_ids.h -- which custom_ids there were. See batch_ids.c. */
#ifndef PERILUNE_JOBS_BATCH_IDS_H
#define PERILUNE_JOBS_BATCH_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"

struct batch_id {
    uint64_t low, high; /* of the text; both 0: a free place */
    uint32_t line;      /* of the input, from 1; 0: it was not there yet */
    bool     done;      /* its answer is kept already */
};

struct batch_ids {
    struct hash_key  keys[2];
    struct batch_id *rows;
    size_t           count, cap; /* cap: a power of two, or 0 */
};

void batch_ids_init(struct batch_ids *ids);
void batch_ids_deinit(struct batch_ids *ids);
/* The row of the text, made when there is none.  NULL: no memory.  Borrowed until the next batch_ids_add(). */
struct batch_id *batch_ids_add(struct batch_ids *ids, struct slice text);
struct batch_id *batch_ids_find(const struct batch_ids *ids, struct slice text);

#endif

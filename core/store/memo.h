/* memo.h -- what is good to remember and no harm to forget. See memo.c. Any thread. */
#ifndef PERILUNE_STORE_MEMO_H
#define PERILUNE_STORE_MEMO_H

#include <stdint.h>

#include "base/buf.h"

struct memo;

#define MEMO_MAX_KEY   512           /* bytes */
#define MEMO_MAX_VALUE (128u * 1024) /* bytes */

/* At most limit_bytes of entries, keys and overhead included. NULL: no memory. */
struct memo *memo_new(size_t limit_bytes);
void         memo_free(struct memo *m);

/* Appends the value to out.  Returns 0, PERILUNE_ERR_INVAL when nothing (or
 * nothing that is still valid) is known under the key, or PERILUNE_ERR_NOMEM.
 * Times in milliseconds of any one clock. */
int memo_get(struct memo *m, struct slice key, uint64_t now, struct buf *out);
/* Remembers a copy until now + ttl, unless room is needed for what is newer: what
 * was asked for longest ago goes first.  An owner (a tenant; may be empty) gets half
 * of the room at most, then its own oldest go.  PERILUNE_ERR_LIMITED when key or value are
 * too long or larger than a shard; PERILUNE_ERR_NOMEM; then nothing changed. */
int memo_set(struct memo *m, struct slice owner, struct slice key, struct slice value, uint64_t now, uint64_t ttl);
void memo_forget(struct memo *m, struct slice key);

#endif

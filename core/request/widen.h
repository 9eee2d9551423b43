/* widen.h -- near questions that other processes answered. See widen.c. The loop's thread. */
#ifndef PERILUNE_REQUEST_WIDEN_H
#define PERILUNE_REQUEST_WIDEN_H

#include "request/asked.h"

struct widening;

/* Would a search ask anybody?  f may be NULL. */
bool widen_is_ready(const struct far *f);
/* Brings entries that may answer `asked` and are not here yet into the cache and the index of this process, within the
 * time of a look-up in the second tier; nearest_find() then judges them.  done() comes later, once, unless it is freed
 * before.  NULL: nobody can be asked, or there is no memory. */
struct widening *widen_begin(struct far *f, struct stores *s, const struct asked *asked,
                             void (*done)(void *ud, unsigned brought), void *ud);
void             widen_free(struct widening *w);

/* The entry `near` of this process, which stands in the second tier under `far` for ttl_ms, answers `asked`: from now
 * on other processes find it, too.  Nobody waits. */
void widen_tell(struct far *f, struct stores *s, const struct far_key *far, struct hash128 near,
                const struct asked *asked, uint64_t ttl_ms);
/* It came from there by its own key. */
void widen_know(struct stores *s, const struct far_key *far, struct hash128 near);

#endif

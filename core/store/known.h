/* known.h -- which entries of the second tier this process has. See known.c. Any thread. */
#ifndef PERILUNE_STORE_KNOWN_H
#define PERILUNE_STORE_KNOWN_H

#include "store/far_value.h"

struct known;

struct known *known_new(void); /* NULL: no memory */
void          known_free(struct known *k); /* NULL is fine */

/* What stands there under `far` is in the cache here under `near`, or was. */
void known_set(struct known *k, const struct far_key *far, struct hash128 near);
/* False: it is not known, or was forgotten. */
bool known_get(struct known *k, const struct far_key *far, struct hash128 *near);

#endif

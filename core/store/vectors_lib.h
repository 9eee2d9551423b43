/* vectors_lib.h -- what answers of all indexes have in common. See vectors_lib.c. */
#ifndef PERILUNE_STORE_VECTORS_LIB_H
#define PERILUNE_STORE_VECTORS_LIB_H

#include "store/vectors.h"

/* Is text the key of an entry? */
bool vectors_key(struct slice text, struct far_key *out);
/* Is it a number from `least` to `most`?  A little beyond is rounding, and is taken for the end. */
bool vectors_number(struct slice text, double least, double most, double *out);
/* Does a Redis say that it has no such command, or not for this user? */
bool vectors_lacks_command(struct slice error);
/* Does text have the words in it, in this case? */
bool vectors_says(struct slice text, const char *words);

#endif

/* values.h -- configuration values that the program sets while policies run. See values.c. */
#ifndef PERILUNE_STORE_VALUES_H
#define PERILUNE_STORE_VALUES_H

#include <stdint.h>

#include "base/blob.h"

struct values;

struct values *values_new(void); /* NULL: no memory */
void values_free(struct values *v);

/* [any] name has this text from now on; json.ptr NULL: none.  Returns 0, PERILUNE_ERR_NOMEM or, for more than 1024
 * names or 16 MiB, PERILUNE_ERR_LIMITED, and then nothing has changed.  The text is not looked at. */
int values_set(struct values *v, struct slice name, struct slice json);
/* [any] A share of its text; NULL: there is none. */
struct blob *values_get(struct values *v, struct slice name);
/* [any] Another number after each change; never 0. */
uint64_t values_version(const struct values *v);

#endif

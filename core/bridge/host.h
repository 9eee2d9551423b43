/* host.h -- functions of the program that policies call. See host.c, host_call.c. */
#ifndef PERILUNE_BRIDGE_HOST_H
#define PERILUNE_BRIDGE_HOST_H

#include <lua.h>

#include "base/slice.h"
#include "include/perilune.h"

#define HOST_NAME 64 /* bytes of a name, with its NUL */

struct host; /* of a gateway: stores->host */

struct host_function {
    const struct host_function *next;
    perilune_function fn;
    void             *ud;
    char              name[HOST_NAME];
};

/* NULL: no memory. */
struct host *host_new(void);
void host_free(struct host *h); /* when no state is left; NULL is fine */

/* Letters, digits and _, no digit first. */
bool host_is_name(const char *name);
/* One thread at a time; others may look meanwhile.  PERILUNE_ERR_INVAL (the name is taken), _LIMITED or _NOMEM. */
int host_add(struct host *h, const char *name, perilune_function fn, void *ud);
/* [any] NULL: there is none.  It lives as long as h. */
const struct host_function *host_find(const struct host *h, struct slice name);
const struct host_function *host_first(const struct host *h);

#endif

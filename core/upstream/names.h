/* names.h -- names that clients gave are resolved in threads of their own. See names.c. */
#ifndef PERILUNE_UPSTREAM_NAMES_H
#define PERILUNE_UPSTREAM_NAMES_H

#include <netdb.h>

#include "sys/loop.h"

#define NAMES_MOST 128 /* being asked for at once, by the process, those included that nobody waits for any more */

struct name_lookup;

/* Asks for the addresses of host.  done() comes once, on the loop, never from inside; rc as of getaddrinfo(), all is
 * borrowed.  NULL: no memory, no thread, or NAMES_MOST are being asked for. */
struct name_lookup *name_lookup_new(struct loop *l, const char *host,
                                    void (*done)(void *ud, int rc, const struct addrinfo *all), void *ud);
void name_lookup_cancel(struct name_lookup *n); /* done will not be called */

/* Who asks; for tests. */
extern int (*name_resolver)(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);

#endif

/* dial.h -- from a name to a connected socket, and to TLS on it. See dial.c. */
#ifndef PERILUNE_UPSTREAM_DIAL_H
#define PERILUNE_UPSTREAM_DIAL_H

#include "base/err.h"
#include "upstream/origin.h"

struct dial;

struct dial_result {
    int               fd;   /* connected, non-blocking; the receiver's.  -1: failed */
    struct tls       *tls;  /* the receiver's, after its handshake; NULL: plain, or failed */
    enum failure_kind kind; /* FAILURE_DNS, _CONNECT, _TLS, _TIMEOUT, _NO_MEMORY */
    const char       *why;  /* borrowed */
};

/* Connects to o, TLS included, within wait_ms (0: the kernel's patience).  Calls done once, never from
 * inside dial_new(), after which the dial is gone.  NULL: no memory. */
struct dial *dial_new(struct origin *o, uint64_t wait_ms,
                      void (*done)(void *ud, const struct dial_result *r), void *ud);
void dial_cancel(struct dial *d); /* done will not be called */

#endif

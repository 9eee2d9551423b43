/* http1.h -- a kept-alive connection to an origin, and calls over it. See http1.c;
 * http1_ops in call_int.h. */
#ifndef PERILUNE_UPSTREAM_HTTP1_H
#define PERILUNE_UPSTREAM_HTTP1_H

#include <stdint.h>

#include "base/list.h"

struct http1;

/* For the origin's list of idle ones. */
struct http1 *http1_of_link(struct list *link);
struct list  *http1_link(struct http1 *h);
uint64_t      http1_idle_until(const struct http1 *h); /* loop clock */
void          http1_close(struct http1 *h); /* leaves the list, too */

#endif

/* reach.h -- which addresses may be called when the URL is somebody else's word. See reach.c. */
#ifndef PERILUNE_BASE_REACH_H
#define PERILUNE_BASE_REACH_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/slice.h"

#define REACH_NETS 16
#define REACH_WHY  "its address is not public, and no net was allowed that has it"

/* IPv4 is kept as IPv6 has it (::ffff:a.b.c.d). */
struct reach_net {
    unsigned char address[16];
    unsigned char bits; /* of the address that count, 0 to 128 */
};

/* Zeroed: public addresses only. */
struct reach {
    struct reach_net nets[REACH_NETS]; /* that may be called, too */
    unsigned         count;
};

/* "10.0.0.0/8", "192.168.1.7", "fd00::/8".  False: that is no net, or there are REACH_NETS. */
bool reach_add(struct reach *r, struct slice net);
/* An address as IPv6 has it, the same for all ways to write it.  False: it is of another kind. */
bool reach_read(const struct sockaddr *a, unsigned char out[16]);
/* NULL: there is no rule, everything may be called. */
bool reach_allows(const struct reach *r, const struct sockaddr *a);
/* The host of a URL, an IPv6 address without its brackets: may it be called, as far as it can be told without a
 * resolver?  A name may; what it stands for is looked at when it is called. */
bool reach_allows_host(const struct reach *r, struct slice host);
bool reach_is_same(const struct reach *a, const struct reach *b); /* either may be NULL */

#endif

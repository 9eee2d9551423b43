/* origin.h -- one host and port that this thread talks HTTP/1.1 to, plain or TLS. See origin.c. */
#ifndef PERILUNE_UPSTREAM_ORIGIN_H
#define PERILUNE_UPSTREAM_ORIGIN_H

#include <netdb.h>
#include <netinet/in.h>

#include "http/tls.h"
#include "upstream/client.h"
#include "base/reach.h"

#define ORIGIN_ADDRESSES 8

union address {
    struct sockaddr     any;
    struct sockaddr_in  v4;
    struct sockaddr_in6 v6;
};

struct origin {
    struct list    link;
    struct client *client;
    struct tls_context *tls;   /* a share: who is trusted; NULL: plain HTTP */
    struct tls_ticket ticket;  /* of the last session */
    struct reach  *reach;      /* which addresses it may have; NULL: all */
    unsigned       refs;       /* pools and dials */
    struct list    idle;       /* struct http1, the most recently used first */
    unsigned       idle_count;
    struct timer   reap;
    union address  addresses[ORIGIN_ADDRESSES];
    unsigned       address_count;
    uint64_t       known_until_ms; /* loop clock; the addresses are asked for again then */
    char          *authority;  /* "host:port" or "host", as it goes into Host */
    char          *host;       /* without brackets, for the resolver */
    uint16_t       port;
};

bool           origin_is_tls(const char *url); /* https:// */
/* A share of the origin of a base URL, made when there is none, and what the URL has
 * behind it ("/v1"; points into url).  tls: who is trusted, when origin_is_tls(); reach: which addresses may be
 * called, copied; NULL: all.  Origins that trust or may call differently share nothing.  NULL when http1 does not speak
 * to this URL (user info, odd bytes) or there is no memory: curl's business then. */
struct origin *origin_take(struct client *c, const char *url, struct tls_context *tls, const struct reach *reach,
                           struct slice *path);
void           origin_put(struct origin *o);

/* Are its addresses known, and not for too long? */
bool           origin_is_known(const struct origin *o);
/* What its host was resolved to. */
void           origin_keep(struct origin *o, const struct addrinfo *all);
/* Forgets the addresses: none of them answered. */
void           origin_forget(struct origin *o);

/* An idle connection, or NULL; and back: false when there are too many. */
struct http1  *origin_pop(struct origin *o);
bool           origin_push(struct origin *o, struct http1 *h, uint64_t idle_ms);
/* h, which is idle, goes away. */
void           origin_drop(struct origin *o, struct http1 *h);

void           origin_close_all(struct client *c);

#endif

/* client.h -- what one thread needs to call upstreams. See client.c. */
#ifndef PERILUNE_UPSTREAM_CLIENT_H
#define PERILUNE_UPSTREAM_CLIENT_H

#include "base/buf.h"
#include "upstream/multi.h"

struct http_head;
struct log;
struct player;
struct target;
struct tls_context;

struct client {
    struct loop      *loop;
    struct log       *log;     /* set by the owner; NULL: nobody listens */
    struct multi      multi;   /* HTTP/2, proxies */
    struct list       origins; /* struct origin: HTTP/1.1 */
    struct tls_context *system, *anybody; /* whom TLS trusts without `ca`; NULL: not needed yet */
    struct http_head *head;    /* the response head being parsed: 3 KiB, once */
    struct list       released; /* struct call: those that end by themselves (call_drop_released) */
    struct list       scouts;  /* struct scout: questions whether somebody is back (request/scout.c) */
    struct list       unsent;  /* struct http1 whose requests go out when the turn ends: */
    struct deferred   send;
    struct buf        out;     /* the request head being written */
    const struct player *player; /* who plays the upstreams of a simulation (played.h); NULL: they are called */
    bool              env_proxy; /* http_proxy or the like is set: curl knows its rules */
};

/* 0 or PERILUNE_ERR_NOMEM, and then there is nothing to close. */
int  client_init(struct client *c, struct loop *loop);
/* All calls must have ended and all pools be gone.  Closes idle connections; the loop
 * must run once more before client_deinit(). */
void client_close(struct client *c);
void client_deinit(struct client *c);

/* Whom TLS to t trusts; borrowed.  NULL: no memory. */
struct tls_context *client_tls(struct client *c, const struct target *t);

#endif

/* multi.h -- libcurl's transfers on our loop. See multi.c. */
#ifndef PERILUNE_UPSTREAM_MULTI_H
#define PERILUNE_UPSTREAM_MULTI_H

#include <curl/curl.h>

#include "sys/loop.h"

struct socket_watch;

struct multi {
    struct loop          *loop;
    CURLM                *curl;    /* NULL: there was no transfer yet */
    struct timer          timeout;
    struct socket_watch **sockets; /* by descriptor */
    unsigned              socket_cap;
    struct deferred            reap;    /* look for finished transfers */
    struct deferred            kick;    /* curl's time is up already */
    bool                  kicking;
    /* Called once per finished transfer, outside all curl callbacks. */
    void                (*done)(CURL *easy, CURLcode result);
};

/* Once per process, before the first multi; any number of calls. */
void multi_global_init(void);
void multi_init(struct multi *m, struct loop *loop, void (*done)(CURL *, CURLcode));
/* All transfers must have been removed. Closes idle connections; the loop must
 * run once more before the memory may go. */
void multi_close(struct multi *m);
void multi_deinit(struct multi *m);

int  multi_add(struct multi *m, CURL *easy);
void multi_remove(struct multi *m, CURL *easy); /* not from inside a curl callback */
/* The connection of a paused transfer is not read, until it goes on.  libcurl 8.5 still wants to,
 * and keeps what it reads, up to 64 MB.  HTTP/2 is left alone: others may be on the connection. */
void multi_hold(struct multi *m, CURL *easy, bool held);
/* Do streams of HTTP/2 to the same upstream share a connection? */
bool multi_shares_connections(void);
/* Options every easy handle of this multi needs (how sockets are opened and closed). */
void multi_prepare(struct multi *m, CURL *easy);
/* What opens them: also for an OPENSOCKETFUNCTION that looks at more. */
curl_socket_t multi_open_socket(struct multi *m, const struct curl_sockaddr *a);

#endif

/* tls.h -- OpenSSL between a socket's bytes and a connection's bytes; no I/O of
 * its own. See tls.c. */
#ifndef PERILUNE_HTTP_TLS_H
#define PERILUNE_HTTP_TLS_H

#include "base/buf.h"
#include "http/server.h"

struct tls;

/* A server side session. NULL when there is no memory. */
struct tls *tls_new(struct tls_context *context);
void        tls_free(struct tls *t);

/* Bytes from the network in; plain bytes come out with tls_read().  Returns 0 or
 * PERILUNE_ERR_NOMEM. */
int  tls_feed(struct tls *t, struct slice cipher);
/* Up to size plain bytes: > 0 bytes, 0 nothing yet, PERILUNE_ERR_IO broken,
 * PERILUNE_ERR_CANCELED the peer closed cleanly. */
long tls_read(struct tls *t, char *out, size_t size);
/* Encrypts; 0 or an error. */
int  tls_write(struct tls *t, struct slice plain);
/* Queues close_notify. */
void tls_shutdown(struct tls *t);
/* Moves what the network must get to out. */
void tls_pull(struct tls *t, struct buf *out);

#endif

/* tls.h -- OpenSSL between a socket's bytes and a connection's bytes, for both sides; no
 * I/O of its own. See tls.c. */
#ifndef PERILUNE_HTTP_TLS_H
#define PERILUNE_HTTP_TLS_H

#include "base/buf.h"

/* -- Contexts: counted, shared by all threads ------------------------------------- */

struct tls_context;

/* For a server: a certificate chain and its key, PEM files.  On failure err gets a sentence. */
int  tls_context_open(struct tls_context **out, const char *cert, const char *key, char *err, size_t errlen);
/* For a client: who is trusted.  ca: a PEM file of authorities, NULL: the system's store;
 * insecure: everybody, and ca is not read. */
int  tls_context_open_client(struct tls_context **out, const char *ca, bool insecure, char *err, size_t errlen);
struct tls_context *tls_context_ref(struct tls_context *t);
void tls_context_put(struct tls_context *t);
/* Do both trust the same authorities?  A connection made with one may then serve the other. */
bool tls_context_is_same(const struct tls_context *a, const struct tls_context *b);

/* -- Sessions of one loop ----------------------------------------------------------- */

struct tls;

/* What a server gave for the next handshake to be short.  A zeroed one is empty. */
struct tls_ticket {
    void *session;
};
void tls_ticket_deinit(struct tls_ticket *k);

/* A server's side.  NULL when there is no memory. */
struct tls *tls_new(struct tls_context *context);
/* A client's side.  host is a name or an address, as the certificate must have it; *ticket is
 * used, and replaced by what the server gives: it must live as long as the session. */
struct tls *tls_new_client(struct tls_context *context, const char *host, struct tls_ticket *ticket);
void        tls_free(struct tls *t);

/* Bytes from the network.  Borrowed until tls_handshake() or tls_read() returns 0 or an error. */
void tls_feed(struct tls *t, struct slice cipher);
/* A client's first steps: > 0 done, 0 the server must say more, PERILUNE_ERR_IO failed. */
int  tls_handshake(struct tls *t);
/* Up to size plain bytes: > 0 bytes, 0 nothing yet, PERILUNE_ERR_IO broken,
 * PERILUNE_ERR_CANCELED the peer closed cleanly. */
long tls_read(struct tls *t, char *out, size_t size);
/* Encrypts; 0 or an error. */
int  tls_write(struct tls *t, struct slice plain);
/* Queues close_notify. */
void tls_shutdown(struct tls *t);
/* What the network must get; consume what was sent. */
struct buf *tls_out(struct tls *t);
/* Moves all of it to out. */
void tls_pull(struct tls *t, struct buf *out);
/* After PERILUNE_ERR_IO: what went wrong and, where a setting helps, which. */
void tls_explain(const struct tls *t, char *why, size_t size);

/* The plain bytes of n bytes from the network may be this much longer than n, because a record
 * was incomplete until then. */
#define TLS_AHEAD (17 * 1024)

#ifdef PERILUNE_TEST
struct ssl_st *tls_ssl(struct tls *t);
#endif

#endif

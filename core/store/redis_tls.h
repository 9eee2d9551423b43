/* redis_tls.h -- TLS to Redis, where hiredis has it. See redis_tls.c. */
#ifndef PERILUNE_STORE_REDIS_TLS_H
#define PERILUNE_STORE_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct redisContext;
struct redis_tls;

/* Was this program built with it? */
bool redis_tls_is_there(void);
/* Who is trusted: the authorities of a PEM file, NULL: the system's.  On failure *out is NULL and err says why. */
int  redis_tls_new(struct redis_tls **out, const char *ca, char *err, size_t errlen);
void redis_tls_free(struct redis_tls *t); /* NULL is fine; connections may still be open */
/* The handshake on a connection that was just made; host: the name or address that its certificate must have. */
bool redis_tls_begin(struct redis_tls *t, struct redisContext *c, const char *host);
/* Why the certificate of the last one that began was refused, or NULL. */
const char *redis_tls_refusal(const struct redis_tls *t);

#endif

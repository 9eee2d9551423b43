/* redis_tls.c -- TLS to Redis, where hiredis has it.
 *
 *     redis.c: connected --> redis_tls_begin --> hiredis reads and writes through OpenSSL from here on
 *
 * hiredis 1.0 and newer come with libhiredis_ssl (Debian 13, Ubuntu 24.04); the Makefile looks for it and says
 * PERILUNE_REDIS_TLS.  Without it everything here says so, and a configuration that asks for TLS is refused.
 *
 * hiredis' own context checks no host name, so the SSL object is made here: TLS 1.2 at least, the chain and the
 * name or address are verified, always.  The object is hiredis' from then on; what stays is a share of it for each
 * connection, to ask why a certificate was refused. */
#include "store/redis_tls.h"

#include <stdio.h>

#include "include/perilune.h"

#ifdef PERILUNE_REDIS_TLS

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h> /* needs the one above */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"

struct redis_tls {
    SSL_CTX *context;
    SSL     *last; /* a share of the last connection's */
};

bool redis_tls_is_there(void) { return true; }

static void explain(char *err, size_t errlen, const char *what) {
    char text[160] = "out of memory";
    unsigned long code = ERR_peek_last_error();
    if (code != 0) ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    snprintf(err, errlen, "%s: %s", what, text);
}

int redis_tls_new(struct redis_tls **out, const char *ca, char *err, size_t errlen) {
    *out = NULL;
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        explain(err, errlen, "TLS");
        return PERILUNE_ERR_NOMEM;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER); /* hiredis appends to what it could not write */
    int ok = ca ? SSL_CTX_load_verify_locations(context, ca, NULL) : SSL_CTX_set_default_verify_paths(context);
    struct redis_tls *t = ok == 1 ? mem_zalloc(sizeof(*t)) : NULL;
    if (t == NULL) {
        explain(err, errlen, ca ? ca : "the system's authorities");
        SSL_CTX_free(context);
        return ok == 1 ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_INVAL;
    }
    t->context = context;
    *out = t;
    return 0;
}

void redis_tls_free(struct redis_tls *t) {
    if (t == NULL) return;
    SSL_free(t->last);
    SSL_CTX_free(t->context);
    mem_free(t);
}

static bool is_address(const char *host) {
    unsigned char room[16];
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

/* What the certificate must say. */
static bool expect(SSL *ssl, const char *host) {
    if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

bool redis_tls_begin(struct redis_tls *t, struct redisContext *c, const char *host) {
    SSL *ssl = SSL_new(t->context);
    SSL_free(t->last);
    t->last = NULL;
    if (ssl == NULL || !expect(ssl, host) || SSL_up_ref(ssl) != 1) {
        SSL_free(ssl);
        return false;
    }
    t->last = ssl;
    if (redisInitiateSSL(c, ssl) == REDIS_OK) return true;
    SSL_free(ssl); /* hiredis has not taken it */
    return false;
}

const char *redis_tls_refusal(const struct redis_tls *t) {
    long code = t->last ? SSL_get_verify_result(t->last) : X509_V_OK;
    return code == X509_V_OK ? NULL : X509_verify_cert_error_string(code);
}

#else

bool redis_tls_is_there(void) { return false; }

int redis_tls_new(struct redis_tls **out, const char *ca, char *err, size_t errlen) {
    (void)ca;
    *out = NULL;
    snprintf(err, errlen, "this build cannot speak TLS to Redis");
    return PERILUNE_ERR_STATE;
}

void redis_tls_free(struct redis_tls *t) { (void)t; }

bool redis_tls_begin(struct redis_tls *t, struct redisContext *c, const char *host) {
    (void)t;
    (void)c;
    (void)host;
    return false;
}

const char *redis_tls_refusal(const struct redis_tls *t) {
    (void)t;
    return NULL;
}

#endif

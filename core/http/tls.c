/* tls.c -- OpenSSL over two memory BIOs.
 *
 *     socket -> tls_feed -> [in BIO]  SSL  [out BIO] -> tls_pull -> socket
 *                               |            ^
 *                           tls_read     tls_write
 *
 * The connection stays the only one that touches the socket; this file turns
 * bytes into bytes.  TLS 1.2 and 1.3, ALPN http/1.1, sessions by ticket.
 * Contexts are counted and shared by all threads (OpenSSL locks inside);
 * sessions belong to one loop. */
#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

struct tls_context {
    SSL_CTX    *ctx;
    atomic_uint refs;
};

struct tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

/* -- Context ------------------------------------------------------------------- */

static void explain(char *err, size_t errlen, const char *what, const char *path) {
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(err, errlen, "%s '%s': %s", what, path, reason ? reason : "cannot be used");
    ERR_clear_error();
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                       const unsigned char *in, unsigned inlen, void *ud) {
    (void)ssl;
    (void)ud;
    static const unsigned char ours[] = "\x08http/1.1";
    if (SSL_select_next_proto((unsigned char **)out, outlen, ours, sizeof(ours) - 1, in, inlen) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

int tls_context_open(struct tls_context **out, const char *cert, const char *key, char *err,
                     size_t errlen) {
    *out = NULL;
    snprintf(err, errlen, "out of memory");
    struct tls_context *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    atomic_init(&t->refs, 1);
    t->ctx = SSL_CTX_new(TLS_server_method());
    if (t->ctx == NULL) goto fail;
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(t->ctx, choose_alpn, NULL);
    if (SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1) {
        explain(err, errlen, "TLS certificate", cert);
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(t->ctx) != 1) {
        explain(err, errlen, "TLS key", key);
        goto fail;
    }
    *out = t;
    return 0;
fail:
    tls_context_put(t);
    return PERILUNE_ERR_CONFIG;
}

struct tls_context *tls_context_ref(struct tls_context *t) {
    if (t) atomic_fetch_add(&t->refs, 1);
    return t;
}

void tls_context_put(struct tls_context *t) {
    if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1) return;
    SSL_CTX_free(t->ctx);
    mem_free(t);
}

/* -- Session -------------------------------------------------------------------- */

struct tls *tls_new(struct tls_context *context) {
    struct tls *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    t->ssl = SSL_new(context->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->ssl == NULL || t->in == NULL || t->out == NULL) {
        BIO_free(t->in);
        BIO_free(t->out);
        SSL_free(t->ssl);
        mem_free(t);
        return NULL;
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_accept_state(t->ssl);
    return t;
}

void tls_free(struct tls *t) {
    if (t == NULL) return;
    SSL_free(t->ssl);
    mem_free(t);
}

int tls_feed(struct tls *t, struct slice cipher) {
    return BIO_write(t->in, cipher.ptr, (int)cipher.len) == (int)cipher.len ? 0 : PERILUNE_ERR_NOMEM;
}

long tls_read(struct tls *t, char *out, size_t size) {
    ERR_clear_error();
    int n = SSL_read(t->ssl, out, (int)size);
    if (n > 0) return n;
    switch (SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return 0;
    case SSL_ERROR_ZERO_RETURN: return PERILUNE_ERR_CANCELED;
    default: return PERILUNE_ERR_IO;
    }
}

int tls_write(struct tls *t, struct slice plain) {
    ERR_clear_error();
    while (plain.len > 0) {
        int n = SSL_write(t->ssl, plain.ptr, (int)(plain.len > 1 << 30 ? 1 << 30 : plain.len));
        if (n <= 0) return PERILUNE_ERR_IO; /* a memory BIO takes everything: only real errors */
        plain.ptr += n;
        plain.len -= (size_t)n;
    }
    return 0;
}

void tls_shutdown(struct tls *t) {
    if (SSL_is_init_finished(t->ssl)) SSL_shutdown(t->ssl);
    ERR_clear_error();
}

void tls_pull(struct tls *t, struct buf *out) {
    size_t pending = BIO_ctrl_pending(t->out);
    if (pending == 0) return;
    char *p = buf_reserve(out, pending);
    if (p == NULL) return;
    int n = BIO_read(t->out, p, (int)pending);
    if (n > 0) buf_advance(out, (size_t)n);
}

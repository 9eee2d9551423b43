/* tls.c -- OpenSSL as a machine that turns bytes into bytes, for both sides of a connection.
 *
 *     socket -> tls_feed -> [in]  SSL  [out] -> tls_out, tls_pull -> socket
 *                             |    ^
 *                        tls_read  tls_write
 *
 * The connection stays the only one that touches the socket.  Between it and OpenSSL is a BIO
 * of our own: `in` points to the bytes where they were read, and `out` is what OpenSSL wrote,
 * so that neither way has a copy more than it must, and a session without traffic has no
 * buffers at all.  OpenSSL keeps what is there of an incomplete record.
 *
 * TLS 1.2 and 1.3, ALPN http/1.1.  A server gives tickets, and a client resumes with the
 * latest one it was given, also when several connections use it.  A client sends the server's
 * name (SNI, unless it is an address), and verifies the chain and the name; what `ca` names is
 * trusted also when it is no root.
 *
 * Contexts are counted and shared by all threads (OpenSSL locks inside); sessions and tickets
 * belong to one loop. */
#include "http/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"

enum trust { TRUST_NOBODY, TRUST_SYSTEM, TRUST_FILE, TRUST_EVERYBODY }; /* NOBODY: a server's context */

struct tls_context {
    SSL_CTX      *ctx;
    BIO_METHOD   *method;
    atomic_uint   refs;
    enum trust    trust;
    unsigned char authorities[EVP_MAX_MD_SIZE]; /* TRUST_FILE: a digest of them */
};

struct tls {
    SSL                *ssl;
    struct tls_context *context; /* a share: the BIO's methods are its */
    struct tls_ticket  *ticket;  /* a client's; NULL: a server */
    struct slice        in;      /* not yet taken by OpenSSL */
    bool                between; /* OpenSSL holds no part of a record */
    struct buf          out;
    unsigned long       error;   /* OpenSSL's code of what broke it */
    X509               *refused; /* a share: the certificate that was not accepted */
};

/* -- The BIO ---------------------------------------------------------------------- */

static int bio_read(BIO *b, char *to, int size) {
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    size_t n = t->in.len < (size_t)size ? t->in.len : (size_t)size;
    if (n == 0) {
        t->between = size == SSL3_RT_HEADER_LENGTH; /* it asks for a head, and has nothing of it */
        BIO_set_retry_read(b);
        return -1;
    }
    memcpy(to, t->in.ptr, n);
    t->between = false;
    t->in = slice_of(t->in.ptr + n, t->in.len - n);
    return (int)n;
}

static int bio_write(BIO *b, const char *from, int len) {
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    buf_put(&t->out, from, (size_t)len);
    return buf_failed(&t->out) ? -1 : len;
}

static long bio_ctrl(BIO *b, int what, long n, void *ptr) {
    (void)b;
    (void)n;
    (void)ptr;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *b) {
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *bio_method(void) {
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_MEM, "perilune");
    if (m == NULL) return NULL;
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    BIO_meth_set_create(m, bio_create);
    return m;
}

/* -- Contexts ------------------------------------------------------------------------ */

static void explain_file(char *err, size_t errlen, const char *what, const char *path) {
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(err, errlen, "%s '%s': %s", what, path, reason ? reason : "cannot be used");
    ERR_clear_error();
}

/* What both sides have in common.  NULL: no memory. */
static struct tls_context *context_new(const SSL_METHOD *side, enum trust trust) {
    struct tls_context *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    atomic_init(&t->refs, 1);
    t->trust = trust;
    t->ctx = SSL_CTX_new(side);
    t->method = bio_method();
    if (t->ctx == NULL || t->method == NULL) {
        tls_context_put(t);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
    return t;
}

struct tls_context *tls_context_ref(struct tls_context *t) {
    if (t) atomic_fetch_add(&t->refs, 1);
    return t;
}

void tls_context_put(struct tls_context *t) {
    if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1) return;
    SSL_CTX_free(t->ctx);
    BIO_meth_free(t->method);
    mem_free(t);
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

int tls_context_open(struct tls_context **out, const char *cert, const char *key, char *err, size_t errlen) {
    *out = NULL;
    snprintf(err, errlen, "out of memory");
    struct tls_context *t = context_new(TLS_server_method(), TRUST_NOBODY);
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    SSL_CTX_set_alpn_select_cb(t->ctx, choose_alpn, NULL);
    if (SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1) {
        explain_file(err, errlen, "TLS certificate", cert);
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(t->ctx) != 1) {
        explain_file(err, errlen, "TLS key", key);
        goto fail;
    }
    *out = t;
    return 0;
fail:
    tls_context_put(t);
    return PERILUNE_ERR_CONFIG;
}

/* A client's session has a ticket to resume with, now or (TLS 1.3) some time after the handshake. */
static int on_ticket(SSL *ssl, SSL_SESSION *session) {
    struct tls *t = SSL_get_app_data(ssl);
    if (!SSL_SESSION_is_resumable(session)) return 0;
    SSL_SESSION_free(t->ticket->session);
    t->ticket->session = session;
    return 1; /* ours now */
}

/* OpenSSL lets go of a certificate that it refuses, and tls_explain() wants to name it. */
static int on_verdict(int good, X509_STORE_CTX *s) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(s, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);
    X509 *cert = X509_STORE_CTX_get0_cert(s);
    if (!good && t->refused == NULL && X509_up_ref(cert) == 1) t->refused = cert;
    return good;
}

/* Which authorities were loaded, in 32 bytes. */
static bool digest_of(X509_STORE *store, unsigned char out[EVP_MAX_MD_SIZE]) {
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    bool good = sum != NULL && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1;
    for (int i = 0; good && i < sk_X509_OBJECT_num(all); i++) {
        unsigned char one[EVP_MAX_MD_SIZE];
        unsigned len = 0;
        X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (cert == NULL) continue; /* a list of revoked ones */
        good = X509_digest(cert, EVP_sha256(), one, &len) == 1 && EVP_DigestUpdate(sum, one, len) == 1;
    }
    good = good && EVP_DigestFinal_ex(sum, out, NULL) == 1;
    EVP_MD_CTX_free(sum);
    return good;
}

int tls_context_open_client(struct tls_context **out, const char *ca, bool insecure, char *err, size_t errlen) {
    static const unsigned char ours[] = "\x08http/1.1";
    *out = NULL;
    snprintf(err, errlen, "out of memory");
    enum trust trust = insecure ? TRUST_EVERYBODY : ca != NULL ? TRUST_FILE : TRUST_SYSTEM;
    struct tls_context *t = context_new(TLS_client_method(), trust);
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    int rc = PERILUNE_ERR_NOMEM;
    X509_STORE *store = SSL_CTX_get_cert_store(t->ctx);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(t->ctx, on_ticket);
    SSL_CTX_set_verify(t->ctx, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, insecure ? NULL : on_verdict);
    if (SSL_CTX_set_alpn_protos(t->ctx, ours, sizeof(ours) - 1) != 0 ||
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST) != 1)
        goto fail;
    if (trust == TRUST_SYSTEM && SSL_CTX_set_default_verify_paths(t->ctx) != 1) goto fail;
    if (trust == TRUST_FILE) {
        if (SSL_CTX_load_verify_locations(t->ctx, ca, NULL) != 1) {
            const char *reason = ERR_reason_error_string(ERR_peek_error());
            snprintf(err, errlen, "'%s' holds no certificates in PEM: %s", ca, reason ? reason : "it cannot be read");
            rc = PERILUNE_ERR_CONFIG;
            goto fail;
        }
        if (!digest_of(store, t->authorities)) goto fail;
    }
    *out = t;
    return 0;
fail:
    ERR_clear_error();
    tls_context_put(t);
    return rc;
}

bool tls_context_is_same(const struct tls_context *a, const struct tls_context *b) {
    if (a == b) return true;
    if (a == NULL || b == NULL || a->trust != b->trust) return false;
    return a->trust != TRUST_NOBODY && memcmp(a->authorities, b->authorities, sizeof(a->authorities)) == 0;
}

/* -- Sessions ------------------------------------------------------------------------- */

void tls_ticket_deinit(struct tls_ticket *k) {
    SSL_SESSION_free(k->session);
    k->session = NULL;
}

struct tls *tls_new(struct tls_context *context) {
    struct tls *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return NULL;
    buf_init(&t->out, 0);
    t->context = tls_context_ref(context);
    t->ssl = SSL_new(context->ctx);
    BIO *bio = BIO_new(context->method);
    if (t->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        tls_free(t);
        return NULL;
    }
    BIO_set_data(bio, t);
    SSL_set_bio(t->ssl, bio, bio);
    if (context->trust == TRUST_NOBODY) SSL_set_accept_state(t->ssl);
    else SSL_set_connect_state(t->ssl);
    return t;
}

/* Whom the certificate must be for.  "example.com." is example.com, absolute. */
static bool expect_host(SSL *ssl, const char *host) {
    char name[256];
    slice_copy(name, sizeof(name), slice_str(host));
    size_t len = strlen(name);
    if (len > 1 && name[len - 1] == '.') name[len - 1] = '\0';
    X509_VERIFY_PARAM *want = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(want, name) == 1) return true;
    ERR_clear_error(); /* it is no address */
    X509_VERIFY_PARAM_set_hostflags(want, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(want, name, 0) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct tls *tls_new_client(struct tls_context *context, const char *host, struct tls_ticket *ticket) {
    assert(context->trust != TRUST_NOBODY);
    struct tls *t = tls_new(context);
    if (t == NULL) return NULL;
    t->ticket = ticket;
    SSL_set_app_data(t->ssl, t);
    if (!expect_host(t->ssl, host)) {
        tls_free(t);
        return NULL;
    }
    if (ticket->session != NULL) SSL_set_session(t->ssl, ticket->session);
    return t;
}

void tls_free(struct tls *t) {
    if (t == NULL) return;
    /* OpenSSL takes back the ticket of a session that ends without a goodbye from either side,
     * but how a connection ended says nothing about the next one. */
    if (t->ssl != NULL && t->error == 0) SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    X509_free(t->refused);
    buf_deinit(&t->out);
    tls_context_put(t->context);
    mem_free(t);
}

/* -- Bytes ------------------------------------------------------------------------------- */

/* SSL_get_error() looks at the queue of errors, which is nearly always empty: clearing it costs more
 * than to look. */
static void forget_errors(void) {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

void tls_feed(struct tls *t, struct slice cipher) { t->in = cipher; }

/* Nothing is there.  SSL_MODE_RELEASE_BUFFERS forgets the 16 KiB that a ticket's arrival took for an
 * answer to it.  OpenSSL before 3.2 would give up a buffer with the head of a record, too. */
static int wait_for_more(struct tls *t) {
    if (t->between && SSL_is_init_finished(t->ssl)) SSL_free_buffers(t->ssl);
    return 0;
}

/* What a call that did not succeed means. */
static int result_of(struct tls *t, int n) {
    switch (SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ: return wait_for_more(t);
    case SSL_ERROR_WANT_WRITE: return 0;
    case SSL_ERROR_ZERO_RETURN: return PERILUNE_ERR_CANCELED;
    default:
        t->error = ERR_peek_error();
        if (t->error == 0) t->error = ERR_PACK(ERR_LIB_SSL, 0, ERR_R_INTERNAL_ERROR);
        ERR_clear_error();
        return PERILUNE_ERR_IO;
    }
}

int tls_handshake(struct tls *t) {
    forget_errors();
    int n = SSL_do_handshake(t->ssl);
    if (n == 1) return 1;
    int rc = result_of(t, n);
    return rc == 0 ? 0 : PERILUNE_ERR_IO;
}

long tls_read(struct tls *t, char *out, size_t size) {
    /* Asked again behind the last record, OpenSSL would take a buffer of 16 KiB to find nothing. */
    if (t->in.len == 0 && t->between && SSL_get_shutdown(t->ssl) == 0) return wait_for_more(t);
    forget_errors();
    int n = SSL_read(t->ssl, out, (int)size);
    if (n <= 0) return result_of(t, n);
    t->between = t->in.len == 0 && SSL_has_pending(t->ssl) == 0;
    return n;
}

int tls_write(struct tls *t, struct slice plain) {
    forget_errors();
    while (plain.len > 0) {
        int n = SSL_write(t->ssl, plain.ptr, (int)(plain.len > 1 << 30 ? 1 << 30 : plain.len));
        if (n <= 0) { /* `out` takes everything: only real errors */
            result_of(t, n);
            return PERILUNE_ERR_IO;
        }
        plain.ptr += n;
        plain.len -= (size_t)n;
    }
    return 0;
}

void tls_shutdown(struct tls *t) {
    if (SSL_is_init_finished(t->ssl) && t->error == 0) SSL_shutdown(t->ssl);
    ERR_clear_error();
}

struct buf *tls_out(struct tls *t) { return &t->out; }

#ifdef PERILUNE_TEST
struct ssl_st *tls_ssl(struct tls *t) { return t->ssl; }
#endif

void tls_pull(struct tls *t, struct buf *out) {
    if (buf_failed(&t->out)) {
        out->error = t->out.error;
    } else if (buf_len(&t->out) == 0) {
        return;
    } else if (out->data == NULL && out->limit == 0 && !buf_failed(out)) {
        *out = t->out;
        buf_init(&t->out, 0);
    } else {
        buf_slice(out, buf_get(&t->out));
        buf_deinit(&t->out);
    }
}

/* -- Words ---------------------------------------------------------------------------------- */

/* "localhost, 127.0.0.1": whom a certificate names. */
static void put_names(char *out, size_t size, X509 *cert) {
    size_t len = 0;
    out[0] = '\0';
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && len + 1 < size; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        if (g->type == GEN_DNS)
            len += (size_t)snprintf(out + len, size - len, "%s%.*s", len ? ", " : "",
                                    ASN1_STRING_length(g->d.dNSName),
                                    (const char *)ASN1_STRING_get0_data(g->d.dNSName));
        const unsigned char *a = g->type == GEN_IPADD ? ASN1_STRING_get0_data(g->d.iPAddress) : NULL;
        if (a != NULL && ASN1_STRING_length(g->d.iPAddress) == 4 && len < size)
            len += (size_t)snprintf(out + len, size - len, "%s%u.%u.%u.%u", len ? ", " : "", a[0], a[1], a[2], a[3]);
    }
    GENERAL_NAMES_free(all);
    for (char *p = out; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x7f) *p = '?'; /* a name of the DNS is ASCII, if it is honest */
}

static void explain_certificate(const struct tls *t, long verdict, char *why, size_t size) {
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        char names[160] = "";
        if (t->refused != NULL) put_names(names, sizeof(names), t->refused);
        snprintf(why, size, "its certificate is for %s, not for the host of the base URL (use such a host, or set "
                 "insecure = true)", names[0] ? names : "another host");
        return;
    }
    bool stranger = verdict != X509_V_ERR_CERT_HAS_EXPIRED && verdict != X509_V_ERR_CERT_NOT_YET_VALID;
    snprintf(why, size, "its certificate is not accepted: %s (%sset insecure = true)",
             X509_verify_cert_error_string(verdict), stranger ? "name the file of its authority as ca, or " : "");
}

void tls_explain(const struct tls *t, char *why, size_t size) {
    int reason = ERR_GET_REASON(t->error);
    long verdict = SSL_get_verify_result(t->ssl);
    const char *said = ERR_reason_error_string(t->error);
    if (said == NULL) said = "a protocol error";
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        explain_certificate(t, verdict, why, size);
    } else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
               reason == SSL_R_PACKET_LENGTH_TOO_LONG) {
        snprintf(why, size, "it does not speak TLS (%s): is its URL one of http://?", said);
    } else if (reason >= SSL_AD_REASON_OFFSET) {
        snprintf(why, size, "it ended TLS with an alert: %s", said);
    } else {
        snprintf(why, size, "TLS failed: %s", said);
    }
    slice_mute(why);
}

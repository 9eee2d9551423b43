/* test_tls.c -- the server's side of TLS against OpenSSL's client, without sockets.
 * Runs in the root of the project: the certificate is that of the wire tests. */
#include "http/tls.h"

#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/server.h"
#include "unit.h"

#define CERT "tests/support/tls/cert.pem"
#define KEY  "tests/support/tls/key.pem"

/* -- What OpenSSL has allocated: bytes ----------------------------------------------- */

static size_t held;

static void *counted_realloc(void *ptr, size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    held -= malloc_usable_size(ptr);
    void *p = realloc(ptr, size);
    held += malloc_usable_size(p);
    return p;
}

static void *counted_malloc(size_t size, const char *file, int line) { return counted_realloc(NULL, size, file, line); }

static void counted_free(void *ptr, const char *file, int line) {
    (void)file;
    (void)line;
    held -= malloc_usable_size(ptr);
    free(ptr);
}

/* Before OpenSSL's first allocation. */
static void __attribute__((constructor)) count(void) {
    CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);
}

struct pair {
    struct tls_context *context;
    struct tls         *server;
    SSL_CTX            *ctx;
    SSL                *client;
    BIO                *in, *out; /* the client's */
    struct buf          cipher;   /* from the server */
    char                plain[4096];
    size_t              len;      /* what the server has read */
    long                last;     /* what tls_read() said last */
};

/* Returns false when memory ended. */
static bool begin(struct pair *p, int version, const char *alpn) {
    char err[256] = "";
    memset(p, 0, sizeof(*p));
    buf_init(&p->cipher, 0);
    int rc = tls_context_open(&p->context, CERT, KEY, err, sizeof(err));
    if (FAULTED(rc)) return false;
    CHECK_INT(rc, 0);
    p->server = tls_new(p->context);
    if (FAULTED(p->server)) {
        tls_context_put(p->context);
        return false;
    }
    p->ctx = SSL_CTX_new(TLS_client_method());
    CHECK(p->server != NULL && p->ctx != NULL);
    SSL_CTX_set_security_level(p->ctx, 0); /* old versions are for the server to refuse */
    SSL_CTX_set_min_proto_version(p->ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(p->ctx, version);
    p->client = SSL_new(p->ctx);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    SSL_set_bio(p->client, p->in, p->out);
    SSL_set_connect_state(p->client);
    if (alpn != NULL) SSL_set_alpn_protos(p->client, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    return true;
}

static void end(struct pair *p) {
    SSL_free(p->client);
    SSL_CTX_free(p->ctx);
    tls_free(p->server);
    tls_context_put(p->context);
    buf_deinit(&p->cipher);
}

static void read_all(struct pair *p) {
    while ((p->last = tls_read(p->server, p->plain + p->len, sizeof(p->plain) - p->len)) > 0) p->len += (size_t)p->last;
}

/* What each has for the other, `step` bytes at a time.  Returns whether anything moved. */
static bool move(struct pair *p, size_t step) {
    char bytes[4096];
    bool moved = false;
    for (int n; (n = BIO_read(p->out, bytes, (int)step)) > 0 && p->last >= 0; moved = true) {
        tls_feed(p->server, slice_of(bytes, (size_t)n));
        read_all(p);
    }
    tls_pull(p->server, &p->cipher);
    while (buf_len(&p->cipher) > 0) {
        size_t n = buf_len(&p->cipher) < step ? buf_len(&p->cipher) : step;
        BIO_write(p->in, buf_get(&p->cipher).ptr, (int)n);
        buf_consume(&p->cipher, n);
        moved = true;
    }
    return moved;
}

static bool shake(struct pair *p, size_t step) {
    for (int i = 0; i < 20; i++) {
        ERR_clear_error();
        int rc = SSL_do_handshake(p->client);
        bool moved = move(p, step);
        if (rc == 1 && !moved) return true;
        if (!moved && rc != 1) return false;
    }
    return SSL_is_init_finished(p->client);
}

/* Both ways, for each version and cut at every byte. */
static void talk(int version, size_t step) {
    struct pair p;
    char got[64];
    NOTE("version %x, %zu bytes at a time", (unsigned)version, step);
    if (!begin(&p, version, "\x08http/1.1")) return;
    CHECK(shake(&p, step));
    CHECK_INT(SSL_version(p.client), version);
    CHECK_INT(SSL_write(p.client, "hello", 5), 5);
    move(&p, step);
    CHECK_SLICE(slice_of(p.plain, p.len), SLICE("hello"));
    CHECK_INT(tls_write(p.server, SLICE("")), 0);
    CHECK_INT(tls_write(p.server, SLICE("good day")), 0);
    move(&p, step);
    CHECK_INT(SSL_read(p.client, got, sizeof(got)), 8);
    CHECK(memcmp(got, "good day", 8) == 0);
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(p.client, &name, &len);
    CHECK_SLICE(slice_of((const char *)name, len), SLICE("http/1.1"));
    tls_shutdown(p.server); /* our goodbye arrives */
    move(&p, step);
    CHECK_INT(SSL_get_error(p.client, SSL_read(p.client, got, sizeof(got))), SSL_ERROR_ZERO_RETURN);
    SSL_shutdown(p.client); /* and theirs */
    move(&p, step);
    CHECK_INT(p.last, PERILUNE_ERR_CANCELED);
    end(&p);
}

TEST_NOFAULT(both_ways) {
    static const size_t steps[] = { 1, 2, 5, 6, 100, 4096 };
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        talk(TLS1_2_VERSION, steps[i]);
        talk(TLS1_3_VERSION, steps[i]);
    }
}

TEST_FAULT(memory_that_ends_is_an_error) {
    struct pair p;
    if (!begin(&p, TLS1_3_VERSION, NULL)) return;
    bool done = shake(&p, 4096);
    CHECK(done || FAULTED(p.cipher.error));
    end(&p);
}

TEST_NOFAULT(a_large_piece) {
    struct pair p;
    static char big[200000], got[200000];
    for (size_t i = 0; i < sizeof(big); i++) big[i] = (char)(i * 7);
    CHECK(begin(&p, TLS1_3_VERSION, NULL));
    CHECK(shake(&p, 4096));
    CHECK_INT(tls_write(p.server, slice_of(big, sizeof(big))), 0);
    move(&p, 4096);
    size_t len = 0;
    for (int n; len < sizeof(got) && (n = SSL_read(p.client, got + len, (int)(sizeof(got) - len))) > 0;) len += (size_t)n;
    CHECK_UINT(len, sizeof(big));
    CHECK(memcmp(big, got, len) == 0);
    end(&p);
}

TEST_NOFAULT(too_old_and_too_foreign_clients) {
    struct pair p;
    CHECK(begin(&p, TLS1_1_VERSION, NULL));
    CHECK(!shake(&p, 4096));
    end(&p);
    CHECK(begin(&p, TLS1_3_VERSION, "\x02h2")); /* nothing that both speak */
    CHECK(!shake(&p, 4096));
    CHECK_INT(p.last, PERILUNE_ERR_IO);
    end(&p);
    CHECK(begin(&p, TLS1_3_VERSION, "\x02h2\x08http/1.1"));
    CHECK(shake(&p, 4096));
    end(&p);
}

TEST_NOFAULT(what_is_no_tls) {
    struct pair p;
    CHECK(begin(&p, TLS1_3_VERSION, NULL));
    tls_feed(p.server, SLICE("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    read_all(&p);
    CHECK_INT(p.last, PERILUNE_ERR_IO);
    tls_shutdown(p.server); /* before the handshake: nothing to say */
    end(&p);

    CHECK(begin(&p, TLS1_3_VERSION, NULL)); /* a byte of a record that changed on its way */
    CHECK(shake(&p, 4096));
    char bytes[4096];
    CHECK_INT(SSL_write(p.client, "hello", 5), 5);
    int n = BIO_read(p.out, bytes, sizeof(bytes));
    CHECK(n > 10);
    bytes[n - 1] ^= 1;
    tls_feed(p.server, slice_of(bytes, (size_t)n));
    read_all(&p);
    CHECK_INT(p.last, PERILUNE_ERR_IO);
    CHECK_UINT(p.len, 0);
    end(&p);
}

static void no_context(const char *cert, const char *key, const char *said) {
    struct tls_context *t = NULL;
    char err[256] = "";
    NOTE("%s %s", cert, key);
    CHECK_INT(tls_context_open(&t, cert, key, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(t == NULL);
    CHECK(strstr(err, said) != NULL);
}

TEST_NOFAULT(files_that_are_none) {
    char path[] = "/tmp/perilune-tls-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, "nonsense\n", 9) == 9);
    close(fd);
    no_context("/nowhere/cert.pem", KEY, "TLS certificate '/nowhere/cert.pem': ");
    no_context(path, KEY, "TLS certificate '");
    no_context(KEY, KEY, "TLS certificate '" KEY "': ");
    no_context(CERT, "/nowhere/key.pem", "TLS key '/nowhere/key.pem': ");
    no_context(CERT, path, "TLS key '");
    no_context(CERT, CERT, "TLS key '" CERT "': ");
    unlink(path);
}

/* -- The client's side --------------------------------------------------------------- */

struct twins { /* both are ours */
    struct tls_context *server_context, *client_context;
    struct tls         *server, *client;
    struct tls_ticket   ticket;
    char                got[200000];
    long                server_said, client_said;
};

static void twins_begin(struct twins *w, const char *host, const char *ca, bool insecure) {
    char err[256];
    memset(w, 0, sizeof(*w));
    CHECK_INT(tls_context_open(&w->server_context, CERT, KEY, err, sizeof(err)), 0);
    CHECK_INT(tls_context_open_client(&w->client_context, ca, insecure, err, sizeof(err)), 0);
    w->server = tls_new(w->server_context);
    w->client = tls_new_client(w->client_context, host, &w->ticket);
    CHECK(w->server != NULL && w->client != NULL);
}

static void twins_end(struct twins *w) {
    tls_free(w->server);
    tls_free(w->client);
    tls_ticket_deinit(&w->ticket);
    tls_context_put(w->server_context);
    tls_context_put(w->client_context);
}

/* What one has for the other, `step` bytes at a time. */
static bool carry(struct tls *from, struct tls *to, size_t step, long (*take)(struct tls *, void *), void *ud, long *said) {
    struct buf *out = tls_out(from);
    bool moved = buf_len(out) > 0;
    while (buf_len(out) > 0 && *said >= 0) {
        size_t n = buf_len(out) < step ? buf_len(out) : step;
        tls_feed(to, slice_of(buf_get(out).ptr, n));
        *said = take(to, ud);
        buf_consume(out, n);
    }
    buf_deinit(out);
    return moved;
}

static long take_handshake(struct tls *t, void *ud) {
    (void)ud;
    return tls_handshake(t);
}

static long take_bytes(struct tls *t, void *ud) {
    char bytes[16384];
    long n;
    while ((n = tls_read(t, bytes, sizeof(bytes))) > 0)
        if (ud != NULL) buf_put(ud, bytes, (size_t)n);
    return n;
}

/* 1 when the client is content. */
static long twins_shake(struct twins *w, size_t step) {
    w->client_said = tls_handshake(w->client);
    for (bool moved = true; moved && w->client_said == 0;) {
        moved = carry(w->client, w->server, step, take_bytes, NULL, &w->server_said);
        moved |= carry(w->server, w->client, step, take_handshake, NULL, &w->client_said);
    }
    carry(w->client, w->server, step, take_bytes, NULL, &w->server_said);
    return w->client_said;
}

TEST_NOFAULT(a_client_at_every_split) {
    static const size_t steps[] = { 1, 3, 5, 1000, 1 << 20 };
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        struct twins w;
        struct buf got;
        static char large[100000];
        buf_init(&got, 0);
        twins_begin(&w, "localhost", CERT, false);
        NOTE("%zu bytes at a time", steps[i]);
        CHECK_INT(twins_shake(&w, steps[i]), 1);
        CHECK_INT(tls_write(w.client, slice_of(large, sizeof(large))), 0);
        CHECK(carry(w.client, w.server, steps[i], take_bytes, &got, &w.server_said));
        CHECK_UINT(buf_len(&got), sizeof(large));
        buf_clear(&got);
        w.client_said = 0;
        CHECK_INT(tls_write(w.server, SLICE("good day")), 0);
        tls_shutdown(w.server);
        carry(w.server, w.client, steps[i], take_bytes, &got, &w.client_said);
        CHECK_SLICE(buf_get(&got), SLICE("good day"));
        CHECK_INT(w.client_said, PERILUNE_ERR_CANCELED);
        CHECK(w.ticket.session != NULL);
        buf_deinit(&got);
        twins_end(&w);
    }
}

static void refuses(const char *host, const char *ca, const char *said) {
    struct twins w;
    char why[240];
    NOTE("%s", host);
    twins_begin(&w, host, ca, false);
    CHECK_INT(twins_shake(&w, 1 << 20), PERILUNE_ERR_IO);
    tls_explain(w.client, why, sizeof(why));
    CHECK_STR(why, said);
    CHECK_INT(w.server_said, PERILUNE_ERR_IO); /* the alert says so to the server */
    tls_explain(w.server, why, sizeof(why));
    CHECK(strstr(why, "it ended TLS with an alert: ") == why);
    twins_end(&w);
}

TEST_NOFAULT(certificates_for_others) {
    static const char other[] = "its certificate is for localhost, 127.0.0.1, not for the host of the base URL "
                                "(use such a host, or set insecure = true)";
    refuses("example.com", CERT, other);
    refuses("a.localhost", CERT, other);
    refuses("127.0.0.2", CERT, other);
    refuses("::1", CERT, other);
    refuses("localhost", NULL, "its certificate is not accepted: self-signed certificate "
                               "(name the file of its authority as ca, or set insecure = true)");
    static const char *const hosts[] = { "localhost", "localhost.", "LOCALHOST", "127.0.0.1" };
    for (int i = 0; i < 4; i++) {
        struct twins w;
        twins_begin(&w, hosts[i], CERT, false);
        CHECK_INT(twins_shake(&w, 1 << 20), 1);
        twins_end(&w);
    }
    struct twins w;
    twins_begin(&w, "example.com", NULL, true);
    CHECK_INT(twins_shake(&w, 1 << 20), 1);
    twins_end(&w);
}

TEST_NOFAULT(a_server_without_tls) {
    struct twins w;
    char why[240];
    twins_begin(&w, "localhost", CERT, false);
    CHECK_INT(tls_handshake(w.client), 0);
    tls_feed(w.client, SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"));
    CHECK_INT(tls_handshake(w.client), PERILUNE_ERR_IO);
    tls_explain(w.client, why, sizeof(why));
    CHECK_STR(why, "it does not speak TLS (wrong version number): is its URL one of http://?");
    twins_end(&w);
}

TEST_NOFAULT(authorities_that_are_none) {
    struct tls_context *t;
    char err[256];
    CHECK_INT(tls_context_open_client(&t, "/nowhere/ca.pem", false, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(t == NULL && strstr(err, "'/nowhere/ca.pem' holds no certificates in PEM: ") == err);
    CHECK_INT(tls_context_open_client(&t, KEY, false, err, sizeof(err)), PERILUNE_ERR_CONFIG);
    CHECK(strstr(err, "'" KEY "' holds no certificates in PEM: ") == err);
}

/* A session that waits has no buffers of 16 KiB, whatever it did before: a ticket that came with the
 * answer, a record of which only a part is there. */
TEST_NOFAULT(a_session_that_waits_is_small) {
    struct twins w;
    struct buf got;
    buf_init(&got, 0);
    twins_begin(&w, "localhost", CERT, false);
    CHECK_INT(twins_shake(&w, 1 << 20), 1); /* what OpenSSL keeps for ever, and a ticket */
    carry(w.server, w.client, 1 << 20, take_bytes, NULL, &w.client_said);
    tls_free(w.client);
    tls_free(w.server);
    size_t before = held;
    w.server = tls_new(w.server_context);
    w.client = tls_new_client(w.client_context, "localhost", &w.ticket);
    CHECK_INT(twins_shake(&w, 1 << 20), 1);
    CHECK_INT(tls_write(w.client, SLICE("a question")), 0);
    carry(w.client, w.server, 1 << 20, take_bytes, NULL, &w.server_said);
    CHECK_INT(SSL_new_session_ticket(tls_ssl(w.server)), 1);
    CHECK_INT(tls_write(w.server, SLICE("an answer")), 0);
    carry(w.server, w.client, 1 << 20, take_bytes, &got, &w.client_said);
    CHECK_SLICE(buf_get(&got), SLICE("an answer"));
    tls_free(w.server);
    w.server = NULL;
    NOTE("%zu bytes", held - before);
    CHECK(held - before < 20000); /* OpenSSL 3.0: 13.9 KB */
    buf_deinit(&got);
    twins_end(&w);
}

/* The head of a record is there and its body is not: what holds it must stay. */
TEST_NOFAULT(a_record_cut_behind_its_head) {
    struct twins w;
    struct buf got;
    buf_init(&got, 0);
    twins_begin(&w, "localhost", CERT, false);
    CHECK_INT(twins_shake(&w, 1 << 20), 1);
    carry(w.server, w.client, 1 << 20, take_bytes, NULL, &w.client_said); /* tickets */
    for (size_t cut = 1; cut < 30; cut++) {
        char *spoil[64];
        CHECK_INT(tls_write(w.server, SLICE("a piece")), 0);
        struct slice all = buf_get(tls_out(w.server));
        tls_feed(w.client, slice_of(all.ptr, cut));
        CHECK_INT(take_bytes(w.client, &got), 0);
        for (int i = 0; i < 64; i++) memset(spoil[i] = malloc(16584), 0xff, 16584); /* whoever freed it lost it */
        for (int i = 0; i < 64; i++) free(spoil[i]);
        tls_feed(w.client, slice_of(all.ptr + cut, all.len - cut));
        CHECK_INT(take_bytes(w.client, &got), 0);
        CHECK_SLICE(buf_get(&got), SLICE("a piece"));
        buf_deinit(tls_out(w.server));
        buf_clear(&got);
    }
    buf_deinit(&got);
    twins_end(&w);
}

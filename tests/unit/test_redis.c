/* test_redis.c -- the connection to Redis, against a server that does what a test tells it. */
#include "store/redis.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

/* -- The server ------------------------------------------------------------------------------ */

/* What a server says to a command with this word, instead of what Redis would say. */
struct line {
    const char *word, *says; /* says NULL: nothing; "": it hangs up */
};

struct peer { /* one connection */
    uv_tcp_t     tcp;
    struct fake *fake;
    char         in[8192];
    size_t       len;
};

struct fake {
    struct loop  loop;
    struct log   log;
    uv_tcp_t     tcp;
    unsigned     port;
    struct line  lines[4];
    struct peer  peers[16];
    unsigned     accepted, gone, commands;
    char         seen[4096];  /* first words of commands, each with a space behind it */
    unsigned     warnings, infos;
    char         last[600];   /* line of the log */
    struct redis_stats stats;
    struct redis_said said;
};

static void on_line(void *ud, int level, perilune_str line) {
    struct fake *f = ud;
    if (level == PERILUNE_LOG_WARN) f->warnings++;
    else f->infos++;
    snprintf(f->last, sizeof(f->last), "%.*s", (int)line.len, line.ptr);
}

static void peer_say(struct peer *p, const char *text, size_t len) {
    for (int tries = 0; len > 0 && tries < 100000; tries++) { /* in small pieces, and what the kernel takes */
        uv_buf_t b = uv_buf_init((char *)(uintptr_t)text, (unsigned)len);
        int n = uv_try_write((uv_stream_t *)&p->tcp, &b, 1);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        } else if (n != UV_EAGAIN) {
            return;
        }
    }
}

static void peer_closed(uv_handle_t *h) { container_of((uv_tcp_t *)h, struct peer, tcp)->fake->gone++; }

static void peer_close(struct peer *p) {
    if (!uv_is_closing((uv_handle_t *)&p->tcp)) uv_close((uv_handle_t *)&p->tcp, peer_closed);
}

static const char *usual(const char *word) {
    if (strcmp(word, "PTTL") == 0) return ":5000\r\n";
    if (strcmp(word, "GET") == 0) return "$5\r\nvalue\r\n";
    if (strcmp(word, "EVAL") == 0) return ":7\r\n";
    if (strcmp(word, "SUBSCRIBE") == 0) return "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n";
    return "+OK\r\n";
}

static void peer_obey(struct peer *p, const char *word) {
    struct fake *f = p->fake;
    const char *says = usual(word);
    f->commands++;
    size_t seen = strlen(f->seen);
    snprintf(f->seen + seen, sizeof(f->seen) - seen, "%s ", word);
    /* The greeting's GET is answered as usual, unless the test says "HELLO". */
    if (strcmp(word, "GET") == 0 && strstr(p->in, "hello") != NULL) word = "HELLO";
    for (int i = 0; i < 4; i++)
        if (f->lines[i].word != NULL && strcmp(f->lines[i].word, word) == 0) says = f->lines[i].says;
    if (says == NULL) return;
    if (says[0] == '\0') peer_close(p);
    else peer_say(p, says, strlen(says));
}

/* The commands that are whole in p->in: *N, and N times $LEN and its bytes. */
static void peer_eat(struct peer *p) {
    for (;;) {
        char word[32] = "";
        size_t at = 0, n;
        int args, used;
        p->in[p->len] = '\0';
        if (sscanf(p->in, "*%d\r\n%n", &args, &used) != 1) return;
        at = (size_t)used;
        for (int i = 0; i < args; i++) {
            if (sscanf(p->in + at, "$%zu\r\n%n", &n, &used) != 1 || at + (size_t)used + n + 2 > p->len) return;
            at += (size_t)used;
            if (i == 0) snprintf(word, sizeof(word), "%.*s", (int)n, p->in + at);
            at += n + 2;
        }
        char after = p->in[at];
        p->in[at] = '\0';
        peer_obey(p, word);
        p->in[at] = after;
        memmove(p->in, p->in + at, p->len - at);
        p->len -= at;
    }
}

static void room(uv_handle_t *h, size_t size, uv_buf_t *b) {
    struct peer *p = container_of((uv_tcp_t *)h, struct peer, tcp);
    (void)size;
    *b = uv_buf_init(p->in + p->len, (unsigned)(sizeof(p->in) - 1 - p->len));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b) {
    struct peer *p = container_of((uv_tcp_t *)s, struct peer, tcp);
    (void)b;
    if (n < 0) {
        peer_close(p);
        return;
    }
    p->len += (size_t)n;
    peer_eat(p);
}

static void on_accept(uv_stream_t *s, int status) {
    struct fake *f = container_of((uv_tcp_t *)s, struct fake, tcp);
    CHECK_INT(status, 0);
    CHECK(f->accepted < 16);
    struct peer *p = &f->peers[f->accepted++];
    p->fake = f;
    uv_tcp_init(&f->loop.uv, &p->tcp);
    uv_accept(s, (uv_stream_t *)&p->tcp);
    uv_read_start((uv_stream_t *)&p->tcp, room, on_read);
}

static void fake_open(struct fake *f) {
    struct sockaddr_in at;
    int len = sizeof(at);
    memset(f, 0, sizeof(*f));
    CHECK_INT(loop_init(&f->loop), 0);
    f->log = (struct log){ .write = on_line, .ud = f };
    atomic_init(&f->log.level, PERILUNE_LOG_DEBUG);
    uv_ip4_addr("127.0.0.1", 0, &at);
    uv_tcp_init(&f->loop.uv, &f->tcp);
    CHECK_INT(uv_tcp_bind(&f->tcp, (struct sockaddr *)&at, 0), 0);
    CHECK_INT(uv_listen((uv_stream_t *)&f->tcp, 16, on_accept), 0);
    uv_tcp_getsockname(&f->tcp, (struct sockaddr *)&at, &len);
    f->port = ntohs(at.sin_port);
}

static void fake_close(struct fake *f) {
    uv_close((uv_handle_t *)&f->tcp, NULL);
    for (unsigned i = 0; i < f->accepted; i++) peer_close(&f->peers[i]);
    loop_deinit(&f->loop);
}

/* -- The client --------------------------------------------------------------------------------- */

static struct redis *client(struct fake *f, void (*heard)(void *ud, struct slice note)) {
    return redis_new(&(struct redis_options){ .loop = &f->loop, .log = &f->log, .said = &f->said, .stats = &f->stats,
                                              .host = "127.0.0.1", .port = f->port, .user = "me", .password = "pw",
                                              .db = 3, .hello = "p:hello", .channel = "ch", .heard = heard,
                                              .ud = f });
}

static void until_ready(struct fake *f, struct redis *r) {
    while (!redis_is_ready(r)) uv_run(&f->loop.uv, UV_RUN_ONCE);
}

struct wait {
    struct store_op     op;
    struct store_answer a;
    bool                over;
};

static void on_done(struct store_op *op, struct store_answer *a) {
    struct wait *w = container_of(op, struct wait, op);
    w->a = *a;
    w->over = true;
}

static void begin(struct redis *r, struct wait *w, enum store_verb verb, uint64_t within_ms) {
    static const struct slice tags[] = { SLICE("t:a"), SLICE("t:b") };
    *w = (struct wait){ .over = false };
    CHECK_INT(store_begin(redis_store(r), &w->op,
                          &(struct store_ask){ .verb = verb, .key = SLICE("k"), .value = SLICE("v\0w"), .tags = tags,
                                               .tag_count = verb == STORE_SET ? 2 : 0, .ttl_ms = 1000,
                                               .note = SLICE("note"), .within_ms = within_ms },
                          on_done), 0);
}

static void finish(struct fake *f, struct wait *w) {
    while (!w->over) uv_run(&f->loop.uv, UV_RUN_ONCE);
}

/* The value's text goes. */
static void ask(struct fake *f, struct redis *r, struct wait *w, enum store_verb verb) {
    begin(r, w, verb, 30000);
    finish(f, w);
}

TEST_NOFAULT(greets_and_answers_in_order) {
    struct fake f;
    struct wait get, set, gone;
    fake_open(&f);
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    CHECK_STR(f.seen, "AUTH SELECT GET ");
    CHECK_UINT(f.infos, 1);
    CHECK_UINT(atomic_load(&f.stats.up), 1);
    begin(r, &get, STORE_GET, 30000);
    begin(r, &set, STORE_SET, 30000);
    begin(r, &gone, STORE_INVALIDATE, 30000);
    finish(&f, &gone);
    CHECK(get.over && set.over);
    CHECK_STR(f.seen, "AUTH SELECT GET PTTL GET EVAL EVAL ");
    CHECK_SLICE(blob_get(get.a.value), SLICE("value"));
    CHECK_UINT(get.a.ttl_ms, 5000);
    CHECK_INT(set.a.rc, 0);
    CHECK_UINT(stats_get(&f.stats.hits), 1);
    CHECK_UINT(stats_get(&f.stats.done), 2);
    blob_put(get.a.value);
    ask(&f, r, &get, STORE_DELETE);
    redis_close(r);
    CHECK_UINT(atomic_load(&f.stats.up), 0);
    fake_close(&f);
}

TEST_NOFAULT(nothing_there) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ "PTTL", ":-2\r\n" };
    f.lines[1] = (struct line){ "GET", "$-1\r\n" };
    struct redis *r = client(&f, NULL);
    begin(r, &w, STORE_GET, 30000); /* not connected yet: nobody waits */
    finish(&f, &w);
    CHECK(w.a.rc == 0 && w.a.value == NULL);
    CHECK_UINT(stats_get(&f.stats.skipped), 1);
    begin(r, &w, STORE_INVALIDATE, 30000); /* but it is told that this was not done */
    finish(&f, &w);
    CHECK_INT(w.a.rc, PERILUNE_ERR_AGAIN);
    until_ready(&f, r);
    ask(&f, r, &w, STORE_GET);
    CHECK(w.a.rc == 0 && w.a.value == NULL);
    CHECK_UINT(stats_get(&f.stats.misses), 1);
    redis_close(r);
    fake_close(&f);
}

static void ask_words(struct fake *f, struct redis *r, struct wait *w) {
    static const struct slice words[] = { SLICE("VSIM"), SLICE("k"), SLICE("a\0b") };
    *w = (struct wait){ .over = false };
    CHECK_INT(store_begin(redis_store(r), &w->op,
                          &(struct store_ask){ .verb = STORE_WORDS, .words = words, .word_count = 3,
                                               .within_ms = 30000 }, on_done), 0);
    finish(f, w);
}

TEST_NOFAULT(its_own_words) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    f.lines[0] = (struct line){ "VSIM", "*3\r\n:2\r\n$3\r\na:b\r\n*2\r\n$1\r\ns\r\n$4\r\n0.25\r\n" };
    ask_words(&f, r, &w);
    CHECK_INT(w.a.rc, 0);
    CHECK_SLICE(blob_get(w.a.value), SLICE("1:23:a:b1:s4:0.25"));
    blob_put(w.a.value);
    f.lines[0].says = "$-1\r\n";
    ask_words(&f, r, &w);
    CHECK(w.a.rc == 0 && blob_get(w.a.value).len == 0);
    blob_put(w.a.value);
    f.lines[0].says = "-ERR unknown command 'VSIM', with args beginning with: 'k' \r\n";
    ask_words(&f, r, &w);
    CHECK_INT(w.a.rc, PERILUNE_ERR_UPSTREAM);
    CHECK_SLICE(blob_get(w.a.value), SLICE("ERR unknown command 'VSIM', with args beginning with: 'k' "));
    blob_put(w.a.value);
    CHECK_UINT(f.warnings, 0); /* who asks says it */
    CHECK(redis_is_ready(r));
    f.lines[0].says = "*18\r\n:1\r\n"; /* longer than any answer is */
    ask_words(&f, r, &w);
    CHECK_INT(w.a.rc, PERILUNE_ERR_AGAIN);
    CHECK_UINT(f.warnings, 1);
    redis_close(r);
    fake_close(&f);
}

TEST_NOFAULT(what_waits_ends_with_it) {
    struct fake f;
    struct wait w[3];
    fake_open(&f);
    f.lines[0] = (struct line){ "GET", NULL };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    for (int i = 0; i < 3; i++) begin(r, &w[i], STORE_GET, 30000);
    store_cancel(&w[1].op);
    redis_close(r);
    CHECK(w[0].over && !w[1].over && w[2].over);
    CHECK_INT(w[0].a.rc, PERILUNE_ERR_CANCELED);
    fake_close(&f);
}

/* Three questions without an answer, and it is not asked any more. */
TEST_NOFAULT(a_server_that_hangs) {
    struct fake f;
    struct wait w[5];
    fake_open(&f);
    f.lines[0] = (struct line){ "GET", NULL };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    for (int i = 0; i < 3; i++) begin(r, &w[i], STORE_GET, 5);
    begin(r, &w[3], STORE_GET, 30000); /* does not wait for its own time */
    for (int i = 0; i < 4; i++) finish(&f, &w[i]);
    CHECK_INT(w[0].a.rc, PERILUNE_ERR_TIMEOUT);
    CHECK(w[3].a.rc == 0 && w[3].a.value == NULL);
    CHECK(!redis_is_ready(r));
    CHECK_UINT(f.warnings, 1);
    CHECK_UINT(stats_get(&f.stats.late), 3);
    CHECK_UINT(stats_get(&f.stats.lost), 1);
    ask(&f, r, &w[4], STORE_GET);
    CHECK_UINT(stats_get(&f.stats.skipped), 1);
    f.lines[0] = (struct line){ NULL, NULL }; /* and it comes back */
    until_ready(&f, r);
    ask(&f, r, &w[4], STORE_GET);
    CHECK(w[4].a.value != NULL);
    blob_put(w[4].a.value);
    CHECK_UINT(f.warnings, 1);
    CHECK_UINT(f.infos, 2);
    redis_close(r);
    fake_close(&f);
}

/* Who left is no sign of a server that hangs. */
TEST_NOFAULT(who_leaves_counts_for_nothing) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ "GET", NULL };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    for (int i = 0; i < 10; i++) {
        begin(r, &w, STORE_GET, 30000);
        uv_run(&f.loop.uv, UV_RUN_NOWAIT);
        store_cancel(&w.op);
    }
    CHECK(redis_is_ready(r));
    redis_close(r);
    fake_close(&f);
}

/* Each of these ends the connection; a question gets "no such key", and one line is logged. */
static void breaks(const char *word, const char *says, const char *logged) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ word, says };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    ask(&f, r, &w, STORE_GET);
    CHECK(w.a.value == NULL);
    while (redis_is_ready(r)) uv_run(&f.loop.uv, UV_RUN_ONCE);
    CHECK_UINT(f.warnings, 1);
    if (strstr(f.last, logged) == NULL) FAIL("the log says %s, expected %s", f.last, logged);
    ask(&f, r, &w, STORE_GET);
    CHECK(w.a.rc == 0 && w.a.value == NULL);
    CHECK_UINT(f.warnings, 1);
    redis_close(r);
    fake_close(&f);
}

TEST_NOFAULT(a_server_that_hangs_up) { breaks("GET", "", "Server closed the connection"); }
TEST_NOFAULT(garbage) { breaks("PTTL", "HTTP/1.1 400 Bad Request\r\n\r\n", "not Redis' protocol"); }
TEST_NOFAULT(a_length_that_is_none) { breaks("GET", "$-77\r\n", "cache.redis"); }
TEST_NOFAULT(an_array_of_a_billion) { breaks("GET", "*1000000000\r\n", "cache.redis"); }
TEST_NOFAULT(arrays_in_arrays) { breaks("GET", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "cache.redis"); }
TEST_NOFAULT(a_cluster) { breaks("GET", "-MOVED 3999 127.0.0.1:6381\r\n", "it is a cluster"); }
TEST_NOFAULT(a_cluster_that_asks) { breaks("PTTL", "-ASK 3999 127.0.0.1:6381\r\n", "it is a cluster"); }
TEST_NOFAULT(a_password_that_changed) { breaks("GET", "-NOAUTH Authentication required.\r\n", "NOAUTH"); }

TEST_NOFAULT(half_an_answer_and_the_end) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ "GET", "$5\r\nva" };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    begin(r, &w, STORE_GET, 30000);
    while (strcmp(f.seen, "AUTH SELECT GET PTTL GET ") != 0) uv_run(&f.loop.uv, UV_RUN_ONCE);
    peer_close(&f.peers[0]);
    finish(&f, &w);
    CHECK(w.a.rc == 0 && w.a.value == NULL);
    redis_close(r);
    fake_close(&f);
}

/* An answer of any size is not read to its end. */
TEST_NOFAULT(a_value_without_an_end) {
    static char much[1 << 20];
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ "GET", "$500000000\r\n" };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    begin(r, &w, STORE_GET, 30000);
    memset(much, 'x', sizeof(much));
    while (redis_is_ready(r)) {
        uv_run(&f.loop.uv, UV_RUN_NOWAIT);
        if (f.commands < 5) continue;
        uv_buf_t b = uv_buf_init(much, sizeof(much));
        uv_try_write((uv_stream_t *)&f.peers[0].tcp, &b, 1);
    }
    finish(&f, &w);
    CHECK(w.a.value == NULL);
    CHECK(strstr(f.last, "without an end") != NULL);
    redis_close(r);
    fake_close(&f);
}

/* An error of one question is none of the connection's. */
TEST_NOFAULT(out_of_memory_over_there) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ "EVAL", "-OOM command not allowed when used memory > 'maxmemory'.\r\n" };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    for (int i = 0; i < 5; i++) {
        ask(&f, r, &w, STORE_SET);
        CHECK_INT(w.a.rc, PERILUNE_ERR_AGAIN); /* it may have memory later */
    }
    CHECK(redis_is_ready(r));
    CHECK_UINT(f.warnings, 1);
    CHECK(strstr(f.last, "OOM") != NULL);
    CHECK_UINT(stats_get(&f.stats.refused), 5);
    redis_close(r);
    fake_close(&f);
}

/* One line for all connections of a process. */
TEST_NOFAULT(out_of_memory_for_two_threads) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ "EVAL", "-OOM command not allowed when used memory > 'maxmemory'.\r\n" };
    struct redis *r = client(&f, NULL), *s = client(&f, NULL);
    until_ready(&f, r);
    until_ready(&f, s);
    for (int i = 0; i < 3; i++) {
        ask(&f, r, &w, STORE_SET);
        ask(&f, s, &w, STORE_SET);
        ask(&f, s, &w, STORE_GET); /* works, and says nothing of the others */
        blob_put(w.a.value);
    }
    CHECK_UINT(f.warnings, 1);
    CHECK_UINT(stats_get(&f.stats.refused), 6);
    redis_close(r);
    redis_close(s);
    fake_close(&f);
}

/* What the greeting gets; the server stays as it is, so nobody is ever ready. */
static void refuses(const char *word, const char *says, const char *logged) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ word, says };
    struct redis *r = client(&f, NULL);
    while (f.warnings == 0) uv_run(&f.loop.uv, UV_RUN_ONCE);
    CHECK(!redis_is_ready(r));
    if (strstr(f.last, logged) == NULL) FAIL("the log says %s, expected %s", f.last, logged);
    ask(&f, r, &w, STORE_GET);
    CHECK(w.a.rc == 0 && w.a.value == NULL);
    redis_close(r);
    fake_close(&f);
}

TEST_NOFAULT(a_wrong_password) {
    refuses("AUTH", "-WRONGPASS invalid username-password pair or user is disabled.\r\n", "check user, password");
}
TEST_NOFAULT(no_password) { refuses("HELLO", "-NOAUTH Authentication required.\r\n", "check user, password"); }
TEST_NOFAULT(no_such_database) { refuses("SELECT", "-ERR DB index is out of range\r\n", "out of range"); }
TEST_NOFAULT(a_sentinel) { refuses("HELLO", "-ERR unknown command `GET`\r\n", "sentinel"); }
TEST_NOFAULT(a_cluster_from_the_start) { refuses("HELLO", "-MOVED 1 127.0.0.1:1\r\n", "it is a cluster"); }
TEST_NOFAULT(a_web_server) { refuses("AUTH", "HTTP/1.1 400 Bad Request\r\n\r\n", "not Redis' protocol"); }
TEST_NOFAULT(one_that_says_nothing) { refuses("HELLO", NULL, "does not answer the greeting"); }
TEST_NOFAULT(one_that_is_loading) { refuses("HELLO", "-LOADING Redis is loading the dataset in memory\r\n", "LOADING"); }

TEST_NOFAULT(nobody_listens) {
    struct fake f;
    fake_open(&f);
    struct redis *r = redis_new(&(struct redis_options){ .loop = &f.loop, .log = &f.log, .said = &f.said,
                                                         .path = "/nowhere/redis.sock", .hello = "h", .channel = "c" });
    CHECK(r != NULL);
    while (f.warnings == 0) uv_run(&f.loop.uv, UV_RUN_ONCE);
    CHECK(strstr(f.last, "unix:/nowhere/redis.sock") != NULL);
    redis_close(r);
    r = redis_new(&(struct redis_options){ .loop = &f.loop, .log = &f.log, .said = &f.said, .host = "localhost",
                                           .port = f.port, .hello = "h", .channel = "c" });
    until_ready(&f, r);
    CHECK_STR(f.seen, "GET "); /* no password, database 0 */
    redis_close(r);
    r = redis_new(&(struct redis_options){ .loop = &f.loop, .host = "localhost", .port = f.port, .hello = "h",
                                           .channel = "c" });
    redis_close(r); /* while its name is looked up */
    fake_close(&f);
}

TEST_NOFAULT(notes_that_were_missed) {
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ "EVAL", "$6\r\n1:a1:b\r\n" };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    ask(&f, r, &w, STORE_NOTES);
    CHECK_SLICE(blob_get(w.a.value), SLICE("1:a1:b"));
    blob_put(w.a.value);
    redis_close(r);
    fake_close(&f);
}

static void on_note(void *ud, struct slice note) {
    struct fake *f = ud;
    snprintf(f->last, sizeof(f->last), "%.*s", SLICE_ARG(note));
}

TEST_NOFAULT(listens) {
    struct fake f;
    fake_open(&f);
    struct redis *r = client(&f, on_note);
    until_ready(&f, r);
    CHECK_STR(f.seen, "AUTH SELECT GET SUBSCRIBE ");
    static const char note[] = "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$4\r\nnote\r\n";
    peer_say(&f.peers[0], note, sizeof(note) - 1);
    while (strcmp(f.last, "note") != 0) uv_run(&f.loop.uv, UV_RUN_ONCE);
    peer_close(&f.peers[0]);
    while (redis_is_ready(r)) uv_run(&f.loop.uv, UV_RUN_ONCE);
    until_ready(&f, r); /* by itself */
    CHECK_UINT(f.accepted, 2);
    redis_close(r);
    fake_close(&f);
}

/* -- What no Redis says ------------------------------------------------------------------------- */

/* Unasked, on a connection where no question waits: of one that asks, or of one that listens. */
static void speaks(void (*heard)(void *ud, struct slice note), const char *says) {
    struct fake f;
    fake_open(&f);
    struct redis *r = client(&f, heard);
    until_ready(&f, r);
    peer_say(&f.peers[0], says, strlen(says));
    while (redis_is_ready(r)) uv_run(&f.loop.uv, UV_RUN_ONCE);
    CHECK_UINT(f.warnings, 1);
    if (strstr(f.last, "cache.redis: 127.0.0.1") == NULL) FAIL("the log says %s of %s", f.last, says);
    CHECK(strstr(f.last, "memory") == NULL);
    redis_close(r);
    fake_close(&f);
}

#define SAYS(kind, name) "*3\r\n" kind name
#define SUBSCRIBE        "$9\r\nsubscribe\r\n"
#define UNSUBSCRIBE      "$11\r\nunsubscribe\r\n"
#define MESSAGE          "$7\r\nmessage\r\n"
#define CHANNEL          "$2\r\nch\r\n"

static const char *const never[] = {
    "+OK\r\n", ":1\r\n", "$-1\r\n", "$1\r\na\r\n", "-ERR max number of clients reached\r\n", "*0\r\n", "*-1\r\n",
    "*1\r\n$1\r\na\r\n", "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n", "*3\r\n*0\r\n*0\r\n*0\r\n",
    ">2\r\n$1\r\na\r\n$1\r\nb\r\n", ">3\r\n" MESSAGE CHANNEL "$1\r\na\r\n", "HTTP/1.1 200 OK\r\n\r\n<html>",
    "$-5\r\n", "*1000000000\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "-MOVED 1 1.2.3.4:1\r\n",
    ",1.5\r\n", "#t\r\n", "%1\r\n+a\r\n+b\r\n", "_\r\n", "(1\r\n", "=5\r\ntxt:a\r\n",
    SAYS(UNSUBSCRIBE, CHANNEL) ":0\r\n", SAYS(UNSUBSCRIBE, CHANNEL) ":0\r\n+OK\r\n+OK\r\n",
    SAYS(UNSUBSCRIBE, "$-1\r\n") ":0\r\n", SAYS(UNSUBSCRIBE, CHANNEL) "$1\r\na\r\n",
    "*2\r\n" MESSAGE CHANNEL, "*4\r\n" MESSAGE CHANNEL "$1\r\na\r\n$1\r\nb\r\n", SAYS(MESSAGE, "$-1\r\n") "$-1\r\n",
    SAYS(MESSAGE, CHANNEL) "$-1\r\n", SAYS(MESSAGE, CHANNEL) ":3\r\n", SAYS(MESSAGE, CHANNEL) "*1\r\n:3\r\n",
    SAYS(MESSAGE, CHANNEL) "+a\r\n", SAYS("+message\r\n", CHANNEL) "$1\r\na\r\n", SAYS("$0\r\n\r\n", CHANNEL) ":1\r\n",
    SAYS(MESSAGE, "$1\r\na\r\n") "$1\r\nb\r\n", SAYS(SUBSCRIBE, "$1\r\na\r\n") ":1\r\n",
    SAYS(SUBSCRIBE, CHANNEL) "$1\r\n1\r\n", SAYS("$8\r\npmessage\r\n", CHANNEL) "$1\r\na\r\n",
};
#define NEVER (sizeof(never) / sizeof(*never))

TEST_NOFAULT(nobody_asked) {
    for (size_t i = 0; i < NEVER; i++) speaks(NULL, never[i]);
    speaks(NULL, SAYS(MESSAGE, CHANNEL) "$4\r\nnote\r\n"); /* to one that does not listen */
    speaks(NULL, SAYS(SUBSCRIBE, CHANNEL) ":1\r\n");
}

TEST_NOFAULT(no_notes) {
    for (size_t i = 0; i < NEVER; i++) speaks(on_note, never[i]);
}

TEST_NOFAULT(two_answers_for_one_question) {
    breaks("GET", "$-1\r\n+OK\r\n", "nobody asked for");
    breaks("GET", "*-1\r\n*-1\r\n", "nobody asked for");
    breaks("PTTL", ":1\r\n$-1\r\n:1\r\n", "nobody asked for");
    breaks("GET", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n*0\r\n", "nobody asked for");
}

/* To the greeting, of one that asks and of one that listens. */
TEST_NOFAULT(two_answers_for_the_greeting) {
    static const char *const says[] = { "+OK\r\n+OK\r\n", "*-1\r\n*-1\r\n", ":5\r\n:5\r\n", "$-1\r\n*0\r\n" };
    for (int i = 0; i < 8; i++) {
        struct fake f;
        fake_open(&f);
        f.lines[0] = (struct line){ "HELLO", says[i / 2] };
        struct redis *r = client(&f, i % 2 != 0 ? on_note : NULL);
        while (f.warnings == 0) uv_run(&f.loop.uv, UV_RUN_ONCE);
        CHECK(!redis_is_ready(r) && strstr(f.last, "nobody asked for") != NULL);
        f.lines[0] = (struct line){ NULL, NULL }; /* and it comes to its senses */
        if (i < 2) until_ready(&f, r);
        redis_close(r);
        fake_close(&f);
    }
}

/* Each value is one that may be, and all of them are too much. */
TEST_NOFAULT(an_array_of_large_values) {
    enum { VALUE = 2000000 };
    static char much[VALUE + 12];
    struct fake f;
    struct wait w;
    fake_open(&f);
    f.lines[0] = (struct line){ "GET", "*17\r\n" };
    struct redis *r = client(&f, NULL);
    until_ready(&f, r);
    begin(r, &w, STORE_GET, 30000);
    memset(much, 'x', sizeof(much));
    memcpy(much, "$2000000\r\n", 10);
    memcpy(much + 10 + VALUE, "\r\n", 2);
    size_t at = 0;
    while (redis_is_ready(r)) {
        uv_run(&f.loop.uv, UV_RUN_NOWAIT);
        if (f.commands < 5) continue;
        uv_buf_t b = uv_buf_init(much + at, (unsigned)(sizeof(much) - at));
        int n = uv_try_write((uv_stream_t *)&f.peers[0].tcp, &b, 1);
        if (n > 0) at = (at + (size_t)n) % sizeof(much);
    }
    finish(&f, &w);
    CHECK(w.a.value == NULL);
    CHECK(strstr(f.last, "without an end") != NULL);
    redis_close(r);
    fake_close(&f);
}

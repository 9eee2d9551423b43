/* test_reading.c -- reading.c: small bodies at once, large ones in a thread, and who leaves meanwhile. */
#include "gateway/reading.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

#define CHATS SLICE("/v1/chat/completions")

struct world {
    struct loop     loop;
    struct question q;     /* what it came to */
    unsigned        heard;
};

static void on_read(void *ud, struct question *q) {
    struct world *w = ud;
    w->heard++;
    w->q = *q;
    question_init(q, &(struct buf){ .data = NULL }, NULL); /* taken */
}

static bool is_read(const struct world *w) { return w->heard > 0; }

/* A chat of about so many bytes, and what stands behind it. */
static struct buf chat_of(size_t len, const char *tail) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"");
    while (buf_len(&b) < len && !buf_failed(&b)) buf_puts(&b, "The quick brown fox jumps. ");
    buf_puts(&b, "\"}]}");
    buf_puts(&b, tail);
    return b;
}

static void pack(struct buf *b) {
    struct buf out;
    struct encoder *e = encoder_new(CODING_GZIP, false);
    buf_init(&out, 0);
    CHECK(e != NULL);
    CHECK_INT(encoder_feed(e, buf_get(b), ENCODER_END, &out), 0);
    encoder_free(e);
    buf_deinit(b);
    *b = out;
}

static struct reading *begin(struct world *w, struct buf *bytes, const struct dialect *d, enum coding c, size_t limit) {
    question_init(&w->q, bytes, d);
    w->q.coding = c;
    w->q.limit = limit;
    w->heard = 0;
    return reading_begin(&w->loop, &w->q, on_read, w);
}

static void until_read(struct world *w) {
    while (!is_read(w)) uv_run(&w->loop.uv, UV_RUN_ONCE);
}

TEST_NOFAULT(a_small_one_is_read_at_once) {
    struct world w;
    CHECK_INT(loop_init(&w.loop), 0);
    struct buf b = chat_of(1000, "");
    CHECK(begin(&w, &b, dialect_find(CHATS), CODING_NONE, 1 << 20) == NULL);
    CHECK(w.q.body != NULL && w.q.body->chat.stream && w.q.raw == NULL && !failure_is_set(&w.q.failure));
    question_deinit(&w.q);
    b = chat_of(1000, "");
    pack(&b);
    CHECK(begin(&w, &b, dialect_find(CHATS), CODING_GZIP, 1 << 20) == NULL);
    CHECK(w.q.body != NULL && w.q.decoded);
    question_deinit(&w.q);
    b = (struct buf){ .data = NULL };
    CHECK(begin(&w, &b, NULL, CODING_NONE, 1 << 20) == NULL); /* there is none */
    CHECK(w.q.body == NULL && w.q.raw == NULL && !failure_is_set(&w.q.failure));
    question_deinit(&w.q);
    loop_deinit(&w.loop);
}

/* All that can become of a large one, with and without a dialect, packed and not. */
TEST_NOFAULT(a_large_one_is_read_later) {
    static const struct {
        bool        chat, packed;
        size_t      len, limit;
        const char *tail;
        int         status; /* 0: it is fine */
        bool        json;
    } all[] = {
        { true, false, 1 << 20, 1 << 22, "", 0, true },
        { true, false, 1 << 20, 1 << 22, "}", 400, false }, /* bad at its very end */
        { true, true, 1 << 20, 1 << 22, "", 0, true },
        { true, true, 1 << 20, 1 << 22, "]", 400, false },
        { true, true, 1 << 20, 1 << 19, "", 413, false }, /* larger than it may get, which is larger than small */
        { false, false, 1 << 20, 1 << 22, "", 0, true },
        { false, false, 1 << 20, 1 << 22, ",", 0, false }, /* no JSON, and none was asked for */
        { false, true, 1 << 20, 1 << 22, "", 0, true },
        { false, true, 1 << 20, 1 << 19, "", 0, false }, /* goes on as it came */
    };
    struct world w;
    CHECK_INT(loop_init(&w.loop), 0);
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct buf b = chat_of(all[i].len, all[i].tail);
        size_t len = buf_len(&b);
        if (all[i].packed) pack(&b);
        CHECK(begin(&w, &b, all[i].chat ? dialect_find(CHATS) : NULL, all[i].packed ? CODING_GZIP : CODING_NONE,
                    all[i].limit) != NULL);
        CHECK_UINT(w.heard, 0);
        question_deinit(&w.q);
        until_read(&w);
        if (w.q.failure.status != all[i].status || (w.q.body != NULL) != all[i].json ||
            (w.q.raw != NULL) == all[i].chat || w.q.decoded != (all[i].packed && len <= all[i].limit))
            FAIL("case %zu: %d %s", i, w.q.failure.status, w.q.failure.message);
        if (w.q.body != NULL) CHECK_UINT(w.q.body->text->len, len);
        question_deinit(&w.q);
    }
    loop_deinit(&w.loop);
}

/* One that is small as it comes, and too large for the limit, needs no thread to be refused. */
TEST_NOFAULT(a_small_limit_is_met_at_once) {
    struct world w;
    CHECK_INT(loop_init(&w.loop), 0);
    struct buf b = chat_of(50000, "");
    pack(&b);
    CHECK(begin(&w, &b, dialect_find(CHATS), CODING_GZIP, 20000) == NULL);
    CHECK_INT(w.q.failure.status, 413);
    question_deinit(&w.q);
    b = chat_of(1000, "");
    CHECK(begin(&w, &b, dialect_find(CHATS), CODING_GZIP, 1 << 20) == NULL); /* it is none */
    CHECK_INT(w.q.failure.status, 400);
    question_deinit(&w.q);
    b = chat_of(1000, "");
    CHECK(begin(&w, &b, dialect_find(CHATS), CODING_UNKNOWN, 1 << 20) == NULL);
    CHECK_INT(w.q.failure.status, 415);
    question_deinit(&w.q);
    loop_deinit(&w.loop);
}

/* More than there are threads: some are never begun.  Nobody hears of any, and all memory comes back. */
TEST_NOFAULT(who_leaves_hears_nothing) {
    struct world w;
    struct reading *all[12];
    CHECK_INT(loop_init(&w.loop), 0);
    for (int turns = 0; turns < 3; turns++) {
        for (int i = 0; i < 12; i++) {
            struct buf b = chat_of(1 << 20, "");
            all[i] = begin(&w, &b, dialect_find(CHATS), CODING_NONE, 1 << 22);
            CHECK(all[i] != NULL);
            question_deinit(&w.q);
        }
        if (turns == 2) uv_sleep(2); /* some are being read, or were */
        for (int i = 0; i < 12; i++) reading_leave(all[i]);
        if (turns == 1) uv_run(&w.loop.uv, UV_RUN_DEFAULT);
        CHECK_UINT(w.heard, 0);
    }
    reading_leave(NULL);
    loop_deinit(&w.loop); /* waits for those that are being read */
    CHECK_UINT(w.heard, 0);
}

/* In whichever thread memory is missing: it is told, or it is read here. */
TEST_FAULT(without_memory_it_fails_or_is_read) {
    struct world w;
    int rc = loop_init(&w.loop);
    if (FAULTED(rc)) return;
    for (int i = 0; i < 4; i++) {
        struct buf b = chat_of(i < 2 ? 1000 : READING_LARGE + 1000, "");
        if (FAULTED(b.error)) {
            buf_deinit(&b);
            break;
        }
        struct reading *r = begin(&w, &b, i % 2 ? dialect_find(CHATS) : NULL, CODING_NONE, 1 << 22);
        if (r != NULL) until_read(&w);
        bool failed = failure_is_set(&w.q.failure);
        if (failed) CHECK_INT(w.q.failure.status, 503);
        else CHECK(w.q.raw != NULL || w.q.body != NULL);
        question_deinit(&w.q);
        if (FAULTED(failed ? PERILUNE_ERR_NOMEM : 0)) break;
    }
    loop_deinit(&w.loop);
}

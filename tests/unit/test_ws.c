/* test_ws.c -- framing of WebSockets: whatever way bytes are cut, the same events come out.
 *
 * Numbers in brackets are those of Autobahn's published cases. */
#include "base/base64.h"
#include "http/ws.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "http/ws_handshake.h"
#include "unit.h"

#define FIN 0x80

static const unsigned char KEY[4] = { 0x37, 0xfa, 0x21, 0x3d };

/* -- A client's frames -------------------------------------------------------------------- */

static void put_length(struct buf *b, uint64_t len, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) buf_putc(b, (char)(len >> 8 * (bytes - 1 - i)));
}

static void put_frame(struct buf *b, unsigned first, struct slice payload) {
    size_t n = payload.len;
    buf_putc(b, (char)first);
    buf_putc(b, (char)(0x80 | (n < 126 ? n : n < 65536 ? 126 : 127)));
    if (n >= 126) put_length(b, n, n < 65536 ? 2 : 8);
    buf_put(b, KEY, 4);
    for (size_t i = 0; i < n; i++) buf_putc(b, (char)((unsigned char)payload.ptr[i] ^ KEY[i & 3]));
}

static void put_text(struct buf *b, unsigned first, const char *s) { put_frame(b, first, slice_str(s)); }

/* -- Reading it in pieces ------------------------------------------------------------------- */

/* "text:hello ping: close1000:bye !1002" */
static void transcribe(struct slice s, size_t most, size_t limit, struct buf *out) {
    static const char *const names[] = { "", "text", "binary", "", "", "", "", "", "close", "ping", "pong" };
    struct ws_reader r;
    ws_reader_init(&r, true, limit);
    buf_clear(out);
    while (s.len > 0) {
        size_t n = s.len < most ? s.len : most;
        char *copy = mem_dup(s.ptr, n); /* a sanitizer sees who reads behind it */
        CHECK(copy != NULL);
        size_t at = 0;
        while (at < n) {
            struct ws_event ev;
            long k = ws_read(&r, slice_of(copy + at, n - at), &ev);
            if (k < 0) {
                buf_printf(out, "!%ld ", -k);
                CHECK(r.why != NULL && r.message.data == NULL);
                CHECK_INT(ws_read(&r, slice_of(copy, n), &ev), (long)n); /* it stays so */
                mem_free(copy);
                goto done;
            }
            at += (size_t)k;
            if (ev.opcode == WS_NOTHING) CHECK_INT(at, n);
            else if (ev.opcode == WS_CLOSE) buf_printf(out, "close%d:%.*s ", ev.code, SLICE_ARG(ev.payload));
            else buf_printf(out, "%s:%.*s ", names[ev.opcode], SLICE_ARG(ev.payload));
        }
        mem_free(copy);
        s = slice_of(s.ptr + n, s.len - n);
    }
done:
    ws_reader_forget(&r);
    ws_reader_deinit(&r);
}

static void check(struct buf *in, const char *want) {
    static const size_t sizes[] = { 1, 2, 3, 5, 7, 64, 1 << 20 };
    struct buf got;
    buf_init(&got, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        NOTE("pieces of %zu", sizes[i]);
        transcribe(buf_get(in), sizes[i], 1 << 20, &got);
        const char *text = buf_cstr(&got);
        CHECK(text != NULL);
        CHECK_STR(text, want);
    }
    buf_deinit(&got);
    buf_deinit(in);
    buf_init(in, 0);
}

static struct buf empty(void) {
    struct buf b;
    buf_init(&b, 0);
    return b;
}

/* -- Messages ---------------------------------------------------------------------------------- */

TEST(messages) {
    struct buf b = empty();
    put_text(&b, FIN | WS_TEXT, ""); /* [1.1.1] */
    put_text(&b, FIN | WS_TEXT, "hello");
    put_text(&b, FIN | WS_BINARY, "\xff"); /* [1.2] */
    check(&b, "text: text:hello binary:\xff ");
    put_text(&b, WS_TEXT, "frag"); /* [5.3 to 5.8] with a ping between */
    put_text(&b, FIN | WS_PING, "p");
    put_text(&b, WS_CONTINUATION, "");
    put_text(&b, FIN | WS_PONG, "");
    put_text(&b, FIN | WS_CONTINUATION, "ment");
    put_text(&b, FIN | WS_CLOSE, "");
    check(&b, "ping:p pong: text:fragment close1005: ");
}

TEST(lengths) { /* [1.1.2 to 1.1.8] */
    static const size_t lengths[] = { 125, 126, 127, 128, 65535, 65536 };
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct buf b = empty(), want = empty();
        char *text = mem_alloc(lengths[i]);
        CHECK(text != NULL);
        memset(text, '*', lengths[i]);
        put_frame(&b, FIN | WS_TEXT, slice_of(text, lengths[i]));
        buf_puts(&want, "text:");
        buf_put(&want, text, lengths[i]);
        buf_puts(&want, " ");
        const char *w = buf_cstr(&want);
        CHECK(w != NULL && !buf_failed(&b));
        check(&b, w);
        buf_deinit(&want);
        mem_free(text);
    }
}

/* -- Rules --------------------------------------------------------------------------------------- */

static void check_bytes(const char *bytes, size_t len, const char *want) {
    struct buf b = empty();
    buf_put(&b, bytes, len);
    check(&b, want);
}
#define BYTES(literal, want) check_bytes(literal, sizeof(literal) - 1, want)

TEST(rules) {
    struct buf b = empty();
    for (unsigned bit = 0x10; bit <= 0x40; bit <<= 1) { /* [3.*] */
        put_text(&b, FIN | WS_TEXT, "a");
        put_text(&b, FIN | bit | WS_TEXT, "b");
        put_text(&b, FIN | WS_PING, "");
        check(&b, "text:a !1002 ");
    }
    static const unsigned none[] = { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 }; /* [4.*] */
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        put_text(&b, FIN | none[i], "");
        check(&b, "!1002 ");
    }
    put_text(&b, WS_PING, "half"); /* [5.1, 5.2]: a control frame in pieces */
    check(&b, "!1002 ");
    put_text(&b, FIN | WS_CONTINUATION, "of what"); /* [5.9 to 5.14] */
    check(&b, "!1002 ");
    put_text(&b, WS_TEXT, "one");
    put_text(&b, FIN | WS_TEXT, "two"); /* [5.18] */
    check(&b, "!1002 ");
    BYTES("\x81\x05hello", "!1002 ");                              /* not masked */
    BYTES("\x89\xfe\x00\x7e", "!1002 ");                           /* a ping of 126 bytes [2.5] */
    BYTES("\x81\xfe\x00\x7d\0\0\0\0", "!1002 ");                   /* a length that needs no two bytes */
    BYTES("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", "!1002 ");       /* nor eight */
    BYTES("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", "!1002 ");         /* 64 bits */
    BYTES("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", "!1009 ");
}

TEST(pings) { /* [2.*] */
    struct buf b = empty();
    char most[WS_CONTROL_MAX];
    memset(most, 'x', sizeof(most));
    put_frame(&b, FIN | WS_PING, slice_of(most, sizeof(most)));
    struct buf got = empty();
    transcribe(buf_get(&b), 1, 0, &got);
    CHECK_INT(buf_len(&got), 125 + 6);
    buf_deinit(&got);
    buf_deinit(&b);
    put_text(&b, FIN | WS_PONG, "nobody asked"); /* [2.7] */
    check(&b, "pong:nobody asked ");
}

TEST(closes) { /* [7.*] */
    static const struct { int code; bool fine; } codes[] = {
        { 0, false }, { 999, false }, { 1000, true }, { 1001, true }, { 1002, true }, { 1003, true }, { 1004, false },
        { 1005, false }, { 1006, false }, { 1007, true }, { 1011, true }, { 1012, true }, { 1014, true }, { 1015, false },
        { 1016, false }, { 1100, false }, { 2000, false }, { 2999, false }, { 3000, true }, { 3999, true },
        { 4000, true }, { 4999, true }, { 5000, false }, { 65535, false } };
    struct buf b = empty();
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        char payload[] = { (char)(codes[i].code >> 8), (char)codes[i].code, 'b', 'y', 'e' }, want[40];
        put_frame(&b, FIN | WS_CLOSE, slice_of(payload, sizeof(payload)));
        snprintf(want, sizeof(want), codes[i].fine ? "close%d:bye " : "!1002 ", codes[i].code);
        check(&b, want);
    }
    put_text(&b, FIN | WS_CLOSE, "\x03"); /* [7.3.2]: half a code */
    check(&b, "!1002 ");
    put_text(&b, FIN | WS_CLOSE, "\x03\xe8\xce\xba\xe1"); /* [7.5.1] */
    check(&b, "!1007 ");
}

TEST(limit) {
    struct buf b = empty(), got = empty();
    put_text(&b, WS_TEXT, "1234");
    put_text(&b, FIN | WS_CONTINUATION, "5678");
    transcribe(buf_get(&b), 1, 8, &got);
    CHECK(slice_eq(buf_get(&got), SLICE("text:12345678 ")));
    transcribe(buf_get(&b), 3, 7, &got); /* over all frames together */
    CHECK(slice_eq(buf_get(&got), SLICE("!1009 ")));
    buf_deinit(&b);
    buf_deinit(&got);
    struct ws_reader r; /* what a head promises takes no memory */
    struct ws_event ev;
    ws_reader_init(&r, true, 0);
    CHECK_INT(ws_read(&r, slice_of("\x81\xff\0\0\0\0\x40\0\0\0\0\0\0\0abc", 17), &ev), 17);
    CHECK(r.message.cap < 1000 && ws_reader_is_inside(&r));
    ws_reader_deinit(&r);
}

/* -- Text [6.*] ------------------------------------------------------------------------------------ */

static bool is_text(struct slice s) {
    struct buf b = empty(), one = empty(), all = empty();
    put_frame(&b, FIN | WS_TEXT, s);
    transcribe(buf_get(&b), 1, 0, &one);
    transcribe(buf_get(&b), 1 << 20, 0, &all);
    CHECK(slice_eq(buf_get(&one), buf_get(&all)));
    bool is = slice_starts(buf_get(&one), SLICE("text:"));
    CHECK(is || slice_eq(buf_get(&one), SLICE("!1007 ")));
    buf_deinit(&b);
    buf_deinit(&one);
    buf_deinit(&all);
    return is;
}

TEST(text) {
    static const char *const good[] = { "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
                                        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf",
                                        "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xe4\xbd\xa0\xe5\xa5\xbd", "" };
    static const char *const bad[] = { "\xcexx", "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
                                       "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
                                       "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "\xce", "\xe1\xbd", "\xf0\x90\x80" };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        NOTE("good %zu", i);
        CHECK(is_text(slice_str(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        NOTE("bad %zu", i);
        CHECK(!is_text(slice_str(bad[i])));
    }
    struct buf b = empty();
    put_text(&b, WS_TEXT, "\xe4\xbd"); /* a character over two frames [6.2] */
    put_text(&b, FIN | WS_CONTINUATION, "\xa0!");
    check(&b, "text:\xe4\xbd\xa0! ");
}

/* All texts of one to four bytes that matter: fails at the same byte at which it cannot become text any more. */
TEST_NOFAULT(text_early) {
    static const unsigned char edges[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
                                           0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
    size_t n = sizeof(edges), all = n * n * n;
    for (size_t k = 0; k < all; k++) {
        unsigned char s[4] = { edges[k % n], edges[k / n % n], edges[k / n / n], 0x80 };
        struct ws_reader r;
        struct ws_event ev;
        ws_reader_init(&r, true, 0);
        CHECK_INT(ws_read(&r, slice_of("\x01\x84\0\0\0\0", 6), &ev), 6); /* not the last frame */
        for (size_t i = 0; i < 4; i++) {
            long rc = ws_read(&r, slice_of((char *)s + i, 1), &ev);
            bool can = false; /* can any ending make it text? */
            for (unsigned c = 0; c < 64 * 64 * 4 && !can; c++) {
                char whole[7] = { (char)s[0], (char)s[1], (char)s[2], (char)s[3] };
                size_t more = c < 1 ? 0 : c < 64 ? 1 : 2;
                whole[i + 1] = (char)(0x80 | (c & 63));
                whole[i + 2] = (char)(0x80 | (c >> 6 & 63));
                whole[i + 3] = (char)0x80;
                for (; more < 4 && !can; more++)
                    can = i + 1 + more <= 6 && utf8_valid_prefix(slice_of(whole, i + 1 + more)) == i + 1 + more;
                if (c >= 64 && i > 1) break;
            }
            if (can != (rc >= 0)) FAIL("%02x %02x %02x %02x at %zu: %ld", s[0], s[1], s[2], s[3], i, rc);
            if (rc < 0) break;
        }
        ws_reader_deinit(&r);
    }
}

/* -- Memory and writing --------------------------------------------------------------------------- */

TEST_FAULT(taken) {
    struct buf b = empty();
    struct ws_reader r;
    struct ws_event ev;
    ws_reader_init(&r, true, 100);
    put_text(&b, FIN | WS_TEXT, "some text");
    if (FAULTED(b.error)) goto done;
    long n = ws_read(&r, buf_get(&b), &ev);
    if (FAULTED(n < 0 ? PERILUNE_ERR_NOMEM : 0)) goto done;
    CHECK_INT(ev.opcode, WS_TEXT);
    struct buf mine = r.message;
    buf_init(&r.message, mine.limit);
    CHECK(slice_eq(buf_get(&mine), SLICE("some text")));
    buf_deinit(&mine);
    n = ws_read(&r, buf_get(&b), &ev); /* and the next one */
    if (FAULTED(n < 0 ? PERILUNE_ERR_NOMEM : 0)) goto done;
    CHECK(slice_eq(ev.payload, SLICE("some text")));
    ws_reader_forget(&r);
    CHECK(r.message.data == NULL && !ws_reader_is_inside(&r));
done:
    ws_reader_deinit(&r);
    buf_deinit(&b);
}

TEST(writing) { /* a reader of a server's frames reads what is written */
    static const size_t lengths[] = { 0, 1, 125, 126, 65535, 65536, 70000 };
    static char text[70000];
    memset(text, 'y', sizeof(text));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct buf b = empty();
        struct ws_reader r;
        struct ws_event ev;
        ws_write_frame(&b, WS_TEXT, slice_of(text, lengths[i]));
        ws_reader_init(&r, false, 0);
        CHECK_INT(ws_read(&r, buf_get(&b), &ev), (long)buf_len(&b));
        CHECK_INT(ev.opcode, WS_TEXT);
        CHECK_INT(ev.payload.len, lengths[i]);
        CHECK_INT(buf_len(&b), lengths[i] + (lengths[i] < 126 ? 2 : lengths[i] < 65536 ? 4 : 10));
        ws_reader_deinit(&r);
        buf_deinit(&b);
    }
    struct buf b = empty();
    char reason[200];
    memset(reason, 'r', sizeof(reason));
    memcpy(reason + 121, "\xe4\xbd\xa0", 3); /* would be cut in the middle */
    ws_write_close(&b, WS_TOO_LARGE, slice_of(reason, sizeof(reason)));
    CHECK_INT(buf_len(&b), 2 + 2 + 121);
    CHECK(memcmp(buf_get(&b).ptr, "\x88\x7b\x03\xf1rr", 6) == 0);
    buf_deinit(&b);
}

/* -- Words in subprotocols ----------------------------------------------------------------------------- */

static bool decodes(const char *word, const char *want) {
    struct buf b = empty();
    bool ok = ws_decode_word(slice_str(word), &b) && !buf_failed(&b) && slice_eq(buf_get(&b), slice_str(want));
    buf_deinit(&b);
    return ok;
}

TEST(words) {
    CHECK(decodes("c2stMTIz", "sk-123") && decodes("c2stMTI", "sk-12") && decodes("c2stMQ", "sk-1") && decodes("", ""));
    CHECK(decodes("_-8", "\xff\xef"));
    CHECK(!decodes("c2stMR", "sk-1") && !decodes("c2stM", "sk-") && !decodes("c2stMQ==", "sk-1") && !decodes("_+8", "\xff\xef"));
    struct buf b = empty();
    base64_write(&b, SLICE("\xff\xef?"));
    base64_write(&b, SLICE("a"));
    CHECK(slice_eq(buf_get(&b), SLICE("/+8/YQ==")));
    buf_deinit(&b);
}

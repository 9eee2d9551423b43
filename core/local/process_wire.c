/* process_wire.c -- messages between Perilune and an engine in a process of its own.
 *
 *     | op, len | value | len bytes |        both ends are the same program on one machine: its own byte order
 *
 * A message has a length that its reader limits; a stream that breaks inside of one is lost as a whole.  What a model
 * is, is told in one message: numbers, four strings, and the texts of all tokens, so that nobody asks for them later:
 *
 *     | struct flat | name | bos | eos | template | lengths of all tokens' texts | the texts |
 *
 * The reader trusts none of it: a process whose memory was overwritten may say anything before it dies. */
#include "local/process_wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/mem.h"
#include "include/perilune.h"

uint64_t process_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- Bytes ------------------------------------------------------------------------------ */

/* 0: it can go on. */
static int await(int fd, short events, uint64_t until_ms) {
    for (;;) {
        uint64_t now = until_ms ? process_now_ms() : 0;
        if (until_ms != 0 && now >= until_ms) return PERILUNE_ERR_TIMEOUT;
        uint64_t left = until_ms - now;
        struct pollfd p = { .fd = fd, .events = events };
        int n = poll(&p, 1, until_ms == 0 ? -1 : left > 1 << 30 ? 1 << 30 : (int)left);
        if (n > 0) return 0; /* a broken connection is found out by who reads or writes */
        if (n < 0 && errno != EINTR) return PERILUNE_ERR_IO;
    }
}

int process_send(int fd, const void *bytes, size_t len, uint64_t until_ms) {
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            int rc = await(fd, POLLOUT, until_ms);
            if (rc != 0) return rc;
        } else if (n == 0 || errno != EINTR) {
            return PERILUNE_ERR_IO;
        }
    }
    return 0;
}

static int receive(int fd, void *bytes, size_t len, uint64_t until_ms) {
    char *at = bytes;
    while (len > 0) {
        ssize_t n = recv(fd, at, len, MSG_DONTWAIT);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            int rc = await(fd, POLLIN, until_ms);
            if (rc != 0) return rc;
        } else if (n == 0 || errno != EINTR) {
            return PERILUNE_ERR_IO;
        }
    }
    return 0;
}

int process_receive(int fd, struct process_head *h, struct buf *in, size_t most, uint64_t until_ms) {
    buf_clear(in);
    int rc = receive(fd, h, sizeof(*h), until_ms);
    if (rc != 0) return rc;
    if (h->len > most || h->len > PROCESS_MESSAGE) return PERILUNE_ERR_INVAL;
    char *room = buf_reserve(in, (size_t)h->len + 1);
    if (room == NULL) return PERILUNE_ERR_NOMEM;
    rc = receive(fd, room, h->len, until_ms);
    if (rc == 0) buf_advance(in, h->len);
    return rc;
}

void process_put(struct buf *out, enum process_op op, int64_t value, const void *bytes, size_t len) {
    struct process_head h = { .op = op, .len = (uint32_t)len, .value = value };
    buf_put(out, &h, sizeof(h));
    if (len > 0) buf_put(out, bytes, len);
}

/* -- A model ---------------------------------------------------------------------------------- */

/* What a model may have at most: beyond it nothing is computed with these numbers. */
#define VOCAB_MOST  (1u << 22)
#define CELLS_MOST  (1u << 28)
#define ROWS_MOST   (1u << 12)
#define BATCH_MOST  (1u << 17)
#define WIDTH_MOST  (1u << 20)
#define PIECE_MOST  UINT16_MAX
#define TEXT_MOST   (4u << 20)

struct flat {
    uint32_t kind, vocab, cells, row, sequences, batch, width, longest;
    uint32_t shares, apart, has_template;
    uint32_t name, bos, eos, chat_template, note; /* bytes, their NULs with them */
    uint64_t bytes;
};

struct flat_token {
    uint16_t special, plain;
    uint32_t is_end;
};

static uint32_t size_of(const char *s) { return s ? (uint32_t)strlen(s) + 1 : 1; }

static void put_text(struct buf *out, const char *s) { buf_put(out, s ? s : "", size_of(s)); }

static void put_pieces(struct buf *out, const struct perilune_engine *e, const struct perilune_engine_model *m) {
    const struct perilune_engine_facts *f = e->facts(m);
    struct buf texts;
    buf_init(&texts, PROCESS_MESSAGE);
    for (uint32_t t = 0; t < f->vocab && !buf_failed(&texts); t++) {
        struct flat_token one = { .is_end = e->is_end(m, (int32_t)t) };
        char *room = buf_reserve(&texts, 2 * (size_t)f->longest);
        if (room == NULL) break;
        one.special = (uint16_t)e->piece(m, (int32_t)t, PERILUNE_ENGINE_SPECIAL, room, f->longest);
        one.plain = (uint16_t)e->piece(m, (int32_t)t, 0, room + one.special, f->longest);
        buf_advance(&texts, (size_t)one.special + one.plain);
        buf_put(out, &one, sizeof(one));
    }
    if (buf_failed(&texts)) out->error = texts.error;
    buf_slice(out, buf_get(&texts));
    buf_deinit(&texts);
}

void process_put_facts(struct buf *out, const struct perilune_engine *e, const struct perilune_engine_model *m) {
    const struct perilune_engine_facts *f = e->facts(m);
    struct flat x = { f->kind, f->vocab, f->cells, f->row, f->sequences, f->batch, f->width, f->longest, f->shares,
                      f->apart, f->chat_template != NULL, size_of(f->name), size_of(f->bos), size_of(f->eos),
                      size_of(f->chat_template), size_of(f->note), f->bytes };
    if (f->longest == 0 || f->longest > PIECE_MOST) out->error = PERILUNE_ERR_LIMITED;
    buf_put(out, &x, sizeof(x));
    put_text(out, f->name);
    put_text(out, f->bos);
    put_text(out, f->eos);
    put_text(out, f->chat_template);
    put_text(out, f->note);
    if (!buf_failed(out)) put_pieces(out, e, m);
}

static bool cut(struct slice *s, size_t n, const char **at) {
    if (s->len < n) return false;
    *at = s->ptr;
    *s = slice_of(s->ptr + n, s->len - n);
    return true;
}

static bool cut_text(struct slice *s, uint32_t n, const char **at) {
    return n > 0 && n <= TEXT_MOST && cut(s, n, at) && memchr(*at, '\0', n) == *at + n - 1;
}

static bool is_possible(const struct flat *x) {
    return x->kind <= PERILUNE_ENGINE_RANK && x->vocab > 0 && x->vocab <= VOCAB_MOST && x->cells <= CELLS_MOST &&
           x->row <= x->cells && x->row > 0 && x->sequences > 0 && x->sequences <= ROWS_MOST && x->batch > 0 &&
           x->batch <= BATCH_MOST && x->width <= WIDTH_MOST && x->longest > 0 && x->longest <= PIECE_MOST &&
           (x->kind == PERILUNE_ENGINE_CHAT || x->width > 0);
}

static bool read_tokens(struct slice rest, const char *base, const struct flat *x, struct process_token *out) {
    const char *lens;
    if (!cut(&rest, x->vocab * sizeof(struct flat_token), &lens)) return false;
    for (uint32_t t = 0; t < x->vocab; t++) {
        struct flat_token one;
        const char *at;
        memcpy(&one, lens + t * sizeof(one), sizeof(one));
        if (one.special > x->longest || one.plain > x->longest ||
            !cut(&rest, (size_t)one.special + one.plain, &at)) return false;
        out[t] = (struct process_token){ (uint32_t)(at - base), one.special, one.plain, one.is_end != 0 };
    }
    return rest.len == 0;
}

int process_read_facts(struct slice said, struct perilune_engine_facts *f, struct process_token **tokens) {
    struct flat x;
    const char *base = said.ptr, *at;
    *tokens = NULL;
    if (!cut(&said, sizeof(x), &at)) return PERILUNE_ERR_INVAL;
    memcpy(&x, at, sizeof(x));
    *f = (struct perilune_engine_facts){ .kind = (enum perilune_engine_kind)x.kind, .vocab = x.vocab, .cells = x.cells,
                                         .row = x.row, .sequences = x.sequences, .batch = x.batch, .width = x.width,
                                         .longest = x.longest, .shares = x.shares != 0, .apart = x.apart != 0,
                                         .bytes = x.bytes };
    if (!is_possible(&x) || !cut_text(&said, x.name, &f->name) || !cut_text(&said, x.bos, &f->bos) ||
        !cut_text(&said, x.eos, &f->eos) || !cut_text(&said, x.chat_template, &f->chat_template) ||
        !cut_text(&said, x.note, &f->note))
        return PERILUNE_ERR_INVAL;
    if (!x.has_template) f->chat_template = NULL;
    *tokens = mem_alloc(x.vocab * sizeof(**tokens));
    if (*tokens == NULL) return PERILUNE_ERR_NOMEM;
    if (read_tokens(said, base, &x, *tokens)) return 0;
    mem_free(*tokens);
    *tokens = NULL;
    return PERILUNE_ERR_INVAL;
}

size_t process_memory_size(const struct perilune_engine_facts *f) {
    size_t logits = (size_t)f->batch * f->vocab, vectors = (size_t)f->sequences * f->width;
    return (f->kind == PERILUNE_ENGINE_CHAT ? logits : vectors) * sizeof(float);
}

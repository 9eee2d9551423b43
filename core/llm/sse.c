/* sse.c -- text/event-stream, in whatever pieces it comes.
 *
 *     event: delta\n         a block: lines up to a blank one
 *     data: {"a":\n
 *     data: 1}\n
 *     \n                     -> { name "delta", data "{\"a\":\n1}", raw: all of it }
 *
 * Two machines.  scan() runs over the bytes as they come and only knows where a
 * block ends; its whole memory is a few flags, so it does not care where the
 * bytes were cut.  dispatch() gets a block that is complete and takes it apart.
 * Blocks that lie whole in the caller's bytes are never copied; the beginning of
 * one that does not is kept in `in`.
 *
 * The end of a block is where implementations differ.  Here:
 *
 *   LF LF, CR CR, LF CR    ends with its last byte, at once.  An LF that follows
 *                          a final CR belongs to it and is swallowed.
 *   CRLF CR ?              waits for one byte: it is the first half of CRLF CRLF
 *                          in every stream that exists, and the LF must be in raw
 *                          for whoever forwards it.
 *   ":..." as first line   is a block by itself (and vanishes), so that comments
 *                          that keep a connection alive do not pile up.
 *
 * That makes events a function of the bytes and not of the packets, and it holds
 * no event back for a byte that may never come.
 *
 * Not done here: reconnecting (id is per event, retry is ignored), what data
 * means, UTF-8.
 *
 * Thread: the loop that owns it.  After an error the struct may only be
 * deinitialized. */
#include "llm/sse.h"

#include "include/perilune.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A buffer that one large event left behind is given back above this. */
#define KEEP_BYTES (16 * 1024)

enum {
    AT_BOM = 1,      /* nothing but, maybe, a part of a BOM came so far */
    LINE_EMPTY = 2,  /* the current line has no byte yet */
    FIRST_LINE = 4,  /* no line of this block has ended */
    COMMENT = 8,     /* the first line begins with a colon */
    AFTER_CR = 16,   /* the last byte was a CR that ended a line */
    CRLF = 32,       /* the last line of this block ended with CRLF */
    BLANK_CR = 64,   /* a CRLF and the CR of a blank line; LF or not? */
    SWALLOW_LF = 128 /* the block before ended with CR */
};
#define NEW_BLOCK (LINE_EMPTY | FIRST_LINE)

/* -- Taking a block apart --------------------------------------------------- */

static const char *find_line_end(const char *p, const char *end) {
#ifdef __SSE2__
    const __m128i lf = _mm_set1_epi8('\n');
    const __m128i cr = _mm_set1_epi8('\r');

    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, lf), _mm_cmpeq_epi8(x, cr));
        int mask = _mm_movemask_epi8(stop);
        if (mask != 0) return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && *p != '\n' && *p != '\r') p++;
    return p;
}

/* Takes the next line off *rest, without its end. */
static struct slice take_line(struct slice *rest) {
    const char *end = rest->ptr + rest->len;
    const char *stop = find_line_end(rest->ptr, end);
    const char *next = stop;

    if (next < end) next++;
    if (next < end && *stop == '\r' && *next == '\n') next++;
    struct slice line = slice_of(rest->ptr, (size_t)(stop - rest->ptr));
    *rest = slice_of(next, (size_t)(end - next));
    return line;
}

/* "name: value", "name:value" or "name"; one space is dropped, not more. */
static struct slice take_field(struct slice line, struct slice *value) {
    const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;

    *value = slice_of("", 0);
    if (colon == NULL) return line;
    size_t name_len = (size_t)(colon - line.ptr);
    *value = slice_of(colon + 1, line.len - name_len - 1);
    if (value->len > 0 && value->ptr[0] == ' ') *value = slice_of(value->ptr + 1, value->len - 1);
    return slice_of(line.ptr, name_len);
}

/* Adds a line of data: the first is borrowed, more of them are joined. */
static void add_data(struct sse *e, struct sse_event *ev, unsigned lines, struct slice value) {
    if (lines == 0) {
        ev->data = value;
        return;
    }
    if (lines == 1) {
        buf_clear(&e->data);
        buf_slice(&e->data, ev->data);
    }
    buf_putc(&e->data, '\n');
    buf_slice(&e->data, value);
    ev->data = buf_get(&e->data);
}

static int dispatch(struct sse *e, struct slice raw, sse_fn fn, void *ud) {
    struct slice none = slice_of("", 0);
    struct sse_event ev = { none, none, none, raw };
    struct slice rest = raw, value;
    unsigned lines = 0;

    while (rest.len > 0) {
        struct slice name = take_field(take_line(&rest), &value);
        if (slice_eq(name, SLICE("data")))
            add_data(e, &ev, lines++, value);
        else if (slice_eq(name, SLICE("event")))
            ev.name = value;
        else if (slice_eq(name, SLICE("id")) && memchr(value.ptr, 0, value.len) == NULL)
            ev.id = value;
    }
    if (lines == 0) return 0;
    if (lines > 1 && buf_failed(&e->data)) return PERILUNE_ERR_NOMEM;
    return fn(ud, &ev);
}

/* -- Finding the end of a block --------------------------------------------- */

static void set(struct sse *e, unsigned on, unsigned off) {
    e->state = (unsigned char)((e->state & ~off) | on);
}

/* The block ended.  Returns true, for scan(). */
static bool end_block(struct sse *e, bool with_cr) {
    e->state = (unsigned char)(NEW_BLOCK | (with_cr ? SWALLOW_LF : 0));
    return true;
}

/* A line that is not blank ended with c.  Does the block end with it? */
static bool end_line(struct sse *e, char c) {
    if (e->state & COMMENT) return end_block(e, c == '\r');
    set(e, LINE_EMPTY | (c == '\r' ? AFTER_CR : 0), FIRST_LINE | CRLF);
    return false;
}

/* Reads on in s from *at to the end of the block or of s.  True when the block
 * ended; *at is then behind it (0: it had ended before s). */
static bool scan(struct sse *e, struct slice s, size_t *at) {
    while (*at < s.len) {
        char c = s.ptr[*at];

        if (e->state & BLANK_CR) {
            *at += c == '\n';
            return end_block(e, false);
        }
        if (e->state & AFTER_CR) {
            set(e, c == '\n' ? CRLF : 0, AFTER_CR);
            if (c == '\n') {
                ++*at;
                continue;
            }
        }
        if (!(e->state & LINE_EMPTY) || (c != '\n' && c != '\r')) {
            unsigned comment = c == ':' && (e->state & NEW_BLOCK) == NEW_BLOCK ? COMMENT : 0;
            set(e, comment, LINE_EMPTY);
            const char *stop = find_line_end(s.ptr + *at, s.ptr + s.len);
            *at = (size_t)(stop - s.ptr);
            if (*at == s.len) break;
            ++*at;
            if (end_line(e, *stop)) return true;
        } else {
            ++*at;
            if (c == '\n' || !(e->state & CRLF)) return end_block(e, c == '\r');
            set(e, BLANK_CR, 0);
        }
    }
    return false;
}

/* -- Feeding ---------------------------------------------------------------- */

void sse_init(struct sse *e, size_t limit) {
    *e = (struct sse){ .limit = limit, .state = AT_BOM | NEW_BLOCK };
    buf_init(&e->in, 0);
    buf_init(&e->data, 0);
}

void sse_deinit(struct sse *e) {
    buf_deinit(&e->in);
    buf_deinit(&e->data);
}

static int keep(struct sse *e, struct slice s) {
    if (s.len == 0) return 0;
    buf_slice(&e->in, s);
    return buf_failed(&e->in) ? PERILUNE_ERR_NOMEM : 0;
}

static bool over_limit(const struct sse *e, size_t more) {
    return e->limit != 0 && buf_len(&e->in) + more > e->limit;
}

/* Drops a BOM at the start of the stream from *s; the pieces of a split one
 * wait in `in`, and are the beginning of a line when the rest does not come. */
static int skip_bom(struct sse *e, struct slice *s) {
    static const char bom[3] = { '\xEF', '\xBB', '\xBF' };

    while (s->len > 0 && buf_len(&e->in) < 3 && s->ptr[0] == bom[buf_len(&e->in)]) {
        int rc = keep(e, slice_of(s->ptr, 1));
        if (rc != 0) return rc;
        *s = slice_of(s->ptr + 1, s->len - 1);
    }
    if (buf_len(&e->in) == 3) {
        buf_clear(&e->in);
        set(e, 0, AT_BOM);
    } else if (s->len > 0) {
        set(e, 0, AT_BOM | (buf_len(&e->in) > 0 ? LINE_EMPTY : 0));
    }
    return 0;
}

/* The block ends with s, and begins in `in` when something is there. */
static int finish_block(struct sse *e, struct slice s, sse_fn fn, void *ud) {
    if (over_limit(e, s.len)) return PERILUNE_ERR_LIMITED;
    if (buf_len(&e->in) == 0) {
        int rc = dispatch(e, s, fn, ud);
        buf_shed(&e->data, KEEP_BYTES);
        return rc;
    }
    int rc = keep(e, s);
    if (rc == 0) rc = dispatch(e, buf_get(&e->in), fn, ud);
    buf_shed(&e->in, KEEP_BYTES);
    buf_shed(&e->data, KEEP_BYTES);
    return rc;
}

int sse_feed(struct sse *e, struct slice s, sse_fn fn, void *ud) {
    int rc = 0;

    if (e->state & AT_BOM) rc = skip_bom(e, &s);
    while (rc == 0 && s.len > 0) {
        if (e->state & SWALLOW_LF) {
            set(e, 0, SWALLOW_LF);
            if (s.ptr[0] == '\n') {
                s = slice_of(s.ptr + 1, s.len - 1);
                continue;
            }
        }
        size_t at = 0;
        if (!scan(e, s, &at)) break;
        rc = finish_block(e, slice_of(s.ptr, at), fn, ud);
        s = slice_of(s.ptr + at, s.len - at);
    }
    if (rc != 0) return rc;
    return over_limit(e, s.len) ? PERILUNE_ERR_LIMITED : keep(e, s);
}

/* What is missing to the blank line, in the style of the block. */
static struct slice missing_end(const struct sse *e) {
    bool crlf = e->state & CRLF;

    if (e->state & BLANK_CR) return SLICE("\n");
    /* After CR an LF only completes that CR: it needs both. */
    if ((e->state & LINE_EMPTY) && !(e->state & AFTER_CR)) return crlf ? SLICE("\r\n") : SLICE("\n");
    return crlf ? SLICE("\r\n\r\n") : SLICE("\n\n");
}

int sse_finish(struct sse *e, sse_fn fn, void *ud) {
    if (buf_len(&e->in) == 0) return 0;
    int rc = keep(e, missing_end(e));
    if (rc == 0) rc = dispatch(e, buf_get(&e->in), fn, ud);
    buf_shed(&e->in, KEEP_BYTES);
    buf_shed(&e->data, KEEP_BYTES);
    e->state = NEW_BLOCK;
    return rc;
}

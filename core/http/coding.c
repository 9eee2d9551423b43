/* coding.c -- gzip, deflate and zstd between bytes and bytes.
 *
 *     coded --> decoder_feed --> plain          plain --> encoder_feed --> coded
 *
 * Decoding is done on bytes of strangers: a few of them can stand for gigabytes.  So what
 * comes out is counted and has a limit, it comes out in steps of STEP bytes, and the window
 * of a zstd frame, which says itself how much memory it wants, may have 8 MiB (RFC 9659).
 * Bodies of several gzip members or zstd frames are one body.  "deflate" is zlib's format
 * (RFC 9110 8.4.1.2), but some send it without zlib's two bytes in front: the first byte
 * tells which.
 *
 * Encoding is done on the loop's thread, between requests of others: levels are those
 * where a byte costs little.
 *
 * Memory of zlib is ours (mem.c), that of zstd is its own: its stable interface takes no
 * allocator.
 *
 * Thread: any; an object belongs to one. */
#include "http/coding.h"

#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "flow/headers.h"
#include "include/perilune.h"

#define STEP            (16 * 1024) /* bytes decoded or encoded before the buffer grows */
#define WINDOW_LOG_MAX  23
#define GZIP_LEVEL      1  /* 4 would be 10% smaller, at half the speed */
#define GZIP_MEMORY     8  /* 256 KiB for the encoder */
#define ZSTD_LEVEL      1
#define SMALL_MEMORY    5  /* with a window of 4 KiB: 32 KiB */
#define SMALL_WINDOW    12
#define SMALL_ZSTD      1
#define GZIP_WINDOW     (16 + MAX_WBITS) /* 16: with gzip's frame */

static const struct slice names[] = {
    [CODING_NONE] = SLICE("identity"), [CODING_GZIP] = SLICE("gzip"), [CODING_DEFLATE] = SLICE("deflate"),
    [CODING_ZSTD] = SLICE("zstd"),
};

const char *coding_name(enum coding c) { return c < CODING_UNKNOWN ? names[c].ptr : "unknown"; }

static enum coding coding_named(struct slice name) {
    if (name.len == 0) return CODING_NONE;
    if (slice_eq_nocase(name, SLICE("x-gzip"))) return CODING_GZIP;
    for (unsigned c = CODING_NONE; c < CODING_UNKNOWN; c++)
        if (slice_eq_nocase(name, names[c])) return (enum coding)c;
    return CODING_UNKNOWN;
}

enum coding coding_over(enum coding inner, enum coding outer) {
    if (inner == CODING_NONE) return outer;
    return outer == CODING_NONE ? inner : CODING_UNKNOWN;
}

enum coding coding_of(struct slice value) {
    enum coding coding = CODING_NONE;
    struct slice name;
    while (headers_value_next(&value, &name)) coding = coding_over(coding, coding_named(name));
    return coding;
}

/* -- Accept-Encoding --------------------------------------------------------------- */

/* Thousandths; what is none is 0, so that nobody gets what he may not have meant. */
static int weight_of(struct slice s) {
    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1')) return 0;
    int w = (s.ptr[0] - '0') * 1000, unit = 100;
    for (size_t i = 1; i < s.len; i++) {
        if (i == 1 && s.ptr[i] == '.') continue;
        if (i == 1 || s.ptr[i] < '0' || s.ptr[i] > '9') return 0;
        w += (s.ptr[i] - '0') * unit;
        unit /= 10;
    }
    return w <= 1000 ? w : 0;
}

/* Takes the part before the next `mark` off *rest. */
static struct slice take_part(struct slice *rest, char mark) {
    const char *at = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
    struct slice part = at ? slice_of(rest->ptr, (size_t)(at - rest->ptr)) : *rest;
    *rest = at ? slice_of(at + 1, rest->len - part.len - 1) : slice_of(NULL, 0);
    return slice_trim(part);
}

/* "gzip;q=0.5": the name, and the weight in *weight. */
static struct slice take_choice(struct slice element, int *weight) {
    struct slice name = take_part(&element, ';');
    *weight = 1000;
    while (element.len > 0) {
        struct slice parameter = take_part(&element, ';');
        if (slice_starts_nocase(parameter, SLICE("q=")))
            *weight = weight_of(slice_of(parameter.ptr + 2, parameter.len - 2));
    }
    return name;
}

enum coding coding_choose(struct slice accept) {
    int gzip = -1, zstd = -1, any = -1, plain = -1, weight;
    while (accept.len > 0) {
        struct slice name = take_choice(take_part(&accept, ','), &weight);
        if (slice_eq_nocase(name, SLICE("gzip")) || slice_eq_nocase(name, SLICE("x-gzip"))) gzip = weight;
        else if (slice_eq_nocase(name, SLICE("zstd"))) zstd = weight;
        else if (slice_eq_nocase(name, SLICE("identity"))) plain = weight;
        else if (slice_eq(name, SLICE("*"))) any = weight;
    }
    if (gzip < 0) gzip = any; /* "*" is a wish for what everybody knows, hardly for zstd */
    if (zstd > 0 && zstd >= gzip && zstd >= plain) return CODING_ZSTD;
    return gzip > 0 && gzip >= plain ? CODING_GZIP : CODING_NONE;
}

/* -- Decoding ------------------------------------------------------------------------ */

struct decoder {
    enum coding   coding;
    size_t        left;  /* of the limit */
    bool          begun; /* bytes have come */
    bool          whole; /* and the last of them ended a member or frame */
    z_stream      z;
    ZSTD_DStream *zstd;
};

static void *z_take(void *ud, unsigned n, unsigned size) {
    (void)ud;
    return mem_zalloc((size_t)n * size);
}

static void z_give(void *ud, void *ptr) {
    (void)ud;
    mem_free(ptr);
}

struct decoder *decoder_new(enum coding c, size_t limit) {
    struct decoder *d = mem_zalloc(sizeof(*d));
    if (d == NULL) return NULL;
    d->coding = c;
    d->left = limit;
    d->whole = c == CODING_NONE;
    d->z.zalloc = z_take;
    d->z.zfree = z_give;
    bool ok = true;
    if (c == CODING_GZIP) ok = inflateInit2(&d->z, GZIP_WINDOW) == Z_OK;
    if (c == CODING_ZSTD) {
        d->zstd = ZSTD_createDStream();
        ok = d->zstd != NULL && !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX));
    }
    if (ok) return d;
    decoder_free(d);
    return NULL;
}

void decoder_free(struct decoder *d) {
    if (d == NULL) return;
    if (d->z.state != NULL) inflateEnd(&d->z);
    ZSTD_freeDStream(d->zstd);
    mem_free(d);
}

/* Room for a step, or for what is left of the limit and the byte that breaks it. */
static char *room_for(struct decoder *d, struct buf *out, size_t *size) {
    *size = d->left < STEP ? d->left + 1 : STEP;
    return buf_reserve(out, *size);
}

static int came_out(struct decoder *d, struct buf *out, size_t n) {
    if (n > d->left) return PERILUNE_ERR_LIMITED;
    d->left -= n;
    buf_advance(out, n);
    return 0;
}

static int copy(struct decoder *d, struct slice in, struct buf *out) {
    if (in.len > d->left) return PERILUNE_ERR_LIMITED;
    d->left -= in.len;
    buf_slice(out, in);
    return out->error;
}

static int open_deflate(struct decoder *d, unsigned char first) {
    bool zlib = (first & 0x0f) == Z_DEFLATED && first >> 4 <= 7;
    return inflateInit2(&d->z, zlib ? MAX_WBITS : -MAX_WBITS) == Z_OK ? 0 : PERILUNE_ERR_NOMEM;
}

/* Zeros behind a member, which gzip itself takes for the rest of a tape's block. */
static void skip_padding(z_stream *z) {
    for (; z->avail_in > 0 && *z->next_in == 0; z->avail_in--) z->next_in++;
}

static int feed_zlib(struct decoder *d, struct slice in, struct buf *out) {
    if (!d->begun && d->coding == CODING_DEFLATE && open_deflate(d, (unsigned char)in.ptr[0]) != 0)
        return PERILUNE_ERR_NOMEM;
    d->z.next_in = (unsigned char *)(uintptr_t)in.ptr;
    d->z.avail_in = (unsigned)in.len;
    for (;;) {
        size_t size;
        char *to = room_for(d, out, &size);
        if (to == NULL) return out->error;
        if (d->whole && d->coding == CODING_GZIP) skip_padding(&d->z);
        if (d->whole && d->z.avail_in > 0) { /* another member */
            if (d->coding != CODING_GZIP || inflateReset(&d->z) != Z_OK) return PERILUNE_ERR_INVAL;
            d->whole = false;
        }
        d->z.next_out = (unsigned char *)to;
        d->z.avail_out = (unsigned)size;
        int rc = d->whole ? Z_BUF_ERROR : inflate(&d->z, Z_NO_FLUSH);
        size_t n = size - d->z.avail_out;
        if (rc == Z_MEM_ERROR) return PERILUNE_ERR_NOMEM;
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) return PERILUNE_ERR_INVAL;
        if (rc == Z_STREAM_END) d->whole = true;
        if (came_out(d, out, n) != 0) return PERILUNE_ERR_LIMITED;
        if (d->z.avail_in == 0 && d->z.avail_out > 0) return 0;
        if (rc == Z_BUF_ERROR) return d->z.avail_in == 0 ? 0 : PERILUNE_ERR_INVAL;
    }
}

static int feed_zstd(struct decoder *d, struct slice in, struct buf *out) {
    ZSTD_inBuffer from = { in.ptr, in.len, 0 };
    for (;;) {
        size_t size;
        char *to = room_for(d, out, &size);
        if (to == NULL) return out->error;
        ZSTD_outBuffer into = { to, size, 0 };
        size_t rc = ZSTD_decompressStream(d->zstd, &into, &from);
        if (ZSTD_isError(rc)) return PERILUNE_ERR_INVAL;
        d->whole = rc == 0;
        if (came_out(d, out, into.pos) != 0) return PERILUNE_ERR_LIMITED;
        if (from.pos == from.size && (d->whole || into.pos < size)) return 0;
    }
}

int decoder_feed(struct decoder *d, struct slice in, struct buf *out) {
    int rc = 0;
    while (rc == 0 && in.len > 0) {
        struct slice piece = slice_of(in.ptr, in.len > 1 << 30 ? 1 << 30 : in.len); /* zlib counts in 32 bits */
        if (d->coding == CODING_NONE) rc = copy(d, piece, out);
        else if (d->coding == CODING_ZSTD) rc = feed_zstd(d, piece, out);
        else if (d->coding == CODING_UNKNOWN) rc = PERILUNE_ERR_INVAL;
        else rc = feed_zlib(d, piece, out);
        d->begun = true;
        in = slice_of(in.ptr + piece.len, in.len - piece.len);
    }
    return rc;
}

int decoder_end(const struct decoder *d) { return d->whole ? 0 : PERILUNE_ERR_INVAL; }

int coding_decode(enum coding c, struct slice in, size_t limit, struct buf *out) {
    struct decoder *d = decoder_new(c, limit);
    if (d == NULL) return PERILUNE_ERR_NOMEM;
    int rc = decoder_feed(d, in, out);
    if (rc == 0) rc = decoder_end(d);
    decoder_free(d);
    return rc;
}

enum coding coding_of_body(const struct http_header *headers, unsigned count) {
    enum coding coding = CODING_NONE;
    for (unsigned i = 0; i < count; i++) {
        if (!slice_eq_nocase(headers[i].name, SLICE("content-encoding"))) continue;
        coding = coding_over(coding, coding_of(headers[i].value));
    }
    return coding;
}

void coding_forget(struct http_header *headers, unsigned *count) {
    unsigned kept = 0;
    for (unsigned i = 0; i < *count; i++)
        if (!slice_eq_nocase(headers[i].name, SLICE("content-encoding"))) headers[kept++] = headers[i];
    *count = kept;
}

static int decoding_failed(int err, const char **why) {
    *why = "out of memory";
    if (err == PERILUNE_ERR_NOMEM) return 503;
    *why = "the body is over the limit when it is decoded (limits.body)";
    if (err == PERILUNE_ERR_LIMITED) return 413;
    *why = "the body is not what its content-encoding says, or it is cut off";
    return 400;
}

int coding_take_off(enum coding c, struct buf *body, size_t limit, const char **why) {
    if (buf_len(body) == 0 || c == CODING_NONE) return 0;
    if (c == CODING_UNKNOWN) {
        *why = "this content-encoding cannot be read here; one of " CODINGS_KNOWN " can";
        return 415;
    }
    struct buf plain;
    buf_init(&plain, 0);
    int rc = coding_decode(c, buf_get(body), limit, &plain);
    if (rc != 0) {
        buf_deinit(&plain);
        return decoding_failed(rc, why);
    }
    buf_deinit(body);
    *body = plain;
    return 0;
}

/* -- Encoding ------------------------------------------------------------------------- */

struct encoder {
    enum coding   coding;
    z_stream      z;
    ZSTD_CStream *zstd;
};

static bool open_zstd(struct encoder *e, bool small) {
    e->zstd = ZSTD_createCStream();
    if (e->zstd == NULL) return false;
    if (!small) return !ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL));
    return !ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, SMALL_ZSTD)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_windowLog, SMALL_WINDOW));
}

struct encoder *encoder_new(enum coding c, bool small) {
    struct encoder *e = mem_zalloc(sizeof(*e));
    if (e == NULL) return NULL;
    e->coding = c;
    e->z.zalloc = z_take;
    e->z.zfree = z_give;
    bool ok = c == CODING_ZSTD ? open_zstd(e, small)
                               : deflateInit2(&e->z, GZIP_LEVEL, Z_DEFLATED, small ? 16 + SMALL_WINDOW : GZIP_WINDOW,
                                              small ? SMALL_MEMORY : GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
    if (ok) return e;
    encoder_free(e);
    return NULL;
}

void encoder_free(struct encoder *e) {
    if (e == NULL) return;
    if (e->z.state != NULL) deflateEnd(&e->z);
    ZSTD_freeCStream(e->zstd);
    mem_free(e);
}

static int pack_zlib(struct encoder *e, struct slice in, enum encoder_mode mode, struct buf *out) {
    e->z.next_in = (unsigned char *)(uintptr_t)in.ptr;
    e->z.avail_in = (unsigned)in.len;
    do {
        char *to = buf_reserve(out, STEP);
        if (to == NULL) return out->error;
        e->z.next_out = (unsigned char *)to;
        e->z.avail_out = STEP;
        deflate(&e->z, mode == ENCODER_END ? Z_FINISH : Z_SYNC_FLUSH); /* cannot fail: there is room */
        buf_advance(out, STEP - e->z.avail_out);
    } while (e->z.avail_out == 0);
    if (mode == ENCODER_END) deflateReset(&e->z);
    return 0;
}

static int pack_zstd(struct encoder *e, struct slice in, enum encoder_mode mode, struct buf *out) {
    ZSTD_inBuffer from = { in.ptr, in.len, 0 };
    for (;;) {
        char *to = buf_reserve(out, STEP);
        if (to == NULL) return out->error;
        ZSTD_outBuffer into = { to, STEP, 0 };
        size_t left = ZSTD_compressStream2(e->zstd, &into, &from, mode == ENCODER_END ? ZSTD_e_end : ZSTD_e_flush);
        if (ZSTD_isError(left)) return PERILUNE_ERR_NOMEM; /* the only way in which it can fail */
        buf_advance(out, into.pos);
        if (left == 0) return 0;
    }
}

int encoder_feed(struct encoder *e, struct slice in, enum encoder_mode mode, struct buf *out) {
    if (in.len >= UINT32_MAX) return PERILUNE_ERR_LIMITED;
    return e->coding == CODING_ZSTD ? pack_zstd(e, in, mode, out) : pack_zlib(e, in, mode, out);
}

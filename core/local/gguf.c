/* gguf.c -- what a GGUF file says of itself, read without the library.
 *
 *     "GGUF" version u32, tensors u64, pairs u64
 *     pair    key, type u32, value          (an array: type u32, count u64, elements)       } the header,
 *     tensor  name, dims u32, ne u64..., type u32, offset u64                               } in memory
 *     padding to the alignment
 *     data    [ tensor ][ padding ][ tensor ]...                                            } only looked up
 *
 * The library that runs models trusts their files in places: it asserts, and an assertion ends the process with all
 * the requests that are in it.  So nothing gets there that has not been through here (the shape of the file) and
 * through facts.c (what the numbers mean).  This code trusts nothing: every count is compared with what is left of the
 * file before anything is multiplied by it, all sums are of 64 bits and checked, and memory grows with what was read
 * rather than with what was promised.
 *
 * The header is read into memory as a whole, first a piece, then twice as much until it fits: a file that is cut or
 * replaced under us would otherwise be a signal (SIGBUS) where it is mapped.
 *
 * INVARIANTS.  After success: keys are unique and hold no NUL, neither do names; no array holds arrays; a bool is 0
 * or 1; tensors stand one behind the other, each aligned, in the order in which they are described (the library takes
 * no other), and end within the file.
 *
 * Does not: judge whether this is a model, or one that works (facts.c); read weights. */
#include "local/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/little.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "local/gguf_types.h"

#define FIRST_READ    (1u << 20)
#define ALIGNMENT     32    /* where the file says none */
#define ALIGNMENT_MAX 65536
#define SHOWN         60    /* bytes of a name in a sentence */

/* ORDER gguf_type */
static const uint8_t sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

/* -- Reading ---------------------------------------------------------------------------------- */

struct reader {
    struct gguf *g;
    size_t       at;
    char        *why;
    size_t       why_size;
    char         shown[SHOWN + 4]; /* a name for the sentence */
};

static int bad(struct reader *r, size_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int bad(struct reader *r, size_t at, const char *fmt, ...) {
    char text[GGUF_WHY];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(r->why, r->why_size, "byte %zu: %s", at, text);
    return PERILUNE_ERR_INVAL;
}

/* A name that somebody else wrote, as it may be shown. */
static const char *show(struct reader *r, struct slice name) {
    char text[SHOWN + 1];
    slice_copy(text, sizeof(text), name);
    slice_mute(text);
    snprintf(r->shown, sizeof(r->shown), "%s%s", text, name.len > SHOWN ? "..." : "");
    return r->shown;
}

static uint64_t left(const struct reader *r) { return r->g->file_size - r->at; }

/* Are there n more bytes, and are they here? */
static int need(struct reader *r, uint64_t n, const char *what) {
    if (n > left(r))
        return bad(r, r->at, "%s needs %" PRIu64 " bytes, and the file ends at byte %" PRIu64
                   ": it is cut off or broken", what, n, r->g->file_size);
    if (n <= r->g->header.len - r->at) return 0;
    r->g->more = true;
    return bad(r, r->at, "%s goes beyond the first %zu bytes, which is more of a header than is read", what,
               r->g->header.len);
}

static uint64_t little_u64(const char *p) { return little_u32(p) | (uint64_t)little_u32(p + 4) << 32; }

static int read_u32(struct reader *r, const char *what, uint32_t *out) {
    int rc = need(r, 4, what);
    if (rc != 0) return rc;
    *out = little_u32(r->g->header.ptr + r->at);
    r->at += 4;
    return 0;
}

static int read_u64(struct reader *r, const char *what, uint64_t *out) {
    int rc = need(r, 8, what);
    if (rc != 0) return rc;
    *out = little_u64(r->g->header.ptr + r->at);
    r->at += 8;
    return 0;
}

static int read_string(struct reader *r, const char *what, struct slice *out) {
    uint64_t len;
    int rc = read_u64(r, what, &len);
    if (rc == 0) rc = need(r, len, what);
    if (rc != 0) return rc;
    *out = slice_of(r->g->header.ptr + r->at, (size_t)len);
    r->at += (size_t)len;
    return 0;
}

/* -- The first 24 bytes --------------------------------------------------------------------------- */

static int read_start(struct reader *r, uint64_t *tensors, uint64_t *pairs) {
    struct gguf *g = r->g;
    int rc = need(r, 4, "\"GGUF\"");
    if (rc != 0) return rc;
    if (memcmp(g->header.ptr, "GGUF", 4) != 0) {
        char text[5];
        slice_copy(text, sizeof(text), slice_of(g->header.ptr, 4));
        slice_mute(text);
        return bad(r, 0, "begins with \"%s\", not with \"GGUF\": this is no GGUF file", text);
    }
    r->at = 4;
    rc = read_u32(r, "the version", &g->version);
    if (rc != 0) return rc;
    if (g->version == 1) return bad(r, 4, "version 1, which nobody reads any more: convert the model anew");
    if ((g->version & 0xFFFF) == 0 && g->version != 0)
        return bad(r, 4, "the file is big-endian: convert the model for a little-endian machine");
    if (g->version != 2 && g->version != 3)
        return bad(r, 4, "version %" PRIu32 "; versions 2 and 3 are read", g->version);
    rc = read_u64(r, "the number of tensors", tensors);
    if (rc == 0) rc = read_u64(r, "the number of key-value pairs", pairs);
    if (rc != 0) return rc;
    if (*tensors > GGUF_TENSORS_MAX)
        return bad(r, 8, "%" PRIu64 " tensors, which is more than %d", *tensors, GGUF_TENSORS_MAX);
    if (*pairs > GGUF_PAIRS_MAX)
        return bad(r, 16, "%" PRIu64 " key-value pairs, which is more than %d", *pairs, GGUF_PAIRS_MAX);
    return 0;
}

/* -- Names are unique --------------------------------------------------------------------------------- */

/* Twice as many places as names at least: a search ends.  A name is a slice at the front of each item. */
struct names {
    uint32_t   *places; /* index + 1 */
    unsigned    mask;
    const char *items;
    size_t      size;
};

static int names_init(struct names *n, const void *items, size_t size, uint64_t count) {
    unsigned room = 16;
    while (room < count * 2) room *= 2;
    *n = (struct names){ mem_zalloc(room * sizeof(uint32_t)), room - 1, items, size };
    return n->places != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

/* Puts the i-th in; false: its name was there. */
static bool names_add(struct names *n, unsigned i) {
    const struct slice *name = (const void *)(n->items + i * n->size);
    uint64_t at = hash_fnv(*name);
    for (; n->places[at & n->mask] != 0; at++) {
        const struct slice *other = (const void *)(n->items + (n->places[at & n->mask] - 1) * n->size);
        if (slice_eq(*name, *other)) return false;
    }
    n->places[at & n->mask] = i + 1;
    return true;
}

/* -- Pairs --------------------------------------------------------------------------------------------- */

static int check_bools(struct reader *r, const struct gguf_pair *p) {
    if (p->of != GGUF_BOOL) return 0;
    for (uint64_t i = 0; i < p->count; i++)
        if ((unsigned char)r->g->header.ptr[p->at + i] > 1)
            return bad(r, p->at + (size_t)i, "'%s' is neither true nor false", show(r, p->key));
    return 0;
}

static int skip_strings(struct reader *r, uint64_t count) {
    struct slice text;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count; i++) rc = read_string(r, "a text in an array", &text);
    return rc;
}

static int skip_value(struct reader *r, struct gguf_pair *p) {
    unsigned size = p->of == GGUF_STRING ? 8 : sizes[p->of]; /* a text has its length at least */
    if (p->count > left(r) / size)
        return bad(r, r->at, "'%s' has %" PRIu64 " elements, and the file ends at byte %" PRIu64
                   ": it is cut off or broken", show(r, p->key), p->count, r->g->file_size);
    p->at = r->at;
    if (p->of == GGUF_STRING) return skip_strings(r, p->count);
    int rc = need(r, p->count * size, "a value");
    if (rc == 0) rc = check_bools(r, p);
    if (rc == 0) r->at += (size_t)(p->count * size);
    return rc;
}

static int read_type(struct reader *r, const char *what, struct slice key, uint32_t *out) {
    size_t at = r->at;
    int rc = read_u32(r, what, out);
    if (rc == 0 && *out > GGUF_F64)
        rc = bad(r, at, "'%s' is of type %" PRIu32 ", which does not exist", show(r, key), *out);
    return rc;
}

static int read_pair(struct reader *r, struct gguf_pair *p) {
    uint32_t type, of;
    size_t at = r->at;
    int rc = read_string(r, "a key", &p->key);
    if (rc != 0) return rc;
    if (p->key.len == 0 || p->key.len > GGUF_KEY_MAX || memchr(p->key.ptr, '\0', p->key.len) != NULL)
        return bad(r, at, "a key of %zu bytes%s", p->key.len,
                   p->key.len == 0 || p->key.len > GGUF_KEY_MAX ? ", not 1 to 65535" : " with a NUL in it");
    rc = read_type(r, "the type of a value", p->key, &type);
    p->type = type;
    p->of = type;
    p->count = 1;
    if (rc != 0 || type != GGUF_ARRAY) return rc != 0 ? rc : skip_value(r, p);
    size_t of_at = r->at;
    rc = read_type(r, "the type of an array's elements", p->key, &of);
    if (rc == 0 && of == GGUF_ARRAY) rc = bad(r, of_at, "'%s' is an array of arrays", show(r, p->key));
    if (rc == 0) rc = read_u64(r, "the length of an array", &p->count);
    p->of = of;
    return rc != 0 ? rc : skip_value(r, p);
}

static int read_pairs(struct reader *r, uint64_t count) {
    struct gguf *g = r->g;
    struct names names = { .places = NULL };
    unsigned cap = 0;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        if (!mem_grow((void **)&g->pairs, g->pair_count, &cap, sizeof(*g->pairs))) return PERILUNE_ERR_NOMEM;
        rc = read_pair(r, &g->pairs[g->pair_count]);
        if (rc == 0) g->pair_count++;
    }
    if (rc == 0) rc = names_init(&names, g->pairs, sizeof(*g->pairs), g->pair_count);
    for (unsigned i = 0; rc == 0 && i < g->pair_count; i++)
        if (!names_add(&names, i))
            rc = bad(r, (size_t)(g->pairs[i].key.ptr - g->header.ptr), "the key '%s' is there twice",
                     show(r, g->pairs[i].key));
    mem_free(names.places);
    return rc;
}

static int read_alignment(struct reader *r) {
    struct gguf *g = r->g;
    const struct gguf_pair *p = gguf_find(g, "general.alignment");
    uint64_t n = ALIGNMENT;
    if (p != NULL && p->type != GGUF_U32) return bad(r, p->at, "general.alignment is no unsigned number of 32 bits");
    if (p != NULL) gguf_u64_at(g, p, 0, &n);
    if (n < 8 || n > ALIGNMENT_MAX || (n & (n - 1)) != 0)
        return bad(r, p->at, "general.alignment is %" PRIu64 ", not a power of 2 from 8 to %d", n, ALIGNMENT_MAX);
    g->alignment = (uint32_t)n;
    return 0;
}

/* -- Tensors --------------------------------------------------------------------------------------------- */

static int read_shape(struct reader *r, struct gguf_tensor *t) {
    int rc = read_u32(r, "the number of dimensions", &t->dims);
    if (rc == 0 && (t->dims == 0 || t->dims > GGUF_DIMS))
        rc = bad(r, r->at - 4, "tensor '%s' has %" PRIu32 " dimensions, not 1 to %d", show(r, t->name), t->dims,
                 GGUF_DIMS);
    t->count = 1;
    for (unsigned i = 0; rc == 0 && i < GGUF_DIMS; i++) {
        t->ne[i] = 1;
        if (i >= t->dims) continue;
        rc = read_u64(r, "a dimension", &t->ne[i]);
        if (rc == 0 && (t->ne[i] == 0 || t->ne[i] > INT64_MAX / t->count))
            rc = bad(r, r->at - 8, "tensor '%s': dimension %u of %" PRIu64 " numbers cannot be", show(r, t->name), i,
                     t->ne[i]);
        if (rc == 0) t->count *= t->ne[i];
    }
    return rc;
}

static int read_tensor_type(struct reader *r, struct gguf_tensor *t) {
    size_t at = r->at;
    int rc = read_u32(r, "the type of a tensor", &t->type);
    if (rc != 0) return rc;
    const struct gguf_tensor_type *type = gguf_tensor_type(t->type);
    if (type == NULL)
        return bad(r, at, "tensor '%s' is of type %" PRIu32 ", which is not known", show(r, t->name), t->type);
    if (t->ne[0] % type->block != 0)
        return bad(r, at, "tensor '%s': a row of %" PRIu64 " numbers has no whole number of %s blocks, of %u",
                   show(r, t->name), t->ne[0], type->name, type->block);
    if (t->count / type->block > INT64_MAX / type->bytes)
        return bad(r, at, "tensor '%s' is too large", show(r, t->name));
    t->bytes = t->count / type->block * type->bytes;
    return 0;
}

static int read_tensor(struct reader *r, struct gguf_tensor *t) {
    t->at = r->at;
    int rc = read_string(r, "the name of a tensor", &t->name);
    if (rc != 0) return rc;
    if (t->name.len == 0 || t->name.len > GGUF_NAME_MAX || memchr(t->name.ptr, '\0', t->name.len) != NULL)
        return bad(r, t->at, "a tensor's name of %zu bytes%s", t->name.len,
                   t->name.len == 0 || t->name.len > GGUF_NAME_MAX ? ", not 1 to 63" : " with a NUL in it");
    rc = read_shape(r, t);
    if (rc == 0) rc = read_tensor_type(r, t);
    if (rc == 0) rc = read_u64(r, "the place of a tensor", &t->offset);
    return rc;
}

static int read_tensors(struct reader *r, uint64_t count) {
    struct gguf *g = r->g;
    struct names names = { .places = NULL };
    unsigned cap = 0;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        if (!mem_grow((void **)&g->tensors, g->tensor_count, &cap, sizeof(*g->tensors))) return PERILUNE_ERR_NOMEM;
        rc = read_tensor(r, &g->tensors[g->tensor_count]);
        if (rc == 0) g->tensor_count++;
    }
    if (rc == 0) rc = names_init(&names, g->tensors, sizeof(*g->tensors), g->tensor_count);
    for (unsigned i = 0; rc == 0 && i < g->tensor_count; i++)
        if (!names_add(&names, i))
            rc = bad(r, g->tensors[i].at, "the tensor '%s' is there twice", show(r, g->tensors[i].name));
    mem_free(names.places);
    return rc;
}

/* Each begins where the one in front of it ends, and the last one ends within the file.  Sums stay far below 2^64:
 * an end is compared with the file, which has less than 2^63 bytes, before it is built upon. */
static int place_tensors(struct reader *r) {
    struct gguf *g = r->g;
    uint64_t mask = g->alignment - 1, next = 0;
    g->data_at = g->data_end = (r->at + mask) & ~mask;
    for (unsigned i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        if (t->offset != next)
            return bad(r, t->at, "tensor '%s' begins at byte %" PRIu64 " of the data, and %s byte %" PRIu64,
                       show(r, t->name), t->offset,
                       t->offset < next ? "overlaps with the one in front of it, which ends at" : "should at", next);
        if (g->data_at > g->file_size || t->bytes > g->file_size - g->data_at ||
            t->offset > g->file_size - g->data_at - t->bytes)
            return bad(r, t->at, "the numbers of tensor '%s' would end beyond byte %" PRIu64
                       ", where the file ends: it is cut off or broken", show(r, t->name), g->file_size);
        g->data_end = g->data_at + t->offset + t->bytes;
        next = (t->offset + t->bytes + mask) & ~mask;
    }
    return 0;
}

/* -- Opening ------------------------------------------------------------------------------------------------ */

int gguf_read(struct gguf *g, struct slice bytes, uint64_t file_size, char *why, size_t why_size) {
    struct reader r = { .g = g, .why = why, .why_size = why_size };
    uint64_t tensors, pairs;
    if (file_size > INT64_MAX) file_size = INT64_MAX;
    if (bytes.len > file_size) bytes.len = (size_t)file_size;
    *g = (struct gguf){ .header = bytes, .file_size = file_size };
    snprintf(why, why_size, "out of memory");
    int rc = read_start(&r, &tensors, &pairs);
    if (rc == 0) rc = read_pairs(&r, pairs);
    if (rc == 0) rc = read_alignment(&r);
    if (rc == 0) rc = read_tensors(&r, tensors);
    if (rc == 0) rc = place_tensors(&r);
    if (rc == 0) g->header.len = r.at;
    if (rc == 0) return 0;
    bool more = g->more;
    gguf_close(g);
    g->more = more;
    return rc;
}

/* Up to n bytes from the beginning; -1: errno says why not. */
static ssize_t read_front(int fd, char *to, size_t n) {
    size_t done = 0;
    while (done < n) {
        ssize_t k = pread(fd, to + done, n - done, (off_t)done);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return -1;
        if (k == 0) break;
        done += (size_t)k;
    }
    return (ssize_t)done;
}

static int failed(char *why, size_t why_size) {
    snprintf(why, why_size, "%s", strerror(errno));
    return PERILUNE_ERR_IO;
}

/* The first `size` bytes, and what they are. */
static int open_front(struct gguf *g, int fd, size_t size, char *why, size_t why_size) {
    struct stat st;
    char *own = mem_alloc(size);
    snprintf(why, why_size, "out of memory");
    if (own == NULL) return PERILUNE_ERR_NOMEM;
    ssize_t n = read_front(fd, own, size);
    int rc = n < 0 || fstat(fd, &st) != 0 ? failed(why, why_size) : 0; /* its size afterwards: it may shrink */
    if (rc == 0) rc = gguf_read(g, slice_of(own, (size_t)n), (uint64_t)st.st_size, why, why_size);
    if (rc == 0) g->own = own;
    else mem_free(own);
    return rc;
}

int gguf_open(struct gguf *g, const char *path, char *why, size_t why_size) {
    struct stat st;
    *g = (struct gguf){ .own = NULL };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer does not hold us up */
    if (fd < 0 || fstat(fd, &st) != 0) {
        int rc = failed(why, why_size);
        if (fd >= 0) close(fd);
        return rc;
    }
    int rc = PERILUNE_ERR_INVAL;
    if (!S_ISREG(st.st_mode)) snprintf(why, why_size, "is not a file");
    else {
        size_t size = FIRST_READ;
        while ((rc = open_front(g, fd, size, why, why_size)) == PERILUNE_ERR_INVAL && g->more && size < GGUF_HEADER_MAX)
            size *= 2;
    }
    close(fd);
    return rc;
}

void gguf_close(struct gguf *g) {
    mem_free(g->pairs);
    mem_free(g->tensors);
    mem_free(g->own);
    *g = (struct gguf){ .own = NULL };
}

/* -- Looking up ------------------------------------------------------------------------------------------------ */

const struct gguf_pair *gguf_find(const struct gguf *g, const char *key) {
    struct slice s = slice_str(key);
    for (unsigned i = 0; i < g->pair_count; i++)
        if (slice_eq(g->pairs[i].key, s)) return &g->pairs[i];
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name) {
    struct slice s = slice_str(name);
    for (unsigned i = 0; i < g->tensor_count; i++)
        if (slice_eq(g->tensors[i].name, s)) return &g->tensors[i];
    return NULL;
}

/* A whole number with its sign; false: it is none. */
static bool integer_at(const struct gguf *g, const struct gguf_pair *p, uint64_t i, bool *negative, uint64_t *out) {
    if (i >= p->count || p->of == GGUF_STRING || p->of == GGUF_F32 || p->of == GGUF_F64) return false;
    const char *at = g->header.ptr + p->at + (size_t)i * sizes[p->of];
    int64_t v = 0;
    *negative = false;
    switch (p->of) {
    case GGUF_U8: case GGUF_BOOL: *out = (unsigned char)*at; return true;
    case GGUF_U16: *out = little_u16(at); return true;
    case GGUF_U32: *out = little_u32(at); return true;
    case GGUF_U64: *out = little_u64(at); return true;
    case GGUF_I8: v = (int8_t)*at; break;
    case GGUF_I16: v = (int16_t)little_u16(at); break;
    case GGUF_I32: v = (int32_t)little_u32(at); break;
    default: v = (int64_t)little_u64(at); break;
    }
    *negative = v < 0;
    *out = (uint64_t)v;
    return true;
}

bool gguf_u64_at(const struct gguf *g, const struct gguf_pair *p, uint64_t i, uint64_t *out) {
    bool negative;
    uint64_t v;
    if (p == NULL || !integer_at(g, p, i, &negative, &v) || negative) return false;
    *out = v;
    return true;
}

bool gguf_number_at(const struct gguf *g, const struct gguf_pair *p, uint64_t i, double *out) {
    bool negative;
    uint64_t v;
    if (p == NULL) return false;
    if (integer_at(g, p, i, &negative, &v)) {
        *out = negative ? (double)(int64_t)v : (double)v;
        return true;
    }
    if (i >= p->count || p->of == GGUF_STRING) return false;
    const char *at = g->header.ptr + p->at + (size_t)i * sizes[p->of];
    v = p->of == GGUF_F64 ? little_u64(at) : 0;
    if (p->of == GGUF_F64) memcpy(out, &v, sizeof(v));
    else *out = (double)little_f32(at);
    return true;
}

bool gguf_u64(const struct gguf *g, const char *key, uint64_t *out) {
    const struct gguf_pair *p = gguf_find(g, key);
    return p != NULL && p->type != GGUF_ARRAY && gguf_u64_at(g, p, 0, out);
}

bool gguf_number(const struct gguf *g, const char *key, double *out) {
    const struct gguf_pair *p = gguf_find(g, key);
    return p != NULL && p->type != GGUF_ARRAY && gguf_number_at(g, p, 0, out);
}

/* A text was measured when the header was read. */
static struct slice string_at(const struct gguf *g, size_t at) {
    return slice_of(g->header.ptr + at + 8, (size_t)little_u64(g->header.ptr + at));
}

struct slice gguf_string(const struct gguf *g, const char *key) {
    const struct gguf_pair *p = gguf_find(g, key);
    return p != NULL && p->type == GGUF_STRING ? string_at(g, p->at) : SLICE("");
}

bool gguf_strings(const struct gguf *g, const struct gguf_pair *p, struct gguf_strings *out) {
    bool are = p != NULL && p->type == GGUF_ARRAY && p->of == GGUF_STRING;
    *out = (struct gguf_strings){ g, are ? p->count : 0, are ? p->at : 0 };
    return are;
}

bool gguf_next(struct gguf_strings *s, struct slice *out) {
    if (s->left == 0) return false;
    *out = string_at(s->file, s->at);
    s->at += 8 + out->len;
    s->left--;
    return true;
}

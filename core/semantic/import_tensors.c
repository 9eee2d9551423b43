/* import_tensors.c -- what a safetensors file holds.
 *
 *     u64 length | header: JSON of that length                          | numbers, little endian
 *                  { "name": { "dtype": "F16", "shape": [32000, 256],
 *                              "data_offsets": [0, 16384000] }, ... }      ^ offsets count from here
 *
 * The file is somebody else's: every place is within it, as long as its shape says, and no two tensors share a
 * byte, before anything is read.  A tensor of a type that is not known is kept, for a message; its length is
 * not checked, since nobody reads it.
 *
 * Thread: any. */
#include "semantic/import_tensors.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "semantic/import_json.h"
#include "base/little.h"

#define MAX_HEADER (100u << 20) /* what the format allows */
#define SHOWN(s)   (int)((s).len > 60 ? 60 : (s).len), (s).ptr

static const struct {
    const char *name;
    unsigned    size;
} types[] = { [TENSOR_F32] = { "F32", 4 }, [TENSOR_F16] = { "F16", 2 }, [TENSOR_BF16] = { "BF16", 2 },
              [TENSOR_F64] = { "F64", 8 }, [TENSOR_I8] = { "I8", 1 },   [TENSOR_I32] = { "I32", 4 },
              [TENSOR_I64] = { "I64", 8 } };

/* -- The header ------------------------------------------------------------------------------ */

static int bad(struct failure *f, const struct tensor *t, const char *what) {
    failure_set(f, FAILURE_INTERNAL, "the tensor \"%.*s\" %s; was the file downloaded completely?", SHOWN(t->name),
                what);
    return PERILUNE_ERR_INVAL;
}

static uint32_t list_of(const struct json_doc *d, uint32_t object, struct slice key) {
    uint32_t i = json_get(d, object, key);
    return json_is(d, i, JSON_ARRAY) ? i : JSON_NONE;
}

static int read_shape(struct tensor *t, const struct json_doc *d, uint32_t object, struct failure *f) {
    uint32_t list = list_of(d, object, SLICE("shape"));
    if (list == JSON_NONE) return bad(f, t, "has no shape");
    t->count = 1;
    for (uint32_t i = json_first(d, list); i != JSON_NONE; i = json_next(d, list, i)) {
        uint64_t n;
        if (!json_is(d, i, JSON_NUMBER) || json_u64(d, i, &n) != 0)
            return bad(f, t, "has a shape that is not of whole numbers");
        if (n != 0 && t->count > ((uint64_t)1 << 53) / n) return bad(f, t, "has a shape that is too large");
        t->count *= n;
        if (t->axes < 4) t->shape[t->axes++] = n;
    }
    return 0;
}

static int read_place(struct tensor *t, const struct json_doc *d, uint32_t object, struct slice data,
                      struct failure *f) {
    uint64_t from, to;
    uint32_t list = list_of(d, object, SLICE("data_offsets"));
    if (list == JSON_NONE || d->nodes[list].count != 2 || !json_is(d, list + 1, JSON_NUMBER) ||
        !json_is(d, list + 2, JSON_NUMBER) || json_u64(d, list + 1, &from) != 0 || json_u64(d, list + 2, &to) != 0)
        return bad(f, t, "has no data_offsets of two whole numbers");
    if (from > to || to > data.len) return bad(f, t, "has data_offsets past the end of the file");
    t->data = slice_of(data.ptr + from, (size_t)(to - from));
    if (t->type != TENSOR_OTHER && t->data.len != t->count * types[t->type].size)
        return bad(f, t, "has data_offsets that its shape and dtype do not make");
    return 0;
}

static int read_tensor(struct tensor *t, const struct json_doc *d, uint32_t key, uint32_t object, struct slice data,
                       struct failure *f) {
    *t = (struct tensor){ .name = json_plain(d, key), .type = TENSOR_OTHER };
    if (!json_is(d, object, JSON_OBJECT)) return bad(f, t, "is not described by an object");
    if (!json_is(d, json_get(d, object, SLICE("dtype")), JSON_STRING)) return bad(f, t, "has no dtype");
    import_json_name(d, object, SLICE("dtype"), t->type_name, sizeof(t->type_name));
    for (unsigned i = 0; i < TENSOR_OTHER; i++)
        if (strcmp(t->type_name, types[i].name) == 0) t->type = (enum tensor_type)i;
    int rc = read_shape(t, d, object, f);
    return rc == 0 ? read_place(t, d, object, data, f) : rc;
}

static int by_place(const void *a, const void *b) {
    const struct tensor *x = a, *y = b;
    if (x->data.ptr != y->data.ptr) return x->data.ptr < y->data.ptr ? -1 : 1;
    return x->data.len < y->data.len ? -1 : x->data.len > y->data.len;
}

/* Sorts them, too: the order of a header says nothing. */
static int check_overlaps(struct tensors *t, struct failure *f) {
    if (t->count > 0) qsort(t->items, t->count, sizeof(*t->items), by_place);
    for (unsigned i = 1; i < t->count; i++)
        if (t->items[i - 1].data.ptr + t->items[i - 1].data.len > t->items[i].data.ptr)
            return bad(f, &t->items[i], "has data_offsets within another tensor's");
    return 0;
}

static int read_all(struct tensors *t, struct slice data, struct failure *f) {
    const struct json_doc *d = &t->header;
    t->items = mem_alloc((d->nodes[0].count + 1) * sizeof(*t->items));
    if (t->items == NULL) return PERILUNE_ERR_NOMEM;
    for (uint32_t i = json_first(d, 0); i != JSON_NONE;) {
        uint32_t value = json_next(d, 0, i);
        bool is_tensor = !json_str_eq(d, i, SLICE("__metadata__"));
        int rc = is_tensor ? read_tensor(&t->items[t->count++], d, i, value, data, f) : 0;
        if (rc != 0) return rc;
        i = json_next(d, 0, value);
    }
    return check_overlaps(t, f);
}

int import_tensors_open(struct tensors *t, struct slice bytes, struct failure *f) {
    struct json_error why;
    *t = (struct tensors){ .items = NULL };
    uint64_t len = bytes.len < 8 ? 0 : little_u32(bytes.ptr) | (uint64_t)little_u32(bytes.ptr + 4) << 32;
    if (len < 2 || len > MAX_HEADER || len > bytes.len - 8) {
        failure_set(f, FAILURE_INTERNAL, "not a safetensors file, or cut short: its header would take %llu of %zu",
                    (unsigned long long)len, bytes.len);
        return PERILUNE_ERR_INVAL;
    }
    struct slice header = slice_of(bytes.ptr + 8, (size_t)len);
    int rc = json_parse(&t->header, header, &why);
    if (rc == PERILUNE_ERR_NOMEM) return rc;
    if (rc != 0 || !json_is(&t->header, 0, JSON_OBJECT)) {
        failure_set(f, FAILURE_INTERNAL, "not a safetensors file: its header is no JSON object%s%s",
                    rc != 0 ? ": " : "", rc != 0 ? why.message : "");
        return PERILUNE_ERR_INVAL;
    }
    return read_all(t, slice_of(bytes.ptr + 8 + len, bytes.len - 8 - (size_t)len), f);
}

void import_tensors_close(struct tensors *t) {
    json_deinit(&t->header);
    mem_free(t->items);
    *t = (struct tensors){ .items = NULL };
}

const struct tensor *import_tensors_find(const struct tensors *t, struct slice name) {
    for (unsigned i = 0; i < t->count; i++)
        if (slice_eq(t->items[i].name, name)) return &t->items[i];
    return NULL;
}

/* -- Numbers ----------------------------------------------------------------------------------- */

static double of_bits(uint32_t bits) {
    float v;
    memcpy(&v, &bits, 4);
    return (double)v;
}

/* IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction. */
static double of_half(unsigned h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31) return of_bits(sign | 0x7F800000 | fraction << 13);
    if (exponent > 0) return of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    double v = ldexp((double)fraction, -24);
    return sign != 0 ? -v : v;
}

double import_tensors_number(const struct tensor *t, uint64_t i) {
    const char *p = t->data.ptr;
    uint64_t wide;
    double v;
    switch (t->type) {
    case TENSOR_F32: return (double)little_f32(p + 4 * i);
    case TENSOR_F16: return of_half(little_u16(p + 2 * i));
    case TENSOR_BF16: return of_bits((uint32_t)little_u16(p + 2 * i) << 16);
    case TENSOR_I8: return (double)(signed char)p[i];
    case TENSOR_I32: return (double)(int32_t)little_u32(p + 4 * i);
    case TENSOR_F64:
    case TENSOR_I64:
        wide = little_u32(p + 8 * i) | (uint64_t)little_u32(p + 8 * i + 4) << 32;
        if (t->type == TENSOR_I64) return (double)(int64_t)wide;
        memcpy(&v, &wide, 8);
        return v;
    case TENSOR_OTHER: break;
    }
    return NAN;
}

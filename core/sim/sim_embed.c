/* sim_embed.c -- made-up embeddings: the same text has the same vector, always.
 *
 *      text --hash64--> seed --splitmix64--> d numbers in [-1, 1) --norm--> vector
 *
 * Different texts are therefore nearly orthogonal; there is no meaning in them.
 * `input` may be a string, strings, token ids, or lists of token ids; ids are
 * hashed as they are written.  `encoding_format` "base64" (what the official
 * clients ask for) gives little-endian 32-bit floats.  Keeps no state. */
#include <math.h>
#include <stdio.h>

#include "sim/sim_int.h"

#define DEFAULT_DIMENSIONS 384
#define MAX_DIMENSIONS     4096
#define MAX_INPUTS         2048

static uint64_t splitmix(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void make_vector(float *v, size_t n, struct slice text) {
    static const struct hash_key fixed = { 1, 2 };
    uint64_t state = hash64(&fixed, text);
    double   sum = 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = (float)((double)(splitmix(&state) >> 11) * 0x1p-52 - 1);
        sum += (double)v[i] * (double)v[i];
    }
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < n; i++) v[i] = (float)(v[i] * scale);
}

/* Seven decimals, without printf: an answer holds hundreds of these. */
static void put_small(struct buf *out, float v) {
    char     tmp[10] = "0.0000000";
    uint32_t n = (uint32_t)(fabsf(v) * 1e7f + 0.5f);
    if (v < 0 && n > 0) buf_putc(out, '-');
    if (n >= 10000000) tmp[0] = (char)('0' + n / 10000000);
    n %= 10000000;
    for (int i = 8; i >= 2; i--, n /= 10) tmp[i] = (char)('0' + n % 10);
    buf_put(out, tmp, 9);
}

static void put_list(struct buf *out, const float *v, size_t n) {
    buf_putc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) buf_putc(out, ',');
        put_small(out, v[i]);
    }
    buf_putc(out, ']');
}

static uint8_t float_byte(const float *v, size_t i) {
    uint32_t bits;
    memcpy(&bits, &v[i / 4], sizeof(bits));
    return (uint8_t)(bits >> (i % 4 * 8));
}

static void put_base64(struct buf *out, const float *v, size_t n) {
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t bytes = n * 4;
    buf_putc(out, '"');
    for (size_t i = 0; i < bytes; i += 3) {
        uint32_t a = float_byte(v, i);
        uint32_t b = i + 1 < bytes ? float_byte(v, i + 1) : 0;
        uint32_t c = i + 2 < bytes ? float_byte(v, i + 2) : 0;
        uint32_t w = a << 16 | b << 8 | c;
        char     four[4] = { digits[w >> 18], digits[w >> 12 & 63], digits[w >> 6 & 63],
                             digits[w & 63] };
        if (i + 1 >= bytes) four[2] = '=';
        if (i + 2 >= bytes) four[3] = '=';
        buf_put(out, four, 4);
    }
    buf_putc(out, '"');
}

struct embed {
    struct buf *out, *tmp;
    size_t      dimensions, count;
    bool        base64;
    uint64_t    tokens;
};

static void put_one(struct embed *e, struct slice text) {
    float v[MAX_DIMENSIONS];
    make_vector(v, e->dimensions, text);
    if (e->count > 0) buf_putc(e->out, ',');
    buf_puts(e->out, "{\"object\":\"embedding\",\"index\":");
    buf_u64(e->out, e->count++);
    buf_puts(e->out, ",\"embedding\":");
    if (e->base64) put_base64(e->out, v, e->dimensions);
    else put_list(e->out, v, e->dimensions);
    buf_putc(e->out, '}');
    e->tokens += text.len / 4 + 1;
}

static void put_string(struct embed *e, const struct json_doc *doc, uint32_t node) {
    buf_clear(e->tmp);
    json_decode_string(doc, node, e->tmp);
    put_one(e, buf_get(e->tmp));
}

static const char *put_array(struct embed *e, const struct json_doc *doc, uint32_t array) {
    uint32_t n = json_first(doc, array);
    if (n == JSON_NONE) return "input must not be empty";
    if (doc->nodes[array].count > MAX_INPUTS) return "input has over 2048 elements";
    if (json_type(doc, n) == JSON_NUMBER) {
        put_one(e, json_raw(doc, array));
        return NULL;
    }
    for (; n != JSON_NONE; n = json_next(doc, array, n)) {
        if (json_type(doc, n) == JSON_STRING) put_string(e, doc, n);
        else if (json_type(doc, n) == JSON_ARRAY) put_one(e, json_raw(doc, n));
        else return "input must hold strings or lists of token ids";
    }
    return NULL;
}

const char *sim_write_embeddings(struct buf *out, struct buf *tmp, const struct json_doc *doc,
                                 const char **param) {
    struct embed e = { .out = out, .tmp = tmp, .dimensions = DEFAULT_DIMENSIONS };
    uint32_t     n = json_get(doc, 0, SLICE("dimensions"));
    uint64_t     d;
    *param = "dimensions";
    if (n != JSON_NONE && json_type(doc, n) != JSON_NULL) {
        if (json_type(doc, n) != JSON_NUMBER || json_u64(doc, n, &d) != 0 || d < 1 ||
            d > MAX_DIMENSIONS) {
            return "dimensions must be a whole number from 1 to 4096";
        }
        e.dimensions = (size_t)d;
    }
    n = json_get(doc, 0, SLICE("encoding_format"));
    e.base64 = n != JSON_NONE && json_type(doc, n) == JSON_STRING &&
               json_str_eq(doc, n, SLICE("base64"));

    *param = "input";
    n = json_get(doc, 0, SLICE("input"));
    if (n == JSON_NONE) return "input is missing";
    buf_puts(out, "{\"object\":\"list\",\"data\":[");
    if (json_type(doc, n) == JSON_STRING) {
        put_string(&e, doc, n);
    } else if (json_type(doc, n) == JSON_ARRAY) {
        const char *why = put_array(&e, doc, n);
        if (why != NULL) return why;
    } else {
        return "input must be a string or an array";
    }
    n = json_get(doc, 0, SLICE("model"));
    buf_puts(out, "],\"model\":");
    if (n != JSON_NONE && json_type(doc, n) == JSON_STRING) buf_slice(out, json_raw(doc, n));
    else buf_puts(out, "\"sim\"");
    buf_puts(out, ",\"usage\":{\"prompt_tokens\":");
    buf_u64(out, e.tokens);
    buf_puts(out, ",\"total_tokens\":");
    buf_u64(out, e.tokens);
    buf_puts(out, "}}");
    return NULL;
}

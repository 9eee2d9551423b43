/* json.c -- reads JSON without building anything from it.
 *
 *     text   {"model":"m","messages":[{"role":"user","content":"..."}]}
 *     nodes  one per value: where it starts, where it ends, what comes after
 *
 * A gateway looks at three fields of a request and forwards the rest.  So the
 * text is walked once, checked whole (grammar, UTF-8, depth), and all that
 * stays is an array of 16-byte nodes in document order.  Strings are decoded
 * and numbers converted only for who asks; what nobody touched can be sent as
 * the slice it came in.
 *
 * The reader is a loop over "what may come next" (enum want) and never calls
 * itself, so that the depth of the input is not the depth of our stack.  The
 * container being read is `open`; while a container is open, its `next` holds
 * the index of its parent, and when it closes, what the header promises:
 *
 *     [ {   <- open = node 1, nodes[1].next = 0 (the array), depth 2
 *     [ {}  <- open = node 0, nodes[1].next = 2
 *
 * Invariants: offsets fit in 32 bits because the text is at most JSON_MAX_SIZE;
 * a doc that failed to parse is empty and owns no memory; a key is always a
 * STRING node directly before its value.
 *
 * Numbers are converted exactly and without regard to the locale (the host of
 * the library may have set one): digits and exponent are taken apart here, the
 * short ones are one multiplication of two exact doubles, the others go to
 * strtod() without a decimal point.
 *
 * Not done here: building documents in memory, comments, NaN, and duplicate
 * keys as an error (the last one counts, as in Python and JavaScript).
 *
 * Thread: any; a doc belongs to one thread at a time. */
#include <assert.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "include/perilune.h"

#define COUNT_MAX ((1u << 28) - 1) /* json_node.count has 28 bits */

enum want {
    WANT_VALUE,
    WANT_KEY,
    WANT_ELEMENT_OR_END, /* after [ */
    WANT_KEY_OR_END,     /* after { */
    WANT_COLON,
    WANT_COMMA_OR_END,
    WANT_NOTHING, /* the root is complete */
    FAILED,
};

struct reader {
    struct json_doc   *doc;
    const char        *begin, *at, *end;
    uint32_t           open; /* index of the innermost open container, or JSON_NONE */
    unsigned           depth;
    struct json_error *error;
    bool               no_memory;
};

/* -- Reading: pieces -------------------------------------------------------- */

static enum want fail(struct reader *r, const char *where, const char *message) {
    *r->error = (struct json_error){ message, (size_t)(where - r->begin) };
    return FAILED;
}

static bool grow(struct reader *r) {
    struct json_doc *doc = r->doc;
    /* The first guess fits a conversation, one value in 64 bytes, and an answer, which is short and dense. */
    size_t len = (size_t)(r->end - r->begin), dense = len < 1024 ? len / 12 : 85;
    size_t cap = doc->cap ? (size_t)doc->cap * 2 : 16 + dense + len / 64;
    struct json_node *nodes = mem_realloc(doc->nodes, cap * sizeof(*nodes));
    if (nodes == NULL) {
        r->no_memory = true;
        return false;
    }
    doc->nodes = nodes;
    doc->cap = (uint32_t)cap;
    return true;
}

/* Adds the node of a value from r->at to end; containers set theirs later. */
static struct json_node *add_node(struct reader *r, enum json_type type, const char *end) {
    uint32_t most = r->doc->max_nodes != 0 ? r->doc->max_nodes : JSON_MAX_NODES;
    if (r->doc->len == most) {
        fail(r, r->at, most == JSON_MAX_NODES ? "more than 1048576 values" : "too many values");
        return NULL;
    }
    if (r->doc->len == r->doc->cap && !grow(r)) return NULL;
    uint32_t index = r->doc->len++;
    struct json_node *node = &r->doc->nodes[index];
    *node = (struct json_node){ .start = (uint32_t)(r->at - r->begin),
                                .end = (uint32_t)(end - r->begin),
                                .next = index + 1,
                                .type = type };
    return node;
}

/* What comes after a value that is complete. */
static enum want after_value(const struct reader *r) {
    return r->open == JSON_NONE ? WANT_NOTHING : WANT_COMMA_OR_END;
}

static enum want add_scalar(struct reader *r, enum json_type type, const char *end) {
    if (add_node(r, type, end) == NULL) return FAILED;
    r->at = end;
    return after_value(r);
}

static bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

/* Steps over the escape at p.  Returns what follows it, or NULL with the error
 * set. */
static const char *skip_escape(struct reader *r, const char *string, const char *p) {
    if (r->end - p < 2) {
        fail(r, string, "unterminated string");
        return NULL;
    }
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return p + 2;
    case 'u':
        for (int i = 2; i < 6; i++) {
            if (p + i == r->end) {
                fail(r, string, "unterminated string");
                return NULL;
            }
            if (hex_value(p[i]) < 0) {
                fail(r, p, "escape \\u without four hex digits");
                return NULL;
            }
        }
        return p + 6;
    default:
        fail(r, p, "unknown escape in string");
        return NULL;
    }
}

/* Steps over the string at r->at.  Returns the end, closing quote included, or
 * NULL with the error set. */
static const char *skip_string(struct reader *r, bool *escaped) {
    const char *p = r->at + 1;

    *escaped = false;
    for (;;) {
        p = scan_plain(p, r->end);
        if (p == r->end) {
            fail(r, r->at, "unterminated string");
            return NULL;
        }
        if (*p == '"') return p + 1;
        if (*p == '\\') {
            *escaped = true;
            p = skip_escape(r, r->at, p);
            if (p == NULL) return NULL;
        } else if ((unsigned char)*p < 0x20) {
            fail(r, p, "control character in string");
            return NULL;
        } else {
            do {
                p = scan_threes(p, r->end);
                if (p == r->end || (unsigned char)*p < 0x80) break;
                size_t n = scan_utf8(p, r->end);
                if (n == 0) {
                    fail(r, p, "invalid UTF-8");
                    return NULL;
                }
                p += n;
            } while (p < r->end && (unsigned char)*p >= 0x80);
        }
    }
}

static enum want read_string(struct reader *r, enum want then) {
    bool escaped;
    const char *end = skip_string(r, &escaped);
    if (end == NULL) return FAILED;

    struct json_node *node = add_node(r, JSON_STRING, end);
    if (node == NULL) return FAILED;
    node->escaped = escaped;
    r->at = end;
    return then;
}

/* Steps over one digit or more.  Returns what follows, or NULL with the error
 * set. */
static const char *skip_digits(struct reader *r, const char *p) {
    if (p == r->end || !is_digit(*p)) {
        fail(r, p, "digit expected in number");
        return NULL;
    }
    while (p < r->end && is_digit(*p)) p++;
    return p;
}

static enum want read_number(struct reader *r) {
    const char *p = r->at + (*r->at == '-');
    const char *integer = p;

    p = skip_digits(r, p);
    if (p == NULL) return FAILED;
    if (*integer == '0' && p - integer > 1) return fail(r, integer, "number with leading zero");
    if (p < r->end && *p == '.') {
        p = skip_digits(r, p + 1);
        if (p == NULL) return FAILED;
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < r->end && (*p == '+' || *p == '-')) p++;
        p = skip_digits(r, p);
        if (p == NULL) return FAILED;
    }
    return add_scalar(r, JSON_NUMBER, p);
}

static enum want read_literal(struct reader *r, enum json_type type, struct slice word) {
    struct slice rest = slice_of(r->at, (size_t)(r->end - r->at));
    if (!slice_starts(rest, word)) return fail(r, r->at, "unexpected character");
    return add_scalar(r, type, r->at + word.len);
}

/* -- Reading: containers ---------------------------------------------------- */

static enum want open_container(struct reader *r, enum json_type type) {
    if (r->depth == JSON_MAX_DEPTH) return fail(r, r->at, "nested deeper than 256");
    struct json_node *node = add_node(r, type, r->at);
    if (node == NULL) return FAILED;

    node->next = r->open;
    r->open = r->doc->len - 1;
    r->depth++;
    r->at++;
    return type == JSON_ARRAY ? WANT_ELEMENT_OR_END : WANT_KEY_OR_END;
}

static enum want close_container(struct reader *r) {
    struct json_node *node = &r->doc->nodes[r->open];

    r->at++;
    r->open = node->next;
    r->depth--;
    node->end = (uint32_t)(r->at - r->begin);
    node->next = r->doc->len;
    return after_value(r);
}

static enum want read_value(struct reader *r) {
    if (r->open != JSON_NONE) {
        struct json_node *parent = &r->doc->nodes[r->open];
        if (parent->count == COUNT_MAX) return fail(r, r->at, "too many values");
        parent->count++;
    }
    switch (*r->at) {
    case '"': return read_string(r, after_value(r));
    case '{': return open_container(r, JSON_OBJECT);
    case '[': return open_container(r, JSON_ARRAY);
    case 't': return read_literal(r, JSON_TRUE, SLICE("true"));
    case 'f': return read_literal(r, JSON_FALSE, SLICE("false"));
    case 'n': return read_literal(r, JSON_NULL, SLICE("null"));
    case ']': case '}': return fail(r, r->at, "value missing before a closing bracket");
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return read_number(r);
    default: return fail(r, r->at, "unexpected character");
    }
}

static enum want read_key(struct reader *r) {
    if (*r->at != '"') return fail(r, r->at, "expected a key in double quotes");
    return read_string(r, WANT_COLON);
}

static enum want read_comma_or_end(struct reader *r) {
    bool object = r->doc->nodes[r->open].type == JSON_OBJECT;

    if (*r->at == ',') {
        r->at++;
        return object ? WANT_KEY : WANT_VALUE;
    }
    if (*r->at == (object ? '}' : ']')) return close_container(r);
    return fail(r, r->at, object ? "expected a comma or a closing brace"
                                 : "expected a comma or a closing bracket");
}

static const char *skip_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

/* One step: r->at stands on a byte that is not white space. */
static enum want step(struct reader *r, enum want want) {
    switch (want) {
    case WANT_VALUE: return read_value(r);
    case WANT_KEY: return read_key(r);
    case WANT_ELEMENT_OR_END: return *r->at == ']' ? close_container(r) : read_value(r);
    case WANT_KEY_OR_END: return *r->at == '}' ? close_container(r) : read_key(r);
    case WANT_COLON:
        if (*r->at != ':') return fail(r, r->at, "expected a colon after the key");
        r->at++;
        return WANT_VALUE;
    case WANT_COMMA_OR_END: return read_comma_or_end(r);
    case WANT_NOTHING: return fail(r, r->at, "text after the value");
    case FAILED: break;
    }
    return FAILED;
}

static bool read_document(struct reader *r) {
    enum want want = WANT_VALUE;

    if (slice_starts(slice_of(r->begin, (size_t)(r->end - r->begin)), SLICE("\xEF\xBB\xBF"))) {
        fail(r, r->begin, "byte order mark before the value");
        return false;
    }
    while (want != FAILED) {
        r->at = skip_space(r->at, r->end);
        if (r->at == r->end) {
            if (want == WANT_NOTHING) return true;
            fail(r, r->end, "unexpected end of text");
            return false;
        }
        want = step(r, want);
    }
    return false;
}

int json_parse(struct json_doc *doc, struct slice text, struct json_error *err) {
    const char *begin = text.len ? text.ptr : "";
    struct reader r = { .doc = doc, .begin = begin, .at = begin, .end = begin + text.len,
                        .open = JSON_NONE, .error = err };

    *err = (struct json_error){ NULL, 0 };
    doc->text = text;
    doc->len = 0;
    if (text.len > JSON_MAX_SIZE)
        *err = (struct json_error){ "text over 1 GiB", JSON_MAX_SIZE };
    else if (read_document(&r))
        return 0;

    json_deinit(doc);
    return r.no_memory ? PERILUNE_ERR_NOMEM : PERILUNE_ERR_INVAL;
}

void json_deinit(struct json_doc *doc) {
    mem_free(doc->nodes);
    *doc = (struct json_doc){ .nodes = NULL };
}

struct slice json_without_bom(struct slice s) {
    struct slice bom = SLICE("\xEF\xBB\xBF");
    return slice_starts(s, bom) ? slice_of(s.ptr + bom.len, s.len - bom.len) : s;
}

/* -- Walking ---------------------------------------------------------------- */

uint32_t json_first(const struct json_doc *doc, uint32_t container) {
    return doc->nodes[container].count > 0 ? container + 1 : JSON_NONE;
}

uint32_t json_next(const struct json_doc *doc, uint32_t container, uint32_t node) {
    uint32_t next = doc->nodes[node].next;
    return next == doc->nodes[container].next ? JSON_NONE : next;
}

uint32_t json_get(const struct json_doc *doc, uint32_t object, struct slice key) {
    uint32_t found = JSON_NONE;
    uint32_t end = doc->nodes[object].next;

    if (json_type(doc, object) != JSON_OBJECT) return JSON_NONE;
    for (uint32_t i = object + 1; i < end; i = doc->nodes[i + 1].next) {
        const struct json_node *name = &doc->nodes[i];
        if (!name->escaped && name->end - name->start - 2 != key.len) continue; /* nearly all of them */
        if (json_str_eq(doc, i, key)) found = i + 1;
    }
    return found;
}

/* -- Strings ---------------------------------------------------------------- */

static unsigned hex4(const char *p) {
    return (unsigned)(hex_value(p[0]) << 12 | hex_value(p[1]) << 8 | hex_value(p[2]) << 4 |
                      hex_value(p[3]));
}

static size_t utf8_encode(char out[4], unsigned code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* The code point of the \u escape at *p, which it steps over; of both escapes
 * when they are a surrogate pair. */
static unsigned decode_u(const char **p, const char *end) {
    unsigned code = hex4(*p + 2);
    *p += 6;
    if (code < 0xD800 || code > 0xDFFF) return code;

    bool pair = code < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u';
    unsigned low = pair ? hex4(*p + 2) : 0;
    if (low < 0xDC00 || low > 0xDFFF) return 0xFFFD;
    *p += 6;
    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

/* Decodes the escape at *p (checked when the document was read) and steps over
 * it.  Returns the bytes written to out. */
static size_t decode_escape(const char **p, const char *end, char out[4]) {
    char c = (*p)[1];
    if (c == 'u') return utf8_encode(out, decode_u(p, end));

    *p += 2;
    switch (c) {
    case 'b': out[0] = '\b'; break;
    case 'f': out[0] = '\f'; break;
    case 'n': out[0] = '\n'; break;
    case 'r': out[0] = '\r'; break;
    case 't': out[0] = '\t'; break;
    default: out[0] = c; break;
    }
    return 1;
}

void json_decode_string(const struct json_doc *doc, uint32_t i, struct buf *out) {
    assert(json_type(doc, i) == JSON_STRING);
    struct slice in = json_plain(doc, i);
    if (!doc->nodes[i].escaped) {
        buf_slice(out, in);
        return;
    }

    const char *p = in.ptr, *end = in.ptr + in.len;
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        const char *stop = backslash ? backslash : end;
        char piece[4];
        buf_put(out, p, (size_t)(stop - p));
        p = stop;
        /* Escapes come in rows (\u4f60\u597d): no memchr between them. */
        while (p < end && *p == '\\') buf_put(out, piece, decode_escape(&p, end, piece));
    }
}

bool json_str_eq(const struct json_doc *doc, uint32_t i, struct slice s) {
    if (json_type(doc, i) != JSON_STRING) return false;
    struct slice in = json_plain(doc, i);
    if (!doc->nodes[i].escaped) return slice_eq(in, s);
    if (s.len >= in.len) return false; /* an escape is longer than what it stands for */

    /* What is between escapes is compared as a whole: a policy that changes a message of
     * a megabyte asks this each time the request is written. */
    const char *p = in.ptr, *end = in.ptr + in.len;
    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((stop != NULL ? stop : end) - p);
        char piece[4];
        if (!slice_starts(s, slice_of(p, n))) return false;
        s = slice_of(s.ptr + n, s.len - n);
        for (p += n; p < end && *p == '\\'; s = slice_of(s.ptr + n, s.len - n)) {
            n = decode_escape(&p, end, piece);
            if (!slice_starts(s, slice_of(piece, n))) return false;
        }
    }
    return s.len == 0;
}

/* -- Numbers ---------------------------------------------------------------- */

/* 768 significant digits decide every rounding of a double; of those after them
 * only "was one not zero" matters, and that becomes one more digit. */
#define DIGITS_MAX 768

/* The value is digits * 10^exponent; no zero at either end of the digits. */
struct decimal {
    bool    negative;
    int     count;
    int64_t exponent;
    char    digits[DIGITS_MAX + 1];
};

static int64_t read_exponent(const char *p, const char *end) {
    bool negative = *p == '-';
    int64_t value = 0;

    if (*p == '+' || *p == '-') p++;
    /* The bound is above what a mantissa of JSON_MAX_SIZE digits can undo. */
    for (; p < end; p++)
        if (value < ((int64_t)1 << 40)) value = value * 10 + (*p - '0');
    return negative ? -value : value;
}

/* Takes a checked number apart. */
static void decimal_read(struct decimal *d, struct slice s) {
    const char *p = s.ptr, *end = s.ptr + s.len;
    bool fraction = false, dropped = false;

    d->negative = *p == '-';
    d->count = 0;
    d->exponent = 0;
    for (p += d->negative; p < end && (is_digit(*p) || *p == '.'); p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        bool keep = d->count < DIGITS_MAX;
        if (keep && (d->count > 0 || *p != '0')) d->digits[d->count++] = *p;
        if (!keep && *p != '0') dropped = true;
        d->exponent += (keep ? 0 : 1) - (fraction ? 1 : 0);
    }
    if (p < end) d->exponent += read_exponent(p + 1, end);
    if (dropped) {
        d->digits[d->count++] = '1';
        d->exponent--;
    }
    while (d->count > 0 && d->digits[d->count - 1] == '0') {
        d->count--;
        d->exponent++;
    }
}

static uint64_t decimal_mantissa(const struct decimal *d) {
    uint64_t m = 0;
    for (int i = 0; i < d->count; i++) m = m * 10 + (uint64_t)(d->digits[i] - '0');
    return m;
}

static double decimal_slow(const struct decimal *d) {
    char text[DIGITS_MAX + 32];
    int64_t exponent = d->exponent;

    /* Beyond these every value is zero or infinite. */
    if (exponent > 400) exponent = 400;
    if (exponent < -2000) exponent = -2000;
    snprintf(text, sizeof(text), "%.*se%d", d->count, d->digits, (int)exponent);
    return strtod(text, NULL);
}

static double decimal_value(const struct decimal *d) {
    static const double power[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (d->count == 0) return 0;
    /* Both operands are exact, so the one rounding is the right one -- where
     * doubles are computed as doubles. */
    if (FLT_EVAL_METHOD == 0 && d->count <= 15 && d->exponent >= -22 && d->exponent <= 22) {
        double m = (double)decimal_mantissa(d);
        return d->exponent < 0 ? m / power[-d->exponent] : m * power[d->exponent];
    }
    return decimal_slow(d);
}

double json_number(const struct json_doc *doc, uint32_t i) {
    assert(json_type(doc, i) == JSON_NUMBER);
    struct decimal d;
    decimal_read(&d, json_raw(doc, i));
    double value = decimal_value(&d);
    return d.negative ? -value : value;
}

/* Its size, when it is an integer of 19 digits at most. */
static bool decimal_whole(const struct decimal *d, uint64_t *out) {
    *out = 0;
    if (d->count == 0) return true;
    if (d->exponent < 0 || d->count + d->exponent > 19) return false;
    *out = decimal_mantissa(d);
    for (int64_t e = d->exponent; e > 0; e--) *out *= 10;
    return true;
}

int json_u64(const struct json_doc *doc, uint32_t i, uint64_t *out) {
    struct decimal d;
    uint64_t value;

    *out = 0;
    if (json_type(doc, i) != JSON_NUMBER) return PERILUNE_ERR_INVAL;
    decimal_read(&d, json_raw(doc, i));
    if (!decimal_whole(&d, &value) || value > (uint64_t)1 << 53) return PERILUNE_ERR_INVAL;
    if (d.negative && value > 0) return PERILUNE_ERR_INVAL;
    *out = value;
    return 0;
}

int json_i64(const struct json_doc *doc, uint32_t i, int64_t *out) {
    struct decimal d;
    uint64_t value;

    *out = 0;
    if (json_type(doc, i) != JSON_NUMBER) return PERILUNE_ERR_INVAL;
    decimal_read(&d, json_raw(doc, i));
    if (!decimal_whole(&d, &value) || value > (uint64_t)INT64_MAX + d.negative) return PERILUNE_ERR_INVAL;
    *out = d.negative && value > 0 ? -(int64_t)(value - 1) - 1 : (int64_t)value;
    return 0;
}

void json_copy_string(const struct json_doc *doc, uint32_t object, struct slice key, char *to,
                      size_t size) {
    uint32_t n = json_get(doc, object, key);
    if (n == JSON_NONE || json_type(doc, n) != JSON_STRING) return;
    struct buf tmp;
    buf_init(&tmp, 0);
    json_decode_string(doc, n, &tmp);
    if (buf_cstr(&tmp)) snprintf(to, size, "%s", buf_cstr(&tmp));
    buf_deinit(&tmp);
}

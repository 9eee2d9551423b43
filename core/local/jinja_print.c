/* jinja_print.c -- values as text, and JSON as values.
 *
 *     value      {{ v }}          in a list      tojson
 *     'a"b'      a"b              'a"b'          "a\"b"
 *     True       True             True           true
 *     1.0        1.0              1.0            1.0
 *     None       None             None           null
 *     undefined                   Undefined      fails
 *
 * Models were trained on what Python prints, down to the blanks of {"a": 1, "b": [1, 2]}, so these are str(),
 * repr() and json.dumps() to the byte (ensure_ascii off, as transformers sets it).  A float is the shortest text
 * that reads back as the same float.  repr() escapes controls only: it does not know which characters of Unicode
 * are printable.
 *
 * Invariants: recursion is bounded by JINJA_MAX_DEPTH (a list may hold itself), work by steps.
 *
 * Thread: the run's. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/perilune.h"
#include "local/jinja_int.h"
#include "tokens/unicode.h"

void jinja_buf(const struct jinja_run *r, struct buf *b) { buf_init(b, r->memory > 0 ? r->memory : 1); }

int jinja_take(struct jinja_run *r, struct buf *b, struct slice *out) {
    int rc = b->error;
    *out = SLICE("");
    if (rc == PERILUNE_ERR_LIMITED) rc = jinja_fail(r, rc, "the template needs more memory than it may have");
    if (rc == 0) rc = jinja_charge_bytes(r, buf_len(b));
    if (rc == 0) rc = jinja_copy(r, buf_get(b), out);
    buf_deinit(b);
    return rc;
}

/* -- Out of JSON ------------------------------------------------------------------------ */

static int number_of(struct jinja_run *r, const struct json_doc *doc, uint32_t node, bool borrow,
                     struct jinja_value *out) {
    struct slice raw = json_raw(doc, node);
    char text[32];
    bool integer = true;
    for (size_t i = 0; i < raw.len; i++) integer &= raw.ptr[i] == '-' || (raw.ptr[i] >= '0' && raw.ptr[i] <= '9');
    if (!integer) return *out = j_float(json_number(doc, node)), 0;
    slice_copy(text, sizeof(text), raw);
    errno = 0;
    int64_t i = strtoll(text, NULL, 10);
    if (errno == 0 && raw.len < sizeof(text)) return *out = j_int(i), 0;
    *out = (struct jinja_value){ .type = J_BIG, .s = raw };
    return borrow ? 0 : jinja_copy(r, raw, &out->s);
}

static int string_of(struct jinja_run *r, const struct json_doc *doc, uint32_t node, bool borrow,
                     struct jinja_value *out) {
    if (!doc->nodes[node].escaped) {
        *out = j_str(json_plain(doc, node));
        return borrow ? 0 : jinja_copy(r, out->s, &out->s);
    }
    struct buf b;
    jinja_buf(r, &b);
    json_decode_string(doc, node, &b);
    *out = J(J_STR);
    return jinja_take(r, &b, &out->s);
}

int jinja_from_json(struct jinja_run *r, const struct json_doc *doc, uint32_t node, bool borrow,
                    struct jinja_value *out) {
    int rc = jinja_enter(r);
    if (rc != 0) return rc;
    enum json_type type = json_type(doc, node);
    switch (type) {
    case JSON_NULL: *out = J(J_NONE); break;
    case JSON_FALSE:
    case JSON_TRUE: *out = j_bool(type == JSON_TRUE); break;
    case JSON_NUMBER: rc = number_of(r, doc, node, borrow, out); break;
    case JSON_STRING: rc = string_of(r, doc, node, borrow, out); break;
    case JSON_ARRAY:
        rc = jinja_new_list(r, J_LIST, doc->nodes[node].count, out);
        for (uint32_t i = json_first(doc, node); rc == 0 && i != JSON_NONE; i = json_next(doc, node, i)) {
            struct jinja_value v;
            rc = jinja_from_json(r, doc, i, borrow, &v);
            if (rc == 0) rc = jinja_push(r, out->list, v);
        }
        break;
    case JSON_OBJECT:
        rc = jinja_new_dict(r, J_DICT, out);
        for (uint32_t i = json_first(doc, node); rc == 0 && i != JSON_NONE; i = json_next(doc, node, i)) {
            struct jinja_value k, v;
            rc = jinja_from_json(r, doc, i, borrow, &k);
            i = json_next(doc, node, i);
            if (rc == 0) rc = jinja_from_json(r, doc, i, borrow, &v);
            if (rc == 0) rc = jinja_dict_set(r, out->dict, k, v);
        }
        break;
    }
    jinja_leave(r);
    return rc;
}

/* -- Numbers and strings as Python writes them ------------------------------------------- */

static void put_float(struct buf *to, double f, bool json) {
    char digits[40], *e;
    if (isnan(f) || isinf(f)) {
        buf_puts(to, isnan(f) ? (json ? "NaN" : "nan") : json ? (f < 0 ? "-Infinity" : "Infinity") : f < 0 ? "-inf"
                 : "inf");
        return;
    }
    for (int n = 0; n < 18; n++) { /* the fewest digits that read back */
        snprintf(digits, sizeof(digits), "%.*e", n, f);
        if (strtod(digits, NULL) == f) break;
    }
    e = strchr(digits, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10), places = (int)(e - digits) - (digits[0] == '-')
        - 2; /* behind the point */
    if (places < 0) places = 0;
    if (exponent < -4 || exponent >= 16) {
        *e = '\0';
        buf_printf(to, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = places - exponent;
    buf_printf(to, "%.*f", decimals > 0 ? decimals : 1, f);
}

static void put_repr_string(struct buf *to, struct slice s) {
    char quote = memchr(s.ptr ? s.ptr : "", '\'', s.len) && !memchr(s.ptr, '"', s.len) ? '"' : '\'';
    buf_putc(to, quote);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == (unsigned char)quote || c == '\\') buf_putc(to, '\\'), buf_putc(to, (char)c);
        else if (c == '\n') buf_puts(to, "\\n");
        else if (c == '\r') buf_puts(to, "\\r");
        else if (c == '\t') buf_puts(to, "\\t");
        else if (c < 0x20 || c == 0x7F) buf_printf(to, "\\x%02x", c);
        else if (c == 0xC2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xA1) buf_printf(to, "\\x%02x",
            (unsigned char)s.ptr[++i]);
        else buf_putc(to, (char)c);
    }
    buf_putc(to, quote);
}

static void put_json_string(struct buf *to, struct slice s, bool ascii) {
    const unsigned char *p = (const unsigned char *)s.ptr, *end = p + s.len;
    buf_putc(to, '"');
    while (p < end) {
        static const char from[] = "\"\\\n\r\t\b\f", means[] = "\"\\nrtbf";
        uint32_t c = *p;
        const char *e = c ? memchr(from, (int)c, sizeof(from) - 1) : NULL;
        unsigned n = c < 0x80 ? 1 : unicode_decode(p, end, &c);
        if (n == 0) n = 1, c = 0xFFFD;
        if (e) buf_putc(to, '\\'), buf_putc(to, means[e - from]);
        else if (c < 0x20) buf_printf(to, "\\u%04x", c);
        else if (c < 0x80 || !ascii) buf_put(to, p, n);
        else if (c < 0x10000) buf_printf(to, "\\u%04x", c);
        else buf_printf(to, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
        p += n;
    }
    buf_putc(to, '"');
}

/* -- str() and repr() ------------------------------------------------------------------------- */

static int repr_list(struct jinja_run *r, const struct jinja_value *v, struct buf *to) {
    const struct jinja_list *l = v->list;
    int rc = 0;
    buf_putc(to, v->type == J_LIST ? '[' : '(');
    for (uint32_t i = 0; i < l->len && rc == 0; i++) {
        if (i > 0) buf_puts(to, ", ");
        rc = jinja_repr(r, &l->items[i], to);
    }
    if (v->type == J_TUPLE && l->len == 1) buf_putc(to, ',');
    buf_putc(to, v->type == J_LIST ? ']' : ')');
    return rc;
}

static int repr_dict(struct jinja_run *r, const struct jinja_dict *d, struct buf *to) {
    int rc = 0;
    buf_putc(to, '{');
    for (uint32_t i = 0; i < d->len && rc == 0; i++) {
        if (i > 0) buf_puts(to, ", ");
        rc = jinja_repr(r, &d->entries[i].key, to);
        buf_puts(to, ": ");
        if (rc == 0) rc = jinja_repr(r, &d->entries[i].value, to);
    }
    buf_putc(to, '}');
    return rc;
}

int jinja_repr(struct jinja_run *r, const struct jinja_value *v, struct buf *to) {
    int rc = jinja_enter(r);
    if (rc != 0) return rc;
    switch (v->type) {
    case J_UNDEF: buf_puts(to, "Undefined"); break;
    case J_NONE: buf_puts(to, "None"); break;
    case J_BOOL: buf_puts(to, v->b ? "True" : "False"); break;
    case J_INT: buf_printf(to, "%lld", (long long)v->i); break;
    case J_FLOAT: put_float(to, v->f, false); break;
    case J_BIG: buf_slice(to, v->s); break;
    case J_STR:
        rc = jinja_charge_bytes(r, v->s.len);
        put_repr_string(to, v->s);
        break;
    case J_LIST:
    case J_TUPLE: rc = repr_list(r, v, to); break;
    case J_DICT: rc = repr_dict(r, v->dict, to); break;
    default: rc = jinja_fail(r, PERILUNE_ERR_INVAL, "a %s cannot be printed", jinja_type_name(v));
    }
    if (rc == 0 && to->error == PERILUNE_ERR_LIMITED) rc = jinja_fail(r, to->error,
                                                                      "the template makes too long a text");
    jinja_leave(r);
    return rc ? rc : to->error;
}

int jinja_print(struct jinja_run *r, const struct jinja_value *v, struct buf *to) {
    if (v->type == J_UNDEF) return 0;
    if (v->type != J_STR) return jinja_repr(r, v, to);
    int rc = jinja_charge_bytes(r, v->s.len);
    buf_slice(to, v->s);
    if (rc == 0 && to->error == PERILUNE_ERR_LIMITED) rc = jinja_fail(r, to->error,
                                                                      "the template makes too long a text");
    return rc ? rc : to->error;
}

int jinja_text(struct jinja_run *r, const struct jinja_value *v, struct slice *out) {
    if (v->type == J_STR) return *out = v->s, 0;
    struct buf b;
    jinja_buf(r, &b);
    int rc = jinja_print(r, v, &b), took = jinja_take(r, &b, out);
    return rc ? rc : took;
}

/* -- json.dumps() -------------------------------------------------------------------------------- */

struct writer {
    struct jinja_run        *r;
    const struct jinja_json *how;
    struct buf              *to;
    unsigned                 level;
};

static void new_line(struct writer *w) {
    if (!w->how->lines) return;
    buf_putc(w->to, '\n');
    for (unsigned i = 0; i < w->level; i++) buf_slice(w->to, w->how->indent);
}

static int write_json(struct writer *w, const struct jinja_value *v);

static int write_list(struct writer *w, const struct jinja_list *l) {
    int rc = 0;
    buf_putc(w->to, '[');
    w->level++;
    for (uint32_t i = 0; i < l->len && rc == 0; i++) {
        if (i > 0) buf_slice(w->to, w->how->item);
        new_line(w);
        rc = write_json(w, &l->items[i]);
    }
    w->level--;
    if (l->len > 0) new_line(w);
    buf_putc(w->to, ']');
    return rc;
}

static int by_key(const void *a, const void *b) {
    const struct slice x = (*(const struct jinja_entry *const *)a)->key.s,
        y = (*(const struct jinja_entry *const *)b)->key.s;
    int c = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return c ? c : (x.len > y.len) - (x.len < y.len);
}

static int write_dict(struct writer *w, const struct jinja_dict *d) {
    int rc = 0;
    const struct jinja_entry **order = jinja_alloc(w->r, (d->len + 1) * sizeof(*order));
    if (order == NULL) return jinja_out_of(w->r);
    bool strings = true;
    for (uint32_t i = 0; i < d->len; i++) order[i] = &d->entries[i], strings &= order[i]->key.type == J_STR;
    if (w->how->sort && !strings) return jinja_fail(w->r, PERILUNE_ERR_INVAL,
                                                    "tojson(sort_keys) needs keys that are strings");
    if (w->how->sort && d->len > 1) qsort(order, d->len, sizeof(*order), by_key);
    buf_putc(w->to, '{');
    w->level++;
    for (uint32_t i = 0; i < d->len && rc == 0; i++) {
        const struct jinja_value *k = &order[i]->key;
        if (i > 0) buf_slice(w->to, w->how->item);
        new_line(w);
        if (k->type == J_STR) put_json_string(w->to, k->s, w->how->ascii);
        else if (k->type == J_BOOL) buf_puts(w->to, k->b ? "\"true\"" : "\"false\"");
        else buf_printf(w->to, "\"%lld\"", (long long)k->i);
        buf_slice(w->to, w->how->colon);
        rc = write_json(w, &order[i]->value);
    }
    w->level--;
    if (d->len > 0) new_line(w);
    buf_putc(w->to, '}');
    return rc;
}

static int write_json(struct writer *w, const struct jinja_value *v) {
    int rc = jinja_enter(w->r);
    if (rc != 0) return rc;
    switch (v->type) {
    case J_NONE: buf_puts(w->to, "null"); break;
    case J_BOOL: buf_puts(w->to, v->b ? "true" : "false"); break;
    case J_INT: buf_printf(w->to, "%lld", (long long)v->i); break;
    case J_FLOAT: put_float(w->to, v->f, true); break;
    case J_BIG: buf_slice(w->to, v->s); break;
    case J_STR:
        rc = jinja_charge_bytes(w->r, v->s.len);
        put_json_string(w->to, v->s, w->how->ascii);
        break;
    case J_LIST:
    case J_TUPLE: rc = write_list(w, v->list); break;
    case J_DICT: rc = write_dict(w, v->dict); break;
    default:
        rc = jinja_fail(w->r, PERILUNE_ERR_INVAL, "tojson: %s%s%.*s cannot be JSON", jinja_type_name(v),
                        v->type == J_UNDEF ? ": " : "", v->type == J_UNDEF && v->s.len < 100 ? (int)v->s.len : 0,
                        v->type == J_UNDEF ? v->s.ptr : "");
    }
    jinja_leave(w->r);
    return rc;
}

int jinja_to_json(struct jinja_run *r, const struct jinja_value *v, const struct jinja_json *how, struct buf *to) {
    struct writer w = { r, how, to, 0 };
    return write_json(&w, v);
}

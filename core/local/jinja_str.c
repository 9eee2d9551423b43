/* jinja_str.c -- what templates do with text.
 *
 *     "  你好 \n".strip()     你好        white space is Unicode's, U+3000 too
 *     "你好"[1:], |length     好, 2       characters are code points, bytes are never cut
 *     "a--b-".split("-")      a, , b, ""  and split() at white space, without empty pieces
 *
 * as Python has it.  Upper and lower case: ASCII, Latin-1, Greek and Cyrillic; other letters stay as they are.
 *
 * Invariants: what goes in is UTF-8, and so is what comes out.  Pieces of a text share its bytes.
 *
 * Thread: the run's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/perilune.h"
#include "local/jinja_int.h"
#include "tokens/unicode.h"

static bool is_lead(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

size_t jinja_chars(struct slice s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += is_lead(s.ptr[i]);
    return n;
}

size_t jinja_char_at(struct slice s, size_t n) {
    size_t i = 0;
    while (i < s.len && n > 0) {
        i++;
        while (i < s.len && !is_lead(s.ptr[i])) i++;
        n--;
    }
    return i;
}

/* -- White space and strip() --------------------------------------------------------- */

/* str.isspace() of Python. */
static bool is_space(uint32_t c) {
    if (c < 0x80) return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

static unsigned first_char(struct slice s, uint32_t *c) {
    return s.len ? unicode_decode((const unsigned char *)s.ptr, (const unsigned char *)s.ptr + s.len, c) : 0;
}

static unsigned last_char(struct slice s, uint32_t *c) {
    size_t i = s.len;
    while (i > 0 && s.len - i < 4 && !is_lead(s.ptr[--i])) {}
    return first_char(slice_of(s.ptr + i, s.len - i), c);
}

unsigned jinja_space(struct slice s) {
    uint32_t c;
    unsigned n = first_char(s, &c);
    return n && is_space(c) ? n : 0;
}

unsigned jinja_space_before(struct slice s) {
    uint32_t c;
    unsigned n = s.len ? last_char(s, &c) : 0;
    return n && is_space(c) ? n : 0;
}

/* Is one of the characters of set at p, n bytes long? */
static bool in_set(const char *p, unsigned n, struct slice set) {
    return n > 0 && n <= set.len && memmem(set.ptr, set.len, p, n) != NULL;
}

struct slice jinja_strip(struct slice s, const struct slice *set, bool left, bool right) {
    uint32_t c;
    unsigned n;
    while (left && (n = first_char(s, &c)) > 0 && (set ? in_set(s.ptr, n, *set) : is_space(c))) s.ptr += n, s.len -= n;
    while (right && s.len > 0 && (n = last_char(s, &c)) > 0 && (set ? in_set(s.ptr + s.len - n, n,
        *set) : is_space(c))) s.len -= n;
    return s;
}

/* -- split() and replace() -------------------------------------------------------------- */

static int push_piece(struct jinja_run *r, struct jinja_list *l, const char *from, const char *to) {
    int rc = jinja_charge(r, 1);
    return rc ? rc : jinja_push(r, l, j_str(slice_of(from, (size_t)(to - from))));
}

static int split_space(struct jinja_run *r, struct slice s, int64_t most, struct jinja_list *l) {
    int rc = 0;
    for (s = jinja_strip(s, NULL, true, false); s.len > 0 && rc == 0; s = jinja_strip(s, NULL, true, false)) {
        size_t n = 0;
        if (most >= 0 && l->len >= most) {
            s = jinja_strip(s, NULL, false, true);
            return push_piece(r, l, s.ptr, s.ptr + s.len);
        }
        while (n < s.len && jinja_space(slice_of(s.ptr + n, s.len - n)) == 0) n += jinja_char_at(slice_of(s.ptr + n,
            s.len - n), 1);
        rc = push_piece(r, l, s.ptr, s.ptr + n);
        s = slice_of(s.ptr + n, s.len - n);
    }
    return rc;
}

/* The last place of what in s, or NULL. */
static const char *find_last(struct slice s, struct slice what) {
    for (size_t i = s.len >= what.len ? s.len - what.len + 1 : 0; i > 0; i--)
        if (memcmp(s.ptr + i - 1, what.ptr, what.len) == 0) return s.ptr + i - 1;
    return NULL;
}

static int split_end(struct jinja_run *r, struct slice s, struct slice by, int64_t most, struct jinja_list *l) {
    int rc = 0;
    for (const char *p; rc == 0 && (most < 0 || l->len < most) && (p = find_last(s, by)) != NULL;) {
        rc = push_piece(r, l, p + by.len, s.ptr + s.len);
        s.len = (size_t)(p - s.ptr);
    }
    if (rc == 0) rc = push_piece(r, l, s.ptr, s.ptr + s.len);
    for (uint32_t i = 0; rc == 0 && i < l->len / 2; i++) {
        struct jinja_value v = l->items[i];
        l->items[i] = l->items[l->len - 1 - i];
        l->items[l->len - 1 - i] = v;
    }
    return rc;
}

int jinja_split(struct jinja_run *r, struct slice s, const struct slice *by, int64_t most, bool from_end,
                struct jinja_value *out) {
    int rc = jinja_charge_bytes(r, s.len);
    if (rc == 0) rc = jinja_new_list(r, J_LIST, 0, out);
    if (rc != 0) return rc;
    if (s.ptr == NULL) s.ptr = "";
    if (by == NULL && from_end && most >= 0)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "rsplit(maxsplit=...) at white space is not supported");
    if (by == NULL) return split_space(r, s, most, out->list);
    if (by->len == 0) return jinja_fail(r, PERILUNE_ERR_INVAL, "split(\"\"): an empty separator");
    if (from_end) return split_end(r, s, *by, most, out->list);
    const char *at = s.ptr, *end = s.ptr + s.len;
    for (const char *p; rc == 0 && (most < 0 || out->list->len < most) &&
         (p = memmem(at, (size_t)(end - at), by->ptr, by->len)) != NULL; at = p + by->len)
        rc = push_piece(r, out->list, at, p);
    return rc ? rc : push_piece(r, out->list, at, end);
}

int jinja_replace(struct jinja_run *r, struct slice s, struct slice old, struct slice by, int64_t most,
                  struct jinja_value *out) {
    struct buf b;
    const char *at = s.ptr ? s.ptr : "", *end = at + s.len;
    int rc = jinja_charge_bytes(r, s.len);
    jinja_buf(r, &b);
    while (rc == 0 && most != 0 && !buf_failed(&b)) {
        const char *p = old.len ? memmem(at, (size_t)(end - at), old.ptr, old.len) : at;
        if (p == NULL) break;
        buf_put(&b, at, (size_t)(p - at));
        buf_slice(&b, by);
        rc = jinja_charge(r, 1 + by.len / 64);
        at = p + old.len;
        if (most > 0) most--;
        if (old.len > 0) continue;
        if (at >= end) break; /* an empty text stands between all characters */
        size_t n = jinja_char_at(slice_of(at, (size_t)(end - at)), 1);
        buf_put(&b, at, n);
        at += n;
    }
    buf_put(&b, at, (size_t)(end - at));
    *out = J(J_STR);
    int took = jinja_take(r, &b, &out->s);
    return rc ? rc : took;
}

/* -- Case --------------------------------------------------------------------------------- */

static uint32_t lower(uint32_t c) {
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) ||
        (c >= 0x410 && c <= 0x42F)) return c + 32;
    return c >= 0x400 && c <= 0x40F ? c + 80 : c;
}

static uint32_t upper(uint32_t c) {
    if (c == 0x3C2) return 0x3A3; /* the other small sigma */
    if ((c >= 'a' && c <= 'z') || (c >= 0xE0 && c <= 0xFE && c != 0xF7) || (c >= 0x3B1 && c <= 0x3C9) ||
        (c >= 0x430 && c <= 0x44F)) return c - 32;
    return c >= 0x450 && c <= 0x45F ? c - 80 : c;
}

static void put_char(struct buf *b, uint32_t c) {
    if (c < 0x80) buf_putc(b, (char)c);
    else buf_putc(b, (char)(0xC0 | c >> 6)), buf_putc(b, (char)(0x80 | (c & 63)));
}

int jinja_recase(struct jinja_run *r, struct slice s, enum jinja_case how, struct jinja_value *out) {
    struct buf b;
    int rc = jinja_charge_bytes(r, s.len);
    bool begins = true; /* a word, or for CASE_CAPITAL the text */
    jinja_buf(r, &b);
    for (size_t at = 0; at < s.len && rc == 0;) {
        uint32_t c = 0;
        unsigned n = first_char(slice_of(s.ptr + at, s.len - at), &c);
        bool up = how == CASE_UPPER || (begins && how != CASE_LOWER);
        uint32_t to = n == 0 ? c : up ? upper(c) : lower(c);
        if (n == 0) n = 1, buf_putc(&b, s.ptr[at]);
        else if (up && c == 0xDF) buf_puts(&b, how == CASE_UPPER ? "SS" : "Ss");
        else if (to != c) put_char(&b, to);
        else buf_put(&b, s.ptr + at, n);
        /* Jinja's title: words begin behind white space, - ( { [ < */
        begins = how == CASE_TITLE && (is_space(c) || (c < 0x80 && c && strchr("-({[<", (int)c)));
        at += n;
    }
    *out = J(J_STR);
    int took = jinja_take(r, &b, &out->s);
    return rc ? rc : took;
}

int jinja_indent(struct jinja_run *r, struct slice s, struct slice by, bool first, bool blank,
                 struct jinja_value *out) {
    struct buf b;
    int rc = jinja_charge_bytes(r, s.len);
    jinja_buf(r, &b);
    const char *at = s.ptr ? s.ptr : "", *end = at + s.len;
    for (bool is_first = true;; is_first = false) {
        const char *p = memchr(at, '\n', (size_t)(end - at)), *to = p ? p : end;
        if ((!is_first && (blank || to > at)) || (is_first && first)) buf_slice(&b, by);
        buf_put(&b, at, (size_t)(to - at));
        if (p == NULL || buf_failed(&b)) break;
        buf_putc(&b, '\n');
        at = p + 1;
    }
    *out = J(J_STR);
    int took = jinja_take(r, &b, &out->s);
    return rc ? rc : took;
}

/* -- Formats ---------------------------------------------------------------------------------- */

/* One directive of %: *p is behind the %. */
static int put_directive(struct jinja_run *r, const char **p, const char *end, const struct jinja_value *v,
                         struct buf *b) {
    int decimals = -1;
    if (*p < end && **p == '.') {
        for (decimals = 0, ++*p; *p < end && **p >= '0' && **p <= '9' &&
             decimals < 100; ++*p) decimals = decimals * 10 + **p - '0';
        if (decimals > 30) decimals = 30;
    }
    char kind = *p < end ? *(*p)++ : '?';
    if (kind == 's' && decimals < 0) return jinja_print(r, v, b);
    if (kind == 'r' && decimals < 0) return jinja_repr(r, v, b);
    if (!strchr("dixf", kind)) return jinja_fail(r, PERILUNE_ERR_INVAL, "the format %%%c is not supported", kind);
    if (!j_is_number(v)) return jinja_fail(r, PERILUNE_ERR_INVAL, "%%%c needs a number, not %s", kind,
                                           jinja_type_name(v));
    double f = j_to_float(v);
    if (kind == 'f') return buf_printf(b, "%.*f", decimals < 0 ? 6 : decimals, f), b->error;
    if (v->type == J_FLOAT && (!(f > -9e18 && f < 9e18) || kind == 'x'))
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%%%c needs an integer", kind);
    int64_t i = v->type == J_FLOAT ? (int64_t)f : j_to_int(v);
    if (kind == 'x') buf_printf(b, "%s%llx", i < 0 ? "-" : "",
                                (unsigned long long)(i < 0 ? -(uint64_t)i : (uint64_t)i));
    else buf_printf(b, "%lld", (long long)i);
    return b->error;
}

int jinja_percent(struct jinja_run *r, struct slice fmt, const struct jinja_value *of, struct jinja_value *out) {
    const struct jinja_value *args = of->type == J_TUPLE ? of->list->items : of;
    uint32_t len = of->type == J_TUPLE ? of->list->len : 1, used = 0;
    struct buf b;
    int rc = jinja_charge_bytes(r, fmt.len);
    jinja_buf(r, &b);
    for (const char *p = fmt.ptr, *end = p + fmt.len; p < end && rc == 0;) {
        if (*p != '%') {
            buf_putc(&b, *p++);
        } else if (++p < end && *p == '%') {
            buf_putc(&b, *p++);
        } else if (used < len) {
            rc = put_directive(r, &p, end, &args[used++], &b);
        } else {
            rc = jinja_fail(r, PERILUNE_ERR_INVAL, "more formats than values for %%");
        }
    }
    if (rc == 0 && used < len) rc = jinja_fail(r, PERILUNE_ERR_INVAL, "more values than formats for %%");
    *out = J(J_STR);
    int took = jinja_take(r, &b, &out->s);
    return rc ? rc : took;
}

/* {}, {0}, {name}: *p is behind the brace. */
static int put_field(struct jinja_run *r, const char **p, const char *end, const struct jinja_args *a, unsigned *next,
                     struct buf *b) {
    const char *close = memchr(*p, '}', (size_t)(end - *p));
    struct slice name = slice_of(*p, close ? (size_t)(close - *p) : 0);
    const struct jinja_value *v = NULL;
    if (close == NULL) return jinja_fail(r, PERILUNE_ERR_INVAL, "format(): a { without its }");
    *p = close + 1;
    if (name.len == 0) {
        v = *next < a->len ? &a->v[*next] : NULL;
        ++*next;
    } else if (name.len < 3 && name.ptr[0] >= '0' && name.ptr[0] <= '9') {
        unsigned i = (unsigned)(name.ptr[0] - '0');
        if (name.len == 2) i = i * 10 + (unsigned)(name.ptr[1] - '0');
        v = i < a->len ? &a->v[i] : NULL;
    } else {
        for (unsigned i = 0; i < a->named_len; i++)
            if (slice_eq(a->named[i].name, name)) v = &a->named[i].v;
    }
    if (v == NULL)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "format(): nothing for {%.*s} (only {}, {0} and {name} are supported)",
                          name.len < 40 ? (int)name.len : 40, name.ptr);
    return jinja_print(r, v, b);
}

int jinja_format(struct jinja_run *r, struct slice fmt, const struct jinja_args *a, struct jinja_value *out) {
    struct buf b;
    unsigned next = 0;
    int rc = jinja_charge_bytes(r, fmt.len);
    jinja_buf(r, &b);
    for (const char *p = fmt.ptr, *end = p + fmt.len; p < end && rc == 0;) {
        char c = *p++;
        bool twice = p < end && *p == c;
        if (c != '{' && c != '}') buf_putc(&b, c);
        else if (twice) buf_putc(&b, *p++);
        else if (c == '{') rc = put_field(r, &p, end, a, &next, &b);
        else rc = jinja_fail(r, PERILUNE_ERR_INVAL, "format(): a } without its {");
    }
    *out = J(J_STR);
    int took = jinja_take(r, &b, &out->s);
    return rc ? rc : took;
}

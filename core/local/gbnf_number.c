/* gbnf_number.c -- numbers between bounds, as a grammar.
 *
 * A grammar has no arithmetic, so a range becomes the digits that stay in it:
 *
 *     18 ... 120     "1" [8-9] | [2-9] [0-9] | "1" ( [0-1] [0-9] | "2" "0" )
 *
 * by length, and within one length digit by digit: the digits above the lower bound's and below the upper's are
 * free, those equal to a bound's stay bound.  Below zero the range is mirrored behind "-".
 *
 * A number that is no integer has a fraction: what is in [lo, hi] has its integer part in [lo, hi - 1] and any
 * fraction, or is hi with a fraction of zeros.  Its bounds have to be integers.
 *
 * Invariants: bounds are within 2^53; a range without a lower (upper) bound ends at 15 digits.
 *
 * Thread: any. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "include/perilune.h"
#include "local/gbnf_int.h"

#define EXACT ((int64_t)1 << 53)
#define MOST 999999999999999 /* 15 digits: every reader of JSON keeps them */

static void put_class(struct buf *to, char a, char b) {
    if (a == b) buf_printf(to, "\"%c\"", a);
    else buf_printf(to, "[%c-%c]", a, b);
}

static void put_any(struct buf *to, size_t digits) {
    if (digits == 1) buf_puts(to, " [0-9]");
    else if (digits > 1) buf_printf(to, " [0-9]{%zu}", digits);
}

/* Digits of the same length between a and b, both included; the bounds that do not bind are NULL. */
static void put_digits(struct buf *to, const char *a, const char *b, size_t n) {
    bool first = true;
    if (n == 0) {
        buf_puts(to, "\"\"");
        return;
    }
    if (a && b && *a == *b) {
        buf_printf(to, "\"%c\"", *a);
        if (n == 1) return;
        buf_puts(to, " (");
        put_digits(to, a + 1, b + 1, n - 1);
        buf_putc(to, ')');
        return;
    }
    char low = a ? *a : '0', high = b ? *b : '9';
    bool bound_low = a && n > 1 && strspn(a + 1, "0") < n - 1, bound_high = b && n > 1 && strspn(b + 1, "9") < n - 1;
    if (bound_low) {
        buf_printf(to, "\"%c\" (", low++);
        put_digits(to, a + 1, NULL, n - 1);
        buf_putc(to, ')');
        first = false;
    }
    if (low <= (bound_high ? high - 1 : high)) {
        if (!first) buf_puts(to, " | ");
        put_class(to, low, bound_high ? (char)(high - 1) : high);
        put_any(to, n - 1);
        first = false;
    }
    if (!bound_high) return;
    if (!first) buf_puts(to, " | ");
    buf_printf(to, "\"%c\" (", high);
    put_digits(to, NULL, b + 1, n - 1);
    buf_putc(to, ')');
}

/* Integers from 0 <= a to b, by length. */
static void put_range(struct buf *to, int64_t a, int64_t b) {
    char low[24], high[24], from[24], till[24];
    int n = snprintf(low, sizeof(low), "%lld", (long long)a), m = snprintf(high, sizeof(high), "%lld", (long long)b);
    buf_putc(to, '(');
    for (int len = n; len <= m; len++) {
        memset(from, '0', (size_t)len);
        memset(till, '9', (size_t)len);
        from[0] = '1';
        from[len] = till[len] = '\0';
        if (len > n) buf_puts(to, " | ");
        put_digits(to, len == n ? low : from, len == m ? high : till, (size_t)len);
    }
    buf_putc(to, ')');
}

static void put_integers(struct buf *to, int64_t a, int64_t b) {
    if (b >= 0) put_range(to, a > 0 ? a : 0, b);
    if (a >= 0) return;
    if (b >= 0) buf_puts(to, " | ");
    buf_puts(to, "\"-\" ");
    put_range(to, b < 0 ? -b : 1, -a);
}

struct bounds { int64_t low, high; bool without_low, without_high; /* that bound itself */ };

/* Numbers from 0 <= low to high. */
static void put_reals(struct buf *to, struct bounds b) {
    buf_putc(to, '(');
    bool first = true;
    if (b.without_low && b.low < b.high) { /* low and something */
        buf_printf(to, "\"%lld.\" \"0\"{0,14} [1-9] [0-9]{0,15}", (long long)b.low);
        first = false;
        b.low++;
        b.without_low = false;
    }
    if (b.low < b.high) {
        if (!first) buf_puts(to, " | ");
        put_range(to, b.low, b.high - 1);
        buf_puts(to, " (\".\" [0-9]{1,15})?");
        first = false;
    }
    if (!b.without_high && !b.without_low) {
        if (!first) buf_puts(to, " | ");
        buf_printf(to, "\"%lld\" (\".\" \"0\"{1,15})?", (long long)b.high);
    }
    buf_putc(to, ')');
}

/* [low, high] as what is not below zero, and what is. */
static void put_numbers(struct buf *to, struct bounds b) {
    bool above = b.high > 0 || (b.high == 0 && !b.without_high);
    if (above) {
        struct bounds up = { b.low > 0 ? b.low : 0, b.high, b.low >= 0 && b.without_low, b.without_high };
        put_reals(to, up);
    }
    if (b.low >= 0) return;
    struct bounds down = { b.high < 0 ? -b.high : 0, -b.low, b.high < 0 ? b.without_high : true, b.without_low };
    if (above) buf_puts(to, " | ");
    buf_puts(to, "\"-\" ");
    put_reals(to, down);
}

/* A bound: v, and whether it is one that the number must not reach. */
static bool bound(struct gbnf *g, const struct gbnf_view *v, const char *name, const char *exclusive, bool integer,
                  int64_t *out, bool *without) {
    uint32_t in = 0, other = 0, at = gbnf_keyword(g, v, name, &in), ex = gbnf_keyword(g, v, exclusive, &other);
    *without = false;
    if (ex != JSON_NONE && (json_type(g->doc, ex) == JSON_TRUE || json_type(g->doc, ex) == JSON_FALSE)) {
        *without = json_type(g->doc, ex) == JSON_TRUE && at != JSON_NONE; /* draft 4 */
    } else if (ex != JSON_NONE && at != JSON_NONE) {
        gbnf_fail(g, PERILUNE_ERR_INVAL, other, exclusive, "cannot stand beside \"%s\": leave one of them out", name);
    } else if (ex != JSON_NONE) {
        *without = true;
        at = ex;
        in = other;
        name = exclusive;
    }
    if (at == JSON_NONE) return false;
    double d = json_is(g->doc, at, JSON_NUMBER) ? json_number(g->doc, at) : NAN;
    bool whole = json_i64(g->doc, at, out) == 0;
    if (!(whole ? *out <= EXACT && *out >= -EXACT : integer && fabs(d) < EXACT)) {
        gbnf_fail(g, PERILUNE_ERR_INVAL, in, name, integer ? "is a number within 2^53"
                  : "of a number has to be an integer "
                  "within 2^53 here: round it");
        return false;
    }
    bool lower = strstr(name, "in") != NULL && strstr(name, "ax") == NULL;
    if (!whole && d == floor(d))
        gbnf_fail(g, PERILUNE_ERR_INVAL, in, name, "has more digits than can be read: round it");
    if (!whole) *out = (int64_t)(lower ? ceil(d) : floor(d));
    else if (integer && *without) *out += lower ? 1 : -1;
    return true;
}

void gbnf_number(struct gbnf *g, const struct gbnf_view *v, bool integer) {
    struct bounds b = { -MOST, MOST, false, false };
    bool low = bound(g, v, "minimum", "exclusiveMinimum", integer, &b.low, &b.without_low);
    bool high = bound(g, v, "maximum", "exclusiveMaximum", integer, &b.high, &b.without_high);
    if (g->rc != 0) return;
    if (!low && !high) {
        buf_puts(&g->out, integer ? "integer" : "number");
        return;
    }
    if (!low && b.low > b.high) b.low = b.high * 2;
    if (!high && b.high < b.low) b.high = b.low * 2;
    bool empty = b.low > b.high || (!integer && b.low == b.high && (b.without_low || b.without_high));
    uint32_t in = v->node[0];
    if (empty) {
        gbnf_fail(g, PERILUNE_ERR_INVAL, in, low ? "minimum" : "maximum", "no number is between the bounds");
        return;
    }
    buf_putc(&g->out, '(');
    if (integer) put_integers(&g->out, b.low, b.high);
    else put_numbers(&g->out, b);
    buf_puts(&g->out, ") space");
}

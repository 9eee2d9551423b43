/* cache_control.c -- what a client's Cache-Control says (RFC 9111 5.2.1), and Pragma: no-cache of old; and of an
 * upstream's (5.2.2) whether its answer may be kept at all: no-store.
 *
 * Directives that nobody here knows are passed over; a max-age that is no number is one of 0, because
 * whoever says it does not want what is old.  Of an upstream all else is passed over: frameworks say no-cache of every
 * event stream, and Google's services private of every answer; entries are a tenant's own anyway. */
#include "request/cache_control.h"

#include "flow/headers.h"

static bool is_space(char c) { return c == ' ' || c == '\t'; }

static uint64_t seconds_of(struct slice s) {
    uint64_t n = 0;
    if (s.len > 1 && s.ptr[0] == '"') s = slice_of(s.ptr + 1, s.len - 2);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return 0;
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
        if (n > UINT32_MAX) return UINT32_MAX;
    }
    return n;
}

static unsigned read_directive(struct slice s, uint64_t *max_age_ms) {
    static const struct slice max_age = SLICE("max-age=");
    if (slice_eq_nocase(s, SLICE("no-cache"))) return CACHE_CONTROL_NO_CACHE;
    if (slice_eq_nocase(s, SLICE("no-store"))) return CACHE_CONTROL_NO_STORE;
    if (s.len < max_age.len || !slice_eq_nocase(slice_of(s.ptr, max_age.len), max_age)) return 0;
    uint64_t ms = seconds_of(slice_of(s.ptr + max_age.len, s.len - max_age.len)) * 1000;
    if (ms < *max_age_ms) *max_age_ms = ms;
    return CACHE_CONTROL_MAX_AGE;
}

static unsigned read_line(struct slice s, uint64_t *max_age_ms) {
    unsigned bits = 0;
    for (size_t i = 0, from = 0; i <= s.len; i++) {
        if (i < s.len && s.ptr[i] != ',') continue;
        size_t end = i;
        while (from < end && is_space(s.ptr[from])) from++;
        while (end > from && is_space(s.ptr[end - 1])) end--;
        bits |= read_directive(slice_of(s.ptr + from, end - from), max_age_ms);
        from = i + 1;
    }
    return bits;
}

bool cache_control_forbids(struct slice headers) {
    struct slice name, value;
    uint64_t ignored = UINT64_MAX;
    unsigned bits = 0;
    while (headers_next(&headers, &name, &value))
        if (slice_eq_nocase(name, SLICE("cache-control"))) bits |= read_line(value, &ignored);
    return (bits & CACHE_CONTROL_NO_STORE) != 0;
}

unsigned cache_control_read(const struct request *r, uint64_t *max_age_ms) {
    unsigned bits = 0;
    *max_age_ms = UINT64_MAX;
    for (unsigned i = 0; i < r->header_count; i++) {
        const struct http_header *h = &r->headers[i];
        if (slice_eq_nocase(h->name, SLICE("cache-control"))) bits |= read_line(h->value, max_age_ms);
        else if (slice_eq_nocase(h->name, SLICE("pragma")) && slice_eq_nocase(h->value, SLICE("no-cache")))
            bits |= CACHE_CONTROL_NO_CACHE;
    }
    return bits;
}

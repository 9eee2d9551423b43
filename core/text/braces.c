/* braces.c -- finds the JSON in a text that is not JSON.
 *
 * At a bracket a validator starts, without recursion.  When it fails, everything that
 * was open then has failed with it: a container inside is read by the same steps, so it
 * stops at the same byte.  What was complete by then is JSON.  Hence no byte is read
 * twice:
 *
 *     [1, {"a": 2}, see [3]         the validator stops at "see" (dead)
 *     |   |______|                  complete: found
 *     open: failed                  [3] stands behind dead: a new start
 *
 * Only the outermost complete containers are remembered: one that completes swallows
 * those inside it.  256 levels at most, as in json.h; deeper is no JSON, its inner parts
 * may be.
 *
 * Thread: that of the scan.  Does not: decode, keep values, look into strings. */
#include <string.h>

#include "base/json.h"
#include "text/scan.h"

struct level {
    const char *start;
    size_t      found; /* how many were found in front of it */
    char        kind;
};

static const char *skip_white(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

/* Each returns the end of the token at p, or NULL and *bad: where it went wrong. */
static const char *string_end(const char *p, const char *end, const char **bad) {
    for (p++; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20) break;
        if (*p != '\\') continue;
        if (++p == end || memchr("\"\\/bfnrtu", *p, 9) == NULL) break;
        if (*p != 'u') continue;
        for (int i = 0; i < 4; i++) {
            char c = ++p < end ? *p : 'x';
            if (!text_is_digit(c) && (unsigned)((unsigned char)c | 0x20) - 'a' > 5) goto fail;
        }
    }
    if (p < end && *p == '"') return p + 1;
fail:
    *bad = p < end ? p : end;
    return NULL;
}

static const char *digits(const char *p, const char *end) {
    while (p < end && text_is_digit(*p)) p++;
    return p;
}

static const char *number_end(const char *p, const char *end, const char **bad) {
    if (*p == '-') p++;
    const char *from = p;
    p = digits(p, end);
    bool ok = p > from && (*from != '0' || p == from + 1);
    if (ok && p < end && *p == '.') {
        from = ++p;
        p = digits(p, end);
        ok = p > from;
    }
    if (ok && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        from = p;
        p = digits(p, end);
        ok = p > from;
    }
    if (ok) return p;
    *bad = p;
    return NULL;
}

static const char *scalar_end(const char *p, const char *end, const char **bad) {
    static const char *const words[] = { "true", "false", "null" };
    if (*p == '"') return string_end(p, end, bad);
    if (*p == '-' || text_is_digit(*p)) return number_end(p, end, bad);
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0) return p + n;
    }
    *bad = p;
    return NULL;
}

/* In front of a value in an object: its key and the colon. */
static const char *key_end(const char *p, const char *end, const char **bad) {
    *bad = p;
    if (p == end || *p != '"') return NULL;
    p = string_end(p, end, bad);
    if (p == NULL) return NULL;
    p = skip_white(p, end);
    *bad = p;
    return p < end && *p == ':' ? skip_white(p + 1, end) : NULL;
}

/* A container is complete: what was found inside goes, it stays. */
static void complete(struct text_scan *s, const struct level *l, const char *to) {
    struct buf *found = &s->json_found;
    found->len = l->found * sizeof(struct text_span);
    struct text_span span = { (uint32_t)(l->start - s->text), (uint32_t)(to - s->text), TEXT_JSON };
    buf_put(found, &span, sizeof(span));
}

/* Reads from the bracket at p.  Returns the end of its container, or NULL: dead at *bad. */
static const char *validate(struct text_scan *s, const char *p, const char *end, const char **bad) {
    struct level levels[JSON_MAX_DEPTH];
    int depth = 0;

    for (;;) { /* p is at a value, or at the bracket that closes an empty container */
        *bad = p;
        if (p == end) return NULL;
        if (*p == '{' || *p == '[') {
            if (depth == JSON_MAX_DEPTH) return NULL;
            levels[depth++] = (struct level){ p, s->json_found.len / sizeof(struct text_span), *p };
            const char *next = skip_white(p + 1, end);
            if (next < end && *next == (*p == '{' ? '}' : ']')) {
                p = next;
            } else {
                bool object = *p == '{';
                p = next;
                if (object && (p = key_end(p, end, bad)) == NULL) return NULL;
                continue;
            }
        } else if ((p = scalar_end(p, end, bad)) == NULL) {
            return NULL;
        }
        for (;;) { /* p is behind a value, or at a bracket that closes */
            p = skip_white(p, end);
            *bad = p;
            if (p == end) return NULL;
            const struct level *top = &levels[depth - 1];
            if (*p == ',') {
                p = skip_white(p + 1, end);
                if (top->kind == '{' && (p = key_end(p, end, bad)) == NULL) return NULL;
                break;
            }
            if (*p != (top->kind == '{' ? '}' : ']')) return NULL;
            complete(s, top, ++p);
            if (--depth == 0) return p;
        }
    }
}

/* Did a validator that failed complete this one? */
static const char *found_before(struct text_scan *s) {
    struct text_span *found = (struct text_span *)(void *)s->json_found.data;
    size_t n = s->json_found.len / sizeof(*found);
    uint32_t at = (uint32_t)(s->at - s->text);
    while (s->json_taken < n && found[s->json_taken].start < at) s->json_taken++;
    return s->json_taken < n && found[s->json_taken].start == at ? s->text + found[s->json_taken].end : NULL;
}

const char *text_scan_json(struct text_scan *s, const char *limit) {
    const char *to;
    if (s->at < s->json_dead) {
        to = found_before(s);
    } else {
        s->json_found.len = 0; /* its error stays */
        s->json_taken = 0;
        to = validate(s, s->at, limit, &s->json_dead);
    }
    return to != NULL && to <= limit ? to : NULL;
}

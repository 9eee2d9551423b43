/* slice.h -- a borrowed piece of somebody's bytes. */
#ifndef PERILUNE_BASE_SLICE_H
#define PERILUNE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *ptr; /* not NUL-terminated; may be NULL when len is 0 */
    size_t      len;
};

#define SLICE(literal) ((struct slice){ "" literal, sizeof(literal) - 1 })
#define SLICE_ARG(s) (int)(s).len, (s).ptr /* for "%.*s" */

static inline struct slice slice_of(const char *ptr, size_t len) {
    return (struct slice){ ptr, len };
}

static inline struct slice slice_str(const char *s) {
    return (struct slice){ s, s ? strlen(s) : 0 };
}

static inline bool slice_eq(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case is ignored: header names, schemes. */
static inline bool slice_eq_nocase(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool slice_ends(struct slice s, struct slice end) {
    return s.len >= end.len && (end.len == 0 || memcmp(s.ptr + s.len - end.len, end.ptr, end.len) == 0);
}

static inline bool slice_starts_nocase(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || strncasecmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* Into a fixed field, cut to fit, NUL-terminated. */
static inline void slice_copy(char *to, size_t size, struct slice s) {
    size_t n = s.len < size ? s.len : size - 1;
    if (n > 0) memcpy(to, s.ptr, n);
    to[n] = '\0';
}

/* Control characters of two and three bytes: C1, and those that turn around or hide what stands beside them (U+061C,
 * U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF).  0: p begins with none. */
static inline unsigned slice_control_len(const char *p) {
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] == 0xC2 && (u[1] & 0xE0) == 0x80) return 2;
    if (u[0] == 0xD8 && u[1] == 0x9C) return 2;
    if (u[0] == 0xE2 && u[1] == 0x80 && ((u[2] >= 0x8B && u[2] <= 0x8F) || (u[2] >= 0xA8 && u[2] <= 0xAE))) return 3;
    if (u[0] == 0xE2 && u[1] == 0x81 && u[2] >= 0xA0 && u[2] <= 0xAF) return 3;
    return u[0] == 0xEF && u[1] == 0xBB && u[2] == 0xBF ? 3 : 0;
}

/* Control characters, those of several bytes too, become "?": what somebody else wrote is to be shown on a terminal. */
static inline void slice_mute(char *text) {
    char *to = text;
    for (const char *p = text; *p != '\0'; p++) {
        unsigned n = slice_control_len(p);
        *to++ = n > 0 || (unsigned char)*p < 0x20 || *p == 0x7F ? '?' : *p;
        if (n > 0) p += n - 1;
    }
    *to = '\0';
}

/* Without spaces and tabs at both ends. */
static inline struct slice slice_trim(struct slice s) {
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) { s.ptr++; s.len--; }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) s.len--;
    return s;
}

#endif

/* path.c -- one way to write a path.
 *
 *     /v1/ch%61t/completions   ->  /v1/chat/completions      %XX of what needs none is decoded
 *     /v1/models/a%2fb         ->  /v1/models/a%2Fb          the others stay, in capitals
 *     /v1//chat/completions    ->  refused, as are "." and ".." as segments, \ and ; in any spelling
 *
 * A route is a promise: who asks for its path meets its policies.  It holds only when we and the
 * upstream read a path in the same way, and servers differ: one resolves "..", one merges slashes, one
 * decodes before it compares, one cuts off what is behind a semicolon, one takes \ for /.  So a path
 * is brought into one form before anybody looks at it (RFC 3986 6.2.2), and what some servers would
 * read as another path is refused.  That form is what routes, policies, the log and the upstream see.
 *
 * One thing stays open: "%2F" is a slash to some, and part of a name to others, who need it (a model
 * "org/name").  Whoever chooses by path asks how it would choose for the other reading, too
 * (http_path_with_slashes), and refuses when that makes a difference.
 *
 * Thread: any. */
#include "http/path.h"

#include <string.h>

#include "base/hex.h"
#include "http/token.h"
#include "include/perilune.h"

/* The byte that two hex digits at p stand for, or -1. */
static int hex_byte(const char *p, const char *end) {
    if (end - p < 2 || hex_value(p[0]) < 0 || hex_value(p[1]) < 0) return -1;
    return hex_value(p[0]) << 4 | hex_value(p[1]);
}

/* May it stand in a path as it is (RFC 3986 3.3)? */
static bool is_plain(unsigned char c) {
    bool alnum = http_is_digit((char)c) || ((c | 32) >= 'a' && (c | 32) <= 'z');
    return alnum || (c != '\0' && strchr("-._~!$&'()*+,=:@/", c) != NULL);
}

/* What is wrong with a byte, wherever it stands. */
static const char *byte_problem(int c) {
    if (c < 0) return "the path has a % that no two hex digits follow";
    if (c < ' ' || c == 0x7f) return "the path has a control byte in it";
    if (c == '\\') return "the path has a \\ in it";
    if (c == ';') return "the path has a ; in it";
    return NULL;
}

/* The next byte of a path and where the one behind it begins. */
static int next_byte(const char **p, const char *end, bool *encoded) {
    *encoded = **p == '%';
    int c = *encoded ? hex_byte(*p + 1, end) : (unsigned char)**p;
    *p += *encoded && c >= 0 ? 3 : 1;
    return c;
}

/* What is wrong with all of it, or NULL; *length: of its normal form. */
static const char *problem(struct slice path, size_t *length) {
    int dots = 0;    /* of a segment that has nothing else, or -1 */
    int percent = 0; /* 1: a % came decoded, 2: and a digit behind it */
    size_t in_segment = 1;
    const char *end = path.ptr + path.len, *why;
    *length = 0;
    for (const char *p = path.ptr; p < end;) {
        bool encoded, first = p == path.ptr;
        int c = next_byte(&p, end, &encoded);
        if ((why = byte_problem(c)) != NULL) return why;
        if (percent == 2 && hex_value((char)c) >= 0) return "the path is encoded twice";
        percent = c == '%' ? 1 : percent == 1 && hex_value((char)c) >= 0 ? 2 : 0;
        if (c == '/') {
            if (!first && in_segment == 0)
                return "the path has two slashes in a row; does the base URL of the client end in one?";
            if (dots > 0 && dots <= 2) return "the path has a segment '.' or '..'";
        }
        in_segment = c == '/' ? 0 : in_segment + 1;
        dots = c == '/' ? 0 : c == '.' && dots >= 0 ? dots + 1 : -1;
        *length += is_plain((unsigned char)c) && !(c == '/' && encoded) ? 1 : 3;
    }
    return dots > 0 && dots <= 2 ? "the path has a segment '.' or '..'" : NULL;
}

static void write_normal(struct slice path, char *out) {
    static const char digits[] = "0123456789ABCDEF";
    const char *end = path.ptr + path.len;
    for (const char *p = path.ptr; p < end;) {
        bool encoded;
        int c = next_byte(&p, end, &encoded);
        if (is_plain((unsigned char)c) && !(c == '/' && encoded)) {
            *out++ = (char)c;
        } else {
            *out++ = '%';
            *out++ = digits[c >> 4];
            *out++ = digits[c & 15];
        }
    }
}

/* Nearly all paths are in normal form but for what problem() finds. */
static bool is_written_normally(struct slice path) {
    for (size_t i = 0; i < path.len; i++)
        if (!is_plain((unsigned char)path.ptr[i])) return false;
    return true;
}

/* Nearly all: letters, digits, - and _ between single slashes, of which nothing above has anything to say. */
static bool is_simple(struct slice path) {
    char before = '\0';
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        bool word = (unsigned char)((c | 32) - 'a') < 26 || http_is_digit(c) || c == '-' || c == '_';
        if (!word && (c != '/' || before == '/')) return false;
        before = c;
    }
    return true;
}

int http_path_normalize(struct slice *path, struct arena *arena, const char **why) {
    size_t length;
    if (path->len == 0 || path->ptr[0] != '/') return 0; /* OPTIONS * */
    if (is_simple(*path)) return 0;
    const char *wrong = problem(*path, &length);
    if (wrong != NULL) {
        *why = wrong;
        return PERILUNE_ERR_INVAL;
    }
    if (is_written_normally(*path)) return 0;
    char *out = arena_alloc(arena, length + 1);
    if (out == NULL) return PERILUNE_ERR_NOMEM;
    write_normal(*path, out);
    *path = slice_of(out, length);
    return 0;
}

bool http_path_with_slashes(struct slice path, struct arena *arena, struct slice *other) {
    if (memmem(path.ptr, path.len, "%2F", 3) == NULL) return false;
    char *out = arena_dup(arena, path);
    *other = SLICE("");
    if (out == NULL) return true;
    size_t n = 0;
    for (size_t i = 0; i < path.len; n++) {
        bool slash = path.len - i >= 3 && memcmp(path.ptr + i, "%2F", 3) == 0;
        out[n] = slash ? '/' : path.ptr[i];
        i += slash ? 3 : 1;
    }
    *other = slice_of(out, n);
    return true;
}

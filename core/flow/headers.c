/* headers.c -- header lines in one buffer, looked through from the start.
 *
 * A block has a dozen lines at most, is written once and asked once or twice: a
 * table would cost more than it finds.  Whoever writes lines has checked that
 * names are tokens and that values hold no line end.
 *
 * A list may name many headers with a star.  What frames a message, and what this program says
 * of one itself, is never among them: a second Content-Length or a Transfer-Encoding of somebody
 * else's would make two messages of one. */
#include "flow/headers.h"

#include <string.h>
#include <strings.h>

bool headers_next(struct slice *block, struct slice *name, struct slice *value) {
    if (block->len == 0) return false;
    const char *nl = memchr(block->ptr, '\n', block->len);
    size_t len = nl ? (size_t)(nl + 1 - block->ptr) : block->len;
    const char *colon = memchr(block->ptr, ':', len);
    size_t end = nl == NULL ? len : len > 1 && nl[-1] == '\r' ? len - 2 : len - 1;
    size_t to = colon ? (size_t)(colon - block->ptr) : end;
    *name = slice_of(block->ptr, to);
    *value = colon ? slice_trim(slice_of(colon + 1, end - to - 1)) : slice_of(block->ptr + end, 0);
    block->ptr += len;
    block->len -= len;
    return true;
}

struct slice headers_line(struct slice block, struct slice name) {
    struct slice n, value;
    const char *start = block.ptr;
    while (headers_next(&block, &n, &value)) {
        if (slice_eq_nocase(n, name)) return slice_of(start, (size_t)(block.ptr - start));
        start = block.ptr;
    }
    return slice_of(NULL, 0);
}

struct slice headers_find(struct slice block, struct slice name) {
    struct slice n, value;
    while (headers_next(&block, &n, &value))
        if (slice_eq_nocase(n, name)) return value;
    return slice_of(NULL, 0);
}

/* As lua/perilune/config.lua refuses them when they are named in full. */
static bool is_ours(struct slice name) {
    static const struct slice names[] = {
        SLICE("connection"), SLICE("content-length"), SLICE("expect"), SLICE("host"), SLICE("keep-alive"),
        SLICE("proxy-connection"), SLICE("te"), SLICE("trailer"), SLICE("transfer-encoding"), SLICE("upgrade"),
        SLICE("content-encoding"), SLICE("content-type"), SLICE("date"), SLICE("retry-after"), SLICE("set-cookie"),
        SLICE("x-request-id"),
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_eq_nocase(name, names[i])) return true;
    return slice_starts_nocase(name, SLICE("x-perilune-"));
}

static bool begins_as(struct slice known, struct slice name) {
    return name.len >= known.len && strncasecmp(name.ptr, known.ptr, known.len - 1) == 0 && !is_ours(name);
}

bool headers_list_has(const struct headers_list *list, struct slice name) {
    for (unsigned i = 0; i < list->count; i++) {
        struct slice known = slice_str(list->names[i]);
        bool prefix = known.len > 0 && known.ptr[known.len - 1] == '*';
        if (prefix ? begins_as(known, name) : slice_eq_nocase(name, known)) return true;
    }
    return false;
}

void headers_drop(struct buf *block, struct slice name) {
    struct slice all = buf_get(block), line = headers_line(all, name);
    if (line.ptr == NULL) return;
    size_t at = (size_t)(line.ptr - all.ptr);
    memmove(block->data + block->mark + at, line.ptr + line.len, all.len - at - line.len);
    block->len -= line.len;
}

void headers_put(struct buf *out, struct slice name, struct slice value) {
    size_t n = name.len + value.len + 4;
    char *p = buf_reserve(out, n);
    if (p == NULL) return;
    if (name.len > 0) memcpy(p, name.ptr, name.len);
    memcpy(p + name.len, ": ", 2);
    if (value.len > 0) memcpy(p + name.len + 2, value.ptr, value.len);
    memcpy(p + n - 2, "\r\n", 2);
    buf_advance(out, n);
}

bool headers_value_next(struct slice *list, struct slice *element) {
    if (list->ptr == NULL) return false;
    const char *comma = list->len ? memchr(list->ptr, ',', list->len) : NULL;
    size_t len = comma ? (size_t)(comma - list->ptr) : list->len;

    *element = slice_trim(slice_of(list->ptr, len));
    *list = comma ? slice_of(comma + 1, list->len - len - 1) : slice_of(NULL, 0);
    return true;
}

bool headers_value_has(struct slice list, struct slice name) {
    struct slice element;
    while (headers_value_next(&list, &element))
        if (slice_eq_nocase(element, name)) return true;
    return false;
}

/* buf.c -- growable bytes.
 *
 * Growth is by half, at least 64 bytes, so that small frames stay small and
 * appending is linear.  Consumed bytes are dropped lazily: when all is read the
 * marks go back to zero for free, otherwise the tail moves down only when room
 * is needed.  The limit counts unread bytes, not the NUL behind a string. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "include/perilune.h"

void buf_init(struct buf *b, size_t limit) { *b = (struct buf){ .limit = limit }; }

void buf_deinit(struct buf *b) {
    mem_free(b->data);
    buf_init(b, b->limit);
}

void buf_clear(struct buf *b) {
    b->mark = b->len = 0;
    b->error = 0;
}

static int grow(struct buf *b, size_t n) {
    if (b->mark > 0) { /* first take back what was read */
        memmove(b->data, b->data + b->mark, b->len - b->mark);
        b->len -= b->mark;
        b->mark = 0;
        if (b->cap - b->len >= n) return 0;
    }
    if (n > SIZE_MAX / 2 - b->len) return PERILUNE_ERR_NOMEM;
    size_t cap = b->cap + b->cap / 2;
    if (cap < b->len + n) cap = b->len + n;
    if (cap < 64) cap = 64;
    char *data = mem_realloc(b->data, cap);
    if (data == NULL) return PERILUNE_ERR_NOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

/* Room for n more bytes, of which `counted` are content. */
static char *reserve(struct buf *b, size_t n, size_t counted) {
    if (b->error) return NULL;
    if (b->limit != 0 && (counted > b->limit || buf_len(b) > b->limit - counted)) {
        b->error = PERILUNE_ERR_LIMITED;
        return NULL;
    }
    if (b->cap - b->len < n || b->data == NULL) {
        b->error = grow(b, n ? n : 1);
        if (b->error) return NULL;
    }
    return b->data + b->len;
}

char *buf_reserve(struct buf *b, size_t n) { return reserve(b, n, n); }

void buf_shed(struct buf *b, size_t most) {
    if (b->cap > most) buf_deinit(b);
    buf_clear(b);
}

void buf_advance(struct buf *b, size_t n) { b->len += n; }

void buf_put(struct buf *b, const void *ptr, size_t len) {
    if (len == 0) return;
    bool plain = b->error == 0 && b->limit == 0 && b->cap - b->len >= len; /* nearly always */
    char *p = plain ? b->data + b->len : buf_reserve(b, len);
    if (p == NULL) return;
    memcpy(p, ptr, len);
    b->len += len;
}

void buf_puts(struct buf *b, const char *s) { buf_put(b, s, strlen(s)); }
void buf_putc(struct buf *b, char c) {
    if (b->error == 0 && b->limit == 0 && b->cap > b->len) b->data[b->len++] = c;
    else buf_put(b, &c, 1);
}
void buf_slice(struct buf *b, struct slice s) { buf_put(b, s.ptr, s.len); }

void buf_u64(struct buf *b, uint64_t v) {
    char tmp[20];
    char *p = tmp + sizeof(tmp);
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    buf_put(b, p, (size_t)(tmp + sizeof(tmp) - p));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : reserve(b, (size_t)n + 1, (size_t)n);
    if (p != NULL) {
        vsnprintf(p, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n) {
    b->mark += n;
    if (b->mark >= b->len) b->mark = b->len = 0;
}

const char *buf_cstr(struct buf *b) {
    char *p = reserve(b, 1, 0);
    if (p == NULL) return NULL;
    *p = '\0';
    return b->data + b->mark;
}

char *buf_take(struct buf *b, size_t *len) {
    if (b->mark > 0) {
        memmove(b->data, b->data + b->mark, b->len - b->mark);
        b->len -= b->mark;
    }
    char *data = b->data;
    if (len) *len = b->len;
    buf_init(b, b->limit);
    return data;
}

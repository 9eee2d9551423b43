/* buf.h -- growable bytes with a read mark, a limit and a sticky error.
 *
 *      data            mark                 len          cap
 *       |---- read -----|---- unread -------|--- free ---|
 *
 * Appending after an error is a no-op: build the whole thing, check
 * buf_failed() once at the end. */
#ifndef PERILUNE_BASE_BUF_H
#define PERILUNE_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buf {
    char  *data;
    size_t mark, len, cap;
    size_t limit; /* most unread bytes; 0: no limit */
    int    error; /* 0, PERILUNE_ERR_NOMEM or PERILUNE_ERR_LIMITED */
};

void buf_init(struct buf *b, size_t limit);
void buf_deinit(struct buf *b);                 /* frees; b is empty and usable */
void buf_clear(struct buf *b);                  /* empty, keeps the memory, clears the error */
/* The same, and memory of more than `most` bytes, which one large text left behind, is given back. */
void buf_shed(struct buf *b, size_t most);
/* Room for n more bytes; NULL on failure. Then buf_advance() what was written. */
char *buf_reserve(struct buf *b, size_t n);
void buf_advance(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *ptr, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_slice(struct buf *b, struct slice s);
void buf_u64(struct buf *b, uint64_t v);        /* decimal */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
void buf_consume(struct buf *b, size_t n);      /* moves the mark over n unread bytes */

static inline bool buf_failed(const struct buf *b) { return b->error != 0; }
/* The unread bytes; borrowed until the next change. */
static inline struct slice buf_get(const struct buf *b) {
    return slice_of(b->data ? b->data + b->mark : "", b->len - b->mark);
}
static inline size_t buf_len(const struct buf *b) { return b->len - b->mark; }
/* NUL-terminated view of the unread bytes; NULL on failure. */
const char *buf_cstr(struct buf *b);
/* Ownership of the memory moves to the caller (mem_free); b is empty. */
char *buf_take(struct buf *b, size_t *len);

#endif

/* stops.h -- where a model's text ends: stop strings over pieces, and characters cut by tokens.  See stops.c. */
#ifndef PERILUNE_LOCAL_STOPS_H
#define PERILUNE_LOCAL_STOPS_H

#include "base/buf.h"

#define STOPS_MAX       64    /* strings */
#define STOPS_MAX_BYTES 16384 /* of all of them */

struct stops; /* immutable; may serve many readers and threads */

/* Returns 0; PERILUNE_ERR_INVAL with *why (static): too many, too long, an empty one, one that is not UTF-8;
 * PERILUNE_ERR_NOMEM.  The strings are copied.  On failure *out is NULL.  n = 0 is fine: nothing stops. */
int  stops_new(struct stops **out, const struct slice *strings, unsigned n, const char **why);
void stops_free(struct stops *s); /* NULL: nothing */

struct stops_reader {
    const struct stops *stops; /* borrowed */
    struct buf          held;  /* bytes that may be the beginning of a stop string */
    uint32_t            node;
    int                 which; /* the string that was found, or -1 */
};

void stops_init(struct stops_reader *r, const struct stops *s);
void stops_deinit(struct stops_reader *r);
/* Appends to out what is surely text: nothing behind a stop string, nor the string.  piece is UTF-8 of whole
 * characters, and so is what is appended.  Once r->which says that a string was found, later pieces are dropped.
 * Returns 0 or PERILUNE_ERR_NOMEM (then the reader is of no use any more). */
int  stops_push(struct stops_reader *r, struct slice piece, struct buf *out);
/* The text ended by itself: what was held back is text. */
int  stops_finish(struct stops_reader *r, struct buf *out);

/* -- Characters over tokens: utf8_hold.c ------------------------------------------------ */

struct utf8_hold {
    char     bytes[4]; /* of a character that is not whole */
    unsigned len;
};

/* Appends the whole characters of what is held and piece; the bytes of one that may still become whole are held.
 * What can be no character becomes U+FFFD, once per ill-formed sequence as the Unicode standard recommends. */
void utf8_hold_push(struct utf8_hold *h, struct slice piece, struct buf *out);
/* No more bytes come: a held beginning becomes U+FFFD. */
void utf8_hold_finish(struct utf8_hold *h, struct buf *out);

#endif

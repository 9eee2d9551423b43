/* base64.h -- bytes as text (RFC 4648, 4), and short texts as bytes. See base64.c. */
#ifndef PERILUNE_BASE_BASE64_H
#define PERILUNE_BASE_BASE64_H

#include "base/buf.h"

/* Appends s, padded, without line ends. */
void base64_write(struct buf *out, struct slice s);
/* The bytes of a text whose padding is right; *len of them, at most `most`.  False: that is no base64, or longer. */
bool base64_read(struct slice text, unsigned char *bytes, size_t most, size_t *len);

#endif

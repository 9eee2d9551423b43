/* base64.h -- bytes as text (RFC 4648, 4). See base64.c. */
#ifndef PERILUNE_BASE_BASE64_H
#define PERILUNE_BASE_BASE64_H

#include "base/buf.h"

/* Appends s, padded, without line ends. */
void base64_write(struct buf *out, struct slice s);

#endif

/* sha256.h -- SHA-256 and HMAC-SHA-256, by OpenSSL. */
#ifndef PERILUNE_BASE_SHA256_H
#define PERILUNE_BASE_SHA256_H

#include "base/slice.h"

#define SHA256_BYTES 32

/* False: there was no memory; digest is all zero then. */
bool sha256_of(struct slice s, unsigned char digest[SHA256_BYTES]);
/* Of a text in pieces.  The same. */
bool sha256_hmac(struct slice key, const struct slice *pieces, unsigned count, unsigned char digest[SHA256_BYTES]);

#endif

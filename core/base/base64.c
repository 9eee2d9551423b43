/* base64.c -- bytes as text (RFC 4648, 4): OpenSSL's, in pieces, into a buffer.
 *
 * Three bytes become four letters, so a piece is a multiple of three long: the letters of one piece and the next
 * are those of both together. */
#include "base/base64.h"

#include <openssl/evp.h>

#define PIECE 3072

void base64_write(struct buf *out, struct slice s) {
    while (s.len > 0) {
        size_t n = s.len < PIECE ? s.len : PIECE;
        char *to = buf_reserve(out, n / 3 * 4 + 8); /* EVP_EncodeBlock writes a NUL behind */
        if (to == NULL) return;
        buf_advance(out, (size_t)EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)s.ptr, (int)n));
        s = slice_of(s.ptr + n, s.len - n);
    }
}

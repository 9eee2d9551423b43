/* base64.c -- bytes as text (RFC 4648, 4) and back, by OpenSSL.
 *
 * Three bytes become four letters, so a piece is a multiple of three long: the letters of one piece and the next
 * are those of both together.  What is read is looked at first, because OpenSSL takes blanks around a text and counts
 * padding as bytes: one text shall have one meaning.  Long texts of policies have their own (bridge/l_codec.c), which
 * can be stopped. */
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

static bool is_letter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

bool base64_read(struct slice text, unsigned char *bytes, size_t most, size_t *len) {
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=') padding++;
    if (text.len == 0 || text.len % 4 != 0 || text.len / 4 * 3 - padding > most) return false;
    for (size_t i = 0; i < text.len - padding; i++)
        if (!is_letter(text.ptr[i])) return false;
    *len = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        unsigned char three[3];
        size_t n = i + 4 == text.len ? 3 - padding : 3;
        if (EVP_DecodeBlock(three, (const unsigned char *)text.ptr + i, 4) != 3) return false;
        for (size_t k = n; k < 3; k++)
            if (three[k] != 0) return false; /* bits that say nothing */
        memcpy(bytes + *len, three, n);
        *len += n;
    }
    return true;
}

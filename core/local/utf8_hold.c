/* utf8_hold.c -- characters that tokens cut.
 *
 * A token is bytes, and a character that is not in the vocabulary comes as several: 你 may be E4, then BD A0.
 * Clients get text, so the beginning of a character waits for its end:
 *
 *     token     E4      BD A0     21 F0 9F   FF
 *     text              你        !          U+FFFD U+FFFD
 *     held      E4                F0 9F
 *
 * Bytes that can be no character become U+FFFD: one for each longest beginning of a character, as Unicode
 * (3.9, "maximal subpart") and the decoders of browsers do it.
 *
 * Invariants: at most three bytes are held, and they begin a character.  What is appended is UTF-8.
 *
 * Thread: any. */
#include "base/json.h"
#include "local/stops.h"

/* How many bytes has the character that begins with a?  0: none does. */
static unsigned length_of(unsigned char a) {
    return a < 0x80 ? 1 : a < 0xC2 ? 0 : a < 0xE0 ? 2 : a < 0xF0 ? 3 : a < 0xF5 ? 4 : 0;
}

/* May b be the second byte behind a? */
static bool follows(unsigned char a, unsigned char b) {
    if ((b & 0xC0) != 0x80) return false;
    return a == 0xE0 ? b >= 0xA0 : a == 0xED ? b < 0xA0 : a == 0xF0 ? b >= 0x90 : a == 0xF4 ? b < 0x90 : true;
}

/* Takes one byte into what is held; what is complete, or broken, goes to out. */
static void take(struct utf8_hold *h, char c, struct buf *out) {
    unsigned char b = (unsigned char)c, a = h->len ? (unsigned char)h->bytes[0] : 0;
    if (h->len > 0 && !(h->len == 1 ? follows(a, b) : (b & 0xC0) == 0x80)) utf8_hold_finish(h, out);
    if (h->len == 0 && length_of(b) == 0) {
        buf_puts(out, "\xEF\xBF\xBD");
        return;
    }
    h->bytes[h->len++] = c;
    if (h->len < length_of((unsigned char)h->bytes[0])) return;
    buf_put(out, h->bytes, h->len);
    h->len = 0;
}

void utf8_hold_push(struct utf8_hold *h, struct slice piece, struct buf *out) {
    for (size_t i = 0; i < piece.len;) {
        size_t whole = h->len == 0 ? utf8_valid_prefix(slice_of(piece.ptr + i, piece.len - i)) : 0;
        buf_put(out, piece.ptr + i, whole);
        i += whole;
        if (i < piece.len) take(h, piece.ptr[i++], out);
    }
}

void utf8_hold_finish(struct utf8_hold *h, struct buf *out) {
    if (h->len > 0) buf_puts(out, "\xEF\xBF\xBD");
    h->len = 0;
}

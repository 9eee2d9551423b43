/* held.c -- text of an answer that may not be given yet.
 *
 *     pieces --> [ text that may begin a stop, or half a character ] --> given
 *
 * A token is any bytes: half a character, or the first letters of a stop.  Given is what no later token can take
 * back: everything before the longest end of the text that is the beginning of a stop, cut where a character ends.
 * A stop that comes is not given, nor is anything behind it; of several the one that begins first counts.
 *
 * Bytes that are no UTF-8 and cannot become it are given as they are; who writes them for a client makes U+FFFD of
 * them (json_write.c). */
#include "local/held.h"

#include <string.h>

void held_init(struct held *h, const struct slice *stops, unsigned count) {
    *h = (struct held){ .stops = stops, .stop_count = count };
    buf_init(&h->text, 0);
}

void held_deinit(struct held *h) { buf_deinit(&h->text); }

/* Where the first stop begins; s.len: none is in it. */
static size_t find_stop(const struct held *h, struct slice s) {
    size_t first = s.len;
    for (unsigned i = 0; i < h->stop_count; i++) {
        struct slice stop = h->stops[i];
        const char *at = stop.len > 0 ? memmem(s.ptr, s.len, stop.ptr, stop.len) : NULL;
        if (at != NULL && (size_t)(at - s.ptr) < first) first = (size_t)(at - s.ptr);
    }
    return first;
}

/* How many bytes at the end of s begin a stop. */
static size_t stop_begun(const struct held *h, struct slice s) {
    size_t most = 0;
    for (unsigned i = 0; i < h->stop_count; i++) {
        struct slice stop = h->stops[i];
        size_t n = stop.len > 0 ? stop.len - 1 : 0;
        if (n > s.len) n = s.len;
        while (n > most && memcmp(s.ptr + s.len - n, stop.ptr, n) != 0) n--;
        if (n > most) most = n;
    }
    return most;
}

/* How many bytes at the end of s begin a character that lacks some. */
static size_t character_begun(struct slice s) {
    for (size_t back = 1; back <= 3 && back <= s.len; back++) {
        unsigned char c = (unsigned char)s.ptr[s.len - back];
        if ((c & 0xC0) == 0x80) continue; /* of the middle of one */
        size_t needs = c >= 0xF0 && c <= 0xF4 ? 4 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xC2 && c < 0xE0 ? 2 : 1;
        return needs > back ? back : 0;
    }
    return 0;
}

bool held_put(struct held *h, struct slice piece, struct buf *out) {
    if (h->over) return true;
    buf_slice(&h->text, piece);
    if (buf_failed(&h->text)) return false;
    struct slice s = buf_get(&h->text);
    size_t stop = find_stop(h, s);
    if (stop < s.len) {
        buf_put(out, s.ptr, stop);
        h->over = true;
        buf_clear(&h->text);
        return true;
    }
    size_t free_ = s.len - stop_begun(h, s);
    free_ -= character_begun(slice_of(s.ptr, free_));
    buf_put(out, s.ptr, free_);
    buf_consume(&h->text, free_);
    return false;
}

void held_end(struct held *h, struct buf *out) {
    buf_slice(out, buf_get(&h->text));
    buf_clear(&h->text);
    h->over = true;
}

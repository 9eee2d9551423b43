/* words.c -- a question in a store's own words, and its answer.
 *
 *     question   text: VSIM|prefix:v:KEY|FP32|....|     ends: 4, 16, 20, ...
 *     answer     "3:abc4:0.97"                          each text behind its length
 *
 * The verbs of store.h are what all stores do.  What only one kind does is asked in the words of that kind
 * (STORE_WORDS): whoever builds them knows what they mean, and who sends them does not.  So what is asked and
 * answered is tested without a server. */
#include "store/words.h"

#include <string.h>

#include "include/perilune.h"

void words_init(struct words *w) {
    buf_init(&w->text, 0);
    w->count = 0;
}

void words_deinit(struct words *w) { buf_deinit(&w->text); }

void words_clear(struct words *w) {
    buf_clear(&w->text);
    w->count = 0;
}

void words_end(struct words *w) {
    if (w->count == WORDS_MOST) w->text.error = PERILUNE_ERR_LIMITED;
    else w->ends[w->count++] = buf_len(&w->text);
}

void words_add(struct words *w, struct slice word) {
    buf_slice(&w->text, word);
    words_end(w);
}

void words_number(struct words *w, uint64_t n) {
    buf_u64(&w->text, n);
    words_end(w);
}

void words_floats(struct words *w, struct slice vector) {
    for (size_t i = 0; i < vector.len; i++) {
        float f = (float)(signed char)vector.ptr[i];
        uint32_t bits;
        memcpy(&bits, &f, sizeof(bits));
        for (int b = 0; b < 4; b++) buf_putc(&w->text, (char)(bits >> (8 * b) & 255));
    }
    words_end(w);
}

const struct slice *words_get(struct words *w) {
    const char *at = buf_get(&w->text).ptr;
    size_t from = 0;
    if (buf_failed(&w->text)) return NULL;
    for (unsigned i = 0; i < w->count; from = w->ends[i++]) w->list[i] = slice_of(at + from, w->ends[i] - from);
    return w->list;
}

void words_join(struct buf *out, struct slice word) {
    buf_u64(out, word.len);
    buf_putc(out, ':');
    buf_slice(out, word);
}

bool words_next(struct slice *rest, struct slice *word) {
    size_t n = 0, at = 0;
    while (at < rest->len && rest->ptr[at] >= '0' && rest->ptr[at] <= '9' && n < SIZE_MAX / 16)
        n = n * 10 + (size_t)(rest->ptr[at++] - '0');
    if (at == 0 || at >= rest->len || rest->ptr[at] != ':' || rest->len - at - 1 < n) return false;
    *word = slice_of(rest->ptr + at + 1, n);
    *rest = slice_of(rest->ptr + at + 1 + n, rest->len - at - 1 - n);
    return true;
}

/* fuzz_tokens.c -- a text is either refused where it stops being UTF-8, or its tokens
 * count, decode to it, and are the same however the text arrives.  The first byte chooses
 * the vocabulary. */
#include "fuzz.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"

const char *const fuzz_tokens[] = {
    " ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "don't", "'\xc5\xbf", "123", "4567", "Ab", "ABc", "aB", "/", "...",
    "\xe4\xbd\xa0", "\xe5\xa5\xbd", "\xef\xbc\x8c", "\xe3\x80\x82", "\xcc\x81", "\xe2\x80\x8d", "\xf0\x9f\x98\x80",
    "\xc2\xa0", "\xe3\x80\x80", "\xe2\x80\xa8", "\xc7\x85", "\xca\xb0", "\xd9\xa3", "\xe1\x84\x80", "\xea\xb0\x80",
    "<|endoftext|>", "<|start|>", "<|", "\xff", "\xed\xa0\x80", "\xc0\x80", "\xe4\xbd", "aaaaaaaaaaaaaaaa",
    "================", "                ", NULL
};

static struct bpe *tokenizer(unsigned i) {
    static struct bpe *all[3]; /* they keep their caches from input to input: more is tested */
    if (all[i] == NULL) {
        struct vocab *v = vocab_builtin(slice_str(vocab_builtin_name(i)));
        all[i] = bpe_new(v);
        vocab_put(v);
    }
    return all[i];
}

static void check_arrival(struct bpe *b, struct slice text, size_t want, uint64_t *x) {
    struct bpe_stream *s = bpe_stream_new(b);
    size_t n;
    for (size_t at = 0; at < text.len;) {
        size_t k = 1 + fuzz_below(x, 1 + fuzz_below(x, 200));
        if (k > text.len - at) k = text.len - at;
        ORACLE(bpe_stream_feed(s, slice_of(text.ptr + at, k)) == 0);
        at += k;
    }
    ORACLE(bpe_stream_count(s, &n) == 0 && n == want);
    bpe_stream_free(s);
}

static void check_cut(struct bpe *b, struct slice text, size_t all, uint64_t *x) {
    size_t max = fuzz_below(x, all + 2), bytes, n;
    ORACLE(bpe_count(b, text, 0, max, &n) == 0 && n == (all > max ? max + 1 : all));
    ORACLE(bpe_truncate(b, text, max, &bytes) == 0 && bytes <= text.len);
    ORACLE(max < all || bytes == text.len);
    ORACLE(utf8_valid_prefix(slice_of(text.ptr, bytes)) == bytes);
    ORACLE(bpe_count(b, slice_of(text.ptr, bytes), 0, BPE_NO_LIMIT, &n) == 0 && n <= max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    uint64_t x = fuzz_hash(data, size);
    struct bpe *b = tokenizer(data[0] % 3);
    struct slice text = slice_of((const char *)data + 1, size - 1);
    size_t valid = utf8_valid_prefix(text), n;
    unsigned flags = data[0] & 4 ? BPE_SPECIAL : 0;
    struct buf ids, back;

    buf_init(&ids, 0);
    buf_init(&back, 0);
    int rc = bpe_encode(b, text, flags, &ids);
    ORACLE((rc == 0) == (valid == text.len));
    ORACLE(rc == 0 || (rc == PERILUNE_ERR_INVAL && bpe_error_offset(b) == valid && buf_len(&ids) == 0));
    if (rc == 0) {
        size_t k = buf_len(&ids) / sizeof(uint32_t);
        ORACLE(bpe_count(b, text, flags, BPE_NO_LIMIT, &n) == 0 && n == k);
        ORACLE(bpe_decode(b, (const uint32_t *)(const void *)ids.data, k, &back) == 0);
        ORACLE(slice_eq(buf_get(&back), text));
        ORACLE(bpe_count(b, text, 0, BPE_NO_LIMIT, &n) == 0);
        check_arrival(b, text, n, &x);
        check_cut(b, text, n, &x);
    }
    buf_deinit(&ids);
    buf_deinit(&back);
    return 0;
}

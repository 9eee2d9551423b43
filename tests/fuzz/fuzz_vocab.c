/* fuzz_vocab.c -- a tokenizer.json is refused with a sentence, or becomes a file that
 * opens and counts.  Inputs are pieces of a document: what stands between the first and
 * last 256 tokens of the alphabet, which random bytes would never write. */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"
#include "tokens/vocab_import.h"

const char *const fuzz_tokens[] = {
    ",\"ab\":256", ",\"abc\":257", "\"a b\"", "[\"a\",\"b\"]", "\"ab c\"", "},\"merges\":[", "]}", "{", "}", "[", "]", ",",
    "\"added_tokens\":[", "{\"id\":300,\"content\":\"<s>\",\"special\":true}", "\"lstrip\":true", "\"normalized\":false",
    "\"normalizer\":{\"type\":\"NFC\"}", "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
    "\"ignore_merges\":true", "\"type\":\"BPE\"", "\"type\":\"Sequence\"", "\"type\":\"Split\"", "\"Regex\":\"", "\\u0120",
    "-1", "1e9", "4294967296", "null", "true", "\"", "\\", "\xc4\xa0", NULL
};

/* The document: input up to a NUL, the alphabet, the rest of the input. */
static void document(const uint8_t *data, size_t size, struct buf *out) {
    const uint8_t *nul = memchr(data, 0, size);
    size_t head = nul != NULL ? (size_t)(nul - data) : size;
    unsigned next = 0x100;
    buf_put(out, data, head);
    for (unsigned c = 0; nul != NULL && c < 256; c++) {
        int printable = (c > 0x20 && c < 0x7F) || (c > 0xA0 && c != 0xAD);
        buf_printf(out, "%s\"\\u%04x\":%u", c ? "," : "", printable ? c : next++, c);
    }
    if (nul != NULL) buf_put(out, nul + 1, size - head - 1);
}

static void use(const struct buf *file) {
    char path[] = "/tmp/perilune-fuzz-XXXXXX", message[400];
    struct vocab *v;
    size_t n;
    int fd = mkstemp(path);
    ORACLE(fd >= 0 && write(fd, file->data, file->len) == (ssize_t)file->len);
    close(fd);
    ORACLE(vocab_open(path, &v, message, sizeof(message)) == 0);
    unlink(path);
    struct bpe *b = bpe_new(v);
    ORACLE(bpe_count(b, SLICE("abc ab<s> \xe4\xbd\xa0 e\xcc\x81 aaaaaaaaaaaaaaaaaaaaaaaaaaa"), BPE_SPECIAL, BPE_NO_LIMIT, &n) == 0);
    ORACLE(n > 0);
    bpe_free(b);
    vocab_put(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char message[400] = "";
    struct buf json, file;
    buf_init(&json, 0);
    buf_init(&file, 0);
    document(data, size, &json);
    int rc = vocab_import(buf_get(&json), "fuzz", &file, message, sizeof(message));
    ORACLE(rc == 0 || rc == PERILUNE_ERR_INVAL);
    if (rc == 0) use(&file);
    else ORACLE(message[0] != '\0' && buf_len(&file) == 0);
    buf_deinit(&json);
    buf_deinit(&file);
    return 0;
}

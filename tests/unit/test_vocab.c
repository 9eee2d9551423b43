/* test_vocab.c -- vocabularies made up here: merging against its definition, imports of
 * good and bad documents, damaged and hostile files. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/bpe.h"
#include "tokens/vocab.h"
#include "tokens/vocab_build.h"
#include "tokens/vocab_import.h"
#include "tokens/vocab_int.h"
#include "unit.h"

/* -- Files ----------------------------------------------------------------------------- */

static void write_temp(struct slice data, char path[32]) {
    slice_copy(path, 32, SLICE("/tmp/perilune-vocab-XXXXXX"));
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, data.ptr, data.len), (intmax_t)data.len);
    close(fd);
}

/* Opens what was built; the message of a refusal is left in message. */
static int open_bytes(struct slice data, struct vocab **v, char *message, size_t size) {
    char path[32];
    write_temp(data, path);
    int rc = vocab_open(path, v, message, size);
    unlink(path);
    return rc;
}

/* -- A made up vocabulary ------------------------------------------------------------------ */

#define MADE 160 /* merges at most */

struct made {
    struct rng   rng;
    struct slice tokens[256 + MADE];
    char         text[256 + MADE][24];
    struct vocab_merge merges[2 * MADE];
    uint32_t     n_ids;
    size_t       n_merges;
    bool         listed, whole;
};

/* Bytes that make letters of one, two, three and four bytes, so that tokens end inside
 * characters. */
static const char *const letters[] = { "a", "b", "c", "\xC3\xA9", "\xE6\xB1\x89", "\xE6\xB1\x8A", "\xE5\xAD\x97",
                                       "\xE5\xAD\x98", "\xE3\x81\x82", "\xF0\x9F\x98\x80" };

static uint32_t below(struct made *m, uint32_t n) { return (uint32_t)(rng_next(&m->rng) % n); }

static uint32_t find(const struct made *m, const char *p, size_t n) {
    for (uint32_t i = 0; i < m->n_ids; i++)
        if (m->tokens[i].len == n && memcmp(m->tokens[i].ptr, p, n) == 0) return i;
    return UINT32_MAX;
}

static bool has_merge(const struct made *m, uint32_t left, uint32_t right) {
    for (size_t i = 0; i < m->n_merges; i++)
        if (m->merges[i].left == left && m->merges[i].right == right) return true;
    return false;
}

/* A token that could be in a text: one of the letters' bytes, or made before. */
static uint32_t pick(struct made *m, unsigned alphabet) {
    if (m->n_ids > 256 && below(m, 3) > 0) return 256 + below(m, m->n_ids - 256);
    const char *s = letters[below(m, alphabet)];
    return (unsigned char)s[below(m, (uint32_t)strlen(s))];
}

/* Left and right side by side are a token, and merge into it. */
static void join(struct made *m, uint32_t left, uint32_t right) {
    struct slice a = m->tokens[left], b = m->tokens[right];
    char joined[48];
    if (a.len + b.len > 23 || m->n_ids == 256 + MADE) return;
    memcpy(joined, a.ptr, a.len);
    memcpy(joined + a.len, b.ptr, b.len);
    uint32_t id = find(m, joined, a.len + b.len);
    if (id == UINT32_MAX) {
        id = m->n_ids++;
        memcpy(m->text[id], joined, a.len + b.len);
        m->tokens[id] = slice_of(m->text[id], a.len + b.len);
    }
    if (!has_merge(m, left, right) && m->n_merges < 2 * MADE)
        m->merges[m->n_merges++] = (struct vocab_merge){ left, right, id };
}

/* The letters of three bytes are tokens, as in vocabularies that know Chinese. */
static void join_letters(struct made *m) {
    for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++) {
        const unsigned char *s = (const unsigned char *)letters[i];
        if (strlen(letters[i]) != 3) continue;
        join(m, s[0], s[1]);
        join(m, find(m, letters[i], 2), s[2]);
    }
}

static void make(struct made *m, uint64_t seed, unsigned alphabet) {
    memset(m, 0, sizeof(*m));
    rng_seed(&m->rng, seed);
    m->listed = seed % 2 == 0;
    m->whole = !m->listed || seed % 3 == 0;
    for (unsigned i = 0; i < 256; i++) {
        m->text[i][0] = (char)i;
        m->tokens[i] = slice_of(m->text[i], 1);
    }
    m->n_ids = 256;
    for (unsigned tries = 0; tries < 4 * MADE && m->n_ids < 256 + MADE; tries++) {
        if (tries == seed % 60 && seed % 4 >= 2) join_letters(m);
        join(m, pick(m, alphabet), pick(m, alphabet));
    }
    /* Any order of ranks is a vocabulary. */
    for (size_t i = m->n_merges; seed % 5 == 0 && i > 1; i--) {
        size_t k = below(m, (uint32_t)i);
        struct vocab_merge t = m->merges[i - 1];
        m->merges[i - 1] = m->merges[k];
        m->merges[k] = t;
    }
}

static uint32_t rank_of(const struct made *m, uint32_t left, uint32_t right, uint32_t *id) {
    if (m->listed) {
        for (size_t i = 0; i < m->n_merges; i++)
            if (m->merges[i].left == left && m->merges[i].right == right) {
                *id = m->merges[i].id;
                return (uint32_t)i;
            }
        return UINT32_MAX;
    }
    char joined[48];
    struct slice a = m->tokens[left], b = m->tokens[right];
    memcpy(joined, a.ptr, a.len);
    memcpy(joined + a.len, b.ptr, b.len);
    return *id = find(m, joined, a.len + b.len);
}

/* The definition. */
static size_t by_definition(const struct made *m, struct slice text, uint32_t *ids) {
    size_t n = text.len;
    if (m->whole && find(m, text.ptr, text.len) != UINT32_MAX) {
        ids[0] = find(m, text.ptr, text.len);
        return 1;
    }
    for (size_t i = 0; i < n; i++) ids[i] = (unsigned char)text.ptr[i];
    for (;;) {
        uint32_t best = UINT32_MAX, made_id = 0;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t id, rank = rank_of(m, ids[i], ids[i + 1], &id);
            if (rank >= best) continue;
            best = rank;
            at = i;
            made_id = id;
        }
        if (best == UINT32_MAX) return n;
        ids[at] = made_id;
        n--;
        for (size_t i = at + 1; i < n; i++) ids[i] = ids[i + 1];
    }
}

static int build_made(const struct made *m, struct buf *file, char *message, size_t size) {
    struct vocab_source src = { .name = "made", .split = PRETOKENIZE_NONE, .tokens = m->tokens, .n_ids = m->n_ids };
    if (m->whole) src.flags = VOCAB_WHOLE;
    if (m->listed) {
        src.merges = m->merges;
        src.n_merges = m->n_merges;
    }
    return vocab_build(&src, file, message, size);
}

static void compare(const struct made *m, struct bpe *b, struct slice text) {
    struct buf ids;
    size_t n;
    uint32_t *want = mem_alloc((text.len + 1) * sizeof(*want));
    CHECK(want != NULL);
    size_t k = by_definition(m, text, want);
    buf_init(&ids, 0);
    CHECK_INT(bpe_encode(b, text, 0, &ids), 0);
    CHECK_UINT(buf_len(&ids) / sizeof(*want), k);
    CHECK(memcmp(ids.data, want, k * sizeof(*want)) == 0);
    CHECK_INT(bpe_count(b, text, 0, BPE_NO_LIMIT, &n), 0); /* from the cache, too */
    CHECK_UINT(n, k);
    buf_deinit(&ids);
    mem_free(want);
}

TEST_NOFAULT(merging_is_what_the_definition_says) {
    static struct made m;
    char message[200], text[900];
    for (uint64_t seed = 1; seed <= 80; seed++) {
        struct buf file;
        struct vocab *v;
        unsigned alphabet = seed % 4 == 0 ? 2 : seed % 4 == 1 ? 3 : sizeof(letters) / sizeof(*letters);
        NOTE("seed %u", (unsigned)seed);
        make(&m, seed, alphabet);
        buf_init(&file, 0);
        CHECK_INT(build_made(&m, &file, message, sizeof(message)), 0);
        CHECK_INT(open_bytes(buf_get(&file), &v, message, sizeof(message)), 0);
        struct bpe *b = bpe_new(v);
        CHECK(b != NULL);
        for (unsigned k = 0; k < 24; k++) {
            size_t len = 0, want = k < 20 ? 1 + below(&m, 40) : 130 + below(&m, 700);
            while (len < want) {
                const char *s = letters[below(&m, alphabet)];
                memcpy(text + len, s, strlen(s));
                len += strlen(s);
            }
            compare(&m, b, slice_of(text, len));
        }
        bpe_free(b);
        vocab_put(v);
        buf_deinit(&file);
    }
}

/* "A B" would merge first, but B is made late: by then A has gone with what is before it.
 * Beginning with characters must not see B too early. */
TEST(a_character_that_is_made_late) {
    static const char A[] = "\xE5\xAD\x97", B[] = "\xE6\xB1\x89", C[] = "\xE3\x81\x82";
    static const char text[] = "\xE3\x81\x82\xE5\xAD\x97\xE6\xB1\x89";
    static struct made m;
    char message[200];
    struct buf file;
    struct vocab *v;
    make(&m, 2, 1);
    m.n_ids = 256;
    m.n_merges = 0;
    join(&m, 0xE5, 0xAD), join(&m, find(&m, A, 2), 0x97);
    join(&m, 0xE3, 0x81), join(&m, find(&m, C, 2), 0x82);
    size_t early = m.n_merges;
    join(&m, find(&m, C, 3), find(&m, A, 3));
    join(&m, 0xE6, 0xB1), join(&m, find(&m, B, 2), 0x89);
    join(&m, find(&m, A, 3), find(&m, B, 3)); /* last by id, but first by rank: */
    struct vocab_merge ab = m.merges[m.n_merges - 1];
    memmove(m.merges + early + 1, m.merges + early, (m.n_merges - 1 - early) * sizeof(ab));
    m.merges[early] = ab;
    buf_init(&file, 0);
    CHECK_INT(build_made(&m, &file, message, sizeof(message)), 0);
    CHECK_INT(open_bytes(buf_get(&file), &v, message, sizeof(message)), 0);
    struct bpe *b = bpe_new(v);
    CHECK(b != NULL);
    compare(&m, b, slice_str(text));
    compare(&m, b, slice_of(text + 3, 6));
    bpe_free(b);
    vocab_put(v);
    buf_deinit(&file);
}

/* Ranks that fall from left to right: which neighbours merge depends on the far end, as
 * far as the chain goes. */
TEST(a_chain_that_looks_far_ahead) {
    enum { N = 90 };
    static struct made m;
    char message[200], text[3 * N];
    struct buf file;
    struct vocab *v;
    memset(&m, 0, sizeof(m));
    m.listed = true;
    for (unsigned i = 0; i < 256; i++) {
        m.text[i][0] = (char)i;
        m.tokens[i] = slice_of(m.text[i], 1);
    }
    m.n_ids = 256;
    for (unsigned i = N - 1; i-- > 0;) { /* (i, i + 1) for i falling; 0x20.. are ASCII */
        uint32_t id = m.n_ids++;
        m.text[id][0] = (char)(0x20 + i);
        m.text[id][1] = (char)(0x21 + i);
        m.tokens[id] = slice_of(m.text[id], 2);
        m.merges[m.n_merges++] = (struct vocab_merge){ 0x20 + i, 0x21 + i, id };
    }
    buf_init(&file, 0);
    CHECK_INT(build_made(&m, &file, message, sizeof(message)), 0);
    CHECK_INT(open_bytes(buf_get(&file), &v, message, sizeof(message)), 0);
    struct bpe *b = bpe_new(v);
    CHECK(b != NULL);
    for (unsigned len = N - 3; len <= N; len++) {
        for (unsigned i = 0; i < 3 * len; i++) text[i] = (char)(0x20 + i % len);
        compare(&m, b, slice_of(text, 3 * len));
    }
    bpe_free(b);
    vocab_put(v);
    buf_deinit(&file);
}

/* -- Import ------------------------------------------------------------------------------------ */

/* A small document.  The alphabet, then "ab", "abc", an accent, and two added tokens. */
struct parts {
    const char *normalizer, *pre_tokenizer, *extra_vocab, *merges, *added, *model;
};

static const char llama_split[] =
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
    "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
    "\"behavior\":\"Isolated\",\"invert\":false},"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}";

static void document(const struct parts *p, struct buf *out) {
    unsigned next = 0x100;
    buf_printf(out, "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"added_tokens\":[%s],\"model\":{%s\"vocab\":{",
               p->normalizer ? p->normalizer : "null", p->pre_tokenizer ? p->pre_tokenizer : llama_split,
               p->added ? p->added : "{\"id\":300,\"content\":\"<s>\",\"special\":true},"
                                     "{\"id\":301,\"content\":\"<think>\",\"special\":false}",
               p->model ? p->model : "\"type\":\"BPE\",");
    for (unsigned c = 0; c < 256; c++) {
        bool printable = (c > 0x20 && c < 0x7F) || (c > 0xA0 && c != 0xAD);
        buf_printf(out, "%s\"\\u%04x\":%u", c ? "," : "", printable ? c : next++, c);
    }
    buf_printf(out, "%s},\"merges\":%s}}", p->extra_vocab ? p->extra_vocab : ",\"ab\":256,\"abc\":257,\"\\u0120a\":258",
               p->merges ? p->merges : "[\"a b\",\"ab c\",[\"\\u0120\",\"a\"]]");
}

TEST_FAULT(import) {
    static const struct parts parts = { .normalizer = "{\"type\":\"NFC\"}" };
    struct buf json, file, ids, text;
    struct vocab *v = NULL;
    struct bpe *b = NULL;
    char message[300];
    static const uint32_t want[] = { 257, 258, 256, 0xC3, 0xA9, 300, 301 };
    buf_init(&json, 0);
    buf_init(&file, 0);
    buf_init(&ids, 0);
    buf_init(&text, 0);
    document(&parts, &json);
    if (buf_failed(&json)) goto done;
    int rc = vocab_import(buf_get(&json), "small", &file, message, sizeof(message));
    NOTE("%s", rc != 0 ? message : "");
    CHECK_NOMEM(rc, done);
    CHECK_NOMEM(open_bytes(buf_get(&file), &v, message, sizeof(message)), done);
    CHECK_STR(vocab_name(v), "small");
    CHECK_UINT(vocab_size(v), 302);
    CHECK_UINT(vocab_special(v, SLICE("<s>")), 300);
    b = bpe_new(v);
    if (FAULTED(b)) goto done;
    /* "e" and an acute become one letter, which has no token of its own. */
    CHECK_NOMEM(bpe_encode(b, SLICE("abc aab" "e\xCC\x81<s><think>"), BPE_SPECIAL, &ids), done);
    const uint32_t *got = (const uint32_t *)(const void *)ids.data;
    /* " a" is 258, then "a" "b" -> 256 */
    CHECK_UINT(buf_len(&ids) / 4, sizeof(want) / 4);
    for (size_t i = 0; i < sizeof(want) / 4; i++) CHECK_UINT(got[i], want[i]);
    CHECK_NOMEM(bpe_decode(b, want, sizeof(want) / 4, &text), done);
    CHECK_SLICE(buf_get(&text), SLICE("abc aab\xC3\xA9<s><think>"));
    /* Without BPE_SPECIAL <s> is text, <think> is not. */
    size_t n;
    CHECK_NOMEM(bpe_count(b, SLICE("<s><think>"), 0, BPE_NO_LIMIT, &n), done);
    CHECK_UINT(n, 4);
    CHECK_INT(bpe_decode(b, (uint32_t[]){ 257, 299 }, 2, &text), PERILUNE_ERR_INVAL);
    CHECK_UINT(buf_len(&text), 19);
done:
    bpe_free(b);
    vocab_put(v);
    buf_deinit(&json);
    buf_deinit(&file);
    buf_deinit(&ids);
    buf_deinit(&text);
}

/* A token that must stand alone looks at the letter before it, which has been counted. */
TEST_NOFAULT(a_stream_does_not_part_a_lone_word_from_its_neighbour) {
    static const struct parts parts = {
        .added = "{\"id\":300,\"content\":\"<w\",\"special\":false,\"single_word\":true}",
    };
    struct buf json, file, text;
    struct vocab *v = NULL;
    char message[300];
    size_t want, got;
    buf_init(&json, 0);
    buf_init(&file, 0);
    buf_init(&text, 0);
    document(&parts, &json);
    CHECK_INT(vocab_import(buf_get(&json), "lone", &file, message, sizeof(message)), 0);
    CHECK_INT(open_bytes(buf_get(&file), &v, message, sizeof(message)), 0);
    for (unsigned i = 0; i < 600; i++) buf_puts(&text, "ab ");
    buf_puts(&text, "b<w <w c");
    struct bpe *b = bpe_new(v);
    struct bpe_stream *s = bpe_stream_new(b);
    struct slice all = buf_get(&text);
    CHECK_INT(bpe_count(b, all, 0, BPE_NO_LIMIT, &want), 0);
    CHECK_INT(bpe_stream_feed(s, slice_of(all.ptr, all.len - 5)), 0);
    CHECK_INT(bpe_stream_feed(s, slice_of(all.ptr + all.len - 5, 5)), 0);
    CHECK_INT(bpe_stream_count(s, &got), 0);
    CHECK_UINT(got, want);
    bpe_stream_free(s);
    bpe_free(b);
    vocab_put(v);
    buf_deinit(&json);
    buf_deinit(&file);
    buf_deinit(&text);
}

TEST(import_says_what_it_does_not_support) {
    static const struct {
        struct parts parts;
        const char  *says;
    } cases[] = {
        { { .model = "\"type\":\"Unigram\"," }, "model Unigram is not supported" },
        { { .model = "\"type\":\"WordPiece\"," }, "model WordPiece is not supported" },
        { { .model = "\"type\":\"BPE\",\"byte_fallback\":true," }, "model.byte_fallback" },
        { { .model = "\"type\":\"BPE\",\"dropout\":0.1," }, "model.dropout" },
        { { .model = "\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\"," }, "model.end_of_word_suffix" },
        { { .model = "\"type\":\"BPE\",\"ignore_merges\":\"yes\"," }, "\"ignore_merges\" is neither true nor false" },
        { { .model = "\"type\":5," }, "a type that is not a string" },
        { { .pre_tokenizer = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":\"no\"}" },
          "\"use_regex\" is neither true nor false" },
        { { .model = "\"type\":\"\\u001b[31m\\u009b1m\\u007f\"," }, "model ?[31m?1m? is not supported" },
        { { .normalizer = "{\"type\":\"NFKC\"}" }, "normalizer NFKC is not supported" },
        { { .normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}" },
          "normalizer Lowercase" },
        { { .pre_tokenizer = "{\"type\":\"Metaspace\"}" }, "pre_tokenizer Metaspace is not supported" },
        { { .pre_tokenizer = "null" }, "pre_tokenizer: there is none" },
        { { .pre_tokenizer = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}" }, "add_prefix_space" },
        { { .pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"x+\"},"
                             "\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                             "\"use_regex\":false}]}" },
          "the expression x+ is not one" },
        { { .pre_tokenizer = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"}]}" },
          "Digits without individual_digits" },
        { { .merges = "[\"a b\",\"ab c\",\"b a\"]" }, "model.merges[2]: what it makes is not in the vocabulary" },
        { { .merges = "[\"a b\",\"a b\"]" }, "is there twice" },
        { { .merges = "[\"a zz\"]" }, "model.merges[0]: one of its sides" },
        { { .merges = "[\"ab\"]" }, "model.merges[0]: not two tokens" },
        { { .merges = "[[\"a\",\"b\",\"c\"]]" }, "model.merges[0]: neither" },
        { { .merges = "[\" ab\"]" }, "model.merges[0]" },
        { { .merges = "{}" }, "model.merges: not a list" },
        { { .extra_vocab = ",\"ab\":4000000" }, "has the id 4000000" },
        { { .extra_vocab = ",\"ab\":-1" }, "is not a number" },
        { { .extra_vocab = ",\"ab\":1.5" }, "is not a number" },
        { { .extra_vocab = ",\"ab\":97" }, "the id 97 is there twice" },
        { { .extra_vocab = ",\"ab\":256,\"ab\":257" }, "\"ab\" is there twice" },
        { { .extra_vocab = ",\"\":256" }, "is empty" },
        { { .extra_vocab = ",\"a b\":256" }, "byte-level alphabet" },
        { { .added = "{\"id\":300,\"content\":\"\"}" }, "added_tokens[0]: a content of 0 bytes" },
        { { .added = "{\"id\":99999999,\"content\":\"x\"}" }, "added_tokens[0]: id 99999999" },
        { { .added = "{\"id\":300,\"content\":\"xy\",\"rstrip\":true},{\"id\":301,\"content\":\"\\u3000y\"}" },
          "token 301 begins with white space, which token 300 takes along" },
        { { .added = "{\"id\":300,\"content\":\"xy\",\"lstrip\":1}" }, "\"lstrip\" is neither true nor false" },
        { { .added = "{\"content\":\"x\"}" }, "added_tokens[0]: it needs an id" },
        { { .added = "{\"id\":300,\"content\":\"x\"},{\"id\":300,\"content\":\"y\"}" }, "id 300 is there twice" },
        { { .added = "{\"id\":300,\"content\":\"ab\"}" }, "has the id 300 there and 256 in model.vocab" },
        { { .added = "{\"id\":256,\"content\":\"<x>\"}" }, "has the id 256, which is another token's in model.vocab" },
    };
    char message[400];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct buf json, file;
        NOTE("case %zu: %s", i, cases[i].says);
        buf_init(&json, 0);
        buf_init(&file, 0);
        document(&cases[i].parts, &json);
        CHECK_INT(vocab_import(buf_get(&json), "bad", &file, message, sizeof(message)), PERILUNE_ERR_INVAL);
        if (strstr(message, cases[i].says) == NULL) FAIL("said: %s", message);
        CHECK_UINT(buf_len(&file), 0);
        buf_deinit(&json);
        buf_deinit(&file);
    }
}

TEST(import_of_what_is_cut) {
    static const struct parts parts = { NULL, NULL, NULL, NULL, NULL, NULL };
    struct buf json, file;
    char message[400];
    buf_init(&json, 0);
    buf_init(&file, 0);
    document(&parts, &json);
    for (size_t n = 0; n < buf_len(&json); n += n < 64 ? 1 : 97)
        CHECK_INT(vocab_import(slice_of(json.data, n), "cut", &file, message, sizeof(message)), PERILUNE_ERR_INVAL);
    CHECK_INT(vocab_import(SLICE("[]"), "list", &file, message, sizeof(message)), PERILUNE_ERR_INVAL);
    CHECK_INT(vocab_import(SLICE("{\"model\":null}"), "null", &file, message, sizeof(message)), PERILUNE_ERR_INVAL);
    CHECK_UINT(buf_len(&file), 0);
    buf_deinit(&json);
    buf_deinit(&file);
}

/* -- The command --------------------------------------------------------------------------------- */

TEST(command) {
    static const struct parts parts = { NULL, NULL, NULL, NULL, NULL, NULL };
    char path[32], to[48], message[300];
    struct buf json;
    struct vocab *v;
    buf_init(&json, 0);
    document(&parts, &json);
    write_temp(buf_get(&json), path);
    snprintf(to, sizeof(to), "%s.vocab", path);
    int out = dup(1), err = dup(2);
    CHECK(freopen("/dev/null", "w", stdout) != NULL && freopen("/dev/null", "w", stderr) != NULL);
    int imported = perilune_tool_vocab(4, (char *[]){ "vocab", "import", path, "--name=mine", NULL });
    int shown = perilune_tool_vocab(3, (char *[]){ "vocab", "show", to, NULL });
    int listed = perilune_tool_vocab(2, (char *[]){ "vocab", "list", NULL });
    int wrong_json = perilune_tool_vocab(4, (char *[]){ "vocab", "import", to, "-o/tmp/perilune-none", NULL });
    int missing = perilune_tool_vocab(3, (char *[]){ "vocab", "show", "no such thing", NULL });
    int nothing = perilune_tool_vocab(1, (char *[]){ "vocab", NULL });
    struct rlimit all, few; /* as on a full disk */
    getrlimit(RLIMIT_FSIZE, &all);
    few = (struct rlimit){ 1000, all.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &few);
    int full = perilune_tool_vocab(4, (char *[]){ "vocab", "import", path, "-o/tmp/perilune-none", NULL });
    setrlimit(RLIMIT_FSIZE, &all);
    signal(SIGXFSZ, SIG_DFL);
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    CHECK_INT(imported, 0);
    CHECK_INT(shown, 0);
    CHECK_INT(listed, 0);
    CHECK_INT(wrong_json, 1);
    CHECK_INT(access("/tmp/perilune-none", F_OK), -1);
    CHECK_INT(missing, 1);
    CHECK_INT(nothing, 2);
    CHECK_INT(full, 1);
    CHECK_INT(access("/tmp/perilune-none.new", F_OK), -1);
    CHECK_INT(vocab_open(to, &v, message, sizeof(message)), 0);
    CHECK_STR(vocab_name(v), "mine");
    vocab_put(v);
    unlink(to);
    unlink(path);
    buf_deinit(&json);
}

/* -- Files that are not what was written ----------------------------------------------------------- */

static void small_file(struct buf *file) {
    static const struct parts parts = { NULL, NULL, NULL, NULL, NULL, NULL };
    char message[300];
    struct buf json;
    buf_init(&json, 0);
    document(&parts, &json);
    CHECK_INT(vocab_import(buf_get(&json), "small", file, message, sizeof(message)), 0);
    buf_deinit(&json);
}

TEST(damage_is_noticed) {
    struct buf file;
    struct vocab *v;
    char message[300];
    struct rng rng;
    buf_init(&file, 0);
    small_file(&file);
    rng_seed(&rng, 7);
    for (unsigned i = 0; i < 300; i++) {
        size_t at = i < 100 ? i : rng_next(&rng) % file.len;
        NOTE("byte %zu", at);
        file.data[at] ^= (char)(1 << (i % 8));
        CHECK_INT(open_bytes(buf_get(&file), &v, message, sizeof(message)), PERILUNE_ERR_INVAL);
        CHECK_PTR(v, NULL);
        CHECK(strstr(message, "perilune vocab import") != NULL);
        file.data[at] ^= (char)(1 << (i % 8));
    }
    for (size_t n = 0; n < file.len; n += 1 + file.len / 50) {
        CHECK_INT(open_bytes(slice_of(file.data, n), &v, message, sizeof(message)), PERILUNE_ERR_INVAL);
        CHECK_PTR(v, NULL);
    }
    CHECK_INT(open_bytes(buf_get(&file), &v, message, sizeof(message)), 0);
    vocab_put(v);
    file.data[8]++; /* the version */
    CHECK_INT(open_bytes(buf_get(&file), &v, message, sizeof(message)), PERILUNE_ERR_INVAL);
    CHECK(strstr(message, "another version") != NULL);
    CHECK_INT(vocab_open("/nonexistent.vocab", &v, message, sizeof(message)), PERILUNE_ERR_IO);
    CHECK_PTR(v, NULL);
    CHECK_INT(vocab_open("/tmp", &v, message, sizeof(message)), PERILUNE_ERR_IO);
    buf_deinit(&file);
}

/* With the checksum made right again: opened or not, nothing is read out of bounds and
 * everything ends. */
TEST_NOFAULT(hostile_files_do_no_harm) {
    static const char text[] = "abc abab abcabcabc \xE6\xB1\x89\xE5\xAD\x97 <s><think> aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                               "bcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc";
    struct buf file, copy;
    struct vocab *v;
    char message[300];
    struct rng rng;
    unsigned opened = 0;
    buf_init(&file, 0);
    buf_init(&copy, 0);
    small_file(&file);
    rng_seed(&rng, 11);
    for (unsigned i = 0; i < 1500; i++) {
        NOTE("round %u", i);
        buf_clear(&copy);
        buf_put(&copy, file.data, file.len);
        for (unsigned k = 0; k <= i % 4; k++) {
            struct vocab_header h;
            memcpy(&h, copy.data, sizeof(h));
            unsigned s = rng_next(&rng) % (VOCAB_SECTIONS + 1);
            size_t from = s == VOCAB_SECTIONS ? 12 : h.section[s].offset;
            size_t len = s == VOCAB_SECTIONS ? sizeof(h) - 12 : h.section[s].size;
            if (from >= copy.len || len == 0 || len > copy.len - from) continue;
            copy.data[from + rng_next(&rng) % len] = (char)rng_next(&rng);
        }
        uint64_t sum = vocab_checksum(copy.data, copy.len);
        memcpy(copy.data + offsetof(struct vocab_header, checksum), &sum, sizeof(sum));
        if (open_bytes(buf_get(&copy), &v, message, sizeof(message)) != 0) continue;
        opened++;
        struct bpe *b = bpe_new(v);
        struct buf ids, back;
        size_t n;
        CHECK(b != NULL);
        buf_init(&ids, 0);
        buf_init(&back, 0);
        bpe_count(b, slice_str(text), BPE_SPECIAL, BPE_NO_LIMIT, &n);
        if (bpe_encode(b, slice_str(text), 0, &ids) == 0)
            bpe_decode(b, (const uint32_t *)(const void *)ids.data, buf_len(&ids) / 4, &back);
        bpe_truncate(b, slice_str(text), 5, &n);
        buf_deinit(&ids);
        buf_deinit(&back);
        bpe_free(b);
        vocab_put(v);
    }
    CHECK(opened > 50);
    buf_deinit(&file);
    buf_deinit(&copy);
}

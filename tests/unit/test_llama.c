/* test_llama.c -- libllama as an engine, where there is one.
 *
 * PERILUNE_LLAMA: the folder of the library; PERILUNE_TEST_MODEL: a GGUF file that answers chats.  Without them only
 * refusals are tested, and the rest says that it was left out. */
#include "local/llama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"
#include "gguf_file.h"

static char why[600];

static const struct perilune_engine_options plain = { .threads = 1, .context = 512, .sequences = 4, .batch = 64 };

static int load_with(struct perilune_engine_options o, const char *library, const char *model,
                     struct perilune_engine_model **out) {
    o.model = model;
    o.library = library;
    why[0] = '\0';
    return llama_engine.load(&o, out, why, sizeof(why));
}

static int load(const char *library, const char *model, struct perilune_engine_model **out) {
    return load_with(plain, library, model, out);
}

static int load_here(struct perilune_engine_options o, struct perilune_engine_model **out) {
    return load_with(o, getenv("PERILUNE_LLAMA"), getenv("PERILUNE_TEST_MODEL"), out);
}

static bool is_missing(void) {
    if (getenv("PERILUNE_LLAMA") != NULL && getenv("PERILUNE_TEST_MODEL") != NULL) return false;
    fprintf(stderr, "left out: no library (PERILUNE_LLAMA) or no model (PERILUNE_TEST_MODEL)\n");
    return true;
}

TEST_NOFAULT(what_cannot_be_loaded_is_refused_with_a_sentence) {
    struct perilune_engine_model *m;
    char file[] = "/tmp/perilune-gguf-XXXXXX", folder[] = "/tmp/perilune-llama-XXXXXX";
    int fd = mkstemp(file);
    CHECK(fd >= 0 && mkdtemp(folder) != NULL);
    CHECK(load(NULL, "/nowhere/model.gguf", &m) != 0);
    CHECK(strstr(why, "/nowhere/model.gguf: No such file") != NULL);
    CHECK(load(NULL, folder, &m) != 0);
    CHECK(load(NULL, file, &m) != 0);
    CHECK(strstr(why, "cut off or broken") != NULL);
    struct buf b;
    buf_init(&b, 0);
    gguf_put_model(&b);
    CHECK(write(fd, buf_get(&b).ptr, buf_len(&b)) == (ssize_t)buf_len(&b));
    buf_deinit(&b);
    CHECK(load(folder, file, &m) != 0);
    CHECK(strstr(why, "has no libllama") != NULL && strstr(why, "0.5.0") != NULL);
    CHECK_PTR(m, NULL);
    close(fd);
    unlink(file);
    rmdir(folder);
}

TEST_NOFAULT(a_file_that_was_cut_is_refused) {
    if (is_missing()) return;
    struct perilune_engine_model *m;
    char file[] = "/tmp/perilune-gguf-XXXXXX", bytes[65536];
    FILE *from = fopen(getenv("PERILUNE_TEST_MODEL"), "rb");
    int fd = mkstemp(file);
    CHECK(from != NULL && fd >= 0);
    CHECK_UINT(fread(bytes, 1, sizeof(bytes), from), sizeof(bytes));
    CHECK_INT(write(fd, bytes, sizeof(bytes)), (int)sizeof(bytes));
    CHECK(load(getenv("PERILUNE_LLAMA"), file, &m) != 0);
    NOTE("%s", why);
    CHECK(strstr(why, "cut off or broken") != NULL);
    fclose(from);
    close(fd);
    unlink(file);
}

TEST_NOFAULT(what_is_impossible_is_refused_and_not_asked) {
    struct perilune_engine_model *m;
    if (is_missing()) return;
    CHECK_INT(load(getenv("PERILUNE_LLAMA"), getenv("PERILUNE_TEST_MODEL"), &m), 0);
    const struct perilune_engine_facts *f = llama_engine.facts(m);
    struct perilune_engine_token many[65] = { { 0 } };
    static const struct { struct perilune_engine_token t; } bad[] = {
        { { -1, 0, 0, true } }, { { INT32_MAX, 0, 0, true } }, { { 1, 4, 0, true } }, { { 1, UINT32_MAX, 0, true } },
        { { 1, 0, 1, true } }, { { 1, 0, UINT32_MAX, true } } };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) CHECK(llama_engine.step(m, &bad[i].t, 1) < 0);
    CHECK(llama_engine.step(m, many, 0) < 0);
    CHECK(llama_engine.step(m, many, f->batch + 1) < 0);
    CHECK(llama_engine.seq_start(m, 99) < 0 && llama_engine.seq_cut(m, 0, 1) < 0 && llama_engine.seq_copy(m, 0, 1, 5) < 0);
    CHECK(llama_engine.seq_copy(m, 0, 0, 0) < 0);
    CHECK_PTR(llama_engine.logits(m, 0), NULL);
    CHECK(llama_engine.embed(m, &(int32_t){ 1 }, &(uint32_t){ 1 }, 1, &(float){ 0 }) < 0);
    CHECK_UINT(llama_engine.piece(m, -5, 0, (char[8]){ 0 }, 8), 0);
    CHECK(!llama_engine.is_end(m, INT32_MAX));
    for (uint32_t i = 0; i < 64; i++) many[i] = (struct perilune_engine_token){ 1, 0, i, i == 63 };
    CHECK_INT(llama_engine.step(m, many, 64), 0); /* and it works as before */
    CHECK(llama_engine.logits(m, 63) != NULL);
    CHECK_PTR(llama_engine.logits(m, 62), NULL);
    llama_engine.free(m);
}

/* The likeliest tokens behind a prompt, in a row of its own. */
static void say(struct perilune_engine_model *m, uint32_t row, uint32_t at, int32_t token, int32_t *out, unsigned n) {
    const struct perilune_engine_facts *f = llama_engine.facts(m);
    for (unsigned i = 0; i < n; i++) {
        struct perilune_engine_token t = { token, row, at + i, true };
        CHECK_INT(llama_engine.step(m, &t, 1), 0);
        const float *l = llama_engine.logits(m, 0);
        CHECK(l != NULL);
        token = 0;
        for (uint32_t v = 1; v < f->vocab; v++)
            if (l[v] > l[token]) token = (int32_t)v;
        out[i] = token;
    }
}

static void copied_says_the_same(struct perilune_engine_options o) {
    struct perilune_engine_model *m;
    int32_t prompt[32], alone[8], copied[8];
    CHECK_INT(load_here(o, &m), 0);
    CHECK(llama_engine.facts(m)->apart == (o.context_each != 0));
    static const char text[] = "The capital of France is the city of";
    int64_t n = llama_engine.tokenize(m, text, sizeof(text) - 1, PERILUNE_ENGINE_BEGIN, prompt, 32);
    CHECK(n > 4 && n <= 32);
    struct perilune_engine_token all[32];
    for (int64_t i = 0; i < n - 1; i++) all[i] = (struct perilune_engine_token){ prompt[i], 0, (uint32_t)i, false };
    CHECK_INT(llama_engine.step(m, all, (size_t)n - 1), 0);
    CHECK_INT(llama_engine.seq_copy(m, 0, 2, (uint32_t)n - 1), 0);
    say(m, 0, (uint32_t)n - 1, prompt[n - 1], alone, 8);
    say(m, 2, (uint32_t)n - 1, prompt[n - 1], copied, 8);
    CHECK(memcmp(alone, copied, sizeof(alone)) == 0);
    CHECK_INT(llama_engine.seq_cut(m, 0, (uint32_t)n - 1), 0); /* and once more from where they parted */
    say(m, 0, (uint32_t)n - 1, prompt[n - 1], copied, 8);
    CHECK(memcmp(alone, copied, sizeof(alone)) == 0);
    llama_engine.free(m);
}

TEST_NOFAULT(a_context_is_made_anew_and_says_the_same) {
    struct perilune_engine_model *m;
    int32_t before[4], after[4];
    if (is_missing()) return;
    CHECK_INT(load(getenv("PERILUNE_LLAMA"), getenv("PERILUNE_TEST_MODEL"), &m), 0);
    say(m, 1, 0, 100, before, 4);
    CHECK_INT(llama_engine.recover(m, why, sizeof(why)), 0);
    CHECK_PTR(llama_engine.logits(m, 0), NULL);
    say(m, 1, 0, 100, after, 4); /* from position 0: rows are empty */
    CHECK(memcmp(before, after, sizeof(before)) == 0);
    llama_engine.free(m);
}

/* A copy in a file of its own. */
static void copy_model(const char *to) {
    char bytes[65536];
    FILE *from = fopen(getenv("PERILUNE_TEST_MODEL"), "rb"), *out = fopen(to, "wb");
    CHECK(from != NULL && out != NULL);
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), from)) > 0;) CHECK_UINT(fwrite(bytes, 1, n, out), n);
    fclose(from);
    fclose(out);
}

TEST_NOFAULT(a_file_that_is_cut_while_it_is_mapped_is_seen_before_a_step) {
    struct perilune_engine_model *m;
    char file[] = "/tmp/perilune-gguf-XXXXXX";
    if (is_missing()) return;
    int fd = mkstemp(file);
    CHECK(fd >= 0);
    copy_model(file);
    CHECK_INT(load(getenv("PERILUNE_LLAMA"), file, &m), 0);
    struct perilune_engine_token t = { 100, 0, 0, true };
    CHECK_INT(llama_engine.step(m, &t, 1), 0);
    CHECK_INT(ftruncate(fd, 100000), 0);
    t.at = 1;
    CHECK_INT(llama_engine.step(m, &t, 1), PERILUNE_ERR_ENGINE); /* and no SIGBUS */
    CHECK_INT(llama_engine.recover(m, why, sizeof(why)), PERILUNE_ERR_ENGINE);
    CHECK(strstr(why, "has been cut") != NULL);
    llama_engine.free(m);
    close(fd);
    unlink(file);
}

/* PERILUNE_TEST_RERANKER: a GGUF file of a model that ranks (pooling type 4). */
TEST_NOFAULT(a_pair_has_the_tokens_that_the_vocabulary_wants) {
    struct perilune_engine_model *m;
    const char *file = getenv("PERILUNE_TEST_RERANKER");
    int32_t both[32], question[16], text[16];
    float rank[4], again[4];
    if (file == NULL || is_missing()) {
        fprintf(stderr, "left out: no reranker (PERILUNE_TEST_RERANKER)\n");
        return;
    }
    CHECK_INT(load(getenv("PERILUNE_LLAMA"), file, &m), 0);
    CHECK_INT(llama_engine.facts(m)->kind, PERILUNE_ENGINE_RANK);
    int64_t n = llama_engine.tokenize_pair(m, "who?", 4, "nobody", 6, both, 32);
    int64_t q = llama_engine.tokenize(m, "who?", 4, 0, question, 16), d = llama_engine.tokenize(m, "nobody", 6, 0, text, 16);
    CHECK(q > 0 && d > 0 && n >= q + d + 2);
    CHECK(memcmp(both + 1, question, (size_t)q * sizeof(*both)) == 0); /* [CLS] who? [SEP] nobody [SEP] */
    CHECK(memcmp(both + n - 1 - d, text, (size_t)d * sizeof(*both)) == 0);
    CHECK_INT(both[n - 1], both[1 + q]);
    CHECK_INT(llama_engine.tokenize_pair(m, "who?", 4, "nobody", 6, both, 3), n); /* no room: how many there are */
    CHECK_INT(llama_engine.tokenize_pair(m, "who?", 4, "nobody", 6, both, 32), n);
    CHECK_INT(llama_engine.embed(m, both, &(uint32_t){ (uint32_t)n }, 1, rank), 0);
    CHECK_INT(llama_engine.recover(m, why, sizeof(why)), 0);
    CHECK_INT(llama_engine.embed(m, both, &(uint32_t){ (uint32_t)n }, 1, again), 0);
    CHECK(isfinite(rank[0]) && fabsf(rank[0] - again[0]) < 1e-3f);
    llama_engine.free(m);
}

TEST_NOFAULT(a_copied_beginning_says_the_same) {
    struct perilune_engine_options apart = plain, small = plain;
    if (is_missing()) return;
    copied_says_the_same(plain);
    apart.context_each = 256;
    copied_says_the_same(apart);
    small.kv_type = "q8_0";
    small.flash_attention = 1;
    copied_says_the_same(small);
}

TEST_NOFAULT(settings_that_the_library_cannot_do_are_refused) {
    struct perilune_engine_options o = plain;
    struct perilune_engine_model *m;
    if (is_missing()) return;
    o.kv_type = "q4_0";
    o.flash_attention = -1; /* which those need */
    CHECK(load_here(o, &m) != 0);
    NOTE("%s", why);
    CHECK(strstr(why, "makes no context of 512 tokens with these settings") != NULL);
    o.kv_type = "q9_9";
    CHECK(load_here(o, &m) != 0 && strstr(why, "engine.kv_type") != NULL);
    o = plain;
    o.gpu_layers = 99;
    o.device = "CUDA0"; /* without one it is the processor's, and said */
    CHECK_INT(load_here(o, &m), 0);
    NOTE("%s", llama_engine.facts(m)->note);
    CHECK(strstr(llama_engine.facts(m)->note, "no GPU here") != NULL);
    llama_engine.free(m);
}

static void check_no_memory(struct perilune_engine_options o) {
    struct perilune_engine_model *m;
    int rc = load_here(o, &m);
    NOTE("%s", why);
    CHECK(rc == PERILUNE_ERR_NOMEM && strstr(why, "no memory for a context") != NULL);
}

/* It would end the process: GGML_ASSERT. */
TEST_NOFAULT(a_context_smaller_than_its_rows_is_refused) {
    struct perilune_engine_options o = plain;
    struct perilune_engine_model *m;
    if (is_missing()) return;
    o.sequences = 16;
    o.context = 15;
    CHECK(load_here(o, &m) != 0);
    NOTE("%s", why);
    CHECK(strstr(why, "engine.context") != NULL && strstr(why, "engine.sequences") != NULL);
    o.context = 16;
    CHECK_INT(load_here(o, &m), 0);
    llama_engine.free(m);
}

TEST_NOFAULT(a_context_for_which_no_machine_has_memory_is_refused_at_once) {
    struct perilune_engine_options o = plain, each = plain;
    if (is_missing()) return;
    o.context = 1u << 30; /* the library would make tables for a minute before it said so */
    check_no_memory(o);
    CHECK(strstr(why, "make engine.context or context_each smaller") != NULL);
    each.context_each = UINT32_MAX;
    check_no_memory(each);
}

/* Twice what the machine has: that is for the library to say; AddressSanitizer ends a process that asks. */
#ifndef __SANITIZE_ADDRESS__
TEST_NOFAULT(a_context_that_the_library_finds_no_memory_for_is_refused) {
    enum { POSITION = 20000 }; /* bytes, of a small model */
    struct perilune_engine_options o = plain;
    uint64_t cells = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / POSITION * 2;
    if (is_missing()) return;
    o.context = cells < 1u << 27 ? (uint32_t)cells : 1u << 27;
    check_no_memory(o);
}
#endif

/* gguf_file.h -- GGUF files for tests, written by hand. */
#ifndef PERILUNE_TESTS_GGUF_FILE_H
#define PERILUNE_TESTS_GGUF_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/little.h"
#include "local/gguf.h"

static inline void gguf_put_u64(struct buf *b, uint64_t v) {
    little_put_u32(b, (uint32_t)v);
    little_put_u32(b, (uint32_t)(v >> 32));
}

static inline void gguf_put_text(struct buf *b, const char *s) {
    gguf_put_u64(b, strlen(s));
    buf_puts(b, s);
}

static inline void gguf_put_start(struct buf *b, uint32_t version, uint64_t tensors, uint64_t pairs) {
    buf_puts(b, "GGUF");
    little_put_u32(b, version);
    gguf_put_u64(b, tensors);
    gguf_put_u64(b, pairs);
}

static inline void gguf_put_key(struct buf *b, const char *key, enum gguf_type type) {
    gguf_put_text(b, key);
    little_put_u32(b, type);
}

static inline void gguf_put_pair_text(struct buf *b, const char *key, const char *value) {
    gguf_put_key(b, key, GGUF_STRING);
    gguf_put_text(b, value);
}

static inline void gguf_put_pair_u32(struct buf *b, const char *key, uint32_t value) {
    gguf_put_key(b, key, GGUF_U32);
    little_put_u32(b, value);
}

static inline void gguf_put_array(struct buf *b, const char *key, enum gguf_type of, uint64_t count) {
    gguf_put_key(b, key, GGUF_ARRAY);
    little_put_u32(b, of);
    gguf_put_u64(b, count);
}

/* A tensor of two dimensions. */
static inline void gguf_put_tensor(struct buf *b, const char *name, uint64_t row, uint64_t rows, uint32_t type,
                                   uint64_t offset) {
    gguf_put_text(b, name);
    little_put_u32(b, 2);
    gguf_put_u64(b, row);
    gguf_put_u64(b, rows);
    little_put_u32(b, type);
    gguf_put_u64(b, offset);
}

static inline void gguf_put_zeros(struct buf *b, size_t n) {
    while (n-- > 0) buf_putc(b, '\0');
}

static inline void gguf_pad(struct buf *b) {
    while (!buf_failed(b) && buf_len(b) % 32 != 0) buf_putc(b, '\0');
}

/* A model of one layer, as far as headers go: 2 heads of 4 numbers, 3 tokens; Q8_0 and F32. */
static inline void gguf_put_model(struct buf *b) {
    gguf_put_start(b, 3, 2, 12);
    gguf_put_pair_text(b, "general.architecture", "llama");
    gguf_put_pair_text(b, "general.name", "Tiny");
    gguf_put_pair_text(b, "general.license", "mit");
    gguf_put_pair_u32(b, "llama.block_count", 1);
    gguf_put_pair_u32(b, "llama.context_length", 512);
    gguf_put_pair_u32(b, "llama.embedding_length", 32);
    gguf_put_pair_u32(b, "llama.attention.head_count", 8);
    gguf_put_pair_u32(b, "llama.attention.head_count_kv", 2);
    gguf_put_key(b, "llama.attention.layer_norm_rms_epsilon", GGUF_F32);
    little_put_f32(b, 1e-5f);
    gguf_put_pair_text(b, "tokenizer.ggml.model", "gpt2");
    gguf_put_array(b, "tokenizer.ggml.tokens", GGUF_STRING, 3);
    gguf_put_text(b, "a");
    gguf_put_text(b, "b");
    gguf_put_text(b, "ab");
    gguf_put_pair_text(b, "tokenizer.chat_template", "{{ messages }}\n{% line two %}");
    gguf_put_tensor(b, "token_embd.weight", 32, 3, 8, 0);       /* Q8_0: 3 * 34 bytes */
    gguf_put_tensor(b, "output_norm.weight", 32, 1, 0, 128);    /* F32: 128 bytes */
    gguf_pad(b);
    gguf_put_zeros(b, 128 + 128);
}

/* The bytes as a file; the caller removes it. */
static inline void gguf_file(const struct buf *b, char path[64]) {
    snprintf(path, 64, "/tmp/perilune-gguf-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, buf_get(b).ptr, buf_len(b)) != (ssize_t)buf_len(b)) abort();
    close(fd);
}

#endif

/* llama_abi.h -- what Perilune calls of libllama, in declarations of its own.
 *
 * The library's structs of settings go by value and change from release to release without its soname changing, so
 * each layout that is known has a struct here, and a row in llama_library.c says which release has which.  A field
 * that Perilune does not set has a name only to keep its place. */
#ifndef PERILUNE_LOCAL_LLAMA_ABI_H
#define PERILUNE_LOCAL_LLAMA_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct llama_batch {
    int32_t   n_tokens;
    int32_t  *token;
    float    *embd;
    int32_t  *pos, *n_seq_id;
    int32_t **seq_id;
    int8_t   *logits;
};

/* 0.4.0, 0.5.0 and 0.7.0. */
struct llama_model_params_5 {
    void       *devices;
    const void *tensor_buft_overrides;
    int32_t     n_gpu_layers;
    int         split_mode, load_mode, lazy_mode;
    int32_t     main_gpu;
    const float *tensor_split;
    bool      (*progress)(float progress, void *ud);
    void       *progress_ud;
    const void *kv_overrides;
    bool        vocab_only, check_tensors, use_extra_bufts, no_host, no_alloc, load_mtp;
};

/* ORDER llama_context_head: what stands before the places where layouts differ. */
#define LLAMA_CONTEXT_HEAD                                                                                       \
    uint32_t n_ctx, n_batch, n_ubatch, n_seq_max, n_rs_seq, n_outputs_max, n_outputs_max_per_seq;                \
    int32_t  n_threads, n_threads_batch;                                                                         \
    int      ctx_type, rope_scaling_type, pooling_type, attention_type, flash_attn_type;                         \
    float    rope_freq_base, rope_freq_scale, yarn_ext_factor, yarn_attn_factor, yarn_beta_fast, yarn_beta_slow; \
    uint32_t yarn_orig_ctx;                                                                                      \
    float    defrag_thold;                                                                                       \
    void    *cb_eval, *cb_eval_ud;                                                                               \
    int      type_k, type_v;

#define LLAMA_CONTEXT_TAIL                                                                                       \
    bool  (*abort)(void *ud);                                                                                    \
    void   *abort_ud;                                                                                            \
    bool    embeddings, offload_kqv, no_perf, op_offload, swa_full, kv_unified;                                  \
    void   *samplers;                                                                                            \
    size_t  n_samplers;                                                                                          \
    void   *ctx_other;

struct llama_context_params_5 { /* 0.4.0 and 0.5.0 */
    LLAMA_CONTEXT_HEAD
    LLAMA_CONTEXT_TAIL
};

struct llama_context_params_7 { /* 0.7.0 */
    LLAMA_CONTEXT_HEAD
    size_t moe_cache_size;
    LLAMA_CONTEXT_TAIL
};

struct llama_model;
struct llama_context;
struct llama_vocab;
struct llama_memory;

/* Functions whose types are the same in all releases that are known.  XX(result, name, arguments). */
#define LLAMA_FUNCTIONS(XX)                                                                                      \
    XX(void, llama_backend_init, (void))                                                                         \
    XX(void, llama_log_set, (void (*)(int, const char *, void *), void *))                                       \
    XX(void, ggml_backend_load_all, (void))                                                                      \
    XX(void, ggml_backend_load_all_from_path, (const char *))                                                    \
    XX(size_t, ggml_backend_dev_count, (void))                                                                   \
    XX(void *, ggml_backend_dev_get, (size_t))                                                                   \
    XX(const char *, ggml_backend_dev_name, (void *))                                                            \
    XX(int, ggml_backend_dev_type, (void *))                                                                     \
    XX(void, ggml_backend_dev_memory, (void *, size_t *, size_t *))                                              \
    XX(void, llama_model_free, (struct llama_model *))                                                           \
    XX(const struct llama_vocab *, llama_model_get_vocab, (const struct llama_model *))                          \
    XX(int32_t, llama_model_n_embd_out, (const struct llama_model *))                                            \
    XX(uint32_t, llama_model_n_cls_out, (const struct llama_model *))                                            \
    XX(int32_t, llama_model_n_ctx_train, (const struct llama_model *))                                           \
    XX(uint64_t, llama_model_size, (const struct llama_model *))                                                 \
    XX(int32_t, llama_model_desc, (const struct llama_model *, char *, size_t))                                  \
    XX(int32_t, llama_model_meta_val_str, (const struct llama_model *, const char *, char *, size_t))            \
    XX(bool, llama_model_has_encoder, (const struct llama_model *))                                              \
    XX(bool, llama_model_has_decoder, (const struct llama_model *))                                              \
    XX(bool, llama_model_is_recurrent, (const struct llama_model *))                                             \
    XX(bool, llama_model_is_hybrid, (const struct llama_model *))                                                \
    XX(bool, llama_model_is_diffusion, (const struct llama_model *))                                             \
    XX(const char *, llama_model_chat_template, (const struct llama_model *, const char *))                      \
    XX(void, llama_free, (struct llama_context *))                                                               \
    XX(uint32_t, llama_n_ctx, (const struct llama_context *))                                                    \
    XX(uint32_t, llama_n_ctx_seq, (const struct llama_context *))                                                \
    XX(uint32_t, llama_n_batch, (const struct llama_context *))                                                  \
    XX(uint32_t, llama_n_ubatch, (const struct llama_context *))                                                 \
    XX(uint32_t, llama_n_seq_max, (const struct llama_context *))                                                \
    XX(int, llama_pooling_type, (const struct llama_context *))                                                  \
    XX(struct llama_memory *, llama_get_memory, (const struct llama_context *))                                  \
    XX(void, llama_memory_clear, (struct llama_memory *, bool))                                                  \
    XX(bool, llama_memory_seq_rm, (struct llama_memory *, int32_t, int32_t, int32_t))                            \
    XX(void, llama_memory_seq_cp, (struct llama_memory *, int32_t, int32_t, int32_t, int32_t))                   \
    XX(int32_t, llama_memory_seq_pos_max, (struct llama_memory *, int32_t))                                      \
    XX(int32_t, llama_decode, (struct llama_context *, struct llama_batch))                                      \
    XX(int32_t, llama_encode, (struct llama_context *, struct llama_batch))                                      \
    XX(float *, llama_get_logits_ith, (struct llama_context *, int32_t))                                         \
    XX(float *, llama_get_embeddings_seq, (struct llama_context *, int32_t))                                     \
    XX(int32_t, llama_tokenize, (const struct llama_vocab *, const char *, int32_t, int32_t *, int32_t, bool, bool)) \
    XX(int32_t, llama_token_to_piece, (const struct llama_vocab *, int32_t, char *, int32_t, int32_t, bool))     \
    XX(int32_t, llama_vocab_n_tokens, (const struct llama_vocab *))                                              \
    XX(bool, llama_vocab_is_eog, (const struct llama_vocab *, int32_t))                                          \
    XX(int32_t, llama_vocab_bos, (const struct llama_vocab *))                                                   \
    XX(int32_t, llama_vocab_eos, (const struct llama_vocab *))                                                   \
    XX(int32_t, llama_vocab_sep, (const struct llama_vocab *))                                                   \
    XX(bool, llama_vocab_get_add_bos, (const struct llama_vocab *))                                              \
    XX(bool, llama_vocab_get_add_eos, (const struct llama_vocab *))                                              \
    XX(bool, llama_vocab_get_add_sep, (const struct llama_vocab *))                                              \
    XX(const char *, llama_vocab_get_text, (const struct llama_vocab *, int32_t))

struct llama_calls {
#define XX(result, name, arguments) result (*name) arguments;
    LLAMA_FUNCTIONS(XX)
#undef XX
    /* Of changing types: see the rows of llama_library.c. */
    void (*llama_model_default_params)(void), (*llama_model_load_from_file)(void);
    void (*llama_context_default_params)(void), (*llama_init_from_model)(void);
};

#endif

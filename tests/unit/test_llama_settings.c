/* test_llama_settings.c -- what reaches the library's structs of settings, with a library of this test's own. */
#include "local/llama_library.c"

#include "unit.h"

static struct llama_model_params_5 model_got;
static struct llama_context_params_5 got_5;
static struct llama_context_params_7 got_7;
static int model, context; /* whose addresses stand for them */

static struct llama_model_params_5 model_defaults(void) {
    return (struct llama_model_params_5){ .n_gpu_layers = -1, .load_mode = -1, .use_extra_bufts = true };
}
static struct llama_model *model_load(const char *path, struct llama_model_params_5 p) {
    (void)path;
    model_got = p;
    return (struct llama_model *)(void *)&model;
}

#define FAKE(n)                                                                                                  \
    static struct llama_context_params_##n defaults_##n(void) {                                                  \
        return (struct llama_context_params_##n){ .n_batch = 2048, .n_ubatch = 512, .n_seq_max = 1,              \
                                                  .flash_attn_type = -1, .type_k = 1, .type_v = 1,               \
                                                  .offload_kqv = true, .op_offload = true };                     \
    }                                                                                                            \
    static struct llama_context *init_##n(struct llama_model *m, struct llama_context_params_##n p) {            \
        (void)m;                                                                                                 \
        got_##n = p;                                                                                             \
        return (struct llama_context *)(void *)&context;                                                         \
    }
FAKE(5)
FAKE(7)

static bool stop(void *ud) { (void)ud; return false; }

static struct { const char *name; int type; size_t free, total; } machine[4];
static size_t machine_count;
static size_t dev_count(void) { return machine_count; }
static void *dev_get(size_t i) { return &machine[i]; }
static const char *dev_name(void *d) { return ((__typeof__(machine[0]) *)d)->name; }
static int dev_type(void *d) { return ((__typeof__(machine[0]) *)d)->type; }
static void dev_memory(void *d, size_t *free_, size_t *total) {
    *free_ = ((__typeof__(machine[0]) *)d)->free;
    *total = ((__typeof__(machine[0]) *)d)->total;
}

static struct llama_library library(const char *version) {
    struct llama_library l = { .abi = NULL };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(known[i].version, version) == 0) l.abi = &known[i];
    bool seven = strcmp(version, "0.7.0") == 0;
    l.calls.llama_model_default_params = (void (*)(void))model_defaults;
    l.calls.llama_model_load_from_file = (void (*)(void))model_load;
    l.calls.llama_context_default_params = seven ? (void (*)(void))defaults_7 : (void (*)(void))defaults_5;
    l.calls.llama_init_from_model = seven ? (void (*)(void))init_7 : (void (*)(void))init_5;
    l.calls.ggml_backend_dev_count = dev_count;
    l.calls.ggml_backend_dev_get = dev_get;
    l.calls.ggml_backend_dev_name = dev_name;
    l.calls.ggml_backend_dev_type = dev_type;
    l.calls.ggml_backend_dev_memory = dev_memory;
    return l;
}

TEST(a_plan_reaches_the_settings_of_a_model) {
    struct llama_library l = library("0.5.0");
    struct device_plan p = { .devices = { &model, &context }, .count = 2, .layers = 7, .split = { 3, 1 } };
    CHECK(llama_library_load(&l, "m.gguf", &p) != NULL);
    void **devices = model_got.devices;
    CHECK(devices[0] == &model && devices[1] == &context && devices[2] == NULL);
    CHECK_INT(model_got.n_gpu_layers, 7);
    CHECK(model_got.tensor_split[0] == 3 && model_got.tensor_split[1] == 1 && model_got.tensor_split[2] == 0);
    CHECK(model_got.use_extra_bufts); /* the rest stays as it was */
    p = (struct device_plan){ .layers = 0 };
    CHECK(llama_library_load(&l, "m.gguf", &p) != NULL);
    devices = model_got.devices;
    CHECK(devices != NULL && devices[0] == NULL && model_got.n_gpu_layers == 0 && model_got.tensor_split == NULL);
}

#define CHECK_WISH(p, flash, type, whole)                                                                        \
    CHECK((p).n_ctx == 4096 && (p).n_batch == 256 && (p).n_ubatch == 128 && (p).n_seq_max == 8);                 \
    CHECK((p).n_threads == 3 && (p).n_threads_batch == 3 && (p).abort == stop && (p).abort_ud == &model);        \
    CHECK((p).flash_attn_type == (flash) && (p).type_k == (type) && (p).type_v == (type));                       \
    CHECK((p).kv_unified == (whole) && (p).offload_kqv && (p).op_offload && !(p).embeddings)

TEST(a_wish_reaches_the_settings_of_a_context_in_every_layout) {
    static const char *const versions[] = { "0.4.0", "0.5.0", "0.7.0" };
    for (size_t i = 0; i < 3; i++) {
        struct llama_library l = library(versions[i]);
        struct llama_context_wish w = { .cells = 4096, .batch = 256, .piece = 128, .rows = 8, .threads = 3,
                                        .kv_type = -1, .abort = stop, .abort_ud = &model };
        CHECK(l.abi != NULL && l.abi->looks_right(&l.calls) && model_looks_right(&l.calls));
        CHECK(llama_library_context(&l, NULL, &w) != NULL);
        if (i < 2) { CHECK_WISH(got_5, -1, 1, true); } else { CHECK_WISH(got_7, -1, 1, true); }
        w.flash_attention = 1;
        w.kv_type = 8;
        w.apart = true;
        CHECK(llama_library_context(&l, NULL, &w) != NULL);
        if (i < 2) { CHECK_WISH(got_5, 1, 8, false); } else { CHECK_WISH(got_7, 1, 8, false); }
        w.flash_attention = -1;
        CHECK(llama_library_context(&l, NULL, &w) != NULL);
        CHECK((i < 2 ? got_5.flash_attn_type : got_7.flash_attn_type) == 0);
    }
}

TEST(devices_are_told_and_small_gpus_only_when_there_are_no_others) {
    struct llama_library l = library("0.5.0");
    struct device all[4];
    machine_count = 3;
    machine[0].name = "CUDA0", machine[0].type = 1, machine[0].free = 5, machine[0].total = 6;
    machine[1].name = "Vulkan0", machine[1].type = 2;
    machine[2].name = "CPU", machine[2].type = 0;
    CHECK_UINT(llama_library_devices(&l, all, 4), 3);
    CHECK(all[0].is_gpu && all[0].free == 5 && all[0].total == 6 && all[0].handle == &machine[0]);
    CHECK(!all[1].is_gpu && !all[2].is_gpu);
    machine[0].type = 3; /* an accelerator of the processor's */
    CHECK_UINT(llama_library_devices(&l, all, 4), 3);
    CHECK(!all[0].is_gpu && all[1].is_gpu && !all[2].is_gpu);
    CHECK_UINT(llama_library_devices(&l, all, 2), 2);
}

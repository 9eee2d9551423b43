/* llama_library.c -- libllama, found, looked at and loaded.
 *
 *     folder of `library` | $PERILUNE_LLAMA | the loader's path | beside the program
 *         --dlopen--> all symbols? --> llama_version() in the table? --> sizes as the table says?
 *         --> defaults where they must be? --> backends of the folder --> it stays until the process ends
 *
 * libllama keeps one soname over releases whose structs differ, and a struct that is read in the wrong layout ends
 * the process in an assertion much later.  So a library is used only if it is one of those that this file was written
 * for, and looks like it: what it calls itself, how many bytes its defaults have, and what stands in them.  Anything
 * else is refused with a sentence that says which versions work.
 *
 * A library that was loaded cannot be unloaded (its backends have threads and tables of their own), and two of them
 * in one process would share symbols of ggml.  That makes it state of the process, not of a gateway: the one static
 * variable here, behind a lock.
 *
 * Its log is ours to drop; the first error of a thread is kept until it is forgotten, because a model that cannot be
 * loaded says why only there, and those behind it say no more than that it failed. */
#include "local/llama_library.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/perilune.h"

#define WORKS "0.4.0, 0.5.0 and 0.7.0"

/* How a release lays out its settings. */
struct abi {
    const char *version;
    size_t      model_bytes, context_bytes; /* that its defaults write: without padding at the end */
    bool      (*looks_right)(const struct llama_calls *c);
    struct llama_context *(*context)(const struct llama_calls *c, struct llama_model *m,
                                     const struct llama_context_wish *wish);
};

struct llama_library {
    struct llama_calls calls;
    const struct abi  *abi; /* NULL: none is loaded */
    char               folder[PATH_MAX]; /* that it was loaded from */
};

/* -- What it complains of --------------------------------------------------------------- */

static _Thread_local char complaint[240];

static void on_log(int level, const char *text, void *ud) {
    enum { ERROR_LEVEL = 4 };
    (void)ud;
    if (level != ERROR_LEVEL || text == NULL || complaint[0] != '\0') return;
    snprintf(complaint, sizeof(complaint), "%s", text);
    complaint[strcspn(complaint, "\n")] = '\0';
}

const char *llama_library_complaint(void) { return complaint; }
void        llama_library_forget_complaint(void) { complaint[0] = '\0'; }

/* -- What it ends the process with ---------------------------------------------------------- */

static _Thread_local const char *busy_with;

void llama_library_busy_with(const char *model) { busy_with = model; }

/* GGML_ASSERT and its kin: the process ends when this returns, and nothing can be given back to who asked.  What is
 * left is to say so, in one line, instead of the library's own and a debugger's backtrace.  Any thread. */
static void on_abort(const char *message) {
    char line[700];
    const char *colon = strchr(message, ':'), *slash = colon ? memrchr(message, '/', (size_t)(colon - message)) : NULL;
    int n = snprintf(line, sizeof(line), "perilune: libllama ended the process that it runs in: %.200s%s%.300s (mostly "
                     "because memory was gone; engine.process = true keeps the gateway out of it)\n",
                     slash ? slash + 1 : message, busy_with ? ", while it loaded " : "", busy_with ? busy_with : "");
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1) < 0) return;
}

/* A release may be without it. */
static void hear_of_aborts(void *handle) {
    void *(*set)(void (*)(const char *));
    void *at = dlsym(handle, "ggml_set_abort_callback");
    memcpy(&set, &at, sizeof(at));
    if (at != NULL) set(on_abort);
}

/* -- Layouts ------------------------------------------------------------------------------ */

typedef struct llama_model_params_5 (*model_defaults_5)(void);
typedef struct llama_model *(*model_load_5)(const char *, struct llama_model_params_5);

/* Two layouts that differ in one member: what is set is the same. */
#define LAYOUT(n)                                                                                                \
    typedef struct llama_context_params_##n (*context_defaults_##n)(void);                                       \
    typedef struct llama_context *(*context_init_##n)(struct llama_model *, struct llama_context_params_##n);    \
    static bool looks_right_##n(const struct llama_calls *c) {                                                   \
        struct llama_context_params_##n p = ((context_defaults_##n)c->llama_context_default_params)();           \
        return p.n_batch == 2048 && p.n_ubatch == 512 && p.n_seq_max == 1 && p.offload_kqv && p.op_offload &&    \
               p.flash_attn_type == -1 && p.type_k == 1 && p.type_v == 1 && p.abort == NULL &&                 \
               !p.embeddings && !p.kv_unified && p.samplers == NULL && p.ctx_other == NULL;                      \
    }                                                                                                            \
    static struct llama_context *context_##n(const struct llama_calls *c, struct llama_model *m,                 \
                                             const struct llama_context_wish *w) {                               \
        struct llama_context_params_##n p = ((context_defaults_##n)c->llama_context_default_params)();           \
        p.n_ctx = w->cells;                                                                                      \
        p.n_batch = w->batch;                                                                                    \
        p.n_ubatch = w->piece;                                                                                   \
        p.n_seq_max = w->rows;                                                                                   \
        p.n_threads = p.n_threads_batch = w->threads;                                                            \
        p.embeddings = w->embeddings;                                                                            \
        p.no_perf = p.swa_full = true;                                                                           \
        p.kv_unified = !w->apart;                                                                                \
        p.flash_attn_type = w->flash_attention > 0 ? 1 : w->flash_attention < 0 ? 0 : -1;                        \
        if (w->kv_type >= 0) p.type_k = p.type_v = w->kv_type;                                                   \
        p.abort = w->abort;                                                                                      \
        p.abort_ud = w->abort_ud;                                                                                \
        return ((context_init_##n)c->llama_init_from_model)(m, p);                                               \
    }

LAYOUT(5)
LAYOUT(7)

static const struct abi known[] = {
    { "0.4.0", 78, 160, looks_right_5, context_5 },
    { "0.5.0", 78, 160, looks_right_5, context_5 },
    { "0.7.0", 78, 168, looks_right_7, context_7 },
};

static bool model_looks_right(const struct llama_calls *c) {
    struct llama_model_params_5 p = ((model_defaults_5)c->llama_model_default_params)();
    return p.devices == NULL && p.n_gpu_layers == -1 && p.load_mode == -1 && p.main_gpu == 0 && !p.vocab_only &&
           !p.check_tensors && p.use_extra_bufts && !p.no_alloc && p.kv_overrides == NULL;
}

struct llama_model *llama_library_load(const struct llama_library *l, const char *path,
                                       const struct device_plan *plan) {
    struct llama_model_params_5 p = ((model_defaults_5)l->calls.llama_model_default_params)();
    p.n_gpu_layers = plan->layers;
    p.devices = (void *)(uintptr_t)plan->devices; /* read only, as its type does not say */
    for (unsigned i = 0; i < plan->count; i++)
        if (plan->split[i] > 0) p.tensor_split = plan->split;
    return ((model_load_5)l->calls.llama_model_load_from_file)(path, p);
}

struct llama_context *llama_library_context(const struct llama_library *l, struct llama_model *m,
                                            const struct llama_context_wish *wish) {
    return l->abi->context(&l->calls, m, wish);
}

unsigned llama_library_devices(const struct llama_library *l, struct device *out, unsigned most) {
    enum { GPU = 1, INTEGRATED = 2 }; /* of the library's types */
    const struct llama_calls *c = &l->calls;
    size_t n = c->ggml_backend_dev_count();
    bool has_gpu = false;
    if (n > most) n = most;
    for (size_t i = 0; i < n; i++) has_gpu |= c->ggml_backend_dev_type(c->ggml_backend_dev_get(i)) == GPU;
    for (size_t i = 0; i < n; i++) {
        void *d = c->ggml_backend_dev_get(i);
        size_t free_ = 0, total = 0;
        int type = c->ggml_backend_dev_type(d);
        c->ggml_backend_dev_memory(d, &free_, &total);
        out[i] = (struct device){ .handle = d, .name = c->ggml_backend_dev_name(d), .free = free_, .total = total,
                                  .is_gpu = type == GPU || (type == INTEGRATED && !has_gpu) };
    }
    return (unsigned)n;
}

const struct llama_calls *llama_library_calls(const struct llama_library *l) { return &l->calls; }

/* -- Sizes ---------------------------------------------------------------------------------- */

/* How many bytes a function writes that returns a large struct; 0: cannot be found out here. */
static size_t written_by(void (*defaults)(void)) {
#if defined(__x86_64__) && !defined(_WIN32)
    /* The System V ABI hands the place of the result over as a hidden first argument. */
    unsigned char one[512], other[512];
    memset(one, 0xAA, sizeof(one));
    memset(other, 0x55, sizeof(other));
    ((void *(*)(void *))defaults)(one);
    ((void *(*)(void *))defaults)(other);
    size_t n = sizeof(one);
    while (n > 0 && one[n - 1] == 0xAA && other[n - 1] == 0x55) n--;
    return n;
#else
    (void)defaults;
    return 0;
#endif
}

static bool sizes_fit(const struct llama_calls *c, const struct abi *abi) {
    size_t model = written_by(c->llama_model_default_params), context = written_by(c->llama_context_default_params);
    bool unknown = model == 0 && context == 0;
    return unknown || (model == abi->model_bytes && context == abi->context_bytes);
}

/* -- Symbols ---------------------------------------------------------------------------------- */

/* ISO C has no way from an object's address to a function's; POSIX says that this one works. */
static bool find_symbol(void *handle, const char *name, void *slot) {
    void *at = dlsym(handle, name);
    memcpy(slot, &at, sizeof(at));
    return at != NULL;
}

/* NULL, or the first that is missing. */
static const char *find_symbols(void *handle, struct llama_calls *c) {
#define XX(result, name, arguments)                                                                              \
    if (!find_symbol(handle, #name, &c->name)) return #name;
    LLAMA_FUNCTIONS(XX)
#undef XX
    if (!find_symbol(handle, "llama_model_default_params", &c->llama_model_default_params) ||
        !find_symbol(handle, "llama_model_load_from_file", &c->llama_model_load_from_file) ||
        !find_symbol(handle, "llama_context_default_params", &c->llama_context_default_params) ||
        !find_symbol(handle, "llama_init_from_model", &c->llama_init_from_model)) return "llama_init_from_model";
    return NULL;
}

/* The row of the table; NULL, and `why` says what is wrong. */
static const struct abi *recognize(void *handle, const char *path, struct llama_calls *c, char *why, size_t size) {
    const char *(*version)(void);
    if (!find_symbol(handle, "llama_version", &version)) {
        snprintf(why, size, "%s is too old, or no libllama: it has no llama_version(); " WORKS " work", path);
        return NULL;
    }
    const char *said = version();
    size_t len = strcspn(said, "-"); /* "0.5.0-dev": nightly builds of a release */
    const struct abi *abi = NULL;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strlen(known[i].version) == len && strncmp(known[i].version, said, len) == 0) abi = &known[i];
    if (abi == NULL) {
        snprintf(why, size, "%s is libllama %.20s; " WORKS " work", path, said);
        return NULL;
    }
    const char *missing = find_symbols(handle, c);
    if (missing != NULL) {
        snprintf(why, size, "%s says that it is libllama %s, but has no %s(); " WORKS " work as they were released",
                 path, abi->version, missing);
        return NULL;
    }
    if (sizes_fit(c, abi) && abi->looks_right(c) && model_looks_right(c)) return abi;
    snprintf(why, size, "%s says that it is libllama %s, but its settings are laid out differently; " WORKS
             " work as they were released", path, abi->version);
    return NULL;
}

/* -- Where it is --------------------------------------------------------------------------------- */

/* libllama.so, libllama.so.0, libllama.v0.5.0.so; not libllama-common.so, nor libllama.cuda.v0.5.0.so. */
static bool is_library_name(const char *name) {
    static const char stem[] = "libllama.";
    if (strncmp(name, stem, sizeof(stem) - 1) != 0) return false;
    name += sizeof(stem) - 1;
    size_t len = strlen(name);
    return strncmp(name, "so", 2) == 0 || (name[0] == 'v' && len > 3 && strcmp(name + len - 3, ".so") == 0);
}

/* The first such name in the order of the alphabet, which is always the same one. */
static bool find_in_folder(const char *folder, char *out, size_t size) {
    char best[256] = "";
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (is_library_name(e->d_name) && (best[0] == '\0' || strcmp(e->d_name, best) < 0))
            snprintf(best, sizeof(best), "%s", e->d_name);
    if (d != NULL) closedir(d);
    int n = snprintf(out, size, "%s/%s", folder, best);
    return best[0] != '\0' && n > 0 && (size_t)n < size;
}

/* What libllama needs and may not find by itself, because it has no path to its own folder. */
static void open_needed(const char *folder) {
    static const char *const names[] = { "libggml-base.so.0", "libggml-base.so", "libggml.so.0", "libggml.so" };
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        int n = snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        if (n > 0 && (size_t)n < sizeof(path) && access(path, R_OK) == 0) (void)dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
}

static void *open_in_folder(const char *folder, char *path, size_t path_size, char *why, size_t size) {
    if (!find_in_folder(folder, path, path_size)) {
        snprintf(why, size, "%s has no libllama (libllama.so.0, or libllama.v0.5.0.so); " WORKS " work", folder);
        return NULL;
    }
    open_needed(folder);
    void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *said = h == NULL ? dlerror() : NULL;
    if (h == NULL) snprintf(why, size, "%s cannot be loaded: %s", path, said ? said : "no reason was given");
    return h;
}

static void *open_beside_program(char *path, size_t path_size) {
    static const char *const below[] = { "", "/lib", "/../lib/perilune" };
    char self[PATH_MAX], folder[PATH_MAX], why[8];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    if (slash == NULL) return NULL;
    *slash = '\0';
    for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
        int len = snprintf(folder, sizeof(folder), "%s%s", self, below[i]);
        if (len <= 0 || (size_t)len >= sizeof(folder) || !find_in_folder(folder, path, path_size)) continue;
        void *h = open_in_folder(folder, path, path_size, why, sizeof(why));
        if (h != NULL) return h;
    }
    return NULL;
}

static void *open_somewhere(const char *folder, char *path, size_t path_size, char *why, size_t size) {
    const char *variable = getenv("PERILUNE_LLAMA");
    if (folder == NULL && variable != NULL && variable[0] != '\0') folder = variable;
    if (folder != NULL) return open_in_folder(folder, path, path_size, why, size);
    static const char *const names[] = { "libllama.so.0", "libllama.so" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        void *h = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        snprintf(path, path_size, "%s", names[i]);
        if (h != NULL) return h;
    }
    void *h = open_beside_program(path, path_size);
    if (h == NULL)
        snprintf(why, size, "there is no libllama on this machine: say engine.library = \"FOLDER\", or set "
                 "PERILUNE_LLAMA to its folder, or install it (Debian 13 and newer: libllama0); " WORKS " work");
    return h;
}

/* -- Loading ---------------------------------------------------------------------------------------- */

/* Backends are plugins beside the library, or where the library was told when it was built. */
static bool load_backends(const struct llama_library *l, const char *path) {
    char folder[PATH_MAX];
    Dl_info info;
    void *at;
    memcpy(&at, &l->calls.llama_backend_init, sizeof(at));
    snprintf(folder, sizeof(folder), "%s", dladdr(at, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) *slash = '\0';
    if (slash != NULL) l->calls.ggml_backend_load_all_from_path(folder);
    if (l->calls.ggml_backend_dev_count() == 0) l->calls.ggml_backend_load_all();
    return l->calls.ggml_backend_dev_count() > 0;
}

static int library_open(struct llama_library *l, const char *folder, char *why, size_t size) {
    char path[PATH_MAX];
    struct llama_library fresh = { .abi = NULL };
    void *h = open_somewhere(folder, path, sizeof(path), why, size);
    if (h == NULL) return PERILUNE_ERR_ENGINE;
    const struct abi *abi = recognize(h, path, &fresh.calls, why, size);
    if (abi == NULL) {
        dlclose(h); /* nothing of it ran but functions that return a constant */
        return PERILUNE_ERR_ENGINE;
    }
    fresh.calls.llama_log_set(on_log, NULL);
    hear_of_aborts(h);
    if (!load_backends(&fresh, path)) {
        snprintf(why, size, "%s has no backend beside it (libggml-cpu-*.so): keep the files of a release together",
                 path);
        return PERILUNE_ERR_ENGINE;
    }
    fresh.calls.llama_backend_init();
    snprintf(fresh.folder, sizeof(fresh.folder), "%s", folder ? folder : "");
    fresh.abi = abi;
    *l = fresh;
    return 0;
}

int llama_library_get(const struct llama_library **out, const char *folder, char *why, size_t why_size) {
    static struct llama_library one; /* of the process, see above */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int rc = 0;
    *out = NULL;
    pthread_mutex_lock(&lock);
    if (one.abi == NULL) {
        rc = library_open(&one, folder, why, why_size);
    } else if (folder != NULL && strcmp(folder, one.folder) != 0) {
        snprintf(why, why_size, "this process has loaded libllama from '%s' already, and can have one only: restart "
                 "it, or use one folder for all engines", one.folder);
        rc = PERILUNE_ERR_ENGINE;
    }
    if (rc == 0) *out = &one;
    pthread_mutex_unlock(&lock);
    return rc;
}

/* quantize.c -- a model's file written anew with smaller numbers, by the library.
 *
 *     llama_library_get() --> where is it? (dladdr) --> the same one again (RTLD_NOLOAD) --> two more symbols
 *         --> llama_model_quantize_default_params(): does it look like 0.5.0's? --> llama_model_quantize()
 *
 * The library was found, recognized and loaded as for an engine; what an engine does not need is looked up here.  The
 * struct of settings is declared after 0.5.0, the one release whose header was read for it, and its defaults are
 * compared with that release's before it is used: another release is refused with a sentence.
 *
 * Thread: any; takes minutes and all cores. */
#include "local/quantize.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "include/perilune.h"
#include "local/llama_library.h"

#define NO_TYPE 43 /* GGML_TYPE_COUNT of 0.5.0: "choose yourself" */

static const struct { const char *name; int number; } types[] = {
    { "F32", 0 },     { "F16", 1 },      { "BF16", 32 },   { "Q8_0", 7 },     { "Q6_K", 18 },    { "Q5_K_M", 17 },
    { "Q5_K_S", 16 }, { "Q5_1", 9 },     { "Q5_0", 8 },    { "Q4_K_M", 15 },  { "Q4_K_S", 14 },  { "Q4_1", 3 },
    { "Q4_0", 2 },    { "IQ4_NL", 25 },  { "IQ4_XS", 30 }, { "Q3_K_L", 13 },  { "Q3_K_M", 12 },  { "Q3_K_S", 11 },
    { "IQ3_M", 27 },  { "IQ3_S", 26 },   { "Q2_K", 10 },   { "TQ2_0", 37 },   { "TQ1_0", 36 },
};

/* llama_model_quantize_params of 0.5.0; what is not set has a name to keep its place. */
struct params {
    int32_t        threads;
    int            type, output_type, embedding_type;
    bool           allow_requantize, quantize_output, only_copy, pure, keep_split, dry_run;
    const void    *imatrix, *kv_overrides, *type_overrides;
    const int32_t *prune_layers;
    size_t         max_buffer;
};

typedef struct params (*defaults_fn)(void);
typedef uint32_t (*quantize_fn)(const char *, const char *, const struct params *);

static int number_of(const char *type) {
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (strcasecmp(types[i].name, type) == 0) return types[i].number;
    return -1;
}

bool quantize_knows(const char *type) { return number_of(type) >= 0; }

const char *quantize_type(unsigned i) { return i < sizeof(types) / sizeof(*types) ? types[i].name : NULL; }

/* ISO C has no way from an object's address to a function's; POSIX says that this one works. */
static bool find_symbol(void *handle, const char *name, void *slot) {
    void *at = dlsym(handle, name);
    memcpy(slot, &at, sizeof(at));
    return at != NULL;
}

static bool looks_right(const struct params *p) {
    return p->threads == 0 && p->type == 7 && p->output_type == NO_TYPE && p->embedding_type == NO_TYPE &&
           !p->allow_requantize && p->quantize_output && !p->only_copy && !p->pure && !p->keep_split && !p->dry_run &&
           p->imatrix == NULL && p->kv_overrides == NULL && p->type_overrides == NULL && p->prune_layers == NULL;
}

static int find(const char *folder, defaults_fn *defaults, quantize_fn *quantize, char *why, size_t size) {
    const struct llama_library *l;
    Dl_info info;
    int rc = llama_library_get(&l, folder, why, size);
    if (rc != 0) return rc;
    void *known, *handle = NULL;
    memcpy(&known, &llama_library_calls(l)->llama_backend_init, sizeof(known));
    if (dladdr(known, &info) != 0 && info.dli_fname != NULL) handle = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    const char *(*version)(void) = NULL;
    bool found = handle != NULL && find_symbol(handle, "llama_version", &version) &&
                 find_symbol(handle, "llama_model_quantize_default_params", defaults) &&
                 find_symbol(handle, "llama_model_quantize", quantize);
    if (found && strncmp(version(), "0.5.0", 5) == 0) return 0;
    snprintf(why, size, "libllama %.20s is not known to quantize: 0.5.0 is (make local brings it)",
             version != NULL ? version() : "");
    return PERILUNE_ERR_ENGINE;
}

int quantize_file(const struct quantize_wish *w, char *why, size_t why_size) {
    defaults_fn defaults = NULL;
    quantize_fn quantize = NULL;
    int rc = find(w->library, &defaults, &quantize, why, why_size);
    if (rc != 0) return rc;
    struct params p = defaults();
    if (!looks_right(&p)) {
        snprintf(why, why_size, "libllama says that it is 0.5.0, but its settings are laid out differently");
        return PERILUNE_ERR_ENGINE;
    }
    p.threads = w->threads;
    p.type = number_of(w->type);
    p.allow_requantize = w->requantize;
    p.prune_layers = w->prune;
    llama_library_forget_complaint();
    if (quantize(w->from, w->to, &p) == 0) return 0;
    const char *said = llama_library_complaint();
    snprintf(why, why_size, "libllama cannot quantize it: %s", said[0] != '\0' ? said : "it does not say why");
    return PERILUNE_ERR_ENGINE;
}

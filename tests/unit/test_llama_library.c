/* test_llama_library.c -- libraries that are not what is known: each is refused with a sentence, and none is called.
 *
 * They are made here, by the C compiler: every function that Perilune asks for, and the version, sizes and defaults that
 * a case wants. */
#include "local/llama_library.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "include/perilune.h"
#include "local/llama_abi.h"
#include "unit.h"

static char folder[] = "/tmp/perilune-llama-XXXXXX";

#define XX(result, name, arguments) #name,
static const char *const functions[] = { LLAMA_FUNCTIONS(XX) "llama_model_load_from_file", "llama_init_from_model" };
#undef XX

/* A library that says it is `version` (NULL: it does not say), without the function `missing`, whose settings have so
 * many bytes, all zero. */
static void write_source(FILE *f, const char *version, const char *missing, unsigned model_bytes, unsigned context_bytes) {
    if (version != NULL) fprintf(f, "const char *llama_version(void) { return \"%s\"; }\n", version);
    for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
        if (missing == NULL || strcmp(functions[i], missing) != 0)
            fprintf(f, "void %s(void) { __builtin_trap(); }\n", functions[i]);
    fprintf(f, "struct m { char b[%u]; }; struct m llama_model_default_params(void) { return (struct m){ { 0 } }; }\n"
               "struct c { char b[%u]; }; struct c llama_context_default_params(void) { return (struct c){ { 0 } }; }\n",
            model_bytes, context_bytes);
}

/* False: there is no compiler. */
static bool make(const char *version, const char *missing, unsigned model_bytes, unsigned context_bytes) {
    char path[64], command[300];
    const char *cc = getenv("CC");
    snprintf(path, sizeof(path), "%s/l.c", folder);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    write_source(f, version, missing, model_bytes, context_bytes);
    fclose(f);
    snprintf(command, sizeof(command), "%.80s -w -shared -fPIC -o %s/libllama.so.0 %s 2>&1", cc ? cc : "cc", folder, path);
    return system(command) == 0;
}

static void empty_folder(void) {
    char command[80];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    CHECK_INT(system(command), 0);
}

static void refused(const char *part) {
    const struct llama_library *l;
    char why[500] = "";
    CHECK_INT(llama_library_get(&l, folder, why, sizeof(why)), PERILUNE_ERR_ENGINE);
    CHECK_PTR(l, NULL);
    NOTE("%s", why);
    CHECK(strstr(why, part) != NULL && strstr(why, folder) != NULL);
}

TEST_NOFAULT(libraries_that_are_not_known_are_refused) {
    char path[64];
    CHECK(mkdtemp(folder) != NULL);
    refused("has no libllama");
    snprintf(path, sizeof(path), "%s/libllama.so.0", folder);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL && fputs("this is no library", f) >= 0);
    fclose(f);
    refused("cannot be loaded");
    if (!make("0.9.1", NULL, 78, 160)) {
        fprintf(stderr, "left out: no C compiler\n");
        empty_folder();
        return;
    }
    refused("is libllama 0.9.1; 0.4.0, 0.5.0 and 0.7.0 work");
    make("0.5.01", NULL, 78, 160); /* not a longer one, either */
    refused("is libllama 0.5.01;");
    make(NULL, NULL, 78, 160);
    refused("is too old, or no libllama: it has no llama_version()");
    make("0.5.0", "llama_memory_seq_cp", 78, 160);
    refused("has no llama_memory_seq_cp()");
    make("0.5.0-dev", NULL, 78, 168);
    refused("its settings are laid out differently");
    make("0.7.0", NULL, 78, 168); /* as many bytes, and none is where it belongs */
    refused("its settings are laid out differently");
    empty_folder();
}

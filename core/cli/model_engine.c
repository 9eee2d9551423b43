/* model_engine.c -- perilune model check, quantize, warm: care of models for which numbers are read or computed.
 *
 *     check     FILE --> vetted --> loaded --> one token, or one vector: finite? --> how fast
 *     quantize  IN --> vetted --> library --> OUT.new --> vetted --> OUT; then both: size, speed, perplexity
 *     warm      FILE --> read once from end to end, so that it is in memory when it is mapped
 *
 * Thread: one, a program of its own: a library that ends the process ends nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/files.h"
#include "cli/model_tool.h"
#include "include/perilune.h"
#include "local/llama.h"
#include "local/measure.h"
#include "local/quantize.h"

#define SPEED_TOKENS 48
#define MAX_TEXT     (16u << 20)
#define CHUNK        (1u << 20)
#define PATH_BYTES   1000

static int complain(const char *command, const char *what, const char *why) {
    if (what != NULL) fprintf(stderr, "perilune model %s: %s: %s\n", command, what, why);
    else fprintf(stderr, "perilune model %s: %s\n", command, why);
    return 1;
}

/* -- Trying a model ------------------------------------------------------------------------------- */

struct trying {
    const char *library;
    long        threads, tokens;
    struct slice text; /* empty: no perplexity */
};

/* All that can be measured.  0, or 1 after saying what fails. */
static int try_model(const char *command, const struct trying *t, const char *path, struct measured *out,
                     struct perilune_engine_facts *facts) {
    struct perilune_engine_options o = { .model = path, .library = t->library, .threads = (unsigned)t->threads,
                                         .context = 1024, .sequences = 1, .batch = 512, .gpu_layers = -1 };
    const struct perilune_engine *e = &llama_engine;
    struct perilune_engine_model *m = NULL;
    char why[GGUF_WHY + 200] = "out of memory";
    int rc = e->load(&o, &m, why, sizeof(why));
    *out = (struct measured){ .tokens = 0 };
    if (rc != 0) return complain(command, NULL, why);
    *facts = *e->facts(m);
    facts->name = facts->chat_template = facts->bos = facts->eos = NULL; /* they end with the model */
    rc = measure_works(e, m, out, why, sizeof(why));
    if (rc == 0 && facts->kind == PERILUNE_ENGINE_CHAT) rc = measure_speed(e, m, SPEED_TOKENS, out, why, sizeof(why));
    if (rc == 0 && t->text.len > 0) rc = measure_perplexity(e, m, t->text, (unsigned)t->tokens, out, why, sizeof(why));
    e->free(m);
    return rc == 0 ? 0 : complain(command, path, why);
}

/* -- check ------------------------------------------------------------------------------------------ */

int model_tool_check(int argc, char **argv) {
    struct trying t = { .threads = 0 };
    const char *file = NULL;
    const struct arg table[] = {
        { "library", 'L', ARG_STRING, &t.library, "FOLDER", "of libllama (default: $PERILUNE_LLAMA, the loader's path)",
          0, 0 },
        { "threads", 't', ARG_INT, &t.threads, "N", "that compute (0: one for each core)", 0, 512 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune model check",
        .usage = "[options] FILE.gguf",
        .about = "Looks at the file, loads it, and has the model say a token or make a vector.\n"
                 "Exit status 0: it works, 1: it does not, 2: wrong usage.",
        .table = table,
        .words = &file,
        .max_words = 1,
    };
    struct measured got;
    struct perilune_engine_facts f;
    char why[GGUF_WHY + 200] = "out of memory";
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it a FILE.gguf");
    if (facts_vet(file, why, sizeof(why)) != 0) return complain("check", NULL, why);
    if (try_model("check", &t, file, &got, &f) != 0) return 1;
    if (f.kind == PERILUNE_ENGINE_CHAT)
        printf("%s: ok, says \"%s\", %.1f tokens/s alone\n", file, got.piece, got.tokens_per_s);
    else printf("%s: ok, %s of %" PRIu32 " numbers, all finite\n", file,
                f.kind == PERILUNE_ENGINE_RANK ? "ranks" : "vectors", f.width);
    return 0;
}

/* -- quantize ------------------------------------------------------------------------------------------ */

struct quantizing {
    struct quantize_wish wish;
    struct trying        trying;
    const char          *words[3], *layers, *text_file;
    int32_t              prune[FACTS_LAYERS + 1];
    bool                 force;
    char                 part[PATH_BYTES + 8];
};

static int by_number(const void *a, const void *b) { return *(const int32_t *)a - *(const int32_t *)b; }

/* "3,4,10" into the list, in order, as the library wants it; false: it is none. */
static bool read_layers(struct quantizing *q) {
    unsigned n = 0;
    for (const char *p = q->layers; p != NULL && *p != '\0';) {
        char *end;
        long layer = strtol(p, &end, 10);
        if (end == p || layer < 0 || layer >= FACTS_LAYERS || n >= FACTS_LAYERS || (*end != ',' && *end != '\0'))
            return false;
        for (unsigned i = 0; i < n; i++)
            if (q->prune[i] == layer) return false;
        q->prune[n++] = (int32_t)layer;
        p = *end == ',' ? end + 1 : end;
    }
    qsort(q->prune, n, sizeof(*q->prune), by_number);
    q->prune[n] = -1;
    q->wish.prune = n > 0 ? q->prune : NULL;
    return q->layers == NULL || n > 0;
}

static int check_quantize(struct quantizing *q, const struct args *a) {
    if (a->word_count != 3) return args_fail(a, "give it IN.gguf, OUT.gguf and a TYPE");
    q->wish.from = q->words[0];
    q->wish.type = q->words[2];
    if (!quantize_knows(q->wish.type)) {
        char names[300] = "";
        size_t n = 0;
        for (unsigned i = 0; quantize_type(i) != NULL && n < sizeof(names); i++)
            n += (size_t)snprintf(names + n, sizeof(names) - n, " %s", quantize_type(i));
        return args_fail(a, "there is no type '%s'; there are%s", q->wish.type, names);
    }
    if (strlen(q->words[1]) >= PATH_BYTES) return args_fail(a, "the path of OUT is too long");
    if (!read_layers(q)) return args_fail(a, "--prune-layers is a list such as 20,21,22, not '%s'", q->layers);
    snprintf(q->part, sizeof(q->part), "%s.new", q->words[1]);
    q->wish.to = q->part;
    return -1;
}

static int read_quantize(struct quantizing *q, int argc, char **argv) {
    const struct arg table[] = {
        { "prune-layers", 0, ARG_STRING, &q->layers, "LIST", "leave these layers out: 20,21 (from 0 on)", 0, 0 },
        { "text", 0, ARG_STRING, &q->text_file, "FILE", "compare how well both predict this text", 0, 0 },
        { "tokens", 0, ARG_INT, &q->trying.tokens, "N", "of the text that are read (4096)", 64, 1 << 20 },
        { "requantize", 0, ARG_FLAG, &q->wish.requantize, NULL,
          "also from a file that is quantized: loses twice", 0, 0 },
        { "force", 'f', ARG_FLAG, &q->force, NULL, "replace OUT if it is there", 0, 0 },
        { "library", 'L', ARG_STRING, &q->trying.library, "FOLDER", "of libllama", 0, 0 },
        { "threads", 't', ARG_INT, &q->trying.threads, "N", "that compute (0: one for each core)", 0, 512 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune model quantize",
        .usage = "[options] IN.gguf OUT.gguf TYPE",
        .about = "Writes a model with smaller numbers, by libllama, and compares both: size, tokens/s and,\n"
                 "with --text, perplexity.  Q8_0 is hardly worse, Q4_K_M the usual choice, below Q3 answers\n"
                 "suffer; begin with a file of F16 or BF16.  Layers that are left out need training after.\n"
                 "Exit status 0: written, 1: not, 2: wrong usage.",
        .table = table,
        .words = q->words,
        .max_words = 3,
    };
    int rc = args_parse(&a, argc, argv);
    return rc != ARGS_OK ? args_status(rc) : check_quantize(q, &a);
}

/* A layer that the model does not have would be none that is left out. */
static int check_layers(const struct quantizing *q) {
    struct gguf g;
    struct facts f;
    int status = model_tool_open("quantize", q->wish.from, &g, &f);
    uint64_t count = 0;
    for (const int32_t *p = q->wish.prune; status == 0 && p != NULL && *p >= 0; p++, count++)
        if ((uint64_t)*p >= f.layers) status = complain("quantize", "--prune-layers", "the model has no such layer");
    if (status == 0 && count > 0 && count >= f.layers)
        status = complain("quantize", "--prune-layers", "leaves no layer");
    gguf_close(&g);
    return status;
}

static int write_quantized(struct quantizing *q) {
    char why[GGUF_WHY + 200] = "out of memory";
    const char *to = q->words[1];
    if (facts_vet(q->wish.from, why, sizeof(why)) != 0) return complain("quantize", NULL, why);
    if (!q->force && access(to, F_OK) == 0) return complain("quantize", to, "is there already (--force replaces it)");
    if (check_layers(q) != 0) return 1;
    q->wish.library = q->trying.library;
    q->wish.threads = (int)q->trying.threads;
    int status = 0;
    if (quantize_file(&q->wish, why, sizeof(why)) != 0) status = complain("quantize", q->wish.from, why);
    else if (facts_vet(q->part, why, sizeof(why)) != 0) status = complain("quantize", NULL, why);
    else if (rename(q->part, to) != 0) status = complain("quantize", to, strerror(errno));
    if (status != 0) unlink(q->part);
    return status;
}

static int say_row(const struct quantizing *q, const char *path) {
    struct measured got;
    struct perilune_engine_facts f;
    struct stat st;
    char size[32], speed[32] = "-", perplexity[32] = "-";
    struct trying t = q->trying;
    if (stat(path, &st) != 0) return complain("quantize", path, strerror(errno));
    if (try_model("quantize", &t, path, &got, &f) != 0) return 1;
    if (got.tokens_per_s > 0) snprintf(speed, sizeof(speed), "%.1f", got.tokens_per_s);
    if (got.tokens > 0) snprintf(perplexity, sizeof(perplexity), "%.3f", got.perplexity);
    printf("%10s %10s %12s  %s\n", model_tool_size((uint64_t)st.st_size, size), speed, perplexity, path);
    return 0;
}

int model_tool_quantize(int argc, char **argv) {
    struct quantizing q = { .trying = { .tokens = 4096 } };
    struct buf text;
    char why[FILES_WHY];
    int status = read_quantize(&q, argc, argv);
    if (status >= 0) return status;
    buf_init(&text, MAX_TEXT);
    const char *problem = q.text_file != NULL ? files_read(q.text_file, &text, why) : NULL;
    status = problem != NULL ? complain("quantize", q.text_file, problem) : write_quantized(&q);
    q.trying.text = buf_get(&text);
    if (status == 0) {
        printf("%10s %10s %12s\n", "size", "tokens/s", "perplexity");
        status = say_row(&q, q.wish.from);
        if (status == 0) status = say_row(&q, q.words[1]);
    }
    buf_deinit(&text);
    return status;
}

/* -- warm -------------------------------------------------------------------------------------------------- */

static int read_through(const char *path, uint64_t *bytes) {
    int fd = open(path, O_RDONLY | O_CLOEXEC), why = 0;
    char *chunk = fd >= 0 ? mem_alloc(CHUNK) : NULL;
    ssize_t n = chunk != NULL ? 1 : -1;
    if (fd < 0) why = errno;
    else posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (n > 0) {
        n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR) n = 1;
        else if (n < 0) why = errno;
        else *bytes += (uint64_t)n;
    }
    mem_free(chunk);
    if (fd >= 0) close(fd);
    return n == 0 ? 0 : why != 0 ? why : ENOMEM;
}

int model_tool_warm(int argc, char **argv) {
    const char *files[64];
    const struct arg table[] = { { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 } };
    struct args a = {
        .command = "perilune model warm",
        .usage = "FILE.gguf...",
        .about = "Reads files of models once, so that they are in the system's memory when an engine maps\n"
                 "them: the first answers after a start need not wait for the disk.  Needs no library.\n"
                 "Exit status 0: read, 1: one could not be, 2: wrong usage.",
        .table = table,
        .words = files,
        .max_words = 64,
    };
    int rc = args_parse(&a, argc, argv), status = 0;
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it a FILE.gguf");
    for (size_t i = 0; i < a.word_count; i++) {
        char why[GGUF_WHY + 200] = "out of memory", size[32];
        struct timespec t0, t1;
        uint64_t bytes = 0;
        if (facts_vet(files[i], why, sizeof(why)) != 0) {
            status = complain("warm", NULL, why);
            continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &t0);
        rc = read_through(files[i], &bytes);
        clock_gettime(CLOCK_MONOTONIC, &t1);
        double took = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
        if (rc != 0) status = complain("warm", files[i], strerror(rc));
        else printf("%s: %s in %.2f s\n", files[i], model_tool_size(bytes, size), took);
    }
    return status;
}

/* driver.c -- runs a fuzz target without libFuzzer.
 *
 *     fuzz_x CORPUS SECONDS [SEED]
 *
 * CORPUS is a folder, or one file (to see a crash again).  Every file is run as
 * it is; then, for SECONDS, files of the corpus are changed at random: bits
 * flipped, pieces inserted, doubled, removed, cut, spliced with another file, and
 * tokens of the format put in.  The same SEED gives the same inputs in the same
 * order.  Without coverage this finds less than libFuzzer, but it needs nothing
 * but a C compiler, and it runs the same under every sanitizer.
 *
 * The input is kept in memory; whatever ends the process on its account (abort,
 * a signal, a sanitizer, five seconds on one input) writes it to a file first
 * and prints the name. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX 8192
#define HANG_S    5

struct input {
    uint8_t *data;
    size_t   size;
};

static struct {
    struct input *seeds;
    size_t        count;
    struct input  now; /* what the target has */
    char          crash_file[256];
    uint64_t      rng;
    size_t        token_count;
} fuzz;

/* -- Crashes ---------------------------------------------------------------- */

/* Defined by the sanitizers' runtime when there is one. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* Only async-signal-safe calls: the heap may be what broke. */
static void save_input(void) {
    static const char text[] = "input saved to ";
    int fd = open(fuzz.crash_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0) return;
    ssize_t n = write(fd, fuzz.now.data, fuzz.now.size);
    close(fd);
    if (n < 0) return;
    n = write(2, text, sizeof(text) - 1);
    n = write(2, fuzz.crash_file, strlen(fuzz.crash_file));
    n = write(2, "\n", 1);
    (void)n;
}

static void on_signal(int sig) {
    static const char hang[] = "one input takes too long\n";

    if (sig == SIGALRM && write(2, hang, sizeof(hang) - 1) < 0) _exit(1);
    save_input();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void catch_crashes(const char *program, uint64_t seed) {
    const char *base = strrchr(program, '/');
    snprintf(fuzz.crash_file, sizeof(fuzz.crash_file), "crash-%s-%llu", base ? base + 1 : program,
             (unsigned long long)seed);
    signal(SIGABRT, on_signal);
    signal(SIGALRM, on_signal);
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(save_input);
        return; /* it has handlers of its own, with a better report */
    }
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    signal(SIGFPE, on_signal);
    signal(SIGILL, on_signal);
}

/* -- Corpus ----------------------------------------------------------------- */

static _Noreturn void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

static void *must(void *ptr) {
    if (ptr == NULL) die("memory");
    return ptr;
}

static void load_file(const char *path) {
    FILE *f = fopen(path, "rb");
    struct stat st;

    if (f == NULL || fstat(fileno(f), &st) != 0) die(path);
    struct input in = { must(malloc((size_t)st.st_size + 1)), 0 };
    in.size = fread(in.data, 1, (size_t)st.st_size, f);
    fclose(f);
    fuzz.seeds = must(realloc(fuzz.seeds, (fuzz.count + 1) * sizeof(in)));
    fuzz.seeds[fuzz.count++] = in;
}

/* In the order of names: the same inputs on every machine. */
static void load(const char *path) {
    struct dirent **names;
    struct stat st;

    if (stat(path, &st) != 0) die(path);
    if (!S_ISDIR(st.st_mode)) {
        load_file(path);
        return;
    }
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) die(path);
    for (int i = 0; i < n; i++) {
        char file[4096];
        if (names[i]->d_name[0] != '.') {
            snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
            load_file(file);
        }
        free(names[i]);
    }
    free(names);
}

static void unload(void) {
    for (size_t i = 0; i < fuzz.count; i++) free(fuzz.seeds[i].data);
    free(fuzz.seeds);
}

/* -- Mutation --------------------------------------------------------------- */

static size_t below(size_t n) { return fuzz_below(&fuzz.rng, n); }

static void insert(struct input *in, size_t at, const void *ptr, size_t len) {
    if (in->size + len > INPUT_MAX) return;
    memmove(in->data + at + len, in->data + at, in->size - at);
    memcpy(in->data + at, ptr, len);
    in->size += len;
}

static void insert_piece(struct input *in, size_t at, const struct input *from) {
    uint8_t piece[256];
    if (from->size == 0) return;
    size_t start = below(from->size);
    size_t len = 1 + below(from->size - start < sizeof(piece) ? from->size - start : sizeof(piece));
    memcpy(piece, from->data + start, len);
    insert(in, at, piece, len);
}

static void erase(struct input *in, size_t at) {
    size_t len = below(in->size - at < 64 ? in->size - at + 1 : 64);
    memmove(in->data + at, in->data + at + len, in->size - at - len);
    in->size -= len;
}

static void mutate(struct input *in) {
    size_t at = below(in->size + 1);
    size_t inside = in->size ? below(in->size) : 0;
    uint8_t byte = (uint8_t)below(256);

    switch (below(10)) {
    case 0: if (in->size) in->data[inside] ^= (uint8_t)(1u << below(8)); break;
    case 1: if (in->size) in->data[inside] = byte; break;
    case 2: insert(in, at, &byte, 1); break;
    case 3: erase(in, at); break;
    case 4: insert_piece(in, at, in); break;
    case 5: insert_piece(in, at, &fuzz.seeds[below(fuzz.count)]); break;
    case 6: if (below(4) == 0) in->size = at; break;
    case 7: if (in->size) in->data[inside] = in->data[below(in->size)]; break;
    default: {
        const char *token = fuzz_tokens[below(fuzz.token_count)];
        insert(in, at, token, strlen(token));
    }
    }
}

/* -- Running ---------------------------------------------------------------- */

/* The target gets memory of exactly that size, for ASan to see one byte more. */
static void execute(const struct input *in) {
    fuzz.now.data = must(malloc(in->size ? in->size : 1));
    fuzz.now.size = in->size;
    if (in->size > 0) memcpy(fuzz.now.data, in->data, in->size);
    alarm(HANG_S);
    LLVMFuzzerTestOneInput(fuzz.now.data, fuzz.now.size);
    free(fuzz.now.data);
    fuzz.now = (struct input){ NULL, 0 };
}

static unsigned long run_mutations(double seconds) {
    static uint8_t space[INPUT_MAX];
    struct timespec start, now;
    unsigned long runs = 0;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;; runs++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 >=
            seconds)
            return runs;
        const struct input *seed = &fuzz.seeds[below(fuzz.count)];
        struct input in = { space, seed->size < INPUT_MAX ? seed->size : INPUT_MAX };
        memcpy(space, seed->data, in.size);
        for (size_t n = 1 + below(6); n > 0; n--) mutate(&in);
        execute(&in);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s CORPUS SECONDS [SEED]\n", argv[0]);
        return 2;
    }
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    fuzz.rng = seed;
    while (fuzz_tokens[fuzz.token_count] != NULL) fuzz.token_count++;
    catch_crashes(argv[0], seed);
    load(argv[1]);
    if (fuzz.count == 0) {
        fprintf(stderr, "%s: no inputs\n", argv[1]);
        return 2;
    }

    for (size_t i = 0; i < fuzz.count; i++) execute(&fuzz.seeds[i]);
    unsigned long runs = run_mutations(strtod(argv[2], NULL));
    alarm(0);
    printf("%s: %zu inputs, %lu mutations, seed %llu\n", argv[0], fuzz.count, runs,
           (unsigned long long)seed);
    unload();
    return 0;
}

/* table.c -- perilune cache table: a static embedding model of one's own, for the semantic cache.
 *
 *     perilune cache table MODEL.safetensors TOKENIZER.json -o FILE.rows [--dims N]
 *
 *     MODEL.safetensors --import_model-----+
 *                                          +--import_table--> FILE.rows.new --static_table_open--> FILE.rows
 *     TOKENIZER.json ----import_tokenizer--+
 *
 * The table is written beside its place, opened once as a server would, and only then moved there: what exists is
 * whole.
 *
 * Thread: one, a program of its own. */
#include "cli/table.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/files.h"
#include "semantic/import_table.h"
#include "semantic/static_table.h"

#define MAX_MODEL     ((size_t)4 << 30)
#define MAX_TOKENIZER ((size_t)256 << 20)
#define MAX_PATH      1000

struct making {
    const char *model_path, *tokenizer_path, *output;
    unsigned    dims;
    struct buf  model_bytes, tokenizer_bytes, table;
    struct import_model     model;
    struct import_tokenizer tokenizer;
    struct import_report    report;
};

static int say(const char *path, const char *what) {
    fprintf(stderr, "perilune cache table: %s: %s\n", path, what);
    return 1;
}

/* Of what an import_ function returned. */
static int say_failure(const char *path, int rc, struct failure *f) {
    slice_mute(f->message); /* it may quote the file */
    return rc == 0 ? 0 : say(path, rc == PERILUNE_ERR_NOMEM ? "out of memory" : f->message);
}

/* -- Files ------------------------------------------------------------------------------------------- */

static int read_file(const char *path, struct buf *to) {
    char text[FILES_WHY];
    const char *why = files_read(path, to, text);
    return why == NULL ? 0 : say(path, why);
}

/* As a server will read it. */
static int try_file(const char *path, struct failure *f) {
    struct buf bytes;
    struct static_table *t = NULL;
    buf_init(&bytes, MAX_MODEL);
    int rc = read_file(path, &bytes);
    if (rc == 0) rc = say_failure(path, static_table_open(&t, buf_get(&bytes), f), f);
    static_table_close(t);
    buf_deinit(&bytes);
    return rc;
}

static int put_in_place(const struct making *m, struct failure *f) {
    char temp[MAX_PATH + 8];
    snprintf(temp, sizeof(temp), "%s.new", m->output);
    const char *why = files_write(temp, &m->table);
    if (why != NULL) return say(temp, why);
    int rc = try_file(temp, f);
    if (rc == 0 && rename(temp, m->output) != 0) rc = say(m->output, strerror(errno));
    if (rc != 0) unlink(temp);
    return rc;
}

/* -- Making it ------------------------------------------------------------------------------------------ */

static int make(struct making *m, struct failure *f) {
    int rc = read_file(m->model_path, &m->model_bytes);
    if (rc == 0) rc = read_file(m->tokenizer_path, &m->tokenizer_bytes);
    if (rc != 0) return rc;
    rc = import_model_open(&m->model, buf_get(&m->model_bytes), f);
    if (rc != 0) return say_failure(m->model_path, rc, f);
    rc = import_tokenizer_open(&m->tokenizer, buf_get(&m->tokenizer_bytes), f);
    if (rc != 0) return say_failure(m->tokenizer_path, rc, f);
    rc = import_table_write(&m->model, &m->tokenizer, m->dims, &m->table, &m->report, f);
    if (rc != 0) return say_failure(m->model_path, rc, f);
    rc = put_in_place(m, f);
    if (rc != 0) return rc;
    printf("%s: %u rows of %u numbers, %zu bytes.  Of %u tokens that lower-case texts have, %u have no row;\n"
           "%u pieces were unknown to the model.\n", m->output, m->report.rows, m->report.dims, buf_len(&m->table),
           m->report.tokens, m->report.tokens - m->report.rows, m->report.unknown);
    return 0;
}

static int run(struct making *m) {
    struct failure f;
    failure_init(&f);
    buf_init(&m->model_bytes, MAX_MODEL);
    buf_init(&m->tokenizer_bytes, MAX_TOKENIZER);
    buf_init(&m->table, 0);
    int rc = make(m, &f);
    import_model_close(&m->model);
    import_tokenizer_close(&m->tokenizer);
    buf_deinit(&m->model_bytes);
    buf_deinit(&m->tokenizer_bytes);
    buf_deinit(&m->table);
    failure_deinit(&f);
    return rc;
}

/* -- Arguments --------------------------------------------------------------------------------------------- */

int table_command(int argc, char **argv) {
    long dims = 0;
    const char *words[2] = { NULL, NULL };
    struct making m = { .output = NULL };
    const struct arg table[] = {
        { "output", 'o', ARG_STRING, &m.output, "FILE", "the table; FILE.rows is a good name", 0, 0 },
        { "dims", 'd', ARG_INT, &dims, "N", "numbers of a row, a multiple of 16: the N main directions", 16,
          STATIC_TABLE_MAX_DIMS },
        { .name = NULL },
    };
    struct args a = {
        .command = "perilune cache table",
        .usage = "MODEL.safetensors TOKENIZER.json -o FILE.rows [--dims N]",
        .about = "Makes a static embedding model (model2vec, wordllama and what is like them: a vector for\n"
                 "each piece of a tokenizer) into a table for the semantic cache, with a row for each token\n"
                 "of o200k: cache_semantic's embedder = \"./FILE.rows\".  The tokenizer is a tokenizer.json of\n"
                 "Hugging Face's: WordPiece, BPE or Unigram.  Half the numbers (--dims) are half the memory\n"
                 "and nearly as good.  Then fit thresholds: perilune cache calibrate --embedder FILE.rows\n"
                 "Exit status 0: written, 1: could not be read or written, 2: wrong usage.",
        .table = table,
        .words = words,
        .max_words = 2,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count < 2) return args_fail(&a, "give it a MODEL.safetensors and its TOKENIZER.json");
    if (m.output == NULL) return args_fail(&a, "say where to write: -o FILE.rows");
    if (strlen(m.output) > MAX_PATH) return args_fail(&a, "--output is too long");
    if (dims % 16 != 0) return args_fail(&a, "--dims must be a multiple of 16");
    m.model_path = words[0];
    m.tokenizer_path = words[1];
    m.dims = (unsigned)dims;
    return run(&m);
}

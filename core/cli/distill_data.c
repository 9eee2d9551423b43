/* distill_data.c -- perilune distill-data: what the policy `capture` kept, as sets for teaching a small model.
 *
 *     FILE... --> Lua: select --> examples, questions --> here: the judge is asked --> Lua: write --> FOLDER/...
 *                                  (files, a line each)     (replies, a line each)
 *
 * FOLDER gets train.jsonl, valid.jsonl, test.jsonl, report.json.  Without a judge Lua does both at once.
 *
 * What is read of a record, which are left out and which set one belongs to is lua/perilune/distill_data.lua's; files
 * and the report are lua/perilune/distill_data_command.lua's; here are the arguments, the folder, and who asks.
 *
 * Records are what clients asked and were told: everything that is written can be read by this user alone.
 *
 * Thread: one, a program of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "bridge/script.h"
#include "cli/alone.h"
#include "cli/args.h"
#include "cli/asking.h"
#include "cli/files.h"
#include "cli/lua_words.h"

#define MAX_FILES     64
#define MAX_LANGUAGES 16
#define MAX_REPLY     (1u << 20)
#define MAX_QUESTIONS (1u << 30)

struct making {
    const char     *files[MAX_FILES], *languages[MAX_LANGUAGES];
    struct arg_list language;
    size_t          file_count;
    const char     *output, *judge, *model, *key_env;
    double          near, valid, test, min_score;
    long            min_chars, max_chars;
    bool            same_language, keep_refusals, keep_truncated, keep_reasoning, drop_system, json;
    char            waiting[FILES_PATH], questions[FILES_PATH], replies[FILES_PATH]; /* files between Lua and us */
};

/* -- Arguments ------------------------------------------------------------------------------- */

static int check_arguments(struct making *m, const struct args *a) {
    m->file_count = a->word_count;
    if (a->word_count == 0) return args_fail(a, "give it a FILE that the policy capture wrote");
    if (m->output == NULL) return args_fail(a, "where to? --output FOLDER");
    if (m->valid + m->test >= 1) return args_fail(a, "--valid and --test leave nothing to train with");
    if (m->min_chars > m->max_chars) return args_fail(a, "--min-chars is more than --max-chars");
    if (m->judge != NULL && m->model == NULL) return args_fail(a, "--judge is a URL: say which --judge-model");
    if (m->judge == NULL && (m->model != NULL || m->key_env != NULL))
        return args_fail(a, "--judge-model and --key-env are for a --judge");
    if (strlen(m->output) > 1000) return args_fail(a, "--output is too long");
    return -1;
}

static int read_arguments(struct making *m, int argc, char **argv) {
    const struct arg table[] = {
        { "output", 'o', ARG_STRING, &m->output, "FOLDER",
          "where the sets are written; made when it is not there", 0, 0 },
        { "valid", 0, ARG_NUMBER, &m->valid, "SHARE", "of conversations for validation (0.05)", 0, 0.9 },
        { "test", 0, ARG_NUMBER, &m->test, "SHARE", "of conversations for the test (0.05)", 0, 0.9 },
        { "near", 0, ARG_NUMBER, &m->near, "LIKENESS",
          "of question and answer, from which two are the same (0.85); 1: only equal questions are", 0.3, 1 },
        { "min-chars", 0, ARG_INT, &m->min_chars, "N", "shorter answers are left out (1)", 0, 1e9 },
        { "max-chars", 0, ARG_INT, &m->max_chars, "N", "longer answers are left out (16000)", 1, 1e9 },
        { "language", 'l', ARG_LIST, &m->language, "CODE", "keep answers in it: en, zh, de ... (repeatable)", 0, 0 },
        { "same-language", 0, ARG_FLAG, &m->same_language, NULL,
          "leave out answers in another one than the question", 0, 0 },
        { "keep-refusals", 0, ARG_FLAG, &m->keep_refusals, NULL, "keep \"I'm sorry, but ...\"", 0, 0 },
        { "keep-truncated", 0, ARG_FLAG, &m->keep_truncated, NULL, "keep answers that hit their limit", 0, 0 },
        { "keep-reasoning", 0, ARG_FLAG, &m->keep_reasoning, NULL,
          "keep what the model thought before it answered", 0, 0 },
        { "drop-system", 0, ARG_FLAG, &m->drop_system, NULL,
          "without system prompts: the model learns them by heart", 0, 0 },
        { "judge", 0, ARG_STRING, &m->judge, "URL", "base URL of a model that says how good answers are", 0, 0 },
        { "judge-model", 0, ARG_STRING, &m->model, "NAME", "of the judge", 0, 0 },
        { "key-env", 0, ARG_STRING, &m->key_env, "VAR", "environment variable with the judge's key", 0, 0 },
        { "min-score", 0, ARG_NUMBER, &m->min_score, "N", "of 10, for an answer to stay (7)", 0, 10 },
        { "json", 0, ARG_FLAG, &m->json, NULL, "print the report as one JSON object", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune distill-data",
        .usage = "[options] -o FOLDER FILE...",
        .about = "Makes what the policy capture kept (FILEs of JSON lines) into sets for teaching a small\n"
                 "model: FOLDER/train.jsonl, valid.jsonl and test.jsonl, lines {\"messages\": [...]} as trainers\n"
                 "take them, and report.json.  Each question is there once and nothing that is nearly like\n"
                 "it; what is cut off, refuses or is no text is left out; all turns of a conversation are\n"
                 "in one set, the same one whenever this is run.  Look at the sets before you train.\n"
                 "Exit status 0: written, 1: nothing was left or could be read or asked, 2: wrong usage.",
        .table = table,
        .words = m->files,
        .max_words = MAX_FILES,
    };
    int rc = args_parse(&a, argc, argv);
    return rc != ARGS_OK ? args_status(rc) : check_arguments(m, &a);
}

/* -- For Lua ------------------------------------------------------------------------------------ */

static void describe(const struct making *m, const char *step, struct buf *out) {
    const struct arg_list files = { (const char **)(uintptr_t)m->files, m->file_count, MAX_FILES };
    buf_putc(out, '{');
    lua_words_string(out, "step", step);
    lua_words_list(out, "files", &files);
    if (m->language.len > 0) lua_words_list(out, "language", &m->language);
    lua_words_string(out, "output", m->output);
    lua_words_string(out, "model", m->model);
    lua_words_string(out, "waiting", m->waiting);
    lua_words_string(out, "questions", m->questions);
    lua_words_string(out, "replies", m->replies);
    const struct { const char *key; bool value; } flags[] = {
        { "same_language", m->same_language }, { "keep_refusals", m->keep_refusals },
        { "keep_truncated", m->keep_truncated }, { "keep_reasoning", m->keep_reasoning },
        { "drop_system", m->drop_system }, { "json", m->json },
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        buf_printf(out, "\"%s\":%s,", flags[i].key, flags[i].value ? "true" : "false");
    buf_printf(out, "\"min_chars\":%ld,\"max_chars\":%ld,\"near\":%.17g,\"valid\":%.17g,\"test\":%.17g", m->min_chars,
               m->max_chars, m->near, m->valid, m->test);
    buf_printf(out, ",\"min_score\":%.17g}", m->min_score);
}

/* Lua's status; 1 with a sentence on stderr when it did not run. */
static int run_lua(const struct making *m, const char *step) {
    struct buf argument;
    char err[2048] = "out of memory";
    struct alone a;
    int status = 1, rc = alone_open(&a, PERILUNE_LOG_WARN, err, sizeof(err));
    struct bundle *b = bundle_new("", false);
    buf_init(&argument, 0);
    describe(m, step, &argument);
    if (rc == 0 && (b == NULL || buf_failed(&argument))) rc = PERILUNE_ERR_NOMEM;
    if (rc == 0)
        rc = script_run_command(a.state, b, "perilune.distill_data_command", buf_get(&argument), &status, err,
                                sizeof(err));
    if (rc != 0) fprintf(stderr, "perilune distill-data: %s\n", err);
    alone_close(&a);
    bundle_free(b);
    buf_deinit(&argument);
    return rc == 0 ? status : 1;
}

/* -- The judge -------------------------------------------------------------------------------------- */

/* A reply is JSON, in which a line may end between its parts: on one line it means the same. */
static void put_reply(struct buf *to, struct slice reply) {
    for (size_t i = 0; i < reply.len; i++)
        buf_putc(to, reply.ptr[i] == '\n' || reply.ptr[i] == '\r' ? ' ' : reply.ptr[i]);
    buf_putc(to, '\n');
}

static int refused(const struct making *m, int status, struct slice reply) {
    char text[300];
    slice_copy(text, sizeof(text), reply);
    slice_mute(text);
    if (status == 0) fprintf(stderr, "perilune distill-data: %s: no answer\n", m->judge);
    else fprintf(stderr, "perilune distill-data: %s: status %d: %s\n", m->judge, status, text);
    return 1;
}

static void say_progress(size_t done) {
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[Kjudged: %zu", done);
}

/* A judge that does not answer ends it: sets of which half was judged are worth nothing. */
static int ask_all(const struct making *m, struct asking *to, struct slice questions, struct buf *replies) {
    struct buf reply;
    int rc = 0;
    buf_init(&reply, MAX_REPLY);
    for (size_t done = 0; rc == 0 && questions.len > 0; done++) {
        const char *end = memchr(questions.ptr, '\n', questions.len);
        size_t len = end != NULL ? (size_t)(end - questions.ptr) : questions.len;
        int status = asking_post(to, "chat/completions", slice_of(questions.ptr, len), &reply);
        if (status != 200) rc = refused(m, status, buf_get(&reply));
        else put_reply(replies, buf_get(&reply));
        questions = end != NULL ? slice_of(end + 1, questions.len - len - 1) : SLICE("");
        say_progress(done + 1);
    }
    if (isatty(STDERR_FILENO)) fputc('\n', stderr);
    buf_deinit(&reply);
    return rc;
}

static int ask_judge(const struct making *m) {
    struct asking to = { .gateway = NULL };
    struct buf questions, replies;
    char err[1024] = "", why[FILES_WHY];
    buf_init(&questions, MAX_QUESTIONS);
    buf_init(&replies, MAX_QUESTIONS);
    const char *problem = files_read(m->questions, &questions, why);
    if (problem == NULL && asking_open(&to, m->judge, m->key_env, err, sizeof(err)) != 0) problem = err;
    int rc = problem == NULL ? ask_all(m, &to, buf_get(&questions), &replies) : 1;
    asking_close(&to);
    if (rc == 0 && buf_failed(&replies)) problem = "out of memory";
    if (rc == 0 && problem == NULL) problem = files_write(m->replies, &replies);
    if (problem != NULL) fprintf(stderr, "perilune distill-data: %s\n", problem);
    buf_deinit(&questions);
    buf_deinit(&replies);
    return rc != 0 || problem != NULL ? 1 : 0;
}

/* -- Running ------------------------------------------------------------------------------------------ */

static int make_folder(const char *path) {
    struct stat st;
    if (mkdir(path, 0700) == 0) return 0;
    int why = errno;
    if (why == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return 0;
    fprintf(stderr, "perilune distill-data: %s: %s\n", path, why == EEXIST ? "is not a folder" : strerror(why));
    return 1;
}

static int make_temp(char path[FILES_PATH]) {
    int fd = files_temp("perilune-distill-data", "", path);
    if (fd < 0) {
        fprintf(stderr, "perilune distill-data: %s: %s\n", path, strerror(errno));
        path[0] = '\0';
        return 1;
    }
    close(fd);
    return 0;
}

static int run_judged(struct making *m) {
    struct stat st;
    int status = make_temp(m->waiting) || make_temp(m->questions) || make_temp(m->replies);
    if (status == 0) status = run_lua(m, "select");
    if (status == 0 && stat(m->questions, &st) == 0 && st.st_size > 0) status = ask_judge(m);
    if (status == 0) status = run_lua(m, "write");
    char *const paths[] = { m->waiting, m->questions, m->replies };
    for (size_t i = 0; i < 3; i++)
        if (paths[i][0] != '\0') unlink(paths[i]);
    return status;
}

PERILUNE_API int perilune_tool_distill_data(int argc, char **argv) {
    struct making m = { .near = 0.85, .valid = 0.05, .test = 0.05, .min_chars = 1, .max_chars = 16000, .min_score = 7 };
    m.language = (struct arg_list){ m.languages, 0, MAX_LANGUAGES };
    int status = read_arguments(&m, argc, argv);
    if (status >= 0) return status;
    mode_t old = umask(077);
    status = make_folder(m.output);
    if (status == 0) status = m.judge != NULL ? run_judged(&m) : run_lua(&m, "all");
    umask(old);
    return status;
}

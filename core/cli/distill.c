/* distill.c -- perilune distill: a static prompt, rewritten shorter by a model, once, and looked at by a person.
 *
 *     PROMPT.txt --> Lua: a question --> the upstream --> Lua: is everything still there? --> FILE
 *                        ^                                   | no: what is missing
 *                        +-----------------------------------+ (TRIES times)
 *
 * What is asked, how the answer is checked and what the file looks like is lua/perilune/distill_command.lua's, which is
 * run anew with all answers so far; here are the arguments, and who asks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "bridge/script.h"
#include "cli/alone.h"
#include "cli/args.h"
#include "cli/lua_words.h"
#include "cli/asking.h"
#include "cli/files.h"

#define TRIES        4 /* runs of Lua: the model has one answer less */
#define ASK          100 /* Lua's status: the question is in the file */
#define MAX_REPLY    (4u << 20)
#define MAX_QUESTION (64u << 20)

struct distilling {
    const char *file, *with, *model, *key_env, *out, *accept, *color;
    bool        yes, json;
    char        question[FILES_PATH]; /* a file, between Lua and us */
    struct buf  answers;      /* JSON strings */
};

static int read_arguments(struct distilling *d, int argc, char **argv) {
    const struct arg table[] = {
        { "with", 'w', ARG_STRING, &d->with, "URL", "the base URL of an upstream (https://.../v1)", 0, 0 },
        { "model", 'm', ARG_STRING, &d->model, "NAME", "of the upstream's model; its tokens are counted", 0, 0 },
        { "key-env", 0, ARG_STRING, &d->key_env, "NAME", "environment variable with the upstream's key", 0, 0 },
        { "output", 'o', ARG_STRING, &d->out, "FILE", "where the version is written (default: PROMPT.prompt)", 0, 0 },
        { "yes", 'y', ARG_FLAG, &d->yes, NULL, "accept it at once, without a look at it", 0, 0 },
        { "accept", 'a', ARG_STRING, &d->accept, "FILE", "accept this version of PROMPT; no upstream is asked", 0, 0 },
        { "color", 0, ARG_STRING, &d->color, "WHEN", "auto, always, never", 0, 0 },
        { "json", 0, ARG_FLAG, &d->json, NULL, "print one JSON object", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune distill",
        .usage = "[options] PROMPT",
        .about = "Has a model rewrite the text in PROMPT, a static system prompt, shorter; checks that\n"
                 "numbers, names, negations, formats and placeholders are all still there; shows the\n"
                 "difference and the tokens; and writes the version to a file.  The policy 'rewritten'\n"
                 "uses it once it is accepted: look at it, then run perilune distill PROMPT --accept FILE.\n"
                 "Exit status 0: written, 1: no version that holds everything, 2: wrong usage.",
        .table = table,
        .words = &d->file,
        .max_words = 1,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it the file of a PROMPT");
    if (d->with == NULL && d->accept == NULL) return args_fail(&a, "who rewrites it? --with URL; or --accept FILE");
    if (d->with != NULL && d->accept != NULL) return args_fail(&a, "--with and --accept exclude each other");
    if (strcmp(d->color, "auto") != 0 && strcmp(d->color, "always") != 0 && strcmp(d->color, "never") != 0)
        return args_fail(&a, "--color is auto, always or never, not '%s'", d->color);
    return -1;
}

/* -- For Lua ------------------------------------------------------------------------------------ */

static void describe(const struct distilling *d, unsigned tries_left, struct buf *out) {
    bool color = lua_words_color(d->color);
    buf_putc(out, '{');
    lua_words_string(out, "file", d->file);
    lua_words_string(out, "model", d->model);
    lua_words_string(out, "output", d->out);
    lua_words_string(out, "accept", d->accept);
    lua_words_string(out, "question", d->question);
    buf_puts(out, "\"answers\":[");
    buf_slice(out, buf_get(&d->answers));
    buf_printf(out, "],\"tries_left\":%u,\"yes\":%s,\"json\":%s,\"color\":%s}", tries_left, d->yes ? "true" : "false",
               d->json ? "true" : "false", color ? "true" : "false");
}

/* Lua's status; 1 with a sentence on stderr when it did not run. */
static int run_lua(const struct distilling *d, unsigned tries_left) {
    struct buf argument;
    char err[2048] = "out of memory";
    struct alone a;
    int status = 1, rc = alone_open(&a, PERILUNE_LOG_WARN, err, sizeof(err));
    struct bundle *b = bundle_new("", false);
    buf_init(&argument, 0);
    describe(d, tries_left, &argument);
    if (rc == 0 && (b == NULL || buf_failed(&argument))) rc = PERILUNE_ERR_NOMEM;
    if (rc == 0)
        rc = script_run_command(a.state, b, "perilune.distill_command", buf_get(&argument), &status, err, sizeof(err));
    if (rc != 0) fprintf(stderr, "perilune distill: %s\n", err);
    alone_close(&a);
    bundle_free(b);
    buf_deinit(&argument);
    return rc == 0 ? status : 1;
}

/* -- Asking ---------------------------------------------------------------------------------------- */

/* What the model said goes to the answers, whole: Lua reads it. */
static int ask(struct distilling *d, struct asking *to) {
    struct buf question, reply;
    char why[FILES_WHY];
    buf_init(&question, MAX_QUESTION);
    buf_init(&reply, MAX_REPLY);
    bool read = files_read(d->question, &question, why) == NULL;
    int status = read ? asking_post(to, "chat/completions", buf_get(&question), &reply) : 0;
    if (status == 200) {
        if (buf_len(&d->answers) > 0) buf_putc(&d->answers, ',');
        json_write_string(&d->answers, buf_get(&reply));
    } else {
        char text[300];
        slice_copy(text, sizeof(text), buf_get(&reply));
        slice_mute(text);
        if (status == 0) fprintf(stderr, "perilune distill: %s: no answer\n", d->with);
        else fprintf(stderr, "perilune distill: %s: status %d: %s\n", d->with, status, text);
    }
    buf_deinit(&question);
    buf_deinit(&reply);
    return status == 200 ? 0 : 1;
}

static int run(struct distilling *d) {
    struct asking to = { .gateway = NULL };
    char err[1024];
    if (d->with != NULL && asking_open(&to, d->with, d->key_env, err, sizeof(err)) != 0) {
        fprintf(stderr, "perilune distill: %s\n", err);
        return 1;
    }
    int status = ASK;
    for (unsigned left = TRIES; status == ASK; left--) {
        status = run_lua(d, left);
        if (status == ASK && ask(d, &to) != 0) status = 1;
    }
    asking_close(&to);
    return status;
}

PERILUNE_API int perilune_tool_distill(int argc, char **argv) {
    struct distilling d = { .color = "auto" };
    int status = read_arguments(&d, argc, argv);
    if (status >= 0) return status;
    int fd = files_temp("perilune-distill", "", d.question);
    if (fd < 0) {
        fprintf(stderr, "perilune distill: %s: %s\n", d.question, strerror(errno));
        return 1;
    }
    close(fd);
    buf_init(&d.answers, 0);
    status = run(&d);
    unlink(d.question);
    buf_deinit(&d.answers);
    return status;
}

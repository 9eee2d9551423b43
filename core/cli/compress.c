/* compress.c -- perilune compress: what the rewriting policies make of a text or a request.
 *
 * The work is done in Lua (lua/perilune/compress_command.lua), which runs the real
 * policies; here are its arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "bridge/script.h"
#include "cli/alone.h"
#include "cli/args.h"
#include "cli/lua_words.h"

#define MOST 16 /* policies, and options */

struct compressing {
    double          ratio;
    long            window;
    bool            json;
    const char     *question, *model, *color;
    const char     *policy[MOST], *option[MOST];
    struct arg_list policies, options;
    const char     *file;
};

static int read_arguments(struct compressing *c, int argc, char **argv) {
    c->policies = (struct arg_list){ .items = c->policy, .cap = MOST };
    c->options = (struct arg_list){ .items = c->option, .cap = MOST };
    const struct arg table[] = {
        { "policy", 'p', ARG_LIST, &c->policies, "NAME", "a policy; repeatable (default: trim, compress_context)",
          0, 0 },
        { "ratio", 'r', ARG_NUMBER, &c->ratio, "R", "what compress_context leaves, 0.05 to 1", 0.05, 1 },
        { "question", 'q', ARG_STRING, &c->question, "TEXT", "what the text is wanted for", 0, 0 },
        { "window", 'w', ARG_INT, &c->window, "TOKENS", "of the model, for compress_history and window", 200, 1e9 },
        { "option", 'o', ARG_LIST, &c->options, "KEY=VALUE", "an option of the policy; repeatable", 0, 0 },
        { "model", 'm', ARG_STRING, &c->model, "NAME", "whose tokens are counted", 0, 0 },
        { "color", 0, ARG_STRING, &c->color, "WHEN", "auto, always, never", 0, 0 },
        { "json", 0, ARG_FLAG, &c->json, NULL, "print one JSON object", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune compress",
        .usage = "[options] FILE",
        .about = "Runs policies that shorten prompts on FILE (-: standard input), a text or the JSON of a\n"
                 "chat request, and shows what went and why, and what is left.  A text is taken for a\n"
                 "user's message; with --question for material, of which compress_context leaves what\n"
                 "the question needs.\n"
                 "Exit status 0: shown, 1: could not be read or a policy failed, 2: wrong usage.",
        .table = table,
        .words = &c->file,
        .max_words = 1,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it a FILE, or - for the standard input");
    if (strcmp(c->color, "auto") != 0 && strcmp(c->color, "always") != 0 && strcmp(c->color, "never") != 0)
        return args_fail(&a, "--color is auto, always or never, not '%s'", c->color);
    return -1;
}

/* -- For Lua ---------------------------------------------------------------------------- */

static void describe(const struct compressing *c, struct buf *out) {
    bool color = lua_words_color(c->color);
    buf_putc(out, '{');
    lua_words_string(out, "file", c->file);
    lua_words_string(out, "question", c->question);
    lua_words_string(out, "model", c->model);
    lua_words_list(out, "policies", &c->policies);
    lua_words_list(out, "options", &c->options);
    if (c->ratio > 0) buf_printf(out, "\"ratio\":%g,", c->ratio);
    if (c->window > 0) buf_printf(out, "\"window\":%ld,", c->window);
    buf_printf(out, "\"json\":%s,\"color\":%s}", c->json ? "true" : "false", color ? "true" : "false");
}

/* -- Running ----------------------------------------------------------------------------- */

static int run(const struct compressing *c) {
    struct buf argument;
    buf_init(&argument, 0);
    describe(c, &argument);
    char err[2048] = "out of memory";
    struct alone a;
    int status = 1, rc = alone_open(&a, PERILUNE_LOG_WARN, err, sizeof(err));
    struct bundle *b = bundle_new("", false);
    if (rc == 0 && (b == NULL || buf_failed(&argument))) rc = PERILUNE_ERR_NOMEM;
    if (rc == 0)
        rc = script_run_command(a.state, b, "perilune.compress_command", buf_get(&argument), &status, err, sizeof(err));
    if (rc != 0) fprintf(stderr, "perilune compress: %s\n", err);
    alone_close(&a);
    bundle_free(b);
    buf_deinit(&argument);
    return rc == 0 ? status : 1;
}

PERILUNE_API int perilune_tool_compress(int argc, char **argv) {
    struct compressing c = { .color = "auto" };
    int status = read_arguments(&c, argc, argv);
    return status < 0 ? run(&c) : status;
}

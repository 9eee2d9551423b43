/* replay.c -- perilune replay: what policies would have made of the traffic of an access log.
 *
 * The work is done in Lua (lua/perilune/replay_command.lua), in virtual time; here are its arguments. */
#include <stdio.h>

#include "bridge/script.h"
#include "cli/alone.h"
#include "cli/args.h"
#include "cli/lua_words.h"

#define MOST_SLOTS 64

struct replay {
    const char     *policy, *log;
    long            seed;
    bool            json;
    const char     *slot[MOST_SLOTS];
    struct arg_list slots;
};

static int read_arguments(struct replay *r, int argc, char **argv) {
    r->slots = (struct arg_list){ .items = r->slot, .cap = MOST_SLOTS };
    const struct arg table[] = {
        { "policy", 'p', ARG_STRING, &r->policy, "FILE.lua", "the configuration that is tried",
          0, 0 },
        { "slots", 's', ARG_LIST, &r->slots, "NAME=N", "how many this upstream works on at once; repeatable", 0, 0 },
        { "seed", 0, ARG_INT, &r->seed, "N", "of what is drawn (default 1)", 0, 2147483647 },
        { "json", 'j', ARG_FLAG, &r->json, NULL, "print one JSON object", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune replay",
        .usage = "LOG --policy FILE.lua [options]",
        .about = "Sends the requests of an access log (-: standard input) through the policies of a configuration,\n"
                 "in virtual time, and shows what came then and what would come: answers, failures, latencies, money.\n"
                 "Upstreams are as quick, and fail as often, as the log says minute by minute.  A log has no texts,\n"
                 "so caches find nothing.  The same seed gives the same table.\n"
                 "Exit status 0: shown, 1: a file could not be read or is wrong, 2: wrong usage.",
        .table = table,
        .words = &r->log,
        .max_words = 1,
    };
    int rc = args_parse(&a, argc, argv);
    if (rc != ARGS_OK) return args_status(rc);
    if (a.word_count == 0) return args_fail(&a, "give it a LOG, or - for the standard input");
    if (r->policy == NULL) return args_fail(&a, "say whose policies are tried: --policy FILE.lua");
    return -1;
}

static void describe(const struct replay *r, struct buf *out) {
    buf_putc(out, '{');
    lua_words_string(out, "log", r->log);
    lua_words_string(out, "policy", r->policy);
    lua_words_list(out, "slots", &r->slots);
    buf_printf(out, "\"seed\":%ld,\"json\":%s}", r->seed, r->json ? "true" : "false");
}

static int run(const struct replay *r) {
    struct buf argument;
    buf_init(&argument, 0);
    describe(r, &argument);
    char err[2048] = "out of memory";
    struct alone a;
    int status = 1, rc = alone_open(&a, -1, err, sizeof(err));
    struct bundle *b = bundle_new(r->policy, false);
    if (rc == 0 && (b == NULL || buf_failed(&argument))) rc = PERILUNE_ERR_NOMEM;
    if (rc == 0) {
        alone_keep_log(&a);
        rc = script_run_command(a.state, b, "perilune.replay_command", buf_get(&argument), &status, err, sizeof(err));
    }
    if (rc != 0) fprintf(stderr, "perilune replay: %s\n", err);
    alone_close(&a);
    bundle_free(b);
    buf_deinit(&argument);
    return rc == 0 ? status : 1;
}

PERILUNE_API int perilune_tool_replay(int argc, char **argv) {
    struct replay r = { .seed = 1 };
    int status = read_arguments(&r, argc, argv);
    return status < 0 ? run(&r) : status;
}

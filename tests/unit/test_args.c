/* test_args.c -- the option parser: what it takes, what it says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "unit.h"

struct got {
    bool            verbose, fast;
    long            count;
    double          rate;
    const char     *name;
    const char     *items[3];
    struct arg_list list;
    const char     *words[2];
    size_t          word_count;
    char            out[2048], err[1024];
};

/* Parses the words of line (cut at spaces). */
static int parse(struct got *g, const char *line) {
    static char text[256];
    char       *argv[32] = { "tool" };
    int         argc = 1;
    *g = (struct got){ .count = -7 };
    g->list = (struct arg_list){ g->items, 0, 3 };
    snprintf(text, sizeof(text), "%s", line);
    for (char *p = strtok(text, " "); p != NULL; p = strtok(NULL, " ")) argv[argc++] = p;

    const struct arg table[] = {
        { "verbose", 'v', ARG_FLAG, &g->verbose, NULL, "say more", 0, 0 },
        { "fast", 'f', ARG_FLAG, &g->fast, NULL, "hurry", 0, 0 },
        { "count", 'c', ARG_INT, &g->count, "N", "how many", 1, 100 },
        { "rate", 0, ARG_NUMBER, &g->rate, "R", "how fast", 0, 0 },
        { "name", 'n', ARG_STRING, &g->name, "NAME", "who", 0, 0 },
        { "item", 'i', ARG_LIST, &g->list, "X", "what", 0, 0 },
        { NULL, 0, ARG_FLAG, NULL, NULL, NULL, 0, 0 },
    };
    struct args a = {
        .command = "perilune tool", .usage = "FILE [options]", .about = "About.",
        .table = table, .words = g->words, .max_words = 2,
        .out = fmemopen(g->out, sizeof(g->out), "w"), .err = fmemopen(g->err, sizeof(g->err), "w"),
    };
    CHECK(a.out != NULL && a.err != NULL);
    int rc = args_parse(&a, argc, argv);
    g->word_count = a.word_count;
    fclose(a.out);
    fclose(a.err);
    return rc;
}

/* Parsing must fail with this beginning of a message. */
static void check_says(const char *line, const char *says) {
    struct got g;
    NOTE("line '%s'", line);
    CHECK_INT(parse(&g, line), ARGS_USAGE);
    CHECK(strncmp(g.err, "perilune tool: ", 15) == 0);
    NOTE("line '%s' said '%s'", line, g.err);
    CHECK(strncmp(g.err + 15, says, strlen(says)) == 0);
    CHECK(strstr(g.err, "--help") != NULL);
    CHECK_STR(g.out, "");
}

TEST(nothing_changes_nothing) {
    struct got g;
    CHECK_INT(parse(&g, ""), ARGS_OK);
    CHECK_INT(g.count, -7);
    CHECK(!g.verbose && g.name == NULL);
    CHECK_UINT(g.word_count, 0);
}

TEST(long_options) {
    struct got g;
    CHECK_INT(parse(&g, "--count 5 --rate=2.5e1 --name --odd --verbose"), ARGS_OK);
    CHECK_INT(g.count, 5);
    CHECK_DOUBLE(g.rate, 25);
    CHECK_STR(g.name, "--odd"); /* a value may look like an option */
    CHECK(g.verbose && !g.fast);
    CHECK_INT(parse(&g, "--name= --item=a=b"), ARGS_OK);
    CHECK_STR(g.name, "");
    CHECK_STR(g.items[0], "a=b");
}

TEST(short_options) {
    struct got g;
    CHECK_INT(parse(&g, "-c 5 -vf -n x"), ARGS_OK);
    CHECK(g.verbose && g.fast && g.count == 5);
    CHECK_STR(g.name, "x");
    CHECK_INT(parse(&g, "-vc7 -nabc"), ARGS_OK);
    CHECK(g.verbose && g.count == 7);
    CHECK_STR(g.name, "abc");
}

TEST(words_and_the_end_of_options) {
    struct got g;
    CHECK_INT(parse(&g, "a -v b"), ARGS_OK);
    CHECK_UINT(g.word_count, 2);
    CHECK_STR(g.words[1], "b");
    CHECK_INT(parse(&g, "-- -v"), ARGS_OK);
    CHECK(!g.verbose);
    CHECK_STR(g.words[0], "-v");
    CHECK_INT(parse(&g, "-"), ARGS_OK);
    CHECK_STR(g.words[0], "-");
    check_says("a b c", "unexpected argument 'c'");
}

TEST(lists) {
    struct got g;
    CHECK_INT(parse(&g, "-i a --item b -ic"), ARGS_OK);
    CHECK_UINT(g.list.len, 3);
    CHECK_STR(g.items[2], "c");
    check_says("-i a -i b -i c -i d", "--item may be given at most 3 times");
}

TEST(what_it_says) {
    check_says("--cuont 5", "unknown option --cuont; did you mean --count?");
    check_says("--rat=1", "unknown option --rat; did you mean --rate?");
    check_says("--verb", "unknown option --verb; did you mean --verbose?");
    check_says("--colour", "unknown option --colour\n");
    check_says("--hepl", "unknown option --hepl; did you mean --help?");
    check_says("-q", "unknown option -q");
    check_says("-vq", "unknown option -q");
    check_says("--count", "--count needs a value (N)");
    check_says("-c", "-c needs a value (N)");
    check_says("--verbose=1", "--verbose takes no value");
    check_says("--count x", "--count wants a whole number, not 'x'");
    check_says("--count 5x", "--count wants a whole number, not '5x'");
    check_says("--count=", "--count wants a whole number, not ''");
    check_says("--count 0", "--count 0 is out of range (1 to 100)");
    check_says("--count 99999999999999999999", "--count 99999999999999999999 is out of range");
    check_says("--rate nan", "--rate wants a number, not 'nan'");
    check_says("--rate inf", "--rate wants a number, not 'inf'");
}

TEST(help) {
    struct got g;
    CHECK_INT(parse(&g, "--count 5 --help"), ARGS_HELP);
    CHECK(strstr(g.out, "usage: perilune tool FILE [options]") != NULL);
    CHECK(strstr(g.out, "-c, --count N") != NULL);
    CHECK(strstr(g.out, "how many") != NULL);
    CHECK_STR(g.err, "");
    CHECK_INT(parse(&g, "-h"), ARGS_HELP);
    CHECK_INT(args_status(ARGS_HELP), 0);
    CHECK_INT(args_status(ARGS_USAGE), 2);
}

TEST(nearest) {
    static const char *const names[] = { "ttft_ms", "itl_ms", "tokens", "tool_call", "status" };
    static const char *const cases[][2] = {
        { "tokns", "tokens" },   { "statsu", "status" },   { "tfft_ms", "ttft_ms" },
        { "itl", "itl_ms" },     { "tool", "tool_call" },  { "zzz", NULL },
        { "", NULL },            { "tokens", "tokens" },   { "t", NULL },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *got = args_nearest(cases[i][0], strlen(cases[i][0]), names, 5);
        NOTE("'%s'", cases[i][0]);
        CHECK_STR(got ? got : "(none)", cases[i][1] ? cases[i][1] : "(none)");
    }
}

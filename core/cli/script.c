/* script.c -- perilune script: a program in Lua, for jobs and tests.
 *
 * Options end with the name of the file: what is behind it is the script's. */
#include "rock/script.h"

#include <stdio.h>
#include <string.h>

#include "include/perilune.h"

static const char help[] =
    "usage: perilune script [--config FILE.lua] SCRIPT.lua [ARGUMENT...]\n\n"
    "Runs a program in Lua (-: from standard input).  It has all of LuaJIT, and require \"perilune\"\n"
    "gives what the rock gives: tokens, texts, caches ..., and perilune.run(config, function() ... end),\n"
    "in which it asks models, fetches, streams.  With --config all of the script runs in there.\n"
    "Arguments are in `arg` and `...`, modules beside the script are found.\n"
    "Exit status: what the script returns (nothing or true: 0, false: 1, or a number) or gives to\n"
    "os.exit(), 1: it threw an error or cannot be read, 2: wrong usage.\n";

static int misuse(const char *what, const char *word) {
    fprintf(stderr, "perilune script: %s '%s'\n\n%s", what, word, help);
    return 2;
}

PERILUNE_API int perilune_tool_script(int argc, char **argv) {
    const char *config = NULL;
    int at = 1;
    for (; at < argc && argv[at][0] == '-' && argv[at][1] != '\0'; at++) {
        const char *word = argv[at];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strncmp(word, "--config=", 9) == 0) config = word + 9;
        else if (strcmp(word, "--config") != 0) return misuse("unexpected", word);
        else if (at + 1 < argc) config = argv[++at];
        else return misuse("the name of a file is missing behind", word);
    }
    if (at == argc) {
        fputs(help, stderr);
        return 2;
    }
    return rock_script(argv[at], config, argc - at - 1, argv + at + 1);
}

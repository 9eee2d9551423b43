/* model_tool.c -- perilune model: files of models, looked at and taken care of.
 *
 *     model show FILE               what a GGUF file says of its model     model_show.c
 *     model check | quantize | warm what is computed or read of it         model_engine.c
 *
 * Thread: one, a program of its own. */
#include "cli/model_tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "include/perilune.h"

static const struct {
    const char *name;
    int       (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "show", model_tool_show, "what a GGUF file says of its model, and the memory that it takes" },
    { "check", model_tool_check, "does it load, and compute numbers?" },
    { "quantize", model_tool_quantize, "write it with smaller numbers, and compare size, speed, perplexity" },
    { "warm", model_tool_warm, "read it once, so that a start need not wait for the disk" },
};

#define COMMANDS (sizeof(commands) / sizeof(*commands))

const char *model_tool_size(uint64_t bytes, char to[32]) {
    static const char *const units[] = { "kB", "MB", "GB", "TB" };
    double v = (double)bytes;
    unsigned unit = 0;
    if (bytes < 1000) {
        snprintf(to, 32, "%" PRIu64 " bytes", bytes);
        return to;
    }
    for (v /= 1000; v >= 999.95 && unit < 3; unit++) v /= 1000;
    snprintf(to, 32, "%.1f %s", v, units[unit]);
    return to;
}

const char *model_tool_count(uint64_t numbers, char to[32]) {
    double v = (double)numbers;
    if (numbers < 1000000) snprintf(to, 32, "%" PRIu64, numbers);
    else if (v < 999.95e6) snprintf(to, 32, "%.1f M", v / 1e6);
    else snprintf(to, 32, "%.1f B", v / 1e9);
    return to;
}

int model_tool_open(const char *command, const char *path, struct gguf *g, struct facts *f) {
    char why[GGUF_WHY];
    int rc = gguf_open(g, path, why, sizeof(why));
    if (rc == 0) facts_read(g, f);
    else fprintf(stderr, "perilune model %s: %s: %s\n", command, path, why);
    return rc == 0 ? 0 : 1;
}

static void help(FILE *to) {
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "%s perilune model %s ...\n", i == 0 ? "usage:" : "      ", commands[i].name);
    fputc('\n', to);
    for (size_t i = 0; i < COMMANDS; i++) fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\nperilune model COMMAND --help says more.\n", to);
}

PERILUNE_API int perilune_tool_model(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (argc > 1 && !asked) fprintf(stderr, "perilune model: no command '%s'\n", argv[1]);
    help(asked ? stdout : stderr);
    return asked ? 0 : 2;
}

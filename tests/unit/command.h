/* command.h -- a command of the program, run in a test: its status, and what it said. */
#ifndef PERILUNE_TESTS_COMMAND_H
#define PERILUNE_TESTS_COMMAND_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "unit.h"

struct command {
    int  status;
    char out[16384], err[8192];
};

/* What stands in the file, which is gone then. */
static inline void command_read(const char *path, char *to, size_t size) {
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(to, 1, size - 1, f) : 0;
    to[n] = '\0';
    if (f != NULL) fclose(f);
    unlink(path);
}

/* words[0] is the command's name; NULL ends them. */
static inline void command_run(struct command *r, int (*tool)(int, char **), const char *const *words) {
    char *argv[32], out[] = "/tmp/perilune-out-XXXXXX", err[] = "/tmp/perilune-err-XXXXXX";
    int argc = 0;
    for (; words[argc] != NULL && argc < 31; argc++) argv[argc] = mem_strdup(words[argc]);
    argv[argc] = NULL;
    fflush(stdout), fflush(stderr);
    int to = mkstemp(out), bad = mkstemp(err), old_out = dup(1), old_err = dup(2);
    dup2(to, 1), dup2(bad, 2);
    close(to), close(bad);
    r->status = tool(argc, argv);
    fflush(stdout), fflush(stderr);
    dup2(old_out, 1), dup2(old_err, 2);
    close(old_out), close(old_err);
    for (int i = 0; i < argc; i++) mem_free(argv[i]);
    command_read(out, r->out, sizeof(r->out));
    command_read(err, r->err, sizeof(r->err));
}

#define COMMAND(r, tool, ...) command_run(r, tool, (const char *const[]){ __VA_ARGS__, NULL })

static inline void command_has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) FAIL("no '%s' in '%s'", part, text);
}

#endif

/* program_world.h -- a gateway of a configuration in a folder of its own, as a program has it.
 *
 *     struct perilune *g = world_of("return {}", 0);
 *     world_file("policies/pricing.lua", "return { ... }");
 *     CHECK_EVAL(g, "return 1 + 1", NULL, NULL, "2");
 *
 * Included by a test once: all is static. */
#ifndef PERILUNE_TESTS_PROGRAM_WORLD_H
#define PERILUNE_TESTS_PROGRAM_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "include/perilune.h"
#include "unit.h"

static char world_folder[64], world_log[1 << 16];

static void world_file(const char *name, const char *text) {
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", world_folder, name);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

static const char *world_config(void) {
    static char path[200];
    snprintf(path, sizeof(path), "%s/perilune.lua", world_folder);
    return path;
}

static void world_folder_new(void) {
    char path[200];
    snprintf(world_folder, sizeof(world_folder), "/tmp/perilune-program-XXXXXX");
    CHECK(mkdtemp(world_folder) != NULL);
    snprintf(path, sizeof(path), "%s/policies", world_folder);
    CHECK_INT(mkdir(path, 0700), 0);
}

static void world_remove(const char *name) {
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", world_folder, name);
    unlink(path);
    rmdir(path);
}

static void on_world_log(void *ud, int level, perilune_str line) {
    (void)ud, (void)level;
    size_t n = strlen(world_log);
    snprintf(world_log + n, sizeof(world_log) - n, "%.*s\n", (int)line.len, line.ptr);
}

static perilune *world_open(int threads) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g = NULL;
    char err[1024] = "";
    o.config = world_config();
    o.threads = threads;
    o.log = on_world_log;
    int rc = perilune_open(&g, &o, err, sizeof(err));
    if (rc != 0) FAIL("%s", err);
    return g;
}

/* Of a configuration that is this text. */
static perilune *world_of(const char *config, int threads) {
    world_folder_new();
    world_file("perilune.lua", config);
    return world_open(threads);
}

static void world_end(perilune *g) {
    perilune_close(g);
    world_remove("policies/pricing.lua");
    world_remove("policies/words.lua");
    world_remove("policies");
    world_remove("perilune.lua");
    world_remove("");
}

/* What an evaluation comes to, as text: JSON, or "NAME: sentence". */
static const char *world_eval(perilune *g, const char *code, const char *function, const char *args) {
    static char text[4096];
    perilune_str out;
    int rc = perilune_eval(g, code, function, args, args ? strlen(args) : 0, &out);
    if (rc == 0) snprintf(text, sizeof(text), "%.*s", (int)out.len, out.ptr);
    else snprintf(text, sizeof(text), "%s: %s", perilune_errname(rc), perilune_errmsg(g));
    return text;
}

#define CHECK_EVAL(g, code, function, args, want) CHECK_STR(world_eval(g, code, function, args), want)

#endif

/* test_distill.c -- perilune distill with an upstream: what it writes, and what becomes of a bad answer. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "sim/sim.h"

#define PROMPT "Please answer very politely, in JSON. It is important that you never name prices over $50.\n"

struct run {
    int  status;
    char out[8192], err[8192], file[64], version[80];
};

static void read_all(const char *path, char *to, size_t size) {
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(to, 1, size - 1, f) : 0;
    to[n] = '\0';
    if (f != NULL) fclose(f);
    unlink(path);
}

/* The command with these words, what it said, and its status. */
static void run(struct run *r, const char *const *words) {
    char *argv[16] = { "distill" }, out[] = "/tmp/perilune-out-XXXXXX", err[] = "/tmp/perilune-err-XXXXXX";
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) argv[argc] = mem_strdup(words[argc - 1]);
    fflush(stdout), fflush(stderr);
    int to = mkstemp(out), bad = mkstemp(err), old_out = dup(1), old_err = dup(2);
    dup2(to, 1), dup2(bad, 2);
    close(to), close(bad);
    r->status = perilune_tool_distill(argc, argv);
    fflush(stdout), fflush(stderr);
    dup2(old_out, 1), dup2(old_err, 2);
    close(old_out), close(old_err);
    for (int i = 1; i < argc; i++) mem_free(argv[i]);
    read_all(out, r->out, sizeof(r->out));
    read_all(err, r->err, sizeof(r->err));
}

static void has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) FAIL("no '%s' in '%s'", part, text);
}

/* The prompt, rewritten by an upstream that answers so. */
static void distill(struct run *r, const struct sim_options *o) {
    struct sim *s;
    char url[64];
    snprintf(r->file, sizeof(r->file), "/tmp/perilune-prompt-XXXXXX");
    int fd = mkstemp(r->file);
    CHECK(fd >= 0 && write(fd, PROMPT, strlen(PROMPT)) == (ssize_t)strlen(PROMPT));
    close(fd);
    snprintf(r->version, sizeof(r->version), "%s.prompt", r->file);
    CHECK_INT(sim_start(&s, "127.0.0.1:0", o), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1/chat/completions", sim_port(s));
    run(r, (const char *const[]){ r->file, "--with", url, "--model", "gpt-4o", NULL });
    sim_stop(s);
}

static struct sim_options answering(const char *text) {
    struct sim_options o;
    sim_options_init(&o);
    o.text = slice_str(text);
    return o;
}

TEST_NOFAULT(a_proposal_is_written_and_accepted) {
    struct run r;
    char text[4096];
    struct sim_options o = answering("Answer politely in JSON. Never name prices over $50.");
    distill(&r, &o);
    CHECK_STR(r.err, "");
    CHECK_INT(r.status, 0);
    has(r.out, " less (gpt-4o)");
    has(r.out, "+ Answer politely in JSON.");
    has(r.out, "a proposal");
    run(&r, (const char *const[]){ r.file, "--accept", r.version, NULL });
    CHECK_INT(r.status, 0);
    read_all(r.version, text, sizeof(text));
    has(text, "\naccepted: ");
    has(text, "\n---\nAnswer politely in JSON. Never name prices over $50.\n");
    unlink(r.file);
}

TEST_NOFAULT(a_version_that_lacks_something_is_not_written) {
    struct run r;
    struct sim_options o = answering("Answer politely in JSON. Name prices over $60.");
    distill(&r, &o);
    CHECK_INT(r.status, 1);
    has(r.err, "no version that holds everything");
    has(r.err, "negation: never name prices over $50");
    has(r.err, "$50");
    CHECK(access(r.version, F_OK) != 0);
    unlink(r.file);
}

TEST_NOFAULT(an_upstream_that_refuses) {
    struct run r;
    struct sim_options o;
    sim_options_init(&o);
    o.status = 401;
    distill(&r, &o);
    CHECK_INT(r.status, 1);
    has(r.err, "status 401");
    CHECK(access(r.version, F_OK) != 0);
    unlink(r.file);
}

/* test_process.c -- an engine in a process of its own: the same answers, and what happens when it dies.
 *
 * The process is this program, started again: with the command in its arguments it is the inner side, of the engine of
 * fake_engine.h.  What that is to do is told in the path of the model ("width=4 die=5 ..."). */
#include "local/process.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "fake_engine.h"
#include "local/engines.h"
#include "local/process_child.h"
#include "local/process_keeper.h"
#include "unit.h"

#define MODEL_DIR "/tmp/perilune-process-test"

/* -- The inner side ------------------------------------------------------------------------ */

static const char *wish(const char *model, const char *name) {
    static char value[64];
    const char *at = strstr(model, name);
    if (at == NULL) return NULL;
    snprintf(value, sizeof(value), "%s", at + strlen(name));
    value[strcspn(value, " ")] = '\0';
    return value;
}

static unsigned number(const char *model, const char *name) {
    const char *v = wish(model, name);
    return v ? (unsigned)atoi(v) : 0;
}

static unsigned die_at, hang_at, noise_at;

static void misbehave(unsigned step) {
    if (step == noise_at) for (int i = 0; i < 5000; i++) fprintf(stderr, "line %d of what goes wrong\n", i);
    if (step == die_at) raise(SIGABRT); /* sanitizers have a handler for others */
    if (step == hang_at) for (;;) pause();
}

static int inner_load(const struct perilune_engine_options *o, struct perilune_engine_model **out, char *why, size_t size) {
    memset(&fake, 0, sizeof(fake));
    fake.cells = number(o->model, "cells=");
    fake.width = number(o->model, "width=");
    fake.never_ends = number(o->model, "never=") != 0;
    fake.fail_at = number(o->model, "fail=");
    fake.short_from = fake.short_to = number(o->model, "short=");
    fake.short_to += fake.short_from > 0;
    die_at = number(o->model, "die=");
    hang_at = number(o->model, "hang=");
    noise_at = number(o->model, "noise=");
    fake.before = misbehave;
    if (number(o->model, "dead=")) {
        if (number(o->model, "dead=") > 1) fprintf(stderr, "first this\nthen that: %s\n", o->model);
        abort();
    }
    if (number(o->model, "refuse=")) {
        snprintf(why, size, "it is refused, with library %s", o->library ? o->library : "none");
        return PERILUNE_ERR_ENGINE;
    }
    struct stat st; /* a file that counts how often it was loaded makes another model of it each time */
    if (number(o->model, "grows=") && stat(MODEL_DIR "/grown", &st) == 0) fake.cells += 100;
    return fake_load(o, out, why, size);
}

static void __attribute__((constructor)) inner_side(void) {
    char all[4096] = "";
    FILE *f = fopen("/proc/self/cmdline", "r");
    size_t n = f ? fread(all, 1, sizeof(all) - 1, f) : 0;
    if (f != NULL) fclose(f);
    if (n == 0 || strcmp(all + strlen(all) + 1, PROCESS_COMMAND) != 0) return;
    struct perilune_engine e = fake_engine;
    e.load = inner_load;
    _exit(process_child_main(&e));
}

/* -- The outer side ---------------------------------------------------------------------------- */

static char heard[64][900];
static atomic_uint heard_count, lost_count;

static void say(void *ud, const char *sentence) {
    (void)ud;
    unsigned i = atomic_fetch_add(&heard_count, 1);
    if (i < 64) snprintf(heard[i], sizeof(heard[i]), "%s", sentence);
}

static bool was_said(const char *part) {
    for (unsigned i = 0; i < heard_count && i < 64; i++)
        if (strstr(heard[i], part) != NULL) return true;
    return false;
}

static void lost(void *ud) {
    (void)ud;
    atomic_fetch_add(&lost_count, 1);
}

static char why[PROCESS_WHY];

static struct perilune_engine_options options(const char *model) {
    memset(&fake, 0, sizeof(fake));
    return (struct perilune_engine_options){ .model = model, .sequences = 8, .batch = 64, .program = "/proc/self/exe",
                                             .step_ms = 2000, .say = say, .lost = lost };
}

static struct perilune_engine_model *open_model(const char *model) {
    struct perilune_engine_model *m;
    struct perilune_engine_options o = options(model);
    int rc = process_engine.load(&o, &m, why, sizeof(why));
    if (rc != 0) FAIL("%s", why);
    return m;
}

static int step_text(struct perilune_engine_model *m, uint32_t seq, uint32_t at, const char *text) {
    struct perilune_engine_token t[64];
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        t[i] = (struct perilune_engine_token){ (unsigned char)text[i], seq, at + (uint32_t)i, i + 1 == n };
    return process_engine.step(m, t, n);
}

static int32_t likeliest(const float *l) {
    int32_t best = 0;
    for (int32_t t = 1; t < FAKE_VOCAB; t++)
        if (l[t] > l[best]) best = t;
    return best;
}

static int32_t next_of(const char *text) {
    int32_t row[64];
    for (size_t i = 0; i < strlen(text); i++) row[i] = (unsigned char)text[i];
    return fake_next(row, (uint32_t)strlen(text));
}

static void await_recovery(struct perilune_engine_model *m) {
    int rc;
    while ((rc = process_engine.recover(m, why, sizeof(why))) == PERILUNE_ERR_AGAIN) usleep(1000);
    if (rc != 0) FAIL("%s", why);
}

static unsigned count_in(const char *folder) {
    unsigned n = 0;
    DIR *d = opendir(folder);
    while (d != NULL && readdir(d) != NULL) n++;
    if (d != NULL) closedir(d);
    return n;
}

/* Of this process; its zombies, too. */
static pid_t child_pid(void) {
    char path[64], text[32] = "";
    snprintf(path, sizeof(path), "/proc/self/task");
    DIR *d = opendir(path);
    pid_t found = 0;
    for (struct dirent *e; d != NULL && found == 0 && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", e->d_name);
        FILE *f = fopen(path, "r");
        if (f != NULL && fgets(text, sizeof(text), f) != NULL) found = (pid_t)atoi(text);
        if (f != NULL) fclose(f);
    }
    if (d != NULL) closedir(d);
    return found;
}

TEST_NOFAULT(it_answers_as_the_engine_itself_does) {
    struct perilune_engine_model *m = open_model("x");
    const struct perilune_engine_facts *f = process_engine.facts(m);
    int32_t tokens[16];
    char piece[8];
    CHECK_UINT(f->vocab, FAKE_VOCAB);
    CHECK_UINT(f->cells, 4096);
    CHECK_UINT(f->batch, 64);
    CHECK(f->shares && f->kind == PERILUNE_ENGINE_CHAT && f->chat_template == NULL);
    CHECK_STR(f->name, "fake");
    CHECK_INT(process_engine.tokenize(m, "hello", 5, 0, tokens, 16), 5);
    CHECK_INT(tokens[4], 'o');
    CHECK_INT(process_engine.tokenize(m, "hello", 5, 0, tokens, 2), 5);
    CHECK_INT(process_engine.tokenize(m, "", 0, 0, tokens, 16), 0);
    CHECK_UINT(process_engine.piece(m, 'h', 0, piece, 8), 1);
    CHECK_INT(piece[0], 'h');
    CHECK_UINT(process_engine.piece(m, FAKE_END, 0, piece, 8), 0);
    CHECK_UINT(process_engine.piece(m, 99999, 0, piece, 8), 0);
    CHECK(process_engine.is_end(m, FAKE_END) && !process_engine.is_end(m, 'h') && !process_engine.is_end(m, -1));
    CHECK_INT(process_engine.seq_start(m, 0), 0);
    CHECK_INT(step_text(m, 0, 0, "hello"), 0);
    CHECK_INT(likeliest(process_engine.logits(m, 4)), next_of("hello"));
    CHECK_PTR(process_engine.logits(m, 3), NULL);
    CHECK_INT(process_engine.seq_copy(m, 0, 3, 4), 0);
    CHECK_INT(step_text(m, 3, 4, "y"), 0);
    CHECK_INT(likeliest(process_engine.logits(m, 0)), next_of("helly"));
    CHECK_INT(process_engine.seq_cut(m, 0, 2), 0);
    CHECK_INT(step_text(m, 0, 2, "x"), 0);
    CHECK_INT(likeliest(process_engine.logits(m, 0)), next_of("hex"));
    process_engine.free(m);
}

TEST_NOFAULT(what_cannot_be_is_refused_on_this_side) {
    struct perilune_engine_model *m = open_model("cells=40");
    CHECK_INT(step_text(m, 0, 1, "a"), PERILUNE_ERR_INVAL);
    CHECK_INT(step_text(m, 99, 0, "a"), PERILUNE_ERR_INVAL);
    CHECK_INT(process_engine.step(m, &(struct perilune_engine_token){ FAKE_VOCAB, 0, 0, true }, 1), PERILUNE_ERR_INVAL);
    CHECK_INT(process_engine.step(m, NULL, 0), PERILUNE_ERR_INVAL);
    CHECK_INT(process_engine.seq_start(m, 8), PERILUNE_ERR_INVAL);
    CHECK_INT(process_engine.seq_cut(m, 0, 1), PERILUNE_ERR_INVAL);
    CHECK_INT(process_engine.seq_copy(m, 0, 0, 0), PERILUNE_ERR_INVAL);
    CHECK_INT(process_engine.embed(m, &(int32_t){ 1 }, &(uint32_t){ 1 }, 1, &(float){ 0 }), PERILUNE_ERR_INVAL);
    CHECK_INT(step_text(m, 0, 0, "thirty characters, or nearly so"), 0);
    CHECK_INT(step_text(m, 1, 0, "and thirty others do not fit"), PERILUNE_ENGINE_FULL); /* nothing has changed */
    CHECK_INT(step_text(m, 1, 0, "these do"), 0);
    CHECK_INT(likeliest(process_engine.logits(m, 7)), next_of("these do"));
    process_engine.free(m);
}

TEST_NOFAULT(vectors_come_back) {
    struct perilune_engine_model *m = open_model("width=4");
    int32_t tokens[] = { 'a', 'b', 'c', 'd', 'e' };
    uint32_t lens[] = { 2, 3 };
    float v[8];
    CHECK_INT(process_engine.facts(m)->kind, PERILUNE_ENGINE_EMBED);
    CHECK_INT(process_engine.embed(m, tokens, lens, 2, v), 0);
    CHECK_DOUBLE(v[0], 2);
    CHECK_DOUBLE(v[4], 3);
    CHECK_DOUBLE(v[5], 2);
    CHECK_INT(process_engine.embed(m, tokens, (uint32_t[]){ 2, 0 }, 2, v), PERILUNE_ERR_INVAL);
    CHECK_INT(step_text(m, 0, 0, "a"), PERILUNE_ERR_INVAL);
    process_engine.free(m);
}

TEST_NOFAULT(one_that_cannot_be_started_says_why) {
    struct perilune_engine_model *m;
    static const struct { const char *model, *program, *says; } all[] = {
        { "x", "/nowhere/perilune", "engine.program: /nowhere/perilune cannot be started: No such file" },
        { "x", "/bin/true", "ended by itself, with status 0" },
        { "x", NULL, "say where it is with engine.program" },
        { "refuse=1", "/proc/self/exe", "it is refused, with library /some/folder" },
        { "dead=1", "/proc/self/exe", "was ended by signal 6" },
        { "dead=2", "/proc/self/exe", "was ended by signal 6 (Aborted), after it had written: then that: dead=2" } };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct perilune_engine_options o = options(all[i].model);
        unsigned open = count_in("/proc/self/fd");
        o.program = all[i].program;
        o.library = "/some/folder";
        CHECK_INT(process_engine.load(&o, &m, why, sizeof(why)), PERILUNE_ERR_ENGINE);
        CHECK_PTR(m, NULL);
        if (strstr(why, all[i].says) == NULL) FAIL("%zu: %s", i, why);
        CHECK_UINT(count_in("/proc/self/fd"), open);
    }
    CHECK_UINT(lost_count, 0); /* it was never there */
}

TEST_NOFAULT(one_that_dies_in_a_step_fails_it_and_comes_back) {
    struct perilune_engine_model *m = open_model("die=3");
    CHECK_INT(step_text(m, 0, 0, "one"), 0);
    CHECK_INT(step_text(m, 0, 3, "two"), 0);
    CHECK_INT(step_text(m, 0, 6, "three"), PERILUNE_ERR_ENGINE);
    CHECK_INT(step_text(m, 0, 0, "again"), PERILUNE_ERR_ENGINE); /* until it recovers */
    CHECK_INT(process_engine.seq_start(m, 0), PERILUNE_ERR_ENGINE);
    await_recovery(m);
    CHECK_UINT(lost_count, 1);
    CHECK(was_said("was ended by signal 6"));
    CHECK_UINT(process_engine.piece(m, 'h', 0, (char[2]){ 0 }, 2), 1);
    CHECK_INT(step_text(m, 0, 0, "again"), 0); /* rows are empty, without anybody saying so */
    CHECK_INT(likeliest(process_engine.logits(m, 4)), next_of("again"));
    process_engine.free(m);
    CHECK_INT(child_pid(), 0);
}

TEST_NOFAULT(one_that_is_killed_while_nobody_asks_is_missed) {
    struct perilune_engine_model *m = open_model("x");
    unsigned open = count_in("/proc/self/fd");
    for (unsigned i = 1; i <= 5; i++) {
        pid_t pid = child_pid();
        CHECK(pid > 0);
        CHECK_INT(kill(pid, SIGKILL), 0);
        while (lost_count < i) usleep(1000);
        CHECK_INT(process_engine.tokenize(m, "a", 1, 0, &(int32_t){ 0 }, 1), PERILUNE_ERR_IO);
        await_recovery(m);
        CHECK(child_pid() != pid);
        CHECK_INT(step_text(m, 0, 0, "again"), 0);
        CHECK_INT(process_engine.tokenize(m, "a", 1, 0, &(int32_t){ 0 }, 1), 1);
        CHECK_UINT(count_in("/proc/self/fd"), open);
    }
    CHECK(was_said("signal 9"));
    process_engine.free(m);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, not even a dead one */
}

TEST_NOFAULT(one_that_hangs_is_killed) {
    struct perilune_engine_options o = options("hang=2");
    struct perilune_engine_model *m;
    o.step_ms = 300;
    CHECK_INT(process_engine.load(&o, &m, why, sizeof(why)), 0);
    CHECK_INT(step_text(m, 0, 0, "one"), 0);
    uint64_t began = process_now_ms();
    CHECK_INT(step_text(m, 0, 3, "two"), PERILUNE_ERR_ENGINE);
    uint64_t took = process_now_ms() - began;
    if (took < 250 || took > 20000) FAIL("it was waited for %u ms", (unsigned)took);
    await_recovery(m);
    CHECK(was_said("gave no answer for 0.3 seconds, and was killed"));
    CHECK_INT(step_text(m, 0, 0, "one"), 0);
    process_engine.free(m);
}

/* Do all threads of it stand still? */
static bool stands_still(pid_t pid) {
    char path[300], state = 'R';
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    CHECK(tasks != NULL);
    bool all = true;
    for (struct dirent *d; (d = readdir(tasks)) != NULL;) {
        if (d->d_name[0] == '.') continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", (int)pid, d->d_name);
        FILE *f = fopen(path, "r");
        if (f == NULL || fscanf(f, "%*d (%*[^)]) %c", &state) != 1) state = 'R';
        if (f != NULL) fclose(f);
        all = all && state == 'T';
    }
    closedir(tasks);
    return all;
}

/* A signal is on its way for a while, in which a thread may still answer. */
static void stop_child(void) {
    CHECK_INT(kill(child_pid(), SIGSTOP), 0);
    for (int i = 0; i < 5000 && !stands_still(child_pid()); i++) usleep(1000);
    CHECK(stands_still(child_pid()));
}

TEST_NOFAULT(one_that_is_stopped_by_a_signal_does_not_hold_up_texts_for_ever) {
    struct perilune_engine_model *m = open_model("x");
    stop_child();
    CHECK_INT(step_text(m, 0, 0, "one"), PERILUNE_ERR_ENGINE); /* after two seconds */
    await_recovery(m);
    CHECK_INT(step_text(m, 0, 0, "one"), 0);
    process_engine.free(m);
}

/* Idle, it is asked about a text first: in the time of a step, and not in some longer one. */
TEST_NOFAULT(one_that_hangs_over_a_text_is_killed_in_the_time_of_a_step) {
    struct perilune_engine_options o = options("x");
    struct perilune_engine_model *m;
    int32_t tokens[8];
    o.step_ms = 300;
    CHECK_INT(process_engine.load(&o, &m, why, sizeof(why)), 0);
    stop_child();
    uint64_t began = process_now_ms();
    CHECK_INT(process_engine.tokenize(m, "text", 4, 0, tokens, 8), PERILUNE_ERR_IO);
    uint64_t took = process_now_ms() - began;
    if (took < 250 || took > 15000) FAIL("it was waited for %u ms", (unsigned)took);
    CHECK_INT(step_text(m, 0, 0, "one"), PERILUNE_ERR_ENGINE);
    await_recovery(m);
    CHECK_INT(process_engine.tokenize(m, "text", 4, 0, tokens, 8), 4);
    process_engine.free(m);
}

TEST_NOFAULT(what_it_writes_is_told_and_bounded) {
    struct perilune_engine_model *m = open_model("noise=1 die=2");
    CHECK_INT(step_text(m, 0, 0, "one"), 0); /* 5,000 lines do not fill a pipe for it */
    CHECK_INT(step_text(m, 0, 3, "two"), PERILUNE_ERR_ENGINE);
    await_recovery(m);
    CHECK(was_said("the engine's process writes: line 0 of what goes wrong"));
    CHECK(heard_count >= 20 && heard_count < 30);
    process_engine.free(m);
}

TEST_NOFAULT(an_error_of_a_step_costs_the_process) {
    struct perilune_engine_model *m = open_model("fail=2");
    CHECK_INT(step_text(m, 0, 0, "one"), 0);
    CHECK_INT(step_text(m, 0, 3, "two"), PERILUNE_ERR_ENGINE);
    await_recovery(m);
    CHECK_INT(step_text(m, 0, 0, "one"), 0);
    process_engine.free(m);
}

TEST_NOFAULT(a_step_without_memory_has_changed_nothing) {
    struct perilune_engine_model *m = open_model("short=2");
    CHECK_INT(step_text(m, 0, 0, "hel"), 0);
    CHECK_INT(step_text(m, 0, 3, "lo"), PERILUNE_ENGINE_SHORT);
    CHECK_PTR(process_engine.logits(m, 1), NULL);
    CHECK_INT(step_text(m, 0, 3, "l"), 0);
    CHECK_INT(step_text(m, 0, 4, "o"), 0);
    CHECK_INT(likeliest(process_engine.logits(m, 0)), next_of("hello"));
    process_engine.free(m);
}

TEST_NOFAULT(a_file_that_is_another_model_now_is_not_taken_for_the_old_one) {
    mkdir(MODEL_DIR, 0700);
    unlink(MODEL_DIR "/grown");
    struct perilune_engine_model *m = open_model("grows=1");
    FILE *f = fopen(MODEL_DIR "/grown", "w");
    CHECK(f != NULL);
    fclose(f);
    CHECK_INT(kill(child_pid(), SIGKILL), 0);
    int rc;
    while ((rc = process_engine.recover(m, why, sizeof(why))) == PERILUNE_ERR_AGAIN) usleep(1000);
    CHECK_INT(rc, PERILUNE_ERR_ENGINE);
    CHECK(strstr(why, "is another model now") != NULL);
    unlink(MODEL_DIR "/grown");
    await_recovery(m); /* and the old one is taken when it is there again */
    CHECK_INT(step_text(m, 0, 0, "one"), 0);
    process_engine.free(m);
}

static void *free_later(void *arg) {
    usleep(100000);
    process_engine.cancel(arg);
    return NULL;
}

TEST_NOFAULT(cancel_ends_a_step) {
    struct perilune_engine_options o = options("hang=1");
    struct perilune_engine_model *m;
    pthread_t t;
    o.step_ms = 60000;
    CHECK_INT(process_engine.load(&o, &m, why, sizeof(why)), 0);
    CHECK_INT(pthread_create(&t, NULL, free_later, m), 0);
    CHECK_INT(step_text(m, 0, 0, "one"), PERILUNE_ENGINE_CANCELED);
    pthread_join(t, NULL);
    process_engine.free(m);
}

/* Who started it is killed: nothing can be done by that process any more. */
TEST_NOFAULT(it_ends_with_its_parent) {
    int pair[2];
    CHECK_INT(pipe(pair), 0);
    pid_t parent = fork();
    if (parent == 0) {
        open_model("x");
        pid_t inner = child_pid();
        if (write(pair[1], &inner, sizeof(inner)) != sizeof(inner)) _exit(1);
        pause();
    }
    pid_t inner = 0;
    CHECK_INT(read(pair[0], &inner, sizeof(inner)), sizeof(inner));
    CHECK(inner > 0);
    CHECK_INT(kill(inner, 0), 0);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    char path[64], text[256] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)inner);
    for (int i = 0; i < 5000; i++, usleep(1000)) { /* gone, or a zombie of whoever has inherited it */
        FILE *f = fopen(path, "r");
        if (f == NULL) return;
        char *line = fgets(text, sizeof(text), f), *state = line ? strrchr(line, ')') : NULL;
        fclose(f);
        if (state == NULL || state[2] == 'Z') return;
    }
    FAIL("it lives on: %s", text);
}

TEST_NOFAULT(it_has_no_descriptors_but_its_own) {
    int extra = open("/etc/passwd", O_RDONLY); /* as a library leaves one: not closed on exec */
    CHECK(extra >= 0 && dup2(extra, 77) == 77);
    struct perilune_engine_model *m = open_model("x");
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)child_pid());
    CHECK_UINT(count_in(path), 2 + 3 + 3); /* "." and "..", standard streams, ours */
    process_engine.free(m);
    close(extra);
    close(77);
}

TEST(any_allocation_may_fail_on_this_side) {
    struct perilune_engine_options o = options("die=2");
    struct perilune_engine_model *m;
    int32_t tokens[8];
    int rc = process_engine.load(&o, &m, why, sizeof(why));
    if (rc != 0) {
        CHECK(unit_fault_fired());
        CHECK_PTR(m, NULL);
        return;
    }
    process_engine.tokenize(m, "hello", 5, 0, tokens, 8);
    rc = step_text(m, 0, 0, "one");
    if (rc == 0) rc = step_text(m, 0, 3, "two");
    CHECK(rc == PERILUNE_ERR_ENGINE || FAULTED(rc));
    for (int i = 0; i < 3; i++) { /* one try fails without memory, the next one does not, unless all do */
        while ((rc = process_engine.recover(m, why, sizeof(why))) == PERILUNE_ERR_AGAIN) usleep(1000);
        if (rc == 0) break;
        CHECK(unit_fault_fired());
    }
    if (rc == 0) rc = step_text(m, 0, 0, "one");
    CHECK(rc == 0 || unit_fault_fired());
    process_engine.free(m);
}

/* -- Nonsense --------------------------------------------------------------------------------- */

TEST_FAULT(facts_that_cannot_be_are_refused) {
    struct perilune_engine_model *m;
    struct perilune_engine_facts f;
    struct process_token *tokens;
    struct buf told;
    memset(&fake, 0, sizeof(fake));
    CHECK_INT(fake_load(&(struct perilune_engine_options){ .sequences = 8, .batch = 64 }, &m, why, sizeof(why)), 0);
    m->facts.chat_template = "{{ x }}";
    buf_init(&told, 0);
    process_put_facts(&told, &fake_engine, m);
    if (FAULTED(told.error)) goto done;
    int rc = process_read_facts(buf_get(&told), &f, &tokens);
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_STR(f.chat_template, "{{ x }}");
    CHECK_UINT(f.cells, 4096);
    mem_free(tokens);
    /* Cut anywhere, and with any byte of it another one: refused, or within its bounds. */
    for (size_t n = 0; n < buf_len(&told); n += n < 200 ? 1 : 97) {
        char *at = mem_dup(buf_get(&told).ptr, n); /* a block of its own: a sanitizer sees its end */
        if (FAULTED(at)) goto done;
        rc = process_read_facts(slice_of(at, n), &f, &tokens);
        CHECK(rc == PERILUNE_ERR_INVAL || FAULTED(rc));
        mem_free(at);
    }
    for (size_t i = 0; i < buf_len(&told); i += i < 200 ? 1 : 97) {
        char *at = mem_dup(buf_get(&told).ptr, buf_len(&told));
        if (FAULTED(at)) goto done;
        at[i] = (char)(at[i] ^ 0xff);
        if (process_read_facts(slice_of(at, buf_len(&told)), &f, &tokens) == 0) {
            for (uint32_t t = 0; t < f.vocab; t++)
                CHECK((size_t)tokens[t].at + tokens[t].special + tokens[t].plain <= buf_len(&told));
            mem_free(tokens);
        }
        mem_free(at);
    }
done:
    buf_deinit(&told);
    fake_free(m);
}

TEST_NOFAULT(messages_have_limits) {
    int pair[2];
    struct process_head h = { .op = PROCESS_ANSWER, .len = 100 };
    struct buf in;
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    buf_init(&in, 0);
    CHECK_INT(process_send(pair[0], &h, sizeof(h), 0), 0);
    CHECK_INT(process_receive(pair[1], &h, &in, 99, 0), PERILUNE_ERR_INVAL);
    CHECK_INT(process_send(pair[0], &h, 7, 0), 0);
    CHECK_INT(process_receive(pair[1], &h, &in, 99, process_now_ms() + 20), PERILUNE_ERR_TIMEOUT);
    close(pair[0]);
    CHECK_INT(process_receive(pair[1], &h, &in, 99, 0), PERILUNE_ERR_IO);
    CHECK_INT(process_send(pair[1], &h, sizeof(h), 0), PERILUNE_ERR_IO);
    buf_deinit(&in);
    close(pair[1]);
}

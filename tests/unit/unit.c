/* unit.c -- runs the tests of one binary.
 *
 *     main -> run_test -> fork -> child: alarm, test, leaks -> exit status
 *                  |
 *                  +---- FAULT=1: again with allocation 1, 2, 3 ... failing
 *
 * The child tells by its exit status how it ended (enum outcome); a signal is a
 * failure, SIGALRM the time limit.  A child that passed leaves by exit(), so that
 * LeakSanitizer has its say; one that failed has nothing to add.
 *
 * Fault runs stop when one ends without having reached its allocation.  Their
 * number grows by one at first and by a sixteenth later: a test of a thousand
 * allocations is still finished today. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"

#define EVERY_FAULT 256 /* up to here no allocation is left out */

enum outcome { PASSED, FAILED, PASSED_AFTER_FAULT };

static struct {
    struct unit_test  *first, **last;
    enum unit_kind     kind;     /* of the test that runs */
    long               fault_at; /* 0: none */
    unsigned           limit_s;
    char               note[256];
} unit = { .last = &unit.first, .limit_s = 120 }; /* hangs, not slow machines */

void unit_register(struct unit_test *t) {
    *unit.last = t;
    unit.last = &t->next;
}

/* -- In the child: checks --------------------------------------------------- */

void unit_note(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(unit.note, sizeof(unit.note), fmt, ap);
    va_end(ap);
}

bool unit_fault_fired(void) { return unit.fault_at > 0 && mem_fail_count() >= unit.fault_at; }

bool unit_faulted_int(int rc) { return rc == PERILUNE_ERR_NOMEM && unit_fault_fired(); }

bool unit_faulted_ptr(const void *ptr) { return ptr == NULL && unit_fault_fired(); }

/* A check does not hold.  Returns when the message is to be printed. */
static void begin_failure(const char *file, int line) {
    if (unit.kind == UNIT_PLAIN && unit_fault_fired()) {
        fflush(stdout);
        _exit(PASSED_AFTER_FAULT);
    }
    printf("%s:%d: ", file, line);
}

static _Noreturn void end_failure(void) {
    if (unit.note[0] != '\0') printf("\n    (%s)", unit.note);
    printf("\n");
    fflush(stdout);
    _exit(FAILED);
}

void unit_fail(const char *file, int line, const char *fmt, ...) {
    va_list ap;

    begin_failure(file, line);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    end_failure();
}

void unit_check(const char *file, int line, bool fact, const char *text) {
    if (!fact) unit_fail(file, line, "does not hold: %s", text);
}

void unit_check_int(const char *file, int line, const char *text, intmax_t got, intmax_t want) {
    if (got != want) unit_fail(file, line, "%s is %jd, expected %jd", text, got, want);
}

void unit_check_uint(const char *file, int line, const char *text, uintmax_t got,
                     uintmax_t want) {
    if (got != want) unit_fail(file, line, "%s is %ju, expected %ju", text, got, want);
}

void unit_check_double(const char *file, int line, const char *text, double got, double want) {
    if (!(got == want || (got != got && want != want)))
        unit_fail(file, line, "%s is %.17g, expected %.17g", text, got, want);
}

void unit_check_ptr(const char *file, int line, const char *text, const void *got,
                    const void *want) {
    if (got != want) unit_fail(file, line, "%s is %p, expected %p", text, got, want);
}

/* Bytes as a C string literal would have them. */
static void print_bytes(struct slice s) {
    putchar('"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        switch (c) {
        case '\n': printf("\\n"); break;
        case '\r': printf("\\r"); break;
        case '\t': printf("\\t"); break;
        case '"': case '\\': printf("\\%c", c); break;
        default:
            if (c >= 0x20 && c < 0x7f)
                putchar(c);
            else
                printf("\\x%02x", c);
        }
    }
    putchar('"');
}

void unit_check_slice(const char *file, int line, const char *text, struct slice got,
                      struct slice want) {
    if (slice_eq(got, want)) return;
    begin_failure(file, line);
    printf("%s is\n    ", text);
    print_bytes(got);
    printf(", expected\n    ");
    print_bytes(want);
    end_failure();
}

void unit_check_str(const char *file, int line, const char *text, const char *got,
                    const char *want) {
    if (got == NULL || want == NULL) {
        if (got != want)
            unit_fail(file, line, "%s is %s, expected %s", text, got ? got : "NULL",
                      want ? want : "NULL");
        return;
    }
    unit_check_slice(file, line, text, slice_str(got), slice_str(want));
}

/* -- In the child: one run -------------------------------------------------- */

static enum outcome run_here(const struct unit_test *t, long fault_at, bool forever) {
    long before = mem_live();

    unit.kind = t->kind;
    unit.fault_at = fault_at;
    unit.note[0] = '\0';
    mem_fail_at(fault_at, forever);
    t->run();
    bool fired = unit_fault_fired();
    mem_fail_at(0, false);
    unit.fault_at = 0; /* a leak is one in every run that came to its end */
    unit.note[0] = '\0';

    long leaked = mem_live() - before;
    if (leaked != 0) {
        printf("%s: %ld blocks were not given back\n", t->name, leaked);
        return FAILED;
    }
    return fired ? PASSED_AFTER_FAULT : PASSED;
}

/* -- In the parent ---------------------------------------------------------- */

/* Runs t in a process of its own.  Says what killed it. */
static enum outcome run_apart(const struct unit_test *t, long fault_at, bool forever) {
    int status = 0;

    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) {
        printf("%s: fork: %s\n", t->name, strerror(errno));
        return FAILED;
    }
    if (pid == 0) {
        alarm(unit.limit_s);
        exit(run_here(t, fault_at, forever));
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}

    if (WIFEXITED(status) && WEXITSTATUS(status) <= PASSED_AFTER_FAULT)
        return (enum outcome)WEXITSTATUS(status);
    if (WIFEXITED(status))
        printf("%s: exit status %d\n", t->name, WEXITSTATUS(status));
    else if (WTERMSIG(status) == SIGALRM)
        printf("%s: still running after %u s\n", t->name, unit.limit_s);
    else
        printf("%s: killed by signal %d (%s)\n", t->name, WTERMSIG(status),
               strsignal(WTERMSIG(status)));
    return FAILED;
}

static bool run_faults(const struct unit_test *t) {
    for (long n = 1;; n += n < EVERY_FAULT ? 1 : n / 16) {
        for (int forever = 0; forever < 2; forever++) {
            enum outcome outcome = run_apart(t, n, forever);
            if (outcome == PASSED) return true;
            if (outcome == PASSED_AFTER_FAULT) continue;
            printf("%s: with allocation %ld%s failing\n", t->name, n,
                   forever ? " and all after it" : "");
            return false;
        }
    }
}

static bool run_test(const struct unit_test *t, bool faults) {
    bool passed = run_apart(t, 0, false) == PASSED;
    if (passed && faults && t->kind != UNIT_NOFAULT) passed = run_faults(t);
    if (!passed) printf("FAIL %s\n", t->name);
    return passed;
}

static bool is_set(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' && strcmp(value, "0") != 0;
}

int main(int argc, char **argv) {
    bool here = argc > 1 && strcmp(argv[1], "-d") == 0;
    const char *part = argv[here ? 2 : 1] ? argv[here ? 2 : 1] : "";
    unsigned passed = 0, failed = 0;

    if (is_set("TEST_TIMEOUT")) unit.limit_s = (unsigned)atoi(getenv("TEST_TIMEOUT"));
    for (const struct unit_test *t = unit.first; t != NULL; t = t->next) {
        if (strstr(t->name, part) == NULL) continue;
        bool ok = here ? run_here(t, 0, false) == PASSED : run_test(t, is_set("FAULT"));
        passed += ok;
        failed += !ok;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

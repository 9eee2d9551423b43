/* unit.h -- a test harness in one page.  See unit.c.
 *
 *     TEST(adds) {
 *         CHECK_INT(add(2, 2), 4);
 *     }
 *
 * A test registers itself; unit.c has main().  Each test runs in a process of
 * its own with a time limit, so that one that crashes, hangs or forgets its
 * memory harms no other.  The first failed check prints both values with
 * file:line and ends the test.  A test must give back every mem_* block.
 *
 * With FAULT=1 in the environment every test is then repeated with its first,
 * second, third ... allocation failing, until it runs through without reaching
 * that allocation; each number twice: only that one fails, and all from there on.
 *
 *   TEST          Once an allocation was made to fail, a check that does not hold
 *                 ends the run quietly.  Crashes, hangs and whatever a sanitizer
 *                 finds still count.  Whoever uses a pointer checks it first:
 *                 CHECK(p != NULL).
 *   TEST_FAULT    For code whose failures matter: checks and leaks count in every
 *                 run.  The test hands each result that may be a failure for want
 *                 of memory to FAULTED(), and cleans up:
 *
 *                     int rc = cache_put(...);
 *                     if (FAULTED(rc)) goto done;
 *                     CHECK_INT(rc, 0);
 *
 *   TEST_NOFAULT  Never repeated: needs no memory of ours, or takes too long.
 *
 * Command line: test_x [-d] [PART]   only tests with PART in their name; -d runs
 * them in this process, for a debugger.  Environment: FAULT, TEST_TIMEOUT
 * (seconds, default 120: for what hangs, not for what is slow). */
#ifndef PERILUNE_TESTS_UNIT_H
#define PERILUNE_TESTS_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum unit_kind { UNIT_PLAIN, UNIT_FAULT, UNIT_NOFAULT };

struct unit_test {
    const char       *name;
    enum unit_kind    kind;
    void            (*run)(void);
    struct unit_test *next;
};

#define UNIT_TEST(test, how)                                                       \
    static void test_##test(void);                                                 \
    static void __attribute__((constructor)) register_##test(void) {               \
        static struct unit_test t = { .name = #test, .kind = how, .run = test_##test }; \
        unit_register(&t);                                                         \
    }                                                                              \
    static void test_##test(void)

#define TEST(name) UNIT_TEST(name, UNIT_PLAIN)
#define TEST_FAULT(name) UNIT_TEST(name, UNIT_FAULT)
#define TEST_NOFAULT(name) UNIT_TEST(name, UNIT_NOFAULT)

#define UNIT_HERE __FILE__, __LINE__

/* -- Checks: what was expected comes last ----------------------------------- */

#define CHECK(fact) unit_check(UNIT_HERE, (fact), #fact)
#define CHECK_INT(got, want) unit_check_int(UNIT_HERE, #got, (got), (want))
#define CHECK_UINT(got, want) unit_check_uint(UNIT_HERE, #got, (got), (want))
#define CHECK_DOUBLE(got, want) unit_check_double(UNIT_HERE, #got, (got), (want)) /* exact */
#define CHECK_PTR(got, want) unit_check_ptr(UNIT_HERE, #got, (got), (want))
#define CHECK_STR(got, want) unit_check_str(UNIT_HERE, #got, (got), (want))
#define CHECK_SLICE(got, want) unit_check_slice(UNIT_HERE, #got, (got), (want))
#define FAIL(...) unit_fail(UNIT_HERE, __VA_ARGS__)

/* Is result (an int, or a pointer that is NULL) a failure for want of memory that
 * this run asked for?  Always false outside FAULT=1. */
#define FAULTED(result)                       \
    _Generic((result), int: unit_faulted_int, \
             default: unit_faulted_ptr)(result)
/* Runs expr, an int; after an allocation that was made to fail goes to label. */
#define CHECK_NOMEM(expr, label)            \
    do {                                    \
        int unit_rc = (expr);               \
        if (FAULTED(unit_rc)) goto label;   \
        unit_check_int(UNIT_HERE, #expr, unit_rc, 0); \
    } while (0)
/* Did an allocation fail that was made to fail? */
bool unit_fault_fired(void);

/* What loops print with a failure: the case, the split point, the seed. */
#define NOTE(...) unit_note(__VA_ARGS__)

/* -- For the macros --------------------------------------------------------- */

void unit_register(struct unit_test *t);
void unit_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void unit_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void unit_check(const char *file, int line, bool fact, const char *text);
void unit_check_int(const char *file, int line, const char *text, intmax_t got, intmax_t want);
void unit_check_uint(const char *file, int line, const char *text, uintmax_t got, uintmax_t want);
void unit_check_double(const char *file, int line, const char *text, double got, double want);
void unit_check_ptr(const char *file, int line, const char *text, const void *got,
                    const void *want);
void unit_check_str(const char *file, int line, const char *text, const char *got,
                    const char *want);
void unit_check_slice(const char *file, int line, const char *text, struct slice got,
                      struct slice want);
bool unit_faulted_int(int rc);
bool unit_faulted_ptr(const void *ptr);

#endif

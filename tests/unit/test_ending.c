/* test_ending.c -- a program that hangs while it closes ends all the same. */
#include "unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/ending.h"

/* A process that begins to end, tells so, and hangs, or does not.  Its status. */
static int end_of(bool twice, bool hangs, bool signaled) {
    int told[2];
    char byte = 0;
    int status = 0;
    CHECK_INT(pipe(told), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct ending e;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        close(STDERR_FILENO);
        ending_begin(&e, &set, twice, 7);
        if (write(told[1], "x", 1) != 1) _exit(99);
        while (hangs) pause();
        ending_done(&e);
        _exit(5);
    }
    close(told[1]);
    CHECK_INT(read(told[0], &byte, 1), 1);
    if (signaled) {
        kill(pid, SIGHUP); /* of no use any more, and no harm */
        kill(pid, SIGTERM);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    close(told[0]);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST_NOFAULT(a_second_signal_ends_who_hangs_at_once) { CHECK_INT(end_of(false, true, true), 7); }

TEST_NOFAULT(who_was_asked_twice_before_ends_without_a_third_signal) { CHECK_INT(end_of(true, true, false), 7); }

TEST_NOFAULT(who_closes_in_time_is_let_alone) {
    CHECK_INT(end_of(false, false, false), 5);
    CHECK_INT(end_of(true, false, false), 5);
}

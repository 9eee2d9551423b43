/* test_files.c -- files that commands read and write. */
#include "cli/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char folder[64]; /* $TMPDIR of these tests; a test is a process of its own */

static void open_folder(void) {
    snprintf(folder, sizeof(folder), "/tmp/perilune-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    setenv("TMPDIR", folder, 1);
}

/* A file of these bytes. */
static void make(char path[FILES_PATH], const char *text) {
    int fd = files_temp("made", ".txt", path);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

TEST_NOFAULT(temporary_files_stand_where_the_user_says) {
    char path[FILES_PATH];
    struct stat st;
    open_folder();
    make(path, "x");
    CHECK(strncmp(path, folder, strlen(folder)) == 0);
    CHECK_STR(path + strlen(path) - 4, ".txt");
    CHECK(stat(path, &st) == 0 && (st.st_mode & 077) == 0); /* there may be a key in it */
    unlink(path);
    setenv("TMPDIR", "", 1);
    make(path, "x");
    CHECK(strncmp(path, "/tmp/made-", 10) == 0);
    unlink(path);
    setenv("TMPDIR", "/nowhere/at all", 1);
    CHECK_INT(files_temp("made", "", path), -1);
    CHECK(strstr(path, "/nowhere/at all/made-") != NULL);
    char *long_name = calloc(1, FILES_PATH + 1);
    memset(long_name, 'x', FILES_PATH);
    setenv("TMPDIR", long_name, 1);
    CHECK_INT(files_temp("made", "", path), -1);
    free(long_name);
    rmdir(folder);
}

/* What reading it with this limit comes to. */
static void reads(const char *path, size_t limit, const char *problem, size_t len) {
    struct buf b;
    char why[FILES_WHY];
    buf_init(&b, limit);
    const char *said = files_read(path, &b, why);
    CHECK_STR(said ? said : "", problem);
    if (said == NULL) CHECK_UINT(buf_len(&b), len);
    buf_deinit(&b);
}

TEST_NOFAULT(a_file_as_a_whole_or_why_not) {
    char path[FILES_PATH];
    open_folder();
    make(path, "0123456789");
    reads(path, 0, "", 10);
    reads(path, 10, "", 10);
    reads(path, 9, "is over 9 bytes", 0);
    CHECK(truncate(path, (3 << 20) + 1) == 0);
    reads(path, 3 << 20, "is over 3 MiB", 0);
    reads(path, 4 << 20, "", (3 << 20) + 1);
    reads(folder, 0, "is not a file", 0);
    CHECK(truncate(path, 0) == 0);
    reads(path, 5, "", 0);
    unlink(path);
    reads(path, 0, "No such file or directory", 0);
    reads("/proc/self/status", 16, "is over 16 bytes", 0); /* its size is not known before */
    rmdir(folder);
}

TEST_FAULT(no_memory_for_a_file) {
    char path[FILES_PATH], why[FILES_WHY];
    struct buf b;
    open_folder();
    make(path, "0123456789");
    buf_init(&b, 0);
    const char *said = files_read(path, &b, why);
    if (buf_failed(&b)) CHECK_STR(said, "out of memory");
    else CHECK(said == NULL && buf_len(&b) == 10);
    buf_deinit(&b);
    unlink(path);
    rmdir(folder);
}

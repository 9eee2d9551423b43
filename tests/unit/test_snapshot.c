/* test_snapshot.c -- a cache in a file. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "store/snapshot.h"

static const struct slice tag = SLICE("t");

static int put(struct cache *c, const char *name, uint64_t now, uint64_t fresh) {
    return cache_put(c, &(struct cache_item){ .key = cache_key(c, slice_str(name)), .meta = SLICE("meta"),
                                              .data = slice_str(name), .tags = &tag, .tag_count = 1, .fresh_ms = fresh },
                     now);
}

static bool has(struct cache *c, const char *name, uint64_t now) {
    struct cache_entry *e = cache_get(c, cache_key(c, slice_str(name)), now);
    bool same = e != NULL && slice_eq(cache_entry_data(e), slice_str(name)) &&
                slice_eq(cache_entry_meta(e), SLICE("meta"));
    cache_entry_put(e);
    return same;
}

static void temp_path(char *path, size_t size) { snprintf(path, size, "/tmp/perilune-snapshot-%d", (int)getpid()); }

TEST(what_was_saved_is_there_again_and_older) {
    struct cache *a = cache_new(1 << 20), *b = cache_new(1 << 20);
    char path[64], err[256];
    CHECK(a != NULL && b != NULL);
    temp_path(path, sizeof(path));
    CHECK_INT(put(a, "long", 1000000, 100000), 0);
    CHECK_INT(put(a, "short", 1000000, 5000), 0);
    CHECK_INT(snapshot_save(a, path, 1001000, 7000000, err, sizeof(err)), 2);
    struct stat st;
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    /* Another machine's clock: it has run for two seconds.  The file lay around for 60. */
    CHECK_INT(snapshot_load(b, path, 2000, 7060000, err, sizeof(err)), 1); /* one is too old by now */
    CHECK_STR(err, "");
    CHECK(has(b, "long", 2000));
    CHECK(!has(b, "short", 2000));
    CHECK(has(b, "long", 2000 + 38999));
    CHECK(!has(b, "long", 2000 + 39000)); /* 1 + 60 seconds old when it was loaded */
    cache_invalidate(b, tag, 2001);
    CHECK(!has(b, "long", 2002));
    unlink(path);
    cache_free(a);
    cache_free(b);
}

TEST(a_clock_that_was_set_back_adds_nothing) {
    struct cache *a = cache_new(1 << 20), *b = cache_new(1 << 20);
    char path[64], err[256];
    CHECK(a != NULL && b != NULL);
    temp_path(path, sizeof(path));
    CHECK_INT(put(a, "x", 0, 1000), 0);
    CHECK_INT(snapshot_save(a, path, 10, 7000000, err, sizeof(err)), 1);
    CHECK_INT(snapshot_load(b, path, 0, 6000000, err, sizeof(err)), 1);
    CHECK(has(b, "x", 989));
    CHECK(!has(b, "x", 990));
    unlink(path);
    cache_free(a);
    cache_free(b);
}

/* Hundreds of caches, each with dozens of allocations: their failures are no_memory_is_said's. */
TEST_NOFAULT(a_damaged_file_is_read_up_to_the_damage) {
    struct cache *a = cache_new(1 << 20);
    char path[64], err[256], name[32], *bytes = mem_alloc(1 << 16);
    CHECK(a != NULL && bytes != NULL);
    temp_path(path, sizeof(path));
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "entry %d", i);
        CHECK_INT(put(a, name, 0, 1000), 0);
    }
    CHECK_INT(snapshot_save(a, path, 0, 0, err, sizeof(err)), 20);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    size_t len = fread(bytes, 1, 1 << 16, f);
    fclose(f);
    CHECK(len > 2000);
    for (size_t at = 0; at < len; at += 41) {
        struct cache *b = cache_new(1 << 20);
        CHECK(b != NULL);
        f = fopen(path, "wb");
        CHECK(f != NULL);
        bytes[at] ^= 0x40;
        fwrite(bytes, 1, len, f);
        bytes[at] ^= 0x40;
        fclose(f);
        long n = snapshot_load(b, path, 0, 0, err, sizeof(err));
        CHECK(n <= 20);
        for (int i = 0; i < 20; i++) { /* what is given is what was stored */
            snprintf(name, sizeof(name), "entry %d", i);
            struct cache_entry *e = cache_get(b, cache_key(b, slice_str(name)), 0);
            if (e != NULL) CHECK_SLICE(cache_entry_data(e), slice_str(name));
            cache_entry_put(e);
        }
        cache_free(b);
        f = fopen(path, "wb");
        CHECK(f != NULL);
        fwrite(bytes, 1, at, f);
        fclose(f);
        struct cache *half = cache_new(1 << 20);
        CHECK(half != NULL);
        n = snapshot_load(half, path, 0, 0, err, sizeof(err));
        CHECK(n < 20 + 1);
        CHECK(err[0] != '\0');
        cache_free(half);
    }
    unlink(path);
    mem_free(bytes);
    cache_free(a);
}

TEST(what_is_something_else_is_not_touched) {
    struct cache *a = cache_new(1 << 20);
    char path[64], err[256];
    CHECK(a != NULL);
    temp_path(path, sizeof(path));
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    fputs("my notes", f);
    fclose(f);
    CHECK_INT(snapshot_load(a, path, 0, 0, err, sizeof(err)), PERILUNE_ERR_STATE);
    CHECK(strstr(err, "neither read nor written") != NULL);
    unlink(path);
    CHECK_INT(snapshot_load(a, "/tmp", 0, 0, err, sizeof(err)), PERILUNE_ERR_STATE);
    cache_free(a);
}

TEST(a_smaller_cache_takes_what_fits) {
    struct cache *a = cache_new(1 << 20), *b = cache_new(16 * 1024);
    char path[64], err[256], name[2000];
    CHECK(a != NULL && b != NULL);
    temp_path(path, sizeof(path));
    for (int i = 0; i < 40; i++) {
        memset(name, 'x', sizeof(name));
        snprintf(name, sizeof(name), "entry %d", i);
        name[8] = 'y';
        name[i % 4 == 0 ? 1999 : 20] = '\0';
        CHECK_INT(put(a, name, 0, 1000), 0);
    }
    CHECK_INT(snapshot_save(a, path, 0, 0, err, sizeof(err)), 40);
    long n = snapshot_load(b, path, 0, 0, err, sizeof(err));
    CHECK(n >= 30 && n < 40); /* those that are larger than a shard are left out, whatever stands behind them is not */
    CHECK_STR(err, "");
    unlink(path);
    cache_free(a);
    cache_free(b);
}

/* Writes the snapshot of a cache with n entries, again and again. */
static void write_often(const char *path, int n, int times) {
    char err[256], name[64];
    struct cache *c = cache_new(1 << 20);
    int wrong = c == NULL;
    for (int i = 0; i < n && !wrong; i++) {
        snprintf(name, sizeof(name), "entry %d", i);
        wrong |= put(c, name, 0, 1000) != 0;
    }
    for (int i = 0; i < times && !wrong; i++) wrong |= snapshot_save(c, path, 0, 0, err, sizeof(err)) != n;
    cache_free(c);
    _exit(wrong);
}

TEST_NOFAULT(two_processes_may_write_one_file) {
    char path[64], err[256];
    int counts[] = { 100, 1500 }, status, failed = 0;
    pid_t pids[2];
    temp_path(path, sizeof(path));
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) write_often(path, counts[i], 60);
    }
    for (int left = 2; left > 0;) { /* what is there is always one of the two, and whole */
        struct cache *b = cache_new(1 << 20);
        long n = snapshot_load(b, path, 0, 0, err, sizeof(err));
        if ((n != 0 && n != counts[0] && n != counts[1]) || err[0] != '\0') failed++;
        cache_free(b);
        while (left > 0 && waitpid(-1, &status, WNOHANG) > 0) left--, failed += status != 0;
    }
    char temp[80];
    snprintf(temp, sizeof(temp), "%s.new", path);
    CHECK_INT(failed, 0);
    CHECK(access(temp, F_OK) != 0);
    CHECK_INT(unlink(path), 0);
}

TEST(what_a_crash_left_beside_it_is_written_over) {
    struct cache *a = cache_new(1 << 20), *b = cache_new(1 << 20);
    char path[64], temp[80], err[256];
    struct stat st;
    CHECK(a != NULL && b != NULL);
    temp_path(path, sizeof(path));
    snprintf(temp, sizeof(temp), "%s.new", path);
    FILE *f = fopen(temp, "wb");
    CHECK(f != NULL);
    for (int i = 0; i < 10000; i++) fputs("rubbish", f);
    fclose(f);
    CHECK_INT(chmod(temp, 0644), 0);
    CHECK_INT(put(a, "x", 0, 1000), 0);
    CHECK_INT(snapshot_save(a, path, 0, 0, err, sizeof(err)), 1);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    CHECK(st.st_size < 10000);
    CHECK_INT(snapshot_load(b, path, 0, 0, err, sizeof(err)), 1);
    CHECK_STR(err, "");
    unlink(path);
    CHECK_INT(mkfifo(temp, 0600), 0);
    CHECK_INT(snapshot_save(a, path, 0, 0, err, sizeof(err)), PERILUNE_ERR_IO); /* nobody reads it, and nobody waits */
    unlink(temp);
    cache_free(a);
    cache_free(b);
}

TEST(no_file_and_no_room) {
    struct cache *a = cache_new(1 << 20);
    char err[256];
    CHECK(a != NULL);
    CHECK_INT(snapshot_load(a, "/nonexistent/file", 0, 0, err, sizeof(err)), 0);
    CHECK_STR(err, "");
    CHECK_INT(snapshot_save(a, "/nonexistent/file", 0, 0, err, sizeof(err)), PERILUNE_ERR_IO);
    CHECK(strstr(err, "/nonexistent/file") != NULL);
    CHECK_INT(put(a, "x", 0, 1000), 0);
    if (access("/dev/full", W_OK) == 0) { /* a disk that is full */
        char path[64], link_path[80];
        temp_path(path, sizeof(path));
        snprintf(link_path, sizeof(link_path), "%s.new", path);
        CHECK_INT(symlink("/dev/full", link_path), 0);
        CHECK_INT(snapshot_save(a, path, 0, 0, err, sizeof(err)), PERILUNE_ERR_IO); /* nor is a link followed */
        unlink(link_path);
    }
    cache_free(a);
}

TEST_FAULT(no_memory_is_said) {
    struct cache *a = cache_new(1 << 20), *b = cache_new(1 << 20);
    char path[64], err[256];
    temp_path(path, sizeof(path));
    if (FAULTED(a) || FAULTED(b)) goto done;
    int rc = put(a, "x", 0, 1000);
    if (FAULTED(rc)) goto done;
    long n = snapshot_save(a, path, 0, 0, err, sizeof(err));
    if (FAULTED(n == 1 ? 0 : PERILUNE_ERR_NOMEM)) goto done;
    n = snapshot_load(b, path, 0, 0, err, sizeof(err));
    if (!FAULTED(n == 1 ? 0 : PERILUNE_ERR_NOMEM)) CHECK_INT(n, 1);
done:
    unlink(path);
    cache_free(a);
    cache_free(b);
}

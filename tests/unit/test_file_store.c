/* test_file_store.c -- files of clients in a folder: whose they are, which there are, and when they go. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/file_store.h"

struct world {
    char                 folder[64];
    struct file_settings s;
    struct rng           rng;
};

static void begin(struct world *w) {
    snprintf(w->folder, sizeof(w->folder), "/tmp/perilune-files-XXXXXX");
    CHECK(mkdtemp(w->folder) != NULL);
    w->s = (struct file_settings){ .folder = w->folder, .keep_ms = 1000, .most = 4 };
    rng_seed(&w->rng, 7);
}

static void end(struct world *w) {
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", w->folder);
    CHECK_INT(system(command), 0);
}

/* A file of the tenant's, made at this second. */
static int put(struct world *w, const char *tenant, uint64_t now_s, uint64_t expires_s, struct file_facts *f) {
    char path[FILE_PATH_SIZE];
    int rc = file_make_room(&w->s, slice_str(tenant), 3, now_s);
    if (rc != 0) return rc;
    *f = (struct file_facts){ .bytes = 3, .created_s = now_s, .expires_s = expires_s };
    snprintf(f->name, sizeof(f->name), "a \"b\".jsonl");
    snprintf(f->purpose, sizeof(f->purpose), "batch");
    file_id_new(now_s * 1000, &w->rng, f->id);
    file_path(&w->s, slice_str(tenant), f->id, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && write(fd, "abc", 3) == 3);
    close(fd);
    return file_commit(&w->s, slice_str(tenant), f);
}

TEST(a_file_is_its_tenants_and_nobody_elses) {
    struct world w;
    struct file_facts f, g;
    begin(&w);
    CHECK_INT(put(&w, "acme", 100, 0, &f), 0);
    CHECK_INT(file_find(&w.s, SLICE("acme"), slice_str(f.id), 100, &g), 0);
    CHECK_STR(g.name, "a \"b\".jsonl");
    CHECK_STR(g.purpose, "batch");
    CHECK_UINT(g.bytes, 3);
    CHECK_UINT(g.created_s, 100);
    CHECK_INT(file_find(&w.s, SLICE("other"), slice_str(f.id), 100, &g), FILE_NOT_FOUND);
    CHECK_INT(file_remove(&w.s, SLICE("other"), slice_str(f.id), 100), FILE_NOT_FOUND);
    CHECK_INT(file_list(&w.s, SLICE("other"), &(struct file_filter){ .oldest_first = false }, 100, &g, 1), 0);
    CHECK_INT(file_remove(&w.s, SLICE("acme"), slice_str(f.id), 100), 0);
    CHECK_INT(file_find(&w.s, SLICE("acme"), slice_str(f.id), 100, &g), FILE_NOT_FOUND);
    end(&w);
}

TEST(names_that_would_lead_out_of_the_folder) {
    struct world w;
    struct file_facts f;
    begin(&w);
    CHECK_INT(put(&w, "../../../etc", 100, 0, &f), 0); /* a tenant may be called so */
    CHECK_INT(file_find(&w.s, SLICE("../../../etc"), slice_str(f.id), 100, &f), 0);
    static const char *const ids[] = { "", "file-", "../../../etc/passwd", "file-../../../../../../../etc/passwd0",
                                       "file-0123456789ABCDEF0123456789abcdef", "file-0123456789abcdef0123456789abcde/",
                                       "file-0123456789abcdef0123456789abcdef.json" };
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        CHECK(!file_id_is(slice_str(ids[i])));
        CHECK_INT(file_find(&w.s, SLICE("acme"), slice_str(ids[i]), 100, &f), FILE_NOT_FOUND);
    }
    end(&w);
}

TEST(the_newest_come_first_and_pages_follow) {
    struct world w;
    struct file_facts f[3], page[2];
    begin(&w);
    for (int i = 0; i < 3; i++) CHECK_INT(put(&w, "acme", 100 + (uint64_t)i, 0, &f[i]), 0);
    int n = file_list(&w.s, SLICE("acme"), &(struct file_filter){ .oldest_first = false }, 200, page, 2);
    CHECK_INT(n, 2);
    CHECK_STR(page[0].id, f[2].id);
    CHECK_STR(page[1].id, f[1].id);
    CHECK_INT(file_list(&w.s, SLICE("acme"), &(struct file_filter){ .after = slice_str(f[1].id) }, 200, page, 2), 1);
    CHECK_STR(page[0].id, f[0].id);
    end(&w);
}

TEST(what_has_expired_is_not_there_and_makes_room) {
    struct world w;
    struct file_facts f, g;
    char path[FILE_PATH_SIZE];
    begin(&w);
    for (int i = 0; i < 4; i++) CHECK_INT(put(&w, "acme", 100, i < 2 ? 150 : 0, &f), 0);
    CHECK_INT(put(&w, "acme", 149, 0, &f), FILE_TOO_MANY);
    CHECK_INT(put(&w, "acme", 150, 0, &f), 0);
    struct file_facts all[8];
    CHECK_INT(file_list(&w.s, SLICE("acme"), &(struct file_filter){ .oldest_first = false }, 150, all, 8), 3);
    CHECK_INT(put(&w, "other", 100, 101, &g), 0); /* others have room of their own */
    CHECK_INT(file_find(&w.s, SLICE("other"), slice_str(g.id), 101, &f), FILE_NOT_FOUND);
    file_path(&w.s, SLICE("other"), g.id, path);
    CHECK_INT(access(path, F_OK), 0); /* until somebody needs the room */
    end(&w);
}

/* A file that expires among many that do not is found without looking into all of them each time. */
TEST_NOFAULT(room_is_made_by_few_looks_at_a_time) {
    struct world w;
    struct file_facts f;
    begin(&w);
    w.s.most = 100;
    for (int i = 0; i < 100; i++) CHECK_INT(put(&w, "acme", 100, i == 50 ? 150 : 0, &f), 0);
    CHECK_INT(put(&w, "acme", 149, 0, &f), FILE_TOO_MANY);
    uint64_t now = 150;
    while (now < 160 && put(&w, "acme", now, 0, &f) == FILE_TOO_MANY) now++;
    CHECK(now < 160);
    CHECK_INT(put(&w, "acme", now, 0, &f), FILE_TOO_MANY); /* it has given room once */
    end(&w);
}

TEST(content_that_was_never_told_is_no_file_and_goes_after_days) {
    struct world w;
    struct file_facts f, g;
    char path[FILE_PATH_SIZE], told[FILE_PATH_SIZE + 8];
    struct stat st;
    begin(&w);
    CHECK_INT(put(&w, "acme", 100, 0, &f), 0);
    file_path(&w.s, SLICE("acme"), f.id, path);
    snprintf(told, sizeof(told), "%s.json", path);
    CHECK_INT(unlink(told), 0);
    CHECK_INT(file_find(&w.s, SLICE("acme"), slice_str(f.id), 100, &g), FILE_NOT_FOUND);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(file_make_room(&w.s, SLICE("acme"), 3, (uint64_t)st.st_mtime + 86400), 0);
    CHECK_INT(access(path, F_OK), 0);
    CHECK_INT(file_make_room(&w.s, SLICE("acme"), 3, (uint64_t)st.st_mtime + 4 * 86400), 0);
    CHECK_INT(access(path, F_OK), -1);
    end(&w);
}

TEST(a_damaged_description_is_no_file) {
    struct world w;
    struct file_facts f;
    char path[FILE_PATH_SIZE], told[FILE_PATH_SIZE + 8];
    begin(&w);
    CHECK_INT(put(&w, "acme", 100, 0, &f), 0);
    file_path(&w.s, SLICE("acme"), f.id, path);
    snprintf(told, sizeof(told), "%s.json", path);
    FILE *to = fopen(told, "w");
    CHECK(to != NULL && fputs("{\"bytes\":", to) >= 0 && fclose(to) == 0);
    CHECK_INT(file_find(&w.s, SLICE("acme"), slice_str(f.id), 100, &f), FILE_NOT_FOUND);
    end(&w);
}

/* -- Power cuts --------------------------------------------------------------------------------- */

static struct {
    const struct world *w;
    struct file_facts   f;
    char                order[64]; /* m: what it is; t: the tenant's folder; f: the folder of all; capital: told by then */
    int                 fails_at;  /* the n-th refuses; 0: none */
} disk;

static int watched_sync(int fd) {
    char link[64], path[4400], told[4400];
    struct stat st;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    CHECK(n > 0 && fstat(fd, &st) == 0);
    path[n] = '\0';
    file_path(&disk.w->s, SLICE("acme"), disk.f.id, told);
    strcat(told, ".json");
    bool is_told = access(told, F_OK) == 0;
    char what = S_ISREG(st.st_mode) ? 'm' : strcmp(path, disk.w->folder) == 0 ? 'f' : 't';
    size_t at = strlen(disk.order);
    disk.order[at] = is_told ? (char)(what - 'a' + 'A') : what;
    if (disk.fails_at == (int)at + 1) {
        errno = EIO;
        return -1;
    }
    return fsync(fd);
}

/* What it is before it is told, and its name before anybody hears of it. */
TEST(a_file_that_was_told_outlives_a_power_cut) {
    struct world w;
    struct file_facts g;
    char path[FILE_PATH_SIZE];
    begin(&w);
    for (int fails = 0; fails <= 3; fails++) {
        memset(&disk, 0, sizeof(disk));
        disk.w = &w;
        disk.fails_at = fails;
        CHECK_INT(file_make_room(&w.s, SLICE("acme"), 3, 100), 0);
        disk.f = (struct file_facts){ .bytes = 0, .created_s = 100 };
        file_id_new(100000 + (uint64_t)fails, &w.rng, disk.f.id);
        file_path(&w.s, SLICE("acme"), disk.f.id, path);
        close(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
        w.s.sync = watched_sync;
        errno = 0;
        int rc = file_commit(&w.s, SLICE("acme"), &disk.f);
        int why = errno;
        w.s.sync = NULL;
        CHECK_STR(disk.order, fails == 1 ? "m" : fails == 2 ? "mT" : "mTF");
        CHECK_INT(rc, fails == 0 ? 0 : PERILUNE_ERR_IO);
        if (fails > 0) CHECK_INT(why, EIO);
        CHECK_INT(file_find(&w.s, SLICE("acme"), slice_str(disk.f.id), 100, &g), fails == 0 ? 0 : FILE_NOT_FOUND);
    }
    end(&w);
}

TEST(bytes_of_a_tenant_are_bounded_and_no_others_pay) {
    struct world w;
    struct file_facts f;
    begin(&w);
    w.s.most_bytes = 7;
    CHECK_INT(put(&w, "acme", 100, 0, &f), 0);
    CHECK_INT(put(&w, "acme", 101, 0, &f), 0);
    CHECK_INT(file_over_quota(&w.s, SLICE("acme")), 0);
    CHECK_INT(put(&w, "acme", 102, 0, &f), FILE_TOO_MUCH);
    CHECK_INT(file_make_room(&w.s, SLICE("acme"), UINT64_MAX, 102), FILE_TOO_MUCH);
    CHECK_INT(put(&w, "other", 102, 0, &f), 0);
    w.s.most_bytes = 5; /* two that came at once */
    CHECK_INT(file_over_quota(&w.s, SLICE("acme")), FILE_TOO_MUCH);
    w.s.most_bytes = 0;
    CHECK_INT(put(&w, "acme", 103, 0, &f), 0);
    end(&w);
}

TEST(a_list_is_of_one_purpose_and_in_either_order) {
    struct world w;
    struct file_facts f[6], page[6];
    begin(&w);
    w.s.most = 10;
    for (int i = 0; i < 6; i++) {
        CHECK_INT(put(&w, "acme", 100 + (uint64_t)i, 0, &f[i]), 0);
        snprintf(f[i].purpose, sizeof(f[i].purpose), "%s", i % 2 ? "batch_output" : "batch");
        f[i].lines = (uint64_t)i;
        CHECK_INT(file_commit(&w.s, SLICE("acme"), &f[i]), 0);
    }
    struct file_filter which = { .purpose = SLICE("batch_output") };
    CHECK_INT(file_list(&w.s, SLICE("acme"), &which, 200, page, 6), 3);
    CHECK_STR(page[0].id, f[5].id);
    CHECK_STR(page[2].id, f[1].id);
    CHECK_UINT(page[0].lines, 5);
    which.oldest_first = true;
    CHECK_INT(file_list(&w.s, SLICE("acme"), &which, 200, page, 2), 2);
    CHECK_STR(page[0].id, f[1].id);
    CHECK_STR(page[1].id, f[3].id);
    which.after = slice_str(f[3].id);
    CHECK_INT(file_list(&w.s, SLICE("acme"), &which, 200, page, 6), 1);
    CHECK_STR(page[0].id, f[5].id);
    which.purpose = SLICE("zzz");
    CHECK_INT(file_list(&w.s, SLICE("acme"), &which, 200, page, 6), 0);
    which = (struct file_filter){ .oldest_first = true };
    CHECK_INT(file_list(&w.s, SLICE("acme"), &which, 200, page, 6), 6);
    CHECK_STR(page[0].id, f[0].id);
    end(&w);
}

/* test_upload.c -- files on their way to the disk: several at once, and a disk that refuses. */
#include "gateway/upload.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "include/perilune.h"
#include "unit.h"

struct waiting {
    struct upload *upload;
    bool           over;
    int            rc, why;
};

static char folder[64];

static void on_done(void *ud, int rc) {
    struct waiting *w = ud;
    w->why = errno;
    w->rc = rc;
    w->over = true;
}

static void begin(struct waiting *w, struct loop *loop, const struct file_settings *s, struct rng *rng, size_t bytes) {
    struct file_facts f = { .created_s = 1000, .name = "a", .purpose = "batch" };
    struct buf body;
    buf_init(&body, 0);
    for (size_t i = 0; i < bytes; i++) buf_putc(&body, 'x');
    file_id_new(1000000, rng, f.id);
    struct upload_options opt = { .loop = loop, .files = s, .tenant = SLICE("acme"), .facts = &f, .body = &body,
                                  .content = buf_get(&body), .done = on_done, .ud = w };
    *w = (struct waiting){ .rc = -1 };
    w->upload = upload_new(&opt);
    CHECK(w->upload != NULL);
}

static void wait_for(struct loop *loop, const struct waiting *w) {
    while (!w->over) uv_run(&loop->uv, UV_RUN_ONCE);
}

static struct file_settings open_folder(unsigned most) {
    snprintf(folder, sizeof(folder), "/tmp/perilune-upload-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    struct file_settings s = { .folder = folder, .most = most };
    CHECK_INT(file_make_room(&s, SLICE("acme"), 100, 1000), 0);
    return s;
}

static void close_folder(void) {
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", folder);
    CHECK_INT(system(command), 0);
}

static int count_files(const struct file_settings *s) {
    struct file_facts all[8];
    return file_list(s, SLICE("acme"), &(struct file_filter){ .oldest_first = false }, 1000, all, 8);
}

/* Of all that lies in the tenant's folder, told or not. */
static int count_names(void) {
    char command[128];
    int n = -1;
    snprintf(command, sizeof(command), "find %s -type f | wc -l", folder);
    FILE *p = popen(command, "r");
    CHECK(p != NULL && fscanf(p, "%d", &n) == 1);
    pclose(p);
    return n;
}

TEST_NOFAULT(several_at_once_are_no_more_than_may_be) {
    struct file_settings s = open_folder(2);
    struct loop loop;
    struct rng rng;
    struct waiting w[4];
    int good = 0;
    CHECK_INT(loop_init(&loop), 0);
    rng_seed(&rng, 1);
    for (int i = 0; i < 4; i++) begin(&w[i], &loop, &s, &rng, 100); /* each of them sees room */
    for (int i = 0; i < 4; i++) {
        wait_for(&loop, &w[i]);
        good += w[i].rc == 0;
        if (w[i].rc != 0) CHECK_INT(w[i].rc, FILE_TOO_MANY);
    }
    CHECK_INT(good, 2);
    CHECK_INT(count_files(&s), 2);
    loop_deinit(&loop);
    close_folder();
}

TEST_NOFAULT(a_disk_that_refuses_is_quoted) {
    struct file_settings s = open_folder(2);
    struct loop loop;
    struct rng rng;
    struct waiting w;
    struct rlimit limit = { 4096, 4096 };
    CHECK_INT(loop_init(&loop), 0);
    rng_seed(&rng, 1);
    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    begin(&w, &loop, &s, &rng, 10000);
    wait_for(&loop, &w);
    CHECK_INT(w.rc, PERILUNE_ERR_IO);
    CHECK_INT(w.why, EFBIG);
    CHECK_INT(count_files(&s), 0);
    loop_deinit(&loop);
    close_folder();
}

/* Told, or not there: whoever leaves at any moment leaves no file behind. */
TEST_NOFAULT(who_leaves_leaves_nothing) {
    struct file_settings s = open_folder(8);
    struct loop loop;
    struct rng rng;
    CHECK_INT(loop_init(&loop), 0);
    rng_seed(&rng, 1);
    for (int turns = 0; turns < 6; turns++) {
        struct waiting w;
        begin(&w, &loop, &s, &rng, 100);
        for (int i = 0; i < turns && !w.over; i++) uv_run(&loop.uv, UV_RUN_ONCE);
        if (w.over) break;
        upload_leave(w.upload);
        while (uv_loop_alive(&loop.uv)) uv_run(&loop.uv, UV_RUN_ONCE);
        CHECK_INT(count_files(&s), 0);
        CHECK_INT(count_names(), 0);
    }
    loop_deinit(&loop);
    close_folder();
}

TEST_NOFAULT(more_bytes_than_a_tenant_may_have) {
    struct file_settings s = open_folder(8);
    struct loop loop;
    struct rng rng;
    struct waiting w;
    CHECK_INT(loop_init(&loop), 0);
    rng_seed(&rng, 1);
    s.most_bytes = 150;
    begin(&w, &loop, &s, &rng, 100);
    wait_for(&loop, &w);
    CHECK_INT(w.rc, 0);
    begin(&w, &loop, &s, &rng, 100);
    wait_for(&loop, &w);
    CHECK_INT(w.rc, FILE_TOO_MUCH);
    CHECK_INT(count_files(&s), 1);
    loop_deinit(&loop);
    close_folder();
}

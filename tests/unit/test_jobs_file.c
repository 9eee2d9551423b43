/* test_jobs_file.c -- jobs in a file: what can be wrong with it, other processes, and the end of ours. */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "jobs/file_sql.h"
#include "jobs_world.h"

/* -- A world that is closed and opened again ------------------------------------------ */

static void leave(struct world *w) { /* the file stays */
    jobs_close(w->jobs);
    jobs_store_close(w->store);
    w->jobs = NULL;
    w->store = NULL;
}

static void come_back(struct world *w) {
    open_store(w, NULL);
    w->jobs = jobs_open(w->store, &w->loop);
    CHECK(w->jobs != NULL);
}

/* What opening says; "" when it opens. */
static const char *try_again(struct world *w) {
    static char why[700];
    why[0] = '\0';
    if (try_open(w, NULL, why) != 0) return why;
    jobs_store_close(w->store);
    w->store = NULL;
    return "";
}

static void gone(struct world *w) {
    loop_deinit(&w->loop);
    remove_folder(w);
}

static void sql(const char *path, const char *text) {
    sqlite3 *db;
    CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    char *message = NULL;
    int rc = sqlite3_exec(db, text, NULL, NULL, &message);
    NOTE("%s", message ? message : "");
    CHECK_INT(rc, SQLITE_OK);
    sqlite3_close(db);
}

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    fputs(text, f);
    fclose(f);
}

TEST_NOFAULT(jobs_are_there_after_a_restart) {
    struct world w;
    begin(&w, DATABASE);
    CHECK_INT(submit(&w, a_job("acme", "x")), 0);
    CHECK_INT(take(&w, 1), 0);
    uint64_t lease = reply.jobs[0].lease;
    CHECK_INT(append(&w, last_id, lease, "", "data: 1\n\n"), 0);
    CHECK_INT(submit(&w, a_job("acme", "y")), 0);
    char second[JOB_ID_SIZE];
    memcpy(second, last_id, sizeof(second));
    leave(&w);
    come_back(&w);
    CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_LIST, .status = JOB_RUNNING, .count = 9 }), 0);
    CHECK_UINT(reply.count, 1); /* the machine runs on: so do leases */
    char id[JOB_ID_SIZE];
    memcpy(id, reply.jobs[0].id, sizeof(id));
    CHECK_INT(finish(&w, id, lease, an_end(JOB_COMPLETED, "r", ""), 0), 0);
    CHECK_STR(take_bodies(&w, 9), "y");
    CHECK_STR(reply.jobs[0].id, second);
    done_asking();
    leave(&w);
    gone(&w);
}

/* Prompts and answers are nobody else's business, whatever the process' umask says. */
TEST_NOFAULT(only_its_owner_may_read_it) {
    static const char *const ends[] = { "", "-wal", "-shm" };
    struct world w;
    struct stat st;
    char path[128];
    mode_t old = umask(0);
    begin(&w, DATABASE);
    umask(old);
    CHECK_INT(submit(&w, a_job("acme", "x")), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", w.path, ends[i]);
        CHECK_INT(stat(path, &st), 0);
        CHECK_UINT(st.st_mode & 0777, 0600);
    }
    done_asking();
    end(&w);
}

TEST_NOFAULT(after_a_boot_all_leases_are_over) {
    struct world w;
    begin(&w, DATABASE);
    struct job j = a_job("acme", "x");
    j.max_tries = 2;
    CHECK_INT(submit(&w, j), 0);
    CHECK_INT(take(&w, 1), 0);
    leave(&w);
    sql(w.path, "UPDATE meta SET value = 'another' WHERE name = 'boot'");
    steady = 17; /* a clock that begins anew */
    come_back(&w);
    for (int i = 0; i < 100 && (take(&w, 1) != 0 || reply.count == 0); i++) turn(&w);
    CHECK_UINT(reply.count, 1);
    CHECK_UINT(reply.jobs[0].tries, 2);
    done_asking();
    leave(&w);
    gone(&w);
}

TEST_NOFAULT(files_that_are_not_ours) {
    struct world w;
    begin(&w, DATABASE);
    leave(&w);
    CHECK_STR(try_again(&w), "");

    sql(w.path, "PRAGMA user_version = 99");
    CHECK(strstr(try_again(&w), "made by another version") != NULL);
    unlink(w.path);
    sql(w.path, "CREATE TABLE accounts(a)");
    CHECK(strstr(try_again(&w), "database of something else") != NULL);
    sqlite3 *db;
    sqlite3_open(w.path, &db);
    char **cells;
    int rows, columns;
    CHECK_INT(sqlite3_get_table(db, "PRAGMA journal_mode", &cells, &rows, &columns, NULL), SQLITE_OK);
    CHECK_STR(cells[1], "delete"); /* it was not touched */
    sqlite3_free_table(cells);
    sqlite3_close(db);

    write_text(w.path, "this is no database, and longer than the head of one: .................................."
                       "........................................................................................");
    CHECK(strstr(try_again(&w), "damaged, or no database") != NULL);
    unlink(w.path);
    CHECK_INT(mkdir(w.path, 0700), 0);
    CHECK(strstr(try_again(&w), "must be there, and writable") != NULL);
    rmdir(w.path);
    char path[sizeof(w.path)];
    memcpy(path, w.path, sizeof(path));
    snprintf(w.path, sizeof(w.path), "%s/no/jobs.db", w.folder);
    CHECK(strstr(try_again(&w), "must be there, and writable") != NULL);
    w.path[0] = '\0';
    CHECK(strstr(try_again(&w), "no name of a file") != NULL);
    memcpy(w.path, path, sizeof(path));
    gone(&w);
}

/* What `perilune check` asks makes nothing, and says the same. */
TEST_NOFAULT(a_file_is_looked_at_without_being_opened) {
    struct world w;
    char why[700] = "", beside[128];
    begin(&w, DATABASE);
    for (int i = 0; i < 200; i++) CHECK_INT(submit(&w, a_job("acme", "a body")), 0);
    CHECK_INT(jobs_file_check(w.path, why, sizeof(why)), 0); /* while it is in use */
    leave(&w);
    CHECK_INT(jobs_file_check(w.path, why, sizeof(why)), 0);
    snprintf(beside, sizeof(beside), "%s-shm", w.path);
    CHECK(access(beside, F_OK) != 0);
    int fd = open(w.path, O_RDWR);
    char noise[4096];
    memset(noise, 0xA5, sizeof(noise));
    for (int page = 3; page < 12; page++) CHECK(pwrite(fd, noise, sizeof(noise), page * 4096) > 0);
    close(fd);
    CHECK_INT(jobs_file_check(w.path, why, sizeof(why)), PERILUNE_ERR_IO);
    CHECK(strstr(why, "damaged") != NULL);
    unlink(w.path);
    sql(w.path, "CREATE TABLE accounts(a)");
    CHECK_INT(jobs_file_check(w.path, why, sizeof(why)), PERILUNE_ERR_IO);
    CHECK(strstr(why, "database of something else") != NULL);
    done_asking();
    gone(&w);
}

TEST_NOFAULT(a_damaged_file_is_refused) {
    struct world w;
    begin(&w, DATABASE);
    for (int i = 0; i < 200; i++) CHECK_INT(submit(&w, a_job("acme", "a body")), 0);
    leave(&w);
    int fd = open(w.path, O_RDWR);
    char noise[4096];
    memset(noise, 0xA5, sizeof(noise));
    for (int page = 3; page < 12; page++) CHECK(pwrite(fd, noise, sizeof(noise), page * 4096) > 0);
    close(fd);
    const char *why = try_again(&w);
    NOTE("%s", why);
    CHECK(strstr(why, "damaged") != NULL);
    done_asking();
    gone(&w);
}

TEST_NOFAULT(a_file_that_is_read_only) {
    struct world w;
    begin(&w, DATABASE);
    leave(&w);
    chmod(w.path, 0400);
    chmod(w.folder, 0500);
    if (geteuid() == 0) CHECK_INT(seteuid(65534), 0); /* root may write to all */
    const char *why = try_again(&w);
    if (getuid() == 0) CHECK_INT(seteuid(0), 0);
    NOTE("%s", why);
    CHECK(strstr(why, "writable by who runs this program") != NULL);
    chmod(w.folder, 0700);
    gone(&w);
}

/* -- Faults while it is open ------------------------------------------ */

TEST_NOFAULT(a_file_that_is_removed_is_not_written_to) {
    struct world w;
    char away[128];
    begin(&w, DATABASE);
    snprintf(away, sizeof(away), "%s.away", w.path);
    CHECK_INT(submit(&w, a_job("acme", "x")), 0);
    CHECK_INT(rename(w.path, away), 0);
    CHECK_INT(submit(&w, a_job("acme", "y")), PERILUNE_ERR_IO);
    CHECK(strstr(reply.why, "removed or replaced") != NULL);
    write_text(w.path, "");
    CHECK_INT(submit(&w, a_job("acme", "y")), PERILUNE_ERR_IO);
    CHECK_INT(rename(away, w.path), 0);
    CHECK_INT(submit(&w, a_job("acme", "y")), 0);
    CHECK_STR(take_bodies(&w, 9), "xy");
    done_asking();
    leave(&w);
    gone(&w);
}

TEST_NOFAULT(a_file_that_is_full_has_room_again) {
    struct world w;
    struct jobs_settings s;
    jobs_settings_init(&s);
    s.max_bytes = 1 << 20;
    s.keep_ms = 1000;
    begin_with(&w, DATABASE, NULL, &s);
    static char large[100001];
    memset(large, 'x', 100000);
    int rc = 0, accepted = 0;
    while (accepted < 100 && (rc = submit(&w, a_job("", large))) == 0) accepted++;
    CHECK_INT(rc, JOBS_IS_FULL);
    CHECK(accepted > 5 && accepted < 15);
    CHECK(strstr(reply.why, "1048576") != NULL);
    for (int i = 0; i < accepted; i++) { /* what was accepted can be done */
        CHECK_INT(take(&w, 1), 0);
        CHECK_UINT(reply.count, 1);
        struct job j = reply.jobs[0];
        CHECK_INT(finish(&w, j.id, j.lease, an_end(JOB_COMPLETED, "small", ""), 0), 0);
    }
    pass(&w, 1001);
    for (int i = 0; i < 200 && (rc = submit(&w, a_job("", large))) != 0; i++) turn(&w);
    CHECK_INT(rc, 0);
    done_asking();
    end(&w);
}

/* The disk: a limit of the process for the size of files, which is an error of writing like any other. */
TEST_NOFAULT(a_disk_that_is_full_has_room_again) {
    struct world w;
    begin(&w, DATABASE);
    CHECK_INT(submit(&w, a_job("acme", "x")), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 300000;
    setrlimit(RLIMIT_FSIZE, &small);
    static char large[200001];
    memset(large, 'x', 200000);
    int rc = 0, accepted = 1;
    while (accepted < 50 && (rc = submit(&w, a_job("acme", large))) == 0) accepted++;
    CHECK_INT(rc, PERILUNE_ERR_IO);
    NOTE("%s", reply.why);
    CHECK(strstr(reply.why, "room") != NULL || strstr(reply.why, "disk") != NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    rc = PERILUNE_ERR_IO;
    for (int i = 0; i < 100 && rc != 0; i++) {
        turn(&w);
        rc = submit(&w, a_job("acme", "after"));
    }
    CHECK_INT(rc, 0);
    CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_LIST, .status = -1, .count = 60 }), 0);
    CHECK_INT((int)reply.count, accepted + 1); /* neither lost nor doubled */
    done_asking();
    end(&w);
}

static atomic_uint faults_said, ends_said;

static void listen_to(void *ud, int level, perilune_str line) {
    char text[512];
    (void)ud;
    snprintf(text, sizeof(text), "%.*s", (int)line.len, line.ptr);
    if (strstr(text, "is written again") != NULL) atomic_fetch_add(&ends_said, 1);
    else if (level == PERILUNE_LOG_ERROR) atomic_fetch_add(&faults_said, 1);
}

/* That a fault is over is told when it stayed so for a while, and not as soon as it was told. */
TEST_NOFAULT(a_lock_of_somebody_else_is_waited_for) {
    struct world w;
    struct log log = { .write = listen_to, .level = PERILUNE_LOG_INFO };
    struct jobs_settings s;
    jobs_settings_init(&s);
    s.log = &log;
    begin_with(&w, DATABASE, NULL, &s);
    sqlite3 *other;
    CHECK_INT(sqlite3_open(w.path, &other), SQLITE_OK);
    CHECK_INT(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct job j = a_job("acme", "x");
    struct jobs_ask q = { .verb = JOBS_SUBMIT, .job = &j, .within_ms = 100 };
    CHECK_INT(ask(&w, &q), PERILUNE_ERR_TIMEOUT);
    CHECK_INT(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(submit(&w, j), 0);
    CHECK_INT(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(submit(&w, j), PERILUNE_ERR_IO); /* five seconds later */
    CHECK(strstr(reply.why, "another program holds a lock") != NULL);
    sqlite3_close(other);
    CHECK_INT(submit(&w, j), 0);
    CHECK_UINT(atomic_load(&faults_said), 1);
    CHECK_UINT(atomic_load(&ends_said), 0);
    done_asking();
    end(&w);
}

/* Both wait while the file is locked, and the second is given up meanwhile. */
TEST_NOFAULT(a_piece_of_a_stream_that_is_given_up_takes_no_other_with_it) {
    struct world w;
    struct reply held = { .rc = 0 }, one = { .rc = 0 }, two = { .rc = 0 };
    sqlite3 *other;
    begin(&w, DATABASE);
    struct job j = a_job("acme", "x");
    CHECK_INT(submit(&w, j), 0);
    CHECK_INT(take(&w, 1), 0);
    struct jobs_ask piece = { .verb = JOBS_APPEND, .id = slice_str(last_id), .lease = reply.jobs[0].lease,
                              .event = { 0, SLICE(""), SLICE("1") } };
    CHECK_INT(sqlite3_open(w.path, &other), SQLITE_OK);
    CHECK_INT(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    CHECK_INT(jobs_begin(w.jobs, &held.op, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j }, answered), 0);
    usleep(100000); /* now the thread waits with it */
    CHECK_INT(jobs_begin(w.jobs, &one.op, &piece, answered), 0);
    piece.event.data = SLICE("2");
    CHECK_INT(jobs_begin(w.jobs, &two.op, &piece, answered), 0);
    jobs_cancel(&two.op);
    CHECK_INT(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    while (!one.done) turn(&w);
    CHECK_INT(one.rc, 0);
    CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .count = 9 }), 0);
    CHECK_UINT(reply.count, 1);
    CHECK_SLICE(reply.events[0].data, SLICE("1"));
    arena_deinit(&held.texts);
    arena_deinit(&one.texts);
    done_asking();
    end(&w);
}

/* The disk was slow, and who took is not there any more when they are his: they have used no try. */
TEST_NOFAULT(what_nobody_hears_that_he_took_is_given_back) {
    for (int closes = 0; closes < 2; closes++) {
        struct world w;
        struct reply lost = { .rc = 0 };
        sqlite3 *other;
        begin(&w, DATABASE);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(sqlite3_open(w.path, &other), SQLITE_OK);
        CHECK_INT(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        CHECK_INT(jobs_begin(w.jobs, &lost.op, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 5, .lease_ms = 60000,
                                                                   .within_ms = 100 }, answered), 0);
        while (!lost.done) turn(&w);
        CHECK_INT(lost.rc, PERILUNE_ERR_TIMEOUT);
        if (closes) jobs_close(w.jobs);
        CHECK_INT(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(other);
        if (closes) {
            jobs_store_close(w.store);
            come_back(&w);
        } else {
            w.due = 0;
            await(&w, &w.due);
        }
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(reply.jobs[0].status, JOB_QUEUED);
        CHECK_UINT(reply.jobs[0].tries, 0);
        CHECK_STR(take_bodies(&w, 5), "x");
        CHECK_UINT(reply.jobs[0].tries, 1);
        done_asking();
        end(&w);
    }
}

/* -- Two processes on one file ------------------------------------------ */

TEST_NOFAULT(two_stores_on_one_file) { /* as two processes would: each has a connection of its own */
    struct world a, b;
    begin(&a, DATABASE);
    b = a;
    CHECK_INT(loop_init(&b.loop), 0);
    come_back(&b);
    b.jobs->ud = &b;
    b.jobs->due = due;
    struct job j = a_job("acme", "x");
    j.max_tries = 3;
    CHECK_INT(submit(&a, j), 0);
    await(&b, &b.due); /* it noticed */
    CHECK_INT(take(&b, 9), 0);
    CHECK_UINT(reply.count, 1);
    uint64_t lease = reply.jobs[0].lease;
    CHECK_STR(take_bodies(&a, 9), "");
    pass(&a, 900);
    CHECK_INT(beat(&b, last_id, lease), 0);
    pass(&a, 900);
    CHECK_STR(take_bodies(&a, 9), ""); /* its lease is respected */
    CHECK_INT(cancel(&a, last_id, SLICE("acme")), 0);
    CHECK_INT(beat(&b, last_id, lease), JOBS_WAS_CANCELED);
    CHECK_INT(get(&a, last_id), 0);
    CHECK_INT(reply.jobs[0].status, JOB_CANCELED);
    j.key = SLICE("k");
    CHECK_INT(submit(&a, j), 0);
    CHECK_INT(submit(&b, j), 0);
    CHECK(reply.existed);
    struct jobs_limits l = { .max_kept = 3 };
    jobs_store_limit(a.store, &l);
    jobs_store_limit(b.store, &l);
    j.key = SLICE("");
    CHECK_INT(submit(&b, j), 0);
    CHECK_INT(submit(&a, j), JOBS_QUOTA); /* counts are the file's */
    done_asking();
    leave(&b);
    loop_deinit(&b.loop);
    end(&a);
}

/* What is counted is what there is. */
static void check_counts(const char *path) {
    sqlite3 *db;
    char **rows, **counts;
    int n = 0, m = 0, columns = 0;
    CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK); /* both as of one moment: leases run out meanwhile */
    CHECK_INT(sqlite3_get_table(db, "SELECT 'q' || queue, sum(state % 5 = 0), sum(state = 1), sum(state = 2),"
              " sum(state = 3), sum(state = 4) FROM jobs GROUP BY 1 UNION SELECT 't' || tenant, sum(state % 5 = 0),"
              " sum(state = 1), sum(state = 2), sum(state = 3), sum(state = 4) FROM jobs GROUP BY 1 ORDER BY 1",
              &rows, &n, &columns, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_get_table(db, "SELECT name, n0, n1, n2, n3, n4 FROM counts ORDER BY name", &counts, &m, &columns,
                                NULL), SQLITE_OK);
    CHECK_INT(m, n);
    for (int i = 6; i < 6 * (n + 1); i++) CHECK_STR(counts[i], rows[i]);
    sqlite3_free_table(rows);
    sqlite3_free_table(counts);
    sqlite3_close(db);
}

/* A hint that another process wrote is for who watches; what was counted before is forgotten all the same. */
TEST_NOFAULT(counts_are_right_after_another_process_was_noticed) {
    struct world a, b;
    begin(&a, DATABASE);
    b = a;
    CHECK_INT(loop_init(&b.loop), 0);
    come_back(&b);
    b.jobs->ud = &b;
    b.jobs->due = due;
    for (int i = 0; i < 4; i++) CHECK_INT(submit(&a, a_job("acme", "x")), 0);
    CHECK_INT(take(&b, 3), 0);
    struct job got[3];
    memcpy(got, reply.jobs, sizeof(got));
    for (int i = 0; i < 3; i++)
        CHECK_INT(finish(&b, got[i].id, got[i].lease, an_end(JOB_COMPLETED, "r", ""), 0), 0);
    a.due = 0;
    await(&a, &a.due); /* it looked around, and has nothing to write yet */
    CHECK_INT(take(&a, 1), 0);
    got[0] = reply.jobs[0];
    CHECK_INT(finish(&a, got[0].id, got[0].lease, an_end(JOB_COMPLETED, "r", ""), 0), 0);
    check_counts(a.path);
    done_asking();
    leave(&b);
    loop_deinit(&b.loop);
    end(&a);
}

TEST_NOFAULT(counts_are_right_whoever_does_what_when) {
    struct world w[2];
    static struct job running[MOST];
    unsigned n = 0, seed = 7;
    begin(&w[0], DATABASE);
    w[1] = w[0];
    CHECK_INT(loop_init(&w[1].loop), 0);
    come_back(&w[1]);
    for (int i = 0; i < 400; i++) {
        struct world *by = &w[rand_r(&seed) % 2];
        int what = rand_r(&seed) % 8;
        if (what < 3) CHECK_INT(submit(by, a_job(rand_r(&seed) % 2 ? "acme" : "zoo", "x")), 0);
        else if (what == 3) cancel(by, last_id, (struct slice){ .ptr = NULL });
        else if (what == 4 && n < MOST - 2) {
            CHECK_INT(take(by, 2), 0);
            for (unsigned k = 0; k < reply.count; k++) running[n++] = reply.jobs[k];
        } else if (what == 5 && n > 0) {
            struct job j = running[--n];
            finish(by, j.id, j.lease, an_end(rand_r(&seed) % 2 ? JOB_COMPLETED : JOB_FAILED, "r", ""), 0);
        } else if (what == 6) {
            pass(by, 500);
        } else if (what == 7) { /* both look around */
            for (int k = 0; k < 2; k++) uv_run(&w[k].loop.uv, UV_RUN_NOWAIT); /* there may be nothing to see */
        }
        if (i % 20 == 0) check_counts(w[0].path);
    }
    check_counts(w[0].path);
    done_asking();
    leave(&w[1]);
    loop_deinit(&w[1].loop);
    end(&w[0]);
}

TEST_NOFAULT(counts_that_are_wrong_are_mended_when_the_file_is_opened) {
    struct world w;
    begin(&w, DATABASE);
    for (int i = 0; i < 3; i++) CHECK_INT(submit(&w, a_job("acme", "x")), 0);
    leave(&w);
    sql(w.path, "UPDATE counts SET n0 = 7, n3 = 2; INSERT INTO counts VALUES('tnobody', 4, 0, 0, 0, 0)");
    come_back(&w);
    check_counts(w.path);
    struct jobs_limits l = { .max_queued = 4 };
    jobs_store_limit(w.store, &l);
    CHECK_INT(submit(&w, a_job("nobody", "x")), 0); /* whom phantoms stood in the way of */
    CHECK_INT(submit(&w, a_job("acme", "x")), 0);
    CHECK_INT(submit(&w, a_job("acme", "x")), JOBS_QUOTA);
    check_counts(w.path);
    done_asking();
    leave(&w);
    gone(&w);
}

/* Takes until none is left; each id once, to the pipe. */
static void work(const char *path, int out) {
    struct world w = { .kind = DATABASE };
    char why[700];
    jobs_settings_init(&w.settings);
    w.settings.poll_ms = 5;
    if (loop_init(&w.loop) != 0 || jobs_file_open(&w.store, path, &w.settings, NULL, why, sizeof(why)) != 0) _exit(1);
    w.jobs = jobs_open(w.store, &w.loop);
    for (int idle = 0; idle < 5;) {
        if (take(&w, 3) != 0) _exit(2);
        idle = reply.count > 0 ? 0 : idle + 1;
        struct job got[3];
        unsigned n = reply.count;
        memcpy(got, reply.jobs, sizeof(got));
        for (unsigned i = 0; i < n; i++) {
            if (write(out, got[i].id, 36) != 36) _exit(3);
            if (finish(&w, got[i].id, got[i].lease, an_end(JOB_COMPLETED, "r", ""), 0) != 0) _exit(4);
        }
    }
    leave(&w);
    loop_deinit(&w.loop);
    _exit(0);
}

TEST_NOFAULT(two_processes_do_each_job_once) {
    struct world w;
    int pipes[2], status;
    enum { JOBS = 200 };
    begin(&w, DATABASE);
    w.settings.wall_ms = w.settings.steady_ms = NULL;
    for (int i = 0; i < JOBS; i++) CHECK_INT(submit(&w, a_job("acme", "x")), 0);
    leave(&w);
    CHECK_INT(pipe(pipes), 0);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) work(w.path, pipes[1]);
    close(pipes[1]);
    static char ids[JOBS + 8][36];
    int count = 0;
    for (ssize_t n; count < JOBS + 8 && (n = read(pipes[0], ids[count], 36)) > 0; count++) CHECK_INT((int)n, 36);
    for (int i = 0; i < 2; i++) {
        wait(&status);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), 0);
    }
    CHECK_INT(count, JOBS);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++) CHECK(memcmp(ids[i], ids[k], 36) != 0);
    done_asking();
    gone(&w);
}

/* -- kill -9 ------------------------------------------ */

struct one_of_many {
    struct reply reply;
    struct world *w;
    int           out;
};

/* Says each id as soon as it is accepted. */
static void said(struct jobs_op *op, const struct jobs_answer *a) {
    struct one_of_many *m = container_of(op, struct one_of_many, reply.op);
    if (a->rc != 0 || write(m->out, a->jobs[0].id, 36) != 36) _exit(1);
    struct job j = a_job("acme", "a question that must not be lost");
    j.webhook = SLICE("https://example.com/");
    jobs_begin(m->w->jobs, &m->reply.op, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j }, said);
}

static void submit_for_ever(const char *path, int out) {
    static struct one_of_many many[40];
    struct world w = { .kind = DATABASE };
    char why[700];
    jobs_settings_init(&w.settings);
    if (loop_init(&w.loop) != 0 || jobs_file_open(&w.store, path, &w.settings, NULL, why, sizeof(why)) != 0) _exit(1);
    w.jobs = jobs_open(w.store, &w.loop);
    struct job j = a_job("acme", "the first one");
    for (int i = 0; i < 40; i++) {
        many[i].w = &w;
        many[i].out = out;
        jobs_begin(w.jobs, &many[i].reply.op, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j }, said);
    }
    for (;;) { /* and cancels what it can, so that webhooks come into being */
        if (take(&w, 5) != 0) _exit(1);
        unsigned n = reply.count;
        static struct job got[5];
        memcpy(got, reply.jobs, sizeof(got));
        for (unsigned i = 0; i < n; i++)
            if (finish(&w, got[i].id, got[i].lease, an_end(JOB_COMPLETED, "r", ""), 0) != 0) _exit(1);
    }
}

static unsigned kills(void) {
    const char *text = getenv("KILLS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 10;
}

TEST_NOFAULT(killed_at_any_moment_nothing_accepted_is_lost) {
    struct world w;
    begin(&w, DATABASE);
    leave(&w);
    w.settings.wall_ms = w.settings.steady_ms = NULL;
    unsigned all = 0;
    for (unsigned round = 0; round < kills(); round++) {
        int pipes[2];
        CHECK_INT(pipe(pipes), 0);
        fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20);
        pid_t pid = fork();
        if (pid == 0) {
            close(pipes[0]);
            submit_for_ever(w.path, pipes[1]);
        }
        close(pipes[1]);
        usleep(20000 + (useconds_t)(rng_next(&w.loop.rng) % 60000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        come_back(&w);
        char id[40] = "";
        unsigned count = 0;
        while (read(pipes[0], id, 36) == 36) {
            int rc = get(&w, id);
            NOTE("round %u, job %u: %s", round, count, id);
            CHECK_INT(rc, 0);
            if (reply.jobs[0].status == JOB_COMPLETED && reply.jobs[0].webhook.len > 0) {
                CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_HOOKS, .id = slice_str(id) }), 0);
                CHECK_UINT(reply.count, 1); /* nor is the word of its end */
            }
            count++;
        }
        all += count;
        close(pipes[0]);
        leave(&w);
        CHECK_STR(try_again(&w), ""); /* and it is whole */
    }
    CHECK(all > 0);
    if (kills() > 10) printf("%u kills, %u accepted jobs, none lost\n", kills(), all);
    done_asking();
    gone(&w);
}

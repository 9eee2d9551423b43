/* jobs.c -- how many jobs the embedded queue accepts, and how soon; SQLite alone beside it.
 *
 *   bench_jobs FOLDER SECONDS [SOCKET]
 *
 * With the socket of a Redis: the same of the queue that it keeps, without what is SQLite's.
 * On one core.  Lines: jobs accepted per second with 1000 waiting at once; taken, beaten and finished per second;
 * rows that SQLite alone keeps per second in transactions of 1000, with the same bytes and fdatasync; ms from a
 * question to its answer when nothing else happens, p50 and p99; ms of an fdatasync of 4 KiB, p50 and p99. */
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/jobs_file.h"
#include "jobs/jobs_redis.h"
#include "sys/loop.h"

#define WAITING 1000
#define BODY    512
#define IDLE    300

static struct {
    struct loop  loop;
    struct jobs *jobs;
    char         body[BODY];
    uint64_t     accepted, failed, finished, until_us;
    bool         draining;
} b;

struct asker {
    struct jobs_op op;
    char           id[JOB_ID_SIZE];
    uint64_t       lease;
};
static struct asker askers[WAITING];

static void die(const char *what) {
    fprintf(stderr, "bench_jobs: %s\n", what);
    exit(1);
}

/* -- Accepted ------------------------------------------ */

static void submit(struct asker *a);

static void accepted(struct jobs_op *op, const struct jobs_answer *r) {
    if (r->rc == 0) b.accepted++;
    else b.failed++;
    if (loop_hrtime_us() < b.until_us) submit(container_of(op, struct asker, op));
}

static void submit(struct asker *a) {
    struct job j = { .tenant = SLICE("acme"), .path = SLICE("/v1/chat/completions"), .body = { b.body, BODY } };
    if (jobs_begin(b.jobs, &a->op, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j }, accepted) != 0) die("begin");
}

static void run_until_idle(void) {
    while (b.jobs->count > 0) uv_run(&b.loop.uv, UV_RUN_ONCE);
}

static double accept_rate(double seconds) {
    uint64_t start = loop_hrtime_us();
    b.accepted = 0;
    b.until_us = start + (uint64_t)(seconds * 1e6);
    for (int i = 0; i < WAITING; i++) submit(&askers[i]);
    run_until_idle();
    if (b.failed > 0) die("a job was refused");
    return (double)b.accepted * 1e6 / (double)(loop_hrtime_us() - start);
}

/* -- Worked off ------------------------------------------ */

static void finished(struct jobs_op *op, const struct jobs_answer *r) {
    (void)op;
    if (r->rc != 0) die("finish");
    b.finished++;
}

static void taken(struct jobs_op *op, const struct jobs_answer *r) {
    (void)op;
    if (r->rc != 0) die(r->why ? r->why : "take");
    b.draining = r->count > 0;
    for (unsigned i = 0; i < r->count; i++) {
        struct job_end end = { .status = JOB_COMPLETED, .result_status = 200, .result_type = SLICE("application/json"),
                               .result = { b.body, BODY } };
        struct jobs_ask ask = { .verb = JOBS_FINISH, .id = slice_str(r->jobs[i].id), .lease = r->jobs[i].lease, .end = &end };
        if (jobs_begin(b.jobs, &askers[i].op, &ask, finished) != 0) die("begin");
    }
}

static double work_rate(double seconds) {
    uint64_t start = loop_hrtime_us();
    struct asker t = { .lease = 0 };
    b.until_us = start + (uint64_t)(seconds * 1e6);
    b.draining = true;
    while (b.draining && loop_hrtime_us() < b.until_us) {
        struct jobs_ask ask = { .verb = JOBS_TAKE, .count = 500, .lease_ms = 60000 };
        if (jobs_begin(b.jobs, &t.op, &ask, taken) != 0) die("begin");
        run_until_idle();
    }
    return (double)b.finished * 1e6 / (double)(loop_hrtime_us() - start);
}

/* -- How soon ------------------------------------------ */

static int compare(const void *x, const void *y) {
    double p = *(const double *)x, q = *(const double *)y;
    return p < q ? -1 : p > q;
}

static void waits(double *ms) {
    b.until_us = 0;
    for (int i = 0; i < IDLE; i++) {
        usleep(2000);
        uint64_t start = loop_hrtime_us();
        submit(&askers[0]);
        run_until_idle();
        ms[i] = (double)(loop_hrtime_us() - start) / 1000;
    }
    if (b.failed > 0) die("a job was refused");
    qsort(ms, IDLE, sizeof(*ms), compare);
}

static void syncs(const char *folder, double *ms) {
    char path[1100], page[4096] = { 1 };
    snprintf(path, sizeof(path), "%s/sync", folder);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < IDLE; i++) {
        usleep(2000);
        uint64_t start = loop_hrtime_us();
        if (write(fd, page, sizeof(page)) != sizeof(page) || fdatasync(fd) != 0) die("fdatasync");
        ms[i] = (double)(loop_hrtime_us() - start) / 1000;
    }
    close(fd);
    unlink(path);
    qsort(ms, IDLE, sizeof(*ms), compare);
}

/* -- SQLite alone ------------------------------------------ */

static double sqlite_rate(const char *folder, double seconds) {
    char path[1100];
    sqlite3 *db;
    sqlite3_stmt *s;
    snprintf(path, sizeof(path), "%s/alone.db", folder);
    if (sqlite3_open(path, &db) != 0) die("sqlite3_open");
    sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(k INTEGER PRIMARY KEY, body BLOB)", 0, 0, 0);
    sqlite3_prepare_v2(db, "INSERT INTO t(body) VALUES(?1)", -1, &s, NULL);
    uint64_t start = loop_hrtime_us(), until = start + (uint64_t)(seconds * 1e6), rows = 0;
    for (; loop_hrtime_us() < until; rows += WAITING) {
        sqlite3_exec(db, "BEGIN IMMEDIATE", 0, 0, 0);
        for (int i = 0; i < WAITING; i++) {
            sqlite3_bind_blob(s, 1, b.body, BODY, SQLITE_STATIC);
            sqlite3_step(s);
            sqlite3_reset(s);
        }
        if (sqlite3_exec(db, "COMMIT", 0, 0, 0) != 0) die("commit");
    }
    double rate = (double)rows * 1e6 / (double)(loop_hrtime_us() - start);
    sqlite3_finalize(s);
    sqlite3_close(db);
    unlink(path);
    return rate;
}

static int open_redis(struct jobs_store **out, const char *socket, const struct jobs_settings *s) {
    struct jobs_redis_place at = { .path = socket, .prefix = "bench:" };
    int rc = jobs_redis_open(out, &at, s, NULL);
    if (rc != 0) return rc;
    b.jobs = jobs_open(*out, &b.loop);
    if (b.jobs == NULL) die("no memory");
    while (!jobs_redis_is_up(b.jobs)) uv_run(&b.loop.uv, UV_RUN_ONCE);
    return 0;
}

int main(int argc, char **argv) {
    char path[1100], why[700];
    struct jobs_store *store;
    struct jobs_settings settings;
    double ms[IDLE], seconds = argc > 2 ? atof(argv[2]) : 3;
    cpu_set_t one;
    if (argc < 2) die("usage: bench_jobs FOLDER SECONDS");
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
    memset(b.body, 'x', BODY);
    jobs_settings_init(&settings);
    snprintf(path, sizeof(path), "%s/jobs.db", argv[1]);
    if (loop_init(&b.loop) != 0) die("loop");
    bool redis = argc > 3;
    int rc = redis ? open_redis(&store, argv[3], &settings)
                   : jobs_file_open(&store, path, &settings, NULL, why, sizeof(why));
    if (rc != 0) die(redis ? "no memory" : why);
    if (!redis) b.jobs = jobs_open(store, &b.loop);
    if (b.jobs == NULL) die("no memory");
    printf("accepted %.0f\n", accept_rate(seconds));
    printf("worked %.0f\n", work_rate(seconds));
    if (!redis) printf("sqlite %.0f\n", sqlite_rate(argv[1], seconds));
    waits(ms);
    printf("wait %.3f %.3f\n", ms[IDLE / 2], ms[IDLE * 99 / 100]);
    syncs(argv[1], ms);
    printf("sync %.3f %.3f\n", ms[IDLE / 2], ms[IDLE * 99 / 100]);
    jobs_close(b.jobs);
    jobs_store_close(store);
    loop_deinit(&b.loop);
    return 0;
}

/* test_jobs_redis.c -- jobs in Redis: answers that are lost, come twice, or are none. What all queues do: test_jobs.c. */
#include "jobs_world.h"

#include "jobs/jobs_redis_words.h"

#define WITH_REDIS if (redis_world_socket() != NULL)

TEST(what_is_said_twice_is_done_once) {
    WITH_REDIS {
        struct world w;
        begin(&w, REDIS);
        struct job j = a_job("acme", "x");
        j.webhook = SLICE("https://example.com/");
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(take(&w, 1), 0);
        uint64_t lease = reply.jobs[0].lease;
        CHECK_INT(append_as(&w, last_id, lease, 1, "data: a\n\n"), 0);
        CHECK_INT(append_as(&w, last_id, lease, 1, "data: a\n\n"), 0);
        CHECK_UINT(reply.events[0].number, 1);
        CHECK_INT(append_as(&w, last_id, lease, 2, "data: a\n\n"), 0);
        CHECK_UINT(reply.events[0].number, 2);
        struct job_end over = an_end(JOB_COMPLETED, "{}", "");
        CHECK_INT(finish(&w, last_id, lease, over, 0), 0);
        CHECK_INT(finish(&w, last_id, lease, over, 0), 0);
        CHECK_INT(reply.jobs[0].status, JOB_COMPLETED);
        CHECK_INT(finish(&w, last_id, lease + 1, over, 0), JOBS_IS_OVER);
        CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .count = 9 }), 0);
        CHECK_UINT(reply.count, 2);
        CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_HOOK_TAKE, .count = 9, .lease_ms = 1000 }), 0);
        CHECK_UINT(reply.count, 1); /* one end, one webhook */
        done_asking();
        end(&w);
    }
}

/* A socket that takes connections and says nothing; -1: there is none. */
static int mute(const char *path) {
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 8) == 0;
    if (!ok && fd >= 0) close(fd);
    return ok ? fd : -1;
}

/* With the n-th allocation failing; 0: none.  Was it reached? */
static bool check_with(long n, const struct jobs_redis_place *at, int *rc, char *why, size_t size) {
    mem_fail_at(n, false);
    why[0] = '\0';
    *rc = jobs_redis_check(at, why, size);
    bool reached = mem_fail_count() >= n;
    mem_fail_at(0, false);
    return n > 0 && reached;
}

TEST_NOFAULT(whether_it_can_be_asked) {
    char why[700], path[64];
    int rc;
    struct jobs_redis_place at = { .path = "/nowhere/redis.sock", .prefix = "p:" };
    check_with(0, &at, &rc, why, sizeof(why));
    CHECK_INT(rc, PERILUNE_ERR_IO);
    CHECK(strstr(why, "unix:/nowhere/redis.sock cannot be asked: ") == why);
    snprintf(path, sizeof(path), "/tmp/perilune-mute-%d", (int)getpid());
    int fd = mute(path);
    CHECK(fd >= 0);
    at.path = path;
    check_with(0, &at, &rc, why, sizeof(why));
    close(fd);
    unlink(path);
    CHECK_INT(rc, PERILUNE_ERR_IO);
    CHECK(strstr(why, "does not answer the greeting") != NULL);
    WITH_REDIS {
        at.path = redis_world_socket();
        check_with(0, &at, &rc, why, sizeof(why));
        CHECK_INT(rc, 0);
        at.password = "wrong";
        check_with(0, &at, &rc, why, sizeof(why));
        CHECK_INT(rc, PERILUNE_ERR_IO);
        CHECK(strstr(why, "check user, password") != NULL);
        at.password = NULL;
        bool reached = true;
        for (long n = 1; reached; n++) { /* it ends, and says which of the two it is */
            reached = check_with(n, &at, &rc, why, sizeof(why));
            CHECK(rc == 0 || why[0] != '\0');
        }
        CHECK_INT(rc, 0);
    }
}

static void unheard(struct jobs_op *op, const struct jobs_answer *a) {
    (void)op;
    (void)a;
}

/* Asked and not waited for, as when the answer is lost with the connection. */
static void take_and_lose(struct world *w) {
    struct jobs_op op = { .driver = NULL };
    CHECK_INT(jobs_begin(w->jobs, &op, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 2, .lease_ms = 1000 }, unheard), 0);
    jobs_cancel(&op);
    CHECK_INT(get(w, last_id), 0); /* answers come in order: the other was done */
    CHECK_INT(reply.jobs[0].status, JOB_RUNNING);
}

TEST(what_nobody_heard_that_he_took_he_takes_again) {
    WITH_REDIS {
        struct world w;
        begin(&w, REDIS);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(submit(&w, a_job("acme", "y")), 0);
        take_and_lose(&w);
        CHECK_STR(take_bodies(&w, 5), "xy");
        CHECK_UINT(reply.jobs[0].tries, 1);
        CHECK_STR(take_bodies(&w, 5), ""); /* he has heard of those */
        CHECK_INT(submit(&w, a_job("acme", "z")), 0);
        take_and_lose(&w);
        pass(&w, 1001); /* its lease ran out: it is a try */
        do CHECK_INT(get(&w, last_id), 0);
        while (reply.jobs[0].status == JOB_RUNNING);
        CHECK_STR(take_bodies(&w, 5), "");
        done_asking();
        end(&w);
    }
}

TEST(a_place_where_nobody_is) {
    struct world w = { .kind = MEMORY };
    struct jobs_redis_place at = { .path = "/nonexistent/sock", .prefix = "x:" };
    jobs_settings_init(&w.settings);
    CHECK_INT(loop_init(&w.loop), 0);
    CHECK_INT(jobs_redis_open(&w.store, &at, &w.settings, NULL), 0);
    w.jobs = jobs_open(w.store, &w.loop);
    CHECK(w.jobs != NULL);
    CHECK_INT(submit(&w, a_job("acme", "x")), PERILUNE_ERR_IO);
    CHECK(strstr(reply.why, "Redis") != NULL);
    CHECK_INT(take(&w, 1), PERILUNE_ERR_IO);
    struct jobs_totals totals = { .jobs = 7 };
    jobs_store_counts(w.store, NULL, NULL, &totals);
    CHECK_UINT(totals.jobs, 0);
    done_asking();
    end(&w);
}

static int read_text(const char *text, size_t len, int verb, struct jobs_answer *out) {
    struct jobs_settings s;
    struct job_limits *l = job_limits_new(NULL);
    struct arena a;
    uint64_t more;
    CHECK(l != NULL);
    jobs_settings_init(&s);
    arena_init(&a);
    int rc = jobs_redis_read(slice_of(text, len), verb, &a, &s, l, out, &more);
    arena_deinit(&a);
    job_limits_put(l);
    return rc;
}

TEST(answers_that_are_none) {
    static const char *const wrong[] = { "", "x", "1:", "9999999999999999999999:0", "1:01:04:1001", "1:01:01:1",
                                         "2:991:01:0", "1:01:01:1" "36:job_" };
    struct jobs_answer out;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        for (int verb = JOBS_SUBMIT; verb <= JOBS_HOOKS; verb++) {
            int rc = read_text(wrong[i], strlen(wrong[i]), verb, &out);
            CHECK(rc == PERILUNE_ERR_IO || rc == PERILUNE_ERR_NOMEM || (rc == 0 && verb == JOBS_APPEND));
        }
    CHECK_INT(read_text("1:11:01:0", 9, JOBS_GET, &out), 0);
    CHECK_INT(out.rc, JOBS_NOT_FOUND);
    CHECK_UINT(out.count, 0);
}


/* test_jobs.c -- queues of jobs: the same cases for each place where they are kept. */
#include "jobs_world.h"

/* -- Cases ------------------------------------------ */

TEST(a_job_from_its_question_to_its_answer) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "{\"model\":\"auto\"}");
        j.headers = SLICE("x-trace: 1\r\n");
        CHECK_INT(submit(&w, j), 0);
        CHECK_UINT(strlen(last_id), 36);
        CHECK_INT(reply.jobs[0].status, JOB_QUEUED);
        CHECK(!reply.existed);
        await(&w, &w.due);
        CHECK_INT(take(&w, 10), 0);
        CHECK_UINT(reply.count, 1);
        CHECK_STR(reply.jobs[0].id, last_id);
        CHECK_SLICE(reply.jobs[0].body, SLICE("{\"model\":\"auto\"}"));
        CHECK_SLICE(reply.jobs[0].headers, SLICE("x-trace: 1\r\n"));
        CHECK_SLICE(reply.jobs[0].path, SLICE("/v1/chat/completions"));
        CHECK_SLICE(reply.jobs[0].queue, SLICE("default"));
        CHECK_UINT(reply.jobs[0].tries, 1);
        uint64_t lease = reply.jobs[0].lease;
        CHECK_INT(take(&w, 10), 0);
        CHECK_UINT(reply.count, 0);
        CHECK_INT(finish(&w, last_id, lease, an_end(JOB_COMPLETED, "{\"a\":1}", ""), 0), 0);
        CHECK_INT(reply.jobs[0].status, JOB_COMPLETED);
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(reply.jobs[0].status, JOB_COMPLETED);
        CHECK_INT(reply.jobs[0].result_status, 200);
        CHECK_SLICE(reply.jobs[0].result, SLICE("{\"a\":1}"));
        CHECK_SLICE(reply.jobs[0].result_type, SLICE("application/json"));
        CHECK(reply.jobs[0].ended_ms >= reply.jobs[0].created_ms && reply.jobs[0].created_ms == wall);
        done_asking();
        end(&w);
    }
}

TEST(retries_dead_letters_and_what_was_given_back) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        struct job_end again = an_end(JOB_QUEUED, "", "{\"code\":\"busy\"}");
        j.max_tries = 2;
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(take(&w, 1), 0);
        CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, again, 500), 0);
        CHECK_INT(reply.jobs[0].status, JOB_QUEUED);
        CHECK_STR(take_bodies(&w, 1), ""); /* not yet */
        pass(&w, 499);
        CHECK_STR(take_bodies(&w, 1), "");
        w.due = 0;
        pass(&w, 1);
        await(&w, &w.due);
        CHECK_STR(take_bodies(&w, 1), "x");
        CHECK_UINT(reply.jobs[0].tries, 2);
        again.tries = 1; /* given back unharmed: this one does not count */
        CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, again, 0), 0);
        CHECK_STR(take_bodies(&w, 1), "x");
        CHECK_UINT(reply.jobs[0].tries, 2);
        again.tries = UINT_MAX;
        CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, again, 0), 0);
        CHECK_INT(reply.jobs[0].status, JOB_FAILED);
        CHECK_SLICE(reply.jobs[0].error, SLICE("{\"code\":\"busy\"}"));
        CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_LIST, .status = JOB_FAILED, .count = 9 }), 0);
        CHECK_UINT(reply.count, 1); /* the dead letters */
        done_asking();
        end(&w);
    }
}

/* Refused, with a pause: the try is not counted, however often, and what was not begun may still expire. */
TEST(who_is_put_off_has_all_tries_and_expires) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        struct job_end later = an_end(JOB_QUEUED, "", "{\"code\":\"busy\"}");
        j.max_tries = 1;
        j.expires_ms = wall + 10000;
        later.tries = 0;
        CHECK_INT(submit(&w, j), 0);
        for (int i = 0; i < 3; i++) {
            CHECK_STR(take_bodies(&w, 1), "x");
            CHECK_UINT(reply.jobs[0].tries, 1);
            CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, later, 500), 0);
            CHECK_INT(reply.jobs[0].status, JOB_QUEUED);
            CHECK_UINT(reply.jobs[0].tries, 0);
            w.due = 0;
            pass(&w, 500);
            await(&w, &w.due);
        }
        CHECK_STR(take_bodies(&w, 1), "x");
        CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, later, 3600000), 0);
        pass(&w, 10000);
        CHECK_STR(take_bodies(&w, 1), "");
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(reply.jobs[0].status, JOB_FAILED);
        CHECK(memmem(reply.jobs[0].error.ptr, reply.jobs[0].error.len, "job_expired", 11) != NULL);
        done_asking();
        end(&w);
    }
}

/* One tenant fills what it may, and the next one has room all the same. */
TEST_NOFAULT(a_tenant_may_have_as_many_bytes_as_are_free) {
    EACH_KIND {
        struct world w;
        struct jobs_settings s;
        static char body[64 * 1024];
        jobs_settings_init(&s);
        s.max_bytes = 4 << 20;
        memset(body, 'x', sizeof(body) - 1);
        begin_with(&w, kind, NULL, &s);
        int rc = 0, mine = 0, theirs = 0;
        for (; mine < 100 && rc == 0; mine += rc == 0) rc = submit(&w, a_job("bolt", body));
        CHECK_INT(rc, JOBS_QUOTA);
        CHECK(mine > 20 && mine < 40);
        for (rc = 0; theirs < 100 && rc == 0; theirs += rc == 0) rc = submit(&w, a_job("acme", body));
        CHECK_INT(rc, JOBS_QUOTA);
        CHECK(theirs > 8);
        CHECK_INT(submit(&w, a_job("third", body)), 0);
        for (rc = 0, mine = 0; mine < 100 && rc == 0; mine += rc == 0) rc = submit(&w, a_job("", body));
        CHECK_INT(rc, JOBS_IS_FULL); /* nobody's is no tenant */
        done_asking();
        end(&w);
    }
}

TEST(a_lease_that_ran_out_is_another_try_and_the_old_one_is_lost) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        j.max_tries = 2;
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(take(&w, 1), 0);
        uint64_t old = reply.jobs[0].lease;
        pass(&w, 900);
        CHECK_INT(beat(&w, last_id, old), 0);
        pass(&w, 900); /* of 1000, from the beat on */
        CHECK_STR(take_bodies(&w, 1), "");
        pass(&w, 200);
        CHECK_INT(get(&w, last_id), 0);
        while (reply.jobs[0].status == JOB_RUNNING) {
            turn(&w);
            CHECK_INT(get(&w, last_id), 0);
        }
        CHECK_STR(take_bodies(&w, 1), "x");
        CHECK_UINT(reply.jobs[0].tries, 2);
        uint64_t lease = reply.jobs[0].lease;
        CHECK(lease > old);
        CHECK_INT(beat(&w, last_id, old), JOBS_LOST);
        CHECK_INT(append(&w, last_id, old, "", "data: x\n\n"), JOBS_LOST);
        CHECK_INT(finish(&w, last_id, old, an_end(JOB_COMPLETED, "late", ""), 0), JOBS_LOST);
        pass(&w, 1001);
        do CHECK_INT(get(&w, last_id), 0);
        while (reply.jobs[0].status == JOB_RUNNING);
        CHECK_INT(reply.jobs[0].status, JOB_FAILED);
        CHECK(strstr(reply.jobs[0].error.ptr, "job_abandoned") != NULL);
        CHECK_INT(finish(&w, last_id, lease, an_end(JOB_COMPLETED, "late", ""), 0), JOBS_IS_OVER);
        done_asking();
        end(&w);
    }
}

TEST(who_cancels_what) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(cancel(&w, last_id, SLICE("zoo")), JOBS_NOT_FOUND); /* not theirs */
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        CHECK_INT(reply.jobs[0].status, JOB_CANCELED);
        CHECK_STR(take_bodies(&w, 1), "");
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), JOBS_IS_OVER);
        CHECK_INT(reply.jobs[0].status, JOB_CANCELED);

        CHECK_INT(submit(&w, a_job("acme", "y")), 0);
        CHECK_STR(take_bodies(&w, 1), "y");
        uint64_t lease = reply.jobs[0].lease;
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        CHECK(reply.jobs[0].stopping && reply.jobs[0].status == JOB_RUNNING);
        CHECK_INT(beat(&w, last_id, lease), JOBS_WAS_CANCELED);
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(reply.jobs[0].status, JOB_CANCELED);
        CHECK_INT(finish(&w, last_id, lease, an_end(JOB_COMPLETED, "late", ""), 0), JOBS_WAS_CANCELED);

        CHECK_INT(submit(&w, a_job("acme", "z")), 0);
        CHECK_STR(take_bodies(&w, 1), "z");
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        pass(&w, 1001); /* nobody beats any more */
        do CHECK_INT(get(&w, last_id), 0);
        while (reply.jobs[0].status == JOB_RUNNING);
        CHECK_INT(reply.jobs[0].status, JOB_CANCELED);
        done_asking();
        end(&w);
    }
}

TEST(priorities_turns_of_tenants_then_age) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        static const struct { const char *tenant, *body; int priority; } all[] = {
            { "a", "1", 0 }, { "a", "2", 0 }, { "a", "3", 0 }, { "b", "4", 0 }, { "b", "5", 0 }, { "c", "6", -5 },
            { "a", "7", 9 }, { "c", "8", -5 },
        };
        for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
            struct job j = a_job(all[i].tenant, all[i].body);
            j.priority = all[i].priority;
            CHECK_INT(submit(&w, j), 0);
        }
        CHECK_STR(take_bodies(&w, 20), "74152368"); /* a was served with 7: it is b's turn */
        done_asking();
        end(&w);
    }
}

TEST(as_many_run_as_may) {
    EACH_KIND {
        struct world w;
        static const struct jobs_queue_limit queues[] = { { "slow", 1 }, { "any", 0 } };
        struct jobs_limits l = { .concurrency = 3, .tenant_concurrency = 4, .queues = queues, .queue_count = 2 };
        begin_with(&w, kind, &l, NULL);
        for (int i = 0; i < 6; i++) {
            struct job j = a_job("a", "d");
            CHECK_INT(submit(&w, j), 0);
            j.queue = SLICE("slow");
            j.body = SLICE("s");
            CHECK_INT(submit(&w, j), 0);
            j.tenant = SLICE("b");
            j.queue = SLICE("any");
            j.body = SLICE("n");
            CHECK_INT(submit(&w, j), 0);
        }
        CHECK_STR(take_bodies(&w, 20), "ndsndndn"); /* three of d, one of s, four of tenant b */
        char id[JOB_ID_SIZE];
        for (unsigned i = 0; i < reply.count; i++)
            if (reply.jobs[i].body.ptr[0] == 's') memcpy(id, reply.jobs[i].id, JOB_ID_SIZE);
        CHECK_STR(take_bodies(&w, 20), "");
        CHECK_INT(finish(&w, id, 1, an_end(JOB_COMPLETED, "", ""), 0), 0);
        CHECK_STR(take_bodies(&w, 20), "s");
        jobs_store_limit(w.store, NULL);
        struct jobs_ask q = { .verb = JOBS_TAKE, .count = 20, .lease_ms = 1000, .queue = SLICE("slow") };
        CHECK_INT(ask(&w, &q), 0);
        CHECK_UINT(reply.count, 4);
        done_asking();
        end(&w);
    }
}

TEST(times_that_people_name) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "later");
        j.not_before_ms = wall + 1000;
        CHECK_INT(submit(&w, j), 0);
        char later[JOB_ID_SIZE];
        memcpy(later, last_id, sizeof(later));
        j = a_job("acme", "gone");
        j.expires_ms = wall + 500;
        CHECK_INT(submit(&w, j), 0);
        pass(&w, 501);
        do CHECK_INT(get(&w, last_id), 0);
        while (reply.jobs[0].status == JOB_QUEUED);
        CHECK_INT(reply.jobs[0].status, JOB_FAILED);
        CHECK(strstr(reply.jobs[0].error.ptr, "job_expired") != NULL);
        CHECK_STR(take_bodies(&w, 9), "");
        w.due = 0;
        pass(&w, 500);
        await(&w, &w.due);
        CHECK_STR(take_bodies(&w, 9), "l");
        CHECK_STR(reply.jobs[0].id, later);
        done_asking();
        end(&w);
    }
}

/* The wall clock is set; the steady one knows nothing of it. */
TEST(clocks_that_jump) {
    EACH_KIND {
        for (int64_t by = -3600000; by <= 3600000; by += 7200000) {
            struct world w;
            begin(&w, kind);
            struct job j = a_job("acme", "run");
            j.max_tries = 3;
            CHECK_INT(submit(&w, j), 0);
            CHECK_INT(take(&w, 1), 0);
            uint64_t lease = reply.jobs[0].lease;
            char id[JOB_ID_SIZE];
            memcpy(id, last_id, sizeof(id));
            j = a_job("acme", "named");
            j.not_before_ms = wall + 1800000; /* half an hour */
            CHECK_INT(submit(&w, j), 0);
            __atomic_add_fetch(&wall, (uint64_t)by, __ATOMIC_SEQ_CST);
            CHECK_INT(beat(&w, id, lease), 0); /* it is still ours */
            pass(&w, 990);
            CHECK_INT(beat(&w, id, lease), 0);
            const char *due_now = take_bodies(&w, 9);
            for (int i = 0; by > 0 && i < 100 && due_now[0] == '\0'; i++) {
                turn(&w);
                due_now = take_bodies(&w, 9);
            }
            CHECK_STR(due_now, by > 0 ? "n" : ""); /* the moment it named is behind us, or farther away */
            CHECK_INT(beat(&w, id, lease), 0);
            CHECK_INT(finish(&w, id, lease, an_end(JOB_QUEUED, "", "{}"), 500), 0);
            __atomic_sub_fetch(&wall, 7200000, __ATOMIC_SEQ_CST);
            pass(&w, 501); /* the pause was half a second, whatever the wall says */
            due_now = take_bodies(&w, 9);
            for (int i = 0; i < 100 && due_now[0] == '\0'; i++) {
                turn(&w);
                due_now = take_bodies(&w, 9);
            }
            CHECK_STR(due_now, "r");
            CHECK_INT(finish(&w, id, reply.jobs[0].lease, an_end(JOB_COMPLETED, "kept", ""), 0), 0);
            __atomic_add_fetch(&wall, UINT64_C(400) * 86400 * 1000, __ATOMIC_SEQ_CST); /* a year ahead */
            for (int i = 0; i < 5; i++) turn(&w);
            CHECK_INT(get(&w, id), 0); /* results are kept a day of real time */
            done_asking();
            end(&w);
        }
    }
}

TEST(one_job_for_one_key_of_a_tenant) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "first");
        j.key = SLICE("k-1");
        CHECK_INT(submit(&w, j), 0);
        char id[JOB_ID_SIZE];
        memcpy(id, last_id, sizeof(id));
        j.body = SLICE("second");
        CHECK_INT(submit(&w, j), 0);
        CHECK(reply.existed);
        CHECK_STR(reply.jobs[0].id, id);
        CHECK_SLICE(reply.jobs[0].body, SLICE("first"));
        j.tenant = SLICE("zoo");
        CHECK_INT(submit(&w, j), 0);
        CHECK(!reply.existed);
        j.key = SLICE("");
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(submit(&w, j), 0);
        CHECK(!reply.existed);
        done_asking();
        end(&w);
    }
}

TEST(limits_of_what_is_kept) {
    EACH_KIND {
        struct world w;
        struct jobs_settings s;
        jobs_settings_init(&s);
        s.max_body = 10;
        s.max_result = 10;
        struct jobs_limits l = { .max_queued = 2, .max_kept = 3 };
        begin_with(&w, kind, &l, &s);
        CHECK_INT(submit(&w, a_job("a", "12345678901")), JOBS_TOO_LARGE);
        CHECK_INT(submit(&w, a_job("a", "1")), 0);
        CHECK_INT(submit(&w, a_job("a", "2")), 0);
        CHECK_INT(submit(&w, a_job("a", "3")), JOBS_QUOTA);
        CHECK(strstr(reply.why, "2") != NULL);
        CHECK_INT(submit(&w, a_job("b", "4")), 0);
        CHECK_STR(take_bodies(&w, 1), "1");
        struct job first = reply.jobs[0];
        CHECK_INT(submit(&w, a_job("a", "3")), 0);
        CHECK_INT(append(&w, first.id, first.lease, "", "12345678"), 0);
        CHECK_INT(append(&w, first.id, first.lease, "", "901"), JOBS_TOO_LARGE);
        CHECK_INT(finish(&w, first.id, first.lease, an_end(JOB_COMPLETED, "12345678901", ""), 0), 0);
        CHECK_INT(reply.jobs[0].status, JOB_FAILED);
        CHECK(strstr(reply.jobs[0].error.ptr, "job_result_too_large") != NULL);
        CHECK_INT(submit(&w, a_job("a", "5")), JOBS_QUOTA); /* three are kept */
        CHECK_INT(submit(&w, (struct job){ .priority = 101 }), PERILUNE_ERR_INVAL);
        CHECK_INT(take(&w, JOBS_MOST + 1), PERILUNE_ERR_INVAL);
        CHECK_INT(take(&w, 0), 0);
        CHECK_UINT(reply.count, 0);
        done_asking();
        end(&w);
    }
}

TEST(one_that_has_ended_can_be_forgotten) {
    EACH_KIND {
        struct world w;
        struct jobs_limits l = { .max_kept = 2, .max_queued = 1 };
        begin_with(&w, kind, &l, NULL);
        CHECK_INT(submit(&w, a_job("a", "1")), 0);
        struct jobs_ask q = { .verb = JOBS_CANCEL, .id = slice_str(last_id), .tenant = SLICE("a"), .forget = true };
        CHECK_INT(submit(&w, a_job("a", "2")), JOBS_QUOTA);
        CHECK_INT(take(&w, 1), 0);
        uint64_t lease = reply.jobs[0].lease;
        for (int i = 0; i < 450; i++) CHECK_INT(append(&w, last_id, lease, "", "data: x\n\n"), 0);
        CHECK_INT(finish(&w, last_id, lease, an_end(JOB_COMPLETED, "r", ""), 0), 0);
        q.tenant = SLICE("b");
        CHECK_INT(ask(&w, &q), JOBS_NOT_FOUND);
        q.tenant = SLICE("a");
        q.forget = false;
        CHECK_INT(ask(&w, &q), JOBS_IS_OVER);
        CHECK_INT(get(&w, last_id), 0);
        q.forget = true;
        CHECK_INT(ask(&w, &q), JOBS_IS_OVER);
        CHECK_UINT(reply.count, 1);
        CHECK_INT(reply.jobs[0].status, JOB_COMPLETED);
        CHECK_INT(get(&w, last_id), JOBS_NOT_FOUND);
        CHECK_INT(ask(&w, &q), JOBS_NOT_FOUND);

        struct job j = a_job("a", "3"); /* one that waits is canceled by it, one that tells somebody stays until then */
        j.webhook = SLICE("https://example.com/");
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(ask(&w, &q), 0);
        CHECK_INT(reply.jobs[0].status, JOB_CANCELED);
        CHECK_INT(ask(&w, &q), JOBS_IS_OVER);
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(submit(&w, a_job("a", "4")), 0);
        CHECK_STR(take_bodies(&w, 1), "4");
        CHECK_INT(submit(&w, a_job("a", "5")), JOBS_QUOTA);
        CHECK(strstr(reply.why, "kept: 2") != NULL);
        done_asking();
        end(&w);
    }
}

/* However full it is, what was accepted comes to an end: with its result in the room that is kept for that, then
 * without.  What has not begun is not begun for nothing. */
TEST(what_was_accepted_ends_however_full_it_is) {
    static char question[60001], answer[60001];
    memset(question, 'q', 60000);
    memset(answer, 'a', 60000);
    for (enum kind kind = MEMORY; kind <= DATABASE; kind++) {
        struct world w;
        struct jobs_settings s;
        struct job got[20];
        unsigned completed = 0, full = 0, cut = 0, n = 0;
        int rc = 0, accepted = 0;
        jobs_settings_init(&s);
        s.max_bytes = 1 << 20;
        s.max_result = 100000; /* so that 200,000 bytes are kept free */
        s.keep_ms = 1000;
        begin_with(&w, kind, NULL, &s);
        while (accepted < 100 && (rc = submit(&w, a_job("", question))) == 0) accepted++;
        CHECK_INT(rc, JOBS_IS_FULL);
        CHECK_INT(take(&w, 10), 0);
        n = reply.count;
        CHECK_UINT(n, 10);
        memcpy(got, reply.jobs, sizeof(*got) * n);
        for (unsigned i = 0; i < n; i++) {
            char id[JOB_ID_SIZE];
            memcpy(id, got[i].id, sizeof(id));
            if (append(&w, id, got[i].lease, "", answer) == JOBS_TOO_LARGE) cut++;
            else CHECK_INT(reply.rc, 0);
            CHECK_INT(beat(&w, id, got[i].lease), 0);
            CHECK_INT(finish(&w, id, got[i].lease, an_end(JOB_COMPLETED, answer, ""), 0), 0);
            completed += reply.jobs[0].status == JOB_COMPLETED;
            full += strstr(reply.jobs[0].error.len > 0 ? reply.jobs[0].error.ptr : "", "jobs_full") != NULL;
        }
        CHECK(completed > 0 && cut > 0 && full > 0);
        CHECK_UINT(completed + full, n);
        CHECK_INT(take(&w, 1), 0);
        CHECK_UINT(reply.count, 0); /* its answer would have no room */
        w.due = 0;
        pass(&w, 1001);
        for (int i = 0; i < 100 && (take(&w, 1) != 0 || reply.count == 0); i++) turn(&w);
        CHECK_UINT(reply.count, 1);
        await(&w, &w.due); /* who takes was told */
        done_asking();
        end(&w);
    }
}

/* As long as the job says, or as who did it says when that is shorter. */
static void kept_for_a_time(uint64_t said, uint64_t said_at_end) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        struct job_end how = an_end(JOB_COMPLETED, "kept", "");
        j.keep_ms = said;
        how.keep_ms = said_at_end;
        j.key = SLICE("again");
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(take(&w, 1), 0);
        uint64_t lease = reply.jobs[0].lease;
        for (int i = 0; i < 20; i++) CHECK_INT(append(&w, last_id, lease, "", "data: x\n\n"), 0);
        CHECK_INT(finish(&w, last_id, lease, how, 0), 0);
        pass(&w, 999);
        CHECK_INT(get(&w, last_id), 0);
        pass(&w, 1);
        for (int i = 0; i < 1000 && get(&w, last_id) == 0; i++) turn(&w);
        CHECK_INT(get(&w, last_id), JOBS_NOT_FOUND);
        struct jobs_totals t = { .jobs = 1 };
        for (int i = 0; i < 1000 && t.jobs > 0; i++) {
            jobs_store_counts(w.store, NULL, NULL, &t);
            if (t.jobs > 0) turn(&w);
        }
        CHECK_UINT(t.jobs, 0);
        CHECK_INT(submit(&w, j), 0);
        CHECK(!reply.existed); /* the key is free again */
        done_asking();
        end(&w);
    }
}

TEST(results_are_kept_for_a_time) {
    kept_for_a_time(1000, 0);
    kept_for_a_time(1000, 5000);
}

TEST(what_nobody_asks_for_is_forgotten_sooner) { kept_for_a_time(100000, 1000); }

/* What a try says counts when it is the last one. */
TEST(how_long_it_is_kept_is_what_its_end_says) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        j.max_tries = 3;
        CHECK_INT(submit(&w, j), 0);
        struct job_end again = an_end(JOB_QUEUED, "", "{}"), last = an_end(JOB_COMPLETED, "1", "");
        again.keep_ms = 1000;
        CHECK_INT(take(&w, 1), 0);
        CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, again, 0), 0);
        CHECK_UINT(reply.jobs[0].keep_ms, w.settings.keep_ms);
        CHECK_INT(take(&w, 1), 0);
        CHECK_UINT(reply.jobs[0].keep_ms, w.settings.keep_ms);
        last.keep_ms = 60000;
        CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, last, 0), 0);
        CHECK_INT(get(&w, last_id), 0);
        CHECK_UINT(reply.jobs[0].keep_ms, 60000);
        done_asking();
        end(&w);
    }
}

TEST(in_memory_one_that_is_held_is_there_until_it_is_forgotten) {
    struct world w;
    begin(&w, MEMORY);
    struct job j = a_job("acme", "x");
    struct job_end last = an_end(JOB_COMPLETED, "1", "");
    j.held = true;
    CHECK_INT(submit(&w, j), 0);
    CHECK_INT(take(&w, 1), 0);
    last.keep_ms = 1000;
    CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, last, 0), 0);
    pass(&w, UINT64_C(400) * 86400 * 1000);
    for (int i = 0; i < 5; i++) turn(&w);
    CHECK_INT(get(&w, last_id), 0);
    CHECK_UINT(reply.jobs[0].keep_ms, 1000); /* what its end says, for whom it may concern */
    CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(last_id), .forget = true }), JOBS_IS_OVER);
    CHECK_INT(get(&w, last_id), JOBS_NOT_FOUND);
    done_asking();
    end(&w);
}

/* However often it is tried, and however much it says. */
TEST(in_memory_only_what_is_kept_is_counted) {
    static char error[1001];
    struct world w;
    struct jobs_totals t, empty;
    memset(error, '1', 1000);
    begin(&w, MEMORY);
    jobs_store_counts(w.store, NULL, NULL, &empty);
    struct job j = a_job("acme", "x");
    j.max_tries = 1;
    CHECK_INT(submit(&w, j), 0);
    struct job_end later = an_end(JOB_QUEUED, "", error);
    later.tries = 0;
    for (int i = 0; i < 50; i++) {
        CHECK_INT(take(&w, 1), 0);
        CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, later, 0), 0);
    }
    jobs_store_counts(w.store, NULL, NULL, &t);
    CHECK(t.bytes > empty.bytes + 1000 && t.bytes < empty.bytes + 4000);
    CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
    CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_CANCEL, .id = slice_str(last_id), .forget = true }), JOBS_IS_OVER);
    jobs_store_counts(w.store, NULL, NULL, &t);
    CHECK_UINT(t.bytes, empty.bytes);
    done_asking();
    end(&w);
}

static void told(struct jobs_watch *watch);
struct watcher { struct jobs_watch watch; unsigned times; };
static void told(struct jobs_watch *watch) { container_of(watch, struct watcher, watch)->times++; }

TEST(events_in_order_and_who_watches) {
    EACH_KIND {
        struct world w;
        struct watcher a = { .times = 0 }, b = { .times = 0 };
        a.watch.told = b.watch.told = told;
        begin(&w, kind);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(take(&w, 1), 0);
        uint64_t lease = reply.jobs[0].lease;
        int rc = jobs_watch(w.jobs, &a.watch, slice_str(last_id));
        if (rc == 0) rc = jobs_watch(w.jobs, &b.watch, slice_str(last_id));
        CHECK_INT(rc, 0);
        jobs_unwatch(&b.watch);
        CHECK_INT(append(&w, last_id, lease, "", "data: \xe4\xbd\xa0\n\n"), 0);
        CHECK_UINT(reply.events[0].number, 1);
        await(&w, &a.times);
        CHECK_INT(append(&w, last_id, lease, "progress", "{\"done\":1}"), 0);
        CHECK_INT(append(&w, last_id, lease, "", "data: 2\n\n"), 0);
        CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .tenant = SLICE("acme"),
                                              .after = 1, .count = 10 }), 0);
        CHECK_UINT(reply.count, 2);
        CHECK_UINT(reply.events[0].number, 2);
        CHECK_SLICE(reply.events[0].name, SLICE("progress"));
        CHECK_SLICE(reply.events[1].data, SLICE("data: 2\n\n"));
        CHECK_INT(reply.jobs[0].status, JOB_RUNNING);
        CHECK_SLICE(reply.jobs[0].progress, SLICE("{\"done\":1}"));
        CHECK_UINT(reply.jobs[0].last_event, 3);
        CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .tenant = SLICE("zoo"),
                                              .count = 10 }), JOBS_NOT_FOUND);
        a.times = 0;
        CHECK_INT(finish(&w, last_id, lease, an_end(JOB_COMPLETED, "", ""), 0), 0);
        await(&w, &a.times);
        CHECK_UINT(b.times, 0);
        done_asking();
        end(&w); /* with a watch that is forgotten */
        CHECK(a.watch.jobs == NULL);
    }
}

TEST(lists_by_pages) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        char text[8], before[JOB_ID_SIZE] = "";
        for (int i = 0; i < 7; i++) {
            snprintf(text, sizeof(text), "%d", i);
            CHECK_INT(submit(&w, a_job(i == 3 ? "zoo" : "acme", text)), 0);
        }
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        static const unsigned sizes[] = { 4, 2, 0 };
        for (int page = 0; page < 3; page++) {
            struct jobs_ask q = { .verb = JOBS_LIST, .tenant = SLICE("acme"), .status = -1, .count = 4,
                                  .before = slice_str(before) };
            CHECK_INT(ask(&w, &q), 0);
            CHECK_UINT(reply.count, sizes[page]);
            for (unsigned i = 0; i < reply.count; i++) {
                CHECK(before[0] == '\0' || strcmp(reply.jobs[i].id, before) < 0);
                CHECK_SLICE(reply.jobs[i].path, SLICE("/v1/chat/completions"));
                CHECK_UINT(reply.jobs[i].body.len, 0);
                memcpy(before, reply.jobs[i].id, sizeof(before));
            }
        }
        struct jobs_ask q = { .verb = JOBS_LIST, .status = JOB_QUEUED, .count = 20 };
        CHECK_INT(ask(&w, &q), 0);
        CHECK_UINT(reply.count, 6);
        q.status = JOB_CANCELED;
        q.tenant = SLICE("acme");
        CHECK_INT(ask(&w, &q), 0);
        CHECK_UINT(reply.count, 1);
        q.before = SLICE("job_nonsense");
        CHECK_INT(ask(&w, &q), 0);
        CHECK_UINT(reply.count, 0);
        CHECK_INT(get(&w, "job_0000000000000000000000000000000"), JOBS_NOT_FOUND);
        CHECK_INT(get(&w, "job_ffffffffffffffffffffffffffffffff"), JOBS_NOT_FOUND);
        CHECK_INT(get(&w, ""), JOBS_NOT_FOUND);
        done_asking();
        end(&w);
    }
}

static int hook_take(struct world *w) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_HOOK_TAKE, .count = 10, .lease_ms = 1000 });
}

static int hook_done(struct world *w, struct job_hook h, enum job_hook_state state, int status, uint64_t delay_ms) {
    struct jobs_ask a = { .verb = JOBS_HOOK_DONE, .lease = h.lease, .delay_ms = delay_ms };
    a.hook.number = h.number;
    a.hook.state = state;
    a.hook.status = status;
    a.hook.note = SLICE("what \"it\" said");
    return ask(w, &a);
}

TEST(a_webhook_until_it_is_delivered) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        j.webhook = SLICE("https://example.com/hook");
        j.keep_ms = 1000;
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(hook_take(&w), 0);
        CHECK_UINT(reply.count, 0);
        CHECK_INT(take(&w, 1), 0);
        CHECK_INT(finish(&w, last_id, reply.jobs[0].lease, an_end(JOB_COMPLETED, "{\"a\":1}", ""), 0), 0);
        await(&w, &w.hook_due);
        CHECK_INT(hook_take(&w), 0);
        CHECK_UINT(reply.count, 1);
        struct job_hook h = reply.hooks[0];
        CHECK_SLICE(h.url, SLICE("https://example.com/hook"));
        CHECK_UINT(h.tries, 1);
        CHECK_STR(reply.jobs[0].id, last_id);
        CHECK_SLICE(reply.jobs[0].result, SLICE("{\"a\":1}"));
        CHECK_INT(hook_take(&w), 0);
        CHECK_UINT(reply.count, 0); /* somebody has it */
        pass(&w, 1001);             /* but was not heard of again */
        CHECK_INT(hook_take(&w), 0);
        CHECK_UINT(reply.count, 1);
        CHECK_INT(hook_done(&w, h, JOB_HOOK_DELIVERED, 200, 0), JOBS_LOST);
        CHECK_INT(hook_take(&w), 0);
        CHECK_UINT(reply.count, 0);
        h.lease++;
        CHECK_INT(hook_done(&w, h, JOB_HOOK_WAITING, 503, 5000), 0);
        pass(&w, 4999); /* longer than the job is kept: it waits for its webhook */
        CHECK_INT(hook_take(&w), 0);
        CHECK_UINT(reply.count, 0);
        pass(&w, 1);
        CHECK_INT(hook_take(&w), 0);
        CHECK_UINT(reply.count, 1);
        CHECK_UINT(reply.hooks[0].tries, 3);
        CHECK_INT(reply.hooks[0].last_status, 503);
        CHECK_INT(hook_done(&w, reply.hooks[0], JOB_HOOK_DELIVERED, 204, 0), 0);
        CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_HOOKS, .id = slice_str(last_id) }), 0);
        CHECK_UINT(reply.count, 1);
        CHECK_INT(reply.hooks[0].state, JOB_HOOK_DELIVERED);
        CHECK(strstr(reply.hooks[0].log.ptr, "\"status\":503,\"note\":\"what \\\"it\\\" said\"}\n{") != NULL);
        CHECK_INT(get(&w, last_id), 0);
        pass(&w, 1001);
        for (int i = 0; i < 1000 && get(&w, last_id) == 0; i++) turn(&w);
        CHECK_INT(get(&w, last_id), JOBS_NOT_FOUND);
        done_asking();
        end(&w);
    }
}

/* Paced: nobody was asked, so it was no try, and its log says nothing. */
TEST(a_webhook_that_was_not_sent_has_used_no_try) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        j.webhook = SLICE("https://example.com/hook");
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        for (int i = 0; i < 3; i++) {
            CHECK_INT(hook_take(&w), 0);
            CHECK_UINT(reply.count, 1);
            CHECK_UINT(reply.hooks[0].tries, 1);
            CHECK_INT(reply.hooks[0].last_status, 0);
            CHECK_UINT(reply.hooks[0].log.len, 0);
            struct jobs_ask a = { .verb = JOBS_HOOK_DONE, .lease = reply.hooks[0].lease, .delay_ms = 500 };
            a.hook.number = reply.hooks[0].number;
            a.hook.state = JOB_HOOK_WAITING;
            a.hook.unsent = true;
            CHECK_INT(ask(&w, &a), 0);
            CHECK_INT(ask(&w, &a), JOBS_LOST);
            pass(&w, 499);
            CHECK_INT(hook_take(&w), 0);
            CHECK_UINT(reply.count, 0);
            pass(&w, 1);
        }
        done_asking();
        end(&w);
    }
}

/* Its moment may come while something else is asked. */
TEST(a_webhook_that_is_to_come_again_is_said_to_be_due) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        j.webhook = SLICE("https://example.com/hook");
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        for (int i = 0; i < 3; i++) {
            CHECK_INT(hook_take(&w), 0);
            CHECK_UINT(reply.count, 1);
            CHECK_INT(hook_done(&w, reply.hooks[0], JOB_HOOK_WAITING, 503, 5000), 0);
            for (int n = 0; n < 5; n++) turn(&w);
            w.hook_due = 0;
            pass(&w, 5000);
            CHECK_INT(get(&w, last_id), 0);
            CHECK_INT(get(&w, last_id), 0);
            await(&w, &w.hook_due);
        }
        done_asking();
        end(&w);
    }
}

TEST(every_end_has_a_webhook) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        j.webhook = SLICE("https://example.com/");
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        j.expires_ms = wall + 10;
        CHECK_INT(submit(&w, j), 0);
        pass(&w, 11);
        do CHECK_INT(get(&w, last_id), 0);
        while (reply.jobs[0].status == JOB_QUEUED);
        CHECK_INT(hook_take(&w), 0);
        CHECK_UINT(reply.count, 2);
        CHECK(reply.hooks[0].number != reply.hooks[1].number);
        done_asking();
        end(&w);
    }
}

/* From within: whoever is told may close, and then nobody is told any more. */
static void close_it(struct world *w) {
    jobs_close(w->jobs);
    w->jobs = NULL;
}

static void due_closes(void *ud) { close_it(ud); }

struct closer { struct jobs_watch watch; struct world *world; };
static void told_closes(struct jobs_watch *watch) { close_it(container_of(watch, struct closer, watch)->world); }

TEST(who_is_told_may_close) {
    EACH_KIND
    for (int by_watch = 0; by_watch < 2; by_watch++) {
        struct world w;
        struct jobs *other;
        begin(&w, kind);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        for (int i = 0; i < 5; i++) turn(&w);
        struct closer a = { .watch = { .told = told_closes }, .world = &w }, b = a;
        struct watcher third = { .watch = { .told = told } };
        int rc = by_watch ? jobs_watch(w.jobs, &a.watch, slice_str(last_id)) : 0;
        if (by_watch && rc == 0) rc = jobs_watch(w.jobs, &b.watch, slice_str(last_id));
        if (!by_watch) rc = jobs_watch(w.jobs, &third.watch, slice_str(last_id));
        CHECK_INT(rc, 0);
        if (!by_watch) w.jobs->due = due_closes;
        other = jobs_open(w.store, &w.loop);
        CHECK(other != NULL);
        struct reply r = { .rc = 0 };
        struct jobs_ask q = { .verb = JOBS_CANCEL, .id = slice_str(last_id) };
        struct job j = a_job("acme", "y");
        if (!by_watch) q = (struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j };
        for (int i = 0; i < 200 && kind == REDIS && !jobs_redis_is_up(other); i++) turn(&w);
        CHECK_INT(jobs_begin(other, &r.op, &q, answered), 0);
        for (int i = 0; i < (unit_fault_fired() ? 10 : 200) && (w.jobs != NULL || !r.done); i++) turn(&w);
        CHECK(w.jobs == NULL && r.done);
        for (int i = 0; i < 3; i++) turn(&w);
        CHECK(a.watch.jobs == NULL && b.watch.jobs == NULL && third.watch.jobs == NULL);
        jobs_close(other);
        arena_deinit(&r.texts);
        done_asking();
        end(&w);
    }
}

/* A thousand lanes whose tenants have as much running as may be, in front of one that may go: it is not passed over for
 * ever. */
TEST_NOFAULT(who_waits_behind_a_thousand_that_may_not_go) {
    EACH_KIND {
        struct world w;
        struct jobs_limits l = { .tenant_concurrency = 1 };
        char first[JOB_ID_SIZE] = "", tenant[16];
        uint64_t lease = 0;
        begin_with(&w, kind, &l, NULL);
        for (int i = 0; i < 1100; i++) {
            snprintf(tenant, sizeof(tenant), "t%04d", i);
            for (int k = 0; k < 2; k++) CHECK_INT(submit(&w, a_job(tenant, "x")), 0);
        }
        for (int taken = 0; taken < 1100; taken += (int)reply.count) {
            CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = MOST, .lease_ms = 3600000 }), 0);
            CHECK(reply.count > 0);
            if (first[0] != '\0') continue;
            memcpy(first, reply.jobs[0].id, JOB_ID_SIZE);
            lease = reply.jobs[0].lease;
            CHECK_SLICE(reply.jobs[0].tenant, SLICE("t0000"));
        }
        CHECK_INT(finish(&w, first, lease, an_end(JOB_COMPLETED, "", ""), 0), 0);
        CHECK_STR(take_bodies(&w, 1), "x"); /* t0000 was served last */
        CHECK_INT(submit(&w, a_job("t9999", "z")), 0);
        const char *got = "";
        for (int i = 0; i < 3 && got[0] == '\0'; i++) got = take_bodies(&w, 1);
        CHECK_STR(got, "z");
        done_asking();
        end(&w);
    }
}

TEST(nobody_waits_any_more) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct reply one = { .rc = 0 }, two = { .rc = 0 };
        struct job j = a_job("acme", "x");
        struct jobs_ask q = { .verb = JOBS_SUBMIT, .job = &j };
        int rc = jobs_begin(w.jobs, &one.op, &q, answered);
        if (rc == 0) jobs_cancel(&one.op);
        if (rc == 0) jobs_cancel(&one.op);
        if (rc == 0) rc = jobs_begin(w.jobs, &two.op, &q, answered);
        end(&w); /* hears of the end */
        CHECK(!one.done);
        CHECK(rc != 0 || two.done);
        arena_deinit(&two.texts);
    }
}

TEST(counts_of_queues) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        for (int i = 0; i < 3; i++) CHECK_INT(submit(&w, a_job("a", "x")), 0);
        CHECK_INT(take(&w, 1), 0);
        struct job first = reply.jobs[0];
        CHECK_INT(finish(&w, first.id, first.lease, an_end(JOB_FAILED, "", "{}"), 0), 0);
        CHECK_INT(take(&w, 1), 0);
        struct jobs_totals t = { .jobs = 0 };
        for (int i = 0; i < 1000 && t.jobs != 3; i++) {
            turn(&w);
            jobs_store_counts(w.store, NULL, NULL, &t);
        }
        CHECK_UINT(t.jobs, 3);
        CHECK(t.bytes > 0);
        done_asking();
        end(&w);
    }
}

/* Who asks again because an answer was lost. */
TEST(an_event_that_is_said_twice_is_there_once) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(take(&w, 1), 0);
        uint64_t lease = reply.jobs[0].lease;
        for (int i = 0; i < 2; i++) {
            CHECK_INT(append_as(&w, last_id, lease, 1, "data: a\n\n"), 0);
            CHECK_UINT(reply.count, 1);
            CHECK_UINT(reply.events[0].number, 1);
        }
        CHECK_INT(append_as(&w, last_id, lease, 2, "data: a\n\n"), 0);
        CHECK_UINT(reply.events[0].number, 2);
        CHECK_INT(append_as(&w, last_id, lease + 1, 2, "data: a\n\n"), JOBS_LOST);
        CHECK_INT(append_as(&w, last_id, JOBS_ELSEWHERE, 2, "data: a\n\n"), 0);
        CHECK_UINT(reply.events[0].number, 2);
        CHECK_INT(append_as(&w, last_id, lease, 0, "data: a\n\n"), 0);
        CHECK_UINT(reply.events[0].number, 3);
        CHECK_INT(finish(&w, last_id, lease, an_end(JOB_COMPLETED, "{}", ""), 0), 0);
        CHECK_INT(append_as(&w, last_id, lease, 3, "data: a\n\n"), JOBS_IS_OVER);
        CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .count = 9 }), 0);
        CHECK_UINT(reply.count, 3);
        done_asking();
        end(&w);
    }
}

TEST(pieces_that_come_at_once_are_all_there) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(take(&w, 1), 0);
        uint64_t lease = reply.jobs[0].lease;
        static struct reply many[8];
        int rc = 0;
        unsigned sent = 0;
        memset(many, 0, sizeof(many));
        for (; sent < 8 && rc == 0; sent++) {
            char text[8];
            snprintf(text, sizeof(text), "%u", sent);
            struct jobs_ask q = { .verb = JOBS_APPEND, .id = slice_str(last_id), .lease = lease,
                                  .event = { 0, sent == 3 ? SLICE("progress") : SLICE(""), slice_str(text) } };
            rc = jobs_begin(w.jobs, &many[sent].op, &q, answered);
        }
        bool fine = rc == 0;
        for (unsigned i = 0; i < sent; i++) {
            while (rc == 0 && !many[i].done) turn(&w);
            fine = fine && many[i].rc == 0 && many[i].count == 1 && many[i].events[0].number == i + 1;
        }
        for (unsigned i = 0; i < 8; i++) {
            jobs_cancel(&many[i].op);
            arena_deinit(&many[i].texts);
        }
        CHECK(fine);
        CHECK_INT(ask(&w, &(struct jobs_ask){ .verb = JOBS_EVENTS, .id = slice_str(last_id), .count = 20 }), 0);
        CHECK_UINT(reply.count, 8);
        for (unsigned i = 0; i < reply.count; i++) {
            CHECK_UINT(reply.events[i].number, i + 1);
            CHECK_INT(reply.events[i].data.ptr[0], '0' + (int)i);
        }
        done_asking();
        end(&w);
    }
}

/* -- Jobs that are handed on ------------------------------------------ */

static int give(struct world *w, const char *id, unsigned count, uint64_t ms) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_GIVE, .id = slice_str(id), .count = count, .lease_ms = ms });
}

static int beat_elsewhere(struct world *w, const char *id, unsigned tries) {
    return ask(w, &(struct jobs_ask){ .verb = JOBS_BEAT, .id = slice_str(id), .lease = JOBS_ELSEWHERE,
                                      .lease_ms = 10000, .count = tries });
}

TEST(what_is_handed_on_waits_without_a_try) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(give(&w, NULL, 5, 1000), 0);
        CHECK_UINT(reply.count, 1);
        CHECK_STR(reply.jobs[0].id, last_id);
        CHECK_SLICE(reply.jobs[0].body, SLICE("x"));
        CHECK_UINT(reply.jobs[0].tries, 0);
        CHECK_INT(reply.jobs[0].status, JOB_QUEUED);
        CHECK_INT(give(&w, NULL, 5, 1000), 0);
        CHECK_UINT(reply.count, 0);
        CHECK_STR(take_bodies(&w, 5), "");
        CHECK_INT(give(&w, last_id, 0, 3000), 0); /* later than it was to be */
        pass(&w, 2999);
        CHECK_INT(give(&w, NULL, 5, 1000), 0);
        CHECK_UINT(reply.count, 0);
        w.due = 0;
        pass(&w, 1);
        await(&w, &w.due);
        CHECK_INT(give(&w, NULL, 5, 1000), 0);
        CHECK_UINT(reply.count, 1);
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        CHECK_INT(reply.jobs[0].status, JOB_CANCELED);
        CHECK_INT(give(&w, last_id, 0, 1000), JOBS_IS_OVER);
        CHECK_INT(give(&w, "job_00000000000000010000000000000001", 0, 1000), JOBS_NOT_FOUND);
        done_asking();
        end(&w);
    }
}

TEST(who_speaks_for_a_job_elsewhere) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(give(&w, NULL, 5, 1000), 0);
        CHECK_INT(beat_elsewhere(&w, last_id, 2), 0);
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(reply.jobs[0].status, JOB_RUNNING);
        CHECK_UINT(reply.jobs[0].tries, 2);
        CHECK_UINT(reply.jobs[0].started_ms, wall);
        CHECK_INT(beat_elsewhere(&w, last_id, 3), 0);
        CHECK_INT(get(&w, last_id), 0);
        CHECK_UINT(reply.jobs[0].tries, 3);
        CHECK_INT(append(&w, last_id, JOBS_ELSEWHERE, "progress", "{\"n\":1}"), 0);
        CHECK_INT(give(&w, last_id, 0, 1), 0); /* it runs: nothing changes */
        CHECK_INT(finish(&w, last_id, JOBS_ELSEWHERE, an_end(JOB_COMPLETED, "{}", ""), 0), 0);
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(reply.jobs[0].status, JOB_COMPLETED);
        CHECK_SLICE(reply.jobs[0].progress, SLICE("{\"n\":1}"));
        CHECK_SLICE(reply.jobs[0].result, SLICE("{}"));
        CHECK_INT(beat_elsewhere(&w, last_id, 1), JOBS_IS_OVER);
        done_asking();
        end(&w);
    }
}

/* A result that comes before anybody said that it runs; and one that nobody wants any more. */
TEST(an_end_from_elsewhere_at_any_time) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        struct job_end result = an_end(JOB_FAILED, "", "{\"code\":\"no\"}");
        result.tries = 3;
        CHECK_INT(finish(&w, last_id, JOBS_ELSEWHERE, result, 0), 0); /* ready, not even handed on */
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(reply.jobs[0].status, JOB_FAILED);
        CHECK_UINT(reply.jobs[0].tries, 3);
        CHECK_STR(take_bodies(&w, 5), "");
        CHECK_INT(submit(&w, a_job("acme", "x")), 0);
        CHECK_INT(give(&w, NULL, 5, 1000), 0);
        CHECK_INT(beat_elsewhere(&w, last_id, 1), 0);
        CHECK_INT(cancel(&w, last_id, SLICE("acme")), 0);
        CHECK_INT(reply.jobs[0].status, JOB_RUNNING);
        CHECK_INT(beat_elsewhere(&w, last_id, 1), JOBS_WAS_CANCELED);
        CHECK_INT(finish(&w, last_id, JOBS_ELSEWHERE, an_end(JOB_COMPLETED, "{}", ""), 0), JOBS_WAS_CANCELED);
        CHECK_INT(get(&w, last_id), 0);
        CHECK_INT(reply.jobs[0].status, JOB_CANCELED);
        done_asking();
        end(&w);
    }
}

/* Given back by who had it elsewhere, and ended by the next one, who shows the same lease: none. */
TEST(an_end_from_elsewhere_behind_a_try_that_was_given_back) {
    EACH_KIND {
        for (int given = 0; given < 2; given++) {
            struct world w;
            begin(&w, kind);
            CHECK_INT(submit(&w, a_job("acme", "x")), 0);
            CHECK_INT(give(&w, NULL, 5, 1000), 0);
            struct job_end back = an_end(JOB_QUEUED, "", "");
            back.tries = 0;
            CHECK_INT(finish(&w, last_id, JOBS_ELSEWHERE, back, 0), 0);
            CHECK_INT(reply.jobs[0].status, JOB_QUEUED);
            if (given) CHECK_INT(give(&w, NULL, 5, 1000), 0);
            CHECK_INT(finish(&w, last_id, JOBS_ELSEWHERE, an_end(JOB_COMPLETED, "{}", ""), 0), 0);
            CHECK_INT(get(&w, last_id), 0);
            CHECK_INT(reply.jobs[0].status, JOB_COMPLETED);
            done_asking();
            end(&w);
        }
    }
}

/* It is not ready because the wall clock was set; but it expires by that clock. */
TEST(clocks_that_jump_over_what_is_handed_on) {
    EACH_KIND {
        struct world w;
        begin(&w, kind);
        struct job j = a_job("acme", "x");
        j.expires_ms = wall + 50000;
        CHECK_INT(submit(&w, j), 0);
        CHECK_INT(give(&w, NULL, 5, 60000), 0);
        __atomic_add_fetch(&wall, 20000, __ATOMIC_SEQ_CST);
        for (int i = 0; i < 5; i++) turn(&w);
        CHECK_INT(give(&w, NULL, 5, 1000), 0);
        CHECK_UINT(reply.count, 0);
        __atomic_add_fetch(&wall, 31000, __ATOMIC_SEQ_CST);
        for (int i = 0; i < 50 && (get(&w, last_id) != 0 || reply.jobs[0].status != JOB_FAILED); i++) turn(&w);
        CHECK_INT(reply.jobs[0].status, JOB_FAILED);
        done_asking();
        end(&w);
    }
}

TEST(in_memory_a_job_may_bring_its_id) {
    struct world w;
    begin(&w, MEMORY);
    struct job j = a_job("acme", "x");
    strcpy(j.id, "job_00000000000000010000000000000001");
    CHECK_INT(submit(&w, j), 0);
    CHECK_STR(last_id, j.id);
    CHECK(!reply.existed);
    CHECK_INT(submit(&w, j), 0);
    CHECK(reply.existed);
    CHECK_STR(take_bodies(&w, 5), "x");
    CHECK_INT(submit(&w, a_job("acme", "y")), 0);
    CHECK(strcmp(last_id, j.id) > 0);
    done_asking();
    end(&w);
}

/* -- Virtual time ------------------------------------------ */

static bool stop;
static void stopping(void *ud) {
    (void)ud;
    stop = true;
}

static void until_done(struct world *w, const struct jobs_ask *a) {
    arena_deinit(&reply.texts);
    memset(&reply, 0, sizeof(reply));
    CHECK_INT(jobs_begin(w->jobs, &reply.op, a, answered), 0);
    while (!reply.done) {
        loop_flush(&w->loop);
    }
    CHECK_INT(reply.rc, 0);
}

TEST(virtual_time_jumps_to_the_next_lease_that_ends) {
    struct world w;
    memset(&w, 0, sizeof(w));
    jobs_settings_init(&w.settings);
    CHECK_INT(loop_init(&w.loop), 0);
    w.loop.is_virtual = true;
    open_store(&w, NULL);
    w.jobs = jobs_open(w.store, &w.loop);
    CHECK(w.jobs != NULL);
    struct job j = a_job("acme", "x");
    j.max_tries = 2;
    j.not_before_ms = 5000;
    until_done(&w, &(struct jobs_ask){ .verb = JOBS_SUBMIT, .job = &j });
    stop = false;
    w.jobs->due = stopping;
    loop_run_virtual(&w.loop, &stop);
    CHECK(stop);
    CHECK_UINT(loop_now(&w.loop), 5000);
    until_done(&w, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 1, .lease_ms = 30000 });
    CHECK_UINT(reply.count, 1);
    stop = false;
    loop_run_virtual(&w.loop, &stop);
    CHECK_UINT(loop_now(&w.loop), 35000);
    until_done(&w, &(struct jobs_ask){ .verb = JOBS_TAKE, .count = 1, .lease_ms = 30000 });
    CHECK_UINT(reply.jobs[0].tries, 2);
    stop = false;
    loop_run_virtual(&w.loop, &stop); /* to the end of the last try */
    CHECK_UINT(loop_now(&w.loop), 65000);
    stop = false;
    loop_run_virtual(&w.loop, &stop); /* nothing is left to wait for: not even the keeping of what is over */
    CHECK(!stop);
    CHECK_UINT(loop_now(&w.loop), 65000);
    done_asking();
    end(&w);
}

/* test_kafka.c -- what the Kafka driver keeps by itself: offsets, tokens, declarations, settings.  Against a server it is
 * tested by tests/brokers. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"
#include "jobs/kafka_abi.h"
#include "jobs/kafka_conf.h"
#include "jobs/kafka_flights.h"
#include "jobs/kafka_offsets.h"

/* -- Offsets ---------------------------------------------------------------------------------------- */

TEST_FAULT(the_mark_is_the_first_that_is_not_settled) {
    struct kafka_offsets o;
    kafka_offsets_init(&o, 100);
    CHECK_INT(kafka_offsets_mark(&o), -1);
    static const int64_t came[] = { 17, 18, 20, 21, 22 };
    for (int i = 0; i < 5; i++) {
        int rc = kafka_offsets_take(&o, came[i]);
        if (FAULTED(rc)) goto done;
        CHECK_INT(rc, KAFKA_TAKEN);
    }
    CHECK_INT(kafka_offsets_mark(&o), 17);
    CHECK(kafka_offsets_settle(&o, 20));
    CHECK(kafka_offsets_settle(&o, 21));
    CHECK(!kafka_offsets_settle(&o, 21));
    CHECK(!kafka_offsets_settle(&o, 19));
    CHECK(!kafka_offsets_settle(&o, 23));
    CHECK_INT(kafka_offsets_mark(&o), 17);
    CHECK(kafka_offsets_settle(&o, 17));
    CHECK_INT(kafka_offsets_mark(&o), 18);
    CHECK(kafka_offsets_settle(&o, 18));
    CHECK_INT(kafka_offsets_mark(&o), 22); /* over the gap */
    CHECK(kafka_offsets_settle(&o, 22));
    CHECK_INT(kafka_offsets_mark(&o), 23);
    CHECK_UINT(o.unsettled, 0);
done:
    kafka_offsets_deinit(&o);
}

TEST_FAULT(what_comes_twice_and_a_log_that_went_back) {
    struct kafka_offsets o;
    kafka_offsets_init(&o, 100);
    int rc = kafka_offsets_take(&o, 100);
    if (FAULTED(rc)) goto done;
    CHECK_INT(kafka_offsets_take(&o, 101), KAFKA_TAKEN);
    CHECK_INT(kafka_offsets_take(&o, 100), KAFKA_TAKEN_BEFORE);
    CHECK(kafka_offsets_settle(&o, 101));
    CHECK_INT(kafka_offsets_take(&o, 101), KAFKA_TAKEN_BEFORE); /* behind one that is not settled, it is known */
    CHECK_INT(kafka_offsets_take(&o, 99), KAFKA_TAKEN_BACK);
    CHECK(kafka_offsets_settle(&o, 100));
    CHECK_INT(kafka_offsets_take(&o, 100), KAFKA_TAKEN_BACK);
    CHECK_INT(kafka_offsets_mark(&o), 102);
done:
    kafka_offsets_deinit(&o);
}

TEST_FAULT(one_that_was_given_back_comes_again_alone) {
    struct kafka_offsets o;
    kafka_offsets_init(&o, 100);
    for (int64_t i = 0; i < 4; i++) {
        int rc = kafka_offsets_take(&o, i);
        if (FAULTED(rc)) goto done;
    }
    CHECK_INT(kafka_offsets_returned(&o), -1);
    CHECK(kafka_offsets_settle(&o, 2));
    CHECK(!kafka_offsets_return(&o, 2));
    CHECK(kafka_offsets_return(&o, 3));
    CHECK(kafka_offsets_return(&o, 1));
    CHECK(!kafka_offsets_return(&o, 1));
    CHECK_UINT(o.again, 2);
    CHECK_INT(kafka_offsets_returned(&o), 1);
    CHECK_INT(kafka_offsets_mark(&o), 0);
    CHECK_INT(kafka_offsets_take(&o, 1), KAFKA_TAKEN_AGAIN);
    CHECK_INT(kafka_offsets_take(&o, 2), KAFKA_TAKEN_BEFORE);
    CHECK_INT(kafka_offsets_take(&o, 3), KAFKA_TAKEN_AGAIN);
    CHECK_UINT(o.again, 0);
    CHECK_INT(kafka_offsets_returned(&o), -1);
    CHECK(kafka_offsets_return(&o, 3));
    kafka_offsets_return_all(&o);
    CHECK_UINT(o.again, 3); /* 0, 1, 3 */
    CHECK_INT(kafka_offsets_take(&o, 0), KAFKA_TAKEN_AGAIN);
    CHECK_INT(kafka_offsets_take(&o, 1), KAFKA_TAKEN_AGAIN);
    CHECK(kafka_offsets_settle(&o, 3)); /* whoever had it was done after all */
    CHECK_UINT(o.again, 0);
done:
    kafka_offsets_deinit(&o);
}

TEST_FAULT(a_window_has_an_end) {
    struct kafka_offsets o;
    kafka_offsets_init(&o, 40);
    for (int64_t i = 0; i < 40; i++) {
        int rc = kafka_offsets_take(&o, i);
        if (FAULTED(rc)) goto done;
        CHECK_INT(rc, KAFKA_TAKEN);
    }
    CHECK(kafka_offsets_are_full(&o));
    CHECK_INT(kafka_offsets_take(&o, 40), PERILUNE_ERR_LIMITED);
    CHECK(kafka_offsets_settle(&o, 39));
    CHECK_INT(kafka_offsets_take(&o, 40), PERILUNE_ERR_LIMITED);
    CHECK(kafka_offsets_settle(&o, 0));
    CHECK_INT(kafka_offsets_take(&o, 40), KAFKA_TAKEN);
done:
    kafka_offsets_deinit(&o);
}

/* Against the simplest of all: a flag for each offset. */
TEST_NOFAULT(offsets_as_a_simple_model_has_them) {
    enum { MOST = 2000, WINDOW = 50 };
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 20; round++) {
        struct kafka_offsets o;
        bool taken[MOST] = { false }, settled[MOST] = { false };
        int next = 0;
        kafka_offsets_init(&o, WINDOW);
        for (int step = 0; step < 6000 && next < MOST - 4; step++) {
            int64_t mark = kafka_offsets_mark(&o), low = 0;
            while (low < next && (!taken[low] || settled[low])) low++;
            if (mark >= 0) CHECK_INT(low < next ? low : mark, mark);
            if (rng_next(&rng) % 2 == 0) {
                int at = next + (int)(rng_next(&rng) % 3); /* gaps */
                int rc = kafka_offsets_take(&o, at);
                if (rc == PERILUNE_ERR_LIMITED) continue;
                CHECK_INT(rc, KAFKA_TAKEN);
                taken[at] = true;
                next = at + 1;
            } else if (next > 0) {
                int at = next - 1 - (int)(rng_next(&rng) % (next < WINDOW ? (unsigned)next : WINDOW));
                CHECK(kafka_offsets_settle(&o, at) == (taken[at] && !settled[at]));
                settled[at] = true;
            }
        }
        kafka_offsets_deinit(&o);
    }
}

/* -- Flights -------------------------------------------------------------------------------------------- */

TEST_FAULT(tokens_are_of_one_use) {
    struct kafka_flights f;
    struct kafka_landing l;
    int a = 0, b = 0;
    int rc = kafka_flights_init(&f, 2, 1);
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    uint64_t one = kafka_flights_add(&f, &a, 10), two = kafka_flights_add(&f, &b, 20);
    CHECK(one != 0 && two != 0 && one != two);
    CHECK_UINT(kafka_flights_stamp(one), 1);
    CHECK_UINT(kafka_flights_add(&f, &a, 11), 0);
    CHECK(!kafka_flights_settle(&f, 0, false));
    CHECK(!kafka_flights_settle(&f, one + 7, false));
    CHECK(!kafka_flights_settle(&f, UINT64_MAX, false));
    CHECK(kafka_flights_settle(&f, two, true));
    CHECK(!kafka_flights_settle(&f, two, false));
    CHECK(kafka_flights_settle(&f, one, false));
    CHECK(kafka_flights_land(&f, &l));
    CHECK(l.part == &b && l.offset == 20 && l.again);
    uint64_t three = kafka_flights_add(&f, &b, 21);
    CHECK(three != 0 && three != two);
    CHECK(!kafka_flights_settle(&f, two, false));
    CHECK(kafka_flights_land(&f, &l));
    CHECK(l.part == &a && l.offset == 10 && !l.again);
    CHECK(!kafka_flights_land(&f, &l));
    CHECK_UINT(kafka_flights_count(&f), 1);
    kafka_flights_deinit(&f);
}

TEST_FAULT(a_partition_that_went_takes_its_tokens_along) {
    struct kafka_flights f;
    struct kafka_landing l;
    int a = 0, b = 0;
    int rc = kafka_flights_init(&f, 4, 0);
    if (FAULTED(rc)) return;
    uint64_t one = kafka_flights_add(&f, &a, 1), two = kafka_flights_add(&f, &a, 2), three = kafka_flights_add(&f, &b, 3);
    CHECK(kafka_flights_settle(&f, one, false));
    CHECK(kafka_flights_settle(&f, three, false));
    kafka_flights_drop(&f, &a);
    CHECK(!kafka_flights_settle(&f, two, false));
    CHECK(kafka_flights_land(&f, &l));
    CHECK(l.part == &b && l.offset == 3);
    CHECK(!kafka_flights_land(&f, &l));
    CHECK_UINT(kafka_flights_count(&f), 0);
    for (int i = 0; i < 4; i++) CHECK(kafka_flights_add(&f, &a, i) != 0);
    CHECK_UINT(kafka_flights_add(&f, &a, 9), 0);
    kafka_flights_deinit(&f);
}

/* -- Settings -------------------------------------------------------------------------------------------- */

static const char *checked(const char *servers, const char *topic) {
    static char why[300];
    struct broker_settings s = { .servers = servers, .work = topic, .group = "g" };
    why[0] = '\0';
    return kafka_conf_check(&s, why, sizeof(why)) == 0 ? "" : why;
}

TEST(servers_and_topics_are_looked_at_before_anybody_is_asked) {
    static const char *const good[] = { "a", "a:9092", "a:1,b:65535", "[::1]:9092", "[::1]", "10.0.0.1:9092, b.c:2" };
    static const char *const bad[] = { "", "a:", "a:0", "a:65536", "a:http", ":9092", "a,,b", "a:1,", "[::1", "::1:9092",
                                       "http://a:9092", "a b:1", "a:999999999999" };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) CHECK_STR(checked(good[i], "t"), "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        NOTE("'%s'", bad[i]);
        CHECK(strstr(checked(bad[i], "t"), "host:port") != NULL);
    }
    CHECK_STR(checked("a:1", "perilune.jobs-1_x"), "");
    CHECK_STR(checked("a:1", "."), "'.' is no topic: a name must not be '.' or '..'");
    CHECK_STR(checked("a:1", "a b"), "'a b' is no topic: a name may have letters, digits, '.', '_' and '-'");
    CHECK_STR(checked("a:1", NULL), "Kafka needs servers, a topic and a group");
    CHECK_STR(checked(NULL, "t"), "Kafka needs servers, a topic and a group");
    char why[100];
    struct broker_settings s = { .servers = "a:1", .work = "w", .group = "g", .user = "moon" };
    CHECK_INT(kafka_conf_check(&s, why, sizeof(why)), PERILUNE_ERR_CONFIG);
    CHECK_STR(why, "SASL needs a user and a password");
}

/* -- Declarations ------------------------------------------------------------------------------------------ */

#ifdef __has_include
#if __has_include(<librdkafka/rdkafka.h>)
#include <librdkafka/rdkafka.h>
#define HAVE_HEADER
#endif
#endif

#ifdef HAVE_HEADER
#define SAME(ours, our, theirs, their)                                                    \
    _Static_assert(offsetof(struct ours, our) == offsetof(theirs, their), #our);          \
    _Static_assert(sizeof(((struct ours *)0)->our) == sizeof(((theirs *)0)->their), #our)

_Static_assert(sizeof(struct kafka_message) == sizeof(rd_kafka_message_t), "message");
SAME(kafka_message, err, rd_kafka_message_t, err);
SAME(kafka_message, topic, rd_kafka_message_t, rkt);
SAME(kafka_message, partition, rd_kafka_message_t, partition);
SAME(kafka_message, payload, rd_kafka_message_t, payload);
SAME(kafka_message, len, rd_kafka_message_t, len);
SAME(kafka_message, key, rd_kafka_message_t, key);
SAME(kafka_message, key_len, rd_kafka_message_t, key_len);
SAME(kafka_message, offset, rd_kafka_message_t, offset);
SAME(kafka_message, opaque, rd_kafka_message_t, _private);
_Static_assert(sizeof(struct kafka_partition) == sizeof(rd_kafka_topic_partition_t), "partition");
SAME(kafka_partition, topic, rd_kafka_topic_partition_t, topic);
SAME(kafka_partition, partition, rd_kafka_topic_partition_t, partition);
SAME(kafka_partition, offset, rd_kafka_topic_partition_t, offset);
SAME(kafka_partition, err, rd_kafka_topic_partition_t, err);
_Static_assert(sizeof(struct kafka_partitions) == sizeof(rd_kafka_topic_partition_list_t), "partitions");
SAME(kafka_partitions, count, rd_kafka_topic_partition_list_t, cnt);
SAME(kafka_partitions, of, rd_kafka_topic_partition_list_t, elems);
_Static_assert(sizeof(struct kafka_metadata) == sizeof(struct rd_kafka_metadata), "metadata");
SAME(kafka_metadata, topic_count, struct rd_kafka_metadata, topic_cnt);
SAME(kafka_metadata, topics, struct rd_kafka_metadata, topics);
_Static_assert(sizeof(struct kafka_metadata_topic) == sizeof(struct rd_kafka_metadata_topic), "metadata of a topic");
SAME(kafka_metadata_topic, partition_count, struct rd_kafka_metadata_topic, partition_cnt);
SAME(kafka_metadata_topic, err, struct rd_kafka_metadata_topic, err);

_Static_assert(sizeof(rd_kafka_resp_err_t) == sizeof(int), "a code is an int");

TEST(declarations_are_those_of_the_header) {
    static const struct { int ours, theirs; } same[] = {
        { KAFKA_PRODUCER, RD_KAFKA_PRODUCER }, { KAFKA_CONSUMER, RD_KAFKA_CONSUMER },
        { KAFKA_CONF_OK, RD_KAFKA_CONF_OK }, { KAFKA_DESTROY_NO_CLOSE, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE },
        { KAFKA_PURGE_QUEUE, RD_KAFKA_PURGE_F_QUEUE }, { KAFKA_PURGE_INFLIGHT, RD_KAFKA_PURGE_F_INFLIGHT },
        { KAFKA_ADMIN_CREATE_TOPICS, RD_KAFKA_ADMIN_OP_CREATETOPICS }, { KAFKA_V_END, RD_KAFKA_VTYPE_END },
        { KAFKA_V_TOPIC, RD_KAFKA_VTYPE_TOPIC }, { KAFKA_V_VALUE, RD_KAFKA_VTYPE_VALUE },
        { KAFKA_V_KEY, RD_KAFKA_VTYPE_KEY }, { KAFKA_V_OPAQUE, RD_KAFKA_VTYPE_OPAQUE },
        { KAFKA_V_FLAGS, RD_KAFKA_VTYPE_MSGFLAGS }, { KAFKA_V_HEADER, RD_KAFKA_VTYPE_HEADER },
        { KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_BEGINNING }, { KAFKA_PARTITION_ANY, (int)RD_KAFKA_PARTITION_UA },
        { KAFKA_ERR_MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT },
        { KAFKA_ERR_UNKNOWN_PARTITION, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION },
        { KAFKA_ERR_UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC },
        { KAFKA_ERR_ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN },
        { KAFKA_ERR_INVALID_ARG, RD_KAFKA_RESP_ERR__INVALID_ARG }, { KAFKA_ERR_QUEUE_FULL, RD_KAFKA_RESP_ERR__QUEUE_FULL },
        { KAFKA_ERR_SSL, RD_KAFKA_RESP_ERR__SSL },
        { KAFKA_ERR_ASSIGN_PARTITIONS, RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS },
        { KAFKA_ERR_REVOKE_PARTITIONS, RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS },
        { KAFKA_ERR_AUTHENTICATION, RD_KAFKA_RESP_ERR__AUTHENTICATION },
        { KAFKA_ERR_NO_OFFSET, RD_KAFKA_RESP_ERR__NO_OFFSET }, { KAFKA_ERR_FATAL, RD_KAFKA_RESP_ERR__FATAL },
        { KAFKA_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART },
        { KAFKA_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE },
        { KAFKA_ERR_TOPIC_AUTHORIZATION, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED },
        { KAFKA_ERR_GROUP_AUTHORIZATION, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED },
        { KAFKA_ERR_CLUSTER_AUTHORIZATION, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED },
        { KAFKA_ERR_TOPIC_EXISTS, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS },
        { KAFKA_ERR_NO_GROUP, RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND },
        { KAFKA_ERR_SASL_FAILED, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED },
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++) {
        NOTE("row %zu", i);
        CHECK_INT(same[i].ours, same[i].theirs);
    }
}
#endif

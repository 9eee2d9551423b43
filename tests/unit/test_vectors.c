/* test_vectors.c -- the shared index, against a store that says what real servers have said. */
#include "store/vectors.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "unit.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define P "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

/* -- The store ------------------------------------------------------------------------------ */

struct fake {
    struct loop    loop;
    struct log     log;
    struct store   store;
    struct vectors v;
    struct vectors_said said;
    unsigned       lines;     /* of the log */
    char           last[600]; /* of these */
    int            rc;        /* of the next answers, */
    struct slice   says;      /* and their text */
    unsigned       asked;
    char           seen[4000]; /* the words of the last question, a space between them; '?' for what is no text */
    unsigned       hits;
    struct vector_hit hit[VECTORS_MOST];
    bool           over;
};

static void on_line(void *ud, int level, perilune_str line) {
    struct fake *f = ud;
    (void)level;
    f->lines++;
    snprintf(f->last, sizeof(f->last), "%.*s", (int)line.len, line.ptr);
}

static void fake_begin(struct store *s, struct store_op *op, const struct store_ask *ask) {
    struct fake *f = container_of(s, struct fake, store);
    size_t at = 0;
    f->asked++;
    CHECK_INT(ask->verb, STORE_WORDS);
    for (unsigned w = 0; w < ask->word_count; w++) {
        for (size_t i = 0; i < ask->words[w].len && at < sizeof(f->seen) - 2; i++) {
            char c = ask->words[w].ptr[i];
            f->seen[at++] = c >= ' ' && c <= '~' ? c : '?';
        }
        f->seen[at++] = ' ';
    }
    f->seen[at > 0 ? at - 1 : 0] = '\0';
    store_answer(op, &(struct store_answer){ .rc = f->rc, .value = f->says.ptr ? blob_copy(f->says) : NULL });
}

static void fake_forget(struct store *s, struct store_op *op) {
    (void)s;
    (void)op;
}

static void fake_open(struct fake *f, const struct vectors_driver *driver) {
    static const struct store_driver d = { fake_begin, fake_forget };
    memset(f, 0, sizeof(*f));
    CHECK_INT(loop_init(&f->loop), 0);
    f->log = (struct log){ .write = on_line, .ud = f };
    atomic_init(&f->log.level, PERILUNE_LOG_DEBUG);
    store_init(&f->store, &d, &f->loop, 100);
    vectors_init(&f->v, &f->loop, &f->log, &f->said);
    CHECK(!vectors_is_ready(&f->v));
    vectors_use(&f->v, driver, &f->store, &f->store, "p:", 50);
    CHECK(vectors_is_ready(&f->v));
}

static void fake_close(struct fake *f) {
    store_deinit(&f->store);
    vectors_deinit(&f->v);
    loop_deinit(&f->loop);
}

static void turn(struct fake *f) {
    for (int i = 0; i < 5; i++) uv_run(&f->loop.uv, UV_RUN_NOWAIT);
}

static void on_found(struct vectors_question *q, const struct vector_hit *hits, unsigned count) {
    struct fake *f = container_of(q->vectors, struct fake, v);
    f->hits = count;
    memcpy(f->hit, hits, count * sizeof(*hits));
    f->over = true;
}

static struct vectors_ask ask_of(void) {
    return (struct vectors_ask){ .part = { P }, .key = { A }, .vector = SLICE("\x01\x02\x7f\x81"), .dims = 4,
                                 .ttl_ms = 5000 };
}

static void find(struct fake *f, int rc, struct slice says) {
    struct vectors_question q = { .vectors = NULL };
    struct vectors_ask ask = ask_of();
    f->rc = rc;
    f->says = says;
    f->over = false;
    f->hits = 99;
    CHECK_INT(vectors_find(&f->v, &q, &ask, on_found), 0);
    turn(f);
    CHECK(f->over);
}

static void add(struct fake *f, int rc, struct slice says) {
    struct vectors_ask ask = ask_of();
    f->rc = rc;
    f->says = says;
    vectors_add(&f->v, &ask);
    turn(f);
}

static bool sees(const struct fake *f, const char *text) { return strstr(f->seen, text) != NULL; }

/* -- Redis 8 ------------------------------------------------------------------------------------ */

TEST_NOFAULT(vector_sets_of_redis) {
    struct fake f;
    fake_open(&f, &vectors_redis);
    find(&f, 0, SLICE("64:" A "1:164:" B "18:0.4671977758407593"));
    CHECK_STR(f.seen, "VSIM p:v:" P " FP32 ???\?\?\?\?@?\?\?B\?\?\?\? WITHSCORES COUNT 8");
    CHECK_UINT(f.hits, 2);
    CHECK_STR(f.hit[0].key.hex, A);
    CHECK_STR(f.hit[1].key.hex, B);
    CHECK(f.hit[0].cosine == 1 && f.hit[1].cosine > -0.07f && f.hit[1].cosine < -0.06f);
    find(&f, 0, SLICE("")); /* no such set */
    CHECK_UINT(f.hits, 0);
    CHECK_UINT(stats_get(&f.v.stats.found), 1);
    CHECK_UINT(stats_get(&f.v.stats.nothing), 1);
    add(&f, 0, SLICE("1:1"));
    CHECK(sees(&f, "EVAL redis.call('VADD'") && sees(&f, " 1 p:v:" P " ") && sees(&f, A " 5000 p:e:"));
    CHECK_UINT(stats_get(&f.v.stats.added), 1);
    struct vectors_ask ask = ask_of();
    vectors_remove(&f.v, &ask);
    turn(&f);
    CHECK_STR(f.seen, "VREM p:v:" P " " A);
    CHECK_UINT(stats_get(&f.v.stats.removed), 1);
    CHECK_UINT(f.lines, 0);
    fake_close(&f);
}

/* -- RediSearch ----------------------------------------------------------------------------------- */

TEST_NOFAULT(an_index_of_redisearch) {
    struct fake f;
    fake_open(&f, &vectors_search);
    find(&f, PERILUNE_ERR_UPSTREAM, SLICE("p:v4: no such index")); /* nothing was added yet */
    CHECK(vectors_is_ready(&f.v));
    CHECK_UINT(f.hits, 0);
    CHECK_UINT(f.lines, 0);
    f.asked = 0;
    add(&f, 0, SLICE("2:OK")); /* made, and then added */
    CHECK_UINT(f.asked, 2);
    CHECK(sees(&f, "EVAL redis.call('HSET'") && sees(&f, " 1 p:h:4:" A " " P " ") && sees(&f, " 5000"));
    CHECK_UINT(stats_get(&f.v.stats.added), 1);
    add(&f, 0, SLICE("1:1"));
    CHECK_UINT(f.asked, 3);
    find(&f, 0, SLICE("1:270:p:h:4:" A "1:s17:1.19209289551e-0770:p:h:4:" B "1:s12:1.0666667223"));
    CHECK_STR(f.seen, "FT.SEARCH p:v4 (@p:{" P "})=>[KNN 8 @v $q AS s] PARAMS 2 q ???\?\?\?\?@?\?\?B\?\?\?\? "
                      "RETURN 1 s SORTBY s LIMIT 0 8 DIALECT 2");
    CHECK_UINT(f.hits, 2);
    CHECK_STR(f.hit[0].key.hex, A);
    CHECK_STR(f.hit[1].key.hex, B);
    CHECK(f.hit[0].cosine > 0.999f && f.hit[1].cosine > -0.07f && f.hit[1].cosine < -0.06f);
    find(&f, 0, SLICE("1:0"));
    CHECK_UINT(f.hits, 0);
    find(&f, PERILUNE_ERR_UPSTREAM, SLICE("p:v4: no such index")); /* somebody emptied the server */
    add(&f, PERILUNE_ERR_UPSTREAM, SLICE("Index already exists")); /* somebody else has made it */
    CHECK_UINT(f.asked, 8);
    struct vectors_ask ask = ask_of();
    vectors_remove(&f.v, &ask);
    turn(&f);
    CHECK_STR(f.seen, "UNLINK p:h:4:" A);
    CHECK_UINT(f.lines, 0);
    fake_close(&f);
}

/* -- Milvus ------------------------------------------------------------------------------------------ */

#define OK_ADDED "{\"code\":0,\"cost\":0,\"data\":{\"upsertCount\":1,\"upsertIds\":[\"" A "\"]}}"
#define NO_COLLECTION "{\"code\":100,\"message\":\"can't find collection[database=default][collection=p:_4]\"}"

TEST_NOFAULT(a_collection_of_milvus) {
    struct fake f;
    fake_open(&f, &vectors_milvus);
    find(&f, 0, SLICE(NO_COLLECTION)); /* nothing was added yet */
    CHECK(f.hits == 0 && f.lines == 0 && vectors_is_ready(&f.v));
    f.asked = 0;
    add(&f, 0, SLICE(OK_ADDED));
    CHECK_UINT(f.asked, 2); /* made, and then added */
    CHECK(sees(&f, "/v2/vectordb/entities/upsert {\"dbName\":\"default\",\"collectionName\":\"p:_4\",\"data\":[{\"id\":\""
                   A "\",\"part\":\"" P "\",\"expires\":"));
    CHECK(sees(&f, ",\"vector\":[1,2,127,-127]}]}"));
    CHECK_UINT(stats_get(&f.v.stats.added), 1);
    f.v.database = "x\"y";
    find(&f, 0, SLICE("{\"code\":0,\"cost\":0,\"data\":[{\"distance\":0.999,\"id\":\"" A "\"},"
                      "{\"distance\":-0.5,\"id\":\"" B "\"}],\"topks\":[2]}"));
    CHECK(sees(&f, "/v2/vectordb/entities/search {\"dbName\":\"x\\\"y\",\"collectionName\":\"p:_4\",\"annsField\":"
                   "\"vector\",\"data\":[[1,2,127,-127]],\"filter\":\"part == \\\"" P "\\\" and expires > "));
    CHECK(sees(&f, ",\"limit\":8,\"outputFields\":[\"id\"]}"));
    CHECK_UINT(f.hits, 2);
    CHECK_STR(f.hit[1].key.hex, B);
    CHECK(f.hit[0].cosine > 0.998f && f.hit[1].cosine == -0.5f);
    struct vectors_ask ask = ask_of();
    f.says = SLICE("{\"code\":0,\"cost\":0,\"data\":{}}");
    vectors_remove(&f.v, &ask);
    turn(&f);
    CHECK(sees(&f, "/v2/vectordb/entities/delete ") && sees(&f, ",\"filter\":\"id == \\\"" A "\\\"\"}"));
    for (int i = 0; i < 256; i++) add(&f, 0, SLICE(OK_ADDED));
    CHECK(sees(&f, ",\"filter\":\"expires < ")); /* now and then */
    CHECK_UINT(f.lines, 0);
    fake_close(&f);
}

TEST_NOFAULT(what_milvus_says_otherwise) {
    static const struct slice cases[] = {
        SLICE(""), SLICE("garbage"), SLICE("[]"), SLICE("{}"), SLICE("{\"code\":\"0\"}"), SLICE("{\"code\":0,\"data\":7}"),
        SLICE("{\"code\":0,\"data\":[7,null,[],{}]}"), SLICE("{\"code\":1800,\"message\":\"user hasn't authenticated\"}"),
        SLICE("{\"code\":0,\"data\":[{\"id\":7,\"distance\":1}]}"),
        SLICE("{\"code\":0,\"data\":[{\"id\":\"" A "\",\"distance\":\"1\"}]}"),
        SLICE("{\"code\":0,\"data\":[{\"id\":\"" A "\",\"distance\":1e99}]}"),
        SLICE("{\"code\":0,\"data\":[{\"id\":\"ab\",\"distance\":1}]}"),
    };
    struct fake f;
    fake_open(&f, &vectors_milvus);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        find(&f, 0, cases[i]);
        CHECK_UINT(f.hits, 0);
        CHECK(vectors_is_ready(&f.v));
    }
    find(&f, PERILUNE_ERR_UPSTREAM, SLICE("HTTP 401: {\"code\":1800}"));
    CHECK_UINT(f.lines, 1);
    CHECK_UINT(stats_get(&f.v.stats.failed), 7);
    fake_close(&f);
}

static void lacks(const struct vectors_driver *driver, struct slice error, const char *says) {
    struct fake f;
    struct vectors_question q = { .vectors = NULL };
    struct vectors_ask ask = ask_of();
    fake_open(&f, driver);
    find(&f, PERILUNE_ERR_UPSTREAM, error);
    CHECK_UINT(f.hits, 0);
    CHECK_UINT(f.lines, 1);
    CHECK(strstr(f.last, says) != NULL);
    CHECK(!vectors_is_ready(&f.v));
    CHECK_INT(vectors_find(&f.v, &q, &ask, on_found), PERILUNE_ERR_STATE);
    add(&f, 0, SLICE(""));
    CHECK_UINT(f.asked, 1);
    vectors_changed(&f.v, true); /* perhaps it can now; it cannot, and that was said */
    find(&f, PERILUNE_ERR_UPSTREAM, error);
    CHECK_UINT(f.asked, 2);
    CHECK_UINT(f.lines, 1);
    CHECK_UINT(stats_get(&f.v.stats.failed), 2);
    fake_close(&f);
}

TEST_NOFAULT(a_server_that_cannot) {
    lacks(&vectors_redis, SLICE("ERR unknown command 'VSIM', with args beginning with: 's' "), "needs Redis 8");
    lacks(&vectors_redis, SLICE("ERR Unknown Redis command called from script script: 0576, on @user_script:1."),
          "needs Redis 8");
    lacks(&vectors_redis, SLICE("NOPERM User me has no permissions to run the 'VSIM' command"), "+vadd +vsim");
    lacks(&vectors_redis, SLICE("ERR ACL failure in script: User me has no permissions to run the 'VADD' command"),
          "+vadd +vsim");
}

TEST_NOFAULT(a_server_without_redisearch) {
    lacks(&vectors_search, SLICE("ERR unknown command 'FT.SEARCH', with args beginning with: 'p:v4' "),
          "needs RediSearch");
}

TEST_NOFAULT(what_is_refused_is_said_seldom) {
    struct fake f;
    fake_open(&f, &vectors_redis);
    for (int i = 0; i < 5; i++) {
        find(&f, PERILUNE_ERR_UPSTREAM, SLICE("WRONGTYPE Operation against a key holding the wrong kind of value"));
        CHECK_UINT(f.hits, 0);
        CHECK(vectors_is_ready(&f.v));
    }
    CHECK_UINT(f.lines, 1);
    CHECK(strstr(f.last, "WRONGTYPE") != NULL);
    find(&f, PERILUNE_ERR_TIMEOUT, (struct slice){ .ptr = NULL });
    find(&f, PERILUNE_ERR_AGAIN, (struct slice){ .ptr = NULL });
    CHECK_UINT(f.lines, 1);
    CHECK_UINT(stats_get(&f.v.stats.failed), 7);
    vectors_changed(&f.v, false);
    vectors_changed(&f.v, false);
    CHECK_UINT(f.lines, 2);
    find(&f, 0, SLICE("")); /* it works: the next loss is said again */
    vectors_changed(&f.v, false);
    CHECK_UINT(f.lines, 3);
    fake_close(&f);
}

TEST_NOFAULT(answers_that_make_no_sense) {
    static const struct { struct slice says; unsigned hits; } cases[] = {
        { SLICE("garbage"), 0 }, { SLICE("64:" A), 0 }, { SLICE("64:" A "3:nan"), 0 }, { SLICE("64:" A "3:inf"), 0 },
        { SLICE("64:" A "1:2"), 0 }, { SLICE("64:" A "4:-0.1"), 0 }, { SLICE("64:" A "0:"), 0 },
        { SLICE("64:" A "2:0x"), 0 }, { SLICE("3:abc1:1"), 0 }, { SLICE("1:164:" A), 0 },
        { SLICE("3:abc1:164:" A "3:0.9"), 1 }, { SLICE("64:" A "9:1.0000001"), 1 },
        { SLICE("64:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA1:1"), 0 },
    };
    struct fake f;
    struct buf many;
    fake_open(&f, &vectors_redis);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        find(&f, 0, cases[i].says);
        CHECK_UINT(f.hits, cases[i].hits);
    }
    buf_init(&many, 0);
    for (int i = 0; i < 100; i++) buf_puts(&many, "64:" A "1:1");
    find(&f, 0, buf_get(&many));
    CHECK_UINT(f.hits, VECTORS_MOST);
    buf_deinit(&many);
    fake_close(&f);
}


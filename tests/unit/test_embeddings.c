/* test_embeddings.c -- questions for vectors put together, and the answer taken apart. */
#include "unit.h"

#include "base/mem.h"
#include "include/perilune.h"
#include "request/embeddings.h"

#define MOST 8

struct parts {
    struct json_doc        doc[MOST];
    struct embeddings_part part[MOST];
    unsigned               count;
};

static bool parse(struct json_doc *doc, const char *text) {
    struct json_error err;
    *doc = (struct json_doc){ .nodes = NULL };
    return json_parse(doc, slice_str(text), &err) == 0;
}

static struct embeddings_form form_of(const char *text) {
    struct json_doc doc;
    CHECK(parse(&doc, text));
    struct embeddings_form f = embeddings_form(&doc);
    json_deinit(&doc);
    return f;
}

static bool same_key(const char *a, const char *b) {
    struct json_doc da, db;
    struct buf ka, kb;
    buf_init(&ka, 0);
    buf_init(&kb, 0);
    CHECK(parse(&da, a) && parse(&db, b));
    embeddings_key(&da, embeddings_form(&da), &ka);
    embeddings_key(&db, embeddings_form(&db), &kb);
    bool same = slice_eq(buf_get(&ka), buf_get(&kb));
    buf_deinit(&ka);
    buf_deinit(&kb);
    json_deinit(&da);
    json_deinit(&db);
    return same;
}

TEST_NOFAULT(what_can_go_together) {
    static const struct { const char *text; unsigned inputs; bool ids; } all[] = {
        { "{\"input\":\"a\"}", 1, false },
        { "{\"input\":[\"a\",\"b\"]}", 2, false },
        { "{\"input\":[1,2,3]}", 1, true },
        { "{\"input\":[[1,2],[3]]}", 2, true },
        { "{\"input\":\"\"}", 0, false },
        { "{\"input\":[\"a\",\"\"]}", 0, false },
        { "{\"input\":[]}", 0, false },
        { "{\"input\":[[]]}", 0, true },
        { "{\"input\":[[1],\"a\"]}", 0, true },
        { "{\"input\":[\"a\",[1]]}", 0, false },
        { "{\"input\":[1,\"a\"]}", 0, true },
        { "{\"input\":[[1,[2]]]}", 0, true },
        { "{\"input\":{\"a\":1}}", 0, false },
        { "{\"input\":null}", 0, false },
        { "{\"model\":\"m\"}", 0, false },
        { "{\"input\":\"a\",\"input\":\"b\"}", 0, false },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct embeddings_form f = form_of(all[i].text);
        NOTE("%s", all[i].text);
        CHECK_UINT(f.inputs, all[i].inputs);
        if (f.inputs > 0) CHECK(f.ids == all[i].ids);
    }
}

TEST_NOFAULT(more_inputs_than_an_upstream_takes) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "{\"input\":[\"a\"");
    for (unsigned i = 1; i < EMBEDDINGS_INPUTS; i++) buf_puts(&b, ",\"a\"");
    size_t len = buf_len(&b);
    buf_puts(&b, "]}");
    CHECK_UINT(form_of(buf_cstr(&b)).inputs, EMBEDDINGS_INPUTS);
    b.len = len;
    buf_puts(&b, ",\"a\"]}");
    CHECK_UINT(form_of(buf_cstr(&b)).inputs, 0);
    buf_deinit(&b);
}

TEST_NOFAULT(what_must_be_the_same) {
    CHECK(same_key("{\"model\":\"m\",\"input\":\"a\"}", "{ \"input\":[\"b\",\"c\"], \"model\":\"\\u006d\"}"));
    CHECK(!same_key("{\"model\":\"m\",\"input\":\"a\"}", "{\"model\":\"n\",\"input\":\"a\"}"));
    CHECK(!same_key("{\"input\":\"a\"}", "{\"input\":[1]}"));
    CHECK(!same_key("{\"input\":\"a\",\"user\":\"x\"}", "{\"input\":\"a\",\"user\":\"y\"}"));
    CHECK(!same_key("{\"input\":\"a\",\"dimensions\":64}", "{\"input\":\"a\"}"));
    CHECK(!same_key("{\"input\":\"a\",\"encoding_format\":\"base64\"}", "{\"input\":\"a\",\"encoding_format\":\"float\"}"));
}

static void add(struct parts *p, const char *text, uint64_t tokens) {
    CHECK(parse(&p->doc[p->count], text));
    p->part[p->count] = (struct embeddings_part){ &p->doc[p->count], tokens };
    p->count++;
}

static void drop(struct parts *p) {
    for (unsigned i = 0; i < p->count; i++) json_deinit(&p->doc[i]);
}

/* Writes part i; "" when it cannot. */
static const char *part_of(const struct embeddings_join *j, unsigned i, struct buf *out, struct usage *u) {
    buf_clear(out);
    return embeddings_write(j, i, out, u) ? buf_cstr(out) : "";
}

TEST_NOFAULT(together_and_apart) {
    struct parts p = { .count = 0 };
    struct buf body, out;
    struct usage u;
    buf_init(&body, 0);
    buf_init(&out, 0);
    add(&p, "{\"model\":\"m\",\"input\":\"red\", \"user\":\"x\"}", 2);
    add(&p, "{\"input\":[\"blue\",\"red\",\"blue\"],\"model\":\"m\",\"user\":\"x\"}", 7);
    add(&p, "{\"input\":[\"\\u0067reen\"],\"model\":\"m\",\"user\":\"x\"}", 0);
    struct embeddings_join *j = embeddings_join(p.part, p.count, &body);
    CHECK(j != NULL);
    CHECK_UINT(embeddings_parts(j), 3);
    CHECK_STR(buf_cstr(&body), "{\"model\":\"m\",\"input\":[\"red\",\"blue\",\"\\u0067reen\"], \"user\":\"x\"}");
    drop(&p); /* not needed any more */
    CHECK_INT(embeddings_read(j, SLICE("{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":2,\"embedding\":[3]},"
        "{\"index\":0,\"embedding\":\"AAAA\",\"object\":\"embedding\"},{\"object\":\"embedding\",\"embedding\":[2.50,0],\"index\":1}],"
        "\"model\":\"m-1\",\"usage\":{\"prompt_tokens\":11,\"total_tokens\":11}}")), 0);
    uint64_t sum = 0;
    CHECK_STR(part_of(j, 0, &out, &u), "{\"object\":\"list\",\"model\":\"m-1\",\"data\":[{\"index\":0,\"embedding\":\"AAAA\","
              "\"object\":\"embedding\"}],\"usage\":{\"prompt_tokens\":1,\"total_tokens\":1}}");
    CHECK(u.known);
    sum += u.prompt;
    CHECK(strstr(part_of(j, 1, &out, &u), "\"data\":[{\"index\":0,\"object\":\"embedding\",\"embedding\":[2.50,0]},"
                 "{\"index\":1,\"embedding\":\"AAAA\",\"object\":\"embedding\"},"
                 "{\"index\":2,\"object\":\"embedding\",\"embedding\":[2.50,0]}]") != NULL);
    sum += u.prompt;
    CHECK(strstr(part_of(j, 2, &out, &u), "[{\"index\":0,\"object\":\"embedding\",\"embedding\":[3]}]") != NULL);
    sum += u.prompt;
    CHECK_UINT(sum, 11);
    embeddings_join_free(j);
    buf_deinit(&out);
    buf_deinit(&body);
}

TEST_NOFAULT(shares_are_what_was_counted_and_always_add_up) {
    static const uint64_t paid[] = { 0, 1, 2, 10, 11, 999983 };
    struct parts p = { .count = 0 };
    struct buf body, out, answer;
    struct usage u;
    buf_init(&body, 0);
    buf_init(&out, 0);
    buf_init(&answer, 0);
    add(&p, "{\"input\":\"one\"}", 1);
    add(&p, "{\"input\":\"three of them\"}", 3);
    add(&p, "{\"input\":[\"six\",\"of them all\"]}", 6);
    struct embeddings_join *j = embeddings_join(p.part, p.count, &body);
    CHECK(j != NULL);
    for (size_t i = 0; i < sizeof(paid) / sizeof(*paid); i++) {
        uint64_t sum = 0;
        buf_clear(&answer);
        buf_printf(&answer, "{\"data\":[{\"embedding\":[1]},{\"embedding\":[1]},{\"embedding\":[1]},{\"embedding\":[1]}],"
                   "\"usage\":{\"prompt_tokens\":%llu}}", (unsigned long long)paid[i]);
        CHECK_INT(embeddings_read(j, buf_get(&answer)), 0);
        for (unsigned k = 0; k < 3; k++) {
            CHECK(part_of(j, k, &out, &u)[0] != '\0');
            sum += u.prompt;
            if (paid[i] == 10) CHECK_UINT(u.prompt, k == 0 ? 1 : k == 1 ? 3 : 6);
        }
        CHECK_UINT(sum, paid[i]);
    }
    embeddings_join_free(j);
    drop(&p);
    buf_deinit(&answer);
    buf_deinit(&out);
    buf_deinit(&body);
}

TEST_NOFAULT(answers_that_lack_something) {
    static const struct { const char *text; int rc; bool has[2]; } all[] = {
        { "{\"data\":[{\"index\":1,\"embedding\":[1]}]}", 0, { false, true } },
        { "{\"data\":[{\"index\":0,\"embedding\":[]},{\"index\":1,\"embedding\":\"\"}]}", 0, { false, false } },
        { "{\"data\":[{\"index\":7,\"embedding\":[1]},{\"index\":-1,\"embedding\":[1]},3,null]}", 0, { false, false } },
        { "{\"data\":[{\"embedding\":[1]},{\"embedding\":[2]},{\"embedding\":[3]}],\"usage\":7}", 0, { false, false } },
        { "{\"data\":[{\"embedding\":[1]}]}", 0, { false, false } }, /* of which one? */
        { "{\"data\":[{\"embedding\":[1]},{\"embedding\":[2]}],\"usage\":7}", 0, { true, true } },
        { "{\"data\":[]}", 0, { false, false } },
        { "{\"data\":{}}", PERILUNE_ERR_INVAL, { false, false } },
        { "[]", PERILUNE_ERR_INVAL, { false, false } },
        { "", PERILUNE_ERR_INVAL, { false, false } },
        { "{\"data\":[{\"embedding\":[1]}", PERILUNE_ERR_INVAL, { false, false } },
    };
    struct parts p = { .count = 0 };
    struct buf body, out;
    struct usage u;
    buf_init(&body, 0);
    buf_init(&out, 0);
    add(&p, "{\"input\":[1,2]}", 2);
    add(&p, "{\"input\":[[3]]}", 1);
    struct embeddings_join *j = embeddings_join(p.part, p.count, &body);
    CHECK(j != NULL);
    CHECK_STR(buf_cstr(&body), "{\"input\":[[1,2],[3]]}");
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        NOTE("%s", all[i].text);
        CHECK_INT(embeddings_read(j, slice_str(all[i].text)), all[i].rc);
        for (unsigned k = 0; all[i].rc == 0 && k < 2; k++) {
            CHECK((part_of(j, k, &out, &u)[0] != '\0') == all[i].has[k]);
            CHECK(!u.known);
        }
    }
    embeddings_join_free(j);
    drop(&p);
    buf_deinit(&out);
    buf_deinit(&body);
}

TEST_NOFAULT(numbers_of_a_vector) {
    struct json_doc doc;
    float v[2];
    CHECK(parse(&doc, "{\"data\":[{\"embedding\":[1,2]},{\"index\":3,\"embedding\":[0,0]},{\"embedding\":[1,2,3]},"
                      "{\"index\":5,\"embedding\":[1,\"2\"]}]}"));
    CHECK_UINT(embeddings_vector(&doc, 0, 4, v, 2), 2);
    CHECK_DOUBLE((double)v[1], 2.0);
    CHECK_UINT(embeddings_vector(&doc, 3, 4, v, 2), 0); /* no direction */
    CHECK_UINT(embeddings_vector(&doc, 2, 4, v, 2), 0); /* too long */
    CHECK_UINT(embeddings_vector(&doc, 5, 4, v, 2), 0);
    CHECK_UINT(embeddings_vector(&doc, 9, 4, v, 2), 0);
    CHECK_UINT(embeddings_vector(&doc, 0, 3, v, 2), 0); /* a list of another length, and it does not say whose */
    json_deinit(&doc);
}

TEST(memory_that_ends_leaves_nothing) {
    struct parts p = { .count = 0 };
    struct buf body, out;
    struct usage u;
    buf_init(&body, 0);
    buf_init(&out, 0);
    add(&p, "{\"input\":\"a\"}", 1);
    add(&p, "{\"input\":[\"b\",\"a\"]}", 2);
    struct embeddings_join *j = embeddings_join(p.part, p.count, &body);
    if (j != NULL && embeddings_read(j, SLICE("{\"data\":[{\"embedding\":[1]},{\"embedding\":[2]}]}")) == 0)
        embeddings_write(j, 1, &out, &u);
    embeddings_join_free(j);
    drop(&p);
    buf_deinit(&out);
    buf_deinit(&body);
}

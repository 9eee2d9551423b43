/* test_local_rank.c -- /v1/rerank of a local model: what is read, and what is written. */
#include "request/local_rank.h"

#include <string.h>

#include "base/json.h"
#include "unit.h"

static struct failure failure;

/* 0, or a code with the failure set. */
static int read_rank(struct local_rank *rank, struct turn_ask *ask, const char *body) {
    struct json_doc doc = { 0 };
    struct failure f;
    failure_init(&f);
    memset(rank, 0, sizeof(*rank));
    memset(ask, 0, sizeof(*ask));
    int rc = chat_parse(&doc, slice_str(body), &f);
    if (rc == 0) rc = local_rank_read(rank, &doc, ask, &f);
    failure_deinit(&failure);
    failure_move(&failure, &f);
    json_deinit(&doc);
    return rc;
}

TEST_FAULT(texts_and_options_are_read) {
    struct local_rank rank;
    struct turn_ask ask;
    int rc = read_rank(&rank, &ask, "{\"query\":\"wh\\u00f6?\",\"documents\":[\"a\",{\"text\":\"\\u4f60\\u597d\",\"id\":1},\"\"],"
                                    "\"top_n\":9,\"return_documents\":true,\"model\":\"m\"}");
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    CHECK_INT(ask.kind, TURN_RANK);
    CHECK_SLICE(ask.question, SLICE("wh\xc3\xb6?"));
    CHECK_UINT(ask.text_count, 3);
    CHECK_SLICE(ask.texts[0], SLICE("a"));
    CHECK_SLICE(ask.texts[1], SLICE("\xe4\xbd\xa0\xe5\xa5\xbd"));
    CHECK_SLICE(ask.texts[2], SLICE(""));
    CHECK_UINT(rank.top, 3);
    CHECK(rank.with_texts);
done:
    local_rank_deinit(&rank);
    failure_deinit(&failure);
}

TEST_NOFAULT(what_is_wrong_names_its_field) {
    static const struct { const char *body, *field; } all[] = {
        { "[]", "query" }, { "{}", "query" }, { "{\"query\":1,\"documents\":[\"a\"]}", "query" },
        { "{\"query\":\"\",\"documents\":[\"a\"]}", "query" }, { "{\"query\":\"q\"}", "documents" },
        { "{\"query\":\"q\",\"documents\":\"a\"}", "documents" }, { "{\"query\":\"q\",\"documents\":[]}", "documents" },
        { "{\"query\":\"q\",\"documents\":[\"a\",1]}", "documents" },
        { "{\"query\":\"q\",\"documents\":[{\"txt\":\"a\"}]}", "documents" },
        { "{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":0}", "top_n" },
        { "{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":1.5}", "top_n" },
        { "{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":\"1\"}", "top_n" },
        { "{\"query\":\"q\",\"documents\":[\"a\"],\"return_documents\":1}", "return_documents" } };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct local_rank rank;
        struct turn_ask ask;
        NOTE("%s", all[i].body);
        CHECK(read_rank(&rank, &ask, all[i].body) != 0);
        CHECK_INT(failure.status, 400);
        CHECK_STR(failure.param, all[i].field);
        local_rank_deinit(&rank);
    }
    failure_deinit(&failure);
}

TEST_FAULT(the_best_come_first) {
    static const float scores[] = { 0.25f, 0.75f, 0.5f, 0.75f };
    struct local_rank rank;
    struct turn_ask ask;
    struct buf out;
    buf_init(&out, 0);
    int rc = read_rank(&rank, &ask, "{\"query\":\"q\",\"documents\":[\"a\",\"b\",\"c\",\"d\\\"\"],\"top_n\":3,"
                                    "\"return_documents\":true}");
    if (FAULTED(rc)) goto done;
    CHECK_INT(rc, 0);
    for (unsigned i = 0; i < 4; i++) local_rank_note(&rank, i, slice_of((const char *)&scores[i], sizeof(float)));
    local_rank_note(&rank, 99, slice_of((const char *)scores, sizeof(float))); /* nobody's */
    bool ok = local_rank_write(&rank, &out, SLICE("r"), SLICE("m"), 12);
    if (!ok && unit_fault_fired()) goto done;
    CHECK(ok);
    CHECK_SLICE(buf_get(&out),
                SLICE("{\"id\":\"r\",\"object\":\"list\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":12,\"total_tokens\":12},"
                      "\"results\":[{\"index\":1,\"relevance_score\":0.75,\"document\":{\"text\":\"b\"}},"
                      "{\"index\":3,\"relevance_score\":0.75,\"document\":{\"text\":\"d\\\"\"}},"
                      "{\"index\":2,\"relevance_score\":0.5,\"document\":{\"text\":\"c\"}}]}"));
done:
    buf_deinit(&out);
    local_rank_deinit(&rank);
    failure_deinit(&failure);
}

TEST_NOFAULT(which_requests_are_meant) {
    struct body other = { .dialect = NULL }, chat = { .dialect = &openai_chat };
    CHECK(local_rank_is(SLICE("/v1/rerank"), &other) && local_rank_is(SLICE("/v2/rerank/"), &other));
    CHECK(!local_rank_is(SLICE("/v1/rerank"), NULL) && !local_rank_is(SLICE("/v1/rerank"), &chat));
    CHECK(!local_rank_is(SLICE("/v1/reranked"), &other) && !local_rank_is(SLICE("/"), &other));
}

/* test_jinja.c -- the same bytes as Jinja2, within bounds, and a sentence with a line for the rest. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/jinja.h"

#define NOW 1732924800 /* ORDER tests/local/jinja/make.py */
#define MAX_VARS 24

static void read_file(const char *path, struct buf *out) {
    FILE *f = fopen(path, "rb");
    char piece[65536];
    buf_init(out, 0);
    if (f == NULL) FAIL("no file %s: tests run in the root of the project", path);
    for (size_t n; (n = fread(piece, 1, sizeof(piece), f)) > 0;) buf_put(out, piece, n);
    fclose(f);
}

static unsigned vars_of(const struct json_doc *doc, uint32_t object, struct jinja_var vars[MAX_VARS]) {
    unsigned n = 0;
    for (uint32_t k = json_first(doc, object), v; k != JSON_NONE && n < MAX_VARS; k = json_next(doc, object, v)) {
        v = json_next(doc, object, k);
        vars[n++] = (struct jinja_var){ .name = json_plain(doc, k), .type = JINJA_VAR_JSON, .doc = doc, .node = v };
    }
    return n;
}

/* -- Against Jinja2 ------------------------------------------------------------------- */

static void run_case(const struct json_doc *doc, uint32_t at, struct slice source) {
    struct jinja_var vars[MAX_VARS];
    struct jinja_input in = { .vars = vars, .now = NOW };
    struct jinja_error err;
    struct jinja *t;
    struct buf out, want;
    buf_init(&out, 0);
    buf_init(&want, 0);
    uint32_t text = json_get(doc, at, SLICE("text")), raised = json_get(doc, at, SLICE("raised"));
    in.len = vars_of(doc, json_get(doc, at, SLICE("vars")), vars);
    int rc = jinja_new(&t, source, &err);
    if (json_get(doc, at, SLICE("refused")) != JSON_NONE) {
        CHECK_INT(rc, PERILUNE_ERR_INVAL);
        CHECK(err.line > 0 && err.message[0] != '\0');
        return;
    }
    NOTE("%s (line %u): %.*s", err.message, err.line, (int)(source.len < 300 ? source.len : 300), source.ptr);
    CHECK_INT(rc, 0);
    rc = jinja_render(t, &in, &out, &err);
    NOTE("%s (line %u): %.*s", err.message, err.line, (int)(source.len < 300 ? source.len : 300), source.ptr);
    if (text != JSON_NONE) {
        CHECK_INT(rc, 0);
        json_decode_string(doc, text, &want);
        CHECK_SLICE(buf_get(&out), buf_get(&want));
    } else {
        CHECK_INT(rc, PERILUNE_ERR_INVAL);
        CHECK(err.line > 0 && err.message[0] != '\0' && buf_len(&out) == 0);
        CHECK(err.raised == (raised != JSON_NONE));
        if (raised != JSON_NONE) json_decode_string(doc, raised, &want);
        if (raised != JSON_NONE) CHECK_SLICE(slice_str(err.message), buf_get(&want));
    }
    buf_deinit(&out);
    buf_deinit(&want);
    jinja_free(t);
}

TEST_NOFAULT(renders_what_jinja2_renders) {
    struct buf cases, source;
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    unsigned n = 0;
    read_file("tests/local/jinja/cases.json", &cases);
    CHECK_INT(json_parse(&doc, buf_get(&cases), &err), 0);
    for (uint32_t i = json_first(&doc, 0); i != JSON_NONE; i = json_next(&doc, 0, i), n++) {
        uint32_t file = json_get(&doc, i, SLICE("template"));
        if (file != JSON_NONE) {
            char path[200];
            snprintf(path, sizeof(path), "tests/local/jinja/templates/%.*s", SLICE_ARG(json_plain(&doc, file)));
            read_file(path, &source);
        } else {
            buf_init(&source, 0);
            json_decode_string(&doc, json_get(&doc, i, SLICE("source")), &source);
        }
        run_case(&doc, i, buf_get(&source));
        buf_deinit(&source);
    }
    CHECK(n > 250);
    json_deinit(&doc);
    buf_deinit(&cases);
}

/* -- Small ones ------------------------------------------------------------------------- */

/* Renders; rc of the first failure. */
static int render(const char *source, const char *vars, const struct jinja_limits *limits, struct buf *out,
                  struct jinja_error *err) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error json;
    struct jinja_var list[MAX_VARS];
    struct jinja_input in = { .vars = list, .now = NOW };
    struct jinja *t = NULL;
    if (limits) in.limits = *limits;
    int rc = json_parse(&doc, slice_str(vars), &json);
    if (rc == 0) rc = jinja_new(&t, slice_str(source), err);
    if (rc == 0) in.len = vars_of(&doc, 0, list);
    if (rc == 0) rc = jinja_render(t, &in, out, err);
    jinja_free(t);
    json_deinit(&doc);
    return rc;
}

TEST_FAULT(no_memory_anywhere_leaves_nothing_behind) {
    static const char *const sources[] = {
        "{{ bos }}{% for m in messages if m.role != 'x' %}{% set t = m.content|trim %}<{{ m.role ~ 1 }}>{{ t }}{% endfor %}",
        "{% macro f(a, b='x' 'y') %}{{ a }}{{ b }}{% endmacro %}{% set z %}{{ f(1) }}{% endset %}{{ z|upper }}{{ [1, 2, 3]|sort }}",
        "{{ messages|map(attribute='role')|join(',') }}{{ messages|tojson(indent=2) }}{{ '%s' % messages }}{{ 'a-b'.split('-') }}",
        "{% set d = {1:1,2:2,3:3,4:4,5:5,6:6,7:7,8:8,9:9,10:10} %}{{ d[9] }}{{ '[1, {\"a\\\\n\": 2}]'|from_json }}{{ zz }}",
    };
    static const char vars[] = "{\"bos\":\"<s>\",\"messages\":[{\"role\":\"user\",\"content\":\" h\\u00e9 \"},{\"role\":\"x\",\"content\":\"\"}]}";
    for (unsigned i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct buf out;
        struct jinja_error err;
        buf_init(&out, 0);
        buf_puts(&out, "before");
        bool begun = buf_len(&out) == 6;
        int rc = begun ? render(sources[i], vars, NULL, &out, &err) : PERILUNE_ERR_NOMEM;
        if (rc != 0 && begun) CHECK_SLICE(buf_get(&out), SLICE("before"));
        buf_deinit(&out);
        if (FAULTED(rc)) return;
        CHECK_INT(rc, 0);
    }
}

static void expect_error(const char *source, int rc, unsigned line, const char *part) {
    struct buf out;
    struct jinja_error err = { 0 };
    buf_init(&out, 0);
    NOTE("%s", source);
    int got = render(source, "{\"l\":[1,2],\"s\":\"x\"}", NULL, &out, &err);
    buf_deinit(&out);
    NOTE("%s: %s", source, err.message);
    CHECK_INT(got, rc);
    CHECK_UINT(err.line, line);
    CHECK(strstr(err.message, part) != NULL);
}

TEST(what_is_not_supported_is_refused_when_it_is_read) {
    expect_error("a\n{% include 'x' %}", PERILUNE_ERR_INVAL, 2, "the tag {% include %} is not supported");
    expect_error("{% if l %}\n\n{{ l|groupby('a') }}{% endif %}", PERILUNE_ERR_INVAL, 3, "the filter \"groupby\"");
    expect_error("\n{{ s.zfill(3) }}", PERILUNE_ERR_INVAL, 2, "the method .zfill()");
    expect_error("{{ 1 is\nprime }}", PERILUNE_ERR_INVAL, 2, "is prime");
    expect_error("{% for x in l recursive %}{% endfor %}", PERILUNE_ERR_INVAL, 1, "recursive");
    expect_error("{{ f(*l) }}", PERILUNE_ERR_INVAL, 1, "in front of an argument");
    expect_error("{% call f() %}{% endcall %}", PERILUNE_ERR_INVAL, 1, "{% call %}");
    expect_error("{% if l %}\n{% for x in l %}\n{% endif %}", PERILUNE_ERR_INVAL, 3, "{% endfor %} should be");
    expect_error("a\n{% if l %}", PERILUNE_ERR_INVAL, 2, "no {% endif %}");
    expect_error("{{ 'a\n", PERILUNE_ERR_INVAL, 1, "without its end");
    expect_error("\n{{ s.x.y }}", PERILUNE_ERR_INVAL, 2, "\"x\" is undefined");
    expect_error("{% macro m() %}\n{{ 1 // 0 }}{% endmacro %}\n\n{{ m() }}", PERILUNE_ERR_INVAL, 2, "division by zero");
    expect_error("{{ l[0](1) }}", PERILUNE_ERR_INVAL, 1, "a int is no function");
}

TEST(a_text_that_is_no_utf8_or_too_long_is_refused) {
    struct jinja *t;
    struct jinja_error err;
    CHECK_INT(jinja_new(&t, SLICE("a\xff"), &err), PERILUNE_ERR_INVAL);
    CHECK(t == NULL && strstr(err.message, "UTF-8"));
    char *long_text = mem_zalloc(JINJA_MAX_TEXT + 1);
    CHECK(long_text != NULL);
    int rc = jinja_new(&t, slice_of(long_text, JINJA_MAX_TEXT + 1), &err);
    mem_free(long_text);
    CHECK_INT(rc, PERILUNE_ERR_INVAL);
    CHECK(strstr(err.message, "1048576 bytes"));
}

/* -- Bounds --------------------------------------------------------------------------------- */

static void expect_limited(const char *source, struct jinja_limits limits, const char *part) {
    struct buf out;
    struct jinja_error err = { 0 };
    buf_init(&out, 0);
    NOTE("%s", source);
    int rc = render(source, "{\"l\":[1,2],\"s\":\"x\"}", &limits, &out, &err);
    CHECK_UINT(buf_len(&out), 0);
    buf_deinit(&out);
    NOTE("%s: %s", source, err.message);
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    CHECK(strstr(err.message, part) != NULL && err.line > 0);
}

TEST_NOFAULT(what_never_ends_ends) {
    struct jinja_limits few = { .steps = 20000, .memory = 4 << 20, .output = 4096 };
    expect_limited("{% for a in range(1000000000000) %}{% endfor %}", few, "steps");
    expect_limited("{% for a in range(9999) %}{{ l }}{% endfor %}", few, "");
    expect_limited("{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}", few, "");
    expect_limited("{{ 'x' * 1000000000000 }}", few, "");
    expect_limited("{% set ns = namespace(a='xxxxxxxx') %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}", few, "");
    expect_limited("{{ 'x' * 5000 }}", few, "too long a text");
    expect_limited("{{ [1] * 100000000 }}", few, "");
    expect_limited("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", few, "levels");
    expect_limited("{% set q = [] %}{% set _ = q.append(q) %}{{ q }}", few, "levels");
    expect_limited("{% set q = [] %}{% set _ = q.append(q) %}{% set _ = q.append(q) %}{{ q|tojson }}", few, "");
    expect_limited("{% set q = [] %}{% set _ = q.append(q) %}{% set p = [] %}{% set _ = p.append(p) %}{{ p == q }}", few, "levels");
    expect_limited("{% for i in range(100) %}{{ s.replace('', 'x' * 9000) }}{% endfor %}", few, "");
    expect_limited("{{ ('a' * 30000)|list|sort }}", few, "");
}

TEST_NOFAULT(depth_is_refused_when_it_is_read) {
    struct buf s, out;
    struct jinja_error err;
    static const char *const parts[][4] = { { "{{ ", "(", " }}", ")" }, { "{{ ", "[", " }}", "]" }, { "{{ 1", "+1", " }}" }, { "{{ a", ".a", " }}" },
                                            { "{{ ", "-", "1 }}" }, { "{{ ", "not ", "1 }}" }, { "{{ a", "|trim", " }}" },
                                            { "", "{% if 1 %}", "" }, { "{{ 1", " if 1 else 1", " }}" }, { "{{ a", "[0]", " }}" } };
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        buf_init(&s, 0);
        buf_init(&out, 0);
        buf_puts(&s, parts[i][0]);
        for (unsigned n = 0; n < 5000; n++) buf_puts(&s, parts[i][1]);
        for (unsigned n = 0; n < 5000 && parts[i][3]; n++) buf_puts(&s, parts[i][3]);
        buf_puts(&s, parts[i][2]);
        NOTE("many %s", parts[i][1]);
        CHECK_INT(render(buf_cstr(&s), "{}", NULL, &out, &err), PERILUNE_ERR_INVAL);
        CHECK(strstr(err.message, "levels") != NULL || strstr(err.message, "tags in tags") != NULL);
        buf_deinit(&s);
        buf_deinit(&out);
    }
}

/* 100,000 members are read in a moment, though a client chose their names. */
TEST_NOFAULT(large_objects_are_no_load) {
    struct buf vars, out;
    struct jinja_error err;
    struct jinja_limits limits = { .steps = 3000000, .memory = 256u << 20 };
    buf_init(&vars, 0);
    buf_init(&out, 0);
    buf_puts(&vars, "{\"d\":{");
    for (unsigned i = 0; i < 100000; i++) buf_printf(&vars, "%s\"k%u\":%u", i ? "," : "", i, i);
    buf_puts(&vars, ",\"k7\":\"twice\"}}");
    CHECK_INT(render("{{ d|length }} {{ d.k99999 }} {{ d.k7 }} {{ d.x is defined }} {{ (d|list)[7] }}", buf_cstr(&vars), &limits, &out, &err), 0);
    CHECK_SLICE(buf_get(&out), SLICE("100000 99999 twice False k7"));
    buf_deinit(&vars);
    buf_deinit(&out);
}

TEST(variables_of_all_kinds) {
    struct jinja *t;
    struct jinja_error err;
    struct buf out;
    const struct jinja_var vars[] = { { .name = SLICE("a"), .type = JINJA_VAR_TEXT, .text = SLICE("x\n") },
                                      { .name = SLICE("b"), .type = JINJA_VAR_BOOL, .flag = true } };
    struct jinja_input in = { .vars = vars, .len = 2 };
    buf_init(&out, 0);
    CHECK_INT(jinja_new(&t, SLICE("{{ a }}{{ b }}{% set b = 1 %}{{ b }}{{ strftime_now('%Y') }}\r\n"), &err), 0);
    CHECK(jinja_mentions(t, SLICE("a")) && !jinja_mentions(t, SLICE("tools")));
    for (unsigned i = 0; i < 2; i++) CHECK_INT(jinja_render(t, &in, &out, &err), 0);
    CHECK_SLICE(buf_get(&out), SLICE("x\nTrue11970x\nTrue11970"));
    jinja_free(t);
    buf_deinit(&out);
}

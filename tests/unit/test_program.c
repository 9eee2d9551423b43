/* test_program.c -- functions, values and hooks of a program. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "program_world.h"

#define JSON_TEXT(text) text, sizeof(text) - 1

/* -- Functions that answer at once ------------------------------------------------------------ */

/* What came, as JSON that can be read: "[type:text,...]". */
static void show(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    static const char *const types[] = { "nil", "boolean", "number", "string", "json" };
    char text[512] = "";
    (void)ud;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(text);
        const perilune_value *v = &args[i];
        snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "", types[v->type]);
        n = strlen(text);
        if (v->type == PERILUNE_BOOLEAN || v->type == PERILUNE_NUMBER) snprintf(text + n, sizeof(text) - n, ":%g", v->number);
        if (v->type == PERILUNE_STRING || v->type == PERILUNE_JSON)
            snprintf(text + n, sizeof(text) - n, ":%zu:%.*s", v->text.len, (int)v->text.len, v->text.ptr);
    }
    perilune_value out = { .type = PERILUNE_STRING, .text = { text, strlen(text) } };
    CHECK_INT(perilune_call_return(call, &out), 0);
    CHECK_INT(perilune_call_return(call, &out), PERILUNE_ERR_STATE); /* the first answer counts */
    CHECK(perilune_call_defer(call, NULL, NULL) == NULL);
    perilune_call_free(call); /* not ours to free */
}

struct answer {
    perilune_value value;
    const char    *json, *code;
    size_t         len;
    int            rc;
};

static void say(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    struct answer *a = ud;
    (void)args, (void)count;
    if (a->code != NULL) a->rc = perilune_call_fail(call, a->code[0] ? a->code : NULL, a->json);
    else if (a->json != NULL) a->rc = perilune_call_done(call, a->json, a->len);
    else a->rc = perilune_call_return(call, &a->value);
}

static void nothing(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)call, (void)args, (void)count, (void)ud;
}

TEST_NOFAULT(arguments_as_they_are) {
    perilune *g = world_of("return {}", 0);
    CHECK_INT(perilune_function_add(g, "show", show, NULL), 0);
    CHECK_EVAL(g, "return host.show()", NULL, NULL, "\"\"");
    CHECK_EVAL(g, "return host.show(1.5, true, false, 'a\\0b', nil)", NULL, NULL,
               "\"number:1.5 boolean:1 boolean:0 string:3:a nil\"");
    CHECK_EVAL(g, "return host.show({ 1, { a = 'x' } }, 's', {})", NULL, NULL,
               "\"json:13:[1,{\\\"a\\\":\\\"x\\\"}] string:1:s json:2:{}\"");
    CHECK_EVAL(g, "local p = require 'perilune' return p.host.show(p.json.null, p.json.array{})", NULL, NULL,
               "\"nil json:2:[]\"");
    CHECK_EVAL(g, "local v = host.show(print)", NULL, NULL,
               "POLICY: eval:1: host.show: argument 1 is a function; a program gets strings, numbers, booleans, nil and tables");
    CHECK_EVAL(g, "local v = host.show(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17)", NULL, NULL,
               "POLICY: eval:1: host.show: 17 arguments, 16 are the most");
    CHECK(strstr(world_eval(g, "return { pcall(host.show, { f = print }) }", NULL, NULL),
                 "cannot encode a function as JSON\"]") != NULL);
    world_end(g);
}

TEST_NOFAULT(answers_of_every_kind) {
    struct answer a = { .rc = 1 };
    perilune *g = world_of("return { limits = { body = 4096 } }", 0);
    CHECK_INT(perilune_function_add(g, "say", say, &a), 0);
    CHECK_INT(perilune_function_add(g, "nothing", nothing, NULL), 0);
    static const char call[] = "local v, err = host.say() return { v == nil and 'nil' or v, err and err.code or 'fine', "
                               "err and err.message, err and err.status }";
    CHECK_EVAL(g, "return host.nothing() == nil", NULL, NULL, "true");
    CHECK_EVAL(g, call, NULL, NULL, "[\"nil\",\"fine\"]");
    a.value = (perilune_value){ .type = PERILUNE_BOOLEAN, .number = 1 };
    CHECK_EVAL(g, call, NULL, NULL, "[true,\"fine\"]");
    a.value = (perilune_value){ .type = PERILUNE_NUMBER, .number = -0.5 };
    CHECK_EVAL(g, call, NULL, NULL, "[-0.5,\"fine\"]");
    a.value = (perilune_value){ .type = PERILUNE_STRING, .text = { JSON_TEXT("a\0b") } };
    CHECK_EVAL(g, call, NULL, NULL, "[\"a\\u0000b\",\"fine\"]");
    a.value = (perilune_value){ .type = PERILUNE_JSON, .text = { JSON_TEXT("{\"a\":[1]}") } };
    CHECK_EVAL(g, call, NULL, NULL, "[{\"a\":[1]},\"fine\"]");
    CHECK_INT(a.rc, 0);
    /* Garbage. */
    a.value.type = 77;
    CHECK_EVAL(g, call, NULL, NULL, "[\"nil\",\"fine\"]");
    CHECK_INT(a.rc, PERILUNE_ERR_INVAL);
    a.json = "{\"a\":";
    a.len = 5;
    CHECK_EVAL(g, call, NULL, NULL, "[\"nil\",\"host_error\",\"the program's function 'say' answered with what is no "
                                    "JSON: unexpected end of text at byte 5\",500]");
    a.json = "[1,\0]";
    CHECK(strstr(world_eval(g, call, NULL, NULL), "no JSON: ") != NULL);
    a.json = "";
    a.len = 0;
    CHECK(strstr(world_eval(g, call, NULL, NULL), "no JSON: ") != NULL);
    CHECK_INT(a.rc, 0);
    static char huge[17 << 20];
    memset(huge, ' ', sizeof(huge));
    a.json = huge;
    a.len = sizeof(huge);
    CHECK_EVAL(g, call, NULL, NULL, "[\"nil\",\"fine\"]");
    CHECK_INT(a.rc, PERILUNE_ERR_LIMITED);
    /* Failures. */
    a.code = "";
    a.json = "no \"such\" user";
    CHECK_EVAL(g, call, NULL, NULL, "[\"nil\",\"host_error\",\"no \\\"such\\\" user\",500]");
    a.code = "not_found";
    CHECK_EVAL(g, call, NULL, NULL, "[\"nil\",\"not_found\",\"no \\\"such\\\" user\",404]");
    a.code = "of_my_own_with_a_name_that_is_longer_than_a_code_may_be";
    CHECK(strstr(world_eval(g, call, NULL, NULL), "\"of_my_own_with_a_name") != NULL);
    world_end(g);
}

/* Whatever perilune.error{ code = } knows, and with the same status. */
TEST_NOFAULT(a_failure_has_the_status_of_its_code) {
    static const char call[] = "local _, err = host.say() local same = require 'perilune'.error{ code = err.code } "
                               "return err.status == same.status and err.retryable == same.retryable";
    struct answer a = { .json = "no" };
    char line[200], code[60];
    unsigned codes = 0;
    perilune *g = world_of("return {}", 0);
    CHECK_INT(perilune_function_add(g, "say", say, &a), 0);
    FILE *f = fopen("lua/perilune/errors.lua", "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof(line), f) != NULL) {
        int status;
        if (sscanf(line, "  %59[a-z_] = { %d,", code, &status) != 2) continue;
        NOTE("%s", code);
        a.code = code;
        CHECK_EVAL(g, call, NULL, NULL, "true");
        codes++;
    }
    fclose(f);
    CHECK(codes > 30);
    a.code = "rate_limit_exceeded";
    CHECK_EVAL(g, "local _, err = host.say() return { err.code, err.message, err.status, err.retryable, err.type }", NULL,
               NULL, "[\"rate_limit_exceeded\",\"no\",429,true,\"rate_limit_error\"]");
    world_end(g);
}

TEST_NOFAULT(an_answer_that_is_too_much_for_a_policy) {
    static char large[6 << 20];
    memset(large, 'x', sizeof(large));
    struct answer a = { .value = { .type = PERILUNE_STRING, .text = { large, sizeof(large) } } };
    perilune *g = world_of("return { limits = { memory = '8MiB', body = '16MiB' } }", 0);
    CHECK_INT(perilune_function_add(g, "say", say, &a), 0);
    CHECK_EVAL(g, "local v, err = host.say() return err.message", NULL, NULL,
               "\"the program's function 'say' answered with more bytes than the policy may still use (limits.memory)\"");
    world_end(g);
}

TEST_NOFAULT(names) {
    perilune *g = world_of("return { host_functions = { 'later' } }", 0);
    CHECK_EVAL(g, "return host.lookup(1)", NULL, NULL,
               "POLICY: eval:1: no host function 'lookup': the program that runs this has none (perilune_function_add); "
               "host_functions = { \"lookup\" } in the configuration says that it will");
    CHECK_INT(perilune_function_add(g, "lookup_user", nothing, NULL), 0);
    CHECK_INT(perilune_function_add(g, "lookup_user", nothing, NULL), PERILUNE_ERR_INVAL);
    CHECK_STR(perilune_errmsg(g), "there is a function 'lookup_user' already");
    CHECK_INT(perilune_function_add(g, "score", nothing, NULL), 0);
    CHECK_EVAL(g, "return host.lookup_usr(1)", NULL, NULL,
               "POLICY: eval:1: no host function 'lookup_usr'; did you mean 'lookup_user'? There are lookup_user, score");
    CHECK_EVAL(g, "return host.entirely_else", NULL, NULL,
               "POLICY: eval:1: no host function 'entirely_else'; there are lookup_user, score");
    CHECK(strstr(world_eval(g, "host.mine = 1", NULL, NULL), "host.mine cannot be assigned") != NULL);
    /* What the configuration counts on may come later. */
    CHECK_EVAL(g, "f = f or host.later return select(2, f()).message", NULL, NULL, "\"the program has no function 'later'\"");
    CHECK_INT(perilune_function_add(g, "later", show, NULL), 0);
    CHECK_EVAL(g, "f = f or host.later return f(1)", NULL, NULL, "\"number:1\"");
    static const char *const bad[] = { "", "1a", "a-b", "a b", "a.b", "\xc3\xa9",
                                       "a123456789012345678901234567890123456789012345678901234567890123" };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_INT(perilune_function_add(g, bad[i], nothing, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_function_add(g, NULL, nothing, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_function_add(g, "a", NULL, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_function_add(NULL, "a", nothing, NULL), PERILUNE_ERR_INVAL);
    char name[16];
    int rc = 0;
    for (int i = 0; i < 1100 && rc == 0; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        rc = perilune_function_add(g, name, nothing, NULL);
    }
    CHECK_INT(rc, PERILUNE_ERR_LIMITED);
    world_end(g);
}

/* -- Functions that answer later ------------------------------------------------------------------ */

#define CALLS_MOST 12000

static struct {
    perilune_call *calls[CALLS_MOST];
    unsigned       count;
    atomic_uint    canceled;
    bool           frees; /* cancel gives the call back */
} later;

static void on_cancel(perilune_call *call, void *ud) {
    (void)ud;
    atomic_fetch_add(&later.canceled, 1);
    CHECK_INT(perilune_call_done(call, "1", 1), PERILUNE_ERR_CANCELED);
    if (later.frees) perilune_call_free(call);
}

static void defer(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)args, (void)count;
    perilune_call *mine = perilune_call_defer(call, on_cancel, ud);
    if (mine == NULL) {
        perilune_call_fail(call, "cannot_wait", "nothing can wait here");
        return;
    }
    CHECK(perilune_call_defer(call, NULL, NULL) == NULL);
    later.calls[later.count++] = mine;
}

/* Defers, and answers at once: n is the first argument. */
static void defer_and_answer(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)count, (void)ud;
    perilune_call *mine = perilune_call_defer(call, NULL, NULL);
    CHECK(mine != NULL);
    CHECK_INT(perilune_call_return(call, &args[0]), 0);
    CHECK_INT(perilune_call_done(mine, "2", 1), PERILUNE_ERR_STATE);
    perilune_call_free(mine);
}

static void *answer_from_a_thread(void *ud) {
    perilune_call *call = ud;
    CHECK_INT(perilune_call_done(call, JSON_TEXT("{\"name\":\"Ann\"}")), 0);
    CHECK_INT(perilune_call_done(call, "1", 1), PERILUNE_ERR_STATE);
    perilune_call_free(call);
    return NULL;
}

static void ask_a_thread(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    pthread_t t;
    (void)args, (void)count, (void)ud;
    perilune_call *mine = perilune_call_defer(call, NULL, NULL);
    CHECK(mine != NULL && pthread_create(&t, NULL, answer_from_a_thread, mine) == 0);
    pthread_detach(t);
}

static void give_up(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)args, (void)count, (void)ud;
    perilune_call_free(perilune_call_defer(call, NULL, NULL));
}

TEST_NOFAULT(an_answer_that_comes_later) {
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = world_of("return { limits = { request_timeout = 0.1 } }", threads);
        CHECK_INT(perilune_function_add(g, "echo", defer_and_answer, NULL), 0);
        CHECK_INT(perilune_function_add(g, "user", ask_a_thread, NULL), 0);
        CHECK_INT(perilune_function_add(g, "give_up", give_up, NULL), 0);
        CHECK_INT(perilune_function_add(g, "never", defer, NULL), 0);
        CHECK_EVAL(g, "return host.echo(5)", NULL, NULL, "5");
        CHECK_EVAL(g, "local n = 0 for i = 1, 100 do n = n + host.echo(i) end return n", NULL, NULL, "5050");
        CHECK_EVAL(g, "return host.user().name", NULL, NULL, "\"Ann\"");
        CHECK_EVAL(g, "local p, list = require 'perilune', {} for i = 1, 40 do list[i] = i end "
                      "return #p.map(list, function() return host.user().name end)", NULL, NULL, "40");
        CHECK_EVAL(g, "return select(2, host.give_up()).message", NULL, NULL, "\"the program gave the call up\"");
        /* Nothing can wait while it is loaded. */
        world_file("policies/pricing.lua", "local _, err = host.never() return function() return err.code end");
        world_file("perilune.lua", "return { rules = { 'pricing' }, limits = { request_timeout = 0.1 } }");
        CHECK_INT(perilune_reload(g), 0);
        CHECK_EVAL(g, "pricing", NULL, NULL, "\"cannot_wait\"");
        /* The rule's time is up: the program hears of it. */
        later.count = 0;
        atomic_store(&later.canceled, 0);
        later.frees = false;
        CHECK_EVAL(g, "return host.never()", NULL, NULL,
                   "TIMEOUT: the rule took longer than it may (limits.request_timeout); it waits for the program");
        CHECK_INT(later.count, 1);
        CHECK_INT(atomic_load(&later.canceled), 1);
        CHECK_INT(perilune_call_done(later.calls[0], "1", 1), PERILUNE_ERR_CANCELED);
        perilune_call_free(later.calls[0]);
        CHECK_EVAL(g, "return 1", NULL, NULL, "1");
        world_end(g);
    }
}

TEST_NOFAULT(misuse_of_a_call_is_a_code) {
    CHECK_INT(perilune_call_done(NULL, "1", 1), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_call_return(NULL, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_call_fail(NULL, NULL, NULL), PERILUNE_ERR_INVAL);
    CHECK(perilune_call_defer(NULL, NULL, NULL) == NULL);
    perilune_call_free(NULL);
}

/* -- Requests ------------------------------------------------------------------------------------ */

static const char WAITS[] =
    "return { listen = '127.0.0.1:0', workers = 1, limits = { open_calls = 20000 }, routes = { { path = '/wait', policies = "
    "{ function(req) local p, list = require 'perilune', {} req:note('plan', { gold = true }) req:note('n', 1) "
    "req:note('n', 2) for i = 1, 1000 do list[i] = i end "
    "p.map(list, function() for k = 1, 5 do host.wait() end return 1 end) return p.respond{ text = 'done' } end } },"
    "{ path = '/now', policies = { function(req) local p = require 'perilune' req.tenant = 'acme' "
    "req:note('plan', { gold = true }) req:note('n', 1) req:note('n', 22) "
    "return p.respond{ text = host.say() or 'none', upstream = 'up', model = 'm' } end } } } }";

static int connect_to(perilune *g) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)perilune_port(g)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    return fd;
}

static int post(perilune *g, const char *path) {
    char text[512];
    static const char body[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    int fd = connect_to(g);
    int n = snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                                         "content-length: %zu\r\n\r\n%s", path, sizeof(body) - 1, body);
    CHECK(send(fd, text, (size_t)n, 0) == n);
    return fd;
}

/* Turns the loop until *what is n. */
static void turn_until(perilune *g, const unsigned *what, unsigned n) {
    for (int i = 0; i < 2000 && *what < n; i++) perilune_poll(g, 10);
    CHECK_UINT(*what, n);
}

static struct {
    unsigned count;
    char     text[1024];
} finished;

static void on_finished(void *ud, const perilune_finished *r) {
    (void)ud;
    CHECK_UINT(r->size, sizeof(*r));
    finished.count++;
    snprintf(finished.text, sizeof(finished.text), "%.*s %.*s %d tenant=%.*s route=%.*s error=%.*s model=%.*s notes=%.*s %s",
             (int)r->method.len, r->method.ptr, (int)r->path.len, r->path.ptr, r->status, (int)r->tenant.len, r->tenant.ptr,
             (int)r->route.len, r->route.ptr, (int)r->error.len, r->error.ptr, (int)r->model.len, r->model.ptr,
             (int)r->notes.len, r->notes.ptr, r->duration_us > 0 ? "took" : "");
}

static const perilune_hooks HOOKS = { .size = sizeof(HOOKS), .finished = on_finished };

TEST_NOFAULT(a_finished_request_is_told) {
    struct answer a = { .json = "\"hello\"", .len = 7 };
    perilune *g = world_of(WAITS, 0);
    CHECK_INT(perilune_function_add(g, "say", say, &a), 0);
    CHECK_INT(perilune_hook(g, &HOOKS), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    int fd = post(g, "/now");
    turn_until(g, &finished.count, 1);
    CHECK_STR(finished.text, "POST /now 200 tenant=acme route=/now error= model=m notes={\"plan\":{\"gold\":true},\"n\":22} took");
    char reply[4096];
    ssize_t n = recv(fd, reply, sizeof(reply) - 1, 0);
    CHECK(n > 0);
    reply[n] = '\0';
    CHECK(strstr(reply, "hello") != NULL && strstr(reply, "gold") == NULL);
    close(fd);
    fd = post(g, "/nowhere");
    turn_until(g, &finished.count, 2);
    CHECK_STR(finished.text, "POST /nowhere 404 tenant= route= error=not_found model= notes={} took");
    CHECK_INT(perilune_hook(g, NULL), 0);
    close(fd);
    close(post(g, "/now"));
    for (int i = 0; i < 20; i++) perilune_poll(g, 1);
    CHECK_UINT(finished.count, 2);
    perilune_close(g);
    CHECK(strstr(world_log, "\"notes\":{\"plan\":{\"gold\":true},\"n\":22}") != NULL);
}

TEST_NOFAULT(hooks_of_workers_and_wrong_ones) {
    perilune *g = world_of(WAITS, 2);
    perilune_hooks h = HOOKS;
    CHECK_INT(perilune_hook(g, &h), 0);
    static const size_t wrong[] = { 0, 3, 8, 12, 32, sizeof(h) + 1, sizeof(h) - 4, 99, 100000, (size_t)-8 };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        NOTE("%zu", wrong[i]);
        h.size = wrong[i];
        CHECK_INT(perilune_hook(g, &h), PERILUNE_ERR_INVAL);
        CHECK_STR(perilune_errmsg(g), "hooks.size is none that perilune_hooks ever had: begin it with "
                                      "PERILUNE_HOOKS_INIT");
    }
    CHECK_INT(perilune_hook(NULL, &h), PERILUNE_ERR_INVAL);
    world_end(g);
}

TEST_NOFAULT(hooks_of_a_newer_header) {
    struct newer {
        perilune_hooks h;
        void          *more[2];
    } n = { .h = { .size = sizeof(n), .finished = on_finished } };
    perilune *g = world_of("return {}", 0);
    CHECK_INT(perilune_hook(g, &n.h), 0);
    n.more[1] = &n;
    CHECK_INT(perilune_hook(g, &n.h), PERILUNE_ERR_INVAL);
    CHECK(strstr(perilune_errmsg(g), "too old to know") != NULL);
    world_end(g);
}

static unsigned metrics_count;

static void on_metrics(void *ud, perilune_str text) {
    perilune *g = *(perilune **)ud;
    metrics_count++;
    CHECK(text.len > 100 && memmem(text.ptr, text.len, "perilune_", 9) != NULL);
    if (metrics_count == 2) CHECK_INT(perilune_hook(g, NULL), 0);
}

TEST_NOFAULT(metrics_come_by_themselves) {
    perilune *g = world_of("return {}", 0);
    perilune_hooks h = { .size = sizeof(h), .metrics = on_metrics, .metrics_ms = 99, .ud = &g };
    CHECK_INT(perilune_hook(g, &h), PERILUNE_ERR_INVAL);
    h.metrics_ms = 100;
    CHECK_INT(perilune_hook(g, &h), 0);
    turn_until(g, &metrics_count, 2);
    for (int i = 0; i < 30; i++) perilune_poll(g, 10);
    CHECK_UINT(metrics_count, 2);
    world_end(g);
}

/* Closing turns the loop, when the workers are gone already. */
TEST_NOFAULT(no_timer_fires_while_the_gateway_closes) {
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = world_of("return {}", threads);
        perilune_hooks h = { .size = sizeof(h), .metrics = on_metrics, .metrics_ms = 100, .ud = &g };
        metrics_count = 2;
        CHECK_EVAL(g, "return 1", NULL, NULL, "1"); /* with threads it opens a worker on the owner's loop */
        CHECK_INT(perilune_hook(g, &h), 0);
        perilune_drain(g, 10000);
        CHECK(perilune_poll(g, 0) >= 0); /* 1 on a machine that is slow: nothing keeps it from draining */
        usleep(150000); /* both are due */
        world_end(g);
        CHECK_UINT(metrics_count, 2);
    }
}

/* Ten requests, each of which has a thousand calls open at once. */
static void open_calls(perilune *g, int fds[10]) {
    later.count = 0;
    atomic_store(&later.canceled, 0);
    for (int i = 0; i < 10; i++) fds[i] = post(g, "/wait");
    turn_until(g, &later.count, 10000);
}

static void let_go_of(unsigned from) {
    for (unsigned i = from; i < later.count; i++) perilune_call_free(later.calls[i]);
}

TEST_NOFAULT(ten_thousand_calls_at_a_reload_and_at_the_end) {
    int fds[10];
    perilune *g = world_of(WAITS, 0);
    later.frees = false;
    CHECK_INT(perilune_function_add(g, "wait", defer, NULL), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    open_calls(g, fds);
    CHECK_INT(perilune_reload(g), 0);
    CHECK_INT(perilune_call_done(later.calls[0], "1", 1), 0); /* those of the old generation go on */
    turn_until(g, &later.count, 10001);
    CHECK_UINT(atomic_load(&later.canceled), 0);
    close(fds[0]); /* its client leaves */
    for (int i = 0; i < 2000 && atomic_load(&later.canceled) == 0; i++) perilune_poll(g, 10);
    CHECK_UINT(atomic_load(&later.canceled), 1000);
    world_end(g);
    CHECK_UINT(atomic_load(&later.canceled), 10000);
    for (unsigned i = 1; i < later.count; i++) CHECK_INT(perilune_call_done(later.calls[i], "1", 1), PERILUNE_ERR_CANCELED);
    let_go_of(0);
    for (int i = 1; i < 10; i++) close(fds[i]);
}

TEST_NOFAULT(cancel_may_free_the_call) {
    int fds[10];
    perilune *g = world_of(WAITS, 0);
    later.frees = true;
    CHECK_INT(perilune_function_add(g, "wait", defer, NULL), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    open_calls(g, fds);
    world_end(g);
    CHECK_UINT(atomic_load(&later.canceled), 10000);
    for (int i = 0; i < 10; i++) close(fds[i]);
}

/* Threads that answer while clients leave and the gateway closes. */
static struct {
    pthread_mutex_t lock;
    perilune_call  *waiting[4096];
    unsigned        count;
    bool            over;
    atomic_uint     answered, canceled;
} racing = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void race_canceled(perilune_call *call, void *ud) {
    (void)call, (void)ud;
    atomic_fetch_add(&racing.canceled, 1);
}

static void race_defer(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)args, (void)count, (void)ud;
    perilune_call *mine = perilune_call_defer(call, race_canceled, NULL);
    if (mine == NULL) return;
    pthread_mutex_lock(&racing.lock);
    if (racing.count < 4096) racing.waiting[racing.count++] = mine;
    else perilune_call_free(mine);
    pthread_mutex_unlock(&racing.lock);
}

static void *race_answer(void *ud) {
    (void)ud;
    for (bool over = false; !over;) {
        pthread_mutex_lock(&racing.lock);
        perilune_call *call = racing.count > 0 ? racing.waiting[--racing.count] : NULL;
        over = racing.over && call == NULL;
        pthread_mutex_unlock(&racing.lock);
        if (call == NULL) {
            sched_yield();
            continue;
        }
        int rc = perilune_call_done(call, "[1]", 3);
        CHECK(rc == 0 || rc == PERILUNE_ERR_CANCELED);
        if (rc == 0) atomic_fetch_add(&racing.answered, 1);
        perilune_call_free(call);
    }
    return NULL;
}

TEST_NOFAULT(answers_race_with_clients_that_leave_and_the_end) {
    pthread_t threads[3];
    for (int workers = 0; workers < 3; workers += 2) {
        perilune *g = world_of(WAITS, workers);
        int fds[8];
        racing.over = false;
        CHECK_INT(perilune_function_add(g, "wait", race_defer, NULL), 0);
        CHECK_INT(perilune_listen(g, NULL), 0);
        for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, race_answer, NULL) == 0);
        for (int i = 0; i < 8; i++) fds[i] = post(g, "/wait");
        for (int i = 0; i < 60; i++) {
            perilune_poll(g, 1);
            CHECK_INT(perilune_value_set(g, "n", i % 2 ? "1" : "[2]", i % 2 ? 1 : 3), 0);
            if (i % 15 == 14) close(fds[i / 15]);
        }
        world_end(g);
        pthread_mutex_lock(&racing.lock);
        racing.over = true;
        pthread_mutex_unlock(&racing.lock);
        for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
        for (int i = 4; i < 8; i++) close(fds[i]);
        CHECK(atomic_load(&racing.answered) > 0);
    }
}

/* -- Values ---------------------------------------------------------------------------------------- */

TEST_NOFAULT(values_change_while_policies_run) {
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = world_of("return {}", threads);
        static const char read[] = "local v = require 'perilune'.values.plan return v == nil and 'nil' or v";
        CHECK_EVAL(g, read, NULL, NULL, "\"nil\"");
        CHECK_INT(perilune_value_set(g, "plan", JSON_TEXT("{\"free\":{\"limit\":5}}")), 0);
        CHECK_EVAL(g, read, NULL, NULL, "{\"free\":{\"limit\":5}}");
        CHECK_EVAL(g, "return require 'perilune'.values.plan.free.limit", NULL, NULL, "5");
        CHECK_INT(perilune_value_set(g, "plan", JSON_TEXT("[1,")), PERILUNE_ERR_INVAL);
        CHECK_INT(perilune_value_set(g, "plan", JSON_TEXT("false")), 0);
        CHECK_EVAL(g, read, NULL, NULL, "false");
        CHECK_INT(perilune_reload(g), 0);
        CHECK_EVAL(g, read, NULL, NULL, "false");
        CHECK_INT(perilune_value_set(g, "plan", JSON_TEXT("null")), 0);
        CHECK_EVAL(g, read, NULL, NULL, "null");
        CHECK_INT(perilune_value_set(g, "plan", NULL, 0), 0);
        CHECK_EVAL(g, read, NULL, NULL, "\"nil\"");
        CHECK_EVAL(g, "return require 'perilune'.values[1] == nil", NULL, NULL, "true");
        CHECK(strstr(world_eval(g, "require 'perilune'.values.a = 1", NULL, NULL), "perilune.values.a cannot be assigned") != NULL);
        CHECK_INT(perilune_value_set(g, "a-b", "1", 1), PERILUNE_ERR_INVAL);
        CHECK_INT(perilune_value_set(g, NULL, "1", 1), PERILUNE_ERR_INVAL);
        CHECK_INT(perilune_value_set(NULL, "a", "1", 1), PERILUNE_ERR_INVAL);
        char name[16];
        int rc = 0;
        for (int i = 0; i < 1100 && rc == 0; i++) {
            snprintf(name, sizeof(name), "v%d", i);
            rc = perilune_value_set(g, name, "1", 1);
        }
        CHECK_INT(rc, PERILUNE_ERR_LIMITED);
        CHECK_EVAL(g, "return require 'perilune'.values.v1023", NULL, NULL, "1");
        world_end(g);
    }
}

/* -- Callbacks that call back ------------------------------------------------------------------------ */

static perilune *callee;

static void call_back(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)count, (void)ud;
    char what[16], said[1200] = "";
    perilune_str out = { "", 0 };
    snprintf(what, sizeof(what), "%.*s", (int)args[0].text.len, args[0].text.ptr);
    int rc = 0;
    if (strcmp(what, "poll") == 0) rc = perilune_poll(callee, 0);
    if (strcmp(what, "run") == 0) rc = perilune_run(callee);
    if (strcmp(what, "reload") == 0) rc = perilune_reload(callee);
    if (strcmp(what, "listen") == 0) rc = perilune_listen(callee, "127.0.0.1:0");
    if (strcmp(what, "add") == 0) rc = perilune_function_add(callee, "added", nothing, NULL);
    if (strcmp(what, "hook") == 0) rc = perilune_hook(callee, NULL);
    if (strcmp(what, "eval") == 0) rc = perilune_eval(callee, "return host.back('add') or { 7 }", NULL, NULL, 0, &out);
    if (strcmp(what, "sleep") == 0) rc = perilune_eval(callee, "require 'perilune'.sleep(1)", NULL, NULL, 0, &out);
    if (strcmp(what, "deep") == 0) rc = perilune_eval(callee, "return host.back('deep')", NULL, NULL, 0, &out);
    if (strcmp(what, "close") == 0) perilune_close(callee);
    snprintf(said, sizeof(said), "%d %.*s", rc, (int)out.len, out.ptr);
    perilune_value v = { .type = PERILUNE_STRING, .text = { said, strlen(said) } };
    perilune_call_return(call, &v);
}

TEST_NOFAULT(a_function_may_call_the_library) {
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = callee = world_of("return {}", threads);
        CHECK_INT(perilune_function_add(g, "back", call_back, NULL), 0);
        CHECK_EVAL(g, "return host.back('poll')", NULL, NULL, "\"-3 \"");
        CHECK_EVAL(g, "return host.back('run')", NULL, NULL, "\"-3 \"");
        CHECK_EVAL(g, "return host.back('reload')", NULL, NULL, "\"0 \"");
        CHECK_EVAL(g, "return host.back('listen')", NULL, NULL, "\"0 \"");
        CHECK_EVAL(g, "return host.back('eval')", NULL, NULL, "\"0 \\\"0 \\\"\"");
        CHECK_EVAL(g, "return host.added() == nil", NULL, NULL, "true");
        CHECK_EVAL(g, "return host.back('hook')", NULL, NULL, "\"0 \"");
        CHECK_EVAL(g, "return host.back('sleep')", NULL, NULL, "\"-3 \"");
        CHECK(strncmp(world_eval(g, "return host.back('deep')", NULL, NULL), "\"0 ", 3) == 0);
        CHECK_EVAL(g, "return 1", NULL, NULL, "1");
        world_end(g);
    }
}

TEST_NOFAULT(a_function_may_close_the_gateway) {
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = callee = world_of("return {}", threads);
        perilune_str out;
        CHECK_INT(perilune_function_add(g, "back", call_back, NULL), 0);
        CHECK_INT(perilune_eval(g, "host.back('close') return 1", NULL, NULL, 0, &out), PERILUNE_ERR_CANCELED);
        g = callee = world_of("return {}", threads);
        CHECK_INT(perilune_function_add(g, "back", call_back, NULL), 0);
        CHECK_INT(perilune_eval(g, "host.back('close') require 'perilune'.sleep(10)", NULL, NULL, 0, &out),
                  PERILUNE_ERR_CANCELED);
    }
}

static void close_when_finished(void *ud, const perilune_finished *r) {
    (void)r;
    perilune_close(*(perilune **)ud);
}

TEST_NOFAULT(a_hook_may_close_the_gateway) {
    perilune *g = world_of(WAITS, 0);
    perilune_hooks h = { .size = sizeof(h), .finished = close_when_finished, .ud = &g };
    CHECK_INT(perilune_hook(g, &h), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    int fd = post(g, "/nowhere");
    CHECK_INT(perilune_run(g), 0);
    close(fd);
    /* From a worker's thread it is refused. */
    g = world_of(WAITS, 1);
    h.finished = close_when_finished;
    CHECK_INT(perilune_hook(g, &h), 0);
    CHECK_INT(perilune_listen(g, NULL), 0);
    fd = post(g, "/nowhere");
    char reply[256];
    CHECK(recv(fd, reply, sizeof(reply), 0) > 0);
    close(fd);
    world_end(g);
    CHECK(strstr(world_log, "perilune_close() does nothing: this is not the thread that opened the gateway") != NULL);
}

static void defer_if_possible(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    (void)count, (void)ud;
    perilune_call *mine = perilune_call_defer(call, NULL, NULL);
    if (mine == NULL) {
        perilune_call_fail(call, "out_of_memory", NULL);
        return;
    }
    int rc = perilune_call_return(mine, &args[0]);
    CHECK(rc == 0 || rc == PERILUNE_ERR_NOMEM);
    perilune_call_free(mine); /* without an answer it is a failure */
}

/* -- Memory ------------------------------------------------------------------------------------------- */

TEST_NOFAULT(any_allocation_of_a_call_may_fail) {
    struct answer a = { .value = { .type = PERILUNE_JSON, .text = { JSON_TEXT("{\"a\":[1,2,\"x\\ny\"]}") } } };
    perilune *g = world_of("return {}", 0);
    CHECK_INT(perilune_function_add(g, "say", say, &a), 0);
    CHECK_INT(perilune_function_add(g, "echo", defer_if_possible, NULL), 0);
    static const char code[] = "local v = host.say({ 1 }, 'x') local e = host.echo('xyz') local p = require 'perilune' "
                               "return { v or 'nil', e or 'nil', p.values.n or 'nil' }";
    for (int round = 0; round < 2; round++) {
        CHECK(strchr(world_eval(g, code, NULL, "[true]"), '[') != NULL);
        bool reached = true;
        for (long n = 1; reached && n < 500; n++) {
            NOTE("round %d, allocation %ld", round, n);
            char json[16];
            int len = snprintf(json, sizeof(json), "[%ld]", n);
            mem_fail_at(n, round == 1);
            int rc = perilune_value_set(g, "n", json, (size_t)len);
            CHECK(rc == 0 || rc == PERILUNE_ERR_NOMEM);
            rc = perilune_eval(g, code, NULL, "[true]", 6, NULL);
            reached = mem_fail_count() >= n;
            mem_fail_at(0, false);
            CHECK(rc == 0 || rc == PERILUNE_ERR_NOMEM || rc == PERILUNE_ERR_POLICY);
        }
        CHECK(!reached);
    }
    world_end(g);
}

/* test_rules.c -- perilune_eval(): functions of Lua that a program calls. */
#include <stdatomic.h>

#include "base/mem.h"
#include "program_world.h"

static const char RULE[] = "local M = {}\nfunction M.price(o)\n  return o.n * 2\nend\nreturn M\n";

/* -- What it gives ------------------------------------------------------------------------ */

TEST_NOFAULT(a_chunk_gives_its_value_as_json) {
    perilune *g = world_of("return {}", 0);
    CHECK_EVAL(g, "return 1 + 1", NULL, NULL, "2");
    CHECK_EVAL(g, "return ...", NULL, "[[1,2],3]", "[1,2]");
    CHECK_EVAL(g, "return select('#', ...)", NULL, "[[1,2],null,3]", "3");
    CHECK_EVAL(g, "return (...).a", NULL, "{\"a\":\"x\\u0000y\"}", "\"x\\u0000y\"");
    CHECK_EVAL(g, "return { list = {} }", NULL, NULL, "{\"list\":{}}");
    CHECK_EVAL(g, "local x = 1", NULL, NULL, "null");
    CHECK_EVAL(g, RULE, "price", "{\"n\":21}", "42");
    CHECK_EVAL(g, RULE, "price", "{\"n\":4}", "8");
    CHECK_EVAL(g, "function add(a, b) return a + b end", "add", "[1,2]", "3");
    CHECK_EVAL(g, "n = (n or 0) + 1 return n", NULL, NULL, "1");
    CHECK_EVAL(g, "n = (n or 0) + 1 return n", NULL, NULL, "2"); /* globals of a chunk stay */
    CHECK_EVAL(g, "return n", NULL, NULL, "POLICY: eval:1: unknown global 'n': neither Lua nor this file defines it"); /* and are its own */
    CHECK_INT(perilune_eval(g, "return 1", NULL, NULL, 0, NULL), 0);
    world_end(g);
}

TEST_NOFAULT(what_is_wrong_is_a_sentence_with_its_place) {
    perilune *g = world_of("return {}", 0);
    CHECK_EVAL(g, "return 1 +", NULL, NULL, "POLICY: eval:1: unexpected symbol near '<eof>'");
    CHECK_EVAL(g, "local a\n\nreturn a.b", NULL, NULL, "POLICY: eval:3: attempt to index local 'a' (a nil value)");
    CHECK_EVAL(g, "error('no', 0)", NULL, NULL, "POLICY: no");
    CHECK_EVAL(g, "return nil, 'closed'", NULL, NULL, "REJECTED: closed");
    CHECK_EVAL(g, "error(require'perilune'.error{ code = 'rejected', message = 'no' })", NULL, NULL,
               "REJECTED: rejected: no");
    CHECK_EVAL(g, "return print", NULL, NULL, "POLICY: cannot encode a function as JSON");
    CHECK_EVAL(g, "local t = {} t.t = t return t", NULL, NULL,
               "POLICY: cannot encode as JSON: nested deeper than 256 (a cycle?)");
    CHECK_EVAL(g, "return os.time()", NULL, NULL,
               "POLICY: eval:1: 'os' is not available to policies: perilune.now() has the time, perilune.date() writes "
               "it, perilune.env() reads the environment");
    CHECK_EVAL(g, RULE, "prise", "{}", "POLICY: the chunk has no function 'prise'; did you mean 'price'?");
    CHECK_EVAL(g, "pricing", "price", NULL, "POLICY: no module 'pricing' among the configuration's rules: it names none "
                                            "(rules = { \"pricing\" })");
    CHECK_EVAL(g, "return 1", NULL, "{\"a\":", "INVAL: the arguments: unexpected end of text at byte 5");
    CHECK_EVAL(g, "\033LJ\002", NULL, NULL, "POLICY: eval: this is bytecode, and only text is loaded");
    CHECK_INT(perilune_eval(g, NULL, NULL, NULL, 0, NULL), PERILUNE_ERR_INVAL);
    CHECK_INT(perilune_eval(NULL, "return 1", NULL, NULL, 0, NULL), PERILUNE_ERR_INVAL);
    CHECK_EVAL(g, "return 1", NULL, NULL, "1"); /* and all goes on */
    CHECK_STR(perilune_errmsg(g), "");
    world_end(g);
}

TEST_NOFAULT(nothing_is_loaded_yet) {
    perilune_options o = PERILUNE_OPTIONS_INIT;
    perilune *g;
    CHECK_INT(perilune_open(&g, &o, NULL, 0), 0);
    CHECK_EVAL(g, "return 1", NULL, NULL, "STATE: no configuration is loaded; perilune_load() loads one, which may be "
                                          "as short as 'return {}'");
    perilune_close(g);
}

TEST_NOFAULT(a_rule_that_allocates_ends) {
    perilune *g = world_of("return { limits = { cpu_ms = 20000, block_ms = 10000, memory = '8MiB' } }", 0);
    CHECK(strstr(world_eval(g, "local t = {} for i = 1, 1e9 do t[i] = { i } end", NULL, NULL), "limits.memory") != NULL);
    CHECK_EVAL(g, "return 1", NULL, NULL, "1");
    world_end(g);
}

TEST_NOFAULT(a_rule_ends_within_its_budget) {
    perilune *g = world_of("return { limits = { cpu_ms = 20, block_ms = 10, memory = '8MiB' } }", 0);
    CHECK_EVAL(g, "local n = 0\n\nwhile true do n = n + 1 end", NULL, NULL,
               "POLICY: eval:3: the policy used more CPU time than it may (limits.cpu_ms)");
    CHECK_EVAL(g, "while true do pcall(function() while true do end end) end", NULL, NULL,
               "POLICY: eval:1: the policy used more CPU time than it may (limits.cpu_ms)");
    CHECK(strstr(world_eval(g, "local t = {} for i = 1, 1e9 do t[i] = { i } end", NULL, NULL), "POLICY: ") != NULL);
    CHECK(strstr(world_eval(g, "return ('x'):rep(2 ^ 30)", NULL, NULL), "POLICY: ") != NULL);
    CHECK(strstr(world_eval(g, "local s = ('x'):rep(2 ^ 20) local t = {} for i = 1, 1e4 do t[i] = s end return t", NULL, NULL),
                 "POLICY: ") != NULL);
    CHECK(strstr(world_eval(g, "local function f() return f() + 1 end return f()", NULL, NULL), "stack overflow") != NULL);
    for (int i = 0; i < 200; i++) CHECK_EVAL(g, "return (...)", NULL, "[7]", "7"); /* its neighbours live */
    world_end(g);
}

TEST_NOFAULT(chunks_are_kept_and_forgotten) {
    perilune *g = world_of("return {}", 0);
    char code[64], want[16];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 500; i++) {
            snprintf(code, sizeof(code), "return %d + (...)", i);
            snprintf(want, sizeof(want), "%d", i + 1);
            CHECK_EVAL(g, code, NULL, "1", want);
        }
    }
    size_t len = 300 * 1024;
    char *large = malloc(len + 1);
    memset(large, ' ', len);
    large[len] = '\0';
    CHECK_EVAL(g, large, NULL, NULL, "POLICY: the chunk has 307200 bytes, 262144 are the most");
    free(large);
    world_end(g);
}

/* -- Modules -------------------------------------------------------------------------------- */

static perilune *with_module(int threads, const char *config, const char *module) {
    world_folder_new();
    world_file("perilune.lua", config);
    world_file("policies/pricing.lua", module);
    return world_open(threads);
}

static const char RULES[] = "return { rules = { 'pricing' } }";

TEST_NOFAULT(modules_come_and_change_with_the_configuration) {
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = with_module(threads, RULES, "local M = {}\nfunction M.rate() return 1 end\nreturn M");
        CHECK_EVAL(g, "pricing", "rate", NULL, "1");
        CHECK_EVAL(g, "return require 'pricing'.rate() + 1", NULL, NULL, "2");
        CHECK_EVAL(g, "pricings", "rate", NULL, "POLICY: no module 'pricings' among the configuration's rules; did you "
                                                "mean 'pricing'?");
        CHECK_EVAL(g, "pricing", NULL, NULL, "POLICY: module 'pricing' is a table of functions; say which one");
        CHECK_EVAL(g, "pricing", "rates", NULL, "POLICY: module 'pricing' has no function 'rates'; did you mean 'rate'?");
        world_file("policies/pricing.lua", "local M = {}\nfunction M.rate() return 2 end\nreturn M");
        CHECK_EVAL(g, "pricing", "rate", NULL, "1"); /* until it is loaded */
        CHECK_INT(perilune_reload(g), 0);
        CHECK_EVAL(g, "pricing", "rate", NULL, "2");
        world_file("policies/pricing.lua", "local M = {}\nfunction M.rate( return 3 end\nreturn M");
        CHECK_INT(perilune_reload(g), PERILUNE_ERR_CONFIG); /* all or nothing */
        CHECK(strstr(perilune_errmsg(g), "perilune.lua:1: rules[1]: require 'pricing': ") != NULL);
        CHECK(strstr(perilune_errmsg(g), "policies/pricing.lua:2: ") != NULL);
        CHECK_EVAL(g, "pricing", "rate", NULL, "2");
        world_file("policies/pricing.lua", "return 5");
        CHECK_INT(perilune_reload(g), PERILUNE_ERR_CONFIG);
        CHECK(strstr(perilune_errmsg(g), "module 'pricing' returned a number; a module of rules returns a table") != NULL);
        world_file("policies/pricing.lua", "return function(a) return a * 3 end");
        CHECK_INT(perilune_reload(g), 0);
        CHECK_EVAL(g, "pricing", NULL, "[2]", "6");
        world_file("policies/pricing.lua", "return { rate = function()\n  return nil + 1\nend }");
        CHECK_INT(perilune_reload(g), 0);
        CHECK(strstr(world_eval(g, "pricing", "rate", NULL), "policies/pricing.lua:2: attempt to perform arithmetic") != NULL);
        world_end(g);
    }
}

TEST_NOFAULT(a_module_that_forgot_to_ask_for_the_library) {
    perilune *g = with_module(0, RULES, "return { now = function() return perilune.now() end }");
    CHECK(strstr(world_eval(g, "pricing", "now", NULL),
                 "policies/pricing.lua:1: attempt to index global 'perilune' (a nil value); 'perilune' is no global: "
                 "local perilune = require \"perilune\"") != NULL);
    world_end(g);
}

/* -- Waiting ---------------------------------------------------------------------------------- */

TEST_NOFAULT(a_rule_may_wait) {
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = world_of("return { limits = { request_timeout = 0.2 } }", threads);
        CHECK_EVAL(g, "require 'perilune'.sleep(0.01) return 'slept'", NULL, NULL, "\"slept\"");
        CHECK_EVAL(g, "local p = require 'perilune' return p.all{ function() p.sleep(0.01) return 1 end, "
                      "function() return 2 end }[1]", NULL, NULL, "1");
        CHECK_EVAL(g, "require 'perilune'.sleep(1000)", NULL, NULL,
                   "TIMEOUT: the rule took longer than it may (limits.request_timeout); it waits for sleep");
        CHECK_EVAL(g, "return 1", NULL, NULL, "1");
        world_end(g);
    }
}

/* Of a host that did something else meanwhile, the loop's clock is as late as it was away. */
static void away(unsigned ms) { usleep(ms * 1000); }

TEST_NOFAULT(time_goes_on_while_the_host_is_away) {
    static const char slept[] = "local p = require 'perilune' local t = p.now() p.sleep(0.1) return p.now() - t > 0.09";
    static const char take[] = "return require 'perilune'.limit('a', { requests_per_second = 1 }):take() ~= nil";
    for (int threads = 0; threads < 3; threads += 2) {
        perilune *g = world_of("return {}", threads);
        CHECK_EVAL(g, take, NULL, NULL, "true");
        CHECK_EVAL(g, take, NULL, NULL, "false");
        CHECK_EVAL(g, "require 'perilune'.shared('s'):set('k', 1, 0.1)", NULL, NULL, "null");
        away(1100);
        CHECK_EVAL(g, slept, NULL, NULL, "true");
        away(150);
        CHECK_EVAL(g, "return require 'perilune'.shared('s'):get('k') == nil", NULL, NULL, "true");
        CHECK_EVAL(g, take, NULL, NULL, "true");
        world_end(g);
    }
}

/* And while a rule computes, slice after slice. */
TEST_NOFAULT(time_goes_on_while_a_rule_computes) {
    perilune *g = world_of("return { limits = { cpu_ms = 5000, block_ms = 20 } }", 0);
    CHECK_EVAL(g, "local p = require 'perilune' local t = p.now() while p.now() - t < 0.15 do end "
                  "t = p.now() p.sleep(0.1) return p.now() - t > 0.07", NULL, NULL, "true");
    world_end(g);
}

/* -- Memory ------------------------------------------------------------------------------------ */

static void evaluate_without_memory(bool forever) {
    perilune *g = with_module(0, RULES, "return { rate = function(o) return { o.a .. 'x' } end }");
    CHECK_EVAL(g, "pricing", "rate", "{\"a\":\"b\"}", "[\"bx\"]");
    int rc = PERILUNE_ERR_NOMEM;
    for (long n = 1; rc != 0 && n < 3000; n++) {
        char code[128];
        perilune_str out;
        NOTE("allocation %ld%s", n, forever ? " and all behind it" : "");
        snprintf(code, sizeof(code), "local o = ... return { o.a, %ld, {}, ('y'):rep(100) }", n);
        mem_fail_at(n, forever);
        rc = perilune_eval(g, code, NULL, "{\"a\":\"b\"}", 9, &out);
        long seen = mem_fail_count();
        mem_fail_at(0, false);
        CHECK(rc == 0 || rc == PERILUNE_ERR_NOMEM || rc == PERILUNE_ERR_POLICY);
        CHECK(rc != 0 || seen < n || !forever);
        if (rc == 0 && seen >= n) rc = -1; /* it did without: on to the next */
        CHECK_EVAL(g, "pricing", "rate", "{\"a\":\"b\"}", "[\"bx\"]");
    }
    CHECK_INT(rc, 0);
    world_end(g);
}

TEST_NOFAULT(any_allocation_of_an_evaluation_may_fail) {
    evaluate_without_memory(false);
    evaluate_without_memory(true);
}

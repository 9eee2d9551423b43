/* rules.c -- a rule engine: rules in Lua that the program calls, and that call the program.
 *
 *     make example-rules
 *     build/rules CONFIG                       examples/rules.lua
 *
 *     perilune_eval("pricing", "quote", order) --> policies/pricing.lua --> host.in_stock(name)
 *              ^                                          |                       |
 *              +---- JSON, or a sentence with its line ---+ perilune.values.sale  +-- in_stock() below
 *
 * No model, no upstream, no address, no other thread.  Each evaluation has a limit of time and memory; rules are read
 * again by perilune_reload(), and when the new ones are wrong the old ones go on.
 *
 * Outside of this tree:  cc rules.c -lperilune
 */
#include <stdio.h>
#include <string.h>

#include "perilune.h"

/* -- What rules ask the program --------------------------------------------------- */

/* Answers at once.  A program whose stock is in a database would take perilune_call_defer() and answer when that
 * has: from any thread, and the rule waits meanwhile. */
static void in_stock(perilune_call *call, const perilune_value *args, size_t count, void *ud) {
    static const struct { const char *name; double left; } stock[] = { { "pen", 500 }, { "book", 40 }, { "desk", 3 } };
    (void)ud;
    if (count == 0 || args[0].type != PERILUNE_STRING) {
        perilune_call_fail(call, "invalid_request", "in_stock(name): the name is a string");
        return;
    }
    for (size_t i = 0; i < sizeof(stock) / sizeof(*stock); i++) {
        if (strlen(stock[i].name) != args[0].text.len || memcmp(stock[i].name, args[0].text.ptr, args[0].text.len) != 0)
            continue;
        perilune_value left = { .type = PERILUNE_NUMBER, .number = stock[i].left };
        perilune_call_return(call, &left);
        return;
    }
    perilune_call_fail(call, "not_found", "there is no such article");
}

/* -- What the program asks rules ----------------------------------------------------- */

static void show(perilune *g, const char *what, const char *code, const char *function, const char *args) {
    perilune_str result;
    int rc = perilune_eval(g, code, function, args, strlen(args), &result);
    if (rc == 0) printf("%-10s %.*s\n", what, (int)result.len, result.ptr);
    else printf("%-10s %s: %s\n", what, perilune_errname(rc), perilune_errmsg(g));
}

static void quote(perilune *g, const char *what, const char *order) { show(g, what, "pricing", "quote", order); }

static void tour(perilune *g) {
    static const char order[] = "{\"tenant\":\"gold\",\"items\":[{\"name\":\"desk\",\"count\":1},{\"name\":\"pen\",\"count\":10}]}";
    static const char sale[] = "{\"from\":200,\"percent\":20}";
    quote(g, "gold", order);
    quote(g, "too many", "{\"items\":[{\"name\":\"desk\",\"count\":4}]}");
    quote(g, "unknown", "{\"items\":[{\"name\":\"boat\",\"count\":1}]}");
    quote(g, "wrong", "{\"items\":5}"); /* the rule throws: file and line */

    perilune_value_set(g, "sale", sale, sizeof(sale) - 1); /* no reload; [any] thread may do this */
    quote(g, "sale", order);

    /* Rules need no file: a chunk is compiled once and kept. */
    show(g, "chunk", "local user = ... return user.age >= 18 and user.country ~= 'xx'", NULL, "{\"age\":20,\"country\":\"de\"}");
    show(g, "endless", "while true do end", NULL, "[]");

    if (perilune_reload(g) == 0) quote(g, "reloaded", order);
    else printf("the old rules go on: %s\n", perilune_errmsg(g));
}

int main(int argc, char **argv) {
    char err[500];
    perilune *g;
    perilune_options options = PERILUNE_OPTIONS_INIT;
    if (argc != 2) {
        fprintf(stderr, "usage: rules CONFIG\n");
        return 2;
    }
    options.config = argv[1];
    if (perilune_open(&g, &options, err, sizeof(err)) != 0) {
        fprintf(stderr, "rules: %s\n", err);
        return 1;
    }
    int rc = perilune_function_add(g, "in_stock", in_stock, NULL);
    if (rc == 0) tour(g);
    else fprintf(stderr, "rules: %s\n", perilune_errmsg(g));
    perilune_close(g);
    return rc == 0 ? 0 : 1;
}

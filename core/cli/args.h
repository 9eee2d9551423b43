/* args.h -- command line options, described by a table.  See args.c. */
#ifndef PERILUNE_CLI_ARGS_H
#define PERILUNE_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum arg_type {
    ARG_FLAG,   /* bool *: no value */
    ARG_INT,    /* long *: min .. max */
    ARG_NUMBER, /* double *: min .. max, finite */
    ARG_STRING, /* const char **: points into argv */
    ARG_LIST,   /* struct arg_list *: may be repeated */
};

struct arg_list {
    const char **items; /* room for `cap` strings, the caller's */
    size_t       len, cap;
};

struct arg {
    const char   *name;  /* long, without the dashes; NULL ends the table */
    char          letter; /* short, or 0 */
    enum arg_type type;
    void         *out;    /* left alone when the option is not given */
    const char   *value;  /* how --help calls the value; NULL for a flag */
    const char   *help;   /* one line */
    double        min, max; /* both 0: any */
};

struct args {
    const char       *command; /* "perilune sim" */
    const char       *usage;   /* "URL [options]" */
    const char       *about;   /* a paragraph for --help */
    const struct arg *table;
    const char      **words;   /* out: arguments that are no options; room for max_words */
    size_t            max_words, word_count;
    FILE             *out, *err; /* NULL: stdout and stderr */
};

enum { ARGS_OK = 0, ARGS_HELP = 1, ARGS_USAGE = 2 };

/* Reads argv[1] .. argv[argc - 1]: `--name V`, `--name=V`, `-n V`, `-nV`, joined
 * short flags, `--` ends the options, and `--help`/`-h` for free.  Returns
 * ARGS_OK; ARGS_HELP after printing the help (exit status 0); ARGS_USAGE after
 * saying on err what is wrong and, for an unknown option, the nearest one (exit
 * status 2).  Options and words may be mixed. */
int args_parse(struct args *a, int argc, char **argv);

/* The exit status for a result that is not ARGS_OK. */
static inline int args_status(int result) { return result == ARGS_HELP ? 0 : 2; }

/* Prints "COMMAND: MESSAGE" and where to find help; returns 2.  For checks that
 * the table cannot express. */
int args_fail(const struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The name of names[0 .. n) that word most likely meant, or NULL when none is
 * near: edits (swaps counted as one) of at most a third of its length, or word
 * is the beginning of exactly one. */
const char *args_nearest(const char *word, size_t len, const char *const *names, size_t n);

#endif

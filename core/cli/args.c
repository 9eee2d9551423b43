/* args.c -- the option parser that all commands share.
 *
 * A command describes its options in one table; parsing, range checks, --help
 * and the messages come from that table, so that they cannot disagree:
 *
 *      { "rate", 'r', ARG_NUMBER, &o.rate, "R", "requests per second", 0.001, 1e6 }
 *            |     |       |         |      |            |                 |
 *        --rate   -r    checked   where   in --help    in --help         range
 *
 * Nothing is copied: strings point into argv.  No state outside struct args. */
#include "cli/args.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 40 /* longer words are nobody's typo */

/* -- Nearest name ----------------------------------------------------------- */

/* Optimal string alignment distance: insert, delete, replace, swap neighbours. */
static unsigned distance(const char *a, size_t an, const char *b, size_t bn) {
    unsigned char d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];
    for (size_t i = 0; i <= an; i++) d[i][0] = (unsigned char)i;
    for (size_t j = 0; j <= bn; j++) d[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= an; i++) {
        for (size_t j = 1; j <= bn; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1u < best) best = d[i - 1][j] + 1u;
            if (d[i][j - 1] + 1u < best) best = d[i][j - 1] + 1u;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1u < best) best = d[i - 2][j - 2] + 1u;
            d[i][j] = (unsigned char)best;
        }
    }
    return d[an][bn];
}

static const char *only_with_prefix(const char *word, size_t len, const char *const *names,
                                    size_t n) {
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(names[i], word, len) != 0) continue;
        if (found != NULL) return NULL;
        found = names[i];
    }
    return found;
}

const char *args_nearest(const char *word, size_t len, const char *const *names, size_t n) {
    if (len == 0 || len > NAME_MAX_LEN) return NULL;
    const char *best = NULL;
    unsigned    least = NAME_MAX_LEN;
    for (size_t i = 0; i < n; i++) {
        size_t name_len = strlen(names[i]);
        if (name_len > NAME_MAX_LEN) continue;
        unsigned d = distance(word, len, names[i], name_len);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    /* A third, rounded up: "--ratee" and "--rtae" are meant, "--colour" is not. */
    if (best != NULL && least <= (len + 2) / 3) return best;
    return only_with_prefix(word, len, names, n);
}

/* -- Messages ---------------------------------------------------------------- */

static FILE *out_of(const struct args *a) { return a->out ? a->out : stdout; }
static FILE *err_of(const struct args *a) { return a->err ? a->err : stderr; }

int args_fail(const struct args *a, const char *fmt, ...) {
    FILE *f = err_of(a);
    fprintf(f, "%s: ", a->command);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
    fprintf(f, "\n%s --help lists all options.\n", a->command);
    return ARGS_USAGE;
}

static void print_help(const struct args *a) {
    FILE *f = out_of(a);
    fprintf(f, "usage: %s %s\n", a->command, a->usage ? a->usage : "[options]");
    if (a->about) fprintf(f, "\n%s\n", a->about);
    fprintf(f, "\noptions:\n");
    for (const struct arg *o = a->table; o->name != NULL; o++) {
        char left[64];
        char letter[8] = "";
        if (o->letter) snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(f, "  %-26s %s\n", left, o->help);
    }
    fprintf(f, "  %-26s %s\n", "-h, --help", "this text");
}

static int unknown_option(const struct args *a, const char *name, size_t len) {
    const char *names[128];
    size_t      n = 0;
    for (const struct arg *o = a->table; o->name != NULL && n < 127; o++) names[n++] = o->name;
    names[n++] = "help";
    const char *near = args_nearest(name, len, names, n);
    if (near == NULL) return args_fail(a, "unknown option --%.*s", (int)len, name);
    return args_fail(a, "unknown option --%.*s; did you mean --%s?", (int)len, name, near);
}

/* -- Values ------------------------------------------------------------------ */

static bool in_range(const struct arg *o, double v) {
    return (o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max);
}

static int out_of_range(const struct args *a, const struct arg *o, const char *text) {
    return args_fail(a, "--%s %s is out of range (%.15g to %.15g)", o->name, text, o->min, o->max);
}

static int set_int(const struct args *a, const struct arg *o, const char *text) {
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end != '\0') {
        return args_fail(a, "--%s wants a whole number, not '%s'", o->name, text);
    }
    if (errno == ERANGE || !in_range(o, (double)v)) return out_of_range(a, o, text);
    *(long *)o->out = v;
    return ARGS_OK;
}

static int set_number(const struct args *a, const struct arg *o, const char *text) {
    char  *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(v)) {
        return args_fail(a, "--%s wants a number, not '%s'", o->name, text);
    }
    if (!in_range(o, v)) return out_of_range(a, o, text);
    *(double *)o->out = v;
    return ARGS_OK;
}

static int set_list(const struct args *a, const struct arg *o, const char *text) {
    struct arg_list *list = o->out;
    if (list->len == list->cap) {
        return args_fail(a, "--%s may be given at most %zu times", o->name, list->cap);
    }
    list->items[list->len++] = text;
    return ARGS_OK;
}

static int set_value(const struct args *a, const struct arg *o, const char *text) {
    switch (o->type) {
    case ARG_INT: return set_int(a, o, text);
    case ARG_NUMBER: return set_number(a, o, text);
    case ARG_LIST: return set_list(a, o, text);
    case ARG_STRING: *(const char **)o->out = text; return ARGS_OK;
    case ARG_FLAG: *(bool *)o->out = true; return ARGS_OK;
    }
    return ARGS_OK;
}

/* -- Parsing ----------------------------------------------------------------- */

static const struct arg *find_long(const struct args *a, const char *name, size_t len) {
    for (const struct arg *o = a->table; o->name != NULL; o++) {
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) return o;
    }
    return NULL;
}

static const struct arg *find_short(const struct args *a, char letter) {
    for (const struct arg *o = a->table; o->name != NULL; o++) {
        if (o->letter != 0 && o->letter == letter) return o;
    }
    return NULL;
}

/* argv[*i] is "--name..."; moves *i over the value when that is a word of its own. */
static int parse_long(struct args *a, int argc, char **argv, int *i) {
    const char *name = argv[*i] + 2;
    const char *eq = strchr(name, '=');
    size_t      len = eq ? (size_t)(eq - name) : strlen(name);

    if (len == 4 && memcmp(name, "help", 4) == 0) {
        print_help(a);
        return ARGS_HELP;
    }
    const struct arg *o = find_long(a, name, len);
    if (o == NULL) return unknown_option(a, name, len);
    if (o->type == ARG_FLAG) {
        if (eq != NULL) return args_fail(a, "--%s takes no value", o->name);
        return set_value(a, o, NULL);
    }
    if (eq != NULL) return set_value(a, o, eq + 1);
    if (*i + 1 >= argc) return args_fail(a, "--%s needs a value (%s)", o->name, o->value);
    return set_value(a, o, argv[++*i]);
}

/* argv[*i] is "-x...": flags may be joined, the rest of a word may be a value. */
static int parse_short(struct args *a, int argc, char **argv, int *i) {
    for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
        if (*p == 'h' && find_short(a, 'h') == NULL) {
            print_help(a);
            return ARGS_HELP;
        }
        const struct arg *o = find_short(a, *p);
        if (o == NULL) return args_fail(a, "unknown option -%c", *p);
        if (o->type == ARG_FLAG) {
            set_value(a, o, NULL);
            continue;
        }
        if (p[1] != '\0') return set_value(a, o, p + 1);
        if (*i + 1 >= argc) return args_fail(a, "-%c needs a value (%s)", *p, o->value);
        return set_value(a, o, argv[++*i]);
    }
    return ARGS_OK;
}

static int parse_word(struct args *a, const char *word) {
    if (a->word_count == a->max_words) return args_fail(a, "unexpected argument '%s'", word);
    a->words[a->word_count++] = word;
    return ARGS_OK;
}

int args_parse(struct args *a, int argc, char **argv) {
    bool only_words = false;
    a->word_count = 0;
    for (int i = 1; i < argc; i++) {
        const char *s = argv[i];
        int         rc;
        if (only_words || s[0] != '-' || s[1] == '\0') {
            rc = parse_word(a, s);
        } else if (strcmp(s, "--") == 0) {
            only_words = true;
            continue;
        } else if (s[1] == '-') {
            rc = parse_long(a, argc, argv, &i);
        } else {
            rc = parse_short(a, argc, argv, &i);
        }
        if (rc != ARGS_OK) return rc;
    }
    return ARGS_OK;
}

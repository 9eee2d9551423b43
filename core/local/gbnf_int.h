/* gbnf_int.h -- what the files that write grammars share.  See gbnf.c. */
#ifndef PERILUNE_LOCAL_GBNF_INT_H
#define PERILUNE_LOCAL_GBNF_INT_H

#include "local/gbnf.h"

#define GBNF_PARTS 16   /* schemas that hold for one value: $ref, allOf, an alternative of anyOf */
#define GBNF_PROPS 1024 /* of an object */

struct gbnf_view {
    uint32_t node[GBNF_PARTS];
    bool     chosen[GBNF_PARTS]; /* its anyOf is settled */
    unsigned len;
};

struct gbnf_rule {
    struct gbnf_view view;
    uint32_t         unit_from, unit_len; /* into units: rules that this one may be without a byte in front */
};

struct gbnf {
    const struct json_doc *doc;
    const uint32_t        *roots; /* the schemas that were asked for; what "#" means in each of them */
    unsigned               root_count;
    struct buf             out, side; /* side: rules that the one being written needs */
    struct gbnf_rule      *rules;
    unsigned               len, cap;
    uint32_t              *known; /* of each node of doc: its rule + 1 */
    uint32_t              *units;
    unsigned               units_len, units_cap;
    unsigned               at;    /* the rule being written */
    unsigned               names; /* of side rules so far */
    struct gbnf_error     *err;
    int                    rc; /* the first failure, for good */
};

/* Notes the first failure; node is the schema that keyword stands in. */
void gbnf_fail(struct gbnf *g, int rc, uint32_t node, const char *keyword, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The value of this keyword in the parts of v, or JSON_NONE; two that differ fail.  *in: whose it is. */
uint32_t gbnf_keyword(struct gbnf *g, const struct gbnf_view *v, const char *name, uint32_t *in);
/* A count (minLength ...), or other. */
int64_t  gbnf_count(struct gbnf *g, const struct gbnf_view *v, const char *name, int64_t other);
/* One character in a class, or the escape for it. */
void     gbnf_class_char(struct buf *to, uint32_t c);
/* unit between min and max times, max < 0: no end; unit is a rule's name. */
void     gbnf_repeat(struct gbnf *g, struct buf *to, const char *unit, int64_t min, int64_t max);

void gbnf_string(struct gbnf *g, const struct gbnf_view *v);                /* gbnf_text.c */
void gbnf_number(struct gbnf *g, const struct gbnf_view *v, bool integer);  /* gbnf_number.c */

#endif
